//! What a capture has lost, by cause, and the notices of it inside the capture.
//!
//! A notice is an event of type `notification` (280), which every reader prints. Its `id` says what it is, its `desc` is a
//! line of `key=value` pairs, for people and programs alike:
//!
//! - [`GAP`], behind the last event of a time in which events were lost: `lost=12 from=T to=T cpus=0,1 ring_full=12
//!   most=read_x:8,write_x:4`. Times are ns since the epoch, `most` are the event types (by program) of which most was
//!   lost.
//! - [`VERDICT`], the last event of a capture: `verdict=complete seen=100 written=100 lost=0 late=0 unread=0`, and the
//!   losses by cause. `seen = written + lost + unread`; `unread` are those that came after a limit (`-n`) was reached.
//!   What was to be left out is not among them: `failed=5` returns of calls that failed, `sampled=900` events in the rest
//!   of each second of which sampling records the first of `sample_ratio=8` parts (it is then `verdict=sample`).
//!   Skipped runs ([`Cause::Skipped`]) were never seen as events; they stand beside that sum.
//! - [`SELECTED`], before the first event that it is about: which events were asked for, `syscalls=read,write
//!   events=enter,exit tracepoints=none`, the lists as the command line takes them. Others are there to keep the names
//!   in these right. Without such a notice, all were asked for.
//! - [`CLOCK`], where the wall clock was stepped while it was recorded: `stepped by=-3600000000000 at=T`, in ns. Event times
//!   follow a step forward at once. After a step backward they run at half speed until they agree with the clock again.
//! - [`CUT`], where `scapd repair` found a capture's end: `cause=cut_off offset=104552 bytes=17`. From `offset` on, in
//!   bytes of the uncompressed capture, so many bytes were left out.

mod parse;

use std::fmt;

use indicatif::HumanCount;

use crate::{
    events::{EventType, event},
    scap::{EventBuilder, Value},
    select::Asked,
};

pub use parse::parse;

/// The type of a notice: `PPME_NOTIFICATION_E`.
pub const NOTIFICATION: EventType = EventType(280);
/// The id of a notice of a gap.
pub const GAP: &str = "scapd.gap";
/// The id of the notice at a capture's end.
pub const VERDICT: &str = "scapd.verdict";
/// The id of the notice of what was asked for.
pub const SELECTED: &str = "scapd.selected";
/// The id of a notice of a step of the wall clock.
pub const CLOCK: &str = "scapd.clock";
/// The id of the notice that a repaired capture ends with.
pub const CUT: &str = "scapd.cut";

/// Event types that a notice names.
const MOST: usize = 5;

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident = $key:literal, $text:literal;)*) => {
        /// Why an event is not in the capture.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Cause {
            $($(#[$doc])* $name,)*
        }

        impl Cause {
            /// Every cause.
            pub const ALL: [Cause; [$($key),*].len()] = [$(Cause::$name),*];

            /// The name in notices and in JSON.
            pub const fn key(self) -> &'static str {
                match self { $(Cause::$name => $key,)* }
            }

            /// For people.
            pub const fn text(self) -> &'static str {
                match self { $(Cause::$name => $text,)* }
            }
        }
    };
}
causes! {
    /// The CPU's ring had no room: the recorder was too slow, or the ring too small.
    RingFull = "ring_full", "ring full";
    /// The ring had no room, as every buffer of the recorder waited for the disk.
    Backlog = "backlog", "ring full while the disk was behind";
    /// Larger than an event may be.
    TooLarge = "too_large", "larger than an event may be";
    /// The scratch area was in use.
    NoScratch = "no_scratch", "no scratch area";
    /// A wanted call whose program could not be called.
    NoProgram = "no_program", "no program";
    /// On a CPU that came later, for which there was no room.
    NoCpu = "no_cpu", "on a CPU that came later: restart the recording to have its events";
    /// A run that the kernel skipped, as another one was in progress on the CPU.
    Skipped = "skipped", "skipped by the kernel";
    /// Taken from the rings, and not written, as the output failed.
    Disk = "disk", "not written, as the output failed";
}

/// Counts by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses([u64; Cause::ALL.len()]);

impl Losses {
    /// How many there were of a cause.
    pub fn of(&self, cause: Cause) -> u64 {
        self.0[cause as usize]
    }

    /// Adds to a cause. Like every sum here, it stays at the highest number where a capture's numbers exceed that.
    pub fn add(&mut self, cause: Cause, count: u64) {
        let sum = &mut self.0[cause as usize];
        *sum = sum.saturating_add(count);
    }

    /// Of all causes.
    pub fn sum(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Those that were lost before they were counted as seen.
    pub fn unseen(&self) -> u64 {
        let unseen = [Cause::Skipped, Cause::NoProgram, Cause::NoCpu];
        unseen.into_iter().fold(0, |sum, cause| sum.saturating_add(self.of(cause)))
    }

    /// The causes that there were, each with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL.into_iter().map(|cause| (cause, self.of(cause))).filter(|(_, count)| *count > 0)
    }

