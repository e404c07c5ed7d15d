//! A part of the window: the blocks of one of the recorder's chunks.

use std::borrow::Cow;

use super::gauge::{Counted, Gauge};
use crate::output::Chunk;
use scap::{
    format::EventBlocks,
    ledger::{LeftOut, Verdict},
    model::may_change,
};

/// Blocks of the window, with what the window has to know of them.
#[derive(Debug)]
pub struct Segment {
    blocks: Blocks,
    /// Where the blocks of events start that may change the machine.
    pub changing: Vec<u32>,
    /// The times of the first and the last event, in ns since the epoch.
    pub first: u64,
    pub latest: u64,
    /// Its part of the balance.
    pub balance: Verdict,
    counted: Counted,
}

/// Whole blocks.
#[derive(Debug)]
enum Blocks {
    /// As they are written.
    Plain(Vec<u8>),
    Packed(Packed),
}

/// Blocks that are packed (LZ4).
#[derive(Debug)]
pub struct Packed {
    bytes: Vec<u8>,
    /// Their size before that.
    len: usize,
}

/// What is not smaller than so many eighths is not packed.
const WORTH: usize = 6;

impl Segment {
    /// Returns its blocks, as they are written.
    pub fn blocks(&self) -> Cow<'_, [u8]> {
        match &self.blocks {
            Blocks::Plain(bytes) => Cow::Borrowed(bytes),
            Blocks::Packed(Packed { bytes, len }) => {
                let plain = lz4_flex::block::decompress(bytes, *len).unwrap_or_else(|error| {
                    tracing::error!("a part of the window cannot be unpacked: {error}");
                    Vec::new()
                });
                Cow::Owned(plain)
            }
        }
    }

    /// Packs its blocks; `None` if that is not worth it.
    pub fn pack(&self) -> Option<Packed> {
        let Blocks::Plain(plain) = &self.blocks else { return None };
        let mut bytes = lz4_flex::block::compress(plain);
        bytes.shrink_to_fit();
        (bytes.len() < plain.len() / 8 * WORTH).then_some(Packed { bytes, len: plain.len() })
    }

    /// Returns the same segment with its blocks packed.
    pub fn with(&self, packed: Packed, gauge: &Gauge) -> Segment {
        let Segment { ref changing, first, latest, balance, .. } = *self;
        let size = packed.bytes.capacity() + changing.len() * size_of::<u32>() + size_of::<Segment>();
        let blocks = Blocks::Packed(packed);
        Segment { blocks, changing: changing.clone(), first, latest, balance, counted: gauge.count(size) }
    }

    /// Returns its memory, to be used again, if it is not packed.
    pub fn into_memory(self) -> Option<Vec<u8>> {
        match self.blocks {
            Blocks::Plain(bytes) => Some(bytes).filter(|bytes| bytes.capacity() > 0),
            Blocks::Packed(_) => None,
        }
    }

    /// Makes a segment of blocks.
    pub fn new(bytes: Vec<u8>, balance: Verdict, gauge: &Gauge) -> Segment {
        Segment::of_size(bytes, balance, gauge, 0)
    }

    /// Makes a segment of blocks that counts at least as `least` bytes.
    pub fn of_size(bytes: Vec<u8>, balance: Verdict, gauge: &Gauge, least: usize) -> Segment {
        let (mut changing, mut first, mut latest) = (Vec::new(), u64::MAX, 0);
        for block in EventBlocks::new(&bytes) {
            if may_change(block.ty()) {
                changing.push(block.start() as u32);
            }
            first = first.min(block.ts());
            latest = latest.max(block.ts());
        }
        changing.shrink_to_fit();
        let size = bytes.capacity() + changing.capacity() * size_of::<u32>() + size_of::<Segment>();
        let counted = gauge.count(size.max(least));
        Segment { blocks: Blocks::Plain(bytes), changing, first: first.min(latest), latest, balance, counted }
    }

    /// Returns the part that a chunk has in the balance.
    pub fn balance_of(chunk: &Chunk) -> Verdict {
        let mut balance =
            Verdict { written: chunk.events, late: chunk.late, losses: chunk.losses, ..*chunk.beside };
        for (cause, count) in chunk.beside.losses.iter() {
            balance.losses.add(cause, count);
        }
        // Events that the recorder left out count as seen where the balance is made.
        balance.left_out = LeftOut { evicted: 0, ..chunk.beside.left_out };
        balance
    }

    /// Returns its memory in bytes.
    pub fn size(&self) -> u64 {
        self.counted.bytes()
    }

    /// Returns its number of events.
    pub fn events(&self) -> u64 {
        self.balance.written
    }
}
