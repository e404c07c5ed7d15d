//! Decompresses captures that a hook or a user has compressed with xz, zstd, bzip2 or lz4.
//!
//! A file may have several streams, as the format's own tool allows. Memory is bounded: files that need a larger
//! dictionary are refused. The contents of the last window of a truncated zstd file are lost.

use std::{
    fmt,
    io::{self, BufRead, ErrorKind, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use bzip2::bufread::MultiBzDecoder;
use lz4_flex::frame::FrameDecoder as Lz4Decoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder as ZstdDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

/// The memory that decompression may take, in MiB: `xz -9` has a dictionary of 64 MiB, `zstd --ultra` a window of 128 MiB.
const MAX_MEMORY_MIB: u32 = 136;

/// What is said of a file that takes more.
pub(crate) fn too_much_memory() -> String {
    format!("its decompression needs more memory than {MAX_MEMORY_MIB} MiB: decompress it first")
}

/// A compression format other than gzip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Xz,
    Zstd,
    Bzip2,
    Lz4,
}

/// The length of the longest magic below in bytes.
pub(crate) const MAGIC_LEN: usize = 6;

const MAGICS: [(&[u8], Format); 4] = [
    (b"\xfd7zXZ\0", Format::Xz),
    (b"\x28\xb5\x2f\xfd", Format::Zstd),
    (b"BZh", Format::Bzip2),
    (b"\x04\x22\x4d\x18", Format::Lz4),
];

impl Format {
    /// Detects the format from the first bytes of a file.
    pub fn of(start: &[u8]) -> Option<Format> {
        MAGICS.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, format)| *format)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Format::Xz => "xz",
            Format::Zstd => "zstd",
            Format::Bzip2 => "bzip2",
            Format::Lz4 => "lz4",
        }
    }
}

/// Decompresses a file. Its errors are [`ErrorKind::InvalidData`] for invalid compressed data,
/// [`ErrorKind::UnexpectedEof`] for a truncated file, [`ErrorKind::OutOfMemory`] at the memory limit, and those of the
/// input.
pub(crate) struct Unpacked<R: Read> {
    format: Format,
    decoder: Decoder<R>,
    seen: Arc<Seen>,
}

enum Decoder<R: Read> {
    Xz(Box<XzReader<Watched<R>>>),
    Zstd(Box<Zstd<Watched<R>>>),
    Bzip2(Box<MultiBzDecoder<Watched<R>>>),
    Lz4(Box<Lz4<R>>),
}

/// What happened to the input; decoders hide it in errors of their own.
#[derive(Debug, Default)]
struct Seen {
    /// A decoder has read at the end of the input.
    end: AtomicBool,
    failure: AtomicBool,
}

struct Watched<R> {
    input: R,
    seen: Arc<Seen>,
}

impl Seen {
    /// Notes the result of a read.
    fn note(&self, read: Result<usize, &io::Error>) {
        match read {
            Ok(0) => self.end.store(true, Relaxed),
            Err(e) if e.kind() != ErrorKind::Interrupted => self.failure.store(true, Relaxed),
            _ => {}
        }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buf);
        if !buf.is_empty() {
            self.seen.note(read.as_ref().copied());
        }
        read
    }
}

impl<R: BufRead> BufRead for Watched<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let filled = self.input.fill_buf();
        self.seen.note(filled.as_ref().map(|bytes| bytes.len()));
        filled
    }

    fn consume(&mut self, n: usize) {
        self.input.consume(n);
    }
}

impl<R: BufRead> Unpacked<R> {
    /// Creates the decoder of a file in this format.
    pub fn new(format: Format, input: R) -> Self {
        let seen = Arc::new(Seen::default());
        let input = Watched { input, seen: seen.clone() };
        let decoder = match format {
            Format::Xz => Decoder::Xz(Box::new(XzReader::new_mem_limit(input, true, MAX_MEMORY_MIB << 10))),
            Format::Zstd => {
                Decoder::Zstd(Box::new(Zstd { input, decoder: ZstdDecoder::new(), is_inside: false }))
            }
            Format::Bzip2 => Decoder::Bzip2(Box::new(MultiBzDecoder::new(input))),
            Format::Lz4 => Decoder::Lz4(Box::new(Lz4 { decoder: Lz4Decoder::new(input), is_done: false })),
        };
        Unpacked { format, decoder, seen }
    }

    pub fn format(&self) -> Format {
        self.format
    }
}

impl<R: Read> fmt::Debug for Unpacked<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacked").field("format", &self.format).finish_non_exhaustive()
    }
}

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.decoder {
            Decoder::Xz(decoder) => decoder.read(buf),
            Decoder::Zstd(decoder) => decoder.read(buf),
            Decoder::Bzip2(decoder) => decoder.read(buf),
            Decoder::Lz4(decoder) => decoder.read(buf),
        };
        read.map_err(|e| match e.kind() {
            _ if self.seen.failure.load(Relaxed) => e,
            ErrorKind::Interrupted | ErrorKind::OutOfMemory => e,
            _ if self.seen.end.load(Relaxed) => ErrorKind::UnexpectedEof.into(),
            _ => io::Error::new(ErrorKind::InvalidData, e),
        })
    }
}

/// Decodes a sequence of frames; the crate decodes only one.
struct Zstd<R> {
    input: R,
    decoder: ZstdDecoder,
    is_inside: bool,
}

impl<R: BufRead> Zstd<R> {
    /// Begins the next frame; returns `false` at the end of the input.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.input.fill_buf()?.is_empty() {
                return Ok(false);
            }
            let length = match self.decoder.reset(&mut self.input) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => length,
                Err(e @ FrameDecoderError::WindowSizeTooBig { .. }) => {
                    return Err(io::Error::new(ErrorKind::OutOfMemory, e));
                }
                Err(e) => return Err(io::Error::other(e)),
            };
            let skipped = io::copy(&mut self.input.by_ref().take(length.into()), &mut io::sink())?;
            if skipped < length.into() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn check(&self) -> io::Result<()> {
        match self.decoder.get_checksum_from_data() {
            Some(sum) if self.decoder.get_calculated_checksum() != Some(sum) => {
                Err(io::Error::other("a zstd frame has a wrong checksum"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while !buf.is_empty() {
            if !self.is_inside && !self.next_frame()? {
                break;
            }
            self.is_inside = true;
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let block = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.input, block).map_err(io::Error::other)?;
            }
            let read = self.decoder.read(buf)?;
            if read > 0 {
                return Ok(read);
            }
            self.check()?;
            self.is_inside = false;
        }
        Ok(0)
    }
}

/// Decodes a sequence of frames, and detects truncation between two blocks, which the crate takes for the frame's end.
struct Lz4<R: Read> {
    decoder: Lz4Decoder<Watched<R>>,
    is_done: bool,
}

impl<R: BufRead> Read for Lz4<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while !self.is_done && !buf.is_empty() {
            let read = self.decoder.read(buf)?;
            if read > 0 {
                return Ok(read);
            }
            let input = self.decoder.get_mut();
            if input.seen.end.load(Relaxed) {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            // Not left to the caller to repeat: the decoder would take the end of the file for a cut.
            self.is_done = loop {
                match input.input.fill_buf() {
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    filled => break filled?.is_empty(),
                }
            };
        }
        Ok(0)
    }
}
