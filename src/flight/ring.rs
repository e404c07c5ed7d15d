//! Segments in order, within a time and a size.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    gauge::Gauge,
    ns,
    segment::{Packed, Segment},
    status::KeptStatus,
};

/// The last segments. Whoever takes one out says what becomes of it.
#[derive(Debug)]
pub struct Ring {
    segments: VecDeque<Arc<Segment>>,
    /// How long they stay, in ns.
    time: u64,
    /// The most memory for them, in bytes: also for those that only a dump still needs.
    limit: u64,
    /// How much of it stays free while no dump is on its way, in bytes.
    reserve: u64,
    gauge: Gauge,
    /// How many segments have been taken out.
    left: u64,
    /// The memory of the segments in the ring, in bytes, and their events.
    bytes: u64,
    events: u64,
    /// What left it before its time: the time of the last event of each segment, and a number of events.
    early: VecDeque<(u64, u64)>,
    /// The sum of these numbers from the start.
    evicted: u64,
}

impl Ring {
    /// Makes an empty ring for events of the last `time`, in `limit` bytes.
    pub fn new(time: Duration, limit: u64) -> Ring {
        Ring {
            segments: VecDeque::new(),
            time: ns(time),
            limit,
            reserve: limit / 8,
            gauge: Gauge::default(),
            left: 0,
            bytes: 0,
            events: 0,
            early: VecDeque::new(),
            evicted: 0,
        }
    }

    /// Returns what counts the memory.
    pub fn gauge(&self) -> &Gauge {
        &self.gauge
    }

    /// Keeps an eighth free for the next dump, and room for the state that it has, of so many bytes.
    pub fn reserve_for(&mut self, state: usize) {
        self.reserve = (self.limit / 8 + state as u64).min(self.limit / 2);
    }

    /// Puts a packed segment in the place of the one with this number, if that is still there.
    pub fn replace(&mut self, number: u64, packed: Packed) {
        let place = number.checked_sub(self.left).and_then(|place| usize::try_from(place).ok());
        let Some(segment) = place.and_then(|place| self.segments.get_mut(place)) else { return };
        self.bytes -= segment.size();
        *segment = Arc::new(segment.with(packed, &self.gauge));
        self.bytes += segment.size();
    }

    /// Returns the segment with this number, if it is there and not the newest.
    pub fn older(&self, number: u64) -> Option<Arc<Segment>> {
        let place = usize::try_from(number.checked_sub(self.left)?).ok()?;
        self.segments.get(place).filter(|_| place + 1 < self.segments.len()).cloned()
    }

    /// Adds the newest segment.
    pub fn push(&mut self, segment: Arc<Segment>) {
        self.bytes += segment.size();
        self.events += segment.events();
        self.segments.push_back(segment);
    }

    /// Takes out the oldest segment.
    pub fn pop(&mut self) -> Option<Arc<Segment>> {
        let segment = self.segments.pop_front()?;
        self.left += 1;
        self.bytes -= segment.size();
        self.events -= segment.events();
        Some(segment)
    }

    /// Takes out the oldest segment if it is too old at a time in ns since the epoch.
    pub fn pop_overdue(&mut self, now: u64) -> Option<Arc<Segment>> {
        let latest = self.segments.front()?.index.latest;
        if self.is_overdue(latest, now) { self.pop() } else { None }
    }

    /// Returns whether what is of this time is too old by now, both in ns since the epoch.
    pub fn is_overdue(&self, at: u64, now: u64) -> bool {
        at < now.saturating_sub(self.time)
    }

    /// Returns the segments, the oldest first.
    pub fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.segments.iter()
    }

    /// Returns how many segments have been taken out so far.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Returns the number of events of the segments.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Returns the time of the first event, in ns since the epoch.
    pub fn first(&self) -> Option<u64> {
        self.segments.front().map(|segment| segment.index.first)
    }

    /// Notes that so many events of a segment that was taken out had to go before their time.
    pub fn note_early(&mut self, segment: &Segment, events: u64) {
        self.early.push_back((segment.index.latest, events));
        self.evicted += events;
    }

    /// Forgets those whose time is over by now; returns how many they were.
    pub fn forget_early(&mut self, now: u64) -> u64 {
        let over = self.early.partition_point(|(latest, _)| self.is_overdue(*latest, now));
        self.early.drain(..over).map(|(_, events)| events).sum()
    }

    /// Returns how many events had to go before their time that would still be here.
    pub fn early(&self) -> u64 {
        self.early.iter().map(|(_, events)| events).sum()
    }

    /// Returns whether it takes too much memory. While no dump is on its way (`is_idle`), some stays free for the next one.
    pub fn is_full(&self, is_idle: bool) -> bool {
        self.gauge.bytes() > if is_idle { self.limit - self.reserve } else { self.limit }
    }

    /// Returns whether there is little memory left, and the oldest segment would not make room, as a dump needs it.
    pub fn is_stuck(&self) -> bool {
        let is_held = |segment: &Arc<Segment>| Arc::strong_count(segment) > 1;
        self.gauge.bytes() > self.limit - self.limit / 16 && self.segments.front().is_some_and(is_held)
    }

    /// Returns whether dumps alone take too much memory, which is more than seven eighths.
    pub fn is_overdrawn(&self) -> bool {
        self.gauge.bytes().saturating_sub(self.bytes) > self.limit - self.limit / 8
    }

    /// Returns what it has, for others.
    pub fn status(&self) -> KeptStatus {
        KeptStatus {
            from: self.first().unwrap_or(0),
            events: self.events,
            bytes: self.gauge.bytes(),
            limit: self.limit,
            evicted: self.evicted,
        }
    }

    /// Frees all segments.
    pub fn clear(&mut self) {
        while self.pop().is_some() {}
    }
}
