use std::{fs::File, io::IoSlice, os::fd::AsRawFd, os::unix::fs::FileExt, ptr::null};

use crate::{
    harness::{Params, Test},
    syscall,
};

/// A descriptor that is never open.
const NO_FD: i32 = -7;

const EBADF: i64 = -(libc::EBADF as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);
const EINVAL: i64 = -(libc::EINVAL as i64);

/// Returns eight bytes in four buffers, one of them empty.
fn pieces() -> [IoSlice<'static>; 4] {
    [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"d"), IoSlice::new(b"e\0fg")]
}

const JOINED: &[u8] = b"abcde\0fg";

/// Buffers of these sizes.
struct Buffers {
    buffers: Vec<Vec<u8>>,
    iovecs: Vec<libc::iovec>,
}

impl Buffers {
    fn new(sizes: &[usize]) -> Buffers {
        let mut buffers: Vec<_> = sizes.iter().map(|size| vec![b'x'; *size]).collect();
        let iovecs = buffers
            .iter_mut()
            .map(|b| libc::iovec { iov_base: b.as_mut_ptr().cast(), iov_len: b.len() })
            .collect();
        Buffers { buffers, iovecs }
    }

    fn joined(&self) -> Vec<u8> {
        self.buffers.concat()
    }
}

fn file() -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(JOINED, 0).unwrap();
    file
}

#[track_caller]
fn assert_read(event: &Params, res: i64, data: &[u8], fd: i32) {
    event.i64("res", res).u32("size", res.max(0) as u32).bytes("data", data).i64("fd", fd.into());
}

#[track_caller]
fn assert_written(event: &Params, res: i64, data: &[u8], fd: i32, size: u32) {
    event.i64("res", res).bytes("data", data).i64("fd", fd.into()).u32("size", size);
}

pub fn readv_e(t: &mut Test) {
    let buffers = Buffers::new(&[3, 7]);
    t.fails(libc::EBADF, || syscall!(SYS_readv, NO_FD, buffers.iovecs.as_ptr(), 2)).i64("fd", NO_FD.into());
    let file = file();
    let fd = file.as_raw_fd();
    t.succeeds(|| syscall!(SYS_readv, fd, buffers.iovecs.as_ptr(), 2)).1.i64("fd", fd.into());
}

pub fn readv_x(t: &mut Test) {
    let buffers = Buffers::new(&[3, 0, 7]);
    let file = file();
    let fd = file.as_raw_fd();
    let event = t.fails(libc::EBADF, || syscall!(SYS_readv, NO_FD, buffers.iovecs.as_ptr(), 3));
    assert_read(&event, EBADF, b"", NO_FD);
    let event = t.fails(libc::EFAULT, || syscall!(SYS_readv, fd, 1usize, 3));
    assert_read(&event, EFAULT, b"", fd);
    // The last buffer is longer than the remaining data.
    let (_, event) = t.succeeds(|| syscall!(SYS_readv, fd, buffers.iovecs.as_ptr(), 3));
    assert_read(&event, 8, JOINED, fd);

    // Up to the snaplen, which ends within a buffer.
    let random = File::open("/dev/urandom").unwrap();
    let fd = random.as_raw_fd();
    let buffers = Buffers::new(&[70, 5, 50]);
    let (_, event) = t.succeeds(|| syscall!(SYS_readv, fd, buffers.iovecs.as_ptr(), 3));
    assert_read(&event, 125, &buffers.joined()[..80], fd);
    // From at most 32 buffers.
    let buffers = Buffers::new(&[1; 40]);
    let (_, event) = t.succeeds(|| syscall!(SYS_readv, fd, buffers.iovecs.as_ptr(), 40));
    assert_read(&event, 40, &buffers.joined()[..32], fd);
    t.snaplen(65_535);
    let buffers = Buffers::new(&[40_000, 40_000]);
    let (_, event) = t.succeeds(|| syscall!(SYS_readv, fd, buffers.iovecs.as_ptr(), 2));
    assert_read(&event, 80_000, &buffers.joined()[..65_519 - 1024], fd);
}

pub fn preadv_e(t: &mut Test) {
    let buffers = Buffers::new(&[3, 7]);
    t.fails(libc::EBADF, || syscall!(SYS_preadv, NO_FD, buffers.iovecs.as_ptr(), 2, 1i64 << 40, 0))
        .i64("fd", NO_FD.into())
        .u64("pos", 1 << 40);
    let file = file();
    let fd = file.as_raw_fd();
    t.succeeds(|| syscall!(SYS_preadv, fd, buffers.iovecs.as_ptr(), 2, 4i64, 0))
        .1
        .i64("fd", fd.into())
        .u64("pos", 4);
}

pub fn preadv_x(t: &mut Test) {
    let buffers = Buffers::new(&[1, 7]);
    let file = file();
    let fd = file.as_raw_fd();
    let event = t.fails(libc::EINVAL, || syscall!(SYS_preadv, fd, buffers.iovecs.as_ptr(), 2, -2i64, 0));
    assert_read(&event, EINVAL, b"", fd);
    event.u64("pos", u64::MAX - 1);
    let (_, event) = t.succeeds(|| syscall!(SYS_preadv, fd, buffers.iovecs.as_ptr(), 2, 4i64, 0));
    assert_read(&event, 4, &JOINED[4..], fd);
    event.u64("pos", 4);
    if crate::compat::HERE {
        let mut memory = crate::compat::LowMemory::new();
        let buffers = [memory.put(b"x"), memory.put(&[b'x'; 20])];
        let iovecs = memory.put_words(&[buffers[0], 1, buffers[1], 20]);
        let (_, event) = t.succeeds(|| crate::compat::syscall32(333, [fd as u32, iovecs, 2, 5, 0, 0]));
        assert_read(&event, 3, &JOINED[5..], fd);
        event.u64("pos", 5);
        let (_, event) = t.succeeds(|| crate::compat::syscall32(333, [fd as u32, iovecs, 2, 5, 1, 0]));
        assert_read(&event, 0, b"", fd);
        event.u64("pos", (1 << 32) + 5);
    }
}

