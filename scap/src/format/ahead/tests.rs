//! Tests of the join of an event with its extension.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
};

use super::*;
use crate::{
    events::{Event, Syscall, event},
    format::{EventBuilder, Value, block::frame, frame_event, write_state},
};

const FSYNC_ENTER: u16 = 0x8090;
const FSYNC: u16 = 0x8091;

fn row(ty: u16) -> &'static Event {
    event(EventType(ty)).unwrap()
}

/// A generic event of a call.
fn generic(ty: u16, call: &str, ts: u64, tid: u64) -> Vec<u8> {
    let code = Syscall::by_name(call).unwrap().code;
    let event = EventBuilder::new(row(ty), ts, tid);
    event.param(Value::Syscall(code)).unwrap().param(Value::Uint(74)).unwrap().build().unwrap()
}

/// The extension of the event of an fsync.
fn extension(ty: u16, ts: u64, tid: u64) -> Vec<u8> {
    let event = EventBuilder::new(row(ty), ts, tid);
    let event = if ty == FSYNC { event.param(Value::Errno(-5)).unwrap() } else { event };
    event.param(Value::Fd(3)).unwrap().build().unwrap()
}

fn closed(ts: u64, tid: u64) -> Vec<u8> {
    EventBuilder::new(row(5), ts, tid).param(Value::Errno(0)).unwrap().build_short().unwrap()
}

fn start() -> Vec<u8> {
    let mut out = Vec::new();
    write_state(&mut out, &Default::default()).unwrap();
    out
}

fn capture(events: &[Vec<u8>]) -> Vec<u8> {
    let mut out = start();
    events.iter().for_each(|event| frame_event(&mut out, 1, event));
    out
}

/// The events that were read, and how the reading ended.
type Outcome = (Vec<(u16, u16, String)>, Result<(), ReadError>);

/// Reads a capture: for each event its type, that of its extension or 0, and its parameters.
fn read(input: impl Read) -> Outcome {
    read_on(&mut Reader::new(input).unwrap())
}

fn read_on(reader: &mut Reader<impl Read>) -> Outcome {
    let mut events = Vec::new();
    loop {
        let event = match reader.next_event() {
            Ok(Some(captured)) => captured.event,
            Ok(None) => return (events, Ok(())),
            Err(error) => return (events, Err(error)),
        };
        let values = event.values().map(|(info, value)| format!("{}={:?}", info.name, value.unwrap().value));
        let values: Vec<_> = values.collect();
        let extension = event.extension().map_or(0, |extension| extension.ty().0);
        events.push((event.ty().0, extension, values.join(" ")));
    }
}

/// Gives a few bytes at a time, and fails with `WouldBlock` between these pieces while it is told to hurry.
struct Pieces {
    rest: Vec<Vec<u8>>,
    hurry: Arc<AtomicBool>,
    has_blocked: bool,
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.hurry.load(Relaxed) && !self.has_blocked {
            self.has_blocked = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        self.has_blocked = false;
        let Some(first) = self.rest.first_mut() else { return Ok(0) };
        let len = first.len().min(buf.len());
        buf[..len].copy_from_slice(&first[..len]);
        first.drain(..len);
        self.rest.retain(|piece| !piece.is_empty());
        Ok(len)
    }
}

fn pieces(rest: Vec<Vec<u8>>) -> Pieces {
    Pieces { rest, hurry: Arc::default(), has_blocked: false }
}

const EXIT: &str = "ID=Syscall(72) nativeID=Uint(74) res=Errno(-5) fd=Fd(3)";

#[test]
fn an_event_and_its_extension_are_one() {
    let events = [
        generic(0, "fsync", 1, 7),
        extension(FSYNC_ENTER, 1, 7),
        generic(1, "fsync", 2, 7),
        extension(FSYNC, 2, 7),
        closed(3, 7),
    ];
    let expected = [
        (0, FSYNC_ENTER, "ID=Syscall(72) nativeID=Uint(74) fd=Fd(3)".to_owned()),
        (1, FSYNC, EXIT.to_owned()),
        (5, 0, "res=Errno(0)".to_owned()),
    ];
    let bytes = capture(&events);
    let (got, end) = read(&bytes[..]);
    assert_eq!(got, expected);
    assert!(end.is_ok());
    // Wherever a pipe divides them.
    for at in start().len()..bytes.len() {
        let (got, _) = read(pieces(vec![bytes[..at].to_vec(), bytes[at..].to_vec()]));
        assert_eq!(got, expected, "divided at {at}");
    }
    let (got, _) = read(pieces(bytes.chunks(5).map(<[u8]>::to_vec).collect()));
    assert_eq!(got, expected);
}

