//! The thread that writes, behind a queue of buffers.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    FileCut, OutputError, OutputTotals, Retention, Target,
    chunk::Chunk,
    destination::Destination,
    pool::{Packing, Pool, default_packers},
    series::{Position, SeriesReport},
};
use scap::ledger::Verdict;

/// How long the end of a chunk waits for the next chunk. Writing it alone costs as much as half a chunk.
const FLUSH: Duration = Duration::from_millis(50);
/// How long the end waits for a reader that takes nothing, and the interval between checks.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(1);
/// How many extra buffers are allowed while the machine state is read for the next file.
const EXTRA: usize = 48;
/// Room in the queue for messages besides the buffers.
const MESSAGES: usize = 4;

/// The progress of a [`WriterThread`], for other threads.
///
/// Two counts cover all submitted events: [`events`](WriterProgress::events), those in the file (or pipe), and
/// [`pending`](WriterProgress::pending), those on their way. Once the writer has returned an error, or is dropped, neither
/// changes any more, and the pending events are lost: they are the disk's part of the ledger, besides the chunks that
/// were never submitted. An event counts as in the file when its whole chunk is.
#[derive(Debug, Clone, Default)]
pub struct WriterProgress(Arc<WriterCounters>);

#[derive(Debug, Default)]
struct WriterCounters {
    submitted: AtomicU64,
    written: AtomicU64,
    bytes_out: AtomicU64,
    position: Mutex<Position>,
    report: Arc<SeriesReport>,
}

impl WriterProgress {
    /// Returns the events written.
    pub fn events(&self) -> u64 {
        self.0.written.load(Ordering::Acquire)
    }

    /// Returns the events submitted, even to a writer that had failed, and not written.
    pub fn pending(&self) -> u64 {
        let written = self.events();
        // Loaded after `written`, so never less.
        self.0.submitted.load(Ordering::Relaxed).saturating_sub(written)
    }

    fn totals(&self) -> OutputTotals {
        OutputTotals { events: self.events(), bytes_in: 0, bytes_out: self.bytes_out() }
    }

    /// Returns the bytes written, after compression.
    pub fn bytes_out(&self) -> u64 {
        self.0.bytes_out.load(Ordering::Relaxed)
    }

    /// Returns the number of files begun; 1 for a single output.
    pub fn files(&self) -> u64 {
        self.position().files
    }

    /// Returns how many files of a series are closed and have their final names.
    pub fn files_closed(&self) -> u64 {
        self.0.report.finished.load(Ordering::Relaxed)
    }

    /// Returns whether a series waits to retry a write: for room, or for its directory to come back.
    pub fn is_waiting(&self) -> bool {
        self.0.report.waiting.load(Ordering::Relaxed)
    }

    /// Returns how many files of a series retention has deleted.
    pub fn files_deleted(&self) -> u64 {
        self.0.report.deleted.load(Ordering::Relaxed)
    }

    /// Returns how many of these `scapd ship` had not shipped, of a folder from which it ships.
    pub fn files_unshipped(&self) -> u64 {
        self.0.report.unshipped.load(Ordering::Relaxed)
    }

    /// Sets what is kept of a series from now on.
    pub(crate) fn set_retention(&self, retention: Retention) {
        *self.0.report.retention.lock().unwrap_or_else(PoisonError::into_inner) = Some(retention);
    }

    /// Returns the progress of the current file.
    pub(crate) fn position(&self) -> Position {
        *self.0.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, destination: &Destination) {
        let totals = destination.totals();
        self.0.bytes_out.store(totals.bytes_out, Ordering::Relaxed);
        self.0.written.store(totals.events, Ordering::Release);
        *self.0.position.lock().unwrap_or_else(PoisonError::into_inner) = destination.position();
    }
}

