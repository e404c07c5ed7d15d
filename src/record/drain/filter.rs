//! The way of events through the filter of a recording.

use std::collections::VecDeque;

use super::{
    Drain,
    containers::see_event,
    notices::{write_filter, write_redacted, write_selected},
};
use crate::{
    output::{Chunk, OutputError},
    probe::RawEvent,
    record::sieve::{MAX_HELD, Sieve, Sifted},
};
use scap::{events::EventType, filter::Verdict, format::MachineState, ledger::Notice, slice::Waiting};

/// Events that wait for their turn. Nobody has taken them yet: they count as if they were in the rings.
#[derive(Debug, Default)]
pub(super) struct Behind {
    events: VecDeque<Sifted>,
    bytes: usize,
}

impl Behind {
    pub(super) fn push(&mut self, event: &RawEvent<'_>, ts: u64) {
        let event = Sifted::new(event, ts);
        self.bytes += event.size();
        self.events.push_back(event);
    }
}

impl Drain {
    /// Starts with this filter. Call it before the first event is taken.
    pub fn filter_by(&mut self, sieve: Option<Sieve>) {
        self.sieve = sieve;
    }

    /// Changes the filter as of `at`, a time of the probe.
    pub fn change_filter(&mut self, sieve: Option<Sieve>, at: u64) {
        let text = sieve.as_ref().map(|sieve| sieve.text.clone()).unwrap_or_default();
        self.sieves.push_back(sieve);
        self.put_notice(self.clock.adjust(at), Notice::Filter(text));
    }

    /// Decides about events that wait for the state of the machine without it, if the next filter does not wait for it.
    pub(super) fn give_up_state(&mut self) -> Result<(), OutputError> {
        let next_waits =
            self.sieves.front().is_some_and(|next| next.as_ref().is_some_and(Sieve::needs_state));
        if self.needs_state() && !next_waits { self.begin_filter(&MachineState::default()) } else { Ok(()) }
    }

    /// Makes the next filter that of the next events.
    pub(super) fn next_filter(&mut self) {
        let Some(mut next) = self.sieves.pop_front() else { return };
        if let Some(before) = self.sieve.take() {
            self.filtered += before.left_out();
            if let Some(next) = &mut next {
                next.inherit(before);
            }
        }
        self.sieve = next;
    }

    /// Returns whether another filter is still to come.
    pub fn changes_filter(&self) -> bool {
        !self.sieves.is_empty()
    }

    /// Returns whether the filter waits for the state of the machine.
    pub fn needs_state(&self) -> bool {
        self.sieve.as_ref().is_some_and(Sieve::needs_state)
    }

    /// Gives the filter the state of the machine.
    pub fn begin_filter(&mut self, state: &MachineState) -> Result<(), OutputError> {
        if let Some(sieve) = &mut self.sieve {
            sieve.begin(state, &mut self.judge);
        }
        self.pass_on(self.clock.now())?;
        self.catch_up()
    }

    /// Returns whether an event with this time has to wait: the filter waits for the state of the machine, and what is said
    /// before the event may be the next filter.
    #[inline]
    pub(super) fn has_to_wait(&self, ts: u64) -> bool {
        let is_due = || self.notices.front().is_some_and(|(after, _)| *after < ts);
        !self.behind.events.is_empty() || self.needs_state() && is_due()
    }

    /// Takes the events that had to wait, as far as they need not any longer.
    fn catch_up(&mut self) -> Result<(), OutputError> {
        while let Some(event) = self.behind.events.pop_front() {
            let (raw, ts) = event.raw();
            if self.needs_state() && self.notices.front().is_some_and(|(after, _)| *after < ts) {
                self.behind.events.push_front(event);
                return Ok(());
            }
            self.behind.bytes -= event.size();
            if self.chunk.is_none() {
                self.chunk = Some(self.writer.take_or_make()?);
            }
            self.write_in_turn(raw, ts)?;
        }
        Ok(())
    }

    /// Returns whether another event can be taken.
    pub(super) fn has_room(&self) -> bool {
        self.behind.bytes < MAX_HELD && self.sieve.as_ref().is_none_or(Sieve::has_room)
    }

    /// Takes an event for the filter, and writes those that it passes on.
    pub(super) fn sift(&mut self, event: &RawEvent<'_>, ts: u64) -> Result<(), OutputError> {
        let Some(sieve) = &mut self.sieve else { return Ok(()) };
        let ty = event.bytes.get(20..).and_then(<[u8]>::first_chunk).map_or(0, |ty| u16::from_ne_bytes(*ty));
        self.ledger.take(event.cpu, EventType(ty));
        // It may be left out, but its container matters to the filter.
        see_event(&mut self.containers, event, EventType(ty));
        if let Some(test) = &mut self.expected {
            // It may be left out.
            test.look(event.bytes, self.counts.total);
        }
        sieve.take(event, ts, &mut self.judge);
        self.pass_on(ts)
    }

    /// Writes what the filter passes on at the time `now`, in ns since the epoch.
    pub(super) fn pass_on(&mut self, now: u64) -> Result<(), OutputError> {
        while !self.is_full()
            && let Some(event) = self.sieve.as_mut().and_then(|sieve| sieve.next(now))
        {
            if self.chunk.is_none() {
                self.chunk = Some(self.writer.take_or_make()?);
            }
            let (raw, ts) = event.raw();
            self.put(raw, ts, event.is_wanted)?;
        }
        Ok(())
    }

    /// Writes all that the filter passes on; `are_kept` says what becomes of calls that have not returned.
    pub(super) fn settle(&mut self, are_kept: bool) -> Result<(), OutputError> {
        let Some(sieve) = &mut self.sieve else { return Ok(()) };
        sieve.settle(are_kept);
        self.pass_on(0)
    }

    /// Looks for what the kernel can leave out: it has the filter now.
    pub fn begin_verdicts(&mut self) {
        if let Some(sieve) = &mut self.sieve {
            sieve.begin_verdicts();
        }
    }

    /// Returns what is new to tell the kernel of processes.
    pub fn take_verdicts(&mut self) -> Vec<Verdict> {
        self.sieve.as_mut().map(Sieve::take_verdicts).unwrap_or_default()
    }

    /// Returns the number of events that filters have left out.
    pub fn left_out(&self) -> u64 {
        self.filtered + self.sieve.as_ref().map_or(0, Sieve::left_out)
    }

    /// Returns the number of events that the filter has not passed on yet.
    pub(super) fn pending(&self) -> u64 {
        self.sieve.as_ref().map_or(0, Sieve::pending)
    }

    /// Writes what was requested, the filter, and what is overwritten, at the start of a file.
    pub(super) fn say(&mut self, chunk: &mut Chunk, at: u64) {
        let selected = self.selected.as_ref().map_or(0, |asked| write_selected(chunk, asked, at));
        self.count_notices([selected]);
        self.say_rest(chunk, at);
    }

    /// Writes the filter and what is overwritten.
    pub(super) fn say_rest(&mut self, chunk: &mut Chunk, at: u64) {
        let filter = self.sieve.as_ref().map_or(0, |sieve| write_filter(chunk, &sieve.text, at));
        let redacted = self.redaction.as_ref().map_or(0, |r| write_redacted(chunk, r.notice(), at));
        self.count_notices([filter, redacted]);
        self.say_containers(chunk, at);
    }

    fn count_notices<const N: usize>(&mut self, blocks: [usize; N]) {
        for block in blocks.into_iter().filter(|block| *block > 0) {
            self.rotor.iter_mut().for_each(|rotor| rotor.count_notice(block));
        }
    }
}
