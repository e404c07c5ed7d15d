use std::{fs::File, os::fd::AsRawFd};

use crate::{
    compat::{LowMemory, syscall32},
    harness::{Params, Test},
    scratch::{Scratch, fd_of, identity, name, own},
    syscall,
};

const FDCWD: i64 = -100;
const BAD: i64 = -7;
const EBADF: i64 = -(libc::EBADF as i64);
/// PATH_CUT of path_flags.
const CUT: u8 = 1;

pub fn getdents_e(t: &mut Test) {
    let mut buffer = [0u8; 4096];
    t.fails(libc::EBADF, || syscall!(SYS_getdents, BAD, buffer.as_mut_ptr(), 4096)).i64("fd", BAD);
    let scratch = Scratch::new();
    let directory = scratch.open();
    t.succeeds(|| syscall!(SYS_getdents, fd_of(&directory), buffer.as_mut_ptr(), 4096))
        .1
        .i64("fd", fd_of(&directory));
}

pub fn getdents_x(t: &mut Test) {
    let mut buffer = [0u8; 4096];
    t.fails(libc::EBADF, || syscall!(SYS_getdents, BAD, buffer.as_mut_ptr(), 4096))
        .i64("res", EBADF)
        .i64("fd", BAD);
    let scratch = Scratch::new();
    let directory = scratch.open();
    let (read, event) = t.succeeds(|| syscall!(SYS_getdents, fd_of(&directory), buffer.as_mut_ptr(), 4096));
    assert!(read > 0);
    let kept = &buffer[..80.min(read as usize)];
    event.i64("res", read).i64("fd", fd_of(&directory)).bytes("entries", kept);
    let (_, end) = t.succeeds(|| syscall!(SYS_getdents, fd_of(&directory), buffer.as_mut_ptr(), 4096));
    end.i64("res", 0).i64("fd", fd_of(&directory));
    assert_eq!(end.extended_by(), []);
}

pub fn getdents64_e(t: &mut Test) {
    let mut buffer = [0u8; 4096];
    t.fails(libc::EBADF, || syscall!(SYS_getdents64, BAD, buffer.as_mut_ptr(), 4096)).i64("fd", BAD);
    let scratch = Scratch::new();
    let directory = scratch.open();
    t.succeeds(|| syscall!(SYS_getdents64, fd_of(&directory), buffer.as_mut_ptr(), 4096))
        .1
        .i64("fd", fd_of(&directory));
}

pub fn getdents64_x(t: &mut Test) {
    let mut buffer = [0u8; 4096];
    let scratch = Scratch::new();
    let (directory, file) = (scratch.open(), scratch.open_file("file"));
    scratch.file("another file with a name of its own");
    t.fails(libc::ENOTDIR, || syscall!(SYS_getdents64, fd_of(&file), buffer.as_mut_ptr(), 4096))
        .i64("res", -i64::from(libc::ENOTDIR))
        .i64("fd", fd_of(&file));
    let (read, event) = t.succeeds(|| syscall!(SYS_getdents64, fd_of(&directory), buffer.as_mut_ptr(), 4096));
    assert!(read > 80);
    event.i64("res", read).i64("fd", fd_of(&directory)).bytes("entries", &buffer[..80]);
    t.snaplen(4000);
    let again = scratch.open();
    let (read, event) = t.succeeds(|| syscall!(SYS_getdents64, fd_of(&again), buffer.as_mut_ptr(), 4096));
    event.i64("res", read).i64("fd", fd_of(&again)).bytes("entries", &buffer[..read as usize]);
}

pub fn flock_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_flock, BAD, libc::LOCK_EX)).i64("fd", BAD).u32("operation", 2);
    let file = Scratch::new().open_file("file");
    t.succeeds(|| syscall!(SYS_flock, fd_of(&file), libc::LOCK_SH | libc::LOCK_NB))
        .1
        .i64("fd", fd_of(&file))
        .u32("operation", 1 | 4);
}

