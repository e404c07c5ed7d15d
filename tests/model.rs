//! The model of the machine against /proc: after a recording, it says of the processes that still live what /proc says.
//! Needs root, for a real recording.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
};

use common::{file, run, scapd};
use rustix::process::{Pid, Signal, kill_process};
use scap::{
    format::{Joiner, Keep, Reader},
    model::{FdClass, Machine},
};

/// Makes processes that outlive the recorded command, and writes their ids to the file `pids`. Each tells through a pipe
/// that it has done its part; their parent ends then.
const SCRIPT: &str = r#"
use Socket; use POSIX ();
my ($dir, $prctl) = @ARGV;
chdir($dir); mkdir("sub"); mkdir("sub/deep");
pipe(my $ready, my $done);
my @pids;
sub child { my $do = shift; my $pid = fork(); die unless defined $pid; if ($pid) { push @pids, $pid; return; }
    open(STDIN, "<", "/dev/null"); open(STDOUT, ">", "/dev/null"); open(STDERR, ">", "/dev/null");
    close($ready); $do->(); close($done); sleep(60); POSIX::_exit(0); }
child(sub { POSIX::setsid(); chdir("sub/deep"); chdir(".."); open(our $a, "<", "../pids.not"); open(our $f, "+>", "file"); });
child(sub { my $name = "renamed\0"; syscall($prctl + 0, 15, $name); setpgrp(0, 0); opendir(our $d, "/etc");
    open(our $f, "<", "/etc/passwd"); POSIX::dup2(fileno($f), 50); POSIX::dup2(0, 51); POSIX::close(51); });
child(sub { socket(our $s, PF_INET, SOCK_STREAM, 0); bind($s, sockaddr_in(0, INADDR_LOOPBACK)); listen($s, 1);
    socketpair(our $a, our $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC); pipe(our $r, our $w);
    socket(our $c, PF_INET, SOCK_STREAM, 0); connect($c, getsockname($s)); accept(our $t, $s); });
child(sub { chdir("/"); $) = "65534 65534"; $( = 65534; $< = 65534; $> = 65534; });
child(sub { $^F = 100; open(our $k, "<", "/etc/group"); exec("sleep", "60"); });
# A program without arguments, which waits for an end of its own pipe.
child(sub { $^F = 100; pipe(our $in, our $held); POSIX::dup2(fileno($in), 0); exec("cat"); });
# A child of a child, after its parent's changes; that parent ends.
child(sub { chdir("sub"); open(our $f, "<", "/etc/hostname"); if (my $pid = fork()) {
    open(my $out, ">", "../grandchild"); print $out $pid; close($out); POSIX::_exit(0); } });
close($done);
# All have closed the pipe, an exec has too; then all sleep, so that nothing of what they did comes later.
sysread($ready, my $end, 1);
pop(@pids);
open(my $in, "<", "grandchild"); push(@pids, <$in>); close($in);
for my $pid (@pids) { for (1..1000) {
    open(my $stat, "<", "/proc/$pid/stat"); last if <$stat> =~ /\) S /; select(undef, undef, undef, 0.005); } }
pop(@pids);
open(my $out, ">", "pids"); print $out "@pids"; close($out);
"#;

/// Kills processes when it is dropped, so that a failing test leaves none.
struct Living(Vec<u64>);

impl Drop for Living {
    fn drop(&mut self) {
        for pid in &self.0 {
            let _ = Pid::from_raw(*pid as i32).map(|pid| kill_process(pid, Signal::KILL));
        }
    }
}

fn ids(path: &Path) -> Vec<u64> {
    fs::read_to_string(path).unwrap().split_whitespace().map(|id| id.parse().unwrap()).collect()
}

/// Returns the machine at the end of a capture.
fn machine_of(path: &Path) -> Machine {
    let mut reader = Reader::new(File::open(path).unwrap()).unwrap();
    let (mut machine, mut joiner, mut section) = (Machine::default(), Joiner::default(), 0);
    while let Some(captured) = reader.next_event().unwrap() {
        if captured.section != section {
            section = captured.section;
            machine = Machine::of_state(captured.state, Keep::All);
        }
        machine.apply(&joiner.join(captured.event));
    }
    machine
}

type Facts = BTreeMap<&'static str, String>;

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn read_number(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().into()
}

/// Returns what /proc says of a process.
fn of_proc(pid: u64) -> Facts {
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap();
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}")).unwrap().display().to_string();
    let stat = String::from_utf8(read("stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    let numbers: Vec<&str> = rest.split(' ').collect();
    let status = String::from_utf8(read("status")).unwrap();
    let of_status = |key: &str, index: usize| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_whitespace().nth(index).unwrap().to_string()
    };
    let capabilities = |key| u64::from_str_radix(&of_status(key, 0), 16).unwrap().to_string();
    let limits = String::from_utf8(read("limits")).unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    Facts::from([
        ("parent", numbers[1].into()),
        ("terminal", numbers[4].into()),
        ("login", read_number(&read("loginuid"))),
        ("threads", of_status("Threads:", 0)),
        ("descriptors", fds.to_string()),
        ("comm", text(read("comm").strip_suffix(b"\n").unwrap())),
        ("command line", text(&read("cmdline"))),
        ("environment", text(&read("environ"))),
        ("executable", link("exe")),
        ("directory", link("cwd")),
        ("root", link("root")),
        ("group", numbers[2].into()),
        ("session", numbers[3].into()),
        ("uid", of_status("Uid:", 1)),
        ("gid", of_status("Gid:", 1)),
        ("id", pid.to_string()),
        ("effective", capabilities("CapEff:")),
        ("permitted", capabilities("CapPrm:")),
        ("file limit", files.split_whitespace().next().unwrap().into()),
    ])
}

