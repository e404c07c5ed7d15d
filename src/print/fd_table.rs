//! The file descriptor table of a process.
//!
//! A fork copies the table, and an exec closes part of it. A capture may repeat both for a process with a million
//! descriptors. Copies therefore share their common entries, and close-on-exec descriptors have a separate table.

use std::ops::RangeInclusive;

use rpds::RedBlackTreeMapSync;

use super::fds::OpenFd;

type Table = RedBlackTreeMapSync<i64, OpenFd>;

/// The open descriptors by number.
#[derive(Debug, Clone, Default)]
pub(super) struct FdTable {
    /// Descriptors that stay open across an exec.
    kept: Table,
    /// Descriptors that an exec closes.
    close_on_exec: Table,
}

impl FdTable {
    pub fn get(&self, fd: i64) -> Option<&OpenFd> {
        self.kept.get(&fd).or_else(|| self.close_on_exec.get(&fd))
    }

    pub fn get_mut(&mut self, fd: i64) -> Option<&mut OpenFd> {
        let table = if self.kept.contains_key(&fd) { &mut self.kept } else { &mut self.close_on_exec };
        table.get_mut(&fd)
    }

    pub fn insert(&mut self, fd: i64, open: OpenFd, close_on_exec: bool) {
        let (to, other) = match close_on_exec {
            true => (&mut self.close_on_exec, &mut self.kept),
            false => (&mut self.kept, &mut self.close_on_exec),
        };
        other.remove_mut(&fd);
        to.insert_mut(fd, open);
    }

    pub fn set_close_on_exec(&mut self, fd: i64, close_on_exec: bool) {
        if let Some(open) = self.get(fd).cloned() {
            self.insert(fd, open, close_on_exec);
        }
    }

    /// Marks a range close-on-exec, as `close_range` does with `CLOSE_RANGE_CLOEXEC`.
    pub fn range_set_close_on_exec(&mut self, range: RangeInclusive<i64>) {
        for (fd, open) in take(&mut self.kept, range) {
            self.close_on_exec.insert_mut(fd, open);
        }
    }

    pub fn close(&mut self, range: RangeInclusive<i64>) {
        take(&mut self.kept, range.clone());
        take(&mut self.close_on_exec, range);
    }

    pub fn exec(&mut self) {
        self.close_on_exec = Table::default();
    }
}

/// Removes the descriptors in the range from a table and returns them.
fn take(table: &mut Table, range: RangeInclusive<i64>) -> Vec<(i64, OpenFd)> {
    if range.is_empty() {
        return Vec::new();
    }
    let taken: Vec<_> = table.range(range).map(|(fd, open)| (*fd, open.clone())).collect();
    if taken.len() == table.size() {
        *table = Table::default();
    } else {
        for (fd, _) in &taken {
            table.remove_mut(fd);
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::FdClass;

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
        if let Some(open) = table.get_mut(2) {
            open.name = (*b"/c").into();
        }
        let (first, last) = (7, 3);
        table.close(first..=last);
        assert_eq!(numbers(&table).len(), 10);
        table.close(3..=i64::MAX);
        assert_eq!((numbers(&table), table.get(2)), (vec![0, 1, 2], Some(&open("/c"))));
        table.close(i64::MIN..=i64::MAX);
        assert_eq!(numbers(&table), [0; 0]);
    }
}
