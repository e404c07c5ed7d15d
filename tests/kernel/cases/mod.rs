//! The tests, one for each program, named as it is; the files mirror bpf/syscalls/ and bpf/tracepoints/.

mod access;
mod generic;
mod io;
mod tracepoints;
mod vectors;

pub use access::*;
pub use generic::*;
pub use io::*;
pub use tracepoints::*;
pub use vectors::*;
