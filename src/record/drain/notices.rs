//! The notices between the events: of losses, of the selection, of the filter.

use std::time::Instant;

use super::Drain;
use crate::{
    output::{Chunk, OutputError},
    probe::Loaded,
};
use scap::{
    format::frame_event,
    ledger::{self, Gap, Notice, Trigger},
    select::{Asked, Judge},
};

/// No event older than this (ns) can come any more while the rings are empty: see `clock`.
const SETTLED: u64 = 3_000_000_000;

impl Drain {
    /// Puts a notice of the selection before the file's first event. Call it before that event is taken. `began` is
    /// when the gate was opened.
    pub fn say_what_is_asked(&mut self, asked: Asked, began: u64) {
        self.judge = Judge::new(asked);
        self.selected = Some(asked).filter(|asked| !asked.is_usual());
        self.unsaid = Some(began);
    }

    /// Changes the selection as of `at`, a time of the probe.
    pub fn change_what_is_asked(&mut self, asked: Asked, at: u64) {
        self.put_notice(self.clock.adjust(at), Notice::Selected(asked));
    }

    /// Puts a trigger of a flight recorder behind the events up to now.
    pub fn trigger(&mut self, trigger: Trigger) {
        let at = self.clock.now();
        self.put_notice(at, Notice::Trigger(Trigger { at, ..trigger }));
    }

    /// Writes a trigger that no event follows. `now` is in ns since the epoch.
    pub(super) fn write_due_trigger(&mut self, now: u64) -> Result<(), OutputError> {
        let is_due = |(at, notice): &(u64, Notice)| {
            matches!(notice, Notice::Trigger(_)) && at.saturating_add(SETTLED) < now
        };
        while self.drained && self.notices.front().is_some_and(is_due) {
            let Some((at, notice)) = self.notices.pop_front() else { break };
            self.write_notice(notice, at)?;
        }
        Ok(())
    }

    /// Adds to the current buffer what the balance has besides events since the last time, if that is long ago or `must` be.
    pub(super) fn say_beside(&mut self, probe: &Loaded, must: bool) {
        let Some((looked, said)) = self.said.filter(|_| self.chunk.is_some()) else { return };
        if !must && looked.elapsed() < self.limits.flush {
            return;
        }
        let beside = self.beside(probe);
        if let Some(chunk) = &mut self.chunk {
            chunk.beside.add(&beside.since(&said));
            self.said = Some((Instant::now(), beside));
        }
    }

    /// Queues a gap's notice, to follow the events of its time.
    pub(super) fn note(&mut self, gap: Gap) {
        // Losses found while the previous gap was counted belong to that gap.
        if gap.losses.sum() > 0 {
            self.put_notice(gap.to, Notice::Gap(gap));
        }
    }

    /// Queues a notice, to follow the events up to `at` and all earlier notices.
    pub(super) fn put_notice(&mut self, at: u64, notice: Notice) {
        let last = self.notices.back().map_or(0, |(at, _)| *at);
        self.notices.push_back((at.max(last).max(self.latest), notice));
    }

    pub(super) fn write_notice(&mut self, notice: Notice, at: u64) -> Result<(), OutputError> {
        if matches!(notice, Notice::Filter(_)) {
            self.give_up_state()?;
        }
        self.settle(true)?;
        let mut chunk = match self.chunk.take() {
            Some(chunk) => chunk,
            None => self.writer.take_or_make()?,
        };
        match notice {
            Notice::Selected(asked) => {
                let block = write_selected(&mut chunk, &asked, at);
                self.rotor.iter_mut().for_each(|rotor| rotor.count_notice(block));
                self.judge = Judge::new(asked);
                self.selected = Some(asked).filter(|asked| !asked.is_usual());
                if self.unsaid.take().is_some() {
                    self.say_rest(&mut chunk, at);
                }
            }
            Notice::Filter(text) => {
                let block = write_filter(&mut chunk, &text, at);
                self.rotor.iter_mut().for_each(|rotor| rotor.count_notice(block));
                self.next_filter();
            }
            notice => {
                frame_event(&mut chunk.bytes, 0, &ledger::notice(notice.id(), &notice.text(), at));
                if let Notice::Gap(gap) = notice {
                    gap.losses.iter().for_each(|(cause, count)| chunk.losses.add(cause, count));
                }
            }
        }
        self.chunk = Some(chunk);
        Ok(())
    }
}

/// Writes the notice of the filter; returns the size of its block.
pub(super) fn write_filter(chunk: &mut Chunk, text: &str, at: u64) -> usize {
    let before = chunk.bytes.len();
    frame_event(&mut chunk.bytes, 0, &ledger::notice(ledger::FILTER, text, at));
    chunk.latest = chunk.latest.max(at);
    chunk.filter = Some(text.to_owned());
    chunk.bytes.len() - before
}

/// Writes the notice of what is overwritten; returns the size of its block.
pub(super) fn write_redacted(chunk: &mut Chunk, text: String, at: u64) -> usize {
    let before = chunk.bytes.len();
    frame_event(&mut chunk.bytes, 0, &ledger::notice(ledger::REDACTED, &text, at));
    chunk.latest = chunk.latest.max(at);
    chunk.redacted = Some(text);
    chunk.bytes.len() - before
}

/// Writes the notice of the selection; returns the size of its block.
pub(super) fn write_selected(chunk: &mut Chunk, asked: &Asked, at: u64) -> usize {
    let (text, before) = (asked.to_string(), chunk.bytes.len());
    frame_event(&mut chunk.bytes, 0, &ledger::notice(ledger::SELECTED, &text, at));
    chunk.latest = chunk.latest.max(at);
    chunk.selected = Some(if asked.is_usual() { String::new() } else { text });
    chunk.bytes.len() - before
}
