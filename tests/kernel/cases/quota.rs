use std::{
    ffi::CStr,
    ptr::{dangling, null},
};

use crate::{
    harness::{Params, Test},
    scratch::name,
    syscall,
};

/// Makes a call that fails; the errno depends on whether the kernel has file systems with quotas.
fn refused(t: &mut Test, call: impl FnOnce() -> i64) -> (i64, Params) {
    let captured = t.capture(call);
    assert!(captured.ret < 0);
    (captured.ret, captured.one())
}

fn quotactl<T>(command: i32, kind: i32, special: Option<&CStr>, id: u32, address: *const T) -> i64 {
    let special = special.map_or(null(), CStr::as_ptr);
    syscall!(SYS_quotactl, libc::QCMD(command, kind), special, id, address)
}

/// The format's value for no quota format.
const NOT_USED: u8 = 1;

/// The commands: the kernel's, the format's.
const COMMANDS: &[(i32, u16)] = &[
    (libc::Q_SYNC, 128),
    (libc::Q_QUOTAON, 1),
    (libc::Q_QUOTAOFF, 2),
    (libc::Q_GETFMT, 4),
    (libc::Q_GETINFO, 8),
    (libc::Q_SETINFO, 16),
    (libc::Q_GETQUOTA, 32),
    (libc::Q_SETQUOTA, 64),
    (0x5801, 256),
    (0x5802, 512),
    (0x5803, 1024),
    (0x5804, 2048),
    (0x5805, 4096),
    (0x5806, 8192),
    (0x5807, 16384),
    (0x80_0009, 0), // Q_GETNEXTQUOTA
];

/// Returns whether the third argument of a command is the id of a user or a group.
fn has_id(command: u16) -> bool {
    [32, 64, 1024, 2048].contains(&command)
}

#[track_caller]
fn assert_arguments(event: &Params, cmd: u16, kind: u8, id: u32, format: u8) {
    event.u16("cmd", cmd).u8("type", kind).u32("id", id).u8("quota_fmt", format);
}

pub fn quotactl_e(t: &mut Test) {
    t.succeeds(|| quotactl(libc::Q_SYNC, libc::USRQUOTA, None, 7, null::<u8>()))
        .1
        .u16("cmd", 128)
        .u8("type", 1)
        .u32("id", 0)
        .u8("quota_fmt", NOT_USED);
    for (command, cmd) in COMMANDS {
        let (_, event) = refused(t, || quotactl(*command, libc::GRPQUOTA, Some(c"/"), 9, dangling::<u8>()));
        assert_arguments(&event, *cmd, 2, if has_id(*cmd) { 9 } else { 0 }, NOT_USED);
    }
    // The quota formats, for Q_QUOTAON; projects have no name.
    for (format, expected) in [(1, 2), (2, 4), (4, 8), (3, NOT_USED)] {
        let (_, event) = refused(t, || quotactl(libc::Q_QUOTAON, 2, Some(c"/"), format, dangling::<u8>()));
        assert_arguments(&event, 1, 0, 0, expected);
    }
}

#[derive(Default)]
struct Expected {
    /// bhardlimit, bsoftlimit, curspace, ihardlimit, isoftlimit, btime, itime
    quota: [u64; 7],
    /// bgrace, igrace
    info: [u64; 2],
    flags: u8,
}

#[track_caller]
fn assert_structures(event: &Params, expected: &Expected) {
    let names = ["bhardlimit", "bsoftlimit", "curspace", "ihardlimit", "isoftlimit", "btime", "itime"];
    for (name, value) in names.iter().zip(expected.quota) {
        event.u64(&format!("dqb_{name}"), value);
    }
    event.u64("dqi_bgrace", expected.info[0]).u64("dqi_igrace", expected.info[1]);
    event.u8("dqi_flags", expected.flags).u8("quota_fmt_out", NOT_USED);
}

