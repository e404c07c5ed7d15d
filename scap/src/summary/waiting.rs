//! What threads spent their time on: running, waiting for a CPU, and in calls, by what these wait for.

use super::{
    groups::Groups,
    keys::{KeyValue, Keys},
    outcome::{Kind, kind},
    top::TooManyGroups,
    wait::Wait,
};
use crate::{
    events::Effect,
    format::Value,
    hash::HashMap,
    ledger::{self, Notice},
    replay::{Moment, Now},
};

/// What a thread spends time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It runs. Without switch events in the capture: all that is not in calls.
    Running,
    /// It waits for a CPU. Only known with switch events in the capture.
    Runnable,
    /// It is in a call that waits for this. With switch events in the capture, time in calls on a CPU is [`Use::Running`].
    In(Wait),
    /// Events were lost: it is not known.
    Unknown,
}

const USES: usize = Wait::ALL.len() + 3;

impl Use {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Use> {
        let first = [Use::Running, Use::Runnable].into_iter();
        first.chain(Wait::ALL.map(Use::In)).chain([Use::Unknown])
    }

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Use::Running => "running",
            Use::Runnable => "runnable",
            Use::In(wait) => wait.name(),
            Use::Unknown => "unknown",
        }
    }

    const fn index(self) -> usize {
        match self {
            Use::Running => 0,
            Use::Runnable => 1,
            Use::In(wait) => 2 + wait as usize,
            Use::Unknown => USES - 1,
        }
    }
}

/// The time of a group of threads, in ns. It is the sum of what they spent it on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// How many threads there are.
    pub threads: u64,
    by: [u64; USES],
}

impl Spent {
    /// Returns the time that was spent on something.
    pub fn on(&self, on: Use) -> u64 {
        self.by[on.index()]
    }

    /// Returns all of the time.
    pub fn time(&self) -> u64 {
        self.by.iter().sum()
    }

    /// Returns the time but that of calls that wait [on purpose](Wait::is_on_purpose).
    pub fn busy(&self) -> u64 {
        let idle = Wait::ALL.into_iter().filter(|wait| wait.is_on_purpose());
        self.time() - idle.map(|wait| self.on(Use::In(wait))).sum::<u64>()
    }

    /// Adds the time of another group.
    pub fn merge(&mut self, other: &Spent) {
        self.threads += other.threads;
        self.by.iter_mut().zip(other.by).for_each(|(own, other)| *own += other);
    }
}

/// What is added up for a group of threads: [`Spent`], or more than that.
pub trait SpentSums: Default {
    /// Adds a thread.
    fn thread(&mut self);
    /// Adds that a thread has spent this time on something, from and to a time in ns since the epoch.
    fn add(&mut self, on: Use, from: u64, to: u64);
}

impl SpentSums for Spent {
    fn thread(&mut self) {
        self.threads += 1;
    }

    fn add(&mut self, on: Use, from: u64, to: u64) {
        self.by[on.index()] += to.saturating_sub(from);
    }
}

/// What is known of a thread.
#[derive(Debug)]
struct Task {
    group: usize,
    /// Up to when its time is accounted for.
    since: u64,
    /// What its call waits for, if it is in one.
    wait: Option<Wait>,
    /// Whether it is on a CPU, if switches are recorded.
    runs: Option<bool>,
    is_known: bool,
}

/// Adds up what threads spend their time on. A thread counts from its start, or that of the capture, to its end; threads
/// without any event do not count.
#[derive(Debug)]
pub struct Waiting<S = Spent> {
    groups: Groups<S>,
    tasks: HashMap<u64, Task>,
    has_switches: bool,
    /// When the capture started; `None` before its first event.
    start: Option<u64>,
}

impl Waiting {
    /// Starts without threads.
    pub fn new(keys: Keys) -> Waiting {
        Waiting::summing(keys)
    }
}

impl<S: SpentSums> Waiting<S> {
    /// Starts without threads, to add up what `S` does.
    pub fn summing(keys: Keys) -> Waiting<S> {
        Waiting { groups: Groups::new(keys), tasks: HashMap::default(), has_switches: false, start: None }
    }

    /// Returns the keys.
    pub fn keys(&self) -> &Keys {
        self.groups.keys()
    }

