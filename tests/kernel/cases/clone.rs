use std::{ffi::CString, os::unix::ffi::OsStringExt};

use super::process::{assert_process, comm, without_processes};
use crate::{
    harness::{Captured, Params, Test},
    syscall,
};

const CLONE_CHILD_IN_PIDNS: u32 = 0x2000_0000;

/// Ends a child that shares only the descriptors; in the parent, waits for it.
fn end_child(pid: i64) -> i64 {
    if pid == 0 {
        syscall!(SYS_exit_group, 0);
    }
    if pid > 0 {
        assert_eq!(syscall!(SYS_wait4, pid, 0, libc::__WALL, 0), pid);
    }
    pid
}

fn raw_clone(flags: i32) -> i64 {
    end_child(syscall!(SYS_clone, flags, 0, 0, 0, 0))
}

fn raw_clone3(flags: u64) -> i64 {
    let mut args = [0u64; 8];
    args[0] = flags;
    args[4] = libc::SIGCHLD as u64;
    end_child(syscall!(SYS_clone3, args.as_ptr(), size_of_val(&args)))
}

fn raw_fork() -> i64 {
    end_child(syscall!(SYS_fork))
}

#[cfg(not(target_arch = "x86_64"))]
fn raw_vfork() -> i64 {
    end_child(syscall!(SYS_vfork))
}

/// Calls vfork inline: the child must not return on the shared stack.
#[cfg(target_arch = "x86_64")]
fn raw_vfork() -> i64 {
    let pid: i64;
    // SAFETY: the child only exits, using registers only.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor edi, edi",
            "mov eax, 231", // exit_group
            "syscall",
            "2:",
            inlateout("rax") libc::SYS_vfork => pid,
            out("rcx") _, out("r11") _, out("rdi") _,
        );
    }
    end_child(pid)
}

/// Asserts all parameters but res and flags of an event of this thread.
fn assert_parent(event: &Params) {
    let this = rustix::thread::gettid().as_raw_nonzero().get() as u64;
    assert_eq!(event.tid(), this);
    assert_process(event, u64::from(std::process::id()), None, &comm());
    event.u32("uid", 0).u32("gid", 0);
    event.i64("vtid", this as i64).i64("vpid", std::process::id().into()).u64("pidns_init_start_ts", 0);
}

/// Asserts that exe and args are the test's own.
fn assert_arguments(event: &Params) {
    let mut args = std::env::args_os().map(|arg| CString::new(arg.into_vec()).unwrap());
    event.text("exe", &args.next().unwrap());
    let mut rest = args.flat_map(CString::into_bytes_with_nul).collect::<Vec<_>>();
    rest.truncate(4096);
    event.bytes("args", &rest);
}

/// Asserts the parent's and the child's event of a call that made a child.
fn assert_pair(captured: Captured, flags: u32) {
    let (parent_tid, child_tid) = (captured.tid, captured.ret);
    assert!(child_tid > 0, "the call failed: {child_tid}");
    let (children, parents): (Vec<_>, Vec<_>) =
        captured.all().into_iter().partition(|e| e.tid() != parent_tid);
    assert_eq!((parents.len(), children.len()), (1, 1));
    let (parent, child) = (&parents[0], &children[0]);
    parent.i64("res", child_tid).u32("flags", flags);
    assert_arguments(parent);
    assert_parent(parent);
    child.i64("res", 0).u32("flags", flags);
    assert_eq!(child.tid() as i64, child_tid);
    assert_arguments(child);
    assert_process(child, child.tid(), Some(parent_tid), &comm());
    child.u32("uid", 0).u32("gid", 0).i64("vtid", child_tid).i64("vpid", child_tid);
    let start = child.number("pidns_init_start_ts");
    assert!(start < monotonic() / 2, "process 1 began at {start}");
}

/// Asserts the event of a failed call.
fn assert_failure(event: &Params, errno: i32, flags: u32) {
    event.i64("res", -i64::from(errno)).empty("exe").empty("args").u32("flags", flags);
}

