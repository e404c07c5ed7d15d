use std::{
    ffi::{CStr, CString},
    fs,
    os::{
        fd::AsRawFd,
        unix::{
            ffi::OsStringExt,
            fs::{MetadataExt, PermissionsExt},
            process::CommandExt,
        },
    },
    path::Path,
    process::Command,
};

use super::process::{assert_process, comm, status};
use crate::{
    harness::{Captured, Params, Test},
    syscall,
};

const MISSING: &CStr = c"/no/such/program";
const ARGV: [&CStr; 4] = [c"first", c"second", c"", c"third"];
const ENVP: [&CStr; 2] = [c"KEY=value", c"OTHER=x"];

const EXE_WRITABLE: u32 = 1;
const EXE_FROM_MEMFD: u32 = 4;
/// EXE_UPPER_LAYER and EXE_LOWER_LAYER: they depend on the machine.
const EXE_LAYERS: u32 = 2 | 8;

/// Returns the pointers of an argv or envp, with the final null pointer.
fn pointers(strings: &[&CStr]) -> Vec<*const libc::c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
}

fn execve(filename: &CStr, argv: &[&CStr], envp: &[&CStr]) -> i64 {
    let (argv, envp) = (pointers(argv), pointers(envp));
    syscall!(SYS_execve, filename.as_ptr(), argv.as_ptr(), envp.as_ptr())
}

/// Asserts the properties of a program's file.
fn assert_exe(event: &Params, path: &Path, flags: u32) {
    let file = fs::metadata(path).unwrap();
    let ns = |seconds: i64, ns: i64| seconds as u64 * 1_000_000_000 + ns as u64;
    event.u64("exe_ino", file.ino());
    event.u64("exe_ino_ctime", ns(file.ctime(), file.ctime_nsec()));
    event.u64("exe_ino_mtime", ns(file.mtime(), file.mtime_nsec()));
    let on_overlay = rustix::fs::statfs(path).unwrap().f_type == 0x794c_7630;
    let recorded = event.number("flags") as u32;
    assert_eq!(recorded & EXE_LAYERS != 0, on_overlay, "flags {recorded}");
    assert_eq!(recorded & !EXE_LAYERS, flags, "flags");
    let real = CString::new(fs::canonicalize(path).unwrap().into_os_string().into_vec()).unwrap();
    event.text("trusted_exepath", &real);
}

/// Asserts the properties that a child shares with this process.
fn assert_session(event: &Params) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    event.u32("tty", fields[4].parse::<i32>().unwrap() as u32);
    let pgid = i64::from(rustix::process::getpgrp().as_raw_nonzero().get());
    event.i64("vpgid", pgid).i64("pgid", pgid);
    let loginuid =
        fs::read_to_string("/proc/self/loginuid").map_or(u32::MAX, |text| text.trim().parse().unwrap());
    event.u32("loginuid", loginuid);
}

fn assert_root(event: &Params) {
    let set = |name| u64::from_str_radix(&status("thread-self", name), 16).unwrap();
    event.u64("cap_inheritable", set("CapInh"));
    event.u64("cap_permitted", set("CapPrm")).u64("cap_effective", set("CapEff"));
    event.u32("uid", 0).u32("gid", 0);
}

/// Asserts the properties of this thread in the event of a failed call.
fn assert_own(event: &Params) {
    assert_process(event, u64::from(std::process::id()), None, &comm());
    assert_session(event);
    assert_root(event);
    assert_exe(event, &std::env::current_exe().unwrap(), EXE_WRITABLE);
}

/// The limit on argv, and on envp, in an extension.
const LIMIT: usize = 24 << 10;
// exec_cut.
const ARGV_CUT: u8 = 1;
const ENVP_CUT: u8 = 2;

/// Asserts the extension of a program that was run here and whose arguments and environment the event has.
#[track_caller]
fn assert_ran_here(event: &Params) {
    assert_in_directory(event);
    event.empty("interpreter").empty("argv").empty("envp").u8("cut", 0);
}

#[track_caller]
fn assert_in_directory(event: &Params) {
    let here = std::env::current_dir().unwrap();
    event.text("workdir", &CString::new(here.into_os_string().into_vec()).unwrap()).u8("workdir_flags", 0);
}

/// Asserts that a failed call has nothing to add.
#[track_caller]
fn assert_not_extended(event: &Params) {
    assert_eq!(event.extended_by(), []);
}

