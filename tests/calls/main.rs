//! `scapd read --calls` and strace show the same calls of the same program. Needs root, to record; if a program is not
//! installed, its tests are reported as ignored.

#![allow(clippy::unwrap_used)]

mod work;

use std::{
    env, fs,
    path::Path,
    process::{Command, Output},
    sync::{LazyLock, OnceLock},
};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use regex::Regex;

/// The argument that makes this program the one that is traced.
const WORK: &str = "--work-of-the-test";
/// The status of the program that is traced.
const STATUS: i32 = 3;

/// Calls of which the recorder has other arguments than strace, with the reason in docs/CALLS.md: only name and result
/// are compared.
const DIFFERENT: [&str; 3] = ["writev", "preadv", "ioctl"];

/// The lines of both, of all processes.
struct Traced {
    strace: Vec<String>,
    scapd: Vec<String>,
}

/// Returns `None` if strace is not installed.
fn traced() -> Option<Traced> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).into_os_string();
    let work = |name: &str| {
        fs::create_dir(path(name)).unwrap();
        [env::current_exe().unwrap().into_os_string(), WORK.into(), path(name)]
    };
    let strace = ["strace", "-f", "-yy", "-T", "-tt", "-s", "80", "-a", "1", "-o"];
    match Command::new(strace[0]).args(&strace[1..]).arg(path("strace")).args(work("one")).output() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return None,
        output => is_work(&output.unwrap()),
    }
    let record =
        ["record", "-q", "--snaplen", "80", "--tracepoints", "signal_deliver,sched_process_exit", "-w"];
    is_work(&scapd().args(record).arg(path("scap")).arg("--").args(work("two")).output().unwrap());
    let read = scapd().args(["read", "--calls"]).arg(path("scap")).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let strace = fs::read_to_string(path("strace")).unwrap();
    // strace: process, time; scapd: time, process.
    let strace =
        strace.lines().map(|line| line.split_whitespace().next().unwrap().to_owned() + " " + &rest(line));
    let scapd = String::from_utf8(read.stdout).unwrap();
    let process = |line: &str| line.split(' ').nth(1).unwrap().split('<').next().unwrap().to_owned();
    let scapd = scapd.lines().map(|line| process(line) + " " + &rest(line));
    let folder = folder.path();
    let plain = |lines: Vec<String>, name| lines.iter().map(|line| same(line, &folder.join(name))).collect();
    Some(Traced { strace: plain(strace.collect(), "one"), scapd: plain(scapd.collect(), "two") })
}

/// Returns a line without its first two words; the command name has no blanks.
fn rest(line: &str) -> String {
    let mut parts = line.splitn(2, ' ');
    let second = parts.nth(1).unwrap_or_default().trim_start();
    second.split_once(' ').map_or_else(String::new, |(_, rest)| rest.to_owned())
}

fn is_work(output: &Output) {
    assert_eq!(output.status.code(), Some(STATUS), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Replaces what differs between two runs: folders, durations, addresses, ports, ids of pipes and sockets.
fn same(line: &str, folder: &Path) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let rules = [
            (r" <\d+\.\d{6}>$", ""),
            (r"AT_FDCWD<[^>]*>", "AT_FDCWD"),
            (r"0x[0-9a-f]{6,}", "ADDRESS"),
            (r"htons\(\d+\)", "htons(PORT)"),
            (r"(127\.0\.0\.1|\[::1\]):\d+", "$1:PORT"),
            (r"<(TCP|UDP|TCPv6|UDPv6|NETLINK):\[\d+\]>", "<$1>"),
            (r"<UNIX(-STREAM)?(:\[[^\]]*\])?>", "<UNIX>"),
            (r"pipe:\[\d+\]", "pipe:[ID]"),
            (r"/#\d+>", "/#ID>"),
        ];
        rules.map(|(pattern, to)| (Regex::new(pattern).unwrap(), to)).into()
    });
    let line = line.replace(folder.to_str().unwrap(), "FOLDER");
    RULES.iter().fold(line, |line, (rule, to)| rule.replace_all(&line, *to).into_owned())
}

/// Returns the lines of the first process between the marks, without those that another process interrupts.
fn between(lines: &[String]) -> Vec<&str> {
    let mark = |mark: &std::ffi::CStr| {
        let path = format!("\"{}\"", mark.to_str().unwrap());
        let found = lines.iter().position(|line| line.contains(&path));
        found.unwrap_or_else(|| panic!("no {path}: {lines:#?}"))
    };
    let process = lines[mark(work::BEGIN)].split(' ').next().unwrap();
    let own = lines[mark(work::BEGIN) + 1..mark(work::END)].iter().filter_map(|line| {
        let (of, call) = line.split_once(' ')?;
        (of == process && !call.starts_with("<... ") && !call.starts_with("---")).then_some(call)
    });
    own.collect()
}

/// Returns whether a line of scapd's is one of strace's, in which `...` stands for anything.
fn matches(scapd: &str, strace: &str) -> bool {
    let parts: Vec<_> = scapd.split("...").map(regex::escape).collect();
    let pattern = parts.join(".*").replace(r"= \?", "= .*");
    Regex::new(&format!("^{pattern}$")).unwrap().is_match(strace)
}

/// Returns name and result of a line.
fn frame(line: &str) -> (&str, &str) {
    let name = line.split('(').next().unwrap();
    (name, line.rsplit_once(" = ").map_or("", |(_, result)| result))
}

