//! Events that wait, in order, for the decision whether they are written.
//!
//! Of the calls whose exit event is written, the enter event is written too: readers of old captures need it, and without it
//! nobody knows how long the call took. But it comes first, so it waits, and everything behind it, until its call returns.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::{
    events::Source,
    format::{EventView, FOR_NAMES},
    ledger,
    replay::Moment,
};

/// The most memory that may wait, in bytes. Then the oldest event is written, needed or not.
const MAX_WAITING: usize = 16 << 20;

/// An event in its block.
#[derive(Debug)]
pub(super) struct Item {
    /// Its number in the source.
    pub num: u64,
    pub ts: u64,
    pub is_wanted: bool,
    /// It is [the recorder's own](ledger::is_own).
    pub is_own: bool,
    /// The enter event of a clone.
    pub begins_clone: bool,
    pub block: Vec<u8>,
}

impl Item {
    pub fn new(moment: &Moment<'_>, is_wanted: bool) -> Item {
        let captured = &moment.captured;
        let flags = captured.flags & !FOR_NAMES | if is_wanted { 0 } else { FOR_NAMES };
        let item = Item::of(&moment.raw, captured.cpu, flags);
        Item { num: moment.num, is_wanted, ..item }
    }

    pub fn of(event: &EventView<'_>, cpu: u16, flags: u32) -> Item {
        let mut block = Vec::new();
        event.frame(&mut block, cpu, flags);
        let is_own = ledger::is_own(event.ty());
        Item { num: 0, ts: event.ts(), is_wanted: false, is_own, begins_clone: false, block }
    }
}

/// An event that can wait.
pub trait Waiting {
    /// Returns the memory that it takes, in bytes.
    fn size(&self) -> usize;
    /// Returns its time, in ns since the epoch.
    fn ts(&self) -> u64;
    /// Returns whether it is written for itself, and not only for others.
    fn is_wanted(&self) -> bool;
}

impl Waiting for Item {
    fn size(&self) -> usize {
        self.block.len()
    }

    fn ts(&self) -> u64 {
        self.ts
    }

    fn is_wanted(&self) -> bool {
        self.is_wanted
    }
}

/// What an event does to the call that its thread is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It begins the call.
    Enter,
    /// It ends the call.
    Exit,
    /// It ends the thread.
    End,
    /// Nothing.
    None,
}

impl Direction {
    /// Returns the direction of an event.
    pub fn of(event: &EventView<'_>) -> Direction {
        match event.info() {
            Some(row) if row.source == Source::Syscall && row.ty.is_enter() => Direction::Enter,
            Some(row) if row.source == Source::Syscall => Direction::Exit,
            Some(row) if row.name == "procexit" => Direction::End,
            _ => Direction::None,
        }
    }
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The return of its call decides.
    Open,
    /// It is written if a wanted event follows, or if it is wanted.
    Kept,
    /// It is written in any case.
    Notice,
    Dropped,
}

/// The waiting events.
#[derive(Debug)]
pub struct Queue<I> {
    items: VecDeque<(Fate, I)>,
    /// How many events have left the queue.
    gone: u64,
    /// The open enter event of each thread, by its place since the start.
    open: HashMap<u64, u64>,
    /// The threads whose last enter event is written: what ends the call is, too, so that a reader pairs events as in the
    /// source.
    entered: HashSet<u64>,
    /// Whether what is not wanted itself is written only if a wanted event follows.
    holds: bool,
    /// Events that are written if a wanted event follows.
    held: Vec<I>,
    /// The memory of the blocks, and of those that are held, in bytes.
    bytes: usize,
    held_bytes: usize,
}

impl<I: Waiting> Queue<I> {
    /// Makes a queue that gives away what is needed as soon as that is known. One that `holds` gives away events that are not
    /// wanted themselves only when a wanted one follows.
    pub fn new(holds: bool) -> Queue<I> {
        Queue {
            items: VecDeque::new(),
            gone: 0,
            open: HashMap::new(),
            entered: HashSet::new(),
            holds,
            held: Vec::new(),
            bytes: 0,
            held_bytes: 0,
        }
    }

    /// Returns the number of events that wait for a decision.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns whether no event waits for a decision.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds an event of thread `tid`, if it is needed, or may turn out to be.
    pub fn add(&mut self, tid: u64, direction: Direction, is_needed: bool, item: impl FnOnce() -> I) {
        let is_kept = match direction {
            Direction::Enter => {
                self.enter(tid, item(), if is_needed { Fate::Kept } else { Fate::Open });
                return;
            }
            // The exit of a call whose enter event is there.
            Direction::Exit => self.leave(tid, is_needed) || is_needed,
            Direction::End => {
                self.leave(tid, false);
                is_needed
            }
            Direction::None => is_needed,
        };
        if is_kept {
            self.push(item(), Fate::Kept);
        }
    }

    pub(super) fn push(&mut self, item: I, fate: Fate) {
        self.bytes += item.size();
        self.items.push_back((fate, item));
    }

    /// Adds the enter event of a thread's call.
    pub(super) fn enter(&mut self, tid: u64, item: I, fate: Fate) {
        // The return of the call before was lost.
        let fate = if self.leave(tid, false) { Fate::Kept } else { fate };
        match fate {
            Fate::Open => drop(self.open.insert(tid, self.gone + self.items.len() as u64)),
            _ => drop(self.entered.insert(tid)),
        }
        self.push(item, fate);
    }

    /// Decides about the enter event of the call that a thread leaves. Returns whether that event is written anyway.
    fn leave(&mut self, tid: u64, is_kept: bool) -> bool {
        let place = self.open.remove(&tid).and_then(|place| place.checked_sub(self.gone));
        if let Some((fate, _)) = place.and_then(|place| self.items.get_mut(place as usize)) {
            *fate = if is_kept { Fate::Kept } else { Fate::Dropped };
        }
        self.entered.remove(&tid)
    }

    /// Decides about all enter events.
    pub fn decide(&mut self, are_kept: bool) {
        let decided = self.open.drain().map(|(tid, _)| tid);
        self.entered.extend(decided.filter(|_| are_kept));
        for (fate, _) in self.items.iter_mut().filter(|(fate, _)| *fate == Fate::Open) {
            *fate = if are_kept { Fate::Kept } else { Fate::Dropped };
        }
    }

    /// Gives away the events that need not wait any longer: no event from before the time `overdue` waits.
    pub fn drain(&mut self, overdue: u64, mut put: impl FnMut(I)) {
        while let Some((fate, item)) = self.items.front() {
            let fate = match fate {
                Fate::Open if self.bytes <= MAX_WAITING && item.ts() >= overdue => return,
                // To keep it is never wrong.
                Fate::Open => {
                    let is_first = |place: &u64| *place == self.gone;
                    self.entered.extend(self.open.iter().find(|(_, at)| is_first(at)).map(|(tid, _)| *tid));
                    self.open.retain(|_, place| !is_first(place));
                    Fate::Kept
                }
                fate => *fate,
            };
            let Some((_, item)) = self.items.pop_front() else { return };
            self.gone += 1;
            self.bytes -= item.size();
            if fate == Fate::Dropped {
                continue;
            }
            let is_final = item.is_wanted() || fate == Fate::Notice || !self.holds;
            self.held_bytes += item.size();
            self.held.push(item);
            if is_final || self.held_bytes > MAX_WAITING {
                self.held_bytes = 0;
                self.held.drain(..).for_each(&mut put);
            }
        }
    }
}
