//! Where a capture goes: a file, a series of files, or stdout, plain or through gzip.
//!
//! An [`Output`] takes chunks, which are sequences of whole .scap blocks, and writes each one completely or not at all:
//! after an error, it cuts off a partly written chunk, and the capture is intact up to there. For the same reason each
//! chunk is a gzip member of its own; readers see consecutive members as one stream.
//!
//! A file does not fill the page cache: it is written with direct I/O, or else its pages are dropped.
//!
//! [`WriterThread`] puts an output behind a queue of a fixed number of buffers, so that a slow disk neither holds up
//! the consumer of the rings nor fills the memory. Separate threads compress the members.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod chunk;
mod destination;
mod direct;
mod error;
mod made;
mod pool;
mod series;
mod single;
mod sink;
mod writer;

use std::{collections::VecDeque, fmt, io, path::PathBuf};

use pool::Packer;
use sink::Sink;

use crate::{escape::shown, folder::Whereabouts};

pub use chunk::Chunk;
pub use destination::{ChunkSink, Destination};
pub use error::OutputError;
pub use made::Made;
pub(crate) use series::seal;
pub use series::{
    FileCut, Files, Free, Hook, OnError, Pattern, PatternError, ReservedFiles, Retention, Rotation, SHIPPED,
    SHIPPING, SHIPS, Series, SeriesReport, Shelf, ShelfFile, StateSource, checksum, hex, unpacked,
};
pub use single::Reserved;
pub use writer::{WriterProgress, WriterThread};

/// What a capture is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file of that path. An existing one is replaced when the new one is whole.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

impl Target {
    /// Returns the target that `-w` names: `-` is stdout, anything else a file.
    pub fn from_arg(arg: impl Into<PathBuf>) -> Self {
        let path = arg.into();
        if path.as_os_str() == "-" { Target::Stdout } else { Target::File(path) }
    }

    /// Returns its path, for messages.
    fn path(&self) -> PathBuf {
        match self {
            Target::File(path) => path.clone(),
            Target::Stdout => PathBuf::from("stdout"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::File(path) => f.write_str(&shown(path)),
            Target::Stdout => f.write_str("stdout"),
        }
    }
}

/// Counts of what an output has taken and written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutputTotals {
    /// Events in the chunks.
    pub events: u64,
    /// Bytes of the chunks.
    pub bytes_in: u64,
    /// Bytes written, after compression.
    pub bytes_out: u64,
}

/// An open target.
#[derive(Debug)]
pub struct Output {
    target: Target,
    sink: Sink,
    /// The file of a single capture, until it is published.
    place: Option<single::Unpublished>,
    /// The compressor, and a buffer that is reused for each member.
    packer: Option<(Packer, Vec<u8>)>,
    totals: OutputTotals,
    /// The totals after each accepted chunk whose end has not reached the file yet.
    coming: VecDeque<OutputTotals>,
}

impl Output {
    /// Opens the target at once: see [`Reserved`]. Only its owner may read a file, which gets its name when it is
    /// [finished](Output::finish).
    ///
    /// # Errors
    /// Those of [`Reserved::new`] and [`Reserved::open`].
    pub fn create(target: Target, compress: bool) -> Result<Self, OutputError> {
        Reserved::new(target, compress)?.open(&|| false)
    }

    fn over(target: Target, sink: Sink, compress: bool) -> Self {
        let packer = compress.then(|| (Packer::new(), Vec::new()));
        Output { target, sink, place: None, packer, totals: OutputTotals::default(), coming: VecDeque::new() }
    }

    /// Writes a chunk of whole blocks, with that many events in it. Its last bytes, less than 4 KiB, may stay in memory
    /// until the next chunk or [`flush`](Output::flush).
    ///
    /// # Errors
    /// [`OutputError::NoSpace`], [`OutputError::BrokenPipe`] or [`OutputError::Write`]. A regular file then holds
    /// exactly the chunks that [`totals`](Output::totals) counts.
    pub fn write(&mut self, framed: &[u8], events: u64) -> Result<(), OutputError> {
        let Some((mut packer, mut packed)) = self.packer.take() else {
            return self.put(framed, framed.len(), events);
        };
        let result = packer
            .pack(framed, &mut packed)
            .map_err(|e| self.error(e))
            .and_then(|()| self.put(&packed, framed.len(), events));
        self.packer = Some((packer, packed));
        result
    }

    /// Writes a chunk in its final form, compressed or not; `bytes_in` is its size before compression.
    fn put(&mut self, bytes: &[u8], bytes_in: usize, events: u64) -> Result<(), OutputError> {
        let result = self.sink.append(bytes);
        if result.is_ok() {
            let mut totals = self.accepted();
            totals.events += events;
            totals.bytes_in += bytes_in as u64;
            totals.bytes_out += bytes.len() as u64;
            self.coming.push_back(totals);
        }
        self.settle(result)
    }

