//! Verifies captures that are whole, cut off, damaged, or not scapd's.

use super::*;
use scap::{
    events::{EventType, event},
    format::{EventBuilder, MachineState, Value, frame_event, write_state},
};

/// Returns a capture of `close` events at these times, followed by notices.
fn capture(times: &[u64], notices: &[(&str, String)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_state(&mut bytes, &MachineState::default()).unwrap();
    for ts in times {
        let close = EventBuilder::new(event(EventType(4)).unwrap(), *ts, 1).param(Value::Fd(3)).unwrap();
        frame_event(&mut bytes, 0, &close.build().unwrap());
    }
    for (id, text) in notices {
        frame_event(&mut bytes, 0, &ledger::notice(id, text, 1000));
    }
    bytes
}

fn balance(seen: u64, written: u64, ring_full: u64, late: u64) -> (&'static str, String) {
    let mut verdict = Verdict { seen, written, late, ..Verdict::default() };
    verdict.losses.add(Cause::RingFull, ring_full);
    (ledger::VERDICT, verdict.text())
}

fn cut(bytes: u64) -> (&'static str, String) {
    let cut = Cut { cause: ledger::CutCause::CutOff, offset: 100, bytes };
    (ledger::CUT, cut.text())
}

fn gap(ring_full: u64) -> (&'static str, String) {
    let mut gap = Gap { from: 1, to: 2, cpus: vec![1], ..Gap::default() };
    gap.losses.add(Cause::RingFull, ring_full);
    (ledger::GAP, gap.text())
}

#[test]
fn complete_incomplete_or_damaged() {
    let outcome = |times: &[u64], notices: &[_]| VerifyReport::of(&capture(times, notices)[..]).outcome();
    assert_eq!(outcome(&[1, 2], &[balance(2, 2, 0, 0)]), VerifyOutcome::Complete);
    assert_eq!(outcome(&[1, 2], &[gap(3), balance(5, 2, 3, 0)]), VerifyOutcome::Incomplete);
    assert_eq!(outcome(&[2, 1], &[balance(2, 2, 0, 1)]), VerifyOutcome::Incomplete);
    assert_eq!(outcome(&[1, 2], &[]), VerifyOutcome::NoLedger);
    assert_eq!(outcome(&[1, 2], &[gap(3)]), VerifyOutcome::Incomplete);
    let mut sample = Verdict { seen: 2, written: 2, sample_ratio: 4, ..Verdict::default() };
    sample.left_out.failed = 1;
    assert_eq!(outcome(&[1, 2], &[(ledger::VERDICT, sample.text())]), VerifyOutcome::Complete);
    sample.left_out.sampled = 9;
    assert_eq!(outcome(&[1, 2], &[(ledger::VERDICT, sample.text())]), VerifyOutcome::Sample);
    // Each contradicts itself: a missing event, a missing gap, wrong order, a balance that does not add up.
    assert_eq!(outcome(&[1], &[balance(2, 2, 0, 0)]), VerifyOutcome::Contradictory);
    assert_eq!(outcome(&[1, 2], &[balance(5, 2, 3, 0)]), VerifyOutcome::Contradictory);
    assert_eq!(outcome(&[2, 1], &[balance(2, 2, 0, 0)]), VerifyOutcome::Contradictory);
    assert_eq!(outcome(&[1, 2], &[gap(3), balance(6, 2, 3, 0)]), VerifyOutcome::Contradictory);
    assert_eq!(outcome(&[1], &[balance(1, 1, 0, 0), balance(1, 1, 0, 0)]), VerifyOutcome::Contradictory);
}

#[test]
fn a_cut_capture_is_damaged_at_a_place() {
    let whole = capture(&[1, 2], &[balance(2, 2, 0, 0)]);
    for end in 1..whole.len() {
        let report = VerifyReport::of(&whole[..end]);
        assert_ne!(report.outcome(), VerifyOutcome::Complete, "cut at {end}");
    }
    let report = VerifyReport::of(&whole[..whole.len() - 1]);
    assert_eq!(report.outcome(), VerifyOutcome::Damaged);
    let damage = report.damage.unwrap();
    assert!(damage.contains("byte") || damage.contains("offset"), "{damage}");
}

#[test]
fn a_repaired_capture_is_whole_and_incomplete() {
    let report = |times: &[u64], notices: &[_]| VerifyReport::of(&capture(times, notices)[..]);
    let repaired = report(&[1, 2], &[gap(3), cut(17)]);
    assert_eq!((repaired.outcome(), repaired.events), (VerifyOutcome::Incomplete, 2));
    let mut out = Vec::new();
    repaired.write("x.scap", &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("repaired: cut off at byte 100; 17 bytes after it were left out"), "{text}");
    assert_eq!(repaired.to_json()["cuts"][0]["bytes"], 17);
    // The bytes after the balance were no event, but the capture had some.
    assert_eq!(report(&[1, 2], &[balance(2, 2, 0, 0), cut(17)]).outcome(), VerifyOutcome::Incomplete);
    // Nothing may follow the end.
    assert_eq!(report(&[1], &[cut(17), balance(1, 1, 0, 0)]).outcome(), VerifyOutcome::Contradictory);
}

#[test]
fn gaps_without_number_are_counted() {
    let gaps = vec![gap(u64::MAX); TOLD + 5];
    let report = VerifyReport::of(&capture(&[1], &gaps)[..]);
    assert_eq!((report.gaps.len(), report.gap_count), (TOLD, TOLD as u64 + 5));
    let mut out = Vec::new();
    report.write("x.scap", &mut out).unwrap();
    assert!(String::from_utf8(out).unwrap().contains("and 5 more gaps"));
}

#[test]
fn steps_of_the_clock_are_told_and_are_no_fault() {
    let step = ClockStep { by: 2_000_000_000, at: 1000 };
    let mut notices = vec![(ledger::CLOCK, step.text()); TOLD + 5];
    notices.push(balance(2, 2, 0, 0));
    let report = VerifyReport::of(&capture(&[1, 2], &notices)[..]);
    assert_eq!((report.outcome(), report.clock_steps[0]), (VerifyOutcome::Complete, step));
    assert_eq!(report.to_json()["clock_steps"][0]["by"], 2_000_000_000);
    assert_eq!(report.to_json()["clock_step_count"], TOLD + 5);
    let mut out = Vec::new();
    report.write("x.scap", &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains(": the clock was stepped by +2.000000 s\n"), "{text}");
    assert!(text.contains("and 5 more steps of the clock"), "{text}");
}

#[test]
fn the_balances_of_sections_are_added() {
    let two =
        [capture(&[1, 2], &[balance(2, 2, 0, 0)]), capture(&[1], &[gap(4), balance(5, 1, 4, 0)])].concat();
    let report = VerifyReport::of(&two[..]);
    assert_eq!((report.outcome(), report.events, report.gaps.len()), (VerifyOutcome::Incomplete, 3, 1));
    assert_eq!(report.verdict.map(|v| (v.seen, v.losses.sum())), Some((7, 4)));
}

fn text_of(report: &VerifyReport) -> String {
    let mut out = Vec::new();
    report.write("x.scap", &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn what_is_no_capture_is_called_so() {
    for file in [&b"hello\n"[..], b"#!/bin/sh\nexit 0\n", b"\nx"] {
        let report = VerifyReport::of(file);
        assert_eq!(report.outcome(), VerifyOutcome::NotACapture, "{file:?}");
        assert!(text_of(&report).starts_with("x.scap: not a capture\n  not a .scap capture: "));
    }
    assert_eq!(VerifyReport::of(&capture(&[1], &[])[..6]).outcome(), VerifyOutcome::Damaged);
}

#[test]
fn a_capture_of_others_has_no_ledger() {
    let report = VerifyReport::of(&capture(&[1, 2], &[("id", "somebody else's notice".to_owned())])[..]);
    assert_eq!((report.outcome(), report.events), (VerifyOutcome::NoLedger, 2));
    let text = text_of(&report);
    assert!(text.contains("x.scap: no ledger") && text.contains("scapd did not write it"), "{text}");
}

#[test]
fn captures_that_were_put_together_out_of_order() {
    let part = |times: &[u64]| {
        let mut part = capture(times, &[]);
        let (id, text) = balance(times.len() as u64, times.len() as u64, 0, 0);
        if let Some(last) = times.last() {
            frame_event(&mut part, 0, &ledger::notice(id, &text, *last));
        }
        part
    };
    let report =
        |parts: &[&[u64]]| VerifyReport::of(&parts.iter().flat_map(|t| part(t)).collect::<Vec<_>>()[..]);
    let wrong = report(&[&[2000, 3000], &[], &[1500, 1600], &[5000]]);
    assert_eq!((wrong.sections, wrong.early_sections, wrong.late), (4, 1, 0));
    let text = text_of(&wrong);
    assert!(text.contains("out of order: 1 of 4 sections begin before"), "{text}");
    assert!(text.contains("in time order within each section"), "{text}");
    assert_eq!(wrong.to_json()["early_sections"], 1);
    let right = report(&[&[1500, 1600], &[2000, 3000]]);
    assert_eq!((right.outcome(), right.early_sections), (VerifyOutcome::Complete, 0));
    assert!(!text_of(&right).contains("section"));
}
