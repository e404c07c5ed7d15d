//! A command that is held, released, or never released.

use std::{
    os::unix::process::ExitStatusExt,
    thread,
    time::{Duration, Instant},
};

use super::*;

fn command(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn hold(words: &[&str]) -> HeldCommand {
    HeldCommand::spawn(&command(words), Stdout::Inherited, OpenFiles::raise(), &[]).unwrap().unwrap()
}

fn status(held: &mut HeldCommand) -> ExitStatus {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        if let Some(status) = held.try_wait().unwrap() {
            return status;
        }
        thread::sleep(Duration::from_millis(2));
    }
    panic!("the command does not end");
}

fn state(field: &str, pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim().to_owned()
}

#[test]
fn a_command_runs_only_when_it_is_released() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    let mut held = hold(&["sh", "-c", "echo $$ > \"$0\"; exit 7", file.to_str().unwrap()]);
    thread::sleep(Duration::from_millis(50));
    assert!(!file.exists());
    assert_eq!(held.try_wait().unwrap(), None);
    held.release().unwrap();
    assert_eq!(status(&mut held).code(), Some(7));
    assert_eq!(fs::read_to_string(file).unwrap().trim(), held.pid().to_string());
    // A second release changes nothing.
    held.release().unwrap();
    assert!(HeldCommand::spawn(&[], Stdout::Inherited, OpenFiles::raise(), &[]).unwrap().is_none());
}

#[test]
fn a_command_that_is_never_released_ends_with_its_recorder() {
    let held = hold(&["true"]);
    let pid = held.pid();
    assert!(fs::exists(format!("/proc/{pid}")).unwrap());
    drop(held);
    assert!(!fs::exists(format!("/proc/{pid}")).unwrap());
    // It also ends by itself when the recorder's end of the pipe is closed.
    let mut held = hold(&["true"]);
    drop(held.go.take());
    assert_eq!(status(&mut held).code(), Some(1));
}

#[test]
fn a_held_command_that_was_killed_says_so_by_its_status() {
    let mut held = hold(&["true"]);
    held.child.kill().unwrap();
    let killed = status(&mut held);
    held.release().unwrap();
    assert_eq!(killed.signal(), Some(Signal::KILL.as_raw()));
}

#[test]
fn a_program_that_cannot_run_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    fs::write(&file, "no program").unwrap();
    let name = file.to_str().unwrap();
    let mut held = hold(&[name]);
    let error = held.release().unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(CommandError::Refused { .. })), "{error:#}");
    assert_eq!(status(&mut held).code(), Some(1));

    check(&[]).unwrap();
    check(&command(&["sh"])).unwrap();
    for missing in [&format!("{name}-missing")[..], "scapd-no-such-program"] {
        let error = check(&command(&[missing])).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(CommandError::NotFound { .. })), "{error:#}");
    }
}

#[test]
fn a_program_is_found_as_a_shell_finds_it() {
    let found = find(OsStr::new("sh")).unwrap();
    assert!(found.is_absolute() && found.ends_with("sh"), "{found:?}");
    // A folder can be searched, but is no program.
    assert_eq!(find(OsStr::new(".")), None);
    assert_eq!(find(OsStr::new("scapd-no-such-program")), None);
}

#[test]
fn a_child_keeps_what_has_no_close_on_exec() {
    let (kept, closed) = pipe().unwrap();
    rustix::io::fcntl_setfd(&kept, rustix::io::FdFlags::empty()).unwrap();
    let mut held = hold(&["sleep", "10"]);
    let deadline = Instant::now() + Duration::from_secs(10);
    let fd = |file: &File| u64::try_from(file.as_raw_fd()).unwrap();
    let path = |pid, file: &File| format!("/proc/{pid}/fd/{}", file.as_raw_fd());
    let not_kept = || {
        let fds = fs::read_dir(format!("/proc/{}/fd", held.pid())).unwrap().flatten();
        let numbers = fds.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter(|fd| *fd > 2 && !held.keeps(*fd)).count()
    };
    // Before its release, it closes what its exec would close, but for the ends of its two pipes.
    while not_kept() > 2 {
        assert!(Instant::now() < deadline, "the child keeps a descriptor");
        thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(not_kept(), 2);
    assert!(!fs::exists(path(held.pid(), &closed)).unwrap());
    assert!(fs::read_link(path(held.pid(), &kept)).is_ok());
    assert!(held.keeps(fd(&kept)) && held.keeps(0));
    assert!(!held.keeps(999_999));
    held.release().unwrap();
    assert!(fs::read_link(path(held.pid(), &kept)).is_ok());
    held.child.kill().unwrap();
    status(&mut held);
}

#[test]
fn a_command_has_default_signal_handlers() {
    // SAFETY: the handler does nothing, and no other test raises this signal.
    unsafe {
        extern "C" fn nothing(_: c_int) {}
        libc::signal(libc::SIGRTMAX() - 1, nothing as *const () as libc::sighandler_t);
        libc::signal(libc::SIGRTMAX() - 2, libc::SIG_IGN);
    }
    let held = hold(&["true"]);
    // The C library keeps signals 32 and 33 for itself: their handlers cannot be reset.
    let handled = || u64::from_str_radix(&state("SigCgt:", held.pid()), 16).unwrap() & !(0b11 << 31);
    let deadline = Instant::now() + Duration::from_secs(10);
    while handled() != 0 {
        assert!(Instant::now() < deadline, "handlers stay: {:x}", handled());
        thread::sleep(Duration::from_millis(2));
    }
    let ignored = u64::from_str_radix(&state("SigIgn:", held.pid()), 16).unwrap();
    assert!(ignored & 1 << (libc::SIGRTMAX() - 3) != 0, "{ignored:x}");
}

#[test]
fn the_highest_descriptor_has_a_margin() {
    let (file, _) = pipe().unwrap();
    let highest = highest_descriptor();
    assert!((file.as_raw_fd() + 30..1 << 16).contains(&highest), "{highest}");
}
