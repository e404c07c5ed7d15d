//! The machine at the window's first event.

use super::segment::Segment;
use scap::{
    container,
    format::{EventBlocks, Keep, ReadError, Reader, frame_event, write_state},
    ledger::{self, Longer, NOTIFICATION, Notice},
    model::Machine,
};

/// A machine to which all events were applied that have left the window.
#[derive(Debug, Default)]
pub struct Tail {
    machine: Machine,
    /// The texts of the last notices of the selection, of the filter, and of what is overwritten before the window; empty if all
    /// is recorded as it is.
    selected: String,
    filter: String,
    redacted: String,
}

impl Tail {
    /// Starts with the blocks that a recording begins with: the state of the machine, and notices.
    pub fn new(blocks: &[u8]) -> Result<Tail, ReadError> {
        let mut reader = Reader::new(blocks)?.keep(Keep::All);
        let mut tail = Tail::default();
        let mut has_state = false;
        while let Some(captured) = reader.next_event()? {
            if !std::mem::replace(&mut has_state, true) {
                tail.machine = Machine::of_state(captured.state, Keep::All);
            }
            tail.machine.apply_on(captured.cpu, &captured.event);
            if let Some(notice) = ledger::parse(&captured.event) {
                tail.note(notice);
            }
        }
        if !has_state {
            tail.machine = Machine::of_state(reader.state(), Keep::All);
        }
        Ok(tail)
    }

    /// Returns the machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Applies the events of a segment that leaves the window.
    pub fn pass(&mut self, segment: &Segment) {
        if segment.index.changing.is_empty() {
            return;
        }
        let blocks = segment.blocks();
        for start in &segment.index.changing {
            let block = EventBlocks::from(&blocks, *start as usize).next();
            let Some(found) = block.and_then(|block| block.event()) else { continue };
            self.machine.apply_on(found.cpu, &found.event);
            if found.event.ty() == NOTIFICATION
                && let Some(notice) = ledger::parse(&found.event)
            {
                self.note(notice);
            }
        }
    }

    fn note(&mut self, notice: Notice) {
        match notice {
            Notice::Selected(asked) if asked.is_usual() => self.selected.clear(),
            Notice::Selected(asked) => self.selected = asked.to_string(),
            Notice::Filter(text) => self.filter = text,
            Notice::Redacted(_) => self.redacted = notice.text(),
            _ => {}
        }
    }

    /// Returns the blocks that a capture begins with whose first event has the time `at`, in ns since the epoch, and that has
    /// everything only from a later time on.
    pub fn blocks(&mut self, at: u64, longer: Option<&Longer>) -> Vec<u8> {
        self.machine.settle();
        let mut blocks = Vec::new();
        // Writing to memory cannot fail.
        let _ = write_state(&mut blocks, &self.machine.write_state());
        for known in self.machine.containers() {
            frame_event(&mut blocks, 0, &container::event_of(&known.json, at));
        }
        let longer = longer.map(Longer::text).unwrap_or_default();
        let notices = [
            (ledger::SELECTED, &self.selected),
            (ledger::FILTER, &self.filter),
            (ledger::REDACTED, &self.redacted),
            (ledger::LONGER, &longer),
        ];
        for (id, text) in notices {
            if !text.is_empty() {
                frame_event(&mut blocks, 0, &ledger::notice(id, text, at));
            }
        }
        blocks.shrink_to_fit();
        blocks
    }
}
