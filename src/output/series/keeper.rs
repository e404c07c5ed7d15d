//! The thread that closes the files of a series, runs their hooks and applies retention, so that neither a sync nor a
//! hook delays the writer.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use super::{Retention, Series, hook::Hooks, manifest, partial::Partial, store::SharedStore};
use crate::{
    confine::{self, Confinement, Task},
    escape::shown,
    folder::{Identity, Spot, Whereabouts},
    output::{Output, OutputError},
    salvage::{self, RepairError},
};
use scap::{format::ReadError, ledger::Verdict};

/// Room in the queue of files to be closed; when it is full, the writer waits.
const CLOSING: usize = 4;
/// Interval between checks of the disk, and of running hooks.
const TICK: Duration = Duration::from_secs(1);
const HOOK_TICK: Duration = Duration::from_millis(20);
/// Interval between searches for files left behind, by another process or in a folder that was away for a while.
const LOOK: Duration = Duration::from_secs(10);

/// A file that is complete and has to be closed.
#[derive(Debug)]
pub struct Closed {
    /// The file.
    pub output: Output,
    /// Its names.
    pub partial: Partial,
    /// Where it is.
    pub whereabouts: Whereabouts,
    /// The period that it covers: start and end in ns since the epoch.
    pub span: (u64, u64),
    /// The balance at its end, if it has one.
    pub verdict: Option<Verdict>,
    /// The checksum of all that was written, if no write failed.
    pub sum: Option<Sha256>,
}

/// State that the thread shares with others.
#[derive(Debug, Default)]
pub struct SeriesReport {
    /// Files with their final names.
    pub finished: AtomicU64,
    /// Files deleted.
    pub deleted: AtomicU64,
    /// Of these, files that `scapd ship` had not shipped yet, in a folder from which it ships.
    pub unshipped: AtomicU64,
    /// Less of the disk is free than retention demands, and there is nothing left to delete.
    pub no_room: AtomicBool,
    /// Nothing can be written now; a retry is due.
    pub waiting: AtomicBool,
    /// A new retention, until the thread takes it over.
    pub retention: Mutex<Option<Retention>>,
}

/// The handle of the thread. Dropping it closes all submitted files, and waits a while for the hooks.
#[derive(Debug)]
pub struct Keeper {
    closed: Option<SyncSender<Closed>>,
    report: Arc<SeriesReport>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn spawn(series: &Series, store: SharedStore) -> io::Result<Keeper> {
        let (closed, files) = sync_channel(CLOSING);
        let report = Arc::new(SeriesReport::default());
        let mut work = Work {
            hooks: Hooks::new(series.on_close.clone()),
            manifest: series.manifest,
            confine: series.confine,
            store,
            report: report.clone(),
            hopeless: BTreeSet::new(),
        };
        // Before the first write: a disk without room must not be written to.
        work.look_after();
        let thread = thread::Builder::new().name("scapd-files".to_owned()).spawn(move || work.run(&files))?;
        Ok(Keeper { closed: Some(closed), report, thread: Some(thread) })
    }

    /// Queues a file for closing. Waits while the queue is full.
    pub fn close(&self, file: Closed) {
        if let Some(closed) = &self.closed
            && closed.send(file).is_err()
        {
            // A panic has been printed where it happened; the file keeps its `.partial`.
            tracing::error!("the thread that closes files has ended: files keep their .partial names");
        }
    }

