//! Writes the files of a series, one after another, on the writer's thread.

mod recovery;
mod reserved;

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, ErrorKind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::{
    FileCut, Free, Pattern, Series, StateSource,
    current::{Current, HeldChunk, notice, repeated_notice},
    keeper::{Closed, Keeper, SeriesReport},
    partial::Partial,
    rotation::zoned,
    seal,
    store::SharedStore,
};
use crate::{
    escape::shown,
    folder::Whereabouts,
    output::{Output, OutputError, OutputTotals, Target, chunk::Chunk, sink::Sink},
};
use scap::ledger::{self, Verdict};

pub(super) use recovery::{PATIENCE, RETRY, may_pass};
pub use reserved::ReservedFiles;

/// Interval between checks that the file still exists.
const LOOK: Duration = Duration::from_secs(1);
/// The files of a series: the current one, and what is needed to start the next.
#[derive(Debug)]
pub struct Files {
    series: Series,
    compress: bool,
    zone: TimeZone,
    state: StateSource,
    store: SharedStore,
    keeper: Keeper,
    current: Option<Current>,
    /// Chunks still to be written, and chunks written that may have to be written again; in order.
    held: VecDeque<HeldChunk>,
    /// Start of the current or next file, in ns since the epoch.
    began: u64,
    /// Files opened so far.
    opened: u64,
    /// The sum of the balances of the earlier files.
    earlier: Verdict,
    /// The text of the last notice of the selected events, and the time of the last event, safely in the file.
    selected: String,
    /// The same of the last notice of the filter.
    filter: String,
    /// The same of what is overwritten.
    redacted: String,
    latest: u64,
    /// No further file follows.
    ended: bool,
    /// What was written to the earlier files.
    before: OutputTotals,
    /// Since when nothing can be written.
    trouble: Option<Instant>,
    /// How long to wait after the next file that fails.
    backoff: Duration,
    scanning: Arc<AtomicBool>,
    closing: Arc<AtomicBool>,
    /// When a waiting write first saw the recording end.
    closing_since: Option<Instant>,
}

/// Progress of a series, for the thread that submits chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Files begun.
    pub files: u64,
    /// Bytes before the first event of the current file.
    pub state: u64,
    /// All bytes of the current file.
    pub bytes: u64,
}

/// Creates a file that begins at a time in ns since the epoch.
pub(super) fn make(store: &SharedStore, began: u64, zone: &TimeZone) -> Result<(Partial, File), OutputError> {
    let mut store = store.lock();
    let time = zoned(began, zone).unwrap_or_default();
    let made = Partial::create(store.pattern(), &time, store.last(), |name| store.was_used(name));
    let (partial, file) = made.map_err(|e| OutputError::create(&Target::File(store.pattern().path()), e))?;
    store.begun(&partial.path, &partial.name);
    Ok((partial, file))
}

impl Files {
    /// Begins a series at once: see [`ReservedFiles`].
    ///
    /// # Errors
    /// Those of [`ReservedFiles::new`] and [`ReservedFiles::begin`].
    pub fn create(
        pattern: Pattern,
        series: &Series,
        compress: bool,
        now: u64,
        state: StateSource,
    ) -> Result<Files, OutputError> {
        ReservedFiles::new(pattern, series, compress, now, state)?.begin()
    }

    /// Returns the pattern of the file names.
    pub fn target(&self) -> Target {
        Target::File(self.store.lock().pattern().path())
    }

    /// Returns whether the files are compressed.
    pub(in crate::output) fn is_compressed(&self) -> bool {
        self.compress
    }

    /// Returns the flag that makes waiting writes give up after [`PATIENCE`].
    pub(in crate::output) fn closing(&self) -> Arc<AtomicBool> {
        self.closing.clone()
    }

    /// Returns the flag that is set while the machine state is read.
    pub(in crate::output) fn scanning(&self) -> Arc<AtomicBool> {
        self.scanning.clone()
    }

    /// Returns the report on closed files.
    pub(in crate::output) fn report(&self) -> Arc<SeriesReport> {
        self.keeper.report()
    }

    /// Returns what is safely in the files, all together.
    pub(in crate::output) fn totals(&self) -> OutputTotals {
        let mut totals = self.before;
        if let Some(current) = &self.current {
            add(&mut totals, current.output.totals());
        }
        totals
    }

    /// Returns the progress.
    pub(in crate::output) fn position(&self) -> Position {
        let (state, bytes) =
            self.current.as_ref().map_or((0, 0), |c| (c.state, c.output.accepted().bytes_out));
        Position { files: self.opened, state, bytes }
    }

