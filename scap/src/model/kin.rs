//! Which process has which children and threads.

use std::collections::BTreeSet;

use super::memory::ordered_memory;

/// The children and threads of processes, by their ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kin {
    /// A parent and its child, where more than names is kept.
    children: BTreeSet<(u64, u64)>,
    /// A process and a thread of it, other than its main thread.
    threads: BTreeSet<(u64, u64)>,
}

impl Kin {
    /// The memory that this takes, in bytes.
    pub fn memory(&self) -> u64 {
        ordered_memory(&self.children) + ordered_memory(&self.threads)
    }

    pub fn add_child(&mut self, parent: u64, pid: u64) {
        self.children.insert((parent, pid));
    }

    pub fn remove_child(&mut self, parent: u64, pid: u64) {
        self.children.remove(&(parent, pid));
    }

    /// Returns the children of a process.
    pub fn children(&self, pid: u64) -> Vec<u64> {
        of(&self.children, pid)
    }

    pub fn add_thread(&mut self, pid: u64, tid: u64) {
        if pid != tid {
            self.threads.insert((pid, tid));
        }
    }

    pub fn remove_thread(&mut self, pid: u64, tid: u64) {
        self.threads.remove(&(pid, tid));
    }

    /// Returns the threads of a process, without its main thread.
    pub fn threads(&self, pid: u64) -> Vec<u64> {
        of(&self.threads, pid)
    }
}

/// Returns the second ids of the pairs that have this first one.
fn of(pairs: &BTreeSet<(u64, u64)>, first: u64) -> Vec<u64> {
    pairs.range((first, 0)..=(first, u64::MAX)).map(|(_, second)| *second).collect()
}
