//! The rights that a recording gives up, and that the programs it executes keep theirs.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    process::{Command, Stdio},
};

use scap::format::Reader;

use crate::{
    GETGID,
    common::{run, scapd},
    harness::{Daemon, Generator, NOBODY, RECORDING, config, ctl},
};

const SYS_ADMIN: u64 = 1 << 21;
/// CAP_BPF, CAP_PERFMON.
const LOADING: u64 = 1 << 39 | 1 << 38;

/// Returns a field of a text in the form of /proc/self/status.
fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).trim()
}

/// Returns whether a process is confined by seccomp and cannot gain rights by executing a program.
fn is_confined(status: &str) -> bool {
    assert_eq!(field(status, "Seccomp") == "0", field(status, "NoNewPrivs") == "0", "{status}");
    field(status, "Seccomp") != "0"
}

fn effective(status: &str) -> u64 {
    u64::from_str_radix(field(status, "CapEff"), 16).unwrap()
}

fn own_status() -> String {
    fs::read_to_string("/proc/self/status").unwrap()
}

#[test]
fn a_service_is_confined_in_all_its_threads() {
    let calls = Generator::start();
    let more = "[files]\ngzip = true\n[metrics]\nmetrics = '127.0.0.1:0'\n";
    let mut daemon = Daemon::start(&config(&calls, GETGID, more));
    daemon.wait_for("READY=1");
    let said = daemon.wait_for_log("the recording: capabilities left: ");
    assert!(said.contains("CAP_SYS_PTRACE") && said.contains("seccomp refuses "), "{said}");
    let threads = daemon.threads();
    assert!(threads.len() > 5, "{threads:?}");
    for status in &threads {
        assert!(is_confined(status), "{status}");
        let task = field(status, "Name");
        let talks = ["control", "metrics", "signals", "rotate", "notify"].iter().any(|of| task.ends_with(of));
        assert_eq!(effective(status) & !if talks { 0 } else { RECORDING }, 0, "{status}");
    }
    // The second file starts with the state of the machine at that time, including processes with more rights.
    assert_eq!(run(&mut ctl(&daemon, &["rotate"])).0, Some(0));
    assert_eq!(run(&mut ctl(&daemon, &["stop"])).0, Some(0));
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0), "{log}");
    let files = daemon.files();
    assert_eq!(files.len(), 2, "{log}");
    for file in files {
        let mut reader = Reader::new(fs::File::open(&file).unwrap()).unwrap();
        while reader.next_event().unwrap().is_some() {}
        let fds = reader.state().fds.iter().find(|list| list.pid == u64::from(calls.pid()));
        assert!(fds.is_some_and(|list| list.fds.len() >= 3), "{}: {fds:?}", file.display());
    }
}

#[test]
fn a_hook_of_a_service_is_as_if_nothing_was_confined() {
    let calls = Generator::start();
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let hook = format!("[files]\non-close = 'sh -c \"cat /proc/self/status > {}\"'\n", told.display());
    let mut daemon = Daemon::start(&config(&calls, GETGID, &hook));
    daemon.wait_for("READY=1");
    let free: Vec<_> = daemon.threads().into_iter().filter(|status| !is_confined(status)).collect();
    assert!(free.len() == 1 && field(&free[0], "Name") == "scapd-files", "{free:?}");
    assert_eq!(run(&mut ctl(&daemon, &["rotate"])).0, Some(0));
    daemon.wait_until(|_| fs::read_to_string(&told).is_ok_and(|text| text.contains("Seccomp:")));
    let told = fs::read_to_string(&told).unwrap();
    assert!(!is_confined(&told), "{told}");
    assert_eq!(effective(&told), effective(&own_status()), "root's commands have what root has");
}

