//! What summaries of a capture that is known look like.

use std::{sync::Arc, time::Duration};

use serde_json::Value as Json;

use super::*;
use crate::{
    print::MakeView,
    read::{Form, ReadArgs, Span, When, read_from},
};
use scap::{
    events::EVENTS,
    format::{
        EventBuilder, MachineState, Value, frame_event,
        state::{Fd, FdKind, FdList, Thread, User},
        write_state,
    },
    summary::{Column, Keys},
};

const START: u64 = 1_700_000_000_000_000_000;
/// What would end a line, move the cursor, and be two cells of a table.
const HOSTILE: &str = "a\n\x1b[2J\t\",b";

fn state() -> MachineState {
    let thread = |tid, ptid, comm: &str| Thread {
        tid,
        pid: tid,
        ptid,
        comm: comm.into(),
        exe: comm.into(),
        args: b"-x\0".into(),
        cwd: b"/srv".into(),
        ..Thread::default()
    };
    let file =
        |fd, path: &str| Fd { fd, ino: 0, kind: FdKind::File { open_flags: 1, path: path.into(), dev: 0 } };
    MachineState {
        threads: vec![thread(1, 0, "init"), thread(5, 1, "sh"), thread(6, 5, HOSTILE)],
        users: vec![User { uid: 0, name: b"root".into(), ..User::default() }],
        fds: vec![FdList { pid: 5, fds: vec![file(3, "/a")] }, FdList { pid: 6, fds: vec![file(3, "/b\n")] }],
        ..MachineState::default()
    }
}

/// A capture: three reads of sh, one of them failed, and one of another process that does not return.
fn capture() -> Vec<u8> {
    capture_and(false)
}

