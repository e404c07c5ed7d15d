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

use common::{Capture, file, run, scapd, series};
use scap::events::{Arch, Syscall};
use serde_json::Value as Json;

/// Calls of many kinds, by a process and by children of other names and users.
const WORKLOAD: &str = r#"
    use strict; use Socket; use POSIX ();
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
    pipe(my $in, my $feed);
    unless (fork) {
        POSIX::setsid();
        for (1..20) { getppid for 1..20; select(undef, undef, undef, 0.01) }
        open(STDIN, "<&", $in); close $feed;
        exec "dd", "of=/dev/null", "bs=1", "count=3000", "status=none";
    }
    # Slowly, so that the recorder finds out meanwhile what the process has become, also on a busy machine.
    for (1..50) { syswrite($feed, "x" x 60); select(undef, undef, undef, 0.02) }
    close $feed; wait;
"#;

/// Connections of several kinds between some of this machine's addresses; other descriptors and sockets have as much traffic.
const CONNECTIONS: &str = r#"
    use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6 unpack_sockaddr_in); $SIG{PIPE} = "IGNORE";
    my $any = sub { pack_sockaddr_in($_[1] // 0, inet_aton($_[0])) };
    my $six = sub { pack_sockaddr_in6($_[1] // 0, inet_pton(AF_INET6, $_[0])) };
    my $make = sub { socket(my $new, $_[0], $_[1], 0) or die "socket: $!"; $new };
    my $talk = sub {
        my ($client, $server) = @_;
        for (1..40) { syswrite($client, "question"); sysread($server, my $q, 99); send($server, "answer", 0); recv($client, my $a, 99, 0) }
    };
    my $through = sub {
        my ($family, $to, $dial, $from) = @_;
        my ($listening, $client) = ($make->($family, SOCK_STREAM), $make->($from // $family, SOCK_STREAM));
        bind($listening, $to) && listen($listening, 5) or die "listen: $!";
        my $peer = $dial ? $dial->($listening) : getsockname $listening;
        connect($client, $peer) && accept(my $server, $listening) or die "connect: $!";
        $talk->($client, $server);
        open(my $copy, "+<&", $client); $talk->($copy, $server);
        unless (fork) { $talk->($client, $server); exit 0 }
        wait; setsockopt($client, SOL_SOCKET, SO_KEEPALIVE, 1); getpeername $client; stat $client; shutdown($client, 2);
        # The same number, another connection.
        close $client; $listening;
    };
    for (1, 2) {
        $through->(PF_INET, $any->("127.0.0.2")); $through->(PF_INET, $any->("127.0.0.3")); $through->(PF_INET6, $six->("::1"));
        my $mapped = sub { $six->("::ffff:127.0.0.2", (unpack_sockaddr_in getsockname $_[0])[0]) };
        $through->(PF_INET, $any->("127.0.0.2"), $mapped, PF_INET6);
    }
    my $refused = $make->(PF_INET, SOCK_STREAM); connect($refused, $any->("127.0.0.2", 9)); syswrite($refused, "nobody");
    my ($one, $other) = map { my $new = $make->(PF_INET, SOCK_DGRAM); bind($new, $any->("127.0.0.2")); $new } 1, 2;
    for (1..9) { send($one, "to", 0, getsockname $other); recv($other, my $got, 9, 0) }
    connect($one, getsockname $other); send($one, "to", 0); recv($other, my $got, 9, 0);
    socketpair(my $left, my $right, PF_UNIX, SOCK_STREAM, 0); $talk->($left, $right);
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
        perl.args(["-e", &[WORKLOAD, CONNECTIONS].concat()])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
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

    /// Checks each filtered recording against the unfiltered one. Returns how many events the kernel left out of each.
    fn check(&self) -> Vec<u64> {
        let mut left_out = Vec::new();
        for (n, filter) in self.filters.iter().enumerate() {
            let recorded = self.path(&n.to_string());
            left_out.push(Capture::read(&recorded).verdict.left_out.sieved);
            // The recorders' own notices are not events of the run.
            let events = format!("({filter}) and evt.type != notification");
            let truth = by_thread(read(&self.path("all"), &events, FORM));
            let again = by_thread(read(&recorded, &events, FORM));
            let plain = by_thread(read(&recorded, "evt.type != notification", FORM));
            assert_same(&plain, &truth, filter);
            assert_same(&again, &truth, &format!("{filter}, read with it"));
            assert!(!truth.is_empty(), "{filter} matches nothing");
        }
        left_out
    }
}

/// Waits for a condition, at most four minutes: so many recorders take their time to start on a busy machine.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(240), "the recorders do not start");
        sleep(Duration::from_millis(20));
    }
}

fn read(path: &Path, filter: &str, form: &str) -> Vec<String> {
    let (code, lines, said) = run(scapd().args(["read", "-p", form, "-f", filter]).arg(path));
    assert_eq!(code, Some(0), "{filter}: {said}");
    lines.lines().map(str::to_owned).collect()
}

/// Asserts that both have the same threads and the same lines of each; shows where they begin to differ.
fn assert_same(found: &Threads, truth: &Threads, what: &str) {
    for tid in found.keys().chain(truth.keys()) {
        let lines = |of: &Threads| of.get(tid).cloned().unwrap_or_default();
        let (found, truth) = (lines(found), lines(truth));
        let place = found.iter().zip(&truth).take_while(|(found, truth)| found == truth).count();
        let at = |of: &[String]| of.iter().skip(place.saturating_sub(1)).take(4).cloned().collect::<Vec<_>>();
        assert!(
            found == truth,
            "{what}: line {place} of thread {tid}, which has {} lines and should have {}: {:#?} instead of {:#?}",
            found.len(),
            truth.len(),
            at(&found),
            at(&truth)
        );
    }
}

/// The lines of each thread.
type Threads = BTreeMap<String, Vec<String>>;

/// Returns the lines of each thread.
fn by_thread(lines: Vec<String>) -> Threads {
    let mut threads = Threads::new();
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
fn what_the_kernel_decides_are_the_same_events() {
    let _alone = series::alone();
    let left_out = Beside::of(&[
        "not proc.name in (worker, perl)",
        "proc.name startswith wor and evt.failed = true and not evt.type = rename",
        "evt.res in (ENOENT, EISDIR) or user.uid = 65534",
        "group.gid != 0 and fd.name startswith /etc",
        "proc.name = cat and evt.latency > 1 and evt.dir = <",
        "proc.pid > 1 and thread.tid > 1 and evt.rawres = 5",
        "evt.latency > 30ms",
    ])
    .check();
    assert!(left_out.iter().all(|count| *count > 0), "{left_out:?}");
}

/// The kernel is told of a process while it runs, and the process becomes another one.
#[test]
fn what_the_kernel_learns_of_processes_are_the_same_events() {
    let _alone = series::alone();
    let left_out = Beside::of(&[
        "proc.exepath endswith /dd",
        "not proc.exe in (dd) and evt.dir = <",
        "proc.args contains 'count=3000' and proc.tty = 0",
        "thread.cgroups contains cpu and (proc.exe regex '.*cat' or evt.failed = true)",
        "proc.ppid > 1 and proc.apid > 1 and proc.exe = dd and proc.sid != 0",
    ])
    .check();
    assert!(left_out.iter().all(|count| *count > 300), "{left_out:?}");
}

#[test]
fn connections_are_the_same_events() {
    let _alone = series::alone();
    let left_out = Beside::of(&[
        "fd.sip = 127.0.0.2",
        "fd.net = 127.0.0.0/8 and evt.type in (read, write, sendto, recvfrom)",
        "fd.ip = ::1 and evt.dir = <",
        "fd.cport > 1023 and evt.is_io = true",
        "fd.rip in (127.0.0.3, 10.0.0.1) or fd.port = 9",
        "fd.snet = ::1/128 or fd.name startswith /etc",
    ])
    .check();
    assert!(left_out[..5].iter().all(|count| *count > 300) && left_out[5] == 0, "{left_out:?}");
}

#[test]
fn descriptors_and_times_are_the_same_events() {
    let _alone = series::alone();
    Beside::of(&[
        "fd.name = /etc/passwd",
        "fd.name glob */d/new and evt.type in (write, close)",
        "fd.type = ipv4 or fd.sport = 9",
        "evt.latency > 20ms and evt.dir = <",
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
    // Only the recorder decides that, and names need no other call.
    let filter = "evt.type = getppid and evt.cpu < 0";
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

/// Calls at full speed, first of a task that matches, then of one that does not.
#[test]
fn each_place_counts_exactly() {
    let _alone = series::alone();
    const CALLS: u64 = 500_000;
    let number = Syscall::by_name("getppid").unwrap().number(Arch::NATIVE).unwrap();
    let balance = |calls: u64| {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "x.scap");
        let mut command = scapd();
        command.args(["record", "-q", "--only", "--tracepoints", "none", "-w"]).arg(&path);
        command.arg("evt.type = getppid and proc.name = match and evt.cpu >= 0");
        let calls = format!("syscall({number}) for 1..{calls}");
        let script = format!("$0 = 'match'; {calls}; $0 = 'other'; {calls}");
        let (code, _, said) = run(command.args(["--", "perl", "-e", &script]));
        assert_eq!(code, Some(0), "{said}");
        let verdict = Capture::read(&path).verdict;
        let lost = verdict.losses.sum();
        assert_eq!(verdict.seen, verdict.written + lost + verdict.left_out.filtered);
        (verdict.seen, verdict.left_out.sieved)
    };
    let (none, some) = (balance(0), balance(CALLS));
    assert_eq!((some.0 - none.0, some.1 - none.1), (2 * CALLS, 2 * CALLS));
}

#[test]
fn a_series_has_the_filter_in_each_file_and_an_exact_balance() {
    let _alone = series::alone();
    let folder = tempfile::tempdir().unwrap();
    let number = Syscall::by_name("getppid").unwrap().number(Arch::NATIVE).unwrap();
    let script = format!("for (1..2000) {{ syscall({number}); mkdir '/'; rmdir '/no' }}");
    let mut command = scapd();
    // The kernel leaves out getppid, the recorder mkdir.
    let filter =
        "proc.name = perl and evt.failed = true and (evt.type = getppid or evt.arg.path contains no)";
    command.args(["record", "-q", "--rotate-events", "1500", filter, "-w"]);
    command.arg(file(&folder, "x.scap")).args(["--", "perl", "-e", &script]);
    command.current_dir(folder.path());
    let (code, _, said) = run(&mut command);
    assert_eq!(code, Some(0), "{said}");
    let files = series::captures(folder.path());
    assert!(files.len() > 1, "{files:?}");
    let (mut seen, mut written, mut filtered, mut sieved) = (0, 0, 0, 0);
    for path in &files {
        let verdict = Capture::read(path).verdict;
        (seen, written) = (seen + verdict.seen, written + verdict.written);
        filtered += verdict.left_out.filtered;
        sieved += verdict.left_out.sieved;
        let (_, json, _) = run(scapd().args(["info", "--json"]).arg(path));
        let info: Json = serde_json::from_str(&json).unwrap();
        assert!(json.contains(filter), "{info}");
        assert_eq!(run(scapd().arg("verify").arg(path)).0, Some(0));
    }
    assert!(written >= 2000 && filtered >= 2000 && sieved >= 2000, "{written}, {filtered}, {sieved}");
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
    let filter = "proc.name = cat and evt.failed = true";
    let (_, json, _) = run(scapd().args(["record", "--explain", "--json", filter]));
    let json: Json = serde_json::from_str(&json).unwrap();
    let places = |part: usize| json["parts"][part]["places"].clone();
    assert_eq!(places(0), serde_json::json!(["task", "recorder"]));
    assert_eq!(places(1), serde_json::json!(["not_loaded", "return", "recorder"]));
}
