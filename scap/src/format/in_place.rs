//! Finds the event of a block. Those that lie whole in the input's buffer, which are most, are not copied.

use std::io::{BufRead, Read};

use super::{
    ahead::{Buffer, Found, Part},
    block::{BlockKind, BlockType, HEADER_LEN, TRAILER_LEN},
    error::ReadError,
    event::EventView,
    fields::Fields,
    legacy,
    reader::{Reader, longest},
};

/// A block with an event of today's form.
pub(super) struct Intact<'a> {
    ty: BlockType,
    /// The length of the block.
    pub len: u32,
    pub cpu: u16,
    pub flags: u32,
    /// Where the event starts in the block.
    start: usize,
    pub event: EventView<'a>,
}

impl<'a> Intact<'a> {
    /// Returns the block at the start of a buffer; `None` if it is another one, or damaged, or not there as a whole.
    #[inline]
    pub fn at_start_of(buffer: &'a [u8]) -> Option<Intact<'a>> {
        let mut header = Fields::new(buffer.get(..HEADER_LEN)?);
        let (ty, len) = (BlockType(header.u32()?), header.u32()?);
        let BlockKind::Event { version: 2, flags, large } = ty.kind() else { return None };
        let body_end = (len as usize).checked_sub(TRAILER_LEN)?;
        let block = buffer.get(..len as usize).filter(|_| len <= longest(ty))?;
        if Fields::new(block.get(body_end..)?).u32() != Some(len) {
            return None;
        }
        let mut body = Fields::new(block.get(HEADER_LEN..body_end)?);
        let (cpu, flags) = (body.u16()?, if flags { body.u32()? } else { 0 });
        let start = body_end - body.left();
        let event = EventView::parse(body.rest(), large).ok()?;
        Some(Intact { ty, len, cpu, flags, start, event })
    }
}

impl<R: Read> Reader<R> {
    /// Takes the next block if it has an intact event of today's form and lies in the input's buffer. Everything else
    /// is left to be read in the usual way, which also finds what is wrong with it.
    #[inline]
    pub(super) fn found_in_place(&mut self) -> Option<Found> {
        let Intact { ty, len, cpu, flags, start, event } = Intact::at_start_of(self.input.buffered())?;
        let head = event.head();
        let event = Part { buffer: Buffer::Input, start, len: head.len() };
        let (offset, in_place) = (self.offset, len as usize);
        self.passed(ty, len);
        Some(Found { offset, cpu, flags, head, event, extension: Part::EMPTY, in_place })
    }

    /// Leaves out the next events as long as `passes` says so; it gets where the event's block starts in the uncompressed
    /// capture, and the event with its extension. Stops before what is not an intact event in memory, and before the last
    /// one in memory: its extension may still come, and whoever waits for the next one has seen that one.
    pub(crate) fn pass(&mut self, mut passes: impl FnMut(u64, &EventView<'_>) -> bool) {
        if !self.is_sound() || self.ahead.is_some() {
            return;
        }
        self.leave();
        let buffer = self.input.buffered();
        let block_at = |start: usize| Intact::at_start_of(buffer.get(start..).unwrap_or_default());
        let mut start = 0;
        let mut block = block_at(start);
        while let Some(Intact { ty, len, mut event, .. }) = block {
            let mut end = start + len as usize;
            let Some(mut next) = block_at(end) else { break };
            let extension = next.event.extends(&event).then_some((next.ty, next.len));
            if let Some((_, len)) = extension {
                event = event.with_extension(&next.event);
                end += len as usize;
                let Some(behind) = block_at(end) else { break };
                next = behind;
            }
            if !passes(self.offset, &event) {
                break;
            }
            for (ty, len) in [Some((ty, len)), extension].into_iter().flatten() {
                self.blocks.add(ty);
                self.offset += u64::from(len);
            }
            (start, block) = (end, Some(next));
        }
        self.input.consume(start);
        self.settle();
    }

    /// Reads the body of a block with an event into the buffer, and checks the event. One of an older block is made one of
    /// today's.
    pub(super) fn event_block(
        &mut self,
        ty: BlockType,
        len: u32,
        (version, flags, large): (u8, bool, bool),
    ) -> Result<Found, ReadError> {
        self.body(ty, len)?;
        let offset = self.offset;
        self.found(offset, version, flags, large).map_err(|what| ReadError::Corrupt { offset, what })
    }

    fn found(&mut self, offset: u64, version: u8, flags: bool, large: bool) -> Result<Found, String> {
        let mut f = Fields::new(&self.buf);
        let cpu = f.u16();
        let bits = if flags { f.u32() } else { Some(0) };
        let (Some(cpu), Some(bits)) = (cpu, bits) else {
            return Err("an event block without an event".into());
        };
        let start = self.buf.len() - f.left();
        if version < 2 {
            legacy::add_nparams(&mut self.buf, start)?;
        }
        let event = self.buf.get(start..).unwrap_or_default();
        let head = EventView::parse(event, large).map_err(|e| e.to_string())?.head();
        let event = Part { buffer: Buffer::Block, start, len: head.len() };
        Ok(Found { offset, cpu, flags: bits, head, event, extension: Part::EMPTY, in_place: 0 })
    }

    /// Leaves the event in the buffer that was returned last.
    #[inline]
    pub(super) fn leave(&mut self) {
        self.input.consume(std::mem::take(&mut self.in_place));
    }
}
