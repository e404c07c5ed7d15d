use crate::{harness::Test, syscall};

const MISSING: &std::ffi::CStr = c"/no/such/file";

pub fn access_e(t: &mut Test) {
    t.fails(libc::ENOENT, || syscall!(SYS_access, MISSING.as_ptr(), libc::W_OK)).u32("mode", 2);
    t.succeeds(|| syscall!(SYS_access, c"/".as_ptr(), libc::R_OK | libc::X_OK)).1.u32("mode", 5);
}

pub fn access_x(t: &mut Test) {
    t.fails(libc::ENOENT, || syscall!(SYS_access, MISSING.as_ptr(), libc::W_OK))
        .i64("res", -i64::from(libc::ENOENT))
        .text("name", MISSING)
        .u32("mode", 2);
    t.succeeds(|| syscall!(SYS_access, c"/".as_ptr(), libc::R_OK | libc::X_OK))
        .1
        .i64("res", 0)
        .text("name", c"/")
        .u32("mode", 5);
    // An unreadable path has no value.
    t.fails(libc::EFAULT, || syscall!(SYS_access, 1usize, libc::F_OK))
        .i64("res", -i64::from(libc::EFAULT))
        .empty("name")
        .u32("mode", 0);
}
