//! Files: their attributes, permissions and times.

use std::{ffi::CStr, os::fd::AsRawFd, ptr::null};

use crate::{
    by_number,
    cases::{
        ext::zeroed,
        ext_number::{BAD, CWD},
    },
    fails,
    harness::Params,
    rows,
    rows::{Row, RowTest},
    scratch::{Scratch, fd_of, identity},
    succeeds, syscall,
};
use crate::{cases::ext_number::i386, compat::LowMemory};

pub const ROWS: &[RowTest] = rows![
    statx,
    oldstat,
    oldlstat,
    oldfstat,
    faccessat,
    faccessat2,
    fchmodat2,
    umask,
    utime,
    utimes,
    futimesat,
    utimensat,
    readlink,
    readlinkat,
    name_to_handle_at,
    file_getattr,
    file_setattr,
    readdir,
];

const NOFOLLOW: u32 = 0x100;
const MISSING: &CStr = c"/nonexistent/file";

/// Asserts a path and the directory that it is relative to.
fn at<'a>(event: &'a Params, dirfd: i64, path: &CStr) -> &'a Params {
    event.i64("dirfd", dirfd).text("path", path)
}

fn statx(r: &mut Row) {
    let dir = Scratch::new();
    let mut buf: libc::statx = zeroed();
    let event = fails!(r, libc::EBADF, BAD, c"file".as_ptr(), NOFOLLOW, libc::STATX_SIZE, &raw mut buf);
    at(&event, BAD.into(), c"file").u32("flags", NOFOLLOW).u32("mask", 0x200).empty("statxbuf");
    let file = dir.open_file("file");
    file.set_len(5).unwrap();
    let open = dir.open();
    let (_, event) = succeeds!(r, open.as_raw_fd(), c"file".as_ptr(), 0x2000, 0x7ff, &raw mut buf);
    at(&event, fd_of(&open), c"file")
        .u32("flags", 0x2000)
        .u32("mask", 0x7ff)
        .structure("statxbuf", &buf)
        .members(
            "statxbuf",
            &[
                ("stx_size", 5),
                ("stx_mode", 0o100644),
                ("stx_ino", identity(&file).1 as i64),
                ("stx_nlink", 1),
                ("stx_mtime_sec", buf.stx_mtime.tv_sec),
                ("stx_dev_minor", buf.stx_dev_minor.into()),
            ],
        );
    if crate::compat::HERE {
        let mut low = LowMemory::new();
        let (path, buf) = (low.put(dir.path("file").to_bytes_with_nul()), low.put(&[0; 256]));
        let event = r.call32(0, [CWD as u32, path, 0, 0x200, buf, 0]);
        at(&event, CWD, &dir.path("file")).u32("flags", 0).u32("mask", 0x200);
        event.members("statxbuf", &[("stx_size", 5)]);
    }
}

/// The calls of 32-bit programs that fill in the oldest form of `struct stat`.
fn old_stat(r: &mut Row, name: &str, is_path: bool) {
    let dir = Scratch::new();
    let file = dir.open_file("file");
    file.set_len(5).unwrap();
    let mut low = LowMemory::new();
    let (path, missing) = (low.put(dir.path("file").to_bytes_with_nul()), low.put(b"/nonexistent\0"));
    let buf = low.put(&[0; 32]);
    let argument = |event: &Params, fd: i64, path: &CStr| {
        if is_path {
            event.text("path", path)
        } else {
            event.i64("fd", fd)
        };
    };
    let (bad, good) = if is_path { (missing, path) } else { (BAD as u32, file.as_raw_fd() as u32) };
    let event = r.call32(if is_path { -2 } else { -9 }, [bad, buf, 0, 0, 0, 0]);
    argument(&event, BAD.into(), c"/nonexistent");
    event.empty("statbuf");
    let (ret, event) = r.result32(i386(name), [good, buf, 0, 0, 0, 0]);
    argument(&event, fd_of(&file), &dir.path("file"));
    // The inode's number has only 16 bits there: the kernel may refuse.
    if ret == 0 {
        event.members("statbuf", &[("st_size", 5), ("st_mode", 0o100644), ("st_nlink", 1)]);
    } else {
        assert_eq!(ret, -i64::from(libc::EOVERFLOW));
        event.empty("statbuf");
    }
}

