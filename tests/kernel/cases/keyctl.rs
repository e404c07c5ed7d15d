use std::ffi::{CStr, CString};

use super::process::of_child;
use crate::{
    harness::{Params, Test},
    syscall,
};

const EINVAL: i64 = -(libc::EINVAL as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);
const ENOKEY: i64 = -(libc::ENOKEY as i64);

const JOIN_SESSION_KEYRING: u32 = 1;
const REVOKE: u32 = 3;
const CHOWN: u32 = 4;
const SETPERM: u32 = 5;
const SEARCH: u32 = 10;
const PKEY_QUERY: u32 = 24;
const PKEY_SIGN: u32 = 27;
const RESTRICT_KEYRING: u32 = 29;
const MOVE: u32 = 30;

/// A key that does not exist.
const NO_KEY: i64 = 0x7fff_fff0;

/// Returns a numeric argument.
fn number(number: i64) -> Vec<u8> {
    [&[0u8], &number.to_ne_bytes()[..]].concat()
}

/// Returns a string argument.
fn text(text: &CStr) -> Vec<u8> {
    [&[1u8], text.to_bytes_with_nul()].concat()
}

/// Returns a string argument that is unreadable.
fn unreadable() -> Vec<u8> {
    vec![1]
}

#[track_caller]
fn assert_event(event: &Params, res: i64, operation: u32, args: [Vec<u8>; 4]) {
    event.i64("res", res).u32("operation", operation).bytes("arg2", &args[0]).bytes("arg3", &args[1]);
    event.bytes("arg4", &args[2]).bytes("arg5", &args[3]);
}

pub fn keyctl_e(t: &mut Test) {
    t.fails(libc::ENOKEY, || syscall!(SYS_keyctl, REVOKE, NO_KEY));
    assert_eq!(of_child(t, || syscall!(SYS_keyctl, JOIN_SESSION_KEYRING, 0)).0, 0);
}

pub fn keyctl_x(t: &mut Test) {
    let zero = || number(0);
    // An unknown operation has no arguments.
    t.fails(libc::EOPNOTSUPP, || syscall!(SYS_keyctl, 9999, 1, 2, 3, 4))
        .i64("res", -i64::from(libc::EOPNOTSUPP))
        .u32("operation", 9999)
        .bytes("arg2", &zero())
        .bytes("arg3", &zero())
        .bytes("arg4", &zero())
        .bytes("arg5", &zero());

    // Arguments that an operation does not take are left out.
    let numbers = [
        (REVOKE, [number(NO_KEY), zero(), zero(), zero()]),
        (SETPERM, [number(NO_KEY), number(12), zero(), zero()]),
        (CHOWN, [number(NO_KEY), number(12), number(13), zero()]),
        (MOVE, [number(NO_KEY), number(12), number(13), number(14)]),
    ];
    for (operation, args) in numbers {
        let captured = t.capture(|| syscall!(SYS_keyctl, operation, NO_KEY, 12, 13, 14));
        let ret = captured.ret;
        assert!(ret < 0, "operation {operation} returned {ret}");
        assert_event(&captured.one(), ret, operation, args);
    }

    let (kind, name) = (CString::new("user").unwrap(), CString::new("no such key").unwrap());
    let event =
        t.fails(libc::ENOKEY, || syscall!(SYS_keyctl, SEARCH, NO_KEY, kind.as_ptr(), name.as_ptr(), 14));
    assert_event(&event, ENOKEY, SEARCH, [number(NO_KEY), text(&kind), text(&name), number(14)]);
    let strings = [
        (RESTRICT_KEYRING, [number(NO_KEY), text(&kind), text(&name), zero()]),
        (PKEY_QUERY, [number(NO_KEY), number(kind.as_ptr() as i64), text(&name), zero()]),
        (PKEY_SIGN, [number(NO_KEY), text(&kind), number(name.as_ptr() as i64), number(14)]),
    ];
    for (operation, args) in strings {
        let captured =
            t.capture(|| syscall!(SYS_keyctl, operation, NO_KEY, kind.as_ptr(), name.as_ptr(), 14));
        let ret = captured.ret;
        assert!(ret < 0, "operation {operation} returned {ret}");
        assert_event(&captured.one(), ret, operation, args);
    }

    let event = t.fails(libc::EFAULT, || syscall!(SYS_keyctl, JOIN_SESSION_KEYRING, 1usize));
    assert_event(&event, EFAULT, JOIN_SESSION_KEYRING, [unreadable(), zero(), zero(), zero()]);
    let long = CString::new(vec![b'k'; 5000]).unwrap();
    let event = t.fails(libc::EINVAL, || syscall!(SYS_keyctl, JOIN_SESSION_KEYRING, long.as_ptr()));
    let kept = CString::new(vec![b'k'; 4095]).unwrap();
    assert_event(&event, EINVAL, JOIN_SESSION_KEYRING, [text(&kept), zero(), zero(), zero()]);

    // A session of the child's own: without a name, and with one.
    for (pointer, expected) in [(0, unreadable()), (name.as_ptr() as usize, text(&name))] {
        let (ret, event) = of_child(t, || match syscall!(SYS_keyctl, JOIN_SESSION_KEYRING, pointer) {
            error if error < 0 => error,
            _ => 0,
        });
        assert_eq!(ret, 0);
        let session = event.number("res") as i64;
        assert!(session > 0, "the session's key is {session}");
        assert_event(&event, session, JOIN_SESSION_KEYRING, [expected, zero(), zero(), zero()]);
    }
}
