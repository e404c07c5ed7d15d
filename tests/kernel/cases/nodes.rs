use crate::{
    harness::Test,
    scratch::{Scratch, fd_of, name},
    syscall,
};

const FDCWD: i64 = -100;
const BAD: i64 = -7;
const EFAULT: i64 = -(libc::EFAULT as i64);
const ENOENT: i64 = -(libc::ENOENT as i64);

/// The device number of /dev/null.
const DEVICE: u32 = 1 << 8 | 3;

pub fn mknod_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_mknod, 1usize, libc::S_IFIFO, 0));
    let scratch = Scratch::new();
    let new = scratch.path("new");
    t.succeeds(|| syscall!(SYS_mknod, new.as_ptr(), libc::S_IFIFO | 0o600, 0));
}

pub fn mknod_x(t: &mut Test) {
    let scratch = Scratch::new();
    let nowhere = scratch.path("no/node");
    for (mode, expected) in [
        (libc::S_IFSOCK | 0o4731, 49152 | 0o4731),
        (libc::S_IFREG | 0o1, 32768 | 0o1),
        (0o20, 32768 | 0o20), // without a type
        (libc::S_IFBLK | 0o300, 24576 | 0o300),
        (libc::S_IFCHR | 0o2004, 8192 | 0o2004),
        (libc::S_IFIFO, 4096),
    ] {
        // The encoding splits a minor number of more than eight bits.
        let device = 7 << 20 | 259 << 8 | 0x12;
        t.fails(libc::ENOENT, || syscall!(SYS_mknod, nowhere.as_ptr(), mode, device))
            .i64("res", ENOENT)
            .text("path", &nowhere)
            .u32("mode", expected)
            .u32("dev", device);
    }
    let new = scratch.path("new");
    t.succeeds(|| syscall!(SYS_mknod, new.as_ptr(), libc::S_IFCHR | 0o640, DEVICE))
        .1
        .i64("res", 0)
        .text("path", &new)
        .u32("mode", 8192 | 0o640)
        .u32("dev", DEVICE);
    // mknod does not create directories: their type has no name.
    t.fails(libc::EPERM, || syscall!(SYS_mknod, nowhere.as_ptr(), libc::S_IFDIR | 0o1, 0))
        .i64("res", -i64::from(libc::EPERM))
        .text("path", &nowhere)
        .u32("mode", 0o1)
        .u32("dev", 0);
    t.fails(libc::EFAULT, || syscall!(SYS_mknod, 0usize, libc::S_IFIFO | 0o1, 5))
        .i64("res", EFAULT)
        .empty("path")
        .u32("mode", 4096 | 0o1)
        .u32("dev", 5);
}

pub fn mknodat_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_mknodat, libc::AT_FDCWD, 1usize, libc::S_IFIFO, 0));
    let scratch = Scratch::new();
    let new = scratch.path("new");
    t.succeeds(|| syscall!(SYS_mknodat, libc::AT_FDCWD, new.as_ptr(), libc::S_IFIFO | 0o600, 0));
}

pub fn mknodat_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (nowhere, new, directory) = (scratch.path("no/node"), name("new"), scratch.open());
    t.fails(libc::ENOENT, || {
        syscall!(SYS_mknodat, libc::AT_FDCWD, nowhere.as_ptr(), libc::S_IFBLK | 0o640, 77)
    })
    .i64("res", ENOENT)
    .i64("dirfd", FDCWD)
    .text("path", &nowhere)
    .u32("mode", 24576 | 0o640)
    .u32("dev", 77);
    t.succeeds(|| syscall!(SYS_mknodat, fd_of(&directory), new.as_ptr(), libc::S_IFCHR | 0o600, DEVICE))
        .1
        .i64("res", 0)
        .i64("dirfd", fd_of(&directory))
        .text("path", &new)
        .u32("mode", 8192 | 0o600)
        .u32("dev", DEVICE);
    t.fails(libc::EFAULT, || syscall!(SYS_mknodat, BAD, 1usize, 0, 0))
        .i64("res", EFAULT)
        .i64("dirfd", BAD)
        .empty("path")
        .u32("mode", 32768)
        .u32("dev", 0);
}
