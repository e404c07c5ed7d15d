//! `scapd report`: the data in the page is the truth of captures that are made here, and what `scapd top` says; and nothing of a
//! capture is markup. `make test-report` opens pages in a browser.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use common::{run, scapd};
use scap::{
    events::EVENTS,
    format::{
        EventBuilder, MachineState, Value, frame_event,
        state::{Fd, FdKind, FdList, MachineInfo, Thread},
        write_state,
    },
    ledger::{Cause, GAP, Gap, Losses, VERDICT, Verdict, notice_of},
};
use serde_json::Value as Json;
use tempfile::TempDir;

const START: u64 = 1_700_000_000_000_000_000;
const MS: u64 = 1_000_000;
/// A name that ends a script, and begins one.
const HOSTILE: &str = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\u{2028}";

/// A capture that is being made.
struct Made {
    bytes: Vec<u8>,
    events: u64,
}

/// Processes of these names, from 100 on; each has one of the files open, as descriptor 3.
fn made(names: &[&str], files: &[String]) -> Made {
    let thread = |(at, name): (usize, &&str)| Thread {
        tid: 100 + at as u64,
        pid: 100 + at as u64,
        ptid: 1,
        comm: name.as_bytes().into(),
        exe: name.as_bytes().into(),
        args: [name.as_bytes(), b"\0"].concat(),
        cwd: b"/srv".into(),
        ..Thread::default()
    };
    let fds = |at: usize| {
        let path = files[at % files.len()].as_bytes().into();
        vec![Fd { fd: 3, ino: 0, kind: FdKind::File { open_flags: 1, path, dev: 0 } }]
    };
    let state = MachineState {
        machine: MachineInfo { hostname: b"generated".into(), num_cpus: 2, ..MachineInfo::default() },
        threads: names.iter().enumerate().map(thread).collect(),
        fds: (0..names.len()).map(|at| FdList { pid: 100 + at as u64, fds: fds(at) }).collect(),
        ..MachineState::default()
    };
    let mut bytes = Vec::new();
    write_state(&mut bytes, &state).unwrap();
    Made { bytes, events: 0 }
}

impl Made {
    fn event(&mut self, ts: u64, tid: u64, name: &str, is_enter: bool, values: &[(&str, Value<'_>)]) {
        let row = EVENTS.iter().rfind(|row| row.name == name && row.ty.is_enter() == is_enter).unwrap();
        let event = row.params.iter().fold(EventBuilder::new(row, ts, tid), |event, param| {
            let value = values.iter().find(|(name, _)| *name == param.name);
            event.param(value.map_or(Value::Absent, |(_, value)| *value)).unwrap()
        });
        frame_event(&mut self.bytes, 0, &event.build_short().unwrap());
        self.events += 1;
    }

    /// A read of descriptor 3, from one time to another one.
    fn read(&mut self, from: u64, to: u64, tid: u64, result: i64) {
        let fd = ("fd", Value::Fd(3));
        self.event(from, tid, "read", true, &[fd]);
        self.event(to, tid, "read", false, &[("res", Value::Errno(result)), fd]);
    }

    /// A call on a path that is not there.
    fn missing(&mut self, from: u64, to: u64, tid: u64, path: &str) {
        self.event(from, tid, "open", true, &[]);
        let values = [("fd", Value::Fd(-2)), ("name", Value::Text(path.as_bytes()))];
        self.event(to, tid, "open", false, &values);
    }

    fn notice(&mut self, id: &str, text: &str, ts: u64) {
        frame_event(&mut self.bytes, 0, &notice_of(id, text, ts, 0));
    }

    fn into_file(self) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.scap");
        fs::write(&path, self.bytes).unwrap();
        (folder, path)
    }
}

/// Makes a report, and returns the page and its data.
fn report(capture: &Path, args: &[&str]) -> (String, Json) {
    let out = capture.with_extension("html");
    let (code, printed, said) = run(scapd().arg("report").arg(capture).args(args).arg("-o").arg(&out));
    assert_eq!((code, &*printed, &*said), (Some(0), "", ""), "{args:?}");
    let page = fs::read_to_string(out).unwrap();
    let data = data(&page);
    (page, data)
}

fn data(page: &str) -> Json {
    let data = page.split("<script type=\"application/json\" id=\"data\">").nth(1).unwrap();
    serde_json::from_str(data.split("</script>").next().unwrap()).unwrap()
}

fn top(capture: &Path, args: &[&str]) -> Json {
    let (code, out, said) = run(scapd().arg("top").arg(capture).args(args).args(["-n", "0", "--json"]));
    assert_eq!((code, &*said), (Some(0), ""));
    serde_json::from_str(&out).unwrap()
}

/// Calls, errors, ns, bytes read, bytes written.
type Sum = [u64; 5];

/// Packed numbers.
struct Packed(std::vec::IntoIter<u8>);

impl Packed {
    fn of(text: &Json) -> Packed {
        Packed(STANDARD.decode(text.as_str().unwrap()).unwrap().into_iter())
    }