    /// Writes a chunk, and frees the chunks that are safely in the file.
    pub(in crate::output) fn put(
        &mut self,
        chunk: Chunk,
        free: &mut dyn FnMut(Chunk),
    ) -> Result<(), OutputError> {
        self.held.push_back(HeldChunk { chunk, end: None, own: false });
        self.write(false, free)
    }

    /// Writes the ends of chunks too.
    pub(in crate::output) fn flush(&mut self, free: &mut dyn FnMut(Chunk)) -> Result<(), OutputError> {
        self.write(true, free)
    }

    /// Ends the file, and begins the next one.
    pub(in crate::output) fn next(
        &mut self,
        cut: FileCut,
        free: &mut dyn FnMut(Chunk),
    ) -> Result<(), OutputError> {
        self.end_file(cut.at, free, |mut balance, _| {
            balance.add(&cut.beside);
            seal(balance)
        })?;
        self.began = cut.at;
        // The recorder submits that notice anew for the next file.
        self.selected.clear();
        self.filter.clear();
        self.redacted.clear();
        self.write(false, free)
    }

    /// Ends the last file with the rest of the whole recording's balance.
    pub(in crate::output) fn end(
        &mut self,
        all: &Verdict,
        at: u64,
        free: &mut dyn FnMut(Chunk),
    ) -> Result<(), OutputError> {
        self.end_file(at, free, |_, earlier| all.since(earlier))?;
        self.ended = true;
        Ok(())
    }

    /// Waits until everything is closed.
    pub(in crate::output) fn finish(mut self) -> Result<OutputTotals, OutputError> {
        if self.current.is_some() {
            // The recording failed: the file gets no balance.
            self.write(true, &mut |_| {})?;
            let at = self.began;
            self.hand_over(None, Whereabouts::There, at);
        }
        Ok(self.totals())
    }

    /// Writes the held chunks, however long that takes; with `all`, their ends too, so that none stays held.
    fn write(&mut self, all: bool, free: &mut dyn FnMut(Chunk)) -> Result<(), OutputError> {
        loop {
            match self.try_write(all, free) {
                Ok(()) => {
                    self.well_again();
                    return Ok(());
                }
                Err(error) => self.bear(error)?,
            }
        }
    }

    fn try_write(&mut self, all: bool, free: &mut dyn FnMut(Chunk)) -> Result<(), OutputError> {
        self.check_place(free)?;
        if self.current.is_none() && !self.ended {
            self.open()?;
            self.scanning.store(true, Ordering::Relaxed);
            let mut state = (self.state.0)();
            let said = [
                (ledger::SELECTED, &self.selected),
                (ledger::FILTER, &self.filter),
                (ledger::REDACTED, &self.redacted),
            ];
            for (id, text) in said {
                if !text.is_empty() {
                    repeated_notice(&mut state, id, text, self.latest);
                }
            }
            let state = Chunk::of(state);
            self.scanning.store(false, Ordering::Relaxed);
            self.held.push_front(HeldChunk { chunk: state, end: None, own: true });
        }
        let Some(current) = &mut self.current else { return Ok(()) };
        let mut result = Ok(());
        for held in self.held.iter_mut().filter(|held| held.end.is_none()) {
            result = current.put(held);
            if result.is_err() {
                break;
            }
        }
        if result.is_ok() && all {
            result = current.output.flush();
        }
        if result.is_err() {
            current.sum = None;
        }
        self.settle(free);
        if result.is_err() {
            // The output cut off everything that was not safely in the file.
            self.held.iter_mut().for_each(|held| held.end = None);
        }
        result
    }

    /// Frees the chunks that are safely in the file.
    fn settle(&mut self, free: &mut dyn FnMut(Chunk)) {
        let Some(current) = &mut self.current else { return };
        let settled = current.output.totals().bytes_in;
        while self.held.front().is_some_and(|held| held.end.is_some_and(|end| end <= settled)) {
            let Some(held) = self.held.pop_front() else { break };
            current.settle(&held.chunk);
            self.latest = self.latest.max(held.chunk.latest);
            if let Some(selected) = &held.chunk.selected {
                self.selected.clone_from(selected);
            }
            if let Some(filter) = &held.chunk.filter {
                self.filter.clone_from(filter);
            }
            if let Some(redacted) = &held.chunk.redacted {
                self.redacted.clone_from(redacted);
            }
            if !held.own {
                free(held.chunk);
            }
        }
    }

