//! Requests, with what their submissions have.

use std::{
    ffi::{CStr, CString},
    io::Write,
    os::fd::{AsRawFd, OwnedFd},
};

use scap::events::IO_URING_OPS;

use super::super::addresses::{NO_FD, own};
use crate::{harness::Params, ring::Entry, scratch::Scratch, syscall};

const AT_FDCWD: i64 = libc::AT_FDCWD as i64;

pub fn op(name: &str) -> u8 {
    IO_URING_OPS.iter().find(|op| op.name == name).unwrap().number
}

pub fn entry(name: &str) -> Entry {
    Entry { opcode: op(name), user_data: 0x1234_5678_9abc, ..Entry::default() }
}

/// The parameters that a submission has besides those that all have.
#[derive(Default)]
pub struct Submission<'a> {
    pub fd: Option<i64>,
    pub file_index: Option<u32>,
    pub name: Option<&'a CStr>,
    pub fd2: Option<i64>,
    pub name2: Option<&'a CStr>,
    pub text: Option<&'a CStr>,
    pub len: Option<u64>,
    pub off: Option<i64>,
    pub op_flags: Option<u32>,
    pub mode: Option<u32>,
    pub resolve: Option<u32>,
    pub mask: Option<u32>,
    pub sockaddr: Option<Vec<u8>>,
    pub socket: Option<[u32; 3]>,
    pub slot: Option<i32>,
    /// Whether the operation has these.
    pub addr: bool,
    pub buf: bool,
}

impl Submission<'_> {
    #[track_caller]
    pub fn assert(&self, event: &Params, entry: &Entry) {
        assert!(event.number("ring") >> 63 == 1 && event.number("req") >> 63 == 1, "addresses of the kernel");
        event.u64("user_data", entry.user_data).u8("opcode", entry.opcode).u8("sqe_flags", entry.flags);
        event.u16("ioprio", entry.ioprio).u16("personality", entry.personality);
        let bytes = |name, value: Option<&[u8]>| event.bytes(name, value.unwrap_or_default());
        let text = |name, value: Option<&CStr>| bytes(name, value.map(CStr::to_bytes_with_nul));
        let some = |name, value: Option<&[u8]>| _ = bytes(name, value);
        some("fd", self.fd.map(i64::to_ne_bytes).as_ref().map(|b| &b[..]));
        some("file_index", self.file_index.map(u32::to_ne_bytes).as_ref().map(|b| &b[..]));
        some("fd2", self.fd2.map(i64::to_ne_bytes).as_ref().map(|b| &b[..]));
        some("len", self.len.map(u64::to_ne_bytes).as_ref().map(|b| &b[..]));
        some("off", self.off.map(i64::to_ne_bytes).as_ref().map(|b| &b[..]));
        some("slot", self.slot.map(i32::to_ne_bytes).as_ref().map(|b| &b[..]));
        some("addr", self.addr.then(|| entry.addr.to_ne_bytes()).as_ref().map(|b| &b[..]));
        some("buf_index", self.buf.then(|| entry.buf_index.to_ne_bytes()).as_ref().map(|b| &b[..]));
        some("sockaddr", self.sockaddr.as_deref());
        for (name, value) in [
            ("op_flags", self.op_flags),
            ("mode", self.mode),
            ("resolve", self.resolve),
            ("mask", self.mask),
            ("domain", self.socket.map(|socket| socket[0])),
            ("type", self.socket.map(|socket| socket[1])),
            ("proto", self.socket.map(|socket| socket[2])),
        ] {
            some(name, value.map(u32::to_ne_bytes).as_ref().map(|b| &b[..]));
        }
        text("name", self.name);
        text("name2", self.name2);
        text("text", self.text);
    }
}

/// The objects that requests work on.
pub struct World {
    pub folder: OwnedFd,
    pub file: OwnedFd,
    /// What requests read and write, large enough for a struct statx.
    pub data: Box<[u8; 512]>,
    pub pipes: [[OwnedFd; 2]; 2],
    pub path: CString,
    pub missing: CString,
    _scratch: Scratch,
}

impl World {
    pub fn new() -> World {
        let scratch = Scratch::new();
        let path = scratch.file("file");
        let folder = scratch.path("");
        let open =
            |path: &CStr, flags: i32| own(syscall!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0));
        let mut file = std::fs::File::from(open(&path, libc::O_RDWR));
        file.write_all(&[7; 200]).unwrap();
        let pipe = || {
            let mut ends = [0i32; 2];
            assert_eq!(syscall!(SYS_pipe2, ends.as_mut_ptr(), 0), 0);
            ends.map(|end| own(end.into()))
        };
        World {
            folder: open(&folder, libc::O_DIRECTORY),
            file: file.into(),
            data: Box::new([8; 512]),
            pipes: [pipe(), pipe()],
            path,
            missing: scratch.path("missing"),
            _scratch: scratch,
        }
    }

    pub fn addr(&self) -> u64 {
        self.data.as_ptr() as u64
    }
}

