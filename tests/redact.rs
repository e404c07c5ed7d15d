//! `scapd record --redact FILE` and `--no-data`: what must not be recorded is in no byte of what is written. Needs root.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use common::{Capture, file, run, scapd};
use scap::{
    events::{Arch, Syscall},
    ledger::Redacted,
};
use serde_json::Value as Json;

/// A secret that only the name in front of it tells, and one that a pattern finds.
const NAMED: &str = "nam3d0s3cret";
const KNOWN: &str = "kn0wn0s3cret";

const RULES: &str = "options = ['--password', '-k']\nvariables = ['DB_*']\npatterns = ['kn0wn[a-z0-9]+']\n";

/// Leaks both secrets: NAMED in arguments, environments and data, KNOWN also in paths and names.
const WORKLOAD: &str = r#"
    use strict; use Socket; use IO::Handle;
    my ($option, $named, $known, $folder, $setxattr, $getxattr, $writev) = @ARGV;
    sub data { my $f = shift; syswrite($f, "x --password $named y"); syswrite($f, "\nDB_KEY: '$named'\n"); syswrite($f, $known) }
    open(my $new, "+>", "$folder/$known.txt") or die; data($new);
    seek($new, 0, 0); sysread($new, my $read, 200);
    mkdir "$folder/$known"; chdir "$folder/$known"; chdir "/";
    symlink $known, "$folder/link"; readlink "$folder/link"; unlink "$folder/link";
    opendir(my $d, $folder); my @names = readdir $d; closedir $d;
    rename "$folder/$known.txt", "$folder/other$known"; stat "$folder/other$known";
    socketpair(my $one, my $two, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die; data($one);
    send($one, $known, 0); recv($two, my $got, 200, 0);
    socket(my $listening, PF_UNIX, SOCK_STREAM, 0); bind($listening, sockaddr_un("$folder/s$known")) or die; listen($listening, 1);
    socket(my $client, PF_UNIX, SOCK_STREAM, 0); connect($client, sockaddr_un("$folder/s$known")) or die;
    my $vector = pack("PQ", $known, length $known); syscall($writev, fileno($one), $vector, 1);
    my ($attribute, $path, $room) = ("user.x", "$folder/other$known", " " x 99);
    syscall($setxattr, $path, $attribute, $known, length $known, 0);
    syscall($getxattr, $path, $attribute, $room, 99);
    unless (fork) { exit 0 } wait;
    $ENV{DB_PASSWORD} = $named; $ENV{OTHER} = $known;
    system("true", "-v", "--password", $named, "--password=$named", "-k$named", $known);
    system("true", ("x") x 3000, "--password", $named, "DB_X=$named");
    system("sh", "-c", "true --password $named; true $known");
    system("/no/such/program", $known);
    $0 = $known;
    unless (fork) { getppid; exit 0 } wait;
"#;

/// A process that runs before the recording, with secrets in its arguments, its environment and its paths.
struct Earlier(Child);

impl Earlier {
    fn start(folder: &Path) -> Earlier {
        let home = folder.join(format!("home{KNOWN}"));
        fs::create_dir_all(&home).unwrap();
        let open = fs::File::create(home.join("open")).unwrap();
        let mut perl = Command::new("perl");
        perl.args(["-e", "sleep 1000", "--", "--password", NAMED, KNOWN]).current_dir(&home);
        perl.env("DB_PASSWORD", NAMED).env("OTHER", KNOWN).stdin(open);
        Earlier(perl.spawn().unwrap())
    }
}

impl Drop for Earlier {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Records the workload with these options.
fn record(folder: &tempfile::TempDir, name: &str, options: &[&str]) -> PathBuf {
    let path = file(folder, name);
    let work = file(folder, &format!("work-{name}"));
    fs::create_dir(&work).unwrap();
    let number = |call| Syscall::by_name(call).unwrap().number(Arch::NATIVE).unwrap().to_string();
    let mut recorder = scapd();
    recorder.args(["record", "-q", "--on-loss", "fail", "-w"]).arg(&path).args(options);
    recorder.args(["--", "perl", "-e", WORKLOAD, "--", "--password", NAMED, KNOWN]).arg(&work);
    recorder.args(["setxattr", "getxattr", "writev"].map(number)).stdin(Stdio::null());
    let (code, _, said) = run(&mut recorder);
    assert_eq!(code, Some(0), "{said}");
    path
}

fn rules(folder: &tempfile::TempDir, text: &str) -> String {
    let path = file(folder, "rules.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn count_of(bytes: &[u8], text: &str) -> usize {
    bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
}

/// Returns the events of a capture as lines, without what differs between two runs.
fn lines(path: &Path, filter: &str, form: &str) -> Vec<String> {
    let (code, lines, said) = run(scapd().args(["read", "-p", form]).arg(path).arg(filter));
    assert_eq!(code, Some(0), "{said}");
    lines.lines().map(str::to_owned).collect()
}

#[test]
fn no_byte_of_a_secret_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let _earlier = Earlier::start(folder.path());
    let plain = record(&folder, "plain.scap", &[]);
    let bytes = fs::read(&plain).unwrap();
    let leaks = [NAMED, KNOWN].map(|secret| count_of(&bytes, secret));
    assert!(leaks[0] >= 20 && leaks[1] >= 40, "the workload leaks: {leaks:?}");
    let rules = rules(&folder, RULES);
    let redacted = record(&folder, "redacted.scap", &["--redact", &rules]);
    let bytes = fs::read(&redacted).unwrap();
    for secret in [NAMED, KNOWN, &NAMED[..9], &KNOWN[..9]] {
        if let Some(at) = bytes.windows(secret.len()).position(|window| window == secret.as_bytes()) {
            let around = &bytes[at.saturating_sub(200)..(at + 40).min(bytes.len())];
            panic!("{secret} at {at}: {}", around.escape_ascii());
        }
    }
    // Nothing moves: the same calls, with arguments of the same length.
    let shape = "*%evt.type %evt.dir %evt.rawres %evt.arg.size %evt.arg.name";
    let wanted = "evt.type in (write, send, recv, sendto, recvfrom, setxattr, mkdir, rename)";
    let covered =
        |line: &String| line.replace(KNOWN, &"*".repeat(KNOWN.len())).replace("work-plain", "work-redacted");
    let expected: Vec<_> = lines(&plain, wanted, shape).iter().map(covered).collect();
    assert_eq!(lines(&redacted, wanted, shape), expected);
    assert!(expected.len() > 10, "{expected:?}");
    let program = |path: &Path| lines(path, "evt.type = execve and proc.args startswith -v", "%proc.args");
    let covered = format!("-v --password {0} --password={0} -k{0} {0}", "*".repeat(NAMED.len()));
    assert_eq!(program(&redacted), [covered]);
    assert_eq!(program(&plain).len(), 1);
}

#[test]
fn what_is_overwritten_is_counted_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let earlier = Earlier::start(folder.path());
    // Of a file, and by themselves.
    let rules = rules(&folder, "options = ['--password']\nvariables = ['DB_*']\n");
    let (option, pattern) = ("--redact-option=-k", "--redact-pattern=kn0wn[a-z0-9]+");
    let path = record(&folder, "a.scap", &["--redact", &rules, option, pattern]);
    drop(earlier);
    let Redacted { values, events } = Capture::read(&path).verdict.redacted;
    let covered = "*".repeat(KNOWN.len());
    assert!(events > 40 && values > events, "{values} values in {events} events");
    let (_, info, _) = run(scapd().args(["info", "--json"]).arg(&path));
    let info: Json = serde_json::from_str(&info).unwrap();
    let rules = serde_json::json!([{ "options": 2, "variables": 1, "patterns": 1 }]);
    assert_eq!(info["ledger"]["redacted"], rules);
    assert_eq!(info["ledger"]["balances"][0]["redacted"]["events"], events);
    let (_, info, _) = run(scapd().arg("info").arg(&path));
    assert!(info.contains("options=2 variables=1 patterns=1"), "{info}");
    let (code, verified, _) = run(scapd().arg("verify").arg(&path));
    assert_eq!(code, Some(0));
    assert!(verified.contains(&format!("overwritten: {values} values")), "{verified}");
    // A slice has only what its source has.
    let slice = file(&folder, "slice.scap");
    let (code, _, said) = run(scapd().arg("read").arg(&path).arg("evt.type = rename").arg("-w").arg(&slice));
    assert_eq!(code, Some(0), "{said}");
    let bytes = fs::read(&slice).unwrap();
    assert!(count_of(&bytes, KNOWN) == 0 && count_of(&bytes, &covered) > 1);
    assert_eq!(count_of(&bytes, "options=2 variables=1 patterns=1"), 1);
}

#[test]
fn every_file_of_a_series_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let _earlier = Earlier::start(folder.path());
    let rules = rules(&folder, RULES);
    let stats = file(&folder, "stats.json");
    let options = ["--redact", &rules, "--rotate-events", "100", "--stats-file", stats.to_str().unwrap()];
    record(&folder, "x.scap", &options);
    let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file() && path.extension().is_some_and(|ext| ext == "scap"));
    assert!(files.len() > 1, "{files:?}");
    let mut sum = Redacted::default();
    for path in &files {
        let bytes = fs::read(path).unwrap();
        assert_eq!(count_of(&bytes, NAMED) + count_of(&bytes, KNOWN), 0, "{}", path.display());
        assert_eq!(count_of(&bytes, "options=2 variables=1 patterns=1"), 1, "{}", path.display());
        let redacted = Capture::read(path).verdict.redacted;
        assert!(
            count_of(&bytes, "perl\0") > 0 && count_of(&bytes, "--password\0***") > 0,
            "{}",
            path.display()
        );
        sum.add(redacted);
    }
    let stats: Json = serde_json::from_slice(&fs::read(stats).unwrap()).unwrap();
    assert_eq!(stats["redacted"], serde_json::json!({ "values": sum.values, "events": sum.events }));
}

