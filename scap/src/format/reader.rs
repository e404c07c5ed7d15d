//! Reading a capture, from a file or a pipe, plain or compressed.

mod blocks;
mod limit;

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
};

use super::{
    ahead::{Ahead, Found},
    block::{BlockKind, BlockType, HEADER_LEN, MAX_EVENT_BLOCK, TRAILER_LEN},
    error::ReadError,
    event::EventView,
    fields::Fields,
    gzip::Place,
    input::Input,
    keep::{Keep, StateCounts},
    lists::{Lists, MAX_ENTRY, Part},
    packed,
    state::MachineState,
    writer::{MAGIC, VERSION},
};
use blocks::Blocks;

/// The longest block of the state, in bytes. A longer one is a lie, or nothing that any writer makes.
const MAX_BLOCK: u32 = 256 << 20;
/// The longest block of an event beyond 64 KiB, in bytes. It is taken into memory as a whole.
const MAX_LARGE_EVENT: u32 = 16 << 20;
/// The longest section header, in bytes.
const MAX_SECTION_HEADER: u32 = 1 << 20;
/// Bytes of a state's block that are in memory at once.
const WINDOW: usize = 2 * MAX_ENTRY;
/// A state that is beyond its limit is counted on up to that many times the limit, to tell what it needs.
const COUNTED: u64 = 16;
/// Bytes of a section header's fields.
const SECTION_LEN: usize = 4 + 2 + 2 + 8;

/// An event as the capture has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapturedEvent<'a> {
    /// The CPU that it happened on.
    pub cpu: u16,
    /// Flags of the block, 0 for one without.
    pub flags: u32,
    /// Where its block starts in the uncompressed capture, in bytes.
    pub offset: u64,
    /// Whether more of the capture is in memory already; if not, the next event may have to be waited for.
    pub more: bool,
    /// The section that it belongs to, counted from 1.
    pub section: u32,
    /// The state that its section started with, as far as the reader [keeps](Reader::keep) it.
    pub state: &'a MachineState,
    /// The event.
    pub event: EventView<'a>,
}

/// Reads a capture block by block. It never seeks, so a pipe will do.
#[derive(Debug)]
pub struct Reader<R: Read> {
    pub(super) input: Input<R>,
    /// Where the next block starts.
    pub(super) offset: u64,
    lists: Lists,
    sections: u32,
    pub(super) blocks: Blocks,
    keep: Keep,
    max_state: Option<u64>,
    /// Bytes that were read of the file.
    given: Arc<AtomicU64>,
    exceeded: Option<Exceeded>,
    pub(super) buf: Vec<u8>,
    /// The length of the blocks at the start of the input's buffer whose event was returned last, or 0.
    pub(super) in_place: usize,
    /// What was read beyond the last event, and its bytes.
    pub(super) ahead: Option<Ahead>,
    pub(super) ahead_buf: Vec<u8>,
    pub(super) hurry: Option<Arc<AtomicBool>>,
    done: bool,
}

/// The limit that the state of the section has exceeded.
#[derive(Debug, Clone, Copy)]
struct Exceeded {
    offset: u64,
    limit: u64,
    given: Option<u64>,
}

impl<R: Read> Reader<R> {
    /// Starts to read: looks for compression (gzip, xz, zstd, bzip2, lz4), and reads the first section's header.
    ///
    /// # Errors
    /// If the input is not a capture, or one of another byte order or newer version, or cannot be read.
    pub fn new(input: R) -> Result<Reader<R>, ReadError> {
        let given = Arc::new(AtomicU64::new(0));
        let input = Input::of(input, given.clone()).map_err(|source| ReadError::Io { offset: 0, source })?;
        let mut reader = Reader {
            input,
            offset: 0,
            lists: Lists::default(),
            sections: 0,
            blocks: Blocks::default(),
            keep: Keep::All,
            max_state: None,
            given,
            exceeded: None,
            buf: Vec::new(),
            in_place: 0,
            ahead: None,
            ahead_buf: Vec::new(),
            hurry: None,
            done: false,
        };
        match reader.block_header()? {
            Some((BlockType::SECTION_HEADER, len)) => reader.section_header(len)?,
            Some(_) => return Err(ReadError::NotScap("it does not start with a section header")),
            None => return Err(ReadError::Truncated { offset: 0, what: "it is empty" }),
        }
        Ok(reader)
    }

