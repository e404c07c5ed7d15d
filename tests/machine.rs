//! Recording on a machine as it comes: nothing mounted for it, few open files allowed. Needs root: it records for real.

#![allow(clippy::unwrap_used)]

mod common;

use std::process::Command;

use common::{Capture, file, run, text};

/// The command under test, started by another one.
fn scapd_under(command: &[&str]) -> Command {
    let mut under = Command::new(command[0]);
    under.args(&command[1..]).arg(env!("CARGO_BIN_EXE_scapd"));
    under
}

/// Runs a script in a mount namespace of its own in which tracefs is mounted nowhere; `$0` is scapd.
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
