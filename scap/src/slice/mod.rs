//! A slice of a capture: some of its events as a capture of its own, in which they have the names that they have in the
//! source.
//!
//! A section starts with the state before its first wanted event. Between wanted events stand those that change what
//! later ones refer to, marked as [`FOR_NAMES`], with the enter events of their calls: readers of old captures need these.
//! An enter event waits until its call returns, because that decides whether it is needed; the events behind it wait with
//! it. All events are written as the source has them.
//!
//! The slice has the ledger of its source: its gaps, steps of the clock and selections, and at the end of each section a
//! balance that accounts for the slice's events and the source's losses.

mod queue;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::{
    container,
    events::Effect,
    format::{EventView, FOR_NAMES, Keep, MachineState, write_state},
    ledger::{self, Notice, SliceNote, Verdict},
    model::Machine,
    replay::Moment,
};
pub use queue::{Direction, Queue, Waiting};
use queue::{Fate, Item};

/// The most memory for the enter events of calls before the first wanted event, in bytes.
const MAX_ENTERED: usize = 16 << 20;

/// Makes a slice.
///
/// Give it each event of the source, in order. It appends blocks to [`out`](Slice::out), which the caller takes whenever
/// it likes.
#[derive(Debug, Default)]
pub struct Slice {
    /// The blocks so far.
    pub out: Vec<u8>,
    /// Whether what was recorded only to keep names right can be wanted too.
    all: bool,
    section: Option<Section>,
    /// Where the last event starts in its capture.
    offset: u64,
    /// Events of sections of which nothing was written.
    skipped: u64,
    /// Wanted events, and sections, that were written.
    wanted: u64,
    sections: u64,
    /// The machine at the end of the first section that was not written.
    last_state: Option<MachineState>,
}

/// A section of the source.
#[derive(Debug)]
struct Section {
    number: u32,
    stage: Stage,
    queue: Queue<Item>,
    /// Events of the source, without notices.
    events: u64,
    /// The time of the last event.
    last: u64,
    /// The source's balance, and whether it was wanted.
    balance: Option<(Verdict, bool)>,
    has_losses: bool,
    cut: Option<Item>,
    written: Written,
}

/// What was written of a section.
#[derive(Debug, Default)]
struct Written {
    events: u64,
    late: u64,
    latest: u64,
}

/// Whether the section has begun in the slice.
#[derive(Debug)]
enum Stage {
    Before(Box<Before>),
    Begun,
}

/// The section before its first wanted event.
#[derive(Debug, Default)]
struct Before {
    machine: Machine,
    /// The enter event of the call that a thread is in.
    entered: HashMap<u64, Item>,
    entered_bytes: usize,
    /// Notices of gaps and of steps of the clock.
    notices: Vec<Item>,
    /// The last notice of a selection.
    selected: Option<Item>,
    /// The last notice of a filter.
    filter: Option<Item>,
}

impl Slice {
    /// Starts a slice. With `all`, what was recorded only to keep names right can be wanted too.
    pub fn new(all: bool) -> Slice {
        Slice { all, ..Slice::default() }
    }

    /// Returns how many wanted events were written to [`out`](Slice::out).
    pub fn wanted(&self) -> u64 {
        self.wanted
    }

    /// Takes the next event of the source.
    pub fn event(&mut self, moment: &Moment<'_>, is_wanted: bool) {
        let captured = &moment.captured;
        let is_same = self.section.as_ref().is_some_and(|section| section.number == captured.section);
        if !is_same || captured.offset <= self.offset {
            self.end_section(true);
            let machine = Machine::of_state(captured.state, Keep::All);
            let before = Before { machine, ..Before::default() };
            self.section = Some(Section {
                number: captured.section,
                stage: Stage::Before(Box::new(before)),
                queue: Queue::new(true),
                events: 0,
                last: 0,
                balance: None,
                has_losses: false,
                cut: None,
                written: Written::default(),
            });
        }
        self.offset = captured.offset;
        let Some(mut section) = self.section.take() else { return };
        section.last = section.last.max(moment.raw.ts());
        section.events += u64::from(!ledger::is_own(moment.raw.ty()));
        match ledger::parse(&moment.raw) {
            Some(notice) => self.notice(&mut section, &notice, moment, is_wanted),
            None => self.plain(&mut section, moment, is_wanted),
        }
        self.section = Some(section);
    }

    fn notice(&mut self, section: &mut Section, notice: &Notice, moment: &Moment<'_>, is_wanted: bool) {
        let item = Item::new(moment, is_wanted);
        match notice {
            // The slice has its own.
            Notice::Verdict(balance) => {
                section.has_losses |= balance.losses.sum() > 0;
                section.balance = Some((*balance, is_wanted));
                return;
            }
            Notice::Slice(note) => {
                section.events = section.events.saturating_add(note.left_out);
                return;
            }
            Notice::Cut(_) => {
                section.has_losses = true;
                section.cut = Some(item);
                return;
            }
            Notice::Selected(_) if self.all => return,
            Notice::Gap(_) => section.has_losses = true,
            _ => {}
        }
        match &mut section.stage {
            Stage::Before(before) => {
                before.machine.apply_on(moment.captured.cpu, moment.event());
                match notice {
                    Notice::Selected(_) => before.selected = Some(item),
                    Notice::Filter(_) => before.filter = Some(item),
                    _ => before.notices.push(item),
                }
            }
            Stage::Begun => {
                section.queue.push(item, Fate::Notice);
                self.drain(section);
            }
        }
    }

