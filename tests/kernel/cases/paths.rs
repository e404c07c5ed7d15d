use std::{
    env,
    ffi::{CStr, CString},
    fs::Metadata,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
};

use super::bases::in_directory;
use crate::{
    harness::{Params, Test},
    scratch::{Scratch, fd_of, name},
    syscall,
};

const FDCWD: i64 = -100;
const BAD: i64 = -7;
const EBADF: i64 = -(libc::EBADF as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);
const ENOENT: i64 = -(libc::ENOENT as i64);

/// Returns the working directory, which the tests share and do not change.
fn working_directory() -> CString {
    CString::new(env::current_dir().unwrap().as_os_str().as_bytes()).unwrap()
}

/// Returns a device as the kernel encodes it for stat.
fn device(dev: u64) -> u32 {
    let (major, minor) = (libc::major(dev), libc::minor(dev));
    (minor & 0xff) | major << 8 | (minor & !0xff) << 12
}

/// Asserts the attributes that a call of the stat family returned.
#[track_caller]
fn is_stat(event: &Params, file: &Metadata) {
    event.u32("dev", device(file.dev())).u64("ino", file.ino()).u32("mode", file.mode());
    event.u32("nlink", file.nlink() as u32).u32("uid", file.uid()).u32("gid", file.gid());
    event.u32("rdev", device(file.rdev())).u64("size", file.size());
    event.u64("mtime", file.mtime() as u64 * 1_000_000_000 + file.mtime_nsec() as u64);
}

/// Returns the attributes of a path; those of a link itself.
fn attributes(path: &CString) -> Metadata {
    std::fs::symlink_metadata(std::ffi::OsStr::from_bytes(path.as_bytes())).unwrap()
}

pub fn stat_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_stat, 1usize, 1usize));
    let mut stat = [0u8; size_of::<libc::stat>()];
    t.succeeds(|| syscall!(SYS_stat, c"/".as_ptr(), stat.as_mut_ptr()));
}

pub fn stat_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, file) = (scratch.path("missing"), scratch.file("file"));
    let mut stat = [0u8; size_of::<libc::stat>()];
    let event = t.fails(libc::ENOENT, || syscall!(SYS_stat, missing.as_ptr(), stat.as_mut_ptr()));
    event.i64("res", ENOENT).text("path", &missing);
    assert_eq!(event.extended_by(), []);
    for path in [&file, &name("/dev/null"), &name("/"), &name("/bin/true")] {
        let event = t.succeeds(|| syscall!(SYS_stat, path.as_ptr(), stat.as_mut_ptr())).1;
        is_stat(event.i64("res", 0).text("path", path), &attributes(&name(&real(path))));
    }
    t.fails(libc::EFAULT, || syscall!(SYS_stat, 0usize, stat.as_mut_ptr())).i64("res", EFAULT).empty("path");
    if crate::compat::HERE {
        let mut memory = crate::compat::LowMemory::new();
        let (address, stat) = (memory.put(c"/bin/true".to_bytes_with_nul()), memory.put(&[0; 256]));
        let file = attributes(&name(&real(&name("/bin/true"))));
        // stat and stat64. The first has 16 bits for the owner, and for the number of the device.
        for number in [106, 195] {
            let event = t.succeeds(|| crate::compat::syscall32(number, [address, stat, 0, 0, 0, 0])).1;
            is_stat(event.i64("res", 0).text("path", c"/bin/true"), &file);
        }
    }
}

/// Returns a path without links.
fn real(path: &CString) -> String {
    std::fs::canonicalize(path.to_str().unwrap()).unwrap().to_str().unwrap().to_owned()
}

pub fn lstat_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_lstat, 1usize, 1usize));
    let mut stat = [0u8; size_of::<libc::stat>()];
    t.succeeds(|| syscall!(SYS_lstat, c"/".as_ptr(), stat.as_mut_ptr()));
}

pub fn lstat_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, file) = (scratch.path("missing"), scratch.file("file"));
    let mut stat = [0u8; size_of::<libc::stat>()];
    t.fails(libc::ENOENT, || syscall!(SYS_lstat, missing.as_ptr(), stat.as_mut_ptr()))
        .i64("res", ENOENT)
        .text("path", &missing);
    for path in [&file, &name("/proc/self/exe")] {
        let event = t.succeeds(|| syscall!(SYS_lstat, path.as_ptr(), stat.as_mut_ptr())).1;
        is_stat(event.i64("res", 0).text("path", path), &attributes(path));
    }
    t.fails(libc::EFAULT, || syscall!(SYS_lstat, 1usize, stat.as_mut_ptr())).i64("res", EFAULT).empty("path");
}

