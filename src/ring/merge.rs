//! The merge: records of many rings, in the order of their time stamps.
//!
//! # The promise
//! Events come out in the order of their time stamps, whatever CPU they were recorded on, however late a program
//! commits its record. Where a program does not end for [`STALLED`], the merge goes on without it; an event that comes
//! out behind a younger one then is marked as late.
//!
//! # How it is kept
//! A program counts itself as begun before it reads the clock, and as ended after it has committed its record (`struct
//! sc_cpu` in include/capture.h). The merge works in epochs:
//!
//! 1. It reads the clock (`now`).
//! 2. It waits until it has found every CPU with no program running, each at some moment since. From then on every event
//!    with a time stamp before `now` is committed, and lies in its ring before the producer position that is read next
//!    (the `limit`).
//! 3. It scans each ring up to its limit. A record that is still being written belongs to a program that began later;
//!    but where several CPUs share a ring, an event of this epoch may lie behind it, so the scan waits for it.
//! 4. All scanned records up to the horizon (`now` less [`SLACK`]) are given out, the smallest time stamp first.
//!
//! [`SLACK`] covers what a CPU may hold back in its store buffer: the count of a program that has begun, while it has
//! already read the clock.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

pub use super::buffer::Record;
use super::buffer::RingBuffer;

/// How much older than the start of its epoch an event must be to be given out, in ns.
pub const SLACK: u64 = 50_000;

/// An epoch that takes longer than this is given up: a program has begun and will not end.
pub const STALLED: Duration = Duration::from_secs(1);

/// A ring as the merge sees it; the tests have one of their own.
pub trait Ring {
    /// Where the next record of a program will go: everything before it is reserved.
    fn producer_pos(&self) -> u64;
    /// How far records have been released.
    fn consumer_pos(&self) -> u64;
    /// The record at a position from `consumer_pos` up to `producer_pos` at which one begins.
    fn record(&self, pos: u64) -> Record<'_>;
    /// Gives everything before a position back to the programs.
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
pub trait Progress {
    /// The time, in ns since the epoch.
    fn now(&self) -> u64;
    /// The time since some moment, by a clock that nobody sets: the limit of an epoch is measured by it.
    fn elapsed(&self) -> Duration;
    /// How many CPUs there are.
    fn cpus(&self) -> usize;
    /// Whether no program runs on a CPU, at one moment of this call.
    fn is_idle(&self, cpu: usize) -> bool;
}

/// An event as it lies in its ring: the CPU (u16), then the event, as include/scap_event.h has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged<'a> {
    /// The CPU that it was recorded on.
    pub cpu: u16,
    /// The event's bytes.
    pub bytes: &'a [u8],
    /// Whether an event with a later time stamp was given out before it: possible only after an epoch was given up.
    pub late: bool,
}

/// A scanned record that has not been given out yet.
#[derive(Debug, Clone, Copy)]
struct Entry {
    ts: u64,
    pos: u64,
}

/// A ring with what was scanned of it.
#[derive(Debug)]
struct Lane<R> {
    ring: R,
    /// In the order of time stamps; of equal ones, in that of positions.
    entries: VecDeque<Entry>,
    /// Everything before it was scanned.
    scanned: u64,
    /// The scan of this epoch goes so far.
    limit: u64,
}

#[derive(Debug)]
enum Phase {
    /// Programs that began before `now` may still run, on the CPUs from this one on.
    Waiting { now: u64, cpu: usize, since: Duration },
    /// The rings are being scanned up to their limits.
    Scanning { now: u64, since: Duration },
}

/// The merge over a set of rings.
#[derive(Debug)]
pub struct Merge<R> {
    lanes: Vec<Lane<R>>,
    heap: BinaryHeap<Reverse<(u64, usize)>>,
    phase: Option<Phase>,
    horizon: u64,
    /// The latest time stamp that was given out.
    latest: u64,
    stalled: u64,
}

impl<R: Ring> Merge<R> {
    /// A merge over these rings.
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

    /// The rings.
    pub fn rings(&self) -> impl Iterator<Item = &R> {
        self.lanes.iter().map(|lane| &lane.ring)
    }

    /// How many epochs were given up, because a program did not end: the order is not promised around them.
    pub fn stalled(&self) -> u64 {
        self.stalled
    }

    /// Whether [`next`](Self::next) has an event now. Does not block.
    pub fn is_ready(&mut self, progress: &impl Progress) -> bool {
        if !self.head_is_due() {
            self.release();
            self.advance_epoch(progress);
        }
        self.head_is_due()
    }

    /// The next event in time order, `None` if none is certain to be the next one now. Does not block.
    ///
    /// The event's bytes lie in the ring until the next call.
    pub fn next(&mut self, progress: &impl Progress) -> Option<Merged<'_>> {
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
            // Only committed records are scanned.
            Record::Discarded { .. } | Record::Busy => None,
        }
    }

    /// Whether every record that was reserved so far has been given out.
    pub fn is_drained(&self) -> bool {
        self.lanes.iter().all(|l| l.entries.is_empty() && l.scanned == l.ring.producer_pos())
    }

    fn head_is_due(&self) -> bool {
        self.heap.peek().is_some_and(|Reverse((ts, _))| *ts <= self.horizon)
    }

    /// Gives back what lies before the first record that is still needed.
    fn release(&mut self) {
        for lane in &mut self.lanes {
            let needed = lane.entries.iter().map(|e| e.pos).min().unwrap_or(lane.scanned);
            if needed != lane.ring.consumer_pos() {
                lane.ring.release(needed);
            }
        }
    }

    fn advance_epoch(&mut self, progress: &impl Progress) {
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
    /// Scans the ring up to the limit; false if a record on the way is still being written.
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

/// Whether it comes true within about the time that a program takes.
fn soon(condition: impl Fn() -> bool) -> bool {
    (0..1000).any(|_| {
        let met = condition();
        if !met {
            std::hint::spin_loop();
        }
        met
    })
}

/// Nearly always at the end: only a program that interrupted another one, or another CPU of the ring, comes between.
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

/// The first field of an event.
fn time_stamp(event: &[u8]) -> u64 {
    event.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests;
