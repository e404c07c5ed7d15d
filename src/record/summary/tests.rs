//! What a summary says, and what it leaves out.

use super::*;
use crate::probe::Counters;
use scap::{events::event_by_program, ledger::Cause};

fn summary() -> Summary {
    Summary {
        target: "x.scap".to_owned(),
        files: 1,
        deleted: 0,
        duration: Duration::from_secs(2),
        events: 5000,
        for_names: 0,
        written: OutputTotals { events: 5000, bytes_in: 0, bytes_out: 3072 },
        verdict: Verdict { seen: 5000, written: 5000, ..Verdict::default() },
        totals: ProbeTotals::default(),
        calls: Vec::new(),
        stalled: 0,
        variants: Vec::new(),
        flight: None,
    }
}

fn ty(program: &str) -> EventType {
    event_by_program(program).unwrap().ty
}

/// The lines of a balance that is not that of a complete recording.
fn balance(change: impl FnOnce(&mut Summary)) -> Vec<String> {
    let mut summary = summary();
    change(&mut summary);
    summary.balance().lines().map(str::to_owned).collect()
}

#[test]
fn a_complete_recording_takes_a_line() {
    assert_eq!(balance(|_| ()), ["nothing lost"]);
    let text = summary().to_string();
    assert_eq!(text.lines().count(), 2, "{text}");
    for part in ["5,000 events", "2.0 s", "2,500/s", "3.00 KiB", "x.scap"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("files"), "{text}");
}

#[test]
fn what_is_none_is_not_told() {
    let text = |change: fn(&mut Summary)| {
        let mut summary = summary();
        change(&mut summary);
        summary.to_string()
    };
    let cut_short = text(|s| s.duration = Duration::ZERO);
    assert!(!cut_short.contains("/s"), "{cut_short}");
    let names = text(|s| s.for_names = 17);
    assert!(names.contains(" 17 "), "{names}");
    let series = text(|s| s.files = 2);
    assert!(series.contains("2 files") && !series.contains("deleted"), "{series}");
    let ring = text(|s| s.deleted = 4);
    assert!(ring.contains("1 files") && ring.contains("4 old"), "{ring}");
}

#[test]
fn a_recording_of_nothing_names_the_variants_of_its_calls() {
    let lines = balance(|s| s.events = 0);
    assert!(lines.len() == 1 && lines != ["nothing lost"], "{lines:?}");
    let lines = balance(|s| (s.events, s.variants) = (0, vec!["openat", "openat2"]));
    assert!(lines.len() == 2 && lines[1].contains("openat, openat2"), "{lines:?}");
    // What was recorded needs no advice.
    assert_eq!(balance(|s| s.variants = vec!["openat"]), ["nothing lost"]);
}

#[test]
fn losses_are_told_by_cause_and_by_type() {
    let counters = |lost| Counters { seen: 9000, lost_ring_full: lost, ..Counters::default() };
    let lines = balance(|s| {
        s.verdict.losses.add(Cause::RingFull, 3005);
        s.verdict.losses.add(Cause::TooLarge, 2);
        s.verdict.seen += 3007;
        s.totals.events = vec![
            (ty("read_x"), counters(1000)),
            (ty("close_e"), counters(2005)),
            (ty("write_x"), counters(0)),
        ];
    });
    let [sum, types] = &lines[..] else { panic!("{lines:?}") };
    assert!(sum.starts_with("3,007 ") && sum.contains("3,005") && sum.ends_with('2'), "{sum}");
    assert!(types.ends_with("> close 2,005, < read 1,000"), "{types}");
    // Events that were lost and nothing else recorded: not 'nothing'.
    let lines = balance(|s| {
        s.events = 0;
        s.verdict.losses.add(Cause::NoCpu, 1);
    });
    assert!(lines.len() == 1 && lines[0].starts_with("1 "), "{lines:?}");
}

#[test]
fn ten_types_are_named_at_most() {
    let counters = |lost| Counters { lost_ring_full: lost, ..Counters::default() };
    let mut summary = summary();
    summary.totals.events = (0..15).map(|n| (EventType(2 * n + 2), counters(n.into()))).collect();
    let most = summary.most_lost();
    assert_eq!(most.len(), TOP);
    assert_eq!(most[0], (EventType(30), 14));
    assert!(most.iter().all(|(_, lost)| *lost >= 5), "{most:?}");
}

#[test]
fn every_shortcoming_has_a_line() {
    type Change = fn(&mut Summary);
    let changes: [(Change, &str); 5] = [
        (|s| s.totals.losses.targets_full = 11, "11"),
        (|s| s.verdict.seen += 12, "12"),
        (|s| (s.verdict.unread, s.verdict.seen) = (13, 5013), "13"),
        (|s| s.verdict.late = 14, "14"),
        (|s| s.stalled = 15, "15"),
    ];
    for (change, number) in changes {
        let lines = balance(change);
        assert!(lines.len() == 2 && lines[1].split(' ').any(|word| word == number), "{number}: {lines:?}");
    }
}

#[test]
fn the_most_frequent_calls_are_in_columns() {
    let mut summary = summary();
    let names = ["read", "getdents64", "write", "a", "b", "c", "d", "e", "f", "g", "eleventh"];
    summary.calls = names.iter().zip((1..12).rev()).map(|(name, count)| (*name, count * 1000)).collect();
    let text = summary.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3 + TOP, "{text}");
    assert_eq!(lines[3], format!("  {:10}  {:>12}", "read", "11,000"));
    assert_eq!(lines[4], format!("  {:10}  {:>12}", "getdents64", "10,000"));
    assert!(!text.contains("eleventh"), "{text}");
}
