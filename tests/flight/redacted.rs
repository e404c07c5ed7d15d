//! What must not be in a capture is not in a dump.

use super::*;
use scap::{ledger::RuleCounts, model::Machine};

const RULES: &str = r#"
options = ["--password"]
variables = ["*_PASSWORD"]
"#;
/// What every secret here begins with.
const SECRET: &str = "s3cret-";

/// Starts a process that has a secret among its variables and its arguments.
fn sleeper(number: u32) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", "sleep 600 & wait", "sh", "--password", &format!("{SECRET}argument-{number}")]);
    Child::group(command.env("DB_PASSWORD", format!("{SECRET}variable-{number}")))
}

#[test]
fn a_dump_holds_no_secret() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let (rules, socket) = (folder.path().join("rules.toml"), folder.path().join("control.sock"));
    fs::write(&rules, RULES).unwrap();
    // In the state at the start of the recording.
    let early = sleeper(0);
    let mut recorder = common::scapd();
    recorder.args(["record", "-q", "--keep", "1s,64M", "--after", "0", "--syscalls", "execve,write,dup"]);
    recorder.arg("--redact").arg(&rules).arg("--control").arg(&socket);
    recorder.arg("-w").arg(folder.path().join("a.scap"));
    let mut recorder = Child(recorder.stderr(Stdio::null()).spawn().unwrap());
    wait_for("the recording", || ctl(&socket, &["status"]).contains("window"));
    // In an event that leaves the window, and so in the state of the dump.
    let late = sleeper(1);
    let status =
        || -> serde_json::Value { serde_json::from_str(&ctl(&socket, &["status", "--json"])).unwrap() };
    let begun = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    wait_for("the window to move on", || {
        // SAFETY: the descriptor is invalid.
        unsafe { libc::dup(-1) };
        status()["flight"]["from"].as_u64().unwrap() > begun + 500_000_000
    });
    // In an event of the window.
    let last = sleeper(2);
    thread::sleep(Duration::from_millis(300));
    ctl(&socket, &["dump", "look"]);
    wait_for("the dump", || status()["flight"]["written"] == 1);
    ctl(&socket, &["stop"]);
    assert!(recorder.0.wait().unwrap().success());
    let path = captures(folder.path()).into_iter().find(|path| path.ends_with("a-000001.scap")).unwrap();
    let bytes = fs::read(&path).unwrap();
    let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(!holds(SECRET), "a secret is in the dump");
    let mut reader = Reader::new(File::open(&path).unwrap()).unwrap().keep(Keep::All);
    let (mut rules, mut verdict, mut machine) = (Vec::new(), None, None);
    while let Some(captured) = reader.next_event().unwrap() {
        machine.get_or_insert_with(|| Machine::of_state(captured.state, Keep::All));
        match ledger::parse(&captured.event) {
            Some(Notice::Redacted(found)) => rules.push(found),
            Some(Notice::Verdict(found)) => verdict = Some(found),
            _ => {}
        }
    }
    assert_eq!(rules, [RuleCounts { options: 1, variables: 1, patterns: 0 }]);
    // The command lines of the shells are there, without what is secret: two in the state, one in an event.
    let hidden = "*".repeat(SECRET.len() + "argument-0".len());
    let with_hidden = bytes.windows(hidden.len()).filter(|part| *part == hidden.as_bytes()).count();
    assert!(with_hidden >= 3, "{with_hidden}");
    let machine = machine.unwrap();
    let of = |sleeper: &Child| machine.thread(u64::from(sleeper.0.id())).map(|thread| thread.comm.to_vec());
    assert_eq!([of(&early), of(&late), of(&last)], [Some(b"sh".to_vec()), Some(b"sh".to_vec()), None]);
    assert!(verdict.unwrap().redacted.values > 0);
}
