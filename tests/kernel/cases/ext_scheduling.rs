//! Scheduling. Tests that change how their thread runs do so in a child.

use super::ext::{BAD_ADDRESS, NO_PID, zeroed};
use crate::{
    rows,
    rows::{Row, RowTest},
    syscall,
};

pub const ROWS: &[RowTest] = rows![
    sched_yield,
    sched_setparam,
    sched_getparam,
    sched_setscheduler,
    sched_getscheduler,
    sched_get_priority_max,
    sched_get_priority_min,
    sched_rr_get_interval,
    sched_setattr,
    sched_getattr,
    sched_setaffinity,
    sched_getaffinity,
    getpriority,
    setpriority,
    ioprio_get,
    ioprio_set,
    getcpu,
    membarrier,
    rseq,
    rseq_slice_yield,
];

const ABSENT: i64 = NO_PID as i64;

fn sched_yield(t: &mut Row) {
    t.succeeds(|| syscall!(SYS_sched_yield));
}

/// Returns this thread's priority among those of real time; 0 if it is none of these.
fn priority() -> i32 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    // It is field 40; the name, field 2, may have spaces.
    stat.rsplit(')').next().unwrap().split_whitespace().nth(37).unwrap().parse().unwrap()
}

fn sched_setparam(t: &mut Row) {
    let param = 3i32;
    let set = |pid: i32, param: &i32| syscall!(SYS_sched_setparam, pid, &raw const *param);
    t.fails(libc::ESRCH, || set(NO_PID, &param))
        .i64("pid", ABSENT)
        .structure("param", &param)
        .members("param", &[("sched_priority", 3)]);
    let param = priority();
    t.succeeds(|| set(0, &param)).1.i64("pid", 0).structure("param", &param);
}

fn sched_getparam(t: &mut Row) {
    let mut param = -1i32;
    let mut get = |pid: i32| syscall!(SYS_sched_getparam, pid, &raw mut param);
    t.fails(libc::ESRCH, || get(NO_PID)).i64("pid", ABSENT).empty("param");
    t.succeeds(|| get(0)).1.i64("pid", 0).structure("param", &param);
    assert_eq!(param, priority());
}

fn sched_setscheduler(t: &mut Row) {
    let param = 5i32;
    let set = |pid: i32, policy: i32| syscall!(SYS_sched_setscheduler, pid, policy, &raw const param);
    let event = t.fails(libc::ESRCH, || set(NO_PID, libc::SCHED_RR));
    event.i64("pid", ABSENT).u32("policy", 2).structure("param", &param);
    let event = t.in_child(|| set(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK));
    event.i64("pid", 0).u32("policy", 0x4000_0001).structure("param", &param).bytes_of("res");
}

fn sched_getscheduler(t: &mut Row) {
    t.fails(libc::ESRCH, || syscall!(SYS_sched_getscheduler, NO_PID)).i64("pid", ABSENT);
    t.succeeds(|| syscall!(SYS_sched_getscheduler, 0)).1.i64("pid", 0);
}

fn sched_get_priority_max(t: &mut Row) {
    t.fails(libc::EINVAL, || syscall!(SYS_sched_get_priority_max, 88)).u32("policy", 88);
    let (max, event) = t.succeeds(|| syscall!(SYS_sched_get_priority_max, libc::SCHED_RR));
    event.u32("policy", 2);
    assert_eq!(max, 99);
}

fn sched_get_priority_min(t: &mut Row) {
    t.fails(libc::EINVAL, || syscall!(SYS_sched_get_priority_min, 88)).u32("policy", 88);
    let (min, event) = t.succeeds(|| syscall!(SYS_sched_get_priority_min, libc::SCHED_FIFO));
    event.u32("policy", 1);
    assert_eq!(min, 1);
}

fn sched_rr_get_interval(t: &mut Row) {
    let mut tp = libc::timespec { tv_sec: 1, tv_nsec: 2 };
    let mut get = |pid: i32| syscall!(SYS_sched_rr_get_interval, pid, &raw mut tp);
    t.fails(libc::ESRCH, || get(NO_PID)).i64("pid", ABSENT).empty("tp");
    t.succeeds(|| get(0)).1.i64("pid", 0).structure("tp", &tp);
    assert_eq!(tp.tv_sec, 0);
}

/// struct sched_attr as the first kernels with it have it, and the utilization hints of later ones.
#[repr(C)]
struct Attr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
    util_min: u32,
    util_max: u32,
}

