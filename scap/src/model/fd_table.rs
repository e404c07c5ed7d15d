//! The file descriptor table of a process.
//!
//! A fork copies the table, and an exec closes part of it. A capture may repeat both for a process with a million
//! descriptors. Copies therefore share their common entries, and close-on-exec descriptors have a separate table.

use std::{
    collections::HashMap,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use rpds::RedBlackTreeMapSync;

use super::fds::OpenFd;

type Table = RedBlackTreeMapSync<i64, OpenFd>;

/// The memory of a node of a tree, and of a descriptor in it, in bytes: each is counted by its references.
const NODE: u64 = 64;
const ENTRY: u64 = NODE + (16 + size_of::<(i64, OpenFd)>()) as u64;

/// The open descriptors by number.
#[derive(Debug, Default)]
pub(crate) struct FdTable {
    /// Descriptors that stay open across an exec.
    kept: Half,
    /// Descriptors that an exec closes.
    close_on_exec: Half,
    /// What the tables that share entries with this one take at most together, in bytes; without a meaning while there are
    /// none.
    shared: Arc<AtomicU64>,
}

#[derive(Debug, Clone, Default)]
struct Half {
    table: Table,
    /// The memory of the names, in bytes.
    names: u64,
}

impl Clone for FdTable {
    fn clone(&self) -> FdTable {
        if !self.is_shared() {
            self.shared.store(self.size(), Relaxed);
        }
        FdTable {
            kept: self.kept.clone(),
            close_on_exec: self.close_on_exec.clone(),
            shared: self.shared.clone(),
        }
    }
}

impl FdTable {
    pub fn get(&self, fd: i64) -> Option<&OpenFd> {
        self.kept.table.get(&fd).or_else(|| self.close_on_exec.table.get(&fd))
    }

    /// Returns a descriptor, and whether an exec closes it.
    pub fn get_with_exec(&self, fd: i64) -> Option<(&OpenFd, bool)> {
        let kept = self.kept.table.get(&fd).map(|open| (open, false));
        kept.or_else(|| Some((self.close_on_exec.table.get(&fd)?, true)))
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Changes a descriptor, if it is there.
    pub fn change(&mut self, fd: i64, change: impl FnOnce(&mut OpenFd)) {
        let half = match self.kept.table.contains_key(&fd) {
            true => &mut self.kept,
            false => &mut self.close_on_exec,
        };
        if let Some(open) = half.table.get_mut(&fd) {
            let before = open.memory();
            change(open);
            let after = open.memory();
            half.names = half.names - before + after;
            self.copied(1, after);
        }
    }

    pub fn insert(&mut self, fd: i64, open: OpenFd, close_on_exec: bool) {
        let (to, other) = match close_on_exec {
            true => (&mut self.close_on_exec, &mut self.kept),
            false => (&mut self.kept, &mut self.close_on_exec),
        };
        other.remove(fd);
        let added = open.memory();
        to.insert(fd, open);
        self.copied(2, added);
    }

    pub fn set_close_on_exec(&mut self, fd: i64, close_on_exec: bool) {
        if let Some(open) = self.get(fd).cloned() {
            self.insert(fd, open, close_on_exec);
        }
    }

    /// Marks a range close-on-exec, as `close_range` does with `CLOSE_RANGE_CLOEXEC`.
    pub fn range_set_close_on_exec(&mut self, range: RangeInclusive<i64>) {
        let moved = self.kept.take(range);
        self.copied(2 * moved.len() as u64, 0);
        for (fd, open) in moved {
            self.close_on_exec.insert(fd, open);
        }
    }

    pub fn close(&mut self, range: RangeInclusive<i64>) {
        if range.start() == range.end() {
            if self.kept.remove(*range.start()) || self.close_on_exec.remove(*range.start()) {
                self.copied(1, 0);
            }
            return;
        }
        let closed = self.kept.take(range.clone()).len() + self.close_on_exec.take(range).len();
        self.copied(closed as u64, 0);
    }

    /// Iterates over the descriptors in no order, each with its number and whether an exec closes it.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &OpenFd, bool)> {
        let kept = self.kept.table.iter().map(|(fd, open)| (*fd, open, false));
        kept.chain(self.close_on_exec.table.iter().map(|(fd, open)| (*fd, open, true)))
    }

    pub fn exec(&mut self) {
        self.close_on_exec = Half::default();
    }

    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.shared) > 1
    }

    /// Each change of a table that shares entries copies the nodes from the root to the place of the change.
    fn copied(&self, changes: u64, names: u64) {
        if changes > 0 && self.is_shared() {
            // A red-black tree is at most twice as deep as one in balance.
            let depth = 2 * u64::from(usize::BITS - self.len().leading_zeros()) + 2;
            self.shared.fetch_add(changes * (depth * NODE + ENTRY) + names, Relaxed);
        }
    }

    /// The number of descriptors.
    pub fn len(&self) -> usize {
        self.kept.table.size() + self.close_on_exec.table.size()
    }

    /// The memory that it would take if it shared nothing, in bytes.
    fn size(&self) -> u64 {
        self.len() as u64 * ENTRY + self.kept.names + self.close_on_exec.names
    }
}

