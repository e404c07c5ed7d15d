//! `scapd record` as a process: its command, its signals, its exit codes and its messages. Needs root, for real
//! recordings.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use common::{Capture, file, run, scapd};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Waits at most a minute for a condition.
fn wait_for(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        sleep(Duration::from_millis(1));
    }
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists
        .flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>())
        .collect()
}

/// Returns whether a process exists and is not a zombie.
fn lives(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Starts a recorder, and returns it with its command while that is held: loading all programs takes long.
fn held(folder: &TempDir) -> (Child, u32) {
    let path = file(folder, "held.scap");
    let recorder =
        scapd().args(["record", "-q", "-w"]).arg(path).args(["--", "sleep", "0.2"]).spawn().unwrap();
    let mut child = None;
    wait_for("a held command", || {
        child = children(recorder.id()).first().copied();
        child.is_some()
    });
    (recorder, child.unwrap())
}

#[test]
fn a_held_command_ends_with_a_recorder_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut recorder, child) = held(&folder);
    // The child has closed the recorder's descriptors, above all those of BPF programs.
    wait_for("descriptors let go of", || {
        let open = fs::read_dir(format!("/proc/{child}/fd")).into_iter().flatten().flatten();
        let bpf =
            open.filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().contains("bpf")));
        bpf.count() == 0
    });
    let is_held = fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default() != "sleep\n";
    recorder.kill().unwrap();
    recorder.wait().unwrap();
    assert!(is_held, "it runs already: nothing is tested");
    wait_for("the end of the held command", || !lives(child));
}

#[test]
fn a_held_command_ends_by_one_signal() {
    let folder = tempfile::tempdir().unwrap();
    let (mut recorder, child) = held(&folder);
    wait_for("handlers that are reset", || {
        let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap();
        status.lines().any(|line| line == "SigCgt:\t0000000000000000")
    });
    kill_process(Pid::from_raw(child as i32).unwrap(), Signal::TERM).unwrap();
    wait_for("the end of the held command", || !lives(child));
    assert_eq!(recorder.wait().unwrap().code(), Some(128 + 15));
}

/// The recorder notices that the output accepts nothing while the command is held, or a moment later.
#[test]
fn a_held_command_ends_with_an_output_that_fails() {
    let (code, _, said) = run(scapd().args(["record", "-q", "-w", "/dev/full", "--", "sleep", "0.125"]));
    assert_eq!(code, Some(5), "{said}");
    let mut left = Vec::new();
    wait_for("the end of the command", || {
        left = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path().join("cmdline")).collect();
        left.retain(|path| fs::read(path).is_ok_and(|command| command.ends_with(b"sleep\x000.125\0")));
        left.is_empty()
    });
}

#[test]
fn a_start_without_proc_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mark) = (file(&folder, "no.scap"), file(&folder, "mark"));
    let script = format!(
        "mount -t tmpfs none /proc; exec {} record -q -w {} -- touch {}",
        env!("CARGO_BIN_EXE_scapd"),
        path.display(),
        mark.display()
    );
    let (code, _, said) = run(Command::new("unshare").args(["-m", "sh", "-c", &script]));
    assert_eq!(code, Some(4), "{said}");
    assert!(!mark.exists(), "the command has run");
    let left = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(&*path.to_string_lossy())
    });
    assert_eq!(left.count(), 0);
}

/// The signals 32 and 33, in a mask of /proc: the C library takes them for itself, and a process that it has spawned may
/// have them ignored.
const SIGNALS_OF_LIBC: u64 = 0b11 << 31;

/// The command inherits what the recorder was given (descriptors, ignored signals), and nothing of the recorder's own.
#[test]
fn a_command_gets_what_the_recorder_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let given = file(&folder, "given");
    let look = "ls -l /proc/self/fd; grep SigIgn /proc/self/status";
    let script =
        |prefix: &str| format!("trap '' USR1 INT QUIT; exec 7>{}; {prefix} sh -c '{look}'", given.display());
    let recorder =
        format!("{} record -q -w {} --", env!("CARGO_BIN_EXE_scapd"), file(&folder, "a.scap").display());
    let descriptors = |prefix: &str| {
        let (code, out, said) = run(Command::new("sh").arg("-c").arg(script(prefix)));
        assert_eq!(code, Some(0), "{said}");
        let numbers: Vec<_> =
            out.lines().filter_map(|line| line.split_once(" -> ")?.0.split(' ').next_back()).collect();
        let ignored = out.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
        let ignored = u64::from_str_radix(ignored, 16).unwrap() & !SIGNALS_OF_LIBC;
        format!("{numbers:?} {ignored:#x}")
    };
    assert_eq!(descriptors(&recorder), descriptors(""));
}

