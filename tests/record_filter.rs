//! `scapd record FILTER`: what is recorded is what a reading of everything with the same filter shows. Needs root.
//!
//! The truth is an unfiltered recording of the same run: all recorders follow the same process, which waits for them.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use common::{
    Capture, file, run, scapd,
    series::{self, Generator, Recording},
};
use scap::{
    events::{Arch, Syscall},
    fields::Fields,
    filter::Filter,
};
use scapd::{output::Series, record::LiveSettings};
use serde_json::Value as Json;

/// Calls of many kinds, by a process and by children of other names and users.
const WORKLOAD: &str = r#"
    use strict; use Socket;
    <STDIN>; $0 = "worker";
    open(my $f, "<", "/etc/passwd") or die; my @lines = <$f>; close $f;
    open(my $n, "<", "/no/such/file");
    mkdir "$ARGV[0]/d" or die; open(my $w, ">", "$ARGV[0]/d/new") or die;
    syswrite($w, "x" x 50) for 1..5; close $w;
    rename "$ARGV[0]/d/new", "$ARGV[0]/d/old"; unlink "$ARGV[0]/d/old", "$ARGV[0]/d/none"; rmdir "$ARGV[0]/d";
    getppid for 1..20;
    socket(my $s, PF_INET, SOCK_STREAM, 0); connect($s, sockaddr_in(9, inet_aton("127.0.0.1"))); close $s;
    pipe(my $r, my $p); syswrite($p, "hello"); sysread($r, my $data, 5);
    select(undef, undef, undef, 0.05) for 1..2;
    chdir "/usr"; opendir(my $d, "share"); closedir $d;
    system("cat", "/etc/hostname") for 1..2;
    unless (fork) { $( = $) = 65534; $> = 65534; open(my $h, "<", "/etc/group"); <$h>; getppid for 1..3; exit 0 }
    wait;
"#;

/// What is compared of an event.
const FORM: &str =
    "*%thread.tid %evt.type %evt.dir %proc.name %evt.rawres %fd.num %fd.name %evt.arg.name %user.uid";

/// A run of the workload beside an unfiltered recorder and those with filters.
struct Beside {
    folder: tempfile::TempDir,
    filters: Vec<&'static str>,
}

impl Beside {
    fn of(filters: &[&'static str]) -> Beside {
        let folder = tempfile::tempdir().unwrap();
        let mut perl = Command::new("perl");
        perl.args(["-e", WORKLOAD]).arg(folder.path()).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut perl = perl.spawn().unwrap();
        let pid = perl.id().to_string();
        let begin = |name: String, filter: Option<&str>| {
            let path = file(&folder, &format!("{name}.scap"));
            let mut command = scapd();
            command.args(["record", "-q", "--on-loss", "fail", "-p", &pid]).args(filter).arg("-w").arg(&path);
            (path, command.stderr(Stdio::piped()).spawn().unwrap())
        };
        let mut recorders = vec![begin("all".into(), None)];
        recorders.extend(filters.iter().enumerate().map(|(n, filter)| begin(n.to_string(), Some(filter))));
        // The state is written after the gate has opened; until it ends, the file has another name.
        wait_until(|| {
            recorders
                .iter()
                .all(|(path, _)| fs::metadata(path.with_extension("scap.partial")).is_ok_and(|m| m.len() > 0))
        });
        perl.stdin.take().unwrap().write_all(b"go\n").unwrap();
        assert!(perl.wait().unwrap().success());
        for (path, recorder) in recorders {
            let pid = rustix::process::Pid::from_child(&recorder);
            rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
            let ended = recorder.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&ended.stderr);
            assert!(ended.status.success(), "{}: {}: {said}", path.display(), ended.status);
        }
        Beside { folder, filters: filters.to_vec() }
    }

    fn path(&self, name: &str) -> PathBuf {
        file(&self.folder, &format!("{name}.scap"))
    }

    /// Checks each filtered recording against the unfiltered one.
    fn check(&self) {
        for (n, filter) in self.filters.iter().enumerate() {
            let recorded = self.path(&n.to_string());
            Capture::read(&recorded);
            let truth = by_thread(read(&self.path("all"), filter, FORM));
            let again = by_thread(read(&recorded, filter, FORM));
            let plain = by_thread(read(&recorded, "evt.type != notification", FORM));
            assert_eq!(plain, truth, "{filter}");
            assert_eq!(again, truth, "{filter}, read with it");
            assert!(!truth.is_empty(), "{filter} matches nothing");
        }
    }
}

/// Waits for a condition, at most a minute.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(60), "the recorders do not start");
        sleep(Duration::from_millis(20));
    }
}

fn read(path: &Path, filter: &str, form: &str) -> Vec<String> {
    let (code, lines, said) = run(scapd().args(["read", "-p", form, "-f", filter]).arg(path));
    assert_eq!(code, Some(0), "{filter}: {said}");
    lines.lines().map(str::to_owned).collect()
}

