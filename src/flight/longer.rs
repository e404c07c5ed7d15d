//! What is kept longer than the window: of what leaves it, the events that match a filter, and those that change the state of the
//! machine, so that names stay right up to the window.

use std::sync::{Arc, Weak};

use super::{
    KeepLonger, KeptStatus,
    gauge::Counted,
    ns,
    ring::Ring,
    segment::{Index, Segment},
    watcher::Watcher,
};
use scap::{
    fields::Need,
    format::{FOR_NAMES, MachineState},
    ledger::{self, NOTIFICATION, Verdict},
};

/// A segment has about so many parts of the memory, or of the time: that much goes at once.
const PARTS: u64 = 64;
/// The limits of a segment's size in bytes.
const LEAST_PART: u64 = 64 << 10;
const MOST_PART: u64 = 1 << 20;

/// The second ring, and what decides about it.
#[derive(Debug)]
pub struct Longer {
    pub ring: Ring,
    watcher: Watcher,
    filter: String,
    /// The segment that still grows.
    open: Open,
    /// The time of the last event kept, in ns since the epoch.
    latest: u64,
    /// The size of a segment in bytes, and its time in ns.
    part: (usize, u64),
    /// How many segments of the window it was given.
    taken: u64,
    /// The segments since the last call of `sealed`, each with what was taken by then.
    sealed: Vec<(Weak<Segment>, u64)>,
    /// What each segment counts as, at least.
    takes: fn(usize) -> usize,
    /// The memory of the segment that still grows.
    _counted: Counted,
}

#[derive(Debug, Default)]
struct Open {
    bytes: Vec<u8>,
    balance: Verdict,
    /// The time of its first event, in ns since the epoch.
    first: u64,
}

impl Longer {
    /// Begins with this state of the machine.
    pub fn new(keep: &KeepLonger, state: &MachineState) -> Longer {
        let KeepLonger { filter, time, bytes } = keep;
        let ring = Ring::new(*time, *bytes);
        let mut watcher = Watcher::new(std::iter::once(filter), Need::State);
        watcher.start(state);
        let size = (bytes / PARTS).clamp(LEAST_PART, MOST_PART) as usize;
        // A large event may double it.
        let counted = ring.gauge().count(2 * size);
        Longer {
            watcher,
            filter: filter.to_string().replace('\n', " "),
            open: Open::default(),
            latest: 0,
            part: (size, ns(*time / PARTS as u32).max(1)),
            taken: 0,
            sealed: Vec::new(),
            takes: |_| 0,
            _counted: counted,
            ring,
        }
    }

    /// Sets what a segment of so many bytes counts as, at least.
    pub fn set_takes(&mut self, takes: fn(usize) -> usize) {
        self.takes = takes;
    }

    /// Takes a segment that leaves the window, `early` if before its time. Returns how many of its events are not kept.
    pub fn take(&mut self, segment: &Segment, early: bool) -> u64 {
        if segment.index.latest.saturating_sub(self.open.first) >= self.part.1 {
            self.seal();
        }
        let Longer { watcher, open, latest, .. } = self;
        let (mut kept, mut late) = (0, 0);
        watcher.look(&segment.blocks(), |block, moment, matchers| {
            let is_notice = block.event.ty() == NOTIFICATION;
            let matches = matchers.iter_mut().any(|matcher| matcher.matches(moment.event().ty(), moment));
            if !(matches || is_notice || moment.machine.has_changed()) {
                return;
            }
            let flags = if matches || is_notice { block.flags } else { block.flags | FOR_NAMES };
            let ts = block.event.ts();
            if open.bytes.is_empty() {
                open.first = ts;
            }
            block.event.frame(&mut open.bytes, block.cpu, flags);
            kept += u64::from(!ledger::is_own(block.event.ty()));
            late += u64::from(ts < *latest);
            *latest = ts.max(*latest);
        });
        let gone = segment.events().saturating_sub(kept);
        open.balance.add(&Verdict { written: kept, late, ..segment.balance });
        if !early {
            self.pass(gone);
        }
        self.taken += 1;
        if self.open.bytes.is_empty() && self.ring.first().is_none() {
            // Dumps begin later.
            self.open.balance = Verdict::default();
        } else if self.open.bytes.len() >= self.part.0 {
            self.seal();
        }
        gone
    }

    /// Takes out the oldest segment if it is too old at a time in ns since the epoch.
    pub fn pop_overdue(&mut self, now: u64) -> Option<Arc<Segment>> {
        if self.ring.is_overdue(self.open.first, now) {
            self.seal();
        }
        self.ring.pop_overdue(now)
    }

    /// Notes that so many events have gone as their time was over.
    pub fn pass(&mut self, events: u64) {
        self.open.balance.left_out.passed += events;
    }

    /// Makes a segment of what is kept so far.
    pub fn seal(&mut self) {
        if self.open.bytes.is_empty() {
            return;
        }
        let Open { mut bytes, balance, .. } = std::mem::take(&mut self.open);
        bytes.shrink_to_fit();
        let (index, least) = (Index::of(&bytes), (self.takes)(bytes.len()));
        let segment = Arc::new(Segment::of_size(bytes, index, balance, self.ring.gauge(), least));
        self.sealed.push((Arc::downgrade(&segment), self.taken));
        self.ring.push(segment);
    }

    /// Returns the segments since the last call, each with the number of segments of the window that had left by then.
    pub fn sealed(&mut self) -> Vec<(Weak<Segment>, u64)> {
        std::mem::take(&mut self.sealed)
    }

    /// Returns the filter.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// Returns the balance of what has left the window since the last segment: nothing of it is kept.
    pub fn balance(&self) -> Verdict {
        if self.ring.first().is_some() { self.open.balance } else { Verdict::default() }
    }

    /// Returns what it has, for others.
    pub fn status(&self) -> KeptStatus {
        let status = self.ring.status();
        match self.open.bytes.is_empty() {
            true => status,
            false => KeptStatus {
                from: if status.from == 0 { self.open.first } else { status.from },
                events: status.events + self.open.balance.written,
                ..status
            },
        }
    }

    /// Returns the notice at the start of a dump, of which `until` is the first event of the window; `None` if the dump begins there.
    pub fn notice(&self, until: u64) -> Option<ledger::Longer> {
        self.ring.first().map(|_| ledger::Longer { until, filter: self.filter.clone() })
    }
}
