//! Takes up each file as soon as it is closed: on a thread of its own, for as long as the soak runs.
//!
//! Files are opened when they appear, so that one that retention deletes before its turn can still be read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{Seek, SeekFrom},
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};

use crate::{
    capture::Capture,
    shared::{Shared, THREADS},
};

const LOOK: Duration = Duration::from_millis(50);
const PARTIAL: &str = ".partial";
/// What `scapd verify` says of a capture that is whole: with all events, or without those that it tells of.
const WHOLE: [i32; 2] = [0, 7];

/// What was found so far.
#[derive(Debug, Default)]
pub struct Found {
    pub captures: Vec<Capture>,
    /// By what `scapd verify` says.
    pub verified: BTreeMap<i32, u64>,
    pub bytes: u64,
    /// Deleted by retention before their turn, and read all the same.
    pub deleted: u64,
    pub violations: Vec<String>,
}

/// The thread.
pub struct Collector {
    found: Arc<Mutex<Found>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Collector {
    /// Collects the files of a folder. `root` is the process above the load.
    pub fn start(folder: &Path, scapd: &Path, shared: Shared, root: u32) -> Collector {
        let (found, stop) = (Arc::<Mutex<Found>>::default(), Arc::<AtomicBool>::default());
        let mut work = Work {
            folder: folder.to_owned(),
            scapd: scapd.to_owned(),
            shared,
            root,
            open: BTreeMap::new(),
            done: BTreeSet::new(),
            found: found.clone(),
        };
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            // Once more after the end: all files are closed then.
            loop {
                let last = stopped.load(Ordering::Relaxed);
                work.look();
                if last {
                    break;
                }
                thread::sleep(LOOK);
            }
        });
        Collector { found, stop, thread }
    }

    /// All there is, after the last file was closed.
    pub fn finish(self) -> anyhow::Result<Found> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the collector has panicked"))?;
        Ok(std::mem::take(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

struct Work {
    folder: PathBuf,
    scapd: PathBuf,
    shared: Shared,
    root: u32,
    /// Files that are not closed yet, by inode, with the names that they will have.
    open: BTreeMap<u64, (String, File)>,
    /// Names of those that were checked.
    done: BTreeSet<String>,
    found: Arc<Mutex<Found>>,
}

impl Work {
    fn look(&mut self) {
        // It may be away at times, as may a file that was just listed.
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut closed: Vec<(String, u64)> = Vec::new();
        let mut there = BTreeSet::new();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(inode) = entry.metadata().map(|m| m.ino()) else { continue };
            if name.starts_with('.') || name.ends_with(".json") {
                continue;
            }
            there.insert(inode);
            match name.strip_suffix(PARTIAL) {
                Some(name) if !self.open.contains_key(&inode) => {
                    if let Ok(file) = File::open(entry.path()) {
                        self.open.insert(inode, (name.to_owned(), file));
                    }
                }
                Some(_) => {}
                None if self.done.contains(&name) => {}
                None => closed.push((name, inode)),
            }
        }
        closed.sort();
        for (name, inode) in closed {
            let file = match self.open.remove(&inode) {
                Some((_, file)) => Ok(file),
                None => File::open(self.folder.join(&name)),
            };
            if let Ok(file) = file {
                self.check(name, file);
            }
        }
        self.take_deleted(&there);
    }

    /// Files that are gone: deleted after they were closed, or replaced by a repaired one.
    fn take_deleted(&mut self, there: &BTreeSet<u64>) {
        let is_gone = |file: &File| file.metadata().is_ok_and(|metadata| metadata.nlink() == 0);
        let gone: Vec<u64> = self
            .open
            .iter()
            .filter(|(inode, (_, file))| !there.contains(inode) && is_gone(file))
            .map(|(inode, _)| *inode)
            .collect();
        for inode in gone {
            let Some((name, file)) = self.open.remove(&inode) else { continue };
            let repaired = self.open.values().any(|(other, _)| *other == name)
                || self.folder.join(&name).exists()
                || self.folder.join(format!("{name}{PARTIAL}")).exists();
            if !repaired && !self.done.contains(&name) && !self.is_cut_before_events(&file) {
                self.lock().deleted += 1;
                self.check(name, file);
            }
        }
    }

    /// Whether a file ends inside the state of the machine, as one does that was given up on a full disk: the daemon
    /// removes it.
    fn is_cut_before_events(&self, file: &File) -> bool {
        let Ok(file) = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())) else { return false };
        let capture = Capture::read("", file, self.root, &[]);
        capture.first_time == 0 && !capture.faults.is_empty()
    }

    fn check(&mut self, name: String, mut file: File) {
        let tids: Vec<u64> = (0..THREADS).map(|i| self.shared.slot(i).tid.load(Ordering::SeqCst)).collect();
        let verified = self.verify(&file);
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        let mut capture = match file.seek(SeekFrom::Start(0)) {
            Ok(_) => Capture::read(&name, &file, self.root, &tids),
            Err(e) => Capture { faults: vec![format!("{name}: {e}")], ..Capture::default() },
        };
        let mut found = self.lock();
        match verified {
            Ok((code, said)) => {
                *found.verified.entry(code).or_default() += 1;
                if !WHOLE.contains(&code) {
                    found.violations.push(format!("{name}: scapd verify: exit code {code}: {said}"));
                } else if code != 0
                    && capture.verdict.is_none_or(|verdict| verdict.is_complete())
                    && !capture.cut
                {
                    found.violations.push(format!("{name}: incomplete, and nothing says why: {said}"));
                }
            }
            Err(error) => found.violations.push(format!("{name}: scapd verify: {error}")),
        }
        found.bytes += bytes;
        let faults = std::mem::take(&mut capture.faults);
        found.violations.extend(faults);
        found.captures.push(capture);
        drop(found);
        self.done.insert(name);
    }

    /// What `scapd verify` says of it, as its exit code and in words.
    fn verify(&self, file: &File) -> std::io::Result<(i32, String)> {
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let output = Command::new(&self.scapd).args(["verify", &path]).output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).trim().replace('\n', "; ")))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Files in a folder that were not closed, and that nobody writes.
pub fn left_behind(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| path.to_string_lossy().ends_with(PARTIAL) && is_unlocked(path)).collect()
}

fn is_unlocked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_ok())
}
