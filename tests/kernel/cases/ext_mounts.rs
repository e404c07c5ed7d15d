//! File systems and mounts. Calls that would change the machine are made with paths and descriptors that do not exist.

use std::{ffi::CStr, os::fd::AsRawFd, ptr::null};

use crate::{cases::ext_number::i386, compat::LowMemory};
use crate::{
    cases::{
        ext::zeroed,
        ext_number::{BAD, CWD},
    },
    fails,
    harness::{Params, not_testable},
    rows,
    rows::{Row, RowTest},
    scratch::{Scratch, fd_of, own},
    succeeds, syscall,
};

pub const ROWS: &[RowTest] = rows![
    statfs,
    fstatfs,
    statfs64,
    fstatfs64,
    ustat,
    sysfs,
    swapon,
    swapoff,
    pivot_root,
    quotactl_fd,
    fsopen,
    fspick,
    fsmount,
    open_tree,
    open_tree_attr,
    move_mount,
    mount_setattr,
    statmount,
    listmount,
];

const MISSING: &CStr = c"/nonexistent/file";
const TMPFS: i64 = 0x0102_1994;

fn statfs(r: &mut Row) {
    let mut buf: libc::statfs = zeroed();
    fails!(r, libc::ENOENT, MISSING.as_ptr(), &raw mut buf).text("path", MISSING).empty("buf");
    let (_, event) = succeeds!(r, c"/dev/shm".as_ptr(), &raw mut buf);
    event.text("path", c"/dev/shm").structure("buf", &buf);
    let (size, free) = (buf.f_bsize, buf.f_files);
    event.members("buf", &[("f_type", TMPFS), ("f_bsize", size), ("f_files", free as i64)]);
    if crate::compat::HERE {
        let mut low = LowMemory::new();
        let (path, buf) = (low.put(b"/dev/shm\0"), low.put(&[0; 64]));
        let event = r.call32(0, [path, buf, 0, 0, 0, 0]);
        event.text("path", c"/dev/shm").members("buf", &[("f_type", TMPFS), ("f_namelen", 255)]);
    }
}

fn fstatfs(r: &mut Row) {
    let mut buf: libc::statfs = zeroed();
    fails!(r, libc::EBADF, BAD, &raw mut buf).i64("fd", BAD.into()).empty("buf");
    let file = Scratch::new().open_file("file");
    let (_, event) = succeeds!(r, file.as_raw_fd(), &raw mut buf);
    event.i64("fd", fd_of(&file)).structure("buf", &buf);
}

/// Calls of 32-bit programs alone.
fn statfs64(r: &mut Row) {
    let mut low = LowMemory::new();
    let (missing, path) = (low.put(MISSING.to_bytes_with_nul()), low.put(b"/dev/shm\0"));
    let buf = low.put(&[0; 84]);
    let event = r.call32(-i64::from(libc::ENOENT), [missing, 84, buf, 0, 0, 0]);
    event.text("path", MISSING).u32("size", 84).empty("buf");
    let event = r.call32(0, [path, 84, buf, 0, 0, 0]);
    event.text("path", c"/dev/shm").u32("size", 84);
    event.members("buf", &[("f_type", TMPFS), ("f_namelen", 255)]);
}

fn fstatfs64(r: &mut Row) {
    let buf = LowMemory::new().put(&[0; 84]);
    let file = Scratch::new().open_file("file");
    let event = r.call32(-i64::from(libc::EBADF), [BAD as u32, 84, buf, 0, 0, 0]);
    event.i64("fd", BAD.into()).u32("size", 84).empty("buf");
    let (ret, event) = r.result32(i386("fstatfs64"), [file.as_raw_fd() as u32, 84, buf, 0, 0, 0]);
    assert_eq!(ret, 0);
    event.i64("fd", fd_of(&file)).u32("size", 84).members("buf", &[("f_type", TMPFS), ("f_namelen", 255)]);
}

