use scap::events::{Arch, Syscall};

use crate::compat::syscall32;
use crate::{
    harness::{Params, Test},
    syscall,
};

fn call(name: &str) -> &'static Syscall {
    Syscall::by_name(name).unwrap()
}

/// Asserts which call it is. The tests of CALL rows have its arguments.
fn assert_call(event: &Params, name: &str, arch: Arch) {
    let event = event.u16("ID", call(name).code).u16("nativeID", call(name).number(arch).unwrap());
    event.rest_does_not_matter();
}

/// Calls that only 32-bit programs have: one selected with a 64-bit call, one by name, one through socketcall.
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

/// Calls that the tables do not know, none of which looks like a known one.
fn unknown_calls(t: &mut Test) {
    let call = |number: i64| {
        // SAFETY: the kernel has no such call, which thus does nothing.
        move || match unsafe { libc::syscall(number) } {
            -1 => -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap()),
            result => result,
        }
    };
    t.unknown_calls();
    for (number, native) in [
        (500, 500),
        (0x3fff, 0x3fff),
        (0x4000, 0xffff),
        (59 | 1 << 16, 0xffff),
        (59 | 1 << 31, 0xffff),
        (-1, 0xffff),
    ] {
        t.fails(libc::ENOSYS, call(number)).u16("ID", 0).u16("nativeID", native);
    }
    if crate::compat::HERE {
        const X32: i64 = 1 << 30;
        for (number, native) in [(59 | X32, 59 | 1 << 14), (540 | X32, 540 | 1 << 14), (0x5000 | X32, 0xffff)]
        {
            t.fails(libc::ENOSYS, call(number)).u16("ID", 0).u16("nativeID", native);
        }
        let unknown = [17, 31, 32, 35, 44, 53, 56, 58, 98, 222, 223, 251]
            .map(|number| (number, 1 << 15 | number as u16));
        for (number, native) in unknown.into_iter().chain([(0x4000_003b, 0xffff), (59 | 1 << 16, 0xffff)]) {
            t.fails(libc::ENOSYS, || syscall32(number, [0; 6])).u16("ID", 0).u16("nativeID", native);
        }
    }
}

pub fn generic_e(t: &mut Test) {
    assert_call(&t.succeeds(|| syscall!(SYS_getppid)).1, "getppid", Arch::NATIVE);
    if crate::compat::HERE {
        compat_calls(t);
    }
    unknown_calls(t);
}

pub fn generic_x(t: &mut Test) {
    assert_call(&t.succeeds(|| syscall!(SYS_getppid)).1, "getppid", Arch::NATIVE);
    if crate::compat::HERE {
        compat_calls(t);
    }
    return_from_a_handler(t);
    unknown_calls(t);
}

/// The kernel overwrites the number of the call that ends a signal handler.
fn return_from_a_handler(t: &mut Test) {
    extern "C" fn handler(_: libc::c_int) {}

    t.select(&["rt_sigreturn"]);
    let old = {
        let handler = handler as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: the handler does nothing.
        unsafe { libc::signal(libc::SIGUSR2, handler) }
    };
    assert_ne!(old, libc::SIG_ERR);
    // SAFETY: the signal goes to this thread, which has a handler.
    let captured = t.capture(|| i64::from(unsafe { libc::raise(libc::SIGUSR2) }));
    assert_call(&captured.one(), "rt_sigreturn", Arch::NATIVE);
}
