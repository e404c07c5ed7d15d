//! Where the next record goes, and what it may overwrite.
//!
//! Places are counted from the start of the recording, as if the area had no end; `place % len` is where they are.

use std::collections::VecDeque;

use super::layout::PAGE;

/// A part of the file that is written round and round.
#[derive(Debug)]
pub struct Area {
    offset: u64,
    len: u64,
    /// The place of the next record.
    head: u64,
    /// The numbers and places of the segments that are needed, the oldest first.
    needed: VecDeque<(u64, u64)>,
    /// Nothing from this place on may be overwritten.
    floor: u64,
}

impl Area {
    pub fn new((offset, len): (u64, u64)) -> Area {
        Area { offset, len, head: 0, needed: VecDeque::new(), floor: 0 }
    }

    /// Returns the place of the next record.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Takes room for a record of so many bytes, and leaves `spare` for others; returns its place, or `None` if there is no room.
    pub fn take(&mut self, bytes: u64, spare: u64) -> Option<u64> {
        let size = bytes.checked_next_multiple_of(PAGE)?;
        if size > self.len {
            return None;
        }
        // A record has no break in it.
        let left = self.len - self.head % self.len;
        let place = if size > left { self.head + left } else { self.head };
        if (place + size).saturating_sub(self.floor).checked_add(spare)? > self.len {
            return None;
        }
        self.head = place + size;
        Some(place)
    }

    /// Keeps a segment until it is [released](Area::release).
    pub fn keep(&mut self, number: u64, place: u64) {
        self.needed.push_back((number, place));
    }

    /// Releases the segments before this number, and whatever is before a place, unless a segment from this number on is older.
    pub fn release(&mut self, number: u64, place: u64) {
        while self.needed.front().is_some_and(|(oldest, _)| *oldest < number) {
            self.needed.pop_front();
        }
        self.floor = self.needed.front().map_or(place, |(_, oldest)| place.min(*oldest)).max(self.floor);
    }

    /// Returns the offset in the file.
    pub fn offset(&self, place: u64) -> u64 {
        self.offset + place % self.len.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random records: none that is needed is overwritten, and none has a break.
    #[test]
    fn what_is_needed_is_not_overwritten() {
        let mut random = fastrand::Rng::with_seed(3);
        let (mut taken, mut refused, mut rounds) = (0, 0, 0);
        for _ in 0..200 {
            let len = random.u64(4..40) * PAGE;
            let mut area = Area::new((PAGE, len));
            let mut needed = VecDeque::new();
            for number in 0..300 {
                let size = random.u64(1..len / 3);
                let spare = random.u64(0..len / 4);
                match area.take(size, spare) {
                    Some(place) => {
                        let at = area.offset(place);
                        assert!(at >= PAGE && at + size <= PAGE + len && at.is_multiple_of(PAGE));
                        let is_apart =
                            |(_, other, bytes): &(u64, u64, u64)| at + size <= *other || other + bytes <= at;
                        assert!(needed.iter().all(is_apart));
                        area.keep(number, place);
                        needed.push_back((number, at, size));
                        taken += 1;
                    }
                    None => refused += 1,
                }
                if random.u8(0..4) == 0 {
                    let first =
                        needed.get(random.usize(0..needed.len().max(1))).map_or(0, |(number, ..)| *number);
                    needed.retain(|(number, ..)| *number >= first);
                    area.release(first, area.head());
                }
            }
            rounds += area.head() / len;
        }
        assert!(taken > 10_000 && refused > 1000 && rounds > 1000, "{taken} {refused} {rounds}");
    }

    #[test]
    fn what_is_larger_than_the_area_has_no_room() {
        let mut area = Area::new((PAGE, 2 * PAGE));
        assert_eq!(area.take(2 * PAGE + 1, 0), None);
        assert_eq!(area.take(u64::MAX, 0), None);
        assert_eq!(Area::new((PAGE, 0)).take(1, 0), None);
        assert_eq!(area.take(2 * PAGE, 0), Some(0));
        assert_eq!(area.take(1, 0), None);
        area.release(0, PAGE);
        assert_eq!(area.take(1, 0), Some(2 * PAGE));
        assert_eq!(area.offset(2 * PAGE), PAGE);
    }
}
