//! What a summary counts.

use std::time::Duration;

use super::*;

/// A notice of somebody else.
fn notice(capture: &mut Capture, text: &str) {
    frame_event(&mut capture.bytes, 1, &ledger::notice("other", text, capture.ts));
}

/// Two sections, of which the second begins before the first has ended.
fn capture() -> Capture {
    let mut first = Capture::new();
    let text = "syscalls=openat events=enter,exit tracepoints=none";
    frame_event(&mut first.bytes, 1, &ledger::notice(ledger::SELECTED, text, first.ts));
    notice(&mut first, "one");
    notice(&mut first, "two");
    let open = [Value::Fd(9), Value::Fd(-100), Value::Text(b"a")];
    // Two that keep names right, then three that were asked for, one of them late.
    let mut first = first.event(100, "close_x", &[Value::Errno(0), Value::Fd(3)]);
    first = first.event(100, "close_x", &[Value::Errno(0), Value::Fd(4)]).event(100, "openat_x", &open);
    first.ts -= 3;
    first = first.event(101, "openat_x", &open).event(77, "openat_x", &open);
    first.ts += 100;
    first = first.event(100, "drop_e", &[Value::Uint(2)]);
    let mut second = Capture::new().event(100, "openat_x", &open);
    first.bytes.append(&mut second.bytes);
    first
}

#[test]
fn every_number_is_counted_once() {
    let summary = |all| {
        let bytes = capture().bytes;
        let (summary, error) = Summary::collect_events(&mut Reader::new(&bytes[..]).unwrap(), all);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(summary.size, bytes.len() as u64);
        summary
    };
    let asked = summary(false);
    assert_eq!((asked.sections, asked.early_sections, asked.out_of_order), (2, 1, 1));
    assert_eq!((asked.threads, asked.fds, asked.for_names), (2, 3, 2));
    assert_eq!((asked.drops, asked.notice_count, asked.notices.len()), (1, 2, 2));
    assert_eq!((&asked.notices[1].id[..], &asked.notices[1].text[..]), (&b"other"[..], &b"two"[..]));
    let start = Capture::new().ts;
    assert_eq!(asked.times, Some((start, start + 103)));
    assert_eq!(asked.duration(), Duration::from_nanos(103));
    let all = summary(true);
    assert_eq!((all.events, all.for_names), (asked.events + 2, 2));
    let count =
        |of: &Summary, name: &str| of.by_type.iter().find(|ty| ty.name == name).map_or(0, |ty| ty.count);
    assert_eq!((count(&asked, "openat"), count(&asked, "close"), count(&all, "close")), (4, 0, 2));
    assert!(all.by_type.is_sorted_by_key(|ty| std::cmp::Reverse(ty.count)));
    let of_shell =
        |of: &Summary| of.by_process.iter().find(|p| p.pid == 100).map(|p| (p.count, p.comm.clone()));
    // Both threads are of one process.
    assert_eq!(of_shell(&asked), Some((4, Some(b"sh".to_vec()))));
    assert!(asked.by_process.iter().any(|p| (p.pid, p.count, &p.comm) == (77, 1, &None)));
    let json = asked.to_json();
    for (key, number) in [
        ("sections", 2),
        ("early_sections", 1),
        ("out_of_order", 1),
        ("events_for_names", 2),
        ("threads", 2),
        ("fds", 3),
        ("drops", 1),
        ("notifications", 2),
        ("duration_ns", 103),
    ] {
        assert_eq!(json[key], number, "{key}");
    }
}

#[test]
fn a_page_has_the_most_frequent_and_how_many_more_there_are() {
    let bytes = capture().bytes;
    let (summary, _) = Summary::collect_events(&mut Reader::new(&bytes[..]).unwrap(), true);
    let (all, top) = (summary.to_text(100), summary.to_text(1));
    assert!(all.contains("< openat") && all.contains("< close") && !all.contains("more"), "{all}");
    assert!(top.contains("< openat") && !top.contains("< close"), "{top}");
    let more = format!("{} more", summary.by_type.len() - 1);
    assert!(top.contains(&more), "{more}: {top}");
    assert!(all.contains(": other: two") || all.contains("other: two"), "{all}");
    // What there is none of takes no row.
    let (plain, _) =
        Summary::collect_events(&mut Reader::new(&Capture::new().look(100, 3).bytes[..]).unwrap(), true);
    assert!(plain.to_text(9).lines().count() + 4 < all.lines().count(), "{all}");
}

#[test]
fn a_hundred_notices_are_kept_and_all_are_counted() {
    let mut capture = Capture::new();
    (0..105).for_each(|n| notice(&mut capture, &n.to_string()));
    let (summary, _) = Summary::collect(&mut Reader::new(&capture.bytes[..]).unwrap());
    assert_eq!((summary.notices.len(), summary.notice_count), (100, 105));
    assert!(summary.to_text(1).ends_with("and 5 more notices\n"));
}

#[test]
fn a_page_has_rows_of_what_there_is() {
    let rows = |change: fn(&mut Summary)| {
        let mut summary = Summary::default();
        change(&mut summary);
        summary.to_text(1).lines().take_while(|line| !line.is_empty()).count()
    };
    let least = rows(|_| ());
    type Change = fn(&mut Summary);
    let changes: [(Change, usize); 9] = [
        (|s| s.sections = 1, 0),
        (|s| s.sections = 2, 1),
        (|s| s.machine.boot_time = 1, 1),
        (|s| s.early_sections = 1, 1),
        (|s| s.out_of_order = 1, 1),
        (|s| s.for_names = 1, 1),
        (|s| s.compression = Some("xz"), 1),
        (|s| s.times = Some((1, 2)), 3),
        (|s| (s.drops, s.events, s.notice_count) = (1, 1, 0), 0),
    ];
    for (n, (change, more)) in changes.into_iter().enumerate() {
        assert_eq!(rows(change), least + more, "{n}");
    }
    // Who asked for something else in between gets a row for that.
    let asked = select::Asked::parse("read", "exit", "none", "");
    for (times, more) in [(1, 1), (2, 2), (5, 2)] {
        let mut summary = Summary::default();
        summary.ledger.asked = vec![asked; times];
        let text = summary.to_text(1);
        let block: Vec<_> = text.lines().take_while(|line| !line.is_empty()).collect();
        assert_eq!(block.len(), least + more);
        assert!(times == 1 || block.iter().any(|line| line.ends_with(&format!(" {}", times - 1))), "{text}");
    }
}

#[test]
fn numbers_beyond_a_doubles_are_strings() {
    const LARGEST: u64 = (1 << 53) - 1;
    let mut summary = Summary::default();
    summary.drops = LARGEST;
    (summary.events, summary.times) = (LARGEST + 1, Some((5, 6)));
    let json = summary.to_json();
    assert_eq!((&json["drops"], &json["events"]), (&json!(LARGEST), &json!("9007199254740992")));
    // Times are strings, whatever they are.
    assert_eq!((&json["first_ts"], &json["last_ts"]), (&json!("5"), &json!("6")));
}
