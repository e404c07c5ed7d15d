use super::*;
use crate::format::EventView;

fn losses(counts: &[(Cause, u64)]) -> Losses {
    let mut losses = Losses::default();
    for (cause, count) in counts {
        losses.add(*cause, *count);
    }
    losses
}

#[test]
fn a_gap_is_read_back() {
    let read_x = crate::events::event_by_program("read_x").unwrap().ty;
    let gap = Gap {
        from: 5,
        to: 9,
        cpus: vec![0, 3],
        losses: losses(&[(Cause::RingFull, 7), (Cause::TooLarge, 1)]),
        most: vec![(read_x, 8)],
    };
    assert_eq!(gap.text(), "lost=8 from=5 to=9 cpus=0,3 ring_full=7 too_large=1 most=read_x:8");
    let bytes = notice(GAP, &gap.text(), 9);
    let view = EventView::parse(&bytes, false).unwrap();
    assert_eq!((view.ts(), view.tid()), (9, u64::from(std::process::id())));
    assert_eq!(parse(&view), Some(Notice::Gap(gap)));
}

#[test]
fn a_verdict_is_read_back_and_adds_up() {
    let verdict = Verdict {
        seen: 104,
        written: 90,
        losses: losses(&[(Cause::Backlog, 4), (Cause::Disk, 5), (Cause::Skipped, 50)]),
        late: 0,
        unread: 1,
        left_out: LeftOut { failed: 7, sampled: 30, filtered: 4, sieved: 9, evicted: 3, passed: 2 },
        redacted: Redacted { values: 6, events: 5 },
        sample_ratio: 8,
    };
    assert_eq!(verdict.unaccounted(), 0);
    assert!(!verdict.is_complete());
    let bytes = notice(VERDICT, &verdict.text(), 1);
    let view = EventView::parse(&bytes, false).unwrap();
    assert_eq!(parse(&view), Some(Notice::Verdict(verdict)));
    assert!(Verdict { seen: 3, written: 2, unread: 1, ..Verdict::default() }.is_complete());
}

#[test]
fn a_sample_is_not_called_complete() {
    let mut verdict = Verdict { seen: 2, written: 2, sample_ratio: 8, ..Verdict::default() };
    let complete = "verdict=complete seen=2 written=2 lost=0 late=0 unread=0 sample_ratio=8";
    assert_eq!(verdict.text(), complete, "nothing happened in the rest of the second");
    verdict.left_out.sampled = 5;
    let sample = "verdict=sample seen=2 written=2 lost=0 late=0 unread=0 sampled=5 sample_ratio=8";
    assert_eq!(verdict.text(), sample);
    verdict.losses.add(Cause::RingFull, 1);
    assert!(verdict.text().starts_with("verdict=incomplete"));
}

#[test]
fn a_cut_is_read_back() {
    for cause in CutCause::ALL {
        let cut = Cut { cause, offset: 104_552, bytes: 17 };
        let bytes = notice_of(CUT, &cut.text(), 1, 0);
        let view = EventView::parse(&bytes, false).unwrap();
        assert_eq!((parse(&view), view.tid()), (Some(Notice::Cut(cut)), 0));
    }
}

#[test]
fn a_step_of_the_clock_is_read_back() {
    let step = ClockStep { by: -3_600_000_001_000, at: 1_700_000_000_000_000_000 };
    assert_eq!(step.text(), "stepped by=-3600000001000 at=1700000000000000000");
    assert_eq!(step.by_text(), "-3600.000001 s");
    let bytes = notice(CLOCK, &step.text(), step.at);
    assert_eq!(parse(&EventView::parse(&bytes, false).unwrap()), Some(Notice::Clock(step)));
}

#[test]
fn numbers_beyond_all_bounds_are_no_panic() {
    let mut losses = Losses::default();
    Cause::ALL.into_iter().for_each(|cause| losses.add(cause, u64::MAX));
    losses.add(Cause::Disk, 1);
    let verdict = Verdict { losses, written: u64::MAX, unread: u64::MAX, ..Verdict::default() };
    assert_eq!(losses.sum(), u64::MAX);
    assert!(verdict.unaccounted() < 0 && !verdict.text().is_empty());
}

#[test]
fn another_notice_is_none_of_ours() {
    let bytes = notice("falco", "lost=1", 1);
    assert_eq!(parse(&EventView::parse(&bytes, false).unwrap()), None);
}

#[test]
fn what_was_asked_for_is_read_back() {
    let text = "syscalls=read,write events=exit tracepoints=none";
    let bytes = notice(SELECTED, text, 1);
    let Some(Notice::Selected(asked)) = parse(&EventView::parse(&bytes, false).unwrap()) else {
        panic!("not that notice")
    };
    assert_eq!(asked.to_string(), text);
    assert!(!asked.enter && asked.exit);
}

#[test]
fn what_is_overwritten_is_read_back() {
    let rules = RuleCounts { options: 1, variables: 20, patterns: 3 };
    let bytes = notice(REDACTED, &rules.text(), 1);
    assert_eq!(parse(&EventView::parse(&bytes, false).unwrap()), Some(Notice::Redacted(rules)));
    let mut sum = Verdict { redacted: Redacted { values: 6, events: 5 }, ..Verdict::default() };
    sum.add(&sum.clone());
    assert_eq!(sum.redacted.since(&Redacted { values: 2, events: 1 }), Redacted { values: 10, events: 9 });
    assert_eq!(sum.unaccounted(), 0, "what is overwritten is written");
}

#[test]
fn the_end_of_a_slice_is_read_back() {
    for note in [SliceNote { left_out: 900, is_stopped: false }, SliceNote { left_out: 0, is_stopped: true }]
    {
        let bytes = notice(SLICE, &note.text(), 1);
        assert_eq!(parse(&EventView::parse(&bytes, false).unwrap()), Some(Notice::Slice(note)));
    }
    assert_eq!(SliceNote { left_out: 9, is_stopped: true }.text(), "left_out=9 source=stopped");
}

#[test]
fn a_trigger_is_read_back_with_any_reason() {
    for by in TriggerKind::ALL {
        let reason = "proc.name = nc and evt.arg.by=1 reason=after=7 after=7 by=1 at=1".to_owned();
        let trigger = Trigger { by, at: 8, after: 5, reason };
        let bytes = notice(TRIGGER, &trigger.text(), 9);
        assert_eq!(parse(&EventView::parse(&bytes, false).unwrap()), Some(Notice::Trigger(trigger)));
    }
    let bytes = notice(TRIGGER, "by=dance", 9);
    let parsed = parse(&EventView::parse(&bytes, false).unwrap());
    assert_eq!(parsed, Some(Notice::Trigger(Trigger::default())));
}

#[test]
fn what_is_kept_longer_is_read_back() {
    let longer = Longer { until: 8, filter: "proc.name = nc and evt.arg.x = until=7 filter=y".to_owned() };
    let bytes = notice(LONGER, &longer.text(), 9);
    assert_eq!(parse(&EventView::parse(&bytes, false).unwrap()), Some(Notice::Longer(longer)));
}