#[test]
fn a_command_that_cannot_run_leaves_a_whole_capture() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "cannot.scap");
    let (code, _, said) = run(scapd().args(["record", "-w"]).arg(&path).args(["--", "/no/such/command"]));
    assert_eq!(
        (code, said.trim_end()),
        (Some(127), "scapd: cannot run /no/such/command: there is no such program")
    );
    assert!(!path.exists());
    let (code, _, said) = run(scapd().args(["record", "-w"]).arg(&path).args(["--", "no-such-command"]));
    assert_eq!(code, Some(127), "{said}");
    assert!(said.contains("in PATH"), "{said}");
    // That it cannot be executed shows only when all is ready.
    let (code, _, said) = run(scapd().args(["record", "-w"]).arg(&path).arg("--").arg(folder.path()));
    assert_eq!(code, Some(126), "{said}");
    assert!(!said.contains("lost: ") && said.contains("Permission denied"), "{said}");
    Capture::read(&path);
}

#[test]
fn a_capture_on_stdout_stays_clean() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "out.scap");
    for target in ["-", "/dev/stdout", "/dev/fd/1"] {
        let out = File::create(&path).unwrap();
        let command = scapd()
            .args(["record", "--syscalls", "write", "-w", target, "--", "echo", "the command's own words"])
            .stdout(out)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&command.stderr);
        assert_eq!(command.status.code(), Some(0), "{target}: {said}");
        assert!(said.contains("the command's own words"), "{target}: {said}");
        assert!(said.contains("goes to stderr"), "{target}: {said}");
        assert!(Capture::read(&path).count("write_x") > 0, "{target}");
    }
}

/// Starts a recorder of the whole machine, and waits until it records.
fn recorder(path: &Path) -> Child {
    let child = scapd().args(["record", "-q", "--syscalls", "getcwd", "-w"]).arg(path).spawn().unwrap();
    begun(&child);
    child
}

/// Waits until a recorder handles signals and records.
fn begun(child: &Child) {
    wait_for("a recorder's threads", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).into_iter().flatten().flatten();
        tasks
            .flat_map(|task| fs::read_to_string(task.path().join("comm")))
            .any(|comm| comm == "scapd-writer\n")
    });
    sleep(Duration::from_millis(100));
}

#[test]
fn signals_end_a_recording_properly() {
    let folder = tempfile::tempdir().unwrap();
    for (name, number) in [("term", Signal::TERM), ("hup", Signal::HUP), ("int", Signal::INT)] {
        let path = file(&folder, name);
        let mut child = recorder(&path);
        signal(&child, number);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{name}");
        Capture::read(&path);
    }
}

#[test]
fn signals_for_a_service_do_nothing_in_the_foreground() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "usr.scap");
    let mut child = recorder(&path);
    signal(&child, Signal::USR1);
    signal(&child, Signal::USR2);
    sleep(Duration::from_millis(200));
    assert!(child.try_wait().unwrap().is_none(), "it has ended");
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    Capture::read(&path);
}

#[test]
fn nohup_is_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "nohup.scap");
    let arguments =
        format!("{} record -q --syscalls getcwd -w {}", env!("CARGO_BIN_EXE_scapd"), path.display());
    let mut child =
        Command::new("sh").args(["-c", &format!("trap '' HUP; exec {arguments}")]).spawn().unwrap();
    begun(&child);
    signal(&child, Signal::HUP);
    sleep(Duration::from_millis(200));
    assert!(child.try_wait().unwrap().is_none(), "it has ended");
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_limit_on_files_is_an_error_of_the_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "limit.scap");
    let script =
        format!("ulimit -f 1; exec {} record -q -w {} -- true", env!("CARGO_BIN_EXE_scapd"), path.display());
    let (code, _, said) = run(Command::new("sh").args(["-c", &script]));
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("ulimit -f"), "{said}");
}