    fn plain(&mut self, section: &mut Section, moment: &Moment<'_>, is_wanted: bool) {
        let tid = moment.raw.tid();
        let direction = Direction::of(&moment.raw);
        if let Stage::Before(before) = &mut section.stage {
            if !is_wanted {
                before.unwanted(moment, direction);
                return;
            }
            self.begin(section);
        }
        let is_needed = is_wanted || moment.machine.has_changed();
        section.queue.add(tid, direction, is_needed, || Item::new(moment, is_wanted));
        self.drain(section);
    }

    /// Writes the state before this event, and the calls that threads are in.
    fn begin(&mut self, section: &mut Section) {
        let Stage::Before(before) = std::mem::replace(&mut section.stage, Stage::Begun) else { return };
        let Before { mut machine, entered, notices, selected, filter, .. } = *before;
        machine.settle();
        // Writing to memory cannot fail.
        let _ = write_state(&mut self.out, &machine.write_state());
        self.sections += 1;
        let notices = notices.into_iter().chain(selected).chain(filter).map(|item| (item, None));
        let mut items: Vec<_> =
            entered.into_iter().map(|(tid, item)| (item, Some(tid))).chain(notices).collect();
        items.sort_by_key(|(item, _)| item.num);
        let began = items.first().map_or(section.last, |(first, _)| first.ts);
        for known in machine.containers() {
            let event = container::event_of(&known.json, began);
            if let Ok(event) = EventView::parse(&event, true) {
                section.queue.push(Item::of(&event, 0, FOR_NAMES), Fate::Notice);
            }
        }
        for (item, entered) in items {
            match entered {
                Some(tid) => section.queue.enter(tid, item, Fate::Open),
                None => section.queue.push(item, Fate::Notice),
            }
        }
    }

    fn drain(&mut self, section: &mut Section) {
        let Slice { out, wanted, .. } = self;
        let written = &mut section.written;
        section.queue.drain(0, |item| written.put(item, out, wanted));
    }

    /// Writes everything that waits for the return of a call. For a reader that waits too.
    pub fn hurry(&mut self) {
        if let Some(mut section) = self.section.take() {
            section.queue.decide(true);
            self.drain(&mut section);
            self.section = Some(section);
        }
    }

    /// Ends a capture of the source, whose last section has begun with this state.
    pub fn end_capture(&mut self, state: &MachineState) {
        if self.section.is_none() && self.last_state.is_none() {
            self.last_state = Some(state.clone());
        }
        self.end_section(true);
        self.offset = 0;
    }

    /// Ends the slice. A source that is not [at its end](Slice::end_capture) was not read further.
    pub fn finish(&mut self) {
        self.end_section(false);
        if self.sections == 0 {
            let state = self.last_state.take().unwrap_or_default();
            let _ = write_state(&mut self.out, &state);
        }
    }

    fn end_section(&mut self, is_read: bool) {
        let Some(mut section) = self.section.take() else { return };
        if let Stage::Before(before) = &mut section.stage {
            if !section.has_losses {
                // What was found in it is found in another one, or nothing is.
                self.skipped += section.events;
                if self.last_state.is_none() {
                    before.machine.settle();
                    self.last_state = Some(before.machine.write_state());
                }
                return;
            }
            self.begin(&mut section);
        }
        section.queue.decide(false);
        self.drain(&mut section);
        self.close(section, is_read);
    }

    /// Writes the end of the ledger.
    fn close(&mut self, mut section: Section, is_read: bool) {
        let skipped = std::mem::take(&mut self.skipped);
        let left_out = (section.events + skipped).saturating_sub(section.written.events);
        let note = SliceNote { left_out, is_stopped: !is_read };
        self.say(&mut section, ledger::SLICE, &note.text(), false);
        if let (Some((balance, is_wanted)), true) = (section.balance, is_read) {
            let lost = balance.losses.sum().saturating_sub(balance.losses.unseen());
            let (written, late) = (section.written.events, section.written.late);
            let rest = balance.unread.saturating_add(balance.left_out.filtered);
            let seen = written.saturating_add(lost).saturating_add(rest);
            let balance = Verdict { seen, written, late, ..balance };
            self.say(&mut section, ledger::VERDICT, &balance.text(), is_wanted);
        }
        if let Some(cut) = section.cut.take() {
            section.written.put(cut, &mut self.out, &mut self.wanted);
        }
    }

    fn say(&mut self, section: &mut Section, id: &str, text: &str, is_wanted: bool) {
        let event = ledger::notice_of(id, text, section.last, 0);
        if let Ok(event) = EventView::parse(&event, false) {
            let flags = if is_wanted { 0 } else { FOR_NAMES };
            section.written.put(Item::of(&event, 0, flags), &mut self.out, &mut self.wanted);
        }
    }
}

impl Written {
    fn put(&mut self, item: Item, out: &mut Vec<u8>, wanted: &mut u64) {
        self.events += u64::from(!item.is_own);
        self.late += u64::from(item.ts < self.latest);
        self.latest = self.latest.max(item.ts);
        *wanted += u64::from(item.is_wanted);
        out.extend_from_slice(&item.block);
    }
}

impl Before {
    fn unwanted(&mut self, moment: &Moment<'_>, direction: Direction) {
        self.machine.apply_on(moment.captured.cpu, moment.event());
        if direction == Direction::None {
            if moment.raw.info().is_some_and(|row| row.effect() == Some(Effect::Drop)) {
                // Their children may have come and gone.
                self.entered.retain(|_, item| !item.begins_clone);
            }
            return;
        }
        let tid = moment.raw.tid();
        if let Some(old) = self.entered.remove(&tid) {
            self.entered_bytes = self.entered_bytes.saturating_sub(old.block.len());
        }
        if direction == Direction::Enter && self.entered_bytes < MAX_ENTERED {
            let item = Item { begins_clone: self.machine.has_changed(), ..Item::new(moment, false) };
            self.entered_bytes += item.block.len();
            self.entered.insert(tid, item);
        }
    }
}
