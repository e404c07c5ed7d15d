//! The tests, one for each program, named as it is; the files mirror bpf/syscalls/ and bpf/tracepoints/.

mod access;
mod generic;
mod tracepoints;

pub use access::*;
pub use generic::*;
pub use tracepoints::*;
