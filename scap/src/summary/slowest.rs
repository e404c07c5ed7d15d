//! The slowest calls.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{
    begun::Begun,
    outcome::{Kind, kind},
    wait::Wait,
};
use crate::replay::{Moment, Now};

/// A call among the slowest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slow<T> {
    /// How long it took, in ns; so far, if it has not ended.
    pub latency: u64,
    /// Whether it has ended.
    pub has_ended: bool,
    /// What was noted of it.
    pub what: T,
    /// Earlier ones have lower numbers.
    number: u64,
}

impl<T: Eq> Ord for Slow<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Of two that took the same time, the later one is the first to go.
        (self.latency, Reverse(self.number)).cmp(&(other.latency, Reverse(other.number)))
    }
}

impl<T: Eq> PartialOrd for Slow<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Keeps the slowest calls, with something about each, `T`.
#[derive(Debug)]
pub struct Slowest<T> {
    most: usize,
    with_waits: bool,
    calls: BinaryHeap<Reverse<Slow<T>>>,
    number: u64,
    begun: Begun,
}

impl<T: Eq> Slowest<T> {
    /// Keeps so many; with `with_waits`, also calls that wait [on purpose](Wait::is_on_purpose).
    pub fn new(most: usize, with_waits: bool) -> Slowest<T> {
        Slowest { most, with_waits, calls: BinaryHeap::new(), number: 0, begun: Begun::default() }
    }

    /// Takes an event. `note` is asked about a call that is among the slowest so far.
    pub fn event(&mut self, moment: &Moment<'_>, note: impl FnOnce(&Moment<'_>) -> Option<T>) {
        let kind = kind(moment);
        match kind {
            Kind::Enter => self.begun.enter(moment.event()),
            Kind::Request | Kind::Exit | Kind::Message => {
                if kind != Kind::Request {
                    self.begun.exit(moment.event().tid());
                }
                if let Some(latency) = moment.machine.latency() {
                    self.put(latency, true, moment, note);
                }
            }
            Kind::End => self.begun.exit(moment.event().tid()),
            Kind::Signal | Kind::Other => {}
        }
    }

    fn put(
        &mut self,
        latency: u64,
        has_ended: bool,
        moment: &Moment<'_>,
        note: impl FnOnce(&Moment<'_>) -> Option<T>,
    ) {
        let is_full = self.calls.len() >= self.most;
        let is_slow = !is_full || self.calls.peek().is_some_and(|fastest| fastest.0.latency < latency);
        if self.most == 0 || !is_slow || !self.with_waits && Wait::of(moment).is_on_purpose() {
            return;
        }
        let Some(what) = note(moment) else { return };
        if is_full {
            self.calls.pop();
        }
        self.number += 1;
        self.calls.push(Reverse(Slow { latency, has_ended, what, number: self.number }));
    }

    /// Takes the end of a capture, where calls may not have ended.
    pub fn end_capture(&mut self, now: Now<'_>, mut note: impl FnMut(&Moment<'_>) -> Option<T>) {
        let begun = std::mem::take(&mut self.begun);
        for event in begun.events(now.machine) {
            self.put(now.ts.saturating_sub(event.ts()), false, &now.with(event), &mut note);
        }
    }

    /// Returns the calls, the slowest first.
    pub fn into_sorted(self) -> Vec<Slow<T>> {
        let sorted = self.calls.into_sorted_vec();
        sorted.into_iter().map(|Reverse(slow)| slow).collect()
    }
}
