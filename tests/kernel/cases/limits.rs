use super::process::of_child;
use crate::{
    harness::{Params, Test},
    syscall,
};

const EINVAL: i64 = -(libc::EINVAL as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);
const ESRCH: i64 = -(libc::ESRCH as i64);

/// An invalid resource, and its number in the format.
const NO_RESOURCE: i32 = 99;
const UNKNOWN: u8 = 255;

const CORE: u8 = libc::RLIMIT_CORE as u8;
const NOFILE: u8 = libc::RLIMIT_NOFILE as u8;
const RTTIME: u8 = libc::RLIMIT_RTTIME as u8;

#[track_caller]
fn assert_limit(event: &Params, res: i64, limit: [i64; 2], resource: u8) {
    event.i64("res", res).i64("cur", limit[0]).i64("max", limit[1]).u8("resource", resource);
}

/// Sets the limits of this process, which is a child.
fn limit(resource: u8, limit: [i64; 2]) {
    assert_eq!(syscall!(SYS_prlimit64, 0, i32::from(resource), limit.as_ptr(), 0), 0);
}

pub fn getrlimit_e(t: &mut Test) {
    let mut limit = [0u64; 2];
    t.fails(libc::EINVAL, || syscall!(SYS_getrlimit, NO_RESOURCE, limit.as_mut_ptr()))
        .u8("resource", UNKNOWN);
    t.succeeds(|| syscall!(SYS_getrlimit, libc::RLIMIT_RTTIME, limit.as_mut_ptr())).1.u8("resource", RTTIME);
}

pub fn getrlimit_x(t: &mut Test) {
    let mut to = [0i64; 2];
    let event = t.fails(libc::EINVAL, || syscall!(SYS_getrlimit, NO_RESOURCE, to.as_mut_ptr()));
    assert_limit(&event, EINVAL, [-1, -1], UNKNOWN);
    let event = t.fails(libc::EFAULT, || syscall!(SYS_getrlimit, libc::RLIMIT_CORE, 1usize));
    assert_limit(&event, EFAULT, [-1, -1], CORE);
    let (_, event) = of_child(t, || {
        limit(CORE, [12_345, 0x1_0000_0000]);
        syscall!(SYS_getrlimit, libc::RLIMIT_CORE, to.as_mut_ptr())
    });
    assert_limit(&event, 0, [12_345, 0x1_0000_0000], CORE);
    let (_, event) = of_child(t, || {
        limit(CORE, [77, -1]);
        syscall!(SYS_getrlimit, libc::RLIMIT_CORE, to.as_mut_ptr())
    });
    assert_limit(&event, 0, [77, -1], CORE);
    if crate::compat::HERE {
        let mut memory = crate::compat::LowMemory::new();
        let to = memory.put_words(&[0; 2]);
        let (_, event) = of_child(t, || {
            limit(CORE, [78, -1]);
            crate::compat::syscall32(191, [CORE.into(), to, 0, 0, 0, 0])
        });
        assert_limit(&event, 0, [78, -1], CORE);
    }
}

pub fn setrlimit_e(t: &mut Test) {
    let limit = [70i64, 80];
    t.fails(libc::EINVAL, || syscall!(SYS_setrlimit, NO_RESOURCE, limit.as_ptr())).u8("resource", UNKNOWN);
    of_child(t, || syscall!(SYS_setrlimit, libc::RLIMIT_NOFILE, limit.as_ptr())).1.u8("resource", NOFILE);
}

