//! The thread that closes the files of a series, and looks after those that are closed: so that neither the disk's sync
//! nor a hook holds up what is written meanwhile.

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

use super::{Retention, Series, hook::Hooks, manifest, partial::Partial, store::Shared};
use crate::{
    confine::{self, Confinement, Task},
    folder::{Identity, Spot, Whereabouts},
    output::{Output, OutputError},
    print::shown,
    repair::{self, RepairError},
};
use scap::{format::ReadError, ledger::Verdict};

/// Files that wait to be closed; when there are more, the writer waits.
const CLOSING: usize = 4;
/// Between two looks at the disk, and at hooks that run.
const TICK: Duration = Duration::from_secs(1);
const HOOK_TICK: Duration = Duration::from_millis(20);
/// Between two looks for files that were left behind: as by another process, or in a folder that was away for a while.
const LOOK: Duration = Duration::from_secs(10);

/// A file that nothing more is written to.
#[derive(Debug)]
pub struct Closed {
    /// The file.
    pub output: Output,
    /// Its names.
    pub partial: Partial,
    /// Where it is.
    pub whereabouts: Whereabouts,
    /// The time that it covers: ns since the epoch.
    pub span: (u64, u64),
    /// The balance at its end, if it has one.
    pub verdict: Option<Verdict>,
    /// The checksum of what was written, if it was taken all the time.
    pub sum: Option<Sha256>,
}

/// What the thread says of itself.
#[derive(Debug, Default)]
pub struct Report {
    /// Files that have their own name.
    pub finished: AtomicU64,
    /// Files deleted.
    pub deleted: AtomicU64,
    /// Less of the disk is free than is to stay so, and there is nothing left to delete.
    pub no_room: AtomicBool,
    /// Nothing can be written now, and another attempt is waited for.
    pub waiting: AtomicBool,
    /// What is to be kept from now on, if that has changed.
    pub retention: Mutex<Option<Retention>>,
}

/// The thread. Dropped, it closes what it was given, and waits for the hooks for a while.
#[derive(Debug)]
pub struct Keeper {
    closed: Option<SyncSender<Closed>>,
    report: Arc<Report>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// Of the system, if there are too many.
    pub fn spawn(series: &Series, store: Shared) -> io::Result<Keeper> {
        let (closed, files) = sync_channel(CLOSING);
        let report = Arc::new(Report::default());
        let mut work = Work {
            hooks: Hooks::new(series.on_close.clone()),
            manifest: series.manifest,
            confine: series.confine,
            store,
            report: report.clone(),
            hopeless: BTreeSet::new(),
        };
        // Before the first write: a disk without room is none that may be written to.
        work.look_after();
        let thread = thread::Builder::new().name("scapd-files".to_owned()).spawn(move || work.run(&files))?;
        Ok(Keeper { closed: Some(closed), report, thread: Some(thread) })
    }

    /// Has a file closed. Waits while too many others are to be closed before.
    pub fn close(&self, file: Closed) {
        if let Some(closed) = &self.closed
            && closed.send(file).is_err()
        {
            // A panic has been printed where it happened; the file keeps its `.partial`.
            tracing::error!("files are not closed any more");
        }
    }

    /// What it has done.
    pub fn report(&self) -> Arc<Report> {
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

/// What the thread has.
struct Work {
    hooks: Hooks,
    manifest: bool,
    confine: Confinement,
    store: Shared,
    report: Arc<Report>,
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

    /// Makes whole captures of those that were left behind.
    fn adopt(&mut self) {
        let left_behind = self.store.lock().left_behind();
        for spot in left_behind {
            match adopt(&spot, &self.store) {
                Ok(()) => _ = self.hopeless.remove(&spot.path()),
                // It is tried again, as the disk may only be full; but told once.
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

/// Sees to it that a file is on disk, and gives it its own name: `None` if somebody else has given it one.
fn finish(
    output: Output,
    partial: &Partial,
    whereabouts: Whereabouts,
    store: &Shared,
) -> Result<Option<Spot>, String> {
    let name = shown(&partial.path);
    output.finish().map_err(|e| format!("{name} stays as it is: {}", chain(&e)))?;
    if whereabouts != Whereabouts::There {
        return Ok(None);
    }
    let pattern = store.lock().pattern().clone();
    partial
        .publish(&pattern)
        .map(Some)
        .map_err(|e| format!("{name} cannot be renamed and stays as it is: {e}"))
}

fn write_manifest(
    spot: &Spot,
    partial: &Partial,
    span: (u64, u64),
    verdict: Option<&Verdict>,
    sum: Option<Sha256>,
) -> Option<Spot> {
    let write = || {
        // What was written, and not what somebody has put in its place.
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

/// Makes a whole capture of one that a process left behind before it could close it.
fn adopt(spot: &Spot, store: &Shared) -> Result<(), String> {
    let path = spot.path();
    let name = shown(&path);
    // There may be no room for a copy, and none to be made but by this very file.
    match repair::adopt(spot) {
        Ok((report, whole)) => {
            store.lock().ended(&path, Some(&whole));
            let (whole, events) = (shown(&whole.path()), report.events);
            tracing::warn!("{name} was left behind and not closed: now {whole}, {events} events");
        }
        // It ends inside the state of the machine, as on a disk that was full: there is no event in it.
        Err(RepairError::Nothing { source: ReadError::Truncated { .. }, .. }) => {
            spot.folder
                .remove(&spot.name)
                .map_err(|e| format!("{name} was left behind, and cannot be removed: {e}"))?;
            tracing::warn!("{name} was left behind without an event: removed");
        }
        Err(error) => return Err(format!("{name} was left behind: {:#}", anyhow::Error::new(error))),
    }
    Ok(())
}

/// An error with what the system says.
pub fn chain(error: &OutputError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
