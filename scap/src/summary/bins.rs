//! Numbers by time, in bounded memory: as time goes on, the bins become wider.

/// The most bins of a series.
pub const MOST_BINS: u64 = 240;
/// The width of the first bins is `1 << FIRST_SHIFT` ns.
const FIRST_SHIFT: u32 = 10;

/// What a bin has.
pub trait Cell: Default {
    /// Adds what another bin has.
    fn merge(&mut self, other: Self);
}

/// Bins of the same width, which is a power of two in ns; they begin at its multiples since the epoch. There are at most
/// [`MOST_BINS`] from the first one to the last one: whenever time goes beyond, each two become one.
#[derive(Debug, Clone)]
pub struct Bins<C> {
    shift: u32,
    /// Those that have something, in order.
    cells: Vec<(u64, C)>,
}

impl<C> Default for Bins<C> {
    fn default() -> Self {
        Bins { shift: FIRST_SHIFT, cells: Vec::new() }
    }
}

/// Returns the binary logarithm of the width of bins, in ns, with which those of these times are few enough.
pub fn shift_of(first: u64, last: u64) -> u32 {
    let is_enough = |shift: &u32| (last >> shift).saturating_sub(first >> shift) < MOST_BINS;
    (FIRST_SHIFT..u64::BITS - 1).find(is_enough).unwrap_or(u64::BITS - 1)
}

impl<C: Cell> Bins<C> {
    /// Returns the bin of a time, in ns since the epoch.
    #[inline]
    pub fn at(&mut self, ts: u64) -> &mut C {
        let is_last = self.cells.last().is_some_and(|(last, _)| *last == ts >> self.shift);
        let position = if is_last { self.cells.len() - 1 } else { self.place(ts) };
        &mut self.cells[position].1
    }

    /// Gives `add` each bin of a span of time, with how much of it is there, in ns.
    pub fn spread(&mut self, from: u64, to: u64, mut add: impl FnMut(&mut C, u64)) {
        self.fit(from, to);
        let mut at = from;
        while at < to {
            let end = ((at >> self.shift) + 1).saturating_mul(1 << self.shift).min(to);
            add(self.at(at), end - at);
            at = end;
        }
    }

    /// Makes bins of this width, unless they are wider.
    pub fn widen(&mut self, shift: u32) {
        if shift <= self.shift {
            return;
        }
        let by = shift - self.shift;
        self.shift = shift;
        let mut wide: Vec<(u64, C)> = Vec::with_capacity(self.cells.len() / 2 + 1);
        for (index, cell) in self.cells.drain(..) {
            match wide.last_mut() {
                Some((last, known)) if *last == index >> by => known.merge(cell),
                _ => wide.push((index >> by, cell)),
            }
        }
        self.cells = wide;
    }

    /// Adds all bins of another series.
    pub fn merge(&mut self, mut other: Self) {
        if let (Some((first, _)), Some((last, _))) = (other.cells.first(), other.cells.last()) {
            let (from, to) = (*first << other.shift, *last << other.shift);
            self.fit(from, to);
        }
        self.widen(other.shift);
        other.widen(self.shift);
        for (index, cell) in other.cells {
            self.at(index << other.shift).merge(cell);
        }
    }

    /// The same, of a series that stays.
    pub fn add(&mut self, other: &Self)
    where
        C: Clone,
    {
        self.merge(other.clone());
    }

    /// Returns the bins that have something: the number of each, which is its start divided by the width, and what it has.
    pub fn cells(&self) -> &[(u64, C)] {
        &self.cells
    }

    /// Returns when the first of these bins begins, in ns since the epoch.
    pub fn start(&self) -> Option<u64> {
        self.cells.first().map(|(index, _)| index << self.shift)
    }

    /// Makes the bins wide enough for those that are there and these times.
    fn fit(&mut self, from: u64, to: u64) {
        let known = |cell: Option<&(u64, C)>| cell.map(|(index, _)| index << self.shift);
        let first = known(self.cells.first()).map_or(from, |first| first.min(from));
        let last = known(self.cells.last()).map_or(to, |last| last.max(to));
        self.widen(shift_of(first, last));
    }

    /// Returns the position of the bin of a time, which may be new.
    fn place(&mut self, ts: u64) -> usize {
        self.fit(ts, ts);
        let index = ts >> self.shift;
        match self.cells.binary_search_by_key(&index, |(index, _)| *index) {
            Ok(position) => position,
            Err(position) => {
                self.cells.insert(position, (index, C::default()));
                position
            }
        }
    }

    /// The memory that this takes besides its own size, without what the bins point to, in bytes.
    pub fn memory(&self) -> usize {
        self.cells.capacity() * size_of::<(u64, C)>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Default, Clone, PartialEq)]
    struct Sum(u64);

    impl Cell for Sum {
        fn merge(&mut self, other: Sum) {
            self.0 += other.0;
        }
    }

    const START: u64 = 1_700_000_000_000_000_000;

    fn total(bins: &Bins<Sum>) -> u64 {
        bins.cells().iter().map(|(_, sum)| sum.0).sum()
    }

    fn check(bins: &Bins<Sum>) {
        let indexes: Vec<_> = bins.cells().iter().map(|(index, _)| *index).collect();
        assert!(indexes.is_sorted_by(|a, b| a < b), "{indexes:?}");
        if let (Some(first), Some(last)) = (indexes.first(), indexes.last()) {
            assert!(last - first < MOST_BINS, "{first} to {last}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_there_are_never_too_many(steps in prop::collection::vec((0..40_000_000_000_u64, 1..100_u64), 0..300)) {
            let (mut bins, mut other) = (Bins::<Sum>::default(), Bins::<Sum>::default());
            for (number, (at, count)) in steps.iter().enumerate() {
                let bins = if number % 3 == 0 { &mut other } else { &mut bins };
                bins.at(START + at).0 += count;
                check(bins);
            }
            bins.merge(other);
            check(&bins);
            prop_assert_eq!(total(&bins), steps.iter().map(|(_, count)| count).sum::<u64>());
            // Each bin has what happened in it.
            let (first, last) = (steps.iter().map(|step| step.0).min(), steps.iter().map(|step| step.0).max());
            let (Some(first), Some(last)) = (first, last) else { return Ok(()) };
            let shift = shift_of(START + first, START + last);
            bins.widen(shift);
            for (index, sum) in bins.cells() {
                let is_there = |at: u64| (START + at) >> shift == *index;
                let truth: u64 = steps.iter().filter(|(at, _)| is_there(*at)).map(|(_, count)| count).sum();
                prop_assert_eq!(sum.0, truth);
            }
        }

        #[test]
        fn a_span_is_divided(from in 0..1_000_000_000_u64, length in 0..100_000_000_000_u64, before in 0..1_000_000_000_u64) {
            let mut bins = Bins::<Sum>::default();
            bins.at(START + before);
            bins.spread(START + from, START + from + length, |sum, ns| sum.0 += ns);
            check(&bins);
            prop_assert_eq!(total(&bins), length);
        }
    }

    #[test]
    fn an_early_time_has_its_bin() {
        let mut bins = Bins::<Sum>::default();
        for ts in [START + 5_000_000_000, START, START + 2_000_000_000] {
            bins.at(ts).0 += 1;
        }
        check(&bins);
        assert_eq!(bins.cells().iter().map(|(_, sum)| sum.0).collect::<Vec<_>>(), [1, 1, 1]);
        assert!(bins.cells()[0].0 << bins.shift <= START);
    }
}
