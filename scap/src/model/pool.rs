//! Items that tasks share.

use std::collections::hash_map::Entry;

use crate::hash::HashMap;

/// A key of a [`Pool`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Id(u64);

/// Shared items with their reference counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool<T> {
    pub items: HashMap<Id, (T, usize)>,
    next: u64,
}

impl<T: Clone + Default> Pool<T> {
    pub fn add(&mut self, item: T) -> Id {
        self.next += 1;
        let id = Id(self.next);
        self.items.insert(id, (item, 1));
        id
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.values().map(|(item, _)| item)
    }

    pub fn get(&self, id: Id) -> Option<&T> {
        self.items.get(&id).map(|(item, _)| item)
    }

    pub fn get_mut(&mut self, id: Id) -> &mut T {
        &mut self.items.entry(id).or_default().0
    }

    /// Returns what a child gets: the same item or a copy.
    pub fn inherit(&mut self, id: Id, shared: bool) -> Id {
        match self.items.get_mut(&id) {
            Some((_, users)) if shared => {
                *users += 1;
                id
            }
            Some((item, _)) => {
                let copy = item.clone();
                self.add(copy)
            }
            None => self.add(T::default()),
        }
    }

    /// Releases a shared item and returns a copy; returns the item itself if nobody else uses it.
    pub fn unshare(&mut self, id: Id) -> Id {
        if self.items.get(&id).is_some_and(|(_, users)| *users <= 1) {
            return id;
        }
        let own = self.inherit(id, false);
        self.release(id);
        own
    }

    pub fn release(&mut self, id: Id) {
        if let Entry::Occupied(mut item) = self.items.entry(id) {
            item.get_mut().1 = item.get().1.saturating_sub(1);
            if item.get().1 == 0 {
                item.remove();
            }
        }
    }
}
