//! Tests of the CALL rows of include/extensions.def: the arguments and the result of calls that are recorded as generic
//! events. A test makes a failing and a succeeding call, and asserts every parameter of the exit event; `Row` asserts the
//! call, its result, and the whole enter event.

use scap::events::{Abi, Arch, ArgSource, Detail, EventFlags, Extension, Layout, Syscall, extension_of_call};

use crate::compat::syscall32;
use crate::{
    cases::{child, in_child},
    harness::{Params, Test, lacking, not_testable},
    setup::Setup,
    syscall,
};

/// The name of a row, and its test.
pub type RowTest = (&'static str, fn(&mut Row<'_>));

/// A list of tests, each with the name of its row.
#[macro_export]
macro_rules! rows {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name)),*] };
}

/// Returns whether one of the lists has a test of a row.
pub const fn has_test(lists: &[&[RowTest]], row: &str) -> bool {
    let mut list = 0;
    while list < lists.len() {
        let mut test = 0;
        while test < lists[list].len() {
            if scap::events::same(lists[list][test].0, row) {
                return true;
            }
            test += 1;
        }
        list += 1;
    }
    false
}

/// A test of a row.
pub struct Row<'a> {
    test: Test<'a>,
    call: &'static Syscall,
    exit: &'static Extension,
    enter: &'static Extension,
}

/// What a call left: its result for the caller, and its events.
struct Called {
    ret: i64,
    enters: Vec<Params>,
    exits: Vec<Params>,
}

impl<'a> Row<'a> {
    pub fn new(name: &str, setup: &'a Setup) -> Row<'a> {
        let call = Syscall::by_name(name).unwrap();
        let (exit, enter) = (extension_of_call(call, true).unwrap(), extension_of_call(call, false).unwrap());
        Row { test: Test::of_call(call.selected_with().unwrap_or(call), setup), call, exit, enter }
    }

    /// Ends the test if this architecture lacks the call.
    pub fn require_call(&self) {
        if let Some(reason) = lacking(self.call) {
            not_testable(&reason);
        }
    }

    fn called(&mut self, call: impl FnOnce() -> i64) -> Called {
        let (ret, events) = self.test.events(call);
        // The end of a child is an event, too.
        let (generic, others): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|event| event.ty().is_generic());
        others.iter().for_each(|event| _ = event.rest_does_not_matter());
        let (enters, exits) = generic.into_iter().partition(|event| event.ty().is_enter());
        Called { ret, enters, exits }
    }

    /// Returns the exit event of a call that made one pair of events.
    fn one(&self, mut called: Called, number: u16, abi: Abi) -> Params {
        let counts = (called.enters.len(), called.exits.len());
        assert_eq!(counts, (1, 1), "the numbers of enter and exit events");
        let (mut enter, mut exit) = (called.enters.remove(0), called.exits.remove(0));
        for event in [&mut enter, &mut exit] {
            event.u16("ID", self.call.code).u16("nativeID", number);
            event.set_abi(abi);
        }
        assert_eq!(exit.extended_by(), [self.exit.own.ty], "the extension of the exit event");
        self.assert_enter(&enter, &exit);
        exit
    }

    /// Asserts an enter event: if the call may take long, it has the arguments, but nothing that is in memory.
    fn assert_enter(&self, enter: &Params, exit: &Params) {
        if !self.enter.own.flags.contains(EventFlags::WAITS) {
            assert_eq!(enter.extended_by(), [], "the extension of the enter event");
            return;
        }
        assert_eq!(enter.extended_by(), [self.enter.own.ty], "the extension of the enter event");
        for (info, arg) in self.enter.own.params.iter().zip(self.enter.args) {
            match arg.source {
                ArgSource::In | ArgSource::Out | ArgSource::InOut | ArgSource::Found => {
                    _ = enter.empty(info.name);
                }
                _ => assert_eq!(enter.bytes_of(info.name), exit.peek(info.name), "{} on entry", info.name),
            }
        }
    }

    /// Returns the call's number on this machine.
    pub fn native(&self) -> u16 {
        self.call.number(Arch::NATIVE).unwrap_or_else(|| not_testable("this architecture lacks the call"))
    }

