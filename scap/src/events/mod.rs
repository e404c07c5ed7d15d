//! The events: the tables of `include/`, expanded by the compiler.
//!
//! [`EVENTS`] has a row for every event type of the .scap format, [`EXTENSIONS`] one for every event type of ours beside them,
//! [`SYSCALLS`] one for every system call. The BPF
//! programs are expanded from the same rows, so the two sides cannot diverge.

// This comes first: a macro is visible only to the code after it.
include!(concat!(env!("OUT_DIR"), "/tables.rs"));

mod effects;
mod extensions;
mod flags;
mod io_uring;
mod layouts;
mod params;
mod syscalls;
mod table;

pub use effects::Effect;
pub use extensions::{
    Arg, ArgSource, EXTENSIONS, Extends, Extension, extension, extension_of_call, is_extended, rows, types,
};
pub(crate) use extensions::{row_of_joined, row_of_type};
pub use flags::{Flag, FlagTable, flag_table, flag_tables};
pub use io_uring::{IO_URING_OPS, IoUringOp, io_uring_op};
pub use layouts::{Abi, Layout, LayoutTable, Member, layout};
pub use params::{DynEntry, ParamType, dyn_list};
pub use syscalls::{Arch, CompatTwin, ForeignCall, SYSCALLS, Sampling, SocketCall, Syscall};
pub use table::{
    Category, Detail, EVENTS, Event, EventFlags, EventType, ParamInfo, PrintFormat, Schema, Source, Template,
    event, event_by_program,
};

/// Returns the rows of a table as an array, for a static.
const fn array<T: Copy, const N: usize>(rows: &[T]) -> [T; N] {
    let mut all = [rows[0]; N];
    let mut row = 0;
    while row < N {
        all[row] = rows[row];
        row += 1;
    }
    all
}

/// Compares two strings in a constant expression, where `==` is not available.
pub const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}
