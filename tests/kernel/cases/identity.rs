use super::process::of_child;
use crate::{
    harness::{Params, Test},
    syscall,
};

/// No valid user or group: the call fails.
const INVALID: u32 = u32::MAX;
const EINVAL: i64 = -(libc::EINVAL as i64);
const EPERM: i64 = -(libc::EPERM as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);
const ESRCH: i64 = -(libc::ESRCH as i64);

/// Makes a call on a new thread, the only one that it changes. Returns the result and the one event.
fn on_thread(t: &mut Test, call: impl FnOnce() -> i64 + Send) -> (i64, Params) {
    let captured = t.capture(|| std::thread::scope(|scope| scope.spawn(call).join().unwrap()));
    let ret = captured.ret;
    let mut events = captured.all();
    assert_eq!(events.len(), 1);
    (ret, events.remove(0))
}

/// The same, for a call that succeeds with 0.
fn changes(t: &mut Test, call: impl FnOnce() -> i64 + Send) -> Params {
    let (ret, event) = on_thread(t, call);
    assert_eq!(ret, 0);
    event
}

// ---------------------------------------------------------- users, groups

const USERS: [u32; 3] = [70_001, 70_002, 70_003];
const GROUPS: [u32; 3] = [80_001, 80_002, 80_003];

/// Gives the thread three different users: real, effective and saved.
fn set_users() {
    assert_eq!(syscall!(SYS_setresuid, USERS[0], USERS[1], USERS[2]), 0);
}

/// Gives the thread three different groups.
fn set_groups() {
    assert_eq!(syscall!(SYS_setresgid, GROUPS[0], GROUPS[1], GROUPS[2]), 0);
}

pub fn getuid_e(t: &mut Test) {
    t.succeeds(|| syscall!(SYS_getuid));
}

pub fn getuid_x(t: &mut Test) {
    t.succeeds(|| syscall!(SYS_getuid)).1.u32("uid", 0);
    let (_, event) = on_thread(t, || {
        set_users();
        syscall!(SYS_getuid)
    });
    event.u32("uid", USERS[0]);
}

pub fn geteuid_e(t: &mut Test) {
    t.succeeds(|| syscall!(SYS_geteuid));
}

pub fn geteuid_x(t: &mut Test) {
    t.succeeds(|| syscall!(SYS_geteuid)).1.u32("euid", 0);
    let (_, event) = on_thread(t, || {
        set_users();
        syscall!(SYS_geteuid)
    });
    event.u32("euid", USERS[1]);
}

pub fn getgid_e(t: &mut Test) {
    t.succeeds(|| syscall!(SYS_getgid));
}

pub fn getgid_x(t: &mut Test) {
    t.succeeds(|| syscall!(SYS_getgid)).1.u32("gid", 0);
    let (_, event) = on_thread(t, || {
        set_groups();
        syscall!(SYS_getgid)
    });
    event.u32("gid", GROUPS[0]);
}

pub fn getegid_e(t: &mut Test) {
    t.succeeds(|| syscall!(SYS_getegid));
}

pub fn getegid_x(t: &mut Test) {
    t.succeeds(|| syscall!(SYS_getegid)).1.u32("egid", 0);
    let (_, event) = on_thread(t, || {
        set_groups();
        syscall!(SYS_getegid)
    });
    event.u32("egid", GROUPS[1]);
}

/// Returns pointers to three ids.
fn pointers(ids: &mut [u32; 3]) -> [usize; 3] {
    [0, 1, 2].map(|i| &raw mut ids[i] as usize)
}

#[track_caller]
fn assert_users(event: &Params, res: i64, users: [u32; 3]) {
    event.i64("res", res).u32("ruid", users[0]).u32("euid", users[1]).u32("suid", users[2]);
}

#[track_caller]
fn assert_groups(event: &Params, res: i64, groups: [u32; 3]) {
    event.i64("res", res).u32("rgid", groups[0]).u32("egid", groups[1]).u32("sgid", groups[2]);
}

pub fn getresuid_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_getresuid, 1usize, 1usize, 1usize));
    let mut ids = [INVALID; 3];
    let [real, effective, saved] = pointers(&mut ids);
    t.succeeds(|| syscall!(SYS_getresuid, real, effective, saved));
}

pub fn getresuid_x(t: &mut Test) {
    let event = t.fails(libc::EFAULT, || syscall!(SYS_getresuid, 1usize, 2usize, 3usize));
    assert_users(&event, EFAULT, [0; 3]);
    let mut ids = [INVALID; 3];
    let [real, effective, saved] = pointers(&mut ids);
    let event = changes(t, || {
        set_users();
        syscall!(SYS_getresuid, real, effective, saved)
    });
    assert_users(&event, 0, USERS);
    if crate::compat::HERE {
        compat::getres(t, compat::GETRESUID, set_users, |event, ids| assert_users(event, 0, ids), USERS);
    }
}

