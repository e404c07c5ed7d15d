//! The limits of blocks, sections and states, and what is said of each.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;
use crate::{
    events::{EventType, event},
    format::{EventBuilder, Value, block::frame, frame_event, state::Thread, write_state},
};

fn block(ty: BlockType, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, ty, |out| out.extend_from_slice(body));
    out
}

fn section() -> Vec<u8> {
    let version = [VERSION.0.to_ne_bytes(), VERSION.1.to_ne_bytes()].concat();
    block(BlockType::SECTION_HEADER, &[&MAGIC.to_ne_bytes()[..], &version, &[0xff; 8]].concat())
}

/// The block of a read's exit event with so many bytes of data, and nothing behind those.
fn read_of(bytes: usize) -> Vec<u8> {
    let data = vec![7; bytes];
    let exit = EventBuilder::new(event(EventType(7)).unwrap(), 1, 2);
    let exit = exit.param(Value::Errno(0)).unwrap().param(Value::Bytes(&data)).unwrap();
    let mut out = Vec::new();
    frame_event(&mut out, 0, &exit.build_short().unwrap());
    out
}

fn packed(capture: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(capture).unwrap();
    encoder.finish().unwrap()
}

/// How many events there are, and how it ends.
fn read(input: impl Read) -> (u32, Option<ReadError>) {
    let mut reader = match Reader::new(input) {
        Ok(reader) => reader,
        Err(error) => return (0, Some(error)),
    };
    let mut events = 0;
    loop {
        match reader.next_event() {
            Ok(Some(_)) => events += 1,
            Ok(None) => return (events, None),
            Err(error) => return (events, Some(error)),
        }
    }
}

/// Gives one piece after the other, as a pipe does.
struct Pieces(Vec<Vec<u8>>);

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(first) = self.0.first_mut() else { return Ok(0) };
        let len = first.len().min(buf.len());
        buf[..len].copy_from_slice(&first[..len]);
        first.drain(..len);
        if first.is_empty() {
            self.0.remove(0);
        }
        Ok(len)
    }
}

#[test]
fn an_event_says_whether_more_is_in_memory() {
    let more = |pieces: Vec<Vec<u8>>| {
        let mut reader = Reader::new(Pieces(pieces)).unwrap();
        std::iter::from_fn(|| reader.next_event().unwrap().map(|event| event.more)).collect::<Vec<_>>()
    };
    let start = [section(), read_of(1)].concat();
    let two = read_of(2).repeat(2);
    assert_eq!(more(vec![start.clone(), two.clone(), read_of(3)]), [false, true, false, false]);
    let members = [packed(&start), packed(&two), packed(&read_of(3))];
    assert_eq!(more(members.to_vec()), [false, true, false, false]);
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&[start, two].concat()).unwrap();
    assert_eq!(more(vec![bzip2.finish().unwrap()]), [true, true, false]);
}

#[test]
fn a_capture_is_read_again_from_the_last_place_before() {
    let (head, tail) = ([section(), read_of(1)].concat(), read_of(2));
    let mut plain = Reader::new(&head[..]).unwrap();
    let at = section().len() as u64;
    assert_eq!(plain.restart(), Place { file: at, capture: at });
    assert!(plain.next_event().unwrap().is_some());
    let at = head.len() as u64;
    assert_eq!((plain.offset(), plain.restart()), (at, Place { file: at, capture: at }));

    let file = [packed(&head), packed(&tail)].concat();
    let mut gzip = Reader::new(&file[..]).unwrap();
    assert_eq!(gzip.restart(), Place::default());
    while gzip.next_event().unwrap().is_some() {}
    let capture = (head.len() + tail.len()) as u64;
    assert_eq!(gzip.restart(), Place { file: file.len() as u64, capture });
}

#[test]
fn a_read_that_a_signal_interrupts_is_made_again() {
    struct Interrupted<R>(R, bool);

    impl<R: Read> Read for Interrupted<R> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 { Err(io::ErrorKind::Interrupted.into()) } else { self.0.read(buf) }
        }
    }

    let pieces = vec![section(), read_of(1), read_of(2)];
    assert!(matches!(read(Interrupted(Pieces(pieces), false)), (2, None)));
}

#[test]
fn the_largest_event_block_is_of_64_kib_and_a_header() {
    let overhead = read_of(0).len();
    let largest = MAX_EVENT_BLOCK + HEADER_LEN;
    // To the byte: no padding.
    let data = largest - overhead;
    assert_eq!((read_of(data).len(), read_of(data + 1).len()), (largest, largest + 4));
    assert!(matches!(read(&[section(), read_of(data)].concat()[..]), (1, None)));
    let (events, error) = read(&[section(), read_of(data + 1)].concat()[..]);
    let Some(ReadError::Corrupt { offset, what }) = error else { panic!("{error:?}") };
    assert_eq!((events, offset), (0, section().len() as u64));
    assert!(what.contains("65548") && what.contains("65544"), "{what}");
}

#[test]
fn a_state_has_a_limit_in_memory() {
    let state = MachineState { threads: vec![Thread::default()], ..MachineState::default() };
    let mut file = Vec::new();
    write_state(&mut file, &state).unwrap();
    file.extend(read_of(1));
    let end = |limit| {
        let mut reader = Reader::new(&file[..]).unwrap().max_state(Some(limit));
        reader.next_event().map(drop)
    };
    let Err(ReadError::TooLarge { needs, limit: 0, given: None, .. }) = end(0) else { panic!("no limit") };
    assert!(end(needs).is_ok());
    assert!(matches!(end(needs - 1), Err(ReadError::TooLarge { limit, .. }) if limit == needs - 1));
    // Each section has its own state.
    let two = file.repeat(2);
    let mut reader = Reader::new(&two[..]).unwrap().max_state(Some(needs));
    while reader.next_event().unwrap().is_some() {}
    assert_eq!(reader.section(), 2);
}

#[test]
fn a_short_file_is_a_capture_that_was_cut_off_or_something_else() {
    for len in 1..28 {
        let (_, error) = read(&section()[..len]);
        assert!(matches!(error, Some(ReadError::Truncated { offset: 0, .. })), "{len}: {error:?}");
    }
    for text in [&b"h"[..], b"hello", b"hello, world"] {
        assert!(matches!(read(text).1, Some(ReadError::NotScap(_))), "{text:?}");
    }
}

#[test]
fn a_section_header_has_the_magic_and_all_its_fields() {
    let other = block(BlockType::SECTION_HEADER, &[7; SECTION_LEN]);
    let short = block(BlockType::SECTION_HEADER, &section()[HEADER_LEN..][..SECTION_LEN - 4]);
    for bad in [&other, &short] {
        assert!(matches!(read(&bad[..]), (0, Some(ReadError::NotScap(_)))));
        // Behind a section, it is damage.
        let (events, error) = read(&[section(), read_of(1), bad.clone()].concat()[..]);
        let at = (section().len() + read_of(1).len()) as u64;
        assert!(
            events == 1 && matches!(error, Some(ReadError::Corrupt { offset, .. }) if offset == at),
            "{error:?}"
        );
    }
    // A longer one has options, which are stepped over.
    let longer =
        block(BlockType::SECTION_HEADER, &[&section()[HEADER_LEN..][..SECTION_LEN], &[0; 8]].concat());
    assert!(matches!(read(&[longer, read_of(1)].concat()[..]), (1, None)));
}