    /// Takes an event; one that is not wanted tells when a thread ends, switches, or that events are missing.
    ///
    /// # Errors
    /// If the groups take too much memory.
    pub fn event(&mut self, moment: &Moment<'_>, is_wanted: bool) -> Result<(), TooManyGroups> {
        let event = moment.event();
        let (tid, ts) = (event.tid(), event.ts());
        let start = *self.start.get_or_insert(ts);
        let kind = kind(moment);
        match event.info().and_then(|row| row.effect()) {
            Some(Effect::Notice) if matches!(ledger::parse(event), Some(Notice::Gap(_))) => self.gap(ts),
            Some(Effect::Drop) => self.gap(ts),
            Some(Effect::Switch) => self.switched(moment),
            _ if matches!(kind, Kind::Enter | Kind::Exit | Kind::Message | Kind::End) => {
                if is_wanted && !self.tasks.contains_key(&tid) {
                    self.begin(moment, start, kind)?;
                }
                let (runs, wait) = (self.has_switches.then_some(true), || Wait::of(moment));
                let Some(task) = self.tasks.get_mut(&tid) else { return Ok(()) };
                // The exit event knows best what the call was about.
                if kind == Kind::Exit && task.wait.is_some() {
                    task.wait = Some(wait());
                }
                account(&mut self.groups, task, start, ts);
                task.wait = (kind == Kind::Enter).then(wait);
                (task.runs, task.is_known) = (runs, true);
                match event.info().and_then(|row| row.effect()) {
                    _ if kind == Kind::End => drop(self.tasks.remove(&tid)),
                    // From here on it may have other keys.
                    Some(Effect::Exec) if is_wanted && kind == Kind::Exit => {
                        let task = self.tasks.remove(&tid);
                        self.begin(moment, start, Kind::Enter)?;
                        let next = self.tasks.get_mut(&tid);
                        next.zip(task)
                            .into_iter()
                            .for_each(|(next, task)| (next.since, next.runs) = (task.since, task.runs));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes the time of an event before those that count, in ns since the epoch: threads count from the last of these on.
    pub fn skip(&mut self, ts: u64) {
        self.start = Some(ts);
    }

    /// Notes the thread of an event, which is its first one.
    fn begin(&mut self, moment: &Moment<'_>, start: u64, kind: Kind) -> Result<(), TooManyGroups> {
        let Some(group) = self.groups.index(moment) else { return Ok(()) };
        if let Some(spent) = self.groups.item(group) {
            spent.thread();
        }
        let started = moment.thread().map_or(0, |thread| thread.info.started);
        let since = started.clamp(start, moment.event().ts().max(start));
        let wait = matches!(kind, Kind::Exit | Kind::Message).then(|| Wait::of(moment));
        self.tasks.insert(moment.event().tid(), Task { group, since, wait, runs: None, is_known: true });
        let needs = self.groups.memory() + self.tasks.capacity() * size_of::<(u64, Task)>();
        let is_within = moment.limit == 0 || needs as u64 <= moment.limit;
        if is_within { Ok(()) } else { Err(TooManyGroups { limit: moment.limit }) }
    }

    fn switched(&mut self, moment: &Moment<'_>) {
        let (event, start) = (moment.event(), self.start.unwrap_or(0));
        self.has_switches = true;
        let next = match event.value("next").and_then(Result::ok).map(|decoded| decoded.value) {
            Some(Value::Pid(next)) => next as u64,
            _ => return,
        };
        for (tid, runs) in [(event.tid(), false), (next, true)] {
            if let Some(task) = self.tasks.get_mut(&tid) {
                // That it leaves a CPU tells that it ran.
                task.runs = if runs { task.runs } else { Some(true) };
                account(&mut self.groups, task, start, event.ts());
                task.runs = Some(runs);
            }
        }
    }

    fn gap(&mut self, ts: u64) {
        let start = self.start.unwrap_or(0);
        for task in self.tasks.values_mut() {
            account(&mut self.groups, task, start, ts);
            (task.is_known, task.wait, task.runs) = (false, None, None);
        }
    }

    /// Takes the end of a capture. Others may follow.
    pub fn end_capture(&mut self, now: Now<'_>) {
        let Some(start) = self.start.take() else { return };
        self.tasks.retain(|tid, task| {
            account(&mut self.groups, task, start, now.ts);
            now.machine.comm(*tid).is_some()
        });
    }

    /// Returns whether the captures have switch events.
    pub fn has_switches(&self) -> bool {
        self.has_switches
    }

    /// Returns the keys and the time of each group, in no order.
    pub fn groups(&self) -> impl Iterator<Item = (Vec<KeyValue<'_>>, &S)> {
        self.groups.iter()
    }
}

/// Adds the time of a thread up to `ts` to its group.
fn account<S: SpentSums>(groups: &mut Groups<S>, task: &mut Task, start: u64, ts: u64) {
    let on = match (task.is_known, task.runs, task.wait) {
        (false, ..) => Use::Unknown,
        (_, Some(true), _) => Use::Running,
        (_, _, Some(wait)) => Use::In(wait),
        (_, Some(false), None) => Use::Runnable,
        (_, None, None) => Use::Running,
    };
    let from = task.since.max(start);
    if let Some(spent) = groups.item(task.group) {
        spent.add(on, from, ts);
    }
    task.since = ts.max(from);
}
