//! `scapd top` and its kin: the numbers of strace and perf for the same run, and of programs that are known. Needs root, to
//! record; if strace or perf is not installed, its test is reported as ignored.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use common::{run, scapd};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};
use scap::events::EVENTS;
use serde_json::Value as Json;
use tempfile::TempDir;

/// Calls and errors of each call.
type Counts = BTreeMap<String, (u64, u64)>;

const SCRIPT: &str = "for i in 1 2 3; do ls /usr/lib; cat /etc/nothing; done; \
                      (sleep 0.1; echo later) | cat; grep -r root /etc/ssl; rm -f /nothing/there";

/// Runs a command of scapd that must succeed, and returns what it prints.
fn print(args: &[&str]) -> String {
    let (code, out, said) = run(scapd().args(args));
    assert_eq!(code, Some(0), "{args:?}: {said}");
    out
}

fn json(args: &[&str]) -> Json {
    serde_json::from_str(&print(args)).unwrap()
}

/// Records a command. Returns the folder of the capture, and its path.
fn record(command: &[&str]) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scap").into_os_string().into_string().unwrap();
    let mut record = Command::new("timeout");
    record.args(["-s", "KILL", "60", env!("CARGO_BIN_EXE_scapd"), "record", "-q", "-w", &path, "--"]);
    let recorded = record.args(command).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(recorded.code().is_some_and(|code| code < 124), "{command:?}: {recorded}");
    (folder, path)
}

/// Returns the counts of scapd, by the kernel's names of the calls.
fn counts(capture: &str, filter: &str) -> Counts {
    let table = print(&["top", capture, filter, "-n", "0", "--csv", "--columns", "calls,errors"]);
    let name = |ours: &str| {
        let call = EVENTS.iter().filter(|row| row.name == ours).find_map(|row| row.syscall());
        call.map_or(ours, |call| call.name).to_owned()
    };
    let row = |line: &str| {
        let cells: Vec<_> = line.split(',').collect();
        (name(cells[0]), (cells[1].parse().unwrap(), cells[2].parse().unwrap()))
    };
    table.lines().skip(1).map(row).collect()
}

/// Returns whether a program is there.
fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

fn strace_counts_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("table");
    let strace = ["strace", "-f", "-c", "-o", table.to_str().unwrap(), "sh", "-c", SCRIPT];
    let (_folder, capture) = record(&strace);
    // Between the fork and the exec, strace's child has its name. strace does not count what it does there.
    let ours = counts(&capture, "proc.name != strace");
    let mut theirs = Counts::new();
    for line in fs::read_to_string(&table).unwrap().lines() {
        // % time, seconds, usecs/call, calls, errors if any, name.
        let cells: Vec<_> = line.split_whitespace().collect();
        match cells[..] {
            [share, .., "total"] if share.starts_with("100") => {}
            [share, _, _, calls, ref rest @ ..] if share.parse::<f64>().is_ok() => {
                let errors = if rest.len() == 2 { rest[0].parse().unwrap() } else { 0 };
                theirs.insert((*rest.last().unwrap()).to_owned(), (calls.parse().unwrap(), errors));
            }
            _ => {}
        }
    }
    assert!(theirs.len() > 20, "{theirs:?}");
    assert_eq!(ours, theirs);
}

fn perf_counts_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("table");
    let (_folder, capture) =
        record(&["perf", "trace", "-s", "-o", table.to_str().unwrap(), "grep", "-r", "root", "/etc/ssl"]);
    let mut ours = counts(&capture, "proc.name = grep");
    let mut theirs = Counts::new();
    for line in fs::read_to_string(&table).unwrap_or_default().lines() {
        // Call, calls, errors, times.
        let cells: Vec<_> = line.split_whitespace().collect();
        if let [call, calls, errors, _, ..] = cells[..]
            && let (Ok(calls), Ok(errors)) = (calls.parse(), errors.parse())
        {
            theirs.insert(call.to_owned(), (calls, errors));
        }
    }
    // perf also counts those that it tried before.
    ours.remove("execve");
    theirs.remove("execve");
    assert!(theirs.len() > 10, "perf trace shows nothing: {theirs:?}");
    assert_eq!(ours, theirs);
}

