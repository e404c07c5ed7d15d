//! `scapd read -w` and `scapd merge`: captures made from captures. Needs root, for real recordings.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    thread::sleep,
    time::Duration,
};

use common::{run, scapd};
use rustix::process::{Pid, Signal, kill_process};
use scap::format::{EventView, Reader, frame_event, write_state};
use tempfile::TempDir;

/// A recording of the workload of `make test-readers`, which all tests read.
fn recording() -> &'static Path {
    static RECORDING: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = RECORDING.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("all.scap");
        let work = folder.path().join("work");
        fs::create_dir(&work).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/workload.sh");
        let record = ["record", "-q", "-w"];
        let mut command = scapd();
        command.args(record).arg(&path).args(["--", "bash"]).arg(script).arg(work);
        let (code, _, said) = run(command.stdout(Stdio::null()));
        assert_eq!(code, Some(0), "{said}");
        (folder, path)
    });
    path
}

/// Returns what `scapd read` prints of a capture, as lines without numbers, or as JSON objects without them.
fn shown(file: &Path, args: &[&str], json: bool) -> Vec<String> {
    let form: &[&str] = if json { &["--json"] } else { &[] };
    let (code, out, said) = run(scapd().arg("read").arg(file).args(args).args(form));
    assert_eq!((code, &said[..]), (Some(0), ""));
    let without_number = |line: &str| {
        if !json {
            return line.split_once(' ').unwrap().1.to_owned();
        }
        let mut object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(object.as_object_mut().unwrap().remove("num").is_some(), "{line}");
        object.to_string()
    };
    out.lines().map(without_number).collect()
}

/// Makes a slice, and returns the exit code and what was said.
fn slice(file: &Path, args: &[&str], out: &Path) -> (Option<i32>, String) {
    let (code, printed, said) = run(scapd().arg("read").arg(file).args(args).arg("-w").arg(out));
    assert_eq!(printed, "");
    (code, said)
}

fn verify(file: &Path) -> (Option<i32>, String) {
    let (code, out, _) = run(scapd().arg("verify").arg(file));
    (code, out)
}

/// Returns the names in a folder.
fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_slice_shows_what_the_source_shows() {
    let (folder, source) = (TempDir::new().unwrap(), recording());
    let pid = shown(source, &["--syscalls", "connect"], true);
    let pid: serde_json::Value = serde_json::from_str(&pid[0]).unwrap();
    let pid = pid["tid"].to_string();
    let choices: [&[&str]; 7] = [
        &["--pid", &pid],
        &["evt.type = read"],
        &["evt.type in (openat, close) and evt.latency > 1us"],
        &["--syscalls", "write,sendto,recvfrom,accept,accept4"],
        &["evt.num > 1500 and evt.num < 1800"],
        &["evt.type = clone"],
        &["--syscalls", "procexit,execve"],
    ];
    for (i, choice) in choices.iter().enumerate() {
        let out = folder.path().join(format!("{i}.scap"));
        assert_eq!(slice(source, choice, &out), (Some(0), String::new()));
        for json in [false, true] {
            let expected = shown(source, choice, json);
            assert!(!expected.is_empty(), "{choice:?}");
            assert_eq!(shown(&out, &[], json), expected, "{choice:?}");
        }
        let (code, said) = verify(&out);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(": complete\n") && said.contains("a slice: "), "{said}");
    }
    // A slice of a slice, compressed by its name.
    let (first, second) = (folder.path().join("1.scap"), folder.path().join("again.scap.gz"));
    let choice = ["proc.name = perl and evt.latency > 0ns"];
    assert_eq!(slice(&first, &choice, &second).0, Some(0));
    assert!(fs::read(&second).unwrap().starts_with(&[0x1f, 0x8b]));
    assert_eq!(
        shown(&second, &[], false),
        shown(source, &["evt.type = read and proc.name = perl and evt.latency > 0ns"], false)
    );
    let left_out = |path: &Path| {
        let (_, out, _) = run(scapd().args(["info", "--json"]).arg(path));
        let info: serde_json::Value = serde_json::from_str(&out).unwrap();
        let number = |value: &serde_json::Value| value.as_u64().unwrap();
        let written = number(&info["events"]) + number(&info["events_for_names"]);
        (number(&info["ledger"]["slices"][0]["left_out"]) + written, number(&info["events"]))
    };
    // Both account for all of the source; the events are those that were wanted.
    let count = shown(&second, &[], false).len() as u64;
    assert_eq!(left_out(&second).0, left_out(&first).0);
    assert_eq!(left_out(&second).1, count);
}

#[test]
fn a_number_of_events_ends_a_slice() {
    let (folder, source) = (TempDir::new().unwrap(), recording());
    let out = folder.path().join("few.scap");
    assert_eq!(slice(source, &["evt.type = openat", "-n", "10"], &out).0, Some(0));
    assert_eq!(shown(&out, &[], false), shown(source, &["evt.type = openat", "-n", "10"], false));
    let (code, said) = verify(&out);
    assert_eq!(code, Some(8), "{said}");
    assert!(said.contains("its source was not read to its end"), "{said}");
}