/// Returns limits and usage; `valid` says which fields are valid.
fn quota(valid: u32) -> libc::dqblk {
    libc::dqblk {
        dqb_bhardlimit: 1,
        dqb_bsoftlimit: 2,
        dqb_curspace: 3,
        dqb_ihardlimit: 4,
        dqb_isoftlimit: 5,
        dqb_curinodes: 6,
        dqb_btime: 7,
        dqb_itime: 8,
        dqb_valid: valid,
    }
}

#[repr(C)]
struct Info {
    bgrace: u64,
    igrace: u64,
    flags: u32,
    valid: u32,
}

pub fn quotactl_x(t: &mut Test) {
    let nothing = Expected::default();
    let (_, event) = t.succeeds(|| quotactl(libc::Q_SYNC, libc::USRQUOTA, None, 7, null::<u8>()));
    event.i64("res", 0).empty("special").empty("quotafilepath");
    assert_structures(&event, &nothing);
    assert_arguments(&event, 128, 1, 0, NOT_USED);

    let (device, path) = (name("/dev/no-such-device"), name("/quota.user"));
    let (res, event) =
        refused(t, || quotactl(libc::Q_QUOTAON, libc::GRPQUOTA, Some(&device), 4, path.as_ptr()));
    event.i64("res", res).text("special", &device).text("quotafilepath", &path);
    assert_structures(&event, &nothing);
    assert_arguments(&event, 1, 2, 0, 8);

    // The valid fields of what is to be set.
    for (valid, expected) in [
        (0, [0; 7]),
        (1, [1, 2, 0, 0, 0, 0, 0]),
        (2, [0, 0, 3, 0, 0, 0, 0]),
        (4, [0, 0, 0, 4, 5, 0, 0]),
        (16, [0, 0, 0, 0, 0, 7, 0]),
        (32, [0, 0, 0, 0, 0, 0, 8]),
        (63, [1, 2, 3, 4, 5, 7, 8]),
    ] {
        let quota = quota(valid);
        let (res, event) =
            refused(t, || quotactl(libc::Q_SETQUOTA, libc::USRQUOTA, Some(&device), 1001, &raw const quota));
        event.i64("res", res).text("special", &device).empty("quotafilepath");
        assert_structures(&event, &Expected { quota: expected, ..Expected::default() });
        assert_arguments(&event, 64, 1, 1001, NOT_USED);
    }
    for (valid, info, flags) in [(0, [0, 0], 0), (1, [11, 0], 0), (2, [0, 12], 0), (4, [0, 0], 2)] {
        let argument = Info { bgrace: 11, igrace: 12, flags: 1, valid };
        let (res, event) =
            refused(t, || quotactl(libc::Q_SETINFO, libc::GRPQUOTA, Some(&device), 5, &raw const argument));
        event.i64("res", res).text("special", &device).empty("quotafilepath");
        assert_structures(&event, &Expected { info, flags, ..Expected::default() });
        assert_arguments(&event, 16, 2, 0, NOT_USED);
    }
    // The output of a failed call is left out.
    let quota = quota(63);
    for (command, cmd) in [(libc::Q_GETQUOTA, 32), (libc::Q_GETINFO, 8), (libc::Q_GETFMT, 4)] {
        let (res, event) =
            refused(t, || quotactl(command, libc::USRQUOTA, Some(&device), 1001, &raw const quota));
        event.i64("res", res).text("special", &device).empty("quotafilepath");
        assert_structures(&event, &nothing);
        assert_arguments(&event, cmd, 1, if cmd == 32 { 1001 } else { 0 }, NOT_USED);
    }
    let (res, event) =
        refused(t, || syscall!(SYS_quotactl, libc::QCMD(libc::Q_SETQUOTA, 0), 1usize, 3, 1usize));
    event.i64("res", res).empty("special").empty("quotafilepath");
    assert_structures(&event, &nothing);
    assert_arguments(&event, 64, 1, 3, NOT_USED);
}