    /// Makes a call that must fail with this errno. A kernel without the call refuses it: its arguments are the same.
    #[track_caller]
    pub fn fails(&mut self, errno: i32, call: impl FnOnce() -> i64) -> Params {
        let number = self.native();
        let called = self.called(call);
        let ret = called.ret;
        assert!(ret == -i64::from(errno) || ret == -i64::from(libc::ENOSYS), "the call returned {ret}");
        let event = self.one(called, number, NATIVE_ABI);
        event.i64("res", ret);
        event
    }

    /// Makes a call that must fail, with any errno.
    #[track_caller]
    pub fn fails_anyhow(&mut self, call: impl FnOnce() -> i64) -> Params {
        let number = self.native();
        let called = self.called(call);
        let ret = called.ret;
        assert!(ret < 0, "the call returned {ret}");
        let event = self.one(called, number, NATIVE_ABI);
        event.i64("res", ret);
        event
    }

    /// Makes a call that must succeed, and returns its result.
    #[track_caller]
    pub fn succeeds(&mut self, call: impl FnOnce() -> i64) -> (i64, Params) {
        let number = self.native();
        let called = self.called(call);
        let ret = called.ret;
        if ret == -i64::from(libc::ENOSYS) {
            not_testable("the kernel does not have this call");
        }
        assert!(ret >= 0, "the call failed: {ret}");
        let event = self.one(called, number, NATIVE_ABI);
        self.assert_result(&event, ret);
        (ret, event)
    }

    #[track_caller]
    fn assert_result(&self, event: &Params, ret: i64) {
        match self.exit.own.params[0].ty.size() {
            Some(4) => _ = event.u32("res", ret as u32),
            _ => _ = event.i64("res", ret),
        }
    }

    /// Makes a call in a child that a signal ends: programs see EINTR, and the kernel says why the call returned, `error`.
    #[track_caller]
    pub fn interrupted(&mut self, error: i64, call: impl FnOnce() -> i64) -> Params {
        let number = self.native();
        let called = self.called(|| in_child(call));
        assert_eq!(called.ret, -i64::from(libc::EINTR), "the call's result");
        let event = self.one(called, number, NATIVE_ABI);
        event.i64("res", -error);
        event
    }

    /// Makes a call in a child, which may change anything of its own. The test asserts the result of a successful call.
    #[track_caller]
    pub fn in_child(&mut self, call: impl FnOnce() -> i64) -> Params {
        let number = self.native();
        let called = self.called(|| in_child(call));
        let ret = called.ret;
        if ret == -i64::from(libc::ENOSYS) {
            not_testable("the kernel does not have this call");
        }
        let event = self.one(called, number, NATIVE_ABI);
        if ret < 0 {
            event.i64("res", ret);
        }
        event
    }

    /// Makes a call in a child that may end by it. Returns the exit event; the test asserts the result.
    #[track_caller]
    pub fn of_dying_child(&mut self, call: impl FnOnce()) -> Params {
        let number = self.native();
        let called = self.called(|| dies(call));
        self.one(called, number, NATIVE_ABI)
    }

    /// Records a call that does not return, on another task; returns the enter event.
    #[track_caller]
    pub fn enters(&mut self, call: impl FnOnce() -> i64) -> Params {
        let number = self.native();
        let mut called = self.called(call);
        assert_eq!((called.enters.len(), called.exits.len()), (1, 0), "the numbers of enter and exit events");
        let event = called.enters.remove(0);
        event.u16("ID", self.call.code).u16("nativeID", number);
        assert_eq!(event.extended_by(), [self.enter.own.ty], "the extension of the enter event");
        event
    }
}

/// The ABI of this program.
#[cfg(target_arch = "x86_64")]
pub const NATIVE_ABI: Abi = Abi::X86_64;
/// The ABI of this program.
#[cfg(target_arch = "aarch64")]
pub const NATIVE_ABI: Abi = Abi::Arm64;

