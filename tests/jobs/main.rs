//! Captures that are read with several jobs, and what is gone past: the output is that of one job that looks at every event.
//! Needs no kernel.

#![allow(clippy::unwrap_used)]

mod sums;

use std::{
    error::Error,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use scap::{
    events::{EVENTS, Event, event_by_program},
    fields::Fields,
    filter::Filter,
    format::{EventBuilder, MachineState, Reader, Value, strategies},
    formatter::{Columns, Formatter},
    select::parse_events,
    text::DataForm,
};
use scapd::{
    print::{LineStyle, PrintError, TableForm, TimeForm},
    read::{Form, ReadArgs, Span, Wanted, When, read},
};
use tempfile::TempDir;

/// 2023-11-14 22:13:20 UTC.
const START: u64 = 1_700_000_000_000_000_000;
/// The time between two events.
const STEP: u64 = 1_000_000;
/// A chunk of the capture has some hundreds of these events.
const EVENTS_OF_A_CAPTURE: u64 = 12_000;

fn read_or_write(program: &str, ts: u64, tid: u64, data: &[u8]) -> Vec<u8> {
    let row = event_by_program(program).unwrap();
    let start = EventBuilder::new(row, ts, tid);
    let (fd, size) = (Value::Fd(3), Value::Uint(9));
    let values = match row.ty.is_enter() {
        true => vec![fd, size],
        false => vec![Value::Errno(data.len() as i64), Value::Bytes(data), fd, size],
    };
    values.iter().fold(start, |b, v| b.param(*v).unwrap()).build_short().unwrap()
}

/// Any event that has an extension, and that extension.
type Pair = (Vec<u8>, Vec<u8>);

/// Returns both at this time and of this thread.
fn moved((event, extension): &Pair, ts: u64, tid: u64) -> [Vec<u8>; 2] {
    [event, extension].map(|bytes| [&ts.to_ne_bytes()[..], &tid.to_ne_bytes(), &bytes[16..]].concat())
}

/// Events of a busy machine: of any type with any values among reads and writes, of few threads, so that some pairs fit.
/// Some have an extension.
fn events(seed: u8, from: u64) -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(seed.into());
    let mut runner = TestRunner::deterministic();
    let any: Vec<_> =
        (0..500).map(|_| strategies::event().new_tree(&mut runner).unwrap().current()).collect();
    let extended: Vec<Pair> =
        (0..500).map(|_| strategies::extended().new_tree(&mut runner).unwrap().current()).collect();
    let of_any = |random: &mut fastrand::Rng, ts, tid| {
        let (row, values): &(&'static Event, _) = &any[random.usize(..any.len())];
        strategies::built(row, values, ts, tid)
    };
    let programs = ["read_e", "read_x", "write_e", "write_x"];
    let event = |number: u64| {
        let (ts, tid) = (START + (from + number) * STEP, random.u64(1..6));
        match random.u8(..10) {
            0 | 1 => vec![of_any(&mut random, ts, tid)],
            2 => vec![read_or_write("read_x", ts, tid, &vec![7; random.usize(..5000)])],
            3 | 4 => moved(&extended[random.usize(..extended.len())], ts, tid).into(),
            _ => vec![read_or_write(programs[random.usize(..4)], ts, tid, b"a\0\\\"\xff\n\xc3\xa9")],
        }
    };
    (0..EVENTS_OF_A_CAPTURE).flat_map(event).collect()
}

fn state() -> MachineState {
    let mut runner = TestRunner::deterministic();
    strategies::state().new_tree(&mut runner).unwrap().current()
}

fn capture(seed: u8, from: u64) -> Vec<u8> {
    strategies::capture(&state(), &events(seed, from))
}

/// The forms that divide, and some that do not.
fn forms() -> Vec<(&'static str, Form)> {
    let lines = |time, data| Form::Lines(LineStyle { time, data, ..LineStyle::default() });
    let columns = || Columns::parse("evt.num,proc.name,fd.name,evt.latency,evt.deltatime", &Fields).unwrap();
    let table = |form| Form::Table(columns(), form, DataForm::Dots);
    let format =
        Formatter::parse("*%evt.num %evt.outputtime %proc.name %fd.name %evt.args", &Fields).unwrap();
    vec![
        ("lines", Form::default()),
        ("times since the first event", lines(TimeForm::Relative, DataForm::HexAscii)),
        ("durations", lines(TimeForm::Latency, DataForm::Base64)),
        ("times since the event before", lines(TimeForm::Delta, DataForm::Dots)),
        ("JSON", Form::Json),
        ("CSV", table(TableForm::Csv)),
        ("TSV", table(TableForm::Tsv)),
        ("JSON of fields", table(TableForm::Json)),
        ("a format", Form::Format(format.clone(), TimeForm::Clock, DataForm::Dots)),
        ("a format with times since the event before", Form::Format(format, TimeForm::Delta, DataForm::Dots)),
        ("calls", Form::Calls { colours: false }),
    ]
}

fn filter(text: &str) -> Wanted {
    Wanted { filter: Some(Filter::parse(text, &Fields).unwrap()), ..Wanted::default() }
}

/// What is read, and what came of it.
struct Shown {
    out: Vec<u8>,
    error: Option<String>,
}

fn shown(args: &ReadArgs) -> Shown {
    let mut out = Vec::new();
    let cause = |e: &PrintError| e.source().map(ToString::to_string);
    let error = read(args, &mut out).err().map(|e| format!("{e}: {:?}", cause(&e)));
    Shown { out, error }
}

/// Checks that several jobs read the same as one, and returns that.
fn check(what: &str, files: &[PathBuf], change: &dyn Fn(&mut ReadArgs)) -> Shown {
    let with = |jobs| {
        let mut args = ReadArgs { files: files.into(), jobs, ..ReadArgs::default() };
        change(&mut args);
        shown(&args)
    };
    let one = with(1);
    for jobs in [2, 3, 7] {
        let several = with(jobs);
        assert_eq!(several.error, one.error, "{what} with {jobs} jobs");
        let place = several.out.iter().zip(&one.out).position(|(a, b)| a != b);
        let lengths = (several.out.len(), one.out.len());
        assert!(several.out == one.out, "{what} with {jobs} jobs: {lengths:?} bytes differ, at {place:?}");
    }
    one
}

fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn all_forms_are_those_of_one_job() {
    let folder = tempfile::tempdir().unwrap();
    let capture = file(&folder, "a.scap", &capture(1, 0));
    assert!(capture.metadata().unwrap().len() > 12 << 18, "of many chunks");
    for (name, form) in forms() {
        let shown = check(name, std::slice::from_ref(&capture), &|args| args.form = form.clone());
        assert!(shown.error.is_none() && shown.out.len() > 100_000, "{name}: {:?}", shown.error);
    }
}

#[test]
fn what_is_wanted_is_that_of_one_job() {
    let folder = tempfile::tempdir().unwrap();
    let files = [file(&folder, "a.scap", &capture(2, 0))];
    for text in [
        "evt.type = openat",
        "evt.type = read",
        "evt.latency > 3ms",
        "evt.num = 5000",
        "evt.num < 0",
        "fd.num = 3 and evt.dir = <",
    ] {
        check(text, &files, &|args| args.wanted = filter(text));
    }
    for list in ["read", "!read,!write", "switch"] {
        check(list, &files, &|args| args.wanted.events = Some(parse_events(list).unwrap()));
    }
    check("all", &files, &|args| args.wanted.all = true);
    check("a process", &files, &|args| args.wanted.pids = vec![3]);
    let part = |from, to| Span { from: Some(When::parse(from).unwrap()), to: Some(When::parse(to).unwrap()) };
    for (from, to) in [("3s", "7s"), ("0s", "0s"), ("11.9s", "90s"), ("90s", "95s"), ("5s", "4s")] {
        check(&format!("{from} to {to}"), &files, &|args| args.span = part(from, to));
    }
    for limit in [0, 1, 777, EVENTS_OF_A_CAPTURE - 1, 1 << 40] {
        check(&format!("{limit} events"), &files, &|args| args.limit = Some(limit));
        check(&format!("{limit} reads"), &files, &|args| {
            (args.limit, args.wanted) = (Some(limit), filter("evt.type = read"));
        });
    }
}

#[test]
fn several_captures_are_those_of_one_job() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b, c) = (capture(3, 0), capture(4, EVENTS_OF_A_CAPTURE), capture(5, 2 * EVENTS_OF_A_CAPTURE));
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&b).unwrap();
    let empty = strategies::capture(&state(), &[]);
    let files = [
        file(&folder, "a.scap", &a),
        file(&folder, "b.scap.gz", &packed.finish().unwrap()),
        file(&folder, "c.scap", &c),
        file(&folder, "empty.scap", &empty),
        // Two sections, the second of which turns back.
        file(&folder, "ca.scap", &[c, a].concat()),
    ];
    for (name, form) in forms().into_iter().step_by(5) {
        check(name, &files, &|args| args.form = form.clone());
        check(name, &[folder.path().into()], &|args| {
            (args.form, args.limit) = (form.clone(), Some(EVENTS_OF_A_CAPTURE * 3 / 2));
        });
    }
    let gone = [files[0].clone(), folder.path().join("gone.scap"), files[2].clone()];
    let shown = check("a capture that is gone", &gone, &|_| {});
    assert!(shown.error.unwrap().contains("gone.scap") && !shown.out.is_empty());
}

