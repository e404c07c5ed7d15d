use std::{ffi::CStr, ptr};

use crate::{
    harness::{Params, Test},
    scratch::{Overlay, Scratch, fd_of, identity, name, own},
    syscall,
};

const FDCWD: i64 = -100;
const ENOENT: i64 = -(libc::ENOENT as i64);

// The format's file_flags.
const RDONLY: u32 = 1;
const WRONLY: u32 = 2;
const RDWR: u32 = 3;
const CREAT: u32 = 4;
const EXCL: u32 = 32;
const DIRECTORY: u32 = 1024;
const CLOEXEC: u32 = 4096;
const TMPFILE: u32 = 8192;
const CREATED: u32 = 16384;
const UPPER: u32 = 32768;
const LOWER: u32 = 65536;

// path_flags.
const UNREACHABLE: u8 = 4;

/// The flags of open, and their encoding in the format.
const FLAGS: &[(i32, u32)] = &[
    (libc::O_RDONLY, RDONLY),
    (libc::O_WRONLY, WRONLY),
    (libc::O_RDWR, RDWR),
    (libc::O_APPEND, RDONLY | 8),
    (libc::O_DSYNC, RDONLY | 16),
    (libc::O_NONBLOCK, RDONLY | 64),
    (libc::O_SYNC, RDONLY | 16 | 128),
    (libc::O_WRONLY | libc::O_TRUNC, WRONLY | 256),
    (libc::O_DIRECT, RDONLY | 512),
    (libc::O_DIRECTORY, RDONLY | DIRECTORY),
    (libc::O_CLOEXEC, RDONLY | CLOEXEC),
    (libc::O_RDWR | libc::O_TMPFILE, RDWR | DIRECTORY | TMPFILE),
    (libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC, RDWR | CREAT | EXCL | CLOEXEC),
];

/// The kernel's own value: the C library's is 0, as it always opens large files.
const KERNEL_LARGEFILE: i32 = if cfg!(target_arch = "x86_64") { 0o100000 } else { 0o400000 };

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

impl OpenHow {
    fn new(flags: i32, mode: u64, resolve: u64) -> OpenHow {
        OpenHow { flags: flags as u64, mode, resolve }
    }
}

fn openat2(dirfd: i64, path: &CStr, how: &OpenHow) -> i64 {
    syscall!(SYS_openat2, dirfd, path.as_ptr(), ptr::from_ref(how), size_of::<OpenHow>())
}

/// Returns flags of open in the encoding of `open_flags`: the kernel's on x86-64.
pub fn raw(flags: i32) -> u32 {
    let differ = [
        (libc::O_DIRECT, 0x4000),
        (KERNEL_LARGEFILE, 0x8000),
        (libc::O_DIRECTORY, 0x10000),
        (libc::O_NOFOLLOW, 0x20000),
    ];
    let kept = differ.iter().fold(flags, |flags, (bit, _)| flags & !bit) as u32;
    differ.iter().filter(|(bit, _)| flags & bit != 0).fold(kept, |raw, (_, bit)| raw | bit)
}

/// Flags that the event has no names for.
const UNSAID: i32 = libc::O_PATH | libc::O_NOFOLLOW | libc::O_NOATIME | libc::O_NOCTTY | libc::O_ASYNC;

/// Asserts the extension of a file that was opened with these flags: it has the path only if that is not the event's name,
/// and there is none if it has nothing to say.
#[track_caller]
pub fn is_extended(params: &Params, path: &CStr, flags: Option<i32>) {
    let is_named = params.peek("name") == path.to_bytes_with_nul();
    if is_named && flags.is_none_or(|flags| flags & UNSAID == 0) {
        assert_eq!(params.extended_by(), [], "the event says all");
        return;
    }
    if let Some(flags) = flags {
        assert_eq!(params.number("raw_flags"), u64::from(raw(flags)), "raw_flags");
    }
    _ = if is_named { params.empty("resolved") } else { params.text("resolved", path) };
    params.u8("resolved_flags", 0);
}

/// Asserts that the event has the path of an open file, as /proc shows it.
#[track_caller]
pub fn is_resolved(params: &Params, fd: i64, flags: Option<i32>) {
    let link = std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
    is_extended(params, &name(link.to_str().unwrap()), flags);
}

