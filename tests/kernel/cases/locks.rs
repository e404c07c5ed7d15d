use crate::{
    harness::{Params, Test},
    syscall,
};

const EINVAL: i64 = -(libc::EINVAL as i64);
const ENOMEM: i64 = -(libc::ENOMEM as i64);

/// An unmapped address.
const NOWHERE: u64 = 0x1000;
const LENGTH: u64 = 2 * 4096;

/// Memory in pages of its own.
struct Pages(u64);

impl Pages {
    fn new() -> Pages {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let address = syscall!(SYS_mmap, 0usize, LENGTH, libc::PROT_READ, flags, -1, 0usize);
        assert!(address > 0);
        Pages(address as u64)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        syscall!(SYS_munmap, self.0, LENGTH);
    }
}

#[track_caller]
fn assert_range(event: &Params, res: i64, addr: u64, len: u64) {
    event.i64("res", res).u64("addr", addr).u64("len", len);
}

pub fn mlock_e(t: &mut Test) {
    t.fails(libc::ENOMEM, || syscall!(SYS_mlock, NOWHERE, LENGTH));
    let pages = Pages::new();
    t.succeeds(|| syscall!(SYS_mlock, pages.0, LENGTH));
}

pub fn mlock_x(t: &mut Test) {
    let event = t.fails(libc::ENOMEM, || syscall!(SYS_mlock, NOWHERE, LENGTH));
    assert_range(&event, ENOMEM, NOWHERE, LENGTH);
    let event = t.fails(libc::EINVAL, || syscall!(SYS_mlock, 0x10000u64, u64::MAX - 8191));
    assert_range(&event, EINVAL, 0x10000, u64::MAX - 8191);
    let pages = Pages::new();
    let (_, event) = t.succeeds(|| syscall!(SYS_mlock, pages.0, LENGTH));
    assert_range(&event, 0, pages.0, LENGTH);
}

pub fn mlock2_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_mlock2, NOWHERE, LENGTH, 2));
    let pages = Pages::new();
    t.succeeds(|| syscall!(SYS_mlock2, pages.0, LENGTH, libc::MLOCK_ONFAULT));
}

pub fn mlock2_x(t: &mut Test) {
    // Of invalid flags, only the named ones are recorded.
    for (flags, expected) in [(2, 0), (2 | libc::MLOCK_ONFAULT, 1)] {
        let event = t.fails(libc::EINVAL, || syscall!(SYS_mlock2, NOWHERE, LENGTH, flags));
        assert_range(event.u32("flags", expected), EINVAL, NOWHERE, LENGTH);
    }
    let pages = Pages::new();
    let (_, event) = t.succeeds(|| syscall!(SYS_mlock2, pages.0, LENGTH, libc::MLOCK_ONFAULT));
    assert_range(event.u32("flags", 1), 0, pages.0, LENGTH);
}

pub fn munlock_e(t: &mut Test) {
    t.fails(libc::ENOMEM, || syscall!(SYS_munlock, NOWHERE, LENGTH));
    let pages = Pages::new();
    t.succeeds(|| syscall!(SYS_munlock, pages.0, LENGTH));
}

pub fn munlock_x(t: &mut Test) {
    let event = t.fails(libc::ENOMEM, || syscall!(SYS_munlock, NOWHERE, LENGTH));
    assert_range(&event, ENOMEM, NOWHERE, LENGTH);
    let pages = Pages::new();
    let (_, event) = t.succeeds(|| syscall!(SYS_munlock, pages.0, LENGTH));
    assert_range(&event, 0, pages.0, LENGTH);
}

/// Locks future pages of the process, and none at once, until dropped.
struct AllLocked;

impl AllLocked {
    const FLAGS: i32 = libc::MCL_CURRENT | libc::MCL_ONFAULT;
}

impl Drop for AllLocked {
    fn drop(&mut self) {
        syscall!(SYS_munlockall);
    }
}

pub fn mlockall_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_mlockall, 0));
    let _locked = AllLocked;
    t.succeeds(|| syscall!(SYS_mlockall, AllLocked::FLAGS));
}

pub fn mlockall_x(t: &mut Test) {
    for (flags, expected) in [(0, 0), (libc::MCL_ONFAULT, 4), (8 | libc::MCL_CURRENT | libc::MCL_FUTURE, 3)] {
        t.fails(libc::EINVAL, || syscall!(SYS_mlockall, flags)).i64("res", EINVAL).u32("flags", expected);
    }
    let _locked = AllLocked;
    t.succeeds(|| syscall!(SYS_mlockall, AllLocked::FLAGS)).1.i64("res", 0).u32("flags", 1 | 4);
}

// This call cannot fail.

pub fn munlockall_e(t: &mut Test) {
    t.succeeds(|| syscall!(SYS_munlockall));
}

pub fn munlockall_x(t: &mut Test) {
    t.succeeds(|| syscall!(SYS_munlockall)).1.i64("res", 0);
}
