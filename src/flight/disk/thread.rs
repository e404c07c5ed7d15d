//! The thread that writes the file. If it falls behind, the recording goes on, and the file lacks a part.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::Receiver,
    },
};

use rustix::fs::{Advice, fadvise};

use super::layout::{Header, checksum};
use crate::{
    escape::shown,
    flight::{gauge::Counted, segment::Segment},
    folder::Spot,
};

/// Bytes written between two requests to write them to the disk and to drop them from the page cache.
const FORGET: u64 = 8 << 20;

/// What is written.
#[derive(Debug)]
pub struct Job {
    /// The offset in the file.
    pub at: u64,
    pub header: Header,
    /// A notice before the blocks.
    pub lead: Vec<u8>,
    pub blocks: Blocks,
}

#[derive(Debug)]
pub enum Blocks {
    /// Those of a segment. It is not held: if it has left the window by now, it is not needed.
    Of(Weak<Segment>),
    /// A state, whose memory is counted.
    Own { blocks: Vec<u8>, _counted: Counted },
}

/// What the thread has done.
#[derive(Debug, Default)]
pub struct Done {
    /// How many states were tried, and the number of the last that is in the file, from 1 on.
    pub tried: AtomicU64,
    pub state: AtomicU64,
    /// Jobs done.
    pub jobs: AtomicU64,
    /// Bytes written.
    pub bytes: AtomicU64,
    /// Events that are not in the file.
    pub skipped: AtomicU64,
    /// The last write failed.
    pub is_failing: AtomicBool,
}

/// The thread's own state.
pub struct Work {
    pub file: Arc<File>,
    pub spot: Spot,
    pub id: [u64; 2],
    pub done: Arc<Done>,
}

impl Work {
    /// Writes until nothing more comes.
    pub fn run(&self, jobs: &Receiver<Job>) {
        let mut since = 0;
        while let Ok(job) = jobs.recv() {
            self.job(&job, &mut since);
            self.done.jobs.fetch_add(1, Relaxed);
        }
    }

    fn job(&self, job: &Job, since: &mut u64) {
        let (held, plain);
        let (blocks, is_state) = match &job.blocks {
            Blocks::Own { blocks, .. } => (&blocks[..], true),
            Blocks::Of(segment) => match segment.upgrade() {
                Some(segment) => {
                    held = segment;
                    plain = held.blocks();
                    (&plain[..], false)
                }
                None => {
                    self.done.skipped.fetch_add(job.header.events, Relaxed);
                    return;
                }
            },
        };
        let header = Header { sum: checksum(&[&job.lead, blocks]), ..job.header };
        let start = [&header.to_bytes(self.id)[..], &job.lead].concat();
        let written = self
            .file
            .write_all_at(&start, job.at)
            .and_then(|()| self.file.write_all_at(blocks, job.at + start.len() as u64));
        let has_failed = written.is_err();
        if let Err(error) = written {
            self.done.skipped.fetch_add(job.header.events, Relaxed);
            if !self.done.is_failing.load(Relaxed) {
                tracing::warn!(
                    "cannot write {}: {error}; until it can be written, the window is in memory only",
                    shown(&self.spot.path())
                );
            }
        } else {
            let bytes = (start.len() + blocks.len()) as u64;
            self.done.bytes.fetch_add(bytes, Relaxed);
            *since += bytes;
        }
        if self.done.is_failing.swap(has_failed, Relaxed) && !has_failed {
            tracing::info!("{} is written again", shown(&self.spot.path()));
        }
        if is_state {
            if !has_failed {
                self.done.state.store(job.header.number, Relaxed);
            }
            self.done.tried.store(job.header.number, Relaxed);
        }
        if *since >= FORGET || is_state {
            *since = 0;
            // What is on its way to the disk is dropped next time. A failure costs only memory that the kernel can reclaim.
            let _ = fadvise(&self.file, 0, None, Advice::DontNeed);
        }
    }
}
