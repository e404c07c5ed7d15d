use std::{
    fs::File,
    os::{fd::AsRawFd, unix::fs::FileExt},
};

use crate::{
    harness::{Params, Test},
    syscall,
};

/// A descriptor that is never open.
const NO_FD: i32 = -7;

const TEXT: &[u8; 11] = b"hello\0world";

const EBADF: i64 = -(libc::EBADF as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);

/// Returns a file that holds `TEXT`, positioned at its start.
fn file() -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(TEXT, 0).unwrap();
    file
}

#[track_caller]
fn assert_enter(event: &Params, fd: i32, size: u32) {
    event.i64("fd", fd.into()).u32("size", size);
}

#[track_caller]
fn assert_exit(event: &Params, res: i64, data: &[u8], fd: i32, size: u32) {
    event.i64("res", res).bytes("data", data).i64("fd", fd.into()).u32("size", size);
}

pub fn read_e(t: &mut Test) {
    let mut buffer = [0u8; 64];
    let event = t.fails(libc::EBADF, || syscall!(SYS_read, NO_FD, buffer.as_mut_ptr(), 33));
    assert_enter(&event, NO_FD, 33);
    let file = file();
    let fd = file.as_raw_fd();
    let (_, event) = t.succeeds(|| syscall!(SYS_read, fd, buffer.as_mut_ptr(), 64));
    assert_enter(&event, fd, 64);
}

pub fn read_x(t: &mut Test) {
    let mut buffer = [b'x'; 64];
    let event = t.fails(libc::EBADF, || syscall!(SYS_read, NO_FD, buffer.as_mut_ptr(), 33));
    assert_exit(&event, EBADF, b"", NO_FD, 33);

    let file = file();
    let fd = file.as_raw_fd();
    let (_, event) = t.succeeds(|| syscall!(SYS_read, fd, buffer.as_mut_ptr(), 64));
    assert_exit(&event, 11, TEXT, fd, 64);
    // Nothing is read at the end of the file, so the buffer holds no data.
    let (_, event) = t.succeeds(|| syscall!(SYS_read, fd, buffer.as_mut_ptr(), 64));
    assert_exit(&event, 0, b"", fd, 64);

    let zero = File::open("/dev/zero").unwrap();
    let fd = zero.as_raw_fd();
    let event = t.fails(libc::EFAULT, || syscall!(SYS_read, fd, 1usize, 5));
    assert_exit(&event, EFAULT, b"", fd, 5);

    let mut large = vec![b'x'; 100_000];
    let (_, event) = t.succeeds(|| syscall!(SYS_read, fd, large.as_mut_ptr(), 100_000));
    assert_exit(&event, 100_000, &[0; 80], fd, 100_000);
    t.snaplen(3);
    let (_, event) = t.succeeds(|| syscall!(SYS_read, fd, large.as_mut_ptr(), 100_000));
    assert_exit(&event, 100_000, &[0; 3], fd, 100_000);
    // The most that fits into an event, whatever the snaplen.
    t.snaplen(65_535);
    let (_, event) = t.succeeds(|| syscall!(SYS_read, fd, large.as_mut_ptr(), 100_000));
    assert_exit(&event, 100_000, &[0; 65_519 - 1024], fd, 100_000);
}

pub fn write_e(t: &mut Test) {
    let event = t.fails(libc::EBADF, || syscall!(SYS_write, NO_FD, TEXT.as_ptr(), 7));
    assert_enter(&event, NO_FD, 7);
    let file = file();
    let fd = file.as_raw_fd();
    let (_, event) = t.succeeds(|| syscall!(SYS_write, fd, TEXT.as_ptr(), 11));
    assert_enter(&event, fd, 11);
}

