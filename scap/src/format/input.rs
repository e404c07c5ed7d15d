//! The bytes of a capture, from a plain or a compressed file.

use std::{
    io::{self, BufRead, BufReader, Chain, Cursor, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{
    gzip::{self, Members},
    packed::{self, Unpacked},
};

const BUFFER: usize = 256 << 10;

type Start<R> = BufReader<Chain<Cursor<Vec<u8>>, Counted<R>>>;

/// Counts the bytes that come out of the file.
#[derive(Debug)]
pub(super) struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.count.fetch_add(read as u64, Relaxed);
        Ok(read)
    }
}

/// A capture's file, decompressed.
#[derive(Debug)]
pub(super) enum Input<R: Read> {
    Plain(Start<R>),
    Gzip(Box<BufReader<Members<Start<R>>>>),
    Packed(Box<BufReader<Unpacked<Start<R>>>>),
}

impl<R: Read> Input<R> {
    /// Looks for what the file is compressed by. `count` is the number of bytes that were read of the file, from here on.
    pub fn of(input: R, count: Arc<AtomicU64>) -> io::Result<Input<R>> {
        let mut input = Counted { inner: input, count };
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

    /// Returns what of the capture is in memory.
    pub fn buffered(&self) -> &[u8] {
        match self {
            Input::Plain(r) => r.buffer(),
            Input::Gzip(r) => r.buffer(),
            Input::Packed(r) => r.buffer(),
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
