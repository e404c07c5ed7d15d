//! Groups of calls by their keys.

use super::keys::{KeyValue, Keys};
use crate::{events, format::is_named_by_type, hash::HashMap, replay::Moment};

/// What a group takes besides its key and its numbers: an entry of the table, and what the allocator adds.
const OVERHEAD: usize = 64;

/// Something for each group.
#[derive(Debug)]
pub(super) struct Groups<T> {
    keys: Keys,
    /// The group of each key.
    indexes: HashMap<Box<[u8]>, usize>,
    items: Vec<T>,
    /// The group of each row, if its events are all of one group, and that is known.
    by_row: Vec<Option<usize>>,
    key: Vec<u8>,
    memory: usize,
}

impl<T: Default> Groups<T> {
    pub fn new(keys: Keys) -> Groups<T> {
        let rows = if keys.is_of_type() { events::rows().count() } else { 0 };
        Groups {
            keys,
            indexes: HashMap::default(),
            items: Vec::new(),
            by_row: vec![None; rows],
            key: Vec::new(),
            memory: 0,
        }
    }

    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Returns the index of the group of an event; `None` if the event lacks a key.
    #[inline]
    pub fn index(&mut self, moment: &Moment<'_>) -> Option<usize> {
        let row = moment.event().row().filter(|row| *row < self.by_row.len());
        if let Some(known) = row.and_then(|row| self.by_row[row]) {
            return Some(known);
        }
        let index = self.find(moment)?;
        if let Some(row) = row.filter(|_| is_named_by_type(moment.event().ty())) {
            self.by_row[row] = Some(index);
        }
        Some(index)
    }

    fn find(&mut self, moment: &Moment<'_>) -> Option<usize> {
        if !self.keys.write(&mut self.key, moment) {
            return None;
        }
        if let Some(known) = self.indexes.get(&self.key[..]) {
            return Some(*known);
        }
        let key = self.key.as_slice().into();
        Some(self.insert(key, T::default()))
    }

    /// Returns the item of a group.
    #[inline]
    pub fn item(&mut self, index: usize) -> Option<&mut T> {
        self.items.get_mut(index)
    }

    /// Returns the keys and the item of each group, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Vec<KeyValue<'_>>, &T)> {
        self.indexes
            .iter()
            .filter_map(|(key, index)| Some((self.keys.read(key).collect(), self.items.get(*index)?)))
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Adds what other groups by the same keys have, with `add` where both have one. Returns the place of each of them.
    pub fn merge(&mut self, other: Groups<T>, add: impl Fn(&mut T, T)) -> Vec<usize> {
        let mut places = vec![0; other.items.len()];
        let mut items = other.items;
        for (key, index) in other.indexes {
            let item = std::mem::take(&mut items[index]);
            places[index] = match self.indexes.get(&key) {
                Some(known) => {
                    add(&mut self.items[*known], item);
                    *known
                }
                None => self.insert(key, item),
            };
        }
        places
    }

    fn insert(&mut self, key: Box<[u8]>, item: T) -> usize {
        let index = self.items.len();
        self.memory += key.len() + OVERHEAD + size_of::<T>();
        self.indexes.insert(key, index);
        self.items.push(item);
        index
    }

    /// Leaves the `most` groups with the highest rank. Returns the new place of each, and what the others had.
    pub fn prune(&mut self, most: usize, rank: impl Fn(&T) -> u64) -> (Vec<Option<usize>>, Vec<T>) {
        let mut order: Vec<_> = (0..self.items.len()).collect();
        order.sort_by_cached_key(|index| std::cmp::Reverse(rank(&self.items[*index])));
        let mut places = vec![None; self.items.len()];
        order.iter().take(most).enumerate().for_each(|(place, index)| places[*index] = Some(place));
        let mut kept: Vec<_> = order.iter().take(most).map(|_| T::default()).collect();
        let mut pruned = Vec::new();
        for (item, place) in std::mem::take(&mut self.items).into_iter().zip(&places) {
            match place {
                Some(place) => kept[*place] = item,
                None => pruned.push(item),
            }
        }
        self.items = kept;
        self.by_row.fill(None);
        self.memory = 0;
        self.indexes.retain(|key, index| {
            let place = places[*index];
            place.into_iter().for_each(|place| {
                *index = place;
                self.memory += key.len() + OVERHEAD + size_of::<T>();
            });
            place.is_some()
        });
        (places, pruned)
    }

    /// Forgets all groups.
    pub fn clear(&mut self) {
        self.indexes.clear();
        self.items.clear();
        self.by_row.fill(None);
        self.memory = 0;
    }

    /// The memory that the groups take, without what their items point to, in bytes.
    pub fn memory(&self) -> usize {
        self.memory
    }
}
