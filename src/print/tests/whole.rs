//! Output of whole captures: selections, truncation, broken pipes, summaries.

use super::*;

fn three() -> Capture {
    let close = |c: Capture, tid, fd| c.event(tid, "close_e", &[Value::Fd(fd)]);
    close(close(close(Capture::new(), 100, 1), 101, 2), 7, 3)
}

fn numbers(out: &str) -> Vec<&str> {
    out.lines().map(|l| l.split(' ').next().unwrap()).collect()
}

#[test]
fn what_is_asked_for_is_shown() {
    assert_eq!(numbers(&three().read(|a| a.limit = Some(2)).0), ["1", "2"]);
    assert_eq!(numbers(&three().read(|a| a.limit = Some(0)).0), [""; 0]);
    // A process id selects all of its threads.
    assert_eq!(numbers(&three().read(|a| a.wanted.pids = vec![100]).0), ["1", "2"]);
    assert_eq!(numbers(&three().read(|a| a.wanted.pids = vec![101, 7]).0), ["2", "3"]);
    assert_eq!(numbers(&three().read(|a| a.wanted.events = parse_events("close").ok()).0).len(), 3);
    assert_eq!(numbers(&three().read(|a| a.wanted.events = parse_events("!close").ok()).0), [""; 0]);
}

#[test]
fn what_is_internal_is_shown_if_asked_for() {
    let capture = three().old(100, "PPME_PROCINFO_E", &[Value::Uint(1), Value::Uint(2)]);
    assert_eq!(numbers(&capture.read(|_| {}).0), ["1", "2", "3"]);
    assert_eq!(numbers(&capture.read(|a| a.wanted.all = true).0), ["1", "2", "3", "4"]);
    assert_eq!(numbers(&capture.read(|a| a.wanted.events = parse_events("procinfo").ok()).0), ["4"]);
    let filter = |text: &str| scap::filter::Filter::parse(text, &scap::fields::Fields).ok();
    assert_eq!(numbers(&capture.read(|a| a.wanted.filter = filter("evt.num > 2")).0), ["3"]);
    let all = capture.read(|a| (a.wanted.filter, a.wanted.all) = (filter("evt.num > 2"), true));
    assert_eq!(numbers(&all.0), ["3", "4"]);
}

