//! `scapd record`, as a user calls it. Needs root, for real recordings.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    os::unix::process::CommandExt,
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use common::{Capture, file, run, run_watched, scapd};
use rustix::process::{Pid, Signal, kill_process};
use scap::{
    events::Syscall,
    ledger::{Cause, Verdict},
};

/// Returns a perl command that makes a system call. Every Debian system has perl.
fn perl_calls(call: &str, count: u32) -> [String; 3] {
    let number = Syscall::by_name(call).unwrap().number(scap::events::Arch::NATIVE).unwrap();
    ["perl".into(), "-e".into(), format!("my $p = '/no/such/file'; syscall({number}, $p, 0) for 1..{count}")]
}

/// Returns the number before a word in the summary.
fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().unwrap();
    assert!(before.len() < text.len(), "no `{word}` in: {text}");
    let number = before.rsplit(char::is_whitespace).find(|t| !t.is_empty()).unwrap();
    number.replace(',', "").parse().unwrap()
}

fn lost(summary: &str) -> u64 {
    if summary.contains("nothing lost") { 0 } else { number_before(summary, "events lost") }
}

/// Records a million calls, and returns the numbers of captured and lost events.
fn million(buffer: &str) -> (u64, u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "million.scap");
    let calls = perl_calls("access", 1_000_000);
    let (code, _, said) = run(scapd()
        .args(["record", "--only", "--syscalls", "access", "--buffer-size", buffer, "-w"])
        .arg(&path)
        .arg("--")
        .args(&calls));
    assert_eq!(code, Some(0), "{said}");
    // The dynamic linker and perl's start make calls too.
    let capture = Capture::read(&path);
    assert_eq!(number_before(&said, "events in"), capture.events.len() as u64);
    assert_eq!(capture.counts.len(), 2, "something else than access: {:?}", capture.counts);
    (capture.events.len() as u64, lost(&said))
}

/// Returns the number of `access` events that perl causes by itself.
fn perl_alone() -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "perl.scap");
    let (code, _, said) = run(scapd()
        .args(["record", "--only", "--syscalls", "access", "-w"])
        .arg(&path)
        .arg("--")
        .args(perl_calls("access", 0)));
    assert_eq!(code, Some(0), "{said}");
    Capture::read(&path).events.len() as u64
}

#[test]
fn a_million_calls_are_captured_or_accounted_for() {
    let others = perl_alone();
    for buffer in ["8M", "64K"] {
        let (captured, lost) = million(buffer);
        assert_eq!(
            captured + lost,
            2_000_000 + others,
            "{captured} captured, {lost} lost, buffers of {buffer}"
        );
    }
}

/// Checks that an overloaded recorder's memory stays within its limits: rings of 256 KiB, the reserve ring, and the
/// buffers for the disk. Not all of it is touched at first.
fn assert_flat(resident: &[u64]) {
    let rings = (4 << 20) + (256 << 10) * std::thread::available_parallelism().unwrap().get() as u64;
    let buffers = 16 << 20;
    let (before, after) = resident.split_at(resident.len() / 4);
    let (before, after) = (before.iter().max().unwrap(), after.iter().max().unwrap());
    // A ring's pages are mapped twice.
    assert!(*after <= before + 2 * rings + buffers, "from {before} to {after} bytes: {resident:?}");
}

