//! Two summaries side by side: what changed from one to the other.

use std::cmp::Reverse;

use super::{
    columns::Column,
    keys::KeyValue,
    top::{Group, Top},
    totals::Totals,
};
use crate::hash::HashMap;

/// A group in two summaries.
#[derive(Debug)]
pub struct Pair<'a> {
    /// Its keys.
    pub keys: Vec<KeyValue<'a>>,
    /// Its numbers in the first summary, `None` if it is not there.
    pub before: Option<&'a Totals>,
    /// The same in the second one.
    pub after: Option<&'a Totals>,
}

impl<'a> Pair<'a> {
    /// Returns the groups of two summaries by the same keys, each once, in no order. Keys are the same if their texts are.
    pub fn all(before: &'a Top, after: &'a Top) -> Vec<Pair<'a>> {
        let mut indexes = HashMap::default();
        let mut pairs = Vec::new();
        for Group { keys, totals } in before.groups() {
            indexes.insert(KeyValue::text(&keys), pairs.len());
            pairs.push(Pair { keys, before: Some(totals), after: None });
        }
        for Group { keys, totals } in after.groups() {
            match indexes.get(&KeyValue::text(&keys)).and_then(|index| pairs.get_mut(*index)) {
                Some(pair) => pair.after = Some(totals),
                None => pairs.push(Pair { keys, before: None, after: Some(totals) }),
            }
        }
        pairs
    }

    /// Returns by how much a column changed. Where a group is not, or has no number, that counts as 0.
    pub fn change(&self, column: Column) -> i128 {
        let value =
            |totals: Option<&Totals>| i128::from(totals.and_then(|totals| column.value(totals)).unwrap_or(0));
        value(self.after) - value(self.before)
    }

    /// Sorts pairs by the change in a column, the largest first, and by their keys where it is the same.
    pub fn sort(pairs: &mut [Pair<'_>], by: Column) {
        pairs
            .sort_by_cached_key(|pair| (Reverse(pair.change(by).unsigned_abs()), KeyValue::text(&pair.keys)));
    }
}
