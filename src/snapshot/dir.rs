//! Reads directories through a descriptor. An open directory of /proc stays that of its process even if another process
//! gets the same id.

use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir as Entries, Mode, OFlags, Statx, StatxFlags};
use rustix::io::{Errno, Result};
use rustix::path::Arg;

use super::text::number;

/// How many bytes of a small file of /proc to read.
pub(super) const SMALL: usize = 1 << 16;
/// How many bytes of a large file of /proc (socket tables, mounts) to read: enough for about 1,500,000 sockets.
pub(super) const LARGE: usize = 1 << 28;

/// An open directory.
pub(super) struct Dir(OwnedFd);

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Dir {
    /// Opens a directory by its path.
    pub(super) fn open(path: &Path) -> Result<Self> {
        open_directory(CWD, path).map(Self)
    }

    /// Opens a directory below this one.
    pub(super) fn dir(&self, name: impl Arg) -> Result<Self> {
        open_directory(&self.0, name).map(Self)
    }

    /// Opens a file below this one.
    pub(super) fn file(&self, name: impl Arg) -> Result<OwnedFd> {
        rustix::fs::openat(&self.0, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }

    /// Replaces the contents of `buffer` with the first `limit` bytes of a file.
    pub(super) fn read_into(&self, name: impl Arg, limit: usize, buffer: &mut Vec<u8>) -> Result<()> {
        buffer.clear();
        let file = self.file(name)?;
        while buffer.len() < limit {
            buffer.reserve(4096);
            match rustix::io::read(&file, spare_capacity(buffer)) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        buffer.truncate(limit);
        Ok(())
    }

    /// Returns the first `limit` bytes of a file.
    pub(super) fn read(&self, name: impl Arg, limit: usize) -> Result<Vec<u8>> {
        let mut buffer = Vec::new();
        self.read_into(name, limit, &mut buffer)?;
        Ok(buffer)
    }

    /// Returns the target of a symbolic link.
    pub(super) fn link(&self, name: impl Arg) -> Result<Vec<u8>> {
        rustix::fs::readlinkat(&self.0, name, Vec::with_capacity(256)).map(|link| link.into_bytes())
    }

    /// Returns the attributes of a file, following links. Does not make a network file system synchronize.
    pub(super) fn status(&self, name: impl Arg) -> Result<Statx> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
        rustix::fs::statx(&self.0, name, AtFlags::STATX_DONT_SYNC, wanted)
    }

    /// Returns the entries whose names are numbers, in directory order.
    pub(super) fn numbers(&self) -> Result<Vec<u32>> {
        let mut found = Vec::new();
        for entry in Entries::read_from(&self.0)? {
            if let Some(value) = number(entry?.file_name().to_bytes()) {
                found.push(value);
            }
        }
        Ok(found)
    }
}

fn open_directory(parent: impl AsFd, name: impl Arg) -> Result<OwnedFd> {
    rustix::fs::openat(parent, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
