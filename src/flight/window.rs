//! The window: the last events, and what is done with them.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    Flight, Report, dump::Dump, gauge::Gauge, segment::Segment, tail::Tail, trigger::Triggers, writer::Writer,
};
use crate::output::{Chunk, ChunkSink, OutputError, OutputTotals, SeriesReport, Shelf, Target};
use scap::{
    format::{EventBlocks, frame_event},
    ledger::{self, NOTIFICATION, Notice, Trigger},
};

/// A dump ends by the clock only if no chunk has come for so long.
const LATE: Duration = Duration::from_secs(1);
/// A chunk that is at least this full gives its memory away instead of being copied.
const FULL: f64 = 0.75;
const HOUR: Duration = Duration::from_secs(3600);

/// Keeps the last chunks of a recording.
#[derive(Debug)]
pub struct Window {
    flight: Flight,
    shelf: Arc<Shelf>,
    report: Report,
    /// The machine at the first event; `None` before the recording has begun.
    tail: Option<Tail>,
    triggers: Triggers,
    segments: VecDeque<Arc<Segment>>,
    /// The memory of the segments in the window, in bytes, and of all.
    bytes: u64,
    gauge: Gauge,
    /// Segments that left the window before their time: the time of the last event of each, and their number of events.
    early: VecDeque<(u64, u64)>,
    /// Memory of a segment that has left, to be used again.
    spare: Option<Vec<u8>>,
    /// The time of the last event, in ns since the epoch, and when it came.
    latest: u64,
    heard: Instant,
    totals: OutputTotals,
    /// Dumps that are not over, the oldest first.
    dumps: Vec<Arc<Dump>>,
    /// The dump that still takes segments.
    open: Option<Open>,
    /// When dumps were begun, within the last hour.
    begun: VecDeque<Instant>,
    /// Whether a refused dump was reported.
    told: bool,
    thread: Option<(Sender<Arc<Dump>>, JoinHandle<()>)>,
    closing: Arc<AtomicBool>,
}

/// A dump that still takes segments.
#[derive(Debug)]
struct Open {
    dump: Arc<Dump>,
    /// The time up to which it takes events, in ns since the epoch; also by this machine's clock.
    until: u64,
    deadline: Instant,
    /// It takes no triggers from this time on.
    full: u64,
}

impl Window {
    pub fn new(flight: Flight, shelf: Shelf) -> Window {
        let report = Report::default();
        report.change(|status| status.limit = flight.bytes);
        Window {
            triggers: Triggers::new(&flight),
            flight,
            shelf: Arc::new(shelf),
            report,
            tail: None,
            segments: VecDeque::new(),
            bytes: 0,
            gauge: Gauge::default(),
            early: VecDeque::new(),
            spare: None,
            latest: 0,
            heard: Instant::now(),
            totals: OutputTotals::default(),
            dumps: Vec::new(),
            open: None,
            begun: VecDeque::new(),
            told: false,
            thread: None,
            closing: Arc::default(),
        }
    }

    /// Returns where others see what it has.
    pub fn report(&self) -> Report {
        self.report.clone()
    }

    /// Takes the first chunk, which has the state of the machine.
    fn begin(&mut self, chunk: &Chunk) -> Result<(), OutputError> {
        let tail = Tail::new(&chunk.bytes).map_err(|e| OutputError::Write {
            target: self.target(),
            written: self.totals,
            source: std::io::Error::other(e),
        })?;
        self.triggers.start(&tail.machine().write_state());
        self.tail = Some(tail);
        let writer =
            Writer { shelf: self.shelf.clone(), report: self.report.clone(), closing: self.closing.clone() };
        let (sender, dumps) = channel();
        let thread = thread::Builder::new()
            .name("scapd-dumps".to_owned())
            .spawn(move || writer.run(&dumps))
            .map_err(|source| OutputError::Thread { target: self.target(), source })?;
        self.thread = Some((sender, thread));
        Ok(())
    }

