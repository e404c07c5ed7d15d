//! Captures crafted to trick the terminal, or to exhaust time and memory.

use super::*;

#[test]
fn a_terminal_is_shown_nothing_to_obey() {
    let name = "/a\x1b]0;title\x07\u{9b}31m\u{7f}\u{202e}txt.exe\n\u{2028}é";
    let openat = || [Value::Fd(-2), Value::Fd(-100), Value::Text(name.as_bytes()), NA, NA, NA, NA];
    let capture = Capture::new().exec(100, "\x1b[2Jsh").event(100, "openat_x", &openat());
    for json in [false, true] {
        let (out, result) = capture.read(|args| args.form = if json { Form::Json } else { Form::default() });
        result.unwrap();
        assert!(out.chars().all(|c| c == '\n' || !text::is_obeyed(c)), "{out:?}");
        assert!(out.contains('é'));
        assert_eq!(out.lines().count(), 2);
    }
    assert_eq!(capture.json()[1]["args"]["name"]["value"], name);
    assert_eq!(capture.json()[1]["proc"], "\x1b[2Jsh");
}

#[test]
fn a_path_does_not_grow_without_end() {
    let (long, name) = ([b'd'; 3000], Value::Text(b"file"));
    let mut capture = Capture::new();
    for _ in 0..100 {
        capture = capture.event(100, "chdir_x", &[Value::Errno(0), Value::Text(&long)]);
    }
    capture = capture.event(100, "openat_x", &[Value::Fd(7), Value::Fd(-100), name, NA, NA, NA, NA]);
    capture = capture.event(100, "close_e", &[Value::Fd(7)]);
    let lines = capture.lines();
    assert!(lines.iter().all(|line| line.len() < 16 << 10), "{:?}", lines.iter().map(String::len).max());
    assert!(lines.last().unwrap().contains("dddd/file)"), "the last known directory stays");
}

/// If each fork copied the table and each exec searched it, this would take hours.
#[test]
fn a_process_with_many_descriptors_forks_often() {
    let mut state = state();
    let kind =
        |fd| FdKind::Named { kind: scap::format::state::NamedFd::Fifo, name: format!("pipe:{fd}").into() };
    state.fds =
        vec![FdList { pid: 100, fds: (0..50_000).map(|fd| Fd { fd, ino: 0, kind: kind(fd) }).collect() }];
    let mut capture = Capture::new();
    capture.bytes.clear();
    write_state(&mut capture.bytes, &state).unwrap();
    for child in 1000..4000 {
        capture = capture.fork(100, child as i64, 100, 1).fork(child, 0, child, 100).exec(child, "child");
        capture = capture.event(child, "close_x", &[Value::Errno(0), Value::Fd(1)]);
        capture = capture.event(child, "read_e", &[Value::Fd(2), Value::Uint(4096)]);
    }
    let lines = capture.lines();
    assert_eq!(lines.iter().filter(|line| line.contains("(<p>pipe:2)")).count(), 3000);
}
