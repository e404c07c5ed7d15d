//! Checks each file as soon as it is closed, on its own threads, while the soak runs.
//!
//! At full load, retention deletes files within a second. So one thread only opens files when they appear; one copies
//! closed files to another disk, because an open file would keep the space that retention frees; one reads the copies,
//! which takes longest.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};

use crate::{
    capture::Capture,
    shared::{Shared, THREADS},
};

const LOOK: Duration = Duration::from_millis(10);
const PARTIAL: &str = ".partial";
/// Exit codes of `scapd verify` for a whole capture: with all events, or with reported losses.
const WHOLE: [i32; 2] = [0, 7];

/// The findings.
#[derive(Debug, Default)]
pub struct Found {
    pub captures: Vec<Capture>,
    /// Number of files by exit code of `scapd verify`.
    pub verified: BTreeMap<i32, u64>,
    pub bytes: u64,
    /// Files deleted by retention before they were copied, but still read.
    pub deleted: u64,
    pub violations: Vec<String>,
}

/// The threads of the collector.
pub struct Collector {
    stop: Arc<AtomicBool>,
    watcher: JoinHandle<()>,
    copier: JoinHandle<()>,
    checker: JoinHandle<Found>,
}

impl Collector {
    /// Starts to collect the files of a folder, with copies in a new one. `root` is the root process of the load.
    pub fn start(
        folder: &Path,
        copies: &Path,
        scapd: &Path,
        shared: Shared,
        root: u32,
    ) -> io::Result<Collector> {
        fs::create_dir(copies)?;
        let stop = Arc::<AtomicBool>::default();
        let (closed, to_copy) = channel();
        let (copied, to_check) = channel();
        let watch =
            Watch { folder: folder.to_owned(), open: BTreeMap::new(), taken: BTreeSet::new(), closed };
        let check = Check { scapd: scapd.to_owned(), shared, root, found: Found::default() };
        let (stopped, copies) = (stop.clone(), copies.to_owned());
        Ok(Collector {
            stop,
            watcher: thread::spawn(move || watch.run(&stopped)),
            copier: thread::spawn(move || copy(&to_copy, &copies, &copied)),
            checker: thread::spawn(move || check.run(&to_check)),
        })
    }

    /// Stops after the last file was closed, and returns the findings.
    pub fn finish(self) -> anyhow::Result<Found> {
        let panicked = |_| anyhow::anyhow!("the collector panicked");
        self.stop.store(true, Ordering::Relaxed);
        self.watcher.join().map_err(panicked)?;
        self.copier.join().map_err(panicked)?;
        self.checker.join().map_err(panicked)
    }
}

/// A closed file.
struct Closed {
    name: String,
    file: File,
    /// Whether it was unlinked.
    deleted: bool,
}

/// Its copy, or the error.
struct Copied {
    name: String,
    copy: io::Result<PathBuf>,
    deleted: bool,
}

/// Opens files when they appear.
struct Watch {
    folder: PathBuf,
    /// Files not closed yet, by inode, with their final names.
    open: BTreeMap<u64, (String, File)>,
    /// Names of closed files.
    taken: BTreeSet<String>,
    closed: Sender<Closed>,
}

impl Watch {
    fn run(mut self, stopped: &AtomicBool) {
        // Looks once more after the end: all files are closed then.
        loop {
            let last = stopped.load(Ordering::Relaxed);
            self.look();
            if last {
                break;
            }
            thread::sleep(LOOK);
        }
    }

    fn look(&mut self) {
        // The folder may be away at times, as may a file just listed.
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
                None if self.taken.contains(&name) => {}
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
                self.take(Closed { name, file, deleted: false });
            }
        }
        self.take_deleted(&there);
    }

    /// Takes files that were deleted after they were closed; skips those replaced by a repaired one.
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
            if !repaired && !self.taken.contains(&name) {
                self.take(Closed { name, file, deleted: true });
            }
        }
    }

    fn take(&mut self, closed: Closed) {
        self.taken.insert(closed.name.clone());
        // The copier receives until this end is dropped.
        let _ = self.closed.send(closed);
    }
}

