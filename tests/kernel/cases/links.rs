use super::bases::in_directory;
use crate::{
    harness::Test,
    scratch::{Scratch, fd_of, name},
    syscall,
};

const FDCWD: i64 = -100;
const BAD: i64 = -7;
const EFAULT: i64 = -(libc::EFAULT as i64);
const EINVAL: i64 = -(libc::EINVAL as i64);
const ENOENT: i64 = -(libc::ENOENT as i64);

pub fn link_e(t: &mut Test) {
    let scratch = Scratch::new();
    t.fails(libc::EFAULT, || syscall!(SYS_link, 1usize, 1usize));
    let (old, new) = (scratch.file("old"), scratch.path("new"));
    t.succeeds(|| syscall!(SYS_link, old.as_ptr(), new.as_ptr()));
}

pub fn link_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, old, new) = (scratch.path("missing"), scratch.file("old"), scratch.path("new"));
    t.fails(libc::ENOENT, || syscall!(SYS_link, missing.as_ptr(), new.as_ptr()))
        .i64("res", ENOENT)
        .text("oldpath", &missing)
        .text("newpath", &new);
    t.succeeds(|| syscall!(SYS_link, old.as_ptr(), new.as_ptr()))
        .1
        .i64("res", 0)
        .text("oldpath", &old)
        .text("newpath", &new);
    let event = in_directory(t, &scratch.root(), || syscall!(SYS_link, c"old".as_ptr(), c"other".as_ptr()));
    event.text("oldbase", &scratch.root()).text("newpath", c"other").text("newbase", &scratch.root());
    t.fails(libc::EFAULT, || syscall!(SYS_link, old.as_ptr(), 1usize))
        .i64("res", EFAULT)
        .text("oldpath", &old)
        .empty("newpath");
}

pub fn symlink_e(t: &mut Test) {
    let scratch = Scratch::new();
    t.fails(libc::EFAULT, || syscall!(SYS_symlink, 1usize, 1usize));
    let (target, link) = (name("anywhere"), scratch.path("link"));
    t.succeeds(|| syscall!(SYS_symlink, target.as_ptr(), link.as_ptr()));
}

pub fn symlink_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (target, link, nowhere) = (name("any/where"), scratch.path("link"), scratch.path("no/link"));
    t.fails(libc::ENOENT, || syscall!(SYS_symlink, target.as_ptr(), nowhere.as_ptr()))
        .i64("res", ENOENT)
        .text("target", &target)
        .text("linkpath", &nowhere);
    t.succeeds(|| syscall!(SYS_symlink, target.as_ptr(), link.as_ptr()))
        .1
        .i64("res", 0)
        .text("target", &target)
        .text("linkpath", &link);
    let empty = name("");
    t.fails(libc::ENOENT, || syscall!(SYS_symlink, empty.as_ptr(), link.as_ptr()))
        .i64("res", ENOENT)
        .text("target", &empty)
        .text("linkpath", &link);
    t.fails(libc::EFAULT, || syscall!(SYS_symlink, 0usize, link.as_ptr()))
        .i64("res", EFAULT)
        .empty("target")
        .text("linkpath", &link);
}

pub fn linkat_e(t: &mut Test) {
    let scratch = Scratch::new();
    t.fails(libc::EFAULT, || syscall!(SYS_linkat, libc::AT_FDCWD, 1usize, libc::AT_FDCWD, 1usize, 0));
    let (old, new) = (scratch.file("old"), scratch.path("new"));
    t.succeeds(|| syscall!(SYS_linkat, libc::AT_FDCWD, old.as_ptr(), libc::AT_FDCWD, new.as_ptr(), 0));
}

pub fn linkat_x(t: &mut Test) {
    let (from, to) = (Scratch::new(), Scratch::new());
    let (old, new, missing, empty) = (name("old"), name("new"), from.path("missing"), name(""));
    let (from_directory, to_directory, file) = (from.open(), to.open(), from.open_file("old"));
    t.fails(libc::ENOENT, || {
        let flags = libc::AT_SYMLINK_FOLLOW;
        syscall!(SYS_linkat, libc::AT_FDCWD, missing.as_ptr(), fd_of(&to_directory), new.as_ptr(), flags)
    })
    .i64("res", ENOENT)
    .i64("olddir", FDCWD)
    .text("oldpath", &missing)
    .i64("newdir", fd_of(&to_directory))
    .text("newpath", &new)
    .u32("flags", 1024);
    t.succeeds(|| {
        syscall!(SYS_linkat, fd_of(&from_directory), old.as_ptr(), fd_of(&to_directory), new.as_ptr(), 0)
    })
    .1
    .i64("res", 0)
    .i64("olddir", fd_of(&from_directory))
    .text("oldpath", &old)
    .i64("newdir", fd_of(&to_directory))
    .text("newpath", &new)
    .u32("flags", 0)
    .text("oldbase", &from.root())
    .u8("oldbase_flags", 0)
    .text("newbase", &to.root())
    .u8("newbase_flags", 0);
    let other = to.path("other");
    t.succeeds(|| {
        let flags = libc::AT_EMPTY_PATH;
        syscall!(SYS_linkat, fd_of(&file), empty.as_ptr(), BAD, other.as_ptr(), flags)
    })
    .1
    .i64("res", 0)
    .i64("olddir", fd_of(&file))
    .text("oldpath", &empty)
    .i64("newdir", BAD)
    .text("newpath", &other)
    .u32("flags", 4096)
    // An empty path starts from the file itself.
    .text("oldbase", &from.path("old"))
    .u8("oldbase_flags", 0)
    .empty("newbase")
    .u8("newbase_flags", 0);
    // Only two of the flags have names.
    t.fails(libc::EINVAL, || syscall!(SYS_linkat, BAD, 1usize, libc::AT_FDCWD, 0usize, 0x101))
        .i64("res", EINVAL)
        .i64("olddir", BAD)
        .empty("oldpath")
        .i64("newdir", FDCWD)
        .empty("newpath")
        .u32("flags", 0);
}

pub fn symlinkat_e(t: &mut Test) {
    let scratch = Scratch::new();
    t.fails(libc::EFAULT, || syscall!(SYS_symlinkat, 1usize, libc::AT_FDCWD, 1usize));
    let (target, link) = (name("anywhere"), scratch.path("link"));
    t.succeeds(|| syscall!(SYS_symlinkat, target.as_ptr(), libc::AT_FDCWD, link.as_ptr()));
}

pub fn symlinkat_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (target, link, nowhere) = (name("any/where"), name("link"), scratch.path("no/link"));
    let directory = scratch.open();
    t.fails(libc::ENOENT, || syscall!(SYS_symlinkat, target.as_ptr(), libc::AT_FDCWD, nowhere.as_ptr()))
        .i64("res", ENOENT)
        .text("target", &target)
        .i64("linkdirfd", FDCWD)
        .text("linkpath", &nowhere);
    t.succeeds(|| syscall!(SYS_symlinkat, target.as_ptr(), fd_of(&directory), link.as_ptr()))
        .1
        .i64("res", 0)
        .text("target", &target)
        .i64("linkdirfd", fd_of(&directory))
        .text("linkpath", &link);
    t.fails(libc::EFAULT, || syscall!(SYS_symlinkat, target.as_ptr(), BAD, 1usize))
        .i64("res", EFAULT)
        .text("target", &target)
        .i64("linkdirfd", BAD)
        .empty("linkpath");
}