/// Asserts the event of a fork or vfork by a process that may not create processes.
fn assert_refused(captured: Captured) {
    assert_eq!(captured.ret, -i64::from(libc::EAGAIN));
    let this = captured.tid;
    let events = captured.all();
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_failure(event, libc::EAGAIN, 0);
    assert_process(event, event.tid(), Some(this), &comm());
    let pid = event.tid() as i64;
    event.u32("uid", 65534).u32("gid", 0).i64("vtid", pid).i64("vpid", pid).u64("pidns_init_start_ts", 0);
}

fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

pub fn clone_e(t: &mut Test) {
    t.fails(libc::EINVAL, || raw_clone(libc::CLONE_THREAD));
    t.succeeds(|| raw_clone(libc::SIGCHLD));
}

pub fn clone_x(t: &mut Test) {
    let event = t.fails(libc::EINVAL, || raw_clone(libc::CLONE_THREAD));
    assert_failure(&event, libc::EINVAL, 8192);
    assert_parent(&event);
    drop(event);
    let flags = libc::CLONE_FILES | libc::CLONE_SYSVSEM | libc::SIGCHLD;
    assert_pair(t.capture(|| raw_clone(flags)), 1 | 4096);

    // The first process of a new pid namespace.
    let before = monotonic();
    let captured = t.capture(|| raw_clone(libc::CLONE_NEWPID | libc::SIGCHLD));
    let (parent_tid, child_tid) = (captured.tid, captured.ret);
    for event in captured.all() {
        assert_arguments(&event);
        if event.tid() == parent_tid {
            event.i64("res", child_tid).u32("flags", 64);
            assert_parent(&event);
        } else {
            event.i64("res", 0).u32("flags", 64 | CLONE_CHILD_IN_PIDNS);
            assert_process(&event, child_tid as u64, Some(parent_tid), &comm());
            event.u32("uid", 0).u32("gid", 0).i64("vtid", 1).i64("vpid", 1);
            assert!((before..monotonic()).contains(&event.number("pidns_init_start_ts")));
        }
    }
}

pub fn clone3_e(t: &mut Test) {
    t.fails(libc::EINVAL, || raw_clone3(libc::CLONE_THREAD as u64));
    t.succeeds(|| raw_clone3(0));
}

pub fn clone3_x(t: &mut Test) {
    let event = t.fails(libc::EINVAL, || raw_clone3(libc::CLONE_THREAD as u64));
    assert_failure(&event, libc::EINVAL, 8192);
    assert_parent(&event);
    // Unreadable arguments have no flags.
    let event = t.fails(libc::EFAULT, || syscall!(SYS_clone3, 1usize, 64));
    assert_failure(&event, libc::EFAULT, 0);
    assert_parent(&event);
    drop(event);
    let flags = (libc::CLONE_FS | libc::CLONE_FILES) as u64;
    if cfg!(target_arch = "aarch64") {
        // The child's event is clone's, whichever call made it.
        t.select(&["clone", "clone3"]);
        let (child, events) = t.events(|| raw_clone3(flags));
        events.iter().for_each(|event| _ = event.rest_does_not_matter());
        let event = events.iter().find(|event| event.tid() as i64 == child).expect("the child's event");
        assert_eq!(event.ty(), scap::events::event_by_program("clone_x").unwrap().ty);
        event.i64("res", 0).u32("flags", 2 | 1);
    } else {
        assert_pair(t.capture(|| raw_clone3(flags)), 2 | 1);
    }
}

pub fn fork_e(t: &mut Test) {
    assert_eq!(t.capture(|| without_processes(raw_fork)).all().len(), 1);
    t.succeeds(raw_fork);
}

pub fn fork_x(t: &mut Test) {
    assert_refused(t.capture(|| without_processes(raw_fork)));
    assert_pair(t.capture(raw_fork), 0);
}

pub fn vfork_e(t: &mut Test) {
    assert_eq!(t.capture(|| without_processes(raw_vfork)).all().len(), 1);
    t.succeeds(raw_vfork);
}

pub fn vfork_x(t: &mut Test) {
    assert_refused(t.capture(|| without_processes(raw_vfork)));
    assert_pair(t.capture(raw_vfork), 0);
}
