//! The thread that writes dumps, one after the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::Receiver,
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    dump::{Dump, Next},
    status::Report,
};
use crate::output::{OutputError, Shelf, ShelfFile};

/// How often a wait looks whether the recording ends.
const LOOK: Duration = Duration::from_millis(50);

/// The thread's own state.
pub struct Writer {
    pub shelf: Arc<Shelf>,
    pub report: Report,
    /// The recording ends.
    pub closing: Arc<AtomicBool>,
}

/// The file of a dump, as far as it is written.
struct Draft {
    file: ShelfFile,
    /// The next segment.
    next: usize,
    /// Where each segment ends that was put into the file: its number, and the bytes of the file up to there.
    ends: Vec<(usize, u64)>,
    /// Bytes of all that was put into the file.
    put: u64,
}

/// Why a dump is given up that the window has closed.
const NO_MEMORY: &str = "the memory of the window was used up while it could not be written";

/// How a dump ended.
enum Outcome {
    Whole(u64),
    GivenUp(String),
}

impl Writer {
    /// Writes dumps until none can come any more.
    pub fn run(&self, dumps: &Receiver<Arc<Dump>>) {
        while let Ok(dump) = dumps.recv() {
            let outcome = self.write(&dump);
            dump.close();
            match outcome {
                Outcome::Whole(bytes) => self.report.change(|status| {
                    status.written += 1;
                    status.written_bytes += bytes;
                }),
                Outcome::GivenUp(why) => {
                    self.report.change(|status| status.failed += 1);
                    tracing::error!("a dump was given up: {why}");
                }
            }
        }
    }

    /// Writes a dump, however often that takes.
    fn write(&self, dump: &Dump) -> Outcome {
        let mut draft = None;
        let mut is_waiting = false;
        let mut closing_since = None;
        let outcome = loop {
            let error = match self.try_write(dump, &mut draft) {
                Ok(outcome) => break outcome,
                Err(error) => error,
            };
            if !std::mem::replace(&mut is_waiting, true) {
                self.shelf.set_waiting(true);
                tracing::warn!(
                    "{}; the dump waits in memory, as long as there is room for it",
                    Shelf::explain(&error)
                );
            }
            if dump.is_over() {
                break Outcome::GivenUp(format!("{NO_MEMORY}: {}", Shelf::explain(&error)));
            }
            if !self.shelf.may_recover(&error) {
                break Outcome::GivenUp(Shelf::explain(&error));
            }
            if let Err(why) = self.start_over(dump, &mut draft, &error) {
                break Outcome::GivenUp(why);
            }
            if !self.pause(&mut closing_since) {
                break Outcome::GivenUp(format!("the recording ends, and {}", Shelf::explain(&error)));
            }
        };
        if is_waiting {
            self.shelf.set_waiting(false);
        }
        if let Some(Draft { file, .. }) = draft {
            // What can be read of it may be of use, unless it is only a state.
            if dump.first() > 0 {
                self.shelf.give_up(file, (dump.began, dump.at));
            } else {
                self.shelf.discard(file);
            }
        }
        outcome
    }

    /// Makes the next attempt go on in the same file, where the disk is only full, or in a new one.
    fn start_over(&self, dump: &Dump, draft: &mut Option<Draft>, error: &OutputError) -> Result<(), String> {
        let Some(mut begun) = draft.take() else { return Ok(()) };
        if matches!(error, OutputError::NoSpace { .. }) {
            // The file was cut off behind what is safely in it.
            let settled = begun.file.settled();
            begun.ends.retain(|(_, end)| *end <= settled);
            begun.next = begun.ends.last().map_or(0, |(number, _)| number + 1);
            begun.put = settled;
            *draft = Some(begun);
            return Ok(());
        }
        if dump.first() > 0 {
            *draft = Some(begun);
            return Err(format!("{}, and a part of it is no longer in memory", Shelf::explain(error)));
        }
        self.shelf.discard(begun.file);
        dump.settle(0);
        Ok(())
    }

    fn try_write(&self, dump: &Dump, draft: &mut Option<Draft>) -> Result<Outcome, OutputError> {
        if draft.is_none() {
            let file = self.shelf.begin(dump.at)?;
            *draft = Some(Draft { file, next: 0, ends: Vec::new(), put: 0 });
        }
        if let Some(begun) = draft
            && begun.put == 0
        {
            begun.put(&self.shelf, &dump.state, 0)?;
        }
        loop {
            let Some(begun) = draft else { return Ok(Outcome::GivenUp("it has no file".to_owned())) };
            match dump.next(begun.next, LOOK) {
                Next::Segment(segment) => {
                    begun.put(&self.shelf, &segment.blocks(), segment.events())?;
                    begun.ends.push((begun.next, begun.put));
                    begun.next += 1;
                    begun.settle(dump);
                }
                Next::End(balance, at) => {
                    let Some(begun) = draft.take() else { continue };
                    let Draft { file, next, ends, put } = begun;
                    let bytes = file.bytes();
                    return match self.shelf.close(file, balance, None, (dump.began, at)) {
                        Ok(()) => Ok(Outcome::Whole(bytes)),
                        Err(failed) => {
                            let (file, error) = *failed;
                            *draft = Some(Draft { file, next, ends, put });
                            Err(error)
                        }
                    };
                }
                Next::Nothing => {}
                Next::GivenUp => {
                    return Ok(Outcome::GivenUp(NO_MEMORY.to_owned()));
                }
            }
        }
    }

    /// Waits before another attempt; returns false if the recording has been ending for too long.
    fn pause(&self, closing_since: &mut Option<Instant>) -> bool {
        let until = Instant::now() + Shelf::RETRY;
        while Instant::now() < until {
            if self.closing.load(Ordering::Relaxed)
                && closing_since.get_or_insert_with(Instant::now).elapsed() >= Shelf::PATIENCE
            {
                return false;
            }
            thread::sleep(LOOK);
        }
        true
    }
}

impl Draft {
    fn put(&mut self, shelf: &Shelf, blocks: &[u8], events: u64) -> Result<(), OutputError> {
        shelf.put(&mut self.file, blocks, events)?;
        self.put += blocks.len() as u64;
        Ok(())
    }

    fn settle(&self, dump: &Dump) {
        let settled = self.file.settled();
        let written = self.ends.partition_point(|(_, end)| *end <= settled);
        dump.settle(written.checked_sub(1).map_or(0, |last| self.ends[last].0 + 1));
    }
}
