//! Files for the tests to work on.

use std::{
    ffi::{CStr, CString},
    fs::File,
    os::{
        fd::{AsRawFd, FromRawFd, RawFd},
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::PathBuf,
};

use tempfile::TempDir;

use crate::syscall;

/// A directory of the test's own, on a tmpfs: what stat says of its files is what the kernel's inodes say.
pub struct Scratch(TempDir);

impl Scratch {
    pub fn new() -> Scratch {
        Scratch(TempDir::new_in("/dev/shm").expect("the tests need a tmpfs at /dev/shm"))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The path of something that does not exist yet.
    pub fn path(&self, name: &str) -> CString {
        // A copy on the heap: it has been written to, so that an enter event can read it without a page fault.
        CString::new(self.at(name).as_os_str().as_bytes()).unwrap()
    }

    /// Creates an empty file.
    pub fn file(&self, name: &str) -> CString {
        File::create(self.at(name)).unwrap();
        self.path(name)
    }

    /// Creates an empty file, and leaves it open.
    pub fn open_file(&self, name: &str) -> File {
        File::create(self.at(name)).unwrap()
    }

    /// Creates a directory.
    pub fn directory(&self, name: &str) -> CString {
        std::fs::create_dir(self.at(name)).unwrap();
        self.path(name)
    }

    /// The directory itself, open.
    pub fn open(&self) -> File {
        File::open(self.0.path()).unwrap()
    }
}

/// An owned copy of a name, in memory that an enter event can read.
pub fn name(name: &str) -> CString {
    CString::new(name).unwrap()
}

/// Takes over the descriptor that a system call has returned.
pub fn own(fd: i64) -> File {
    assert!(fd >= 0);
    // SAFETY: the call has just opened it, and nobody else knows of it.
    unsafe { File::from_raw_fd(fd as RawFd) }
}

/// A file's descriptor, as system calls and events have it.
pub fn fd_of(file: &impl AsRawFd) -> i64 {
    file.as_raw_fd().into()
}

/// A file's device, as the kernel encodes it for stat, and inode.
pub fn identity(file: &File) -> (u32, u64) {
    let metadata = file.metadata().unwrap();
    let (major, minor) = (libc::major(metadata.dev()), libc::minor(metadata.dev()));
    ((minor & 0xff) | major << 8 | (minor & !0xff) << 12, metadata.ino())
}

/// An overlay file system with a file `lower` in its lower and a file `upper` in its upper layer. It is mounted
/// nowhere: there is but the descriptor of its root.
pub struct Overlay {
    root: File,
    _layers: Scratch,
}

impl Overlay {
    pub fn new() -> Overlay {
        let layers = Scratch::new();
        let options = [
            (c"lowerdir", layers.directory("l")),
            (c"upperdir", layers.directory("u")),
            (c"workdir", layers.directory("w")),
        ];
        layers.file("l/lower");
        layers.file("u/upper");
        let filesystem = own(syscall!(SYS_fsopen, c"overlay".as_ptr(), 0));
        let configure = |command: u32, key: *const libc::c_char, value: *const libc::c_char| {
            let ret = syscall!(SYS_fsconfig, filesystem.as_raw_fd(), command, key, value, 0);
            assert_eq!(ret, 0, "the tests need overlayfs");
        };
        for (key, value) in &options {
            configure(1, CStr::as_ptr(key), value.as_ptr());
        }
        configure(6, std::ptr::null(), std::ptr::null());
        let root = own(syscall!(SYS_fsmount, filesystem.as_raw_fd(), 0, 0));
        Overlay { root, _layers: layers }
    }

    /// The root directory's descriptor.
    pub fn root(&self) -> i64 {
        fd_of(&self.root)
    }

    /// Its device: stat gives a directory this one, but a file possibly that of its layer.
    pub fn dev(&self) -> u32 {
        identity(&self.root).0
    }

    /// A path to one of its files.
    pub fn path(&self, name: &str) -> CString {
        CString::new(format!("/proc/self/fd/{}/{name}", self.root())).unwrap()
    }
}
