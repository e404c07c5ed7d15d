//! Finds what can be kept of a capture, and rewrites it. Nothing here knows about files and names.

use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use flate2::{Compression, write::GzEncoder};

use scap::{
    format::{
        Keep, Place, ReadError, Reader,
        block::{BlockKind, BlockType},
        complete_state, frame_event,
        gzip::Members,
    },
    ledger::{self, Cut, CutCause, Notice},
};

/// What was found in a capture.
#[derive(Debug)]
pub struct Survey {
    /// Whole events.
    pub events: u64,
    /// Where the last whole block ends, in bytes of the uncompressed capture.
    pub end: u64,
    /// What is wrong after it.
    pub damage: Option<ReadError>,
    /// Whether the last section records how it ended: by its balance, or by an earlier repair.
    pub is_closed: bool,
    /// The file is kept as it is up to here.
    keep: Place,
    is_compressed: bool,
    /// The time of the latest event, in ns since the epoch.
    last: Option<u64>,
    /// The kinds of the blocks that are there, if there is no event.
    state: Option<Vec<BlockKind>>,
}

impl Survey {
    /// Reads a capture as far as possible.
    ///
    /// # Errors
    /// If nothing of it can be kept, or it cannot be read.
    pub fn of(input: impl Read) -> Result<Survey, ReadError> {
        let mut reader = Reader::new(input)?.keep(Keep::Machine);
        let (mut last, mut section, mut is_closed, mut events) = (None, 0, false, 0);
        let damage = loop {
            match reader.next_event() {
                Ok(None) => break None,
                Err(error @ ReadError::Io { .. }) => return Err(error),
                Err(error) => break Some(error),
                Ok(Some(captured)) => {
                    is_closed &= captured.section == section;
                    section = captured.section;
                    events += 1;
                    is_closed |= closes(ledger::parse(&captured.event));
                    last = last.max(Some(captured.event.ts()));
                }
            }
        };
        is_closed &= reader.section() == section;
        if let Some(format) = reader.compression().filter(|format| *format != "gzip")
            && (damage.is_some() || !is_closed)
        {
            return Err(ReadError::Packed(format));
        }
        let blocks = reader.block_counts();
        let state: Vec<_> = blocks.keys().map(|ty| ty.kind()).collect();
        if let Some(missing) = missing_state(&reader) {
            return Err(damage.unwrap_or(missing));
        }
        Ok(Survey {
            events,
            end: reader.offset(),
            damage,
            is_closed,
            keep: reader.restart(),
            is_compressed: reader.compression().is_some(),
            last,
            state: (events == 0).then_some(state),
        })
    }

    /// Returns whether it can be read to its end.
    pub fn is_whole(&self) -> bool {
        self.damage.is_none()
    }

    /// Writes what is kept of the capture, and then the notice of what was left out.
    ///
    /// # Errors
    /// If `input` cannot be read, or `out` cannot be written.
    pub fn write(&self, input: &mut (impl Read + Seek), out: &mut impl Write) -> io::Result<Cut> {
        input.seek(SeekFrom::Start(0))?;
        copy(input, self.kept(), out)?;
        self.write_rest(input, out)
    }

    /// Returns how many bytes at the start of the file stay as they are.
    pub fn kept(&self) -> u64 {
        self.keep.file
    }

    /// Writes what follows [the kept bytes](Survey::kept): little, even for a large capture.
    ///
    /// # Errors
    /// As for [`write`](Survey::write).
    pub fn write_rest(&self, input: &mut (impl Read + Seek), out: &mut impl Write) -> io::Result<Cut> {
        let len = input.seek(SeekFrom::End(0))?;
        input.seek(SeekFrom::Start(self.kept()))?;
        let cut = |bytes| Cut { cause: self.cause(), offset: self.end, bytes };
        if !self.is_compressed {
            let cut = cut(len.saturating_sub(self.end));
            out.write_all(&self.tail(&cut))?;
            return Ok(cut);
        }
        // The intact start of the broken member and the notice become a new member.
        let mut members = Members::new(BufReader::new(input));
        let mut packed = GzEncoder::new(out, Compression::fast());
        copy(&mut members, self.end.saturating_sub(self.keep.capture), &mut packed)?;
        let rest = drain(&mut members)?;
        let unread = len.saturating_sub(self.keep.file + members.place().file);
        let cut = cut(rest + unread + members.fruitless());
        packed.write_all(&self.tail(&cut))?;
        packed.finish()?;
        Ok(cut)
    }

    fn cause(&self) -> CutCause {
        match self.damage {
            None => CutCause::Unclosed,
            Some(ReadError::Truncated { .. }) => CutCause::CutOff,
            Some(_) => CutCause::Damaged,
        }
    }

    /// Returns the blocks that a reader needs after the kept ones.
    fn tail(&self, cut: &Cut) -> Vec<u8> {
        let mut tail = Vec::new();
        if let Some(state) = &self.state {
            complete_state(&mut tail, state);
        }
        // The time of the latest event, so that the capture stays in order.
        let ts = self.last.unwrap_or_else(now);
        frame_event(&mut tail, 0, &ledger::notice_of(ledger::CUT, &cut.text(), ts, 0));
        tail
    }
}

/// Returns the error for a capture with neither machine info nor events. The reader must be at its end.
pub(crate) fn missing_state(reader: &Reader<impl Read>) -> Option<ReadError> {
    let is_something = |ty: &BlockType| matches!(ty.kind(), BlockKind::Event { .. } | BlockKind::MachineInfo);
    let missing = || ReadError::Truncated { offset: reader.offset(), what: "machine info" };
    (!reader.block_counts().keys().any(is_something)).then(missing)
}

/// Returns whether a notice ends a section.
fn closes(notice: Option<Notice>) -> bool {
    matches!(notice, Some(Notice::Verdict(_) | Notice::Cut(_)))
}

/// Returns the time in ns since the epoch.
fn now() -> u64 {
    jiff::Timestamp::now().as_nanosecond().try_into().unwrap_or_default()
}

/// Copies exactly that many bytes: they were there before.
fn copy(input: &mut impl Read, bytes: u64, out: &mut impl Write) -> io::Result<()> {
    if io::copy(&mut input.take(bytes), out)? < bytes {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file was truncated while it was repaired",
        ));
    }
    Ok(())
}

/// Returns how many bytes the members still decompress to.
fn drain(members: &mut Members<impl io::BufRead>) -> io::Result<u64> {
    let before = members.place().capture;
    match io::copy(members, &mut io::sink()) {
        Err(e) if !matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) => Err(e),
        _ => Ok(members.place().capture - before),
    }
}