pub fn write_x(t: &mut Test) {
    // The data of a failed write is recorded, too.
    let event = t.fails(libc::EBADF, || syscall!(SYS_write, NO_FD, TEXT.as_ptr(), 7));
    assert_exit(&event, EBADF, b"hello\0w", NO_FD, 7);
    let file = file();
    let fd = file.as_raw_fd();
    let event = t.fails(libc::EFAULT, || syscall!(SYS_write, fd, 1usize, 9));
    assert_exit(&event, EFAULT, b"", fd, 9);

    let (_, event) = t.succeeds(|| syscall!(SYS_write, fd, TEXT.as_ptr(), 11));
    assert_exit(&event, 11, TEXT, fd, 11);
    let large = [b'L'; 200];
    let (_, event) = t.succeeds(|| syscall!(SYS_write, fd, large.as_ptr(), 200));
    assert_exit(&event, 200, &large[..80], fd, 200);
    // Of a short write, only the written data.
    t.snaplen(10_000);
    let (_reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
    let fd = writer.as_raw_fd();
    let capacity = rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
    assert_eq!(capacity, 4096);
    let large = vec![b'P'; 5000];
    let (_, event) = t.succeeds(|| syscall!(SYS_write, fd, large.as_ptr(), 5000));
    assert_exit(&event, 4096, &large[..4096], fd, 5000);
}

pub fn pread64_e(t: &mut Test) {
    let mut buffer = [0u8; 64];
    let event = t.fails(libc::EBADF, || syscall!(SYS_pread64, NO_FD, buffer.as_mut_ptr(), 33, 1i64 << 40));
    assert_enter(&event, NO_FD, 33);
    event.u64("pos", 1 << 40);
    let file = file();
    let fd = file.as_raw_fd();
    let (_, event) = t.succeeds(|| syscall!(SYS_pread64, fd, buffer.as_mut_ptr(), 64, 6i64));
    assert_enter(&event, fd, 64);
    event.u64("pos", 6);
}

pub fn pread64_x(t: &mut Test) {
    let mut buffer = [b'x'; 64];
    let file = file();
    let fd = file.as_raw_fd();
    let event = t.fails(libc::EINVAL, || syscall!(SYS_pread64, fd, buffer.as_mut_ptr(), 33, -2i64));
    assert_exit(&event, -i64::from(libc::EINVAL), b"", fd, 33);
    event.u64("pos", u64::MAX - 1);
    let (_, event) = t.succeeds(|| syscall!(SYS_pread64, fd, buffer.as_mut_ptr(), 64, 6i64));
    assert_exit(&event, 5, b"world", fd, 64);
    event.u64("pos", 6);
    if crate::compat::HERE {
        let mut memory = crate::compat::LowMemory::new();
        let address = memory.put(&[b'x'; 16]);
        let (_, event) = t.succeeds(|| crate::compat::syscall32(180, [fd as u32, address, 16, 9, 0, 0]));
        assert_exit(&event, 2, b"ld", fd, 16);
        event.u64("pos", 9);
        let (_, event) = t.succeeds(|| crate::compat::syscall32(180, [fd as u32, address, 16, 9, 1, 0]));
        assert_exit(&event, 0, b"", fd, 16);
        event.u64("pos", (1 << 32) + 9);
    }
}

pub fn pwrite64_e(t: &mut Test) {
    let event = t.fails(libc::EBADF, || syscall!(SYS_pwrite64, NO_FD, TEXT.as_ptr(), 7, 1i64 << 40));
    assert_enter(&event, NO_FD, 7);
    event.u64("pos", 1 << 40);
    let file = file();
    let fd = file.as_raw_fd();
    let (_, event) = t.succeeds(|| syscall!(SYS_pwrite64, fd, TEXT.as_ptr(), 11, 6i64));
    assert_enter(&event, fd, 11);
    event.u64("pos", 6);
}

pub fn pwrite64_x(t: &mut Test) {
    let file = file();
    let fd = file.as_raw_fd();
    let event = t.fails(libc::EINVAL, || syscall!(SYS_pwrite64, fd, TEXT.as_ptr(), 7, -2i64));
    assert_exit(&event, -i64::from(libc::EINVAL), b"hello\0w", fd, 7);
    event.u64("pos", u64::MAX - 1);
    let event = t.fails(libc::EFAULT, || syscall!(SYS_pwrite64, fd, 1usize, 9, 3i64));
    assert_exit(&event, EFAULT, b"", fd, 9);
    event.u64("pos", 3);
    let (_, event) = t.succeeds(|| syscall!(SYS_pwrite64, fd, TEXT.as_ptr(), 11, 6i64));
    assert_exit(&event, 11, TEXT, fd, 11);
    event.u64("pos", 6);
}
