//! Decides where a file of a series ends.

use jiff::tz::TimeZone;

use crate::output::{Cut, Rotation, WriterThread};
use scap::ledger::Verdict;

/// A file ends with notices: so much is left for them.
const NOTICES: u64 = 4096;
/// A file ends by the clock, though no event says that it is time, so much later: older events may still come (ns).
const LATE: u64 = 100_000_000;

/// The file that events go to.
pub(super) struct Rotor {
    rotation: Rotation,
    zone: TimeZone,
    compressed: bool,
    /// Events in the file.
    events: u64,
    /// Bytes of them; of a compressed file, bytes of the file as far as it is known.
    bytes: u64,
    /// Bytes before the first event; unknown until the file has begun.
    state: Option<u64>,
    /// The first file has its state.
    started: bool,
    /// When it ends at the latest: ns since the epoch.
    end: Option<u64>,
    /// What there was besides events and their losses when it began.
    beside: Verdict,
    /// The next one was asked for.
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

    /// The first file has the state of the machine.
    pub(super) fn started(&mut self, state: u64) {
        self.state = Some(state);
        self.started = true;
        if let Some(limit) = self.rotation.size.filter(|limit| *limit < 2 * state) {
            tracing::warn!(
                "each file begins with the state of the machine, which takes {state} bytes here: files grow larger than \
                 the {limit} of -C"
            );
        }
    }

    /// Counts an event's block.
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

    /// Counts what was written of a compressed file.
    pub(super) fn look(&mut self, writer: &WriterThread) {
        if self.compressed && self.state.is_some() {
            self.bytes = writer.progress().position().bytes;
        }
    }

    /// Where the file is to end, if it is to end before an event of this time and size.
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

    /// Where the file is to end, if it is to end now, whatever comes.
    pub(super) fn now(&mut self, now: u64, writer: &WriterThread) -> Option<u64> {
        let timely = self.end.filter(|end| now.saturating_sub(*end) >= LATE && now > *end);
        if timely.is_none() && !self.asked {
            return None;
        }
        self.has_begun(writer).then(|| timely.unwrap_or(now))
    }

    /// Before its state is there, a file gets what comes: its limits wait.
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

    /// The next file begins. `beside` is what there has been so far besides events and their losses.
    pub(super) fn cut(&mut self, at: u64, now: u64, beside: Verdict) -> Cut {
        let before = std::mem::replace(&mut self.beside, beside);
        (self.events, self.bytes, self.state, self.asked) = (0, 0, None, false);
        self.end = self.rotation.end(at, &self.zone);
        if self.end.is_some_and(|end| end <= now) {
            // Nothing was done for longer than a period.
            self.end = self.rotation.end(now, &self.zone);
        }
        Cut { at, beside: beside.since(&before) }
    }

    /// Has the file end as soon as may be.
    pub(super) fn ask(&mut self) {
        self.asked = true;
    }

    /// Whether a file that was asked for is there.
    pub(super) fn is_settled(&self, writer: &WriterThread) -> bool {
        !self.asked && !writer.is_switching()
    }
}
