//! The part of a job.

use std::mem;

use crate::read::run::Stretch;

/// The length of a chunk in bytes of the uncompressed capture: some thousands of events.
const CHUNK: u64 = 256 << 10;

/// Returns how many chunks so many bytes are.
pub(super) fn count(bytes: u64) -> u64 {
    bytes.div_ceil(CHUNK)
}

/// The chunks of a job: stretches of a fixed length of the captures, so that all jobs agree on where they start without talking.
/// Those of all captures are counted. Chunk `n` belongs to job `n % jobs`.
#[derive(Debug)]
pub(super) struct Chunks {
    pub job: u64,
    jobs: u64,
    /// The first chunk of the capture.
    first: u64,
    /// The chunk of the last event.
    pub current: u64,
    /// Where it ends, in bytes of the uncompressed capture; 0 before the capture's first event.
    end: u64,
    stretch: Stretch,
    has_capture: bool,
}

impl Chunks {
    pub fn new(job: u64, jobs: u64) -> Chunks {
        let stretch = Stretch { is_shown: false, end: 0 };
        Chunks { job, jobs, first: 0, current: 0, end: 0, stretch, has_capture: false }
    }

    pub fn is_own(&self, chunk: u64) -> bool {
        chunk % self.jobs == self.job
    }

    /// Takes the start of a capture.
    pub fn begin(&mut self) {
        if mem::replace(&mut self.has_capture, true) {
            self.first = self.current + 1;
            self.current = self.first;
        }
        self.end = 0;
    }

    /// Takes the place of the next event, or of the end, in bytes of the uncompressed capture. Returns the stretch in which it
    /// lies.
    #[inline]
    pub fn reach(&mut self, offset: u64) -> Stretch {
        if offset >= self.end {
            self.enter(self.first + offset / CHUNK);
        }
        self.stretch
    }

    fn enter(&mut self, chunk: u64) {
        let away = (self.job + self.jobs - chunk % self.jobs) % self.jobs;
        let end_of = |chunk: u64| (chunk + 1 - self.first) * CHUNK;
        self.current = chunk;
        self.end = end_of(chunk);
        // That of another job is as long as there is none of its own.
        let end = if away == 0 { self.end } else { end_of(chunk + away - 1) };
        self.stretch = Stretch { is_shown: away == 0, end };
    }
}
