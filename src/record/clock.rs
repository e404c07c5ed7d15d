//! Follows the wall clock while a capture runs.
//!
//! Programs stamp an event with the boot-time clock plus a constant, the machine's boot time as known when the
//! recording started. This is the *raw* time. The wall clock moves against the boot-time clock: NTP slews it, and it is
//! stepped. So the recorder measures the difference while it runs ([`Clock::look`]) and corrects each event's time
//! ([`Clock::adjust`]).
//!
//! # The promise
//! - The order of events never changes: `adjust` is monotone, across all changes.
//! - An event's time is within 1 ms of the wall clock while the wall clock is slewed by up to 1000 ppm.
//! - When the wall clock steps forward, so do event times. When it steps backward, event times run at half speed until
//!   they agree with it again, which takes twice as long as the step.
//!
//! # How it is kept
//! A change applies to events from the moment it is measured. Older events may still be in the rings and keep the
//! correction of their time, so a change stays queued until every event before it has been taken.

use std::collections::VecDeque;

use crate::clocks::{Clocks, Machine, Reading};
use scap::ledger::ClockStep;

/// A difference up to the reading's uncertainty plus this (ns) is ignored.
const TOLERANCE: u64 = 10_000;
/// A difference above this (ns), and above 1/[`SLEW`] of the time since the last look, is a step.
const STEP: u64 = 1_000_000;
/// Slewing changes the clock by at most one part in this many: 1000 ppm.
const SLEW: u64 = 1000;
/// Once the rings are empty, no event older than this (ns) can still arrive: the merge waits less.
const SETTLED: u64 = 3_000_000_000;
/// Maximum number of queued changes. When it is reached, the recorder stops following the clock until one is dropped.
const MAX_CHANGES: usize = 1024;

/// A change of the offset that is added to raw times.
#[derive(Debug, Clone, Copy)]
struct Change {
    /// The raw time from which it applies.
    from: u64,
    /// The offset at that time (ns).
    start: i64,
    /// The final offset (ns), no greater than `start`.
    target: i64,
}

impl Change {
    fn offset(&self, raw: u64) -> i64 {
        let slewed = i64::try_from(raw.saturating_sub(self.from) / 2).unwrap_or(i64::MAX);
        self.target.max(self.start.saturating_sub(slewed))
    }

    /// Returns the raw time from which the offset is `target`.
    fn settles(&self) -> u64 {
        self.from.saturating_add(self.start.abs_diff(self.target).saturating_mul(2))
    }
}

/// The clock that event times follow.
#[derive(Debug)]
pub(super) struct Clock<C = Machine> {
    clocks: C,
    /// The boot time that raw times include.
    base: u64,
    /// The raw time of the last look.
    looked: u64,
    /// The change in force, then the later ones. Never empty.
    changes: VecDeque<Change>,
    last: Change,
    /// A fast path for nearly all events: raw times from the first up to, not including, the second take this offset.
    steady: (u64, u64, i64),
}

impl<C: Clocks> Clock<C> {
    /// Makes a clock from the boot time that the programs add.
    pub(super) fn new(clocks: C, base: u64) -> Clock<C> {
        let last = Change { from: 0, start: 0, target: 0 };
        let looked = base.saturating_add(clocks.boot());
        let changes = VecDeque::from([last]);
        Clock { clocks, base, looked, changes, last, steady: (0, u64::MAX, 0) }
    }

    /// Returns the machine's boot time, ns since the epoch, by the current wall clock.
    pub(super) fn boot_time(&self) -> u64 {
        self.base.saturating_add_signed(self.last.target)
    }

    /// Returns the current time on the scale of event times.
    pub(super) fn now(&self) -> u64 {
        self.adjust(self.base.saturating_add(self.clocks.boot()))
    }

    /// Returns the event time for a raw time.
    #[inline]
    pub(super) fn adjust(&self, raw: u64) -> u64 {
        let (from, until, offset) = self.steady;
        if from <= raw && raw < until { raw.saturating_add_signed(offset) } else { self.adjust_slowly(raw) }
    }

    #[cold]
    fn adjust_slowly(&self, raw: u64) -> u64 {
        let next = self.changes.partition_point(|change| change.from <= raw);
        let offset = self.changes.get(next.saturating_sub(1)).map_or(0, |change| change.offset(raw));
        raw.saturating_add_signed(offset)
    }

