//! `scapd ctl`, the client of the control socket.

use std::{
    fmt::Write as _,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use comfy_table::{Table, presets};
use indicatif::{HumanBytes, HumanCount, HumanDuration};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::protocol::Request;
use crate::{escape, json};

/// The timeout for an answer: a rotation reads the state of the machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The maximum size of an answer, in bytes.
const LONGEST: u64 = 16 << 20;

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CtlError {
    /// The socket cannot be connected to.
    #[error("cannot reach the service at {}{}", escape::shown(path), remedy(source))]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The service sent no valid answer.
    #[error("the service at {} sent no valid answer: {reason}", escape::shown(path))]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The service refused the request.
    #[error("{0}")]
    Refused(String),
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            " (is it running? if it has another socket, name it with --socket)"
        }
        ErrorKind::PermissionDenied => " (run as root, or join the group of the socket)",
        _ => "",
    }
}

/// Sends a request to a socket and prints the answer, as JSON or for people.
///
/// # Errors
/// [`CtlError`], and errors of the output.
pub fn ctl(socket: &Path, request: &Request, as_json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let mut answer = ask(socket, request)?;
    if answer.remove("ok") != Some(Value::Bool(true)) {
        let error = answer.get("error").and_then(Value::as_str).unwrap_or("the service gave no reason");
        return Err(CtlError::Refused(error.to_owned()).into());
    }
    out.write_all(shown(answer, request, as_json).as_bytes())?;
    Ok(())
}

/// Returns an answer as text that is safe on a terminal: its sender is not trusted.
fn shown(answer: Map<String, Value>, request: &Request, as_json: bool) -> String {
    let mut text = String::new();
    if as_json {
        json::escape(&mut text, &format!("{:#}\n", Value::Object(answer)));
        return text;
    }
    let lines = if *request == (Request::Status {}) { status(&answer) } else { changes(&answer) };
    lines.lines().fold(text, |text, line| text + &escape::escaped(line.as_bytes()) + "\n")
}

fn ask(path: &Path, request: &Request) -> Result<Map<String, Value>, CtlError> {
    let unreachable = |source| CtlError::Unreachable { path: path.to_owned(), source };
    let no_answer = |reason: String| CtlError::NoAnswer { path: path.to_owned(), reason };
    let mut stream = UnixStream::connect(path).map_err(unreachable)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(unreachable)?;
    let mut line = serde_json::to_vec(request).map_err(|e| no_answer(e.to_string()))?;
    line.push(b'\n');
    // The service may refuse a request before it has read all of it. Then its answer counts, not the write error.
    let sent = stream.write_all(&line);
    let mut answer = String::new();
    let read = BufReader::new(stream.take(LONGEST)).read_line(&mut answer);
    if answer.is_empty() {
        sent.and(read).map_err(|e| no_answer(e.to_string()))?;
    }
    if answer.is_empty() {
        return Err(no_answer("it has too many clients or is shutting down; try again".into()));
    }
    serde_json::from_str(&answer).map_err(|e| no_answer(e.to_string()))
}

/// Describes what a flight recorder keeps.
fn ring(ring: &Map<String, Value>) -> String {
    let of = |key: &str| ring.get(key).and_then(Value::as_u64).unwrap_or(0);
    let since = if of("from") == 0 { String::new() } else { format!(", from {}", time(of("from"))) };
    format!(
        "{} events{since}, {} of {}",
        HumanCount(of("events")),
        HumanBytes(of("bytes")),
        HumanBytes(of("limit"))
    )
}

/// Describes the file in which the window is kept.
fn on_disk(disk: &Map<String, Value>) -> String {
    let of = |key: &str| disk.get(key).and_then(Value::as_u64).unwrap_or(0);
    let failing = disk.get("failing").and_then(Value::as_bool).unwrap_or(false);
    let state = if failing { ", cannot be written now" } else { "" };
    format!(
        "a file of {}, {} written, {} events skipped{state}",
        HumanBytes(of("size")),
        HumanBytes(of("written")),
        HumanCount(of("skipped"))
    )
}

