use std::{
    os::fd::{IntoRawFd, RawFd},
    ptr,
};

use scap::events::Schema;

use crate::compat::{LowMemory, syscall32};
use crate::{
    harness::{Params, Test},
    scratch::{Scratch, fd_of, identity, own},
    syscall,
};

const EBADF: i64 = -(libc::EBADF as i64);
/// No file is open with these numbers.
const BAD: i64 = -7;
const BAD_TOO: i64 = -8;

/// Free descriptors, far beyond those in use: one for each test, as tests run in parallel.
const FREE: [i64; 5] = [501, 502, 503, 504, 505];

pub fn close_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_close, BAD)).i64("fd", BAD);
    let fd = Scratch::new().open().into_raw_fd();
    t.succeeds(|| syscall!(SYS_close, fd)).1.i64("fd", fd.into());
}

pub fn close_x(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_close, BAD)).i64("res", EBADF).i64("fd", BAD);
    let fd = Scratch::new().open().into_raw_fd();
    t.succeeds(|| syscall!(SYS_close, fd)).1.i64("res", 0).i64("fd", fd.into());
}

/// Returns a new descriptor beyond those of [`FREE`].
fn far() -> i64 {
    let file = Scratch::new().open();
    let fd = syscall!(SYS_fcntl, fd_of(&file), libc::F_DUPFD_CLOEXEC, 600);
    assert!(fd >= 600);
    fd
}

pub fn close_range_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_close_range, 5, 4, 0));
    let fd = far();
    t.succeeds(|| syscall!(SYS_close_range, fd, fd, 0));
}

pub fn close_range_x(t: &mut Test) {
    const EINVAL: i64 = -(libc::EINVAL as i64);
    let flags = libc::CLOSE_RANGE_UNSHARE | libc::CLOSE_RANGE_CLOEXEC;
    t.fails(libc::EINVAL, || syscall!(SYS_close_range, u32::MAX, 4, flags))
        .i64("res", EINVAL)
        .u32("first", u32::MAX)
        .u32("last", 4)
        .u32("flags", 2 | 4);
    // Of invalid flags, only the named ones are recorded.
    t.fails(libc::EINVAL, || syscall!(SYS_close_range, 4, 5, 1 | libc::CLOSE_RANGE_UNSHARE))
        .i64("res", EINVAL)
        .u32("first", 4)
        .u32("last", 5)
        .u32("flags", 2);
    let fd = far();
    // Kernels before 5.11 lack this flag.
    let captured = t.capture(|| syscall!(SYS_close_range, fd, fd, libc::CLOSE_RANGE_CLOEXEC));
    let ret = captured.ret;
    assert!([0, EINVAL].contains(&ret), "the call returned {ret}");
    let event = captured.one();
    event.i64("res", ret).u32("first", fd as u32).u32("last", fd as u32).u32("flags", 4);
    t.succeeds(|| syscall!(SYS_close_range, fd, fd, 0))
        .1
        .i64("res", 0)
        .u32("first", fd as u32)
        .u32("last", fd as u32)
        .u32("flags", 0);
    assert_eq!(syscall!(SYS_close, fd), EBADF);
    // Nothing is open there.
    t.succeeds(|| syscall!(SYS_close_range, u32::MAX - 1, u32::MAX, 0))
        .1
        .i64("res", 0)
        .u32("first", u32::MAX - 1)
        .u32("last", u32::MAX)
        .u32("flags", 0);
}

pub fn dup_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_dup, BAD)).i64("fd", BAD);
    let file = Scratch::new().open();
    let (fd, params) = t.succeeds(|| syscall!(SYS_dup, fd_of(&file)));
    params.i64("fd", fd_of(&file));
    drop(own(fd));
}

pub fn dup_x(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_dup, BAD)).i64("res", EBADF).i64("oldfd", BAD);
    let file = Scratch::new().open();
    let (fd, params) = t.succeeds(|| syscall!(SYS_dup, fd_of(&file)));
    params.i64("res", fd).i64("oldfd", fd_of(&file));
    drop(own(fd));
}