/// The same, with a slow close more if this is the run after.
fn capture_and(is_after: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_state(&mut bytes, &state()).unwrap();
    let mut add = |ms: u64, tid, name: &str, is_enter, values: &[(&str, Value<'_>)]| {
        let row = EVENTS.iter().rfind(|row| row.name == name && row.ty.is_enter() == is_enter).unwrap();
        let event =
            row.params.iter().fold(EventBuilder::new(row, START + ms * 1_000_000, tid), |event, param| {
                let value = values.iter().find(|(name, _)| *name == param.name);
                event.param(value.map_or(Value::Absent, |(_, value)| *value)).unwrap()
            });
        frame_event(&mut bytes, 0, &event.build_short().unwrap());
    };
    let fd = ("fd", Value::Fd(3));
    add(0, 5, "read", true, &[fd]);
    add(2, 5, "read", false, &[("res", Value::Errno(2048)), fd]);
    add(3, 6, "read", true, &[fd]);
    add(4, 5, "read", true, &[fd]);
    add(5, 5, "read", false, &[("res", Value::Errno(-11)), fd]);
    add(1100, 5, "close", true, &[fd]);
    add(1101, 5, "close", false, &[("res", Value::Errno(0)), fd]);
    if is_after {
        add(1200, 5, "close", true, &[fd]);
        add(1300, 5, "close", false, &[("res", Value::Errno(-9)), fd]);
    }
    bytes
}

fn shown(form: impl MakeView + 'static) -> String {
    shown_from(form, None)
}

fn shown_from(form: impl MakeView + 'static, from: Option<&str>) -> String {
    let from = from.map(|from| When::parse(from).unwrap());
    let span = Span { from, to: None };
    let args = ReadArgs { form: Form::Other(Arc::new(form)), span, ..ReadArgs::default() };
    let mut out = Vec::new();
    read_from(&capture()[..], &args, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn top(keys: &str, form: OutputForm) -> TopForm {
    use Column::{Calls, Error, Errors, In, Max, Out, Pending, PendingTime, Share, Total};
    TopForm {
        keys: Keys::parse(keys).unwrap(),
        columns: vec![Share, Total, Calls, Errors, Error, Max, In, Out, Pending, PendingTime],
        sort: vec![Total, Calls],
        rows: None,
        form,
        every: None,
        kind: TopKind::All,
    }
}

#[test]
fn a_table_is_aligned_and_has_a_total() {
    let expected = [
        "    share    total  calls  errors   error      max        in  out  pending  so-far  call",
        "  75.00 %  3.00 ms      2       1  EAGAIN  2.00 ms  2.00 KiB             1  1.10 s  read",
        "  25.00 %  1.00 ms      1                  1.00 ms                                  close",
        " 100.00 %  4.00 ms      3       1  EAGAIN  2.00 ms  2.00 KiB             1  1.10 s  total",
    ];
    assert_eq!(shown(top("call", OutputForm::Text)).lines().collect::<Vec<_>>(), expected);
    let first = shown(TopForm { rows: Some(1), ..top("call", OutputForm::Text) });
    assert!(first.ends_with("total, with 1 more\n") && first.lines().count() == 3, "{first}");
    let errors = shown(top("error", OutputForm::Text));
    assert!(
        errors.contains("EAGAIN\n") && errors.ends_with("not shown: 3 calls without error\n"),
        "{errors}"
    );
}

#[test]
fn an_interval_has_a_table_of_its_own() {
    let every = TopForm { every: Some(Duration::from_secs(1)), ..top("call", OutputForm::Json) };
    let tables: Vec<Json> = shown(every).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let calls: Vec<_> = tables.iter().map(|table| &table["total"]["calls"]).collect();
    assert_eq!(calls, [2, 1]);
    // It goes on in both.
    assert_eq!(tables.iter().map(|table| &table["total"]["pending"]).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn names_are_harmless_and_cells_stay_cells() {
    let text = shown(top("process,file", OutputForm::Text));
    assert!(!text.contains('\x1b') && text.lines().count() == 4, "{text}");
    let csv = shown(top("process,file", OutputForm::Csv));
    assert!(csv.starts_with("process,pid,file,share,total_ns,calls,"), "{csv}");
    assert!(csv.lines().count() == 3 && csv.contains("\"a\\n\\u{1b}[2J\\t\"\",b\",6,/b\\n,"), "{csv}");
    assert!(csv.contains("\nsh,5,/a,1.000000,4000000,3,1,EAGAIN,2000000,2048,0,0,\n"), "{csv}");
    let json: Json = serde_json::from_str(&shown(top("process,file", OutputForm::Json))).unwrap();
    assert_eq!(json["groups"][1]["keys"]["process"], HOSTILE);
    assert_eq!(
        (&json["groups"][0]["by_error"]["EAGAIN"], &json["groups"][1]["pending"]),
        (&1.into(), &1.into())
    );
    assert_eq!((&json["from"], &json["v"]), (&"2023-11-14T22:13:20.000000000Z".into(), &1.into()));
    for page in [
        shown(TreeForm { form: OutputForm::Text }),
        shown(SlowForm { rows: 9, with_waits: true, form: OutputForm::Text }),
        shown(StateForm { form: OutputForm::Text, parts: vec![Part::Processes, Part::Files], filter: None }),
        shown(WaitingForm { keys: Keys::parse("process").unwrap(), rows: None, form: OutputForm::Text }),
    ] {
        assert!(!page.contains(['\x1b', '\t']) && page.contains("[2J"), "{page}");
    }
}

#[test]
fn failed_calls_have_an_example() {
    let form = TopForm { kind: TopKind::Failed, ..top("call,error", OutputForm::Json) };
    let json: Json = serde_json::from_str(&shown(form)).unwrap();
    assert_eq!((json["total"]["calls"].as_u64(), json["without_key"].as_u64()), (Some(1), Some(0)));
    let example = json["groups"][0]["example"].as_str().unwrap();
    assert!(example.contains("5<sh> read(3</a>, ") && example.contains(" = -1 EAGAIN"), "{example}");
}

#[test]
fn the_slowest_calls_come_first_with_those_that_go_on() {
    let lines = shown(SlowForm { rows: 2, with_waits: false, form: OutputForm::Text });
    let lines: Vec<_> = lines.lines().collect();
    assert!(
        lines[0].starts_with("  1.10 s  ") && lines[0].ends_with(" read(3</b\\n>,  <unfinished ...>"),
        "{lines:?}"
    );
    assert!(lines[1].starts_with(" 2.00 ms  ") && lines[1].ends_with("2048 <0.002000>"), "{lines:?}");
}

#[test]
fn shares_of_waiting_add_up() {
    let csv =
        shown(WaitingForm { keys: Keys::parse("proc.pid").unwrap(), rows: None, form: OutputForm::Csv });
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0][..5], ["proc.pid", "threads", "time_ns", "running_ns", "runnable_ns"]);
    assert_eq!(rows[1][..6], ["5", "1", "1101000000", "1097000000", "0", "4000000"]);
    // It is in its read from the fourth event on.
    assert_eq!(rows[2][..6], ["6", "1", "1101000000", "3000000", "0", "1098000000"]);
    // From 1100 ms on, behind an event at 5 ms.
    let form = WaitingForm { keys: Keys::parse("proc.pid").unwrap(), rows: None, form: OutputForm::Csv };
    let csv = shown_from(form, Some("1"));
    assert_eq!(
        csv.lines().nth(1).unwrap().split(',').take(4).collect::<Vec<_>>(),
        ["5", "1", "1096000000", "1095000000"]
    );
    assert_eq!(csv.lines().count(), 2);
}

#[test]
fn what_changed_has_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let side = |name: &str, is_after| {
        let file = folder.path().join(name);
        std::fs::write(&file, capture_and(is_after)).unwrap();
        ReadArgs { files: vec![file], ..ReadArgs::default() }
    };
    let shown = |by: &str, columns: &[Column], form| {
        let table = DiffTable { keys: Keys::parse(by).unwrap(), columns: columns.to_vec() };
        let mut out = Vec::new();
        let form = DiffForm { tables: vec![table], rows: None, form };
        diff(&form, side("before", false), side("after", true), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    use Column::{Calls, Errors, Total};
    let expected = [
        " total before   after   change  calls before  after  change  call",
        "      1.00 ms  101 ms  +100 ms             1      2      +1  close",
        "      4.00 ms  104 ms  +100 ms             3      4      +1  total, with 1 unchanged",
    ];
    assert_eq!(shown("call", &[Total, Calls], OutputForm::Text).lines().collect::<Vec<_>>(), expected);
    let csv = shown("call,error", &[Calls, Errors], OutputForm::Csv);
    assert_eq!(csv, "call,error,before_calls,after_calls,before_errors,after_errors\nclose,EBADF,,1,,1\n");
    let json: Json = serde_json::from_str(&shown("call", &[Calls], OutputForm::Json)).unwrap();
    let [group] = &json["tables"][0]["groups"].as_array().unwrap()[..] else { panic!("{json:#}") };
    assert_eq!((&group["before"]["calls"], &group["after"]["by_error"]["EBADF"]), (&1.into(), &1.into()));
    assert_eq!(
        (&json["tables"][0]["unchanged_groups"], &group["keys"]["call"]),
        (&1.into(), &"close".into())
    );
    assert_eq!(json["after"]["to"], "2023-11-14T22:13:21.300000000Z");
}