fn attr() -> Attr {
    Attr {
        size: 48,
        policy: 6,
        flags: 5,
        nice: -3,
        priority: 4,
        runtime: 1 << 33,
        deadline: 1 << 34,
        period: 1 << 35,
        util_min: 8,
        util_max: 9,
    }
}

fn sched_setattr(t: &mut Row) {
    // The caller says how many bytes the structure has.
    let (mut short, mut long) = (attr(), attr());
    (short.size, long.size) = (48, 56);
    let set = |pid: i32, attr: &Attr, flags: u32| syscall!(SYS_sched_setattr, pid, &raw const *attr, flags);
    let event = t.fails(libc::ESRCH, || set(NO_PID, &long, 0));
    event.i64("pid", ABSENT).u32("flags", 0).structure("attr", &long);
    let members = [
        ("size", 56),
        ("sched_policy", 6),
        ("sched_flags", 5),
        ("sched_nice", -3),
        ("sched_priority", 4),
        ("sched_runtime", 1 << 33),
        ("sched_deadline", 1 << 34),
        ("sched_period", 1 << 35),
        ("sched_util_min", 8),
        ("sched_util_max", 9),
    ];
    event.members("attr", &members);
    let event = t.fails(libc::EINVAL, || set(0, &short, 7));
    let expected: [u32; 12] = {
        // SAFETY: they are the first 48 bytes of a structure of integers without padding.
        unsafe { std::ptr::from_ref(&short).cast::<[u32; 12]>().read() }
    };
    event.i64("pid", 0).u32("flags", 7).structure("attr", &expected);
    let mut own = zeroed::<Attr>();
    syscall!(SYS_sched_getattr, 0, &raw mut own, 56, 0);
    t.succeeds(|| set(0, &own, 0)).1.i64("pid", 0).u32("flags", 0).bytes_of("attr");
}

fn sched_getattr(t: &mut Row) {
    let mut attr = attr();
    let mut get = |pid: i32, size: u32| syscall!(SYS_sched_getattr, pid, &raw mut attr, size, 0);
    let event = t.fails(libc::ESRCH, || get(NO_PID, 56));
    event.i64("pid", ABSENT).u32("size", 56).u32("flags", 0).empty("attr");
    let (_, event) = t.succeeds(|| get(0, 56));
    event.i64("pid", 0).u32("size", 56).u32("flags", 0).structure("attr", &attr);
}

fn sched_setaffinity(t: &mut Row) {
    let mask = [0x8000_0000_0000_0001u64, 0x42];
    let event = t.fails(libc::ESRCH, || syscall!(SYS_sched_setaffinity, NO_PID, 16, mask.as_ptr()));
    event.i64("pid", ABSENT).u32("cpusetsize", 16);
    event.bytes("mask", &[1, 0, 0, 0, 0, 0, 0, 0x80, 0x42, 0, 0, 0, 0, 0, 0, 0]);
    let all = [u8::MAX; 24];
    let event = t.in_child(|| syscall!(SYS_sched_setaffinity, 0, all.len(), all.as_ptr()));
    event.i64("res", 0).i64("pid", 0).u32("cpusetsize", 24).bytes("mask", &all);
}

fn sched_getaffinity(t: &mut Row) {
    let mut mask = [0u8; 1024];
    let mut get = |pid: i32| syscall!(SYS_sched_getaffinity, pid, 1024, mask.as_mut_ptr());
    t.fails(libc::ESRCH, || get(NO_PID)).i64("pid", ABSENT).u32("cpusetsize", 1024).empty("mask");
    let (length, event) = t.succeeds(|| get(0));
    event.i64("pid", 0).u32("cpusetsize", 1024).bytes("mask", &mask[..length as usize]);
    assert_ne!(mask, [0; 1024]);
}

fn getpriority(t: &mut Row) {
    t.fails(libc::EINVAL, || syscall!(SYS_getpriority, 9, 4)).u32("which", 9).i64("who", 4);
    let own = i64::from(std::process::id());
    t.succeeds(|| syscall!(SYS_getpriority, libc::PRIO_PGRP, 0)).1.u32("which", 1).i64("who", 0);
    t.succeeds(|| syscall!(SYS_getpriority, libc::PRIO_PROCESS, own)).1.u32("which", 0).i64("who", own);
}