/// Calls of 32-bit programs.
impl Row<'_> {
    fn number_of_32(&self) -> u16 {
        self.call.number(Arch::I386).unwrap()
    }

    /// Makes the row's 32-bit call, which must have this result.
    #[track_caller]
    pub fn call32(&mut self, ret: i64, args: [u32; 6]) -> Params {
        self.number32(self.number_of_32(), ret, args)
    }

    /// Makes the 32-bit call of a number, which must have this result.
    #[track_caller]
    pub fn number32(&mut self, number: u16, ret: i64, args: [u32; 6]) -> Params {
        let (got, event) = self.result32(number, args);
        assert_eq!(got, ret, "the call's result");
        event
    }

    /// Makes the 32-bit call of a number, and returns its result.
    #[track_caller]
    pub fn result32(&mut self, number: u16, args: [u32; 6]) -> (i64, Params) {
        self.call_of_32(number, || syscall32(number.into(), args))
    }

    /// Records the row's 32-bit call, which is among what `call` does, and returns the result of that.
    #[track_caller]
    pub fn by32(&mut self, call: impl FnOnce() -> i64) -> (i64, Params) {
        self.call_of_32(self.number_of_32(), call)
    }

    #[track_caller]
    fn call_of_32(&mut self, number: u16, call: impl FnOnce() -> i64) -> (i64, Params) {
        let called = self.called(call);
        let ret = called.ret;
        let event = self.one(called, number, abi_of_32(number));
        self.assert_result(&event, ret);
        (ret, event)
    }

    /// Makes the row's 32-bit call in a child. The test asserts the result.
    #[track_caller]
    pub fn in_child32(&mut self, call: impl FnOnce() -> i64) -> Params {
        self.in_child_of(self.number_of_32(), call)
    }

    /// The same, for a call with another number.
    #[track_caller]
    pub fn in_child_of(&mut self, number: u16, call: impl FnOnce() -> i64) -> Params {
        let called = self.called(|| in_child(call));
        self.one(called, number, abi_of_32(number))
    }

    /// Makes a call in a child that may end by it. Returns the enter and the exit event; the test asserts them.
    pub fn pair_of_dying_child(&mut self, call: impl FnOnce()) -> (Params, Params) {
        let mut called = self.called(|| dies(call));
        (called.enters.remove(0), called.exits.remove(0))
    }
}

/// Returns the ABI of the 32-bit call of a number.
fn abi_of_32(number: u16) -> Abi {
    if (403..=423).contains(&number) { Abi::I386Time64 } else { Abi::I386 }
}

/// Runs `call` in a child that may end by it, and waits for the child.
fn dies(call: impl FnOnce()) -> i64 {
    let child = child(|| {
        call();
        syscall!(SYS_exit_group, 0)
    });
    syscall!(SYS_waitid, libc::P_PID, child, std::ptr::null::<u8>(), libc::WEXITED, 0usize)
}

/// Returns the bytes of a structure.
fn bytes_of<T>(value: &T) -> &[u8] {
    // SAFETY: the tests' structures come from the kernel or are zeroed first, so that all bytes are initialized.
    unsafe { std::slice::from_raw_parts((&raw const *value).cast(), size_of::<T>()) }
}

impl Params {
    /// Asserts that a parameter is these structures, as they are in memory.
    #[track_caller]
    pub fn structures<T>(&self, name: &str, expected: &[T]) -> &Params {
        let bytes: Vec<u8> = expected.iter().flat_map(bytes_of).copied().collect();
        assert_eq!(self.bytes_of(name), [&[self.abi() as u8][..], &bytes].concat(), "{name}");
        self
    }

    /// Asserts that a parameter is this structure, as it is in memory.
    #[track_caller]
    pub fn structure<T>(&self, name: &str, expected: &T) -> &Params {
        self.structures(name, std::slice::from_ref(expected))
    }

    /// Asserts members of a structure by the name that its layout has for them.
    #[track_caller]
    pub fn members(&self, name: &str, expected: &[(&str, i64)]) -> &Params {
        let Detail::Layout(table) = self.info_of(name).detail else { panic!("{name} is no structure") };
        let layout = Layout::of(table, self.abi()).unwrap();
        let (abi, bytes) = self.bytes_of(name).split_first().expect("it has a value");
        assert_eq!(*abi, self.abi() as u8, "the ABI of {name}");
        for (member, value) in expected {
            let found = layout.members.iter().find(|found| found.info.name == *member);
            let found = found.unwrap_or_else(|| panic!("{} has no member {member}", layout.name));
            let bytes = &bytes[found.offset..found.offset + found.len];
            let mut wide = [if found.info.ty.is_signed() && bytes[found.len - 1] > 127 { 255 } else { 0 }; 8];
            wide[..found.len].copy_from_slice(bytes);
            assert_eq!(i64::from_ne_bytes(wide), *value, "{name}.{member}");
        }
        self
    }
}