    /// What has come since an earlier count.
    pub fn since(&self, earlier: &Losses) -> Losses {
        let mut since = Losses::default();
        for cause in Cause::ALL {
            since.add(cause, self.of(cause).saturating_sub(earlier.of(cause)));
        }
        since
    }

    /// As a JSON object with every cause.
    pub fn to_json(&self) -> serde_json::Value {
        let counts = Cause::ALL.iter().map(|cause| (cause.key().to_owned(), self.of(*cause).into()));
        serde_json::Value::Object(counts.collect())
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|(cause, count)| write!(f, " {}={count}", cause.key()))
    }
}

/// A time in which events were lost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gap {
    /// Its start, ns since the epoch: nothing was lost shortly before.
    pub from: u64,
    /// Its end.
    pub to: u64,
    /// The CPUs.
    pub cpus: Vec<usize>,
    /// Events by cause.
    pub losses: Losses,
    /// Events by type, the most first; not necessarily all.
    pub most: Vec<(EventType, u64)>,
}

/// Events that were to be left out: neither seen nor lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeftOut {
    /// Returns of calls that failed.
    pub failed: u64,
    /// By sampling.
    pub sampled: u64,
}

impl LeftOut {
    /// Adds others.
    pub fn add(&mut self, other: LeftOut) {
        self.failed = self.failed.saturating_add(other.failed);
        self.sampled = self.sampled.saturating_add(other.sampled);
    }

    /// What has come since an earlier count.
    pub fn since(&self, earlier: &LeftOut) -> LeftOut {
        LeftOut {
            failed: self.failed.saturating_sub(earlier.failed),
            sampled: self.sampled.saturating_sub(earlier.sampled),
        }
    }

    /// As a JSON object.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "failed": self.failed, "sampled": self.sampled })
    }
}

/// A capture's balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Events that a program began to record.
    pub seen: u64,
    /// Events in the capture.
    pub written: u64,
    /// Events that are not, by cause.
    pub losses: Losses,
    /// Events that stand behind a younger one.
    pub late: u64,
    /// Events that were not taken, as a limit was reached.
    pub unread: u64,
    /// Events that were to be left out.
    pub left_out: LeftOut,
    /// Sampling recorded one part of so many of each second, at the end; 0: it was off.
    pub sample_ratio: u32,
}

/// Why a repaired capture ends where it does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CutCause {
    /// It was not closed: the recorder ended before it could. What it wrote is whole.
    #[default]
    Unclosed,
    /// It ended inside a block.
    CutOff,
    /// What followed contradicted itself.
    Damaged,
}

impl CutCause {
    const ALL: [CutCause; 3] = [CutCause::Unclosed, CutCause::CutOff, CutCause::Damaged];

    /// The name in notices and in JSON.
    pub const fn key(self) -> &'static str {
        match self {
            CutCause::Unclosed => "unclosed",
            CutCause::CutOff => "cut_off",
            CutCause::Damaged => "damaged",
        }
    }

    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            CutCause::Unclosed => "not closed",
            CutCause::CutOff => "cut off",
            CutCause::Damaged => "damaged",
        }
    }
}

/// Where a repaired capture ends, and what stood behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cut {
    /// Why.
    pub cause: CutCause,
    /// Bytes of the uncompressed capture that were kept.
    pub offset: u64,
    /// Bytes that were left out: of a compressed capture, those that could be decompressed, and what is left of the file
    /// behind them.
    pub bytes: u64,
}

impl Cut {
    /// The `desc` of its notice.
    pub fn text(&self) -> String {
        format!("cause={} offset={} bytes={}", self.cause.key(), self.offset, self.bytes)
    }

    /// As a JSON object.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "cause": self.cause.key(), "offset": self.offset, "bytes": self.bytes })
    }
}

/// A step of the wall clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClockStep {
    /// By how much, in ns.
    pub by: i64,
    /// When, in ns since the epoch, as event times had it before the step.
    pub at: u64,
}

impl ClockStep {
    /// The `desc` of its notice.
    pub fn text(&self) -> String {
        format!("stepped by={} at={}", self.by, self.at)
    }

    /// By how much, for people.
    pub fn by_text(&self) -> String {
        let sign = if self.by < 0 { '-' } else { '+' };
        let by = self.by.unsigned_abs();
        format!("{sign}{}.{:06} s", by / 1_000_000_000, by % 1_000_000_000 / 1000)
    }
}

/// A notice that was read in a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A gap.
    Gap(Gap),
    /// The balance.
    Verdict(Verdict),
    /// A step of the wall clock.
    Clock(ClockStep),
    /// The end of a repaired capture.
    Cut(Cut),
    /// What was asked for, from here on.
    Selected(Asked),
}

impl Notice {
    /// Its `id`.
    pub const fn id(&self) -> &'static str {
        match self {
            Notice::Gap(_) => GAP,
            Notice::Verdict(_) => VERDICT,
            Notice::Clock(_) => CLOCK,
            Notice::Cut(_) => CUT,
            Notice::Selected(_) => SELECTED,
        }
    }

    /// Its `desc`.
    pub fn text(&self) -> String {
        match self {
            Notice::Gap(gap) => gap.text(),
            Notice::Verdict(verdict) => verdict.text(),
            Notice::Clock(step) => step.text(),
            Notice::Cut(cut) => cut.text(),
            Notice::Selected(asked) => asked.to_string(),
        }
    }
}

