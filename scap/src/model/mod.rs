//! The recorded machine at an event's time: the state that a capture starts with, updated by its events.

mod apply;
mod control;
mod endpoints;
mod fd_table;
mod fds;
mod memory;
mod names;
mod namespaces;
mod paths;
mod tasks;
mod transitions;

pub use endpoints::{endpoint, sockaddr, socktuple};
pub use fds::{FdClass, OpenFd};
pub use memory::Interval;
pub use names::{AT_FDCWD, Names};
pub use transitions::{Transition, bpf_creates, fcntl_duplicates, flag, transition};
