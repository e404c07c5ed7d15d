//! Finds the event of a block. Those that lie whole in the input's buffer, which are most, are not copied.

use std::io::{BufRead, Read};

use super::{
    block::{BlockKind, BlockType, HEADER_LEN, TRAILER_LEN},
    event::EventView,
    fields::Fields,
    legacy,
    reader::{Found, Reader, longest},
};

/// A block with an event of today's form.
struct Intact<'a> {
    ty: BlockType,
    /// The length of the block.
    len: u32,
    cpu: u16,
    flags: u32,
    /// Where the event starts in the block.
    start: usize,
    event: EventView<'a>,
}

impl<'a> Intact<'a> {
    /// Returns the block at the start of a buffer; `None` if it is another one, or damaged, or not there as a whole.
    #[inline]
    fn at_start_of(buffer: &'a [u8]) -> Option<Intact<'a>> {
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
        let (offset, head, in_place) = (self.offset, event.head(), len as usize);
        self.passed(ty, len);
        Some(Found { offset, cpu, flags, start, head, in_place })
    }

    /// Leaves out the next events as long as `passes` says so; it gets where the event's block starts in the uncompressed
    /// capture. Stops before what is not an intact event in memory, and before the last one in memory: whoever waits for
    /// the next one has seen that one.
    pub(crate) fn pass(&mut self, mut passes: impl FnMut(u64, &EventView<'_>) -> bool) {
        if !self.is_sound() {
            return;
        }
        self.leave();
        let buffer = self.input.buffered();
        let mut rest = buffer;
        while let Some(Intact { ty, len, event, .. }) = Intact::at_start_of(rest)
            && rest.len() > len as usize
            && passes(self.offset, &event)
        {
            self.blocks.add(ty);
            self.offset += u64::from(len);
            rest = rest.get(len as usize..).unwrap_or_default();
        }
        let passed = buffer.len() - rest.len();
        self.input.consume(passed);
        self.settle();
    }

    /// Checks the event in the buffer, after making one of an older block one of today's.
    pub(super) fn found(
        &mut self,
        offset: u64,
        version: u8,
        flags: bool,
        large: bool,
    ) -> Result<Found, String> {
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
        Ok(Found { offset, cpu, flags: bits, start, head, in_place: 0 })
    }

    /// Returns the bytes from the start of a found event on.
    #[inline]
    pub(super) fn event_bytes(&self, found: &Found) -> &[u8] {
        let bytes = if found.in_place > 0 { self.input.buffered() } else { &self.buf };
        bytes.get(found.start..).unwrap_or_default()
    }

    /// Leaves the event in the buffer that was returned last.
    #[inline]
    pub(super) fn leave(&mut self) {
        self.input.consume(std::mem::take(&mut self.in_place));
    }
}