/// A request, what its submission has, and the errno that it fails with, 0 for a success.
pub type Case<'a> = (Entry, Submission<'a>, i32);

pub const NAME: &CStr = c"name";
pub const OTHER: &CStr = c"other";
pub const LINK: &CStr = c"link";
pub const NOWHERE: &CStr = c"no/where";
pub const ATTRIBUTE: &CStr = c"trusted.scapd";

pub fn at(name: &CStr) -> u64 {
    name.as_ptr() as u64
}

/// Requests about paths. They make, rename and remove files, one after another.
pub fn paths(world: &World) -> Vec<Case<'_>> {
    let folder = world.folder.as_raw_fd();
    let (fd, dir) = (folder, i64::from(folder));
    let at_dir = |name: &str, path: &CStr| Entry { fd, addr: at(path), ..entry(name) };
    let two = |name, from, to| Entry { len: folder as u32, off: at(to), ..at_dir(name, from) };
    let named = |name| Submission { fd: Some(dir), name: Some(name), ..Submission::default() };
    let both = |from, to, flags| Submission {
        fd2: Some(dir),
        name2: Some(to),
        op_flags: Some(flags),
        ..named(from)
    };
    let made = |mode| Submission { mode: Some(mode), ..named(NAME) };
    let link = |text, path| Submission { text: Some(text), ..named(path) };
    let symlink = |path| Entry { fd, addr: at(OTHER), off: at(path), ..entry("SYMLINKAT") };
    let unlinked = |name, flags| Submission { op_flags: Some(flags), ..named(name) };
    let statx = |path| Entry { len: 0x7ff, off: world.addr(), op_flags: 0x100, ..at_dir("STATX", path) };
    let stated = |name| Submission {
        op_flags: Some(0x100),
        mask: Some(0x7ff),
        off: Some(world.addr() as i64),
        ..named(name)
    };
    let remove = |path, op_flags| Entry { op_flags, ..at_dir("UNLINKAT", path) };
    let directory = libc::AT_REMOVEDIR as u32;
    vec![
        (Entry { len: 0o700, ..at_dir("MKDIRAT", NAME) }, made(0o700), 0),
        (Entry { len: 0o711, ..at_dir("MKDIRAT", NAME) }, made(0o711), libc::EEXIST),
        (two("RENAMEAT", NAME, OTHER), both(NAME, OTHER, 0), 0),
        (Entry { op_flags: 1, ..two("RENAMEAT", NOWHERE, OTHER) }, both(NOWHERE, OTHER, 1), libc::ENOENT),
        (remove(OTHER, directory), unlinked(OTHER, directory), 0),
        (remove(OTHER, 0), unlinked(OTHER, 0), libc::ENOENT),
        (symlink(LINK), link(OTHER, LINK), 0),
        (symlink(NOWHERE), link(OTHER, NOWHERE), libc::ENOENT),
        (two("LINKAT", LINK, NAME), both(LINK, NAME, 0), 0),
        (Entry { op_flags: 0x400, ..two("LINKAT", LINK, NAME) }, both(LINK, NAME, 0x400), libc::ENOENT),
        (remove(NAME, 0), unlinked(NAME, 0), 0),
        (statx(LINK), stated(LINK), 0),
        (statx(NOWHERE), stated(NOWHERE), libc::ENOENT),
    ]
}

