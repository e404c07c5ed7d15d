//! Events that wait, in order, for the decision whether they are written.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::{
    format::{EventView, FOR_NAMES},
    ledger::NOTIFICATION,
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
    pub is_notice: bool,
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
        let is_notice = event.ty() == NOTIFICATION;
        Item { num: 0, ts: event.ts(), is_wanted: false, is_notice, begins_clone: false, block }
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
#[derive(Debug, Default)]
pub(super) struct Queue {
    items: VecDeque<(Fate, Item)>,
    /// How many events have left the queue.
    gone: u64,
    /// The open enter event of each thread, by its place since the start.
    open: HashMap<u64, u64>,
    /// The threads whose last enter event is written: what ends the call is, too, so that a reader pairs events as in the
    /// source.
    entered: HashSet<u64>,
    /// Events that are written if a wanted event follows.
    held: Vec<Item>,
    /// The memory of the blocks, and of those that are held, in bytes.
    bytes: usize,
    held_bytes: usize,
}

impl Queue {
    pub fn push(&mut self, item: Item, fate: Fate) {
        self.bytes += item.block.len();
        self.items.push_back((fate, item));
    }

    /// Adds the enter event of a thread's call.
    pub fn enter(&mut self, tid: u64, item: Item, fate: Fate) {
        // The return of the call before was lost.
        let fate = if self.leave(tid, false) { Fate::Kept } else { fate };
        match fate {
            Fate::Open => drop(self.open.insert(tid, self.gone + self.items.len() as u64)),
            _ => drop(self.entered.insert(tid)),
        }
        self.push(item, fate);
    }

    /// Decides about the enter event of the call that a thread leaves. Returns whether that event is written anyway.
    pub fn leave(&mut self, tid: u64, is_kept: bool) -> bool {
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

    /// Gives away the events that need not wait any longer.
    pub fn drain(&mut self, mut put: impl FnMut(Item)) {
        while let Some((fate, _)) = self.items.front() {
            let fate = match fate {
                Fate::Open if self.bytes <= MAX_WAITING => return,
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
            self.bytes -= item.block.len();
            if fate == Fate::Dropped {
                continue;
            }
            let is_final = item.is_wanted || fate == Fate::Notice;
            self.held_bytes += item.block.len();
            self.held.push(item);
            if is_final || self.held_bytes > MAX_WAITING {
                self.held_bytes = 0;
                self.held.drain(..).for_each(&mut put);
            }
        }
    }
}