/// Ten times more reads and writes than the recorder can take, while processes start: their events are not lost.
#[test]
fn processes_outlive_the_mass() {
    const PROCESSES: usize = 100;
    let folder = tempfile::tempdir().unwrap();
    let (path, stats) = (file(&folder, "mass.scap"), file(&folder, "mass.json"));
    let perl = format!(
        "my $parent = $$; if (fork) {{ for (1..{PROCESSES}) {{ system '/bin/true'; select undef, undef, undef, 0.01 }} }}
         else {{ open Z, '</dev/zero'; open N, '>/dev/null'; my $end = time + 30;
                 while (getppid == $parent && time < $end) {{ for (1..1000) {{ sysread Z, $_, 64; syswrite N, $_ }} }} }}"
    );
    let (code, said, resident) = run_watched(
        scapd()
            .args([
                "record",
                "--buffer-size",
                "256K",
                "--test-rate",
                "20000",
                "--on-loss",
                "fail",
                "--stats-file",
            ])
            .arg(&stats)
            .arg("-w")
            .arg(&path)
            .args(["--", "perl", "-e", &perl]),
    );
    assert_eq!(code, Some(7), "{said}");
    assert_flat(&resident);
    let (code, verified, _) = run(scapd().arg("verify").arg(&path));
    assert_eq!(code, Some(7), "{verified}");
    assert!(verified.contains("incomplete") && verified.contains("ring full"), "{verified}");
    let capture = Capture::read(&path);
    let Verdict { written, losses, .. } = capture.verdict;
    assert!(losses.sum() > 9 * written, "{losses:?} beside {written} are no overload");
    let returned = |program: &str, of: fn(i64) -> bool| {
        capture.of(program).filter(|e| common::number(e, "res").is_some_and(of)).count()
    };
    assert_eq!(returned("execve_x", |res| res == 0), PROCESSES + 1);
    let forks: usize =
        ["clone_x", "clone3_x", "fork_x", "vfork_x"].map(|p| returned(p, |res| res > 0)).iter().sum();
    assert_eq!(forks, PROCESSES + 1);
    let births: usize =
        ["clone_x", "clone3_x", "fork_x", "vfork_x"].map(|p| returned(p, |res| res == 0)).iter().sum();
    assert_eq!(births, PROCESSES + 1);
    // The reader-writer notices a little later that its parent has ended.
    assert!(capture.count("sched_process_exit") > PROCESSES as u64);
    // The same, as JSON.
    let stats: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&stats).unwrap()).unwrap();
    assert_eq!(stats["written"], written);
    assert_eq!(stats["lost"], losses.sum());
    assert_eq!(stats["unaccounted"], 0);
    for cpu in stats["cpus"].as_array().unwrap() {
        for ty in cpu["types"].as_array().unwrap() {
            let lost: u64 = ty["lost"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
            assert_eq!(ty["seen"].as_u64().unwrap(), ty["taken"].as_u64().unwrap() + lost, "{ty}");
        }
    }
}

/// A pipe with a slow reader: its losses have another cause than those of a slow recorder.
#[test]
fn a_slow_output_is_named_as_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let (path, done) = (file(&folder, "slow.scap"), file(&folder, "done"));
    let [perl, option, calls] = perl_calls("access", 500_000);
    let calls = format!("{calls}; open my $done, '>', '{}'", done.display());
    let mut child = scapd()
        .args(["record", "-q", "--syscalls", "access", "--buffer-size", "1M", "-w", "-", "--"])
        .args([perl, option, calls])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Read nothing before all calls have been made.
    let start = Instant::now();
    while !done.exists() && start.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(10));
    }
    let mut output = child.stdout.take().unwrap();
    std::io::copy(&mut output, &mut std::fs::File::create(&path).unwrap()).unwrap();
    assert!(child.wait().unwrap().success());
    let capture = Capture::read(&path);
    assert!(capture.verdict.losses.of(Cause::Backlog) > 0, "{:?}", capture.verdict);
}

#[test]
fn a_command_and_its_descendants_are_recorded_from_exec_to_exit() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "sh.scap");
    let (code, said, _) = run(scapd().args(["record", "-q", "-w"]).arg(&path).args([
        "--",
        "sh",
        "-c",
        "/bin/echo from a child; (exit 3); exit 7",
    ]));
    assert_eq!(code, Some(7), "the command's own exit status");
    assert_eq!(said, "from a child\n");
    let capture = Capture::read(&path);
    let first = &capture.events[0];
    assert_eq!(first.0, common::event_type("execve_e"), "the first event is the command's execve");
    let executed: Vec<_> = capture
        .of("execve_x")
        .filter(|e| common::number(e, "res") == Some(0))
        .map(|e| common::text(&e, "filename"))
        .collect();
    assert!(executed[0].ends_with("/sh") && executed[1] == "/bin/echo", "{executed:?}");
    assert_eq!(capture.count("sched_process_exit"), 3, "the shell and two children have ended");
}

