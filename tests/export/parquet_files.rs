//! Tables of Parquet, read back by Apache's library.

use std::fs::File;

use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};

use super::*;
use common::run_watched;

/// The files of a table, in the order of their paths.
fn files(folder: &Path, table: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.join(table)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// The rows of a table.
pub fn rows(folder: &Path, table: &str) -> Vec<Row> {
    let of_file = |path: &PathBuf| {
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        let rows = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().into_columns());
        rows.map(|row| row.into_iter().map(|(name, field)| (name, cell(&field))).collect())
            .collect::<Vec<Row>>()
    };
    files(folder, table).iter().flat_map(of_file).collect()
}

/// Returns a cell as the other forms have it.
fn cell(field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Bool(value) => value.to_string(),
        Field::Long(value) => value.to_string(),
        Field::Str(value) => value.clone(),
        Field::MapInternal(map) => {
            let text = |field: &Field| match field {
                Field::Str(text) => text.clone(),
                other => panic!("{other:?}"),
            };
            let entries = map.entries().iter().map(|(name, value)| (text(name), text(value).into()));
            Json::Object(entries.collect()).to_string()
        }
        other => panic!("{other:?}"),
    }
}

/// Exports to a folder of this name.
fn export(folder: &TempDir, name: &str, captures: &[&Path], options: &[&str]) -> PathBuf {
    let path = folder.path().join(name);
    let captures: Vec<_> = captures.iter().map(|capture| text(capture)).collect();
    print(&[&["export", "--to", "parquet", "-o", text(&path)][..], &captures, options].concat());
    path
}

#[test]
fn the_table_of_events_is_that_of_the_other_forms() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(&folder);
    let mut csv = parse_csv(&exported("csv", &capture, ""));
    let path = export(&folder, "out", &[&capture], &[]);
    for row in &mut csv {
        let time: jiff::Timestamp = row["time"].parse().unwrap();
        row.insert("time".to_owned(), time.as_nanosecond().to_string());
    }
    assert_eq!(rows(&path, "events"), csv);
    let schema = SerializedFileReader::new(File::open(&files(&path, "events")[0]).unwrap()).unwrap();
    let schema = format!("{:?}", schema.metadata().file_metadata().schema());
    assert!(schema.contains("NANOS") && schema.contains("is_adjusted_to_u_t_c: true"), "{schema}");
}

#[test]
fn sums_are_those_of_top() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(&folder);
    let top: Json = serde_json::from_str(&print(&["top", "--json", "-n", "0", text(&capture)])).unwrap();
    let number = |row: &Row, column: &str| row[column].parse::<u64>().unwrap_or(0);
    let mut sums = BTreeMap::<String, [u64; 5]>::new();
    for row in rows(&export(&folder, "out", &[&capture], &[]), "events") {
        let is_call = row["ends_call"] == "true";
        let failed = is_call && !row["error"].is_empty();
        let of_call = sums.entry(row["call"].clone()).or_default();
        let values = [
            is_call.into(),
            failed.into(),
            number(&row, "duration_ns"),
            number(&row, "in_bytes"),
            number(&row, "out_bytes"),
        ];
        of_call.iter_mut().zip(values).for_each(|(sum, value)| *sum = sum.saturating_add(value));
    }
    sums.retain(|_, [calls, ..]| *calls > 0);
    let groups = top["groups"].as_array().unwrap().iter().filter(|group| group["calls"] != 0);
    let expected: BTreeMap<_, _> = groups
        .map(|group| {
            let value = |name: &str| match &group[name] {
                Json::String(text) => text.parse().unwrap(),
                number => number.as_u64().unwrap_or(0),
            };
            let columns = ["calls", "errors", "total_ns", "in_bytes", "out_bytes"];
            (group["keys"]["call"].as_str().unwrap().to_owned(), columns.map(value))
        })
        .collect();
    assert_eq!(sums, expected);
    assert!(sums.len() > 50);
}

#[test]
fn processes_are_those_of_tree() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(&folder);
    let tree = parse_json(&print(&["tree", "--json", text(&capture)]));
    let processes = rows(&export(&folder, "out", &[&capture], &[]), "processes");
    // The ids of any events may be any, and those of the table are signed.
    let id = |row: &Row| {
        row["pid"].parse::<u64>().map_or_else(|_| row["pid"].clone(), |id| (id as i64).to_string())
    };
    let number = |row: &Row, name: &str| row[name].parse::<u64>().unwrap().min(i64::MAX as u64);
    let of = |rows: &[Row], name: &str| {
        let mut all: Vec<_> =
            rows.iter().map(|row| (id(row), number(row, "calls"), number(row, name))).collect();
        all.sort();
        all
    };
    let shown: Vec<Row> = processes.iter().filter(|row| row["is_wanted"] == "true").cloned().collect();
    assert!(!tree.is_empty());
    for column in ["errors", "in_bytes", "out_bytes"] {
        assert_eq!(of(&shown, column), of(&tree, column), "{column}");
    }
}

