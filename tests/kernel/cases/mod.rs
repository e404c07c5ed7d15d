//! The tests, one for each program, named as it is; the files mirror bpf/syscalls/ and bpf/tracepoints/.

mod access;
mod fds;
mod generic;
mod io;
mod open;
mod paths;
mod tracepoints;
mod vectors;

pub use access::*;
pub use fds::*;
pub use generic::*;
pub use io::*;
pub use open::*;
pub use paths::*;
pub use tracepoints::*;
pub use vectors::*;