/// Returns the event of the one program that a child ran.
fn run(t: &mut Test, command: &mut Command) -> (Params, u64) {
    let captured: Captured = t.capture(|| i64::from(command.status().unwrap().code().unwrap()));
    assert_eq!(captured.ret, 0, "the program failed");
    let this = captured.tid;
    let mut events = captured.all();
    assert_eq!(events.len(), 1, "events");
    (events.remove(0), this)
}

fn true_program() -> std::path::PathBuf {
    fs::canonicalize("/bin/true").unwrap()
}

pub fn execve_e(t: &mut Test) {
    t.fails(libc::ENOENT, || execve(MISSING, &ARGV, &ENVP)).text("filename", MISSING);
    run(t, &mut Command::new("/bin/true")).0.text("filename", c"/bin/true");
    t.fails(libc::EFAULT, || syscall!(SYS_execve, 1usize, 0, 0)).empty("filename");
}

pub fn execve_x(t: &mut Test) {
    failed_execve(t);
    long_arguments(t);
    longer_arguments(t);
    script(t);
    successful_execve(t);
    another_user(t);
    memory_file(t);
    successful_execveat(t);
}

fn failed_execve(t: &mut Test) {
    let event = t.fails(libc::ENOENT, || execve(MISSING, &ARGV, &ENVP));
    event.i64("res", -i64::from(libc::ENOENT)).text("exe", c"first").bytes("args", b"second\0\0third\0");
    event.bytes("env", b"KEY=value\0OTHER=x\0").text("filename", MISSING);
    assert_own(&event);
    assert_not_extended(&event);
    // Without an argv, the program's name is an empty string.
    let event = t.fails(libc::ENOENT, || syscall!(SYS_execve, MISSING.as_ptr(), 0, 0));
    event.i64("res", -i64::from(libc::ENOENT)).text("exe", c"").empty("args").empty("env");
    event.text("filename", MISSING);
    assert_own(&event);
    assert_not_extended(&event);
    // Unreadable arguments have no value.
    let event = t.fails(libc::EFAULT, || syscall!(SYS_execve, 1usize, 2usize, 3usize));
    event.i64("res", -i64::from(libc::EFAULT)).empty("exe").empty("args").empty("env").empty("filename");
    assert_own(&event);
    assert_not_extended(&event);
}

/// An event keeps at most 4,096 bytes, the last one a NUL. Its extension then has all.
fn long_arguments(t: &mut Test) {
    let long = CString::new(vec![b'x'; 3000]).unwrap();
    let event = t.fails(libc::ENOENT, || execve(MISSING, &[c"four", &long, &long], &[&long, &long]));
    let twice = [long.to_bytes_with_nul(), long.to_bytes_with_nul()].concat();
    let cut = |length: usize| [&twice[..length - 1], b"\0"].concat();
    event.i64("res", -i64::from(libc::ENOENT)).text("exe", c"four").bytes("args", &cut(4096 - 5));
    event.bytes("env", &cut(4096)).text("filename", MISSING);
    event.empty("interpreter").empty("workdir").empty("workdir_flags");
    event.bytes("argv", &[b"four\0", &twice[..]].concat()).bytes("envp", &twice).u8("cut", 0);
    assert_own(&event);
    drop(event);

    let mut command = Command::new("/bin/true");
    command.arg0("four").args(["x".repeat(3000), "x".repeat(3000)]).env_clear();
    command.env("A", "x".repeat(5000));
    let (event, this) = run(t, &mut command);
    event.i64("res", 0).text("exe", c"four").bytes("args", &cut(4096 - 5));
    event.bytes("env", &[b"A=", &[b'x'; 4093][..], b"\0"].concat()).text("filename", c"/bin/true");
    assert_process(&event, event.tid(), Some(this), "true");
    assert_session(&event);
    assert_root(&event);
    assert_exe(&event, &true_program(), EXE_WRITABLE);
    assert_in_directory(&event);
    event.empty("interpreter").bytes("argv", &[b"four\0", &twice[..]].concat());
    event.bytes("envp", &[b"A=", &[b'x'; 5000][..], b"\0"].concat()).u8("cut", 0);
}

