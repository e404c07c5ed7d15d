//! Processes and waiting for them.

use std::ptr;

use super::ext::{BAD_ADDRESS, NO_PID, child, zeroed};
use crate::{
    rows,
    rows::{Row, RowTest},
    scratch::Scratch,
    syscall,
};

pub const ROWS: &[RowTest] = rows![
    restart_syscall,
    exit,
    exit_group,
    wait4,
    waitid,
    getpid,
    getppid,
    gettid,
    getpgrp,
    getpgid,
    getsid,
    set_tid_address,
    arch_prctl,
    personality,
    kcmp,
    pidfd_send_signal,
    getrusage,
    times,
    acct,
    listns,
];

fn restart_syscall(t: &mut Row) {
    t.fails(libc::EINTR, || syscall!(SYS_restart_syscall));
}

/// Makes a child for `action`, in which it ends, and waits for it with a call that is not recorded.
fn child_ends(action: impl FnOnce() -> i64) -> i64 {
    let child = child(action);
    syscall!(SYS_waitid, libc::P_PID, child, ptr::null::<u8>(), libc::WEXITED, ptr::null::<u8>())
}

fn exit(t: &mut Row) {
    t.enters(|| child_ends(|| syscall!(SYS_exit, 7))).i32("status", 7);
}

fn exit_group(t: &mut Row) {
    t.enters(|| child_ends(|| syscall!(SYS_exit_group, -8))).i32("status", -8);
}

/// Makes a child that exits with this status, or that a signal kills.
fn child_with(status: Result<i32, i32>) -> i64 {
    child(|| match status {
        Ok(code) => syscall!(SYS_exit_group, code),
        Err(signal) => syscall!(SYS_kill, syscall!(SYS_getpid), signal),
    })
}

fn wait4(t: &mut Row) {
    let (mut status, mut usage) = (0x5555_5555i32, zeroed::<libc::rusage>());
    let options = libc::WNOHANG | libc::__WALL;
    let event =
        t.fails(libc::ECHILD, || syscall!(SYS_wait4, -NO_PID, &raw mut status, options, &raw mut usage));
    event.i64("pid", -i64::from(NO_PID)).empty("wstatus").u32("options", 0x4000_0001).empty("rusage");

    // The child has not ended: the kernel fills in nothing.
    let waiting = child(|| syscall!(SYS_ppoll, 0, 0, 0, 0, 0));
    let (res, event) = t.succeeds(|| syscall!(SYS_wait4, waiting, &raw mut status, options, &raw mut usage));
    assert_eq!(res, 0);
    event.i64("pid", waiting).empty("wstatus").u32("options", 0x4000_0001).empty("rusage");
    syscall!(SYS_kill, waiting, libc::SIGKILL);
    syscall!(SYS_wait4, waiting, 0, 0, 0);

    for (end, reason, code) in [(Ok(3), 0, 3), (Err(libc::SIGKILL), 9, 0)] {
        let mut wait = || {
            let child = child_with(end);
            syscall!(SYS_wait4, child, &raw mut status, libc::__WALL, &raw mut usage)
        };
        let (child, event) = t.succeeds(&mut wait);
        event.i64("pid", child).u32("options", 0x4000_0000);
        event.structure("wstatus", &status).members("wstatus", &[("reason", reason), ("code", code)]);
        event.structure("rusage", &usage).members("rusage", &usage_members(&usage));
    }
}