pub fn fstat_e(t: &mut Test) {
    let (scratch, mut stat) = (Scratch::new(), [0u8; size_of::<libc::stat>()]);
    t.fails(libc::EBADF, || syscall!(SYS_fstat, BAD, stat.as_mut_ptr())).i64("fd", BAD);
    let directory = scratch.open();
    t.succeeds(|| syscall!(SYS_fstat, fd_of(&directory), stat.as_mut_ptr())).1.i64("fd", fd_of(&directory));
}

pub fn fstat_x(t: &mut Test) {
    let (scratch, mut stat) = (Scratch::new(), [0u8; size_of::<libc::stat>()]);
    t.fails(libc::EBADF, || syscall!(SYS_fstat, BAD, stat.as_mut_ptr())).i64("res", EBADF).i64("fd", BAD);
    let directory = scratch.open();
    let event = t.succeeds(|| syscall!(SYS_fstat, fd_of(&directory), stat.as_mut_ptr())).1;
    is_stat(event.i64("res", 0).i64("fd", fd_of(&directory)), &directory.metadata().unwrap());
    if crate::compat::HERE {
        let stat = crate::compat::LowMemory::new().put(&[0; 256]);
        // fstat and fstat64.
        for number in [108, 197] {
            let fd = fd_of(&directory) as u32;
            let event = t.succeeds(|| crate::compat::syscall32(number, [fd, stat, 0, 0, 0, 0])).1;
            is_stat(event.i64("res", 0).i64("fd", fd.into()), &directory.metadata().unwrap());
        }
    }
}

/// Makes a call that changes nothing and that every architecture has: newfstatat.
pub fn look_at(path: &CStr) -> i64 {
    let mut stat = [0u8; size_of::<libc::stat>()];
    syscall!(SYS_newfstatat, libc::AT_FDCWD, path.as_ptr(), stat.as_mut_ptr(), 0)
}

pub fn newfstatat_e(t: &mut Test) {
    let mut stat = [0u8; size_of::<libc::stat>()];
    t.fails(libc::EFAULT, || syscall!(SYS_newfstatat, libc::AT_FDCWD, 1usize, stat.as_mut_ptr(), 0));
    t.succeeds(|| syscall!(SYS_newfstatat, libc::AT_FDCWD, c"/".as_ptr(), stat.as_mut_ptr(), 0));
}

pub fn newfstatat_x(t: &mut Test) {
    let (scratch, mut stat) = (Scratch::new(), [0u8; size_of::<libc::stat>()]);
    let (missing, file, empty) = (scratch.path("missing"), name("file"), name(""));
    let (directory, path) = (scratch.open(), scratch.file("file"));
    t.fails(libc::ENOENT, || {
        let flags = libc::AT_SYMLINK_NOFOLLOW;
        syscall!(SYS_newfstatat, libc::AT_FDCWD, missing.as_ptr(), stat.as_mut_ptr(), flags)
    })
    .i64("res", ENOENT)
    .i64("dirfd", FDCWD)
    .text("path", &missing)
    .u32("flags", 256);
    let event = t
        .succeeds(|| {
            let flags = libc::AT_NO_AUTOMOUNT;
            syscall!(SYS_newfstatat, fd_of(&directory), file.as_ptr(), stat.as_mut_ptr(), flags)
        })
        .1;
    event.i64("res", 0).i64("dirfd", fd_of(&directory)).text("path", &file).u32("flags", 2048);
    is_stat(&event, &attributes(&path));
    let event = t
        .succeeds(|| {
            let flags = libc::AT_EMPTY_PATH;
            syscall!(SYS_newfstatat, fd_of(&directory), empty.as_ptr(), stat.as_mut_ptr(), flags)
        })
        .1;
    event.i64("res", 0).i64("dirfd", fd_of(&directory)).text("path", &empty).u32("flags", 4096);
    is_stat(&event, &directory.metadata().unwrap());
    t.fails(libc::EFAULT, || syscall!(SYS_newfstatat, BAD, 1usize, stat.as_mut_ptr(), 0))
        .i64("res", EFAULT)
        .i64("dirfd", BAD)
        .empty("path")
        .u32("flags", 0);
    if crate::compat::HERE {
        // fstatat64 is its 32-bit equivalent.
        let mut memory = crate::compat::LowMemory::new();
        let (address, stat) = (memory.put(path.as_bytes_with_nul()), memory.put(&[0; 256]));
        let event = t.succeeds(|| crate::compat::syscall32(300, [FDCWD as u32, address, stat, 0, 0, 0])).1;
        event.i64("res", 0).i64("dirfd", FDCWD).text("path", &path).u32("flags", 0);
        is_stat(&event, &attributes(&path));
    }
}

