//! Where a capture goes: a file, a series of files, or stdout, plain or through gzip.
//!
//! An [`Output`] takes chunks, whole blocks of the .scap format one after the other, and puts each on disk as a whole
//! or not at all: after an error, what a chunk left behind is cut off again, and the capture is intact up to there.
//! For the same reason each chunk is a gzip member of its own; members in a row are one stream to every reader.
//!
//! A file does not fill the page cache: it is written past it, and where that cannot be, its pages are let go.
//!
//! [`WriterThread`] puts an output behind a queue of a fixed number of buffers, so that a slow disk holds up neither
//! the rings' consumer nor fills the memory. Members are compressed on threads of their own.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod chunk;
mod destination;
mod direct;
mod error;
mod pool;
mod series;
mod single;
mod sink;
mod writer;

use std::{collections::VecDeque, fmt, io, path::PathBuf};

use pool::Packer;
use sink::Sink;

use crate::{folder::Whereabouts, print::shown};

pub use chunk::Chunk;
pub use destination::Destination;
pub use error::OutputError;
pub use series::{
    Cut, Files, Free, Hook, OnError, Pattern, PatternError, ReservedFiles, Retention, Rotation, Series,
    StateSource,
};
pub use single::Reserved;
pub use writer::{Progress, WriterThread};

/// What a capture is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file of that path. One that is there is replaced when the new one is whole.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

impl Target {
    /// The target that `-w` names: `-` is stdout, anything else a file.
    pub fn from_arg(arg: impl Into<PathBuf>) -> Self {
        let path = arg.into();
        if path.as_os_str() == "-" { Target::Stdout } else { Target::File(path) }
    }

    /// Its path, for messages.
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

/// What an output has taken and written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
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
    place: Option<single::Place>,
    /// Makes gzip members, and the last one, for its memory.
    packer: Option<(Packer, Vec<u8>)>,
    totals: Totals,
    /// What the totals become as the ends of the last chunks reach the file.
    coming: VecDeque<Totals>,
}

impl Output {
    /// Opens the target at once: see [`Reserved`]. A file is readable by its owner alone, and has its name when it is
    /// [finished](Output::finish).
    ///
    /// # Errors
    /// Those of [`Reserved::new`] and [`Reserved::open`].
    pub fn create(target: Target, compress: bool) -> Result<Self, OutputError> {
        Reserved::new(target, compress)?.open(&|| false)
    }

    fn over(target: Target, sink: Sink, compress: bool) -> Self {
        let packer = compress.then(|| (Packer::new(), Vec::new()));
        Output { target, sink, place: None, packer, totals: Totals::default(), coming: VecDeque::new() }
    }

    /// Writes a chunk: whole blocks of the format, with that many events among them. Its last bytes, less than 4 KiB,
    /// may stay in memory until the next one or [`flush`](Output::flush).
    ///
    /// # Errors
    /// Any but [`OutputError::Create`]. Of a regular file, only the chunks are left that [`totals`](Output::totals)
    /// counts.
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

    /// Writes a chunk of that many bytes and events in the form that it has in the file.
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

    /// Puts the end of the last chunk into the file too.
    ///
    /// # Errors
    /// As for [`write`](Output::write).
    pub fn flush(&mut self) -> Result<(), OutputError> {
        let result = self.sink.flush();
        self.settle(result)
    }

    /// The totals once everything accepted has reached the file.
    fn accepted(&self) -> Totals {
        self.coming.back().copied().unwrap_or(self.totals)
    }

    /// Counts the chunks that are in the file. After an error, the others are lost, and cut off.
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

    fn error(&self, e: io::Error) -> OutputError {
        // The name that the file has now.
        let target = self.place.as_ref().map(|place| Target::File(place.path()));
        OutputError::write(target.as_ref().unwrap_or(&self.target), self.totals, e)
    }

    /// Says where a file is that does not get its name.
    fn say_where(&self) {
        if let Some(place) = self.place.as_ref().filter(|_| self.totals.bytes_out > 0) {
            let path = shown(&place.path());
            tracing::warn!("what was recorded is in {path}: `scapd repair {path}` makes it whole");
        }
    }

    /// What has been written so far: chunks of which each byte is in the file, or in the pipe.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// What is written to.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Where a file is that was made for a series.
    fn whereabouts(&self, partial: &series::Partial) -> Whereabouts {
        partial.whereabouts(self.sink.file())
    }

    /// Sees to it that the capture is on disk, and not in the page cache any more, and gives a single file its name.
    ///
    /// # Errors
    /// As for [`write`](Output::write): some file systems find out late that they have no room.
    /// [`OutputError::Missing`] if the file was removed or moved meanwhile, [`OutputError::Publish`] if it cannot be renamed.
    pub fn finish(mut self) -> Result<Totals, OutputError> {
        self.flush()?;
        self.sink.sync().map_err(|e| self.error(e))?;
        if let Some(place) = self.place.take() {
            place.publish(&self.target, self.sink.file())?;
        }
        Ok(self.totals)
    }
}

/// Dropped without [`finish`](Output::finish), it still puts into the file what it has accepted; the file does not
/// get its name.
impl Drop for Output {
    fn drop(&mut self) {
        let _ = self.flush();
        if let Some(place) = &self.place {
            place.discard(self.sink.file());
        }
    }
}

/// The name of a capture for which none was given: `scapd-HOST-20260131-142233.scap`, in local time, with `.gz` if
/// compressed. What does not belong into a file's name is left out of the host's.
///
/// ```
/// let now: jiff::Zoned = "2026-01-31T14:22:33[+01:00]".parse()?;
/// let name = scapd::output::default_name(b"web1", &now, true);
/// assert_eq!(name.to_str(), Some("scapd-web1-20260131-142233.scap.gz"));
/// # Ok::<(), jiff::Error>(())
/// ```
pub fn default_name(hostname: &[u8], now: &jiff::Zoned, compress: bool) -> PathBuf {
    let pattern = default_pattern(hostname, compress);
    // All of it is ASCII.
    PathBuf::from(now.strftime(pattern.to_str().unwrap_or_default()).to_string())
}

/// The same for a series of files: `scapd-HOST-%Y%m%d-%H%M%S.scap`.
pub fn default_pattern(hostname: &[u8], compress: bool) -> PathBuf {
    let fits = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let host: String = hostname.iter().filter(fits).map(|byte| char::from(*byte)).collect();
    let host = if host.is_empty() { "host" } else { &host };
    let gz = if compress { ".gz" } else { "" };
    PathBuf::from(format!("scapd-{host}-%Y%m%d-%H%M%S.scap{gz}"))
}

#[cfg(test)]
mod tests;
