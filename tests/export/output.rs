//! Where exports go: nothing is overwritten, and what is not complete does not look as if it were.

use super::*;

/// Runs an export; returns its exit code and what it said.
fn export(form: &str, to: &Path, capture: &Path) -> (Option<i32>, String) {
    let (code, _, said) = run(scapd().args(["export", "--to", form, "-o"]).arg(to).arg(capture));
    (code, said)
}

/// The names in a folder, in order.
fn names(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(&folder);
    let there = folder.path().join("there");
    fs::write(&there, "mine").unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
    for form in ["parquet", "csv", "jsonl", "folded", "svg", "perfetto"] {
        let (code, said) = export(form, &there, &capture);
        assert_eq!(code, Some(5), "{said}");
        assert!(said.contains("there exists: remove it"), "{said}");
        let (code, said) = export(form, folder.path(), &capture);
        assert!(code == Some(5), "{form} {code:?} {said}");
    }
    assert_eq!(export("parquet", &folder.path().join("link"), &capture).0, Some(5));
    assert_eq!(fs::read_to_string(&there).unwrap(), "mine");
    assert_eq!(names(&folder), ["a.scap", "link", "there"]);
    let (code, said) = export("parquet", Path::new("-"), &capture);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("cannot go to stdout"), "{said}");
}

#[test]
fn a_damaged_capture_is_exported_up_to_the_damage() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(&folder);
    let bytes = fs::read(&capture).unwrap();
    fs::write(&capture, &bytes[..bytes.len() * 2 / 3]).unwrap();
    let (code, read, said) = run(scapd().arg("read").arg(&capture));
    assert_eq!(code, Some(6));
    for form in ["csv", "jsonl", "parquet", "folded", "perfetto"] {
        let to = folder.path().join(form);
        // What has no table of losses says them besides.
        let (ended, more) = export(form, &to, &capture);
        assert!(ended == code && more.ends_with(&said), "{form}: {more}");
        assert_eq!(more.contains("12 events were lost by the recorder"), form != "parquet", "{more}");
    }
    let csv = fs::read_to_string(folder.path().join("csv")).unwrap();
    assert_eq!(csv.lines().count(), read.lines().count() + 1);
    assert!(read.lines().count() > 500);
    let ledger = parquet_files::rows(&folder.path().join("parquet"), "ledger");
    let cut = ledger.last().unwrap();
    assert_eq!(cut["id"], "scapd.export");
    let last = csv.lines().last().unwrap().split(',').next().unwrap();
    assert!(cut["num"].parse::<u64>().unwrap() >= last.parse().unwrap());
    assert!(said.contains(&cut["text"]), "{said} {}", cut["text"]);
}

#[test]
fn what_is_no_capture_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no.scap");
    fs::write(&path, "this is none").unwrap();
    for form in ["csv", "jsonl", "parquet", "folded", "svg", "perfetto"] {
        let (code, said) = export(form, &folder.path().join("out"), &path);
        assert_eq!(code, Some(6), "{said}");
        assert_eq!(names(&folder), ["no.scap"], "{form}");
    }
    let (code, said) = export("parquet", &folder.path().join("no/such/folder"), &path);
    assert_eq!(code, Some(5), "{said}");
}

#[test]
fn a_capture_without_events_has_tables_without_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.scap");
    fs::write(&path, strategies::capture(&machine(b"a"), &[])).unwrap();
    let out = folder.path().join("out");
    assert_eq!(export("parquet", &out, &path).0, Some(0));
    for table in ["events", "processes", "connections", "ledger"] {
        assert_eq!(parquet_files::rows(&out, table).len(), 0);
    }
    let csv = print(&["export", "--to", "csv", "-o", "-", text(&path)]);
    assert!(csv.starts_with("num,time,") && csv.lines().count() == 1, "{csv}");
}

#[test]
fn a_signal_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for form in ["csv", "parquet", "perfetto"] {
        let out = folder.path().join("out");
        let mut child = scapd().args(["export", "--to", form, "-o"]).arg(&out).arg(&fifo).spawn().unwrap();
        let mut pipe = fs::OpenOptions::new().write(true).open(&fifo).unwrap();
        let bytes = strategies::capture(&machine(b"a"), &calls(START));
        std::io::Write::write_all(&mut pipe, &bytes).unwrap();
        let unfinished = || names(&folder).iter().any(|name| name.ends_with(".partial"));
        common_wait(unfinished);
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        // It is noticed at the next event.
        let next = calls(START + SECOND);
        let mut more = Vec::new();
        next.iter().for_each(|event| scap::format::frame_event(&mut more, 0, event));
        let _ = std::io::Write::write_all(&mut pipe, &more);
        drop(pipe);
        assert_eq!(child.wait().unwrap().code(), Some(143), "{form}");
        assert_eq!(names(&folder), ["fifo"], "{form}");
    }
}

/// Waits until something is so, for at most ten seconds.
fn common_wait(is_so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed().as_secs() < 10, "it does not become so");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
