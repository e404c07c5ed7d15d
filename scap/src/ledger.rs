//! What a capture lost, by cause, and the notices that record it in the capture.
//!
//! A notice is an event of type `notification` (280), which every reader prints. Its `id` names its kind. Its `desc` is
//! a line of `key=value` pairs, for people and programs alike:
//!
//! - [`GAP`], after the last event of a period with losses: `lost=12 from=T to=T cpus=0,1 ring_full=12
//!   most=read_x:8,write_x:4`. Times are ns since the epoch. `most` lists the event types (by program) with the most
//!   losses.
//! - [`VERDICT`], the last event of a capture: `verdict=complete seen=100 written=100 lost=0 late=0 unread=0`, and the
//!   losses by cause. `seen = written + lost + unread`. `unread` counts events after a limit (`-n`) was reached.
//!   [Unseen](Losses::unseen) losses are part of `lost`, but not of this sum. Neither has events left out on purpose:
//!   `failed=5` returns of failed calls, `sampled=900` events outside the sampled part of each second, the first of
//!   `sample_ratio=8` parts (`verdict=sample` then).
//!   `filtered=890` events that the recorder left out, as they did not match its filter, are part of `seen`: then `seen = written +
//!   lost + unread + filtered`. `redacted=12` values of `redacted_events=5` events were overwritten. `evicted=100` events had left
//!   the window of a flight recorder before their time, so that the dump begins later than it should; `passed=700` had left it when
//!   their time was over, while others of the same time were kept longer ([`LONGER`]). Both are not part of `seen`.
//! - [`SELECTED`], before the first event that it applies to: the selected events, `syscalls=read,write
//!   events=enter,exit tracepoints=none`, each list as the command line takes it. Other events are there only to keep
//!   names correct. `extensions=none` says that no event has an extension. Without this notice, all events were selected,
//!   with their extensions.
//! - [`FILTER`], before the first event that it applies to: the text of the recording's filter, empty for none.
//! - [`REDACTED`], before the first event: what is overwritten in the events and in the state before them, `options=3
//!   variables=5 patterns=2`: the number of rules of each kind. What they look for may be a secret by itself.
//! - [`CLOCK`], where the wall clock was stepped during the recording: `stepped by=-3600000000000 at=T`, in ns. Event
//!   times follow a step forward at once. After a step backward they run at half speed until they agree with the clock.
//! - [`SLICE`], at the end of a capture that has a choice of another one's events: `left_out=900 source=read`. It left out
//!   so many events. `source=stopped` says that the source was not read to its end, so that its balance is not known.
//! - [`TRIGGER`], where something made a flight recorder write a dump: `by=filter at=T after=5000000000 reason=proc.name =
//!   nc`.
//!   `after` is the time in ns that the dump goes on for at least; the reason is the rest of the text.
//! - [`LONGER`], before the first event of a dump: `until=T filter=evt.type = connect`. Before T (in ns), the dump has only what
//!   matches the filter, which is the rest of the text, and what changes the state of the machine; from T on it has everything.
//! - [`CUT`], where `scapd repair` ended a capture: `cause=cut_off offset=104552 bytes=17`. It left out `bytes` bytes
//!   from `offset` on, an offset in the uncompressed capture.

mod cut;
mod longer;
mod parse;
mod redacted;
mod trigger;

use std::fmt;

use crate::{
    container,
    events::{EventType, event},
    format::{EventBuilder, Value},
    select::Asked,
};

pub use cut::{Cut, CutCause, SliceNote};
pub use longer::Longer;
pub use parse::parse;
pub use redacted::{Redacted, RuleCounts};
pub use trigger::{Trigger, TriggerKind};

/// The type of a notice: `PPME_NOTIFICATION_E`.
pub const NOTIFICATION: EventType = EventType(280);

/// Returns whether the events of this type are the recorder's own and not the machine's: no balance counts them.
pub const fn is_own(ty: EventType) -> bool {
    ty.0 == NOTIFICATION.0 || container::is_event(ty)
}

/// The id of a notice of a gap.
pub const GAP: &str = "scapd.gap";
/// The id of the notice at a capture's end.
pub const VERDICT: &str = "scapd.verdict";
/// The id of the notice of the selected events.
pub const SELECTED: &str = "scapd.selected";
/// The id of the notice of the recording's filter.
pub const FILTER: &str = "scapd.filter";
/// The id of the notice of what is overwritten.
pub const REDACTED: &str = "scapd.redacted";
/// The id of a notice of a step of the wall clock.
pub const CLOCK: &str = "scapd.clock";
/// The id of the notice at the end of a repaired capture.
pub const CUT: &str = "scapd.cut";

/// The id of a notice of what made a flight recorder write a dump.
pub const TRIGGER: &str = "scapd.trigger";
/// The id of the notice that says from when on a dump has everything.
pub const LONGER: &str = "scapd.longer";

/// The id of the notice of a slice.
pub const SLICE: &str = "scapd.slice";