/// Requests about files.
pub fn files(world: &World) -> Vec<Case<'_>> {
    let fd = world.file.as_raw_fd();
    let of = |name: &str| Entry { fd, ..entry(name) };
    let on = |name: &str| Entry { addr: world.addr(), len: 64, off: 5, ..of(name) };
    let base = || Submission { fd: Some(fd.into()), ..Submission::default() };
    let moved =
        |op_flags| Submission { addr: true, len: Some(64), off: Some(5), op_flags: Some(op_flags), ..base() };
    let ranged = |op_flags| Submission { len: Some(64), off: Some(5), op_flags: Some(op_flags), ..base() };
    let mut cases = vec![
        (Entry { op_flags: 2, ..on("WRITE") }, moved(2), 0),
        (on("READ"), Submission { buf: true, ..moved(0) }, 0),
        (
            Entry { op_flags: 1, len: 0, off: 0, ..of("FSYNC") },
            Submission { len: Some(0), off: Some(0), ..ranged(1) },
            0,
        ),
        (Entry { op_flags: 2, len: 64, off: 5, ..of("SYNC_FILE_RANGE") }, ranged(2), 0),
        (Entry { op_flags: 2, len: 64, off: 5, ..of("FADVISE") }, ranged(2), 0),
        (
            Entry { addr: 0x1000, len: 1, off: 5, ..of("FALLOCATE") },
            Submission { len: Some(0x1000), off: Some(5), op_flags: Some(1), ..base() },
            0,
        ),
        (Entry { off: 77, ..of("FTRUNCATE") }, Submission { len: Some(77), ..base() }, 0),
        (
            Entry { op_flags: 1, ..of("POLL_ADD") },
            Submission { len: Some(0), op_flags: Some(1), ..base() },
            0,
        ),
        (
            Entry { addr: at(ATTRIBUTE), off: world.addr(), len: 9, ..of("FGETXATTR") },
            Submission { text: Some(ATTRIBUTE), len: Some(9), ..base() },
            libc::ENODATA,
        ),
        (
            Entry { off: 3, ..of("URING_CMD") },
            Submission { off: Some(3), op_flags: Some(0), ..base() },
            libc::EOPNOTSUPP,
        ),
        (
            Entry { addr: world.addr(), len: 3, op_flags: 0x40, ..of("RECV") },
            Submission { addr: true, buf: true, len: Some(3), op_flags: Some(0x40), ..base() },
            libc::ENOTSOCK,
        ),
        (Entry { len: 5, ..of("LISTEN") }, Submission { len: Some(5), ..base() }, libc::ENOTSOCK),
        (Entry { len: 1, ..of("SHUTDOWN") }, Submission { op_flags: Some(1), ..base() }, libc::ENOTSOCK),
        (entry("NOP"), Submission { op_flags: Some(0), ..Submission::default() }, 0),
        (
            Entry { addr: 99, ..entry("POLL_REMOVE") },
            Submission { addr: true, off: Some(0), len: Some(0), op_flags: Some(0), ..Submission::default() },
            libc::ENOENT,
        ),
        (
            Entry { addr: 99, fd: -1, ..entry("ASYNC_CANCEL") },
            Submission { fd: Some(-1), addr: true, op_flags: Some(0), ..Submission::default() },
            libc::ENOENT,
        ),
        (
            Entry { addr: (world.addr() | 4095) + 1, len: 0, op_flags: 3, ..entry("MADVISE") },
            Submission { addr: true, len: Some(0), op_flags: Some(3), ..Submission::default() },
            0,
        ),
        (
            Entry { len: 3, buf_index: 9, addr: world.addr(), off: 1, fd: 0, ..entry("REMOVE_BUFFERS") },
            Submission { buf: true, ..Submission::default() },
            libc::EINVAL,
        ),
    ];
    let [[from, _], [_, to]] = &world.pipes;
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    cases.push((
        Entry { fd: to, file_index: from as u32, len: 4, op_flags: 2, ..entry("TEE") },
        Submission {
            fd: Some(to.into()),
            fd2: Some(from.into()),
            len: Some(4),
            op_flags: Some(2),
            ..Submission::default()
        },
        libc::EAGAIN,
    ));
    cases
}

/// Requests that make and close descriptors.
pub fn descriptors(world: &World) -> Vec<Case<'_>> {
    let open = |path: &CStr| Entry {
        fd: libc::AT_FDCWD,
        addr: at(path),
        op_flags: (libc::O_RDWR | libc::O_CLOEXEC) as u32,
        len: 0o600,
        ..entry("OPENAT")
    };
    let opened = |name| Submission {
        fd: Some(AT_FDCWD),
        name: Some(name),
        op_flags: Some(0x80002),
        mode: Some(0o600),
        ..Submission::default()
    };
    let socket = |domain, kind| Entry { fd: domain, off: kind, len: 0, ..entry("SOCKET") };
    let made = |domain, kind| Submission { socket: Some([domain, kind, 0]), ..Submission::default() };
    let close = |fd| Entry { fd, ..entry("CLOSE") };
    vec![
        (open(&world.path), opened(&world.path), 0),
        (open(&world.missing), opened(&world.missing), libc::ENOENT),
        (
            Entry { addr: 1, ..open(&world.path) },
            Submission { name: None, ..opened(&world.path) },
            libc::EFAULT,
        ),
        (
            Entry { file_index: 2, op_flags: 2, ..open(&world.path) },
            Submission { slot: Some(1), op_flags: Some(2), ..opened(&world.path) },
            0,
        ),
        (Entry { file_index: 2, ..entry("CLOSE") }, Submission { slot: Some(1), ..Submission::default() }, 0),
        (close(NO_FD), Submission { fd: Some(NO_FD.into()), ..Submission::default() }, libc::EBADF),
        (socket(libc::AF_INET, 0x80001), made(2, 0x80001), 0),
        (socket(99, 1), made(99, 1), libc::EAFNOSUPPORT),
    ]
}

/// Returns what an openat2 with these flags has.
pub fn open_by_how(how: &[u64; 3], path: &'static CStr, resolve: u32, errno: i32) -> Case<'static> {
    let entry =
        Entry { fd: libc::AT_FDCWD, addr: at(path), off: how.as_ptr() as u64, len: 24, ..entry("OPENAT2") };
    let submission = Submission {
        fd: Some(AT_FDCWD),
        name: Some(path),
        op_flags: Some(how[0] as u32),
        mode: Some(how[1] as u32),
        resolve: Some(resolve),
        len: Some(24),
        ..Submission::default()
    };
    (entry, submission, errno)
}