/// Returns the lines of each thread.
fn by_thread(lines: Vec<String>) -> BTreeMap<String, Vec<String>> {
    let mut threads = BTreeMap::<_, Vec<_>>::new();
    for line in lines {
        threads.entry(line.split(' ').next().unwrap().to_owned()).or_default().push(line);
    }
    threads
}

#[test]
fn types_are_the_same_events() {
    let _alone = series::alone();
    Beside::of(&[
        "evt.type = openat",
        "evt.type in (getppid, write) and evt.dir = <",
        "evt.type = mkdir and evt.dir = >",
        "syscall.type startswith un",
        "evt.is_io = true",
    ])
    .check();
}

#[test]
fn results_and_arguments_are_the_same_events() {
    let _alone = series::alone();
    Beside::of(&[
        "evt.failed = true",
        "evt.type = openat and evt.rawres < 0",
        "evt.res = ENOENT or evt.type = rename",
        "evt.arg.name contains passwd",
        "evt.buflen > 40",
        "evt.type = write and evt.arg.size = 50 and evt.dir = <",
    ])
    .check();
}

#[test]
fn processes_are_the_same_events() {
    let _alone = series::alone();
    Beside::of(&[
        "proc.name = cat",
        "proc.exepath endswith /cat and not evt.type in (mmap, mprotect)",
        "user.uid = 65534",
        "proc.pname = worker and evt.dir = <",
        "evt.type = getppid and proc.name in (worker, cat)",
    ])
    .check();
}

#[test]
fn descriptors_and_times_are_the_same_events() {
    let _alone = series::alone();
    Beside::of(&[
        "fd.name = /etc/passwd",
        "fd.name glob */d/new and evt.type in (write, close)",
        "fd.type = ipv4 or fd.sport = 9",
        "evt.latency > 30ms",
        "proc.cwd startswith /usr and evt.type = openat",
        "evt.category = net",
        "fd.name regex '.*/host[a-z]+'",
    ])
    .check();
}

#[test]
fn the_balance_is_exact() {
    let _alone = series::alone();
    let number = Syscall::by_name("getppid").unwrap().number(Arch::NATIVE).unwrap();
    // A thread's parent has a number, and names need no other call.
    let filter = "evt.type = getppid and evt.rawres = 0";
    let seen = |calls: u64| {
        let folder = tempfile::tempdir().unwrap();
        let (path, stats) = (file(&folder, "x.scap"), file(&folder, "x.json"));
        let mut command = scapd();
        command.args(["record", "--only", "--tracepoints", "none", filter, "--stats-file"]).arg(&stats);
        let script = format!("syscall({number}) for 1..{calls}");
        command.arg("-w").arg(&path).args(["--", "perl", "-e", &script]);
        let (code, _, said) = run(&mut command);
        assert_eq!(code, Some(0), "{said}");
        let stats: Json = serde_json::from_slice(&std::fs::read(stats).unwrap()).unwrap();
        let of = |key: &str| stats[key].as_u64().unwrap();
        let filtered = stats["left_out"]["filtered"].as_u64().unwrap();
        assert_eq!(of("seen"), of("written") + of("lost") + of("unread") + filtered);
        assert_eq!(stats["unaccounted"].as_i64(), Some(0), "{said}");
        assert_eq!(Capture::read(&path).verdict.left_out.filtered, filtered);
        assert!(read(&path, filter, "%evt.num").is_empty(), "{said}");
        assert!(filtered == 0 || said.contains("in the recorder"), "{said}");
        // The entry of a call whose return is lost waits for it in vain, and is written.
        of("written") + of("lost") + filtered
    };
    assert_eq!(seen(200_000) - seen(0), 400_000, "at full speed: left out, or lost and counted");
}

#[test]
fn a_series_has_the_filter_in_each_file_and_an_exact_balance() {
    let _alone = series::alone();
    let folder = tempfile::tempdir().unwrap();
    let number = Syscall::by_name("getppid").unwrap().number(Arch::NATIVE).unwrap();
    let script = format!("for (1..2000) {{ syscall({number}); mkdir '/'; rmdir '/no' }}");
    let mut command = scapd();
    command.args(["record", "-q", "--rotate-events", "1500", "proc.name = perl and evt.failed = true", "-w"]);
    command.arg(file(&folder, "x.scap")).args(["--", "perl", "-e", &script]);
    command.current_dir(folder.path());
    let (code, _, said) = run(&mut command);
    assert_eq!(code, Some(0), "{said}");
    let files = series::captures(folder.path());
    assert!(files.len() > 1, "{files:?}");
    let (mut seen, mut written, mut filtered) = (0, 0, 0);
    for path in &files {
        let verdict = Capture::read(path).verdict;
        (seen, written) = (seen + verdict.seen, written + verdict.written);
        filtered += verdict.left_out.filtered;
        let (_, json, _) = run(scapd().args(["info", "--json"]).arg(path));
        let info: Json = serde_json::from_str(&json).unwrap();
        assert!(json.contains("proc.name = perl and evt.failed = true"), "{info}");
        assert_eq!(run(scapd().arg("verify").arg(path)).0, Some(0));
    }
    assert!(written > 4000 && filtered > 4000, "{written}, {filtered}");
    assert_eq!(seen, written + filtered);
}

