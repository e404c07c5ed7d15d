//! What bounds a report: how much is told of what, and in which bins of time.

use scap::summary::{Bins, Cell};

/// How much is told at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub calls: usize,
    pub names: usize,
    pub files: usize,
    pub peers: usize,
    pub failures: usize,
    pub processes: usize,
    /// Slow calls of each bin.
    pub slow: usize,
    /// The characters of a text, such as a path.
    pub text: usize,
}

impl Limits {
    /// Returns the limits that are tried, one after the other, until the page is small enough.
    pub fn all() -> impl Iterator<Item = Limits> {
        let most = Limits {
            calls: 64,
            names: 48,
            files: 250,
            peers: 120,
            failures: 120,
            processes: 600,
            slow: 3,
            text: 400,
        };
        (0..4_u32).map(move |level| Limits {
            calls: most.calls >> level,
            names: most.names >> level,
            files: most.files >> level,
            peers: most.peers >> level,
            failures: most.failures >> level,
            processes: most.processes >> level,
            slow: if level > 1 { 1 } else { most.slow },
            text: most.text >> level,
        })
    }

    /// Returns a text that is not longer than texts may be.
    pub fn cut(self, text: &str) -> String {
        match text.char_indices().nth(self.text) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.to_owned(),
        }
    }
}

/// Times as the page has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// The binary logarithm of the width of bins, in ns.
    pub shift: u32,
    /// When the first bin begins, in ns since the epoch.
    pub start: u64,
}

impl Clock {
    /// Returns a time in ns since the start; below 0, if it is before.
    pub fn since_start(self, ts: u64) -> i64 {
        i64::try_from(i128::from(ts) - i128::from(self.start)).unwrap_or(i64::MIN)
    }

    /// Gives each bin, with how many are between it and the one before.
    pub fn each<'a, C>(self, bins: &'a Bins<C>, mut each: impl FnMut(u64, &'a C))
    where
        C: Cell,
    {
        let mut next = self.start >> self.shift;
        for (index, cell) in bins.cells() {
            each(index.saturating_sub(next), cell);
            next = index + 1;
        }
    }
}
