//! How the parameters of calls without a program are read: bpf/extract/values.h. The tests of the rows themselves are beside
//! those of the programs.

use std::{
    ffi::{CStr, CString},
    fs::File,
    os::fd::AsRawFd,
};

use scap::{
    events::{EventType, Syscall},
    ledger::{Cause, Losses},
};

use crate::{
    harness::{Params, Test, not_testable},
    marks::Way,
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
        .structure("statxbuf", &found);
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

/// An address that no process can read.
const BAD: *const libc::c_char = std::ptr::without_provenance(1);

pub fn strings_and_pointers(t: &mut Test) {
    t.select(&["statx"]);
    let mut found = [0u8; 256];
    let long = CString::new(format!("/{}", "a".repeat(5000))).unwrap();
    let kept = [&long.as_bytes()[..4095], b"\0"].concat();
    let kept = CStr::from_bytes_with_nul(&kept).unwrap();
    for (errno, path, expected) in [
        (libc::ENAMETOOLONG, long.as_ptr(), Some(kept)),
        (libc::ENOENT, c"".as_ptr(), Some(c"")),
        (libc::EFAULT, std::ptr::null(), None),
        (libc::EFAULT, BAD, None),
    ] {
        let event = own(t.fails(errno, || syscall!(SYS_statx, -100, path, 0, 1, found.as_mut_ptr())));
        let _ = match expected {
            Some(text) => event.text("path", text),
            None => event.empty("path"),
        };
        event.rest_does_not_matter().empty("statxbuf");
    }
    let event = own(t.fails(libc::EFAULT, || syscall!(SYS_statx, -100, c"/".as_ptr(), 0, 1, BAD)));
    event.rest_does_not_matter().text("path", c"/").empty("statxbuf");
}

pub fn data_of_vectors(t: &mut Test) {
    t.select(&["preadv2"]);
    let zero = File::open("/dev/zero").unwrap();
    let mut buffer = vec![1u8; 70_000];
    let mut read = |t: &mut Test, first: usize, second: usize| {
        let base: *mut libc::c_void = buffer.as_mut_ptr().cast();
        let pieces = [first, second].map(|iov_len| libc::iovec { iov_base: base, iov_len });
        let fd = zero.as_raw_fd();
        let (_, event) = t.succeeds(|| syscall!(SYS_preadv2, fd, pieces.as_ptr(), 2, 0, 0, 0));
        event.rest_does_not_matter().i64("res", (first + second) as i64);
        event.bytes_of("iov").to_vec()
    };
    assert_eq!(read(t, 3, 4), [0; 7], "no more than the call read");
    assert_eq!(read(t, 60, 60), [0; 80], "the snaplen");
    t.change(|control| control.set_snaplen(u32::MAX));
    assert_eq!(read(t, 60, 70_000).len(), 64_495, "the room in an event");
}

/// A call of x32 programs has a 64-bit argument in one register where others have two. A kernel without x32 refuses it.
pub fn of_x32_have_their_own_places(t: &mut Test) {
    const X32_PWRITEV2: i64 = 1 << 30 | 547;
    if !crate::compat::HERE {
        not_testable("this architecture has no x32 programs");
    }
    let iov = [b"data".as_ptr() as u64, 4].map(|word| word as u32);
    t.unknown_calls();
    let (ret, events) = t.events(|| {
        // SAFETY: the descriptor is bad, so that no kernel writes anything.
        unsafe { libc::syscall(X32_PWRITEV2, -7, iov.as_ptr(), 1, 0x5_0000_0007i64, 8) }
    });
    assert_eq!(ret, -1, "the call's result");
    for event in &events {
        event.u16("ID", 0).u16("nativeID", 1 << 14 | 547);
    }
    let [event] = &events[1..] else { panic!("{} events", events.len()) };
    event.i64("fd", -7).u64("iovcnt", 1).i64("offset", 0x5_0000_0007).u32("flags", 8);
    event.rest_does_not_matter();
}

pub fn can_be_left_out(t: &mut Test) {
    t.select(&["fsync"]);
    let fsync = || syscall!(SYS_fsync, -7);
    for recorded in [false, true] {
        t.change(|control| control.set_extensions(recorded));
        let event = own(t.fails(libc::EBADF, fsync));
        assert_eq!(!event.extended_by().is_empty(), recorded);
        event.rest_does_not_matter();
    }
    let lost = t.loses_while_in_use(Way::Exit, || fsync() + i64::from(libc::EBADF));
    let mut once = Losses::default();
    once.add(Cause::NoScratch, 1);
    assert_eq!(lost, once, "an event with its extension is one loss");
}