pub fn writev_e(t: &mut Test) {
    large_sizes(t, |event, size| _ = event.i64("fd", NO_FD.into()).u32("size", size));
    t.fails(libc::EBADF, || syscall!(SYS_writev, NO_FD, pieces().as_ptr(), 4))
        .i64("fd", NO_FD.into())
        .u32("size", 8);
    let file = file();
    let fd = file.as_raw_fd();
    t.fails(libc::EFAULT, || syscall!(SYS_writev, fd, 1usize, 3)).i64("fd", fd.into()).u32("size", 0);
    t.succeeds(|| syscall!(SYS_writev, fd, pieces().as_ptr(), 4)).1.i64("fd", fd.into()).u32("size", 8);
    // As many as the kernel accepts.
    let buffers = Buffers::new(&[2; 1024]);
    t.succeeds(|| syscall!(SYS_writev, fd, buffers.iovecs.as_ptr(), 1024))
        .1
        .i64("fd", fd.into())
        .u32("size", 2048);
}

pub fn writev_x(t: &mut Test) {
    large_sizes(t, |event, size| assert_written(event, EBADF, b"", NO_FD, size));
    let file = file();
    let fd = file.as_raw_fd();
    let event = t.fails(libc::EBADF, || syscall!(SYS_writev, NO_FD, pieces().as_ptr(), 4));
    assert_written(&event, EBADF, JOINED, NO_FD, 8);
    let event = t.fails(libc::EFAULT, || syscall!(SYS_writev, fd, 1usize, 3));
    assert_written(&event, EFAULT, b"", fd, 0);
    // Data ends at an unreadable buffer; the sizes are still recorded.
    let mut iovecs = [libc::iovec { iov_base: null::<u8>() as *mut _, iov_len: 5 }; 3];
    iovecs[0].iov_base = JOINED.as_ptr() as *mut _;
    iovecs[2] = iovecs[0];
    let event = t.fails(libc::EBADF, || syscall!(SYS_writev, NO_FD, iovecs.as_ptr(), 3));
    assert_written(&event, EBADF, b"abcde", NO_FD, 15);

    let (_, event) = t.succeeds(|| syscall!(SYS_writev, fd, pieces().as_ptr(), 4));
    assert_written(&event, 8, JOINED, fd, 8);
    let buffers = Buffers::new(&[2; 1024]);
    let (_, event) = t.succeeds(|| syscall!(SYS_writev, fd, buffers.iovecs.as_ptr(), 1024));
    assert_written(&event, 2048, &[b'x'; 64], fd, 2048);
    let event = t.fails(libc::EINVAL, || syscall!(SYS_writev, fd, buffers.iovecs.as_ptr(), 1025));
    assert_written(&event, EINVAL, b"", fd, 0);
    if crate::compat::HERE {
        let mut memory = crate::compat::LowMemory::new();
        let pieces = [memory.put(b"thirty-"), memory.put(b"two")];
        let iovecs = memory.put_words(&[pieces[0], 7, pieces[1], 3]);
        let (_, event) = t.succeeds(|| crate::compat::syscall32(146, [fd as u32, iovecs, 2, 0, 0, 0]));
        assert_written(&event, 10, b"thirty-two", fd, 10);
    }
}

pub fn pwritev_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_pwritev, NO_FD, pieces().as_ptr(), 4, 1i64 << 40, 0))
        .i64("fd", NO_FD.into())
        .u32("size", 8)
        .u64("pos", 1 << 40);
    let file = file();
    let fd = file.as_raw_fd();
    t.succeeds(|| syscall!(SYS_pwritev, fd, pieces().as_ptr(), 3, 6i64, 0))
        .1
        .i64("fd", fd.into())
        .u32("size", 4)
        .u64("pos", 6);
}

pub fn pwritev_x(t: &mut Test) {
    let file = file();
    let fd = file.as_raw_fd();
    let event = t.fails(libc::EINVAL, || syscall!(SYS_pwritev, fd, pieces().as_ptr(), 4, -2i64, 0));
    assert_written(&event, EINVAL, JOINED, fd, 8);
    event.u64("pos", u64::MAX - 1);
    let (_, event) = t.succeeds(|| syscall!(SYS_pwritev, fd, pieces().as_ptr(), 3, 6i64, 0));
    assert_written(&event, 4, b"abcd", fd, 4);
    event.u64("pos", 6);
}

/// Sizes whose sum exceeds 32 bits: the kernel checks the descriptor before it adds them up.
fn large_sizes(t: &mut Test, assert: impl Fn(&Params, u32)) {
    const LARGEST: usize = u32::MAX as usize;
    for (sizes, expected) in [
        ([LARGEST, 0], u32::MAX),
        ([LARGEST - 7, 7], u32::MAX),
        ([LARGEST - 7, 6], u32::MAX - 1),
        ([LARGEST, 1], u32::MAX),
        ([1, LARGEST], u32::MAX),
        ([LARGEST + 8, 0], u32::MAX),
        ([7, usize::MAX], u32::MAX),
        ([usize::MAX, 7], u32::MAX),
        ([1 << 63, 1 << 63], u32::MAX),
    ] {
        let pieces = sizes.map(|iov_len| libc::iovec { iov_base: std::ptr::null_mut(), iov_len });
        let event = t.fails(libc::EBADF, || syscall!(SYS_writev, NO_FD, pieces.as_ptr(), 2));
        assert(&event, expected);
    }
}
