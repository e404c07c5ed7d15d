//! Files for the tests.

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

/// A directory of the test's own, on a tmpfs, where stat shows the inode numbers and devices that the kernel has.
pub struct Scratch(TempDir);

impl Scratch {
    pub fn new() -> Scratch {
        Scratch(TempDir::new_in("/dev/shm").expect("the tests need a tmpfs at /dev/shm"))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Returns a path that does not exist yet.
    pub fn path(&self, name: &str) -> CString {
        // A copy on the heap has just been written, so an enter event can read it without a page fault.
        CString::new(self.at(name).as_os_str().as_bytes()).unwrap()
    }

    /// Returns the path of the directory itself.
    pub fn root(&self) -> CString {
        CString::new(self.0.path().as_os_str().as_bytes()).unwrap()
    }

    /// Creates an empty file.
    pub fn file(&self, name: &str) -> CString {
        File::create(self.at(name)).unwrap();
        self.path(name)
    }

    /// Creates an empty file, and returns it open.
    pub fn open_file(&self, name: &str) -> File {
        File::create(self.at(name)).unwrap()
    }

    /// Creates a directory.
    pub fn directory(&self, name: &str) -> CString {
        std::fs::create_dir(self.at(name)).unwrap();
        self.path(name)
    }

    /// Opens the directory itself.
    pub fn open(&self) -> File {
        File::open(self.0.path()).unwrap()
    }
}

/// Returns a copy of a name, in memory that an enter event can read.
pub fn name(name: &str) -> CString {
    CString::new(name).unwrap()
}

/// Takes ownership of a descriptor returned by a system call.
pub fn own(fd: i64) -> File {
    assert!(fd >= 0);
    // SAFETY: the call has just opened it, and nothing else uses it.
    unsafe { File::from_raw_fd(fd as RawFd) }
}

/// Returns a file's descriptor, in the form of system calls and events.
pub fn fd_of(file: &impl AsRawFd) -> i64 {
    file.as_raw_fd().into()
}

/// Returns a file's device, in the kernel's encoding for stat, and its inode.
pub fn identity(file: &File) -> (u32, u64) {
    let metadata = file.metadata().unwrap();
    let (major, minor) = (libc::major(metadata.dev()), libc::minor(metadata.dev()));
    ((minor & 0xff) | major << 8 | (minor & !0xff) << 12, metadata.ino())
}

/// An overlay file system with a file `lower` in its lower layer and a file `upper` in its upper layer. It is not
/// mounted anywhere: it is reached by the descriptor of its root.
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

    /// Returns the root directory's descriptor.
    pub fn root(&self) -> i64 {
        fd_of(&self.root)
    }

    /// Returns its device: stat returns it for a directory; for a file, possibly that of the layer.
    pub fn dev(&self) -> u32 {
        identity(&self.root).0
    }

    /// Returns a path to one of its files.
    pub fn path(&self, name: &str) -> CString {
        CString::new(format!("/proc/self/fd/{}/{name}", self.root())).unwrap()
    }
}
