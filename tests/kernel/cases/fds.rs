use std::os::fd::IntoRawFd;

use crate::{harness::Test, scratch::Scratch, syscall};

const EBADF: i64 = -(libc::EBADF as i64);

pub fn close_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_close, -7)).i64("fd", -7);
    let fd = Scratch::new().open().into_raw_fd();
    t.succeeds(|| syscall!(SYS_close, fd)).1.i64("fd", fd.into());
}

pub fn close_x(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_close, -7)).i64("res", EBADF).i64("fd", -7);
    let fd = Scratch::new().open().into_raw_fd();
    t.succeeds(|| syscall!(SYS_close, fd)).1.i64("res", 0).i64("fd", fd.into());
}
