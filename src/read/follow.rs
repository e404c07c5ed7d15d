//! Captures that are still being written.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How often to look for more.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// A file that grows: at its end, waits for more until its recorder closes it.
pub(super) struct Growing {
    file: File,
    /// Waits though no recorder holds a lock.
    waits: bool,
    stop: Arc<AtomicBool>,
    hurry: Arc<AtomicBool>,
}

impl Growing {
    /// Reads a file until its recorder unlocks it, or until the flag is set. If no recorder holds the lock, the file
    /// ends at its end; with `waits`, it ends only with the flag. While `hurry` is set, it does not wait for long.
    pub fn new(file: File, waits: bool, stop: Arc<AtomicBool>, hurry: Arc<AtomicBool>) -> Growing {
        let waits = waits && !is_locked(&file);
        Growing { file, waits, stop, hurry }
    }
}

impl Read for Growing {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut has_waited = false;
        loop {
            let read = self.file.read(buf)?;
            if read > 0 || buf.is_empty() || self.stop.load(Ordering::Relaxed) {
                return Ok(read);
            }
            if !self.waits && !is_locked(&self.file) {
                // What was written before it was closed.
                return self.file.read(buf);
            }
            if has_waited && self.hurry.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            sleep(LOOK);
            has_waited = true;
        }
    }
}

/// A file or a pipe that does not wait for long while `hurry` is set: see [`Reader::hurry`](scap::format::Reader::hurry).
pub(super) struct Hurrying {
    pub file: File,
    pub hurry: Arc<AtomicBool>,
}

impl Read for Hurrying {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.hurry.load(Ordering::Relaxed) {
            let wait = Timespec { tv_sec: 0, tv_nsec: LOOK.as_nanos() as i64 };
            if poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&wait))? == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        self.file.read(buf)
    }
}

/// Returns whether another process holds the lock that recorders hold on what they write. Takes no lock itself, so that
/// no recorder finds the file in use.
pub fn is_locked(file: &File) -> bool {
    let Ok(meta) = file.metadata() else { return false };
    let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
    procfs::locks().is_ok_and(|locks| {
        locks.iter().any(|lock| {
            lock.lock_type == procfs::LockType::FLock
                && (lock.devmaj, lock.devmin, lock.inode) == (major, minor, meta.ino())
        })
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_pipe_waits_unless_it_has_to_hurry() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let mut write = File::from(write);
        let hurry = Arc::new(AtomicBool::new(true));
        let mut pipe = Hurrying { file: File::from(read), hurry: hurry.clone() };
        let mut buf = [0; 8];
        assert_eq!(pipe.read(&mut buf).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        write.write_all(b"abc").unwrap();
        assert_eq!(pipe.read(&mut buf).unwrap(), 3);
        drop(write);
        assert_eq!(pipe.read(&mut buf).unwrap(), 0, "the end is no reason to wait");
    }

    #[test]
    fn a_growing_file_waits_unless_it_has_to_hurry() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let (stop, hurry) = (Arc::<AtomicBool>::default(), Arc::new(AtomicBool::new(true)));
        let opened = File::open(file.path()).unwrap();
        let mut growing = Growing::new(opened, true, stop.clone(), hurry.clone());
        let mut buf = [0; 8];
        assert_eq!(growing.read(&mut buf).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        file.write_all(b"abc").unwrap();
        assert_eq!(growing.read(&mut buf).unwrap(), 3);
        stop.store(true, Ordering::Relaxed);
        assert_eq!(growing.read(&mut buf).unwrap(), 0);
    }
}