pub fn getresgid_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_getresgid, 1usize, 1usize, 1usize));
    let mut ids = [INVALID; 3];
    let [real, effective, saved] = pointers(&mut ids);
    t.succeeds(|| syscall!(SYS_getresgid, real, effective, saved));
}

pub fn getresgid_x(t: &mut Test) {
    let event = t.fails(libc::EFAULT, || syscall!(SYS_getresgid, 1usize, 2usize, 3usize));
    assert_groups(&event, EFAULT, [0; 3]);
    let mut ids = [INVALID; 3];
    let [real, effective, saved] = pointers(&mut ids);
    let event = changes(t, || {
        set_groups();
        syscall!(SYS_getresgid, real, effective, saved)
    });
    assert_groups(&event, 0, GROUPS);
    if crate::compat::HERE {
        compat::getres(t, compat::GETRESGID, set_groups, |event, ids| assert_groups(event, 0, ids), GROUPS);
    }
}

pub fn setuid_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_setuid, INVALID)).u32("uid", INVALID);
    t.succeeds(|| syscall!(SYS_setuid, 0)).1.u32("uid", 0);
}

pub fn setuid_x(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_setuid, INVALID)).i64("res", EINVAL).u32("uid", INVALID);
    t.succeeds(|| syscall!(SYS_setuid, 0)).1.i64("res", 0).u32("uid", 0);
    changes(t, || syscall!(SYS_setuid, 65534)).i64("res", 0).u32("uid", 65534);
    if crate::compat::HERE {
        use crate::compat::syscall32;

        // 32-bit and 16-bit ids: the remaining bits are ignored.
        changes(t, || syscall32(213, [70_000, 0, 0, 0, 0, 0])).i64("res", 0).u32("uid", 70_000);
        changes(t, || syscall32(23, [0x1_1234, 0, 0, 0, 0, 0])).i64("res", 0).u32("uid", 0x1234);
        let event = t.fails(libc::EINVAL, || syscall32(23, [0xffff, 0, 0, 0, 0, 0]));
        event.i64("res", EINVAL).u32("uid", INVALID);
    }
}

pub fn setgid_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_setgid, INVALID)).u32("gid", INVALID);
    t.succeeds(|| syscall!(SYS_setgid, 0)).1.u32("gid", 0);
}

pub fn setgid_x(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_setgid, INVALID)).i64("res", EINVAL).u32("gid", INVALID);
    changes(t, || syscall!(SYS_setgid, 65533)).i64("res", 0).u32("gid", 65533);
}

/// Makes a call as a user who cannot change to another.
fn without_rights(call: impl FnOnce() -> i64) -> i64 {
    set_users();
    call()
}

pub fn setreuid_e(t: &mut Test) {
    assert_eq!(on_thread(t, || without_rights(|| syscall!(SYS_setreuid, 1, 2))).0, EPERM);
    changes(t, || syscall!(SYS_setreuid, 1, 2));
}

pub fn setreuid_x(t: &mut Test) {
    let (_, event) = on_thread(t, || without_rights(|| syscall!(SYS_setreuid, 1, 2)));
    event.i64("res", EPERM).u32("ruid", 1).u32("euid", 2);
    let event = changes(t, || syscall!(SYS_setreuid, INVALID, 70_002));
    event.i64("res", 0).u32("ruid", INVALID).u32("euid", 70_002);
}

pub fn setregid_e(t: &mut Test) {
    assert_eq!(on_thread(t, || without_rights(|| syscall!(SYS_setregid, 1, 2))).0, EPERM);
    changes(t, || syscall!(SYS_setregid, 1, 2));
}

pub fn setregid_x(t: &mut Test) {
    let (_, event) = on_thread(t, || without_rights(|| syscall!(SYS_setregid, 1, 2)));
    event.i64("res", EPERM).u32("rgid", 1).u32("egid", 2);
    let event = changes(t, || syscall!(SYS_setregid, 80_001, INVALID));
    event.i64("res", 0).u32("rgid", 80_001).u32("egid", INVALID);
}

pub fn setresuid_e(t: &mut Test) {
    let (_, event) = on_thread(t, || syscall!(SYS_setresuid, 1, INVALID, 3));
    event.u32("ruid", 1).u32("euid", INVALID).u32("suid", 3);
}

pub fn setresuid_x(t: &mut Test) {
    let event = changes(t, || syscall!(SYS_setresuid, 1, INVALID, 3));
    assert_users(&event, 0, [1, INVALID, 3]);
    let (ret, event) = on_thread(t, || {
        assert_eq!(syscall!(SYS_setuid, 70_001), 0);
        syscall!(SYS_setresuid, 1, 2, 3)
    });
    assert_eq!(ret, EPERM);
    assert_users(&event, EPERM, [1, 2, 3]);
    if crate::compat::HERE {
        let event = changes(t, || crate::compat::syscall32(164, [1, 0xffff, 3, 0, 0, 0]));
        assert_users(&event, 0, [1, INVALID, 3]);
    }
}

