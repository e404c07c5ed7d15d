//! The extension of calls that open files: the path that the kernel resolved, and the caller's flags.

use std::{
    ffi::{CStr, CString},
    fs,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{MetadataExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, AtomicU8, Ordering},
};

use super::open::{is_extended, is_resolved, raw};
use crate::{
    harness::{Params, Test},
    scratch::{Scratch, own},
    syscall,
};

const FDCWD: i64 = libc::AT_FDCWD as i64;

// path_flags.
const DELETED: u8 = 2;
const UNREACHABLE: u8 = 4;

fn text(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).unwrap()
}

fn path_of(scratch: &Scratch, name: &str) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(scratch.path(name).into_bytes()))
}

fn openat(path: &CStr, flags: i32) -> i64 {
    syscall!(SYS_openat, FDCWD, path.as_ptr(), flags, 0o600)
}

pub fn sees_through_links(t: &mut Test) {
    let scratch = Scratch::new();
    scratch.directory("real");
    let file = scratch.file("real/file");
    symlink("real", path_of(&scratch, "link")).unwrap();
    for way in ["link/file", "link/../link/./file", "./link//file", "real/../real/file"] {
        let (fd, event) = t.succeeds(|| openat(&text(path_of(&scratch, way)), libc::O_RDONLY));
        event.rest_does_not_matter().text("resolved", &file).u8("resolved_flags", 0);
        drop(own(fd));
    }
    // The link itself.
    let link = scratch.path("link");
    let (fd, event) = t.succeeds(|| openat(&link, libc::O_PATH | libc::O_NOFOLLOW));
    is_extended(event.rest_does_not_matter(), &link, Some(libc::O_PATH | libc::O_NOFOLLOW));
    drop(own(fd));
    // Roots of mounts, and the root of all.
    for root in [c"/", c"/proc", c"/dev/shm", c"/proc/self/root", c"/dev/shm/../shm"] {
        let (fd, event) = t.succeeds(|| openat(root, libc::O_RDONLY));
        is_resolved(event.rest_does_not_matter(), fd, Some(libc::O_RDONLY));
        drop(own(fd));
    }
}

pub fn has_the_flags_that_the_event_lacks(t: &mut Test) {
    let scratch = Scratch::new();
    let (missing, loops) = (scratch.path("missing"), scratch.path("loop"));
    symlink("loop", path_of(&scratch, "loop")).unwrap();
    // The event says these.
    let said = libc::O_RDWR | libc::O_CLOEXEC | libc::O_DIRECTORY | libc::O_SYNC | libc::O_APPEND;
    assert_eq!(t.fails(libc::ENOENT, || openat(&missing, said)).rest_does_not_matter().extended_by(), []);
    // But not these.
    for flags in [
        libc::O_PATH,
        libc::O_NOFOLLOW,
        libc::O_NOATIME,
        libc::O_NOCTTY | libc::O_WRONLY,
        libc::O_ASYNC,
        libc::O_ACCMODE,
        0x4000_0000,
    ] {
        let event = t.fails(libc::ENOENT, || openat(&missing, flags));
        event.rest_does_not_matter().u32("raw_flags", raw(flags)).empty("resolved").u8("resolved_flags", 0);
    }
    let event = t.fails(libc::ELOOP, || openat(&loops, libc::O_NOFOLLOW));
    event.rest_does_not_matter().u32("raw_flags", raw(libc::O_NOFOLLOW)).empty("resolved");
    scratch.file("file");
    let file = text(path_of(&scratch, "./file"));
    let (fd, event) = t.succeeds(|| openat(&file, said & !libc::O_DIRECTORY));
    event.rest_does_not_matter().u32("raw_flags", raw(said & !libc::O_DIRECTORY));
    drop(own(fd));
}

pub fn says_what_has_no_path(t: &mut Test) {
    let scratch = Scratch::new();
    // A file that was never in a directory, and one that is in none any more.
    let directory = scratch.path("");
    let (fd, event) = t.succeeds(|| openat(&directory, libc::O_TMPFILE | libc::O_RDWR));
    let start = directory.to_bytes();
    assert!(event.rest_does_not_matter().bytes_of("resolved").starts_with(start), "it has a number");
    event.u8("resolved_flags", DELETED);
    drop(own(fd));
    let (file, path) = (scratch.open_file("file"), scratch.path("file"));
    fs::remove_file(path_of(&scratch, "file")).unwrap();
    let again = |fd: i64| CString::new(format!("/proc/self/fd/{fd}")).unwrap();
    let (fd, event) = t.succeeds(|| openat(&again(crate::scratch::fd_of(&file)), libc::O_RDONLY));
    event.rest_does_not_matter().text("resolved", &path).u8("resolved_flags", DELETED);
    drop(own(fd));

    let memory = rustix::fs::memfd_create("scapd-test", rustix::fs::MemfdFlags::empty()).unwrap();
    let (fd, event) = t.succeeds(|| openat(&again(crate::scratch::fd_of(&memory)), libc::O_RDONLY));
    event.rest_does_not_matter().text("resolved", c"memfd:scapd-test").u8("resolved_flags", UNREACHABLE);
    drop(own(fd));
    let (reader, _writer) = std::io::pipe().unwrap();
    let (fd, event) = t.succeeds(|| openat(&again(crate::scratch::fd_of(&reader)), libc::O_RDONLY));
    event.rest_does_not_matter().text("resolved", c"").u8("resolved_flags", UNREACHABLE);
    drop(own(fd));
}