/// The most event types that a notice names.
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

            /// The text for people.
            pub const fn text(self) -> &'static str {
            match self { $(Cause::$name => $text,)* }
            }
        }
    };
}
causes! {
    /// The CPU's ring was full: the recorder was too slow, or the ring too small.
    RingFull = "ring_full", "ring full";
    /// The ring was full because every buffer of the recorder waited for the disk.
    Backlog = "backlog", "ring full while the disk was behind";
    /// The event exceeded the maximum size.
    TooLarge = "too_large", "event too large";
    /// The scratch area was in use.
    NoScratch = "no_scratch", "scratch area in use";
    /// The tail call to the program of a wanted call failed.
    NoProgram = "no_program", "no program";
    /// The CPU came online later, and had no counters.
    NoCpu = "no_cpu", "on a CPU added later: restart the recording to include it";
    /// The kernel skipped the run because another one was in progress on the CPU.
    Skipped = "skipped", "skipped by the kernel";
    /// The recorder took the event from a ring and could not write it.
    Disk = "disk", "not written because the output failed";
}

/// Counts by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses([u64; Cause::ALL.len()]);

impl Losses {
    /// Returns the count of a cause.
    pub fn of(&self, cause: Cause) -> u64 {
        self.0[cause as usize]
    }

    /// Adds to a cause. Like every sum here, it saturates: a capture may hold any numbers.
    pub fn add(&mut self, cause: Cause, count: u64) {
        let sum = &mut self.0[cause as usize];
        *sum = sum.saturating_add(count);
    }

    /// Returns the sum over all causes.
    pub fn sum(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Returns the losses that were never counted as seen.
    pub fn unseen(&self) -> u64 {
        let unseen = [Cause::Skipped, Cause::NoProgram, Cause::NoCpu];
        unseen.into_iter().fold(0, |sum, cause| sum.saturating_add(self.of(cause)))
    }

    /// Iterates over the causes with a count above 0.
    pub fn iter(&self) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL.into_iter().map(|cause| (cause, self.of(cause))).filter(|(_, count)| *count > 0)
    }

    /// Returns the losses since an earlier count.
    pub fn since(&self, earlier: &Losses) -> Losses {
        let mut since = Losses::default();
        for cause in Cause::ALL {
            since.add(cause, self.of(cause).saturating_sub(earlier.of(cause)));
        }
        since
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|(cause, count)| write!(f, " {}={count}", cause.key()))
    }
}

/// A period in which events were lost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gap {
    /// Start, ns since the epoch: nothing was lost shortly before.
    pub from: u64,
    /// End, ns since the epoch.
    pub to: u64,
    /// The CPUs that lost events.
    pub cpus: Vec<usize>,
    /// Lost events by cause.
    pub losses: Losses,
    /// Lost events by type, the most frequent first; may be cut short.
    pub most: Vec<(EventType, u64)>,
}

/// Events left out on purpose. They are not lost; except those that the recorder leaves out, they are not seen either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeftOut {
    /// Returns of failed calls.
    pub failed: u64,
    /// Events left out by sampling.
    pub sampled: u64,
    /// Events that the recorder left out because of its filter. They count as seen.
    pub filtered: u64,
    /// Events that the kernel left out because they cannot match the filter.
    pub sieved: u64,
    /// Events that left the window of a flight recorder before their time, because it had no room for more.
    pub evicted: u64,
    /// Events that left the window of a flight recorder when their time was over, while others of that time were kept longer.
    pub passed: u64,
}

impl LeftOut {
    /// Adds another count.
    pub fn add(&mut self, other: LeftOut) {
        self.failed = self.failed.saturating_add(other.failed);
        self.sampled = self.sampled.saturating_add(other.sampled);
        self.filtered = self.filtered.saturating_add(other.filtered);
        self.sieved = self.sieved.saturating_add(other.sieved);
        self.evicted = self.evicted.saturating_add(other.evicted);
        self.passed = self.passed.saturating_add(other.passed);
    }

    /// Returns the events since an earlier count.
    pub fn since(&self, earlier: &LeftOut) -> LeftOut {
        LeftOut {
            failed: self.failed.saturating_sub(earlier.failed),
            sampled: self.sampled.saturating_sub(earlier.sampled),
            filtered: self.filtered.saturating_sub(earlier.filtered),
            sieved: self.sieved.saturating_sub(earlier.sieved),
            evicted: self.evicted.saturating_sub(earlier.evicted),
            passed: self.passed.saturating_sub(earlier.passed),
        }
    }
}

/// A capture's balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Events that a program began to record.
    pub seen: u64,
    /// Events in the capture.
    pub written: u64,
    /// Lost events, by cause.
    pub losses: Losses,
    /// Events written after a later one.
    pub late: u64,
    /// Events that were not read because a limit was reached.
    pub unread: u64,
    /// Events left out on purpose.
    pub left_out: LeftOut,
    /// What was overwritten. It is beside the balance: these events are written.
    pub redacted: Redacted,
    /// The sampling ratio at the end: one of so many parts of each second was recorded. 0: sampling was off.
    pub sample_ratio: u32,
}