pub fn setresgid_e(t: &mut Test) {
    let (_, event) = on_thread(t, || syscall!(SYS_setresgid, 1, INVALID, 3));
    event.u32("rgid", 1).u32("egid", INVALID).u32("sgid", 3);
}

pub fn setresgid_x(t: &mut Test) {
    let event = changes(t, || syscall!(SYS_setresgid, 1, INVALID, 3));
    assert_groups(&event, 0, [1, INVALID, 3]);
    let (ret, event) = on_thread(t, || without_rights(|| syscall!(SYS_setresgid, 1, 2, 3)));
    assert_eq!(ret, EPERM);
    assert_groups(&event, EPERM, [1, 2, 3]);
}

mod compat {
    use super::*;
    use crate::compat::{LowMemory, syscall32};

    /// The numbers of a call: with 32-bit and with 16-bit ids.
    pub type Numbers = [u32; 2];

    pub const GETRESUID: Numbers = [209, 165];
    pub const GETRESGID: Numbers = [211, 171];

    /// Gets three ids in both sizes; those that do not fit into 16 bits are 65534 there.
    pub fn getres(
        t: &mut Test,
        numbers: Numbers,
        set: fn(),
        assert: impl Fn(&Params, [u32; 3]),
        expected: [u32; 3],
    ) {
        for (number, expected) in [(numbers[0], expected), (numbers[1], [65534; 3])] {
            let mut memory = LowMemory::new();
            let to = memory.put_words(&[INVALID; 3]);
            let event = changes(t, || {
                set();
                syscall32(number, [to, to + 4, to + 8, 0, 0, 0])
            });
            assert(&event, expected);
        }
    }
}

// --------------------------------------------------- sessions and groups

/// Fails, as the leader of a process group cannot create a session.
fn setsid_of_leader() -> i64 {
    match syscall!(SYS_setpgid, 0, 0) {
        0 => syscall!(SYS_setsid),
        error => error,
    }
}

pub fn setsid_e(t: &mut Test) {
    assert_eq!(of_child(t, setsid_of_leader).0, EPERM);
    assert_eq!(of_child(t, || syscall!(SYS_setsid)).0, 0);
}

pub fn setsid_x(t: &mut Test) {
    of_child(t, setsid_of_leader).1.i64("res", EPERM);
    let (_, event) = of_child(t, || syscall!(SYS_setsid));
    event.i64("res", event.tid() as i64);
}

/// A pid beyond the maximum.
const NOBODY: i32 = 0x7fff_fff0;

pub fn setpgid_e(t: &mut Test) {
    t.fails(libc::ESRCH, || syscall!(SYS_setpgid, NOBODY, 77)).i64("pid", NOBODY.into()).i64("pgid", 77);
    of_child(t, || syscall!(SYS_setpgid, 0, 0)).1.i64("pid", 0).i64("pgid", 0);
}

pub fn setpgid_x(t: &mut Test) {
    t.fails(libc::ESRCH, || syscall!(SYS_setpgid, NOBODY, 77))
        .i64("res", ESRCH)
        .i64("pid", NOBODY.into())
        .i64("pgid", 77);
    t.fails(libc::EINVAL, || syscall!(SYS_setpgid, -3, -5)).i64("res", EINVAL).i64("pid", -3).i64("pgid", -5);
    let (ret, event) = of_child(t, || syscall!(SYS_setpgid, 0, 0));
    assert_eq!(ret, 0);
    event.i64("res", 0).i64("pid", 0).i64("pgid", 0);
}

// ------------------------------------------------------------------ prctl

pub fn prctl_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_prctl, 9999, 0));
    t.succeeds(|| syscall!(SYS_prctl, libc::PR_GET_DUMPABLE));
}

pub fn prctl_x(t: &mut Test) {
    let options = |option: i32| option as u32;
    t.fails(libc::EINVAL, || syscall!(SYS_prctl, 9999, -5i64))
        .i64("res", EINVAL)
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

    // Setting and getting a name.
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

    // An unreadable name has no value.
    t.fails(libc::EFAULT, || syscall!(SYS_prctl, libc::PR_SET_NAME, 1usize))
        .i64("res", EFAULT)
        .u32("option", options(libc::PR_SET_NAME))
        .empty("arg2_str")
        .i64("arg2_int", 0);

    // A result in memory.
    syscall!(SYS_prctl, libc::PR_SET_CHILD_SUBREAPER, 1);
    let mut answer = -1;
    let (_, event) = t.succeeds(|| syscall!(SYS_prctl, libc::PR_GET_CHILD_SUBREAPER, &raw mut answer));
    syscall!(SYS_prctl, libc::PR_SET_CHILD_SUBREAPER, 0);
    assert_eq!(answer, 1);
    event.i64("res", 0).u32("option", options(libc::PR_GET_CHILD_SUBREAPER)).empty("arg2_str");
    event.i64("arg2_int", 1);
}
