use std::ptr::null_mut;

use crate::{
    harness::{Params, Test},
    syscall,
};

const EAGAIN: i64 = -(libc::EAGAIN as i64);
const EINVAL: i64 = -(libc::EINVAL as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);
const EBADF: i64 = -(libc::EBADF as i64);
const ENOSYS: i64 = -(libc::ENOSYS as i64);

/// Flags of the format, which here have the kernel's values.
const PRIVATE: u16 = 128;
const REALTIME: u16 = 256;
const WAKE: u16 = 1;
const WAIT_BITSET: u16 = 9;

// ------------------------------------------------------------------ futex

/// Waits on a word that is 7 with the expected value 8, which fails at once.
fn futex_mismatch(word: &u32) -> i64 {
    let op = libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME;
    syscall!(SYS_futex, &raw const *word, op, 8, 0, 0, u32::MAX)
}

fn futex_wake(word: &u32) -> i64 {
    syscall!(SYS_futex, &raw const *word, libc::FUTEX_WAKE, 0xff_0000_0003u64)
}

pub fn futex_e(t: &mut Test) {
    let word = 7u32;
    let addr = &raw const word as u64;
    t.fails(libc::EAGAIN, || futex_mismatch(&word))
        .u64("addr", addr)
        .u16("op", WAIT_BITSET | PRIVATE | REALTIME)
        .u64("val", 8);
    t.succeeds(|| futex_wake(&word)).1.u64("addr", addr).u16("op", WAKE).u64("val", 3);
}

pub fn futex_x(t: &mut Test) {
    let word = 7u32;
    let addr = &raw const word as u64;
    t.fails(libc::EAGAIN, || futex_mismatch(&word))
        .i64("res", EAGAIN)
        .u64("addr", addr)
        .u16("op", WAIT_BITSET | PRIVATE | REALTIME)
        .u64("val", 8);
    // The kernel uses 32 bits of the value.
    t.succeeds(|| futex_wake(&word)).1.i64("res", 0).u64("addr", addr).u16("op", WAKE).u64("val", 3);
    // An operation without a number in the format.
    t.fails(libc::ENOSYS, || syscall!(SYS_futex, 4usize, 100 | libc::FUTEX_PRIVATE_FLAG, 1))
        .i64("res", ENOSYS)
        .u64("addr", 4)
        .u16("op", PRIVATE)
        .u64("val", 1);
}

// -------------------------------------------------------------- nanosleep

/// An invalid time.
static INVALID: libc::timespec = libc::timespec { tv_sec: 2, tv_nsec: 1_000_000_001 };
static SHORT: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 1_234 };

pub fn nanosleep_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_nanosleep, &raw const INVALID, 0)).u64("interval", 3_000_000_001);
    t.succeeds(|| syscall!(SYS_nanosleep, &raw const SHORT, 0)).1.u64("interval", 1_234);
}

pub fn nanosleep_x(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_nanosleep, &raw const INVALID, 0))
        .i64("res", EINVAL)
        .u64("interval", 3_000_000_001);
    t.fails(libc::EFAULT, || syscall!(SYS_nanosleep, 1usize, 0)).i64("res", EFAULT).u64("interval", 0);
    t.succeeds(|| syscall!(SYS_nanosleep, &raw const SHORT, 0)).1.i64("res", 0).u64("interval", 1_234);
    if crate::compat::HERE {
        let mut memory = crate::compat::LowMemory::new();
        let time = memory.put_words(&[2, 1_000_000_002]);
        t.fails(libc::EINVAL, || crate::compat::syscall32(162, [time, 0, 0, 0, 0, 0]))
            .i64("res", EINVAL)
            .u64("interval", 3_000_000_002);
    }
}

// ----------------------------------------------------------------- select

/// Polls whether the descriptors of a set are readable.
fn select(count: i32, set: *mut u64) -> i64 {
    let none: *mut u64 = null_mut();
    let mut at_once = libc::timeval { tv_sec: 0, tv_usec: 0 };
    syscall!(SYS_select, count, set, none, none, &raw mut at_once)
}

#[track_caller]
fn assert_select(event: &Params, res: i64) {
    event.i64("res", res);
}

pub fn select_e(t: &mut Test) {
    t.fails(libc::EINVAL, || select(-1, null_mut()));
    t.succeeds(|| select(0, null_mut()));
}

pub fn select_x(t: &mut Test) {
    assert_select(&t.fails(libc::EINVAL, || select(-1, null_mut())), EINVAL);
    // A descriptor that was open: the kernel checks only up to the highest that has been open.
    let closed = syscall!(SYS_fcntl, 1, libc::F_DUPFD, 960);
    assert!((960..1024).contains(&closed), "{closed}");
    syscall!(SYS_close, closed);
    let mut set = [0u64; 16];
    set[15] = u64::MAX;
    assert_select(&t.fails(libc::EBADF, || select(1024, set.as_mut_ptr())), EBADF);
    let event = t.succeeds(|| select(0, null_mut())).1;
    assert_select(&event, 0);
    event.i32("nfds", 0).empty("readfds").empty("writefds").empty("exceptfds");
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, b"x").unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&reader) as usize;
    let mut set = [0u64; 16];
    set[fd / 64] = 1 << (fd % 64);
    let (ret, event) = t.succeeds(|| select(fd as i32 + 1, set.as_mut_ptr()));
    assert_eq!(ret, 1);
    assert_select(&event, 1);
    let words: Vec<u8> = set[..fd / 64 + 1].iter().flat_map(|word| word.to_ne_bytes()).collect();
    event.i32("nfds", fd as i32 + 1).bytes("readfds", &words).empty("writefds").empty("exceptfds");
    let (mut none, mut ready) = ([0u64; 16], [0u64; 16]);
    let out = std::os::fd::AsRawFd::as_raw_fd(&writer) as usize;
    (none[fd / 64], ready[out / 64]) = (0, 1 << (out % 64));
    let nfds = fd.max(out) + 1;
    let bytes = |set: &[u64; 16]| -> Vec<u8> {
        set[..nfds.div_ceil(64)].iter().flat_map(|word| word.to_ne_bytes()).collect()
    };
    let (_, event) = t
        .succeeds(|| syscall!(SYS_select, nfds, none.as_mut_ptr(), ready.as_mut_ptr(), none.as_mut_ptr(), 0));
    assert_select(&event, 1);
    event.i32("nfds", nfds as i32).bytes("readfds", &bytes(&none));
    event.bytes("writefds", &bytes(&ready)).bytes("exceptfds", &bytes(&none));
    if crate::compat::HERE {
        let event = t.fails(libc::EINVAL, || crate::compat::syscall32(142, [u32::MAX, 0, 0, 0, 0, 0]));
        assert_select(&event, EINVAL);
    }
}
