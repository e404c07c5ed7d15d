//! The thread that writes, behind a queue of buffers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    Output, OutputError, Target, Totals,
    pool::{Packing, Pool, default_packers},
};

/// The end of a chunk waits so long for the next one before it is written by itself, which costs as much as half a
/// chunk.
const FLUSH: Duration = Duration::from_millis(50);

/// A buffer for whole blocks of the format. It belongs to a [`WriterThread`] and goes back to it.
#[derive(Debug)]
pub struct Chunk {
    /// The blocks.
    pub bytes: Vec<u8>,
    /// How many of them are events.
    pub events: u64,
    size: usize,
    /// The blocks as a gzip member.
    pub(super) packed: Vec<u8>,
}

impl Chunk {
    fn new(size: usize) -> Self {
        Chunk { bytes: Vec::with_capacity(size), events: 0, size, packed: Vec::new() }
    }

    /// How many bytes fit without more memory. A larger block may be put in all the same.
    pub fn room(&self) -> usize {
        self.size.saturating_sub(self.bytes.len())
    }

    fn reset(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(self.size);
        self.packed.clear();
        self.packed.shrink_to(self.size);
        self.events = 0;
    }
}

/// How far a [`WriterThread`] is, for another thread to look at.
///
/// Each event submitted is in one of two counts: [`events`](Progress::events), those in the file (or pipe), and
/// [`pending`](Progress::pending), those on their way. Once the writer has told an error, or is dropped, neither
/// changes any more, and the latter are lost: the disk's part of the ledger, besides what the caller still holds in
/// chunks that were not submitted. An event counts as in the file when its whole chunk is.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    submitted: AtomicU64,
    written: AtomicU64,
    bytes_out: AtomicU64,
}

impl Progress {
    /// Events written.
    pub fn events(&self) -> u64 {
        self.0.written.load(Ordering::Acquire)
    }

    /// Events submitted, even to a writer that had failed by then, and not written.
    pub fn pending(&self) -> u64 {
        let written = self.events();
        // Later than the others, so never less.
        self.0.submitted.load(Ordering::Relaxed).saturating_sub(written)
    }

    /// Bytes written, after compression.
    pub fn bytes_out(&self) -> u64 {
        self.0.bytes_out.load(Ordering::Relaxed)
    }

    fn set(&self, totals: Totals) {
        self.0.bytes_out.store(totals.bytes_out, Ordering::Relaxed);
        self.0.written.store(totals.events, Ordering::Release);
    }
}

/// An [`Output`] with a thread of its own.
///
/// There is a fixed number of buffers, and so of memory: their size, as much again if the output is compressed, and
/// 2 MiB for a file. Take one, fill it, submit it. When none is free, the disk is behind: leave the events in the rings,
/// where the kernel counts what it has to drop.
///
/// Chunks are written in the order in which they are submitted, also where several threads compress them. After an
/// error nothing more is written; [`Progress`] then says how much is lost.
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
    progress: Progress,
    free: Receiver<Chunk>,
    /// None when no more is to come.
    full: Option<SyncSender<Submitted>>,
    /// Only if the output is compressed.
    pool: Option<Pool>,
    /// None after its end was told.
    thread: Option<JoinHandle<Result<Totals, OutputError>>>,
}

impl WriterThread {
    /// Starts the thread with `buffers` buffers (at least one) of `size` bytes each, and if the output is compressed,
    /// a thread for each CPU but one (at least one, at most four) to do that.
    ///
    /// # Errors
    /// [`OutputError::Thread`] if the system refuses a thread.
    pub fn spawn(output: Output, buffers: usize, size: usize) -> Result<Self, OutputError> {
        Self::spawn_with(output, buffers, size, default_packers())
    }

    pub(super) fn spawn_with(
        output: Output,
        buffers: usize,
        size: usize,
        packers: usize,
    ) -> Result<Self, OutputError> {
        let buffers = buffers.max(1);
        // Both hold all buffers there are: no send ever waits.
        let (full, to_write) = sync_channel(buffers);
        let (recycle, free) = sync_channel(buffers);
        for _ in 0..buffers {
            // Cannot fail: both ends are here.
            let _ = recycle.try_send(Chunk::new(size));
        }
        let target = output.target().clone();
        let refused = |source| OutputError::Thread { target: target.clone(), source };
        let pool = output.packer.is_some().then(|| Pool::spawn(packers, buffers)).transpose();
        let pool = pool.map_err(refused)?;
        let progress = Progress::default();
        let told = progress.clone();
        let thread = thread::Builder::new()
            .name("scapd-writer".to_owned())
            .spawn(move || run(output, &to_write, &recycle, &told))
            .map_err(refused)?;
        Ok(WriterThread { target, progress, free, full: Some(full), pool, thread: Some(thread) })
    }