    /// Writes the end of the last chunk too.
    ///
    /// # Errors
    /// As for [`write`](Output::write).
    pub fn flush(&mut self) -> Result<(), OutputError> {
        let result = self.sink.flush();
        self.settle(result)
    }

    /// Returns the totals once everything accepted has reached the file.
    fn accepted(&self) -> OutputTotals {
        self.coming.back().copied().unwrap_or(self.totals)
    }

    /// Counts the chunks that are in the file. After an error, cuts off the others, which are lost.
    fn settle(&mut self, result: io::Result<()>) -> Result<(), OutputError> {
        let reached = self.accepted().bytes_out - self.sink.carried() as u64;
        while let Some(&totals) = self.coming.front().filter(|totals| totals.bytes_out <= reached) {
            self.totals = totals;
            self.coming.pop_front();
        }
        let Err(e) = result else { return Ok(()) };
        let cut = if self.coming.is_empty() { Ok(()) } else { self.sink.cut_to(self.totals.bytes_out) };
        self.coming.clear();
        Err(self.error(sink::also(e, cut)))
    }

    /// Gives up, and removes the file if it has not got its name.
    fn discard(mut self) {
        self.coming.clear();
        if let Some(place) = self.place.take() {
            place.remove(self.sink.file());
        }
    }

    fn error(&self, e: io::Error) -> OutputError {
        // The name that the file has at present.
        let target = self.place.as_ref().map(|place| Target::File(place.path()));
        OutputError::write(target.as_ref().unwrap_or(&self.target), self.totals, e)
    }

    /// Logs where the file is if it does not get its name.
    fn say_where(&self) {
        if let Some(place) = self.place.as_ref().filter(|_| self.totals.bytes_out > 0) {
            let path = shown(&place.path());
            tracing::warn!("the recorded events are in {path}: `scapd repair {path}` makes it whole");
        }
    }

    /// Returns what has been written so far: only chunks that are completely in the file, or in the pipe.
    pub fn totals(&self) -> OutputTotals {
        self.totals
    }

    /// Returns the target.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns where the file of a series is now.
    fn whereabouts(&self, partial: &series::Partial) -> Whereabouts {
        partial.whereabouts(self.sink.file())
    }

    /// Syncs the capture to disk, drops it from the page cache, and gives a single file its name.
    ///
    /// # Errors
    /// As for [`write`](Output::write): some file systems report a lack of room only now. [`OutputError::Missing`] if
    /// the file was removed or moved meanwhile, [`OutputError::Publish`] if it cannot be renamed.
    pub fn finish(mut self) -> Result<OutputTotals, OutputError> {
        self.flush()?;
        self.sink.sync().map_err(|e| self.error(e))?;
        if let Some(place) = self.place.take() {
            place.publish(&self.target, self.sink.file())?;
        }
        Ok(self.totals)
    }
}

/// Dropped without [`finish`](Output::finish), it still writes what it has accepted, but the file does not get its
/// name.
impl Drop for Output {
    fn drop(&mut self) {
        let _ = self.flush();
        if let Some(place) = &self.place {
            place.discard(self.sink.file());
        }
    }
}

/// Returns the default name of a capture: `scapd-HOST-20260131-142233.scap`, in local time, with `.gz` if compressed.
/// Characters of the host name that are unsafe in a file name are left out.
///
/// ```
/// let now: jiff::Zoned = "2026-01-31T14:22:33[+01:00]".parse()?;
/// let name = scapd::output::default_name(b"web1", &now, true);
/// assert_eq!(name.to_str(), Some("scapd-web1-20260131-142233.scap.gz"));
/// # Ok::<(), jiff::Error>(())
/// ```
pub fn default_name(hostname: &[u8], now: &jiff::Zoned, compress: bool) -> PathBuf {
    let pattern = default_pattern(hostname, compress);
    // The pattern is ASCII.
    PathBuf::from(now.strftime(pattern.to_str().unwrap_or_default()).to_string())
}

/// Returns the default pattern of a series: `scapd-HOST-%Y%m%d-%H%M%S.scap`, with `.gz` if compressed.
pub fn default_pattern(hostname: &[u8], compress: bool) -> PathBuf {
    let fits = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let host: String = hostname.iter().filter(fits).map(|byte| char::from(*byte)).collect();
    let host = if host.is_empty() { "host" } else { &host };
    let gz = if compress { ".gz" } else { "" };
    PathBuf::from(format!("scapd-{host}-%Y%m%d-%H%M%S.scap{gz}"))
}

#[cfg(test)]
mod tests;
