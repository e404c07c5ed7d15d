//! The tests, one for each program, named as it is; the files mirror bpf/syscalls/ and bpf/tracepoints/.

mod access;
mod addresses;
mod clone;
mod exec;
mod fds;
mod generic;
mod identity;
mod io;
mod memory;
mod messages;
mod open;
mod owner;
mod paths;
mod process;
mod signal;
mod sockets;
mod sockopt;
mod tracepoints;
mod vectors;

pub use access::*;
pub use clone::*;
pub use exec::*;
pub use fds::*;
pub use generic::*;
pub use identity::*;
pub use io::*;
pub use memory::*;
pub use messages::*;
pub use open::*;
pub use owner::*;
pub use paths::*;
pub use signal::*;
pub use sockets::*;
pub use sockopt::*;
pub use tracepoints::*;
pub use vectors::*;
