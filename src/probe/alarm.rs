//! Waits for an event without polling the rings.
//!
//! While events come, the programs do not wake the recorder: it polls the rings anyway, and a wake-up costs the
//! workload more than an event. After a while without events, the recorder turns wake-ups on
//! ([`Control::set_wakeup`](super::Control::set_wakeup)) and waits here.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};

/// An epoll instance that waits for any of its rings.
#[derive(Debug)]
pub struct Alarm {
    epoll: OwnedFd,
}

impl Alarm {
    /// Makes an alarm without rings.
    pub fn new() -> io::Result<Alarm> {
        Ok(Alarm { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// Adds a ring. Its descriptor may be closed afterwards: while the ring is mapped, the kernel keeps the open file,
    /// and with it the entry here.
    pub fn add(&self, ring: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, ring, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?)
    }

    /// Waits until a ring has an event; returns false on a timeout or a signal.
    pub fn wait(&self, limit: Duration) -> io::Result<bool> {
        let timeout = Timespec::try_from(limit).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut events: Vec<epoll::Event> = Vec::with_capacity(1);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
            // Return on a signal: the caller may have to act on it.
            Err(rustix::io::Errno::INTR) => Ok(false),
            count => Ok(count? > 0),
        }
    }
}
