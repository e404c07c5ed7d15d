//! Turns the events from the probe into blocks in the writer's buffers.

mod balance;
mod containers;
mod counts;
mod filter;
mod notices;

use std::{
    collections::VecDeque,
    thread,
    time::{Duration, Instant},
};

pub use counts::Counts;

use filter::Behind;

use super::{
    clock::Clock, ledger::LossLedger, redaction::Redaction, rotor::Rotor, self_test::SelfTest, sieve::Sieve,
    state::Scan,
};
use crate::{
    clocks::Machine,
    containers::Lookup,
    output::{Chunk, OutputError, OutputTotals, Rotation, WriterProgress, WriterThread},
    probe::{Active, Loaded, ProbeError, RawEvent},
    ring::merge::time_stamp,
};
use scap::{
    format::{MachineState, event_block_len, frame_event, frame_for_names, set_event_time},
    ledger::{Cause, Gap, Notice, Verdict},
    select::{Asked, Judge},
};

/// Maximum number of events in one step, so that the caller can check the time.
const STEP: usize = 1 << 16;

/// Moves events from the probe to the writer.
pub struct Drain {
    writer: WriterThread,
    target: String,
    /// Reserved for the state of the machine.
    state: Option<Chunk>,
    chunk: Option<Chunk>,
    /// Full buffers, held back until the state of the machine is written.
    waiting: Option<Vec<Chunk>>,
    since: Instant,
    counts: Counts,
    limits: Limits,
    ledger: LossLedger,
    /// The source of all times below.
    clock: Clock,
    /// Gets the new boot time when the clock changes it.
    scan: Scan,
    /// The latest raw time stamp taken.
    taken: u64,
    /// Whether the last step emptied the rings.
    drained: bool,
    /// Pending notices, by time. Each goes after the events up to its time.
    notices: VecDeque<(u64, Notice)>,
    /// Decides which of the next events were requested.
    judge: Judge,
    /// The selection that each file states; `None` if it is the usual one.
    selected: Option<Asked>,
    /// The filter that decides about the next events.
    sieve: Option<Sieve>,
    /// The filters that follow it, one for each [`Notice::Filter`] that is pending.
    sieves: VecDeque<Option<Sieve>>,
    /// Events behind a filter that is pending, while the one before it waits for the state of the machine.
    behind: Behind,
    /// Events that earlier filters left out.
    filtered: u64,
    /// Asks for the containers of processes.
    containers: Option<Lookup>,
    /// Overwrites what must not be in the file.
    redaction: Option<Redaction>,
    /// When the file began, if its selection notice is still to be written.
    unsaid: Option<u64>,
    /// The latest time stamp written.
    latest: u64,
    /// The latest time stamp written to the current file.
    latest_in_file: u64,
    /// Decides where the files of a series end.
    rotor: Option<Rotor>,
    /// What the balance has besides events that buffers do not say yet, and when it was looked at; `None` if no buffer says it.
    said: Option<(Instant, Verdict)>,
    /// Whether the drain is waiting for a free buffer.
    backlog: bool,
    /// The self-test, until its event has reached the output.
    expected: Option<SelfTest>,
}

/// Limits on what is taken and how it is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Maximum number of requested events.
    pub events: Option<u64>,
    /// Maximum number of events per second. Tests use it to simulate a slow recorder.
    pub rate: Option<u64>,
    /// When to start a new file; `None` for a single file.
    pub rotation: Option<Rotation>,
    /// Whether the files are compressed.
    pub compressed: bool,
    /// The age at which a buffer goes to the output, full or not.
    pub flush: Duration,
    /// Whether buffers say what the balance has besides their events.
    pub beside: bool,
}

impl Drain {
    pub fn new(
        writer: WriterThread,
        target: &str,
        limits: Limits,
        probe: &Loaded,
        scan: Scan,
    ) -> Result<Drain, OutputError> {
        Drain::starting_at(writer, target, limits, probe.cpus(), probe.now(), probe.boot_time(), scan)
    }

