use std::{
    fs::File,
    io::Write,
    os::{fd::AsRawFd, unix::fs::FileExt},
    ptr::{dangling_mut, null_mut},
};

use crate::{
    compat::{self, LowMemory, syscall32},
    harness::{Params, Test},
    scratch::{Scratch, fd_of},
    syscall,
};

const BAD: i64 = -7;
/// Another descriptor that is never open.
const WORSE: i64 = -9;
const EBADF: i64 = -(libc::EBADF as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);

/// Returns a file of 100 bytes and an empty one, on one file system.
fn files() -> (File, File) {
    let scratch = Scratch::new();
    let file = |name| {
        let path = scratch.file(name);
        File::options().read(true).write(true).open(path.to_str().unwrap()).unwrap()
    };
    let (full, empty) = (file("full"), file("empty"));
    full.write_all_at(&[b'x'; 100], 0).unwrap();
    (full, empty)
}

fn copy(from: i64, offin: *mut i64, to: i64, offout: *mut i64, len: u64) -> i64 {
    syscall!(SYS_copy_file_range, from, offin, to, offout, len, 0)
}

pub fn copy_file_range_e(t: &mut Test) {
    let mut offsets = [11i64, 1 << 40];
    let [offin, offout] = offsets.each_mut().map(|offset| &raw mut *offset);
    t.fails(libc::EBADF, || copy(BAD, offin, WORSE, offout, 3 << 40))
        .i64("fdin", BAD)
        .u64("offin", 11)
        .u64("len", 3 << 40);
    let (from, to) = files();
    t.succeeds(|| copy(fd_of(&from), offin, fd_of(&to), null_mut(), 7))
        .1
        .i64("fdin", fd_of(&from))
        .u64("offin", 11)
        .u64("len", 7);
    // Without an offset, and with an unreadable one.
    for offset in [0usize, 1] {
        t.fails(libc::EBADF, || copy(BAD, offset as *mut i64, WORSE, offout, 1))
            .i64("fdin", BAD)
            .u64("offin", 0)
            .u64("len", 1);
    }
}

pub fn copy_file_range_x(t: &mut Test) {
    let mut offsets = [11i64, 1 << 40];
    let [offin, offout] = offsets.each_mut().map(|offset| &raw mut *offset);
    let event = t.fails(libc::EBADF, || copy(BAD, offin, WORSE, offout, 3 << 40));
    event.i64("res", EBADF).i64("fdout", WORSE).u64("offout", 1 << 40);
    event.i64("fdin", BAD).u64("offin", 11).u64("len", 3 << 40);
    let (from, to) = files();
    // The offsets are those after the copy.
    let (_, event) = t.succeeds(|| {
        // SAFETY: nothing else uses the offset.
        unsafe { *offout = 500 };
        copy(fd_of(&from), offin, fd_of(&to), offout, 7)
    });
    event.i64("res", 7).i64("fdout", fd_of(&to)).u64("offout", 507);
    event.i64("fdin", fd_of(&from)).u64("offin", 18).u64("len", 7);
    let (_, event) = t.succeeds(|| copy(fd_of(&from), offin, fd_of(&to), null_mut(), 1000));
    event.i64("res", 82).i64("fdout", fd_of(&to)).u64("offout", 0);
    event.i64("fdin", fd_of(&from)).u64("offin", 100).u64("len", 1000);
    if !compat::HERE {
        return;
    }
    // The offsets of 32-bit callers have 64 bits, too.
    let mut memory = LowMemory::new();
    let (low, high) = (memory.put_words(&[90, 0]), memory.put_words(&[2, 1]));
    let [from, to] = [&from, &to].map(|file| fd_of(file) as u32);
    let (_, event) = t.succeeds(|| syscall32(377, [from, low, to, high, 4, 0]));
    event.i64("res", 4).i64("fdout", to.into()).u64("offout", (1 << 32) + 6);
    event.i64("fdin", from.into()).u64("offin", 94).u64("len", 4);
}

fn splice(from: i64, to: i64, size: u64, flags: u32) -> i64 {
    syscall!(SYS_splice, from, 0usize, to, 0usize, size, flags)
}

#[track_caller]
fn assert_splice(event: &Params, from: i64, to: i64, size: u64, flags: u32) {
    event.i64("fd_in", from).i64("fd_out", to).u64("size", size).u32("flags", flags);
}

