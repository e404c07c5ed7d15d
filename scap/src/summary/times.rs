//! How long calls took: their number, sum and distribution.

use hdrhistogram::Histogram;

/// So many durations are kept as they are; a histogram takes more memory than that.
const FEW: usize = 64;
/// Further ones are known to this many digits: within 1 %.
const DIGITS: u8 = 2;

/// Durations, in ns.
#[derive(Debug, Clone, Default)]
pub struct Times {
    count: u64,
    sum: u64,
    max: u64,
    values: Values,
}

#[derive(Debug, Clone)]
enum Values {
    Few(Vec<u64>),
    Many(Box<Histogram<u32>>),
}

impl Default for Values {
    fn default() -> Self {
        Values::Few(Vec::new())
    }
}

impl Values {
    fn add(&mut self, ns: u64) {
        match self {
            Values::Few(few) if few.len() < FEW => few.push(ns),
            Values::Few(few) => {
                let few = std::mem::take(few);
                // Two digits are in its range, and it grows, so neither can fail.
                let Ok(mut many) = Histogram::new(DIGITS) else { return };
                many.auto(true);
                few.into_iter().chain([ns]).for_each(|ns| record(&mut many, ns));
                *self = Values::Many(Box::new(many));
            }
            Values::Many(many) => record(many, ns),
        }
    }
}

fn record(many: &mut Histogram<u32>, ns: u64) {
    if many.record(ns).is_err() {
        // It cannot grow that far.
        many.saturating_record(ns);
    }
}

impl Times {
    /// Adds a duration.
    pub fn add(&mut self, ns: u64) {
        self.count += 1;
        self.sum = self.sum.saturating_add(ns);
        self.max = self.max.max(ns);
        self.values.add(ns);
    }

    /// Adds all durations of others.
    pub fn merge(&mut self, other: &Times) {
        match (&mut self.values, &other.values) {
            (values, Values::Few(few)) => few.iter().for_each(|ns| values.add(*ns)),
            (Values::Few(few), Values::Many(many)) => {
                let few = std::mem::take(few);
                self.values = Values::Many(many.clone());
                few.into_iter().for_each(|ns| self.values.add(ns));
            }
            // It grows.
            (Values::Many(own), Values::Many(many)) => drop(own.add(&**many)),
        }
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    /// Returns how many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns their sum, in ns.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Returns their mean, in ns; `None` if there are none.
    pub fn mean(&self) -> Option<u64> {
        self.sum.checked_div(self.count)
    }

    /// Returns the longest one, in ns; `None` if there are none.
    pub fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    /// Returns the duration, in ns, that this share of them does not exceed: 0.5 for the median. Of many durations it is
    /// within 1 %. `None` if there are none.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let max = self.max()?;
        Some(match &self.values {
            Values::Few(few) => {
                let mut sorted = few.clone();
                sorted.sort_unstable();
                let rank = (share * sorted.len() as f64).ceil() as usize;
                *sorted.get(rank.saturating_sub(1)).or(sorted.last())?
            }
            // It returns the end of a range of durations that it does not tell apart.
            Values::Many(many) => many.value_at_quantile(share).min(max),
        })
    }

    /// The memory that this takes besides its own size, in bytes.
    pub(super) fn memory(&self) -> usize {
        match &self.values {
            Values::Few(few) => few.capacity() * size_of::<u64>(),
            Values::Many(many) => many.distinct_values() * size_of::<u32>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(values: impl IntoIterator<Item = u64>) -> Times {
        let mut times = Times::default();
        values.into_iter().for_each(|ns| times.add(ns));
        times
    }

    #[test]
    fn of_none_nothing_is_known() {
        let none = Times::default();
        assert_eq!((none.count(), none.sum(), none.mean(), none.max()), (0, 0, None, None));
        assert_eq!(none.quantile(0.5), None);
    }

    #[test]
    fn of_few_the_quantiles_are_exact() {
        let few = times([7, 1, 5, 3]);
        assert_eq!((few.count(), few.sum(), few.mean(), few.max()), (4, 16, Some(4), Some(7)));
        assert_eq!([0.5, 0.75, 0.99].map(|share| few.quantile(share)), [Some(3), Some(5), Some(7)]);
        assert_eq!(times([0]).quantile(0.5), Some(0));
    }

    #[test]
    fn of_many_the_quantiles_are_within_a_percent() {
        let many = times((1..=100_000).map(|n| n * 1000));
        for (share, truth) in [(0.5, 50_000_000), (0.99, 99_000_000), (1.0, 100_000_000)] {
            let told = many.quantile(share).unwrap();
            assert!(told.abs_diff(truth) * 100 <= truth, "{share}: {told}");
        }
        assert_eq!((many.sum(), many.max()), (5_000_050_000_000, Some(100_000_000)));
    }

    #[test]
    fn a_duration_may_be_of_any_length() {
        let long = times((0..100).map(|_| u64::MAX));
        assert_eq!((long.sum(), long.max()), (u64::MAX, Some(u64::MAX)));
        assert!(long.quantile(0.5).unwrap() > u64::MAX / 100 * 99);
    }

    #[test]
    fn merged_times_are_those_of_all() {
        let all = times(1..=1000);
        for part in [10, 500, 990] {
            let mut merged = times(1..=part);
            merged.merge(&times(part + 1..=1000));
            let of = |times: &Times| (times.count(), times.sum(), times.max(), times.quantile(0.5));
            assert_eq!(of(&merged), of(&all), "{part}");
        }
    }
}
