use std::{
    ffi::{CStr, CString},
    ptr::null,
};

use crate::{
    compat::{LowMemory, syscall32},
    harness::Test,
    scratch::{Scratch, fd_of, name, own},
    syscall,
};

const BAD: i64 = -7;
/// A valid descriptor that is not open.
const UNUSED: i64 = 1_000_000;
const EBADF: i64 = -(libc::EBADF as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);
const EINVAL: i64 = -(libc::EINVAL as i64);
const ENOENT: i64 = -(libc::ENOENT as i64);

/// A directory with a file system of its own, mounted until dropped.
struct Mounted {
    directory: CString,
    _scratch: Scratch,
}

impl Mounted {
    fn new() -> Mounted {
        let directory = Mounted::place();
        assert_eq!(directory.mount(0), 0);
        directory
    }

    /// Returns a directory without a mount.
    fn place() -> Mounted {
        let scratch = Scratch::new();
        Mounted { directory: scratch.directory("mounted"), _scratch: scratch }
    }

    fn mount(&self, flags: u64) -> i64 {
        let (dev, kind) = (name("the device"), name("tmpfs"));
        syscall!(SYS_mount, dev.as_ptr(), self.directory.as_ptr(), kind.as_ptr(), flags, 0usize)
    }

    fn unmount(&self, flags: i32) -> i64 {
        syscall!(SYS_umount2, self.directory.as_ptr(), flags)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Fails if the test has unmounted it.
        self.unmount(libc::MNT_DETACH);
    }
}

pub fn mount_e(t: &mut Test) {
    t.fails(libc::EFAULT, || {
        syscall!(SYS_mount, 0usize, 1usize, 0usize, libc::MS_BIND | libc::MS_REC, 0usize)
    })
    .u32("flags", 4096 | 16384);
    let place = Mounted::place();
    t.succeeds(|| place.mount(libc::MS_NOSUID | libc::MS_NODEV)).1.u32("flags", 2 | 4);
}

pub fn mount_x(t: &mut Test) {
    let (scratch, place) = (Scratch::new(), Mounted::place());
    let (missing, kind, dev) = (scratch.path("missing"), name("tmpfs"), name("the device"));
    t.fails(libc::ENOENT, || {
        syscall!(SYS_mount, dev.as_ptr(), missing.as_ptr(), kind.as_ptr(), libc::MS_RDONLY, 0usize)
    })
    .i64("res", ENOENT)
    .text("dev", &dev)
    .text("dir", &missing)
    .text("type", &kind)
    .u32("flags", 1);
    // The magic number of old programs is not a flag.
    t.succeeds(|| place.mount(libc::MS_NOEXEC | 0xC0ED_0000))
        .1
        .i64("res", 0)
        .text("dev", &dev)
        .text("dir", &place.directory)
        .text("type", &kind)
        .u32("flags", 8);
    let flags = libc::MS_REMOUNT | libc::MS_RDONLY | libc::MS_STRICTATIME;
    t.succeeds(|| syscall!(SYS_mount, 0usize, place.directory.as_ptr(), 0usize, flags, 0usize))
        .1
        .i64("res", 0)
        .empty("dev")
        .text("dir", &place.directory)
        .empty("type")
        .u32("flags", 32 | 1 | 1 << 24);
    t.fails(libc::EFAULT, || syscall!(SYS_mount, dev.as_ptr(), 1usize, kind.as_ptr(), 0, 0usize))
        .i64("res", EFAULT)
        .text("dev", &dev)
        .empty("dir")
        .text("type", &kind)
        .u32("flags", 0);
}

/// umount, which only 32-bit programs have.
fn umount(directory: &CStr) -> i64 {
    let directory = LowMemory::new().put(directory.to_bytes_with_nul());
    syscall32(22, [directory, 0, 0, 0, 0, 0])
}

pub fn umount_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall32(22, [1, 0, 0, 0, 0, 0]));
    let mounted = Mounted::new();
    t.succeeds(|| umount(&mounted.directory));
}

pub fn umount_x(t: &mut Test) {
    let missing = Scratch::new().path("missing");
    t.fails(libc::ENOENT, || umount(&missing)).i64("res", ENOENT).text("name", &missing);
    let mounted = Mounted::new();
    t.succeeds(|| umount(&mounted.directory)).1.i64("res", 0).text("name", &mounted.directory);
    t.fails(libc::EFAULT, || syscall32(22, [1, 0, 0, 0, 0, 0])).i64("res", EFAULT).empty("name");
}

