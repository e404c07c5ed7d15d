//! A dump on its way: the window fills it, and the thread that writes takes from it.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    gauge::{Counted, Gauge},
    segment::Segment,
};
use scap::ledger::Verdict;

/// A capture that is to be written.
#[derive(Debug)]
pub struct Dump {
    /// The time of its first trigger, in ns since the epoch.
    pub at: u64,
    /// The time of its first event.
    pub began: u64,
    /// The blocks that it begins with.
    pub state: Vec<u8>,
    _counted: Counted,
    progress: Mutex<Progress>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    /// Its segments that are still in memory, from the one with the number `first` on.
    segments: VecDeque<Arc<Segment>>,
    first: usize,
    /// How many segments are safely in the file.
    written: usize,
    /// The balance of all segments so far.
    balance: Verdict,
    /// When it ends, in ns since the epoch, once nothing more comes.
    ended: Option<u64>,
    /// It is written, or given up.
    is_over: bool,
}

/// What comes next in a dump.
#[derive(Debug)]
pub enum Next {
    /// This segment.
    Segment(Arc<Segment>),
    /// The end: the balance, and the time in ns since the epoch.
    End(Verdict, u64),
    /// Nothing yet.
    Nothing,
    /// It was given up, as there was no memory for it.
    GivenUp,
}

impl Dump {
    /// Makes a dump of some segments. The balance is that of what has gone before them.
    pub fn new(
        at: u64,
        state: Vec<u8>,
        segments: impl Iterator<Item = Arc<Segment>>,
        balance: Verdict,
        gauge: &Gauge,
    ) -> Dump {
        let counted = gauge.count(state.capacity());
        let mut progress = Progress { balance, ..Progress::default() };
        segments.for_each(|segment| progress.push(segment));
        let began = progress.segments.front().map_or(at, |first| first.index.first);
        Dump { at, began, state, _counted: counted, progress: Mutex::new(progress), more: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        // Nothing panics while it holds the lock.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a segment that came after the trigger.
    pub fn push(&self, segment: Arc<Segment>) {
        self.lock().push(segment);
        self.more.notify_one();
    }

    /// Ends it at a time in ns since the epoch.
    pub fn end(&self, at: u64) {
        self.lock().ended = Some(at);
        self.more.notify_one();
    }

    /// Returns whether it is written, or given up.
    pub fn is_over(&self) -> bool {
        self.lock().is_over
    }

    /// Returns the segment with this number, counted from 0; waits for it for a while.
    pub fn next(&self, number: usize, patience: Duration) -> Next {
        let mut progress = self.lock();
        loop {
            if progress.is_over {
                return Next::GivenUp;
            }
            let place = number.saturating_sub(progress.first);
            match (progress.segments.get(place), progress.ended) {
                (Some(segment), _) => return Next::Segment(segment.clone()),
                (None, Some(at)) => return Next::End(progress.balance, at),
                (None, None) => {}
            }
            let (found, waited) =
                self.more.wait_timeout(progress, patience).unwrap_or_else(PoisonError::into_inner);
            progress = found;
            if waited.timed_out() {
                return Next::Nothing;
            }
        }
    }

    /// Notes that the segments before this number are safely in the file.
    pub fn settle(&self, written: usize) {
        self.lock().written = written;
    }

    /// Returns the number of the first segment that is still in memory.
    pub fn first(&self) -> usize {
        self.lock().first
    }

    /// Frees the segments that are safely in the file. It can then not be written once more from its start.
    pub fn spare(&self) {
        let mut progress = self.lock();
        let count = progress.written.saturating_sub(progress.first).min(progress.segments.len());
        progress.segments.drain(..count);
        progress.first += count;
    }

    /// Ends it for good, and frees its segments.
    pub fn close(&self) {
        let mut progress = self.lock();
        progress.is_over = true;
        progress.segments.clear();
        self.more.notify_one();
    }
}

impl Progress {
    fn push(&mut self, segment: Arc<Segment>) {
        self.balance.add(&segment.balance);
        self.segments.push_back(segment);
    }
}
