//! From the probe to the writer: events become blocks in the writer's buffers.

use std::{
    collections::VecDeque,
    thread,
    time::{Duration, Instant},
};

use super::ledger::Ledger;
use crate::{
    ledger::{self, Cause, Gap, Verdict},
    output::{Chunk, OutputError, Progress, Totals, WriterThread},
    probe::{Active, Loaded, ProbeError},
    scap::{event_block_len, frame_event},
};

/// Events taken in one step, so that the caller gets to look at its clock.
const STEP: usize = 1 << 16;

/// Events that were taken, as far as the ledger does not count them.
#[derive(Debug, Clone)]
pub struct Counts {
    /// Generic exit events by the call's stable code.
    pub generic: Vec<u64>,
    /// Events altogether.
    pub total: u64,
}

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
    /// Notices that are to stand behind the events up to a time.
    notices: VecDeque<(u64, Vec<u8>)>,
    /// The latest time stamp that was written.
    latest: u64,
    /// No buffer was free.
    backlog: bool,
}

/// When to stop, and how fast to go.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Events to take.
    pub events: Option<u64>,
    /// Events to take in a second: a recorder that is too slow, for tests.
    pub rate: Option<u64>,
    /// A buffer goes to the output at this age, full or not.
    pub flush: Duration,
}

impl Drain {
    pub fn new(
        mut writer: WriterThread,
        target: &str,
        limits: Limits,
        probe: &Loaded,
    ) -> Result<Drain, OutputError> {
        let state = Some(writer.take()?);
        let counts = Counts { generic: vec![0; 1 << 10], total: 0 };
        Ok(Drain {
            writer,
            target: target.to_owned(),
            state,
            chunk: None,
            waiting: Some(Vec::new()),
            since: Instant::now(),
            counts,
            limits,
            ledger: Ledger::new(probe),
            notices: VecDeque::new(),
            latest: 0,
            backlog: false,
        })
    }

    /// Writes what stands before the first event, and the events that have come since.
    pub fn start(&mut self, state: &[u8]) -> Result<(), OutputError> {
        if let Some(mut chunk) = self.state.take() {
            chunk.bytes.extend_from_slice(state);
            self.writer.submit(chunk)?;
        }
        for chunk in self.waiting.take().into_iter().flatten() {
            self.writer.submit(chunk)?;
        }
        Ok(())
    }

    /// Takes what events there are: how many. Events stay in the rings while the disk is behind.
    pub fn step(&mut self, active: &mut Active) -> anyhow::Result<usize> {
        if let Some(gap) = self.ledger.look(active.probe()) {
            self.note(&gap);
        }
        let took = self.take_events(active)?;
        if self.since.elapsed() >= self.limits.flush {
            self.flush()?;
        }
        if let (Some(rate), true) = (self.limits.rate, took > 0) {
            thread::sleep(Duration::from_secs_f64(took as f64 / rate.max(1) as f64));
        }
        Ok(took)
    }

    fn take_events(&mut self, active: &mut Active) -> anyhow::Result<usize> {
        let step = self.limits.rate.map_or(STEP, |rate| (rate / 100).clamp(1, STEP as u64) as usize);
        for took in 0..step {
            if self.is_full() {
                return Ok(took);
            }
            let had_none = self.chunk.is_none();
            let Some(chunk) = next_chunk(&mut self.chunk, &mut self.writer)? else {
                self.set_backlog(active, true)?;
                return Ok(took);
            };
            if had_none {
                self.since = Instant::now();
            }
            if self.backlog {
                self.set_backlog(active, false)?;
                continue;
            }
            let Some(event) = active.next_event() else { return Ok(took) };
            let (ts, ty) = self.counts.add(event.bytes);
            self.ledger.take(event.cpu, ty, event.late);
            while self.notices.front().is_some_and(|(after, _)| *after < ts) {
                let Some((_, notice)) = self.notices.pop_front() else { break };
                frame_event(&mut chunk.bytes, 0, &notice);
            }
            self.latest = self.latest.max(ts);
            frame_event(&mut chunk.bytes, event.cpu, event.bytes);
            chunk.events += 1;
            // The next event is often as long as this one; a longer one may still go in.
            if chunk.room() < event_block_len(event.bytes.len()).max(4096) {
                self.flush()?;
            }
        }
        Ok(step)
    }

    fn set_backlog(&mut self, active: &Active, backlog: bool) -> Result<(), ProbeError> {
        self.backlog = backlog;
        active.probe().control()?.set_backlog(backlog);
        Ok(())
    }

    /// Has a gap's notice written behind the events of its time.
    fn note(&mut self, gap: &Gap) {
        // What came while the gap before was being counted is in that one.
        if gap.losses.sum() == 0 {
            return;
        }
        let ts = gap.to.max(self.latest);
        self.notices.push_back((ts, ledger::notice(ledger::GAP, &gap.text(), ts)));
    }

    fn flush(&mut self) -> Result<(), OutputError> {
        match (self.chunk.take_if(|chunk| !chunk.bytes.is_empty()), &mut self.waiting) {
            (Some(chunk), Some(waiting)) => waiting.push(chunk),
            (Some(chunk), None) => self.writer.submit(chunk)?,
            (None, _) => {}
        }
        self.since = Instant::now();
        Ok(())
    }

    /// Whether the limit of events is reached.
    pub fn is_full(&self) -> bool {
        self.limits.events.is_some_and(|limit| self.counts.total >= limit)
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
        if let Some(gap) = self.ledger.last_gap(probe) {
            self.note(&gap);
        }
        let left = self.ledger.verdict(probe, self.counts.total).unread;
        if left > 0 && !self.is_full() {
            let mut gap = Gap { from: self.latest, to: probe.now(), ..Gap::default() };
            gap.losses.add(Cause::Backlog, left);
            self.note(&gap);
        }
        let mut chunk = match self.chunk.take() {
            Some(chunk) => chunk,
            None => self.writer.take()?,
        };
        let last = self.notices.back().map_or(self.latest, |(ts, _)| *ts).max(probe.now());
        let verdict = ledger::notice(ledger::VERDICT, &self.verdict(probe).text(), last);
        for notice in self.notices.drain(..).map(|(_, notice)| notice).chain([verdict]) {
            frame_event(&mut chunk.bytes, 0, &notice);
        }
        self.chunk = Some(chunk);
        self.flush()
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

fn next_chunk<'a>(
    chunk: &'a mut Option<Chunk>,
    writer: &mut WriterThread,
) -> Result<Option<&'a mut Chunk>, OutputError> {
    if chunk.is_none() {
        *chunk = writer.try_take()?;
    }
    Ok(chunk.as_mut())
}

impl Counts {
    /// Its time stamp and its type. Offsets as in include/scap_event.h.
    #[inline]
    fn add(&mut self, event: &[u8]) -> (u64, usize) {
        self.total += 1;
        let word = |at: usize| event.get(at..at + 2).map_or(0, |b| u16::from_ne_bytes([b[0], b[1]]).into());
        let ty: usize = word(20);
        if ty == 1 {
            // The first parameter, behind two lengths.
            if let Some(count) = self.generic.get_mut(word(30)) {
                *count += 1;
            }
        }
        (event.first_chunk().map_or(0, |ts| u64::from_ne_bytes(*ts)), ty)
    }
}