    fn starting_at(
        mut writer: WriterThread,
        target: &str,
        limits: Limits,
        cpus: usize,
        now: u64,
        boot_time: u64,
        scan: Scan,
    ) -> Result<Drain, OutputError> {
        let state = Some(writer.take()?);
        let counts = Counts::new();
        Ok(Drain {
            writer,
            target: target.to_owned(),
            state,
            chunk: None,
            waiting: Some(Vec::new()),
            since: Instant::now(),
            counts,
            limits,
            ledger: LossLedger::new(cpus, now),
            clock: Clock::new(Machine::new(), boot_time),
            containers: None,
            redaction: scan.rules().cloned().map(Redaction::new),
            scan,
            taken: 0,
            drained: false,
            notices: VecDeque::new(),
            judge: Judge::default(),
            selected: None,
            sieve: None,
            sieves: VecDeque::new(),
            behind: Behind::default(),
            filtered: 0,
            unsaid: None,
            latest: 0,
            latest_in_file: 0,
            rotor: limits.rotation.map(|r| Rotor::new(r, limits.compressed, now)),
            said: limits.beside.then(|| (Instant::now(), Verdict::default())),
            backlog: false,
            expected: None,
        })
    }

    /// Watches for the event of a self-test from now on.
    pub fn look_for(&mut self, test: Option<SelfTest>) {
        self.expected = test;
    }

    /// Returns the self-test if its event has not reached the output yet.
    pub fn expected(&mut self) -> Option<&SelfTest> {
        let written = self.writer.progress().events();
        if self.expected.as_ref().is_some_and(|test| test.has_arrived(written)) {
            self.expected = None;
        }
        self.expected.as_ref()
    }

    /// Writes the state of the machine and the selection, then the events taken so far. `bytes` are the blocks of the state.
    pub fn start(&mut self, state: &MachineState, bytes: &[u8]) -> Result<(), OutputError> {
        self.begin(bytes)?;
        self.see_state(state);
        self.begin_filter(state)
    }

    fn begin(&mut self, state: &[u8]) -> Result<(), OutputError> {
        if let Some(rotor) = &mut self.rotor {
            rotor.started(state.len() as u64);
        }
        if let Some(mut chunk) = self.state.take() {
            chunk.bytes.extend_from_slice(state);
            if let Some(began) = self.unsaid.take() {
                self.say(&mut chunk, began);
            }
            self.writer.submit(chunk)?;
        }
        for chunk in self.waiting.take().into_iter().flatten() {
            self.writer.submit(chunk)?;
        }
        Ok(())
    }

    /// Takes the events in the rings and returns their number. Events stay in the rings while the disk is behind.
    pub fn step(&mut self, active: &mut Active) -> anyhow::Result<usize> {
        self.look_at_clock();
        if let Some(gap) = self.ledger.look(active.probe(), self.clock.now()) {
            self.note(gap);
        }
        let took = self.take_events(active)?;
        let now = self.clock.now();
        if let Some(at) = self.rotor.as_mut().and_then(|rotor| rotor.now(now, &self.writer)) {
            self.cut(active.probe(), at)?;
        }
        self.pass_on(now)?;
        self.tell_containers()?;
        self.write_due_trigger(now)?;
        self.say_beside(active.probe(), false);
        if self.since.elapsed() >= self.limits.flush {
            self.flush()?;
        }
        if let (Some(rate), true) = (self.limits.rate, took > 0) {
            thread::sleep(Duration::from_secs_f64(took as f64 / rate.max(1) as f64));
        }
        Ok(took)
    }

    fn look_at_clock(&mut self) {
        let before = self.clock.boot_time();
        if let Some(step) = self.clock.look(self.taken, self.drained) {
            self.put_notice(step.at, Notice::Clock(step));
        }
        let boot_time = self.clock.boot_time();
        if boot_time != before {
            self.scan.set_boot_time(boot_time);
        }
    }

