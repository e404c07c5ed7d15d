//! Compression threads, as many as there are spare CPUs.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use flate2::{Compress, Compression, FlushCompress, Status};

use super::chunk::Chunk;

/// Maximum number of threads. More would be idle: compressing an event takes a thread some 80 ns, and the single
/// consumer that feeds them takes nearly as long per event.
const MOST: usize = 4;

/// Returns the default number of threads: one CPU is left to the consumer of the rings.
pub fn default_packers() -> usize {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    cpus.saturating_sub(1).clamp(1, MOST)
}

/// A compressor of gzip members, which reuses its tables.
#[derive(Debug)]
pub struct Packer(Compress);

impl Packer {
    pub fn new() -> Self {
        // Fast, to keep up with the machine; 15 is the largest window.
        Packer(Compress::new_gzip(Compression::fast(), 15))
    }

    /// Compresses the bytes to one member, which replaces the contents of `packed`. Empty input gives no member.
    pub fn pack(&mut self, bytes: &[u8], packed: &mut Vec<u8>) -> io::Result<()> {
        packed.clear();
        self.0.reset();
        if bytes.is_empty() {
            return Ok(());
        }
        loop {
            let rest = bytes.get(self.0.total_in() as usize..).unwrap_or_default();
            packed.reserve(rest.len() / 4 + 64);
            if self.0.compress_vec(rest, packed, FlushCompress::Finish)? == Status::StreamEnd {
                return Ok(());
            }
        }
    }
}

/// Receives a chunk once it is compressed.
pub type Packing = Receiver<io::Result<Chunk>>;

/// A chunk, and the sender of its result.
type Job = (Chunk, SyncSender<io::Result<Chunk>>);

/// The compression threads. Each takes the next chunk when it has finished one.
#[derive(Debug)]
pub struct Pool {
    /// None once no more chunks follow.
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts `packers` threads, for `buffers` chunks in total.
    pub fn spawn(packers: usize, buffers: usize) -> io::Result<Self> {
        // The channel has room for all chunks: no send ever waits.
        let (jobs, todo) = sync_channel::<Job>(buffers);
        let todo = Arc::new(Mutex::new(todo));
        let mut pool = Pool { jobs: Some(jobs), threads: Vec::new() };
        for _ in 0..packers.clamp(1, buffers) {
            let todo = Arc::clone(&todo);
            let thread = thread::Builder::new().name("scapd-gzip".to_owned()).spawn(move || run(&todo))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Queues a chunk for compression. The returned receiver is disconnected if the threads have panicked.
    pub fn pack(&self, chunk: Chunk) -> Packing {
        let (done, packing) = sync_channel(1);
        if let Some(jobs) = &self.jobs {
            // On a failure the receiver is disconnected.
            let _ = jobs.send((chunk, done));
        }
        packing
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A panic has been printed where it happened.
            let _ = thread.join();
        }
    }
}

fn run(todo: &Mutex<Receiver<Job>>) {
    let mut packer = Packer::new();
    loop {
        // One thread waits for a chunk, the others for the lock. Nothing can panic while it is held.
        let job = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((mut chunk, done)) = job else { return };
        let result = packer.pack(&chunk.bytes, &mut chunk.packed).map(|()| chunk);
        // Fails only if the writer stopped after an error.
        let _ = done.send(result);
    }
}