fn ustat(r: &mut Row) {
    use std::os::unix::fs::MetadataExt;

    let mut buf = [0u64; 4];
    fails!(r, libc::EINVAL, 0x7777_8888u32, buf.as_mut_ptr()).u32("dev", 0x7777_8888).empty("ubuf");
    let dev = Scratch::new().open_file("file").metadata().unwrap().dev();
    let (_, event) = succeeds!(r, dev, buf.as_mut_ptr());
    event.u32("dev", dev as u32).structure("ubuf", &buf).members("ubuf", &[("f_tinode", buf[1] as i64)]);
}

fn sysfs(r: &mut Row) {
    let event = fails!(r, libc::EINVAL, 9, 7usize, 8usize);
    event.i32("option", 9).u64("arg1", 7).u64("arg2", 8).empty("fsname").empty("buf");
    // Option 1: the index of a file system by its name; option 2: the reverse.
    let name = c"proc".to_owned();
    let (index, event) = succeeds!(r, 1, name.as_ptr(), 8usize);
    event
        .i32("option", 1)
        .u64("arg1", name.as_ptr() as u64)
        .u64("arg2", 8)
        .text("fsname", c"proc")
        .empty("buf");
    let mut buf = [b'#'; 16];
    let (_, event) = succeeds!(r, 2, index, buf.as_mut_ptr());
    event.i32("option", 2).u64("arg1", index as u64).u64("arg2", buf.as_ptr() as u64);
    event.empty("fsname").text("buf", c"proc");
}

fn swapon(r: &mut Row) {
    // A success would change the machine.
    fails!(r, libc::ENOENT, MISSING.as_ptr(), 0x8005).text("path", MISSING).u32("swapflags", 0x8005);
    fails!(r, libc::EINVAL, MISSING.as_ptr(), 1 << 30).text("path", MISSING).u32("swapflags", 1 << 30);
}

fn swapoff(r: &mut Row) {
    // A success would change the machine.
    fails!(r, libc::ENOENT, MISSING.as_ptr()).text("path", MISSING);
}

fn pivot_root(r: &mut Row) {
    // A success would change the machine.
    let event = fails!(r, libc::ENOENT, MISSING.as_ptr(), c"/nonexistent/old".as_ptr());
    event.text("new_root", MISSING).text("put_old", c"/nonexistent/old");
}

fn quotactl_fd(r: &mut Row) {
    const Q_GETQUOTA: u32 = 0x80_0007;
    const Q_SETINFO: u32 = 0x80_0006;
    const Q_SETQUOTA: u32 = 0x80_0008;
    let none_but = |event: &Params, name: &str| {
        let others = ["format", "info", "newinfo", "quota", "newquota", "nextquota"].into_iter();
        others.filter(|other| *other != name).for_each(|other| _ = event.empty(other));
    };
    // A success needs a file system with quotas.
    let event = fails!(r, libc::EBADF, BAD, Q_GETQUOTA << 8 | 1, 1003, 0x18usize);
    event.i64("fd", BAD.into()).u32("cmd", 0x8000_0701).i32("id", 1003).u64("addr", 0x18);
    none_but(&event, "");
    let quota = [1u64, 2, 3, 4, 5, 6, 7, 8, 9];
    let event = fails!(r, libc::EBADF, BAD, Q_SETQUOTA << 8, 1003, quota.as_ptr());
    event.i64("fd", BAD.into()).u32("cmd", 0x8000_0800).i32("id", 1003).u64("addr", quota.as_ptr() as u64);
    event.structure("newquota", &quota);
    none_but(&event, "newquota");
    let event = fails!(r, libc::EBADF, BAD, Q_SETINFO << 8 | 2, 0, quota.as_ptr());
    event.i64("fd", BAD.into()).u32("cmd", 0x8000_0602).i32("id", 0).u64("addr", quota.as_ptr() as u64);
    event.structures("newinfo", &quota[..3]);
    none_but(&event, "newinfo");
    // No command.
    let file = Scratch::new().open_file("file");
    let event = fails!(r, libc::EINVAL, file.as_raw_fd(), 0xff_ff00u32, 9, 0x28usize);
    event.i64("fd", fd_of(&file)).u32("cmd", 0xff_ff00).i32("id", 9).u64("addr", 0x28);
    none_but(&event, "");
}