/// Asserts the parameters of a file that was opened with these flags, and closes it.
#[track_caller]
fn is_file(params: &Params, fd: i64, flags: i32) {
    is_opened(params, fd, Some(flags));
}

/// The same of a call without flags.
#[track_caller]
fn is_created(params: &Params, fd: i64) {
    is_opened(params, fd, None);
}

#[track_caller]
fn is_opened(params: &Params, fd: i64, flags: Option<i32>) {
    is_resolved(params, fd, flags);
    let (dev, ino) = identity(&own(fd));
    params.i64("fd", fd).u32("dev", dev).u64("ino", ino);
}

/// Asserts the path of a file of a mount that is mounted nowhere.
#[track_caller]
fn is_apart(params: &Params, path: &str) {
    params.text("resolved", &name(path)).u8("resolved_flags", UNREACHABLE);
}

#[track_caller]
fn is_no_file(params: &Params, res: i64) {
    params.i64("fd", res).u32("dev", 0).u64("ino", 0);
    assert_eq!(params.extended_by(), [], "the flags say all");
}

pub fn open_e(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, new) = (scratch.path("no/such/file"), scratch.path("new"));
    t.fails(libc::ENOENT, || syscall!(SYS_open, missing.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC, 0o640))
        .text("name", &missing)
        .u32("flags", WRONLY | CLOEXEC)
        .u32("mode", 0);
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    let (fd, params) = t.succeeds(|| syscall!(SYS_open, new.as_ptr(), flags, 0o4640));
    params.text("name", &new).u32("flags", RDWR | CREAT | EXCL).u32("mode", 0o4640);
    drop(own(fd));
    t.fails(libc::EFAULT, || syscall!(SYS_open, 1usize, libc::O_RDONLY))
        .empty("name")
        .u32("flags", RDONLY)
        .u32("mode", 0);
}

pub fn open_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, new) = (scratch.path("no/such/file"), scratch.path("new"));
    for (flags, expected) in FLAGS.iter().copied().chain([(KERNEL_LARGEFILE, RDONLY | 2048)]) {
        let params = t.fails(libc::ENOENT, || syscall!(SYS_open, missing.as_ptr(), flags, 0o1640));
        params.text("name", &missing).u32("flags", expected);
        // The mode counts only if a file may be created.
        params.u32("mode", if expected & (CREAT | TMPFILE) == 0 { 0 } else { 0o1640 });
        is_no_file(&params, ENOENT);
    }
    // The first open creates the file, the second one opens it.
    for (flags, expected) in [(libc::O_WRONLY, WRONLY | CREATED), (libc::O_RDWR, RDWR)] {
        let (fd, params) = t.succeeds(|| syscall!(SYS_open, new.as_ptr(), flags | libc::O_CREAT, 0o640));
        params.text("name", &new).u32("flags", expected | CREAT).u32("mode", 0o640);
        is_file(&params, fd, flags | libc::O_CREAT);
    }
    let params = t.fails(libc::EFAULT, || syscall!(SYS_open, 1usize, libc::O_RDONLY));
    params.empty("name").u32("flags", RDONLY).u32("mode", 0);
    is_no_file(&params, -i64::from(libc::EFAULT));

    if crate::compat::HERE {
        let path = crate::compat::LowMemory::new().put(new.as_bytes_with_nul());
        let flags = libc::O_RDWR | libc::O_NONBLOCK | libc::O_CREAT;
        let (fd, params) = t.succeeds(|| crate::compat::syscall32(5, [path, flags as u32, 0o640, 0, 0, 0]));
        params.text("name", &new).u32("flags", RDWR | CREAT | 64).u32("mode", 0o640);
        is_file(&params, fd, flags);
    }

    let overlay = Overlay::new();
    for (file, flags, expected) in [
        ("lower", libc::O_RDONLY, RDONLY | LOWER),
        ("upper", libc::O_RDONLY, RDONLY | UPPER),
        ("lower", libc::O_RDWR, RDWR | UPPER), // copied up
        ("new", libc::O_WRONLY | libc::O_CREAT, WRONLY | CREAT | CREATED | UPPER),
    ] {
        let path = overlay.path(file);
        let (fd, params) = t.succeeds(|| syscall!(SYS_open, path.as_ptr(), flags, 0));
        params.i64("fd", fd).text("name", &path).u32("flags", expected).u32("mode", 0);
        params.u32("dev", overlay.dev()).u64("ino", identity(&own(fd)).1).u32("raw_flags", raw(flags));
        is_apart(&params, &format!("/{file}"));
    }
}