/// Returns the group of a table that has these keys.
#[track_caller]
fn group<'a>(table: &'a Json, keys: &[(&str, &str)]) -> &'a Json {
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let is_it = |group: &&Json| keys.iter().all(|(key, value)| text(&group["keys"][*key]) == *value);
    table["groups"].as_array().unwrap().iter().find(is_it).unwrap_or_else(|| panic!("{keys:?}: {table:#}"))
}

fn files_have_what_was_done_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_str().unwrap();
    let script =
        "cd \"$1\"; head -c 1000 /dev/zero > a; cat a > b; rm a; mv b c; mkdir d; rmdir d; cat c missing";
    let (_folder, capture) = record(&["sh", "-c", script, "sh", at]);
    let table = json(&["files", &capture, "-n", "0", "--json"]);
    let of = |file: &str, process: &str| {
        group(&table, &[("file", &format!("{at}/{file}")), ("proc.name", process)]).clone()
    };
    let numbers = |group: &Json, names: &[&str]| -> Vec<u64> {
        names.iter().map(|name| group[*name].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(&of("a", "sh"), &["opened", "created"]), [1, 1]);
    assert_eq!(numbers(&of("a", "head"), &["in_bytes", "out_bytes"]), [0, 1000]);
    assert_eq!(numbers(&of("a", "cat"), &["opened", "created", "in_bytes"]), [1, 0, 1000]);
    assert_eq!(numbers(&of("b", "cat"), &["out_bytes"]), [1000]);
    assert_eq!(numbers(&of("a", "rm"), &["deleted"]), [1]);
    assert_eq!(numbers(&of("b", "mv"), &["renamed"]), [1]);
    assert_eq!(numbers(&of("d", "mkdir"), &["created"]), [1]);
    assert_eq!(numbers(&of("d", "rmdir"), &["deleted"]), [1]);
    let missing = of("missing", "cat");
    assert_eq!(
        (numbers(&missing, &["errors", "opened"]), &missing["by_error"]["ENOENT"]),
        (vec![1, 0], &1.into())
    );
    let text = print(&["files", &capture, &format!("fd.name startswith {at}")]);
    assert!(text.lines().next().unwrap().contains("opened") && text.contains("1000 B"), "{text}");
}

fn net_has_peers_bytes_and_failures() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let serve = thread::spawn(move || {
        let mut client = listener.accept().unwrap().0;
        let mut asked = [0; 6];
        client.read_exact(&mut asked).unwrap();
        client.write_all(&[b'x'; 500]).unwrap();
    });
    // Port 1 of the loopback has no listener.
    let script = "exec 3<>/dev/tcp/127.0.0.1/$1; printf 'hello\\n' >&3; cat <&3; : </dev/tcp/127.0.0.1/1";
    let (_folder, capture) = record(&["bash", "-c", script, "bash", &port]);
    serve.join().unwrap();
    let table = json(&["net", &capture, "--json"]);
    let bash = group(&table, &[("proc.name", "bash"), ("peer", "127.0.0.1"), ("port", &port)]);
    assert_eq!((&bash["connects"], &bash["out_bytes"], &bash["errors"]), (&1.into(), &6.into(), &0.into()));
    assert!(bash["connect_ns"].as_u64().is_some_and(|ns| (1..1_000_000_000).contains(&ns)), "{bash:#}");
    let cat = group(&table, &[("proc.name", "cat"), ("port", &port)]);
    assert_eq!((&cat["in_bytes"], &cat["connects"]), (&500.into(), &0.into()));
    let refused = group(&table, &[("proc.name", "bash"), ("port", "1")]);
    assert_eq!((&refused["by_error"]["ECONNREFUSED"], &refused["connects"]), (&1.into(), &0.into()));
}