pub fn umount2_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_umount2, 1usize, libc::MNT_EXPIRE | libc::UMOUNT_NOFOLLOW))
        .u32("flags", 4 | 8);
    let mounted = Mounted::new();
    t.succeeds(|| mounted.unmount(libc::MNT_DETACH)).1.u32("flags", 2);
}

pub fn umount2_x(t: &mut Test) {
    let missing = Scratch::new().path("missing");
    t.fails(libc::ENOENT, || syscall!(SYS_umount2, missing.as_ptr(), libc::MNT_FORCE))
        .i64("res", ENOENT)
        .text("name", &missing)
        .u32("flags", 1);
    let mounted = Mounted::new();
    t.succeeds(|| mounted.unmount(libc::MNT_DETACH | libc::UMOUNT_NOFOLLOW))
        .1
        .i64("res", 0)
        .text("name", &mounted.directory)
        .u32("flags", 2 | 8);
    // Of invalid flags, only the named ones are recorded.
    t.fails(libc::EINVAL, || syscall!(SYS_umount2, 1usize, 0x40 | libc::MNT_EXPIRE))
        .i64("res", EINVAL)
        .empty("name")
        .u32("flags", 4);
}

// fsconfig's commands, the same in the kernel and the format.
const SET_FLAG: u32 = 0;
const SET_STRING: u32 = 1;
const SET_BINARY: u32 = 2;
const SET_PATH: u32 = 3;
const SET_FD: u32 = 5;
const CREATE: u32 = 6;

fn fsconfig(fd: i64, command: u32, key: *const libc::c_char, value: *const libc::c_char, aux: i32) -> i64 {
    syscall!(SYS_fsconfig, fd, command, key, value, aux)
}

pub fn fsconfig_e(t: &mut Test) {
    t.fails(libc::EINVAL, || fsconfig(BAD, SET_FLAG, null(), null(), 0));
    let filesystem = own(syscall!(SYS_fsopen, c"tmpfs".as_ptr(), 0));
    t.succeeds(|| fsconfig(fd_of(&filesystem), CREATE, null(), null(), 0));
}

pub fn fsconfig_x(t: &mut Test) {
    let filesystem = own(syscall!(SYS_fsopen, c"tmpfs".as_ptr(), 0));
    let fd = fd_of(&filesystem);
    let (size, value, ro) = (name("size"), name("1M"), name("ro"));
    t.succeeds(|| fsconfig(fd, SET_STRING, size.as_ptr(), value.as_ptr(), 0))
        .1
        .i64("res", 0)
        .i64("fd", fd)
        .u32("cmd", SET_STRING)
        .text("key", &size)
        .empty("value_bytebuf")
        .text("value_charbuf", &value)
        .i32("aux", 0);
    t.succeeds(|| fsconfig(fd, SET_FLAG, ro.as_ptr(), null(), 0))
        .1
        .i64("res", 0)
        .i64("fd", fd)
        .u32("cmd", SET_FLAG)
        .text("key", &ro)
        .empty("value_bytebuf")
        .empty("value_charbuf")
        .i32("aux", 0);
    // Of a failed call, the value is left out.
    for (command, aux) in [(SET_STRING, 0), (SET_BINARY, 2), (SET_PATH, libc::AT_FDCWD)] {
        t.fails(libc::EBADF, || fsconfig(UNUSED, command, size.as_ptr(), value.as_ptr(), aux))
            .i64("res", EBADF)
            .i64("fd", UNUSED)
            .u32("cmd", command)
            .text("key", &size)
            .empty("value_bytebuf")
            .empty("value_charbuf")
            .i32("aux", aux);
    }
    t.fails(libc::EINVAL, || fsconfig(fd, SET_FD, size.as_ptr(), null(), -3))
        .i64("res", EINVAL)
        .i64("fd", fd)
        .u32("cmd", SET_FD)
        .text("key", &size)
        .empty("value_bytebuf")
        .empty("value_charbuf")
        .i32("aux", -3);
    t.succeeds(|| fsconfig(fd, CREATE, null(), null(), 0))
        .1
        .i64("res", 0)
        .i64("fd", fd)
        .u32("cmd", CREATE)
        .empty("key")
        .empty("value_bytebuf")
        .empty("value_charbuf")
        .i32("aux", 0);
}