pub fn dup2_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_dup2, BAD, BAD_TOO)).i64("fd", BAD);
    let (file, free) = (Scratch::new().open(), FREE[0]);
    let (fd, params) = t.succeeds(|| syscall!(SYS_dup2, fd_of(&file), free));
    params.i64("fd", fd_of(&file));
    drop(own(fd));
}

pub fn dup2_x(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_dup2, BAD, BAD_TOO))
        .i64("res", EBADF)
        .i64("oldfd", BAD)
        .i64("newfd", BAD_TOO);
    let (file, free) = (Scratch::new().open(), FREE[1]);
    let (fd, params) = t.succeeds(|| syscall!(SYS_dup2, fd_of(&file), free));
    assert_eq!(fd, free);
    params.i64("res", free).i64("oldfd", fd_of(&file)).i64("newfd", free);
    drop(own(fd));
}

pub fn dup3_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_dup3, BAD, BAD_TOO, 0)).i64("fd", BAD);
    let (file, free) = (Scratch::new().open(), FREE[2]);
    let (fd, params) = t.succeeds(|| syscall!(SYS_dup3, fd_of(&file), free, libc::O_CLOEXEC));
    params.i64("fd", fd_of(&file));
    drop(own(fd));
}

pub fn dup3_x(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_dup3, BAD, BAD_TOO, 0))
        .i64("res", EBADF)
        .i64("oldfd", BAD)
        .i64("newfd", BAD_TOO)
        .u32("flags", 0);
    let (file, free) = (Scratch::new().open(), FREE[3]);
    let (fd, params) = t.succeeds(|| syscall!(SYS_dup3, fd_of(&file), free, libc::O_CLOEXEC));
    params.i64("res", free).i64("oldfd", fd_of(&file)).i64("newfd", free).u32("flags", 4096);
    drop(own(fd));
}

pub fn pipe_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_pipe, 1usize));
    let mut ends = [0; 2];
    t.succeeds(|| syscall!(SYS_pipe, ends.as_mut_ptr()));
    close(ends);
}

fn close(pipe: [RawFd; 2]) {
    pipe.into_iter().for_each(|fd| drop(own(fd.into())));
}

/// Asserts the parameters of a new pipe, and closes it.
fn is_pipe(params: &Params, ends: [RawFd; 2]) {
    let [reader, writer] = ends.map(|fd| own(fd.into()));
    params
        .i64("res", 0)
        .i64("fd1", fd_of(&reader))
        .i64("fd2", fd_of(&writer))
        .u64("ino", identity(&reader).1);
}

fn is_no_pipe(params: &Params, errno: i32) {
    params.i64("res", -i64::from(errno)).i64("fd1", -1).i64("fd2", -1).u64("ino", 0);
}

pub fn pipe_x(t: &mut Test) {
    is_no_pipe(&t.fails(libc::EFAULT, || syscall!(SYS_pipe, 1usize)), libc::EFAULT);
    let mut ends = [0; 2];
    let (_, params) = t.succeeds(|| syscall!(SYS_pipe, ends.as_mut_ptr()));
    is_pipe(&params, ends);
    if crate::compat::HERE {
        let mut memory = LowMemory::new();
        let pointer = memory.put_words(&[0; 2]);
        let (_, params) = t.succeeds(|| syscall32(42, [pointer, 0, 0, 0, 0, 0]));
        is_pipe(&params, memory.words(pointer));
    }
}

pub fn pipe2_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_pipe2, 1usize, 0));
    let mut ends = [0; 2];
    t.succeeds(|| syscall!(SYS_pipe2, ends.as_mut_ptr(), 0));
    close(ends);
}

