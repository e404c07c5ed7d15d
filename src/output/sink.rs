//! Writes bytes to the target. A file of our own is written with direct I/O ([`Direct`]) if the file system supports
//! it. Any other regular file is written through the page cache, which is asked to drop the pages. Pipes and devices
//! get plain writes.

use std::{
    fs::File,
    io::{self, ErrorKind, Seek, SeekFrom, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::fs::{Advice, fadvise, fstatfs};

use super::direct::Direct;

/// Bytes written through the cache between two requests to drop them.
const FORGET: u64 = 8 << 20;
/// Size of a write to a pipe in bytes. A write to a full pipe returns when all of it was taken: small writes
/// distinguish a slow reader from one that has stopped.
const PIPE: usize = 16 << 10;
/// The file system type of tmpfs, which is nothing but cache (linux/magic.h).
pub(super) const TMPFS_MAGIC: u64 = 0x0102_1994;

#[derive(Debug)]
pub struct Sink {
    file: File,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// A pipe or a device. Counts the bytes that were taken.
    Stream(Arc<AtomicU64>),
    /// A regular file, written at its file offset; counts the bytes since pages were dropped.
    Cached(u64),
    /// A regular file written with direct I/O, empty at first.
    Direct(Direct),
}

impl Sink {
    /// Creates a sink that writes at the file's offset.
    pub fn new(file: File) -> io::Result<Self> {
        let way = if file.metadata()?.is_file() { Way::Cached(0) } else { Way::Stream(Arc::default()) };
        Ok(Sink { file, way })
    }

    /// Creates a sink for an empty file that nobody else writes to.
    pub fn own(file: File) -> io::Result<Self> {
        let mut sink = Sink::new(file)?;
        // tmpfs accepts the flag but writes to the cache.
        let memory = fstatfs(&sink.file).is_ok_and(|fs| fs.f_type as u64 == TMPFS_MAGIC);
        if matches!(sink.way, Way::Cached(_)) && !memory {
            sink.bypass();
        }
        Ok(sink)
    }

    /// Switches to direct I/O from the start of the file. Returns whether the file system supports it.
    pub(super) fn bypass(&mut self) -> bool {
        let Some(direct) = Direct::new(&self.file) else { return false };
        self.way = Way::Direct(direct);
        true
    }

    /// Returns the file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Returns the count of bytes that a pipe's reader or a device has taken; `None` for a regular file.
    pub fn taken(&self) -> Option<Arc<AtomicU64>> {
        if let Way::Stream(taken) = &self.way { Some(taken.clone()) } else { None }
    }

    /// Returns how many of the last bytes are not in the file yet.
    pub fn carried(&self) -> usize {
        if let Way::Direct(direct) = &self.way { direct.carried() } else { 0 }
    }

    /// Takes all of the bytes. After an error, a regular file holds none of them. Bytes carried before may be lost too:
    /// [`carried`](Sink::carried) still counts them, and the caller has to call [`cut_to`](Sink::cut_to).
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.way {
            Way::Stream(taken) => {
                for part in bytes.chunks(PIPE) {
                    write_counted(&mut self.file, part).map_err(|(_, e)| e)?;
                    taken.fetch_add(part.len() as u64, Ordering::Relaxed);
                }
                Ok(())
            }
            Way::Cached(since) => {
                if let Err((written, e)) = write_counted(&mut self.file, bytes) {
                    return Err(also(e, cut(&mut self.file, written)));
                }
                *since += bytes.len() as u64;
                if *since >= FORGET {
                    *since = 0;
                    self.forget();
                }
                Ok(())
            }
            Way::Direct(direct) => match direct.append(&self.file, bytes) {
                Ok(()) => Ok(()),
                Err(e) => self.append_failed(bytes, e),
            },
        }
    }

    /// Switches to the cache after a failed direct write, and writes the bytes again if the file system refused direct
    /// I/O.
    fn append_failed(&mut self, bytes: &[u8], e: io::Error) -> io::Result<()> {
        let Way::Direct(direct) = &mut self.way else { return Err(e) };
        let end = match direct.rewind(&self.file) {
            Ok(end) => end,
            Err(second) => return Err(also(e, Err(second))),
        };
        if let Err(second) = self.cut_to(end) {
            return Err(also(e, Err(second)));
        }
        match e.kind() {
            ErrorKind::InvalidInput | ErrorKind::Unsupported => self.append(bytes),
            _ => Err(e),
        }
    }

    /// Writes the carried bytes to the file.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Way::Direct(direct) = &mut self.way { direct.flush(&self.file) } else { Ok(()) }
    }

    /// Truncates a file of our own after an error, and continues there through the cache.
    pub fn cut_to(&mut self, end: u64) -> io::Result<()> {
        if let Way::Direct(direct) = &self.way {
            direct.leave(&self.file)?;
            self.way = Way::Cached(0);
            self.file.seek(SeekFrom::Start(end))?;
            self.file.set_len(end)?;
        }
        Ok(())
    }

    /// Syncs a regular file to disk, and drops its pages from the cache.
    pub fn sync(&mut self) -> io::Result<()> {
        if !matches!(self.way, Way::Stream(_)) {
            self.file.sync_all()?;
            self.forget();
        }
        Ok(())
    }

    /// Starts writing dirty pages, and drops clean ones. The others are dropped next time.
    fn forget(&self) {
        // A failure costs only memory that the kernel can reclaim.
        let _ = fadvise(&self.file, 0, None, Advice::DontNeed);
    }
}

