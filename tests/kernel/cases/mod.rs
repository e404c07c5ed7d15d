//! The tests, one for each program, named as it is; the files mirror bpf/syscalls/ and bpf/tracepoints/.

mod access;
mod fds;
mod generic;
mod open;
mod tracepoints;

pub use access::*;
pub use fds::*;
pub use generic::*;
pub use open::*;
pub use tracepoints::*;