pub fn pipe2_x(t: &mut Test) {
    // The old contents of the memory are not descriptors if the call fails.
    let mut ends = [0; 2];
    let params = t.fails(libc::EINVAL, || syscall!(SYS_pipe2, ends.as_mut_ptr(), -1));
    is_no_pipe(params.u32("flags", 0), libc::EINVAL);
    let params = t.fails(libc::EFAULT, || syscall!(SYS_pipe2, 1usize, libc::O_DIRECT));
    is_no_pipe(params.u32("flags", 512), libc::EFAULT);
    let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
    let (_, params) = t.succeeds(|| syscall!(SYS_pipe2, ends.as_mut_ptr(), flags));
    is_pipe(params.u32("flags", 4096 | 64), ends);
}

/// The commands of fcntl, and their numbers in the format.
const COMMANDS: &[(i32, u8)] = &[
    (libc::F_DUPFD, 1),
    (libc::F_GETFD, 2),
    (libc::F_SETFD, 3),
    (libc::F_GETFL, 4),
    (libc::F_SETFL, 5),
    (libc::F_GETLK, 6),
    (libc::F_SETLK, 8),
    (libc::F_SETLKW, 9),
    (libc::F_SETOWN, 10),
    (libc::F_GETOWN, 12),
    (10, 13), // F_SETSIG
    (11, 15), // F_GETSIG
    (12, 0),  // a 32-bit caller's F_GETLK64
    (15, 21), // F_SETOWN_EX
    (16, 22), // F_GETOWN_EX
    (libc::F_SETLEASE, 23),
    (libc::F_GETLEASE, 24),
    (libc::F_CANCELLK, 25),
    (libc::F_DUPFD_CLOEXEC, 26),
    (libc::F_NOTIFY, 27),
    (libc::F_SETPIPE_SZ, 28),
    (libc::F_GETPIPE_SZ, 29),
    (libc::F_OFD_GETLK, 30),
    (libc::F_OFD_SETLK, 31),
    (libc::F_OFD_SETLKW, 32),
    (libc::F_ADD_SEALS, 0), // not one of the format's
];

pub fn fcntl_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_fcntl, BAD, libc::F_SETFL, 0)).i64("fd", BAD).u8("cmd", 5);
    let file = Scratch::new().open();
    t.succeeds(|| syscall!(SYS_fcntl, fd_of(&file), libc::F_GETFD)).1.i64("fd", fd_of(&file)).u8("cmd", 2);
}

pub fn fcntl_x(t: &mut Test) {
    for (command, expected) in COMMANDS {
        t.fails(libc::EBADF, || syscall!(SYS_fcntl, BAD, *command, 0))
            .i64("res", EBADF)
            .i64("fd", BAD)
            .u8("cmd", *expected);
    }
    let (file, free) = (Scratch::new().open(), FREE[4]);
    let (fd, params) = t.succeeds(|| syscall!(SYS_fcntl, fd_of(&file), libc::F_DUPFD_CLOEXEC, free));
    params.i64("res", fd).i64("fd", fd_of(&file)).u8("cmd", 26);
    drop(own(fd));
    // The commands that only 32-bit callers have: F_GETLK64, F_SETLK64, F_SETLKW64.
    let of_32_bits = [(12, 17), (13, 18), (14, 19), (libc::F_GETFD as u32, 2)];
    for (command, expected) in of_32_bits.into_iter().filter(|_| crate::compat::HERE) {
        let params = t.fails(libc::EBADF, || syscall32(221, [BAD as u32, command, 0, 0, 0, 0]));
        params.i64("res", EBADF).i64("fd", BAD).u8("cmd", expected);
    }
    t.schema(Schema::V0_25);
    t.fails(libc::EBADF, || syscall!(SYS_fcntl, BAD, libc::F_SETFL, u64::MAX - 1))
        .i64("res", EBADF)
        .i64("fd", BAD)
        .u8("cmd", 5)
        .u64("arg", u64::MAX - 1);
    let (_, params) = t.succeeds(|| syscall!(SYS_fcntl, fd_of(&file), libc::F_SETFD, libc::FD_CLOEXEC));
    params.i64("res", 0).i64("fd", fd_of(&file)).u8("cmd", 3).u64("arg", 1);
    if crate::compat::HERE {
        let params = t.fails(libc::EBADF, || syscall32(221, [BAD as u32, 2, u32::MAX, 0, 0, 0]));
        params.i64("res", EBADF).i64("fd", BAD).u8("cmd", 3).u64("arg", u32::MAX.into());
    }
}

