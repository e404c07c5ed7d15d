//! The window: the last events, and what is done with them.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    Flight, Report,
    disk::{OnDisk, WindowFile},
    dump::Dump,
    longer::Longer,
    ns,
    packer::Packer,
    ring::Ring,
    segment::{Index, Segment},
    tail::Tail,
    trigger::Triggers,
    writer::Writer,
};
use crate::output::{Chunk, ChunkSink, OutputError, OutputTotals, SeriesReport, Shelf, Target};
use scap::{
    format::{EventBlocks, frame_event},
    ledger::{self, NOTIFICATION, Notice, Trigger},
};

/// If no chunk has come for so long, it is no longer on its way: a dump ends by the clock.
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
    ring: Ring,
    /// What is kept of the segments that have left the window; `None` if nothing is.
    longer: Option<Longer>,
    /// The file for all of that, before the recording has begun; then what writes it.
    file: Option<WindowFile>,
    disk: Option<OnDisk>,
    /// What packs older segments; `None` if nothing does.
    packer: Option<Packer>,
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
    /// Whether the recording has ended as it should.
    is_over: bool,
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
    pub fn new(flight: Flight, shelf: Shelf, file: Option<WindowFile>) -> Window {
        let report = Report::default();
        let ring = Ring::new(flight.time, flight.bytes);
        report.change(|status| status.window = ring.status());
        Window {
            triggers: Triggers::new(&flight),
            flight,
            shelf: Arc::new(shelf),
            report,
            tail: None,
            ring,
            longer: None,
            file,
            disk: None,
            packer: None,
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
            is_over: false,
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
        let state = tail.machine().write_state();
        self.ring.reserve_for(chunk.bytes.len());
        self.triggers.start(&state);
        self.longer = self.flight.longer.as_ref().map(|keep| Longer::new(keep, &state));
        self.tail = Some(tail);
        self.begin_file()?;
        if self.flight.is_packed {
            let packer = Packer::start(self.ring.gauge());
            self.packer =
                Some(packer.map_err(|source| OutputError::Thread { target: self.target(), source })?);
        }
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

    /// Begins to write the file, with the state of the machine.
    fn begin_file(&mut self) -> Result<(), OutputError> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let sizes = [self.flight.bytes, self.flight.longer.as_ref().map_or(0, |longer| longer.bytes)];
        let filter = self.longer.as_ref().map(Longer::filter);
        let disk = OnDisk::start(file, sizes, filter, self.ring.gauge());
        self.disk = Some(disk.map_err(|source| OutputError::Thread { target: self.target(), source })?);
        self.longer.iter_mut().for_each(|longer| longer.set_takes(OnDisk::takes));
        self.write_file();
        Ok(())
    }

    /// Writes what is kept longer since the last call, and the state of the machine when it is due.
    fn write_file(&mut self) {
        let sealed = self.longer.as_mut().map(Longer::sealed).unwrap_or_default();
        let Some(disk) = &mut self.disk else { return };
        let put = |disk: &mut OnDisk, sealed: Vec<(Weak<Segment>, u64)>| {
            for (segment, window) in sealed {
                // What has gone by now is not needed.
                segment.upgrade().iter().for_each(|segment| disk.longer(segment, window));
            }
        };
        put(disk, sealed);
        let oldest = [self.ring.left(), self.longer.as_ref().map_or(0, |longer| longer.ring.left())];
        if let Some(tail) = &mut self.tail
            && disk.wants_state(oldest)
        {
            if let Some(longer) = &mut self.longer {
                longer.seal();
                put(disk, longer.sealed());
            }
            disk.state(tail.blocks(self.latest, None), oldest, self.ring.events());
        }
        let status = disk.status();
        self.report.change(|all| all.disk = Some(status));
    }

    /// Takes a chunk of events.
    fn take(&mut self, chunk: &mut Chunk) {
        let mut index = Index::of(&chunk.bytes);
        let mut triggers = asked_for(&chunk.bytes, &index);
        let found = self.triggers.look(&chunk.bytes);
        if !found.is_empty() {
            chunk.bytes = with_notices(&chunk.bytes, &found);
            index = Index::of(&chunk.bytes);
            triggers.extend(found.into_iter().map(|(_, trigger)| trigger));
            triggers.sort_by_key(|trigger| trigger.at);
        }
        let bytes = self.memory_of(chunk);
        let least = if self.disk.is_some() { OnDisk::takes(bytes.len()) } else { 0 };
        let balance = Segment::balance_of(chunk);
        let segment = Arc::new(Segment::of_size(bytes, index, balance, self.ring.gauge(), least));
        self.latest = self.latest.max(segment.index.latest);
        self.heard = Instant::now();
        if let Some(open) = &self.open {
            open.dump.push(segment.clone());
        }
        let early = self.rings().map(Ring::early).sum();
        if let Some(disk) = &mut self.disk {
            disk.window(&segment, self.ring.left(), early);
        }
        self.ring.push(segment);
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

    /// Returns the time up to which all events have come, by the clock of events, in ns since the epoch: a trigger of an earlier time
    /// does not follow.
    fn now(&self) -> u64 {
        let late = self.heard.elapsed().saturating_sub(LATE);
        self.latest.saturating_add(ns(late))
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
        if let Some(packer) = &mut self.packer {
            // A dump has segments as they are: packed, they would be there twice.
            packer.work(&mut self.ring, self.dumps.is_empty());
        }
        self.make_room();
        self.write_file();
        let (window, longer) = (self.ring.status(), self.longer.as_ref().map(Longer::status));
        self.report.change(|status| (status.window, status.longer) = (window, longer));
    }

    /// Lets leave what is too old at a time in ns since the epoch.
    fn pass_time(&mut self, now: u64) {
        while let Some(segment) = self.ring.pop_overdue(now) {
            self.leave(segment, false);
        }
        let over = self.ring.forget_early(now);
        let Some(longer) = &mut self.longer else { return };
        longer.pass(over);
        while let Some(segment) = longer.pop_overdue(now) {
            self.tail.iter_mut().for_each(|tail| tail.pass(&segment));
        }
        longer.ring.forget_early(now);
    }

    /// Keeps the memory within its limits.
    ///
    /// What a dump still needs is not freed by leaving the window. A dump that gets on frees what is in its file, the oldest
    /// first, which is what leaves the window next. One that does not takes from the window, and takes no more events when there is
    /// little left.
    fn make_room(&mut self) {
        let is_idle = self.dumps.is_empty();
        if self.open.is_some() && self.rings().any(Ring::is_stuck) {
            self.dumps.iter().for_each(|dump| dump.spare());
            if self.rings().any(Ring::is_stuck) {
                self.close_open(self.latest);
            }
        }
        if self.rings().all(|ring| !ring.is_full(is_idle)) {
            return;
        }
        self.dumps.iter().for_each(|dump| dump.spare());
        while self.ring.is_full(is_idle)
            && let Some(segment) = self.ring.pop()
        {
            self.leave(segment, true);
        }
        while let Some(Longer { ring, .. }) = &mut self.longer
            && ring.is_full(is_idle)
            && let Some(segment) = ring.pop()
        {
            ring.note_early(&segment, segment.events());
            self.tail.iter_mut().for_each(|tail| tail.pass(&segment));
        }
        while self.rings().any(Ring::is_overdrawn)
            && self.dumps.len() > 1
            && let Some(latest) = self.dumps.pop()
        {
            // The one before has what happened first.
            latest.close();
            self.open.take_if(|open| Arc::ptr_eq(&open.dump, &latest));
        }
    }

    fn rings(&self) -> impl Iterator<Item = &Ring> {
        std::iter::once(&self.ring).chain(self.longer.as_ref().map(|longer| &longer.ring))
    }

    /// Decides about a segment that has left the window.
    fn leave(&mut self, segment: Arc<Segment>, is_early: bool) {
        let gone = match (&mut self.longer, &mut self.tail) {
            (Some(longer), _) => longer.take(&segment, is_early),
            (None, tail) => {
                tail.iter_mut().for_each(|tail| tail.pass(&segment));
                segment.events()
            }
        };
        if is_early {
            self.ring.note_early(&segment, gone);
        }
        // Nobody else needs it: the next chunk gets its memory.
        if let Some(memory) = Arc::try_unwrap(segment).ok().and_then(Segment::into_memory) {
            self.spare = Some(memory);
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
        let until = self.ring.first().unwrap_or(at);
        self.longer.iter_mut().for_each(Longer::seal);
        let notice = self.longer.as_ref().and_then(|longer| longer.notice(until));
        let longer = self.longer.as_ref().map(|longer| &longer.ring);
        let first = longer.and_then(Ring::first).unwrap_or(until);
        let state = self.tail.as_mut().map(|tail| tail.blocks(first, notice.as_ref())).unwrap_or_default();
        self.ring.reserve_for(state.len());
        let mut balance = self.longer.as_ref().map(Longer::balance).unwrap_or_default();
        balance.left_out.evicted = self.rings().map(Ring::early).sum();
        let segments = longer.into_iter().flat_map(Ring::segments).chain(self.ring.segments());
        Arc::new(Dump::new(at, state, segments.cloned(), balance, self.ring.gauge()))
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
        self.is_over = true;
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
        // Before the segments go that are still to be written.
        if let Some(disk) = self.disk.take() {
            disk.close(self.is_over);
        }
        self.packer = None;
        self.ring.clear();
        self.longer = None;
        if let Some((sender, thread)) = self.thread.take() {
            drop(sender);
            // A panic has been printed where it happened.
            let _ = thread.join();
        }
    }
}

/// Returns the triggers that the recorder has put among the events.
fn asked_for(blocks: &[u8], index: &Index) -> Vec<Trigger> {
    let changing = index.changing.iter().filter_map(|at| EventBlocks::from(blocks, *at as usize).next());
    let notices = changing.filter(|block| block.ty() == NOTIFICATION);
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