/// A thread that writes an [`Output`](super::Output), or a series of [`Files`](super::Files).
///
/// The number of buffers is fixed, and so is the memory: their size, as much again if the output is compressed, and 2
/// MiB for direct I/O. While the machine state is read for the next file of a series, there may be a few more buffers.
/// Take a buffer, fill it, submit it. When none is free, the disk is behind: leave the events in the rings, where the
/// kernel counts what it drops.
///
/// Chunks are written in the order of submission, even if threads compress them in parallel. After an error nothing
/// more is written; [`WriterProgress`] then says how much is lost.
///
/// ```no_run
/// # use scapd::output::{Output, OutputError, Target, WriterThread};
/// # fn run(blocks: &[u8]) -> Result<(), OutputError> {
/// let output = Output::create(Target::from_arg("a.scap"), false)?;
/// let mut writer = WriterThread::spawn(output, 16, 1 << 20)?;
/// if let Some(mut chunk) = writer.try_take()? {
///     chunk.bytes.extend_from_slice(blocks);
///     chunk.events += 1;
///     writer.submit(chunk)?;
/// }
/// let totals = writer.finish()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct WriterThread {
    target: Target,
    progress: WriterProgress,
    shared: Arc<WriterShared>,
    /// Size of a buffer in bytes.
    size: usize,
    free: Receiver<Chunk>,
    /// None once nothing more is submitted.
    full: Option<SyncSender<Submitted>>,
    /// Only if the output is compressed.
    pool: Option<Pool>,
    /// None once its result was returned.
    thread: Option<JoinHandle<Result<OutputTotals, OutputError>>>,
}

/// State shared by both threads.
#[derive(Debug, Default)]
struct WriterShared {
    /// A series is switching to its next file.
    switching: AtomicBool,
    /// Buffers beyond the fixed number.
    extra: AtomicUsize,
    /// The machine state is being read for the next file.
    scanning: Arc<AtomicBool>,
    /// Nothing more follows: the destination must not wait for the disk for ever.
    closing: Arc<AtomicBool>,
    /// The writer was dropped before it was finished: the recording has failed.
    abandoned: AtomicBool,
    /// The bytes that the reader has taken, if there is a reader.
    taken: Option<Arc<AtomicU64>>,
}

impl WriterThread {
    /// Starts the thread with `buffers` buffers (at least one) of `size` bytes each. For a compressed output, it also
    /// starts one compression thread per CPU except one (at least one, at most four).
    ///
    /// # Errors
    /// [`OutputError::Thread`] if the system refuses a thread.
    pub fn spawn(
        destination: impl Into<Destination>,
        buffers: usize,
        size: usize,
    ) -> Result<Self, OutputError> {
        Self::spawn_with(destination, buffers, size, default_packers())
    }

    pub(super) fn spawn_with(
        destination: impl Into<Destination>,
        buffers: usize,
        size: usize,
        packers: usize,
    ) -> Result<Self, OutputError> {
        let destination = destination.into();
        let buffers = buffers.max(1);
        // Each channel has room for all buffers: no send ever waits.
        let (full, to_write) = sync_channel(buffers + EXTRA + MESSAGES);
        let (recycle, free) = sync_channel(buffers);
        for _ in 0..buffers {
            // Cannot fail: both ends are here.
            let _ = recycle.try_send(Chunk::new(size));
        }
        let target = destination.target();
        let refused = |source| OutputError::Thread { target: target.clone(), source };
        let pool = destination.is_compressed().then(|| Pool::spawn(packers, buffers + EXTRA)).transpose();
        let pool = pool.map_err(refused)?;
        let counters = WriterCounters {
            position: Mutex::new(destination.position()),
            report: destination.report(),
            ..WriterCounters::default()
        };
        let progress = WriterProgress(Arc::new(counters));
        let shared = Arc::new(WriterShared {
            scanning: destination.scanning(),
            closing: destination.closing(),
            taken: destination.taken(),
            ..WriterShared::default()
        });
        let work = Work { recycle, progress: progress.clone(), shared: shared.clone() };
        let thread = thread::Builder::new()
            .name("scapd-writer".to_owned())
            .spawn(move || work.run(destination, &to_write))
            .map_err(refused)?;
        Ok(WriterThread {
            target,
            progress,
            shared,
            size,
            free,
            full: Some(full),
            pool,
            thread: Some(thread),
        })
    }

