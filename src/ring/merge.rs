//! Merges the records of many rings in the order of their time stamps.
//!
//! # The promise
//! Events come out in the order of their time stamps, whichever CPU recorded them and however late a program commits
//! its record. If a program does not end within [`STALLED`], the merge goes on without it. An event that then comes out
//! after a newer one is marked as late.
//!
//! # How it is kept
//! A program counts itself as begun before it reads the clock, and as ended after it has committed its record (`struct
//! sc_cpu` in include/capture.h). The merge works in epochs:
//!
//! 1. It reads the clock (`now`).
//! 2. It waits until it has seen each CPU idle, with no program running, at some moment after that. Then every event
//!    with a time stamp before `now` is committed, and is in its ring before the producer position that is read next
//!    (the `limit`).
//! 3. It scans each ring up to its limit. A record that is still being written belongs to a program that began later.
//!    But if CPUs share a ring, an event of this epoch may follow it, so the scan waits for it.
//! 4. It returns all scanned records up to the horizon (`now` minus [`SLACK`]), the smallest time stamp first.
//!
//! [`SLACK`] covers the delay of a CPU's store buffer: a program may have read the clock while the store that counts it
//! as begun is not visible yet.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

pub use super::buffer::Record;
use super::buffer::RingBuffer;

/// How much older than the start of its epoch an event must be to come out, in ns.
pub const SLACK: u64 = 50_000;

/// The merge gives an epoch up after this time: a program has begun and does not end.
pub const STALLED: Duration = Duration::from_secs(1);

/// A ring as the merge sees it. The tests have an implementation of their own.
pub trait Ring {
    /// Returns the position of the next record that a program will reserve. Everything before it is reserved.
    fn producer_pos(&self) -> u64;
    /// Returns the position up to which records are released.
    fn consumer_pos(&self) -> u64;
    /// Returns the record that begins at a position from `consumer_pos` up to `producer_pos`.
    fn record(&self, pos: u64) -> Record<'_>;
    /// Returns everything before a position to the programs.
    fn release(&mut self, pos: u64);
}

impl Ring for RingBuffer {
    fn producer_pos(&self) -> u64 {
        RingBuffer::producer_pos(self)
    }

    fn consumer_pos(&self) -> u64 {
        RingBuffer::consumer_pos(self)
    }

    fn record(&self, pos: u64) -> Record<'_> {
        RingBuffer::record(self, pos)
    }

    fn release(&mut self, pos: u64) {
        RingBuffer::release(self, pos);
    }
}

/// The progress of the programs, and the clock that they read.
pub trait ProgramProgress {
    /// Returns the time, in ns since the epoch.
    fn now(&self) -> u64;
    /// Returns the time since a fixed moment, by a clock that is never set. Measures how long an epoch takes.
    fn elapsed(&self) -> Duration;
    /// Returns the number of CPUs.
    fn cpus(&self) -> usize;
    /// Returns whether a CPU was idle, with no program running, at one moment during this call.
    fn is_idle(&self, cpu: usize) -> bool;
}

/// An event in its ring. The record is the CPU (u16), then the event as in include/scap_event.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged<'a> {
    /// The CPU that it was recorded on.
    pub cpu: u16,
    /// The event's bytes.
    pub bytes: &'a [u8],
    /// Whether an event with a later time stamp came out before it. Only possible after the merge gave an epoch up.
    pub late: bool,
}

/// A scanned record that has not come out yet.
#[derive(Debug, Clone, Copy)]
struct Entry {
    ts: u64,
    pos: u64,
}

/// A ring with its scanned records.
#[derive(Debug)]
struct Lane<R> {
    ring: R,
    /// Ordered by time stamp, then by position.
    entries: VecDeque<Entry>,
    /// The position up to which the ring is scanned.
    scanned: u64,
    /// The position at which the scan of this epoch ends.
    limit: u64,
}

#[derive(Debug)]
enum Phase {
    /// Waits for programs that began before `now`. They may still run on CPU `cpu` and the following ones.
    Waiting { now: u64, cpu: usize, since: Duration },
    /// Scans the rings up to their limits.
    Scanning { now: u64, since: Duration },
}

/// The merge over a set of rings.
#[derive(Debug)]
pub struct Merge<R> {
    lanes: Vec<Lane<R>>,
    heap: BinaryHeap<Reverse<(u64, usize)>>,
    phase: Option<Phase>,
    horizon: u64,
    /// The latest time stamp that came out.
    latest: u64,
    stalled: u64,
}

impl<R: Ring> Merge<R> {
    /// Makes a merge over these rings.
    pub fn new(rings: Vec<R>) -> Merge<R> {
        let lanes = rings
            .into_iter()
            .map(|ring| {
                let pos = ring.consumer_pos();
                Lane { ring, entries: VecDeque::new(), scanned: pos, limit: pos }
            })
            .collect();
        Merge { lanes, heap: BinaryHeap::new(), phase: None, horizon: 0, latest: 0, stalled: 0 }
    }

    /// Returns the rings.
    pub fn rings(&self) -> impl Iterator<Item = &R> {
        self.lanes.iter().map(|lane| &lane.ring)
    }

