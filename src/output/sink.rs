//! The way of bytes to the target. A file of our own takes them past the page cache ([`Direct`]), where the file system
//! lets them; any other regular file through it, and is asked to let go of them; a pipe or a device as it does.

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

/// So many bytes go through the cache between two requests to drop them.
const FORGET: u64 = 8 << 20;
/// What a pipe is given at once. A write to a full pipe returns when all of it was taken: the smaller it is, the better
/// is a slow reader told from one that has stopped.
const PIPE: usize = 16 << 10;
/// What `statfs` says of a file system that is nothing but cache (linux/magic.h).
pub(super) const TMPFS_MAGIC: u64 = 0x0102_1994;

#[derive(Debug)]
pub struct Sink {
    file: File,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// What is written is gone. Counts the bytes that were taken, for those who wait for that.
    Stream(Arc<AtomicU64>),
    /// A regular file, written where it stands; so many bytes since pages were dropped.
    Cached(u64),
    /// A regular file, empty at first.
    Direct(Direct),
}

impl Sink {
    /// A sink that writes to where the file stands.
    pub fn new(file: File) -> io::Result<Self> {
        let way = if file.metadata()?.is_file() { Way::Cached(0) } else { Way::Stream(Arc::default()) };
        Ok(Sink { file, way })
    }

    /// The same, for a file that was just emptied and that nobody else writes to.
    pub fn own(file: File) -> io::Result<Self> {
        let mut sink = Sink::new(file)?;
        // It takes the flag and writes to the cache all the same.
        let memory = fstatfs(&sink.file).is_ok_and(|fs| fs.f_type as u64 == TMPFS_MAGIC);
        if matches!(sink.way, Way::Cached(_)) && !memory {
            sink.bypass();
        }
        Ok(sink)
    }

    /// Goes past the cache from the start of the file, if the file system lets it: whether it does.
    pub(super) fn bypass(&mut self) -> bool {
        let Some(direct) = Direct::new(&self.file) else { return false };
        self.way = Way::Direct(direct);
        true
    }

    /// What is written to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The bytes that the reader of a pipe has taken, or a device; `None` for a regular file.
    pub fn taken(&self) -> Option<Arc<AtomicU64>> {
        if let Way::Stream(taken) = &self.way { Some(taken.clone()) } else { None }
    }

    /// How many of the last bytes are not in the file yet.
    pub fn carried(&self) -> usize {
        if let Way::Direct(direct) = &self.way { direct.carried() } else { 0 }
    }

    /// Takes all of the bytes; of a regular file, nothing of them is left after an error. What was carried before may
    /// then be lost too: [`carried`](Sink::carried) still says so, and [`cut_to`](Sink::cut_to) is to follow.
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

    /// After an error, what follows goes through the cache; so do the bytes of a write that was refused as such.
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

    /// Puts what is carried into the file.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Way::Direct(direct) = &mut self.way { direct.flush(&self.file) } else { Ok(()) }
    }

    /// Cuts a file of our own after an error, and goes on there, through the cache.
    pub fn cut_to(&mut self, end: u64) -> io::Result<()> {
        if let Way::Direct(direct) = &self.way {
            direct.leave(&self.file)?;
            self.way = Way::Cached(0);
            self.file.seek(SeekFrom::Start(end))?;
            self.file.set_len(end)?;
        }
        Ok(())
    }

    /// Waits until a regular file is on disk, and empties the page cache of it.
    pub fn sync(&mut self) -> io::Result<()> {
        if !matches!(self.way, Way::Stream(_)) {
            self.file.sync_all()?;
            self.forget();
        }
        Ok(())
    }

    /// Has pages written that are not yet, and drops those that are. The rest of them go next time.
    fn forget(&self) {
        // Nothing is lost if it fails but memory that the kernel takes back when it is short of it.
        let _ = fadvise(&self.file, 0, None, Advice::DontNeed);
    }
}

/// The first error is the one to tell; a second one is added to it.
pub(super) fn also(first: io::Error, second: io::Result<()>) -> io::Error {
    match second {
        Ok(()) => first,
        Err(cut) => io::Error::new(first.kind(), format!("{first}; and the end could not be cut off: {cut}")),
    }
}

/// `write_all` that says how much was written before the error.
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

/// Takes the last `bytes` away from a file that ends where it was written to.
pub(super) fn cut(file: &mut File, bytes: u64) -> io::Result<()> {
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
        // As if the disk had taken all of it, and then refused it all the same.
        let Way::Direct(direct) = &mut sink.way else { unreachable!() };
        direct.append(&sink.file, rest).unwrap();
        sink.append_failed(rest, ErrorKind::InvalidInput.into()).unwrap();
        assert!(matches!(sink.way, Way::Cached(_)));
        assert_eq!(sink.carried(), 0);
        assert!(fs::read(&path).unwrap() == bytes);
        // Another error is told, and leaves what was there.
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