/// A stop by the control socket does not count as the first of two signals.
#[test]
fn a_signal_behind_a_request_to_stop_waits_for_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (path, socket) = (file(&folder, "stop.scap"), file(&folder, "socket"));
    let mut child = scapd()
        .args(["record", "-q", "--syscalls", "getcwd", "--control"])
        .arg(&socket)
        .arg("-w")
        .arg(&path)
        .spawn()
        .unwrap();
    begun(&child);
    let (code, _, said) = run(scapd().args(["ctl", "--socket"]).arg(&socket).arg("stop"));
    assert_eq!(code, Some(0), "{said}");
    // It may have ended by itself.
    let _ = kill_process(Pid::from_child(&child), Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    Capture::read(&path);
}

#[test]
fn a_recording_of_processes_ends_with_the_last_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "pid.scap");
    let go = file(&folder, "go");
    // A descendant outlives its parent.
    let script = format!("while [ ! -e {} ]; do sleep 0.02; done; sleep 0.5 & exec true", go.display());
    let mut process = Command::new("sh").args(["-c", &script]).spawn().unwrap();
    let mut child = scapd()
        .args(["record", "-q", "-w"])
        .arg(&path)
        .args(["-p", &process.id().to_string()])
        .spawn()
        .unwrap();
    begun(&child);
    let start = Instant::now();
    fs::write(&go, "").unwrap();
    process.wait().unwrap();
    wait_for("the end of the recording", || child.try_wait().unwrap().is_some());
    assert!(start.elapsed() > Duration::from_millis(500), "it did not wait for the descendant");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    Capture::read(&path);
}

/// What has ended before the start sees no end any more.
#[test]
fn a_zombie_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut process =
        Command::new("sh").args(["-c", "true & exec cat"]).stdin(Stdio::piped()).spawn().unwrap();
    wait_for("a zombie", || {
        let stat = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        children(process.id()).iter().any(|pid| stat(pid).contains(") Z "))
    });
    let mut recorder = scapd()
        .args(["record", "-q", "-w"])
        .arg(file(&folder, "zombie.scap"))
        .args(["-p", &process.id().to_string()])
        .spawn()
        .unwrap();
    begun(&recorder);
    drop(process.stdin.take());
    process.wait().unwrap();
    wait_for("the end of the recording", || recorder.try_wait().unwrap().is_some());
    assert_eq!(recorder.wait().unwrap().code(), Some(0));
}

#[test]
fn a_process_that_is_not_there_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "gone.scap");
    let (code, _, said) = run(scapd().args(["record", "-p", "99999999", "-w"]).arg(&path));
    assert_eq!((code, said.trim_end()), (Some(1), "scapd: there is no process 99999999"));
    assert!(!path.exists());
    // A process that ends while the programs load: after the first check, and before the second.
    let mut process = Command::new("sleep").arg("30").spawn().unwrap();
    let recorder = scapd()
        .args(["record", "-p", &process.id().to_string(), "-w"])
        .arg(&path)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("programs that are loaded", || {
        let open = fs::read_dir(format!("/proc/{}/fd", recorder.id())).into_iter().flatten().flatten();
        open.filter_map(|fd| fs::read_link(fd.path()).ok())
            .any(|to| to.to_string_lossy().contains("bpf-prog"))
    });
    process.kill().unwrap();
    process.wait().unwrap();
    let out = recorder.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains(&format!("process {} ended before the recording began", process.id())), "{said}");
}

#[test]
fn an_error_of_the_stats_file_hides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "stats.scap");
    let gone = file(&folder, "gone");
    let stats = gone.join("stats");
    // The directory exists at the start.
    let record = |command: &str| {
        fs::create_dir(&gone).unwrap();
        let command = format!("rmdir {}; {command}", gone.display());
        let mut record = scapd();
        record.args(["record", "--syscalls", "getcwd", "--stats-file"]).arg(&stats).arg("-w").arg(&path);
        run(record.args(["--", "sh", "-c", &command]))
    };
    let (code, _, said) = record("exit 9");
    assert_eq!(code, Some(9), "{said}");
    let expected = format!("cannot write the balance to {}", stats.display());
    assert!(said.contains(&expected), "{said}");
    let (code, _, said) = record("exit 0");
    assert_eq!(code, Some(5), "{said}");
}