/// A new context for a tmpfs.
fn context() -> std::fs::File {
    own(syscall!(SYS_fsopen, c"tmpfs".as_ptr(), 0))
}

/// The root of a new tmpfs that is not mounted anywhere.
fn detached() -> std::fs::File {
    const CREATE: u32 = 6;
    let context = context();
    let none = null::<u8>();
    assert_eq!(syscall!(SYS_fsconfig, context.as_raw_fd(), CREATE, none, none, 0), 0);
    own(syscall!(SYS_fsmount, context.as_raw_fd(), 0, 0))
}

fn fsopen(r: &mut Row) {
    fails!(r, libc::ENODEV, c"nofs".as_ptr(), 0).text("fsname", c"nofs").u32("flags", 0);
    let (fd, event) = succeeds!(r, c"tmpfs".as_ptr(), 1);
    event.text("fsname", c"tmpfs").u32("flags", 1);
    drop(own(fd));
}

fn fspick(r: &mut Row) {
    let event = fails!(r, libc::EBADF, BAD, c"mount".as_ptr(), 6);
    event.i64("dirfd", BAD.into()).text("path", c"mount").u32("flags", 6);
    let root = detached();
    let (fd, event) = succeeds!(r, root.as_raw_fd(), c"".as_ptr(), 9);
    event.i64("dirfd", fd_of(&root)).text("path", c"").u32("flags", 9);
    drop(own(fd));
}

fn fsmount(r: &mut Row) {
    let event = fails!(r, libc::EBADF, BAD, 1, 0x2e);
    event.i64("fsfd", BAD.into()).u32("flags", 1).u32("attr_flags", 0x2e);
    let context = context();
    let none = null::<u8>();
    assert_eq!(syscall!(SYS_fsconfig, context.as_raw_fd(), 6, none, none, 0), 0);
    let (fd, event) = succeeds!(r, context.as_raw_fd(), 1, 3);
    event.i64("fsfd", fd_of(&context)).u32("flags", 1).u32("attr_flags", 3);
    drop(own(fd));
}

fn open_tree(r: &mut Row) {
    let event = fails!(r, libc::EBADF, BAD, c"mount".as_ptr(), 0x8001);
    event.i64("dirfd", BAD.into()).text("path", c"mount").u32("flags", 0x8001);
    let (fd, event) = succeeds!(r, libc::AT_FDCWD, c"/dev/shm".as_ptr(), libc::O_CLOEXEC);
    event.i64("dirfd", CWD).text("path", c"/dev/shm").u32("flags", 0x80000);
    drop(own(fd));
}

/// struct mount_attr
const NOSUID: [u64; 4] = [2, 0, 0, 0];

fn open_tree_attr(r: &mut Row) {
    let odd = [2u64, 0x70, 1 << 18, 77];
    let event = fails!(r, libc::EBADF, BAD, c"mount".as_ptr(), 1, odd.as_ptr(), 32usize);
    event.i64("dirfd", BAD.into()).text("path", c"mount").u32("flags", 1).u64("size", 32);
    event
        .members("attr", &[("attr_set", 2), ("attr_clr", 0x70), ("propagation", 1 << 18), ("userns_fd", 77)]);
    let path = c"/dev/shm".as_ptr();
    let (fd, event) = succeeds!(r, libc::AT_FDCWD, path, 1, NOSUID.as_ptr(), 32usize);
    event.i64("dirfd", CWD).text("path", c"/dev/shm").u32("flags", 1).u64("size", 32);
    event.structure("attr", &NOSUID);
    drop(own(fd));
}

