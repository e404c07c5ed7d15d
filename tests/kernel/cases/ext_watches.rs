//! Watching files: inotify and fanotify.

use std::{ffi::CStr, os::fd::AsRawFd};

use crate::{
    cases::ext_number::{BAD, CWD},
    fails, rows,
    rows::{Row, RowTest},
    scratch::{Scratch, fd_of, own},
    succeeds, syscall,
};

pub const ROWS: &[RowTest] = rows![inotify_add_watch, inotify_rm_watch, fanotify_init, fanotify_mark];

const MISSING: &CStr = c"/nonexistent/file";

fn inotify_add_watch(r: &mut Row) {
    let event = fails!(r, libc::EBADF, BAD, MISSING.as_ptr(), 0x102);
    event.i64("fd", BAD.into()).text("path", MISSING).u32("mask", 0x102);
    let dir = Scratch::new();
    let (inotify, path) = (own(syscall!(SYS_inotify_init1, 0)), dir.file("file"));
    let (_, event) = succeeds!(r, inotify.as_raw_fd(), path.as_ptr(), libc::IN_OPEN | libc::IN_ONESHOT);
    event.i64("fd", fd_of(&inotify)).text("path", &path).u32("mask", 0x8000_0020);
}

fn inotify_rm_watch(r: &mut Row) {
    fails!(r, libc::EBADF, BAD, -8).i64("fd", BAD.into()).i32("wd", -8);
    let dir = Scratch::new();
    let (inotify, path) = (own(syscall!(SYS_inotify_init1, 0)), dir.file("file"));
    let watch = syscall!(SYS_inotify_add_watch, inotify.as_raw_fd(), path.as_ptr(), libc::IN_OPEN);
    let (_, event) = succeeds!(r, inotify.as_raw_fd(), watch);
    event.i64("fd", fd_of(&inotify)).i32("wd", watch as i32);
}

fn fanotify_init(r: &mut Row) {
    let event = fails!(r, libc::EINVAL, 0x8000_0001u32, libc::O_RDWR | libc::O_CLOEXEC);
    event.u32("flags", 0x8000_0001).u32("event_f_flags", 0o2000002);
    let (fd, event) = succeeds!(r, libc::FAN_CLASS_CONTENT | libc::FAN_CLOEXEC, libc::O_APPEND);
    event.u32("flags", 5).u32("event_f_flags", 0o2000);
    drop(own(fd));
}

fn fanotify_mark(r: &mut Row) {
    const FAR: u64 = 0x5_0000_0002;
    let event = fails!(r, libc::EINVAL, BAD, 1, FAR, BAD - 1, c"file".as_ptr());
    event.i64("fanotify_fd", BAD.into()).u32("flags", 1).u64("mask", FAR);
    event.i64("dirfd", i64::from(BAD) - 1).text("path", c"file");
    let dir = Scratch::new();
    let (watch, path) = (own(syscall!(SYS_fanotify_init, 0, 0)), dir.file("file"));
    let (_, event) = succeeds!(r, watch.as_raw_fd(), 5, libc::FAN_OPEN, libc::AT_FDCWD, path.as_ptr());
    event.i64("fanotify_fd", fd_of(&watch)).u32("flags", 5).u64("mask", 0x20);
    event.i64("dirfd", CWD).text("path", &path);
    if crate::compat::HERE {
        let path32 = crate::compat::LowMemory::new().put(path.to_bytes_with_nul());
        let (watch32, cwd) = (watch.as_raw_fd() as u32, libc::AT_FDCWD as u32);
        let event = r.call32(0, [watch32, 1, 2, 0, cwd, path32]);
        event.i64("fanotify_fd", fd_of(&watch)).u32("flags", 1).u64("mask", 2);
        event.i64("dirfd", CWD).text("path", &path);
        let event = r.call32(-22, [BAD as u32, 1, FAR as u32, (FAR >> 32) as u32, cwd, path32]);
        event.i64("fanotify_fd", BAD.into()).u32("flags", 1).u64("mask", FAR);
        event.i64("dirfd", CWD).text("path", &path);
    }
}