/// Returns the first error; a second one is appended to its message.
pub(super) fn also(first: io::Error, second: io::Result<()>) -> io::Error {
    match second {
        Ok(()) => first,
        Err(cut) => io::Error::new(
            first.kind(),
            format!("{first}; and the partial chunk could not be cut off: {cut}"),
        ),
    }
}

/// Like `write_all`, but also returns how much was written before an error.
fn write_counted(file: &mut File, bytes: &[u8]) -> Result<(), (u64, io::Error)> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return Err((written as u64, ErrorKind::WriteZero.into())),
            Ok(n) => written += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err((written as u64, e)),
        }
    }
    Ok(())
}

/// Cuts the last `bytes` off a file, if it ends at its offset.
pub(super) fn cut(file: &mut File, bytes: u64) -> io::Result<()> {
    let end = file.stream_position()?;
    // Others write to the file as well (stdout): leave it.
    if bytes == 0 || file.metadata()?.len() != end {
        return Ok(());
    }
    let start = end.saturating_sub(bytes);
    file.set_len(start)?;
    file.seek(SeekFrom::Start(start))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_write_that_is_refused_past_the_cache_goes_through_it() {
        let dir = crate::output::tests::on_disk();
        let path = dir.path().join("a");
        let mut sink = Sink::new(File::create_new(&path).unwrap()).unwrap();
        assert!(sink.bypass(), "the file system of {} knows no O_DIRECT", path.display());
        let bytes: Vec<u8> = (0..3 << 20_u32).map(|i| (i / 7) as u8).collect();
        let (first, rest) = bytes.split_at(10_000);
        sink.append(first).unwrap();
        // As if the disk had accepted all of it, and then failed.
        let Way::Direct(direct) = &mut sink.way else { unreachable!() };
        direct.append(&sink.file, rest).unwrap();
        sink.append_failed(rest, ErrorKind::InvalidInput.into()).unwrap();
        assert!(matches!(sink.way, Way::Cached(_)));
        assert_eq!(sink.carried(), 0);
        assert!(fs::read(&path).unwrap() == bytes);
        // Any other error is returned, and earlier bytes stay.
        let mut sink = Sink::new(File::create(&path).unwrap()).unwrap();
        assert!(sink.bypass());
        sink.append(first).unwrap();
        let Way::Direct(direct) = &mut sink.way else { unreachable!() };
        direct.append(&sink.file, rest).unwrap();
        let e = sink.append_failed(rest, ErrorKind::StorageFull.into()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::StorageFull);
        assert!(fs::read(&path).unwrap() == first);
        sink.append(b"more").unwrap();
        assert!(fs::read(&path).unwrap() == [first, b"more"].concat());
    }
}
