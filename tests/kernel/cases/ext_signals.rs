//! Signals. Tests that receive one do so in a child.

use std::ptr;

use super::ext::{BAD_ADDRESS, NO_PID, zeroed};
use crate::{
    rows,
    rows::{Row, RowTest},
    syscall,
};

pub const ROWS: &[RowTest] = rows![
    rt_sigaction,
    rt_sigprocmask,
    rt_sigpending,
    rt_sigtimedwait,
    rt_sigqueueinfo,
    rt_tgsigqueueinfo,
    rt_sigsuspend,
    rt_sigreturn,
    sigaltstack,
    pause,
];

/// The bytes of the kernel's sets of signals.
const SET: usize = 8;
const SIGUSR1: u64 = 1 << 9;
/// What a call returns that a signal ends: programs see EINTR.
const ERESTARTNOHAND: i64 = 514;

/// The kernel's struct sigaction.
#[repr(C)]
struct Action {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

fn rt_sigaction(t: &mut Row) {
    let act = Action { handler: libc::SIG_IGN, flags: 0x1400_0002, restorer: 0x1234_5678, mask: 0x8000_0201 };
    let mut old = Action { handler: 1, flags: 2, restorer: 3, mask: 4 };
    let set = |signal: i32, old: *mut Action| syscall!(SYS_rt_sigaction, signal, &raw const act, old, SET);
    let event = t.fails(libc::EINVAL, || set(libc::SIGKILL, &raw mut old));
    event.u8("signum", 9).structure("act", &act).empty("oldact").u64("sigsetsize", 8);
    let members = [("sa_handler", 1), ("sa_flags", 0x1400_0002), ("sa_mask", 0x8000_0201)];
    event.members("act", &members);
    // The default action of this signal is to ignore it, too.
    set(libc::SIGURG, ptr::null_mut());
    let none = ptr::null::<Action>();
    let (_, event) = t.succeeds(|| syscall!(SYS_rt_sigaction, libc::SIGURG, none, &raw mut old, SET));
    event.u8("signum", 23).empty("act").structure("oldact", &old).u64("sigsetsize", 8);
    event.members("oldact", &members);
    let default = Action { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    syscall!(SYS_rt_sigaction, libc::SIGURG, &raw const default, 0usize, SET);
}

fn rt_sigprocmask(t: &mut Row) {
    let (set, mut old) = (SIGUSR1 | 1 << 63, 1u64 << 5);
    let mut change = |how: i32| syscall!(SYS_rt_sigprocmask, how, &raw const set, &raw mut old, SET);
    let event = t.fails(libc::EINVAL, || change(9));
    event.u32("how", 9).u64("set", set).empty("oldset").u64("sigsetsize", 8);
    change(libc::SIG_BLOCK);
    let (_, event) = t.succeeds(|| change(libc::SIG_UNBLOCK));
    event.u32("how", 1).u64("set", set).u64("oldset", old).u64("sigsetsize", 8);
    assert_eq!(old & set, set);
}

/// Blocks SIGUSR1 in this thread, and sends it to it.
fn block_and_send() {
    let set = SIGUSR1;
    syscall!(SYS_rt_sigprocmask, libc::SIG_BLOCK, &raw const set, 0usize, SET);
    let (pid, tid) = (syscall!(SYS_getpid), syscall!(SYS_gettid));
    syscall!(SYS_tgkill, pid, tid, libc::SIGUSR1);
}

fn rt_sigpending(t: &mut Row) {
    let mut set = 0u64;
    t.fails(libc::EINVAL, || syscall!(SYS_rt_sigpending, &raw mut set, 9usize))
        .empty("set")
        .u64("sigsetsize", 9);
    let event = t.in_child(|| {
        block_and_send();
        syscall!(SYS_rt_sigpending, &raw mut set, SET)
    });
    event.i64("res", 0).u64("set", SIGUSR1).u64("sigsetsize", 8);
}

fn rt_sigtimedwait(t: &mut Row) {
    let (set, timeout) = (SIGUSR1, libc::timespec { tv_sec: 0, tv_nsec: 3 });
    let mut info = zeroed::<libc::siginfo_t>();
    let mut wait = || syscall!(SYS_rt_sigtimedwait, &raw const set, &raw mut info, &raw const timeout, SET);
    let event = t.fails(libc::EAGAIN, &mut wait);
    event.u64("set", SIGUSR1).empty("info").structure("timeout", &timeout).u64("sigsetsize", 8);
    let event = t.in_child(|| {
        block_and_send();
        wait()
    });
    event.i64("res", 10).u64("set", SIGUSR1).structure("timeout", &timeout).u64("sigsetsize", 8);
    let uid = i64::from(rustix::process::getuid().as_raw());
    let members =
        [("si_signo", 10), ("si_code", -6 & 0xffff_ffff), ("si_pid", event.tid() as i64), ("si_uid", uid)];
    event.members("info", &members);
}

/// Returns what the sender of a signal says.
fn info(signal: i32) -> libc::siginfo_t {
    let mut words = [0i32; 32];
    (words[0], words[1], words[2], words[4], words[5], words[6]) = (signal, 3, libc::SI_QUEUE, 44, 55, 0x66);
    // SAFETY: both are 128 bytes, and any are a siginfo.
    unsafe { std::mem::transmute(words) }
}

const INFO: [(&str, i64); 6] = [
    ("si_signo", 10),
    ("si_errno", 3),
    ("si_code", 0xffff_ffff),
    ("si_pid", 44),
    ("si_uid", 55),
    ("si_value", 0x66),
];

fn rt_sigqueueinfo(t: &mut Row) {
    let about = info(libc::SIGUSR1);
    let send = |pid: i64, signal: i32| syscall!(SYS_rt_sigqueueinfo, pid, signal, &raw const about);
    let event = t.fails(libc::ESRCH, || send(NO_PID.into(), libc::SIGUSR1));
    event.i64("tgid", NO_PID.into()).u8("sig", 10).structure("info", &about).members("info", &INFO);
    let own = i64::from(std::process::id());
    t.succeeds(|| send(own, 0)).1.i64("tgid", own).u8("sig", 0).structure("info", &info(libc::SIGUSR1));
}

fn rt_tgsigqueueinfo(t: &mut Row) {
    let about = info(libc::SIGUSR1);
    let send =
        |pid: i64, tid: i64, signal: i32| syscall!(SYS_rt_tgsigqueueinfo, pid, tid, signal, &raw const about);
    let own = i64::from(std::process::id());
    let event = t.fails(libc::ESRCH, || send(own, NO_PID.into(), libc::SIGUSR1));
    event.i64("tgid", own).i64("tid", NO_PID.into()).u8("sig", 10).structure("info", &about);
    let tid = syscall!(SYS_gettid);
    let (_, event) = t.succeeds(|| send(own, tid, 0));
    event.i64("tgid", own).i64("tid", tid).u8("sig", 0).structure("info", &about).members("info", &INFO);
}

extern "C" fn handler(_: libc::c_int) {}

/// Has SIGUSR1 call a handler, in this process, which must be a child.
fn handle() {
    let handler = handler as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler does nothing.
    unsafe { libc::signal(libc::SIGUSR1, handler) };
}

fn rt_sigsuspend(t: &mut Row) {
    let mask = 1u64 << 40;
    t.fails(libc::EINVAL, || syscall!(SYS_rt_sigsuspend, &raw const mask, 9usize))
        .u64("mask", mask)
        .u64("sigsetsize", 9);
    let event = t.interrupted(ERESTARTNOHAND, || {
        handle();
        block_and_send();
        syscall!(SYS_rt_sigsuspend, &raw const mask, SET)
    });
    event.u64("mask", mask).u64("sigsetsize", 8);
}

fn pause(t: &mut Row) {
    t.interrupted(ERESTARTNOHAND, || {
        handle();
        let timer = [0i64, 0, 0, 20_000];
        // SAFETY: the handler does nothing.
        unsafe { libc::signal(libc::SIGALRM, handler as extern "C" fn(libc::c_int) as libc::sighandler_t) };
        syscall!(SYS_setitimer, libc::ITIMER_REAL, timer.as_ptr(), 0usize);
        syscall!(SYS_pause)
    });
}

fn rt_sigreturn(t: &mut Row) {
    // The interrupted call is tgkill, which returns 0.
    let event = t.in_child(|| {
        handle();
        let (pid, tid) = (syscall!(SYS_getpid), syscall!(SYS_gettid));
        syscall!(SYS_tgkill, pid, tid, libc::SIGUSR1)
    });
    event.i64("res", 0);
}

fn sigaltstack(t: &mut Row) {
    let stack = libc::stack_t { ss_sp: 0x12_3456_7000_usize as *mut _, ss_flags: 0x10, ss_size: 65_536 };
    let mut old = zeroed::<libc::stack_t>();
    let event = t.fails(libc::EINVAL, || syscall!(SYS_sigaltstack, &raw const stack, &raw mut old));
    event.structure("ss", &stack).empty("old_ss");
    event.members("ss", &[("ss_sp", 0x12_3456_7000), ("ss_flags", 0x10), ("ss_size", 65_536)]);
    let (_, event) = t.succeeds(|| syscall!(SYS_sigaltstack, 0usize, &raw mut old));
    event.empty("ss").structure("old_ss", &old);
    t.fails(libc::EFAULT, || syscall!(SYS_sigaltstack, BAD_ADDRESS, 0usize)).empty("ss").empty("old_ss");
}
