//! Checks each event against what its thread did: every parameter, the order, the alternation of enter and exit.

use std::collections::HashMap;

use scap::{
    events::{EventType, Schema},
    format::{EVENT_HEADER_LEN, EventView, Value},
};
use scapd::probe::RawEvent;

use crate::plan::{CALLS, Call, Identity, Kind, Memory, Mix, Plan, Stream};

/// Maximum number of complaints kept as text.
const TOLD: usize = 20;
/// How many calls to search for that of an event without a number, where events are missing.
const FAR: u64 = 1 << 16;

/// The captured events of a call, by its index in [`CALLS`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Captured {
    pub enter: u64,
    pub exit: u64,
    /// Exit events after which the call restarts: another pair of the same call follows.
    pub restarts: u64,
}

/// The findings. Only `malformed`, `mixed_up` and `disorder` are always errors.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Enter events without their path, whose page was not present.
    pub paths_not_read: u64,
    /// Calls that a signal ended.
    pub interrupted: u64,
    /// Tracepoint events.
    pub tracepoints: u64,
    /// Events that came late and are marked so.
    pub late: u64,
    /// Events that cannot be parsed.
    pub malformed: u64,
    /// Events that differ from what their thread did.
    pub mixed_up: u64,
    /// Unmarked events with an earlier time than their predecessor.
    pub disorder: u64,
    /// Enter events without an exit event, and vice versa.
    pub unpaired: u64,
    /// Calls without an event.
    pub absent: u64,
    /// The complaints as text.
    pub told: Vec<String>,
}

/// A call in progress.
#[derive(Debug, Clone, Copy)]
struct Open {
    plan: Plan,
    /// The event did not carry the call's number: it may be a later call's.
    at_least: bool,
}

/// The progress of a thread.
#[derive(Debug, Default)]
struct Progress {
    open: Option<Open>,
    /// The number of each stream's next call, if none is missing.
    next: [u64; 2],
}

pub struct Verifier {
    mix: Mix,
    threads: Vec<Identity>,
    by_tid: HashMap<u64, usize>,
    progress: Vec<Progress>,
    types: HashMap<EventType, (usize, bool)>,
    last: u64,
    pub captured: [Captured; CALLS.len()],
    pub findings: Findings,
}

impl Verifier {
    pub fn new(mix: Mix, threads: Vec<Identity>, calls: &[Option<Call>]) -> Verifier {
        let there = calls.iter().enumerate().filter_map(|(i, call)| Some((i, (*call)?)));
        Verifier {
            mix,
            by_tid: threads.iter().enumerate().map(|(i, thread)| (thread.tid.into(), i)).collect(),
            progress: threads.iter().map(|_| Progress::default()).collect(),
            threads,
            types: there.flat_map(|(i, call)| [(call.enter, (i, true)), (call.exit, (i, false))]).collect(),
            last: 0,
            captured: Default::default(),
            findings: Findings::default(),
        }
    }

    /// Checks the next event.
    pub fn take(&mut self, raw: &RawEvent<'_>) {
        let event = match EventView::parse(raw.bytes, false) {
            Ok(event) if is_exact(&event, raw.bytes) => event,
            other => {
                self.findings.malformed += 1;
                return self.tell(format!("malformed: {other:?}"));
            }
        };
        if raw.late {
            self.findings.late += 1;
        } else if event.ts() < self.last {
            self.findings.disorder += 1;
            self.tell(format!(
                "out of order: {} ns before its predecessor: {event:?}",
                self.last - event.ts()
            ));
        }
        self.last = self.last.max(event.ts());
        let Some(&index) = self.by_tid.get(&event.tid()) else {
            return self.mixed_up("a thread of another process", &event);
        };
        let Some(&(call, enter)) = self.types.get(&event.ty()) else {
            self.findings.tracepoints += 1;
            return;
        };
        let captured = &mut self.captured[call];
        *(if enter { &mut captured.enter } else { &mut captured.exit }) += 1;
        match self.plan_of(index, call, enter, &event) {
            Some((plan, at_least)) => self.check(index, Open { plan, at_least }, enter, &event, raw.late),
            None => self.mixed_up("matches no call of its thread", &event),
        }
    }

    /// Returns the call that an event belongs to, and whether it is only the first candidate.
    fn plan_of(
        &mut self,
        index: usize,
        call: usize,
        enter: bool,
        event: &EventView<'_>,
    ) -> Option<(Plan, bool)> {
        let carried = event.values().find_map(|(info, value)| Plan::number_in(info.name, value.ok()?.value));
        let progress = &self.progress[index];
        let thread = self.threads[index];
        match (carried, progress.open) {
            (Some((n, Stream::Handler)), _) => Some((Plan::of_handler(n), false)),
            (Some((n, Stream::Main)), _) => Some((self.mix.plan(&thread, n), false)),
            // May be a later call's, if this one's exit and that one's enter event are lost.
            (None, Some(open))
                if !enter
                    && open.plan.kind.call() == call
                    && self.mismatch(&open.plan, enter, &thread, event).is_none() =>
            {
                Some((open.plan, open.at_least))
            }
            (None, _) => {
                let next = progress.next[Stream::Main as usize];
                let plan = (next..next + FAR).map(|n| self.mix.plan(&thread, n)).find(|plan| {
                    plan.kind.call() == call && self.mismatch(plan, enter, &thread, event).is_none()
                })?;
                Some((plan, true))
            }
        }
        .filter(|(plan, _)| plan.kind.call() == call)
    }