    /// Takes a chunk of events.
    fn take(&mut self, chunk: &mut Chunk) {
        let mut triggers = asked_for(&chunk.bytes);
        let found = self.triggers.look(&chunk.bytes);
        if !found.is_empty() {
            chunk.bytes = with_notices(&chunk.bytes, &found);
            triggers.extend(found.into_iter().map(|(_, trigger)| trigger));
            triggers.sort_by_key(|trigger| trigger.at);
        }
        let bytes = self.memory_of(chunk);
        let segment = Arc::new(Segment::new(bytes, chunk, &self.gauge));
        self.latest = self.latest.max(segment.latest);
        self.heard = Instant::now();
        self.bytes += segment.size();
        if let Some(open) = &self.open {
            open.dump.push(segment.clone());
        }
        self.segments.push_back(segment);
        self.totals.events += chunk.events;
        self.totals.bytes_in += chunk.bytes.len() as u64;
        self.totals.bytes_out = self.totals.bytes_in;
        triggers.iter().for_each(|trigger| self.trigger(trigger));
        self.look();
    }

    /// Returns the blocks of a chunk in memory that it need not give back.
    fn memory_of(&mut self, chunk: &mut Chunk) -> Vec<u8> {
        let capacity = chunk.bytes.capacity();
        if (chunk.bytes.len() as f64) < FULL * capacity as f64 {
            return chunk.bytes.as_slice().to_vec();
        }
        let other = self.spare.take().filter(|spare| spare.capacity() == capacity);
        std::mem::replace(&mut chunk.bytes, other.unwrap_or_else(|| Vec::with_capacity(capacity)))
    }

    /// Returns the time on the scale of event times, in ns since the epoch.
    fn now(&self) -> u64 {
        self.latest.saturating_add(ns(self.heard.elapsed()))
    }

    /// Does what the time and the memory demand.
    fn look(&mut self) {
        let now = self.now();
        // While chunks come, events of the time before may still be among them.
        let is_quiet = self.heard.elapsed() >= LATE;
        if let Some(open) = &self.open
            && (self.latest >= open.until || is_quiet && Instant::now() >= open.deadline)
        {
            let at = self.latest.max(open.dump.at);
            self.close_open(at);
        }
        self.dumps.retain(|dump| !dump.is_over());
        self.pass_time(now);
        self.make_room();
        let (from, events) = (self.segments.front().map_or(0, |first| first.first), self.events());
        let bytes = self.gauge.bytes();
        self.report.change(|status| (status.from, status.events, status.bytes) = (from, events, bytes));
    }

    /// Lets leave what is too old at a time in ns since the epoch.
    fn pass_time(&mut self, now: u64) {
        let oldest = now.saturating_sub(ns(self.flight.time));
        while self.segments.front().is_some_and(|segment| segment.latest < oldest) {
            self.leave(false);
        }
        while self.early.front().is_some_and(|(latest, _)| *latest < oldest) {
            self.early.pop_front();
        }
    }

    fn events(&self) -> u64 {
        self.segments.iter().map(|segment| segment.events()).sum()
    }

    /// Keeps the memory within its limit. While no dump is on its way, an eighth of it stays free for the next one.
    ///
    /// What a dump still needs is not freed by leaving the window. A dump that gets on frees what is in its file, the oldest
    /// first, which is what leaves the window next. One that does not takes from the window, up to the rest of its memory.
    fn make_room(&mut self) {
        let (limit, most) = (self.flight.bytes, self.flight.bytes - self.flight.bytes / 8);
        let target = if self.dumps.is_empty() { most } else { limit };
        if self.gauge.bytes() <= target {
            return;
        }
        self.dumps.iter().for_each(|dump| dump.spare());
        while self.gauge.bytes() > target && !self.segments.is_empty() {
            self.leave(true);
        }
        while self.gauge.bytes().saturating_sub(self.bytes) > most
            && let Some(latest) = self.dumps.pop()
        {
            // The one before has what happened first.
            latest.close();
            self.open.take_if(|open| Arc::ptr_eq(&open.dump, &latest));
        }
    }

    /// Lets the first segment leave.
    fn leave(&mut self, is_early: bool) {
        let Some(segment) = self.segments.pop_front() else { return };
        self.bytes -= segment.size();
        if let Some(tail) = &mut self.tail {
            tail.pass(&segment);
        }
        if is_early {
            self.early.push_back((segment.latest, segment.events()));
            self.report.change(|status| status.evicted += segment.events());
        }
        // Nobody else needs it: the next chunk gets its memory.
        if let Ok(Segment { bytes, .. }) = Arc::try_unwrap(segment) {
            self.spare = Some(bytes).filter(|bytes| bytes.capacity() > 0);
        }
    }

