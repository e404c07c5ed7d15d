use std::{fs::File, os::fd::AsRawFd};

use super::{addresses::NO_FD, process::of_child};
use crate::{harness::Test, syscall};

const EBADF: i64 = -(libc::EBADF as i64);
const EINVAL: i64 = -(libc::EINVAL as i64);

/// Flags of the format.
const NEWIPC: u32 = 8;
const NEWNS: u32 = 32;
const NEWUTS: u32 = 128;
const PTRACE: u32 = 1024;
const CLONE_THREAD: u32 = 8192;
const FILES: u32 = 1;

pub fn setns_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_setns, NO_FD, libc::CLONE_NEWNS))
        .i64("fd", NO_FD.into())
        .u32("nstype", NEWNS);
    let own = File::open("/proc/self/ns/uts").unwrap();
    let fd = own.as_raw_fd();
    of_child(t, || syscall!(SYS_setns, fd, libc::CLONE_NEWUTS)).1.i64("fd", fd.into()).u32("nstype", NEWUTS);
}

pub fn setns_x(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_setns, NO_FD, libc::CLONE_NEWNS | libc::CLONE_NEWIPC))
        .i64("res", EBADF)
        .i64("fd", NO_FD.into())
        .u32("nstype", NEWNS | NEWIPC);
    let own = File::open("/proc/self/ns/uts").unwrap();
    let fd = own.as_raw_fd();
    t.fails(libc::EINVAL, || syscall!(SYS_setns, fd, libc::CLONE_NEWIPC))
        .i64("res", EINVAL)
        .i64("fd", fd.into())
        .u32("nstype", NEWIPC);
    for (nstype, expected) in [(libc::CLONE_NEWUTS, NEWUTS), (0, 0)] {
        let (ret, event) = of_child(t, || syscall!(SYS_setns, fd, nstype));
        assert_eq!(ret, 0);
        event.i64("res", 0).i64("fd", fd.into()).u32("nstype", expected);
    }
}

pub fn unshare_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_unshare, libc::CLONE_PTRACE)).u32("flags", PTRACE);
    of_child(t, || syscall!(SYS_unshare, libc::CLONE_NEWUTS)).1.u32("flags", NEWUTS);
}

pub fn unshare_x(t: &mut Test) {
    let flags = libc::CLONE_PTRACE | libc::CLONE_NEWNS;
    t.fails(libc::EINVAL, || syscall!(SYS_unshare, flags)).i64("res", EINVAL).u32("flags", PTRACE | NEWNS);
    // This flag fails in a process with threads, and does nothing in a new one.
    t.fails(libc::EINVAL, || syscall!(SYS_unshare, libc::CLONE_THREAD))
        .i64("res", EINVAL)
        .u32("flags", CLONE_THREAD);
    let flags = libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_FILES | libc::CLONE_THREAD;
    let (ret, event) = of_child(t, || syscall!(SYS_unshare, flags));
    assert_eq!(ret, 0);
    event.i64("res", 0).u32("flags", NEWUTS | NEWIPC | FILES | CLONE_THREAD);
}