fn setpriority(t: &mut Row) {
    let event = t.fails(libc::EINVAL, || syscall!(SYS_setpriority, 9, 4, -7));
    event.u32("which", 9).i64("who", 4).i32("prio", -7);
    let event = t.in_child(|| syscall!(SYS_setpriority, libc::PRIO_PROCESS, 0, 6));
    event.i64("res", 0).u32("which", 0).i64("who", 0).i32("prio", 6);
}

fn ioprio_get(t: &mut Row) {
    t.fails(libc::EINVAL, || syscall!(SYS_ioprio_get, 9, 4)).u32("which", 9).i64("who", 4);
    t.succeeds(|| syscall!(SYS_ioprio_get, 1, 0)).1.u32("which", 1).i64("who", 0);
}

fn ioprio_set(t: &mut Row) {
    let event = t.fails(libc::EINVAL, || syscall!(SYS_ioprio_set, 9, 4, 0x4003));
    event.u32("which", 9).i64("who", 4).u32("ioprio", 0x4003);
    let event = t.in_child(|| syscall!(SYS_ioprio_set, 1, 0, 0x4006));
    event.i64("res", 0).u32("which", 1).i64("who", 0).u32("ioprio", 0x4006);
}

fn getcpu(t: &mut Row) {
    let (mut cpu, mut node) = (u32::MAX, u32::MAX);
    t.fails(libc::EFAULT, || syscall!(SYS_getcpu, BAD_ADDRESS, &raw mut node, 0usize))
        .empty("cpu")
        .empty("node");
    let (_, event) = t.succeeds(|| syscall!(SYS_getcpu, &raw mut cpu, &raw mut node, 0usize));
    event.u32("cpu", cpu).u32("node", node);
}

fn membarrier(t: &mut Row) {
    let event = t.fails(libc::EINVAL, || syscall!(SYS_membarrier, 0x7000, 1, 5));
    event.u32("cmd", 0x7000).u32("flags", 1).i32("cpu_id", 5);
    t.succeeds(|| syscall!(SYS_membarrier, 0, 0, -4)).1.u32("cmd", 0).u32("flags", 0).i32("cpu_id", -4);
}

fn rseq(t: &mut Row) {
    let event = t.fails(libc::EINVAL, || syscall!(SYS_rseq, 0x1_2345_6780_usize, 33, 8, 0x5305_3053));
    event.u64("rseq", 0x1_2345_6780).u32("rseq_len", 33).u32("flags", 8).u32("sig", 0x5305_3053);
    // The C library has registered this thread.
    let Some(area) = own_rseq() else { return };
    let event = t.in_child(|| syscall!(SYS_rseq, area, 32, 1, RSEQ_SIG));
    event.i64("res", 0).u64("rseq", area as u64).u32("rseq_len", 32).u32("flags", 1).u32("sig", RSEQ_SIG);
}

#[cfg(target_arch = "x86_64")]
const RSEQ_SIG: u32 = 0x5305_3053;
#[cfg(target_arch = "aarch64")]
const RSEQ_SIG: u32 = 0xd428_bc00;

/// Returns the address of this thread's registered rseq area, if the C library has one.
fn own_rseq() -> Option<usize> {
    let symbol = |name: &std::ffi::CStr| {
        // SAFETY: it only looks the symbol up.
        unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
    };
    let (offset, size) = (symbol(c"__rseq_offset"), symbol(c"__rseq_size"));
    if offset.is_null() || size.is_null() {
        return None;
    }
    // SAFETY: the C library defines them as ptrdiff_t and unsigned int; the size is 0 if it has not registered.
    let (offset, size) = unsafe { (offset.cast::<isize>().read(), size.cast::<u32>().read()) };
    let thread: usize;
    // SAFETY: it reads the address of the thread's control block.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("mov {}, fs:0", out(reg) thread);
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!("mrs {}, tpidr_el0", out(reg) thread);
    }
    (size > 0).then(|| thread.wrapping_add_signed(offset))
}

fn rseq_slice_yield(t: &mut Row) {
    // Where the kernel has it, it returns whether the thread had asked for more time.
    const SYS_RSEQ_SLICE_YIELD: i64 = 471;
    t.succeeds(|| {
        // SAFETY: the call takes nothing.
        let ret = unsafe { libc::syscall(SYS_RSEQ_SLICE_YIELD) };
        if ret < 0 { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap()) } else { ret }
    });
}
