//! Finds the event of a block. Those that lie whole in the input's buffer, which are most, are not copied.

use std::io::{BufRead, Read};

use super::{
    ahead::{Buffer, Found, Part},
    block::{BlockKind, BlockType, HEADER_LEN, TRAILER_LEN},
    error::ReadError,
    event::EventView,
    fields::Fields,
    legacy,
    reader::Reader,
};

impl<R: Read> Reader<R> {
    /// Takes the next block if it has an intact event of today's form and lies in the input's buffer. Everything else
    /// is left to be read in the usual way, which also finds what is wrong with it.
    #[inline]
    pub(super) fn found_in_place(&mut self) -> Option<Found> {
        let buffer = self.input.buffered();
        let mut header = Fields::new(buffer.get(..HEADER_LEN)?);
        let (ty, len) = (BlockType(header.u32()?), header.u32()?);
        let BlockKind::Event { version: 2, flags, large } = ty.kind() else { return None };
        let body_end = (len as usize).checked_sub(TRAILER_LEN)?;
        let block = buffer.get(..len as usize).filter(|_| len <= Self::longest(ty))?;
        if Fields::new(block.get(body_end..)?).u32() != Some(len) {
            return None;
        }
        let mut body = Fields::new(block.get(HEADER_LEN..body_end)?);
        let (cpu, bits) = (body.u16()?, if flags { body.u32()? } else { 0 });
        let start = body_end - body.left();
        let head = EventView::parse(body.rest(), large).ok()?.head();
        let event = Part { buffer: Buffer::Input, start, len: head.len() };
        let (offset, in_place) = (self.offset, len as usize);
        let found = Found { offset, cpu, flags: bits, head, event, extension: Part::EMPTY, in_place };
        self.passed(ty, len);
        Some(found)
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
