//! Tests of how events and notices get into a buffer.

use super::{notices::write_selected, *};
use crate::output::{Output, Target};
use scap::{
    events::event_by_program,
    format::{EventBuilder, Value},
    select::TracepointSet,
};

/// The size of a buffer, in bytes.
const SIZE: usize = 1 << 16;

/// Makes a drain into a file, with a buffer for events.
pub(super) fn drain() -> (tempfile::TempDir, Drain) {
    let folder = tempfile::tempdir().unwrap();
    let output = Output::create(Target::File(folder.path().join("x.scap")), false).unwrap();
    let writer = WriterThread::spawn(output, 4, SIZE).unwrap();
    let mut drain =
        Drain::starting_at(writer, "x.scap", Limits::default(), 2, 0, 0, Scan::new(false, true)).unwrap();
    assert!(drain.has_chunk().unwrap());
    (folder, drain)
}

fn write(drain: &mut Drain, ts: u64, late: bool) {
    let bytes = generic(ts, 1, 0);
    drain.write(RawEvent { cpu: 1, late, bytes: &bytes, extensions: &[] }, ts).unwrap();
}

/// The enter events of all calls.
fn enters() -> Asked {
    Asked { syscalls: None, enter: true, exit: false, tracepoints: TracepointSet::none(), extensions: true }
}

fn generic(ts: u64, code: u16, native: u16) -> Vec<u8> {
    let row = event_by_program("generic_x").unwrap();
    let id = EventBuilder::new(row, ts, 7).param(Value::Syscall(code)).unwrap();
    id.param(Value::Uint(native.into())).unwrap().build().unwrap()
}

#[test]
fn a_late_event_is_counted_in_its_file() {
    let (_folder, mut drain) = drain();
    let counted = |drain: &Drain| {
        let chunk = drain.chunk.as_ref().unwrap();
        (chunk.events, chunk.late, drain.ledger.late())
    };
    write(&mut drain, 100, false);
    write(&mut drain, 200, false);
    assert_eq!(counted(&drain), (2, 0, 0));
    // Late for the merge, and a newer event is already in the file.
    write(&mut drain, 150, true);
    assert_eq!(counted(&drain), (3, 1, 1));
    // An event as new as the newest one in the file is not late.
    write(&mut drain, 200, true);
    write(&mut drain, 300, true);
    assert_eq!(counted(&drain), (5, 1, 1));
    write(&mut drain, 299, true);
    assert_eq!(counted(&drain), (6, 2, 2));
    // In the next file it comes first.
    drain.latest_in_file = 0;
    write(&mut drain, 250, true);
    assert_eq!(counted(&drain), (7, 2, 2));
    assert_eq!(drain.latest, 300);
}

#[test]
fn unknown_calls_are_counted_by_their_kind() {
    let (mut counts, mut judge) = (Counts::new(), Judge::default());
    for (code, native) in
        [(0, 500), (0, 0x403b), (0, 0x403c), (0, 0x8011), (0, 0xffff), (16, 39), (2, 0x8011)]
    {
        counts.add(&generic(1, code, native), &mut judge, true);
    }
    let foreign: Vec<_> = counts.foreign.into_iter().collect();
    assert_eq!(foreign, [("unknown (32-bit)", 1), ("unknown (beyond all tables)", 1), ("unknown (x32)", 2)]);
    assert_eq!((counts.total, counts.generic[0], counts.generic[16], counts.generic[2]), (7, 5, 1, 1));
}

#[test]
fn a_gap_is_told_behind_the_events_of_its_time() {
    let (_folder, mut drain) = drain();
    let mut gap = Gap { from: 50, to: 100, ..Gap::default() };
    gap.losses.add(Cause::RingFull, 7);
    drain.note(gap);
    // A gap without losses is dropped.
    drain.note(Gap::default());
    for (ts, told) in [(99, 0), (100, 0), (101, 7), (102, 7)] {
        write(&mut drain, ts, false);
        assert_eq!(drain.chunk.as_ref().unwrap().losses.of(Cause::RingFull), told, "at {ts}");
    }
    assert!(drain.notices.is_empty());
}

#[test]
fn a_buffer_without_room_for_another_event_goes_on() {
    let (_folder, mut drain) = drain();
    let mut written = 0;
    while drain.waiting.as_ref().unwrap().is_empty() {
        assert!(written < 2000, "the buffer never goes on");
        assert!(drain.has_chunk().unwrap());
        written += 1;
        write(&mut drain, written, false);
    }
    let full = &drain.waiting.as_ref().unwrap()[0];
    assert_eq!((full.events, full.late), (written, 0));
    assert!((SIZE - 4096..=SIZE).contains(&full.bytes.len()), "{} bytes", full.bytes.len());
    assert!(drain.chunk.is_none());
    assert_eq!(drain.counts.types[1], written);
}

