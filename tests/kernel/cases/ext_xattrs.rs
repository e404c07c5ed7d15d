//! Extended attributes. The tests use the namespace `trusted`, which a tmpfs has on every kernel.

use std::{ffi::CStr, os::fd::AsRawFd};

use crate::{
    cases::ext_number::{BAD, CWD},
    fails, rows,
    rows::{Row, RowTest},
    scratch::{Scratch, fd_of},
    succeeds, syscall,
};

pub const ROWS: &[RowTest] = rows![
    setxattr,
    lsetxattr,
    fsetxattr,
    setxattrat,
    getxattr,
    lgetxattr,
    fgetxattr,
    getxattrat,
    listxattr,
    llistxattr,
    flistxattr,
    listxattrat,
    removexattr,
    lremovexattr,
    fremovexattr,
    removexattrat,
];

const MISSING: &CStr = c"/nonexistent/file";
const NAME: &CStr = c"trusted.one";
const VALUE: &[u8] = b"the value\0\xff";

/// A file with the attribute, if it has a value.
fn file(dir: &Scratch, value: Option<&[u8]>) -> std::fs::File {
    let file = dir.open_file("file");
    if let Some(value) = value {
        let (fd, name) = (file.as_raw_fd(), NAME.as_ptr());
        assert_eq!(
            syscall!(SYS_fsetxattr, fd, name, value.as_ptr(), value.len(), 0),
            0,
            "a tmpfs with attributes"
        );
    }
    file
}

fn set_by_path(r: &mut Row) {
    let dir = Scratch::new();
    let event = fails!(r, libc::ENOENT, MISSING.as_ptr(), NAME.as_ptr(), VALUE.as_ptr(), VALUE.len(), 1);
    event.text("path", MISSING).text("name", NAME).bytes("value", VALUE).u64("size", 11).u32("flags", 1);
    file(&dir, Some(b"old"));
    let path = dir.path("file");
    let (_, event) = succeeds!(r, path.as_ptr(), NAME.as_ptr(), VALUE.as_ptr(), VALUE.len(), 2);
    event.text("path", &path).text("name", NAME).bytes("value", VALUE).u64("size", 11).u32("flags", 2);
}

fn setxattr(r: &mut Row) {
    set_by_path(r);
}

fn lsetxattr(r: &mut Row) {
    set_by_path(r);
}

fn fsetxattr(r: &mut Row) {
    let dir = Scratch::new();
    let event = fails!(r, libc::EBADF, BAD, NAME.as_ptr(), VALUE.as_ptr(), VALUE.len(), 1);
    event.i64("fd", BAD.into()).text("name", NAME).bytes("value", VALUE).u64("size", 11).u32("flags", 1);
    let file = file(&dir, None);
    // At most the snaplen of the value is kept.
    let long = [b'v'; 200];
    let (_, event) = succeeds!(r, file.as_raw_fd(), NAME.as_ptr(), long.as_ptr(), long.len(), 0);
    event.i64("fd", fd_of(&file)).text("name", NAME).bytes("value", &long[..80]);
    event.u64("size", 200).u32("flags", 0);
}

#[repr(C)]
struct Args {
    value: u64,
    size: u32,
    flags: u32,
}

fn setxattrat(r: &mut Row) {
    let dir = Scratch::new();
    let args = Args { value: VALUE.as_ptr() as u64, size: 11, flags: 1 };
    let event = fails!(r, libc::EBADF, BAD, c"file".as_ptr(), 0x100, NAME.as_ptr(), &raw const args, 16usize);
    event.i64("dirfd", BAD.into()).text("path", c"file").u32("at_flags", 0x100).text("name", NAME);
    event.structure("args", &args).u64("size", 16).bytes("value", VALUE);
    file(&dir, None);
    let open = dir.open();
    let (_, event) =
        succeeds!(r, open.as_raw_fd(), c"file".as_ptr(), 0, NAME.as_ptr(), &raw const args, 16usize);
    event.i64("dirfd", fd_of(&open)).text("path", c"file").u32("at_flags", 0).text("name", NAME);
    event.members("args", &[("size", 11), ("flags", 1)]).u64("size", 16).bytes("value", VALUE);
}

fn get_by_path(r: &mut Row) {
    let dir = Scratch::new();
    let mut buf = [b'#'; 64];
    let event = fails!(r, libc::ENOENT, MISSING.as_ptr(), NAME.as_ptr(), buf.as_mut_ptr(), 60usize);
    event.text("path", MISSING).text("name", NAME).empty("value").u64("size", 60);
    file(&dir, Some(VALUE));
    let path = dir.path("file");
    // Size 0 asks for the size alone: the buffer stays as it is.
    for (size, value) in [(60usize, VALUE), (0, &[])] {
        let (ret, event) = succeeds!(r, path.as_ptr(), NAME.as_ptr(), buf.as_mut_ptr(), size);
        assert_eq!(ret, 11);
        event.text("path", &path).text("name", NAME).bytes("value", value).u64("size", size as u64);
    }
}

fn getxattr(r: &mut Row) {
    get_by_path(r);
}

fn lgetxattr(r: &mut Row) {
    get_by_path(r);
}

fn fgetxattr(r: &mut Row) {
    let dir = Scratch::new();
    let mut buf = [b'#'; 64];
    let event = fails!(r, libc::EBADF, BAD, NAME.as_ptr(), buf.as_mut_ptr(), 60usize);
    event.i64("fd", BAD.into()).text("name", NAME).empty("value").u64("size", 60);
    let file = file(&dir, Some(VALUE));
    let (_, event) = succeeds!(r, file.as_raw_fd(), NAME.as_ptr(), buf.as_mut_ptr(), 60usize);
    event.i64("fd", fd_of(&file)).text("name", NAME).bytes("value", VALUE).u64("size", 60);
}

