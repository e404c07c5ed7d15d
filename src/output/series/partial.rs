//! A file of a series from its creation under another name to its own name.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Zoned;
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};

use super::name::{PARTIAL, Pattern};

/// Names that are tried for a file: more of one second are not to be expected.
const TRIES: usize = 1_000_000;

/// The names of a file that is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// Where it is.
    pub path: PathBuf,
    /// What it will be called.
    pub name: String,
    /// When it began.
    time: Zoned,
    identity: Identity,
}

/// What a file is known by, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// The identity of an open file.
    pub fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Identity { device: metadata.dev(), inode: metadata.ino() })
    }

    /// Looks where the file is now that was made at `path`.
    pub fn whereabouts(self, path: &Path, file: &File) -> Whereabouts {
        let here = fs::symlink_metadata(path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        match file.metadata().map(|metadata| metadata.nlink()) {
            _ if here => Whereabouts::There,
            Ok(0) => Whereabouts::Removed,
            _ => Whereabouts::Moved,
        }
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

impl Partial {
    /// Makes a file that nobody else has, and locks it, so that it can be told from one that was left behind. `last` is
    /// the number of the file before; a name that `was_used` is not used again, whether its file still is there or not.
    pub fn create(
        pattern: &Pattern,
        time: &Zoned,
        last: u64,
        was_used: impl Fn(&str) -> bool,
    ) -> io::Result<(Partial, File)> {
        for name in pattern.names(time, last).take(TRIES) {
            let final_path = pattern.join(&name);
            if was_used(&name) || fs::symlink_metadata(&final_path).is_ok() {
                continue;
            }
            let path = partial_of(&final_path);
            let file = match File::options().write(true).create_new(true).mode(0o600).open(&path) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            // A file system without locks costs no more than the repair of what is left behind.
            let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
            let identity = Identity::of(&file)?;
            return Ok((Partial { path, name, time: time.clone(), identity }, file));
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// Looks where the file is now.
    pub fn whereabouts(&self, file: &File) -> Whereabouts {
        self.identity.whereabouts(&self.path, file)
    }

    /// Gives the file its own name, or the next one if somebody has taken that, and sees to it that the directory knows:
    /// the path.
    pub fn publish(&self, pattern: &Pattern) -> io::Result<PathBuf> {
        let others = pattern.names(&self.time, pattern.number(&self.name).unwrap_or(0));
        for name in std::iter::once(self.name.clone()).chain(others).take(TRIES) {
            let path = pattern.join(&name);
            match rename_to_free(&self.path, &path) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                renamed => {
                    renamed?;
                    sync_dir(pattern.dir())?;
                    return Ok(path);
                }
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }
}

/// The path with `.partial` behind it.
pub fn partial_of(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(PARTIAL);
    path.into()
}

/// Whether nobody writes a file any more, nor did as lately as `fresh` ago.
pub fn is_left_behind(path: &Path, fresh: Duration) -> bool {
    let is_old = |file: &File| {
        let age = file.metadata().and_then(|metadata| metadata.modified()).map(|time| time.elapsed());
        // A time yet to come tells nothing: as good as old.
        age.is_ok_and(|age| age.map_or(true, |age| age >= fresh))
    };
    File::options()
        .read(true)
        .open(path)
        .is_ok_and(|file| is_old(&file) && flock(&file, FlockOperation::NonBlockingLockShared).is_ok())
}

/// Sees to it that a directory's entries are on disk.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Renames a file, and never overwrites one.
pub fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems of the network do not know the flag; a link is never made over a file either.
        Err(Errno::INVAL | Errno::NOSYS) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        renamed => Ok(renamed?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> Zoned {
        "2026-01-31T12:00:00[UTC]".parse().unwrap()
    }

    #[test]
    fn a_file_gets_its_name_in_the_end_and_overwrites_none() {
        let dir = tempfile::tempdir().unwrap();
        let pattern = Pattern::parse(&dir.path().join("a-%H.scap")).unwrap();
        let (first, file) = Partial::create(&pattern, &noon(), 0, |_| false).unwrap();
        assert_eq!(first.path, dir.path().join("a-12.scap.partial"));
        assert!(!is_left_behind(&first.path, Duration::ZERO));
        // Another one of that hour; then somebody takes the name of the first.
        let (second, _file) = Partial::create(&pattern, &noon(), 0, |_| false).unwrap();
        assert_eq!(second.name, "a-12-1.scap");
        fs::write(dir.path().join("a-12.scap"), "somebody's").unwrap();
        assert_eq!(second.publish(&pattern).unwrap(), dir.path().join("a-12-1.scap"));
        drop(file);
        assert!(is_left_behind(&first.path, Duration::ZERO));
        let published = first.publish(&pattern).unwrap();
        assert!(pattern.matches(published.file_name().unwrap()), "{}", published.display());
        assert_eq!(fs::read(dir.path().join("a-12.scap")).unwrap(), b"somebody's");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn numbers_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let pattern = Pattern::parse(&dir.path().join("a.scap")).unwrap();
        let (partial, _file) = Partial::create(&pattern, &noon(), 6, |_| false).unwrap();
        assert_eq!(partial.name, "a-000007.scap");
        let (partial, _file) = Partial::create(&pattern, &noon(), 6, |_| false).unwrap();
        assert_eq!(partial.name, "a-000008.scap");
    }

    #[test]
    fn a_file_that_is_taken_away_is_missed() {
        let dir = tempfile::tempdir().unwrap();
        let pattern = Pattern::parse(&dir.path().join("a.scap")).unwrap();
        let (partial, file) = Partial::create(&pattern, &noon(), 0, |_| false).unwrap();
        assert_eq!(partial.whereabouts(&file), Whereabouts::There);
        let moved = dir.path().join("moved");
        fs::rename(&partial.path, &moved).unwrap();
        assert_eq!(partial.whereabouts(&file), Whereabouts::Moved);
        fs::write(&partial.path, "another").unwrap();
        assert_eq!(partial.whereabouts(&file), Whereabouts::Moved);
        fs::remove_file(moved).unwrap();
        assert_eq!(partial.whereabouts(&file), Whereabouts::Removed);
    }
}
