//! How often something happens.

use std::collections::VecDeque;

/// Finds out whether as many things have happened within a time.
#[derive(Debug)]
pub struct Rate {
    count: usize,
    /// In ns.
    within: u64,
    /// The times of the last ones, in ns.
    times: VecDeque<u64>,
}

impl Rate {
    /// Looks for `count` things, at least one, within so many ns.
    pub fn new(count: u32, within: u64) -> Rate {
        Rate { count: count.max(1) as usize, within, times: VecDeque::new() }
    }

    /// Takes one that happens at the time `ts`, in ns. Returns whether there are as many within the time; then it starts anew.
    pub fn take(&mut self, ts: u64) -> bool {
        while self.times.front().is_some_and(|first| ts.saturating_sub(*first) > self.within) {
            self.times.pop_front();
        }
        self.times.push_back(ts);
        let is_reached = self.times.len() >= self.count;
        if is_reached {
            self.times.clear();
        }
        is_reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_within_the_time() {
        let mut rate = Rate::new(3, 10);
        let reached: Vec<_> = [0, 5, 11, 16, 17, 18, 40, 45, 50].map(|ts| rate.take(ts)).to_vec();
        // 0 is too old at 11, 5 at 16; 11, 16 and 17 are within 10. Then it starts anew.
        assert_eq!(reached, [false, false, false, false, true, false, false, false, true]);
        assert!(Rate::new(1, 0).take(7));
        let mut slow = Rate::new(2, 10);
        assert_eq!((0..50).map(|i| slow.take(i * 11)).filter(|reached| *reached).count(), 0);
    }
}
