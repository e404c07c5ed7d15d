//! Reading a capture, from a file or a pipe, plain or compressed.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Chain, Cursor, Read},
};

use thiserror::Error;

use super::{
    block::{BlockKind, BlockType, HEADER_LEN, MAX_EVENT_BLOCK, TRAILER_LEN},
    event::{EventView, Head},
    fields::Fields,
    gzip::{self, Members, Place},
    legacy,
    lists::read_block,
    packed::{self, Unpacked},
    state::MachineState,
    writer::{MAGIC, VERSION},
};

/// The longest block that is taken into memory, in bytes. A longer one is a lie, or nothing that any writer makes.
const MAX_BLOCK: u32 = 256 << 20;
/// The longest state of a section, in bytes of its blocks: a million threads, each with all its texts at 1 KiB.
const MAX_STATE: u64 = 1 << 30;
/// Bytes of a section header's fields.
const SECTION_LEN: usize = 4 + 2 + 2 + 8;
const BUFFER: usize = 256 << 10;

/// Why a capture cannot be read, or not further.
///
/// Offsets count the bytes of the capture itself: of a compressed file, those after decompression.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It is something else.
    #[error("not a .scap capture: {0}")]
    NotScap(&'static str),
    /// It is compressed in a way of which nothing can be written.
    #[error("it is compressed by {0}: decompress it first")]
    Packed(&'static str),
    /// It ends in the middle.
    #[error("the capture is cut off: it ends inside the block at byte {offset} ({what})")]
    Truncated {
        /// Where the part starts that is cut off.
        offset: u64,
        /// What it is.
        what: &'static str,
    },
    /// It contradicts itself, or the format.
    #[error("the capture is damaged at byte {offset}: {what}")]
    Corrupt {
        /// Where the block starts that is wrong.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The input cannot be read.
    #[error("reading the capture failed at byte {offset}")]
    Io {
        /// Where the block starts.
        offset: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
}

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
    /// The state that its section started with.
    pub state: &'a MachineState,
    /// The event.
    pub event: EventView<'a>,
}

/// Reads a capture block by block. It never seeks, so a pipe will do.
#[derive(Debug)]
pub struct Reader<R: Read> {
    input: Input<R>,
    /// Where the next block starts.
    offset: u64,
    state: MachineState,
    sections: u32,
    counts: BTreeMap<BlockType, u64>,
    /// Bytes of the section's state so far.
    state_len: u64,
    buf: Vec<u8>,
    done: bool,
}

/// An event that lies checked in the buffer, from `start` on.
struct Found {
    offset: u64,
    cpu: u16,
    flags: u32,
    start: usize,
    head: Head,
}

type Start<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

#[derive(Debug)]
enum Input<R: Read> {
    Plain(Start<R>),
    Gzip(Box<BufReader<Members<Start<R>>>>),
    Packed(Box<BufReader<Unpacked<Start<R>>>>),
}

impl<R: Read> Input<R> {
    /// Looks for what it is compressed by.
    fn of(mut input: R) -> io::Result<Input<R>> {
        let mut start = Vec::new();
        input.by_ref().take(packed::MAGIC_LEN as u64).read_to_end(&mut start)?;
        let (is_gzip, format) = (start.starts_with(&gzip::MAGIC), packed::Format::of(&start));
        let plain = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(input));
        Ok(match format {
            _ if is_gzip => Input::Gzip(Box::new(BufReader::with_capacity(BUFFER, Members::new(plain)))),
            Some(format) => {
                Input::Packed(Box::new(BufReader::with_capacity(BUFFER, Unpacked::new(format, plain))))
            }
            None => Input::Plain(plain),
        })
    }

    fn has_buffered(&self) -> bool {
        match self {
            Input::Plain(r) => !r.buffer().is_empty(),
            Input::Gzip(r) => !r.buffer().is_empty(),
            Input::Packed(r) => !r.buffer().is_empty(),
        }
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Input::Plain(r) => r.read(buf),
            Input::Gzip(r) => r.read(buf),
            Input::Packed(r) => r.read(buf),
        }
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Input::Plain(r) => r.fill_buf(),
            Input::Gzip(r) => r.fill_buf(),
            Input::Packed(r) => r.fill_buf(),
        }
    }

    fn consume(&mut self, n: usize) {
        match self {
            Input::Plain(r) => r.consume(n),
            Input::Gzip(r) => r.consume(n),
            Input::Packed(r) => r.consume(n),
        }
    }
}

impl<R: Read> Reader<R> {
    /// Starts to read: looks for compression (gzip, xz, zstd, bzip2, lz4), and reads the first section's header.
    ///
    /// # Errors
    /// If the input is not a capture, or one of another byte order or newer version, or cannot be read.
    pub fn new(input: R) -> Result<Reader<R>, ReadError> {
        let input = Input::of(input).map_err(|source| ReadError::Io { offset: 0, source })?;
        let mut reader = Reader {
            input,
            offset: 0,
            state: MachineState::default(),
            sections: 0,
            counts: BTreeMap::new(),
            state_len: 0,
            buf: Vec::new(),
            done: false,
        };
        match reader.block_header()? {
            Some((BlockType::SECTION_HEADER, len)) => reader.section_header(len)?,
            Some(_) => return Err(ReadError::NotScap("it does not start with a section header")),
            None => return Err(ReadError::Truncated { offset: 0, what: "it is empty" }),
        }
        Ok(reader)
    }

