//! Rings in a file, laid out as the kernel maps one.

use std::{fs::File, os::unix::fs::FileExt};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    param::page_size,
};

use super::*;
use crate::ring::merge::{Merge, ProgramProgress, SLACK};

/// The memory of a ring whose data take a page.
struct Memory(File);

impl Memory {
    fn new(name: &str) -> Memory {
        let file = File::from(memfd_create(name, MemfdFlags::CLOEXEC).unwrap());
        file.set_len(4 * page_size() as u64).unwrap();
        Memory(file)
    }

    fn map(&self) -> RingBuffer {
        RingBuffer::map(&self.0, page_size() as u32).unwrap()
    }

    /// Writes a record; the data are mapped twice, so each byte lies in two places.
    fn put(&self, pos: u64, header: u32, payload: &[u8]) {
        let (page, header) = (page_size() as u64, header.to_ne_bytes());
        for (at, byte) in (pos..).zip(header.iter().chain(&[0; 4]).chain(payload)) {
            for copy in 2..4 {
                self.0.write_all_at(&[*byte], copy * page + at % page).unwrap();
            }
        }
    }

    fn produced(&self, pos: u64) {
        self.0.write_all_at(&pos.to_ne_bytes(), page_size() as u64).unwrap();
    }

    fn released(&self) -> u64 {
        let mut pos = [0; 8];
        self.0.read_exact_at(&mut pos, 0).unwrap();
        u64::from_ne_bytes(pos)
    }
}

#[test]
fn a_record_is_what_its_header_says() {
    let memory = Memory::new("headers");
    let ring = memory.map();
    memory.put(0, 8, b"whole...");
    memory.put(16, 5, b"short");
    memory.put(32, 9 | 1 << 30, b"discarded");
    memory.put(56, 3 | 1 << 31, b"...");
    memory.put(72, 0, b"");
    assert_eq!(ring.record(0), Record::Committed { payload: b"whole...", next: 16 });
    assert_eq!(ring.record(16), Record::Committed { payload: b"short", next: 32 });
    assert_eq!(ring.record(32), Record::Discarded { next: 56 });
    assert_eq!(ring.record(56), Record::Busy);
    assert_eq!(ring.record(72), Record::Committed { payload: b"", next: 80 });
}

#[test]
fn a_record_that_wraps_around_is_in_one_piece() {
    let memory = Memory::new("wrapped");
    let (ring, size) = (memory.map(), page_size() as u64);
    assert_eq!(ring.size(), size);
    // In the third turn of the ring: its header ends with the page.
    let pos = 3 * size - 8;
    memory.put(pos, 11, b"around here");
    assert_eq!(ring.record(pos), Record::Committed { payload: b"around here", next: 3 * size + 16 });
    memory.put(pos - 8, 20, b"half of it is behind");
    let payload = b"half of it is behind";
    assert_eq!(ring.record(pos - 8), Record::Committed { payload, next: 3 * size + 16 });
}

#[test]
fn positions_are_shared_with_the_programs() {
    let memory = Memory::new("positions");
    let mut ring = memory.map();
    assert_eq!((ring.producer_pos(), ring.consumer_pos()), (0, 0));
    let beyond_32_bits = (7 << 32) + 24;
    memory.produced(beyond_32_bits);
    assert_eq!((ring.producer_pos(), ring.consumer_pos()), (beyond_32_bits, 0));
    ring.release(beyond_32_bits - 8);
    assert_eq!((memory.released(), ring.consumer_pos()), (beyond_32_bits - 8, beyond_32_bits - 8));
}

#[test]
#[should_panic(expected = "beyond a mapped ring")]
fn a_length_beyond_the_ring_is_not_followed() {
    let memory = Memory::new("beyond");
    let ring = memory.map();
    memory.put(0, 2 * page_size() as u32, b"");
    ring.record(0);
}

#[test]
fn the_whole_mapping_can_be_read_and_no_more() {
    let memory = Memory::new("bounds");
    let mapping = Mapping::new(&memory.0, page_size(), ProtFlags::READ, 0).unwrap();
    assert_eq!(mapping.word(page_size() - 8).load(Ordering::Relaxed), 0);
    for offset in [page_size(), page_size() - 4, usize::MAX - 7, 4] {
        let read = || mapping.word(offset).load(Ordering::Relaxed);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).is_err(), "{offset}");
    }
    let half = std::panic::AssertUnwindSafe(|| mapping.half_word(2).load(Ordering::Relaxed));
    assert!(std::panic::catch_unwind(half).is_err(), "misaligned");
}

#[test]
fn a_ring_leaves_no_mapping_behind() {
    let memory = Memory::new("dropped-with-its-ring");
    let is_mapped = || std::fs::read_to_string("/proc/self/maps").unwrap().contains("dropped-with-its-ring");
    let ring = memory.map();
    assert!(is_mapped());
    drop(ring);
    assert!(!is_mapped());
}

/// One CPU, on which no program runs.
struct Idle;

impl ProgramProgress for Idle {
    fn now(&self) -> u64 {
        1000 + SLACK
    }

    fn elapsed(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }

    fn cpus(&self) -> usize {
        1
    }

    fn is_idle(&self, _: usize) -> bool {
        true
    }
}

#[test]
fn the_merge_takes_records_from_the_memory_and_gives_it_back() {
    let memory = Memory::new("merged");
    let mut merge = Merge::new(vec![memory.map()]);
    for (pos, ts) in [(0, 20_u64), (24, 10)] {
        memory.put(pos, 10, &[&3_u16.to_ne_bytes()[..], &ts.to_ne_bytes()].concat());
    }
    memory.produced(48);
    assert!(!merge.is_drained());
    assert_eq!(merge.rings().map(RingBuffer::size).collect::<Vec<_>>(), [page_size() as u64]);
    for ts in [10_u64, 20] {
        let event = merge.next(&Idle).unwrap();
        assert_eq!((event.cpu, event.bytes), (3, &ts.to_ne_bytes()[..]));
    }
    assert_eq!(memory.released(), 0);
    assert!(merge.next(&Idle).is_none() && merge.is_drained());
    assert_eq!(memory.released(), 48);
    // A ring is gone on with where it was left.
    memory.put(48, 10, &[&3_u16.to_ne_bytes()[..], &30_u64.to_ne_bytes()].concat());
    memory.produced(72);
    let mut merge = Merge::new(vec![memory.map()]);
    assert_eq!(merge.next(&Idle).map(|event| event.bytes), Some(&30_u64.to_ne_bytes()[..]));
    assert!(merge.next(&Idle).is_none());
}
