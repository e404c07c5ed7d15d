//! Recording on an unprepared machine: nothing mounted for it, few open files allowed, in a container. Needs root, for
//! real recordings.

#![allow(clippy::unwrap_used)]

mod common;

use std::{fs::File, path::Path, process::Command};

use common::{Capture, event_type, file, run, text};
use scap::format::{EventView, Reader, state::Thread};

/// Returns the command under test, started by another command.
fn scapd_under(command: &[&str]) -> Command {
    let mut under = Command::new(command[0]);
    under.args(&command[1..]).arg(env!("CARGO_BIN_EXE_scapd"));
    under
}

/// Runs a script in a mount namespace of its own without tracefs; `$0` is scapd.
fn without_tracefs(script: &str) -> (Option<i32>, String, String) {
    const UNMOUNT: &str = "umount -a -t tracefs; ! grep -q ' tracefs ' /proc/mounts || exit 99; ";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    run(command.arg(format!("{UNMOUNT}{script}")).arg(env!("CARGO_BIN_EXE_scapd")))
}

#[test]
fn tracepoints_are_attached_to_though_tracefs_is_not_mounted() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.scap");
    let (code, out, said) = without_tracefs(&format!(
        "\"$0\" record -q --attach tracepoint --syscalls openat -w {} -- cat /etc/hostname /proc/mounts",
        path.display()
    ));
    assert_eq!(code, Some(0), "{said}");
    assert!(!out.contains(" tracefs "), "a mount is to be seen: {out}");
    let capture = Capture::read(&path);
    assert!(capture.of("openat_x").any(|event| text(&event, "name") == "/etc/hostname"));
}

#[test]
fn who_may_not_mount_tracefs_is_told_to() {
    let (code, _, said) = without_tracefs(
        "exec setpriv --bounding-set=-sys_admin \"$0\" record -q --attach tracepoint --syscalls openat -w /dev/null -- true",
    );
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("tracefs is not mounted: mount -t tracefs tracefs /sys/kernel/tracing"), "{said}");
}

#[test]
fn a_low_soft_limit_of_open_files_is_raised_and_the_command_gets_it_back() {
    let folder = tempfile::tempdir().unwrap();
    for soft in ["64", "256"] {
        let mut command = scapd_under(&["prlimit", &format!("--nofile={soft}:4096")]);
        command.args(["record", "-q", "-w"]).arg(file(&folder, "a.scap"));
        let (code, out, said) = run(command.args(["--", "sh", "-c", "ulimit -Sn; ulimit -Hn"]));
        assert_eq!((code, out), (Some(0), format!("{soft}\n4096\n")), "{said}");
    }
}

#[test]
fn a_hard_limit_of_open_files_that_is_too_low_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for hard in [12, 20, 24, 28, 32, 40, 64, 200] {
        let mut command = scapd_under(&["prlimit", &format!("--nofile={hard}:{hard}")]);
        command.args(["record", "-q", "-w"]).arg(file(&folder, "a.scap"));
        let (code, _, said) = run(command.args(["--", "true"]));
        assert_eq!(code, Some(1), "{hard}: {said}");
        assert!(said.contains("RLIMIT_NOFILE") && said.contains(&format!(" is {hard},")), "{hard}: {said}");
    }
    let mut command = scapd_under(&["prlimit", "--nofile=64:64"]);
    let (code, out, _) = run(command.arg("check"));
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("cannot record: ") && out.contains("RLIMIT_NOFILE"), "{out}");
}

/// Starts the command under test as process 1 of a new pid namespace.
const NEW_PIDS: [&str; 5] = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Returns the threads of the state at the start.
fn threads(path: &Path) -> Vec<Thread> {
    let mut reader = Reader::new(File::open(path).unwrap()).unwrap();
    while reader.next_event().unwrap().is_some() {}
    reader.state().threads.clone()
}