/// Makes one failing and two successful calls, and returns each event with its result. Both events of a pair have the
/// arguments.
fn splice_events(t: &mut Test) -> [(Params, i64); 3] {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let (_, to) = files();
    writer.write_all(b"hello").unwrap();
    let (pipe, file) = (reader.as_raw_fd().into(), fd_of(&to));
    let failed = t.fails(libc::EBADF, || splice(BAD, WORSE, 1 << 40, libc::SPLICE_F_MOVE));
    assert_splice(&failed, BAD, WORSE, 1 << 40, 1);
    let flags = libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MORE;
    let (_, some) = t.succeeds(|| splice(pipe, file, 3, flags));
    assert_splice(&some, pipe, file, 3, 2 | 4);
    let (_, rest) = t.succeeds(|| splice(pipe, file, 100, libc::SPLICE_F_GIFT));
    assert_splice(&rest, pipe, file, 100, 8);
    [(failed, EBADF), (some, 3), (rest, 2)]
}

pub fn splice_e(t: &mut Test) {
    splice_events(t);
}

pub fn splice_x(t: &mut Test) {
    for (event, res) in splice_events(t) {
        event.i64("res", res);
    }
}

fn sendfile(to: i64, from: i64, offset: *mut i64, size: u64) -> i64 {
    syscall!(SYS_sendfile, to, from, offset, size)
}

#[track_caller]
fn assert_sendfile(event: &Params, to: i64, from: i64, offset: u64, size: u64) {
    event.i64("out_fd", to).i64("in_fd", from).u64("offset", offset).u64("size", size);
}

pub fn sendfile_e(t: &mut Test) {
    let mut offset = (1 << 40) + 5;
    let pointer = &raw mut offset;
    let event = t.fails(libc::EBADF, || sendfile(WORSE, BAD, pointer, 3 << 40));
    assert_sendfile(&event, WORSE, BAD, (1 << 40) + 5, 3 << 40);
    let (from, to) = files();
    let (from, to) = (fd_of(&from), fd_of(&to));
    let (_, event) = t.succeeds(|| sendfile(to, from, null_mut(), 8));
    assert_sendfile(&event, to, from, 0, 8);
    let event = t.fails(libc::EFAULT, || sendfile(to, from, dangling_mut(), 8));
    assert_sendfile(&event, to, from, 0, 8);

    if !compat::HERE {
        return;
    }
    // sendfile and sendfile64 of 32-bit callers.
    let offset = LowMemory::new().put_words(&[20, 1]);
    let (_, event) = t.succeeds(|| syscall32(187, [to as u32, from as u32, offset, 8, 0, 0]));
    assert_sendfile(&event, to, from, 20, 8);
    let (_, event) = t.succeeds(|| syscall32(239, [to as u32, from as u32, offset, 9, 0, 0]));
    assert_sendfile(&event, to, from, (1 << 32) + 28, 9);
}

pub fn sendfile_x(t: &mut Test) {
    let mut offset = 1 << 40;
    let pointer = &raw mut offset;
    let event = t.fails(libc::EBADF, || sendfile(WORSE, BAD, pointer, 3 << 40));
    assert_sendfile(event.i64("res", EBADF), WORSE, BAD, 1 << 40, 3 << 40);
    let (from, to) = files();
    let (from, to) = (fd_of(&from), fd_of(&to));
    // The offset is that after the transfer.
    let (_, event) = t.succeeds(|| {
        // SAFETY: nothing else uses the offset.
        unsafe { *pointer = 94 };
        sendfile(to, from, pointer, 8)
    });
    assert_sendfile(event.i64("res", 6), to, from, 100, 8);
    let event = t.fails(libc::EFAULT, || sendfile(to, from, dangling_mut(), 8));
    assert_sendfile(event.i64("res", EFAULT), to, from, 0, 8);
    if !compat::HERE {
        return;
    }

    let offset = LowMemory::new().put_words(&[20, 1]);
    let (_, event) = t.succeeds(|| syscall32(187, [to as u32, from as u32, offset, 8, 0, 0]));
    assert_sendfile(event.i64("res", 8), to, from, 28, 8);
    let (_, event) = t.succeeds(|| syscall32(239, [to as u32, from as u32, offset, 9, 0, 0]));
    assert_sendfile(event.i64("res", 0), to, from, (1 << 32) + 28, 9);
}