#[test]
fn a_limit_counts_what_matches() {
    let _alone = series::alone();
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "x.scap");
    let mut command = scapd();
    command.args(["record", "-n", "5", "evt.type = openat and evt.rawres < 0", "-w"]).arg(&path);
    let (code, _, said) = run(command.args(["--", "perl", "-e", "open(my $f, '<', '/no/such') for 1..50"]));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(read(&path, "evt.type = openat and evt.rawres < 0", "%evt.num").len(), 5);
    Capture::read(&path);
}

#[test]
fn a_mistake_is_shown_with_its_place() {
    for args in [&["record", "proc.nmae", "=", "cat"][..], &["record", "--filter", "proc.nmae = cat"]] {
        let (code, _, said) = run(scapd().args(args));
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("proc.nmae = cat\n^^^^^^^^^ no such field; did you mean proc.name?"), "{said}");
    }
    let (code, _, said) = run(scapd().args(["record", "-f", "evt.dir = <", "evt.dir = >"]));
    assert!(code == Some(2) && said.contains("both as --filter and as arguments"), "{said}");
}

#[test]
fn where_each_part_is_decided_is_explained() {
    let filter = "evt.type = openat and evt.dir = < and fd.name startswith /etc";
    let (code, table, said) = run(scapd().args(["record", "--explain", filter]));
    assert_eq!(code, Some(0), "{said}");
    for line in
        ["not loaded  evt.type = openat", "not loaded  evt.dir = <", "recorder    fd.name startswith /etc"]
    {
        assert!(table.contains(line), "{table}");
    }
    let (_, json, _) = run(scapd().args(["record", "--explain", "--json", filter]));
    let json: Json = serde_json::from_str(&json).unwrap();
    assert_eq!(json["parts"][2]["places"], serde_json::json!(["recorder"]));
    let exit = json["loaded"]["exit"].as_array().unwrap();
    assert!(exit.contains(&"openat".into()) && !exit.contains(&"read".into()), "{exit:?}");
    assert_eq!(json["loaded"]["enter"], serde_json::json!([]));
    assert!(json["loaded"]["for_names"].as_array().unwrap().contains(&"close".into()));
}

/// Records this process's calls while the filter changes every 100 ms. Returns the calls of each thread, as made and as found,
/// and the events seen, written and left out.
fn changing(filters: &[&str]) -> (BTreeMap<u64, u64>, BTreeMap<u64, Vec<u64>>, [u64; 3]) {
    let _alone = series::alone();
    let folder = tempfile::tempdir().unwrap();
    let mut config = series::config(file(&folder, "x.scap"), Series::default());
    config.selectable = true;
    let recording = Recording::start(config.clone());
    let generator = Generator::start(2, 10, Duration::from_millis(1));
    for text in filters.iter().cycle().take(20) {
        sleep(Duration::from_millis(100));
        let filter = (!text.is_empty()).then(|| Filter::parse(text, &Fields).unwrap());
        recording.handle.change(LiveSettings { filter, ..LiveSettings::from(&config) }).unwrap();
    }
    let made = generator.stop();
    let verdict = recording.stop().unwrap().summary.verdict;
    assert_eq!((verdict.losses.sum(), verdict.unaccounted()), (0, 0), "{verdict:?}");
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for path in series::captures(folder.path()) {
        series::read(&path)
            .calls
            .into_iter()
            .for_each(|(tid, calls)| found.entry(tid).or_default().extend(calls));
    }
    (made, found, [verdict.seen, verdict.written, verdict.left_out.filtered])
}

#[test]
fn no_event_is_lost_while_the_filter_changes() {
    // All of them match all calls: by type, by result, by the state of the machine.
    let (made, found, _) = changing(&[
        "evt.type = pread",
        "evt.type = pread and evt.rawres < 0",
        "evt.type = pread and proc.pid > 0",
        "",
        "proc.name != nobody and evt.type = pread",
    ]);
    for (tid, calls) in made {
        assert!(found[&tid].iter().copied().eq(0..calls), "{} of {calls} calls of {tid}", found[&tid].len());
    }
}

#[test]
fn what_changing_filters_leave_out_is_counted() {
    let (made, found, [seen, written, filtered]) =
        changing(&["evt.type = pread and evt.rawres < 0", "evt.type = pread and evt.rawres >= 0"]);
    let found: u64 = found.values().map(|calls| calls.len() as u64).sum();
    // A filter also follows the ends of threads.
    assert_eq!((seen, written), (made.values().sum::<u64>() + made.len() as u64, found));
    assert_eq!(seen, written + filtered);
    assert!(written > 0 && filtered > 0, "{written}, {filtered}");
}