fn oldstat(r: &mut Row) {
    old_stat(r, "oldstat", true);
}

fn oldlstat(r: &mut Row) {
    old_stat(r, "oldlstat", true);
}

fn oldfstat(r: &mut Row) {
    old_stat(r, "oldfstat", false);
}

fn faccessat(r: &mut Row) {
    let dir = Scratch::new();
    let event = fails!(r, libc::EBADF, BAD, c"file".as_ptr(), libc::W_OK);
    at(&event, BAD.into(), c"file").u32("mode", 2);
    let path = dir.file("file");
    let (_, event) = succeeds!(r, libc::AT_FDCWD, path.as_ptr(), libc::R_OK | libc::W_OK);
    at(&event, CWD, &path).u32("mode", 6);
}

fn faccessat2(r: &mut Row) {
    let dir = Scratch::new();
    let event = fails!(r, libc::EBADF, BAD, c"file".as_ptr(), libc::W_OK, libc::AT_EACCESS);
    at(&event, BAD.into(), c"file").u32("mode", 2).u32("flags", 0x200);
    let path = dir.file("file");
    let (_, event) = succeeds!(r, libc::AT_FDCWD, path.as_ptr(), libc::R_OK, NOFOLLOW);
    at(&event, CWD, &path).u32("mode", 4).u32("flags", NOFOLLOW);
}

fn fchmodat2(r: &mut Row) {
    let dir = Scratch::new();
    let event = fails!(r, libc::EBADF, BAD, c"file".as_ptr(), 0o644, 0);
    at(&event, BAD.into(), c"file").u32("mode", 0o644).u32("flags", 0);
    let path = dir.file("file");
    let (_, event) = succeeds!(r, libc::AT_FDCWD, path.as_ptr(), 0o4750, NOFOLLOW);
    at(&event, CWD, &path).u32("mode", 0o4750).u32("flags", NOFOLLOW);
}

fn umask(r: &mut Row) {
    // It cannot fail. The mask is that of the whole process, so a child changes its own.
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let old = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap();
    let old = u32::from_str_radix(old.trim(), 8).unwrap();
    let number = r.native();
    let event = r.in_child(|| by_number!(number, 0o1027));
    event.u32("res", old).u32("mask", 0o1027);
}

fn utime(r: &mut Row) {
    let (dir, times) = (Scratch::new(), [11i64, 12]);
    let event = fails!(r, libc::ENOENT, MISSING.as_ptr(), times.as_ptr());
    event.text("path", MISSING).structure("times", &times);
    let path = dir.file("file");
    let (_, event) = succeeds!(r, path.as_ptr(), times.as_ptr());
    event.text("path", &path).members("times", &[("actime", 11), ("modtime", 12)]);
    let (_, event) = succeeds!(r, path.as_ptr(), null::<u8>());
    event.text("path", &path).empty("times");
    if crate::compat::HERE {
        let mut low = LowMemory::new();
        let (path32, times) = (low.put(path.to_bytes_with_nul()), low.put_words(&[11, 12]));
        let event = r.call32(0, [path32, times, 0, 0, 0, 0]);
        event.text("path", &path).members("times", &[("actime", 11), ("modtime", 12)]);
    }
}

const TIMES: [i64; 4] = [11, 12, 13, 14];
const MICROSECONDS: [(&str, i64); 4] =
    [("atime_sec", 11), ("atime_usec", 12), ("mtime_sec", 13), ("mtime_usec", 14)];

