//! From the probe to the writer: events become blocks in the writer's buffers.

use std::time::{Duration, Instant};

use crate::{
    events::EVENTS,
    output::{Chunk, OutputError, Totals, WriterThread},
    probe::Active,
    scap::{event_block_len, frame_event},
};

/// A buffer goes to the disk at this age, full or not.
const FLUSH: Duration = Duration::from_millis(250);
/// Events taken in one step, so that the caller gets to look at its clock.
const STEP: usize = 1 << 16;

/// Events of one kind, as the summary shows them.
#[derive(Debug, Clone)]
pub struct Counts {
    /// By event type.
    pub types: Vec<u64>,
    /// Generic exit events by the call's stable code.
    pub generic: Vec<u64>,
    /// Altogether.
    pub total: u64,
}

/// The way from the probe to the writer.
pub struct Drain {
    writer: WriterThread,
    /// Kept free for the state of the machine.
    state: Option<Chunk>,
    chunk: Option<Chunk>,
    /// Full buffers that wait for the state of the machine to be written first.
    waiting: Option<Vec<Chunk>>,
    since: Instant,
    counts: Counts,
    limit: Option<u64>,
}

impl Drain {
    pub fn new(mut writer: WriterThread, limit: Option<u64>) -> Result<Drain, OutputError> {
        let state = Some(writer.take()?);
        let counts = Counts { types: vec![0; EVENTS.len()], generic: vec![0; 1 << 10], total: 0 };
        let waiting = Some(Vec::new());
        Ok(Drain { writer, state, chunk: None, waiting, since: Instant::now(), counts, limit })
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

    /// Takes what events there are: whether there were any. Events stay in the rings while the disk is behind.
    pub fn step(&mut self, active: &mut Active) -> Result<bool, OutputError> {
        let mut took = false;
        for _ in 0..STEP {
            if self.is_full() {
                break;
            }
            let Some(chunk) = self.chunk()? else { break };
            let Some(event) = active.next_event() else { break };
            let len = event.bytes.len();
            frame_event(&mut chunk.bytes, event.cpu, event.bytes);
            chunk.events += 1;
            self.counts.add(event.bytes);
            took = true;
            let room = self.chunk.as_ref().map_or(0, Chunk::room);
            // The next event is often as long as this one; a longer one may still go in.
            if room < event_block_len(len).max(4096) {
                self.flush()?;
            }
        }
        if self.since.elapsed() >= FLUSH {
            self.flush()?;
        }
        Ok(took)
    }

    fn chunk(&mut self) -> Result<Option<&mut Chunk>, OutputError> {
        if self.chunk.is_none() {
            self.chunk = self.writer.try_take()?;
            self.since = Instant::now();
        }
        Ok(self.chunk.as_mut())
    }

    fn flush(&mut self) -> Result<(), OutputError> {
        match (self.chunk.take_if(|chunk| chunk.events > 0), &mut self.waiting) {
            (Some(chunk), Some(waiting)) => waiting.push(chunk),
            (Some(chunk), None) => self.writer.submit(chunk)?,
            (None, _) => {}
        }
        self.since = Instant::now();
        Ok(())
    }

    /// Whether the limit of events is reached.
    pub fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.counts.total >= limit)
    }

    /// Events taken so far.
    pub fn events(&self) -> u64 {
        self.counts.total
    }

    /// Bytes on the disk so far.
    pub fn bytes_out(&self) -> u64 {
        self.writer.progress().bytes_out()
    }

    /// Writes the rest and closes the file.
    pub fn finish(mut self) -> Result<(Counts, Totals), OutputError> {
        self.flush()?;
        Ok((self.counts, self.writer.finish()?))
    }
}

impl Counts {
    /// Offsets as in include/scap_event.h.
    fn add(&mut self, event: &[u8]) {
        self.total += 1;
        let word = |at: usize| event.get(at..at + 2).map_or(0, |b| u16::from_ne_bytes([b[0], b[1]]).into());
        let ty: usize = word(20);
        if let Some(count) = self.types.get_mut(ty) {
            *count += 1;
        }
        if ty == 1 {
            // The first parameter, behind two lengths.
            if let Some(count) = self.generic.get_mut(word(30)) {
                *count += 1;
            }
        }
    }
}
