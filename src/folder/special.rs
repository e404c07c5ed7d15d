//! Targets that are no regular files.

use std::{fs::File, io, path::PathBuf, thread, time::Duration};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat},
    io::Errno,
};

use super::{Spot, is_own};
use crate::escape::shown;

/// Interval between checks for a reader of a pipe.
const LOOK: Duration = Duration::from_millis(20);

/// A pipe, a device, or the target of a descriptor in /proc.
#[derive(Debug)]
pub enum Special {
    /// A named file.
    At(Spot),
    /// A descriptor's path in /proc.
    Descriptor(PathBuf),
}

impl Special {
    /// Resolves a path to a special file, or to the spot of a regular file that may not exist yet.
    ///
    /// # Errors
    /// Those of [`Spot::find`]; EISDIR for a directory; an error for another user's pipe.
    pub fn find(path: PathBuf) -> io::Result<Result<Spot, Special>> {
        let Some(spot) = Spot::find(&path)? else { return Ok(Err(Special::Descriptor(path))) };
        let Some(found) = spot.stat()? else { return Ok(Ok(spot)) };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => Ok(Ok(spot)),
            FileType::Directory => Err(Errno::ISDIR.into()),
            _ => {
                check_pipe(&found, &spot)?;
                Ok(Err(Special::At(spot)))
            }
        }
    }

    /// Opens it for writing, with `O_NONBLOCK`. Waits for a reader of a pipe; `None` if there is none by the time
    /// `give_up` returns true.
    ///
    /// # Errors
    /// Those of open(2); an error for another user's pipe.
    pub fn open(&self, give_up: &dyn Fn() -> bool) -> io::Result<Option<File>> {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        loop {
            let opened = match self {
                Special::At(spot) => {
                    openat(&*spot.folder, &spot.name, flags | OFlags::NOFOLLOW, Mode::empty())
                }
                Special::Descriptor(path) => openat(CWD, path, flags, Mode::empty()),
            };
            match opened {
                Err(Errno::NXIO) if self.is_pipe()? => {
                    if give_up() {
                        return Ok(None);
                    }
                    thread::sleep(LOOK);
                }
                file => {
                    let file = file?;
                    if let Special::At(spot) = self {
                        check_pipe(&fstat(&file)?, spot)?;
                    }
                    return Ok(Some(file.into()));
                }
            }
        }
    }

    fn is_pipe(&self) -> io::Result<bool> {
        let found = match self {
            Special::At(spot) => spot.stat()?,
            Special::Descriptor(path) => Some(rustix::fs::stat(path)?),
        };
        Ok(found.is_some_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Fifo))
    }
}

/// Refuses another user's pipe: its owner may read what is written to it.
fn check_pipe(found: &Stat, spot: &Spot) -> io::Result<()> {
    if FileType::from_raw_mode(found.st_mode) != FileType::Fifo || found.st_uid == 0 || is_own(found) {
        return Ok(());
    }
    let path = shown(&spot.path());
    let text = format!(
        "the pipe {path} belongs to user {}, who could read the capture: to write to it anyway, use -w - >{path}",
        found.st_uid
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}
