//! Medians and quartiles of few samples, and ratios of samples of the same round.

use serde::{Deserialize, Serialize};

/// The median of some samples, and their spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quartiles {
    /// A quarter of the samples is smaller.
    pub q1: f64,
    /// Half of the samples are smaller.
    pub median: f64,
    /// A quarter of the samples is larger.
    pub q3: f64,
}

impl Quartiles {
    /// Returns the quartiles of samples in any order, interpolated linearly between neighbours; `None` if there are no
    /// samples, or one is not a number.
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Option<Quartiles> {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        if sorted.iter().any(|sample| sample.is_nan()) {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        Some(Quartiles {
            q1: quantile(&sorted, 0.25)?,
            median: quantile(&sorted, 0.5)?,
            q3: quantile(&sorted, 0.75)?,
        })
    }

    /// Returns the quartiles of the ratios within each round: a disturbance of a whole round cancels out.
    pub fn of_ratios(samples: &[f64], base: &[f64]) -> Option<Quartiles> {
        Quartiles::of(samples.iter().zip(base).map(|(sample, base)| sample / base))
    }

    /// Returns the quartiles of the differences within each round.
    pub fn of_differences(samples: &[f64], base: &[f64]) -> Option<Quartiles> {
        Quartiles::of(samples.iter().zip(base).map(|(sample, base)| sample - base))
    }
}

/// Returns the value below which this part of the sorted samples lies.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let place = part * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_of_an_odd_and_an_even_number() {
        let odd = Quartiles::of([5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(odd, Some(Quartiles { q1: 2.0, median: 3.0, q3: 4.0 }));
        let even = Quartiles::of([4.0, 1.0, 3.0, 2.0]);
        assert_eq!(even, Some(Quartiles { q1: 1.75, median: 2.5, q3: 3.25 }));
    }

    #[test]
    fn one_sample_is_its_own_median() {
        assert_eq!(Quartiles::of([7.0]), Some(Quartiles { q1: 7.0, median: 7.0, q3: 7.0 }));
    }

    #[test]
    fn no_samples_have_none() {
        assert_eq!(Quartiles::of([]), None);
        assert_eq!(Quartiles::of([1.0, f64::NAN]), None);
        assert_eq!(Quartiles::of_ratios(&[1.0], &[]), None);
    }

    #[test]
    fn a_disturbed_round_cancels_out() {
        // In the second round everything took ten times as long.
        let ratios = Quartiles::of_ratios(&[20.0, 200.0, 22.0], &[10.0, 100.0, 11.0]).unwrap();
        assert_eq!(ratios, Quartiles { q1: 2.0, median: 2.0, q3: 2.0 });
        let differences = Quartiles::of_differences(&[15.0, 105.0, 16.0], &[10.0, 100.0, 11.0]).unwrap();
        assert_eq!(differences.median, 5.0);
    }
}
