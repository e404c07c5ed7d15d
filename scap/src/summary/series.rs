//! What comes of the calls of a group, by time.

use super::{
    bins::{Bins, Cell},
    outcome::Outcome,
    top::Sums,
    totals::Totals,
    waiting::{Spent, SpentSums, Use},
};

/// What came of the calls that ended within some time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many calls ended.
    pub calls: u64,
    /// How many of them failed.
    pub errors: u64,
    /// How long they took together, in ns.
    pub time: u64,
    /// How long the longest one took, in ns.
    pub longest: u64,
    /// The bytes that they read.
    pub read: u64,
    /// The bytes that they wrote.
    pub written: u64,
}

/// The same, with how many calls took how long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spread {
    /// What came of them.
    pub tally: Tally,
    /// How many calls took [so long](step_of), without those that are none.
    pub steps: Vec<(u8, u32)>,
}

/// Returns the step of a duration in ns. There are two steps for each power of two.
pub fn step_of(ns: u64) -> u8 {
    let power = ns.max(1).ilog2();
    let half = power.checked_sub(1).map_or(0, |bit| ns >> bit & 1);
    // Below 128, as the power is below 64.
    (power * 2) as u8 + half as u8
}

/// Numbers of calls.
pub trait Numbers: Cell {
    /// Adds a call.
    fn call(&mut self, outcome: &Outcome);
    /// Adds what a call has read and written, without the call.
    fn bytes(&mut self, read: u64, written: u64);
    /// The memory that this takes besides its own size, in bytes.
    fn memory(&self) -> usize {
        0
    }
}

impl Cell for Tally {
    fn merge(&mut self, other: Tally) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.time = self.time.saturating_add(other.time);
        self.longest = self.longest.max(other.longest);
        self.bytes(other.read, other.written);
    }
}

impl Numbers for Tally {
    fn call(&mut self, outcome: &Outcome) {
        self.calls += 1;
        self.errors += u64::from(outcome.error().is_some());
        let ns = outcome.latency.unwrap_or(0);
        self.time = self.time.saturating_add(ns);
        self.longest = self.longest.max(ns);
        self.bytes(outcome.read, outcome.written);
    }

    fn bytes(&mut self, read: u64, written: u64) {
        self.read = self.read.saturating_add(read);
        self.written = self.written.saturating_add(written);
    }
}

impl Spread {
    fn add(&mut self, step: u8, count: u32) {
        match self.steps.iter_mut().find(|(known, _)| *known == step) {
            Some((_, known)) => *known = known.saturating_add(count),
            None => self.steps.push((step, count)),
        }
    }
}

impl Cell for Spread {
    fn merge(&mut self, other: Spread) {
        self.tally.merge(other.tally);
        other.steps.into_iter().for_each(|(step, count)| self.add(step, count));
    }
}

impl Numbers for Spread {
    fn call(&mut self, outcome: &Outcome) {
        self.tally.call(outcome);
        if let Some(ns) = outcome.latency {
            self.add(step_of(ns), 1);
        }
    }

    fn bytes(&mut self, read: u64, written: u64) {
        self.tally.bytes(read, written);
    }

    fn memory(&self) -> usize {
        self.steps.capacity() * size_of::<(u8, u32)>()
    }
}

/// The numbers of a group, at all and by time.
#[derive(Debug, Clone)]
pub struct Series<C> {
    /// All of them.
    pub totals: Totals,
    /// By the time at which calls ended.
    pub bins: Bins<C>,
}

impl<C> Default for Series<C> {
    fn default() -> Self {
        Series { totals: Totals::default(), bins: Bins::default() }
    }
}

impl<C: Numbers> Series<C> {
    /// Returns what these calls have cost, to compare groups: their time in ns, a ns for each byte, and 500 for each call.
    pub fn cost(&self) -> u64 {
        let Totals { calls, read, written, times, .. } = &self.totals;
        [times.sum(), *read, *written, calls.saturating_mul(500)].into_iter().fold(0, u64::saturating_add)
    }
}

impl<C: Numbers> Cell for Series<C> {
    fn merge(&mut self, other: Series<C>) {
        self.totals.merge(&other.totals);
        self.bins.merge(other.bins);
    }
}

impl<C: Numbers> Sums for Series<C> {
    fn call(&mut self, outcome: &Outcome, ts: u64) {
        self.totals.add(outcome);
        self.bins.at(ts).call(outcome);
    }

    fn effects(&mut self, outcome: &Outcome, ts: u64) {
        self.totals.add_effects(outcome);
        self.bins.at(ts).bytes(outcome.read, outcome.written);
    }

    fn totals(&mut self) -> &mut Totals {
        &mut self.totals
    }

    fn moved(&mut self, bytes: u64, ts: u64) {
        self.totals.moved(bytes, ts);
        self.bins.at(ts).bytes(bytes, 0);
    }

    fn memory(&self) -> usize {
        let cells = self.bins.cells().iter().map(|(_, cell)| cell.memory());
        self.totals.memory() + self.bins.memory() + cells.sum::<usize>()
    }
}

impl Cell for Spent {
    fn merge(&mut self, other: Spent) {
        Spent::merge(self, &other);
    }
}

/// The time of a group of threads, at all and by time.
#[derive(Debug, Clone, Default)]
pub struct SpentSeries {
    /// All of it.
    pub total: Spent,
    /// By when it was. Threads are not counted there.
    pub bins: Bins<Spent>,
}

impl SpentSums for SpentSeries {
    fn thread(&mut self) {
        self.total.threads += 1;
    }

    fn add(&mut self, on: Use, from: u64, to: u64) {
        self.total.add(on, from, to);
        self.bins.spread(from, to, |spent, ns| spent.add(on, 0, ns));
    }
}
