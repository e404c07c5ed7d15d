//! The buffers that carry events to the output.

use scap::ledger::{Losses, Verdict};

/// A buffer of whole blocks. It comes from a [`WriterThread`](super::WriterThread) and goes back to it.
#[derive(Debug)]
pub struct Chunk {
    /// The blocks.
    pub bytes: Vec<u8>,
    /// Number of events among them.
    pub events: u64,
    /// Number of events that come after a later one in their file.
    pub late: u64,
    /// The losses that the notices among them report.
    pub losses: Losses,
    /// The time of the last event, ns since the epoch.
    pub latest: u64,
    /// The text of the last notice of the selected events, if there is one; empty if all are selected. If this file
    /// fails, the next one repeats a text that is not empty.
    pub selected: Option<String>,
    /// The same of the last notice of the filter; empty if there is none.
    pub filter: Option<String>,
    /// The text of the notice of what is overwritten, if there is one.
    pub redacted: Option<String>,
    /// What the balance has besides events and their losses, since the chunk before: skipped runs, and events left out on purpose.
    /// Only a [`ChunkSink`](super::ChunkSink) takes it.
    pub beside: Box<Verdict>,
    size: usize,
    /// The blocks, compressed to a gzip member.
    pub(super) packed: Vec<u8>,
}

impl Chunk {
    /// Creates a buffer of that size in bytes.
    pub(super) fn new(size: usize) -> Self {
        Chunk { size, ..Chunk::of(Vec::with_capacity(size)) }
    }

    /// Creates a chunk outside the pool of buffers.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Chunk {
            bytes,
            events: 0,
            late: 0,
            losses: Losses::default(),
            latest: 0,
            selected: None,
            filter: None,
            redacted: None,
            beside: Box::default(),
            size: 0,
            packed: Vec::new(),
        }
    }

    /// Returns how many bytes fit without more memory. A larger block may be appended anyway.
    pub fn room(&self) -> usize {
        self.size.saturating_sub(self.bytes.len())
    }

    /// Empties it, and frees memory beyond its size.
    pub(super) fn reset(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(self.size);
        self.packed.clear();
        self.packed.shrink_to(self.size);
        self.events = 0;
        self.late = 0;
        self.losses = Losses::default();
        self.latest = 0;
        self.selected = None;
        self.filter = None;
        self.redacted = None;
        *self.beside = Verdict::default();
    }
}