pub fn openat_e(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, new, directory) = (scratch.path("missing"), name("new"), scratch.open());
    t.fails(libc::ENOENT, || syscall!(SYS_openat, libc::AT_FDCWD, missing.as_ptr(), libc::O_RDONLY, 0o640))
        .i64("dirfd", FDCWD)
        .text("name", &missing)
        .u32("flags", RDONLY)
        .u32("mode", 0);
    let dirfd = fd_of(&directory);
    let flags = libc::O_RDWR | libc::O_CREAT;
    let (fd, params) = t.succeeds(|| syscall!(SYS_openat, dirfd, new.as_ptr(), flags, 0o2640));
    params.i64("dirfd", dirfd).text("name", &new).u32("flags", RDWR | CREAT).u32("mode", 0o2640);
    drop(own(fd));
}

pub fn openat_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, new, directory) = (scratch.path("missing"), name("new"), scratch.open());
    let params = t.fails(libc::ENOENT, || {
        syscall!(SYS_openat, libc::AT_FDCWD, missing.as_ptr(), libc::O_WRONLY, 0o640)
    });
    params.i64("dirfd", FDCWD).text("name", &missing).u32("flags", WRONLY).u32("mode", 0);
    is_no_file(&params, ENOENT);

    let params = t.fails(libc::EBADF, || syscall!(SYS_openat, -1, new.as_ptr(), libc::O_RDONLY));
    params.i64("dirfd", -1).text("name", &new).u32("flags", RDONLY).u32("mode", 0);
    is_no_file(&params, -i64::from(libc::EBADF));

    let dirfd = fd_of(&directory);
    for (flags, expected) in [(libc::O_WRONLY, WRONLY | CREATED), (libc::O_RDWR, RDWR)] {
        let flags = flags | libc::O_CREAT;
        let (fd, params) = t.succeeds(|| syscall!(SYS_openat, dirfd, new.as_ptr(), flags, 0o640));
        params.i64("dirfd", dirfd).text("name", &new).u32("flags", expected | CREAT).u32("mode", 0o640);
        is_file(&params, fd, flags);
    }

    let overlay = Overlay::new();
    for (file, layer) in [("lower", LOWER), ("upper", UPPER)] {
        let (dirfd, file) = (overlay.root(), name(file));
        let (fd, params) = t.succeeds(|| syscall!(SYS_openat, dirfd, file.as_ptr(), libc::O_RDONLY));
        params
            .i64("fd", fd)
            .i64("dirfd", dirfd)
            .text("name", &file)
            .u32("flags", RDONLY | layer)
            .u32("mode", 0);
        params.u32("dev", overlay.dev()).u64("ino", identity(&own(fd)).1).u32("raw_flags", 0);
        is_apart(&params, &format!("/{}", file.to_str().unwrap()));
    }
}

pub fn openat2_e(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, new, directory) = (scratch.path("missing"), name("new"), scratch.open());
    let how = OpenHow::new(libc::O_WRONLY, 0, libc::RESOLVE_NO_SYMLINKS);
    t.fails(libc::ENOENT, || openat2(FDCWD, &missing, &how))
        .i64("dirfd", FDCWD)
        .text("name", &missing)
        .u32("flags", WRONLY)
        .u32("mode", 0)
        .u32("resolve", 8);
    let dirfd = fd_of(&directory);
    let how = OpenHow::new(libc::O_RDWR | libc::O_CREAT, 0o640, libc::RESOLVE_BENEATH);
    let (fd, params) = t.succeeds(|| openat2(dirfd, &new, &how));
    params
        .i64("dirfd", dirfd)
        .text("name", &new)
        .u32("flags", RDWR | CREAT)
        .u32("mode", 0o640)
        .u32("resolve", 1);
    drop(own(fd));
}