fn waiting_adds_up() {
    let (_folder, capture) = record(&["sh", "-c", "sleep 0.3; (sleep 0.2; echo) | cat; true"]);
    let table = json(&["top", "--waiting", &capture, "--json", "-n", "0", "--by", "process"]);
    let groups = table["groups"].as_array().unwrap();
    for group in groups {
        let spent: u64 = group["spent_ns"].as_object().unwrap().values().map(|ns| ns.as_u64().unwrap()).sum();
        assert_eq!(spent, group["time_ns"].as_u64().unwrap(), "{group:#}");
    }
    let spent = |process: &str, on: &str| -> Vec<u64> {
        let of = groups.iter().filter(|group| group["keys"]["process"] == process);
        of.map(|group| group["spent_ns"][on].as_u64().unwrap() / 1_000_000).collect()
    };
    let mut sleeps = spent("sleep", "sleep");
    sleeps.sort_unstable();
    assert!(matches!(sleeps[..], [short, long] if short >= 200 && long >= 300), "{sleeps:?}");
    assert!(spent("cat", "pipes").iter().any(|ms| *ms >= 150), "{table:#}");
    assert!(spent("sh", "children").iter().any(|ms| *ms >= 450), "{table:#}");
    let text = print(&["top", "--waiting", &capture]);
    assert!(text.lines().next().unwrap().contains("children"), "{text}");
}

fn slow_and_errors_show_calls() {
    let (_folder, capture) = record(&["sh", "-c", "sleep 0.3; cat /etc/nothing /etc/nothing; true"]);
    let slow = print(&["slow", &capture, "--waits", "-n", "2", "proc.name = sleep"]);
    let first = slow.lines().next().unwrap();
    assert!(first.trim_start().starts_with('3') && first.contains(" ms  "), "{slow}");
    assert!(first.contains("<sleep> clock_nanosleep("), "{slow}");
    assert_eq!(slow.lines().count(), 2);
    let slow = print(&["slow", &capture, "proc.name = sleep"]);
    assert!(!slow.contains("clock_nanosleep"), "{slow}");
    let slow: Json = serde_json::from_str(&print(&[
        "slow",
        &capture,
        "--waits",
        "-n",
        "1",
        "--json",
        "proc.name = sleep",
    ]))
    .unwrap();
    assert!(slow["latency_ns"].as_u64().unwrap() >= 300_000_000 && slow["ended"] == true, "{slow}");
    let table = json(&["errors", &capture, "fs.path.name = /etc/nothing", "--json"]);
    let failed = group(&table, &[("call", "openat"), ("error", "ENOENT"), ("proc.name", "cat")]);
    assert_eq!(failed["calls"], 2);
    assert!(
        failed["example"].as_str().unwrap().contains("openat(AT_FDCWD, \"/etc/nothing\", O_RDONLY)"),
        "{failed}"
    );
}

fn tree_has_processes_and_their_ends() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().canonicalize().unwrap().into_os_string().into_string().unwrap();
    let script =
        "(cd \"$1\"; exec head -c 10 /dev/zero > x); sh -c 'kill -9 $$'; sh -c 'exit 5'; env cat /dev/null";
    let (_folder, capture) = record(&["sh", "-c", script, "sh", &at]);
    let lines = print(&["tree", &capture, "--json"]);
    let processes: Vec<Json> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let with = |is: &dyn Fn(&Json) -> bool| {
        let found: Vec<_> = processes.iter().filter(|process| is(process)).collect();
        assert_eq!(found.len(), 1, "{lines}");
        found[0]
    };
    let root = with(&|process| process["command"][2] == script);
    let head = with(&|process| process["comm"] == "head");
    assert_eq!(
        (&head["parent"], &head["cwd"], &head["out_bytes"]),
        (&root["pid"], &at.as_str().into(), &10.into())
    );
    assert_eq!((&head["status"], &head["user"]), (&0.into(), &"root".into()));
    assert!(head["started"].as_str() < head["ended"].as_str() && root["started"].is_null(), "{lines}");
    with(&|process| process["signal"] == "SIGKILL" && process["parent"] == root["pid"]);
    with(&|process| process["status"] == 5);
    let cat = with(&|process| process["comm"] == "cat");
    let programs = cat["programs"].as_array().unwrap();
    assert!(programs.len() == 2 && programs[0].as_str().unwrap().ends_with("/env"), "{cat:#}");
    let text = print(&["tree", &capture]);
    assert!(
        text.contains("├─ head -c 10 /dev/zero") && text.contains("SIGKILL") && text.contains("└─ cat"),
        "{text}"
    );
}

