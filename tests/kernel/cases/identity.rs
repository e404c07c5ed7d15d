use crate::{harness::Test, syscall};

/// No user and no group: the call fails.
const INVALID: u32 = u32::MAX;

pub fn setuid_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_setuid, INVALID)).u32("uid", INVALID);
    t.succeeds(|| syscall!(SYS_setuid, 0)).1.u32("uid", 0);
}

pub fn setuid_x(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_setuid, INVALID))
        .i64("res", -i64::from(libc::EINVAL))
        .u32("uid", INVALID);
    t.succeeds(|| syscall!(SYS_setuid, 0)).1.i64("res", 0).u32("uid", 0);
    // Of the thread alone, which ends with it.
    let captured = t.capture(|| std::thread::spawn(|| syscall!(SYS_setuid, 65534)).join().unwrap());
    captured.all()[0].i64("res", 0).u32("uid", 65534);
}

pub fn setgid_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_setgid, INVALID)).u32("gid", INVALID);
    t.succeeds(|| syscall!(SYS_setgid, 0)).1.u32("gid", 0);
}

pub fn setgid_x(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_setgid, INVALID))
        .i64("res", -i64::from(libc::EINVAL))
        .u32("gid", INVALID);
    let captured = t.capture(|| std::thread::spawn(|| syscall!(SYS_setgid, 65533)).join().unwrap());
    captured.all()[0].i64("res", 0).u32("gid", 65533);
}

pub fn prctl_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_prctl, 9999, 0));
    t.succeeds(|| syscall!(SYS_prctl, libc::PR_GET_DUMPABLE));
}

pub fn prctl_x(t: &mut Test) {
    let options = |option: i32| option as u32;
    t.fails(libc::EINVAL, || syscall!(SYS_prctl, 9999, -5i64))
        .i64("res", -i64::from(libc::EINVAL))
        .u32("option", 9999)
        .empty("arg2_str")
        .i64("arg2_int", -5);
    t.succeeds(|| syscall!(SYS_prctl, libc::PR_SET_KEEPCAPS, 1))
        .1
        .i64("res", 0)
        .u32("option", options(libc::PR_SET_KEEPCAPS))
        .empty("arg2_str")
        .i64("arg2_int", 1);
    syscall!(SYS_prctl, libc::PR_SET_KEEPCAPS, 0);

    // A name that is set, and one that is asked for.
    let mut old = [0u8; 16];
    syscall!(SYS_prctl, libc::PR_GET_NAME, old.as_mut_ptr());
    t.succeeds(|| syscall!(SYS_prctl, libc::PR_SET_NAME, c"a name".as_ptr()))
        .1
        .i64("res", 0)
        .u32("option", options(libc::PR_SET_NAME))
        .text("arg2_str", c"a name")
        .i64("arg2_int", 0);
    let mut name = [0u8; 16];
    t.succeeds(|| syscall!(SYS_prctl, libc::PR_GET_NAME, name.as_mut_ptr()))
        .1
        .i64("res", 0)
        .u32("option", options(libc::PR_GET_NAME))
        .text("arg2_str", c"a name")
        .i64("arg2_int", 0);
    syscall!(SYS_prctl, libc::PR_SET_NAME, old.as_ptr());

    // A name that cannot be read has no value.
    t.fails(libc::EFAULT, || syscall!(SYS_prctl, libc::PR_SET_NAME, 1usize))
        .i64("res", -i64::from(libc::EFAULT))
        .u32("option", options(libc::PR_SET_NAME))
        .empty("arg2_str")
        .i64("arg2_int", 0);

    // An answer in memory.
    syscall!(SYS_prctl, libc::PR_SET_CHILD_SUBREAPER, 1);
    let mut answer = -1;
    let (_, event) = t.succeeds(|| syscall!(SYS_prctl, libc::PR_GET_CHILD_SUBREAPER, &raw mut answer));
    syscall!(SYS_prctl, libc::PR_SET_CHILD_SUBREAPER, 0);
    assert_eq!(answer, 1);
    event.i64("res", 0).u32("option", options(libc::PR_GET_CHILD_SUBREAPER)).empty("arg2_str");
    event.i64("arg2_int", 1);
}