#[test]
fn all_before_a_cut_is_shown_then_the_error() {
    let mut capture = three();
    let whole = capture.bytes.len();
    capture.bytes.truncate(whole - 5);
    let (out, result) = capture.read(|_| {});
    assert_eq!(numbers(&out), ["1", "2"]);
    let offset = (whole - scap::format::event_block_len(26 + 2 + 8)) as u64;
    match result {
        Err(PrintError::Read { source: ReadError::Truncated { offset: at, .. }, .. }) => {
            assert_eq!(at, offset)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_is_shown_before_the_next_one_comes() {
    let bytes = three().bytes;
    let last = bytes.len() - scap::format::event_block_len(26 + 2 + 8);
    let mut reader =
        Reader::new(io::Cursor::new(&bytes[..last]).chain(io::Cursor::new(&bytes[last..]))).unwrap();
    let more: Vec<bool> = std::iter::from_fn(|| reader.next_event().unwrap().map(|e| e.more)).collect();
    assert_eq!(more, [true, false, false]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    struct Closed(io::ErrorKind);
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), three().bytes).unwrap();
    let args = ReadArgs { files: vec![file.path().into()], ..ReadArgs::default() };
    assert!(read(&args, &mut Closed(io::ErrorKind::BrokenPipe)).is_ok());
    assert!(matches!(read(&args, &mut Closed(io::ErrorKind::StorageFull)), Err(PrintError::Write(_))));
    let args = InfoArgs { file: file.path().into(), json: false, top: 10, all: false, max_state: None };
    assert!(info(&args, &mut Closed(io::ErrorKind::BrokenPipe)).is_ok());
    assert!(matches!(info(&args, &mut Closed(io::ErrorKind::StorageFull)), Err(PrintError::Write(_))));
    let none = InfoArgs { file: "/nonexistent/x.scap".into(), ..args };
    assert!(matches!(info(&none, &mut Vec::new()), Err(PrintError::Open { .. })));
}

#[test]
fn a_summary_counts() {
    let notification = scap::events::event(scap::events::EventType(280)).unwrap();
    let mut capture = three()
        .event(100, "syscall_x", &[Value::Syscall(16), Value::Uint(39)])
        .event(100, "syscall_x", &[Value::Syscall(42), Value::Uint(111)])
        .row(1, notification, &[Value::Text(b"lost"), Value::Text(b"12 events")]);
    capture.ts -= 5;
    let capture = capture.exec(100, "prog");

    let mut reader = Reader::new(&capture.bytes[..]).unwrap();
    let (summary, error) = Summary::collect(&mut reader);
    assert!(error.is_none());
    assert_eq!((summary.events, summary.out_of_order, summary.notice_count), (7, 1, 1));
    assert_eq!((summary.threads, summary.fds, summary.sections), (2, 3, 1));
    assert_eq!(summary.size, capture.bytes.len() as u64);
    let types: Vec<_> = summary.by_type.iter().map(|e| (&e.name[..], e.ty.0, e.count)).collect();
    let generic = [("getpgrp", 1, 1), ("getpid", 1, 1)];
    assert_eq!(
        types,
        [&[("close", 4, 3)], &generic[..], &[("notification", 280, 1), ("execve", 293, 1)]].concat()
    );
    let processes: Vec<_> = summary.by_process.iter().map(|p| (p.pid, p.comm.as_deref(), p.count)).collect();
    assert_eq!(processes, [(100, Some(&b"prog"[..]), 5), (1, None, 1), (7, None, 1)]);
    assert_eq!(summary.blocks[&scap::format::BlockType::EVENT], 7);

    let json = summary.to_json();
    assert_eq!(json["events"], 7);
    assert_eq!(json["machine"]["hostname"], "box");
    assert_eq!(json["by_type"][0], json!({ "type": "close", "dir": ">", "number": 4, "count": 3 }));
    assert_eq!(json["notices"][0]["text"], "12 events");
    assert_eq!(json["duration_ns"], 5, "from the oldest to the newest");

    let text = summary.to_text(2);
    for part in
        ["box", "8192 MiB", "2023-11-14T22:13:20.000000001Z", "> close", "… and 3 more", "lost: 12 events"]
    {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(!text.contains("notification  "), "more than two types\n{text}");
}

#[test]
fn a_summary_of_a_cut_capture_is_of_what_is_there() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes = three().bytes;
    std::fs::write(file.path(), &bytes[..bytes.len() - 1]).unwrap();
    let mut out = Vec::new();
    let result = info(
        &InfoArgs { file: file.path().into(), json: true, top: 0, all: false, max_state: None },
        &mut out,
    );
    assert!(matches!(result, Err(PrintError::Read { source: ReadError::Truncated { .. }, .. })));
    assert_eq!(serde_json::from_slice::<Json>(&out).unwrap()["events"], 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_event_is_shown(state in strategies::state(), events in vec(strategies::event(), 1..20), tids: [u8; 20]) {
        // Few threads, so that events use each other's descriptors; times that differ, so that no event is by chance the
        // extension of the one before.
        let events: Vec<_> = events
            .iter()
            .zip(tids)
            .zip(1..)
            .map(|(((row, values), tid), ts)| strategies::built(row, values, ts, u64::from(tid % 3)))
            .collect();
        let capture = Capture { bytes: strategies::capture(&state, &events), ts: 0 };
        let (lines, result) = capture.read(|args| args.wanted.all = true);
        prop_assert!(result.is_ok());
        prop_assert_eq!(lines.lines().count(), events.len());
        prop_assert!(!lines.contains(|c: char| c.is_control() && c != '\n'));
        prop_assert_eq!(capture.json().len(), events.len());
        let (summary, _) = Summary::collect(&mut Reader::new(&capture.bytes[..]).unwrap());
        prop_assert_eq!(summary.by_type.iter().map(|e| e.count).sum::<u64>(), events.len() as u64);
        prop_assert_eq!(summary.by_process.iter().map(|p| p.count).sum::<u64>(), events.len() as u64);
    }
}
