//! Where files end. The writer writes a single file, so its cuts are none: only the rotor's decisions are looked at.

use std::time::Duration;

use super::*;
use crate::output::{Output, Target};

const SECOND: u64 = 1_000_000_000;
/// When the first file begins.
const START: u64 = 1000 * SECOND;
/// Bytes of the state.
const STATE: u64 = 10_000;

fn writer() -> (tempfile::TempDir, WriterThread) {
    let folder = tempfile::tempdir().unwrap();
    let output = Output::create(Target::File(folder.path().join("x.scap")), false).unwrap();
    (folder, WriterThread::spawn(output, 2, 1 << 16).unwrap())
}

fn started(rotation: Rotation) -> Rotor {
    let mut rotor = Rotor::new(rotation, false, START);
    rotor.started(STATE);
    rotor
}

#[test]
fn a_file_has_so_many_events() {
    let (_folder, writer) = writer();
    let mut rotor = started(Rotation { events: Some(2), ..Rotation::default() });
    for _ in 0..2 {
        assert_eq!(rotor.before(START + 1, 100, &writer), None);
        rotor.count(100);
    }
    assert_eq!(rotor.before(START + 5, 100, &writer), Some(START + 5));
    let cut = rotor.cut(START + 5, START + 5, Verdict::default());
    assert_eq!(cut.at, START + 5);
    // The next one counts from its own start.
    assert_eq!(rotor.before(START + 6, 100, &writer), None);
    rotor.count(100);
    assert_eq!(rotor.before(START + 6, 100, &writer), None);
}

#[test]
fn a_file_has_so_many_bytes_with_its_state_and_its_notices() {
    let (_folder, writer) = writer();
    let limit = 100_000;
    let mut rotor = started(Rotation { size: Some(limit), ..Rotation::default() });
    rotor.count(50_000);
    rotor.count_notice(30_000);
    let room = limit - STATE - 80_000 - NOTICES;
    assert_eq!(rotor.before(START, room as usize, &writer), None);
    assert_eq!(rotor.before(START, room as usize + 1, &writer), Some(START));
    // No event in it: it goes on, whatever the size.
    rotor.cut(START, START, Verdict::default());
    rotor.started(STATE);
    rotor.count_notice(limit as usize);
    assert_eq!(rotor.before(START, 100, &writer), None);
}

#[test]
fn a_file_without_its_state_goes_on() {
    let (_folder, writer) = writer();
    let rotation = Rotation { events: Some(1), period: Some(Duration::from_secs(1)), ..Rotation::default() };
    let mut rotor = Rotor::new(rotation, false, START);
    rotor.count(100);
    let late = START + 10 * SECOND;
    assert_eq!((rotor.before(late, 100, &writer), rotor.now(late, &writer)), (None, None));
    rotor.started(STATE);
    assert_eq!(rotor.before(late, 100, &writer), Some(START + SECOND));
    assert_eq!(rotor.now(late, &writer), Some(START + SECOND));
    // So does one that the writer has not begun.
    rotor.cut(late, late, Verdict::default());
    assert!(rotor.before(late + 2 * SECOND, 100, &writer).is_some(), "the writer has nothing to begin");
}

#[test]
fn the_size_of_a_compressed_file_is_what_was_written() {
    let (_folder, writer) = writer();
    let mut rotor = Rotor::new(Rotation { size: Some(50_000), ..Rotation::default() }, true, START);
    rotor.started(STATE);
    rotor.count(1 << 20);
    rotor.count_notice(1 << 20);
    rotor.look(&writer);
    assert_eq!(rotor.before(START, 100, &writer), None);
    assert_eq!(rotor.before(START, 50_000, &writer), Some(START));
}

#[test]
fn a_file_ends_by_the_clock() {
    let (_folder, writer) = writer();
    let mut rotor = started(Rotation { period: Some(Duration::from_secs(2)), ..Rotation::default() });
    let end = START + 2 * SECOND;
    // Before the first event that is as late as that ...
    assert_eq!(rotor.before(end - 1, 100, &writer), None);
    assert_eq!(rotor.before(end, 100, &writer), Some(end));
    assert_eq!(rotor.before(end + 1, 100, &writer), Some(end));
    // ... or without any, when none of before can come.
    assert_eq!(rotor.now(end + LATE - 1, &writer), None);
    assert_eq!(rotor.now(end + LATE, &writer), Some(end));
    rotor.cut(end, end + LATE, Verdict::default());
    assert_eq!(rotor.end, Some(end + 2 * SECOND));
    // After a long rest, there are no files of the time between.
    rotor.cut(end + 2 * SECOND, end + 9 * SECOND, Verdict::default());
    assert_eq!(rotor.end, Some(end + 11 * SECOND));
    // One whose end is now has not ended: the next begins there.
    rotor.cut(end, end + 2 * SECOND, Verdict::default());
    assert_eq!(rotor.end, Some(end + 4 * SECOND));
}

#[test]
fn a_file_that_was_asked_for_begins_at_once() {
    let (_folder, writer) = writer();
    let mut rotor = started(Rotation::default());
    assert!(rotor.is_settled(&writer));
    assert_eq!(rotor.now(START + 3, &writer), None);
    rotor.ask();
    assert!(!rotor.is_settled(&writer));
    assert_eq!(rotor.now(START + 3, &writer), Some(START + 3));
    rotor.cut(START + 3, START + 3, Verdict::default());
    assert!(rotor.is_settled(&writer));
    assert_eq!(rotor.now(START + 4, &writer), None);
}

#[test]
fn each_file_has_its_own_part_of_the_balance() {
    let mut rotor = started(Rotation::default());
    let seen = |seen| Verdict { seen, ..Verdict::default() };
    assert_eq!(rotor.cut(START, START, seen(5)).beside.seen, 5);
    assert_eq!(rotor.cut(START, START, seen(12)).beside.seen, 7);
    assert_eq!(rotor.cut(START, START, seen(12)).beside.seen, 0);
}