/// With a filter, events come by another way; it sees them as they were.
#[test]
fn a_filter_sees_what_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let rules = rules(&folder, RULES);
    let filter = format!("evt.arg.name contains {KNOWN} or evt.arg.newpath contains {KNOWN}");
    let path = record(&folder, "f.scap", &["--redact", &rules, "-f", &filter]);
    let bytes = fs::read(&path).unwrap();
    // The filter itself is a part of the capture.
    assert_eq!(count_of(&bytes, KNOWN), 2);
    let covered = "*".repeat(KNOWN.len());
    let matching = lines(&path, &format!("evt.args contains '{covered}'"), "%evt.type");
    assert!(matching.iter().any(|call| call == "rename"), "{matching:?}");
}

#[test]
fn the_example_finds_the_usual_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "example.scap");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/redact.toml");
    let leak = "printf 'Authorization: Bearer abc0s3cret\\r\\n'; echo postgres://me:abc1s3cret@db/x; \
                echo '{\"api_key\": \"abc2s3cret\"}'; true --db-password abc3s3cret; export GITHUB_TOKEN=abc4s3cret; true";
    let mut recorder = scapd();
    recorder.args(["record", "-q", "--redact", example, "-w"]).arg(&path).args(["--", "sh", "-c", leak]);
    let (code, out, said) = run(recorder.env("PGPASSWORD", "abc5s3cret"));
    assert_eq!(code, Some(0), "{said}");
    assert!(out.contains("abc0s3cret"), "the command itself has them: {out}");
    let bytes = fs::read(&path).unwrap();
    let left: Vec<_> = (0..6).filter(|n| count_of(&bytes, &format!("abc{n}s3cret")) > 0).collect();
    assert!(left.is_empty() && count_of(&bytes, "**********") > 8, "{left:?}");
}

#[test]
fn data_is_left_out_and_sizes_stay() {
    let folder = tempfile::tempdir().unwrap();
    let leaks = |name: &str, options: &[&str]| {
        let path = record(&folder, name, options);
        let sizes = lines(
            &path,
            "evt.type in (write, read, sendto, writev) and evt.dir = <",
            "%evt.type %evt.rawres %evt.arg.size",
        );
        let mut data = lines(&path, "evt.arg.data exists or evt.arg.value exists", "%evt.type %evt.args");
        data.retain(|line| !line.contains("data=NULL") && !line.contains("value=NULL"));
        (sizes, data)
    };
    let (sizes, data) = leaks("with.scap", &[]);
    assert!(data.len() > 10, "{data:?}");
    let (same, none) = leaks("without.scap", &["--no-data", "-s", "1000"]);
    assert_eq!(none, Vec::<String>::new());
    assert_eq!(same, sizes);
    let (code, _, said) = run(scapd().args(["record", "--no-data", "--dynamic-snaplen"]));
    assert_eq!(code, Some(2), "{said}");
}