/// An extension keeps at most the limit, and says what it cuts.
fn longer_arguments(t: &mut Test) {
    let cut = |text: &[u8]| [&text[..LIMIT - 1], b"\0"].concat();
    let short = ["x"; 3000];
    let shorts =
        CString::new(short.join("")).unwrap().to_bytes().iter().flat_map(|b| [*b, 0]).collect::<Vec<_>>();
    // One long argument, of a program that runs, and of one that does not.
    let long = CString::new(vec![b'y'; 100_000]).unwrap();
    let event = t.fails(libc::ENOENT, || execve(MISSING, &[c"zero", &long], &[&long]));
    event.rest_does_not_matter().bytes("argv", &cut(&[b"zero\0", long.to_bytes()].concat()));
    event.bytes("envp", &cut(long.to_bytes())).u8("cut", ARGV_CUT | ENVP_CUT);
    let mut command = Command::new("/bin/true");
    command.arg0("zero").arg(long.to_str().unwrap()).env_clear().env("A", "1");
    let event = run(t, &mut command).0;
    event.rest_does_not_matter().bytes("argv", &cut(&[b"zero\0", long.to_bytes()].concat()));
    event.empty("envp").u8("cut", ARGV_CUT);
    // Many arguments: of a failed call, at most 1,024.
    let mut command = Command::new("/bin/true");
    command.arg0("zero").args(short).env_clear();
    let event = run(t, &mut command).0;
    event.rest_does_not_matter().bytes("argv", &[b"zero\0", &shorts[..]].concat()).u8("cut", 0);
    let event = t.fails(libc::ENOENT, || execve(MISSING, &[c"x"; 1024], &[c"x"; 1025]));
    event.rest_does_not_matter().bytes("args", &shorts[..2046]).empty("argv");
    event.bytes("envp", &shorts[..2048]).u8("cut", ENVP_CUT);
    // The event has the first one, and up to 1,024 others.
    let event = t.fails(libc::ENOENT, || execve(MISSING, &[c"x"; 1025], &[]));
    assert_not_extended(event.rest_does_not_matter());
    let event = t.fails(libc::ENOENT, || execve(MISSING, &[c"x"; 1026], &[]));
    event.rest_does_not_matter().bytes("argv", &shorts[..2048]).empty("envp").u8("cut", ARGV_CUT);
    // Behind the end of an array are none, even if the end comes first.
    let ends = [std::ptr::null(), c"stray".as_ptr(), std::ptr::null()];
    let event = t.fails(libc::ENOENT, || syscall!(SYS_execve, MISSING.as_ptr(), ends.as_ptr(), 0usize));
    event.rest_does_not_matter().empty("args").empty("env");
}

