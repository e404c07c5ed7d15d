//! The table of events, and its text forms.

use super::*;

/// The columns, and the fields of `scapd read` that they are.
const FIELDS: [(&str, &str); 14] = [
    ("num", "evt.num"),
    ("cpu", "evt.cpu"),
    ("tid", "thread.tid"),
    ("pid", "proc.pid"),
    ("process", "proc.name"),
    ("exe", "proc.exepath"),
    ("uid", "user.uid"),
    ("category", "evt.category"),
    ("dir", "evt.dir"),
    ("fd", "fd.num"),
    ("fd_type", "fd.type"),
    ("peer", "fd.rip"),
    ("port", "fd.sport"),
    ("time", "evt.rawtime"),
];

#[test]
fn columns_are_the_fields_of_read() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(&folder);
    let rows = parse_csv(&exported("csv", &capture, ""));
    let fields: Vec<_> = FIELDS.iter().map(|(_, field)| *field).collect();
    let read = parse_csv(&print(&["read", "--csv", "-o", &fields.join(","), text(&capture)]));
    assert_eq!(rows.len(), read.len());
    let mut with_value = BTreeMap::<_, usize>::new();
    for (row, read) in rows.iter().zip(&read) {
        for (column, field) in FIELDS {
            let expected = match (column, read[field].as_str()) {
                ("time", ns) => time(ns.parse().unwrap()),
                // Of a descriptor that was not made.
                ("fd", number) if number.starts_with('-') => String::new(),
                // Those columns have more: the end that a call tries to connect to.
                ("peer", "") | ("port", "" | "0") => continue,
                // A process that is not known has no number there.
                ("pid", "" | "-1") => continue,
                (_, value) => value.to_owned(),
            };
            *with_value.entry(column).or_default() += usize::from(!expected.is_empty());
            assert_eq!(row[column], expected, "{column} of event {}", row["num"]);
        }
    }
    let empty: Vec<_> = FIELDS.iter().filter(|(column, _)| !with_value.contains_key(column)).collect();
    assert!(empty.is_empty() && with_value.values().all(|count| *count > 0), "{with_value:?} {empty:?}");
}

fn time(ns: i128) -> String {
    format!("{:.9}", jiff::Timestamp::from_nanosecond(ns).unwrap())
}

#[test]
fn arguments_are_those_of_read() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(&folder);
    let rows = parse_csv(&exported("csv", &capture, ""));
    let lines = print(&["read", "--json", text(&capture)]);
    let mut members = 0;
    for (row, line) in rows.iter().zip(lines.lines()) {
        let args: BTreeMap<String, String> = serde_json::from_str(&row["args"]).unwrap();
        let read: Json = serde_json::from_str(line).unwrap();
        let present = read["args"].as_object().unwrap().iter();
        // An empty list is no value in the capture.
        let names: Vec<_> = present.filter(|(_, v)| !v.is_null()).map(|(name, _)| name.clone()).collect();
        assert!(args.keys().all(|name| names.contains(name)), "{args:?} {line}");
        members += args.len();
    }
    assert!(members > 2_000, "{members}");
    for name in ["name", "flags", "fd", "res", "data", "path", "addr", "args"] {
        let field = format!("evt.arg.{name}");
        let read = parse_csv(&print(&["read", "--csv", "-o", &field, text(&capture)]));
        let mut count = 0;
        for (row, read) in rows.iter().zip(&read) {
            let args: BTreeMap<String, String> = serde_json::from_str(&row["args"]).unwrap();
            if let Some(value) = args.get(name) {
                assert_eq!(*value, read[&field], "{name} of event {}", row["num"]);
                count += 1;
            }
        }
        assert!(count > 3, "{name}: {count}");
    }
}

#[test]
fn what_calls_did_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let rows = parse_csv(&exported("csv", &capture(&folder), "evt.num <= 8 and evt.type != notification"));
    let column = |name: &str| rows.iter().map(|row| row[name].as_str()).collect::<Vec<_>>();
    assert_eq!(column("num"), ["1", "2", "3", "4", "5", "6", "8"]);
    assert_eq!(column("process"), ["web"; 7]);
    assert_eq!(column("cgroup"), ["/system.slice/a.service"; 7]);
    assert_eq!(column("container"), ["host"; 7]);
    assert_eq!(column("call"), ["openat", "openat", "write", "write", "openat", "openat", "read"]);
    assert_eq!(column("ends_call"), ["false", "true", "false", "true", "false", "true", "false"]);
    assert_eq!(column("result"), ["", "77", "", "5", "", "-13", ""]);
    assert_eq!(column("error"), ["", "", "", "", "", "EACCES", ""]);
    assert_eq!(column("duration_ns"), ["", "3000", "", "5000", "", "2000", ""]);
    assert_eq!(column("in_bytes"), ["", "0", "", "0", "", "0", ""]);
    assert_eq!(column("out_bytes"), ["", "0", "", "5", "", "0", ""]);
    assert_eq!(column("fd"), ["", "77", "77", "77", "", "", "77"]);
    let shown = r#"/a "b", 'c'\n;\r\td\\ \u{1b}[31m\xffé\u{202e}</script>"#;
    assert_eq!(column("path"), ["", shown, shown, shown, "", shown, shown]);
}

#[test]
fn lines_of_json_have_the_same_values() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(&folder);
    let (csv, json) = (exported("csv", &capture, ""), exported("jsonl", &capture, ""));
    assert_eq!(parse_csv(&csv), parse_json(&json));
    assert!(csv.lines().count() > 1_000);
    // Whatever the capture has, a line is a row, and a terminal obeys nothing.
    assert_eq!(csv.lines().count(), json.lines().count() + 1);
    assert!(!csv.contains(|c: char| c.is_control() && c != '\n'));
    assert!(!json.contains(|c: char| c.is_control() && c != '\n'));
}

#[test]
fn a_filter_chooses() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(&folder);
    let filter = "evt.failed = true and evt.dir = <";
    let rows = parse_csv(&exported("csv", &capture, filter));
    let read = print(&["read", "-p", "*%evt.num", text(&capture), filter]);
    assert_eq!(
        rows.iter().map(|row| row["num"].as_str()).collect::<Vec<_>>(),
        read.lines().collect::<Vec<_>>()
    );
    assert!(rows.len() > 10);
    let few = print(&["export", "--to", "csv", "-o", "-", "-n", "3", "--syscalls", "openat", text(&capture)]);
    assert_eq!(few.lines().count(), 4);
    let span = ["--from", "0.5s", "--until", "10s"];
    let some = print(&[&["export", "--to", "jsonl", "-o", "-", text(&capture)][..], &span].concat());
    assert_eq!(
        some.lines().count(),
        print(&["read", "--from", "0.5s", "--to", "10s", text(&capture)]).lines().count()
    );
}