fn move_mount(r: &mut Row) {
    let event = fails!(r, libc::EBADF, BAD, c"from".as_ptr(), BAD - 1, c"to".as_ptr(), 0x11);
    event.i64("from_dirfd", BAD.into()).text("from_path", c"from").u32("flags", 0x11);
    event.i64("to_dirfd", i64::from(BAD) - 1).text("to_path", c"to");
    let (dir, root) = (Scratch::new(), detached());
    let target = dir.directory("target");
    let (empty, cwd) = (c"".as_ptr(), libc::AT_FDCWD);
    let (_, event) = succeeds!(r, root.as_raw_fd(), empty, cwd, target.as_ptr(), 4);
    event.i64("from_dirfd", fd_of(&root)).text("from_path", c"").u32("flags", 4);
    event.i64("to_dirfd", CWD).text("to_path", &target);
    assert_eq!(syscall!(SYS_umount2, target.as_ptr(), libc::MNT_DETACH), 0);
}

fn mount_setattr(r: &mut Row) {
    let event = fails!(r, libc::EBADF, BAD, c"mount".as_ptr(), 0x8000, NOSUID.as_ptr(), 32usize);
    event.i64("dirfd", BAD.into()).text("path", c"mount").u32("flags", 0x8000).u64("size", 32);
    event.structure("attr", &NOSUID);
    let root = detached();
    let (_, event) = succeeds!(r, root.as_raw_fd(), c"".as_ptr(), 0x1000, NOSUID.as_ptr(), 32usize);
    event.i64("dirfd", fd_of(&root)).text("path", c"").u32("flags", 0x1000).u64("size", 32);
    event.members("attr", &[("attr_set", 2), ("attr_clr", 0)]);
}

/// struct mnt_id_req: its size; the mount; a parameter.
#[repr(C)]
struct Request {
    size: u32,
    fd: u32,
    mount: u64,
    parameter: u64,
}

impl Request {
    fn new(mount: u64, parameter: u64) -> Request {
        Request { size: 24, fd: 0, mount, parameter }
    }
}

/// The unique id of the mount at the root.
fn root_mount() -> u64 {
    const STATX_MNT_ID_UNIQUE: u32 = 0x4000;
    let mut buf: libc::statx = zeroed();
    let (cwd, root) = (libc::AT_FDCWD, c"/".as_ptr());
    assert_eq!(syscall!(SYS_statx, cwd, root, 0, STATX_MNT_ID_UNIQUE, &raw mut buf), 0);
    if buf.stx_mask & STATX_MNT_ID_UNIQUE == 0 {
        not_testable("the kernel has no unique ids of mounts");
    }
    buf.stx_mnt_id
}

fn statmount(r: &mut Row) {
    let (mut buf, request) = ([0u64; 64], Request::new(0x7777_7777_7777, 3));
    let event = fails!(r, libc::ENOENT, &raw const request, buf.as_mut_ptr(), 512usize, 0);
    event.structure("req", &request).empty("buf").u64("bufsize", 512).u32("flags", 0);
    let root = root_mount();
    let request = Request::new(root, 3);
    let (_, event) = succeeds!(r, &raw const request, buf.as_mut_ptr(), 512usize, 0);
    event.members("req", &[("size", 24), ("mnt_id", root as i64), ("param", 3)]);
    event.structure("buf", &buf).members("buf", &[("mnt_id", root as i64), ("mask", 3)]);
    event.u64("bufsize", 512).u32("flags", 0);
}

fn listmount(r: &mut Row) {
    let (mut ids, request) = ([7u64; 5], Request::new(0x7777_7777_7777, 0));
    let event = fails!(r, libc::ENOENT, &raw const request, ids.as_mut_ptr(), 5usize, 0);
    event.structure("req", &request).empty("mnt_ids").u64("nr_mnt_ids", 5).u32("flags", 0);
    let request = Request::new(root_mount(), 0);
    let (count, event) = succeeds!(r, &raw const request, ids.as_mut_ptr(), 5usize, 1);
    assert!(count > 0, "nothing is mounted");
    event.structure("req", &request).structures("mnt_ids", &ids[..count as usize]);
    event.u64("nr_mnt_ids", 5).u32("flags", 1);
}