/// The memory that tables take at most, in bytes.
pub(crate) fn memory<'a>(tables: impl Iterator<Item = &'a FdTable>) -> u64 {
    let mut sum = 0;
    let mut sharing: HashMap<*const AtomicU64, (u64, u64)> = HashMap::new();
    for table in tables {
        if table.is_shared() {
            let (sizes, _) =
                sharing.entry(Arc::as_ptr(&table.shared)).or_insert_with(|| (0, table.shared.load(Relaxed)));
            *sizes += table.size();
        } else {
            sum += table.size();
        }
    }
    sum + sharing.into_values().map(|(sizes, shared)| sizes.min(shared)).sum::<u64>()
}

impl Half {
    fn insert(&mut self, fd: i64, open: OpenFd) {
        self.names -= self.table.get(&fd).map_or(0, OpenFd::memory);
        self.names += open.memory();
        self.table.insert_mut(fd, open);
    }

    /// Removes a descriptor. Returns whether it was there.
    fn remove(&mut self, fd: i64) -> bool {
        let Some(open) = self.table.get(&fd) else { return false };
        self.names -= open.memory();
        self.table.remove_mut(&fd)
    }

    /// Removes the descriptors in the range and returns them.
    fn take(&mut self, range: RangeInclusive<i64>) -> Vec<(i64, OpenFd)> {
        if range.is_empty() {
            return Vec::new();
        }
        let taken: Vec<_> = self.table.range(range).map(|(fd, open)| (*fd, open.clone())).collect();
        if taken.len() == self.table.size() {
            *self = Half::default();
        } else {
            for (fd, open) in &taken {
                self.names -= open.memory();
                self.table.remove_mut(fd);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::heap;
    use crate::model::fds::FdClass;

    fn open(name: &str) -> OpenFd {
        OpenFd::new(FdClass::File, name.as_bytes())
    }

    fn numbers(table: &FdTable) -> Vec<i64> {
        (0..100).filter(|fd| table.get(*fd).is_some()).collect()
    }

    #[test]
    fn a_descriptor_is_closed_by_an_exec_or_kept() {
        let mut table = FdTable::default();
        for fd in 0..10 {
            table.insert(fd, open("/a"), fd % 2 == 0);
        }
        table.set_close_on_exec(0, false);
        table.set_close_on_exec(1, true);
        table.set_close_on_exec(50, true);
        table.insert(3, open("/b"), true);
        table.range_set_close_on_exec(8..=20);
        let copy = table.clone();
        table.exec();
        assert_eq!(numbers(&table), [0, 5, 7]);
        assert_eq!(numbers(&copy), (0..10).collect::<Vec<_>>());
        assert_eq!(copy.get(3), Some(&open("/b")));
    }

    #[test]
    fn a_range_is_closed() {
        let mut table = FdTable::default();
        for fd in 0..10 {
            table.insert(fd, open("/a"), fd % 2 == 0);
        }
        table.change(2, |open| open.name = (*b"/c").into());
        let (first, last) = (7, 3);
        table.close(first..=last);
        assert_eq!(numbers(&table).len(), 10);
        table.close(3..=i64::MAX);
        assert_eq!((numbers(&table), table.get(2)), (vec![0, 1, 2], Some(&open("/c"))));
        table.close(i64::MIN..=i64::MAX);
        assert_eq!(numbers(&table), [0; 0]);
    }

    #[test]
    fn memory_is_that_of_what_is_there() {
        let mut table = FdTable::default();
        for fd in 0..1000 {
            table.insert(fd, open("/a"), fd % 2 == 0);
            table.insert(fd, open("/a"), fd % 3 == 0);
        }
        let each = ENTRY + heap(16 + 2);
        assert_eq!(memory([&table].into_iter()), 1000 * each);
        table.change(5, |open| open.name = vec![b'n'; 5000].into());
        assert!((1000 * each + 4900..1000 * each + 5000).contains(&memory([&table].into_iter())));
        // Copies take what they change; and never more than if they shared nothing.
        let mut copies = vec![table; 500];
        let shared = memory(copies.iter());
        assert!(shared < 2000 * each + 10_000, "{shared}");
        copies.iter_mut().for_each(|copy| copy.close(7..=7));
        let changed = memory(copies.iter());
        assert!(changed > shared + 500 * 10 * NODE && changed < 10 * shared, "{shared}, {changed}");
        for fd in 0..1000 {
            copies.iter_mut().for_each(|copy| copy.insert(fd, open("/b"), false));
        }
        assert_eq!(memory(copies.iter()), 500 * 1000 * each);
        let mut last = copies.pop().unwrap();
        drop(copies);
        assert_eq!(memory([&last].into_iter()), 1000 * each);
        last.close(0..=998);
        last.exec();
        assert_eq!(memory([&last].into_iter()), each);
        last.close(i64::MIN..=i64::MAX);
        assert_eq!(memory([&last].into_iter()), 0);
    }
}
