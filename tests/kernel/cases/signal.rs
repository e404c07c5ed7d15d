use crate::{harness::Test, syscall};

/// A process number beyond all that there can be.
const NOBODY: i32 = 0x7fff_fff0;

/// The own process, whose parts take no notice of signal 0.
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