pub fn chroot_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_chroot, 1usize));
    t.succeeds(|| syscall!(SYS_chroot, c"/".as_ptr()));
}

pub fn chroot_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, root) = (scratch.path("missing"), name("/"));
    t.fails(libc::ENOENT, || syscall!(SYS_chroot, missing.as_ptr()))
        .i64("res", ENOENT)
        .text("path", &missing);
    // The root directory does not change.
    let event = t.succeeds(|| syscall!(SYS_chroot, root.as_ptr())).1;
    event.i64("res", 0).text("path", &root).text("resolved", c"/").u8("resolved_flags", 0);
    t.fails(libc::EFAULT, || syscall!(SYS_chroot, 1usize)).i64("res", EFAULT).empty("path");
}

pub fn chdir_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_chdir, 1usize));
    t.succeeds(|| syscall!(SYS_chdir, c".".as_ptr()));
}

pub fn chdir_x(t: &mut Test) {
    let (scratch, here) = (Scratch::new(), working_directory());
    let missing = scratch.path("missing");
    t.fails(libc::ENOENT, || syscall!(SYS_chdir, missing.as_ptr())).i64("res", ENOENT).text("path", &missing);
    for path in [&here, &name(".")] {
        let event = t.succeeds(|| syscall!(SYS_chdir, path.as_ptr())).1;
        event.i64("res", 0).text("path", path).text("resolved", &here).u8("resolved_flags", 0);
    }
    t.fails(libc::EFAULT, || syscall!(SYS_chdir, 1usize)).i64("res", EFAULT).empty("path");
}

pub fn fchdir_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_fchdir, BAD)).i64("fd", BAD);
    let here = std::fs::File::open(".").unwrap();
    t.succeeds(|| syscall!(SYS_fchdir, fd_of(&here))).1.i64("fd", fd_of(&here));
}

pub fn fchdir_x(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_fchdir, BAD)).i64("res", EBADF).i64("fd", BAD);
    let here = std::fs::File::open(".").unwrap();
    t.succeeds(|| syscall!(SYS_fchdir, fd_of(&here))).1.i64("res", 0).i64("fd", fd_of(&here));
}

pub fn getcwd_e(t: &mut Test) {
    let mut buffer = [0u8; 4096];
    t.fails(libc::ERANGE, || syscall!(SYS_getcwd, buffer.as_mut_ptr(), 1usize));
    t.succeeds(|| syscall!(SYS_getcwd, buffer.as_mut_ptr(), buffer.len()));
}

pub fn getcwd_x(t: &mut Test) {
    let (here, mut buffer) = (working_directory(), [b'x'; 4096]);
    t.fails(libc::ERANGE, || syscall!(SYS_getcwd, buffer.as_mut_ptr(), 1usize))
        .i64("res", -i64::from(libc::ERANGE))
        .empty("path");
    t.succeeds(|| syscall!(SYS_getcwd, buffer.as_mut_ptr(), buffer.len()))
        .1
        .i64("res", here.as_bytes_with_nul().len() as i64)
        .text("path", &here);
}

pub fn mkdir_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_mkdir, 1usize, 0o2711)).u32("mode", 0o2711);
    let scratch = Scratch::new();
    let new = scratch.path("new");
    t.succeeds(|| syscall!(SYS_mkdir, new.as_ptr(), 0o755)).1.u32("mode", 0o755);
}

pub fn mkdir_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, new) = (scratch.path("no/such/directory"), scratch.path("new"));
    t.fails(libc::ENOENT, || syscall!(SYS_mkdir, missing.as_ptr(), 0o2711))
        .i64("res", ENOENT)
        .text("path", &missing)
        .u32("mode", 0o2711);
    t.succeeds(|| syscall!(SYS_mkdir, new.as_ptr(), 0o755))
        .1
        .i64("res", 0)
        .text("path", &new)
        .u32("mode", 0o755);
}

pub fn mkdirat_e(t: &mut Test) {
    let (scratch, new) = (Scratch::new(), name("new"));
    t.fails(libc::EBADF, || syscall!(SYS_mkdirat, BAD, new.as_ptr(), 0o711));
    let directory = scratch.open();
    t.succeeds(|| syscall!(SYS_mkdirat, fd_of(&directory), new.as_ptr(), 0o755));
}