    /// Measures how far the clocks have moved against each other; returns a step. `taken` is the latest raw time among
    /// the events taken so far, `drained` whether the rings were empty since the last look.
    pub(super) fn look(&mut self, taken: u64, drained: bool) -> Option<ClockStep> {
        let Reading { uncertainty, boot_time, boot } = self.clocks.read();
        let now = self.base.saturating_add(boot);
        let passed = now.saturating_sub(std::mem::replace(&mut self.looked, now));
        let settled = if drained { now.saturating_sub(SETTLED) } else { 0 };
        self.forget(taken.max(settled));
        let target = boot_time.wrapping_sub(self.base).cast_signed();
        let by = target.saturating_sub(self.last.target);
        if by.unsigned_abs() <= uncertainty + TOLERANCE || self.changes.len() >= MAX_CHANGES {
            return None;
        }
        let from = now.max(taken.saturating_add(1)).max(self.last.from);
        let before = self.last.offset(from);
        self.last = Change { from, start: before.max(target), target };
        self.changes.push_back(self.last);
        self.find_steady();
        let is_step = by.unsigned_abs() > STEP.max(passed / SLEW);
        is_step.then(|| ClockStep { by, at: from.saturating_add_signed(before) })
    }

    /// Drops the changes that no later event needs.
    fn forget(&mut self, before: u64) {
        let mut dropped = false;
        while self.changes.get(1).is_some_and(|next| next.from <= before) {
            self.changes.pop_front();
            dropped = true;
        }
        if dropped {
            self.find_steady();
        }
    }