    /// Returns the number of epochs given up because a program did not end. The order of events around them is not
    /// guaranteed.
    pub fn stalled(&self) -> u64 {
        self.stalled
    }

    /// Returns whether [`next`](Self::next) has an event now. Does not block.
    pub fn is_ready(&mut self, progress: &impl ProgramProgress) -> bool {
        if !self.head_is_due() {
            self.release();
            self.advance_epoch(progress);
        }
        self.head_is_due()
    }

    /// Returns the next event in time order; `None` if no event is certain to be the next one. Does not block.
    ///
    /// The event's bytes stay in the ring until the next call.
    pub fn next(&mut self, progress: &impl ProgramProgress) -> Option<Merged<'_>> {
        if !self.is_ready(progress) {
            return None;
        }
        let Reverse((_, index)) = self.heap.pop()?;
        let lane = &mut self.lanes[index];
        let entry = lane.entries.pop_front()?;
        if let Some(next) = lane.entries.front() {
            self.heap.push(Reverse((next.ts, index)));
        }
        match self.lanes[index].ring.record(entry.pos) {
            Record::Committed { payload, .. } => {
                let (cpu, bytes) = split(payload);
                let late = entry.ts < self.latest;
                self.latest = self.latest.max(entry.ts);
                Some(Merged { cpu, bytes, late })
            }
            // Unreachable: only committed records become entries.
            Record::Discarded { .. } | Record::Busy => None,
        }
    }

    /// Returns whether every record reserved so far has come out.
    pub fn is_drained(&self) -> bool {
        self.lanes.iter().all(|l| l.entries.is_empty() && l.scanned == l.ring.producer_pos())
    }

    fn head_is_due(&self) -> bool {
        self.heap.peek().is_some_and(|Reverse((ts, _))| *ts <= self.horizon)
    }

    /// Releases everything before the first record that is still needed.
    fn release(&mut self) {
        for lane in &mut self.lanes {
            let needed = lane.entries.iter().map(|e| e.pos).min().unwrap_or(lane.scanned);
            if needed != lane.ring.consumer_pos() {
                lane.ring.release(needed);
            }
        }
    }

    fn advance_epoch(&mut self, progress: &impl ProgramProgress) {
        let phase = self.phase.take().unwrap_or_else(|| Phase::Waiting {
            now: progress.now(),
            cpu: 0,
            since: progress.elapsed(),
        });
        let is_stalled = |since| progress.elapsed().saturating_sub(since) >= STALLED;
        let phase = match phase {
            Phase::Waiting { now, mut cpu, since } => {
                while cpu < progress.cpus() && soon(|| progress.is_idle(cpu)) {
                    cpu += 1;
                }
                let ended = cpu == progress.cpus();
                if !ended && !is_stalled(since) {
                    self.phase = Some(Phase::Waiting { now, cpu, since });
                    return;
                }
                self.stalled += u64::from(!ended);
                for lane in &mut self.lanes {
                    lane.limit = lane.ring.producer_pos();
                }
                Phase::Scanning { now, since }
            }
            scanning => scanning,
        };
        let Phase::Scanning { now, since } = phase else { return };
        let mut complete = true;
        for lane in &mut self.lanes {
            complete &= lane.scan();
        }
        if !complete && !is_stalled(since) {
            self.phase = Some(Phase::Scanning { now, since });
            return;
        }
        self.stalled += u64::from(!complete);
        self.horizon = now.saturating_sub(SLACK);
        self.heap.clear();
        self.heap.extend(
            self.lanes
                .iter()
                .enumerate()
                .filter_map(|(i, lane)| Some(Reverse((lane.entries.front()?.ts, i)))),
        );
    }
}

impl<R: Ring> Lane<R> {
    /// Scans the ring up to the limit; returns false if a record before it is still being written.
    fn scan(&mut self) -> bool {
        while self.scanned < self.limit {
            match self.ring.record(self.scanned) {
                Record::Busy if soon(|| self.ring.record(self.scanned) != Record::Busy) => {}
                Record::Busy => return false,
                Record::Discarded { next } => self.scanned = next,
                Record::Committed { payload, next } => {
                    let entry = Entry { ts: time_stamp(split(payload).1), pos: self.scanned };
                    insert(&mut self.entries, entry);
                    self.scanned = next;
                }
            }
        }
        true
    }
}

/// Spins until the condition holds, for about as long as a program takes; returns whether it did.
fn soon(condition: impl Fn() -> bool) -> bool {
    (0..1000).any(|_| {
        let met = condition();
        if !met {
            std::hint::spin_loop();
        }
        met
    })
}

/// Inserts an entry in order, nearly always at the end. Only interrupting programs and shared rings are out of order.
fn insert(entries: &mut VecDeque<Entry>, entry: Entry) {
    let mut at = entries.len();
    while at > 0 && entries[at - 1].ts > entry.ts {
        at -= 1;
    }
    entries.insert(at, entry);
}

fn split(payload: &[u8]) -> (u16, &[u8]) {
    payload.split_first_chunk().map_or((0, &[]), |(cpu, event)| (u16::from_ne_bytes(*cpu), event))
}

/// Returns the time stamp in ns, the first field of an event in host byte order; 0 for fewer bytes.
#[inline]
pub fn time_stamp(event: &[u8]) -> u64 {
    event.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests;
