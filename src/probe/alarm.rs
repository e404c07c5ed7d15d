//! Waiting for an event without looking at the rings all the time.
//!
//! The programs do not wake the recorder: while events come, it looks at the rings anyway, and a wake-up costs the
//! workload more than an event. Only after a while without events the recorder asks them to
//! ([`Control::set_wakeup`](super::Control::set_wakeup)), and waits here.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};

/// Waits for any of several rings.
#[derive(Debug)]
pub struct Alarm {
    epoll: OwnedFd,
}

impl Alarm {
    /// Without any ring.
    pub fn new() -> io::Result<Alarm> {
        Ok(Alarm { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// Waits for this ring, too. Its descriptor may be closed: as long as the ring is mapped, the kernel keeps the open
    /// file, and with it the entry here.
    pub fn add(&self, ring: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, ring, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?)
    }

    /// Waits until a ring has something in it; false if the time is over before.
    pub fn wait(&self, limit: Duration) -> io::Result<bool> {
        let timeout = Timespec::try_from(limit).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut events: Vec<epoll::Event> = Vec::with_capacity(1);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
            // A signal: whoever waits may want to know.
            Err(rustix::io::Errno::INTR) => Ok(false),
            count => Ok(count? > 0),
        }
    }
}