#[test]
fn damage_is_found_where_one_job_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, mut random) = (capture(6, 0), fastrand::Rng::with_seed(6));
    let mut places: Vec<usize> = (0..4).map(|_| random.usize(..whole.len())).collect();
    // At the boundary of chunks, and in the state.
    places.extend([0, 20, 1 << 18, 3 << 18, whole.len() - 1]);
    for at in places {
        let cut = file(&folder, "cut.scap", &whole[..at]);
        let lines = check(&format!("cut at {at}"), std::slice::from_ref(&cut), &|_| {});
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        let changed = file(&folder, "changed.scap", &changed);
        check(&format!("changed at {at}"), &[changed], &|args| args.wanted = filter("evt.type != write"));
        let columns = Columns::parse("evt.num", &Fields).unwrap();
        let table = Form::Table(columns, TableForm::Csv, DataForm::Dots);
        let shown = check(&format!("a table cut at {at}"), &[cut], &|args| args.form = table.clone());
        assert!(shown.out.starts_with(b"evt.num\n") && shown.error == lines.error, "{at}: {:?}", shown.error);
    }
}

/// Takes so many bytes.
struct Narrow(usize, io::ErrorKind);

impl Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(self.1)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_ends_ends_all_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let args =
        ReadArgs { files: vec![file(&folder, "a.scap", &capture(7, 0))], jobs: 3, ..ReadArgs::default() };
    read(&args, &mut Narrow(1 << 20, io::ErrorKind::BrokenPipe)).unwrap();
    let full = read(&args, &mut Narrow(1 << 20, io::ErrorKind::StorageFull));
    assert!(matches!(full, Err(PrintError::Write(e)) if e.kind() == io::ErrorKind::StorageFull));
}

