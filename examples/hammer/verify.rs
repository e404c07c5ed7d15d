//! Checks each event against what its thread did: every parameter, the order, that enter and exit take turns.

use std::collections::HashMap;

use scap::{
    events::{EventType, Schema},
    format::{EVENT_HEADER_LEN, EventView, Value},
};
use scapd::probe::RawEvent;

use crate::plan::{CALLS, Call, Identity, Kind, Memory, Mix, Plan, Stream};

/// Complaints that are kept in words.
const TOLD: usize = 20;
/// How far to look for the call of an event that carries no number, where events are missing.
const FAR: u64 = 1 << 16;

/// What was captured of a call, by its place in [`CALLS`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Captured {
    pub enter: u64,
    pub exit: u64,
    /// Exits after which the call begins again: another pair follows, of the same call.
    pub restarts: u64,
}

/// What was found. All but the first three are complaints.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Enter events without their path: it lay in a page that was not there.
    pub paths_not_read: u64,
    /// Calls that a signal ended.
    pub interrupted: u64,
    /// Events of tracepoints.
    pub tracepoints: u64,
    /// Events that came too late, and said so.
    pub late: u64,
    /// Events that are no events.
    pub malformed: u64,
    /// Events that are not what their thread did.
    pub mixed_up: u64,
    /// Events with an earlier time than the one before them, unmarked.
    pub disorder: u64,
    /// Enter events without an exit event, and the other way round.
    pub unpaired: u64,
    /// Calls of which there is no event.
    pub absent: u64,
    /// What is wrong, in words.
    pub told: Vec<String>,
}

/// A call that has been entered.
#[derive(Debug, Clone, Copy)]
struct Open {
    plan: Plan,
    /// The event did not carry the call's number: it may have been a later one.
    at_least: bool,
}

/// Where a thread stands.
#[derive(Debug, Default)]
struct Progress {
    open: Option<Open>,
    /// The number that the next call of each stream has, if none is missing.
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

    /// Takes the next event.
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
            self.tell(format!("{} ns before its predecessor: {event:?}", self.last - event.ts()));
        }
        self.last = self.last.max(event.ts());
        let Some(&index) = self.by_tid.get(&event.tid()) else {
            return self.mixed_up("a thread that is none of ours", &event);
        };
        let Some(&(call, enter)) = self.types.get(&event.ty()) else {
            self.findings.tracepoints += 1;
            return;
        };
        let captured = &mut self.captured[call];
        *(if enter { &mut captured.enter } else { &mut captured.exit }) += 1;
        match self.plan_of(index, call, enter, &event) {
            Some((plan, at_least)) => self.check(index, Open { plan, at_least }, enter, &event, raw.late),
            None => self.mixed_up("no call of its thread", &event),
        }
    }

    /// The call that an event must belong to, and whether it is only the first that comes into question.
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
            // Another call's, if this one's exit and that one's enter are lost.
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

    /// The first parameter that is not what the call had.
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

    /// Checks an event, and its place among those of its thread; a late one has none.
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
        // A wait for a timer begins again after a signal.
        let again = plan.kind == Kind::Timer && plan.n + 1 == *next;
        if enter || progress.open.is_none_or(|open| !open.is_of(&plan)) {
            if plan.n < *next && !again {
                return self.mixed_up(&format!("the order of its thread: {plan:?}"), event);
            }
            // Of a call that is only the first in question, more may be absent.
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

    /// Counts calls that are missing at the end.
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
    /// Whether an exit belongs to it.
    fn is_of(&self, exit: &Plan) -> bool {
        let same = self.plan.stream == exit.stream && self.plan.kind.call() == exit.kind.call();
        same && (self.plan.n == exit.n || self.at_least && self.plan.n < exit.n)
    }
}

/// Whether an event has the parameters of its row, and nothing behind them.
fn is_exact(event: &EventView<'_>, bytes: &[u8]) -> bool {
    let Some(row) = event.info() else { return false };
    let recorded = row.recorded(Schema::default());
    let params: usize = event.params().map(|param| param.len() + size_of::<u16>()).sum();
    event.bytes().len() == bytes.len()
        && event.nparams() as usize == recorded
        && EVENT_HEADER_LEN + params == bytes.len()
}
