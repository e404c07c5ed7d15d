//! The thread that writes, behind a queue of buffers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread::{self, JoinHandle},
};

use super::{Output, OutputError, Target, Totals};

/// A buffer for whole blocks of the format. It belongs to a [`WriterThread`] and goes back to it.
#[derive(Debug)]
pub struct Chunk {
    /// The blocks.
    pub bytes: Vec<u8>,
    /// How many of them are events.
    pub events: u64,
    size: usize,
}

impl Chunk {
    fn new(size: usize) -> Self {
        Chunk { bytes: Vec::with_capacity(size), events: 0, size }
    }

    /// How many bytes fit without more memory. A larger block may be put in all the same.
    pub fn room(&self) -> usize {
        self.size.saturating_sub(self.bytes.len())
    }

    fn reset(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(self.size);
        self.events = 0;
    }
}

/// How far a [`WriterThread`] is, for another thread to look at.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    events: Arc<AtomicU64>,
    bytes_out: Arc<AtomicU64>,
}

impl Progress {
    /// Events written.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Bytes written, after compression.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    fn set(&self, totals: Totals) {
        self.events.store(totals.events, Ordering::Relaxed);
        self.bytes_out.store(totals.bytes_out, Ordering::Relaxed);
    }
}

/// An [`Output`] with a thread of its own.
///
/// There is a fixed number of buffers, and so of memory. Take one, fill it, submit it. When none is free, the disk is
/// behind: leave the events in the rings, where the kernel counts what it has to drop.
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
    full: Option<SyncSender<Chunk>>,
    /// None after its end was told.
    thread: Option<JoinHandle<Result<Totals, OutputError>>>,
}

impl WriterThread {
    /// Starts the thread with `buffers` buffers (at least one) of `size` bytes each.
    ///
    /// # Errors
    /// [`OutputError::Thread`] if the system refuses the thread.
    pub fn spawn(output: Output, buffers: usize, size: usize) -> Result<Self, OutputError> {
        let buffers = buffers.max(1);
        // Both hold all buffers there are: no send ever waits.
        let (full, to_write) = sync_channel::<Chunk>(buffers);
        let (recycle, free) = sync_channel(buffers);
        for _ in 0..buffers {
            // Cannot fail: both ends are here.
            let _ = recycle.try_send(Chunk::new(size));
        }
        let target = output.target().clone();
        let progress = Progress::default();
        let told = progress.clone();
        let thread = thread::Builder::new()
            .name("scapd-writer".to_owned())
            .spawn(move || run(output, &to_write, &recycle, &told))
            .map_err(|source| OutputError::Thread { target: target.clone(), source })?;
        Ok(WriterThread { target, progress, free, full: Some(full), thread: Some(thread) })
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
        let sent = self.full.as_ref().is_some_and(|full| full.send(chunk).is_ok());
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

    fn join(&mut self) -> Result<Totals, OutputError> {
        self.full = None;
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

fn run(
    mut output: Output,
    to_write: &Receiver<Chunk>,
    recycle: &SyncSender<Chunk>,
    progress: &Progress,
) -> Result<Totals, OutputError> {
    for mut chunk in to_write {
        output.write(&chunk.bytes, chunk.events)?;
        progress.set(output.totals());
        chunk.reset();
        // Nobody takes it any more after the last one.
        let _ = recycle.try_send(chunk);
    }
    output.finish()
}