fn same_calls(traced: &Traced) {
    let (strace, scapd) = (between(&traced.strace), between(&traced.scapd));
    let names = |lines: &[&str]| lines.iter().map(|line| frame(line).0.to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&scapd), names(&strace));
    let mut wrong = Vec::new();
    for (ours, theirs) in scapd.iter().zip(&strace) {
        let (name, result) = frame(ours);
        // The two are runs of their own.
        let is_id = ["getpid", "gettid", "getppid"].contains(&name);
        let is_same = if is_id {
            result.parse::<u32>().is_ok()
        } else if DIFFERENT.contains(&name) {
            matches(&format!("= {result}"), &format!("= {}", frame(theirs).1))
        } else {
            matches(ours, theirs)
        };
        if !is_same {
            wrong.push(format!("scapd:  {ours}\nstrace: {theirs}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let least = if cfg!(target_arch = "x86_64") { 120 } else { 100 };
    assert!(scapd.len() > least, "only {} calls", scapd.len());
}

/// The child's calls are broken off by its parent's, and the parent's by its child's.
fn same_breaks(traced: &Traced) {
    for lines in [&traced.strace, &traced.scapd] {
        let has = |parts: &[&str]| {
            let found = lines.iter().any(|line| parts.iter().all(|part| line.contains(part)));
            assert!(found, "no line with {parts:?} in {lines:#?}");
        };
        has(&["read(", "<pipe:[ID]>,  <unfinished ...>"]);
        has(&["<... read resumed>\"go\", 8) = 2"]);
        has(&[&format!("{}(", work::PAUSE.0), " <unfinished ...>"]);
        has(&[&format!("<... {} resumed>", work::PAUSE.0), ") = ?"]);
        has(&["+++ killed by SIGKILL +++"]);
        has(&["--- SIGCHLD {si_signo=SIGCHLD, "]);
        has(&["exit_group(", ") = ?"]);
        has(&["+++ exited with 3 +++"]);
    }
}

/// Without enter events, every line is a whole call without a duration.
fn exit_events_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exit.scap");
    let record = ["record", "-q", "--events", "exit", "-w"];
    let program = env::current_exe().unwrap();
    let work = [program.as_os_str(), WORK.as_ref(), folder.path().as_os_str()];
    is_work(&scapd().args(record).arg(&path).arg("--").args(work).output().unwrap());
    let lines = stdout(scapd().args(["read", "--calls"]).arg(&path));
    let opened = Regex::new(
        r#"(?m)^[0-9:.]+ \d+<[^>]*> openat\(AT_FDCWD, "b", O_WRONLY\|O_CREAT\|O_EXCL\|O_CLOEXEC, 0600\) = \d+<.*/b>$"#,
    );
    assert!(opened.unwrap().is_match(&lines), "{lines}");
    let is_partial = |line: &&str| {
        line.contains("<unfinished ...>")
            || line.contains(" resumed>")
            || line.ends_with('>') && line.contains(" <0.")
    };
    assert_eq!(lines.lines().find(is_partial), None);
}

/// Needs script(1), for a terminal.
fn colours_on_a_terminal(terminal: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("true.scap");
    assert!(scapd().args(["record", "-q", "-w"]).arg(&path).args(["--", "true"]).status().unwrap().success());
    let read = format!("{} read --calls {}", env!("CARGO_BIN_EXE_scapd"), path.display());
    let on_terminal = |no_colour: Option<&str>| {
        let mut command = Command::new(terminal);
        command.args(["-qec", &read, "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR");
        command.env_remove("CLICOLOR").env_remove("CLICOLOR_FORCE").stdin(std::process::Stdio::null());
        command.envs(no_colour.map(|value| ("NO_COLOR", value)));
        stdout(&mut command)
    };
    let coloured = on_terminal(None);
    assert!(coloured.contains("\x1b[1mexecve\x1b[0m(\""), "{coloured:?}");
    assert!(!on_terminal(Some("1")).contains('\x1b'), "NO_COLOR");
    let piped = stdout(Command::new("sh").args(["-c", &read]).env("TERM", "xterm"));
    assert!(piped.contains("execve(\"") && !piped.contains('\x1b'), "a pipe");
}

fn stdout(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn scapd() -> Command {
    Command::new(env!("CARGO_BIN_EXE_scapd"))
}

fn trial(name: &'static str, test: fn(&Traced)) -> Trial {
    Trial::ignorable_test(name, move || -> Result<Completion, Failed> {
        static TRACED: OnceLock<Option<Traced>> = OnceLock::new();
        match TRACED.get_or_init(traced) {
            Some(traced) => test(traced),
            None => return Ok(Completion::ignored_with("strace is not installed")),
        }
        Ok(Completion::Completed)
    })
}

fn main() {
    if env::args().any(|argument| argument == WORK) {
        work::run();
    }
    let colours = Trial::ignorable_test("colours_on_a_terminal", || -> Result<Completion, Failed> {
        if Command::new("script").arg("--version").output().is_err() {
            return Ok(Completion::ignored_with("script is not installed"));
        }
        colours_on_a_terminal("script");
        Ok(Completion::Completed)
    });
    let alone = Trial::test("exit_events_alone", || -> Result<(), Failed> {
        exit_events_alone();
        Ok(())
    });
    let trials = vec![trial("same_calls", same_calls), trial("same_breaks", same_breaks), alone, colours];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