fn usage_members(usage: &libc::rusage) -> [(&'static str, i64); 11] {
    [
        ("ru_utime_sec", usage.ru_utime.tv_sec),
        ("ru_utime_usec", usage.ru_utime.tv_usec),
        ("ru_stime_sec", usage.ru_stime.tv_sec),
        ("ru_stime_usec", usage.ru_stime.tv_usec),
        ("ru_maxrss", usage.ru_maxrss),
        ("ru_minflt", usage.ru_minflt),
        ("ru_majflt", usage.ru_majflt),
        ("ru_inblock", usage.ru_inblock),
        ("ru_oublock", usage.ru_oublock),
        ("ru_nvcsw", usage.ru_nvcsw),
        ("ru_nivcsw", usage.ru_nivcsw),
    ]
}

fn waitid(t: &mut Row) {
    let (mut info, mut usage) = (zeroed::<libc::siginfo_t>(), zeroed::<libc::rusage>());
    let mut wait = |kind: u32, id: i64, options: i32| {
        syscall!(SYS_waitid, kind, id, &raw mut info, options, &raw mut usage)
    };
    let event = t.fails(libc::ECHILD, || wait(libc::P_PGID, i64::from(NO_PID), libc::WSTOPPED));
    event.u32("idtype", 2).i64("id", i64::from(NO_PID)).u32("options", 2).empty("infop").empty("rusage");

    let mut pid = 0;
    let (_, event) = t.succeeds(|| {
        pid = child_with(Ok(5));
        wait(libc::P_PID, pid, libc::WEXITED)
    });
    event.u32("idtype", 1).i64("id", pid).u32("options", 4);
    event.structure("rusage", &usage).structure("infop", &info);
    let uid = i64::from(rustix::process::getuid().as_raw());
    event.members(
        "infop",
        &[
            ("si_signo", 17),
            ("si_errno", 0),
            ("si_code", 1),
            ("si_pid", pid),
            ("si_uid", uid),
            ("si_status", 5),
        ],
    );
}

fn getpid(t: &mut Row) {
    t.succeeds(|| syscall!(SYS_getpid));
}

fn getppid(t: &mut Row) {
    t.succeeds(|| syscall!(SYS_getppid));
}

fn gettid(t: &mut Row) {
    t.succeeds(|| syscall!(SYS_gettid));
}

fn getpgrp(t: &mut Row) {
    t.succeeds(|| syscall!(SYS_getpgrp));
}

fn getpgid(t: &mut Row) {
    t.fails(libc::ESRCH, || syscall!(SYS_getpgid, NO_PID)).i64("pid", i64::from(NO_PID));
    let own = i64::from(std::process::id());
    t.succeeds(|| syscall!(SYS_getpgid, own)).1.i64("pid", own);
}

fn getsid(t: &mut Row) {
    t.fails(libc::ESRCH, || syscall!(SYS_getsid, -3)).i64("pid", -3);
    let own = i64::from(std::process::id());
    t.succeeds(|| syscall!(SYS_getsid, own)).1.i64("pid", own);
}

fn set_tid_address(t: &mut Row) {
    // The child needs none.
    let event = t.in_child(|| syscall!(SYS_set_tid_address, 0x1234_5678usize));
    event.u64("tidptr", 0x1234_5678).i64("res", event.tid() as i64);
}

fn arch_prctl(t: &mut Row) {
    const ARCH_GET_FS: u32 = 0x1003;
    let mut fs = 0u64;
    t.fails(libc::EINVAL, || syscall!(SYS_arch_prctl, 0x7777, 0x5678_9abcusize))
        .u32("code", 0x7777)
        .u64("addr", 0x5678_9abc);
    let address = &raw mut fs;
    t.succeeds(|| syscall!(SYS_arch_prctl, ARCH_GET_FS, address))
        .1
        .u32("code", ARCH_GET_FS)
        .u64("addr", address as u64);
}

fn personality(t: &mut Row) {
    let (now, event) = t.succeeds(|| syscall!(SYS_personality, u32::MAX));
    event.u32("persona", u32::MAX);
    let event = t.in_child(|| syscall!(SYS_personality, 0x24_0000));
    event.u32("persona", 0x24_0000).i64("res", now);
}

fn kcmp(t: &mut Row) {
    let own = i64::from(std::process::id());
    let event = t.fails(libc::ESRCH, || syscall!(SYS_kcmp, own, NO_PID, 2, 3usize, 4usize));
    event.i64("pid1", own).i64("pid2", i64::from(NO_PID)).u32("type", 2).u64("idx1", 3).u64("idx2", 4);
    let (_, event) = t.succeeds(|| syscall!(SYS_kcmp, own, own, 1, 5usize, 6usize));
    event.i64("pid1", own).i64("pid2", own).u32("type", 1).u64("idx1", 5).u64("idx2", 6);
}

fn pidfd_send_signal(t: &mut Row) {
    let mut info = zeroed::<libc::siginfo_t>();
    (info.si_errno, info.si_code) = (0, libc::SI_QUEUE);
    let none = ptr::null::<libc::siginfo_t>();
    t.fails(libc::EBADF, || syscall!(SYS_pidfd_send_signal, -1, libc::SIGUSR1, none, 0))
        .i64("pidfd", -1)
        .u8("sig", 10)
        .empty("info")
        .u32("flags", 0);
    let pidfd = syscall!(SYS_pidfd_open, std::process::id(), 0);
    let (_, event) = t.succeeds(|| syscall!(SYS_pidfd_send_signal, pidfd, 0, &raw const info, 0));
    event.i64("pidfd", pidfd).u8("sig", 0).structure("info", &info).u32("flags", 0);
    event.members("info", &[("si_signo", 0), ("si_code", 0xffff_ffff)]);
    syscall!(SYS_close, pidfd);
}

fn getrusage(t: &mut Row) {
    let mut usage = zeroed::<libc::rusage>();
    t.fails(libc::EINVAL, || syscall!(SYS_getrusage, 7, &raw mut usage)).u32("who", 7).empty("usage");
    let (_, event) = t.succeeds(|| syscall!(SYS_getrusage, libc::RUSAGE_THREAD, &raw mut usage));
    event.u32("who", 1).structure("usage", &usage).members("usage", &usage_members(&usage));
    let (_, event) = t.succeeds(|| syscall!(SYS_getrusage, libc::RUSAGE_CHILDREN, &raw mut usage));
    event.u32("who", u32::MAX).structure("usage", &usage);
}

fn times(t: &mut Row) {
    let mut buf = zeroed::<libc::tms>();
    t.fails(libc::EFAULT, || syscall!(SYS_times, BAD_ADDRESS)).empty("buf");
    let (_, event) = t.succeeds(|| syscall!(SYS_times, &raw mut buf));
    event.structure("buf", &buf).members(
        "buf",
        &[
            ("tms_utime", buf.tms_utime),
            ("tms_stime", buf.tms_stime),
            ("tms_cutime", buf.tms_cutime),
            ("tms_cstime", buf.tms_cstime),
        ],
    );
}

fn acct(t: &mut Row) {
    let missing = Scratch::new().path("missing");
    t.fails(libc::ENOENT, || syscall!(SYS_acct, missing.as_ptr())).text("filename", &missing);
}

fn listns(t: &mut Row) {
    const SYS_LISTNS: i64 = 470;
    #[repr(C)]
    struct Request {
        size: u32,
        spare: u32,
        ns_id: u64,
        ns_type: u32,
        spare2: u32,
        user_ns_id: u64,
    }
    let mut request = Request { size: 32, spare: 0, ns_id: 0, ns_type: 0, spare2: 0, user_ns_id: 0 };
    let mut ids = [0u64; 4];
    let mut list = |request: &Request, flags: u32| {
        // SAFETY: the kernel writes at most the 4 ids.
        let ret = unsafe { libc::syscall(SYS_LISTNS, &raw const *request, ids.as_mut_ptr(), 4usize, flags) };
        if ret < 0 { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap()) } else { ret }
    };
    let event = t.fails(libc::EINVAL, || list(&request, 8));
    event.structure("req", &request).empty("ns_ids").u64("nr_ns_ids", 4).u32("flags", 8);
    request.ns_type = 1 << 30;
    let (count, event) = t.succeeds(|| list(&request, 0));
    event.structure("req", &request).members("req", &[("ns_type", 1 << 30)]);
    event.structures("ns_ids", &ids[..count as usize]).u64("nr_ns_ids", 4).u32("flags", 0);
}
