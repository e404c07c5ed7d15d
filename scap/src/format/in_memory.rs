//! The events of blocks that are in memory as a recorder framed them.

use super::{
    block::{BlockKind, BlockType, HEADER_LEN},
    event::EventView,
    fields::Fields,
    in_place::Intact,
};
use crate::events::EventType;

/// Iterates over the event blocks of a sequence of whole blocks. Ends at what is no block of an event: these blocks are not
/// untrusted input.
#[derive(Debug, Clone)]
pub struct EventBlocks<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A block with an event, of which only what stands at fixed places was looked at.
#[derive(Debug, Clone, Copy)]
pub struct EventBlock<'a> {
    bytes: &'a [u8],
    start: usize,
    len: usize,
    ts: u64,
    ty: EventType,
}

/// An event of a block, with the one that extends it.
#[derive(Debug, Clone, Copy)]
pub struct BlockEvent<'a> {
    /// The CPU that it was recorded on.
    pub cpu: u16,
    /// The flags of the block.
    pub flags: u32,
    /// The event.
    pub event: EventView<'a>,
    /// Where the block of the event ends, or that of its extension, in bytes from the start of all blocks.
    pub end: usize,
}

impl<'a> EventBlocks<'a> {
    /// Iterates over blocks.
    pub fn new(bytes: &'a [u8]) -> EventBlocks<'a> {
        EventBlocks::from(bytes, 0)
    }

    /// Iterates over the blocks from this place on.
    pub fn from(bytes: &'a [u8], at: usize) -> EventBlocks<'a> {
        EventBlocks { bytes, at }
    }
}

impl<'a> Iterator for EventBlocks<'a> {
    type Item = EventBlock<'a>;

    #[inline]
    fn next(&mut self) -> Option<EventBlock<'a>> {
        let start = self.at;
        let rest = self.bytes.get(start..)?;
        let mut f = Fields::new(rest);
        let (ty, len) = (BlockType(f.u32()?), f.u32()? as usize);
        let BlockKind::Event { version: 2, flags, .. } = ty.kind() else { return None };
        if len < HEADER_LEN || len > rest.len() {
            return None;
        }
        f.u16()?;
        if flags {
            f.u32()?;
        }
        let (ts, _tid, _len, ty) = (f.u64()?, f.u64()?, f.u32()?, EventType(f.u16()?));
        self.at = start + len;
        Some(EventBlock { bytes: self.bytes, start, len, ts, ty })
    }
}

impl<'a> EventBlock<'a> {
    /// Returns where the block starts, in bytes from the start of all blocks.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Returns the time of the event, in ns since the epoch.
    pub fn ts(&self) -> u64 {
        self.ts
    }

    /// Returns the type of the event.
    pub fn ty(&self) -> EventType {
        self.ty
    }

    /// Returns the event, with the one of the next block if that extends it; `None` if the event is malformed.
    pub fn event(&self) -> Option<BlockEvent<'a>> {
        let at = |start: usize| Intact::at_start_of(self.bytes.get(start..)?);
        let end = self.start + self.len;
        let Intact { cpu, flags, event, .. } = at(self.start)?;
        match at(end) {
            Some(next) if next.event.extends(&event) => {
                let end = end + next.len as usize;
                Some(BlockEvent { cpu, flags, event: event.with_extension(&next.event), end })
            }
            _ => Some(BlockEvent { cpu, flags, event, end }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        events::event_by_program,
        format::{EventBuilder, FOR_NAMES, Value, frame_event, frame_for_names},
    };

    fn generic(ts: u64, code: u16) -> Vec<u8> {
        let row = event_by_program("generic_x").unwrap();
        let id = EventBuilder::new(row, ts, 7).param(Value::Syscall(code)).unwrap();
        id.param(Value::Uint(39)).unwrap().build().unwrap()
    }

    #[test]
    fn events_are_found_with_their_flags() {
        let mut bytes = Vec::new();
        frame_event(&mut bytes, 3, &generic(100, 16));
        let second = bytes.len();
        frame_for_names(&mut bytes, 5, &generic(200, 17));
        let found: Vec<_> = EventBlocks::new(&bytes)
            .map(|block| {
                let BlockEvent { cpu, flags, event, end } = block.event().unwrap();
                assert_eq!((event.ts(), event.ty()), (block.ts(), block.ty()));
                (block.start(), end, cpu, flags, event.ts(), event.generic_code())
            })
            .collect();
        assert_eq!(found, [(0, second, 3, 0, 100, 16), (second, bytes.len(), 5, FOR_NAMES, 200, 17)]);
        assert_eq!(EventBlocks::from(&bytes, second).count(), 1);
        // What is not whole, or no event, ends it.
        assert_eq!(EventBlocks::new(&bytes[..bytes.len() - 1]).count(), 1);
        assert_eq!(EventBlocks::new(&[0; 64]).count(), 0);
    }
}