    fn has_more(&self) -> bool {
        !self.0.as_slice().is_empty()
    }

    fn next(&mut self) -> u64 {
        let mut number = 0;
        for (at, byte) in self.0.by_ref().enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                break;
            }
        }
        number
    }
}

/// Returns the bins of a packed text. Those of calls have more than a sum.
fn bins(packed: &Json, is_of_calls: bool) -> BTreeMap<u64, Sum> {
    let mut packed = Packed::of(packed);
    let mut found = BTreeMap::new();
    let mut bin = 0;
    while packed.has_more() {
        bin += packed.next();
        let sum: Sum = std::array::from_fn(|_| packed.next());
        if is_of_calls {
            let _longest = packed.next();
            let steps = packed.next();
            let counted: u64 = (0..steps).map(|_| (packed.next(), packed.next()).1).sum();
            assert_eq!(counted, sum[0], "every call has a duration");
        }
        found.insert(bin, sum);
        bin += 1;
    }
    found
}

fn add(sum: &mut Sum, other: &Sum) {
    sum.iter_mut().zip(other).for_each(|(sum, other)| *sum += other);
}

/// Returns the sums of a table by the keys of its rows, within some bins; the others have no keys.
fn sums(data: &Json, table: &str, within: std::ops::Range<u64>) -> BTreeMap<Vec<String>, Sum> {
    let mut found = BTreeMap::new();
    let rows = data[table]["rows"].as_array().unwrap().iter().map(|row| (row["k"].clone(), &row["bins"]));
    let all = rows.chain([(Json::Array(Vec::new()), &data[table]["others"]["bins"])]);
    for (keys, packed) in all {
        let mut sum = Sum::default();
        let bins = bins(packed, table == "calls");
        assert!(bins.keys().all(|bin| *bin < data["bins"].as_u64().unwrap()));
        bins.range(within.clone()).for_each(|(_, bin)| add(&mut sum, bin));
        let keys = keys.as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect();
        if sum != Sum::default() {
            found.insert(keys, sum);
        }
    }
    found
}

/// The same from `scapd top --json`.
fn sums_of_top(top: &Json) -> BTreeMap<Vec<String>, Sum> {
    let text = |key: &Json| key.as_str().map_or_else(|| key.to_string(), str::to_owned);
    let group = |group: &Json| {
        let keys = group["keys"].as_object().unwrap().values().map(text).collect();
        let names = ["calls", "errors", "total_ns", "in_bytes", "out_bytes"];
        (keys, names.map(|name| group[name].as_u64().unwrap_or(0)))
    };
    let groups = top["groups"].as_array().unwrap().iter().map(group);
    groups.filter(|(_, sum)| *sum != Sum::default()).collect()
}

/// Calls of three processes, for some seconds, from random numbers that are the same each time; with the truth, by process: the
/// end of each call, and what came of it.
fn workload() -> (Made, Vec<(u64, usize, Sum)>) {
    const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];
    let mut made = made(&NAMES, &["/var/a".to_owned(), "/var/b".to_owned()]);
    let mut truth = Vec::new();
    let mut random = fastrand::Rng::with_seed(7);
    let mut ts = START;
    for _ in 0..3000 {
        let process = random.usize(..NAMES.len());
        let took = random.u64(500..5_000_000);
        ts += random.u64(1..1_500_000);
        let (bytes, tid) = (random.i64(1..5000), 100 + process as u64);
        let sum = if random.u8(..5) == 0 {
            made.missing(ts, ts + took, tid, "/srv/missing");
            [1, 1, took, 0, 0]
        } else {
            made.read(ts, ts + took, tid, bytes);
            [1, 0, took, bytes as u64, 0]
        };
        ts += took;
        truth.push((ts, process, sum));
    }
    (made, truth)
}

