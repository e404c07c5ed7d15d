//! Writes the files of a series, one after the other, on the writer's thread.

mod reserved;

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, ErrorKind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::{
    Cut, OnError, Pattern, Series, StateSource,
    current::{Current, Held, notice, selected_notice},
    keeper::{Closed, Keeper, Report, chain},
    partial::Partial,
    rotation::zoned,
    seal,
    store::Shared,
};
use crate::{
    folder::Whereabouts,
    ledger::Verdict,
    output::{Output, OutputError, Target, Totals, chunk::Chunk, sink::Sink},
    print::shown,
};

pub use reserved::ReservedFiles;

/// Between two looks whether the file is still there.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait before writing is tried again; and at most, when file after file breaks.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// A file that was written for so long has had no trouble.
const CALM: Duration = Duration::from_secs(60);
/// A file of so many bytes may be what keeps others from being written.
const MUCH: u64 = 4 << 20;
/// How long the end of a recording waits for a disk that gives trouble.
const PATIENCE: Duration = Duration::from_secs(3);

/// The files of a series: the one that is written, and the way to the next.
#[derive(Debug)]
pub struct Files {
    series: Series,
    compress: bool,
    zone: TimeZone,
    state: StateSource,
    store: Shared,
    keeper: Keeper,
    current: Option<Current>,
    /// What is to be written, and what was written and may still have to be again; in order.
    held: VecDeque<Held>,
    /// When the file began that is written, or is next: ns since the epoch.
    began: u64,
    /// Files so far.
    opened: u64,
    /// The balances of the files before.
    earlier: Verdict,
    /// What was asked for, as the notice in the file says, and the time of its last event: as far as it is there for sure.
    selected: String,
    latest: u64,
    /// There is no further file.
    ended: bool,
    /// What was written into them.
    before: Totals,
    /// Since when nothing can be written.
    trouble: Option<Instant>,
    /// How long to wait after the next file that breaks.
    backoff: Duration,
    scanning: Arc<AtomicBool>,
    closing: Arc<AtomicBool>,
    /// When it was seen that the recording ends.
    closing_since: Option<Instant>,
}

/// How far a series is, for the thread that has it written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Files begun.
    pub files: u64,
    /// Bytes before the first event of the one that is written.
    pub state: u64,
    /// All its bytes.
    pub bytes: u64,
}

