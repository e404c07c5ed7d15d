//! Where a capture goes: a file or stdout, plain or through gzip.
//!
//! An [`Output`] takes chunks, whole blocks of the .scap format one after the other, and puts each on disk as a whole
//! or not at all: after an error, what a chunk left behind is cut off again, and the capture is intact up to there.
//! For the same reason each chunk is a gzip member of its own; members in a row are one stream to every reader.
//!
//! [`WriterThread`] puts an output behind a queue of a fixed number of buffers, so that a slow disk holds up neither
//! the rings' consumer nor fills the memory.

mod error;
mod writer;

use std::{
    fmt,
    fs::File,
    io::{self, IsTerminal, Seek, SeekFrom, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};

pub use error::OutputError;
pub use writer::{Chunk, Progress, WriterThread};

/// What a capture is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file of that path. One that is there is overwritten.
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
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::File(path) => path.display().fmt(f),
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
    file: File,
    /// A regular file: can be cut, and is synced at the end.
    regular: bool,
    compress: bool,
    /// The compressed chunk; kept for its memory.
    packed: Vec<u8>,
    totals: Totals,
}

impl Output {
    /// Opens the target; a file is made, readable by its owner alone, or emptied if it is there.
    ///
    /// # Errors
    /// [`OutputError::Terminal`] if stdout is a terminal, [`OutputError::Create`] if the target cannot be opened.
    pub fn create(target: Target, compress: bool) -> Result<Self, OutputError> {
        let opened = match &target {
            Target::File(path) => create(path),
            Target::Stdout if io::stdout().is_terminal() => return Err(OutputError::Terminal),
            // Past the buffer that std keeps for its own stdout.
            Target::Stdout => io::stdout().as_fd().try_clone_to_owned().map(File::from),
        };
        let file = opened.map_err(|e| OutputError::create(&target, e))?;
        let regular = file.metadata().map_err(|e| OutputError::create(&target, e))?.is_file();
        Ok(Output { target, file, regular, compress, packed: Vec::new(), totals: Totals::default() })
    }

    /// Writes a chunk: whole blocks of the format, with that many events among them.
    ///
    /// # Errors
    /// Any but [`OutputError::Create`]. Of a regular file, only the chunks that were written before are left.
    pub fn write(&mut self, framed: &[u8], events: u64) -> Result<(), OutputError> {
        if framed.is_empty() {
            return Ok(());
        }
        if self.compress {
            self.packed = pack(framed, std::mem::take(&mut self.packed))
                .map_err(|e| OutputError::write(&self.target, self.totals, e))?;
        }
        let bytes = if self.compress { &self.packed } else { framed };
        if let Err((written, e)) = write_counted(&mut self.file, bytes) {
            let kept = if self.regular { cut(&mut self.file, written) } else { Ok(()) };
            // The first error is the one to tell; a second one is added to it.
            let e = match kept {
                Ok(()) => e,
                Err(cut) => io::Error::new(e.kind(), format!("{e}; and the end could not be cut off: {cut}")),
            };
            return Err(OutputError::write(&self.target, self.totals, e));
        }
        self.totals.events += events;
        self.totals.bytes_in += framed.len() as u64;
        self.totals.bytes_out += bytes.len() as u64;
        Ok(())
    }

    /// What has been written so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// What is written to.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Sees to it that the capture is on disk.
    ///
    /// # Errors
    /// As for [`write`](Output::write): some file systems find out late that they have no room.
    pub fn finish(self) -> Result<Totals, OutputError> {
        if self.regular {
            self.file.sync_all().map_err(|e| OutputError::write(&self.target, self.totals, e))?;
        }
        Ok(self.totals)
    }
}

/// A new file is its owner's alone, as it holds what the whole machine does: data, arguments, environments.
fn create(path: &Path) -> io::Result<File> {
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// The chunk as a gzip member, in the memory of `buffer`.
fn pack(framed: &[u8], mut buffer: Vec<u8>) -> io::Result<Vec<u8>> {
    buffer.clear();
    // Fast, as the writer has to keep up with the machine.
    let mut encoder = GzEncoder::new(buffer, Compression::fast());
    encoder.write_all(framed)?;
    encoder.finish()
}

/// `write_all` that says how much was written before the error.
fn write_counted(file: &mut File, bytes: &[u8]) -> Result<(), (u64, io::Error)> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return Err((written as u64, io::ErrorKind::WriteZero.into())),
            Ok(n) => written += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err((written as u64, e)),
        }
    }
    Ok(())
}

/// Takes the last `bytes` away from a file that ends where it was written to.
fn cut(file: &mut File, bytes: u64) -> io::Result<()> {
    let end = file.stream_position()?;
    // A stdout that others write to as well is left as it is.
    if bytes == 0 || file.metadata()?.len() != end {
        return Ok(());
    }
    let start = end.saturating_sub(bytes);
    file.set_len(start)?;
    file.seek(SeekFrom::Start(start))?;
    Ok(())
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
    let fits = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let host: String = hostname.iter().filter(fits).map(|byte| char::from(*byte)).collect();
    let host = if host.is_empty() { "host" } else { &host };
    let gz = if compress { ".gz" } else { "" };
    Path::new(&format!("scapd-{host}-{}.scap{gz}", now.strftime("%Y%m%d-%H%M%S"))).to_path_buf()
}

#[cfg(test)]
mod tests;