pub fn setrlimit_x(t: &mut Test) {
    let limit = [80i64, 70];
    let event = t.fails(libc::EINVAL, || syscall!(SYS_setrlimit, libc::RLIMIT_NOFILE, limit.as_ptr()));
    assert_limit(&event, EINVAL, limit, NOFILE);
    let event = t.fails(libc::EFAULT, || syscall!(SYS_setrlimit, libc::RLIMIT_NOFILE, 1usize));
    assert_limit(&event, EFAULT, [0, 0], NOFILE);
    let limit = [70i64, -1];
    let (ret, event) = of_child(t, || syscall!(SYS_setrlimit, libc::RLIMIT_CORE, limit.as_ptr()));
    assert_eq!(ret, 0);
    assert_limit(&event, 0, limit, CORE);
    if crate::compat::HERE {
        let mut memory = crate::compat::LowMemory::new();
        let limit = memory.put_words(&[71, u32::MAX]);
        let (ret, event) = of_child(t, || crate::compat::syscall32(75, [CORE.into(), limit, 0, 0, 0, 0]));
        assert_eq!(ret, 0);
        assert_limit(&event, 0, [71, -1], CORE);
    }
}

/// A pid beyond the maximum.
const NOBODY: i32 = 0x7fff_fff0;

pub fn prlimit64_e(t: &mut Test) {
    let mut old = [0i64; 2];
    t.fails(libc::ESRCH, || syscall!(SYS_prlimit64, NOBODY, libc::RLIMIT_CORE, 0, old.as_mut_ptr()))
        .i64("pid", NOBODY.into())
        .u8("resource", CORE);
    t.succeeds(|| syscall!(SYS_prlimit64, 0, libc::RLIMIT_NOFILE, 0, old.as_mut_ptr()))
        .1
        .i64("pid", 0)
        .u8("resource", NOFILE);
}

#[track_caller]
fn assert_prlimit(event: &Params, res: i64, new: [i64; 2], old: [i64; 2], pid: i64, resource: u8) {
    event.i64("res", res).i64("newcur", new[0]).i64("newmax", new[1]).i64("oldcur", old[0]);
    event.i64("oldmax", old[1]).i64("pid", pid).u8("resource", resource);
}

pub fn prlimit64_x(t: &mut Test) {
    let (new, mut old) = ([3i64, 4], [0i64; 2]);
    let (from, to) = (new.as_ptr(), old.as_mut_ptr());
    let event = t.fails(libc::ESRCH, || syscall!(SYS_prlimit64, NOBODY, libc::RLIMIT_CORE, from, to));
    assert_prlimit(&event, ESRCH, new, [-1, -1], NOBODY.into(), CORE);
    let event = t.fails(libc::ESRCH, || syscall!(SYS_prlimit64, -5, NO_RESOURCE, 0, to));
    assert_prlimit(&event, ESRCH, [0, 0], [-1, -1], -5, UNKNOWN);
    let event = t.fails(libc::EFAULT, || syscall!(SYS_prlimit64, 0, libc::RLIMIT_CORE, 1usize, to));
    assert_prlimit(&event, EFAULT, [0, 0], [-1, -1], 0, CORE);

    // setrlimit is another call, which is not recorded.
    let before = [5i64, -1];
    let change = || {
        assert_eq!(syscall!(SYS_setrlimit, libc::RLIMIT_CORE, before.as_ptr()), 0);
        syscall!(SYS_prlimit64, 0, libc::RLIMIT_CORE, from, to)
    };
    let (ret, event) = of_child(t, change);
    assert_eq!(ret, 0);
    assert_prlimit(&event, 0, new, before, 0, CORE);
    let (ret, event) = of_child(t, || syscall!(SYS_prlimit64, 0, libc::RLIMIT_CORE, from, 0));
    assert_eq!(ret, 0);
    assert_prlimit(&event, 0, new, [0, 0], 0, CORE);
    if crate::compat::HERE {
        let mut memory = crate::compat::LowMemory::new();
        let new = memory.put_words(&[6, 1, 7, 1]);
        let (ret, event) = of_child(t, || crate::compat::syscall32(340, [0, CORE.into(), new, 0, 0, 0]));
        assert_eq!(ret, 0);
        assert_prlimit(&event, 0, [0x1_0000_0006, 0x1_0000_0007], [0, 0], 0, CORE);
    }
}
