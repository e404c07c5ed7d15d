//! Calls as stacks, and the flame graph.

use super::*;

/// A machine with these processes: pid, parent, name.
fn family(processes: &[(u64, u64, &[u8])]) -> MachineState {
    let process = |(pid, ptid, comm): &(u64, u64, &[u8])| Thread {
        tid: *pid,
        pid: *pid,
        ptid: *ptid,
        comm: comm.to_vec(),
        ..Thread::default()
    };
    MachineState { threads: processes.iter().map(process).collect(), ..MachineState::default() }
}

fn write(folder: &TempDir, state: &MachineState, events: &[Vec<u8>]) -> PathBuf {
    let path = folder.path().join("family.scap");
    fs::write(&path, strategies::capture(state, events)).unwrap();
    path
}

fn folded(capture: &Path, options: &[&str]) -> Vec<(String, u64)> {
    let lines = print(&[&["export", "--to", "folded", "-o", "-", text(capture)][..], options].concat());
    assert!(!lines.contains(|c: char| c.is_control() && c != '\n'));
    let pair = |line: &str| {
        let (stack, value) = line.rsplit_once(' ').unwrap();
        (stack.to_owned(), value.parse().unwrap())
    };
    lines.lines().map(pair).collect()
}

#[test]
fn a_stack_is_the_process_tree_and_the_call() {
    let folder = tempfile::tempdir().unwrap();
    let state = family(&[(1, 0, b"init"), (10, 1, b"sh"), (7, 10, b"a;b\n c")]);
    let capture = write(&folder, &state, &calls(START));
    let stack = |leaf: &str| format!("init;sh;a,b\\n c;{leaf}");
    assert_eq!(folded(&capture, &[]), [(stack("openat"), 5_000), (stack("write"), 5_000)]);
    assert_eq!(folded(&capture, &["--value", "calls"]), [(stack("openat"), 2), (stack("write"), 1)]);
    assert_eq!(folded(&capture, &["--value", "bytes"]), [(stack("write"), 5)]);
    let by = folded(&capture, &["--value", "calls", "--by", "call,error"]);
    assert_eq!(by, [(stack("openat;EACCES"), 1)]);
}

#[test]
fn sums_are_those_of_top() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(&folder);
    let top: Json = serde_json::from_str(&print(&["top", "--json", "-n", "0", text(&capture)])).unwrap();
    for (value, column) in [("time", "total_ns"), ("calls", "calls")] {
        let mut sums = BTreeMap::<String, u64>::new();
        for (stack, value) in folded(&capture, &["--value", value]) {
            *sums.entry(stack.rsplit(';').next().unwrap().to_owned()).or_default() += value;
        }
        let groups = top["groups"].as_array().unwrap().iter();
        let expected: BTreeMap<_, _> = groups
            .map(|group| {
                (group["keys"]["call"].as_str().unwrap().to_owned(), group[column].as_u64().unwrap_or(0))
            })
            .filter(|(_, sum)| *sum > 0)
            .collect();
        assert_eq!(sums, expected, "{value}");
        assert!(sums.len() > 3);
    }
}

#[test]
fn the_flame_graph_has_them_all_and_no_markup_of_the_capture() {
    let folder = tempfile::tempdir().unwrap();
    let state = family(&[(1, 0, b"</text><script>alert(1)</script>"), (7, 1, b"\"'&<b>\xff")]);
    let capture = write(&folder, &state, &calls(START));
    let picture = folder.path().join("a.svg");
    print(&["export", "--to", "svg", "-o", text(&picture), text(&capture)]);
    let svg = fs::read_to_string(&picture).unwrap();
    assert!(svg.contains(r#"total_samples="10000""#), "{svg}");
    assert!(svg.contains("&lt;/text&gt;&lt;script&gt;alert(1)"));
    assert!(!svg.contains("<script>alert") && !svg.contains("<b>"));
    let again = print(&["export", "--to", "svg", "-o", "-", text(&capture)]);
    assert_eq!(again, svg, "the same capture gives the same picture");
}