/// Copies files under their own names, and closes them.
fn copy(closed: &Receiver<Closed>, copies: &Path, copied: &Sender<Copied>) {
    for Closed { name, mut file, deleted } in closed {
        let path = copies.join(&name);
        let copy = File::create(&path).and_then(|mut copy| io::copy(&mut file, &mut copy)).map(|_| path);
        let _ = copied.send(Copied { name, copy, deleted });
    }
}

/// Reads and verifies copies.
struct Check {
    scapd: PathBuf,
    shared: Shared,
    root: u32,
    found: Found,
}

impl Check {
    fn run(mut self, copied: &Receiver<Copied>) -> Found {
        for Copied { name, copy, deleted } in copied {
            let before = self.found.violations.len();
            let result = copy.and_then(|path| self.check(&name, &path, deleted).map(|()| path));
            match result {
                // Keeps copies with violations as evidence.
                Ok(path) if self.found.violations.len() == before => {
                    let _ = fs::remove_file(path);
                }
                Ok(_) => {}
                Err(e) => self.found.violations.push(format!("{name}: cannot check it: {e}")),
            }
        }
        self.found
    }

    fn check(&mut self, name: &str, path: &Path, deleted: bool) -> io::Result<()> {
        let tids: Vec<u64> = (0..THREADS).map(|i| self.shared.slot(i).tid.load(Ordering::SeqCst)).collect();
        let mut capture = Capture::read(name, File::open(path)?, self.root, &tids);
        // It ends inside the state of the machine: given up on a full disk, the daemon removes such a file.
        if deleted && capture.first_time == 0 && !capture.faults.is_empty() {
            return Ok(());
        }
        let (code, said) = self.verify(path)?;
        let found = &mut self.found;
        *found.verified.entry(code).or_default() += 1;
        if !WHOLE.contains(&code) {
            found.violations.push(format!("{name}: scapd verify: exit code {code}: {said}"));
        } else if code != 0 && capture.verdict.is_none_or(|verdict| verdict.is_complete()) && !capture.cut {
            found.violations.push(format!("{name}: incomplete without a reason: {said}"));
        }
        found.deleted += u64::from(deleted);
        found.bytes += path.metadata()?.len();
        found.violations.append(&mut capture.faults);
        found.captures.push(capture);
        Ok(())
    }

    /// Runs `scapd verify` on a file. Returns exit code and output.
    fn verify(&self, path: &Path) -> io::Result<(i32, String)> {
        let output = Command::new(&self.scapd).arg("verify").arg(path).output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).trim().replace('\n', "; ")))
    }
}

/// Returns a violation for each file that the daemon's log reports as deleted and that was never checked.
pub fn unseen(log: &str, captures: &[Capture]) -> Vec<String> {
    let seen: BTreeSet<_> = captures.iter().map(|capture| capture.name.as_str()).collect();
    let deleted = log.lines().filter_map(|line| line.trim_start().strip_prefix("INFO deleted "));
    let names = deleted.filter_map(|rest| Path::new(rest.split_once(" (")?.0).file_name()?.to_str());
    names
        .filter(|name| !seen.contains(name))
        .map(|name| format!("{name} was deleted before the check saw it"))
        .collect()
}

/// Returns the partial files in a folder that nobody writes.
pub fn left_behind(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| path.to_string_lossy().ends_with(PARTIAL) && is_unlocked(path)).collect()
}

fn is_unlocked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_not_seen_is_told() {
        let log = " INFO deleted /d/a-1.scap (8.00 MiB), as retention demands\n WARN 7 events lost\n \
                   INFO deleted /d/a-2.scap (1 B), as the disk is full\n";
        let capture = |name: &str| Capture { name: name.to_owned(), ..Capture::default() };
        assert!(unseen(log, &[capture("a-2.scap"), capture("a-1.scap")]).is_empty());
        assert_eq!(unseen(log, &[capture("a-1.scap")]), ["a-2.scap was deleted before the check saw it"]);
    }
}
