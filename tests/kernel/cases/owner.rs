use std::ffi::CString;

use crate::{
    harness::{Params, Test},
    scratch::{Scratch, fd_of, name},
    syscall,
};

const FDCWD: i64 = -100;
const BAD: i64 = -7;
const EBADF: i64 = -(libc::EBADF as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);
const ENOENT: i64 = -(libc::ENOENT as i64);
/// Leaves the owner unchanged.
const SAME: u32 = u32::MAX;

/// Returns a path of the maximum length: 4,095 bytes without its NUL.
fn long_path() -> CString {
    name(&"/d".repeat(2048)[..4095])
}

pub fn chmod_e(t: &mut Test) {
    let scratch = Scratch::new();
    t.fails(libc::EFAULT, || syscall!(SYS_chmod, 1usize, 0o600));
    let file = scratch.file("file");
    t.succeeds(|| syscall!(SYS_chmod, file.as_ptr(), 0o600));
}

pub fn chmod_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, file) = (scratch.path("missing"), scratch.file("file"));
    t.fails(libc::ENOENT, || syscall!(SYS_chmod, missing.as_ptr(), 0o2351))
        .i64("res", ENOENT)
        .text("filename", &missing)
        .u32("mode", 0o2351);
    // Bits other than permissions are ignored.
    t.succeeds(|| syscall!(SYS_chmod, file.as_ptr(), 0o105426))
        .1
        .i64("res", 0)
        .text("filename", &file)
        .u32("mode", 0o5426);
    t.fails(libc::EFAULT, || syscall!(SYS_chmod, 0usize, 0))
        .i64("res", EFAULT)
        .empty("filename")
        .u32("mode", 0);
    let empty = name("");
    t.fails(libc::ENOENT, || syscall!(SYS_chmod, empty.as_ptr(), 0o7777))
        .i64("res", ENOENT)
        .text("filename", &empty)
        .u32("mode", 0o7777);
    let long = long_path();
    t.fails(libc::ENOENT, || syscall!(SYS_chmod, long.as_ptr(), 0o1))
        .i64("res", ENOENT)
        .text("filename", &long)
        .u32("mode", 0o1);
    // A path that is too long is truncated.
    let longer = name(&"x".repeat(5000));
    t.fails(libc::ENAMETOOLONG, || syscall!(SYS_chmod, longer.as_ptr(), 0o1))
        .i64("res", -i64::from(libc::ENAMETOOLONG))
        .text("filename", &name(&"x".repeat(4095)))
        .u32("mode", 0o1);
}

pub fn fchmod_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_fchmod, BAD, 0o600));
    let scratch = Scratch::new();
    let file = scratch.open_file("file");
    t.succeeds(|| syscall!(SYS_fchmod, fd_of(&file), 0o600));
}

pub fn fchmod_x(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_fchmod, BAD, 0o6174))
        .i64("res", EBADF)
        .i64("fd", BAD)
        .u32("mode", 0o6174);
    let scratch = Scratch::new();
    let file = scratch.open_file("file");
    t.succeeds(|| syscall!(SYS_fchmod, fd_of(&file), 0o100641))
        .1
        .i64("res", 0)
        .i64("fd", fd_of(&file))
        .u32("mode", 0o641);
}

pub fn fchmodat_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_fchmodat, libc::AT_FDCWD, 1usize, 0o600));
    let scratch = Scratch::new();
    let file = scratch.file("file");
    t.succeeds(|| syscall!(SYS_fchmodat, libc::AT_FDCWD, file.as_ptr(), 0o600));
}

pub fn fchmodat_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, file, directory) = (scratch.path("missing"), name("file"), scratch.open());
    scratch.file("file");
    t.fails(libc::ENOENT, || syscall!(SYS_fchmodat, libc::AT_FDCWD, missing.as_ptr(), 0o4333))
        .i64("res", ENOENT)
        .i64("dirfd", FDCWD)
        .text("filename", &missing)
        .u32("mode", 0o4333);
    t.succeeds(|| syscall!(SYS_fchmodat, fd_of(&directory), file.as_ptr(), 0o751))
        .1
        .i64("res", 0)
        .i64("dirfd", fd_of(&directory))
        .text("filename", &file)
        .u32("mode", 0o751);
    t.fails(libc::EFAULT, || syscall!(SYS_fchmodat, BAD, 1usize, 0o70))
        .i64("res", EFAULT)
        .i64("dirfd", BAD)
        .empty("filename")
        .u32("mode", 0o70);
}

#[track_caller]
fn assert_owner(event: &Params, res: i64, uid: u32, gid: u32) {
    event.i64("res", res).u32("uid", uid).u32("gid", gid);
}

