//! The extension of calls that rename, link or remove files: the directory that a path starts from.

use std::{
    ffi::{CStr, CString},
    os::unix::fs::symlink,
    path::PathBuf,
};

use super::process::in_child;
use crate::{
    harness::{Params, Test},
    scratch::{Scratch, fd_of},
    syscall,
};

fn remove(dirfd: i64, path: &CStr) -> i64 {
    syscall!(SYS_unlinkat, dirfd, path.as_ptr(), 0)
}

const CWD: i64 = libc::AT_FDCWD as i64;

/// Returns the event of the one call of the test's type that a child makes in a directory.
pub fn in_directory(t: &mut Test, directory: &CStr, call: impl FnOnce() -> i64) -> Params {
    of_child(t, || {
        assert_eq!(syscall!(SYS_chdir, directory.as_ptr()), 0);
        call()
    })
}

/// Returns the event of the one call of the test's type that a child makes.
fn of_child(t: &mut Test, calls: impl FnOnce() -> i64) -> Params {
    let captured = t.capture(|| in_child(calls));
    assert_eq!(captured.ret, 0, "the call's result");
    let mut events = captured.all();
    assert_eq!(events.len(), 1, "events of the child");
    let event = events.remove(0);
    event.rest_does_not_matter();
    event
}

/// The working directory, however the task came there; a directory of another name by now.
pub fn are_resolved(t: &mut Test) {
    let scratch = Scratch::new();
    let (real, link) = (scratch.directory("real"), scratch.path("link"));
    symlink("real", PathBuf::from(link.to_str().unwrap())).unwrap();
    scratch.file("real/file");
    let event = in_directory(t, &link, || remove(CWD, c"file"));
    event.text("name", c"file").text("base", &real).u8("base_flags", 0);

    scratch.file("real/file");
    let new = scratch.path("renamed");
    let directory = std::fs::File::open(real.to_str().unwrap()).unwrap();
    std::fs::rename(real.to_str().unwrap(), new.to_str().unwrap()).unwrap();
    let (_, event) = t.succeeds(|| remove(fd_of(&directory), c"file"));
    event.rest_does_not_matter().text("base", &new).u8("base_flags", 0);
}

/// The root of a task says where an absolute path starts, unless it is the root of all.
pub fn are_seen_through_roots(t: &mut Test) {
    let scratch = Scratch::new();
    let (root, _) = (scratch.directory("root"), scratch.file("root/file"));
    let event = of_child(t, || {
        assert_eq!(syscall!(SYS_chroot, root.as_ptr()), 0);
        remove(CWD, c"/file")
    });
    event.text("name", c"/file").text("base", &root).u8("base_flags", 0);
    let file = scratch.file("file");
    let (_, event) = t.succeeds(|| remove(CWD, &file));
    assert_eq!(event.rest_does_not_matter().extended_by(), []);
    // Nor does a failed call have an extension.
    let event = t.fails(libc::ENOENT, || remove(CWD, c"scapd-no-such-file"));
    assert_eq!(event.rest_does_not_matter().extended_by(), []);
}

/// Of two paths, each has its own; one may have none.
pub fn are_told_apart(t: &mut Test) {
    let scratch = Scratch::new();
    let (root, other) = (scratch.directory("root"), scratch.directory("other"));
    let (old, open) = (scratch.file("old"), std::fs::File::open(other.to_str().unwrap()).unwrap());
    let (_, event) =
        t.succeeds(|| syscall!(SYS_renameat2, CWD, old.as_ptr(), fd_of(&open), c"new".as_ptr(), 0));
    event.rest_does_not_matter().empty("oldbase").u8("oldbase_flags", 0);
    event.text("newbase", &other).u8("newbase_flags", 0);
    let event = of_child(t, || {
        assert_eq!(syscall!(SYS_chroot, root.as_ptr()), 0);
        syscall!(SYS_renameat2, fd_of(&open), c"new".as_ptr(), CWD, c"/new".as_ptr(), 0)
    });
    event.text("oldbase", &other).u8("oldbase_flags", 0).text("newbase", &root).u8("newbase_flags", 0);
    let here = CString::new([root.to_bytes(), b"/new"].concat()).unwrap();
    assert_eq!(syscall!(SYS_unlinkat, CWD, here.as_ptr(), 0), 0);
}
