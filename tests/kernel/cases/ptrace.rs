use crate::{
    harness::{Params, Test},
    syscall,
};

const ESRCH: i64 = -(libc::ESRCH as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);

/// A pid beyond the maximum.
const NOBODY: i32 = 0x7fff_fff0;

/// Requests of the format.
const UNKNOWN: u16 = 0;
const TRACEME: u16 = 1;
const PEEKTEXT: u16 = 2;
const PEEKDATA: u16 = 3;
const CONT: u16 = 8;
const SEIZE: u16 = 20;

/// Returns a numeric parameter.
fn number(number: u64) -> Vec<u8> {
    [&[0u8], &number.to_ne_bytes()[..]].concat()
}

/// Returns a signal parameter.
fn signal(signal: i32) -> [u8; 2] {
    [1, signal as u8]
}

#[track_caller]
fn assert_event(event: &Params, res: i64, addr: &[u8], data: &[u8], request: u16, pid: i64) {
    event.i64("res", res).bytes("addr", addr).bytes("data", data).u16("request", request).i64("pid", pid);
}

/// A stopped child process that this thread traces; killed when dropped.
struct Stopped(i32);

impl Stopped {
    fn new() -> Stopped {
        let child = syscall!(SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
        if child == 0 {
            syscall!(SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0);
            syscall!(SYS_kill, syscall!(SYS_getpid), libc::SIGSTOP);
            syscall!(SYS_exit_group, 1);
        }
        let mut status = 0i32;
        assert_eq!(syscall!(SYS_wait4, child, &raw mut status, libc::__WALL, 0), child);
        assert!(libc::WIFSTOPPED(status), "the child is in state {status:#x}");
        Stopped(child as i32)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        syscall!(SYS_kill, self.0, libc::SIGKILL);
        syscall!(SYS_wait4, self.0, 0, libc::__WALL, 0);
    }
}

pub fn ptrace_e(t: &mut Test) {
    t.fails(libc::ESRCH, || syscall!(SYS_ptrace, libc::PTRACE_SEIZE, NOBODY, 0, 0))
        .u16("request", SEIZE)
        .i64("pid", NOBODY.into());
    let child = Stopped::new();
    t.succeeds(|| syscall!(SYS_ptrace, libc::PTRACE_CONT, child.0, 0, libc::SIGKILL))
        .1
        .u16("request", CONT)
        .i64("pid", child.0.into());
}

pub fn ptrace_x(t: &mut Test) {
    let none = number(0);
    // The arguments of a failed call are not kept.
    let event = t.fails(libc::ESRCH, || syscall!(SYS_ptrace, libc::PTRACE_PEEKDATA, NOBODY, 5, 6));
    assert_event(&event, ESRCH, &none, &none, PEEKDATA, NOBODY.into());
    let event = t.fails(libc::ESRCH, || syscall!(SYS_ptrace, 9999, NOBODY, 5, 6));
    assert_event(&event, ESRCH, &none, &none, UNKNOWN, NOBODY.into());

    let (_, event) = super::process::of_child(t, || syscall!(SYS_ptrace, libc::PTRACE_TRACEME, -2, 7, 8));
    assert_event(&event, 0, &number(7), &number(8), TRACEME, -2);

    let peeked = 0x1122_3344_5566_7788u64;
    let addr = &raw const peeked as u64;
    let child = Stopped::new();
    let mut to = 0u64;
    let (_, event) = t.succeeds(|| syscall!(SYS_ptrace, libc::PTRACE_PEEKTEXT, child.0, addr, &raw mut to));
    assert_eq!(to, peeked);
    assert_event(&event, 0, &number(addr), &number(peeked), PEEKTEXT, child.0.into());
    let event = t.fails(libc::EFAULT, || syscall!(SYS_ptrace, libc::PTRACE_PEEKTEXT, child.0, addr, 1usize));
    assert_event(&event, EFAULT, &none, &none, PEEKTEXT, child.0.into());
    let (_, event) = t.succeeds(|| syscall!(SYS_ptrace, libc::PTRACE_CONT, child.0, 9, libc::SIGKILL));
    assert_event(&event, 0, &number(9), &signal(libc::SIGKILL), CONT, child.0.into());
    drop(child);
    assert_requests(t);
    if crate::compat::HERE {
        // Words of 32 bits.
        let mut memory = crate::compat::LowMemory::new();
        let from = memory.put_words(&[0x5566_7788, 0x1122_3344]);
        let to = memory.put_words(&[0; 2]);
        let child = Stopped::new();
        let pid = child.0 as u32;
        let (_, event) = t.succeeds(|| crate::compat::syscall32(26, [2, pid, from, to, 0, 0]));
        assert_event(&event, 0, &number(from.into()), &number(0x5566_7788), PEEKDATA, pid.into());
    }
}

/// Asserts the format's number for each of the kernel's requests.
#[track_caller]
fn assert_requests(t: &mut Test) {
    let requests = (1..=9)
        .zip(2..=10)
        .chain((0x4200..=0x420b).zip(14..=25))
        .chain((12..=15).zip(26..=29))
        .chain([(16, 11), (17, 12), (24, 13), (18, 30), (19, 31), (21, 32), (25, 33), (26, 34)])
        .chain([(30, 35), (31, 36), (32, 37), (33, 38), (10, 0), (11, 0), (34, 0), (0x41ff, 0), (0x420c, 0)]);
    let none = number(0);
    for (request, expected) in requests {
        let event = t.fails(libc::ESRCH, || syscall!(SYS_ptrace, request, NOBODY, 5, 6));
        assert_event(&event, ESRCH, &none, &none, expected, NOBODY.into());
    }
}
