//! Joins an event with the event behind it, if that is its extension.
//!
//! Where both lie in the input's buffer, neither is copied. At the end of the buffer, the event is copied and the next block
//! is read; if it is not the event's extension, it waits for its turn.

use std::{
    io::{BufRead, ErrorKind, Read},
    sync::atomic::Ordering::Relaxed,
};

use super::{
    block::{BlockKind, BlockType, HEADER_LEN, TRAILER_LEN},
    error::ReadError,
    event::{EVENT_HEADER_LEN, EventView, Head},
    fields::Fields,
    input::Input,
    reader::{Reader, longest},
};
use crate::events::{EventType, is_extended};

/// An event that lies checked in a buffer.
#[derive(Debug)]
pub(super) struct Found {
    pub offset: u64,
    pub cpu: u16,
    pub flags: u32,
    pub head: Head,
    pub event: Part,
    /// Its extension, empty if it has none.
    pub extension: Part,
    /// How many bytes of the input's buffer its blocks take.
    pub in_place: usize,
}

/// Where the bytes of an event are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub buffer: Buffer,
    pub start: usize,
    pub len: usize,
}

impl Part {
    pub const EMPTY: Part = Part { buffer: Buffer::Input, start: 0, len: 0 };
}

/// A buffer of the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Buffer {
    /// That of the input.
    Input,
    /// That of a block that is copied.
    Block,
    /// That of a block beyond it.
    Ahead,
}

/// What was read beyond the last event.
#[derive(Debug)]
pub(super) enum Ahead {
    /// The header of a block that has no event.
    Header(BlockType, u32),
    /// An event, and its block.
    Event(Found, BlockType, u32),
    /// That no more can be read.
    Failed(ReadError),
}

/// What a look at the bytes behind an event shows.
enum Behind {
    /// Its extension, and the block of that.
    Extension(Part, BlockType, u32),
    /// Something else.
    Other,
    /// Too few bytes to tell.
    Short,
}