/// Returns the status as a table.
fn status(answer: &Map<String, Value>) -> String {
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
    let number = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or(0);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    row("state", text("state"));
    row("recording for", HumanDuration(Duration::from_secs(number("seconds"))).to_string());
    row("file", text("file"));
    row("written", format!("{} events, {}", HumanCount(number("written")), HumanBytes(number("bytes"))));
    let files = ["files_closed", "files_deleted"].map(|key| HumanCount(number(key)));
    row("files", format!("{} closed, {} deleted", files[0], files[1]));
    if number("left_out") > 0 {
        row("left out", format!("{} events in the recorder", HumanCount(number("left_out"))));
    }
    if let Some(flight) = answer.get("flight").and_then(Value::as_object) {
        let count = |key: &str| HumanCount(flight.get(key).and_then(Value::as_u64).unwrap_or(0));
        row("window", ring(flight));
        row("gone early", format!("{} events, for want of memory", count("evicted")));
        if let Some(longer) = flight.get("longer").and_then(Value::as_object) {
            let early = longer.get("evicted").and_then(Value::as_u64).unwrap_or(0);
            row("kept longer", ring(longer));
            row("gone early", format!("{} events of these", HumanCount(early)));
        }
        if let Some(disk) = flight.get("disk").and_then(Value::as_object) {
            row("on disk", on_disk(disk));
        }
        row("triggers", format!("{}, {} refused", count("triggers"), count("refused")));
        let dumps =
            format!("{} begun, {} whole, {} failed", count("dumps"), count("written"), count("failed"));
        row("dumps", dumps);
    }
    row("rate", format!("{} events/s", HumanCount(number("rate"))));
    row("queued", format!("{} events", HumanCount(number("pending"))));
    let losses = answer.get("losses").and_then(Value::as_object);
    let causes: Vec<_> = losses
        .into_iter()
        .flatten()
        .filter_map(|(cause, count)| Some((cause, count.as_u64().filter(|count| *count > 0)?)))
        .map(|(cause, count)| format!("{} {}", HumanCount(count), cause.replace('_', " ")))
        .collect();
    row("lost", if causes.is_empty() { "nothing".into() } else { causes.join(", ") });
    let rings = answer.get("rings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let fill = |ring: &Value| {
        let of = |key: &str| ring.get(key).and_then(Value::as_u64).unwrap_or(0);
        of("used") * 100 / of("size").max(1)
    };
    if let Some(fullest) = rings.iter().map(fill).max() {
        row("fullest ring", format!("{fullest} %"));
    }
    let table = table.to_string();
    table.lines().fold(String::new(), |text, line| text + line.trim() + "\n")
}

/// Returns a time in ns since the epoch, in UTC.
fn time(ns: u64) -> String {
    Timestamp::from_nanosecond(ns.into()).map(|time| format!("{time:.3}")).unwrap_or_default()
}

/// Returns the keys that a request has changed, and those that need a restart, one line each.
fn changes(answer: &Map<String, Value>) -> String {
    let mut text = String::new();
    for (key, says) in [("changed", "changed"), ("restart", "restart to apply")] {
        let keys = answer.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let value = keys.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
        if !value.is_empty() {
            let _ = writeln!(text, "{says}: {value}");
        }
    }
    if text.is_empty() { "done\n".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_status_is_a_table() {
        let text = status(&object(json!({
            "state": "recording", "seconds": 3661, "file": "/x.scap", "written": 1234567, "bytes": 2048, "rate": 10,
            "pending": 3, "losses": { "ring_full": 2, "disk": 0 }, "rings": [{ "used": 1, "size": 4 }, {}]
        })));
        for line in [
            "state          recording",
            "written        1,234,567 events, 2.00 KiB",
            "lost           2 ring full",
            "fullest ring   25 %",
        ] {
            assert!(text.lines().any(|l| l.split_whitespace().eq(line.split_whitespace())), "{line}\n{text}");
        }
        assert!(status(&Map::new()).contains("nothing"), "an answer of another version");
        let text = status(&object(json!({ "flight": {
            "from": 1_500_000_000_123_456_789u64, "events": 12345, "bytes": 1024, "limit": 2048, "triggers": 3,
            "longer": { "events": 7, "bytes": 1, "limit": 2 }
        } })));
        let window = "window 12,345 events, from 2017-07-14T02:40:00.123Z, 1.00 KiB of 2.00 KiB";
        let longer = "kept longer 7 events, 1 B of 2 B";
        for expected in [window, longer] {
            let is_there = |line: &str| line.split_whitespace().eq(expected.split_whitespace());
            assert!(text.lines().any(is_there), "{expected}\n{text}");
        }
    }

    #[test]
    fn an_answer_has_nothing_that_a_terminal_obeys() {
        let evil = "a\u{1b}]0;x\u{7}\u{9b}2J\u{202e}é";
        let answer = object(json!({ "file": evil, "state": evil, "changed": [evil], "losses": { evil: 1 } }));
        for (request, as_json) in
            [(Request::Status {}, false), (Request::Status {}, true), (Request::Stop {}, false)]
        {
            let text = shown(answer.clone(), &request, as_json);
            assert!(
                text.contains('é') && !text.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']),
                "{text:?}"
            );
            assert!(!as_json || serde_json::from_str::<Value>(&text).unwrap()["file"] == evil);
        }
    }

    #[test]
    fn changes_are_told_by_key() {
        assert_eq!(changes(&Map::new()), "done\n");
        let text = changes(&object(json!({ "changed": ["snaplen"], "restart": ["attach", "pid"] })));
        assert_eq!(text, "changed: snaplen\nrestart to apply: attach, pid\n");
    }
}