fn utimes(r: &mut Row) {
    let dir = Scratch::new();
    let event = fails!(r, libc::ENOENT, MISSING.as_ptr(), TIMES.as_ptr());
    event.text("path", MISSING).members("times", &MICROSECONDS);
    let path = dir.file("file");
    let (_, event) = succeeds!(r, path.as_ptr(), TIMES.as_ptr());
    event.text("path", &path).structure("times", &TIMES);
    if crate::compat::HERE {
        let mut low = LowMemory::new();
        let (path32, times) = (low.put(path.to_bytes_with_nul()), low.put_words(&[11, 12, 13, 14]));
        let event = r.call32(0, [path32, times, 0, 0, 0, 0]);
        event.text("path", &path).members("times", &MICROSECONDS);
    }
}

fn futimesat(r: &mut Row) {
    let dir = Scratch::new();
    let event = fails!(r, libc::EBADF, BAD, c"file".as_ptr(), TIMES.as_ptr());
    at(&event, BAD.into(), c"file").members("times", &MICROSECONDS);
    let path = dir.file("file");
    let (_, event) = succeeds!(r, libc::AT_FDCWD, path.as_ptr(), TIMES.as_ptr());
    at(&event, CWD, &path).structure("times", &TIMES);
}

const NANOSECONDS: [(&str, i64); 4] =
    [("atime_sec", 11), ("atime_nsec", 12), ("mtime_sec", 13), ("mtime_nsec", libc::UTIME_OMIT)];

fn utimensat(r: &mut Row) {
    let dir = Scratch::new();
    let times = [11, 12, 13, libc::UTIME_OMIT];
    let event = fails!(r, libc::EBADF, BAD, c"file".as_ptr(), times.as_ptr(), 0);
    at(&event, BAD.into(), c"file").u32("flags", 0).members("times", &NANOSECONDS);
    let path = dir.file("file");
    let (_, event) = succeeds!(r, libc::AT_FDCWD, path.as_ptr(), times.as_ptr(), NOFOLLOW);
    at(&event, CWD, &path).u32("flags", NOFOLLOW).structure("times", &times);
    if crate::compat::HERE {
        const UTIMENSAT_TIME64: u16 = 412;
        let mut low = LowMemory::new();
        let path32 = low.put(path.to_bytes_with_nul());
        let words = low.put_words(&[11, 12, 13, libc::UTIME_OMIT as u32]);
        let long_words = low.put_words(&[11, 0, 12, 0, 13, 0, libc::UTIME_OMIT as u32, 0]);
        for (number, times) in [(i386("utimensat"), words), (UTIMENSAT_TIME64, long_words)] {
            let event = r.number32(number, 0, [CWD as u32, path32, times, 0, 0, 0]);
            at(&event, CWD, &path).u32("flags", 0).members("times", &NANOSECONDS);
        }
    }
}

fn readlink(r: &mut Row) {
    let dir = Scratch::new();
    let mut buf = [b'#'; 16];
    let event = fails!(r, libc::ENOENT, MISSING.as_ptr(), buf.as_mut_ptr(), 9);
    event.text("path", MISSING).empty("buf").i32("bufsiz", 9);
    let path = dir.path("link");
    assert_eq!(syscall!(SYS_symlinkat, c"target/file".as_ptr(), CWD, path.as_ptr()), 0);
    // What is behind the text is not the call's.
    for (size, text) in [(16, c"target/file"), (6, c"target")] {
        let (_, event) = succeeds!(r, path.as_ptr(), buf.as_mut_ptr(), size);
        event.text("path", &path).text("buf", text).i32("bufsiz", size);
    }
}

fn readlinkat(r: &mut Row) {
    let dir = Scratch::new();
    let mut buf = [b'#'; 16];
    let event = fails!(r, libc::EBADF, BAD, c"link".as_ptr(), buf.as_mut_ptr(), 9);
    at(&event, BAD.into(), c"link").empty("buf").i32("bufsiz", 9);
    assert_eq!(syscall!(SYS_symlinkat, c"target/file".as_ptr(), CWD, dir.path("link").as_ptr()), 0);
    let open = dir.open();
    let (_, event) = succeeds!(r, open.as_raw_fd(), c"link".as_ptr(), buf.as_mut_ptr(), 16);
    at(&event, fd_of(&open), c"link").text("buf", c"target/file").i32("bufsiz", 16);
}