    /// A free buffer, `None` while the writer has them all.
    ///
    /// # Errors
    /// The writer's first error, then [`OutputError::Stopped`].
    pub fn try_take(&mut self) -> Result<Option<Chunk>, OutputError> {
        match self.free.try_recv() {
            Ok(chunk) => Ok(Some(chunk)),
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

    /// Has a chunk written; does not wait. Give an empty one back in the same way.
    ///
    /// # Errors
    /// As for [`try_take`](WriterThread::try_take); the chunk is lost.
    pub fn submit(&mut self, chunk: Chunk) -> Result<(), OutputError> {
        self.progress.0.submitted.fetch_add(chunk.events, Ordering::Relaxed);
        let submitted = match &self.pool {
            Some(pool) => Submitted::Packing(pool.pack(chunk)),
            None => Submitted::Plain(chunk),
        };
        let sent = self.full.as_ref().is_some_and(|full| full.send(submitted).is_ok());
        if sent { Ok(()) } else { Err(self.failure()) }
    }

    /// How far the writer is.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Waits until everything submitted is on disk.
    ///
    /// # Errors
    /// As for [`try_take`](WriterThread::try_take).
    pub fn finish(mut self) -> Result<Totals, OutputError> {
        self.join()
    }

    /// The same for an owner who still wants to know the [`progress`](WriterThread::progress), which is final then.
    ///
    /// # Errors
    /// As for [`try_take`](WriterThread::try_take); [`OutputError::Stopped`] when it is called again.
    pub fn close(&mut self) -> Result<Totals, OutputError> {
        self.join()
    }

    fn join(&mut self) -> Result<Totals, OutputError> {
        self.full = None;
        // Waits for its threads, which are not behind what the writer still has to write.
        self.pool = None;
        let stopped = || OutputError::Stopped { target: self.target.clone() };
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            // A panic has been printed where it happened.
            Some(Err(_)) | None => Err(stopped()),
        }
    }

    /// Why the thread has ended while it was needed.
    fn failure(&mut self) -> OutputError {
        match self.join() {
            Err(e) => e,
            Ok(_) => OutputError::Stopped { target: self.target.clone() },
        }
    }
}

/// Dropped without [`finish`](WriterThread::finish), it still writes what it was given.
impl Drop for WriterThread {
    fn drop(&mut self) {
        let _ = self.join();
    }
}

/// A chunk on its way.
#[derive(Debug)]
enum Submitted {
    Plain(Chunk),
    Packing(Packing),
}

fn run(
    mut output: Output,
    to_write: &Receiver<Submitted>,
    recycle: &SyncSender<Chunk>,
    progress: &Progress,
) -> Result<Totals, OutputError> {
    let result = write_chunks(&mut output, to_write, recycle, progress).and_then(|()| output.flush());
    // After an error, too: it may have cost chunks that were accepted before, or saved their ends.
    progress.set(output.totals());
    result?;
    output.finish()
}

fn write_chunks(
    output: &mut Output,
    to_write: &Receiver<Submitted>,
    recycle: &SyncSender<Chunk>,
    progress: &Progress,
) -> Result<(), OutputError> {
    loop {
        let submitted = match to_write.recv_timeout(FLUSH) {
            Ok(submitted) => submitted,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {
                output.flush()?;
                progress.set(output.totals());
                let Ok(submitted) = to_write.recv() else { return Ok(()) };
                submitted
            }
        };
        let mut chunk = match submitted {
            Submitted::Plain(chunk) => {
                output.put(&chunk.bytes, chunk.bytes.len(), chunk.events)?;
                chunk
            }
            Submitted::Packing(packing) => {
                // Nothing comes after a panic, which was printed.
                let stopped = || OutputError::Stopped { target: output.target().clone() };
                let chunk = packing.recv().map_err(|_| stopped())?.map_err(|e| output.error(e))?;
                output.put(&chunk.packed, chunk.bytes.len(), chunk.events)?;
                chunk
            }
        };
        progress.set(output.totals());
        chunk.reset();
        // Nobody takes it any more after the last one.
        let _ = recycle.try_send(chunk);
    }
}