impl Gap {
    /// The `desc` of its notice.
    pub fn text(&self) -> String {
        let cpus: Vec<_> = self.cpus.iter().map(ToString::to_string).collect();
        let most: Vec<_> =
            self.most.iter().take(MOST).map(|(ty, n)| format!("{}:{n}", program(*ty))).collect();
        let mut text = format!(
            "lost={} from={} to={} cpus={}{}",
            self.losses.sum(),
            self.from,
            self.to,
            cpus.join(","),
            self.losses
        );
        if !most.is_empty() {
            text.push_str(&format!(" most={}", most.join(",")));
        }
        text
    }
}

impl Verdict {
    /// Adds the balance of another part of a recording.
    pub fn add(&mut self, part: &Verdict) {
        for (sum, more) in [
            (&mut self.seen, part.seen),
            (&mut self.written, part.written),
            (&mut self.late, part.late),
            (&mut self.unread, part.unread),
        ] {
            *sum = sum.saturating_add(more);
        }
        part.losses.iter().for_each(|(cause, count)| self.losses.add(cause, count));
        self.left_out.add(part.left_out);
        self.sample_ratio = self.sample_ratio.max(part.sample_ratio);
    }

    /// What remains of the balance of a whole recording behind that of its earlier part.
    pub fn since(&self, earlier: &Verdict) -> Verdict {
        Verdict {
            seen: self.seen.saturating_sub(earlier.seen),
            written: self.written.saturating_sub(earlier.written),
            losses: self.losses.since(&earlier.losses),
            late: self.late.saturating_sub(earlier.late),
            unread: self.unread.saturating_sub(earlier.unread),
            left_out: self.left_out.since(&earlier.left_out),
            sample_ratio: self.sample_ratio,
        }
    }

    /// Whether every event that was seen is in the capture, in order.
    pub fn is_complete(&self) -> bool {
        self.losses.sum() == 0 && self.late == 0
    }

    /// Whether sampling has left events out: what there is is complete, and a part of what was to be recorded.
    pub fn is_sample(&self) -> bool {
        self.left_out.sampled > 0
    }

    /// What was left out on purpose, for people: a line for each rule that left something out.
    pub fn left_out_lines(&self) -> impl Iterator<Item = String> {
        let part = match self.sample_ratio {
            0 => "until sampling was ended".to_owned(),
            1 => "without the calls that sampling never records".to_owned(),
            ratio => format!("1/{ratio} of each second"),
        };
        let LeftOut { failed, sampled } = self.left_out;
        let sample = format!("a sample, {part}: {} events left out on purpose", HumanCount(sampled));
        let successes = format!("{} returns of failed calls left out on purpose", HumanCount(failed));
        [(sampled, sample), (failed, successes)].into_iter().filter(|(n, _)| *n > 0).map(|(_, line)| line)
    }

    /// In a word.
    fn name(&self) -> &'static str {
        match (self.is_complete(), self.is_sample()) {
            (false, _) => "incomplete",
            (true, true) => "sample",
            (true, false) => "complete",
        }
    }

    /// Events that are neither written nor accounted for: 0, unless something is wrong with scapd.
    pub fn unaccounted(&self) -> i128 {
        let lost = self.losses.sum().saturating_sub(self.losses.unseen());
        i128::from(self.seen) - i128::from(self.written) - i128::from(lost) - i128::from(self.unread)
    }

    /// The `desc` of its notice.
    pub fn text(&self) -> String {
        let mut text = format!(
            "verdict={} seen={} written={} lost={} late={} unread={}{}",
            self.name(),
            self.seen,
            self.written,
            self.losses.sum(),
            self.late,
            self.unread,
            self.losses
        );
        let rules = [
            ("failed", self.left_out.failed),
            ("sampled", self.left_out.sampled),
            ("sample_ratio", self.sample_ratio.into()),
        ];
        for (key, value) in rules.into_iter().filter(|(_, value)| *value > 0) {
            text.push_str(&format!(" {key}={value}"));
        }
        text
    }
}

/// A notice as an event, at `ts` ns since the epoch, of the recorder's process.
pub fn notice(id: &str, text: &str, ts: u64) -> Vec<u8> {
    notice_of(id, text, ts, u64::from(std::process::id()))
}

/// A notice of a thread of the machine that was recorded; 0 is none.
pub fn notice_of(id: &str, text: &str, ts: u64, tid: u64) -> Vec<u8> {
    let Some(row) = event(NOTIFICATION) else { return Vec::new() };
    EventBuilder::new(row, ts, tid)
        .param(Value::Text(id.as_bytes()))
        .and_then(|builder| builder.param(Value::Text(text.as_bytes())))
        .and_then(EventBuilder::build)
        .unwrap_or_default()
}

fn program(ty: EventType) -> &'static str {
    event(ty).and_then(|event| event.program).unwrap_or("unknown")
}

#[cfg(test)]
mod tests;