pub fn openat2_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, new, directory) = (name("missing"), name("new"), scratch.open());
    for (resolve, expected) in [
        (libc::RESOLVE_NO_XDEV | libc::RESOLVE_NO_MAGICLINKS, 16 | 4),
        (libc::RESOLVE_NO_SYMLINKS, 8),
        (libc::RESOLVE_IN_ROOT, 2),
    ] {
        let how = OpenHow::new(libc::O_RDONLY, 0, resolve);
        let params = t.fails(libc::ENOENT, || openat2(FDCWD, &missing, &how));
        params.i64("dirfd", FDCWD).text("name", &missing).u32("flags", RDONLY).u32("mode", 0);
        params.u32("resolve", expected);
        is_no_file(&params, ENOENT);
    }
    // RESOLVE_CACHED, with which no file can be created.
    let how = OpenHow::new(libc::O_WRONLY | libc::O_CREAT, 0o600, 0x20);
    let params = t.fails(libc::EAGAIN, || openat2(FDCWD, &missing, &how));
    params.i64("dirfd", FDCWD).text("name", &missing).u32("flags", WRONLY | CREAT).u32("mode", 0o600);
    params.u32("resolve", 32);
    is_no_file(&params, -i64::from(libc::EAGAIN));

    let dirfd = fd_of(&directory);
    let how = OpenHow::new(libc::O_RDWR | libc::O_CREAT, 0o640, libc::RESOLVE_BENEATH);
    for created in [CREATED, 0] {
        let (fd, params) = t.succeeds(|| openat2(dirfd, &new, &how));
        params.i64("dirfd", dirfd).text("name", &new).u32("flags", RDWR | CREAT | created);
        params.u32("mode", 0o640).u32("resolve", 1);
        is_file(&params, fd, libc::O_RDWR | libc::O_CREAT);
    }

    let overlay = Overlay::new();
    let (dirfd, file) = (overlay.root(), name("lower"));
    let how = OpenHow::new(libc::O_RDONLY, 0, 0);
    let (fd, params) = t.succeeds(|| openat2(dirfd, &file, &how));
    params.i64("fd", fd).i64("dirfd", dirfd).text("name", &file).u32("flags", RDONLY | LOWER);
    params.u32("mode", 0).u32("resolve", 0).u32("dev", overlay.dev()).u64("ino", identity(&own(fd)).1);
    params.u64("raw_flags", 0);
    is_apart(&params, "/lower");

    // An unreadable structure has no values.
    let params = t.fails(libc::EFAULT, || syscall!(SYS_openat2, dirfd, file.as_ptr(), 1usize, 24usize));
    params.i64("dirfd", dirfd).text("name", &file).u32("flags", RDONLY).u32("mode", 0).u32("resolve", 0);
    is_no_file(&params, -i64::from(libc::EFAULT));
}

pub fn creat_e(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, new) = (scratch.path("no/such/file"), scratch.path("new"));
    t.fails(libc::ENOENT, || syscall!(SYS_creat, missing.as_ptr(), 0o600))
        .text("name", &missing)
        .u32("mode", 0o600);
    let (fd, params) = t.succeeds(|| syscall!(SYS_creat, new.as_ptr(), 0o2640));
    params.text("name", &new).u32("mode", 0o2640);
    drop(own(fd));
}

pub fn creat_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, new) = (scratch.path("no/such/file"), scratch.path("new"));
    let params = t.fails(libc::ENOENT, || syscall!(SYS_creat, missing.as_ptr(), 0o600));
    params.text("name", &missing).u32("mode", 0o600).u16("creat_flags", 0);
    is_no_file(&params, ENOENT);
    let (fd, params) = t.succeeds(|| syscall!(SYS_creat, new.as_ptr(), 0o2640));
    params.text("name", &new).u32("mode", 0o2640).u16("creat_flags", 0);
    is_created(&params, fd);

    // Opening a file of the lower layer for writing copies it up.
    let overlay = Overlay::new();
    let path = overlay.path("lower");
    let (fd, params) = t.succeeds(|| syscall!(SYS_creat, path.as_ptr(), 0o640));
    params.i64("fd", fd).text("name", &path).u32("mode", 0o640).u16("creat_flags", 1);
    params.u32("dev", overlay.dev()).u64("ino", identity(&own(fd)).1);
    is_apart(&params, "/lower");
}