pub fn flock_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (file, other) = (scratch.open_file("file"), scratch.open_file("file"));
    for (operation, expected) in
        [(libc::LOCK_SH, 1), (libc::LOCK_EX | libc::LOCK_NB, 2 | 4), (libc::LOCK_UN, 8), (libc::LOCK_EX, 2)]
    {
        t.succeeds(|| syscall!(SYS_flock, fd_of(&file), operation))
            .1
            .i64("res", 0)
            .i64("fd", fd_of(&file))
            .u32("operation", expected);
    }
    t.fails(libc::EAGAIN, || syscall!(SYS_flock, fd_of(&other), libc::LOCK_SH | libc::LOCK_NB))
        .i64("res", -i64::from(libc::EAGAIN))
        .i64("fd", fd_of(&other))
        .u32("operation", 1 | 4);
    // Of an invalid operation, only the named flags are recorded.
    t.fails(libc::EINVAL, || syscall!(SYS_flock, fd_of(&other), 0x1000 | libc::LOCK_UN))
        .i64("res", -i64::from(libc::EINVAL))
        .i64("fd", fd_of(&other))
        .u32("operation", 8);
    t.fails(libc::EBADF, || syscall!(SYS_flock, BAD, libc::LOCK_UN))
        .i64("res", -i64::from(libc::EBADF))
        .i64("fd", BAD)
        .u32("operation", 8);
}

/// llseek, which only 32-bit programs have.
struct Seek {
    memory: LowMemory,
    result: u32,
}

impl Seek {
    fn new() -> Seek {
        let mut memory = LowMemory::new();
        let result = memory.put(&[0; 8]);
        Seek { memory, result }
    }

    fn seek(&self, fd: i64, offset: i64, whence: i32) -> i64 {
        let (high, low) = ((offset >> 32) as u32, offset as u32);
        syscall32(140, [fd as u32, high, low, self.result, whence as u32, 0])
    }

    fn position(&self) -> i64 {
        let [low, high] = self.memory.words::<2>(self.result);
        i64::from(high) << 32 | i64::from(low as u32)
    }
}

pub fn llseek_e(t: &mut Test) {
    let (seek, file) = (Seek::new(), Scratch::new().open_file("file"));
    t.fails(libc::EBADF, || seek.seek(BAD, -9, libc::SEEK_END))
        .i64("fd", BAD)
        .u64("offset", -9i64 as u64)
        .u8("whence", 2);
    let offset = (7 << 32) + 0xffff_fff0;
    t.succeeds(|| seek.seek(fd_of(&file), offset, libc::SEEK_CUR))
        .1
        .i64("fd", fd_of(&file))
        .u64("offset", offset as u64)
        .u8("whence", 1);
}

pub fn llseek_x(t: &mut Test) {
    let (seek, file) = (Seek::new(), Scratch::new().open_file("file"));
    t.fails(libc::EINVAL, || seek.seek(fd_of(&file), -9, libc::SEEK_SET))
        .i64("res", -i64::from(libc::EINVAL))
        .i64("fd", fd_of(&file))
        .u64("offset", -9i64 as u64)
        .u8("whence", 0);
    let offset = (7 << 32) + 0xffff_fff0;
    let (_, event) = t.succeeds(|| seek.seek(fd_of(&file), offset, libc::SEEK_CUR));
    assert_eq!(seek.position(), offset);
    event.i64("res", 0).i64("fd", fd_of(&file)).u64("offset", offset as u64).u8("whence", 1);
}

/// A file handle from name_to_handle_at.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    handle: [u8; 128],
}

impl Handle {
    fn of(file: &File) -> Handle {
        let (mut handle, mut mount) = (Handle { bytes: 128, kind: 0, handle: [0; 128] }, 0);
        let (empty, fd) = (name(""), file.as_raw_fd());
        let flags = libc::AT_EMPTY_PATH;
        let ret = syscall!(SYS_name_to_handle_at, fd, empty.as_ptr(), &raw mut handle, &raw mut mount, flags);
        assert_eq!(ret, 0);
        handle
    }

    fn open(&self, mount: i64, flags: i32) -> i64 {
        syscall!(SYS_open_by_handle_at, mount, std::ptr::from_ref(self), flags)
    }
}

pub fn open_by_handle_at_e(t: &mut Test) {
    let scratch = Scratch::new();
    let (directory, handle) = (scratch.open(), Handle::of(&scratch.open_file("file")));
    t.fails(libc::EBADF, || handle.open(BAD, libc::O_RDONLY));
    drop(own(t.succeeds(|| handle.open(fd_of(&directory), libc::O_RDONLY)).0));
}