#[test]
fn other_processes_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "true.scap");
    let other = Busy::start();
    let (code, ..) = run(scapd().args(["record", "-q", "-w"]).arg(&path).args(["--", "sleep", "0.2"]));
    assert_eq!(code, Some(0));
    let capture = Capture::read(&path);
    assert!(capture.events.iter().all(|(_, tid, _)| *tid != u64::from(other.0.id())));
}

#[test]
fn a_running_process_is_recorded_by_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "pid.scap");
    let busy = Busy::start();
    let pid = busy.0.id().to_string();
    let (code, _, said) =
        run(scapd().args(["record", "-n", "500", "--duration", "20s", "-p", &pid, "-w"]).arg(&path));
    assert_eq!(code, Some(0), "{said}");
    let capture = Capture::read(&path);
    assert_eq!(capture.events.len(), 500, "as many as asked for");
    assert!(capture.events.iter().all(|(_, tid, _)| *tid == u64::from(busy.0.id())));
}

#[test]
fn a_signal_ends_a_capture_with_a_whole_file() {
    for signal in [Signal::INT, Signal::TERM] {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "signal.scap.gz");
        let partial = file(&folder, "signal.scap.gz.partial");
        let busy = Busy::start();
        let mut child = scapd()
            .args(["record", "-z", "-w"])
            .arg(&path)
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&child);
        // It records until it is stopped, so nothing here may fail before that.
        let deadline = Instant::now() + Duration::from_secs(120);
        while std::fs::metadata(&partial).map_or(0, |m| m.len()) < 20_000
            && child.try_wait().unwrap().is_none()
            && Instant::now() < deadline
        {
            sleep(Duration::from_millis(20));
        }
        kill_process(pid, signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let said = String::from_utf8_lossy(&output.stderr);
        let capture = Capture::read(&path);
        assert_eq!(number_before(&said, "events in"), capture.events.len() as u64);
        assert!(capture.events.iter().any(|(_, tid, _)| *tid == u64::from(busy.0.id())));
    }
}

#[test]
fn a_call_that_no_table_knows_is_a_generic_event() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "unknown.scap");
    let x32 = 1 << 30;
    for (number, native, words) in [
        (500, 500, "nativeID=500\n"),
        (5000, 5000, "nativeID=5000\n"),
        (59 | x32, 59 + 16384, "nativeID=16443(x32 call 59)\n"),
        (59 + 65536, 65535, "nativeID=65535(a call number above 16383)\n"),
    ] {
        let perl = format!("syscall({number})");
        let (code, ..) =
            run(scapd().args(["record", "-q", "-w"]).arg(&path).args(["--", "perl", "-e", &perl]));
        assert_eq!(code, Some(0));
        let capture = Capture::read(&path);
        for program in ["generic_e", "generic_x"] {
            let unknown = capture.of(program).filter(|e| common::number(e, "nativeID") == Some(native));
            assert_eq!(unknown.count(), 1, "{program} of {number}");
        }
        let (code, lines, _) = run(scapd().arg("read").arg(&path));
        assert_eq!(code, Some(0));
        assert_eq!(lines.matches(words).count(), 2, "{words}");
    }
}

#[test]
fn exit_events_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "exit.scap");
    let (code, ..) =
        run(scapd().args(["record", "-q", "--events", "exit", "-w"]).arg(&path).args(["--", "true"]));
    assert_eq!(code, Some(0));
    let (code, verified, _) = run(scapd().arg("verify").arg(&path));
    assert_eq!(code, Some(0), "{verified}");
    let capture = Capture::read(&path);
    assert!(capture.count("execve_x") == 1 && capture.count("openat_x") > 0);
    let procexit = common::event_type("sched_process_exit");
    assert!(capture.counts.keys().all(|ty| !ty.is_enter() || *ty == procexit), "{:?}", capture.counts);
}

