//! The settings of `scapd record` that leave events out or keep more of their data, as a user calls them. Needs root.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Capture, file, run, scapd};
use scap::events::{Arch, Syscall};

const CALLS: u64 = 1000;

/// Returns a perl command that calls `access` on a missing path a number of times.
fn failing_calls() -> [String; 3] {
    let number = Syscall::by_name("access").unwrap().number(Arch::NATIVE).unwrap();
    let calls = format!("my $p = '/no/such/file'; syscall({number}, $p, 0) for 1..{CALLS}");
    ["perl".into(), "-e".into(), calls]
}

/// Records them with these options. Returns the capture, the recorder's messages, and the output of `verify`.
fn record(options: &[&str]) -> (Capture, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "settings.scap");
    let (code, _, summary) =
        run(scapd().args(["record", "-w"]).arg(&path).args(options).arg("--").args(failing_calls()));
    assert_eq!(code, Some(0), "{summary}");
    let (code, verified, _) = run(scapd().arg("verify").arg(&path));
    assert_eq!(code, Some(0), "{verified}");
    (Capture::read(&path), summary, verified)
}

#[test]
fn failed_calls_are_left_out_and_counted() {
    let (capture, summary, verified) = record(&["--syscalls", "access", "--drop-failed"]);
    let failed = capture.verdict.left_out.failed;
    assert!(failed >= CALLS, "{failed}");
    assert_eq!(capture.count("access_e"), capture.count("access_x") + failed);
    assert!(verified.contains("settings.scap: complete\n"), "{verified}");
    for text in [summary, verified] {
        assert!(text.contains("returns of failed calls left out on purpose"), "{text}");
    }
}

#[test]
fn a_sample_says_that_it_is_one() {
    // With 1 nothing depends on the time: openat is recorded in full, access not at all.
    let (capture, summary, verified) = record(&["--syscalls", "access,openat", "--sample", "1"]);
    assert_eq!((capture.count("access_e"), capture.count("access_x")), (0, 0));
    assert!(capture.count("openat_x") > 0);
    assert!(capture.verdict.left_out.sampled >= 2 * CALLS);
    assert_eq!(capture.verdict.sample_ratio, 1);
    assert!(verified.contains("settings.scap: sample\n"), "{verified}");
    for text in [summary, verified] {
        assert!(text.contains("nothing lost") && text.contains("a sample, "), "{text}");
    }
}

#[test]
fn a_value_that_cannot_be_is_told_with_those_that_can() {
    for (option, value, remedy) in [
        ("--sample", "3", "use 1, 2, 4, 8, 16, 32, 64 or 128"),
        ("--full-capture-ports", "90-80", "a range such as 5000-5010"),
        ("--statsd-port", "70000", "70000 is not in 0..=65535"),
        ("--snaplen", "65536", "65536 is not in 0..=65535"),
    ] {
        let (code, _, said) = run(scapd().args(["record", option, value]));
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(option) && said.contains(remedy), "{said}");
    }
}

/// Readers abort on a parameter that is not in their schema.
#[test]
fn parameters_of_a_later_schema_are_recorded_on_demand() {
    let perl = "use Fcntl; socket(my $s, 2, 1, 0) or die; fcntl($s, F_SETFD, FD_CLOEXEC) or die";
    for (options, flags, arg) in [
        (&[][..], None, None),
        (&["--schema", "0.23"], None, None),
        (&["--schema", "latest"], Some(4096), Some(1)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "schema.scap");
        let (code, _, said) = run(scapd()
            .args(["record", "--syscalls", "socket,fcntl", "-w"])
            .arg(&path)
            .args(options)
            .args(["--", "perl", "-e", perl]));
        assert_eq!(code, Some(0), "{said}");
        let capture = Capture::read(&path);
        let socket = capture.of("socket_x").last().unwrap();
        assert_eq!(socket.param(4).map(<[u8]>::to_vec), flags.map(|n: u32| n.to_ne_bytes().to_vec()));
        let fcntl = capture.of("fcntl_x").last().unwrap();
        assert_eq!(fcntl.param(2), Some(&[3][..]));
        assert_eq!(fcntl.param(3).map(<[u8]>::to_vec), arg.map(|n: u64| n.to_ne_bytes().to_vec()));
    }
}
