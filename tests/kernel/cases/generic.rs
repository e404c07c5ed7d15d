use scapd::events::{Arch, Syscall};

#[cfg(target_arch = "x86_64")]
use crate::compat::syscall32;
use crate::{
    harness::{Params, Test},
    syscall,
};

fn call(name: &str) -> &'static Syscall {
    Syscall::by_name(name).unwrap()
}

fn assert_call(event: &Params, name: &str, arch: Arch) {
    event.u16("ID", call(name).code).u16("nativeID", call(name).number(arch).unwrap());
}

/// Calls of 32-bit programs alone: one that is selected with a 64-bit call, one by itself, one behind socketcall.
#[cfg(target_arch = "x86_64")]
fn compat_calls(t: &mut Test) {
    let compat = |t: &mut Test, name: &str, errno: i32, args: [u32; 6]| {
        let number = call(name).number(Arch::I386).unwrap();
        assert_call(&t.fails(errno, || syscall32(number.into(), args)), name, Arch::I386);
    };
    t.select(&["wait4"]);
    compat(t, "waitpid", libc::ECHILD, [u32::MAX, 0, libc::WNOHANG as u32, 0, 0, 0]);
    t.select(&["ipc"]);
    compat(t, "ipc", libc::ENOSYS, [99, 0, 0, 0, 0, 0]);
    t.select(&["socketcall"]);
    compat(t, "socketcall", libc::EINVAL, [99, 0, 0, 0, 0, 0]);
}

pub fn generic_e(t: &mut Test) {
    assert_call(&t.succeeds(|| syscall!(SYS_getppid)).1, "getppid", Arch::NATIVE);
    #[cfg(target_arch = "x86_64")]
    compat_calls(t);
}

pub fn generic_x(t: &mut Test) {
    assert_call(&t.succeeds(|| syscall!(SYS_getppid)).1, "getppid", Arch::NATIVE);
    #[cfg(target_arch = "x86_64")]
    compat_calls(t);
    return_from_a_handler(t);
}

/// The kernel forgets the number of the call that a signal's handler ends with.
fn return_from_a_handler(t: &mut Test) {
    extern "C" fn handler(_: libc::c_int) {}

    t.select(&["rt_sigreturn"]);
    let old = {
        let handler = handler as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: the handler does nothing.
        unsafe { libc::signal(libc::SIGUSR2, handler) }
    };
    assert_ne!(old, libc::SIG_ERR);
    // SAFETY: to this thread, which has a handler.
    let captured = t.capture(|| i64::from(unsafe { libc::raise(libc::SIGUSR2) }));
    assert_call(&captured.one(), "rt_sigreturn", Arch::NATIVE);
}