    /// Returns a description of the first parameter that differs from the call's.
    fn mismatch(&self, plan: &Plan, enter: bool, thread: &Identity, event: &EventView<'_>) -> Option<String> {
        event.values().find_map(|(info, value)| {
            let expected = plan.expected(&self.threads, thread, enter, info.name);
            let right = match (&expected, &value) {
                (Some(expected), Ok(value)) => expected.is(value.value),
                _ => false,
            };
            (!right).then(|| format!("{}: {value:?} instead of {expected:?} of {plan:?}", info.name))
        })
    }

    /// Checks an event and, unless it is late, its place in its thread's order.
    fn check(&mut self, index: usize, now: Open, enter: bool, event: &EventView<'_>, late: bool) {
        let thread = self.threads[index];
        let plan = now.plan;
        if let Some(wrong) = self.mismatch(&plan, enter, &thread, event) {
            self.mixed_up(&wrong, event);
        }
        if enter && plan.memory() != Memory::There {
            let no_path = event.value("name").is_some_and(|v| v.is_ok_and(|v| v.value == Value::Absent));
            self.findings.paths_not_read += u64::from(no_path);
        }
        if !late {
            self.follow(index, now, enter, event);
        }
        if !enter {
            self.count_result(&plan, event);
        }
    }

    fn follow(&mut self, index: usize, now: Open, enter: bool, event: &EventView<'_>) {
        let plan = now.plan;
        let progress = &mut self.progress[index];
        let next = &mut progress.next[plan.stream as usize];
        // A wait for a timer restarts after a signal.
        let again = plan.kind == Kind::Timer && plan.n + 1 == *next;
        if enter || progress.open.is_none_or(|open| !open.is_of(&plan)) {
            if plan.n < *next && !again {
                return self.mixed_up(&format!("the order of its thread: {plan:?}"), event);
            }
            // If the call is only the first candidate, more may be absent.
            self.findings.absent += plan.n.saturating_sub(*next);
            self.findings.unpaired += u64::from(progress.open.is_some()) + u64::from(!enter);
        }
        *next = plan.n + 1;
        progress.open = enter.then_some(now);
    }

    fn count_result(&mut self, plan: &Plan, event: &EventView<'_>) {
        let result = event.value("res").and_then(|value| value.ok()).map(|value| value.value);
        match (plan.kind, result) {
            (Kind::Timer, Some(Value::Errno(..0))) => self.captured[plan.kind.call()].restarts += 1,
            (Kind::Wait, Some(Value::Errno(..0))) => self.findings.interrupted += 1,
            _ => {}
        }
    }

    /// Counts the calls missing at the end.
    pub fn end(&mut self, made: impl Iterator<Item = [u64; 2]>) {
        for (progress, made) in self.progress.iter().zip(made) {
            self.findings.unpaired += u64::from(progress.open.is_some());
            for (next, made) in progress.next.iter().zip(made) {
                self.findings.absent += made.saturating_sub(*next);
                if made < *next {
                    self.findings.mixed_up += 1;
                }
            }
        }
    }

    fn mixed_up(&mut self, what: &str, event: &EventView<'_>) {
        self.findings.mixed_up += 1;
        if self.findings.told.len() < TOLD {
            let values: Vec<_> = event.values().map(|(info, value)| (info.name, value)).collect();
            let (ty, tid) = (event.info().map_or("?", |info| info.code), event.tid());
            self.tell(format!("mixed up: {what}; {ty} of thread {tid} at {}: {values:?}", event.ts()));
        }
    }

    fn tell(&mut self, what: String) {
        if self.findings.told.len() < TOLD {
            self.findings.told.push(what);
        }
    }
}

impl Open {
    /// Returns whether an exit event belongs to it.
    fn is_of(&self, exit: &Plan) -> bool {
        let same = self.plan.stream == exit.stream && self.plan.kind.call() == exit.kind.call();
        same && (self.plan.n == exit.n || self.at_least && self.plan.n < exit.n)
    }
}

/// Returns whether an event has exactly the parameters of its row and no trailing bytes.
fn is_exact(event: &EventView<'_>, bytes: &[u8]) -> bool {
    let Some(row) = event.info() else { return false };
    let recorded = row.recorded(Schema::default());
    let params: usize = event.params().map(|param| param.len() + size_of::<u16>()).sum();
    event.bytes().len() == bytes.len()
        && event.nparams() as usize == recorded
        && EVENT_HEADER_LEN + params == bytes.len()
}