pub fn mkdirat_x(t: &mut Test) {
    let (scratch, new) = (Scratch::new(), name("new"));
    let missing = scratch.path("no/such/directory");
    t.fails(libc::ENOENT, || syscall!(SYS_mkdirat, libc::AT_FDCWD, missing.as_ptr(), 0o711))
        .i64("res", ENOENT)
        .i64("dirfd", FDCWD)
        .text("path", &missing)
        .u32("mode", 0o711);
    let directory = scratch.open();
    t.succeeds(|| syscall!(SYS_mkdirat, fd_of(&directory), new.as_ptr(), 0o755))
        .1
        .i64("res", 0)
        .i64("dirfd", fd_of(&directory))
        .text("path", &new)
        .u32("mode", 0o755);
}

pub fn rmdir_e(t: &mut Test) {
    let scratch = Scratch::new();
    t.fails(libc::EFAULT, || syscall!(SYS_rmdir, 1usize));
    let old = scratch.directory("old");
    t.succeeds(|| syscall!(SYS_rmdir, old.as_ptr()));
}

pub fn rmdir_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, old) = (scratch.path("missing"), scratch.directory("old"));
    t.fails(libc::ENOENT, || syscall!(SYS_rmdir, missing.as_ptr())).i64("res", ENOENT).text("path", &missing);
    t.succeeds(|| syscall!(SYS_rmdir, old.as_ptr())).1.i64("res", 0).text("path", &old);
    scratch.directory("old");
    let event = in_directory(t, &scratch.root(), || syscall!(SYS_rmdir, c"old".as_ptr()));
    event.text("path", c"old").text("base", &scratch.root()).u8("base_flags", 0);
}

pub fn unlink_e(t: &mut Test) {
    let scratch = Scratch::new();
    t.fails(libc::EFAULT, || syscall!(SYS_unlink, 1usize));
    let old = scratch.file("old");
    t.succeeds(|| syscall!(SYS_unlink, old.as_ptr()));
}

pub fn unlink_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, old) = (scratch.path("missing"), scratch.file("old"));
    t.fails(libc::ENOENT, || syscall!(SYS_unlink, missing.as_ptr()))
        .i64("res", ENOENT)
        .text("path", &missing);
    t.succeeds(|| syscall!(SYS_unlink, old.as_ptr())).1.i64("res", 0).text("path", &old);
    scratch.file("old");
    let event = in_directory(t, &scratch.root(), || syscall!(SYS_unlink, c"old".as_ptr()));
    event.text("path", c"old").text("base", &scratch.root()).u8("base_flags", 0);
}

pub fn unlinkat_e(t: &mut Test) {
    let scratch = Scratch::new();
    t.fails(libc::EFAULT, || syscall!(SYS_unlinkat, libc::AT_FDCWD, 1usize, 0));
    let old = scratch.file("old");
    t.succeeds(|| syscall!(SYS_unlinkat, libc::AT_FDCWD, old.as_ptr(), 0));
}

pub fn unlinkat_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, directory) = (scratch.path("missing"), scratch.open());
    t.fails(libc::ENOENT, || syscall!(SYS_unlinkat, libc::AT_FDCWD, missing.as_ptr(), 0))
        .i64("res", ENOENT)
        .i64("dirfd", FDCWD)
        .text("name", &missing)
        .u32("flags", 0);
    // Only the flag AT_REMOVEDIR has a name.
    t.fails(libc::EINVAL, || syscall!(SYS_unlinkat, BAD, missing.as_ptr(), libc::AT_REMOVEDIR | 1))
        .i64("res", -i64::from(libc::EINVAL))
        .i64("dirfd", BAD)
        .text("name", &missing)
        .u32("flags", 512);
    scratch.directory("old");
    let old = name("old");
    t.succeeds(|| syscall!(SYS_unlinkat, fd_of(&directory), old.as_ptr(), libc::AT_REMOVEDIR))
        .1
        .i64("res", 0)
        .i64("dirfd", fd_of(&directory))
        .text("name", &old)
        .u32("flags", 512)
        .text("base", &scratch.root())
        .u8("base_flags", 0);
}

pub fn rename_e(t: &mut Test) {
    let scratch = Scratch::new();
    t.fails(libc::EFAULT, || syscall!(SYS_rename, 1usize, 1usize));
    let (old, new) = (scratch.file("old"), scratch.path("new"));
    t.succeeds(|| syscall!(SYS_rename, old.as_ptr(), new.as_ptr()));
}