fn name_to_handle_at(r: &mut Row) {
    #[repr(C)]
    struct Handle {
        bytes: u32,
        ty: i32,
        handle: [u8; 128],
    }
    let dir = Scratch::new();
    let path = dir.file("file");
    let (mut handle, mut mount) = (Handle { bytes: 1, ty: 0, handle: [0; 128] }, 0i32);
    // The kernel says how many bytes it needs.
    let event = fails!(
        r,
        libc::EOVERFLOW,
        libc::AT_FDCWD,
        path.as_ptr(),
        &raw mut handle,
        &raw mut mount,
        libc::AT_SYMLINK_FOLLOW
    );
    at(&event, CWD, &path).u32("flags", 0x400).empty("mount_id").empty("f_handle");
    event.members("handle", &[("handle_bytes", handle.bytes.into())]);
    let open = dir.open();
    let (_, event) = succeeds!(r, open.as_raw_fd(), c"file".as_ptr(), &raw mut handle, &raw mut mount, 0);
    at(&event, fd_of(&open), c"file").u32("flags", 0).u32("mount_id", mount as u32);
    event.members("handle", &[("handle_bytes", handle.bytes.into()), ("handle_type", handle.ty.into())]);
    event.bytes("f_handle", &handle.handle[..handle.bytes as usize]);
}

fn file_getattr(r: &mut Row) {
    let mut attr = [0u8; 24];
    let event = fails!(r, libc::EBADF, BAD, c"file".as_ptr(), attr.as_mut_ptr(), attr.len(), NOFOLLOW);
    at(&event, BAD.into(), c"file").empty("attr").u64("size", 24).u32("at_flags", NOFOLLOW);
    let dir = Scratch::new();
    let path = dir.file("file");
    let (_, event) = succeeds!(r, libc::AT_FDCWD, path.as_ptr(), attr.as_mut_ptr(), attr.len(), 0);
    at(&event, CWD, &path).structure("attr", &attr).u64("size", 24).u32("at_flags", 0);
}

fn file_setattr(r: &mut Row) {
    // The low half of fa_xflags: FS_XFLAG_NODUMP; then an extent size.
    let attr = [0x80u32, 0, 0, 0, 0, 0];
    let odd = [0x80u32, 0, 5, 6, 7, 8];
    let event = fails!(r, libc::EBADF, BAD, c"file".as_ptr(), odd.as_ptr(), 24usize, NOFOLLOW);
    at(&event, BAD.into(), c"file").u64("size", 24).u32("at_flags", NOFOLLOW).members(
        "attr",
        &[("fa_xflags", 0x80), ("fa_extsize", 5), ("fa_nextents", 6), ("fa_projid", 7), ("fa_cowextsize", 8)],
    );
    let dir = Scratch::new();
    let path = dir.file("file");
    let (_, event) = succeeds!(r, libc::AT_FDCWD, path.as_ptr(), attr.as_ptr(), 24usize, 0);
    at(&event, CWD, &path).structure("attr", &attr).u64("size", 24).u32("at_flags", 0);
}

/// A call of 32-bit programs: one entry of a directory.
fn readdir(r: &mut Row) {
    let dir = Scratch::new();
    let mut low = LowMemory::new();
    let entry = low.put(&[0; 272]);
    let event = r.call32(-i64::from(libc::EBADF), [BAD as u32, entry, 1, 0, 0, 0]);
    event.i64("fd", BAD.into()).empty("dirp").u32("count", 1);
    let open = dir.open();
    let event = r.call32(1, [open.as_raw_fd() as u32, entry, 1, 0, 0, 0]);
    event.i64("fd", fd_of(&open)).u32("count", 1).members("dirp", &[("d_namlen", 1)]);
    assert_eq!(event.peek("dirp")[11..13], *b".\0");
}