/// The interpreter of a script, and the directory of the process.
fn script(t: &mut Test) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script");
    let run_script = |t: &mut Test, first_line: &str| {
        fs::write(&path, format!("{first_line}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        run(t, Command::new(&path).env_clear().current_dir(folder.path())).0
    };
    let name = CString::new(path.clone().into_os_string().into_vec()).unwrap();
    let here = CString::new(fs::canonicalize(folder.path()).unwrap().into_os_string().into_vec()).unwrap();
    for (line, interpreter) in
        [("#!/bin/true -x", c"/bin/true"), ("#! /bin/../bin/true", c"/bin/../bin/true")]
    {
        let event = run_script(t, line);
        event.rest_does_not_matter().text("interpreter", interpreter).text("filename", &name);
        event.text("exe", interpreter).text("workdir", &here).u8("workdir_flags", 0);
        assert_exe(&event, &true_program(), EXE_WRITABLE);
        drop(event);
        // Then a program without.
        run(t, &mut Command::new("/bin/true")).0.rest_does_not_matter().empty("interpreter");
    }
}

fn successful_execve(t: &mut Test) {
    let mut command = Command::new("/bin/true");
    command.arg0("its name").args(["one", "", "two"]).env_clear().envs([("A", "1"), ("B", "2")]);
    let (event, this) = run(t, &mut command);
    event.i64("res", 0).text("exe", c"its name").bytes("args", b"one\0\0two\0");
    event.bytes("env", b"A=1\0B=2\0").text("filename", c"/bin/true");
    assert_process(&event, event.tid(), Some(this), "true");
    assert_session(&event);
    assert_root(&event);
    assert_exe(&event, &true_program(), EXE_WRITABLE);
    assert_ran_here(&event);
    drop(event);
    // Neither arguments nor an environment.
    let (event, this) = run(t, Command::new("/bin/true").env_clear());
    event.i64("res", 0).text("exe", c"/bin/true").empty("args").empty("env").text("filename", c"/bin/true");
    assert_process(&event, event.tid(), Some(this), "true");
    assert_session(&event);
    assert_root(&event);
    assert_exe(&event, &true_program(), EXE_WRITABLE);
    assert_ran_here(&event);
}

/// A user who cannot write to the program, and has no capabilities.
fn another_user(t: &mut Test) {
    let mut command = Command::new("/bin/true");
    command.uid(65534).gid(65533).process_group(0).env_clear();
    let (event, this) = run(t, &mut command);
    event.i64("res", 0).text("exe", c"/bin/true").empty("args").empty("env").text("filename", c"/bin/true");
    assert_process(&event, event.tid(), Some(this), "true");
    let pid = event.tid() as i64;
    event.number("tty");
    event.number("loginuid");
    event.i64("pgid", pid).i64("vpgid", pid);
    event.u64("cap_permitted", 0).u64("cap_effective", 0).u64("cap_inheritable", 0);
    event.u32("uid", 65534).u32("gid", 65533);
    assert_exe(&event, &true_program(), 0);
    assert_ran_here(&event);
}

/// A program that is in no directory.
fn memory_file(t: &mut Test) {
    let file = rustix::fs::memfd_create("scapd-test", rustix::fs::MemfdFlags::empty()).unwrap();
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    fs::copy("/bin/true", &link).unwrap();
    let stat = rustix::fs::fstat(&file).unwrap();
    let (event, this) = run(t, Command::new(&link).env_clear());
    let name = CString::new(link).unwrap();
    event.i64("res", 0).text("exe", &name).empty("args").empty("env").text("filename", &name);
    let comm = file.as_raw_fd().to_string();
    // From 6.14 on, a program run by its descriptor has the file's own name.
    let own_name = event.bytes_of("comm").starts_with(b"memfd:");
    assert_process(&event, event.tid(), Some(this), if own_name { "memfd:scapd-tes" } else { &comm });
    assert_session(&event);
    assert_root(&event);
    event.u32("flags", EXE_WRITABLE | EXE_FROM_MEMFD).text("trusted_exepath", c"memfd:scapd-test");
    event.u64("exe_ino", stat.st_ino);
    event.u64("exe_ino_mtime", stat.st_mtime as u64 * 1_000_000_000 + stat.st_mtime_nsec as u64);
    event.u64("exe_ino_ctime", stat.st_ctime as u64 * 1_000_000_000 + stat.st_ctime_nsec as u64);
    assert_ran_here(&event);
}

/// Its exit looks like that of an execve to BPF programs.
fn successful_execveat(t: &mut Test) {
    let directory = fs::File::open(true_program().parent().unwrap()).unwrap();
    let fd = directory.as_raw_fd();
    let mut command = Command::new("/bin/false");
    // SAFETY: the child only makes a system call.
    unsafe {
        command.pre_exec(move || {
            let (argv, envp) = ([c"zero".as_ptr(), std::ptr::null()], [std::ptr::null::<libc::c_char>()]);
            syscall!(SYS_execveat, fd, c"true".as_ptr(), argv.as_ptr(), envp.as_ptr(), 0);
            Err(std::io::Error::last_os_error())
        });
    }
    let (event, this) = run(t, &mut command);
    event.i64("res", 0).text("exe", c"zero").empty("args").empty("env");
    event.text("filename", &CString::new(format!("/dev/fd/{fd}/true")).unwrap());
    assert_process(&event, event.tid(), Some(this), "true");
    assert_session(&event);
    assert_root(&event);
    assert_exe(&event, &true_program(), EXE_WRITABLE);
    assert_ran_here(&event);
}

fn execveat(dirfd: i32, path: &CStr, flags: i32) -> i64 {
    let (argv, envp) = (pointers(&ARGV), pointers(&ENVP));
    syscall!(SYS_execveat, dirfd, path.as_ptr(), argv.as_ptr(), envp.as_ptr(), flags)
}

pub fn execveat_e(t: &mut Test) {
    let flags = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW;
    t.fails(libc::EBADF, || execveat(-7, c"missing", flags))
        .i64("dirfd", -7)
        .text("pathname", c"missing")
        .u32("flags", 1 | 2);
    t.fails(libc::ENOENT, || execveat(libc::AT_FDCWD, MISSING, 0))
        .i64("dirfd", -100)
        .text("pathname", MISSING)
        .u32("flags", 0);
    t.fails(libc::EFAULT, || syscall!(SYS_execveat, -100, 1usize, 0, 0, 0))
        .i64("dirfd", -100)
        .empty("pathname")
        .u32("flags", 0);
}

/// Covers only failed calls: a successful one is recorded as an execve.
pub fn execveat_x(t: &mut Test) {
    let event = t.fails(libc::ENOENT, || execveat(libc::AT_FDCWD, MISSING, 0));
    event.i64("res", -i64::from(libc::ENOENT)).text("exe", c"first").bytes("args", b"second\0\0third\0");
    event.bytes("env", b"KEY=value\0OTHER=x\0");
    assert_own(&event);
}