fn state_is_that_of_a_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let script = "exec 3<>/dev/tcp/127.0.0.1/$1 4</etc/hostname; sleep 0.4; exec 3<&- 4<&-; sleep 0.4; :";
    let (_folder, capture) = record(&["bash", "-c", script, "bash", &port]);
    // A millisecond before a sleep ends, bash has waited for it long.
    let ends = print(&["read", &capture, "-p", "%evt.reltime", "evt.type = procexit and proc.name = sleep"]);
    let times: Vec<_> =
        ends.lines().map(|end| (end.parse::<f64>().unwrap() / 1e9 - 1e-3).to_string()).collect();
    let [first, second] = &times[..] else { panic!("{ends}") };
    let at = |time: &str, filter: &str| json(&["state", &capture, "--at", time, "--json", filter]);
    let early = at(first, "proc.name = bash and proc.cmdline contains hostname");
    let [bash] = &early["processes"].as_array().unwrap()[..] else { panic!("{early:#}") };
    assert!(bash["call"] == "wait4" && bash["call_ns"].as_u64().unwrap() > 50_000_000, "{bash:#}");
    let names = |state: &Json, part: &str| -> Vec<String> {
        let all = state[part].as_array().unwrap().iter();
        all.map(|fd| fd["name"].as_str().unwrap().to_owned()).collect()
    };
    assert!(names(&early, "files").contains(&"/etc/hostname".to_owned()), "{early:#}");
    assert!(
        names(&early, "sockets").iter().any(|name| name.ends_with(&format!("->127.0.0.1:{port}"))),
        "{early:#}"
    );
    let late = at(second, "proc.name = bash and proc.cmdline contains hostname");
    assert!(!names(&late, "files").contains(&"/etc/hostname".to_owned()), "{late:#}");
    assert_eq!((late["processes"].as_array().unwrap().len(), names(&late, "sockets").len()), (1, 0));
    // A filter for descriptors shows these, and whose they are.
    let holders = at(first, &format!("fd.sport = {port} and proc.name in (bash, sleep)"));
    assert_eq!(names(&holders, "files").len(), 2);
    assert_eq!(holders["processes"].as_array().unwrap().len(), 2);
    let text = print(&["state", &capture, "--at", first, "--show", "sockets", &format!("fd.sport = {port}")]);
    assert!(text.lines().count() >= 3 && text.contains("ipv4 tcp"), "{text}");
}

fn live_summaries() {
    let timed = |args: &[&str]| {
        let mut command = Command::new("timeout");
        run(command.args(["--foreground", "-s", "KILL", "60", env!("CARGO_BIN_EXE_scapd")]).args(args))
    };
    let (code, out, said) =
        timed(&["top", "--by", "call", "-n", "0", "--", "sh", "-c", "cat /etc/hostname; exit 3"]);
    assert_eq!((code, &*out), (Some(3), &*fs::read_to_string("/etc/hostname").unwrap()));
    let header = said.lines().next().unwrap();
    assert!(header.contains("share") && said.contains("openat") && said.contains(" total"), "{said}");
    // A table for each interval, and one for the rest.
    let (code, _, said) =
        timed(&["top", "--every", "0.2s", "--", "sh", "-c", "for i in 1 2 3 4 5 6 7; do sleep 0.1; done"]);
    let tables = said.lines().filter(|line| line.contains("share")).count();
    assert!(code == Some(0) && tables >= 3, "{tables}: {said}");
    let mut sleeper =
        Command::new("timeout").args(["60", "sh", "-c", "while :; do sleep 0.05; done"]).spawn().unwrap();
    let pid = sleeper.id().to_string();
    let args =
        ["-s", "KILL", "60", env!("CARGO_BIN_EXE_scapd"), "top", "-p", &pid, "--csv", "--every", "0.2s"];
    let mut top = Command::new("timeout").args(args).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(top.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("clock_nanosleep,")), "no table has the call");
    // Not SIGINT, which stays ignored where a script has started the tests in the background.
    kill_process(Pid::from_child(&top), Signal::TERM).unwrap();
    // The table of the rest comes before the end.
    let rest: Vec<_> = lines.collect();
    assert_eq!(top.wait().unwrap().code(), Some(0), "{rest:?}");
    assert!(rest.iter().any(|line| line.starts_with("call,share,")), "{rest:?}");
    kill_process(Pid::from_child(&sleeper), Signal::TERM).unwrap();
    sleeper.wait().unwrap();
}