#[test]
fn a_hook_of_another_user_has_no_capabilities() {
    let calls = Generator::start();
    let folder = tempfile::tempdir().unwrap();
    chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let told = folder.path().join("told");
    let hook = format!("[files]\non-close = 'sh -c \"cat /proc/self/status > {}\"'\n", told.display());
    let all = "+bpf,+perfmon,+sys_ptrace,+dac_read_search";
    let mut daemon = Daemon::start_as_nobody(&config(&calls, GETGID, &hook), all);
    daemon.wait_for("READY=1");
    assert_eq!(run(&mut ctl(&daemon, &["rotate"])).0, Some(0));
    daemon.wait_until(|_| fs::read_to_string(&told).is_ok_and(|text| text.contains("Seccomp:")));
    let told = fs::read_to_string(&told).unwrap();
    assert!(!is_confined(&told), "{told}");
    for sets in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(u64::from_str_radix(field(&told, sets), 16), Ok(0), "{sets}");
    }
}

#[test]
fn it_can_be_turned_off() {
    let calls = Generator::start();
    for (how, capabilities) in [("off", LOADING), ("capabilities", 0)] {
        let mut daemon = Daemon::start(&config(&calls, GETGID, &format!("confine = '{how}'\n")));
        daemon.wait_for("READY=1");
        assert!(daemon.threads().iter().all(|status| !is_confined(status)), "{how}");
        assert_eq!(daemon.capabilities() & LOADING, capabilities, "{how}");
    }
}

/// Records a command, and returns its output.
fn record(options: &[&str], command: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.scap");
    let mut recorder = scapd();
    recorder.args(["record", "-q", "--syscalls", "getgid", "-w"]).arg(&path).args(options);
    let (code, said, error) = run(recorder.arg("--").args(command).stdin(Stdio::null()));
    assert_eq!(code, Some(0), "{error}");
    said
}

#[test]
fn a_recording_in_the_foreground_is_confined_and_its_command_is_not() {
    let command = record(&[], &["cat", "/proc/self/status"]);
    assert!(!is_confined(&command));
    for sets in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(&command, sets), field(&own_status(), sets), "{sets}");
    }
    let recorder = record(&[], &["sh", "-c", "cat /proc/$PPID/status"]);
    assert!(is_confined(&recorder));
    assert_eq!(effective(&recorder) & (SYS_ADMIN | LOADING), 0, "{recorder}");
    assert_eq!(effective(&recorder) & RECORDING, RECORDING, "{recorder}");
    let off = record(&["--confine", "off"], &["sh", "-c", "cat /proc/$PPID/status"]);
    assert!(!is_confined(&off) && effective(&off) == effective(&own_status()), "{off}");
}

/// Returns a setuid copy of a program, owned by root.
fn setuid(program: &str, folder: &Path) -> std::path::PathBuf {
    let copy = folder.join("setuid");
    assert!(Command::new("cp").arg(program).arg(&copy).status().unwrap().success());
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o4755)).unwrap();
    copy
}

#[test]
fn a_setuid_command_works_while_it_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let id = setuid("/usr/bin/id", folder.path());
    let nobody = NOBODY.to_string();
    let words = ["setpriv", "--reuid", &nobody, "--clear-groups", id.to_str().unwrap(), "-u"];
    assert_eq!(record(&[], &words), "0\n");
}

#[test]
fn a_hook_in_the_foreground_is_as_if_nothing_was_confined() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let hook = format!("sh -c 'cat /proc/self/status > {}'", told.display());
    record(&["-e", "100", "--on-close", &hook], &["true"]);
    let told = fs::read_to_string(&told).unwrap();
    assert!(!is_confined(&told), "{told}");
    assert_eq!(effective(&told), effective(&own_status()));
}

#[test]
fn what_is_possible_here_is_told() {
    let (_, said, _) = run(scapd().arg("check"));
    let line = said.lines().find(|line| line.starts_with("confinement ")).unwrap_or_default();
    assert!(line.contains("system calls") && line.contains("Landlock"), "{said}");
}