    fn take_events(&mut self, active: &mut Active) -> anyhow::Result<usize> {
        let step = self.limits.rate.map_or(STEP, |rate| (rate / 100).clamp(1, STEP as u64) as usize);
        self.drained = false;
        for took in 0..step {
            if self.is_full() {
                return Ok(took);
            }
            if !self.has_room() || !self.has_chunk()? {
                self.set_backlog(active, true)?;
                return Ok(took);
            }
            if self.backlog {
                self.set_backlog(active, false)?;
                continue;
            }
            let Some(event) = active.next_event() else {
                self.drained = true;
                return Ok(took);
            };
            let ts = self.clock.adjust(time_stamp(event.bytes));
            let cut = self.rotor.as_mut().and_then(|rotor| rotor.before(ts, size(&event), &self.writer));
            if let Some(at) = cut {
                // Copied first: the event borrows a ring, and the cut needs the probe.
                let (bytes, extensions) = (event.bytes.to_vec(), event.extensions.to_vec());
                let (cpu, late) = (event.cpu, event.late);
                self.cut(active.probe(), at)?;
                self.chunk = Some(self.writer.take_or_make()?);
                self.write(RawEvent { cpu, bytes: &bytes, extensions: &extensions, late }, ts)?;
            } else {
                self.write(event, ts)?;
            }
        }
        Ok(step)
    }

    /// Makes sure that there is a buffer for events; returns false if none is free.
    fn has_chunk(&mut self) -> Result<bool, OutputError> {
        if self.chunk.is_none() {
            self.chunk = self.writer.try_take()?;
            self.since = Instant::now();
        }
        Ok(self.chunk.is_some())
    }

    /// Takes an event with time stamp `ts`, and those that extend it.
    #[inline]
    fn write(&mut self, event: RawEvent<'_>, ts: u64) -> Result<(), OutputError> {
        self.taken = self.taken.max(time_stamp(event.bytes));
        if self.has_to_wait(ts) {
            self.behind.push(&event, ts);
            return Ok(());
        }
        self.write_in_turn(event, ts)
    }

    /// Writes an event into the current buffer, after the notices before it.
    #[inline]
    fn write_in_turn(&mut self, event: RawEvent<'_>, ts: u64) -> Result<(), OutputError> {
        while self.notices.front().is_some_and(|(after, _)| *after < ts) {
            let Some((at, notice)) = self.notices.pop_front() else { break };
            self.write_notice(notice, at)?;
        }
        // Until the state is written, events wait in `waiting`: `start` writes this notice ahead of them.
        if let (Some(began), None) = (self.unsaid, &self.waiting)
            && let Some(mut chunk) = self.chunk.take()
        {
            self.unsaid = None;
            self.say(&mut chunk, began.min(ts));
            self.chunk = Some(chunk);
        }
        if self.sieve.is_some() { self.sift(&event, ts) } else { self.put(event, ts, true) }
    }

    /// Writes an event with time stamp `ts` into the current buffer, after the filter. One that is not wanted is there for names.
    #[inline]
    fn put(&mut self, event: RawEvent<'_>, ts: u64, is_wanted: bool) -> Result<(), OutputError> {
        let Some(chunk) = &mut self.chunk else { return Ok(()) };
        let late = event.late && ts < self.latest_in_file;
        let ty = self.counts.add(event.bytes, &mut self.judge, is_wanted);
        self.ledger.write(late);
        if self.sieve.is_none() {
            self.ledger.take(event.cpu, ty);
            containers::see_event(&mut self.containers, &event, ty);
        }
        if let Some(test) = &mut self.expected {
            test.look(event.bytes, self.counts.total);
        }
        let raw = time_stamp(event.bytes);
        self.latest = self.latest.max(ts);
        self.latest_in_file = self.latest_in_file.max(ts);
        let before = chunk.bytes.len();
        let mut redacted = 0;
        for part in event.parts() {
            let part = match &mut self.redaction {
                Some(redaction) => redaction.part(part, &mut redacted),
                None => part,
            };
            let start = chunk.bytes.len();
            match is_wanted {
                true => frame_event(&mut chunk.bytes, event.cpu, part),
                // Its time is right already.
                false => frame_for_names(&mut chunk.bytes, event.cpu, part),
            }
            if ts != raw {
                set_event_time(&mut chunk.bytes[start..], ts);
            }
        }
        self.redaction.iter_mut().for_each(|redaction| redaction.count(redacted));
        chunk.events += 1;
        chunk.late += u64::from(late);
        let size = chunk.bytes.len() - before;
        if let Some(rotor) = &mut self.rotor {
            rotor.count(size);
        }
        // The next event is often about this long. A longer one grows the buffer.
        if chunk.room() < size.max(4096) { self.flush() } else { Ok(()) }
    }

