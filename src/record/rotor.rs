//! Decides where a file of a series ends.

use jiff::tz::TimeZone;

use crate::output::{FileCut, Rotation, WriterThread};
use scap::ledger::Verdict;

/// Bytes reserved for the notices at a file's end.
const NOTICES: u64 = 4096;
/// How long after its end time a file ends if no newer event ends it (ns). Older events may still come in between.
const LATE: u64 = 100_000_000;

/// Tracks the current file of a series.
pub(super) struct Rotor {
    rotation: Rotation,
    zone: TimeZone,
    compressed: bool,
    /// Events in the file.
    events: u64,
    /// Bytes of their blocks and of those that extend them; for a compressed file, the bytes of the file so far.
    bytes: u64,
    /// Bytes before the first event; `None` until the file has its state.
    state: Option<u64>,
    /// Whether the first file has its state.
    started: bool,
    /// The latest time at which the file ends, ns since the epoch.
    end: Option<u64>,
    /// The part of the balance that is not events and their losses, as of the file's start.
    beside: Verdict,
    /// Whether the next file was requested.
    asked: bool,
}

impl Rotor {
    pub(super) fn new(rotation: Rotation, compressed: bool, now: u64) -> Rotor {
        let zone = TimeZone::system();
        Rotor {
            end: rotation.end(now, &zone),
            rotation,
            zone,
            compressed,
            events: 0,
            bytes: 0,
            state: None,
            started: false,
            beside: Verdict::default(),
            asked: false,
        }
    }

    /// Notes that the first file has the state of the machine, of `state` bytes.
    pub(super) fn started(&mut self, state: u64) {
        self.state = Some(state);
        self.started = true;
        if let Some(limit) = self.rotation.size.filter(|limit| *limit < 2 * state) {
            tracing::warn!(
                "each file starts with the state of the machine, {state} bytes here: files will exceed the limit of \
                 {limit} bytes (-C)"
            );
        }
    }

    /// Counts an event, with the size of its blocks.
    #[inline]
    pub(super) fn count(&mut self, block: usize) {
        self.events += 1;
        if !self.compressed {
            self.bytes += block as u64;
        }
    }

    /// Counts a notice's block.
    pub(super) fn count_notice(&mut self, block: usize) {
        if !self.compressed {
            self.bytes += block as u64;
        }
    }

    /// Updates the size of a compressed file from what was written.
    pub(super) fn look(&mut self, writer: &WriterThread) {
        if self.compressed && self.state.is_some() {
            self.bytes = writer.progress().position().bytes;
        }
    }

    /// Returns the time at which the file must end if it must end before an event of this time and size.
    #[inline]
    pub(super) fn before(&mut self, ts: u64, block: usize, writer: &WriterThread) -> Option<u64> {
        if self.state.is_none() && !self.has_begun(writer) {
            return None;
        }
        match self.end.filter(|end| *end <= ts) {
            None if self.is_full(block) => Some(ts),
            timely => timely,
        }
    }

    /// Returns the time at which the file must end if it must end now, whatever events follow.
    pub(super) fn now(&mut self, now: u64, writer: &WriterThread) -> Option<u64> {
        let timely = self.end.filter(|end| now.saturating_sub(*end) >= LATE && now > *end);
        if timely.is_none() && !self.asked {
            return None;
        }
        self.has_begun(writer).then(|| timely.unwrap_or(now))
    }

    /// Returns whether the file has its state. Until then it takes all events, whatever its limits.
    fn has_begun(&mut self, writer: &WriterThread) -> bool {
        if self.state.is_none() && self.started && !writer.is_switching() {
            self.state = Some(writer.progress().position().state);
        }
        self.state.is_some()
    }

    fn is_full(&self, block: usize) -> bool {
        let state = self.state.unwrap_or(0);
        let bytes = if self.compressed { self.bytes } else { self.bytes + state };
        self.rotation.is_full(bytes, state, self.events, block as u64 + NOTICES)
    }

    /// Starts the next file. `beside` is the part of the balance so far that is not events and their losses.
    pub(super) fn cut(&mut self, at: u64, now: u64, beside: Verdict) -> FileCut {
        let before = std::mem::replace(&mut self.beside, beside);
        (self.events, self.bytes, self.state, self.asked) = (0, 0, None, false);
        self.end = self.rotation.end(at, &self.zone);
        if self.end.is_some_and(|end| end <= now) {
            // The recorder stood still for longer than a period.
            self.end = self.rotation.end(now, &self.zone);
        }
        FileCut { at, beside: beside.since(&before) }
    }

    /// Requests the next file as soon as possible.
    pub(super) fn ask(&mut self) {
        self.asked = true;
    }

    /// Returns whether no rotation is requested or in progress.
    pub(super) fn is_settled(&self, writer: &WriterThread) -> bool {
        !self.asked && !writer.is_switching()
    }
}

#[cfg(test)]
mod tests;