#[test]
fn nothing_wanted_makes_a_capture_without_events() {
    let (folder, source) = (TempDir::new().unwrap(), recording());
    let out = folder.path().join("none.scap");
    assert_eq!(slice(source, &["proc.name = nobody-at-all"], &out).0, Some(0));
    assert_eq!(shown(&out, &["--all"], false), [""; 0]);
    let (_, info, _) = run(scapd().args(["info", "--json"]).arg(&out));
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    assert!(info["threads"].as_u64().unwrap() > 1, "{info}");
}

#[test]
fn a_slice_through_pipes() {
    let source = recording();
    let mut cut = scapd();
    cut.args(["read", "-", "evt.type = openat", "-w", "-"]);
    let mut cut = cut.stdin(fs::File::open(source).unwrap()).stdout(Stdio::piped()).spawn().unwrap();
    let (code, out, said) = run(scapd().args(["read", "-"]).stdin(cut.stdout.take().unwrap()));
    assert_eq!((code, cut.wait().unwrap().code()), (Some(0), Some(0)), "{said}");
    let lines: Vec<_> = out.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect();
    assert_eq!(lines, shown(source, &["evt.type = openat"], false));

    // A reader that has had enough is no failure.
    let args = ["read", source.to_str().unwrap(), "evt.num > 0", "-w", "-"];
    let mut cut = scapd().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut start = [0; 100];
    cut.stdout.take().unwrap().read_exact(&mut start).unwrap();
    let mut said = String::new();
    cut.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((cut.wait().unwrap().code(), &said[..]), (Some(0), ""));
}

#[test]
fn a_slice_that_fails_leaves_everything_as_it_was() {
    let (folder, source) = (TempDir::new().unwrap(), recording());
    let copy = folder.path().join("copy.scap");
    fs::copy(source, &copy).unwrap();
    let (code, said) = slice(&copy, &["evt.num > 0"], &copy);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("is also read: name another file with -w"), "{said}");

    // A disk without room, and a limit on the size of files.
    let script = "mount -t tmpfs -o size=64k none \"$1\" && cp /etc/hostname \"$1/out.scap\" &&
        { \"$2\" read \"$3\" 'evt.num > 0' -w \"$1/out.scap\"; echo $?; cmp /etc/hostname \"$1/out.scap\" && ls \"$1\"; }";
    let mount = TempDir::new().unwrap();
    let mut full = Command::new("unshare");
    full.args(["-m", "sh", "-c", script, "sh"])
        .arg(mount.path())
        .arg(env!("CARGO_BIN_EXE_scapd"))
        .arg(source);
    let (_, out, said) = run(&mut full);
    assert_eq!(out, "5\nout.scap\n", "{said}");
    assert!(
        said.contains("free some room, or write elsewhere with -w") && !said.contains("repair"),
        "{said}"
    );
    let limited = "ulimit -f 8; \"$1\" read \"$2\" 'evt.num > 0' -w \"$3\"";
    let mut limit = Command::new("sh");
    limit
        .args(["-c", limited, "sh", env!("CARGO_BIN_EXE_scapd")])
        .arg(source)
        .arg(folder.path().join("out.scap"));
    let (code, _, said) = run(&mut limit);
    assert_eq!(code, Some(5), "{said}");
    assert_eq!(names(&folder), ["copy.scap"]);

    // A file of that name is replaced by a complete one.
    let out = folder.path().join("out.scap");
    fs::write(&out, "old").unwrap();
    assert_eq!(slice(source, &["evt.type = openat"], &out).0, Some(0));
    assert_eq!(verify(&out).0, Some(0));
    assert_eq!(names(&folder), ["copy.scap", "out.scap"]);
}