    /// The state of the machine as far as it was read: complete once [`next_event`](Self::next_event) has returned.
    pub fn state(&self) -> &MachineState {
        &self.state
    }

    /// The section that was read last, counted from 1. Each starts with a state of its own.
    pub fn section(&self) -> u32 {
        self.sections
    }

    /// How many blocks of each type were read so far.
    pub fn block_counts(&self) -> &BTreeMap<BlockType, u64> {
        &self.counts
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
        // Whatever happens below but an event, it is the end.
        self.done = true;
        let Some(Found { offset, cpu, flags, start, head }) = self.advance_to_event()? else {
            return Ok(None);
        };
        self.done = false;
        let event = EventView::with_head(self.buf.get(start..).unwrap_or_default(), head);
        let more = self.input.has_buffered();
        Ok(Some(CapturedEvent {
            cpu,
            flags,
            offset,
            more,
            section: self.sections,
            state: &self.state,
            event,
        }))
    }

    /// Reads blocks until one with an event lies in the buffer.
    fn advance_to_event(&mut self) -> Result<Option<Found>, ReadError> {
        while let Some((ty, len)) = self.block_header()? {
            let offset = self.offset;
            match ty.kind() {
                BlockKind::SectionHeader => self.section_header(len)?,
                BlockKind::Unknown => self.skip(ty, len)?,
                BlockKind::Event { version, flags, large } => {
                    self.body(ty, len)?;
                    let found = self.found(offset, version, flags, large);
                    let found = found.map_err(|what| ReadError::Corrupt { offset, what })?;
                    self.passed(ty, len);
                    return Ok(Some(found));
                }
                kind => {
                    self.state_len += u64::from(len);
                    if self.state_len > MAX_STATE {
                        return Err(self.corrupt(format!("the state takes more than {MAX_STATE} bytes")));
                    }
                    self.body(ty, len)?;
                    read_block(kind, &self.buf, &mut self.state).map_err(|what| self.corrupt(what.into()))?;
                    self.passed(ty, len);
                }
            }
        }
        Ok(None)
    }

    /// Type and length of the next block; `None` at the end of the input.
    fn block_header(&mut self) -> Result<Option<(BlockType, u32)>, ReadError> {
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
    fn body(&mut self, ty: BlockType, len: u32) -> Result<(), ReadError> {
        let max = match ty.kind() {
            // A few writers let the body, not the block, have the full 64 KiB.
            BlockKind::Event { large: false, .. } => (MAX_EVENT_BLOCK + HEADER_LEN) as u32,
            _ => MAX_BLOCK,
        };
        if len > max {
            return Err(self.corrupt(format!("{} of {len} bytes, and at most {max} are allowed", ty.name())));
        }
        let rest = u64::from(len) - HEADER_LEN as u64;
        self.buf.clear();
        // Grows with what is really there, not with what the length says.
        let read = self.input.by_ref().take(rest).read_to_end(&mut self.buf);
        read.map_err(|e| self.failed(e, ty.name()))?;
        if (self.buf.len() as u64) < rest {
            return Err(self.cut(ty.name()));
        }
        let body = self.buf.len() - TRAILER_LEN;
        let trailer = Fields::new(&self.buf[body..]).u32();
        if trailer != Some(len) {
            let what = format!("{} of {len} bytes ends with a length of {}", ty.name(), trailer.unwrap_or(0));
            return Err(self.corrupt(what));
        }
        self.buf.truncate(body);
        Ok(())
    }

    fn skip(&mut self, ty: BlockType, len: u32) -> Result<(), ReadError> {
        // pcapng has the same section header; its next block describes an interface.
        if ty == BlockType(1) && self.counts.len() == 1 {
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
        self.state = MachineState::default();
        self.state_len = 0;
        self.passed(BlockType::SECTION_HEADER, len);
        Ok(())
    }

    /// Checks the event in the buffer, after making one of an older block one of today's.
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
        Ok(Found { offset, cpu, flags: bits, start, head })
    }

    fn passed(&mut self, ty: BlockType, len: u32) {
        *self.counts.entry(ty).or_default() += 1;
        self.offset += u64::from(len);
        if let Input::Gzip(input) = &mut self.input {
            input.get_mut().settle(self.offset);
        }
    }

    fn cut(&self, what: &'static str) -> ReadError {
        ReadError::Truncated { offset: self.offset, what }
    }

    fn corrupt(&self, what: String) -> ReadError {
        ReadError::Corrupt { offset: self.offset, what }
    }

    /// What an error of the input means: decompression reports the damage of its stream so.
    fn failed(&self, source: io::Error, what: &'static str) -> ReadError {
        match (&self.input, source.kind()) {
            (Input::Gzip(_) | Input::Packed(_), io::ErrorKind::UnexpectedEof) => self.cut(what),
            (
                Input::Gzip(_) | Input::Packed(_),
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::OutOfMemory,
            ) => self.corrupt(format!("the compressed data are damaged, in a block's {what}: {source}")),
            _ => ReadError::Io { offset: self.offset, source },
        }
    }
}

/// Whether the first bytes of a file can be those of a section header.
fn is_section_start(bytes: &[u8]) -> bool {
    let ty = BlockType::SECTION_HEADER.0.to_ne_bytes();
    bytes.iter().zip(ty).all(|(byte, expected)| *byte == expected)
}