#[track_caller]
fn assert_nothing_opened(event: &Params, res: i64, mountfd: i64) {
    assert_eq!(event.extended_by(), []);
    event.i64("fd", res).i64("mountfd", mountfd).empty("path").u32("dev", 0).u64("ino", 0);
}

pub fn open_by_handle_at_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (directory, file, path) = (scratch.open(), scratch.open_file("file"), scratch.path("file"));
    let handle = Handle::of(&file);
    let event = t.fails(libc::EBADF, || handle.open(BAD, libc::O_WRONLY | libc::O_CLOEXEC));
    assert_nothing_opened(event.u32("flags", 2 | 4096), EBADF, BAD);
    // A handle of another file system.
    let event = t.fails(libc::ESTALE, || Handle { kind: 0x7000, ..Handle::of(&file) }.open(FDCWD, 0));
    assert_nothing_opened(event.u32("flags", 1), -i64::from(libc::ESTALE), FDCWD);

    let flags = libc::O_RDWR | libc::O_APPEND;
    let (fd, event) = t.succeeds(|| handle.open(fd_of(&directory), flags));
    let (dev, ino) = identity(&own(fd));
    assert_eq!(identity(&file), (dev, ino));
    event.i64("fd", fd).i64("mountfd", fd_of(&directory)).u32("flags", 3 | 8).text("path", &path);
    event.u32("dev", dev).u64("ino", ino);
    assert_eq!(event.extended_by(), [], "the event says all");

    // A path of 64 components is complete. Of a longer one, the last components are kept, and it does not look
    // absolute.
    let top = path.to_str().unwrap().matches('/').count() - 1;
    let mut deep = Deep::new(scratch.open());
    deep.descend(63 - top);
    opens_by_handle(t, &directory, &deep.file(), 0, |path| {
        assert_eq!(path, format!("{}{}/file", path_of(&scratch), "/d".repeat(63 - top)));
    });
    deep.descend(1);
    opens_by_handle(t, &directory, &deep.file(), CUT, |path| {
        let rest: Vec<_> = path_of(&scratch).split('/').skip(2).map(String::from).collect();
        assert_eq!(path, format!(".../{}{}/file", rest.join("/"), "/d".repeat(64 - top)));
    });
    deep.descend(100);
    opens_by_handle(t, &directory, &deep.file(), CUT, |path| {
        assert_eq!(path, format!("...{}/file", "/d".repeat(63)))
    });
}

/// Nested directories.
struct Deep(File);

impl Deep {
    fn new(top: File) -> Deep {
        Deep(top)
    }

    fn descend(&mut self, levels: usize) {
        for _ in 0..levels {
            assert_eq!(syscall!(SYS_mkdirat, self.0.as_raw_fd(), c"d".as_ptr(), 0o700), 0);
            self.0 = own(syscall!(SYS_openat, self.0.as_raw_fd(), c"d".as_ptr(), libc::O_RDONLY));
        }
    }

    fn file(&self) -> File {
        own(syscall!(SYS_openat, self.0.as_raw_fd(), c"file".as_ptr(), libc::O_RDWR | libc::O_CREAT, 0o600))
    }
}

fn path_of(scratch: &Scratch) -> String {
    scratch.path("").to_str().unwrap().trim_end_matches('/').to_owned()
}

/// Opens a file by its handle, and returns the path in the event.
#[track_caller]
fn opens_by_handle(t: &mut Test, mount: &File, file: &File, remarks: u8, assert_path: impl FnOnce(&str)) {
    let handle = Handle::of(file);
    let (fd, event) = t.succeeds(|| handle.open(fd_of(mount), libc::O_RDONLY));
    drop(own(fd));
    let path = event.rest_does_not_matter().bytes_of("path");
    if remarks == 0 && path.len() <= 256 {
        assert_eq!(event.extended_by(), [], "the event says all");
    } else {
        assert_eq!(event.u8("resolved_flags", remarks).bytes_of("resolved"), path);
    }
    assert_path(std::str::from_utf8(path).unwrap().trim_end_matches('\0'));
}
