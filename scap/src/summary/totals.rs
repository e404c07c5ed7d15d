//! The numbers of a group of calls.

use super::{
    outcome::{ACTS, Act, Outcome},
    times::Times,
};

/// The numbers of a group of calls.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// How many calls have ended; signals, if these are counted.
    pub calls: u64,
    /// How often each error occurred, by its number.
    pub errors: Vec<(i64, u64)>,
    /// How long the calls took that have ended, and whose start the capture has.
    pub times: Times,
    /// The bytes that they read.
    pub read: u64,
    /// The bytes that they wrote.
    pub written: u64,
    /// How many calls have not ended.
    pub pending: u64,
    /// How long these have taken so far, in ns.
    pub pending_time: u64,
    /// How long it took to connect, where that is known; `None` without any connection.
    pub connecting: Option<Box<Times>>,
    /// A line about one of the calls, if one was [given](super::Top::illustrate).
    pub example: Option<Box<str>>,
    acts: [u64; ACTS],
}

impl Totals {
    /// Adds a call.
    #[inline]
    pub fn add(&mut self, outcome: &Outcome) {
        self.calls += 1;
        if let Some(error) = outcome.error() {
            self.add_error(error, 1);
        }
        if let Some(ns) = outcome.latency {
            self.times.add(ns);
        }
        self.add_effects(outcome);
    }

    /// Adds what a call has done, without the call: it has several ends, of which one was counted.
    pub fn add_effects(&mut self, outcome: &Outcome) {
        self.read = self.read.saturating_add(outcome.read);
        self.written = self.written.saturating_add(outcome.written);
        if let Some(act) = outcome.act {
            self.acts[act as usize] += 1;
            self.acts[Act::Create as usize] += u64::from(outcome.has_created);
        }
    }

    /// Adds a call that has not ended, and has taken so long, in ns.
    pub fn add_pending(&mut self, ns: u64) {
        self.pending += 1;
        self.pending_time = self.pending_time.saturating_add(ns);
    }

    /// Adds how long it took to connect, in ns.
    pub fn add_connecting(&mut self, ns: u64) {
        self.connecting.get_or_insert_default().add(ns);
    }

    fn add_error(&mut self, error: i64, count: u64) {
        match self.errors.iter_mut().find(|(known, _)| *known == error) {
            Some((_, known)) => *known += count,
            None => self.errors.push((error, count)),
        }
    }

    /// Adds the numbers of another group.
    pub fn merge(&mut self, other: &Totals) {
        self.calls += other.calls;
        other.errors.iter().for_each(|(error, count)| self.add_error(*error, *count));
        self.times.merge(&other.times);
        if let Some(connecting) = &other.connecting {
            self.connecting.get_or_insert_default().merge(connecting);
        }
        self.read = self.read.saturating_add(other.read);
        self.written = self.written.saturating_add(other.written);
        self.pending += other.pending;
        self.pending_time = self.pending_time.saturating_add(other.pending_time);
        for (own, other) in self.acts.iter_mut().zip(other.acts) {
            *own += other;
        }
    }

    /// Returns how many calls failed.
    pub fn failed(&self) -> u64 {
        self.errors.iter().map(|(_, count)| count).sum()
    }

    /// Returns the most frequent error by its number; of several, the lowest.
    pub fn most_frequent_error(&self) -> Option<i64> {
        let most = self.errors.iter().max_by_key(|(error, count)| (*count, std::cmp::Reverse(*error)));
        most.map(|(error, _)| *error)
    }

    /// Returns how often calls did something.
    pub fn did(&self, act: Act) -> u64 {
        self.acts[act as usize]
    }

    /// The memory that this takes besides its own size, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.times.memory()
            + self.example.as_ref().map_or(0, |line| line.len())
            + self.errors.capacity() * size_of::<(i64, u64)>()
    }
}
