//! The slowest calls of each bin.

use scap::summary::Cell;

/// So many calls of a bin are kept.
pub(super) const MOST: usize = 3;

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// How long it took, in ns.
    pub latency: u64,
    /// When it ended, in ns since the epoch.
    pub ended: u64,
    /// Its line.
    pub line: String,
}

/// The slowest calls, the slowest first.
#[derive(Debug, Default)]
pub(super) struct Few(Vec<Call>);

impl Few {
    /// Returns whether a call that took so long, in ns, is among them.
    pub fn takes(&self, latency: u64) -> bool {
        self.0.get(MOST - 1).is_none_or(|last| last.latency < latency)
    }

    pub fn put(&mut self, call: Call) {
        let place = self.0.partition_point(|known| known.latency >= call.latency);
        self.0.insert(place, call);
        self.0.truncate(MOST);
    }

    pub fn calls(&self) -> &[Call] {
        &self.0
    }
}

impl Cell for Few {
    fn merge(&mut self, other: Few) {
        other.0.into_iter().for_each(|call| self.put(call));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_stay() {
        let call = |latency| Call { latency, ended: latency, line: String::new() };
        let of = |calls: &[u64]| {
            let mut few = Few::default();
            calls.iter().for_each(|latency| few.put(call(*latency)));
            few
        };
        let mut few = of(&[5, 9, 1, 7]);
        few.merge(of(&[8, 2]));
        assert_eq!(few.calls().iter().map(|call| call.latency).collect::<Vec<_>>(), [9, 8, 7]);
        assert!(few.takes(8) && !few.takes(7));
    }
}
