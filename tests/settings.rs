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

/// Returns the CPU, type, time, thread and flags of each event block of a capture, without the help of the library's reader.
fn event_blocks(path: &std::path::Path) -> Vec<(u32, u16, u16, u64, u64)> {
    let bytes = std::fs::read(path).unwrap();
    let number =
        |at: usize, n: usize| bytes[at..at + n].iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
    let (mut blocks, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let (ty, len) = (number(at, 4) as u32, number(at + 4, 4) as usize);
        let event = at + 10;
        if ty == 0x216 {
            let event_type = number(event + 20, 2) as u16;
            blocks.push((ty, number(at + 8, 2) as u16, event_type, number(event, 8), number(event + 8, 8)));
        }
        at += len;
    }
    blocks
}

#[test]
fn an_extension_is_right_behind_its_event_and_not_counted() {
    let fsync = Syscall::by_name("fsync").unwrap();
    let (number, extension) = (fsync.number(Arch::NATIVE).unwrap(), 0x8000 + 2 * fsync.code);
    // Slow enough for the files to change.
    let calls = format!("syscall({number}, -7), select(undef, undef, undef, 0.001) for 1..{CALLS}");
    for (option, extended) in [(None, true), (Some("--no-extensions"), false)] {
        let folder = tempfile::tempdir().unwrap();
        // Small files, so that many of them end somewhere between.
        let pattern = file(&folder, "x.scap");
        let mut command = scapd();
        command
            .args(["record", "--rotate-events", "99", "--syscalls", "fsync", "--only", "-w"])
            .arg(&pattern);
        let (code, _, said) = run(command.args(option).args(["--", "perl", "-e", &calls]));
        assert_eq!(code, Some(0), "{said}");
        let mut files: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "scap"));
        assert!(files.len() > 2, "{} files", files.len());
        let (mut events, mut extensions) = (0, 0);
        for path in files {
            let (code, verified, _) = run(scapd().arg("verify").arg(&path));
            assert_eq!(code, Some(0), "{verified}");
            let blocks = event_blocks(&path);
            for (i, block) in blocks.iter().enumerate().filter(|(_, block)| block.2 <= 1) {
                let next = blocks.get(i + 1);
                events += 1;
                let expected = (block.0, block.1, extension + block.2, block.3, block.4);
                assert_eq!(
                    next.is_some_and(|next| *next == expected),
                    extended,
                    "behind {block:x?}: {next:x?}"
                );
                extensions += u64::from(extended);
            }
            assert_eq!(blocks.iter().filter(|block| block.2 >= 0x8000).count() as u64 > 0, extended);
            let capture = Capture::read(&path);
            assert_eq!(capture.asked[0].extensions, extended, "the capture does not say it");
        }
        assert_eq!(events, 2 * CALLS);
        assert_eq!(extensions, if extended { 2 * CALLS } else { 0 });
    }
}