    /// Ends the file: later events go to the next one. A gap goes into the file during which it began.
    fn cut(&mut self, probe: &Loaded, at: u64) -> Result<(), OutputError> {
        self.settle(true)?;
        let (end, now) = (self.latest, self.clock.now());
        if let Some(gap) = self.ledger.gap_before(probe, end, now) {
            self.note(gap);
        }
        let began = |(at, notice): &(u64, Notice)| match notice {
            Notice::Gap(gap) => gap.from <= end,
            _ => *at <= end,
        };
        let (told, later): (VecDeque<_>, _) = self.notices.drain(..).partition(began);
        self.notices = later;
        for (_, notice) in told {
            self.write_notice(notice, end)?;
        }
        self.flush()?;
        self.latest_in_file = 0;
        self.unsaid = Some(at.max(end));
        let beside = self.beside(probe);
        let Some(rotor) = &mut self.rotor else { return Ok(()) };
        let cut = rotor.cut(at.max(end), now, beside);
        self.writer.cut(cut)
    }

    /// Requests the next file of a series as soon as possible; returns false if there is no series.
    pub fn ask_rotation(&mut self) -> bool {
        self.rotor.as_mut().map(Rotor::ask).is_some()
    }

    /// Returns whether the requested rotation is done.
    pub fn has_rotated(&self) -> bool {
        self.rotor.as_ref().is_none_or(|rotor| rotor.is_settled(&self.writer))
    }

    fn set_backlog(&mut self, active: &Active, backlog: bool) -> Result<(), ProbeError> {
        self.backlog = backlog;
        active.probe().control().set_backlog(backlog);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), OutputError> {
        if let Some(chunk) = &mut self.chunk {
            chunk.latest = chunk.latest.max(self.latest);
        }
        match (self.chunk.take_if(|chunk| !chunk.bytes.is_empty()), &mut self.waiting) {
            (Some(chunk), Some(waiting)) => waiting.push(chunk),
            (Some(chunk), None) => self.writer.submit(chunk)?,
            (None, _) => {}
        }
        if let Some(rotor) = &mut self.rotor {
            rotor.look(&self.writer);
        }
        self.since = Instant::now();
        Ok(())
    }

    /// Returns whether the event limit is reached.
    pub fn is_full(&self) -> bool {
        self.limits.events.is_some_and(|limit| self.counts.asked >= limit)
    }

    /// Returns the number of events taken so far.
    pub fn events(&self) -> u64 {
        self.counts.total
    }

    /// Returns what has reached the output so far.
    pub fn progress(&self) -> WriterProgress {
        self.writer.progress()
    }

    /// Returns the counts of the events taken so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Returns the ledger of the events taken so far.
    pub fn ledger(&self) -> &LossLedger {
        &self.ledger
    }

    /// Writes the remaining events and notices, then the verdict.
    pub fn end(&mut self, probe: &Loaded) -> Result<(), OutputError> {
        if let Some(gap) = self.ledger.last_gap(probe, self.clock.now()) {
            self.note(gap);
        }
        self.settle(false)?;
        self.tell_last_containers()?;
        let left = self.ledger.verdict(probe, self.counts.total, self.left_out(), self.pending()).unread;
        if left > 0 && !self.is_full() {
            let mut gap = Gap { from: self.latest, to: self.clock.now(), ..Gap::default() };
            gap.losses.add(Cause::Backlog, left);
            self.note(gap);
        }
        let last = self.notices.back().map_or(self.latest, |(ts, _)| *ts).max(self.clock.now());
        while let Some((at, notice)) = self.notices.pop_front() {
            self.write_notice(notice, at)?;
        }
        self.say_beside(probe, true);
        self.flush()?;
        self.writer.end(self.verdict(probe), last)
    }

    /// Closes the file.
    pub fn close(&mut self) -> Result<OutputTotals, OutputError> {
        self.writer.close()
    }

    /// Lifts the rate limit.
    pub fn at_full_speed(&mut self) {
        self.limits.rate = None;
    }

    /// Returns the name of the output.
    pub fn target(&self) -> &str {
        &self.target
    }
}

/// Returns the size of the blocks of an event and those that extend it.
#[inline]
fn size(event: &RawEvent<'_>) -> usize {
    event.parts().map(|part| event_block_len(part.len())).sum()
}

#[cfg(test)]
mod container_tests;
#[cfg(test)]
mod tests;