    /// Makes a dump, or the open one longer.
    fn trigger(&mut self, trigger: &Trigger) {
        self.report.change(|status| status.triggers += 1);
        let until = trigger.at.saturating_add(trigger.after);
        let deadline = Instant::now() + Duration::from_nanos(trigger.after);
        if let Some(open) = &mut self.open
            && trigger.at < open.full
        {
            open.until = open.until.max(until);
            open.deadline = open.deadline.max(deadline);
            return;
        }
        self.begun.retain(|begun| begun.elapsed() < HOUR);
        if self.begun.len() >= self.flight.dumps_per_hour as usize {
            self.report.change(|status| status.refused += 1);
            if !std::mem::replace(&mut self.told, true) {
                tracing::warn!(
                    "no dump of {}: there were {} in the last hour already (dumps-per-hour)",
                    trigger.reason,
                    self.flight.dumps_per_hour
                );
            }
            return;
        }
        self.told = false;
        self.begun.push_back(Instant::now());
        self.close_open(trigger.at);
        let dump = self.dump_at(trigger.at);
        tracing::info!("a dump by {}: {}", trigger.by.key(), trigger.reason);
        if let Some((sender, _)) = &self.thread {
            // It fails only after a panic, which was printed where it happened.
            let _ = sender.send(dump.clone());
        }
        self.report.change(|status| status.dumps += 1);
        self.dumps.push(dump.clone());
        self.open =
            Some(Open { dump, until, deadline, full: trigger.at.saturating_add(ns(self.flight.time)) });
    }

    /// Makes a dump of the window as it is.
    fn dump_at(&mut self, at: u64) -> Arc<Dump> {
        self.pass_time(at);
        let evicted = self.early.iter().map(|(_, events)| events).sum();
        let first = self.segments.front().map_or(at, |segment| segment.first);
        let state = self.tail.as_mut().map(|tail| tail.blocks(first)).unwrap_or_default();
        Arc::new(Dump::new(at, state, self.segments.iter().cloned(), evicted, &self.gauge))
    }

    fn close_open(&mut self, at: u64) {
        if let Some(open) = self.open.take() {
            open.dump.end(at.max(self.latest));
        }
    }
}

impl ChunkSink for Window {
    fn target(&self) -> Target {
        self.shelf.target()
    }

    fn put(&mut self, chunk: &mut Chunk) -> Result<(), OutputError> {
        match self.tail {
            None => self.begin(chunk),
            Some(_) => {
                self.take(chunk);
                Ok(())
            }
        }
    }

    fn tick(&mut self) {
        self.look();
    }

    fn end(&mut self, at: u64) {
        self.close_open(at);
        self.closing.store(true, Ordering::Relaxed);
    }

    fn totals(&self) -> OutputTotals {
        self.totals
    }

    fn report(&self) -> Arc<SeriesReport> {
        self.shelf.report()
    }

    fn files(&self) -> u64 {
        self.report.status().dumps
    }

    fn closing(&self) -> Arc<AtomicBool> {
        self.closing.clone()
    }

    fn finish(mut self: Box<Self>) {
        self.closing.store(true, Ordering::Relaxed);
        self.close_open(self.latest);
        self.segments.clear();
        if let Some((sender, thread)) = self.thread.take() {
            drop(sender);
            // A panic has been printed where it happened.
            let _ = thread.join();
        }
    }
}

/// Returns the triggers that the recorder has put among the events.
fn asked_for(blocks: &[u8]) -> Vec<Trigger> {
    let notices = EventBlocks::new(blocks).filter(|block| block.ty() == NOTIFICATION);
    let parsed = notices.filter_map(|block| ledger::parse(&block.event()?.event));
    parsed
        .filter_map(|notice| if let Notice::Trigger(trigger) = notice { Some(trigger) } else { None })
        .collect()
}

/// Returns the blocks with notices of these triggers, each behind the block that ends there.
fn with_notices(blocks: &[u8], triggers: &[(usize, Trigger)]) -> Vec<u8> {
    let mut all = Vec::with_capacity(blocks.len() + triggers.len() * 256);
    let mut done = 0;
    for (end, trigger) in triggers {
        all.extend_from_slice(&blocks[done..*end]);
        done = *end;
        frame_event(&mut all, 0, &ledger::notice(ledger::TRIGGER, &trigger.text(), trigger.at));
    }
    all.extend_from_slice(&blocks[done..]);
    all
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
