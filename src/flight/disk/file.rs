//! The file itself: who may have it, and how it is made.

use std::{
    fs::File,
    hash::{BuildHasher, RandomState},
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{FallocateFlags, OFlags, fallocate, fstat},
    io::Errno,
};

use super::{
    OnDiskError,
    layout::{Head, NoHead, PAGE},
};
use crate::{
    escape::shown,
    folder::{self, Identity, Spot, Whereabouts},
};

/// Rights of others to write.
const OTHERS_WRITE: u32 = 0o022;

/// The file of a recording, locked.
#[derive(Debug)]
pub struct WindowFile {
    pub file: Arc<File>,
    pub spot: Spot,
    pub head: Head,
    identity: Identity,
}

/// A file that a recording left behind, locked.
#[derive(Debug)]
pub struct LeftFile {
    pub file: File,
    pub spot: Spot,
    pub head: Head,
}

/// What is at a path.
#[derive(Debug)]
pub enum Found {
    /// Nothing, or an empty file.
    Nothing(Spot, Option<File>),
    /// A file of a recording that has ended.
    Left(LeftFile),
}

impl Found {
    /// Looks at a path, and locks what is there.
    ///
    /// # Errors
    /// If it is no file of this user's recorders, or one of them is using it.
    pub fn at(path: &Path) -> Result<Found, OnDiskError> {
        let failed = |source| OnDiskError::Open { path: path.into(), source };
        let not_ours = || OnDiskError::NotOurs { path: path.into() };
        let spot = Spot::find(path).map_err(failed)?.ok_or_else(not_ours)?;
        let file = match spot.folder.own(&spot.name, OFlags::RDWR) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Found::Nothing(spot, None)),
            file => file.map_err(failed)?.ok_or_else(not_ours)?,
        };
        let found = fstat(&file).map_err(|e| failed(e.into()))?;
        if found.st_mode & OTHERS_WRITE != 0 {
            return Err(not_ours());
        }
        if !folder::lock(&file) {
            return Err(OnDiskError::Busy { path: path.into() });
        }
        match found.st_size {
            // A recorder ended between making it and giving it its size.
            0 => Ok(Found::Nothing(spot, Some(file))),
            _ => LeftFile::of(file, spot).map(Found::Left),
        }
    }
}

impl LeftFile {
    /// Reads the head of a file.
    ///
    /// # Errors
    /// If it has none.
    pub fn of(file: File, spot: Spot) -> Result<LeftFile, OnDiskError> {
        let path = spot.path();
        let mut page = vec![0; PAGE as usize];
        let read = read_at(&file, &mut page, 0);
        page.truncate(read.map_err(|source| OnDiskError::Read { path: path.clone(), source })?);
        match Head::parse(&page) {
            Ok(head) => Ok(LeftFile { file, spot, head }),
            Err(NoHead::Foreign) => Err(OnDiskError::Foreign { path }),
            Err(NoHead::Version(version)) => Err(OnDiskError::Version { path, version }),
            Err(NoHead::Damaged) => Err(OnDiskError::Damaged { path }),
        }
    }

    /// Removes it.
    ///
    /// # Errors
    /// If that fails.
    pub fn remove(&self) -> Result<(), OnDiskError> {
        let failed = |source| OnDiskError::Remove { path: self.spot.path(), source };
        remove(&self.spot, &self.file).map_err(failed)
    }
}

impl WindowFile {
    /// Makes a file, or uses an empty one, with areas of these sizes in bytes.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn make(
        spot: Spot,
        empty: Option<File>,
        (time, longer): (u64, u64),
        sizes: [u64; 2],
    ) -> Result<WindowFile, OnDiskError> {
        let [window, kept] = sizes.map(|size| size.next_multiple_of(PAGE));
        let areas = [(PAGE, window), (PAGE + window, kept)];
        let head = Head { id: random_id(), time, longer, areas };
        let path = spot.path();
        let failed = |source: io::Error| match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                OnDiskError::NoRoom { path: path.clone(), bytes: head.size(), source }
            }
            _ => OnDiskError::Create { path: path.clone(), source },
        };
        let is_new = empty.is_none();
        let file = empty.map_or_else(|| spot.folder.create(&spot.name), Ok).map_err(failed)?;
        if is_new && !folder::lock(&file) {
            return Err(OnDiskError::Busy { path });
        }
        let made = || {
            reserve(&file, head.size(), &path)?;
            file.write_all_at(&head.to_bytes(), 0)?;
            file.sync_all()?;
            spot.folder.sync()
        };
        if let Err(error) = made() {
            // Nothing is left of it.
            let _ = remove(&spot, &file);
            return Err(failed(error));
        }
        let identity = Identity::of(&file).map_err(failed)?;
        Ok(WindowFile { file: Arc::new(file), spot, head, identity })
    }

    /// Removes it, unless somebody has put another one in its place.
    pub fn remove(&self) {
        if self.spot.whereabouts(self.identity, &self.file) == Whereabouts::There
            && let Err(error) = self.spot.folder.remove(&self.spot.name)
        {
            tracing::warn!("cannot remove {}: {error}", shown(&self.spot.path()));
        }
    }
}

/// Has the file system keep room for a file.
fn reserve(file: &File, size: u64, path: &Path) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, size) {
        Err(Errno::OPNOTSUPP) => {
            tracing::warn!(
                "the file system of {} keeps no room for files: the window is not kept while the disk is full",
                shown(path)
            );
            file.set_len(size)
        }
        reserved => Ok(reserved?),
    }
}

fn remove(spot: &Spot, file: &File) -> io::Result<()> {
    match spot.whereabouts(Identity::of(file)?, file) {
        Whereabouts::There => spot.folder.remove(&spot.name),
        Whereabouts::Moved | Whereabouts::Removed => Ok(()),
    }
}

/// Reads as much as there is.
pub fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(read)
}

/// Returns a number that nobody can guess. The keys of the standard library's tables are random ones of the system.
fn random_id() -> [u64; 2] {
    [0, 1].map(|word| RandomState::new().hash_one(word))
}

/// Returns the path of the file in a folder, if none was named.
pub fn usual_path(folder: &Path) -> PathBuf {
    folder.join("scapd.window")
}