    fn find_steady(&mut self) {
        let next = self.changes.get(1).map_or(u64::MAX, |next| next.from);
        if let Some(first) = self.changes.front() {
            self.steady = (first.settles(), next, first.target);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const MS: u64 = 1_000_000;
    const BOOT_TIME: u64 = 1_700_000_000_000_000_000;

    /// Clocks that a test sets.
    struct Hands {
        boot: Cell<u64>,
        /// The wall clock minus the boot-time clock and `BOOT_TIME` (ns).
        drift: Cell<i64>,
        /// The time that passes between two readings (ns).
        slow: Cell<u64>,
    }

    impl Clocks for Hands {
        fn boot(&self) -> u64 {
            self.boot.set(self.boot.get() + self.slow.get());
            self.boot.get()
        }

        fn wall(&self) -> u64 {
            (BOOT_TIME + self.boot.get()).saturating_add_signed(self.drift.get())
        }
    }

    struct Test {
        clock: Clock<Hands>,
        last: u64,
        raw: u64,
        steps: Vec<ClockStep>,
    }

    impl Test {
        fn new() -> Test {
            let hands = Hands { boot: Cell::new(3600 * 1000 * MS), drift: Cell::new(0), slow: Cell::new(50) };
            let clock = Clock::new(hands, BOOT_TIME);
            Test { clock, last: 0, raw: 0, steps: Vec::new() }
        }

        /// Looks, takes an event `ns` later, and returns how far its time is ahead of the wall clock (ns).
        fn tick(&mut self, ns: u64) -> i64 {
            self.steps.extend(self.clock.look(self.raw, true));
            let hands = &self.clock.clocks;
            hands.boot.set(hands.boot.get() + ns);
            self.raw = BOOT_TIME + hands.boot.get();
            let time = self.clock.adjust(self.raw);
            assert!(time >= self.last, "{time} < {}", self.last);
            self.last = time;
            time.wrapping_sub(self.clock.clocks.wall()).cast_signed()
        }

        fn drift(&self, by: i64) {
            let drift = &self.clock.clocks.drift;
            drift.set(drift.get() + by);
        }
    }

    #[test]
    fn a_slewed_clock_is_followed() {
        for ppm in [500, -500, 1000, -1000] {
            let mut test = Test::new();
            for pause in [MS, 8 * MS, 100 * MS].into_iter().cycle().take(6000) {
                test.drift(pause.cast_signed() / 1_000_000 * ppm);
                let ahead = test.tick(pause);
                assert!(ahead.unsigned_abs() < MS, "{ahead} ns ahead at {ppm} ppm");
            }
            assert!(test.steps.is_empty(), "{:?}", test.steps);
            assert!(test.clock.boot_time().abs_diff(BOOT_TIME) > 10 * MS, "nothing was followed");
            assert!(test.clock.changes.len() < 300, "{} changes are kept", test.clock.changes.len());
        }
    }

    #[test]
    fn a_step_forward_applies_at_once_and_is_told_once() {
        let mut test = Test::new();
        test.tick(MS);
        let before = test.last;
        test.drift(3_600_000_000_000);
        assert!(test.tick(MS).unsigned_abs() < 20_000);
        assert!(test.last - before > 3_600_000_000_000);
        (0..100).for_each(|_| assert!(test.tick(MS).unsigned_abs() < 20_000));
        let [step] = test.steps[..] else { panic!("{:?}", test.steps) };
        assert!((step.by - 3_600_000_000_000).unsigned_abs() < 20_000, "{step:?}");
        assert!(step.at >= before && step.at - before < MS, "{step:?} {before}");
    }

    #[test]
    fn a_step_backward_keeps_the_order_and_converges() {
        let mut test = Test::new();
        test.tick(MS);
        test.drift(-100 * MS.cast_signed());
        let mut ahead = test.tick(MS);
        assert!(ahead > 99 * MS.cast_signed());
        for _ in 0..198 {
            let next = test.tick(MS);
            assert!(ahead - next > 400_000, "{next} after {ahead}");
            ahead = next;
        }
        (0..100).for_each(|_| ahead = test.tick(MS));
        assert!(ahead.unsigned_abs() < 20_000, "{ahead} ns ahead");
        assert_eq!(test.steps.len(), 1, "{:?}", test.steps);
        // Again, then a step forward before it has converged.
        test.drift(-100 * MS.cast_signed());
        (0..10).for_each(|_| ahead = test.tick(MS));
        test.drift(50 * MS.cast_signed());
        (0..200).for_each(|_| ahead = test.tick(MS));
        assert!(ahead.unsigned_abs() < 20_000, "{ahead} ns ahead");
        assert_eq!(test.steps.len(), 3, "{:?}", test.steps);
    }

    #[test]
    fn events_from_before_a_step_keep_their_time() {
        let mut test = Test::new();
        test.tick(MS);
        let (early, late) = (test.raw + 1, test.raw + 2 * MS);
        test.drift(5000 * MS.cast_signed());
        assert!(test.clock.look(test.raw, false).is_some());
        assert_eq!(test.clock.adjust(early), early);
        assert!(test.clock.adjust(late) >= late + 4999 * MS);
        // Once later events have been taken, only the step is left.
        assert!(test.clock.look(late, false).is_none());
        assert_eq!(test.clock.changes.len(), 1);
    }

    #[test]
    fn what_may_be_an_error_of_the_reading_is_none() {
        let mut test = Test::new();
        test.drift(9_000);
        test.tick(MS);
        test.clock.clocks.slow.set(2 * MS);
        test.drift(3 * MS.cast_signed());
        test.tick(MS);
        assert_eq!((test.clock.boot_time(), test.steps.len()), (BOOT_TIME, 0));
        test.clock.clocks.slow.set(50);
        test.tick(MS);
        assert_eq!(test.steps.len(), 1);
    }

    #[test]
    fn changes_that_wait_for_events_are_bounded() {
        let mut test = Test::new();
        test.tick(MS);
        for _ in 0..2 * MAX_CHANGES {
            test.drift(100_000);
            test.clock.clocks.boot.set(test.clock.clocks.boot.get() + 1000 * MS);
            test.clock.look(test.raw, false);
        }
        assert_eq!(test.clock.changes.len(), MAX_CHANGES);
        (0..2).for_each(|_| _ = test.tick(MS));
        assert!(test.tick(MS).unsigned_abs() < 20_000, "followed again");
    }

    #[test]
    fn now_is_the_wall_clock_as_far_as_it_is_known() {
        let mut test = Test::new();
        test.drift(5000 * MS.cast_signed());
        test.tick(MS);
        let now = test.clock.now();
        assert!(now.abs_diff(test.clock.clocks.wall()) < 20_000, "{now}");
    }
}