    /// Takes a free buffer; `None` while the writer has them all.
    ///
    /// # Errors
    /// The writer's first error, then [`OutputError::Stopped`].
    pub fn try_take(&mut self) -> Result<Option<Chunk>, OutputError> {
        match self.free.try_recv() {
            Ok(chunk) => Ok(Some(chunk)),
            Err(TryRecvError::Empty) if self.shared.scanning.load(Ordering::Relaxed) => Ok(self.extra()),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(self.failure()),
        }
    }

    /// Waits for a free buffer.
    ///
    /// # Errors
    /// As for [`try_take`](WriterThread::try_take).
    pub fn take(&mut self) -> Result<Chunk, OutputError> {
        self.free.recv().map_err(|_| self.failure())
    }

    /// Creates a buffer beyond the fixed number; `None` if there are too many of those.
    fn extra(&self) -> Option<Chunk> {
        if self.shared.extra.load(Ordering::Relaxed) >= EXTRA {
            return None;
        }
        self.shared.extra.fetch_add(1, Ordering::Relaxed);
        Some(Chunk::new(self.size))
    }

    /// Takes a free buffer, or creates one.
    pub(crate) fn take_or_make(&mut self) -> Result<Chunk, OutputError> {
        let made = || Chunk::new(self.size);
        match self.free.try_recv() {
            Ok(chunk) => Ok(chunk),
            Err(TryRecvError::Empty) => {
                self.shared.extra.fetch_add(1, Ordering::Relaxed);
                Ok(made())
            }
            Err(TryRecvError::Disconnected) => Err(self.failure()),
        }
    }

    /// Switches a series to a new file after the chunks submitted so far. Does nothing for a single output.
    ///
    /// # Errors
    /// As for [`try_take`](WriterThread::try_take).
    pub fn cut(&mut self, cut: FileCut) -> Result<(), OutputError> {
        self.shared.switching.store(true, Ordering::Release);
        self.send(Submitted::Cut(cut))
    }

    /// Returns whether a series is still switching to its next file.
    pub fn is_switching(&self) -> bool {
        self.shared.switching.load(Ordering::Acquire)
    }

    /// Ends the capture with its balance, at a time in ns since the epoch. From now on a series waits at most briefly
    /// for a failing disk.
    ///
    /// # Errors
    /// As for [`try_take`](WriterThread::try_take).
    pub fn end(&mut self, verdict: Verdict, at: u64) -> Result<(), OutputError> {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.send(Submitted::End(verdict, at))
    }

    /// Submits a chunk for writing, without waiting. Also gives back an empty one.
    ///
    /// # Errors
    /// As for [`try_take`](WriterThread::try_take); the chunk is lost.
    pub fn submit(&mut self, chunk: Chunk) -> Result<(), OutputError> {
        self.progress.0.submitted.fetch_add(chunk.events, Ordering::Relaxed);
        let submitted = match &self.pool {
            Some(pool) => Submitted::Packing(pool.pack(chunk)),
            None => Submitted::Plain(chunk),
        };
        self.send(submitted)
    }

    fn send(&mut self, submitted: Submitted) -> Result<(), OutputError> {
        let sent = self.full.as_ref().is_some_and(|full| full.send(submitted).is_ok());
        if sent { Ok(()) } else { Err(self.failure()) }
    }

    /// Returns the writer's progress.
    pub fn progress(&self) -> WriterProgress {
        self.progress.clone()
    }

    /// Waits until everything submitted is on disk.
    ///
    /// # Errors
    /// As for [`try_take`](WriterThread::try_take).
    pub fn finish(mut self) -> Result<OutputTotals, OutputError> {
        self.join()
    }

    /// Like [`finish`](WriterThread::finish), but keeps the writer for its [`progress`](WriterThread::progress), which
    /// is then final.
    ///
    /// # Errors
    /// As for [`try_take`](WriterThread::try_take); [`OutputError::Stopped`] on a second call.
    pub fn close(&mut self) -> Result<OutputTotals, OutputError> {
        self.join()
    }