/// Opens `path` in a child after `before`, and returns the event.
fn opens_in_a_child(t: &mut Test, path: &CStr, before: impl Fn() + Send + Sync + 'static) -> Params {
    let mut child = Command::new("/nonexistent");
    let opened = path.to_owned();
    // SAFETY: the child only makes system calls.
    unsafe {
        child.pre_exec(move || {
            before();
            let fd = openat(&opened, libc::O_RDONLY);
            libc::_exit(if fd < 0 { 1 } else { 0 });
        });
    }
    // The child does not reach its exec, which the standard library takes for a success.
    let captured = t.capture(|| i64::from(child.status().unwrap().code().unwrap()));
    assert_eq!(captured.ret, 0, "the child could not open it");
    let mut events = captured.all();
    events.retain(|event| event.rest_does_not_matter().bytes_of("name") == path.to_bytes_with_nul());
    assert_eq!(events.len(), 1, "events of the child");
    events.remove(0)
}

pub fn sees_through_roots_and_mounts(t: &mut Test) {
    let scratch = Scratch::new();
    let root = scratch.path("");
    let file = scratch.file("file");
    let event = opens_in_a_child(t, c"/file", {
        let root = root.clone();
        move || assert_eq!(syscall!(SYS_chroot, root.as_ptr()), 0)
    });
    event.text("resolved", &file).u8("resolved_flags", 0);
    // A mount that only the child has: the path is that of its own namespace, to its root.
    scratch.directory("mount");
    let mount = scratch.path("mount");
    let inside = CString::new([mount.to_bytes(), b"/."].concat()).unwrap();
    let event = opens_in_a_child(t, &inside, {
        let mount = mount.clone();
        move || {
            assert_eq!(syscall!(SYS_unshare, libc::CLONE_NEWNS), 0);
            let (none, private) = (std::ptr::null::<libc::c_char>(), libc::MS_REC | libc::MS_PRIVATE);
            assert_eq!(syscall!(SYS_mount, none, c"/".as_ptr(), none, private, none), 0);
            let kind = c"tmpfs".as_ptr();
            assert_eq!(syscall!(SYS_mount, kind, mount.as_ptr(), kind, 0usize, none), 0);
        }
    });
    event.text("resolved", &mount).u8("resolved_flags", 0);
}

/// Another thread changes the path while the kernel and then the recorder read it: the event may have either name, but the
/// resolved path is always that of the inode, and missing only if the event has it.
pub fn is_not_deceived_by_a_changed_argument(t: &mut Test) {
    let scratch = Scratch::new();
    let files = ["a", "b"].map(|name| (scratch.file(name), path_of(&scratch, name)));
    let inodes = files.each_ref().map(|(_, path)| fs::metadata(path).unwrap().ino());
    let argument: Vec<AtomicU8> = files[0].0.to_bytes_with_nul().iter().map(|b| AtomicU8::new(*b)).collect();
    let (last, over) = (argument.len() - 2, AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for name in [b'b', b'a'] {
                    argument[last].store(name, Ordering::Relaxed);
                    for _ in 0..200 {
                        std::hint::spin_loop();
                    }
                }
            }
        });
        // On one CPU, the other thread hardly ever runs at the right moment.
        let rounds = (0..20).take_while(|_| {
            let events = opens(t, 500, &argument);
            let deceived = events.iter().filter(|event| {
                let opened = inodes.iter().position(|ino| *ino == event.number("ino")).unwrap();
                is_extended(event, &files[opened].0, Some(libc::O_RDONLY));
                event.bytes_of("name") != files[opened].0.to_bytes_with_nul()
            });
            deceived.count() == 0
        });
        println!("no event with the name of the other file in {} rounds", rounds.count());
        over.store(true, Ordering::Relaxed);
    });
}

/// Opens the path in `argument` some times, and returns the events.
fn opens(t: &mut Test, times: usize, argument: &[AtomicU8]) -> Vec<Params> {
    let captured = t.capture(|| {
        for _ in 0..times {
            drop(own(syscall!(SYS_openat, FDCWD, argument.as_ptr(), libc::O_RDONLY)));
        }
        0
    });
    let events = captured.all();
    assert_eq!(events.len(), times);
    for event in &events {
        event.rest_does_not_matter();
    }
    events
}
