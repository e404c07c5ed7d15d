//! What the tests of rows share.

use crate::syscall;

/// A number that no process has.
pub const NO_PID: i32 = 0x3fff_fff7;
/// An address that no program may use.
pub const BAD_ADDRESS: usize = 0x18;

/// Returns zeroed memory for the kernel to fill in.
pub fn zeroed<T>() -> T {
    // SAFETY: the tests use it for structures of integers and pointers, for which zero is a value.
    unsafe { std::mem::zeroed() }
}

/// Makes a child, which must end in `action`, and returns its number.
pub fn child(action: impl FnOnce() -> i64) -> i64 {
    let child = syscall!(SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
    if child == 0 {
        action();
        std::process::abort();
    }
    child
}