#[test]
fn parameters_are_those_of_both_by_the_joined_row() {
    let bytes = capture(&[generic(1, "fsync", 2, 7), extension(FSYNC, 2, 7)]);
    let mut reader = Reader::new(&bytes[..]).unwrap();
    let event = reader.next_event().unwrap().unwrap().event;
    let row = event.info().unwrap();
    assert_eq!((row.name, row.ty, event.ty()), ("fsync", EventType(1), EventType(1)));
    assert_eq!(event.param(2), Some(&(-5_i64).to_ne_bytes()[..]));
    assert_eq!(event.param(3), Some(&3_i64.to_ne_bytes()[..]));
    assert_eq!((event.param(1).map(<[u8]>::len), event.param(4)), (Some(2), None));
    assert_eq!(event.value("fd").unwrap().unwrap().value, Value::Fd(3));
    assert_eq!(event.params().count(), 4);
    assert_eq!(crate::events::rows().nth(event.row().unwrap()), Some(row));
}

/// An event and something behind it that is not its extension.
fn apart(event: Vec<u8>, other: Vec<u8>) {
    let bytes = capture(&[event, other]);
    for input in [vec![bytes.clone()], bytes.chunks(3).map(<[u8]>::to_vec).collect()] {
        let (got, end) = read(pieces(input));
        assert!(end.is_ok());
        assert_eq!(got.len(), 2, "{got:?}");
        assert!(got.iter().all(|(_, extension, _)| *extension == 0), "{got:?}");
    }
}

#[test]
fn an_extension_of_another_event_stays_by_itself() {
    let fsync = || generic(1, "fsync", 2, 7);
    apart(fsync(), extension(FSYNC, 3, 7));
    apart(fsync(), extension(FSYNC, 2, 8));
    apart(fsync(), extension(FSYNC_ENTER, 2, 7));
    apart(generic(0, "fsync", 2, 7), extension(FSYNC, 2, 7));
    apart(generic(1, "statx", 2, 7), extension(FSYNC, 2, 7));
    apart(closed(2, 7), extension(FSYNC, 2, 7));
    apart(extension(FSYNC, 2, 7), extension(FSYNC, 2, 7));
    // The event that it extends is not directly in front of it.
    let bytes = capture(&[fsync(), closed(2, 7), extension(FSYNC, 2, 7)]);
    assert_eq!(read(&bytes[..]).0.len(), 3);
    // An event has one.
    let bytes = capture(&[fsync(), extension(FSYNC, 2, 7), extension(FSYNC, 2, 7)]);
    let got = read(&bytes[..]).0;
    assert_eq!((got.len(), got[0].1, got[1].0), (2, FSYNC, FSYNC));
    assert_eq!(got[1].2, "res=Errno(-5) fd=Fd(3)");
}

#[test]
fn an_extension_that_the_table_does_not_have_is_skipped_and_kept() {
    let row = event(EventType(5)).unwrap();
    let mut unknown = closed(3, 7);
    unknown[20..22].copy_from_slice(&(0x9000 + row.ty.0).to_ne_bytes());
    let bytes = capture(&[closed(3, 7), unknown.clone()]);
    for input in [vec![bytes.clone()], bytes.chunks(3).map(<[u8]>::to_vec).collect()] {
        let mut reader = Reader::new(pieces(input)).unwrap();
        let event = reader.next_event().unwrap().unwrap().event;
        assert_eq!(event.values().count(), 1);
        assert_eq!((event.info(), event.row()), (Some(row), Some(5)));
        let mut copy = start();
        event.frame(&mut copy, 1, 0);
        assert_eq!(copy, bytes);
        assert!(reader.next_event().unwrap().is_none());
        assert_eq!(reader.offset(), bytes.len() as u64);
    }
}

#[test]
fn a_copy_keeps_both_together() {
    let bytes = capture(&[generic(1, "fsync", 2, 7), extension(FSYNC, 2, 7)]);
    let mut reader = Reader::new(&bytes[..]).unwrap();
    let captured = reader.next_event().unwrap().unwrap();
    let mut copy = start();
    captured.event.frame(&mut copy, 1, 0);
    assert_eq!(copy, bytes);
    let mut owned = Vec::new();
    captured.event.copy_to(&mut owned);
    assert_eq!(EventView::parse_joined(&owned, false).unwrap(), captured.event);
}

