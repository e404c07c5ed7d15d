//! From the probe to the writer: events become blocks in the writer's buffers.

mod counts;

use std::{
    collections::VecDeque,
    thread,
    time::{Duration, Instant},
};

pub use counts::Counts;

use super::{clock::Clock, ledger::Ledger, rotor::Rotor, self_test::SelfTest, state::Scan};
use crate::{
    clocks::Machine,
    ledger::{self, Cause, Gap, Notice, Verdict},
    output::{Chunk, OutputError, Progress, Rotation, Totals, WriterThread},
    probe::{Active, Loaded, ProbeError, RawEvent},
    scap::{event_block_len, frame_event, set_event_time},
    select::{Asked, Judge},
};

/// Events taken in one step, so that the caller gets to look at its clock.
const STEP: usize = 1 << 16;

/// The way from the probe to the writer.
pub struct Drain {
    writer: WriterThread,
    target: String,
    /// Kept free for the state of the machine.
    state: Option<Chunk>,
    chunk: Option<Chunk>,
    /// Full buffers that wait for the state of the machine to be written first.
    waiting: Option<Vec<Chunk>>,
    since: Instant,
    counts: Counts,
    limits: Limits,
    ledger: Ledger,
    /// What all times below come from.
    clock: Clock,
    /// Told when the clock says otherwise when the machine was started.
    scan: Scan,
    /// The latest time stamp that was taken, as the program made it; whether the rings were empty then.
    taken: u64,
    drained: bool,
    /// What is to stand behind the events up to a time, in the order of these times.
    notices: VecDeque<(u64, Notice)>,
    /// Which of the events that come next were asked for.
    judge: Judge,
    /// What each file is to say of that, unless it is everything.
    selected: Option<Asked>,
    /// When the file began, if it does not say so yet.
    unsaid: Option<u64>,
    /// The latest time stamp that was written; and into this file.
    latest: u64,
    latest_in_file: u64,
    /// Where files end, if there is a series of them.
    rotor: Option<Rotor>,
    /// No buffer was free.
    backlog: bool,
    /// The event of the self-test, until it has reached the output.
    expected: Option<SelfTest>,
}

