//! What is written is read back, and no input whatsoever makes the reader panic.

use std::io::{Cursor, Read, Write};

use flate2::{Compression, write::GzEncoder};
use proptest::{collection::vec, option, prelude::*, sample::Index};

use super::{
    strategies::{apart, built, capture, event, extended, state},
    *,
};

fn gzip(members: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for member in members {
        let mut encoder = GzEncoder::new(&mut out, Compression::fast());
        encoder.write_all(member).unwrap();
        encoder.finish().unwrap();
    }
    out
}

/// Reads all that can be read: the events, the state, and the error that it ended with.
fn read_all(input: impl Read) -> (Vec<Vec<u8>>, MachineState, Option<ReadError>) {
    let mut reader = match Reader::new(input) {
        Ok(reader) => reader,
        Err(e) => return (Vec::new(), MachineState::default(), Some(e)),
    };
    let mut events = Vec::new();
    let error = loop {
        match reader.next_event() {
            Ok(Some(e)) => {
                // Decoding must not panic either, whatever the values are.
                e.event.values().for_each(|(_, v)| drop(format!("{v:?}")));
                events.push(e.event.bytes().to_vec());
                events.extend(e.event.extension().map(|extension| extension.bytes().to_vec()));
            }
            Ok(None) => break None,
            Err(e) => break Some(e),
        }
    };
    assert!(matches!(reader.next_event(), Ok(None)), "nothing follows the end");
    (events, reader.state().clone(), error)
}

/// A reader that gives a byte at a time, as a slow pipe does.
struct Trickle<R>(R);

