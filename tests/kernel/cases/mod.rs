//! The tests, one for each program, named as it is; the files mirror bpf/syscalls/ and bpf/tracepoints/.

mod access;
mod clone;
mod exec;
mod generic;
mod process;
mod tracepoints;

pub use access::*;
pub use clone::*;
pub use exec::*;
pub use generic::*;
pub use tracepoints::*;
