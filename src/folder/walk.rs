//! Resolves a path to a folder, one name at a time.
//!
//! In another user's folder, a symbolic link may be a trap that leads to files that only root may write. So a link is
//! followed only if root or this process's user owns it. The target of any other link has to be named itself.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fmt, io,
    os::{
        fd::OwnedFd,
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, fstat, fstatfs, openat, readlinkat},
    io::Errno,
};

use super::{Folder, Spot, is_own};
use crate::escape::shown;

/// How many links are followed: the kernel's own limit.
const LINKS: usize = 40;
/// The file system type of /proc (linux/magic.h).
const PROC_MAGIC: u64 = 0x9fa0;

/// A link that is not followed, as another user owns it.
#[derive(Debug)]
pub struct ForeignLink {
    path: PathBuf,
    owner: u32,
}

impl fmt::Display for ForeignLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ForeignLink { path, owner } = self;
        write!(f, "the link {} belongs to user {owner} and is not followed: name its target", shown(path))
    }
}

impl std::error::Error for ForeignLink {}

/// The state of a path walk.
struct Walk {
    at: OwnedFd,
    /// The path of `at`, for messages and for opening it again.
    path: PathBuf,
    links: usize,
    rest: VecDeque<OsString>,
}

/// What a name stands for.
enum Found {
    Nothing,
    /// A folder.
    Folder(OwnedFd),
    /// A link, with its text.
    Link(OsString),
    /// A magic link of /proc: its text cannot be followed.
    Magic,
    Other,
}

/// Opens a folder with `O_PATH`.
pub fn folder(path: &Path) -> io::Result<OwnedFd> {
    let mut walk = Walk::to(path)?;
    while let Some(name) = walk.rest.pop_front() {
        walk.enter(&name)?;
    }
    Ok(walk.at)
}

/// Finds the folder of a file and its name there; `None` for a magic link.
pub fn spot(path: &Path) -> io::Result<Option<Spot>> {
    if path.as_os_str().is_empty() {
        return Err(Errno::NOENT.into());
    }
    let mut walk = Walk::to(path)?;
    loop {
        let Some(name) = walk.rest.pop_front() else { return Err(Errno::ISDIR.into()) };
        if !walk.rest.is_empty() || name == ".." {
            walk.enter(&name)?;
            continue;
        }
        match walk.look(&name)? {
            Found::Link(to) => walk.follow(&to)?,
            Found::Magic => return Ok(None),
            Found::Nothing if ends_in_slash(path) => return Err(Errno::ISDIR.into()),
            Found::Nothing | Found::Folder(_) | Found::Other => {
                let folder = Arc::new(Folder::at(walk.at, &walk.path)?);
                return Ok(Some(Spot { folder, name }));
            }
        }
    }
}

fn ends_in_slash(path: &Path) -> bool {
    let path = path.as_os_str().as_bytes();
    path.ends_with(b"/") || path.ends_with(b"/.")
}

impl Walk {
    fn to(path: &Path) -> io::Result<Walk> {
        let (at, here) = (open(CWD, OsStr::new("."))?, PathBuf::from("."));
        let mut walk = Walk { at, path: here, links: 0, rest: VecDeque::new() };
        walk.go_to(path)?;
        Ok(walk)
    }

    /// Puts the names of a path in front of the rest, starting at `/` if it is absolute.
    fn go_to(&mut self, path: &Path) -> io::Result<()> {
        if path.is_absolute() {
            self.at = open(CWD, OsStr::new("/"))?;
            self.path = PathBuf::from("/");
        }
        let names = path.components().filter_map(|component| match component {
            Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().to_owned()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        });
        for (nth, name) in names.enumerate() {
            self.rest.insert(nth, name);
        }
        Ok(())
    }

    /// Enters the folder of that name, following a link.
    fn enter(&mut self, name: &OsStr) -> io::Result<()> {
        match self.look(name)? {
            Found::Nothing => return Err(Errno::NOENT.into()),
            Found::Other => return Err(Errno::NOTDIR.into()),
            Found::Link(to) => return self.follow(&to),
            Found::Folder(folder) => self.at = folder,
            // Only the kernel can follow it, to a folder that a process has open.
            Found::Magic => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                self.at = openat(&self.at, name, flags, Mode::empty())?;
            }
        }
        self.path = if self.path == Path::new(".") { PathBuf::from(name) } else { self.path.join(name) };
        Ok(())
    }

    fn follow(&mut self, to: &OsStr) -> io::Result<()> {
        self.links += 1;
        if self.links > LINKS {
            return Err(Errno::LOOP.into());
        }
        self.go_to(Path::new(to))
    }

    fn look(&self, name: &OsStr) -> io::Result<Found> {
        let pinned = match open(&self.at, name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            pinned => pinned?,
        };
        let found = fstat(&pinned)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => Ok(Found::Folder(pinned)),
            FileType::Symlink if fstatfs(&pinned)?.f_type as u64 == PROC_MAGIC => Ok(Found::Magic),
            FileType::Symlink if found.st_uid == 0 || is_own(&found) => {
                Ok(Found::Link(OsString::from_vec(readlinkat(&pinned, "", Vec::new())?.into_bytes())))
            }
            FileType::Symlink => {
                let link = ForeignLink { path: self.path.join(name), owner: found.st_uid };
                Err(io::Error::new(io::ErrorKind::PermissionDenied, link))
            }
            _ => Ok(Found::Other),
        }
    }
}

/// Pins what has that name (`O_PATH`), without opening it.
fn open(at: impl std::os::fd::AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    Ok(openat(at, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}
