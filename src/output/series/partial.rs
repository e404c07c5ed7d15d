//! A file of a series, from its creation as `.partial` to its final name.

use std::{
    fs::File,
    io::{self, ErrorKind},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use jiff::Zoned;
use rustix::fs::OFlags;

use super::name::{PARTIAL, Pattern};
use crate::folder::{self, Folder, Identity, Spot, Whereabouts};

/// Limit of the names tried for a file: a second never has more files.
const TRIES: usize = 1_000_000;

/// A file that is being written, with its present and final names.
#[derive(Debug, Clone)]
pub struct Partial {
    /// Its present path, for messages.
    pub path: PathBuf,
    /// Its final name.
    pub name: String,
    spot: Spot,
    /// When it began.
    time: Zoned,
    identity: Identity,
}

impl Partial {
    /// Creates a new file and locks it: a file without a lock was left behind. `last` is the number of the previous
    /// file. A name that `was_used` is not used again, even if its file is gone.
    pub fn create(
        pattern: &Pattern,
        time: &Zoned,
        last: u64,
        was_used: impl Fn(&str) -> bool,
    ) -> io::Result<(Partial, File)> {
        let folder = Arc::new(Folder::open(pattern.dir())?);
        for name in pattern.names(time, last).take(TRIES) {
            if was_used(&name) || folder.stat(&name)?.is_some() {
                continue;
            }
            let spot = Spot { folder: folder.clone(), name: format!("{name}{PARTIAL}").into() };
            let file = match folder.create(&spot.name) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            // Only a repair could hold the lock already. Then the file is found missing later.
            folder::lock(&file);
            let identity = Identity::of(&file)?;
            return Ok((Partial { path: spot.path(), name, spot, time: time.clone(), identity }, file));
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// Returns whether the file has that identity.
    pub fn is(&self, identity: Identity) -> bool {
        self.identity == identity
    }

    /// Checks where the file is now.
    pub fn whereabouts(&self, file: &File) -> Whereabouts {
        self.spot.whereabouts(self.identity, file)
    }

    /// Removes the file.
    pub fn remove(&self) -> io::Result<()> {
        self.spot.folder.remove(&self.spot.name)
    }

    /// Renames the file to its final name, or to the next free one, and syncs the directory.
    pub fn publish(&self, pattern: &Pattern) -> io::Result<Spot> {
        let others = pattern.names(&self.time, pattern.number(&self.name).unwrap_or(0));
        for name in std::iter::once(self.name.clone()).chain(others).take(TRIES) {
            match self.spot.folder.rename_new(&self.spot.name, &name) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                renamed => {
                    renamed?;
                    self.spot.folder.sync()?;
                    return Ok(self.spot.beside(name));
                }
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }
}

/// Returns whether a file was left behind: this user owns it, nobody has it locked, and it was last written at least
/// `fresh` ago. A link, a pipe, or a file with a second name does not count.
pub fn is_left_behind(folder: &Folder, name: &str, fresh: Duration) -> bool {
    let is_old = |file: &File| {
        let age = file.metadata().and_then(|metadata| metadata.modified()).map(|time| time.elapsed());
        // A time in the future says nothing: treat it as old.
        age.is_ok_and(|age| age.map_or(true, |age| age >= fresh))
    };
    let file = folder.own(name, OFlags::RDONLY).ok().flatten();
    file.is_some_and(|file| is_old(&file) && folder::lock(&file))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn is_left(partial: &Partial) -> bool {
        is_left_behind(&partial.spot.folder, partial.spot.name.to_str().unwrap(), Duration::ZERO)
    }

    fn noon() -> Zoned {
        "2026-01-31T12:00:00[UTC]".parse().unwrap()
    }

    #[test]
    fn a_file_gets_its_name_in_the_end_and_overwrites_none() {
        let dir = tempfile::tempdir().unwrap();
        let pattern = Pattern::parse(&dir.path().join("a-%H.scap")).unwrap();
        let (first, file) = Partial::create(&pattern, &noon(), 0, |_| false).unwrap();
        assert_eq!(first.path, dir.path().join("a-12.scap.partial"));
        assert!(!is_left(&first));
        // A second file of the same hour; then another process takes the name of the first.
        let (second, _file) = Partial::create(&pattern, &noon(), 0, |_| false).unwrap();
        assert_eq!(second.name, "a-12-1.scap");
        fs::write(dir.path().join("a-12.scap"), "somebody's").unwrap();
        assert_eq!(second.publish(&pattern).unwrap().path(), dir.path().join("a-12-1.scap"));
        drop(file);
        assert!(is_left(&first));
        let published = first.publish(&pattern).unwrap().path();
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