#[test]
fn a_full_stdout_is_an_error_of_the_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "full.scap");
    assert_eq!(run(scapd().args(["record", "-q", "-w"]).arg(&path).args(["--", "true"])).0, Some(0));
    let path = path.to_str().unwrap();
    for arguments in [
        ["read", path].as_slice(),
        &["info", path],
        &["verify", path],
        &["list", "syscalls"],
        &["list", "events"],
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let out = scapd().args(arguments).stdout(full).output().unwrap();
        assert_eq!(out.status.code(), Some(5), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn a_recording_of_nothing_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "open.scap");
    let (code, _, said) =
        run(scapd().args(["record", "--syscalls", "open", "-w"]).arg(&path).args(["--", "cat", "/dev/null"]));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nothing was recorded") && !said.contains("nothing lost"), "{said}");
    assert!(said.contains("called a variant instead: openat"), "{said}");
}

#[test]
fn losses_and_events_say_their_direction() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "direction.scap");
    let calls = "open my $f, '<', '/dev/null'; stat '/' for 1..30000";
    let (_, _, said) = run(scapd()
        .args([
            "record",
            "--test-rate",
            "1000",
            "--buffer-size",
            "4K",
            "--syscalls",
            "newfstatat,close_range",
            "-w",
        ])
        .arg(&path)
        .args(["--", "perl", "-e", calls]));
    let most = said
        .lines()
        .find(|line| line.contains("most of all"))
        .unwrap_or_else(|| panic!("nothing lost: {said}"));
    assert!(most.contains("> newfstatat") && most.contains("< newfstatat"), "{most}");
    let number =
        scap::events::Syscall::by_name("close_range").unwrap().number(scap::events::Arch::NATIVE).unwrap();
    let call = format!("syscall({number}, 90, 91, 0)");
    let (code, _, said) = run(scapd()
        .args(["record", "--syscalls", "close_range", "-w"])
        .arg(&path)
        .args(["--", "perl", "-e", &call]));
    assert_eq!(code, Some(0), "{said}");
    let (_, lines, _) = run(scapd().arg("read").arg(&path));
    assert!(lines.contains(" > close_range") && lines.contains(" < close_range"), "{lines}");
}

#[test]
fn files_smaller_than_the_state_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, said) = run(scapd()
        .args(["record", "-C", "8K", "-w"])
        .arg(file(&folder, "small.scap"))
        .args(["--syscalls", "getcwd", "--", "true"]));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("exceed the limit of 8192 bytes"), "{said}");
}

/// BPF programs read the machine's clock, the recorder that of its time namespace.
#[test]
fn a_time_namespace_does_not_shift_the_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "time.scap");
    let now = || jiff::Timestamp::now().as_nanosecond() as u64;
    let before = now();
    let (code, _, said) = run(Command::new("unshare")
        .args(["--time", "--boottime", "86400", env!("CARGO_BIN_EXE_scapd"), "record", "-q", "-w"])
        .arg(&path)
        .args(["--syscalls", "getppid", "--", "perl", "-e", "getppid for 1..9"]));
    assert_eq!(code, Some(0), "{said}");
    let capture = Capture::read(&path);
    let times: Vec<_> =
        capture.of("generic_x").chain(capture.of("execve_x")).map(|event| event.ts()).collect();
    assert!(!times.is_empty(), "{:?}", capture.counts);
    let slack = 1_000_000;
    assert!(times.iter().all(|ts| (before - slack..now() + slack).contains(ts)), "{before}: {times:?}");
    assert_eq!(capture.verdict.late, 0);
    let (_, info, _) = run(scapd().arg("info").arg(&path));
    assert!(info.contains("first event"), "{info}");
}

/// The environment of programs is in their events and in the state at the start. `--no-env` keeps it out of both.
#[test]
fn the_environment_can_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let has_secret = |name: &str, options: &[&str]| {
        let path = file(&folder, name);
        let mut recorder = scapd();
        recorder.args(["record", "-q", "--syscalls", "execve", "-w"]).arg(&path).args(options);
        let (code, _, said) = run(recorder.args(["--", "true"]).env("SCAPD_TEST", "kept-secret"));
        assert_eq!(code, Some(0), "{said}");
        let bytes = fs::read(&path).unwrap();
        let count_of = |text: &[u8]| bytes.windows(text.len()).filter(|window| *window == text).count();
        assert!(count_of(b"true\0") > 0, "{name}: the command is not recorded");
        count_of(b"kept-secret")
    };
    assert!(has_secret("with.scap", &[]) >= 2, "the state and the event have it");
    assert_eq!(has_secret("without.scap", &["--no-env"]), 0);
}