/// Returns the lines of a format with an event's number, type and what depends on the events before.
fn facts(path: &Path, wanted: Wanted, span: Span) -> Vec<String> {
    const FORMAT: &str =
        "*%evt.num %evt.type %evt.dir %evt.deltatime %evt.latency %proc.name %fd.name %evt.args";
    let form = Form::Format(Formatter::parse(FORMAT, &Fields).unwrap(), TimeForm::Clock, DataForm::Dots);
    let shown = shown(&ReadArgs { files: vec![path.into()], form, wanted, span, ..ReadArgs::default() });
    assert_eq!(shown.error, None);
    String::from_utf8(shown.out).unwrap().lines().map(str::to_owned).collect()
}

/// Returns how many events have an extension.
fn extensions(path: &Path) -> usize {
    let mut reader = Reader::new(fs::File::open(path).unwrap()).unwrap();
    let mut count = 0;
    while let Some(captured) = reader.next_event().unwrap() {
        count += usize::from(captured.event.extension().is_some());
    }
    count
}

#[test]
fn events_that_are_passed_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.scap", &capture(8, 0));
    let all = facts(&path, Wanted::default(), Span::default());
    assert!(extensions(&path) > 2000);
    let late = facts(&path, Wanted::default(), Span { from: Some(When::parse("5s").unwrap()), to: None });
    let number = |line: &str| line.split(' ').next().unwrap().parse::<u64>().unwrap();
    assert!(late.iter().eq(all.iter().filter(|line| number(line) > 5000)));
    let mut names: Vec<_> = EVENTS.iter().map(|row| row.common_name()).filter(|name| *name != "NA").collect();
    names.sort_unstable();
    names.dedup();
    let mut found = 0;
    for name in names {
        let expected: Vec<_> = all.iter().filter(|line| line.split(' ').nth(1) == Some(name)).collect();
        let lines = facts(&path, filter(&format!("evt.type = {name}")), Span::default());
        assert!(lines.iter().eq(expected), "{name}");
        found += usize::from(!lines.is_empty());
    }
    assert!(found > 50, "{found}");
}
