//! `scapd export`: what is written is read back by the libraries of its form, and compared with what `scapd read` and
//! `scapd top` say. Needs no kernel.

#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod output;
mod parquet_files;
mod stacks;
mod tables;
mod traces;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use common::{run, scapd};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use scap::{
    events::{self, event_by_program},
    format::{EventBuilder, MachineState, Value, state::Thread, strategies},
    ledger,
};
use serde_json::Value as Json;
use tempfile::TempDir;

/// 2023-11-14 22:13:20 UTC.
const START: u64 = 1_700_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;
/// The hour of the start, as a partition.
const HOUR: &str = "date=2023-11-14/hour=22";

/// A row by the names of its columns; an empty text is none.
type Row = BTreeMap<String, String>;

/// An event with these values.
fn event(program: &str, ts: u64, tid: u64, values: &[Value<'_>]) -> Vec<u8> {
    let row = if program == "notification" {
        events::event(ledger::NOTIFICATION)
    } else {
        event_by_program(program)
    };
    let start = EventBuilder::new(row.unwrap(), ts, tid);
    values.iter().fold(start, |event, value| event.param(*value).unwrap()).build_short().unwrap()
}

/// A machine of this name, with threads and descriptors.
fn machine(name: &[u8]) -> MachineState {
    let mut state = strategies::state().new_tree(&mut TestRunner::deterministic()).unwrap().current();
    state.machine.hostname = name.to_vec();
    // That of the calls below.
    let cgroups = b"memory=/system.slice/a.service\0".to_vec();
    state.threads.retain(|thread| thread.tid != 7);
    state.threads.push(Thread { tid: 7, pid: 7, comm: b"web".to_vec(), cgroups, ..Thread::default() });
    state
}

/// Events of any type with any values, of few threads, a second apart from this time on. Their texts are hostile: any bytes.
fn any_events(count: usize, from: u64) -> Vec<Vec<u8>> {
    let mut runner = TestRunner::deterministic();
    let strategy = strategies::event();
    let event = |number: usize| {
        let (row, values) = strategy.new_tree(&mut runner).unwrap().current();
        strategies::built(row, &values, from + number as u64 * SECOND, 1 + number as u64 % 5)
    };
    (0..count).map(event).collect()
}

/// Text that is hostile to every form: quotes, newlines, commas, NUL, invalid UTF-8, controls.
const HOSTILE: &[u8] = b"/a \"b\", 'c'\n;\r\td\\ \x1b[31m\xff\xc3\xa9\xe2\x80\xae</script>";

/// Calls that open, write and fail, with hostile names; the last one does not end.
fn calls(from: u64) -> Vec<Vec<u8>> {
    let at = |step: u64| from + step * 1_000;
    let opened = |fd| [Value::Fd(fd), Value::Fd(-100), Value::Text(HOSTILE), Value::Flags(1), Value::Uint(0)];
    let written = [Value::Errno(5), Value::Bytes(b"a\0\xff\n\""), Value::Fd(77), Value::Uint(9)];
    vec![
        event("openat_e", at(0), 7, &[]),
        event("openat_x", at(3), 7, &opened(77)),
        event("write_e", at(4), 7, &written[2..]),
        event("write_x", at(9), 7, &written),
        event("openat_e", at(10), 7, &[]),
        event("openat_x", at(12), 7, &opened(-13)),
        event(
            "notification",
            at(13),
            7,
            &[
                Value::Text(b"scapd.gap"),
                Value::Text(
                    b"lost=12 from=1700000000000000000 to=1700000000000000009 cpus=0 ring_full=11 disk=1",
                ),
            ],
        ),
        event("read_e", at(20), 7, &[Value::Fd(77), Value::Uint(9)]),
    ]
}

/// A folder with a capture of any events, and of those calls.
fn capture(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("a.scap");
    let events = [calls(START), any_events(1_500, START + SECOND)].concat();
    fs::write(&path, strategies::capture(&machine(b"web-1"), &events)).unwrap();
    path
}

/// Runs a command of scapd that must succeed, and returns what it prints.
fn print(args: &[&str]) -> String {
    let (code, out, said) = run(scapd().env("TZ", "UTC").args(args));
    assert_eq!(code, Some(0), "{args:?}: {said}");
    out
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Parses comma-separated values by a library.
fn parse_csv(text: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().unwrap().clone();
    let row = |record: csv::StringRecord| -> Row {
        names.iter().zip(&record).map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect()
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

/// Parses objects, one a line. Maps stay JSON.
fn parse_json(text: &str) -> Vec<Row> {
    let cell = |json: &Json| match json {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let row = |line: &str| {
        let object: serde_json::Map<String, Json> = serde_json::from_str(line).unwrap();
        object.iter().map(|(name, value)| (name.clone(), cell(value))).collect()
    };
    text.lines().map(row).collect()
}

/// Exports a capture to a form on stdout.
fn exported(form: &str, capture: &Path, filter: &str) -> String {
    print(&["export", "--to", form, "-o", "-", text(capture), filter])
}