#[test]
fn the_numbers_are_the_truth_and_those_of_top() {
    let (made, truth) = workload();
    let (events, (_folder, capture)) = (made.events, made.into_file());
    let (_, data) = report(&capture, &[]);
    assert_eq!(data["events"], events);
    let (start, width) =
        (data["start"].as_str().unwrap().parse::<u64>().unwrap(), data["width"].as_u64().unwrap());
    let count = data["bins"].as_u64().unwrap();
    assert!((100..=240).contains(&count), "{count}");
    let bin = |ts: u64| (ts - start) / width;
    // Bin by bin.
    let mut expected: BTreeMap<(usize, u64), Sum> = BTreeMap::new();
    truth.iter().for_each(|(ts, process, sum)| add(expected.entry((*process, bin(*ts))).or_default(), sum));
    for (process, name) in ["alpha", "beta", "gamma"].into_iter().enumerate() {
        let row = data["names"]["rows"].as_array().unwrap().iter().find(|row| row["k"][0] == name).unwrap();
        let own: BTreeMap<_, _> = expected
            .iter()
            .filter(|((of, _), _)| *of == process)
            .map(|((_, bin), sum)| (*bin, *sum))
            .collect();
        assert_eq!(bins(&row["bins"], false), own, "{name}");
    }
    // By every key, of all times and of some.
    let tables = [
        ("calls", "call"),
        ("names", "proc.name"),
        ("files_by_name", "file"),
        ("failures", "call,error,proc.name"),
    ];
    for (from, to) in [(0, count), (0, 1), (count / 3, count / 2), (count - 1, count)] {
        for (table, by) in tables {
            let time = |ns: u64| {
                let seconds = ns / 1_000_000_000;
                jiff::Timestamp::new(seconds as i64, (ns % 1_000_000_000) as i32).unwrap().to_string()
            };
            let (first, last) = (time(start + from * width), time(start + to * width - 1));
            let filter =
                if table == "failures" { "evt.failed = true" } else { "evt.failed in (true, false)" };
            let theirs = top(&capture, &["--by", by, "--from", &first, "--to", &last, "-f", filter]);
            let ours = sums(&data, table, from..to);
            assert!(!ours.is_empty() || to - from == 1, "{table}");
            assert_eq!(ours, sums_of_top(&theirs), "{table}, {from} to {to}");
        }
    }
    let whole = top(&capture, &[]);
    for (column, name) in data["calls"]["columns"].as_array().unwrap().iter().enumerate() {
        for row in data["calls"]["rows"].as_array().unwrap() {
            let group =
                whole["groups"].as_array().unwrap().iter().find(|group| group["keys"]["call"] == row["k"][0]);
            assert_eq!(row["t"][column], group.unwrap()[name.as_str().unwrap()], "{name} of {}", row["k"]);
        }
    }
}