#[test]
fn a_signal_leaves_no_half_of_a_slice() {
    let (folder, source) = (TempDir::new().unwrap(), recording());
    let (pipe, out) = (folder.path().join("pipe"), folder.path().join("out.scap"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut command = scapd();
    let mut cut = command
        .arg("read")
        .arg(&pipe)
        .args(["evt.num > 0", "-w"])
        .arg(&out)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut writer = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let bytes = fs::read(source).unwrap();
    let half = bytes.len() / 2;
    writer.write_all(&bytes[..half]).unwrap();
    sleep(Duration::from_millis(300));
    // Not SIGINT, which stays ignored where a script has started the tests in the background.
    kill_process(Pid::from_child(&cut), Signal::TERM).unwrap();
    sleep(Duration::from_millis(100));
    let _ = writer.write_all(&bytes[half..]);
    drop(writer);
    assert_eq!(cut.wait().unwrap().code(), Some(143));
    assert_eq!(names(&folder), ["pipe"]);
}

#[test]
fn a_damaged_source_gives_what_is_before_the_damage() {
    let (folder, source) = (TempDir::new().unwrap(), recording());
    let (cut, out) = (folder.path().join("cut.scap"), folder.path().join("out.scap"));
    let bytes = fs::read(source).unwrap();
    fs::write(&cut, &bytes[..bytes.len() - 5000]).unwrap();
    let (code, said) = slice(&cut, &["evt.type = openat"], &out);
    assert_eq!(code, Some(6), "{said}");
    let (_, expected, _) = run(scapd().arg("read").arg(&cut).arg("evt.type = openat"));
    let expected: Vec<_> = expected.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect();
    assert_eq!(shown(&out, &[], false), expected);
    let (code, said) = verify(&out);
    assert_ne!(code, Some(0), "{said}");
}

/// Returns the lines of a capture, without those of its notices.
fn events(file: &Path) -> Vec<String> {
    let mut lines = shown(file, &[], false);
    lines.retain(|line| !line.contains(" notification "));
    lines
}

/// Records a shell's work, beside others.
fn record_beside(out: &Path, script: &str) -> std::process::Child {
    let mut command = scapd();
    command.args(["record", "-q", "-w"]).arg(out).args(["--", "sh", "-c", script]).spawn().unwrap()
}

#[test]
fn captures_that_follow_each_other_are_merged() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["one", "two", "three"] {
        let mut recorder =
            record_beside(&path(name), &format!("cat /etc/hostname > {}", path("x").display()));
        assert!(recorder.wait().unwrap().success());
    }
    let out = path("all.scap");
    let (code, _, said) =
        run(scapd().arg("merge").arg("-w").arg(&out).args([path("two"), path("three"), path("one")]));
    assert_eq!((code, &said[..]), (Some(0), ""));
    let expected: Vec<_> = ["one", "two", "three"].iter().flat_map(|name| events(&path(name))).collect();
    assert!(events(&out) == expected, "the lines differ");
    let (code, said) = verify(&out);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nothing lost"), "{said}");

    // What cannot be merged is named, with the reason.
    let copy = path("copy");
    fs::copy(path("one"), &copy).unwrap();
    let (code, _, said) = run(scapd().arg("merge").arg("-w").arg(&out).args([&path("one"), &copy]));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("both have calls of thread") && said.contains("copy"), "{said}");
    let (code, _, said) = run(scapd().arg("merge").arg("-w").arg(&out).args([path("one"), path("one")]));
    assert!(code == Some(1) && said.contains("given twice"), "{said}");
    assert_eq!(verify(&out).0, Some(0), "the result of before is still there");
}

#[test]
fn captures_of_different_processes_are_merged_although_they_overlap() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let script = |name: &str, rounds: u32| {
        format!(
            "cd {}; mkdir {name}; cd {name}; i=0; while [ $i -lt {rounds} ] && [ ! -e stop ]; do
                echo $i > f$i; cat f$i > /dev/null; sleep 0.05; i=$((i + 1)); done",
            folder.path().display()
        )
    };
    let mut long = record_beside(&path("long.scap"), &script("a", 2000));
    while fs::metadata(path("a")).is_err() {
        sleep(Duration::from_millis(20));
    }
    sleep(Duration::from_millis(200));
    let mut short = record_beside(&path("short.scap"), &script("b", 10));
    assert!(short.wait().unwrap().success());
    sleep(Duration::from_millis(200));
    fs::write(path("a/stop"), "").unwrap();
    assert!(long.wait().unwrap().success());
    let out = path("both.scap");
    let (code, _, said) =
        run(scapd().arg("merge").arg("-w").arg(&out).args([path("short.scap"), path("long.scap")]));
    assert_eq!((code, &said[..]), (Some(0), ""));
    let mut expected = [events(&path("long.scap")), events(&path("short.scap"))].concat();
    let mut got = events(&out);
    // A line starts with its time.
    assert!(got.is_sorted_by_key(|line| line[..18].to_owned()), "in time order");
    assert!(
        got.iter().position(|line| line.contains("/b/f"))
            < got.iter().rposition(|line| line.contains("/a/f"))
    );
    expected.sort();
    got.sort();
    assert!(got == expected, "the lines differ");
    let (code, said) = verify(&out);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn captures_of_other_machines_are_not_merged() {
    let folder = TempDir::new().unwrap();
    let paths = ["a", "b"].map(|host| {
        let mut state = scap::format::MachineState::default();
        state.machine.hostname = host.into();
        let mut bytes = Vec::new();
        write_state(&mut bytes, &state).unwrap();
        let mut reader = Reader::new(fs::File::open(recording()).unwrap()).unwrap();
        let event = reader.next_event().unwrap().unwrap().event.bytes().to_vec();
        assert!(EventView::parse(&event, false).is_ok());
        frame_event(&mut bytes, 0, &event);
        let path = folder.path().join(host);
        fs::write(&path, bytes).unwrap();
        path
    });
    let out = folder.path().join("out.scap");
    let (code, _, said) = run(scapd().arg("merge").arg("-w").arg(&out).args(&paths));
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("do not come from the same machine")
            && said.contains("Merge the captures of each alone")
    );
    assert!(!out.exists());
}