/// Returns the id in the model of a process that the recorded command has made: /proc may be that of a nested pid namespace.
fn in_model(machine: &Machine, pid: u64) -> u64 {
    let is_it = |tid: &u64| {
        machine
            .thread(*tid)
            .is_some_and(|t| t.info.vtid == pid as i64 && t.process.started > 0 && t.pid == t.tid)
    };
    let found: Vec<_> = machine.threads().into_iter().filter(is_it).collect();
    assert_eq!(found.len(), 1, "process {pid} in the model: {found:?}");
    found[0]
}

/// Returns what the model says of a process, with ids as /proc has them.
fn of_model(machine: &Machine, tid: u64) -> Facts {
    let thread = machine.thread(tid).unwrap();
    let process = thread.process;
    assert_eq!(thread.pid, tid);
    let own = |id: u64| machine.thread(id).map_or(0, |thread| thread.info.vtid);
    let count = |count: Option<u64>| count.map_or("unknown".into(), |count| count.to_string());
    Facts::from([
        ("parent", own(process.ptid).to_string()),
        ("terminal", process.tty.to_string()),
        ("login", process.loginuid.to_string()),
        ("threads", count(machine.thread_count(tid))),
        ("descriptors", count(machine.fd_count(tid))),
        ("comm", text(thread.comm)),
        ("command line", text(&[&process.exe, &b"\0"[..], &process.args].concat())),
        ("environment", text(&process.env)),
        ("executable", text(&process.exepath)),
        ("directory", text(thread.cwd)),
        ("root", text(thread.root)),
        ("group", process.vpgid.to_string()),
        ("session", own(process.sid).to_string()),
        ("uid", thread.info.uid.to_string()),
        ("gid", thread.info.gid.to_string()),
        ("id", thread.info.vtid.to_string()),
        ("effective", thread.info.cap_effective.to_string()),
        ("permitted", thread.info.cap_permitted.to_string()),
        ("file limit", process.fdlimit.to_string()),
    ])
}

/// Returns the descriptors in /proc: for a socket its kind, for all others the name.
fn fds_of_proc(pid: u64) -> BTreeMap<i64, String> {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(|fd| {
        let fd = fd.unwrap();
        let link = fs::read_link(fd.path()).unwrap().display().to_string();
        let name = if link.starts_with("socket:") { "socket".into() } else { link };
        (fd.file_name().to_str().unwrap().parse().unwrap(), name)
    });
    fds.collect()
}

fn fds_of_model(machine: &Machine, pid: u64) -> BTreeMap<i64, String> {
    let fds = machine.fds(pid).into_iter().map(|(fd, open)| match open.class {
        FdClass::Ipv4(_) | FdClass::Ipv6(_) | FdClass::Unix => (fd, "socket".into()),
        _ => (fd, text(&open.name)),
    });
    fds.collect()
}

#[test]
fn the_model_says_what_proc_says() {
    let folder = tempfile::tempdir().unwrap();
    let (path, dir) = (file(&folder, "a.scap"), folder.path().canonicalize().unwrap());
    let prctl = if cfg!(target_arch = "x86_64") { "157" } else { "167" };
    let mut record = scapd();
    // fcntl's argument, which sets close-on-exec, is in events of the latest schema only.
    record
        .args(["record", "-q", "--schema", "latest", "-w"])
        .arg(&path)
        .args(["--", "perl", "-e", SCRIPT])
        .arg(&dir)
        .arg(prctl);
    let (code, _, stderr) = run(&mut record);
    let living = Living([ids(&dir.join("pids")), ids(&dir.join("grandchild"))].concat());
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(living.0.len(), 7);

    let machine = machine_of(&path);
    let tids: Vec<_> = living.0.iter().map(|pid| in_model(&machine, *pid)).collect();
    for (i, (&pid, &tid)) in living.0.iter().zip(&tids).enumerate() {
        assert_eq!(of_model(&machine, tid), of_proc(pid), "child {i}");
        assert_eq!(fds_of_model(&machine, tid), fds_of_proc(pid), "child {i}");
    }
    // What the script made is really there.
    let comms: Vec<_> = tids.iter().map(|tid| text(machine.comm(*tid).unwrap())).collect();
    assert_eq!(comms, ["perl", "renamed", "perl", "perl", "sleep", "cat", "perl"]);
    let [session, sockets] = [tids[0], tids[2]];
    assert_eq!(machine.thread(session).unwrap().process.sid, session);
    let connected = machine.fds(sockets).into_iter().filter(|(_, open)| open.ends().is_some());
    assert_eq!(connected.count(), 2, "both sides of a connection");
}
