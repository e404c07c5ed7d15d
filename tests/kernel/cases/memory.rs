use std::{fs::File, os::fd::AsRawFd};

use super::process::status;
use crate::{
    compat::syscall32,
    harness::{Params, Test},
    syscall,
};

const LENGTH: usize = 3 * 4096;
const PROTECTION: i32 = libc::PROT_READ | libc::PROT_EXEC;
/// In the format's own encoding.
const PROTECTION_SCAP: u32 = 1 | 4;

fn mmap(addr: usize, flags: i32, fd: i32, offset: usize) -> i64 {
    syscall!(SYS_mmap, addr, LENGTH, PROTECTION, flags, fd, offset)
}

/// Asserts the sizes of this process, roughly: its other threads map and touch memory, too.
pub fn assert_sizes(event: &Params) {
    let kib = |field| status("self", field).strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap();
    assert!((kib("VmSize") / 2..kib("VmSize") * 2).contains(&event.number("vm_size")), "vm_size");
    assert!((kib("VmRSS") / 4..kib("VmRSS") * 4).contains(&event.number("vm_rss")), "vm_rss");
    assert!(event.number("vm_swap") <= event.number("vm_size"), "vm_swap");
}

/// Returns the end of the data segment, as a failed call and a query do.
fn current_break() -> i64 {
    syscall!(SYS_brk, 0)
}

pub fn brk_e(t: &mut Test) {
    t.succeeds(|| syscall!(SYS_brk, 1)).1.u64("addr", 1);
    t.succeeds(current_break).1.u64("addr", 0);
}

pub fn brk_x(t: &mut Test) {
    let end = current_break() as u64;
    let (_, event) = t.succeeds(|| syscall!(SYS_brk, 1));
    event.u64("res", end).u64("addr", 1);
    assert_sizes(&event);
    let (_, event) = t.succeeds(|| syscall!(SYS_brk, end + 8192));
    event.u64("res", end + 8192).u64("addr", end + 8192);
    assert_sizes(&event);
    syscall!(SYS_brk, end);
}

/// Makes a failing and a successful call, and returns each event with its result. Both events of a pair have the
/// arguments.
fn mmap_events(t: &mut Test) -> [(Params, i64); 2] {
    let flags = libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_POPULATE;
    let failed = t.fails(libc::EBADF, || mmap(0x1234_5000, flags, -7, 8192));
    failed.u64("addr", 0x1234_5000).u64("length", LENGTH as u64).u32("prot", PROTECTION_SCAP);
    failed.u32("flags", 1 | 4 | 128).i64("fd", -7).u64("offset", 8192);

    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let (address, mapped) = t.succeeds(|| mmap(0, flags, -1, 0));
    mapped.u64("addr", 0).u64("length", LENGTH as u64).u32("prot", PROTECTION_SCAP);
    mapped.u32("flags", 2 | 8 | 64).i64("fd", -1).u64("offset", 0);
    assert_eq!(syscall!(SYS_munmap, address, LENGTH), 0);
    [(failed, -i64::from(libc::EBADF)), (mapped, address)]
}

pub fn mmap_e(t: &mut Test) {
    mmap_events(t);
}

pub fn mmap_x(t: &mut Test) {
    for (event, res) in mmap_events(t) {
        event.i64("res", res);
        assert_sizes(&event);
    }
}

/// The same for mmap2, which only 32-bit programs have. Its offset counts pages of 4,096 bytes.
fn mmap2_events(t: &mut Test) -> [(Params, i64); 2] {
    let flags = (libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_POPULATE) as u32;
    let arguments = [0x1234_5000, LENGTH as u32, PROTECTION as u32, flags, -7i32 as u32, 0xffff_fff0];
    let failed = t.fails(libc::EBADF, || syscall32(192, arguments));
    failed.u64("addr", 0x1234_5000).u64("length", LENGTH as u64).u32("prot", PROTECTION_SCAP);
    failed.u32("flags", 1 | 4 | 128).i64("fd", -7).u64("pgoffset", 0xffff_fff0);

    let file = tempfile::tempfile().unwrap();
    let arguments = [0, LENGTH as u32, PROTECTION as u32, libc::MAP_PRIVATE as u32, fd(&file), 3];
    // An address in the upper half is not an error.
    let captured = t.capture(|| i64::from(syscall32(192, arguments) as u32));
    let address = captured.ret;
    let mapped = captured.one();
    mapped.u64("addr", 0).u64("length", LENGTH as u64).u32("prot", PROTECTION_SCAP);
    mapped.u32("flags", 2).i64("fd", fd(&file).into()).u64("pgoffset", 3);
    assert_eq!(syscall!(SYS_munmap, address, LENGTH), 0);
    [(failed, -i64::from(libc::EBADF)), (mapped, address)]
}

fn fd(file: &File) -> u32 {
    file.as_raw_fd() as u32
}

pub fn mmap2_e(t: &mut Test) {
    mmap2_events(t);
}

pub fn mmap2_x(t: &mut Test) {
    for (event, res) in mmap2_events(t) {
        event.i64("res", res);
        assert_sizes(&event);
    }
}

pub fn munmap_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_munmap, 7, LENGTH)).u64("addr", 7).u64("length", LENGTH as u64);
    let address = mmap(0, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
    let (_, event) = t.succeeds(|| syscall!(SYS_munmap, address, LENGTH));
    event.u64("addr", address as u64).u64("length", LENGTH as u64);
}

pub fn munmap_x(t: &mut Test) {
    let event = t.fails(libc::EINVAL, || syscall!(SYS_munmap, 7, LENGTH));
    event.i64("res", -i64::from(libc::EINVAL)).u64("addr", 7).u64("length", LENGTH as u64);
    assert_sizes(&event);
    let address = mmap(0, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
    let (_, event) = t.succeeds(|| syscall!(SYS_munmap, address, LENGTH));
    event.i64("res", 0).u64("addr", address as u64).u64("length", LENGTH as u64);
    assert_sizes(&event);
}

/// Makes a failing and a successful call, and returns each event with its result. Both events of a pair have the
/// arguments.
fn mprotect_events(t: &mut Test) -> [(Params, i64); 2] {
    let protection = libc::PROT_WRITE | libc::PROT_GROWSDOWN;
    let failed = t.fails(libc::EINVAL, || syscall!(SYS_mprotect, 7, 1i64 << 40, protection));
    failed.u64("addr", 7).u64("length", 1 << 40).u32("prot", 2 | 16);
    let address = mmap(0, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
    let protection = libc::PROT_READ | libc::PROT_EXEC | 8; // PROT_SEM
    let (_, changed) = t.succeeds(|| syscall!(SYS_mprotect, address, LENGTH, protection));
    changed.u64("addr", address as u64).u64("length", LENGTH as u64).u32("prot", 1 | 4 | 8);
    assert_eq!(syscall!(SYS_munmap, address, LENGTH), 0);
    [(failed, -i64::from(libc::EINVAL)), (changed, 0)]
}

pub fn mprotect_e(t: &mut Test) {
    mprotect_events(t);
}

pub fn mprotect_x(t: &mut Test) {
    for (event, res) in mprotect_events(t) {
        event.i64("res", res);
    }
}
