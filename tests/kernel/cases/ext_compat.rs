//! Calls of 32-bit programs on x86-64: those that only they have, and the layouts of their structures.

use super::ext::{BAD_ADDRESS, NO_PID, child};
use crate::{
    compat::{LowMemory, syscall32},
    rows,
    rows::{Row, RowTest},
    syscall,
};

/// Calls that only 32-bit programs have.
pub const ROWS: &[RowTest] = rows![
    waitpid,
    stime,
    signal,
    sigaction,
    sigprocmask,
    sigpending,
    sigsuspend,
    sigreturn,
    sgetmask,
    ssetmask,
    nice,
    olduname,
    oldolduname,
    ipc,
    socketcall,
    vm86,
    bdflush,
    idle,
    set_thread_area,
    get_thread_area,
];

pub(super) const BAD: u32 = BAD_ADDRESS as u32;
pub(super) const EINVAL: i64 = -(libc::EINVAL as i64);
pub(super) const EFAULT: i64 = -(libc::EFAULT as i64);
const ECHILD: i64 = -(libc::ECHILD as i64);

/// Makes a child that exits with status 6, and returns its number.
pub(super) fn exiting_child() -> u32 {
    child(|| syscall!(SYS_exit_group, 6)) as u32
}

fn waitpid(t: &mut Row) {
    let mut memory = LowMemory::new();
    let status = memory.put_words(&[0x5555_5555]);
    let event = t.call32(ECHILD, [-NO_PID as u32, status, 1, 0, 0, 0]);
    event.i64("pid", -i64::from(NO_PID)).empty("wstatus").u32("options", 1);
    let mut child = 0;
    let (_, event) = t.by32(|| {
        child = exiting_child();
        syscall32(7, [child, status, 0x4000_0000, 0, 0, 0])
    });
    event.i64("pid", child.into()).structure("wstatus", &[0x600i32]).u32("options", 0x4000_0000);
}

fn stime(t: &mut Row) {
    t.call32(EFAULT, [BAD, 0, 0, 0, 0, 0]).empty("t");
    // To succeed would change the machine.
    let time = LowMemory::new().put_words(&[-9i32 as u32]);
    let event = t.in_child32(|| {
        syscall!(SYS_setresuid, 65_534, 65_534, 65_534);
        syscall32(25, [time, 0, 0, 0, 0, 0])
    });
    event.i64("res", -i64::from(libc::EPERM)).i32("t", -9);
}

// ---------------------------------------------------------------- signals

fn signal(t: &mut Row) {
    let event = t.call32(EINVAL, [9, 0x1234_5678, 0, 0, 0, 0]);
    event.u8("signum", 9).u64("handler", 0x1234_5678);
    let event = t.in_child32(|| {
        syscall32(48, [10, 0x1234_5678, 0, 0, 0, 0]);
        0
    });
    event.i64("res", 0).u8("signum", 10).u64("handler", 0x1234_5678);
}

const OLD_ACTION: [u32; 4] = [1, 0x200, 0x1000_0000, 0x77];

fn sigaction(t: &mut Row) {
    let mut memory = LowMemory::new();
    let (act, old) = (memory.put_words(&OLD_ACTION), memory.put_words(&[9; 4]));
    let event = t.call32(EINVAL, [9, act, old, 0, 0, 0]);
    event.u8("signum", 9).structure("act", &OLD_ACTION).empty("oldact");
    event.members("act", &[("sa_handler", 1), ("sa_mask", 0x200), ("sa_flags", 0x1000_0000)]);
    let event = t.call32(0, [23, 0, old, 0, 0, 0]);
    event.u8("signum", 23).empty("act").structure("oldact", &memory.words::<4>(old));
}

fn sigprocmask(t: &mut Row) {
    let mut memory = LowMemory::new();
    let (set, old) = (memory.put_words(&[0x8000_0200]), memory.put_words(&[9]));
    let event = t.call32(EINVAL, [9, set, old, 0, 0, 0]);
    event.u32("how", 9).u32("set", 0x8000_0200).empty("oldset");
    let event = t.call32(0, [1, set, old, 0, 0, 0]);
    event.u32("how", 1).u32("set", 0x8000_0200).i32("oldset", memory.words::<1>(old)[0]);
}

/// Blocks SIGUSR1 in this thread, and sends it to it.
pub(super) fn block_and_send() {
    let set = 1u64 << 9;
    syscall!(SYS_rt_sigprocmask, libc::SIG_BLOCK, &raw const set, 0usize, 8usize);
    let (pid, tid) = (syscall!(SYS_getpid), syscall!(SYS_gettid));
    syscall!(SYS_tgkill, pid, tid, libc::SIGUSR1);
}

fn sigpending(t: &mut Row) {
    t.call32(EFAULT, [BAD, 0, 0, 0, 0, 0]).empty("set");
    let set = LowMemory::new().put_words(&[9]);
    let event = t.in_child32(|| {
        block_and_send();
        syscall32(73, [set, 0, 0, 0, 0, 0])
    });
    event.i64("res", 0).u32("set", 1 << 9);
}

fn sigsuspend(t: &mut Row) {
    extern "C" fn handler(_: libc::c_int) {}

    const ERESTARTNOHAND: i64 = 514;
    let event = t.in_child32(|| {
        // SAFETY: the handler does nothing.
        unsafe {
            libc::signal(libc::SIGUSR1, handler as extern "C" fn(libc::c_int) as libc::sighandler_t);
        }
        block_and_send();
        syscall32(72, [1, 2, 0x8000_0001, 0, 0, 0]);
        0
    });
    event.i64("res", -ERESTARTNOHAND).u32("mask", 0x8000_0001);
}

