//! Which calls have a row in include/extensions.def: each that can be recorded as a generic event, and no other.

use scap::events::{Arch, CompatTwin, EventType, SYSCALLS, SocketCall, Syscall, extension};

/// Returns whether the call has a row.
fn has_row(call: &Syscall) -> bool {
    extension(EventType(0x8000 + 2 * call.code + 1)).is_some()
}

/// Returns whether the call has programs of its own.
fn has_programs(call: &Syscall) -> bool {
    call.exit().is_some()
}

/// Returns whether an event can have the call's code: whether x86-64 or arm64 has the call, or 32-bit programs have it and no
/// 64-bit call's program records it. The table's other calls are those of other architectures, and 32-bit variants.
fn is_reachable(call: &Syscall) -> bool {
    let native = [Arch::X86_64, Arch::Arm64].into_iter().any(|arch| call.number(arch).is_some());
    let alone = call.number(Arch::I386).is_some_and(|number| CompatTwin::of(number).is_none());
    native || alone || SocketCall::of(call).is_some()
}

fn names(which: impl Fn(&Syscall) -> bool) -> Vec<&'static str> {
    SYSCALLS.iter().filter(|call| which(call)).map(|call| call.name).collect()
}

#[test]
fn every_call_has_programs_or_a_row() {
    assert_eq!(names(|call| is_reachable(call) && !has_programs(call) && !has_row(call)), [""; 0]);
}

#[test]
fn no_call_has_both() {
    assert_eq!(names(|call| has_programs(call) && has_row(call)), [""; 0]);
}

#[test]
fn calls_that_cannot_be_recorded_have_no_row() {
    assert_eq!(names(|call| !is_reachable(call) && has_row(call)), [""; 0]);
    // Some of each kind.
    for name in
        ["s390_sthyi", "riscv_hwprobe", "spu_run", "rtas", "multiplexer", "timerfd", "setuid32", "fstat64"]
    {
        let call = Syscall::by_name(name).expect("the table has it");
        assert!(!is_reachable(call), "{name}");
    }
    for name in ["getpid", "vm86", "ipc", "waitpid"] {
        let call = Syscall::by_name(name).expect("the table has it");
        assert!(is_reachable(call), "{name}");
    }
}
