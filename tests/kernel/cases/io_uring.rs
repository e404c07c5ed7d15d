use std::os::fd::{AsRawFd, OwnedFd};

use super::addresses::{NO_FD, own};
use crate::{
    harness::{Params, Test},
    syscall,
};

const EBADF: i64 = -(libc::EBADF as i64);
const EINVAL: i64 = -(libc::EINVAL as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);

/// `struct io_uring_params`: sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features; then fields that
/// events do not have.
type RingParams = [u32; 30];

fn setup(entries: u32, params: &mut RingParams) -> i64 {
    syscall!(SYS_io_uring_setup, entries, params.as_mut_ptr())
}

fn ring() -> OwnedFd {
    own(setup(1, &mut [0; 30]))
}

#[track_caller]
fn assert_setup(event: &Params, res: i64, entries: u32, params: &[u32], flags: u32) {
    event.i64("res", res).u32("entries", entries).u32("sq_entries", params[0]).u32("cq_entries", params[1]);
    event.u32("flags", flags).u32("sq_thread_cpu", params[3]).u32("sq_thread_idle", params[4]);
    event.u32("features", params[5] & 0x7ff);
}

pub fn io_uring_setup_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_io_uring_setup, 1, 1usize));
    let mut params = [0; 30];
    let _ring = own(t.succeeds(|| setup(1, &mut params)).0);
}

pub fn io_uring_setup_x(t: &mut Test) {
    let event = t.fails(libc::EFAULT, || syscall!(SYS_io_uring_setup, 3, 1usize));
    assert_setup(&event, EFAULT, 3, &[0; 6], 0);
    // The kernel's flags, and the format's.
    for (flags, expected) in [(1, 1), (2, 2), (4, 8), (8, 16), (16, 32), (32, 64), (64, 128), (1 << 31, 0)] {
        let mut params = [0; 30];
        params[..6].copy_from_slice(&[11, 12, flags, 13, 14, 0x8000_0015]);
        // A reserved field is not 0.
        params[8] = 1;
        let event = t.fails(libc::EINVAL, || setup(3, &mut params));
        assert_setup(&event, EINVAL, 3, &params, expected);
    }
    // IORING_SETUP_CQSIZE and IORING_SETUP_CLAMP
    let mut params = [0; 30];
    params[1] = 64;
    params[2] = 8 | 16;
    let (fd, event) = t.succeeds(|| setup(5, &mut params));
    let _ring = own(fd);
    assert_eq!(params[..2], [8, 64]);
    assert_ne!(params[5], 0);
    assert_setup(&event, fd, 5, &params, 16 | 32);
    if crate::compat::HERE {
        let mut memory = crate::compat::LowMemory::new();
        let params = memory.put_words(&[0; 30]);
        let (fd, event) = t.succeeds(|| crate::compat::syscall32(425, [2, params, 0, 0, 0, 0]));
        let _ring = own(fd);
        let params: [i32; 6] = memory.words(params);
        assert_setup(&event, fd, 2, &params.map(|word| word as u32), 0);
    }
}

pub fn io_uring_enter_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_io_uring_enter, NO_FD, 0, 0, 0, 0, 0));
    let ring = ring();
    t.succeeds(|| syscall!(SYS_io_uring_enter, ring.as_raw_fd(), 0, 0, 0, 0, 0));
}

#[track_caller]
fn assert_enter(event: &Params, res: i64, fd: i32, counts: [u32; 2], flags: u32, sig: u32) {
    event.i64("res", res).i64("fd", fd.into()).u32("to_submit", counts[0]).u32("min_complete", counts[1]);
    event.u32("flags", flags).u32("sig", sig);
}

pub fn io_uring_enter_x(t: &mut Test) {
    let event = t.fails(libc::EBADF, || syscall!(SYS_io_uring_enter, NO_FD, 5, 6, 7, 0x1_0000_0008usize, 8));
    assert_enter(&event, EBADF, NO_FD, [5, 6], 7, 8);
    let ring = ring();
    let fd = ring.as_raw_fd();
    let event = t.fails(libc::EINVAL, || syscall!(SYS_io_uring_enter, fd, 1, 2, 1u32 << 31 | 8, 9, 8));
    assert_enter(&event, EINVAL, fd, [1, 2], 8, 9);
    let (_, event) = t.succeeds(|| syscall!(SYS_io_uring_enter, fd, 0, 0, 1, 0, 0));
    assert_enter(&event, 0, fd, [0, 0], 1, 0);
}

const REGISTER_PROBE: u32 = 8;

pub fn io_uring_register_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_io_uring_register, NO_FD, 0, 0, 0));
    let ring = ring();
    let mut probe = [0u64; 3];
    let fd = ring.as_raw_fd();
    t.succeeds(|| syscall!(SYS_io_uring_register, fd, REGISTER_PROBE, probe.as_mut_ptr(), 1));
}

#[track_caller]
fn assert_register(event: &Params, res: i64, fd: i32, opcode: u16, arg: u64, nr_args: u32) {
    event.i64("res", res).i64("fd", fd.into()).u16("opcode", opcode).u64("arg", arg).u32("nr_args", nr_args);
}

pub fn io_uring_register_x(t: &mut Test) {
    let event = t.fails(libc::EBADF, || syscall!(SYS_io_uring_register, NO_FD, 2, 0x1_2345_6789usize, 3));
    assert_register(&event, EBADF, NO_FD, 2, 0x1_2345_6789, 3);
    let ring = ring();
    let fd = ring.as_raw_fd();
    let event = t.fails(libc::EINVAL, || syscall!(SYS_io_uring_register, fd, 9999, 5, 6));
    assert_register(&event, EINVAL, fd, 9999, 5, 6);
    let mut probe = [0u64; 3];
    let arg = probe.as_mut_ptr();
    let (_, event) = t.succeeds(|| syscall!(SYS_io_uring_register, fd, REGISTER_PROBE, arg, 1));
    assert_register(&event, 0, fd, REGISTER_PROBE as u16, arg as u64, 1);
}
