use scapd::events::{Arch, Syscall};

use crate::{harness::Test, syscall};

pub fn generic_e(t: &mut Test) {
    let call = Syscall::by_name("getppid").unwrap();
    t.succeeds(|| syscall!(SYS_getppid))
        .1
        .u16("ID", call.code)
        .u16("nativeID", call.number(Arch::NATIVE).unwrap());
}

pub fn generic_x(t: &mut Test) {
    let call = Syscall::by_name("getppid").unwrap();
    t.succeeds(|| syscall!(SYS_getppid))
        .1
        .u16("ID", call.code)
        .u16("nativeID", call.number(Arch::NATIVE).unwrap());
}
