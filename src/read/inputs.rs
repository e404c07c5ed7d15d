//! Where events come from: captures in the order of their times, as if they were one.

use std::{
    collections::{HashSet, VecDeque},
    fs::{self, File},
    io::{self, Read},
    os::{
        fd::AsFd,
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
};

use super::{
    follow::{Growing, Hurrying, LOOK, is_locked},
    live::{Live, Waiting},
};
use crate::{print::PrintError, salvage::PARTIAL};
use scap::format::{Keep, Reader};

/// What the name of a capture in a folder ends with, before [`PARTIAL`].
const ENDINGS: [&str; 6] = [".scap", ".scap.gz", ".scap.xz", ".scap.zst", ".scap.bz2", ".scap.lz4"];

/// Returns whether a file in a folder has the name of a capture, plain or compressed, that is not being written.
pub fn is_capture_name(name: &[u8]) -> bool {
    ENDINGS.iter().any(|ending| name.ends_with(ending.as_bytes()))
}

/// A capture that is open.
pub(super) struct Input {
    pub path: PathBuf,
    pub bytes: Box<dyn Read>,
    /// A recorder is writing it: it may end in the middle of an event.
    pub is_growing: bool,
    /// What is known of what still comes.
    pub waiting: Waiting,
}

/// A capture that is open, and a file.
pub(super) struct OpenFile {
    pub path: PathBuf,
    pub file: File,
    /// As in [`Input`].
    pub is_growing: bool,
}

/// A capture to read.
#[derive(Debug)]
struct Entry {
    path: PathBuf,
    /// The time of its first event in ns since the epoch, if known.
    start: Option<u64>,
}

/// The captures to read.
#[derive(Debug)]
pub(super) struct Inputs {
    queue: VecDeque<Entry>,
    /// Folders in which new captures appear.
    folders: Vec<PathBuf>,
    /// The captures of these folders that are known already: device and inode.
    known: HashSet<(u64, u64)>,
    /// Waits for more, until this is set.
    follow: Option<Arc<AtomicBool>>,
}

impl Inputs {
    /// Reads these captures and those in these folders. Several captures are read in the order of their first events,
    /// unless one of them is `-`, the standard input. With `follow`, waits for more at the end of a capture that is
    /// being written and for new captures in the folders, until the flag is set.
    ///
    /// # Errors
    /// [`PrintError::Open`] if a folder cannot be read.
    pub fn new(paths: &[PathBuf], follow: Option<Arc<AtomicBool>>) -> Result<Inputs, PrintError> {
        let mut inputs =
            Inputs { queue: VecDeque::new(), folders: Vec::new(), known: HashSet::new(), follow };
        for path in paths {
            if path.is_dir() {
                let found = inputs.unknown_in(path)?;
                if found.is_empty() && inputs.follow.is_none() {
                    let source = io::Error::other("this folder has no captures (*.scap, also compressed)");
                    return Err(PrintError::Open { path: path.clone(), source });
                }
                inputs.queue.extend(found.into_iter().map(|path| Entry { path, start: None }));
                inputs.folders.push(path.clone());
            } else {
                inputs.queue.push_back(Entry { path: inputs.current(path), start: None });
            }
        }
        if inputs.queue.len() > 1 && !paths.iter().any(|path| path == Path::new("-")) {
            inputs.sort();
        }
        Ok(inputs)
    }

    /// Returns the name under which a capture is to be found: while it is written, it has another one.
    fn current(&self, path: &Path) -> PathBuf {
        let mut partial = path.as_os_str().to_owned();
        partial.push(PARTIAL);
        let partial = PathBuf::from(partial);
        let is_written = || File::open(&partial).is_ok_and(|file| is_locked(&file));
        if self.follow.is_some() && is_written() { partial } else { path.into() }
    }

    fn sort(&mut self) {
        for entry in &mut self.queue {
            entry.start = start(&entry.path);
        }
        // A capture whose start is unknown stays behind the one before.
        let mut last = 0;
        let mut keyed: Vec<(u64, Entry)> = Vec::new();
        for entry in self.queue.drain(..) {
            last = entry.start.unwrap_or(last);
            keyed.push((last, entry));
        }
        keyed.sort_by_key(|(start, _)| *start);
        self.queue.extend(keyed.into_iter().map(|(_, entry)| entry));
    }

    /// Returns when the first event of all happened, in ns since the epoch, if that is known.
    pub fn first(&self) -> Option<u64> {
        self.queue.front()?.start
    }

    /// Leaves out captures that end before this time, in ns since the epoch: those whose successor has begun by then.
    pub fn skip_to(&mut self, from: u64) {
        while self.queue.get(1).is_some_and(|next| next.start.is_some_and(|start| start <= from)) {
            self.queue.pop_front();
        }
    }

    /// Returns how many bytes all captures have together. `None` if one is no regular file.
    pub fn size(&self) -> Option<u64> {
        let sizes = self.queue.iter().map(|entry| match fs::metadata(&entry.path) {
            _ if entry.path == Path::new("-") => None,
            Ok(meta) => meta.is_file().then_some(meta.len()),
            // That is told when it is opened.
            Err(_) => Some(0),
        });
        sizes.sum()
    }

    /// Opens the next capture, which is a file. Does not wait for one.
    ///
    /// # Errors
    /// [`PrintError::Open`].
    pub fn next_file(&mut self) -> Result<Option<OpenFile>, PrintError> {
        self.queue.pop_front().map(|entry| open(entry.path)).transpose()
    }

    /// Opens the next capture. Waits for one, if it follows a folder.
    ///
    /// # Errors
    /// [`PrintError::Open`].
    pub fn next(&mut self) -> Result<Option<Input>, PrintError> {
        loop {
            if let Some(entry) = self.queue.pop_front() {
                return self.open(entry.path).map(Some);
            }
            let Some(stop) = self.follow.clone().filter(|_| !self.folders.is_empty()) else {
                return Ok(None);
            };
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            for folder in self.folders.clone() {
                let new = self.unknown_in(&folder)?;
                self.queue.extend(new.into_iter().map(|path| Entry { path, start: None }));
            }
            if self.queue.is_empty() {
                sleep(LOOK);
            }
        }
    }

    fn open(&self, path: PathBuf) -> Result<Input, PrintError> {
        let hurry = Arc::<AtomicBool>::default();
        if path == Path::new("-") {
            // Not by the standard library's buffer, which hides whether more is there.
            let file = io::stdin().as_fd().try_clone_to_owned().map(File::from);
            let file = file.map_err(|source| PrintError::Open { path: path.clone(), source })?;
            let live = Live::stream(&file);
            let bytes = Box::new(Hurrying { file, hurry: hurry.clone() });
            return Ok(Input { bytes, path, is_growing: false, waiting: Waiting { live, hurry } });
        }
        let OpenFile { path, file, is_growing } = open(path)?;
        if let Some(stop) = &self.follow {
            // Alone, it may be written by a recorder that takes no lock.
            let is_alone = self.queue.is_empty() && self.folders.is_empty();
            let live = Live::growing(&file).ok();
            let bytes = Box::new(Growing::new(file, is_alone, stop.clone(), hurry.clone()));
            return Ok(Input { path, bytes, is_growing: true, waiting: Waiting { live, hurry } });
        }
        let live = Live::stream(&file);
        let bytes = Box::new(Hurrying { file, hurry: hurry.clone() });
        Ok(Input { path, bytes, is_growing, waiting: Waiting { live, hurry } })
    }

    /// Returns the captures in a folder that were not known yet, in the order in which they were made.
    fn unknown_in(&mut self, folder: &Path) -> Result<Vec<PathBuf>, PrintError> {
        let failed = |source| PrintError::Open { path: folder.into(), source };
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().as_bytes();
            let name = name.strip_suffix(PARTIAL.as_bytes()).unwrap_or(name);
            if !is_capture_name(name) {
                continue;
            }
            // One that has just been renamed or deleted is no error.
            let Ok(meta) = fs::metadata(&path) else { continue };
            if meta.is_file() && self.known.insert((meta.dev(), meta.ino())) {
                found.push((meta.created().ok(), path));
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, path)| path).collect())
    }
}

fn open(path: PathBuf) -> Result<OpenFile, PrintError> {
    let opened = File::open(&path).or_else(|e| match finished(&path) {
        // It was renamed since its folder was read.
        Some(whole) if e.kind() == io::ErrorKind::NotFound => File::open(whole),
        _ => Err(e),
    });
    let file = opened.map_err(|source| PrintError::Open { path: path.clone(), source })?;
    let is_growing = is_locked(&file);
    Ok(OpenFile { path, file, is_growing })
}

/// Returns the name of a capture without [`PARTIAL`].
fn finished(path: &Path) -> Option<PathBuf> {
    let name = path.as_os_str().as_bytes().strip_suffix(PARTIAL.as_bytes())?;
    Some(std::ffi::OsStr::from_bytes(name).into())
}

/// Returns the time of the first event of a capture. What is wrong with the capture is found when it is read.
fn start(path: &Path) -> Option<u64> {
    let mut reader = Reader::new(File::open(path).ok()?).ok()?.keep(Keep::Machine);
    Some(reader.next_event().ok()??.event.ts())
}
