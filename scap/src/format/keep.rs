//! What a reader keeps of the state that a section starts with, and how much memory that may take.
//!
//! A small compressed file can hold a state of any size. So the limit grows with the bytes read of the file.

use super::state::{Fd, FdKind, Group, Interface, Thread, User};

/// What a [`Reader`](super::Reader) keeps of the state that a section starts with. It checks and counts all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// The machine: what it takes does not depend on the capture.
    Machine,
    /// Also the threads, with their numbers and command names, without their other texts.
    Threads,
    /// Also their working directories, the descriptors, and the names of users and groups.
    Names,
    /// Everything.
    #[default]
    All,
}

/// How many entries the state of a section has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateCounts {
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub fds: u64,
}

/// The memory that a state may take by default, whatever the file is, in bytes.
pub(super) const MOST: u64 = 1 << 30;
/// The memory that a state in a compressed file may take by default, in bytes: this much, ...
const ALLOWANCE: u64 = 64 << 20;
/// ... plus this many bytes for each byte read of the file. Captures of real machines, compressed by gzip and xz, take 6 to 20.
const FOR_EACH: u64 = 32;

/// The memory that a state may take by default when a compressed file has given so many bytes.
pub(super) fn default_limit(given: u64) -> u64 {
    given.saturating_mul(FOR_EACH).saturating_add(ALLOWANCE).min(MOST)
}

/// The memory that the allocator takes for so many bytes, as glibc's does.
pub fn heap(bytes: usize) -> u64 {
    const HEADER: usize = 8;
    const LEAST: usize = 32;
    if bytes == 0 { 0 } else { (bytes + HEADER).next_multiple_of(16).max(LEAST) as u64 }
}

/// The memory that an entry of a list takes, its texts included, in bytes.
pub(super) trait Memory: Sized {
    fn texts(&self) -> u64;

    fn memory(&self) -> u64 {
        size_of::<Self>() as u64 + self.texts()
    }
}

fn sum<const N: usize>(texts: [&Vec<u8>; N]) -> u64 {
    texts.iter().map(|text| heap(text.capacity())).sum()
}

impl Memory for Thread {
    fn texts(&self) -> u64 {
        let Thread { comm, exe, exepath, args, cwd, env, cgroups, root, .. } = self;
        sum([comm, exe, exepath, args, cwd, env, cgroups, root])
    }
}

impl Memory for User {
    fn texts(&self) -> u64 {
        sum([&self.name, &self.home, &self.shell])
    }
}

impl Memory for Group {
    fn texts(&self) -> u64 {
        sum([&self.name])
    }
}

impl Memory for Interface {
    fn texts(&self) -> u64 {
        sum([&self.name])
    }
}

impl Memory for Vec<u8> {
    fn texts(&self) -> u64 {
        heap(self.capacity())
    }
}

impl Memory for Fd {
    fn texts(&self) -> u64 {
        match &self.kind {
            FdKind::File { path, .. } | FdKind::Unix { path, .. } => sum([path]),
            FdKind::Named { name, .. } => sum([name]),
            FdKind::Ipv4 { .. }
            | FdKind::Ipv6 { .. }
            | FdKind::Ipv4Listening { .. }
            | FdKind::Ipv6Listening { .. } => 0,
        }
    }
}