pub fn chown_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_chown, 1usize, SAME, SAME));
    let scratch = Scratch::new();
    let file = scratch.file("file");
    t.succeeds(|| syscall!(SYS_chown, file.as_ptr(), SAME, SAME));
}

pub fn chown_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, file) = (scratch.path("missing"), scratch.file("file"));
    let event = t.fails(libc::ENOENT, || syscall!(SYS_chown, missing.as_ptr(), 1001, 2002));
    assert_owner(event.text("path", &missing), ENOENT, 1001, 2002);
    let (_, event) = t.succeeds(|| syscall!(SYS_chown, file.as_ptr(), SAME, 65534));
    assert_owner(event.text("path", &file), 0, SAME, 65534);
    let event = t.fails(libc::EFAULT, || syscall!(SYS_chown, 0usize, 7, SAME));
    assert_owner(event.empty("path"), EFAULT, 7, SAME);
    if crate::compat::HERE {
        // 32-bit callers have two such calls; this one has 32-bit ids.
        let path = crate::compat::LowMemory::new().put(file.as_bytes_with_nul());
        let (_, event) = t.succeeds(|| crate::compat::syscall32(212, [path, SAME, 70_000, 0, 0, 0]));
        assert_owner(event.text("path", &file), 0, SAME, 70_000);
    }
}

pub fn lchown_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_lchown, 1usize, SAME, SAME));
    let scratch = Scratch::new();
    let file = scratch.file("file");
    t.succeeds(|| syscall!(SYS_lchown, file.as_ptr(), SAME, SAME));
}

pub fn lchown_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, file) = (scratch.path("missing"), scratch.file("file"));
    let event = t.fails(libc::ENOENT, || syscall!(SYS_lchown, missing.as_ptr(), 1001, 2002));
    assert_owner(event.text("path", &missing), ENOENT, 1001, 2002);
    let (_, event) = t.succeeds(|| syscall!(SYS_lchown, file.as_ptr(), 65533, SAME));
    assert_owner(event.text("path", &file), 0, 65533, SAME);
}

pub fn fchown_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_fchown, BAD, SAME, SAME));
    let scratch = Scratch::new();
    let file = scratch.open_file("file");
    t.succeeds(|| syscall!(SYS_fchown, fd_of(&file), SAME, SAME));
}

pub fn fchown_x(t: &mut Test) {
    let event = t.fails(libc::EBADF, || syscall!(SYS_fchown, BAD, 1001, 2002));
    assert_owner(event.i64("fd", BAD), EBADF, 1001, 2002);
    let scratch = Scratch::new();
    let file = scratch.open_file("file");
    let (_, event) = t.succeeds(|| syscall!(SYS_fchown, fd_of(&file), 65533, 65534));
    assert_owner(event.i64("fd", fd_of(&file)), 0, 65533, 65534);
}

pub fn fchownat_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_fchownat, libc::AT_FDCWD, 1usize, SAME, SAME, 0));
    let scratch = Scratch::new();
    let file = scratch.file("file");
    t.succeeds(|| syscall!(SYS_fchownat, libc::AT_FDCWD, file.as_ptr(), SAME, SAME, 0));
}

pub fn fchownat_x(t: &mut Test) {
    // The format's own.
    const NOFOLLOW: u32 = 1024;
    const EMPTY_PATH: u32 = 4096;
    let scratch = Scratch::new();
    let (missing, file, empty) = (scratch.path("missing"), name("file"), name(""));
    let (directory, _) = (scratch.open(), scratch.file("file"));
    let event = t.fails(libc::ENOENT, || {
        syscall!(SYS_fchownat, libc::AT_FDCWD, missing.as_ptr(), 1001, 2002, libc::AT_SYMLINK_NOFOLLOW)
    });
    assert_owner(event.i64("dirfd", FDCWD).text("pathname", &missing), ENOENT, 1001, 2002);
    event.u32("flags", NOFOLLOW);
    let (_, event) = t.succeeds(|| syscall!(SYS_fchownat, fd_of(&directory), file.as_ptr(), 65533, 65534, 0));
    assert_owner(event.i64("dirfd", fd_of(&directory)).text("pathname", &file), 0, 65533, 65534);
    event.u32("flags", 0);
    let (_, event) = t.succeeds(|| {
        let flags = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW;
        syscall!(SYS_fchownat, fd_of(&directory), empty.as_ptr(), SAME, 0, flags)
    });
    assert_owner(event.i64("dirfd", fd_of(&directory)).text("pathname", &empty), 0, SAME, 0);
    event.u32("flags", NOFOLLOW | EMPTY_PATH);
    let event = t.fails(libc::EFAULT, || syscall!(SYS_fchownat, BAD, 1usize, 1, 2, 0));
    assert_owner(event.i64("dirfd", BAD).empty("pathname"), EFAULT, 1, 2);
    event.u32("flags", 0);
}