fn several_jobs_count_the_same() {
    let script = "find /usr/share /usr/lib -type f | head -n 3000 | tr '\\n' '\\0' | xargs -0 -n 50 head -qc 100; (sleep 9 &)";
    let (_folder, capture) = record(&["sh", "-c", script]);
    assert!(fs::metadata(&capture).unwrap().len() > 2 << 20, "of many chunks");
    let summaries: [&[&str]; 4] = [
        &["files", "-n", "0"],
        &["top", "--by", "thread,call,error", "-n", "0"],
        &["top", "--by", "call", "proc.name = head and fd.name startswith /usr"],
        &["top", "--by", "user,exe", "--from", "10ms"],
    ];
    for (summary, rest) in summaries.iter().filter_map(|words| words.split_first()) {
        let of = |jobs| json(&[&[*summary, &capture, "--json", "-j", jobs], rest].concat());
        let one = of("1");
        assert!(one["total"]["calls"].as_u64().unwrap() > 1000, "{summary} {rest:?}: {one}");
        for jobs in ["0", "2", "5"] {
            assert_eq!(of(jobs), one, "{summary} {rest:?} with {jobs} jobs");
        }
        // What cannot be read twice is read by one.
        let mut piped = scapd();
        piped.args([summary, "-", "--json", "-j", "3"]).args(rest).stdin(fs::File::open(&capture).unwrap());
        assert_eq!(
            serde_json::from_str::<Json>(&run(&mut piped).1).unwrap(),
            one,
            "{summary} {rest:?} of stdin"
        );
    }
}

fn mistakes_are_named() {
    let (code, _, said) = run(scapd().args(["top", "--by", "colour", "x"]));
    assert!(code == Some(2) && said.contains("no such key; there are call, process"), "{said}");
    let (code, _, said) = run(scapd().args(["top", "/nothing/there.scap"]));
    assert!(code == Some(2) && said.contains("/nothing/there.scap is no file"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    fs::write(&other, "no capture").unwrap();
    let (code, _, said) = run(scapd().arg("top").arg(&other));
    assert!(code == Some(6), "{said}");
    assert!(Path::new(&other).exists());
}

fn trial(name: &'static str, program: Option<&'static str>, test: fn()) -> Trial {
    Trial::ignorable_test(name, move || -> Result<Completion, Failed> {
        match program.filter(|program| !has(program)) {
            Some(program) => return Ok(Completion::ignored_with(format!("{program} is not installed"))),
            None => test(),
        }
        Ok(Completion::Completed)
    })
}

fn main() {
    let trials = vec![
        trial("strace_counts_the_same", Some("strace"), strace_counts_the_same),
        trial("perf_counts_the_same", Some("perf"), perf_counts_the_same),
        trial("files_have_what_was_done_to_them", None, files_have_what_was_done_to_them),
        trial("net_has_peers_bytes_and_failures", None, net_has_peers_bytes_and_failures),
        trial("waiting_adds_up", None, waiting_adds_up),
        trial("slow_and_errors_show_calls", None, slow_and_errors_show_calls),
        trial("tree_has_processes_and_their_ends", None, tree_has_processes_and_their_ends),
        trial("state_is_that_of_a_time", None, state_is_that_of_a_time),
        trial("live_summaries", None, live_summaries),
        trial("several_jobs_count_the_same", None, several_jobs_count_the_same),
        trial("mistakes_are_named", None, mistakes_are_named),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