    /// Sets what is kept of the state of each section, everything by default. To be called before the first event is read.
    #[must_use]
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self.lists = Lists::new(keep);
        self
    }

    /// Sets a flag that is set while an event is held back until it is known whether its extension follows. Meanwhile, the input
    /// should fail with [`io::ErrorKind::WouldBlock`] instead of waiting for long; the event is then returned as it is.
    #[must_use]
    pub fn hurry(mut self, flag: Arc<AtomicBool>) -> Self {
        self.hurry = Some(flag);
        self
    }

    /// The state of the machine as far as it was read and is [kept](Reader::keep): complete once
    /// [`next_event`](Self::next_event) has returned.
    pub fn state(&self) -> &MachineState {
        self.lists.state()
    }

    /// How many entries the state has, kept or not.
    pub fn state_counts(&self) -> StateCounts {
        self.lists.counts()
    }

    /// Drops the state of this section, but for [`MachineState::machine`].
    pub fn forget_state(&mut self) {
        self.lists.forget();
    }

    /// The section that was read last, counted from 1. Each starts with a state of its own.
    pub fn section(&self) -> u32 {
        self.sections
    }

    /// How many blocks of each type were read so far.
    pub fn block_counts(&self) -> BTreeMap<BlockType, u64> {
        self.blocks.counts()
    }

    /// Where the next block starts in the uncompressed capture, in bytes: its length, after the last event. After an
    /// error, where the block starts that is cut off or damaged.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What the file is compressed by, if it is.
    pub fn compression(&self) -> Option<&'static str> {
        match &self.input {
            Input::Plain(_) => None,
            Input::Gzip(_) => Some("gzip"),
            Input::Packed(input) => Some(input.get_ref().format().name()),
        }
    }

    /// The last place at or before [`offset`](Self::offset) from which on the file can be read again: of a gzip file, the
    /// start of a member; of one that is compressed in another way, its start.
    pub fn restart(&mut self) -> Place {
        match &mut self.input {
            Input::Plain(_) => Place { file: self.offset, capture: self.offset },
            Input::Gzip(input) => input.get_mut().settle(self.offset),
            Input::Packed(_) => Place::default(),
        }
    }

    /// The next event, `None` after the last one, and after an error.
    ///
    /// # Errors
    /// If the capture is cut off or damaged here, or cannot be read. All before it has been returned.
    pub fn next_event(&mut self) -> Result<Option<CapturedEvent<'_>>, ReadError> {
        if self.done {
            return Ok(None);
        }
        self.leave();
        let is_plain = self.exceeded.is_none() && self.ahead.is_none();
        let mut found = match if is_plain { self.found_in_place() } else { self.take_ahead() } {
            Some(found) => found,
            None => {
                // Whatever happens here but an event, it is the end.
                self.done = true;
                let Some(found) = self.advance_to_event()? else { return Ok(None) };
                self.done = false;
                found
            }
        };
        self.join(&mut found);
        self.in_place = found.in_place;
        Ok(Some(CapturedEvent {
            cpu: found.cpu,
            flags: found.flags,
            offset: found.offset,
            more: self.ahead.is_some() || self.input.buffered().len() > found.in_place,
            section: self.sections,
            state: self.lists.state(),
            event: self.view(&found),
        }))
    }

    /// Reads blocks until one with an event lies in the buffer.
    fn advance_to_event(&mut self) -> Result<Option<Found>, ReadError> {
        while let Some((ty, len)) = self.block_header()? {
            match ty.kind() {
                BlockKind::SectionHeader => {
                    self.within_limit(false)?;
                    self.section_header(len)?;
                }
                BlockKind::Unknown => self.skip(ty, len)?,
                BlockKind::Event { version, flags, large } => {
                    self.within_limit(false)?;
                    let found = self.event_block(ty, len, (version, flags, large))?;
                    self.passed(ty, len);
                    return Ok(Some(found));
                }
                kind => self.state_block(kind, ty, len)?,
            }
        }
        self.within_limit(false)?;
        Ok(None)
    }

    /// Reads a block of the state, which may be longer than what should be in memory at once.
    fn state_block(&mut self, kind: BlockKind, ty: BlockType, len: u32) -> Result<(), ReadError> {
        self.check_len(ty, len, MAX_BLOCK)?;
        let mut rest = len as usize - HEADER_LEN - TRAILER_LEN;
        let mut is_first = true;
        self.buf.clear();
        loop {
            let more = rest.min(WINDOW - self.buf.len());
            self.fill(more, ty)?;
            rest -= more;
            let is_last = rest == 0;
            if is_last {
                self.trailer(ty, len)?;
            }
            let limit = self.state_limit();
            let part = Part { bytes: &self.buf, is_first, is_last };
            let read = self.lists.read(kind, part, limit).map_err(|what| self.corrupt(what.into()))?;
            self.buf.drain(..read);
            if self.exceeded.is_none() && self.lists.memory() > limit {
                self.exceeded = Some(Exceeded { offset: self.offset, limit, given: self.given() });
            }
            self.within_limit(true)?;
            if is_last {
                break;
            }
            is_first = false;
        }
        self.passed(ty, len);
        Ok(())
    }

    /// Type and length of the next block; `None` at the end of the input.
    pub(super) fn block_header(&mut self) -> Result<Option<(BlockType, u32)>, ReadError> {
        match self.ahead.take() {
            Some(Ahead::Header(ty, len)) => return Ok(Some((ty, len))),
            Some(Ahead::Failed(error)) => return Err(error),
            _ => {}
        }
        const NO_SECTION: ReadError = ReadError::NotScap("it does not start with a section header");
        let mut header = [0; HEADER_LEN];
        let mut got = 0;
        while got < HEADER_LEN {
            match self.input.read(&mut header[got..]) {
                Ok(0) if got == 0 => return Ok(None),
                Ok(0) if self.sections == 0 && !is_section_start(&header[..got]) => return Err(NO_SECTION),
                Ok(0) => return Err(self.cut("header")),
                Ok(n) => got += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed(e, "header")),
            }
        }
        let [a, b, c, d, len @ ..] = header;
        let (ty, len) = (BlockType(u32::from_ne_bytes([a, b, c, d])), u32::from_ne_bytes(len));
        if self.sections == 0 && ty != BlockType::SECTION_HEADER {
            return Err(NO_SECTION);
        }
        // The length of a section header of the other byte order is for its magic to explain.
        if len < (HEADER_LEN + TRAILER_LEN) as u32 {
            return Err(self.corrupt(format!("a block cannot have {len} bytes")));
        }
        Ok(Some((ty, len)))
    }

    /// Reads a block's body into the buffer, and checks its trailer.
    pub(super) fn body(&mut self, ty: BlockType, len: u32) -> Result<(), ReadError> {
        self.check_len(ty, len, longest(ty))?;
        self.buf.clear();
        self.fill(len as usize - HEADER_LEN, ty)?;
        let body = self.buf.len() - TRAILER_LEN;
        let trailer = Fields::new(&self.buf[body..]).u32();
        self.buf.truncate(body);
        self.check_trailer(ty, len, trailer)
    }

    fn check_len(&self, ty: BlockType, len: u32, max: u32) -> Result<(), ReadError> {
        if len <= max {
            return Ok(());
        }
        Err(self.corrupt(format!("{} of {len} bytes, and at most {max} are allowed", ty.name())))
    }

    /// Appends so many bytes of a block to the buffer.
    fn fill(&mut self, bytes: usize, ty: BlockType) -> Result<(), ReadError> {
        // Grows with what is really there, not with what the length says.
        let read = self.input.by_ref().take(bytes as u64).read_to_end(&mut self.buf);
        if read.map_err(|e| self.failed(e, ty.name()))? < bytes {
            return Err(self.cut(ty.name()));
        }
        Ok(())
    }

    /// Reads a block's trailer.
    fn trailer(&mut self, ty: BlockType, len: u32) -> Result<(), ReadError> {
        let mut trailer = [0; TRAILER_LEN];
        self.input.read_exact(&mut trailer).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => self.cut(ty.name()),
            _ => self.failed(e, ty.name()),
        })?;
        self.check_trailer(ty, len, Some(u32::from_ne_bytes(trailer)))
    }

    fn check_trailer(&self, ty: BlockType, len: u32, trailer: Option<u32>) -> Result<(), ReadError> {
        if trailer == Some(len) {
            return Ok(());
        }
        let what = format!("{} of {len} bytes ends with a length of {}", ty.name(), trailer.unwrap_or(0));
        Err(self.corrupt(what))
    }

    fn skip(&mut self, ty: BlockType, len: u32) -> Result<(), ReadError> {
        // pcapng has the same section header; its next block describes an interface.
        if ty == BlockType(1) && self.sections == 1 && self.blocks.last == (BlockType::SECTION_HEADER, 1) {
            return Err(ReadError::NotScap("it is a pcapng file with packets"));
        }
        let rest = u64::from(len) - HEADER_LEN as u64;
        let skipped = io::copy(&mut self.input.by_ref().take(rest), &mut io::sink());
        if skipped.map_err(|e| self.failed(e, "unknown type"))? < rest {
            return Err(self.cut("unknown type"));
        }
        self.passed(ty, len);
        Ok(())
    }

    fn section_header(&mut self, len: u32) -> Result<(), ReadError> {
        let first = self.sections == 0;
        let input = self.input.fill_buf();
        // Another byte order makes the length meaningless: look ahead.
        if input.is_ok_and(|b| b.starts_with(&MAGIC.swap_bytes().to_ne_bytes())) {
            return Err(ReadError::NotScap("it was written on a machine of the other byte order"));
        }
        self.body(BlockType::SECTION_HEADER, len)?;
        let mut f = Fields::new(&self.buf);
        let (magic, major) = (f.u32(), f.u16());
        if magic != Some(MAGIC) || self.buf.len() < SECTION_LEN {
            return Err(if first {
                ReadError::NotScap("its section header lacks the format's magic")
            } else {
                self.corrupt("a section header without the format's magic".into())
            });
        }
        if major != Some(VERSION.0) {
            return Err(ReadError::NotScap("the version of its format is not 1"));
        }
        self.sections = self.sections.saturating_add(1);
        self.lists = Lists::new(self.keep);
        self.passed(BlockType::SECTION_HEADER, len);
        Ok(())
    }

    pub(super) fn passed(&mut self, ty: BlockType, len: u32) {
        self.blocks.add(ty);
        self.offset += u64::from(len);
        self.settle();
    }

    /// Has the input know how far the capture has been read.
    #[inline]
    pub(super) fn settle(&mut self) {
        if let Input::Gzip(input) = &mut self.input {
            input.get_mut().settle(self.offset);
        }
    }

    /// Returns whether nothing has ended the reading or is about to.
    #[inline]
    pub(super) fn is_sound(&self) -> bool {
        !self.done && self.exceeded.is_none()
    }

    fn cut(&self, what: &'static str) -> ReadError {
        ReadError::Truncated { offset: self.offset, what }
    }

    fn corrupt(&self, what: String) -> ReadError {
        ReadError::Corrupt { offset: self.offset, what }
    }

    /// What an error of the input means: decompression reports the damage of its stream so.
    pub(super) fn failed(&self, source: io::Error, what: &'static str) -> ReadError {
        match (&self.input, source.kind()) {
            (Input::Gzip(_) | Input::Packed(_), io::ErrorKind::UnexpectedEof) => self.cut(what),
            (Input::Packed(_), io::ErrorKind::OutOfMemory) => self.corrupt(packed::too_much_memory()),
            (Input::Gzip(_) | Input::Packed(_), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
                self.corrupt(format!("the compressed data are damaged, in a block's {what}: {source}"))
            }
            _ => ReadError::Io { offset: self.offset, source },
        }
    }
}

/// Returns the greatest length of a block that is taken into memory as a whole, in bytes.
#[inline]
pub(super) fn longest(ty: BlockType) -> u32 {
    match ty.kind() {
        // A few writers let the body, not the block, have the full 64 KiB.
        BlockKind::Event { large: false, .. } => (MAX_EVENT_BLOCK + HEADER_LEN) as u32,
        BlockKind::Event { large: true, .. } => MAX_LARGE_EVENT,
        _ => MAX_SECTION_HEADER,
    }
}

/// Whether the first bytes of a file can be those of a section header.
fn is_section_start(bytes: &[u8]) -> bool {
    let ty = BlockType::SECTION_HEADER.0.to_ne_bytes();
    bytes.iter().zip(ty).all(|(byte, expected)| *byte == expected)
}

#[cfg(test)]
mod tests;