/// A step of the wall clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClockStep {
    /// Size of the step in ns.
    pub by: i64,
    /// Time of the step by the event clock before it, in ns since the epoch.
    pub at: u64,
}

impl ClockStep {
    /// Returns the `desc` of its notice.
    pub fn text(&self) -> String {
        format!("stepped by={} at={}", self.by, self.at)
    }

    /// Formats the size of the step for people.
    pub fn by_text(&self) -> String {
        let sign = if self.by < 0 { '-' } else { '+' };
        let by = self.by.unsigned_abs();
        format!("{sign}{}.{:06} s", by / 1_000_000_000, by % 1_000_000_000 / 1000)
    }
}

/// A notice read from a capture.
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
    /// The events selected from here on.
    Selected(Asked),
    /// The end of a slice.
    Slice(SliceNote),
    /// The filter of the events from here on; empty for none.
    Filter(String),
    /// What is overwritten.
    Redacted(RuleCounts),
    /// What made a flight recorder write a dump.
    Trigger(Trigger),
    /// From when on a dump has everything.
    Longer(Longer),
}

impl Notice {
    /// Returns its `id`.
    pub const fn id(&self) -> &'static str {
        match self {
            Notice::Gap(_) => GAP,
            Notice::Verdict(_) => VERDICT,
            Notice::Clock(_) => CLOCK,
            Notice::Cut(_) => CUT,
            Notice::Selected(_) => SELECTED,
            Notice::Slice(_) => SLICE,
            Notice::Filter(_) => FILTER,
            Notice::Redacted(_) => REDACTED,
            Notice::Trigger(_) => TRIGGER,
            Notice::Longer(_) => LONGER,
        }
    }

    /// Returns its `desc`.
    pub fn text(&self) -> String {
        match self {
            Notice::Gap(gap) => gap.text(),
            Notice::Verdict(verdict) => verdict.text(),
            Notice::Clock(step) => step.text(),
            Notice::Cut(cut) => cut.text(),
            Notice::Selected(asked) => asked.to_string(),
            Notice::Slice(slice) => slice.text(),
            Notice::Filter(text) => text.clone(),
            Notice::Redacted(rules) => rules.text(),
            Notice::Trigger(trigger) => trigger.text(),
            Notice::Longer(longer) => longer.text(),
        }
    }
}

impl Gap {
    /// Returns the `desc` of its notice.
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
        self.redacted.add(part.redacted);
        self.sample_ratio = self.sample_ratio.max(part.sample_ratio);
    }

    /// Subtracts the balance of an earlier part from that of the whole recording.
    pub fn since(&self, earlier: &Verdict) -> Verdict {
        Verdict {
            seen: self.seen.saturating_sub(earlier.seen),
            written: self.written.saturating_sub(earlier.written),
            losses: self.losses.since(&earlier.losses),
            late: self.late.saturating_sub(earlier.late),
            unread: self.unread.saturating_sub(earlier.unread),
            left_out: self.left_out.since(&earlier.left_out),
            redacted: self.redacted.since(&earlier.redacted),
            sample_ratio: self.sample_ratio,
        }
    }

    /// Returns whether nothing was lost and all events are in order.
    pub fn is_complete(&self) -> bool {
        self.losses.sum() == 0 && self.late == 0
    }

    /// Returns whether sampling left events out.
    pub fn is_sample(&self) -> bool {
        self.left_out.sampled > 0
    }

    /// Returns the verdict in one word.
    fn name(&self) -> &'static str {
        match (self.is_complete(), self.is_sample()) {
            (false, _) => "incomplete",
            (true, true) => "sample",
            (true, false) => "complete",
        }
    }

    /// Returns the number of events that are neither written nor accounted for: 0 unless scapd has a bug.
    pub fn unaccounted(&self) -> i128 {
        let lost = self.losses.sum().saturating_sub(self.losses.unseen());
        let accounted = [self.written, lost, self.unread, self.left_out.filtered];
        i128::from(self.seen) - accounted.into_iter().map(i128::from).sum::<i128>()
    }

    /// Returns the `desc` of its notice.
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
            ("filtered", self.left_out.filtered),
            ("sieved", self.left_out.sieved),
            ("redacted", self.redacted.values),
            ("redacted_events", self.redacted.events),
            ("evicted", self.left_out.evicted),
            ("passed", self.left_out.passed),
            ("sample_ratio", self.sample_ratio.into()),
        ];
        for (key, value) in rules.into_iter().filter(|(_, value)| *value > 0) {
            text.push_str(&format!(" {key}={value}"));
        }
        text
    }
}

/// Builds a notice as an event of the recorder's process, at `ts` ns since the epoch.
pub fn notice(id: &str, text: &str, ts: u64) -> Vec<u8> {
    notice_of(id, text, ts, u64::from(std::process::id()))
}

/// Builds a notice as an event of thread `tid` of the recorded machine; 0 is no thread.
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