impl<R: Read> Read for Trickle<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = buf.len().min(1);
        self.0.read(&mut buf[..len])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_value_is_decoded_as_it_was_encoded((row, values) in event(), ts: u64, tid: u64) {
        let bytes = built(row, &values, ts, tid);
        let view = EventView::parse(&bytes, false).unwrap();
        prop_assert_eq!((view.ts(), view.tid(), view.ty(), view.bytes()), (ts, tid, row.ty, &bytes[..]));
        prop_assert_eq!(view.params().count(), row.params.len());
        for ((info, decoded), value) in view.values().zip(&values) {
            // By their text: a floating point number may be no number.
            prop_assert_eq!(format!("{:?}", decoded.unwrap().value), format!("{:?}", value.value()), "{}", info.name);
        }
    }

    #[test]
    fn a_capture_is_read_as_it_was_written(state in state(), events in vec(event(), 1..5), split: Index) {
        let events = apart(&events, 2);
        let file = capture(&state, &events);
        let (head, tail) = file.split_at(split.index(file.len()));
        for got in [
            read_all(&file[..]),
            read_all(Trickle(&file[..])),
            read_all(&gzip(&[&file])[..]),
            read_all(&gzip(&[head, tail])[..]),
        ] {
            prop_assert!(got.2.is_none(), "{:?}", got.2);
            prop_assert_eq!(&got.0, &events);
            prop_assert_eq!(&got.1, &state);
        }
    }

    #[test]
    fn an_event_is_joined_with_the_extension_directly_behind_it(
        (event, extension) in extended(),
        others in vec(event(), 0..3),
        order: Index,
    ) {
        let mut events = apart(&others, 2);
        let at = order.index(events.len() + 1);
        events.splice(at..at, [event.clone(), extension.clone()]);
        let file = capture(&MachineState::default(), &events);
        for mut input in [Box::new(&file[..]) as Box<dyn Read>, Box::new(Trickle(&file[..]))] {
            let mut reader = Reader::new(&mut *input).unwrap();
            let mut joined = 0;
            while let Some(captured) = reader.next_event().unwrap() {
                let Some(own) = captured.event.extension() else { continue };
                joined += 1;
                prop_assert_eq!(own.bytes(), &extension[..]);
                prop_assert_eq!(captured.event.bytes(), &event[..]);
                let row = captured.event.info().unwrap();
                prop_assert_eq!(captured.event.values().count(), row.params.len());
                let first = row.params.len() - own.values().count();
                for (index, bytes) in own.params().enumerate() {
                    prop_assert_eq!(captured.event.param(first + index), Some(bytes));
                }
            }
            prop_assert_eq!(joined, 1);
        }
    }

    /// Extensions in the wrong order, of other threads and times, twice, without their event, damaged.
    #[test]
    fn hostile_extensions_are_no_panic_and_no_part_of_another_event(
        pairs in vec((extended(), any::<bool>(), any::<bool>()), 1..4),
        damage in vec((any::<Index>(), any::<u8>()), 0..3),
    ) {
        let mut events = Vec::new();
        for ((event, extension), is_turned, is_alone) in pairs {
            let mut both = if is_alone { vec![extension.clone(), extension] } else { vec![event, extension] };
            if is_turned {
                both.reverse();
            }
            events.extend(both);
        }
        for (at, byte) in damage {
            let event = at.index(events.len());
            let within = at.index(events[event].len());
            events[event][within] ^= byte;
        }
        let file = capture(&MachineState::default(), &events);
        let Ok(mut reader) = Reader::new(&file[..]) else { return Ok(()) };
        while let Ok(Some(captured)) = reader.next_event() {
            let event = captured.event;
            event.values().for_each(|(_, v)| drop(format!("{v:?} {}", event.name())));
            if let Some(extension) = event.extension() {
                prop_assert!(extension.extends(&event));
                prop_assert_eq!((extension.ts(), extension.tid()), (event.ts(), event.tid()));
            }
        }
    }

    #[test]
    fn all_before_a_cut_is_read(state in state(), events in vec(event(), 1..5), cut: Index) {
        let events = apart(&events, 2);
        let file = capture(&state, &events);
        let cut = cut.index(file.len());
        let (got, _, error) = read_all(&file[..cut]);
        let mut end = file.len() - events.iter().map(|e| event_block_len(e.len())).sum::<usize>();
        let mut whole = 0;
        while whole < events.len() && end + event_block_len(events[whole].len()) <= cut {
            end += event_block_len(events[whole].len());
            whole += 1;
        }
        prop_assert_eq!(&got[..], &events[..whole]);
        match error {
            Some(ReadError::Truncated { offset, .. }) => prop_assert!(offset as usize <= cut),
            Some(other) => prop_assert!(false, "{other:?}"),
            // Cut between two blocks: nothing tells.
            None => prop_assert!(cut >= 28),
        }
        let (got, _, error) = read_all(&gzip(&[&file])[..cut.min(20)]);
        prop_assert!(got.is_empty() && error.is_some());
    }

    #[test]
    fn a_damaged_capture_is_no_panic(
        state in state(),
        events in vec(event(), 1..5),
        damage in vec((any::<Index>(), any::<u8>()), 1..4),
        compressed in option::of(Just(())),
    ) {
        let events = apart(&events, 2);
        let mut file = capture(&state, &events);
        if compressed.is_some() {
            file = gzip(&[&file]);
        }
        for (at, byte) in damage {
            let at = at.index(file.len());
            file[at] ^= byte;
        }
        read_all(&file[..]);
    }

    #[test]
    fn any_bytes_are_no_panic(
        blocks in vec((any::<Index>(), vec(any::<u8>(), 0..200)), 0..6),
        noise in vec(any::<u8>(), 0..64),
    ) {
        const TYPES: [u32; 27] = [
            0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207, 0x208, 0x209, 0x210, 0x211, 0x212, 0x213, 0x214,
            0x215, 0x216, 0x217, 0x218, 0x219, 0x220, 0x221, 0x222, 0x0A0D_0D0A, 0x8010_ABCD, 1, 0x1234,
            0x8000_5CA9,
        ];
        read_all(&noise[..]);
        let mut file = capture(&MachineState::default(), &[]);
        for (ty, body) in &blocks {
            block::frame(&mut file, BlockType(*ty.get(&TYPES)), |out| out.extend_from_slice(body));
        }
        file.extend_from_slice(&noise);
        read_all(Cursor::new(&file));
    }

    #[test]
    fn any_bytes_are_an_event_or_an_error(mut bytes in vec(any::<u8>(), 0..200), ty in prop_oneof![0..470u16, 0x8000..0xa100_u16], large: bool) {
        if let Some(header) = bytes.get_mut(16..26) {
            // Likely enough to pass the first checks.
            let [low, high] = ty.to_le_bytes();
            let (len, nparams) = (26 + low % 64, header[6] % 4);
            header.copy_from_slice(&[len, 0, 0, 0, low, high, nparams, 0, 0, 0]);
        }
        if let Ok(view) = EventView::parse(&bytes, large) {
            view.values().for_each(|(_, v)| drop(format!("{v:?}")));
            prop_assert!(view.bytes().len() <= bytes.len());
        }
    }
}