/// Returns the thread ids of the exit events of cat's openat of a file.
fn opened(capture: &Capture, name: &str) -> Vec<u64> {
    let opens = capture.events.iter().filter(|(ty, ..)| *ty == event_type("openat_x"));
    let view = |bytes: &[u8]| text(&EventView::parse(bytes, false).unwrap(), "name");
    opens.filter(|(_, _, bytes)| view(bytes) == name).map(|(_, tid, _)| *tid).collect()
}

/// In a pid namespace whose /proc has its own ids, and in one whose /proc has those of the initial namespace.
#[test]
fn a_command_in_another_pid_namespace_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.scap");
    for under in [&NEW_PIDS[..], &NEW_PIDS[..4]] {
        let mut command = scapd_under(under);
        command.args(["record", "-q", "--syscalls", "execve,openat", "-w"]).arg(&path);
        let (code, _, said) = run(command.args(["--", "sh", "-c", "cat /etc/hostname; true"]));
        assert_eq!(code, Some(0), "{under:?}: {said}");
        let capture = Capture::read(&path);
        assert_eq!(opened(&capture, "/etc/hostname").len(), 1, "{under:?}");
        let shell = capture.of("execve_x").find(|e| text(e, "comm") == "sh").unwrap();
        let threads = threads(&path);
        let held = threads.iter().find(|thread| thread.tid == shell.tid()).unwrap();
        assert_eq!((held.pid, held.vpid), (shell.tid(), held.vtid), "{under:?}");
        assert_ne!(
            held.tid, held.vtid as u64,
            "{under:?}: process 1's child has a small number in its namespace"
        );
        let scapd = threads.iter().find(|thread| thread.vtid == 1 && thread.comm == b"scapd").unwrap();
        assert_eq!(held.ptid, scapd.tid, "{under:?}");
    }
}

#[test]
fn a_process_in_another_pid_namespace_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.scap");
    let script = "sh -c 'while :; do cat /etc/hostname >/dev/null; sleep 0.1; done' & \
                  \"$0\" record -q --syscalls openat --duration 1s -w \"$1\" -p $!; code=$?; kill $!; exit $code";
    let mut command = Command::new(NEW_PIDS[0]);
    command.args(&NEW_PIDS[1..]).args(["sh", "-c", script]).arg(env!("CARGO_BIN_EXE_scapd")).arg(&path);
    let (code, _, said) = run(&mut command);
    assert_eq!(code, Some(0), "{said}");
    assert!(opened(&Capture::read(&path), "/etc/hostname").len() > 1);
}

#[test]
fn its_own_calls_are_left_out_in_another_pid_namespace() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.scap");
    for (including, own) in [(None, false), (Some("--include-self"), true)] {
        let mut command = scapd_under(&NEW_PIDS);
        command.args(["record", "-q", "--duration", "1s", "-w"]).arg(&path).args(including);
        let (code, _, said) = run(&mut command);
        assert_eq!(code, Some(0), "{said}");
        let scapd =
            threads(&path).into_iter().find(|thread| thread.vtid == 1 && thread.comm == b"scapd").unwrap();
        let capture = Capture::read(&path);
        assert_eq!(capture.events.iter().any(|(_, tid, _)| *tid == scapd.tid), own, "{including:?}");
    }
}

#[test]
fn check_says_that_process_ids_are_translated() {
    let (code, out, _) = run(scapd_under(&NEW_PIDS).arg("check"));
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("process ids   translated from this pid namespace"), "{out}");
    let (_, out, _) = run(scapd_under(&NEW_PIDS[..4]).arg("check"));
    assert!(!out.contains("process ids"), "/proc has them: {out}");
}

/// The /proc of an intermediate namespace has neither the ids of events nor those that the kernel lists.
#[test]
fn a_proc_from_which_ids_cannot_be_translated_is_refused() {
    let two: Vec<_> = NEW_PIDS.iter().chain(&NEW_PIDS[..4]).copied().collect();
    let (code, out, _) = run(scapd_under(&two).arg("check"));
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("cannot record: ") && out.contains("mount -t proc proc /proc"), "{out}");
    let (code, _, said) = run(scapd_under(&two).args(["record", "-q", "-w", "/dev/null", "--", "true"]));
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("pid namespace"), "{said}");
}
