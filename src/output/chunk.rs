//! The buffers that events travel in to the output.

use scap::ledger::Losses;

/// A buffer for whole blocks of the format. It belongs to a [`WriterThread`](super::WriterThread) and goes back to it.
#[derive(Debug)]
pub struct Chunk {
    /// The blocks.
    pub bytes: Vec<u8>,
    /// How many of them are events.
    pub events: u64,
    /// Of these, those behind a younger one of their file.
    pub late: u64,
    /// What the notices among them tell to be lost.
    pub losses: Losses,
    /// The time of the last event, ns since the epoch.
    pub latest: u64,
    /// What the last notice of what was asked for says, if there is one. A file in which the recording goes on, as this
    /// one breaks, says so too, unless it is empty.
    pub selected: Option<String>,
    size: usize,
    /// The blocks as a gzip member.
    pub(super) packed: Vec<u8>,
}

impl Chunk {
    /// One with memory of that size.
    pub(super) fn new(size: usize) -> Self {
        Chunk { size, ..Chunk::of(Vec::with_capacity(size)) }
    }

    /// A buffer beside the others.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Chunk {
            bytes,
            events: 0,
            late: 0,
            losses: Losses::default(),
            latest: 0,
            selected: None,
            size: 0,
            packed: Vec::new(),
        }
    }

    /// How many bytes fit without more memory. A larger block may be put in all the same.
    pub fn room(&self) -> usize {
        self.size.saturating_sub(self.bytes.len())
    }

    /// Takes everything out, and memory beyond its size.
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
    }
}
