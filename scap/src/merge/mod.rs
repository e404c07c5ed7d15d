//! Captures of one machine as one capture, in time order.
//!
//! A section of a source becomes a section of the result, with its own state and its own balance. Where the time of
//! sections of different sources overlaps, the later one begins a new section for both: its state says of each process
//! what the source says that has the process's events, and of all others what the later one says.
//!
//! A reader has one model of the machine, so an event that is there twice would change it twice: a relative `chdir` would
//! lead too deep, a child would get what its parent has opened since. Sources that overlap in time must not have events of
//! the same thread: see [`conflict`].

mod source;
mod survey;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
    io::Read,
};

use crate::{
    format::{EventView, MachineState, ReadError, Reader, write_state},
    ledger::{self, Verdict},
};
use source::{Part, Source};

pub use survey::{Conflict, SectionSurvey, Survey, conflict};

/// Merges sources.
///
/// [`step`](Merge::step) appends blocks to [`out`](Merge::out), which the caller takes whenever it likes.
#[derive(Debug)]
pub struct Merge<R: Read> {
    /// The blocks so far.
    pub out: Vec<u8>,
    /// The events so far, without notices.
    pub events: u64,
    sources: Vec<Source<R>>,
    /// The time of each source's next event.
    heads: BinaryHeap<Reverse<(u64, usize)>>,
    section: Section,
    is_begun: bool,
}

/// The section of the result that is being written.
#[derive(Debug, Default)]
struct Section {
    late: u64,
    latest: u64,
    /// Sections of sources that have ended in it.
    ended: Vec<Part>,
}

impl<R: Read> Default for Merge<R> {
    fn default() -> Self {
        Merge {
            out: Vec::new(),
            events: 0,
            sources: Vec::new(),
            heads: BinaryHeap::new(),
            section: Section::default(),
            is_begun: false,
        }
    }
}

/// An error of a source, by its number in the order of [`Merge::add`].
pub type SourceError = (usize, ReadError);

impl<R: Read> Merge<R> {
    /// Adds a source. Call it before the result has reached the source's [start](Survey::starts), with the sources in the
    /// order of their starts.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn add(&mut self, reader: Reader<R>, survey: Survey) -> Result<(), SourceError> {
        let index = self.sources.len();
        self.sources.push(Source::new(reader, survey));
        self.advance(index)
    }

    /// Returns the time of the next event; `None` if no source has one.
    pub fn next_time(&self) -> Option<u64> {
        self.heads.peek().map(|Reverse((ts, _))| *ts)
    }

    /// Writes the next event.
    ///
    /// # Errors
    /// If a source cannot be read.
    pub fn step(&mut self) -> Result<(), SourceError> {
        let Some(Reverse((ts, index))) = self.heads.pop() else { return Ok(()) };
        if self.sources.get(index).is_some_and(|source| source.is_at_start()) {
            self.begin(index, ts)?;
        }
        self.emit(index);
        self.advance(index)
    }

    /// Ends the result. Without any event, it has this state.
    pub fn finish(&mut self, state: &MachineState) {
        if self.is_begun {
            self.close();
        } else {
            let _ = write_state(&mut self.out, state);
        }
    }

    /// Reads the next event of a source.
    fn advance(&mut self, index: usize) -> Result<(), SourceError> {
        let Some(source) = self.sources.get_mut(index) else { return Ok(()) };
        if let Some(ended) = source.advance().map_err(|e| (index, e))? {
            self.section.ended.push(ended);
        }
        if let Some(ts) = source.head_time() {
            self.heads.push(Reverse((ts, index)));
        }
        Ok(())
    }

    fn emit(&mut self, index: usize) {
        let Some((block, ts, is_event)) = self.sources.get_mut(index).and_then(Source::emit) else { return };
        self.events += u64::from(is_event);
        self.put(&block, ts);
    }

    fn put(&mut self, block: &[u8], ts: u64) {
        self.section.late += u64::from(ts < self.section.latest);
        self.section.latest = self.section.latest.max(ts);
        self.out.extend_from_slice(block);
    }

    /// Begins a section with the state of a source's section.
    fn begin(&mut self, index: usize, ts: u64) -> Result<(), SourceError> {
        self.end_before(index, ts)?;
        if self.is_begun {
            self.close();
        }
        self.is_begun = true;
        let state = self.united_state(index);
        // Writing to memory cannot fail.
        let _ = write_state(&mut self.out, &state);
        Ok(())
    }

    /// Writes the last notices of the sources that have no more events, so that their sections end.
    fn end_before(&mut self, index: usize, ts: u64) -> Result<(), SourceError> {
        for other in 0..self.sources.len() {
            while other != index && self.sources.get(other).is_some_and(|source| source.is_ending_before(ts))
            {
                self.heads.retain(|Reverse((_, at))| *at != other);
                self.emit(other);
                self.advance(other)?;
            }
        }
        Ok(())
    }

    /// Returns the state of a section that begins: of each process, what the source says that follows it.
    fn united_state(&mut self, index: usize) -> MachineState {
        let Some(mut state) = self.sources.get_mut(index).and_then(Source::take_start) else {
            return MachineState::default();
        };
        let others: Vec<_> = self.sources.iter().filter(|source| source.is_inside()).collect();
        if others.is_empty() {
            return state;
        }
        let mut parts = Vec::new();
        let mut followed: HashSet<u64> = HashSet::new();
        for other in others {
            let own = other.followed();
            parts.push(other.machine().write_part(|pid| own.contains(&pid)));
            followed.extend(own);
        }
        if let Some(source) = self.sources.get(index) {
            state = source.machine().write_part(|pid| !followed.contains(&pid));
        }
        for part in parts {
            state.threads.extend(part.threads);
            state.fds.extend(part.fds);
            state.beyond.extend(part.beyond);
        }
        state
    }

    /// Writes the balance of a section, if all its sources have one.
    fn close(&mut self) {
        let section = std::mem::take(&mut self.section);
        let mut balances: Vec<Option<Verdict>> = section.ended.iter().map(Part::rest).collect();
        let cuts: Vec<_> = section.ended.into_iter().flat_map(|part| part.cuts).collect();
        balances.extend(self.sources.iter_mut().filter(|source| source.is_inside()).map(Source::interim));
        let sum = balances.into_iter().try_fold(Verdict::default(), |mut sum, balance| {
            sum.add(&balance?);
            Some(sum)
        });
        if let Some(sum) = sum {
            let balance = Verdict { late: section.late, ..sum };
            let event = ledger::notice_of(ledger::VERDICT, &balance.text(), section.latest, 0);
            if let Ok(event) = EventView::parse(&event, false) {
                event.frame(&mut self.out, 0, 0);
            }
        }
        cuts.iter().for_each(|cut| self.out.extend_from_slice(cut));
    }
}
