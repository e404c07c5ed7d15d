//! How much memory tables take, that a capture's events fill.

use std::collections::BTreeSet;

use crate::hash::{HashMap, HashSet};

/// The memory of a map without what its entries refer to, in bytes.
pub(crate) fn map_memory<K, V>(map: &HashMap<K, V>) -> u64 {
    table(map.capacity(), size_of::<(K, V)>())
}

/// The memory of a set without what its entries refer to, in bytes.
pub(crate) fn set_memory<T>(set: &HashSet<T>) -> u64 {
    table(set.capacity(), size_of::<T>())
}

/// The memory of an ordered set without what its entries refer to, in bytes: nodes are at least half full.
pub(crate) fn ordered_memory<T>(set: &BTreeSet<T>) -> u64 {
    (set.len() as u64).saturating_mul(2 * size_of::<T>() as u64 + 16)
}

/// A table has a byte for each entry besides, and stays an eighth empty.
fn table(capacity: usize, entry: usize) -> u64 {
    (capacity as u64).saturating_mul(entry as u64 + 1) / 7 * 8
}

/// Says when to look how much memory is taken: looking takes time, and events add little each.
#[derive(Debug, Default)]
pub struct Interval {
    left: u64,
}

impl Interval {
    /// Bytes of events between two looks.
    const LEAST: u64 = 16 << 20;
    /// What an event counts besides its own bytes: a thread that it makes.
    const EVENT: u64 = 512;

    /// Counts an event of so many bytes.
    #[inline]
    pub fn event(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(Self::EVENT + bytes as u64);
    }

    /// Has the next look be soon: something large was added.
    pub fn end(&mut self) {
        self.left = 0;
    }

    /// Returns whether to look.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Begins the next one, after a look that found so much memory taken.
    pub fn restart(&mut self, memory: u64) {
        self.left = Self::LEAST.max(memory / 4);
    }
}