impl<R: Read> Reader<R> {
    /// Returns a view of a found event.
    #[inline]
    pub(super) fn view(&self, found: &Found) -> EventView<'_> {
        EventView::with_head(self.part(found.event), self.part(found.extension), found.head)
    }

    #[inline]
    fn part(&self, part: Part) -> &[u8] {
        let buffer = match part.buffer {
            Buffer::Input => self.input.buffered(),
            Buffer::Block => &self.buf,
            Buffer::Ahead => &self.ahead_buf,
        };
        buffer.get(part.start..part.start + part.len).unwrap_or_default()
    }

    /// Joins the found event with its extension, if it has one.
    ///
    /// Waits for what follows only if events of its kind can have one, or if the next block has begun to arrive.
    /// A failure waits for its turn.
    #[inline]
    pub(super) fn join(&mut self, found: &mut Found) {
        match self.look_behind(found) {
            Behind::Other => {}
            Behind::Extension(at, ty, len) => {
                found.in_place += len as usize;
                self.extend(found, at, (ty, len));
            }
            Behind::Short => self.join_at_end(found),
        }
    }

    fn extend(&mut self, found: &mut Found, extension: Part, (ty, len): (BlockType, u32)) {
        found.extension = extension;
        if let Ok(view) = EventView::parse(self.part(extension), ty.is_large()) {
            found.head = self.view(found).with_extension(&view).head();
        }
        self.passed(ty, len);
    }

    /// Looks for the extension behind the found event in the input's buffer.
    #[inline]
    fn look_behind(&self, found: &Found) -> Behind {
        /// Where an event's type is in it, in bytes.
        const TYPE_AT: usize = 20;
        if self.ahead.is_some() {
            return Behind::Other;
        }
        let buffer = self.input.buffered().get(found.in_place..).unwrap_or_default();
        let mut header = Fields::new(buffer);
        let (Some(ty), Some(block_len)) = (header.u32(), header.u32()) else { return Behind::Short };
        let ty = BlockType(ty);
        let BlockKind::Event { version: 2, flags, large } = ty.kind() else { return Behind::Other };
        let start = HEADER_LEN + size_of::<u16>() + if flags { size_of::<u32>() } else { 0 };
        match buffer.get(start + TYPE_AT..start + TYPE_AT + 2) {
            Some(&[a, b]) if EventType(u16::from_ne_bytes([a, b])).is_extension() => {}
            Some(_) => return Behind::Other,
            None => return Behind::Short,
        }
        let len = block_len as usize;
        if block_len > longest(ty) || len < start + EVENT_HEADER_LEN + TRAILER_LEN {
            return Behind::Other;
        }
        let Some((body, trailer)) = buffer.get(..len).and_then(<[u8]>::split_last_chunk) else {
            return Behind::Short;
        };
        match EventView::parse(&body[start..], large) {
            Ok(event) if u32::from_ne_bytes(*trailer) == block_len && event.extends(&self.view(found)) => {
                let start = found.in_place + start;
                let at = Part { buffer: Buffer::Input, start, len: event.bytes().len() };
                Behind::Extension(at, ty, block_len)
            }
            // What is damaged is found when its turn comes.
            _ => Behind::Other,
        }
    }

    /// Joins the found event with its extension at the end of the input's buffer.
    #[cold]
    fn join_at_end(&mut self, found: &mut Found) {
        let is_at_end = self.input.buffered().len() == found.in_place;
        if is_at_end && !is_extended(found.head.ty(), || self.view(found).generic_code()) {
            return;
        }
        if found.event.buffer == Buffer::Input {
            self.buf.clear();
            let Part { start, len, .. } = found.event;
            self.buf.extend_from_slice(self.input.buffered().get(start..start + len).unwrap_or_default());
            found.event = Part { buffer: Buffer::Block, start: 0, len };
        }
        self.input.consume(std::mem::take(&mut found.in_place));
        if is_at_end && !self.has_more() {
            return;
        }
        match self.read_ahead() {
            Ok(Some(Ahead::Event(next, ty, len))) if self.view(&next).extends(&self.view(found)) => {
                self.extend(found, next.event, (ty, len));
            }
            Ok(ahead) => self.ahead = ahead,
            Err(error) => self.ahead = Some(Ahead::Failed(error)),
        }
    }

    /// Returns whether more comes soon.
    fn has_more(&mut self) -> bool {
        // Decompression has no state in which it could be told to hurry.
        let hurry = self.hurry.clone().filter(|_| matches!(self.input, Input::Plain(_)));
        if let Some(hurry) = &hurry {
            hurry.store(true, Relaxed);
        }
        let filled = loop {
            match self.input.fill_buf() {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                filled => break filled.map(|buffer| !buffer.is_empty()),
            }
        };
        if let Some(hurry) = &hurry {
            hurry.store(false, Relaxed);
        }
        match filled {
            Ok(has_more) => has_more,
            Err(e) if hurry.is_some() && e.kind() == ErrorKind::WouldBlock => false,
            Err(e) => {
                self.ahead = Some(Ahead::Failed(self.failed(e, "header")));
                false
            }
        }
    }

    /// Reads the next block, if it has an event, into the buffer of such blocks.
    fn read_ahead(&mut self) -> Result<Option<Ahead>, ReadError> {
        let Some((ty, len)) = self.block_header()? else { return Ok(None) };
        let BlockKind::Event { version, flags, large } = ty.kind() else {
            return Ok(Some(Ahead::Header(ty, len)));
        };
        std::mem::swap(&mut self.buf, &mut self.ahead_buf);
        let found = self.event_block(ty, len, (version, flags, large));
        std::mem::swap(&mut self.buf, &mut self.ahead_buf);
        let mut found = found?;
        found.event.buffer = Buffer::Ahead;
        Ok(Some(Ahead::Event(found, ty, len)))
    }

    /// Takes the event that was read ahead.
    pub(super) fn take_ahead(&mut self) -> Option<Found> {
        match self.ahead.take()? {
            Ahead::Event(mut found, ty, len) => {
                std::mem::swap(&mut self.buf, &mut self.ahead_buf);
                found.event.buffer = Buffer::Block;
                self.passed(ty, len);
                Some(found)
            }
            other => {
                self.ahead = Some(other);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
