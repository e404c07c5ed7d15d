//! The recorded machine at an event's time: the state that a capture starts with, updated by its events.
//!
//! ```no_run
//! use scap::{format::{Joiner, Keep, Reader}, model::Machine};
//!
//! let mut reader = Reader::new(std::fs::File::open("a.scap")?)?;
//! let (mut machine, mut joiner, mut section) = (Machine::default(), Joiner::default(), 0);
//! while let Some(captured) = reader.next_event()? {
//!     if captured.section != section {
//!         section = captured.section;
//!         (machine, joiner) = (Machine::of_state(captured.state, Keep::All), Joiner::default());
//!     }
//!     let event = joiner.join(captured.event);
//!     machine.apply(&event);
//!     if let (Some(thread), Some(ns)) = (machine.thread(event.tid()), machine.latency()) {
//!         println!("{} {ns}", thread.process.exepath.escape_ascii());
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ancestry;
mod apply;
mod containers;
mod control;
mod describe;
mod endpoints;
mod exact;
#[cfg(test)]
mod extension_tests;
mod fd_state;
mod fd_table;
mod fds;
mod flags;
mod info;
mod kin;
mod machine;
mod memory;
mod namespaces;
mod pairing;
mod paths;
mod pool;
mod requests;
mod schedule;
mod tasks;
#[cfg(test)]
mod tests;
mod users;
mod written;

pub(crate) use apply::is_quiet;
pub use apply::{Change, may_change};
pub use endpoints::{endpoint, sockaddr, socktuple};
pub use fds::{Ends, FdClass, OpenFd, Role};
pub use flags::{bpf_creates, fcntl_duplicates, flag};
pub use info::{CpuTime, Memory, ProcessInfo, Text, ThreadInfo};
pub use machine::{AT_FDCWD, Machine, Thread};
pub use memory::Interval;
pub use pairing::Call;
pub use requests::{RequestKey, Requests};