/// The kernel returns a successful execveat as an execve.
#[test]
fn execveat_alone_is_recorded_with_its_return() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "execveat.scap");
    let number = Syscall::by_name("execveat").unwrap().number(scap::events::Arch::NATIVE).unwrap();
    let perl = format!(
        "my $file = '/bin/true'; my $argv = pack('PQ', $file, 0); syscall({number}, -100, $file, $argv, 0, 0)"
    );
    let (code, ..) = run(scapd()
        .args(["record", "-q", "--syscalls", "execveat", "-w"])
        .arg(&path)
        .args(["--", "perl", "-e", &perl]));
    assert_eq!(code, Some(0));
    let capture = Capture::read(&path);
    assert_eq!(capture.count("execveat_e"), 1);
    let returns: Vec<_> = capture.of("execve_x").filter_map(|e| common::number(&e, "res")).collect();
    // Perl's own exec is recorded too.
    assert!(returns.ends_with(&[0]) && returns.len() <= 2, "{returns:?}");
}

#[test]
fn a_full_disk_is_named_and_the_file_intact() {
    let (code, _, said) = run(scapd().args(["record", "-w", "/dev/full", "--", "true"]));
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("/dev/full") && said.contains("no room"), "{said}");
}

#[test]
fn an_unwritable_file_is_named() {
    let (code, _, said) = run(scapd().args(["record", "-w", "/no/such/folder/x.scap", "--", "true"]));
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("/no/such/folder/x.scap"), "{said}");
}

#[test]
fn without_privileges_the_missing_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(folder.path(), Some(65534), Some(65534)).unwrap();
    // Other users may not be able to read the build directory: run a copy.
    let copy = file(&folder, "scapd");
    // Another process makes the copy: a file that we have open for writing cannot be executed while another test forks.
    assert!(
        std::process::Command::new("cp")
            .args([env!("CARGO_BIN_EXE_scapd").as_ref(), copy.as_os_str()])
            .status()
            .unwrap()
            .success()
    );
    let mut command = std::process::Command::new(&copy);
    command.args(["record", "-w"]).arg(file(&folder, "x.scap")).args(["--", "true"]).uid(65534).gid(65534);
    let (code, _, said) = run(&mut command);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("CAP_BPF"), "{said}");
}

#[test]
fn a_command_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, said) =
        run(scapd().args(["record", "-w"]).arg(file(&folder, "x.scap")).args(["--", "no-such-command"]));
    assert_eq!(code, Some(127), "{said}");
    assert!(said.contains("no-such-command"), "{said}");
}

#[test]
fn a_capture_goes_down_a_pipe() {
    let (code, bytes) = {
        let output = scapd().args(["record", "-q", "-w", "-", "--", "true"]).output().unwrap();
        (output.status.code(), output.stdout)
    };
    assert_eq!(code, Some(0));
    let mut reader = scap::format::Reader::new(&bytes[..]).unwrap();
    let mut events = 0;
    while reader.next_event().unwrap().is_some() {
        events += 1;
    }
    assert!(events > 10);
}

#[test]
fn a_selection_starts_at_once_and_loads_little() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "access.scap");
    let (code, _, said) = run(scapd()
        .args(["record", "-v", "--only", "--syscalls", "access", "-w"])
        .arg(&path)
        .args(["--", "perl", "-e", ""]));
    assert_eq!(code, Some(0), "{said}");
    // The pair of access, the end of a task, which then is no longer followed, and the marks of sampling.
    assert!(said.contains("5 event programs loaded"), "{said}");
}

/// A process that makes system calls until it is dropped.
struct Busy(Child);

impl Busy {
    fn start() -> Busy {
        let endless = "while :; do read x < /proc/self/stat; done";
        Busy(std::process::Command::new("sh").args(["-c", endless]).spawn().unwrap())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
