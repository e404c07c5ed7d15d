use crate::{harness::Test, syscall};

/// A pid beyond the maximum.
const NOBODY: i32 = 0x7fff_fff0;

/// Returns this process's pid; signal 0 has no effect on it.
fn this() -> i32 {
    std::process::id() as i32
}

pub fn kill_e(t: &mut Test) {
    t.fails(libc::ESRCH, || syscall!(SYS_kill, NOBODY, libc::SIGUSR1))
        .i64("pid", NOBODY.into())
        .u8("sig", libc::SIGUSR1 as u8);
    t.fails(libc::ESRCH, || syscall!(SYS_kill, -NOBODY, libc::SIGTERM))
        .i64("pid", (-NOBODY).into())
        .u8("sig", libc::SIGTERM as u8);
    t.succeeds(|| syscall!(SYS_kill, this(), 0)).1.i64("pid", this().into()).u8("sig", 0);
}

pub fn kill_x(t: &mut Test) {
    t.fails(libc::ESRCH, || syscall!(SYS_kill, -NOBODY, libc::SIGUSR1))
        .i64("res", -i64::from(libc::ESRCH))
        .i64("pid", (-NOBODY).into())
        .u8("sig", libc::SIGUSR1 as u8);
    t.succeeds(|| syscall!(SYS_kill, this(), 0)).1.i64("res", 0).i64("pid", this().into()).u8("sig", 0);
}

/// Returns this thread's id.
fn this_thread() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

const ESRCH: i64 = -(libc::ESRCH as i64);
const EINVAL: i64 = -(libc::EINVAL as i64);

pub fn tkill_e(t: &mut Test) {
    t.fails(libc::ESRCH, || syscall!(SYS_tkill, NOBODY, libc::SIGUSR1))
        .i64("tid", NOBODY.into())
        .u8("sig", libc::SIGUSR1 as u8);
    t.succeeds(|| syscall!(SYS_tkill, this_thread(), 0)).1.i64("tid", this_thread().into()).u8("sig", 0);
}

pub fn tkill_x(t: &mut Test) {
    t.fails(libc::ESRCH, || syscall!(SYS_tkill, NOBODY, libc::SIGUSR1))
        .i64("res", ESRCH)
        .i64("tid", NOBODY.into())
        .u8("sig", libc::SIGUSR1 as u8);
    t.fails(libc::EINVAL, || syscall!(SYS_tkill, -5, libc::SIGTERM))
        .i64("res", EINVAL)
        .i64("tid", -5)
        .u8("sig", libc::SIGTERM as u8);
    t.succeeds(|| syscall!(SYS_tkill, this_thread(), 0))
        .1
        .i64("res", 0)
        .i64("tid", this_thread().into())
        .u8("sig", 0);
}

pub fn tgkill_e(t: &mut Test) {
    t.fails(libc::ESRCH, || syscall!(SYS_tgkill, this(), NOBODY, libc::SIGUSR1))
        .i64("pid", this().into())
        .i64("tid", NOBODY.into())
        .u8("sig", libc::SIGUSR1 as u8);
    t.succeeds(|| syscall!(SYS_tgkill, this(), this_thread(), 0))
        .1
        .i64("pid", this().into())
        .i64("tid", this_thread().into())
        .u8("sig", 0);
}

pub fn tgkill_x(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_tgkill, -5, -6, libc::SIGUSR2))
        .i64("res", EINVAL)
        .i64("pid", -5)
        .i64("tid", -6)
        .u8("sig", libc::SIGUSR2 as u8);
    assert_ne!(this(), this_thread());
    t.succeeds(|| syscall!(SYS_tgkill, this(), this_thread(), 0))
        .1
        .i64("res", 0)
        .i64("pid", this().into())
        .i64("tid", this_thread().into())
        .u8("sig", 0);
}