    /// Checks that the file may grow and still has its name; gives it up if it does not.
    fn check_place(&mut self, free: &mut dyn FnMut(Chunk)) -> Result<(), OutputError> {
        let Some(current) = &mut self.current else { return Ok(()) };
        // At the end, the rest is written anyway: it is small.
        let closing = self.closing.load(Ordering::Relaxed);
        if !closing && self.keeper.report().no_room.load(Ordering::Relaxed) {
            return Err(current.output.error(no_room(self.series.retention.free)));
        }
        if current.looked.elapsed() < LOOK {
            return Ok(());
        }
        current.looked = Instant::now();
        let whereabouts = current.output.whereabouts(&current.partial);
        if whereabouts == Whereabouts::There {
            return Ok(());
        }
        // Accepted chunks stay in this file, and must not be in the next one too. On an error, the rest is cut off.
        let _ = current.output.flush();
        let (path, events) = (shown(&current.partial.path), current.output.totals().events);
        let became = if whereabouts == Whereabouts::Moved { "moved away" } else { "removed" };
        tracing::warn!(
            "{path} was {became} by another process, with {events} events in it; going on in a new file"
        );
        self.settle(free);
        self.give_up(whereabouts);
        Ok(())
    }

    fn open(&mut self) -> Result<(), OutputError> {
        let (partial, file) = make(&self.store, self.began, &self.zone)?;
        self.write_to(partial, file)
    }

    fn write_to(&mut self, partial: Partial, file: File) -> Result<(), OutputError> {
        let failed = |e| OutputError::create(&self.target(), e);
        let sink = Sink::own(file).map_err(failed)?;
        let output = Output::over(Target::File(partial.path.clone()), sink, self.compress);
        let now = Instant::now();
        self.opened += 1;
        self.current = Some(Current {
            output,
            partial,
            balance: Verdict::default(),
            began: self.began,
            opened: now,
            looked: now,
            sum: self.series.manifest.then(Sha256::new),
            state: 0,
        });
        Ok(())
    }

    /// Ends the file with the balance that `judge` computes from its own and from that of the earlier files.
    fn end_file(
        &mut self,
        at: u64,
        free: &mut dyn FnMut(Chunk),
        judge: impl Fn(Verdict, &Verdict) -> Verdict,
    ) -> Result<(), OutputError> {
        loop {
            self.write(true, free)?;
            let Some(current) = &self.current else { return Ok(()) };
            let (verdict, file) = (judge(current.balance, &self.earlier), self.opened);
            self.held.push_back(HeldChunk { chunk: notice(&verdict, at), end: None, own: true });
            self.write(true, free)?;
            // An error in between led to another file: its balance is a different one.
            if self.opened == file {
                self.hand_over(Some(verdict), Whereabouts::There, at);
                return Ok(());
            }
        }
    }

    /// Abandons the file: closes it as well as possible.
    fn give_up(&mut self, whereabouts: Whereabouts) {
        self.held.retain(|held| !held.own);
        self.held.iter_mut().for_each(|held| held.end = None);
        let Some(current) = &mut self.current else { return };
        current.sum = None;
        let at = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(self.began);
        self.began = at;
        if current.output.totals().bytes_out == 0 {
            let Some(current) = self.current.take() else { return };
            // The file is empty. A failure to remove it adds nothing to the error at hand.
            let _ = current.partial.remove();
            self.store.lock().ended(&current.partial.path, None);
            return;
        }
        let verdict = seal(current.balance);
        let last = notice(&verdict, at);
        let written = current.output.write(&last.bytes, 0).and_then(|()| current.output.flush());
        self.hand_over(written.is_ok().then_some(verdict), whereabouts, at);
    }

    fn hand_over(&mut self, verdict: Option<Verdict>, whereabouts: Whereabouts, at: u64) {
        let Some(current) = self.current.take() else { return };
        self.earlier.add(&verdict.unwrap_or_else(|| seal(current.balance)));
        add(&mut self.before, current.output.totals());
        self.keeper.close(Closed {
            output: current.output,
            partial: current.partial,
            whereabouts,
            span: (current.began, at),
            verdict,
            sum: current.sum,
        });
    }
}

/// Returns the error of writing to a disk of which less is free than retention demands.
pub(super) fn no_room(free: Option<Free>) -> io::Error {
    let free = free.map(|free| free.to_string()).unwrap_or_default();
    let why = format!("less than {free} of the disk is free, the limit that keep-free sets");
    io::Error::new(ErrorKind::StorageFull, why)
}

fn add(totals: &mut OutputTotals, more: OutputTotals) {
    totals.events += more.events;
    totals.bytes_in += more.bytes_in;
    totals.bytes_out += more.bytes_out;
}