/// When to stop, and how fast to go.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Events to take that were asked for.
    pub events: Option<u64>,
    /// Events to take in a second: a recorder that is too slow, for tests.
    pub rate: Option<u64>,
    /// When a file ends; `None`: there is one.
    pub rotation: Option<Rotation>,
    /// The files are compressed.
    pub compressed: bool,
    /// A buffer goes to the output at this age, full or not.
    pub flush: Duration,
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
            ledger: Ledger::new(cpus, now),
            clock: Clock::new(Machine::new(), boot_time),
            scan,
            taken: 0,
            drained: false,
            notices: VecDeque::new(),
            judge: Judge::default(),
            selected: None,
            unsaid: None,
            latest: 0,
            latest_in_file: 0,
            rotor: limits.rotation.map(|r| Rotor::new(r, limits.compressed, now)),
            backlog: false,
            expected: None,
        })
    }

    /// Looks out for the event of a self-test from now on.
    pub fn look_for(&mut self, test: Option<SelfTest>) {
        self.expected = test;
    }

    /// The self-test whose event has not reached the output yet, if there is one.
    pub fn expected(&mut self) -> Option<&SelfTest> {
        let written = self.writer.progress().events();
        if self.expected.as_ref().is_some_and(|test| test.has_arrived(written)) {
            self.expected = None;
        }
        self.expected.as_ref()
    }

    /// Has the file say what was asked for, before its first event. To be called before there is one; `began` is when the
    /// gate was opened.
    pub fn say_what_is_asked(&mut self, asked: Asked, began: u64) {
        self.judge = Judge::new(asked);
        self.selected = Some(asked).filter(|_| self.judge.is_strict());
        self.unsaid = Some(began);
    }

    /// Something else is asked for since `at`, a time of the probe.
    pub fn change_what_is_asked(&mut self, asked: Asked, at: u64) {
        self.put_notice(self.clock.adjust(at), Notice::Selected(asked));
    }

    /// Writes what stands before the first event, and the events that have come since.
    pub fn start(&mut self, state: &[u8]) -> Result<(), OutputError> {
        if let Some(rotor) = &mut self.rotor {
            rotor.started(state.len() as u64);
        }
        if let Some(mut chunk) = self.state.take() {
            chunk.bytes.extend_from_slice(state);
            if let (Some(asked), Some(began)) = (&self.selected, self.unsaid.take()) {
                let block = write_selected(&mut chunk, asked, began);
                self.rotor.iter_mut().for_each(|rotor| rotor.count_notice(block));
            }
            self.writer.submit(chunk)?;
        }
        for chunk in self.waiting.take().into_iter().flatten() {
            self.writer.submit(chunk)?;
        }
        Ok(())
    }

    /// Takes what events there are: how many. Events stay in the rings while the disk is behind.
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
            if !self.has_chunk()? {
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
            let block = event_block_len(event.bytes.len());
            let cut = self.rotor.as_mut().and_then(|rotor| rotor.before(ts, block, &self.writer));
            if let Some(at) = cut {
                // The event lies in a ring, which the cut looks at.
                let (cpu, late, bytes) = (event.cpu, event.late, event.bytes.to_vec());
                self.cut(active.probe(), at)?;
                self.chunk = Some(self.writer.take_or_make()?);
                self.write(RawEvent { cpu, late, bytes: &bytes }, ts)?;
            } else {
                self.write(event, ts)?;
            }
        }
        Ok(step)
    }

    /// Whether there is a buffer for events.
    fn has_chunk(&mut self) -> Result<bool, OutputError> {
        if self.chunk.is_none() {
            self.chunk = self.writer.try_take()?;
            self.since = Instant::now();
        }
        Ok(self.chunk.is_some())
    }

    /// Writes an event of this time into the buffer that there is.
    #[inline]
    fn write(&mut self, event: RawEvent<'_>, ts: u64) -> Result<(), OutputError> {
        while self.notices.front().is_some_and(|(after, _)| *after < ts) {
            let Some((at, notice)) = self.notices.pop_front() else { break };
            self.write_notice(notice, at)?;
        }
        let Some(chunk) = &mut self.chunk else { return Ok(()) };
        // Events that came before the state of the machine was read stand behind it, and its notice.
        if let (Some(began), None) = (self.unsaid, &self.waiting) {
            self.unsaid = None;
            if let Some(asked) = &self.selected {
                let block = write_selected(chunk, asked, began.min(ts));
                self.rotor.iter_mut().for_each(|rotor| rotor.count_notice(block));
            }
        }
        let late = event.late && ts < self.latest_in_file;
        let ty = self.counts.add(event.bytes, &mut self.judge);
        self.ledger.take(event.cpu, ty, late);
        if let Some(test) = &mut self.expected {
            test.look(event.bytes, self.counts.total);
        }
        let raw = time_stamp(event.bytes);
        self.taken = self.taken.max(raw);
        self.latest = self.latest.max(ts);
        self.latest_in_file = self.latest_in_file.max(ts);
        let start = chunk.bytes.len();
        frame_event(&mut chunk.bytes, event.cpu, event.bytes);
        if ts != raw {
            set_event_time(&mut chunk.bytes[start..], ts);
        }
        chunk.events += 1;
        chunk.late += u64::from(late);
        let block = event_block_len(event.bytes.len());
        if let Some(rotor) = &mut self.rotor {
            rotor.count(block);
        }
        // The next event is often as long as this one; a longer one may still go in.
        if chunk.room() < block.max(4096) { self.flush() } else { Ok(()) }
    }

    fn write_notice(&mut self, notice: Notice, at: u64) -> Result<(), OutputError> {
        let mut chunk = match self.chunk.take() {
            Some(chunk) => chunk,
            None => self.writer.take_or_make()?,
        };
        match notice {
            Notice::Selected(asked) => {
                let block = write_selected(&mut chunk, &asked, at);
                self.rotor.iter_mut().for_each(|rotor| rotor.count_notice(block));
                self.judge = Judge::new(asked);
                self.selected = Some(asked).filter(|_| self.judge.is_strict());
                self.unsaid = None;
            }
            notice => {
                frame_event(&mut chunk.bytes, 0, &ledger::notice(notice.id(), &notice.text(), at));
                if let Notice::Gap(gap) = notice {
                    gap.losses.iter().for_each(|(cause, count)| chunk.losses.add(cause, count));
                }
            }
        }
        self.chunk = Some(chunk);
        Ok(())
    }

    /// Ends the file: what comes is for the next one. A gap goes into the file in whose time it began.
    fn cut(&mut self, probe: &Loaded, at: u64) -> Result<(), OutputError> {
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
        let Some(rotor) = &mut self.rotor else { return Ok(()) };
        let cut = rotor.cut(at.max(end), now, self.ledger.beside(probe));
        self.writer.cut(cut)
    }

    /// Has a file of a series end as soon as may be; false if there is no series.
    pub fn ask_rotation(&mut self) -> bool {
        self.rotor.as_mut().map(Rotor::ask).is_some()
    }

    /// Whether the file that was asked for is there.
    pub fn has_rotated(&self) -> bool {
        self.rotor.as_ref().is_none_or(|rotor| rotor.is_settled(&self.writer))
    }

    fn set_backlog(&mut self, active: &Active, backlog: bool) -> Result<(), ProbeError> {
        self.backlog = backlog;
        active.probe().control().set_backlog(backlog);
        Ok(())
    }

    /// Has a gap's notice written behind the events of its time.
    fn note(&mut self, gap: Gap) {
        // What came while the gap before was being counted is in that one.
        if gap.losses.sum() > 0 {
            self.put_notice(gap.to, Notice::Gap(gap));
        }
    }

    /// Has a notice written behind the events up to a time, and behind the notices before it.
    fn put_notice(&mut self, at: u64, notice: Notice) {
        let last = self.notices.back().map_or(0, |(at, _)| *at);
        self.notices.push_back((at.max(last).max(self.latest), notice));
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

    /// Whether the limit of events is reached.
    pub fn is_full(&self) -> bool {
        self.limits.events.is_some_and(|limit| self.counts.asked >= limit)
    }

    /// Events taken so far.
    pub fn events(&self) -> u64 {
        self.counts.total
    }

    /// What has reached the output so far.
    pub fn progress(&self) -> Progress {
        self.writer.progress()
    }

    /// What the file says of itself if it ends here.
    pub fn verdict(&self, probe: &Loaded) -> Verdict {
        self.judge(probe, self.counts.total, Cause::Backlog)
    }

    /// The same, of what has reached the output.
    pub fn verdict_of_output(&self, probe: &Loaded) -> Verdict {
        self.judge(probe, self.writer.progress().events(), Cause::Disk)
    }

    /// What was left in the rings, and no limit was reached, is lost.
    fn judge(&self, probe: &Loaded, written: u64, left: Cause) -> Verdict {
        let mut verdict = self.ledger.verdict(probe, written);
        if !self.is_full() {
            verdict.losses.add(left, std::mem::take(&mut verdict.unread));
        }
        verdict
    }

    /// What was taken so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The ledger of what was taken so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Writes the rest, the last notices among it.
    pub fn end(&mut self, probe: &Loaded) -> Result<(), OutputError> {
        if let Some(gap) = self.ledger.last_gap(probe, self.clock.now()) {
            self.note(gap);
        }
        let left = self.ledger.verdict(probe, self.counts.total).unread;
        if left > 0 && !self.is_full() {
            let mut gap = Gap { from: self.latest, to: self.clock.now(), ..Gap::default() };
            gap.losses.add(Cause::Backlog, left);
            self.note(gap);
        }
        let last = self.notices.back().map_or(self.latest, |(ts, _)| *ts).max(self.clock.now());
        while let Some((at, notice)) = self.notices.pop_front() {
            self.write_notice(notice, at)?;
        }
        self.flush()?;
        self.writer.end(self.verdict(probe), last)
    }

    /// Closes the file.
    pub fn close(&mut self) -> Result<Totals, OutputError> {
        self.writer.close()
    }

    /// From now on events are taken as fast as they can be.
    pub fn at_full_speed(&mut self) {
        self.limits.rate = None;
    }

    /// What is written to.
    pub fn target(&self) -> &str {
        &self.target
    }
}

/// Writes the notice of what was asked for; returns the size of its block.
fn write_selected(chunk: &mut Chunk, asked: &Asked, at: u64) -> usize {
    let (text, before) = (asked.to_string(), chunk.bytes.len());
    frame_event(&mut chunk.bytes, 0, &ledger::notice(ledger::SELECTED, &text, at));
    chunk.latest = chunk.latest.max(at);
    chunk.selected = Some(if asked.is_everything() { String::new() } else { text });
    chunk.bytes.len() - before
}

/// The first field of an event.
#[inline]
fn time_stamp(event: &[u8]) -> u64 {
    event.first_chunk().map_or(0, |ts| u64::from_ne_bytes(*ts))
}

#[cfg(test)]
mod tests;
