//! How the parameters of calls without a program are read: bpf/extract/values.h. The tests of the rows themselves are beside
//! those of the programs.

use scap::events::{EventType, Syscall};

use crate::{
    harness::{Params, Test},
    scratch::Scratch,
    syscall,
};

/// Returns an event without the parameters that every generic event has.
fn own(event: Params) -> Params {
    event.bytes_of("ID");
    event.bytes_of("nativeID");
    event
}

/// The type of the extension of a call's exit event.
fn exit_type(name: &str) -> EventType {
    EventType(0x8001 + 2 * Syscall::by_name(name).unwrap().code)
}

pub fn arguments_in_registers(t: &mut Test) {
    t.select(&["fsync", "getrandom"]);
    let event = own(t.fails(libc::EBADF, || syscall!(SYS_fsync, -7)));
    event.i64("res", -i64::from(libc::EBADF)).i64("fd", -7);
    assert_eq!(event.extended_by(), [exit_type("fsync")]);
    let mut bytes = [0u8; 16];
    let (_, event) = t.succeeds(|| syscall!(SYS_getrandom, bytes.as_mut_ptr(), 16, 1));
    own(event).i64("res", 16).u64("buflen", 16).u32("flags", 1);
}

pub fn paths_and_structures(t: &mut Test) {
    let scratch = Scratch::new();
    let file = scratch.file("file");
    t.select(&["statx"]);
    let mut found = [0u8; 256];
    let (_, event) =
        t.succeeds(|| syscall!(SYS_statx, -100, file.as_ptr(), 0x100, 0x7ff, found.as_mut_ptr()));
    own(event)
        .i64("res", 0)
        .i64("dirfd", -100)
        .text("path", &file)
        .u32("flags", 0x100)
        .u32("mask", 0x7ff)
        .bytes("statxbuf", &[&[0], &found[..]].concat());
    let missing = scratch.path("missing");
    let event =
        t.fails(libc::ENOENT, || syscall!(SYS_statx, -100, missing.as_ptr(), 0, 0x7ff, found.as_mut_ptr()));
    own(event)
        .i64("res", -i64::from(libc::ENOENT))
        .i64("dirfd", -100)
        .text("path", &missing)
        .u32("flags", 0)
        .u32("mask", 0x7ff)
        .empty("statxbuf");
}
