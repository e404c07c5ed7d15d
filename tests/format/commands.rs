//! The output of the commands for captures of other recorders, and for files that are not captures.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use super::{bytes, close_exit, section};

fn scapd(args: &[&str], file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_scapd")).args(args).arg(file).output().unwrap()
}

fn text(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

/// Returns a section with an event at each of these times.
fn capture(times: &[u64]) -> Vec<u8> {
    let events =
        times.iter().fold(section(), |file, ts| file.block(0x216, bytes().u16(0).raw(&close_exit(*ts).0)));
    events.0
}

#[test]
fn verify_has_an_exit_code_for_each_kind_of_file() {
    let dir = tempfile::tempdir().unwrap();
    let (foreign, words) = (dir.path().join("foreign.scap"), dir.path().join("words"));
    fs::write(&foreign, capture(&[1, 2])).unwrap();
    fs::write(&words, "hello\n").unwrap();
    for (file, code, says) in [(&foreign, 8, "no ledger"), (&words, 6, "not a capture")] {
        let output = scapd(&["verify"], file);
        assert_eq!(output.status.code(), Some(code));
        assert!(text(&output.stdout).contains(says), "{output:?}");
    }
}

#[test]
fn captures_that_were_put_together_out_of_order_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (wrong, right) = (dir.path().join("wrong.scap"), dir.path().join("right.scap"));
    fs::write(&wrong, [capture(&[30, 40]), capture(&[10, 20])].concat()).unwrap();
    fs::write(&right, [capture(&[10, 20]), capture(&[30, 40])].concat()).unwrap();
    let says = |output: &Output| {
        let all = text(&output.stdout) + &text(&output.stderr);
        all.contains("out of order")
    };
    for command in ["read", "info", "verify"] {
        assert!(says(&scapd(&[command], &wrong)), "{command}");
        assert!(!says(&scapd(&[command], &right)), "{command}");
    }
    assert_eq!(text(&scapd(&["read"], &wrong).stdout).lines().count(), 4);
}

#[test]
fn a_compressed_capture_is_read_from_a_pipe() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/packed/reads.scap.xz");
    for command in ["read", "info", "verify"] {
        let pipe = Command::new("cat").arg(&file).stdout(Stdio::piped()).spawn().unwrap().stdout.unwrap();
        let mut scapd = Command::new(env!("CARGO_BIN_EXE_scapd"));
        let output = scapd.args([command, "-"]).stdin(pipe).output().unwrap();
        assert!(text(&output.stdout).contains("300"), "{command}: {output:?}");
    }
}