/// Makes a file that begins at a time, in ns since the epoch.
fn make(store: &Shared, began: u64, zone: &TimeZone) -> Result<(Partial, File), OutputError> {
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

    /// What the files are called.
    pub fn target(&self) -> Target {
        Target::File(self.store.lock().pattern().path())
    }

    /// Whether the files are compressed.
    pub(in crate::output) fn is_compressed(&self) -> bool {
        self.compress
    }

    /// Set it, and what waits for the disk gives up after a while.
    pub(in crate::output) fn closing(&self) -> Arc<AtomicBool> {
        self.closing.clone()
    }

    /// Set while the state of the machine is read.
    pub(in crate::output) fn scanning(&self) -> Arc<AtomicBool> {
        self.scanning.clone()
    }

    /// What becomes of closed files.
    pub(in crate::output) fn report(&self) -> Arc<Report> {
        self.keeper.report()
    }

    /// What all files together have for sure.
    pub(in crate::output) fn totals(&self) -> Totals {
        let mut totals = self.before;
        if let Some(current) = &self.current {
            add(&mut totals, current.output.totals());
        }
        totals
    }

    /// How far it is.
    pub(in crate::output) fn position(&self) -> Position {
        let (state, bytes) =
            self.current.as_ref().map_or((0, 0), |c| (c.state, c.output.accepted().bytes_out));
        Position { files: self.opened, state, bytes }
    }

    /// Writes a chunk, and gives back those that are in the file for sure.
    pub(in crate::output) fn put(
        &mut self,
        chunk: Chunk,
        free: &mut dyn FnMut(Chunk),
    ) -> Result<(), OutputError> {
        self.held.push_back(Held { chunk, end: None, own: false });
        self.write(false, free)
    }

    /// Puts the ends of chunks into the file too.
    pub(in crate::output) fn flush(&mut self, free: &mut dyn FnMut(Chunk)) -> Result<(), OutputError> {
        self.write(true, free)
    }

    /// Ends the file, and begins the next one.
    pub(in crate::output) fn next(
        &mut self,
        cut: Cut,
        free: &mut dyn FnMut(Chunk),
    ) -> Result<(), OutputError> {
        self.end_file(cut.at, free, |mut balance, _| {
            balance.add(&cut.beside);
            seal(balance)
        })?;
        self.began = cut.at;
        // The next file is told anew what to say of that.
        self.selected.clear();
        self.write(false, free)
    }

    /// Ends the last file, with what remains of the balance of all.
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
    pub(in crate::output) fn finish(mut self) -> Result<Totals, OutputError> {
        if self.current.is_some() {
            // Not ended as it should be: it has no balance.
            self.write(true, &mut |_| {})?;
            let at = self.began;
            self.hand_over(None, Whereabouts::There, at);
        }
        Ok(self.totals())
    }

    /// Writes what is held, however long that takes; `all` of it, so that nothing is held any more.
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
            if !self.selected.is_empty() {
                selected_notice(&mut state, &self.selected, self.latest);
            }
            let state = Chunk::of(state);
            self.scanning.store(false, Ordering::Relaxed);
            self.held.push_front(Held { chunk: state, end: None, own: true });
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
            // What was not in the file for sure was cut off.
            self.held.iter_mut().for_each(|held| held.end = None);
        }
        result
    }

    /// Gives back the chunks that are in the file for sure.
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
            if !held.own {
                free(held.chunk);
            }
        }
    }

    /// Whether the file is where it was, and may grow.
    fn check_place(&mut self, free: &mut dyn FnMut(Chunk)) -> Result<(), OutputError> {
        let Some(current) = &mut self.current else { return Ok(()) };
        // In the end, what there is is written: it is not much.
        let closing = self.closing.load(Ordering::Relaxed);
        if !closing && self.keeper.report().no_room.load(Ordering::Relaxed) {
            let free = self.series.retention.free.map(|free| free.to_string()).unwrap_or_default();
            let why = format!("less than {free} of the disk is free, which is to stay free");
            return Err(current.output.error(io::Error::new(ErrorKind::StorageFull, why)));
        }
        if current.looked.elapsed() < LOOK {
            return Ok(());
        }
        current.looked = Instant::now();
        let whereabouts = current.output.whereabouts(&current.partial);
        if whereabouts == Whereabouts::There {
            return Ok(());
        }
        // What it has accepted stays in it, and must not be in the next file too. An error has cut the rest off.
        let _ = current.output.flush();
        let (path, events) = (shown(&current.partial.path), current.output.totals().events);
        let became = if whereabouts == Whereabouts::Moved { "moved away" } else { "removed" };
        tracing::warn!("{path} was {became} by somebody with {events} events; going on in a new file");
        self.settle(free);
        self.give_up(whereabouts);
        Ok(())
    }

    /// Waits after an error until it is worth another attempt; or returns it.
    fn bear(&mut self, error: OutputError) -> Result<(), OutputError> {
        let broken = matches!(error, OutputError::Write { .. });
        let full = match &error {
            OutputError::NoSpace { .. } => true,
            OutputError::Create { source, .. } => {
                matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
            }
            _ => false,
        };
        if self.series.on_error == OnError::Fail || !may_pass(&error) {
            return Err(error);
        }
        if full && self.store.lock().make_room() {
            return Ok(());
        }
        // Nothing could be deleted: the file that is being written may be what fills the disk. Closed, it is one as any
        // other, and the next attempt may delete it.
        if full && self.is_worth_deleting() {
            self.give_up(Whereabouts::There);
        }
        if self.trouble.is_none() {
            self.trouble = Some(Instant::now());
            self.keeper.report().waiting.store(true, Ordering::Relaxed);
            tracing::warn!(
                "{}; recording goes on when it can be written, and counts what is lost until then",
                chain(&error)
            );
        }
        if broken {
            self.give_up(Whereabouts::There);
        }
        let wait = if broken { self.backoff() } else { RETRY };
        if self.pause(wait) { Ok(()) } else { Err(error) }
    }

    /// Whether it makes room if the file that is written ends, and files are deleted to make room.
    fn is_worth_deleting(&self) -> bool {
        let bytes = self.current.as_ref().map_or(0, |current| current.output.totals().bytes_out);
        bytes >= MUCH && self.store.lock().saves_room()
    }

    /// A full disk or a missing directory is looked at again soon; new files again and again are litter.
    fn backoff(&mut self) -> Duration {
        let wait = self.backoff;
        self.backoff = (wait * 2).clamp(RETRY, LONGEST_RETRY);
        wait
    }

    /// Waits before another attempt; false if the recording ends, and there was enough of that.
    fn pause(&mut self, wait: Duration) -> bool {
        const STEP: Duration = Duration::from_millis(50);
        let until = Instant::now() + wait;
        while Instant::now() < until {
            if self.closing.load(Ordering::Relaxed) {
                let since = *self.closing_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= PATIENCE {
                    return false;
                }
            }
            thread::sleep(STEP);
        }
        true
    }

    fn well_again(&mut self) {
        let Some(current) = &self.current else { return };
        if current.opened.elapsed() >= CALM {
            self.backoff = Duration::ZERO;
        }
        if let Some(since) = self.trouble.take() {
            self.keeper.report().waiting.store(false, Ordering::Relaxed);
            let path = shown(&current.partial.path);
            tracing::info!("writing to {path} again after {:.0} s", since.elapsed().as_secs_f64());
        }
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

    /// Ends the file with the balance that `judge` makes of its own and of those of the files before.
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
            self.held.push_back(Held { chunk: notice(&verdict, at), end: None, own: true });
            self.write(true, free)?;
            // Trouble in between has led to another file, which is not the one that was judged.
            if self.opened == file {
                self.hand_over(Some(verdict), Whereabouts::There, at);
                return Ok(());
            }
        }
    }

    /// Goes on without the file: it is closed as far as that can be done.
    fn give_up(&mut self, whereabouts: Whereabouts) {
        self.held.retain(|held| !held.own);
        self.held.iter_mut().for_each(|held| held.end = None);
        let Some(current) = &mut self.current else { return };
        current.sum = None;
        let at = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(self.began);
        self.began = at;
        if current.output.totals().bytes_out == 0 {
            let Some(current) = self.current.take() else { return };
            // An empty file is of no use; that it cannot be removed is no new trouble.
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

/// Whether an error may be over some time.
fn may_pass(error: &OutputError) -> bool {
    matches!(error, OutputError::NoSpace { .. } | OutputError::Create { .. } | OutputError::Write { .. })
}

fn add(totals: &mut Totals, more: Totals) {
    totals.events += more.events;
    totals.bytes_in += more.bytes_in;
    totals.bytes_out += more.bytes_out;
}
