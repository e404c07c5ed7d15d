//! Waiting for more of a capture that is being written.

use std::{
    fs::File,
    io::{self, Seek},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, atomic::AtomicBool},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::FileType,
};

use super::follow::LOOK;

/// What is known of the rest of a capture.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Tells whether more of it has come, if it may have to be waited for.
    pub live: Option<Live>,
    /// Set while an event waits for what follows it: then the capture's bytes do not wait for long.
    pub hurry: Arc<AtomicBool>,
}

/// What tells whether more of a capture has come, without reading it.
#[derive(Debug)]
pub(super) enum Live {
    /// A pipe or a socket.
    Stream(OwnedFd),
    /// A file that grows. It shares its position with the one that is read.
    Growing(File),
}

impl Live {
    /// Watches a pipe or a socket; `None` for what never has to be waited for, as a file.
    pub fn stream(input: impl AsFd) -> Option<Live> {
        let is_file = rustix::fs::fstat(&input)
            .map_or(true, |stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        if is_file { None } else { input.as_fd().try_clone_to_owned().ok().map(Live::Stream) }
    }

    /// Watches a file that grows.
    ///
    /// # Errors
    /// As for [`File::try_clone`].
    pub fn growing(file: &File) -> io::Result<Live> {
        file.try_clone().map(Live::Growing)
    }

    /// Waits until more has come, or the end. Returns false if neither has come within the time, or if that is unknown.
    pub fn has_more_within(&mut self, time: Duration) -> bool {
        match self {
            Live::Stream(stream) => {
                let timeout = Timespec::try_from(time).ok();
                let mut streams = [PollFd::new(stream, PollFlags::IN)];
                poll(&mut streams, timeout.as_ref()).is_ok_and(|ready| ready > 0)
            }
            Live::Growing(file) => {
                let start = Instant::now();
                loop {
                    if has_grown(file).unwrap_or(false) {
                        return true;
                    }
                    let left = time.saturating_sub(start.elapsed());
                    if left.is_zero() {
                        return false;
                    }
                    sleep(left.min(LOOK / 4));
                }
            }
        }
    }
}

fn has_grown(file: &mut File) -> io::Result<bool> {
    Ok(file.stream_position()? < file.metadata()?.len())
}
