//! Compression, on as many threads as there are CPUs to spare.

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

/// More would not find work: each takes some 80 ns for an event, and the one consumer that feeds them nearly as much.
const MOST: usize = 4;

/// How many threads compress unless told otherwise: a CPU is left to the rings' consumer.
pub fn default_packers() -> usize {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    cpus.saturating_sub(1).clamp(1, MOST)
}

/// Makes gzip members. It keeps its tables from one to the next.
#[derive(Debug)]
pub struct Packer(Compress);

impl Packer {
    pub fn new() -> Self {
        // Fast, as it has to keep up with the machine; the largest window there is.
        Packer(Compress::new_gzip(Compression::fast(), 15))
    }

    /// Puts the bytes as one member into `packed`, instead of what was there; none are no member.
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

/// A chunk that is being compressed: it comes out here.
pub type Packing = Receiver<io::Result<Chunk>>;

/// A chunk, and where it goes.
type Job = (Chunk, SyncSender<io::Result<Chunk>>);

/// The threads. Each takes the next chunk when it is done with one.
#[derive(Debug)]
pub struct Pool {
    /// None when no more is to come.
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts as many threads as `packers`, for `buffers` chunks altogether.
    pub fn spawn(packers: usize, buffers: usize) -> io::Result<Self> {
        // It holds all there are: no send ever waits.
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

    /// Has a chunk compressed. Nothing comes out of what is returned if the threads have panicked.
    pub fn pack(&self, chunk: Chunk) -> Packing {
        let (done, packing) = sync_channel(1);
        if let Some(jobs) = &self.jobs {
            // The receiver tells of it.
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
        // One waits for a chunk, the others for the lock; nothing can panic under it.
        let job = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((mut chunk, done)) = job else { return };
        let result = packer.pack(&chunk.bytes, &mut chunk.packed).map(|()| chunk);
        // The writer has stopped at an error if it does not want it.
        let _ = done.send(result);
    }
}
