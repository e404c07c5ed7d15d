//! A part of the window: the blocks of one of the recorder's chunks.

use std::borrow::Cow;

use super::gauge::{Counted, Gauge};
use crate::output::Chunk;
use scap::{
    format::EventBlocks,
    ledger::{LeftOut, Verdict},
    model::Change,
};

/// Blocks of the window, with what the window has to know of them.
#[derive(Debug)]
pub struct Segment {
    blocks: Blocks,
    pub index: Index,
    /// Its part of the balance.
    pub balance: Verdict,
    counted: Counted,
}

/// What is known of blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// Where the blocks of events start that may change the machine.
    pub changing: Vec<u32>,
    /// The times of the first and the last event, in ns since the epoch.
    pub first: u64,
    pub latest: u64,
}

impl Index {
    /// Looks at each block.
    pub fn of(blocks: &[u8]) -> Index {
        let (mut changing, mut first, mut latest) = (Vec::new(), u64::MAX, 0);
        let mut before = None;
        for block in EventBlocks::new(blocks) {
            let start = block.start() as u32;
            let changed = match Change::of(block.ty()) {
                Change::Nothing => None,
                Change::ByItself => Some(start),
                Change::ByExtending => before,
            };
            if changed > changing.last().copied() {
                changing.extend(changed);
            }
            before = Some(start);
            first = first.min(block.ts());
            latest = latest.max(block.ts());
        }
        changing.shrink_to_fit();
        Index { changing, first: first.min(latest), latest }
    }
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
        let index = self.index.clone();
        let size = packed.bytes.capacity() + index.changing.len() * size_of::<u32>() + size_of::<Segment>();
        let blocks = Blocks::Packed(packed);
        Segment { blocks, index, balance: self.balance, counted: gauge.count(size) }
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
        let index = Index::of(&bytes);
        Segment::of_size(bytes, index, balance, gauge, 0)
    }

    /// Makes a segment of blocks, and what is known of these, that counts at least as `least` bytes.
    pub fn of_size(bytes: Vec<u8>, index: Index, balance: Verdict, gauge: &Gauge, least: usize) -> Segment {
        let size = bytes.capacity() + index.changing.capacity() * size_of::<u32>() + size_of::<Segment>();
        let counted = gauge.count(size.max(least));
        Segment { blocks: Blocks::Plain(bytes), index, balance, counted }
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

#[cfg(test)]
mod tests {
    use super::*;
    use scap::{
        events::{EXTENSIONS, Effect, Event, Extends, event, event_by_program},
        format::{EventBuilder, frame_event},
    };

    /// Appends an event without parameters; returns where its block starts.
    fn add(blocks: &mut Vec<u8>, row: &'static Event) -> u32 {
        let start = blocks.len() as u32;
        frame_event(blocks, 0, &EventBuilder::new(row, 7, 1).build_short().unwrap());
        start
    }

    fn changes(row: &Event) -> bool {
        row.takes_effect() || row.effect() == Some(Effect::Clone)
    }

    #[test]
    fn an_event_changes_the_machine_by_itself_or_with_what_extends_it() {
        let (mut blocks, mut expected) = (Vec::new(), Vec::new());
        for row in EXTENSIONS.iter() {
            let extended = match row.extends {
                Extends::Event(ty) => event(ty).unwrap(),
                Extends::Call(_) if row.own.ty.is_enter() => event_by_program("generic_e").unwrap(),
                Extends::Call(_) => event_by_program("generic_x").unwrap(),
                Extends::Nothing => {
                    let start = add(&mut blocks, &row.own);
                    expected.extend(changes(&row.own).then_some(start));
                    continue;
                }
            };
            // First without the extension.
            let starts = [add(&mut blocks, extended), add(&mut blocks, extended)];
            add(&mut blocks, &row.own);
            expected.extend(changes(extended).then_some(starts[0]));
            expected.extend(changes(&row.joined).then_some(starts[1]));
        }
        assert_eq!(Index::of(&blocks), Index { changing: expected.clone(), first: 7, latest: 7 });
        // Some of each kind.
        assert!(expected.len() > 20 && expected.len() < EXTENSIONS.len());
        // An extension whose event is not there changes nothing.
        let mut alone = Vec::new();
        add(&mut alone, &EXTENSIONS.iter().find(|row| changes(&row.joined)).unwrap().own);
        assert_eq!(Index::of(&alone).changing, [0; 0]);
    }
}