#[test]
fn an_extension_that_is_cut_off_or_damaged_does_not_take_its_event_along() {
    let bytes = capture(&[generic(1, "fsync", 2, 7), extension(FSYNC, 2, 7)]);
    let first = capture(&[generic(1, "fsync", 2, 7)]).len();
    for cut in first + 1..bytes.len() {
        let mut reader = Reader::new(&bytes[..cut]).unwrap();
        let (got, end) = read_on(&mut reader);
        assert_eq!(got.len(), 1, "cut at {cut}");
        assert!(matches!(end, Err(ReadError::Truncated { offset, .. }) if offset == first as u64));
        assert_eq!(reader.offset(), first as u64);
        assert!(reader.next_event().unwrap().is_none());
    }
    for at in [first + 4, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        let (got, end) = read(&damaged[..]);
        assert_eq!((got.len(), got[0].1), (1, 0), "damaged at {at}");
        assert!(end.is_err());
    }
}

#[test]
fn an_event_is_not_held_back_while_nothing_comes() {
    let first = capture(&[generic(1, "fsync", 2, 7)]);
    let bytes = capture(&[generic(1, "fsync", 2, 7), extension(FSYNC, 2, 7)]);
    let input = || vec![first.clone(), bytes[first.len()..].to_vec()];
    let hurried = pieces(input());
    let flag = hurried.hurry.clone();
    let mut reader = Reader::new(hurried).unwrap().hurry(flag.clone());
    let captured = reader.next_event().unwrap().unwrap();
    assert_eq!((captured.event.extension(), captured.more), (None, false));
    assert!(!flag.load(Relaxed));
    // Too late, it is an event by itself, and never part of another one.
    let (got, end) = read_on(&mut reader);
    assert_eq!((got.len(), got[0].0, end.is_ok()), (1, FSYNC, true));
    // One that can have no extension waits for nothing.
    let stopped = capture(&[closed(2, 7)]);
    let mut reader = Reader::new(pieces(vec![stopped, vec![0; 9]])).unwrap();
    assert!(!reader.next_event().unwrap().unwrap().more);
    assert!(reader.next_event().is_err());
}

#[test]
fn blocks_of_another_kind_wait_for_their_turn() {
    let mut bytes = capture(&[generic(1, "fsync", 2, 7)]);
    let first = bytes.len();
    frame(&mut bytes, BlockType(0x7777), |out| out.extend_from_slice(&[1; 50]));
    bytes.extend(capture(&[generic(1, "fsync", 3, 7), extension(FSYNC, 3, 7)]));
    for at in [first, first + 3, first + 8, first + 30, bytes.len() - 20] {
        let mut reader = Reader::new(pieces(vec![bytes[..at].to_vec(), bytes[at..].to_vec()])).unwrap();
        let (got, end) = read_on(&mut reader);
        assert!(end.is_ok());
        assert_eq!(got.iter().map(|(_, extension, _)| *extension).collect::<Vec<_>>(), [0, FSYNC], "{at}");
        assert_eq!((reader.section(), reader.offset()), (2, bytes.len() as u64));
        assert_eq!(reader.block_counts()[&BlockType(0x7777)], 1);
        assert_eq!(reader.block_counts()[&BlockType::EVENT], 3);
    }
}

#[test]
fn an_event_is_passed_with_its_extension() {
    let events = [
        closed(1, 4),
        generic(0, "fsync", 2, 4),
        extension(FSYNC_ENTER, 2, 4),
        closed(3, 4),
        generic(1, "fsync", 4, 4),
        extension(FSYNC, 4, 4),
        // Of another thread: events of their own.
        extension(FSYNC, 4, 5),
        closed(5, 4),
        generic(1, "fsync", 6, 4),
        extension(FSYNC, 6, 4),
    ];
    let file = capture(&events);
    let mut whole = Reader::new(&file[..]).unwrap();
    let mut expected = Vec::new();
    while let Some(captured) = whole.next_event().unwrap() {
        let extension = captured.event.extension().map(|extension| extension.ty());
        expected.push((captured.offset, captured.event.ty(), extension));
    }
    assert_eq!(expected.len(), 7);
    // As many as there are before an event that is not passed.
    for most in 0..expected.len() {
        let mut reader = Reader::new(&file[..]).unwrap();
        reader.next_event().unwrap();
        let mut passed = Vec::new();
        reader.pass(|offset, event| {
            let is_passed = passed.len() < most;
            if is_passed {
                passed.push((offset, event.ty(), event.extension().map(|extension| extension.ty())));
            }
            is_passed
        });
        // The last one may still get its extension.
        let count = most.min(expected.len() - 2);
        assert_eq!(passed, expected[1..=count]);
        let next = reader.next_event().unwrap().unwrap();
        let extension = next.event.extension().map(|extension| extension.ty());
        assert_eq!((next.offset, next.event.ty(), extension), expected[count + 1]);
        while reader.next_event().unwrap().is_some() {}
        assert_eq!((reader.offset(), reader.block_counts()), (whole.offset(), whole.block_counts()));
    }
}
