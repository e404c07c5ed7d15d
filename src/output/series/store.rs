//! The finished files of a series, and their deletion.

use std::{
    collections::{BTreeSet, VecDeque},
    io::{self, ErrorKind, Read},
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use indicatif::HumanBytes;
use rustix::fs::{OFlags, Stat, fstatvfs};

use super::{
    manifest,
    name::{PACKERS, PARTIAL, Pattern, unpacked},
    partial::is_left_behind,
    retention::{Disk, Retention, Stored, Unfinished},
};
use crate::{
    escape::shown,
    folder::{Folder, Spot, is_regular},
};

/// The suffix after the name of a capture that `scapd ship` has brought into a store.
pub const SHIPPED: &str = ".shipped";
/// The same for one that it has begun to send.
pub const SHIPPING: &str = ".shipping";
/// A file in each folder from which `scapd ship` ships; it holds a lock on it.
pub const SHIPS: &str = ".scapd-ship";

/// A file written to more recently may be another recorder's that is not locked yet.
const FRESH: Duration = Duration::from_secs(1);
/// How many names are remembered. Names can only collide for files that begin in the same second (or other unit of the
/// pattern): that is never more files.
const USED: usize = 1000;
/// The unit of `st_blocks`, in bytes.
const SECTOR: u64 = 512;

/// Tracks the files of a series, and deletes those that retention does not keep. It only deletes a file that is in the
/// directory of the series, matches its pattern, and is a capture.
#[derive(Debug)]
pub struct Store {
    pattern: Pattern,
    retention: Retention,
    /// Finished files, the oldest first.
    files: Vec<Stored>,
    /// Files being written or closed.
    unfinished: Vec<PathBuf>,
    /// Files with a running hook.
    in_use: BTreeSet<PathBuf>,
    /// Files that match the pattern, but are no captures.
    strangers: BTreeSet<PathBuf>,
    /// The highest number of a file.
    last: u64,
    /// Names of the latest files, the newest last.
    used: VecDeque<String>,
    deleted: u64,
    /// Of these, files that should have been shipped and were not.
    unshipped: u64,
}

/// A store shared by the threads of a series.
#[derive(Debug, Clone)]
pub struct SharedStore(Arc<Mutex<Store>>);

impl SharedStore {
    /// Wraps a store.
    pub fn new(store: Store) -> SharedStore {
        SharedStore(Arc::new(Mutex::new(store)))
    }

    /// Locks the store.
    pub fn lock(&self) -> MutexGuard<'_, Store> {
        // Nothing panics while it holds the lock; the store is consistent in any case.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Creates a store, and finds the existing files.
    pub fn open(pattern: Pattern, retention: Retention) -> Store {
        let mut store = Store {
            pattern,
            retention,
            files: Vec::new(),
            unfinished: Vec::new(),
            in_use: BTreeSet::new(),
            strangers: BTreeSet::new(),
            last: 0,
            used: VecDeque::new(),
            deleted: 0,
            unshipped: 0,
        };
        store.look();
        store
    }

    /// Sets what is kept from now on.
    pub fn set_retention(&mut self, retention: Retention) {
        self.retention = retention;
    }

    /// Returns the pattern of the file names.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Returns the highest number in a name of the series.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Returns how many files were deleted.
    pub fn deleted(&self) -> u64 {
        self.deleted
    }

    /// Returns how many files were deleted before `scapd ship` had shipped them.
    pub fn unshipped(&self) -> u64 {
        self.unshipped
    }

    /// Finds captures that processes left behind unclosed.
    pub fn left_behind(&self) -> Vec<Spot> {
        let Ok(folder) = Folder::open(self.pattern.dir()).map(Arc::new) else { return Vec::new() };
        let mut names = names(&folder);
        names.retain(|name| {
            name.strip_suffix(PARTIAL).is_some_and(|name| self.pattern.is_recorders(name))
                && is_left_behind(&folder, name, FRESH)
        });
        names.sort();
        names.into_iter().map(|name| Spot { folder: folder.clone(), name: name.into() }).collect()
    }

    /// Returns whether one of the latest files had this name, even if that file has been deleted.
    pub fn was_used(&self, name: &str) -> bool {
        self.used.iter().any(|used| used == name)
    }

    /// Registers a new file that is being written.
    pub fn begun(&mut self, partial: &Path, name: &str) {
        if self.used.len() == USED {
            self.used.pop_front();
        }
        self.used.push_back(name.to_owned());
        self.unfinished.push(partial.to_owned());
        self.last = self.last.max(self.pattern.number(name).unwrap_or(0));
    }

    /// Unregisters a file that was given up, or that has its final name now.
    pub fn ended(&mut self, partial: &Path, finished: Option<&Spot>) {
        self.unfinished.retain(|path| path != partial);
        let file = finished.and_then(|spot| Some((spot.path(), spot.stat().ok()??)));
        self.files.extend(file.and_then(|(path, found)| stored(path, &found)));
    }

    /// Marks a file as in use by a hook, or no longer.
    pub fn set_in_use(&mut self, path: &Path, in_use: bool) {
        if in_use {
            self.in_use.insert(path.to_owned());
        } else {
            self.in_use.remove(path);
        }
    }

    /// Deletes the files that retention does not keep. Returns whether the disk then has the free room that it demands.
    pub fn tidy(&mut self) -> bool {
        if !self.retention.is_some() {
            return true;
        }
        let Ok(folder) = Folder::open(self.pattern.dir()) else { return true };
        let Ok(mut disk) = disk(&folder) else { return true };
        if self.surplus(&folder, disk) > 0 {
            // Files that others removed meanwhile do not count.
            self.look_in(&folder);
            let surplus = self.surplus(&folder, disk);
            let candidates: Vec<_> = self.deletable().take(surplus).cloned().collect();
            for file in candidates {
                self.delete(&folder, &file, "as retention demands");
            }
            disk = self::disk(&folder).unwrap_or(disk);
        }
        !self.retention.lacks(disk)
    }

    /// Returns whether files are deleted when the disk is full.
    pub fn saves_room(&self) -> bool {
        self.retention.saves_room()
    }

    /// Deletes the oldest file when the disk is full, if retention saves room. Returns whether a file was deleted.
    pub fn make_room(&mut self) -> bool {
        if !self.saves_room() {
            return false;
        }
        let Ok(folder) = Folder::open(self.pattern.dir()) else { return false };
        self.look_in(&folder);
        let candidates: Vec<_> = self.deletable().cloned().collect();
        candidates.iter().any(|oldest| self.delete(&folder, oldest, "as the disk is full"))
    }

    fn surplus(&self, folder: &Folder, disk: Disk) -> usize {
        let names = self.unfinished.iter().filter_map(|path| path.file_name());
        let sizes =
            names.filter_map(|name| folder.stat(name).ok().flatten()).map(|found| found.st_size as u64);
        let unfinished = Unfinished { files: self.unfinished.len() as u64, bytes: sizes.sum() };
        self.retention.surplus(&self.files, unfinished, disk, now())
    }

    fn deletable(&self) -> impl Iterator<Item = &Stored> {
        self.files.iter().filter(|file| !self.in_use.contains(&file.path))
    }

    fn look(&mut self) {
        match Folder::open(self.pattern.dir()) {
            Ok(folder) => self.look_in(&folder),
            Err(_) => self.files.clear(),
        }
    }

    /// Reads the directory. The output of a hook counts once the hook has ended.
    fn look_in(&mut self, folder: &Folder) {
        let is_made = |name: &str| {
            unpacked(name).is_some_and(|before| self.in_use.contains(&self.pattern.join(before)))
        };
        self.files.clear();
        for name in names(folder) {
            if !self.pattern.matches(&name) || is_made(&name) {
                continue;
            }
            self.last = self.last.max(self.pattern.number(&name).unwrap_or(0));
            let found = folder.stat(&name).ok().flatten();
            let file = found.and_then(|found| stored(self.pattern.join(&name), &found));
            self.files.extend(file.filter(|file| !self.strangers.contains(&file.path)));
        }
        self.files.sort_by(|a, b| (a.closed, &a.path).cmp(&(b.closed, &b.path)));
    }

    /// Deletes a file of the series and its manifest. Returns whether it did.
    fn delete(&mut self, folder: &Folder, file: &Stored, why: &str) -> bool {
        self.files.retain(|other| other.path != file.path);
        let path = shown(&file.path);
        let Some(name) = file.path.file_name().and_then(|name| name.to_str()) else { return false };
        if !is_capture(folder, name) {
            tracing::warn!(
                "{path} has a name of the series, but is no capture: it is kept, and does not count"
            );
            self.strangers.insert(file.path.clone());
            return false;
        }
        let is_unshipped = is_unshipped(folder, name);
        match folder.remove(name) {
            Ok(()) if is_unshipped => {
                let size = HumanBytes(file.bytes);
                tracing::warn!(
                    "deleted {path} ({size}), {why}, before it was shipped: see to scapd-ship, or keep more"
                );
                self.unshipped += 1;
            }
            Ok(()) => tracing::info!("deleted {path} ({}), {why}", HumanBytes(file.bytes)),
            Err(e) if e.kind() == ErrorKind::NotFound => return false,
            Err(e) => {
                tracing::warn!("cannot delete {path}: {e}");
                return false;
            }
        }
        manifest::delete(folder, name);
        for suffix in [SHIPPED, SHIPPING] {
            // Most have none.
            let _ = folder.remove(format!("{name}{suffix}"));
        }
        self.deleted += 1;
        true
    }
}

fn names(folder: &Folder) -> Vec<String> {
    let names = folder.names().into_iter().flatten();
    names.filter_map(|name| name.into_string().ok()).collect()
}

/// Describes a regular file; `None` for anything else.
fn stored(path: PathBuf, found: &Stat) -> Option<Stored> {
    // Owners can set any time on their files.
    let seconds = u64::try_from(found.st_mtime).ok()?;
    let closed = seconds.saturating_mul(1_000_000_000).saturating_add(found.st_mtime_nsec);
    is_regular(found).then_some(Stored { path, bytes: found.st_blocks as u64 * SECTOR, closed })
}

/// Returns whether a file begins like a capture, plain or compressed.
fn is_capture(folder: &Folder, name: &str) -> bool {
    const SECTION_HEADER: [u8; 4] = 0x0A0D_0D0A_u32.to_ne_bytes();
    let mut start = Vec::new();
    let file = folder.regular(name, OFlags::RDONLY).ok().flatten();
    let is_read = file.is_some_and(|file| file.take(16).read_to_end(&mut start).is_ok());
    let begins = |magic: &[u8]| start.starts_with(magic);
    is_read && (begins(&SECTION_HEADER) || PACKERS.iter().any(|(_, magic)| begins(magic)))
}

/// Returns whether files of this folder are shipped, and this one was not yet.
fn is_unshipped(folder: &Folder, name: &str) -> bool {
    let is_there = |name: &str| folder.stat(name).is_ok_and(|found| found.is_some());
    is_there(SHIPS) && !is_there(&format!("{name}{SHIPPED}"))
}

fn disk(folder: impl AsFd) -> io::Result<Disk> {
    let fs = fstatvfs(folder)?;
    Ok(Disk { size: fs.f_blocks * fs.f_frsize, free: fs.f_bavail * fs.f_frsize })
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    const CAPTURE: &[u8] = &0x0A0D_0D0A_u32.to_ne_bytes();

    /// Creates a folder with the files `a-000001.scap` (the oldest) and so on, with these contents.
    fn folder(contents: &[&[u8]]) -> (tempfile::TempDir, Pattern) {
        let dir = tempfile::tempdir().unwrap();
        for (i, content) in contents.iter().enumerate() {
            let path = dir.path().join(format!("a-{:06}.scap", i + 1));
            fs::write(&path, content).unwrap();
            let closed = SystemTime::now() - Duration::from_secs(1000 - i as u64);
            File::options().write(true).open(&path).unwrap().set_modified(closed).unwrap();
        }
        let pattern = Pattern::parse(&dir.path().join("a.scap")).unwrap();
        (dir, pattern)
    }

    fn names(dir: &tempfile::TempDir) -> Vec<String> {
        let mut names: Vec<_> = super::names(&Folder::open(dir.path()).unwrap());
        names.sort();
        names
    }

    #[test]
    fn the_oldest_files_of_the_series_go_and_nothing_else() {
        let (dir, pattern) = folder(&[CAPTURE, b"a letter to the editor", CAPTURE, CAPTURE]);
        fs::write(dir.path().join("b-000000.scap"), CAPTURE).unwrap();
        fs::write(dir.path().join("a.scap"), CAPTURE).unwrap();
        fs::write(dir.path().join("a-000000.scap.partial"), CAPTURE).unwrap();
        std::os::unix::fs::symlink("b-000000.scap", dir.path().join("a-000000.scap")).unwrap();
        let mut store = Store::open(pattern, Retention { files: Some(2), ..Retention::default() });
        assert_eq!(store.last(), 4);
        assert!(store.tidy());
        assert_eq!(
            names(&dir),
            [
                "a-000000.scap",
                "a-000000.scap.partial",
                "a-000002.scap",
                "a-000003.scap",
                "a-000004.scap",
                "a.scap",
                "b-000000.scap"
            ]
        );
        assert_eq!(store.deleted(), 1);
    }

    #[test]
    fn what_a_hook_has_compressed_goes_with_the_manifest_of_before() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| fs::write(dir.path().join(name), content).unwrap();
        for (i, (packer, magic)) in PACKERS.iter().enumerate() {
            write(&format!("a-00000{i}.scap{packer}"), &[magic, &b"..."[..]].concat());
            write(&format!("a-00000{i}.scap.json"), format!("{{\"file\": \"a-00000{i}.scap\"}}").as_bytes());
        }
        // A file that is not what its name says, and a manifest whose uncompressed file still exists.
        write("a-000007.scap.xz", b"a letter");
        write("a-000000.scap", CAPTURE);
        File::options()
            .write(true)
            .open(dir.path().join("a-000000.scap"))
            .unwrap()
            .set_modified(SystemTime::now() + Duration::from_secs(60))
            .unwrap();
        let pattern = Pattern::parse(&dir.path().join("a.scap")).unwrap();
        let mut store = Store::open(pattern, Retention { files: Some(1), ..Retention::default() });
        assert_eq!(store.last(), 7);
        store.tidy();
        assert_eq!(names(&dir), ["a-000000.scap", "a-000000.scap.json", "a-000007.scap.xz"]);
    }

    #[test]
    fn the_file_that_is_written_counts_and_stays() {
        let (dir, pattern) = folder(&[CAPTURE, CAPTURE]);
        let mut store = Store::open(pattern, Retention { files: Some(2), ..Retention::default() });
        let partial = dir.path().join("a-000003.scap.partial");
        fs::write(&partial, CAPTURE).unwrap();
        store.begun(&partial, "a-000003.scap");
        store.tidy();
        assert_eq!(names(&dir), ["a-000002.scap", "a-000003.scap.partial"]);
        let finished = dir.path().join("a-000003.scap");
        fs::rename(&partial, &finished).unwrap();
        store.ended(&partial, Spot::find(&finished).unwrap().as_ref());
        store.tidy();
        assert_eq!((names(&dir).len(), store.last()), (2, 3));
    }

    #[test]
    fn files_that_go_before_they_are_shipped_are_counted() {
        let (dir, pattern) = folder(&[CAPTURE, CAPTURE, CAPTURE]);
        let mut store = Store::open(pattern, Retention { files: Some(2), ..Retention::default() });
        assert!(store.tidy() && store.unshipped() == 0);
        fs::write(dir.path().join(SHIPS), "").unwrap();
        fs::write(dir.path().join("a-000002.scap.shipped"), "").unwrap();
        store.set_retention(Retention { age: Some(Duration::ZERO), ..Retention::default() });
        assert!(store.tidy());
        assert_eq!((store.deleted(), store.unshipped(), names(&dir)), (3, 1, vec![SHIPS.to_owned()]));
    }

    #[test]
    fn a_file_that_a_hook_works_on_stays() {
        let (dir, pattern) = folder(&[CAPTURE, CAPTURE, CAPTURE]);
        let mut store = Store::open(pattern, Retention { files: Some(2), ..Retention::default() });
        let first = dir.path().join("a-000001.scap");
        store.set_in_use(&first, true);
        // The hook's output is not counted, and not deleted while the hook runs.
        let made = dir.path().join("a-000001.scap.gz");
        fs::write(&made, PACKERS[0].1).unwrap();
        store.tidy();
        assert_eq!(names(&dir), ["a-000001.scap", "a-000001.scap.gz", "a-000003.scap"]);
        assert!(store.make_room() && !store.make_room());
        assert_eq!(names(&dir), ["a-000001.scap", "a-000001.scap.gz"]);
        fs::remove_file(&first).unwrap();
        store.set_in_use(&first, false);
        assert!(store.make_room() && names(&dir).is_empty());
    }

    #[test]
    fn a_full_disk_costs_a_file_only_where_room_is_to_be_saved() {
        let (dir, pattern) = folder(&[CAPTURE, CAPTURE]);
        let age = Retention { age: Some(Duration::from_secs(5000)), ..Retention::default() };
        assert!(!Store::open(pattern.clone(), Retention::default()).make_room());
        assert!(!Store::open(pattern.clone(), age).make_room());
        let mut store = Store::open(pattern, Retention { bytes: Some(u64::MAX), ..age });
        assert!(store.make_room());
        assert_eq!(names(&dir), ["a-000002.scap"]);
        assert!(store.make_room() && !store.make_room());
    }

    #[test]
    fn too_little_room_with_nothing_to_delete_is_a_reason_to_pause() {
        let (_dir, pattern) = folder(&[]);
        let free = |bytes| Retention { free: Some(super::super::Free::Bytes(bytes)), ..Retention::default() };
        assert!(!Store::open(pattern.clone(), free(u64::MAX)).tidy());
        assert!(Store::open(pattern, free(0)).tidy());
    }

    #[test]
    fn names_are_not_used_again() {
        let (_dir, pattern) = folder(&[]);
        let mut store = Store::open(pattern, Retention::default());
        for i in 0..=USED {
            let name = format!("a-{i}.scap");
            store.begun(&store.pattern().join(&name), &name);
        }
        assert!(store.was_used("a-1.scap") && store.was_used(&format!("a-{USED}.scap")));
        assert!(!store.was_used("a-0.scap"), "they are not kept for ever");
    }

    #[test]
    fn what_was_left_behind_is_found() {
        let (dir, pattern) = folder(&[CAPTURE]);
        // The last two belong to others.
        for name in [
            "a-000002.scap.partial",
            "a-000003.scap.gz.partial",
            "b-000002.scap.partial",
            "a-000005.scap.xz.partial",
        ] {
            fs::write(dir.path().join(name), CAPTURE).unwrap();
            let file = File::options().write(true).open(dir.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - FRESH).unwrap();
        }
        fs::write(dir.path().join("a-000004.scap.partial"), "just made").unwrap();
        let (_partial, _file) =
            super::super::partial::Partial::create(&pattern, &jiff::Zoned::default(), 4, |_| false).unwrap();
        let store = Store::open(pattern, Retention::default());
        let expected =
            ["a-000002.scap.partial", "a-000003.scap.gz.partial"].map(|name| dir.path().join(name));
        let found: Vec<_> = store.left_behind().iter().map(Spot::path).collect();
        assert_eq!(found, expected);
    }
}