fn sigreturn(t: &mut Row) {
    // Returns to address 0 from a signal's frame of zeros, which ends the program. (What is on the stack otherwise could
    // restore any result.) It returns as an rt_sigreturn: see extract__number_at_exit.
    let (enter, exit) = t.pair_of_dying_child(|| {
        // SAFETY: it uses only its own part of the stack, and does not come back. The handler that a Rust program has for
        // the signal would return by an rt_sigreturn of its own.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            libc::signal(libc::SIGSEGV, libc::SIG_DFL);
            std::arch::asm!(
                "sub rsp, 4096",
                "mov rdi, rsp",
                "mov ecx, 4096",
                "xor eax, eax",
                "rep stosb",
                "add rsp, 1024",
                "mov eax, 119",
                "int 0x80",
                "ud2",
                options(noreturn)
            )
        }
    });
    enter.u16("ID", 410).u16("nativeID", 119);
    exit.u16("ID", 298).u16("nativeID", 173).i64("res", 0);
}

fn sgetmask(t: &mut Row) {
    t.result32(68, [0; 6]);
}

fn ssetmask(t: &mut Row) {
    let event = t.in_child32(|| {
        syscall32(69, [0x8000_0200, 0, 0, 0, 0, 0]);
        0
    });
    event.u32("newmask", 0x8000_0200).bytes_of("res");
}

// ------------------------------------------------------------- the system

fn nice(t: &mut Row) {
    t.in_child32(|| syscall32(34, [3, 0, 0, 0, 0, 0])).i64("res", 0).i32("inc", 3);
    let event = t.in_child32(|| {
        syscall!(SYS_setresuid, 65_534, 65_534, 65_534);
        syscall32(34, [-5i32 as u32, 0, 0, 0, 0, 0])
    });
    event.i64("res", -i64::from(libc::EPERM)).i32("inc", -5);
}

fn olduname(t: &mut Row) {
    let mut memory = LowMemory::new();
    let buf = memory.put(&[9; 325]);
    t.call32(EFAULT, [BAD, 0, 0, 0, 0, 0]).empty("buf");
    t.call32(0, [buf, 0, 0, 0, 0, 0]).structure("buf", &memory.bytes::<325>(buf));
}

fn oldolduname(t: &mut Row) {
    let mut memory = LowMemory::new();
    let buf = memory.put(&[9; 45]);
    t.call32(EFAULT, [BAD, 0, 0, 0, 0, 0]).empty("buf");
    t.call32(0, [buf, 0, 0, 0, 0, 0]).structure("buf", &memory.bytes::<45>(buf));
}

fn vm86(t: &mut Row) {
    let (_, event) = t.result32(166, [2, 0x1234_5678, 0, 0, 0, 0]);
    event.u64("fn", 2).u64("v86", 0x1234_5678);
}

fn bdflush(t: &mut Row) {
    // Function 1 ends the caller before Linux 5.15.
    let (_, event) = t.result32(134, [2, -5i32 as u32, 0, 0, 0, 0]);
    event.i32("func", 2).i64("data", -5);
}

fn idle(t: &mut Row) {
    t.result32(112, [0; 6]);
}

fn set_thread_area(t: &mut Row) {
    let mut memory = LowMemory::new();
    let bad = [99u32, 0x1234_5000, 0xfff, 0x51];
    let (entry, free) = (memory.put_words(&bad), memory.put_words(&[u32::MAX, 0x1234_5000, 0xfff, 0x51]));
    let event = t.call32(EINVAL, [entry, 0, 0, 0, 0, 0]);
    event.structure("u_info", &bad);
    event.members("u_info", &[("entry_number", 99), ("base_addr", 0x1234_5000), ("limit", 0xfff)]);
    // The kernel chooses the entry.
    let event = t.call32(0, [free, 0, 0, 0, 0, 0]);
    event.structure("u_info", &memory.words::<4>(free));
}

fn get_thread_area(t: &mut Row) {
    let mut memory = LowMemory::new();
    let entry = memory.put_words(&[13, 7, 8, 9]);
    let bad = memory.put_words(&[99, 1, 2, 3]);
    t.call32(EINVAL, [bad, 0, 0, 0, 0, 0]).structure("u_info", &[99u32, 1, 2, 3]);
    let event = t.call32(0, [entry, 0, 0, 0, 0, 0]);
    event.structure("u_info", &memory.words::<4>(entry));
}

// -------------------------------------------------------------------- IPC

fn ipc(t: &mut Row) {
    let event = t.call32(-i64::from(libc::ENOSYS), [99, 1, 2, 3, 4, -5i32 as u32]);
    event.u16("call", 99).i32("first", 1).u64("second", 2).u64("third", 3).u64("ptr", 4).i64("fifth", -5);
    let (id, event) = t.result32(117, [13, 0, 0o600, 0, 0, 0]);
    event.u16("call", 13).i32("first", 0).u64("second", 0o600).u64("third", 0).u64("ptr", 0).i64("fifth", 0);
    assert_eq!(syscall!(SYS_msgctl, id, libc::IPC_RMID, 0), 0);
}

fn socketcall(t: &mut Row) {
    t.call32(EINVAL, [99, 0x1234_5678, 0, 0, 0, 0]).u32("call", 99).u64("args", 0x1234_5678);
}
