//! Modules, new kernels, libraries, and security modules. Calls that would change the machine are made so that they fail.

use std::{ffi::CStr, os::fd::AsRawFd, ptr::null};

use crate::{
    by_number,
    cases::ext_number::BAD,
    fails,
    harness::not_testable,
    rows,
    rows::{Row, RowTest},
    scratch::{Scratch, fd_of, own},
    succeeds, syscall,
};

pub const ROWS: &[RowTest] = rows![
    create_module,
    get_kernel_syms,
    query_module,
    kexec_load,
    kexec_file_load,
    uselib,
    landlock_create_ruleset,
    landlock_add_rule,
    landlock_restrict_self,
    lsm_get_self_attr,
    lsm_set_self_attr,
    lsm_list_modules,
];

const MISSING: &CStr = c"/nonexistent/file";

// Kernels since 2.6 have the numbers of the next three calls alone.

fn create_module(r: &mut Row) {
    fails!(r, libc::ENOSYS, c"module".as_ptr(), 9usize).text("name", c"module").u64("size", 9);
}

fn get_kernel_syms(r: &mut Row) {
    fails!(r, libc::ENOSYS, 0x18usize).u64("table", 0x18);
}

fn query_module(r: &mut Row) {
    let event = fails!(r, libc::ENOSYS, c"module".as_ptr(), 4, 0x18usize, 9usize, 0x28usize);
    event.text("name", c"module").u32("which", 4).u64("buf", 0x18).u64("bufsize", 9).u64("ret", 0x28);
}

fn kexec_load(r: &mut Row) {
    // No kernel has this flag.
    const FLAGS: usize = 0x8001;
    let segments = [[1usize, 2, 3, 4], [5, 6, 7, 8]];
    let event = fails!(r, libc::EINVAL, 0x1003usize, 2usize, segments.as_ptr(), FLAGS);
    event.u64("entry", 0x1003).u64("nr_segments", 2).u64("flags", 0x8001);
    event.structures("segments", &segments);
    event.members("segments", &[("buf", 1), ("bufsz", 2), ("mem", 3), ("memsz", 4)]);
}

fn kexec_file_load(r: &mut Row) {
    const FLAGS: usize = 0x8000_0002;
    let line = c"quiet".as_ptr();
    let event = fails!(r, libc::EINVAL, BAD, BAD - 1, 6usize, line, FLAGS);
    event.i64("kernel_fd", BAD.into()).i64("initrd_fd", i64::from(BAD) - 1);
    event.u64("cmdline_len", 6).text("cmdline", c"quiet").u64("flags", 0x8000_0002);
}

fn uselib(r: &mut Row) {
    // A success needs a kernel for programs of the old form.
    fails!(r, libc::ENOENT, MISSING.as_ptr()).text("library", MISSING);
}

/// Returns the version of Landlock, or an error if this kernel has none.
fn landlock_version() -> i64 {
    const VERSION: u32 = 1;
    syscall!(SYS_landlock_create_ruleset, null::<u8>(), 0usize, VERSION)
}

/// Returns the error of a call that is wrong otherwise, if Landlock is there and not in use.
fn without_landlock() -> Option<i32> {
    (landlock_version() == -i64::from(libc::EOPNOTSUPP)).then_some(libc::EOPNOTSUPP)
}

fn need_landlock() {
    if landlock_version() < 0 {
        not_testable("Landlock is not among the kernel's security modules");
    }
}

const READ_FILE: u64 = 4;

/// A set of rules about reading files.
fn ruleset() -> std::fs::File {
    own(syscall!(SYS_landlock_create_ruleset, [READ_FILE].as_ptr(), 8usize, 0))
}

fn landlock_create_ruleset(r: &mut Row) {
    let attr = [READ_FILE, 1, 2];
    let event = fails!(r, without_landlock().unwrap_or(libc::EINVAL), attr.as_ptr(), 24usize, 0x81);
    event.structure("attr", &attr).u64("size", 24).u32("flags", 0x81);
    event.members("attr", &[("handled_access_fs", 4), ("handled_access_net", 1), ("scoped", 2)]);
    need_landlock();
    // Only the first member, as its size says.
    let (fd, event) = succeeds!(r, attr.as_ptr(), 8usize, 0);
    event.structure("attr", &attr[..1][0]).u64("size", 8).u32("flags", 0);
    drop(own(fd));
}