fn getxattrat(r: &mut Row) {
    let dir = Scratch::new();
    let mut buf = [b'#'; 64];
    let args = Args { value: buf.as_mut_ptr() as u64, size: 60, flags: 0 };
    let event = fails!(r, libc::EBADF, BAD, c"file".as_ptr(), 0x100, NAME.as_ptr(), &raw const args, 16usize);
    event.i64("dirfd", BAD.into()).text("path", c"file").u32("at_flags", 0x100).text("name", NAME);
    event.structure("args", &args).u64("size", 16).empty("value");
    file(&dir, Some(VALUE));
    let path = dir.path("file");
    let (_, event) = succeeds!(r, libc::AT_FDCWD, path.as_ptr(), 0, NAME.as_ptr(), &raw const args, 16usize);
    event.i64("dirfd", CWD).text("path", &path).u32("at_flags", 0).text("name", NAME);
    event.members("args", &[("size", 60), ("flags", 0)]).u64("size", 16).bytes("value", VALUE);
    // Size 0 asks for the size alone.
    let args = Args { size: 0, ..args };
    let (size, event) =
        succeeds!(r, libc::AT_FDCWD, path.as_ptr(), 0, NAME.as_ptr(), &raw const args, 16usize);
    assert_eq!(size, 11);
    event.empty("value").rest_does_not_matter();
}

fn list_by_path(r: &mut Row) {
    let dir = Scratch::new();
    let mut buf = [b'#'; 64];
    let event = fails!(r, libc::ENOENT, MISSING.as_ptr(), buf.as_mut_ptr(), 60usize);
    event.text("path", MISSING).empty("list").u64("size", 60);
    file(&dir, Some(VALUE));
    let path = dir.path("file");
    for size in [64usize, 0] {
        let (ret, event) = succeeds!(r, path.as_ptr(), buf.as_mut_ptr(), size);
        let list = &buf[..size.min(ret as usize)];
        assert_eq!(list.is_empty(), size == 0);
        event.text("path", &path).bytes("list", list).u64("size", size as u64);
    }
    assert!(buf.starts_with(NAME.to_bytes_with_nul()));
}

fn listxattr(r: &mut Row) {
    list_by_path(r);
}

fn llistxattr(r: &mut Row) {
    list_by_path(r);
}

fn flistxattr(r: &mut Row) {
    let dir = Scratch::new();
    let mut buf = [b'#'; 64];
    let event = fails!(r, libc::EBADF, BAD, buf.as_mut_ptr(), 60usize);
    event.i64("fd", BAD.into()).empty("list").u64("size", 60);
    let file = file(&dir, Some(VALUE));
    let (ret, event) = succeeds!(r, file.as_raw_fd(), buf.as_mut_ptr(), 64usize);
    event.i64("fd", fd_of(&file)).bytes("list", &buf[..ret as usize]).u64("size", 64);
}

fn listxattrat(r: &mut Row) {
    let dir = Scratch::new();
    let mut buf = [b'#'; 64];
    let event = fails!(r, libc::EBADF, BAD, c"file".as_ptr(), 0x100, buf.as_mut_ptr(), 60usize);
    event.i64("dirfd", BAD.into()).text("path", c"file").u32("at_flags", 0x100).empty("list").u64("size", 60);
    file(&dir, Some(VALUE));
    let path = dir.path("file");
    let (ret, event) = succeeds!(r, libc::AT_FDCWD, path.as_ptr(), 0, buf.as_mut_ptr(), 64usize);
    event.i64("dirfd", CWD).text("path", &path).u32("at_flags", 0);
    event.bytes("list", &buf[..ret as usize]).u64("size", 64);
}

fn remove_by_path(r: &mut Row) {
    let dir = Scratch::new();
    let event = fails!(r, libc::ENOENT, MISSING.as_ptr(), NAME.as_ptr());
    event.text("path", MISSING).text("name", NAME);
    file(&dir, Some(VALUE));
    let path = dir.path("file");
    let (_, event) = succeeds!(r, path.as_ptr(), NAME.as_ptr());
    event.text("path", &path).text("name", NAME);
}

fn removexattr(r: &mut Row) {
    remove_by_path(r);
}

fn lremovexattr(r: &mut Row) {
    remove_by_path(r);
}

fn fremovexattr(r: &mut Row) {
    let dir = Scratch::new();
    fails!(r, libc::EBADF, BAD, NAME.as_ptr()).i64("fd", BAD.into()).text("name", NAME);
    let file = file(&dir, Some(VALUE));
    let (_, event) = succeeds!(r, file.as_raw_fd(), NAME.as_ptr());
    event.i64("fd", fd_of(&file)).text("name", NAME);
}

fn removexattrat(r: &mut Row) {
    let dir = Scratch::new();
    let event = fails!(r, libc::EBADF, BAD, c"file".as_ptr(), 0x100, NAME.as_ptr());
    event.i64("dirfd", BAD.into()).text("path", c"file").u32("at_flags", 0x100).text("name", NAME);
    file(&dir, Some(VALUE));
    let path = dir.path("file");
    let (_, event) = succeeds!(r, libc::AT_FDCWD, path.as_ptr(), 0, NAME.as_ptr());
    event.i64("dirfd", CWD).text("path", &path).u32("at_flags", 0).text("name", NAME);
}