#[test]
fn an_event_begins_with_its_time() {
    assert_eq!(time_stamp(&generic(77, 1, 0)), 77);
    assert_eq!(time_stamp(b"short"), 0);
}

#[test]
fn an_event_limit_counts_requested_events() {
    let (_folder, mut drain) = drain();
    assert!(!drain.is_full());
    drain.limits.events = Some(2);
    for full in [false, true, true] {
        write(&mut drain, 100, false);
        assert_eq!(drain.is_full(), full);
    }
    assert_eq!((drain.counts().asked, drain.events()), (3, 3));
}

#[test]
fn the_selection_goes_before_the_first_event() {
    let (_folder, mut drain) = drain();
    let asked = enters();
    drain.say_what_is_asked(asked, 50);
    write(&mut drain, 100, false);
    assert_eq!((drain.counts().asked, drain.events()), (0, 1));
    assert!(drain.unsaid.is_some(), "the state comes first");
    drain.start(&MachineState::default(), b"").unwrap();
    assert_eq!(drain.unsaid, None);
    // Each file states it.
    drain.unsaid = Some(200);
    let events = drain.chunk.as_ref().unwrap().events;
    write(&mut drain, 300, false);
    let chunk = drain.chunk.as_ref().unwrap();
    assert_eq!(chunk.selected, Some(asked.to_string()));
    assert_eq!((chunk.events, drain.unsaid), (events + 1, None));
}

#[test]
fn a_changed_selection_applies_to_later_events() {
    let (_folder, mut drain) = drain();
    write(&mut drain, 100, false);
    // Without a state of the clock's own, times of the probe are event times.
    drain.change_what_is_asked(enters(), 200);
    write(&mut drain, 200, false);
    assert_eq!(drain.counts().asked, 2);
    write(&mut drain, 201, false);
    assert_eq!((drain.counts().asked, drain.events()), (2, 3));
}

#[test]
fn the_size_of_a_selection_notice_is_what_it_adds() {
    let (_folder, mut drain) = drain();
    write(&mut drain, 100, false);
    let chunk = drain.chunk.as_mut().unwrap();
    let before = chunk.bytes.len();
    let size = write_selected(chunk, &enters(), 500);
    assert_eq!(chunk.bytes.len(), before + size);
    assert!(size > 32);
    assert_eq!(chunk.latest, 500);
    assert!(chunk.selected.is_some());
}

#[test]
fn a_single_file_is_not_rotated() {
    let (_folder, mut drain) = drain();
    assert!(!drain.ask_rotation());
    assert!(drain.has_rotated());
    drain.rotor = Some(Rotor::new(Rotation::default(), false, 0));
    assert!(drain.has_rotated());
    assert!(drain.ask_rotation());
    assert!(!drain.has_rotated());
    assert_eq!(drain.target(), "x.scap");
}

#[test]
fn the_self_test_ends_when_its_event_is_written() {
    let (_folder, mut drain) = drain();
    assert!(drain.expected().is_none());
    drain.look_for(Some(SelfTest::of(7, 1)));
    assert!(drain.expected().is_some_and(|test| !test.was_taken() && !test.whereabouts().is_empty()));
    write(&mut drain, 100, false);
    assert!(drain.expected().is_some_and(SelfTest::was_taken), "taken, and still in a buffer");
    drain.start(&MachineState::default(), b"").unwrap();
    drain.flush().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while drain.expected().is_some() {
        assert!(Instant::now() < deadline, "the event is not written");
        thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(drain.progress().events(), 1);
    assert_eq!(drain.close().unwrap().events, 1);
}

#[test]
fn an_extension_is_a_block_behind_its_event_and_is_not_counted() {
    let (_folder, mut drain) = drain();
    let (bytes, more) = (generic(100, 16, 39), [generic(100, 16, 39), generic(100, 3, 3)].concat());
    let event = RawEvent { cpu: 1, late: false, bytes: &bytes, extensions: &more };
    assert_eq!(size(&event), 3 * event_block_len(bytes.len()));
    // With another time, as after a step of the clock.
    drain.write(event, 150).unwrap();
    let chunk = drain.chunk.as_ref().unwrap();
    let mut expected = Vec::new();
    for part in [generic(150, 16, 39), generic(150, 16, 39), generic(150, 3, 3)] {
        frame_event(&mut expected, 1, &part);
    }
    assert_eq!(chunk.bytes, expected);
    assert_eq!((chunk.events, drain.counts.total, drain.counts.asked, drain.counts.types[1]), (1, 1, 1, 1));
    assert_eq!((drain.counts.generic[16], drain.counts.generic[3]), (1, 0));
}