    /// Returns the shared state.
    pub fn report(&self) -> Arc<SeriesReport> {
        self.report.clone()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.closed = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's own state.
struct Work {
    hooks: Hooks,
    manifest: bool,
    confine: Confinement,
    store: SharedStore,
    report: Arc<SeriesReport>,
    /// Files left behind that cannot be repaired.
    hopeless: BTreeSet<PathBuf>,
}

impl Work {
    fn run(&mut self, files: &Receiver<Closed>) {
        let in_force = confine::thread(self.confine, Task::Files { hooks: self.hooks.is_wanted() });
        tracing::debug!("the thread that closes files: {in_force}");
        let mut looked: Option<Instant> = None;
        loop {
            if looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
                looked = Some(Instant::now());
                self.adopt();
            }
            self.look_after();
            match files.recv_timeout(if self.hooks.is_busy() { HOOK_TICK } else { TICK }) {
                Ok(file) => self.close(file),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.adopt();
        self.hooks.finish(&self.store);
        self.look_after();
    }

    /// Repairs captures that were left behind.
    fn adopt(&mut self) {
        let left_behind = self.store.lock().left_behind();
        for spot in left_behind {
            match adopt(&spot, &self.store) {
                Ok(()) => _ = self.hopeless.remove(&spot.path()),
                // It is retried, because the disk may just be full, but logged only once.
                Err(why) if self.hopeless.insert(spot.path()) => tracing::error!("{why}"),
                Err(_) => {}
            }
        }
    }

    fn look_after(&mut self) {
        self.hooks.look(&self.store);
        let mut store = self.store.lock();
        let changed = self.report.retention.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(retention) = changed {
            store.set_retention(retention);
        }
        let room = store.tidy();
        self.report.no_room.store(!room, Ordering::Relaxed);
        self.report.deleted.store(store.deleted(), Ordering::Relaxed);
        self.report.unshipped.store(store.unshipped(), Ordering::Relaxed);
    }

    fn close(&mut self, file: Closed) {
        let Closed { output, partial, whereabouts, span, verdict, sum } = file;
        let spot = match finish(output, &partial, whereabouts, &self.store) {
            Ok(spot) => spot,
            Err(why) => {
                tracing::error!("{why}");
                None
            }
        };
        self.store.lock().ended(&partial.path, spot.as_ref());
        let Some(spot) = spot else { return };
        self.report.finished.fetch_add(1, Ordering::Relaxed);
        tracing::debug!("closed {}", shown(&spot.path()));
        let manifest = self.manifest.then(|| write_manifest(&spot, &partial, span, verdict.as_ref(), sum));
        self.hooks.add(&spot.path(), manifest.flatten().map(|spot| spot.path()));
    }
}

/// Syncs a file to disk and renames it to its final name; `None` if another process moved or removed it.
fn finish(
    output: Output,
    partial: &Partial,
    whereabouts: Whereabouts,
    store: &SharedStore,
) -> Result<Option<Spot>, String> {
    let name = shown(&partial.path);
    output.finish().map_err(|e| format!("cannot close {name}, which keeps its name: {}", chain(&e)))?;
    if whereabouts != Whereabouts::There {
        return Ok(None);
    }
    let pattern = store.lock().pattern().clone();
    partial.publish(&pattern).map(Some).map_err(|e| format!("cannot rename {name}, which is complete: {e}"))
}

fn write_manifest(
    spot: &Spot,
    partial: &Partial,
    span: (u64, u64),
    verdict: Option<&Verdict>,
    sum: Option<Sha256>,
) -> Option<Spot> {
    let write = || {
        // Only the file that was written, not one that another process put in its place.
        let file = spot.folder.regular(&spot.name, OFlags::RDONLY)?;
        let file = file.filter(|file| Identity::of(file).is_ok_and(|identity| partial.is(identity)));
        let file = file.ok_or(ErrorKind::NotFound)?;
        let bytes = file.metadata()?.len();
        let sha256 = match sum {
            Some(sum) => manifest::hex(sum.finalize()),
            None => manifest::checksum(file)?,
        };
        manifest::write(spot, &manifest::Contents { span, verdict, bytes, sha256: &sha256 })
    };
    write()
        .inspect_err(|e: &io::Error| {
            tracing::warn!("cannot write the manifest of {}: {e}", shown(&spot.path()))
        })
        .ok()
}

/// Repairs a capture that a process left behind unclosed.
fn adopt(spot: &Spot, store: &SharedStore) -> Result<(), String> {
    let path = spot.path();
    let name = shown(&path);
    // In place: there may be no room for a copy.
    match salvage::adopt(spot) {
        Ok((report, whole)) => {
            store.lock().ended(&path, Some(&whole));
            let (whole, events) = (shown(&whole.path()), report.events);
            tracing::warn!("{name} was left behind and not closed: now {whole}, {events} events");
        }
        // It ends inside the machine state, as after a full disk: it has no events.
        Err(RepairError::Nothing { source: ReadError::Truncated { .. }, .. }) => {
            spot.folder.remove(&spot.name).map_err(|e| {
                format!("{name} was left behind without an event, and cannot be removed: {e}")
            })?;
            tracing::warn!("{name} was left behind without an event: removed");
        }
        Err(error) => return Err(format!("{name} was left behind: {:#}", anyhow::Error::new(error))),
    }
    Ok(())
}

/// Formats an error with its source.
pub fn chain(error: &OutputError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
