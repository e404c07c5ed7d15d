//! Folders to which others may write too, and the files in them.
//!
//! Anyone who may write to a folder can swap its entries between any two calls. So no path is used after a check of
//! that path: a [`Folder`] is opened once, and everything else is relative to it. Names are single components, so
//! `openat` with `O_NOFOLLOW` is as safe as `openat2` with `RESOLVE_BENEATH`, and needs no other crate. Files are
//! checked through their descriptors; pipes and devices are not opened at all.
//!
//! On the way to a folder, only symbolic links owned by root or by this process's user are followed: see [`walk`].

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod draft;
mod special;
#[cfg(test)]
mod tests;
mod walk;

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, ErrorKind},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{
        AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, Stat, flock, fstat, fsync, linkat,
        openat, renameat, renameat_with, statat, unlinkat,
    },
    io::Errno,
    process::geteuid,
};

pub use draft::Draft;
pub use special::Special;

/// Only the owner may read a capture: it has data, arguments, and environments.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    handle: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    /// Those of open(2), and [`walk::ForeignLink`] inside an [`io::Error`].
    pub fn open(path: &Path) -> io::Result<Folder> {
        Folder::at(walk::folder(path)?, path)
    }

    /// Reopens a folder that was found at a path, for listing if that is allowed.
    fn at(found: OwnedFd, path: &Path) -> io::Result<Folder> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = match openat(&found, ".", flags, Mode::empty()) {
            // It may be used, but not listed.
            Err(Errno::ACCESS) => found,
            handle => handle?,
        };
        Ok(Folder { handle, path: path.to_owned() })
    }

    /// Returns the path by which it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of an entry.
    pub fn join(&self, name: impl AsRef<OsStr>) -> PathBuf {
        let dir = if self.path == Path::new(".") { Path::new("") } else { &self.path };
        dir.join(name.as_ref())
    }

    /// Returns the status of an entry, without following a link; `None` if there is none.
    pub fn stat(&self, name: impl AsRef<OsStr>) -> io::Result<Option<Stat>> {
        match statat(&self.handle, component(name.as_ref())?, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    /// Opens a regular file; `None` if the entry is something else.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn regular(&self, name: impl AsRef<OsStr>, access: OFlags) -> io::Result<Option<File>> {
        let name = component(name.as_ref())?;
        // Opening a device may have side effects.
        let found = self.stat(name)?.ok_or(ErrorKind::NotFound)?;
        if !is_regular(&found) {
            return Ok(None);
        }
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match openat(&self.handle, name, flags, Mode::empty()) {
            // It was swapped for a link, a pipe or a socket.
            Err(Errno::LOOP | Errno::NXIO) => return Ok(None),
            file => file?,
        };
        Ok(is_regular(&fstat(&file)?).then(|| file.into()))
    }

    /// Opens a regular file that this process's user owns and that has no second name; `None` for anything else.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn own(&self, name: impl AsRef<OsStr>, access: OFlags) -> io::Result<Option<File>> {
        let Some(file) = self.regular(name, access)? else { return Ok(None) };
        let found = fstat(&file)?;
        Ok((is_own(&found) && found.st_nlink == 1).then_some(file))
    }

    /// Creates a new file; only its owner may access it.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], and others of open(2).
    pub fn create(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.handle, component(name.as_ref())?, flags, PRIVATE)?.into())
    }

    /// Checks that a file can be created, by creating one without a name (`O_TMPFILE`).
    ///
    /// # Errors
    /// Those of open(2).
    pub fn can_create(&self) -> io::Result<()> {
        match openat(&self.handle, ".", OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, PRIVATE) {
            // The file system lacks O_TMPFILE: creating the real file will show.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Ok(()),
            made => Ok(made.map(drop)?),
        }
    }

    /// Renames an entry, replacing the target.
    ///
    /// # Errors
    /// Those of rename(2).
    pub fn rename(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> io::Result<()> {
        let (from, to) = (component(from.as_ref())?, component(to.as_ref())?);
        Ok(renameat(&self.handle, from, &self.handle, to)?)
    }

    /// Renames an entry, replacing nothing.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], and others of rename(2).
    pub fn rename_new(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> io::Result<()> {
        let (from, to) = (component(from.as_ref())?, component(to.as_ref())?);
        match renameat_with(&self.handle, from, &self.handle, to, RenameFlags::NOREPLACE) {
            // Some network file systems lack the flag; link(2) replaces nothing either.
            Err(Errno::INVAL | Errno::NOSYS) => self.link(from, to).and_then(|()| self.remove(from)),
            renamed => Ok(renamed?),
        }
    }

    /// Gives a file a second name; replaces nothing.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], and others of link(2).
    pub fn link(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> io::Result<()> {
        let (from, to) = (component(from.as_ref())?, component(to.as_ref())?);
        Ok(linkat(&self.handle, from, &self.handle, to, AtFlags::empty())?)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// Those of unlink(2).
    pub fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(unlinkat(&self.handle, component(name.as_ref())?, AtFlags::empty())?)
    }

    /// Lists the names in it, except `.` and `..`, up to the first error.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub fn names(&self) -> io::Result<impl Iterator<Item = OsString> + use<>> {
        let names = Dir::read_from(&self.handle)?.map_while(Result::ok);
        Ok(names
            .map(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned())
            .filter(|name| name != "." && name != ".."))
    }

    /// Syncs its entries to disk.
    ///
    /// # Errors
    /// Those of fsync(2).
    pub fn sync(&self) -> io::Result<()> {
        match fsync(&self.handle) {
            // It is open with O_PATH only: see `at`.
            Err(Errno::BADF) => Ok(()),
            synced => Ok(synced?),
        }
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// An entry of a folder, or a free name in it.
#[derive(Debug, Clone)]
pub struct Spot {
    /// The folder.
    pub folder: Arc<Folder>,
    /// The name.
    pub name: OsString,
}

impl Spot {
    /// Resolves a path, including a link at its end; `None` if the target has no name (a descriptor in /proc).
    ///
    /// # Errors
    /// Those of [`Folder::open`]; [`ErrorKind::IsADirectory`] if the path names no file.
    pub fn find(path: &Path) -> io::Result<Option<Spot>> {
        walk::spot(path)
    }

    /// Returns its path.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Returns another name in the same folder.
    pub fn beside(&self, name: impl Into<OsString>) -> Spot {
        Spot { folder: self.folder.clone(), name: name.into() }
    }

    /// Returns the name with a suffix.
    pub fn with(&self, suffix: &str) -> Spot {
        let mut name = self.name.clone();
        name.push(suffix);
        self.beside(name)
    }

    /// Returns the status of the entry, without following a link; `None` if there is none.
    pub fn stat(&self) -> io::Result<Option<Stat>> {
        self.folder.stat(&self.name)
    }

    /// Checks whether a file created here is still found by its path: another folder may have that path now.
    pub fn whereabouts(&self, identity: Identity, file: &File) -> Whereabouts {
        let is_here = || {
            let found = Folder::open(self.folder.path()).and_then(|folder| folder.stat(&self.name));
            found.is_ok_and(|found| found.is_some_and(|found| Identity::from(&found) == identity))
        };
        match fstat(file) {
            Ok(found) if found.st_nlink == 0 => Whereabouts::Removed,
            _ if is_here() => Whereabouts::There,
            _ => Whereabouts::Moved,
        }
    }
}

/// The identity of a file, whatever its name: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Returns the identity of an open file.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn of(file: impl AsFd) -> io::Result<Self> {
        Ok(Identity::from(&fstat(file)?))
    }
}

impl From<&Stat> for Identity {
    fn from(found: &Stat) -> Self {
        Identity { device: found.st_dev, inode: found.st_ino }
    }
}

/// Where a file is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// It is where it was created.
    There,
    /// It has a name, but elsewhere.
    Moved,
    /// It has no name any more.
    Removed,
}

/// Returns whether anything exists at a path.
pub fn is_there(path: &Path) -> bool {
    Spot::find(path).is_ok_and(|spot| spot.is_some_and(|spot| spot.stat().is_ok_and(|found| found.is_some())))
}

/// Returns whether it is a regular file.
pub fn is_regular(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::RegularFile
}

/// Returns whether this process's user owns it.
pub fn is_own(found: &Stat) -> bool {
    found.st_uid == geteuid().as_raw()
}

/// Locks a file against other recorders and `scapd repair`. Returns false if another process holds the lock. On a file
/// system without locks it returns true.
pub fn lock(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive) != Err(Errno::WOULDBLOCK)
}

/// Refuses names that lead out of the folder.
fn component(name: &OsStr) -> io::Result<&OsStr> {
    let is_name = !name.is_empty() && name != "." && name != ".." && !name.as_bytes().contains(&b'/');
    if is_name { Ok(name) } else { Err(ErrorKind::InvalidInput.into()) }
}