#[test]
fn losses_are_in_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = export(&folder, "out", &[&capture(&folder)], &["evt.num = 1"]);
    let ledger = rows(&path, "ledger");
    let gap = ledger.iter().find(|row| row["id"] == "scapd.gap").unwrap();
    assert_eq!((gap["num"].as_str(), gap["lost"].as_str()), ("7", "12"));
    assert_eq!(gap["causes"], r#"{"ring_full":"11","disk":"1"}"#);
    assert_eq!(
        (gap["lost_from"].as_str(), gap["lost_to"].as_str()),
        ("1700000000000000000", "1700000000000000009")
    );
    assert_eq!(rows(&path, "events").len(), 1, "a filter does not choose what is lost");
}

#[test]
fn hours_and_machines_are_partitions() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, host: &[u8], from: u64| {
        let path = folder.path().join(name);
        fs::write(&path, strategies::capture(&machine(host), &calls(from))).unwrap();
        path
    };
    let hour = 3_600 * SECOND;
    let captures = [
        write("a", b"a b/../c\xff", START),
        write("b", b"web-1", START + hour),
        write("c", b"a b/../c\xff", START + 2 * hour),
        // Out of the order of the times: in the first capture's hour, and on another machine.
        write("d", b"", START + 2 * hour + 1),
    ];
    let together = folder.path().join("together");
    fs::write(
        &together,
        [fs::read(&captures[1]).unwrap(), fs::read(&captures[0]).unwrap(), fs::read(&captures[1]).unwrap()]
            .concat(),
    )
    .unwrap();
    let paths: Vec<_> = captures.iter().map(PathBuf::as_path).collect();
    let path = export(&folder, "out", &paths, &[]);
    let found = |path: &Path, table: &str| -> Vec<String> {
        let strip = |file: &PathBuf| text(file.strip_prefix(path.join(table)).unwrap()).to_owned();
        files(path, table).iter().map(strip).collect()
    };
    assert_eq!(
        found(&path, "events"),
        [
            "host=__HIVE_DEFAULT_PARTITION__/date=2023-11-15/hour=00/part-0.parquet".to_owned(),
            format!("host=a%20b%2F..%2Fc%FF/{HOUR}/part-0.parquet"),
            "host=a%20b%2F..%2Fc%FF/date=2023-11-15/hour=00/part-0.parquet".to_owned(),
            "host=web-1/date=2023-11-14/hour=23/part-0.parquet".to_owned(),
        ]
    );
    assert_eq!(rows(&path, "events").len(), 4 * 8);
    let path = export(&folder, "back", &[&together], &[]);
    assert_eq!(
        found(&path, "events"),
        [
            format!("host=a%20b%2F..%2Fc%FF/{HOUR}/part-0.parquet"),
            "host=web-1/date=2023-11-14/hour=23/part-0.parquet".to_owned(),
            "host=web-1/date=2023-11-14/hour=23/part-1.parquet".to_owned(),
        ]
    );
    assert_eq!(rows(&path, "ledger").len(), 3);
}

#[test]
fn memory_does_not_grow_with_the_capture() {
    const MIB: u64 = 1 << 20;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.scap");
    // 128 MiB of data, in a capture as it is.
    let data = vec![b'a'; 32 << 10];
    let write = |number: u64| {
        let values = [Value::Errno(1), Value::Bytes(&data), Value::Fd(3), Value::Uint(9)];
        event("write_x", START + number, 7, &values)
    };
    fs::write(&path, strategies::capture(&machine(b"a"), &(0..4_096).map(write).collect::<Vec<_>>()))
        .unwrap();
    let out = folder.path().join("out");
    let mut command = scapd();
    command.args(["export", "--to", "parquet", "-o", text(&out), text(&path)]);
    let (code, said, resident) = run_watched(&mut command);
    assert_eq!(code, Some(0), "{said}");
    let most = resident.into_iter().max().unwrap();
    assert!(most < 128 * MIB, "{} MiB", most / MIB);
    let file = &files(&out, "events")[0];
    let reader = SerializedFileReader::new(File::open(file).unwrap()).unwrap();
    let groups: Vec<_> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert!(groups.len() >= 4 && groups.iter().sum::<i64>() == 4_096, "{groups:?}");
    assert_eq!(
        rows(&out, "events")[4_000]["args"].len(),
        r#"{"res":"1","data":"","fd":"3","size":"9"}"#.len() + data.len()
    );
}