    fn join(&mut self) -> Result<OutputTotals, OutputError> {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.full = None;
        // Waits for the compression threads, which never wait for the writer.
        self.pool = None;
        let stopped = || OutputError::Stopped { target: self.target.clone() };
        let thread = self.thread.take();
        if let (Some(thread), Some(taken)) = (&thread, &self.shared.taken)
            && !ends_in_time(thread, taken)
        {
            // The thread hangs in a write that may never return; the process does not wait for it.
            return Err(OutputError::Stalled {
                target: self.target.clone(),
                written: self.progress.totals(),
            });
        }
        match thread.map(JoinHandle::join) {
            Some(Ok(result)) => result,
            // A panic has been printed where it happened.
            Some(Err(_)) | None => Err(stopped()),
        }
    }

    /// Returns why the thread ended early.
    fn failure(&mut self) -> OutputError {
        match self.join() {
            Err(e) => e,
            Ok(_) => OutputError::Stopped { target: self.target.clone() },
        }
    }
}

/// Waits for the thread as long as the reader takes its bytes. Returns whether the thread has ended.
fn ends_in_time<T>(thread: &JoinHandle<T>, taken: &AtomicU64) -> bool {
    let (mut last, mut since) = (taken.load(Ordering::Relaxed), Instant::now());
    while !thread.is_finished() {
        let now = taken.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() >= PATIENCE {
            return false;
        }
        thread::sleep(LOOK);
    }
    true
}

/// Dropped without [`finish`](WriterThread::finish), it still writes what was submitted; a single file does not get its
/// name.
impl Drop for WriterThread {
    fn drop(&mut self) {
        self.shared.abandoned.store(true, Ordering::Relaxed);
        let _ = self.join();
    }
}

/// A message to the thread.
#[derive(Debug)]
enum Submitted {
    Plain(Chunk),
    Packing(Packing),
    Cut(FileCut),
    End(Verdict, u64),
}

/// The thread's side.
struct Work {
    recycle: SyncSender<Chunk>,
    progress: WriterProgress,
    shared: Arc<WriterShared>,
}

impl Work {
    fn run(
        self,
        mut destination: Destination,
        to_write: &Receiver<Submitted>,
    ) -> Result<OutputTotals, OutputError> {
        let result = self
            .write_all(&mut destination, to_write)
            .and_then(|()| destination.flush(&mut |chunk| self.recycle(chunk)));
        // After an error too: the output may have lost accepted chunks, or written their ends.
        self.progress.set(&destination);
        result?;
        if self.shared.abandoned.load(Ordering::Relaxed) {
            return destination.abandon();
        }
        destination.finish()
    }

    fn write_all(
        &self,
        destination: &mut Destination,
        to_write: &Receiver<Submitted>,
    ) -> Result<(), OutputError> {
        loop {
            let submitted = match to_write.recv_timeout(FLUSH) {
                Ok(submitted) => submitted,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {
                    destination.flush(&mut |chunk| self.recycle(chunk))?;
                    self.progress.set(destination);
                    if destination.takes_time() {
                        continue;
                    }
                    let Ok(submitted) = to_write.recv() else { return Ok(()) };
                    submitted
                }
            };
            self.write(destination, submitted)?;
            self.progress.set(destination);
        }
    }

    fn write(&self, destination: &mut Destination, submitted: Submitted) -> Result<(), OutputError> {
        let free = &mut |chunk| self.recycle(chunk);
        match submitted {
            Submitted::Plain(chunk) => destination.put(chunk, free),
            Submitted::Packing(packing) => {
                // Nothing comes after a panic, which was printed where it happened.
                let stopped = |_| OutputError::Stopped { target: destination.target() };
                let packed = packing.recv().map_err(stopped)?;
                let failed = |e| OutputError::write(&destination.target(), destination.totals(), e);
                let chunk = packed.map_err(failed)?;
                destination.put(chunk, free)
            }
            Submitted::Cut(cut) => {
                let result = destination.next(cut, free);
                self.progress.set(destination);
                self.shared.switching.store(false, Ordering::Release);
                result
            }
            Submitted::End(verdict, at) => destination.end(&verdict, at, free),
        }
    }

    fn recycle(&self, mut chunk: Chunk) {
        chunk.reset();
        // All regular buffers are free, or the receiver is gone: drop this one.
        if self.recycle.try_send(chunk).is_err() {
            self.shared.extra.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
