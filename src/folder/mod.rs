//! Folders, and the files in them, where others may write too.
//!
//! Whoever may write to a folder can swap what is in it between any two calls. So nothing is done by path after a check
//! by path: a [`Folder`] is opened once, and all else is relative to it. Names are single components, so `openat` with
//! `O_NOFOLLOW` leaves no more to swap than `openat2` with `RESOLVE_BENEATH` would, and needs no other crate. What is
//! opened is looked at through its descriptor; pipes and devices are not opened at all.
//!
//! On the way to a folder, links are followed that root or this process's user made, and no others: see [`walk`].

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

/// What a file holds is for its owner alone: captures have data, arguments, environments.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A folder that is open.
#[derive(Debug)]
pub struct Folder {
    handle: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    /// Those of open(2), and [`ForeignLink`] within.
    pub fn open(path: &Path) -> io::Result<Folder> {
        Folder::at(walk::folder(path)?, path)
    }

    /// The one that was found at a path.
    fn at(found: OwnedFd, path: &Path) -> io::Result<Folder> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = match openat(&found, ".", flags, Mode::empty()) {
            // One that may be written to, and not be listed.
            Err(Errno::ACCESS) => found,
            handle => handle?,
        };
        Ok(Folder { handle, path: path.to_owned() })
    }

    /// The path that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of what has that name in it.
    pub fn join(&self, name: impl AsRef<OsStr>) -> PathBuf {
        let dir = if self.path == Path::new(".") { Path::new("") } else { &self.path };
        dir.join(name.as_ref())
    }

    /// What has that name, a link as such; `None` if there is nothing.
    pub fn stat(&self, name: impl AsRef<OsStr>) -> io::Result<Option<Stat>> {
        match statat(&self.handle, component(name.as_ref())?, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    /// Opens a regular file; `None` if what has that name is none.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn regular(&self, name: impl AsRef<OsStr>, access: OFlags) -> io::Result<Option<File>> {
        let name = component(name.as_ref())?;
        // A device may react to being opened.
        let found = self.stat(name)?.ok_or(ErrorKind::NotFound)?;
        if !is_regular(&found) {
            return Ok(None);
        }
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match openat(&self.handle, name, flags, Mode::empty()) {
            // It was swapped for a link, or for a pipe or a socket.
            Err(Errno::LOOP | Errno::NXIO) => return Ok(None),
            file => file?,
        };
        Ok(is_regular(&fstat(&file)?).then(|| file.into()))
    }

    /// The same for a file of this process's user that has no other name: `None` for anything else.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn own(&self, name: impl AsRef<OsStr>, access: OFlags) -> io::Result<Option<File>> {
        let Some(file) = self.regular(name, access)? else { return Ok(None) };
        let found = fstat(&file)?;
        Ok((is_own(&found) && found.st_nlink == 1).then_some(file))
    }

    /// Makes a file that nobody else has; only its owner may read it.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], and others of open(2).
    pub fn create(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.handle, component(name.as_ref())?, flags, PRIVATE)?.into())
    }

    /// Tries whether a file can be made, by one that never has a name.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn can_create(&self) -> io::Result<()> {
        match openat(&self.handle, ".", OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, PRIVATE) {
            // The file system has no such files: the real one will tell.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Ok(()),
            made => Ok(made.map(drop)?),
        }
    }

    /// Renames; what has the new name is replaced.
    ///
    /// # Errors
    /// Those of rename(2).
    pub fn rename(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> io::Result<()> {
        let (from, to) = (component(from.as_ref())?, component(to.as_ref())?);
        Ok(renameat(&self.handle, from, &self.handle, to)?)
    }

    /// Renames, and replaces nothing.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], and others of rename(2).
    pub fn rename_new(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> io::Result<()> {
        let (from, to) = (component(from.as_ref())?, component(to.as_ref())?);
        match renameat_with(&self.handle, from, &self.handle, to, RenameFlags::NOREPLACE) {
            // Some file systems of the network do not know the flag; a link is never made over a file either.
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

    /// The names in it, but for `.` and `..`; those up to an error.
    ///
    /// # Errors
    /// If it may not be listed.
    pub fn names(&self) -> io::Result<impl Iterator<Item = OsString> + use<>> {
        let names = Dir::read_from(&self.handle)?.map_while(Result::ok);
        Ok(names
            .map(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned())
            .filter(|name| name != "." && name != ".."))
    }

    /// Sees to it that its entries are on disk.
    ///
    /// # Errors
    /// Those of fsync(2).
    pub fn sync(&self) -> io::Result<()> {
        match fsync(&self.handle) {
            // It could not be opened for reading.
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

/// A name in a folder.
#[derive(Debug, Clone)]
pub struct Spot {
    /// The folder.
    pub folder: Arc<Folder>,
    /// The name.
    pub name: OsString,
}

impl Spot {
    /// Where a path leads, links at its end included; `None` if to something that has no name: a descriptor in /proc.
    ///
    /// # Errors
    /// Of the folder, and [`ForeignLink`] within; [`ErrorKind::IsADirectory`] if it names no file.
    pub fn find(path: &Path) -> io::Result<Option<Spot>> {
        walk::spot(path)
    }

    /// Its path.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Another name in the same folder.
    pub fn beside(&self, name: impl Into<OsString>) -> Spot {
        Spot { folder: self.folder.clone(), name: name.into() }
    }

    /// The same name with something behind it.
    pub fn with(&self, suffix: &str) -> Spot {
        let mut name = self.name.clone();
        name.push(suffix);
        self.beside(name)
    }

    /// What is there, a link as such.
    pub fn stat(&self) -> io::Result<Option<Stat>> {
        self.folder.stat(&self.name)
    }

    /// Looks where the file is now that was made here, by the path: its folder may be another one by now.
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

/// What a file is known by, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// The identity of an open file.
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

/// Where a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// Where it was made.
    There,
    /// Under another name.
    Moved,
    /// It has no name any more.
    Removed,
}

/// Whether there is anything of that path.
pub fn is_there(path: &Path) -> bool {
    Spot::find(path).is_ok_and(|spot| spot.is_some_and(|spot| spot.stat().is_ok_and(|found| found.is_some())))
}

/// Whether it is a regular file.
pub fn is_regular(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::RegularFile
}

/// Whether it belongs to this process's user.
pub fn is_own(found: &Stat) -> bool {
    found.st_uid == geteuid().as_raw()
}

/// Locks a file against other recorders and `scapd repair`: whether it is locked now. A file system that knows no locks
/// has none that are held.
pub fn lock(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive) != Err(Errno::WOULDBLOCK)
}

/// A name must not lead out of the folder.
fn component(name: &OsStr) -> io::Result<&OsStr> {
    let is_name = !name.is_empty() && name != "." && name != ".." && !name.as_bytes().contains(&b'/');
    if is_name { Ok(name) } else { Err(ErrorKind::InvalidInput.into()) }
}