/// Returns what the threads of a name have spent their time on, in ns.
fn spent(data: &Json, name: &str) -> Vec<u64> {
    let uses = data["waiting"]["uses"].as_array().unwrap().len();
    let rows = data["waiting"]["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["k"][0] == name).unwrap();
    let mut spent = vec![0; uses];
    let mut packed = Packed::of(&row["bins"]);
    let mut bin = 0;
    while packed.has_more() {
        bin += packed.next() + 1;
        spent.iter_mut().for_each(|sum| *sum += packed.next());
    }
    assert!(bin <= data["bins"].as_u64().unwrap());
    spent
}

/// The same from a group of `scapd top --waiting --json`.
fn spent_of_top(data: &Json, group: &Json) -> Vec<u64> {
    let uses = data["waiting"]["uses"].as_array().unwrap().iter();
    uses.map(|name| group["spent_ns"][name.as_str().unwrap()].as_u64().unwrap()).collect()
}

#[test]
fn waiting_is_that_of_top() {
    let (_folder, capture) = workload().0.into_file();
    let (_, data) = report(&capture, &[]);
    let theirs = top(&capture, &["--waiting", "--by", "proc.name"]);
    let groups = theirs["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 3);
    for group in groups {
        assert_eq!(spent(&data, group["keys"]["proc.name"].as_str().unwrap()), spent_of_top(&data, group));
    }
}

#[test]
fn hostile_text_is_only_text() {
    let mut hostile = made(&[HOSTILE], &[format!("/srv/{HOSTILE}")]);
    hostile.read(START, START + MS, 100, 5);
    hostile.missing(START + 2 * MS, START + 3 * MS, 100, HOSTILE);
    let mut harmless = made(&["name"], &["/srv/file".to_owned()]);
    harmless.read(START, START + MS, 100, 5);
    let ((_one, hostile), (_other, harmless)) = (hostile.into_file(), harmless.into_file());
    let (page, data) = report(&hostile, &["-f", "proc.name != '<b>'"]);
    let (plain, _) = report(&harmless, &[]);
    for markup in ["<script", "</script", "<img", "<b>", "\u{2028}"] {
        assert_eq!(page.matches(markup).count(), plain.matches(markup).count(), "{markup}");
    }
    let name = data["names"]["rows"][0]["k"][0].as_str().unwrap();
    assert!(name.starts_with("</script><scri"), "{name}");
    assert!(data["files_by_name"]["rows"].to_string().contains("<img src=x"));
    assert_eq!(data["filter"], "proc.name != '<b>'");
}

#[test]
fn a_page_of_many_names_is_small_and_says_what_is_left_out() {
    let names: Vec<String> = (0..3000).map(|n| format!("process{n}")).collect();
    let long = "x".repeat(200);
    let files: Vec<String> = (0..3000).map(|n| format!("/srv/{n}/{long}")).collect();
    let mut many = made(&names.iter().map(String::as_str).collect::<Vec<_>>(), &files);
    let mut ts = START;
    for round in 0..8_u64 {
        for at in 0..3000 {
            many.read(ts, ts + 1000 + at, 100 + at, 10);
            many.missing(ts + 5000, ts + 6000, 100 + at, &format!("/{round}/{at}"));
            ts += MS;
        }
    }
    let (_folder, capture) = many.into_file();
    let (page, data) = report(&capture, &[]);
    assert!(page.len() < 3_000_000, "{}", page.len());
    for (table, groups) in [("names", 3000), ("failures", 3000)] {
        let rows = data[table]["rows"].as_array().unwrap().len() as u64;
        assert_eq!(rows + data[table]["others"]["groups"].as_u64().unwrap(), groups, "{table}");
    }
    let sum = |table: &str| {
        let all = sums(&data, table, 0..240);
        all.values().fold(Sum::default(), |mut all, sum| {
            add(&mut all, sum);
            all
        })
    };
    assert_eq!((sum("calls")[0], sum("calls")[1]), (48_000, 24_000));
    // Of 27,000 files, some are given up on the way; what was done to them is there.
    assert!(data["files_by_name"]["given_up"].as_u64().unwrap() > 10_000);
    assert_eq!((sum("names"), sum("files_by_name")), (sum("calls"), sum("calls")));
    let told = data["processes"].as_array().unwrap().len() as u64;
    assert_eq!(told + data["more_processes"].as_u64().unwrap(), 3000);
}

#[test]
fn losses_are_where_they_were() {
    let mut lossy = made(&["alpha"], &["/a".to_owned()]);
    lossy.read(START, START + MS, 100, 1);
    let mut losses = Losses::default();
    losses.add(Cause::RingFull, 12);
    let gap = Gap { from: START + 2 * MS, to: START + 5 * MS, cpus: vec![1], losses, ..Gap::default() };
    lossy.notice(GAP, &gap.text(), START + 6 * MS);
    lossy.read(START + 7 * MS, START + 8 * MS, 100, 1);
    let verdict = Verdict { seen: 16, written: 4, losses, ..Verdict::default() };
    lossy.notice(VERDICT, &verdict.text(), START + 9 * MS);
    let (_folder, capture) = lossy.into_file();
    let (_, data) = report(&capture, &[]);
    let start: u64 = data["start"].as_str().unwrap().parse().unwrap();
    let expected = serde_json::json!([[gap.from - start, gap.to - start, 12]]);
    assert_eq!(data["ledger"]["gap_spans"], expected);
    assert_eq!((&data["ledger"]["balances"][0]["lost"], &data["sections"]), (&12.into(), &1.into()));
    assert_eq!(data["machines"][0]["hostname"], "generated");
    // What does not show them says that something is missing, in the time that is asked for, whatever the filter.
    for form in [
        &["top"][..],
        &["top", "--waiting"],
        &["slow"],
        &["tree"],
        &["state"],
        &["export", "--to", "csv", "-o", "-"],
    ] {
        let said = |more: &[&str]| {
            let (code, _, said) = run(scapd().args(form).arg(&capture).args(more));
            assert_eq!(code, Some(0), "{form:?}: {said}");
            said
        };
        assert!(said(&["evt.type = read"]).contains("12 events were lost by the recorder"), "{form:?}");
    }
    let (_, _, early) = run(scapd().args(["top", "--to", "1ms"]).arg(&capture));
    assert_eq!(early, "");
    let (_, lines, said) = run(scapd().arg("read").arg(&capture));
    assert!(said.is_empty() && lines.contains("scapd.gap desc=lost=12"), "{said}{lines}");
}

#[test]
fn the_page_is_written_as_a_capture_is() {
    let (_folder, capture) = workload().0.into_file();
    let page = capture.with_extension("html");
    fs::write(&page, "older").unwrap();
    fs::set_permissions(&page, fs::Permissions::from_mode(0o644)).unwrap();
    // Nothing of the captures is lost by a slip.
    let (code, _, said) = run(scapd().arg("report").arg(&capture).arg("-o").arg(&capture));
    assert!(code == Some(5) && said.contains("is also read"), "{said}");
    // A mistake leaves the older page.
    for args in [&["no.such = field"][..], &["--from", "never"], &["--syscalls", "nothing"]] {
        let (code, _, said) = run(scapd().arg("report").arg(&capture).args(args).arg("-o").arg(&page));
        assert!(code == Some(2) && said.contains("report"), "{said}");
    }
    let (code, _, said) = run(scapd().args(["report", "/no/such.scap", "-o"]).arg(&page));
    assert!(code == Some(1) && said.contains("/no/such.scap"), "{said}");
    let junk = capture.with_file_name("junk");
    fs::write(&junk, "no capture").unwrap();
    let (code, _, said) = run(scapd().arg("report").arg(&junk).arg("-o").arg(&page));
    assert!(code == Some(6) && said.contains("junk"), "{said}");
    fs::remove_file(junk).unwrap();
    assert_eq!(fs::read_to_string(&page).unwrap(), "older");
    report(&capture, &[]);
    assert!(fs::read_to_string(&page).unwrap().starts_with("<!doctype html>"));
    assert_eq!(fs::read_dir(capture.parent().unwrap()).unwrap().count(), 2);
    let (code, out, said) = run(scapd().arg("report").arg(&capture).args(["-o", "-"]));
    assert_eq!((code, &*said), (Some(0), ""));
    assert_eq!(data(&out)["events"], 6000);
    // Made anew, it is nobody else's to read.
    fs::remove_file(&page).unwrap();
    report(&capture, &["proc.name = nobody"]);
    assert_eq!(fs::metadata(&page).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(data(&fs::read_to_string(&page).unwrap())["events"], 0);
}

#[test]
fn of_a_damaged_capture_the_rest_is_told() {
    let (_folder, capture) = workload().0.into_file();
    let bytes = fs::read(&capture).unwrap();
    fs::write(&capture, &bytes[..bytes.len() / 2]).unwrap();
    let page = capture.with_extension("html");
    let (code, _, said) = run(scapd().arg("report").arg(&capture).arg("-o").arg(&page));
    assert!(code == Some(6) && said.contains("a.scap"), "{said}");
    let data = data(&fs::read_to_string(page).unwrap());
    assert!(data["damage"].as_str().unwrap().contains("a.scap"), "{}", data["damage"]);
    assert!(data["events"].as_u64().unwrap() > 1000);
}

#[test]
fn a_part_of_the_capture_is_told_with_how_to_ask_top() {
    let (_folder, capture) = workload().0.into_file();
    let (_, data) = report(&capture, &["proc.name", "=", "beta", "--from", "1s", "--to", "3s"]);
    assert_eq!((&data["span"]["from"], &data["span"]["to"]), (&"1s".into(), &"3s".into()));
    let command = data["command"].as_str().unwrap();
    let words = shlex::split(command).unwrap();
    assert_eq!(words[..2], ["scapd", "top"]);
    let args = ["--from", "1s", "--to", "3s", "-n", "0", "--json"];
    let (code, out, _) = run(scapd().args(&words[1..]).args(args));
    assert_eq!(code, Some(0));
    let theirs: Json = serde_json::from_str(&out).unwrap();
    assert_eq!(sums(&data, "calls", 0..240), sums_of_top(&theirs));
    assert!(!sums(&data, "calls", 0..240).is_empty());
    let theirs =
        top(&capture, &["--waiting", "--by", "proc.name", "--from", "1s", "--to", "3s", "proc.name = beta"]);
    assert_eq!(spent(&data, "beta"), spent_of_top(&data, &theirs["groups"][0]));
}