fn landlock_add_rule(r: &mut Row) {
    const PATH_BENEATH: u32 = 1;
    const NET_PORT: u32 = 2;
    let error = without_landlock().unwrap_or(libc::EBADF);
    let (port, beneath) = ([1u64, 8080], [READ_FILE as u32, 0, BAD as u32]);
    let event = fails!(r, error, BAD, NET_PORT, port.as_ptr(), 0);
    event.i64("ruleset_fd", BAD.into()).u32("rule_type", 2).empty("path_beneath").u32("flags", 0);
    event.structure("net_port", &port).members("net_port", &[("allowed_access", 1), ("port", 8080)]);
    let event = fails!(r, error, BAD, PATH_BENEATH, beneath.as_ptr(), 0);
    event.i64("ruleset_fd", BAD.into()).u32("rule_type", 1).empty("net_port").u32("flags", 0);
    event.members("path_beneath", &[("allowed_access", 4), ("parent_fd", BAD.into())]);
    need_landlock();
    let (ruleset, file) = (ruleset(), Scratch::new().open_file("file"));
    let beneath = [READ_FILE as u32, 0, file.as_raw_fd() as u32];
    let (_, event) = succeeds!(r, ruleset.as_raw_fd(), PATH_BENEATH, beneath.as_ptr(), 0);
    event.i64("ruleset_fd", fd_of(&ruleset)).u32("rule_type", 1).empty("net_port").u32("flags", 0);
    event.structure("path_beneath", &beneath);
}

fn landlock_restrict_self(r: &mut Row) {
    let event = fails!(r, without_landlock().unwrap_or(libc::EBADF), BAD, 0);
    event.i64("ruleset_fd", BAD.into()).u32("flags", 0);
    let event = fails!(r, without_landlock().unwrap_or(libc::EINVAL), BAD - 1, 1 << 30);
    event.i64("ruleset_fd", i64::from(BAD) - 1).u32("flags", 1 << 30);
    need_landlock();
    let (ruleset, number) = (ruleset(), r.native());
    let event = r.in_child(|| by_number!(number, ruleset.as_raw_fd(), 0));
    event.i64("res", 0).i64("ruleset_fd", fd_of(&ruleset)).u32("flags", 0);
}

const LSM_ATTR_CURRENT: u32 = 100;

fn lsm_get_self_attr(r: &mut Row) {
    let (mut context, mut size) = ([0u64; 64], 77u32);
    let event = fails!(r, libc::EINVAL, 0, context.as_mut_ptr(), &raw mut size, 5);
    event.u32("attr", 0).empty("ctx").u32("size", 77).u32("flags", 5);
    size = 512;
    let number = r.native();
    if by_number!(number, LSM_ATTR_CURRENT, context.as_mut_ptr(), &raw mut size, 0) < 0 {
        not_testable("no security module has attributes of a process");
    }
    size = 512;
    let (_, event) = succeeds!(r, LSM_ATTR_CURRENT, context.as_mut_ptr(), &raw mut size, 0);
    event.u32("attr", 100).u32("size", size).u32("flags", 0);
    event.members("ctx", &[("len", context[2] as i64), ("ctx_len", context[3] as i64)]);
}

fn lsm_set_self_attr(r: &mut Row) {
    // A success would give the process another label.
    let context = [104u64, 0, 40, 2, u64::from_ne_bytes(*b"x\0\0\0\0\0\0\0")];
    let event = fails!(r, libc::EINVAL, LSM_ATTR_CURRENT, context.as_ptr(), 40, 1 << 30);
    event.u32("attr", 100).u32("size", 40).u32("flags", 1 << 30).structure("ctx", &context);
    event.members("ctx", &[("id", 104), ("len", 40), ("ctx_len", 2)]);
}

fn lsm_list_modules(r: &mut Row) {
    let (mut ids, mut size) = ([0u64; 16], 77u32);
    let event = fails!(r, libc::EINVAL, ids.as_mut_ptr(), &raw mut size, 5);
    event.empty("ids").u32("size", 77).u32("flags", 5);
    size = 128;
    let (count, event) = succeeds!(r, ids.as_mut_ptr(), &raw mut size, 0);
    assert_eq!(size, 8 * count as u32);
    event.structures("ids", &ids[..count as usize]).u32("size", size).u32("flags", 0);
}