pub fn rename_x(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, old, new) = (scratch.path("missing"), scratch.file("old"), scratch.path("new"));
    t.fails(libc::ENOENT, || syscall!(SYS_rename, missing.as_ptr(), new.as_ptr()))
        .i64("res", ENOENT)
        .text("oldpath", &missing)
        .text("newpath", &new);
    t.succeeds(|| syscall!(SYS_rename, old.as_ptr(), new.as_ptr()))
        .1
        .i64("res", 0)
        .text("oldpath", &old)
        .text("newpath", &new);
    let event = in_directory(t, &scratch.root(), || syscall!(SYS_rename, new.as_ptr(), c"newer".as_ptr()));
    event.empty("oldbase").text("newpath", c"newer").text("newbase", &scratch.root());
    t.fails(libc::EFAULT, || syscall!(SYS_rename, 1usize, new.as_ptr()))
        .i64("res", EFAULT)
        .empty("oldpath")
        .text("newpath", &new);
}

pub fn renameat_e(t: &mut Test) {
    let scratch = Scratch::new();
    t.fails(libc::EFAULT, || syscall!(SYS_renameat, libc::AT_FDCWD, 1usize, libc::AT_FDCWD, 1usize));
    let (old, new) = (scratch.file("old"), scratch.path("new"));
    t.succeeds(|| syscall!(SYS_renameat, libc::AT_FDCWD, old.as_ptr(), libc::AT_FDCWD, new.as_ptr()));
}

pub fn renameat_x(t: &mut Test) {
    let (from, to) = (Scratch::new(), Scratch::new());
    let (old, new, missing) = (name("old"), name("new"), from.path("missing"));
    let (from_directory, to_directory) = (from.open(), to.open());
    from.file("old");
    t.fails(libc::ENOENT, || {
        syscall!(SYS_renameat, libc::AT_FDCWD, missing.as_ptr(), fd_of(&to_directory), new.as_ptr())
    })
    .i64("res", ENOENT)
    .i64("olddirfd", FDCWD)
    .text("oldpath", &missing)
    .i64("newdirfd", fd_of(&to_directory))
    .text("newpath", &new);
    t.succeeds(|| {
        syscall!(SYS_renameat, fd_of(&from_directory), old.as_ptr(), fd_of(&to_directory), new.as_ptr())
    })
    .1
    .i64("res", 0)
    .i64("olddirfd", fd_of(&from_directory))
    .text("oldpath", &old)
    .i64("newdirfd", fd_of(&to_directory))
    .text("newpath", &new)
    .text("oldbase", &from.root())
    .u8("oldbase_flags", 0)
    .text("newbase", &to.root())
    .u8("newbase_flags", 0);
}

pub fn renameat2_e(t: &mut Test) {
    let scratch = Scratch::new();
    t.fails(libc::EFAULT, || syscall!(SYS_renameat2, libc::AT_FDCWD, 1usize, libc::AT_FDCWD, 1usize, 0));
    let (old, new) = (scratch.file("old"), scratch.path("new"));
    t.succeeds(|| syscall!(SYS_renameat2, libc::AT_FDCWD, old.as_ptr(), libc::AT_FDCWD, new.as_ptr(), 0));
}

pub fn renameat2_x(t: &mut Test) {
    let (from, to) = (Scratch::new(), Scratch::new());
    let (old, new, missing) = (name("old"), name("new"), from.path("missing"));
    let (from_directory, to_directory) = (from.open(), to.open());
    from.file("old");
    to.file("new");
    t.fails(libc::ENOENT, || {
        let flags = libc::RENAME_NOREPLACE;
        syscall!(SYS_renameat2, fd_of(&from_directory), missing.as_ptr(), BAD, missing.as_ptr(), flags)
    })
    .i64("res", ENOENT)
    .i64("olddirfd", fd_of(&from_directory))
    .text("oldpath", &missing)
    .i64("newdirfd", BAD)
    .text("newpath", &missing)
    .u32("flags", 1);
    t.succeeds(|| {
        let flags = libc::RENAME_EXCHANGE;
        syscall!(
            SYS_renameat2,
            fd_of(&from_directory),
            old.as_ptr(),
            fd_of(&to_directory),
            new.as_ptr(),
            flags
        )
    })
    .1
    .i64("res", 0)
    .i64("olddirfd", fd_of(&from_directory))
    .text("oldpath", &old)
    .i64("newdirfd", fd_of(&to_directory))
    .text("newpath", &new)
    .u32("flags", 2)
    .text("oldbase", &from.root())
    .u8("oldbase_flags", 0)
    .text("newbase", &to.root())
    .u8("newbase_flags", 0);
}