pub fn ioctl_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_ioctl, BAD, u64::MAX - 1, u64::MAX - 2))
        .i64("fd", BAD)
        .u64("request", u64::MAX - 1)
        .u64("argument", u64::MAX - 2);
    let file = Scratch::new().open();
    t.succeeds(|| syscall!(SYS_ioctl, fd_of(&file), libc::FIOCLEX, 9usize))
        .1
        .i64("fd", fd_of(&file))
        .u64("request", libc::FIOCLEX)
        .u64("argument", 9);
}

pub fn ioctl_x(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_ioctl, BAD, u64::MAX - 1, u64::MAX - 2))
        .i64("res", EBADF)
        .i64("fd", BAD)
        .u64("request", u64::MAX - 1)
        .u64("argument", u64::MAX - 2);
    let file = Scratch::new().open();
    let nonblocking = 1i32;
    let argument = ptr::from_ref(&nonblocking);
    t.succeeds(|| syscall!(SYS_ioctl, fd_of(&file), libc::FIONBIO, argument))
        .1
        .i64("res", 0)
        .i64("fd", fd_of(&file))
        .u64("request", libc::FIONBIO)
        .u64("argument", argument.addr() as u64);
}

/// The origins of lseek, and their numbers in the format; the last, SEEK_DATA, has no name there.
const WHENCE: &[(i32, u8)] = &[(libc::SEEK_SET, 0), (libc::SEEK_CUR, 1), (libc::SEEK_END, 2), (3, 3)];

pub fn lseek_e(t: &mut Test) {
    for (whence, expected) in WHENCE {
        t.fails(libc::EBADF, || syscall!(SYS_lseek, BAD, -9i64, *whence))
            .i64("fd", BAD)
            .u64("offset", -9i64 as u64)
            .u8("whence", *expected);
    }
    let (scratch, offset) = (Scratch::new(), 1i64 << 33);
    let file = scratch.open_file("file");
    t.succeeds(|| syscall!(SYS_lseek, fd_of(&file), offset, libc::SEEK_CUR))
        .1
        .i64("fd", fd_of(&file))
        .u64("offset", offset as u64)
        .u8("whence", 1);
}

pub fn lseek_x(t: &mut Test) {
    for (whence, expected) in WHENCE {
        t.fails(libc::EBADF, || syscall!(SYS_lseek, BAD, -9i64, *whence))
            .i64("res", EBADF)
            .i64("fd", BAD)
            .u64("offset", -9i64 as u64)
            .u8("whence", *expected);
    }
    let (scratch, offset) = (Scratch::new(), 1i64 << 33);
    let file = scratch.open_file("file");
    for moved in 1..3 {
        t.succeeds(|| syscall!(SYS_lseek, fd_of(&file), offset, libc::SEEK_CUR))
            .1
            .i64("res", moved * offset)
            .i64("fd", fd_of(&file))
            .u64("offset", offset as u64)
            .u8("whence", 1);
    }
    // A 32-bit caller's offset is signed, too.
    if crate::compat::HERE {
        let file = scratch.open_file("other");
        file.set_len(100).unwrap();
        let arguments = [fd_of(&file) as u32, -9i32 as u32, libc::SEEK_END as u32, 0, 0, 0];
        let (_, params) = t.succeeds(|| syscall32(19, arguments));
        params.i64("res", 91).i64("fd", fd_of(&file)).u64("offset", -9i64 as u64).u8("whence", 2);
    }
}
