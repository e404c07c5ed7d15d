//! What the writer's thread writes to: a single output, or the files of a series.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64},
};

use super::{
    Output, OutputError, OutputTotals, Target,
    chunk::Chunk,
    series::{FileCut, Files, Position, SeriesReport},
};
use scap::{
    format::frame_event,
    ledger::{self, Verdict},
};

/// What a [`WriterThread`](super::WriterThread) writes to.
#[derive(Debug)]
pub enum Destination {
    /// A single output: an error ends it.
    Single(Box<Output>),
    /// A series of files.
    Series(Box<Files>),
}

impl From<Output> for Destination {
    fn from(output: Output) -> Self {
        Destination::Single(Box::new(output))
    }
}

impl From<Files> for Destination {
    fn from(files: Files) -> Self {
        Destination::Series(Box::new(files))
    }
}

impl Destination {
    /// Returns the target; for a series, the pattern of the names.
    pub fn target(&self) -> Target {
        match self {
            Destination::Single(output) => output.target().clone(),
            Destination::Series(files) => files.target(),
        }
    }

    pub(super) fn is_compressed(&self) -> bool {
        match self {
            Destination::Single(output) => output.packer.is_some(),
            Destination::Series(files) => files.is_compressed(),
        }
    }

    /// Returns the flag that stops the destination from waiting for the disk.
    pub(super) fn closing(&self) -> Arc<AtomicBool> {
        match self {
            Destination::Single(_) => Arc::default(),
            Destination::Series(files) => files.closing(),
        }
    }

    /// Returns the flag that is set while the next file waits for the machine state.
    pub(super) fn scanning(&self) -> Arc<AtomicBool> {
        match self {
            Destination::Single(_) => Arc::default(),
            Destination::Series(files) => files.scanning(),
        }
    }

    /// Returns the count of bytes taken so far, if that depends on a reader.
    pub(super) fn taken(&self) -> Option<Arc<AtomicU64>> {
        match self {
            Destination::Single(output) => output.sink.taken(),
            Destination::Series(_) => None,
        }
    }

    pub(super) fn report(&self) -> Arc<SeriesReport> {
        match self {
            Destination::Single(_) => Arc::default(),
            Destination::Series(files) => files.report(),
        }
    }

    pub(super) fn totals(&self) -> OutputTotals {
        match self {
            Destination::Single(output) => output.totals(),
            Destination::Series(files) => files.totals(),
        }
    }

    pub(super) fn position(&self) -> Position {
        match self {
            Destination::Single(output) => {
                Position { files: 1, state: 0, bytes: output.accepted().bytes_out }
            }
            Destination::Series(files) => files.position(),
        }
    }

    /// Writes a chunk, and frees the chunks that are no longer needed.
    pub(super) fn put(&mut self, chunk: Chunk, free: &mut dyn FnMut(Chunk)) -> Result<(), OutputError> {
        match self {
            Destination::Single(output) => {
                let bytes = if output.packer.is_some() { &chunk.packed } else { &chunk.bytes };
                output.put(bytes, chunk.bytes.len(), chunk.events)?;
                free(chunk);
                Ok(())
            }
            Destination::Series(files) => files.put(chunk, free),
        }
    }

    pub(super) fn flush(&mut self, free: &mut dyn FnMut(Chunk)) -> Result<(), OutputError> {
        match self {
            Destination::Single(output) => output.flush(),
            Destination::Series(files) => files.flush(free),
        }
    }

    /// Switches a series to a new file.
    pub(super) fn next(&mut self, cut: FileCut, free: &mut dyn FnMut(Chunk)) -> Result<(), OutputError> {
        match self {
            Destination::Single(_) => Ok(()),
            Destination::Series(files) => files.next(cut, free),
        }
    }

    /// Writes the balance.
    pub(super) fn end(
        &mut self,
        verdict: &Verdict,
        at: u64,
        free: &mut dyn FnMut(Chunk),
    ) -> Result<(), OutputError> {
        match self {
            Destination::Single(output) => {
                let mut bytes = Vec::new();
                frame_event(&mut bytes, 0, &ledger::notice(ledger::VERDICT, &verdict.text(), at));
                output.write(&bytes, 0)
            }
            Destination::Series(files) => files.end(verdict, at, free),
        }
    }

    /// Ends without a balance. A single file does not get its name.
    pub(super) fn abandon(mut self) -> Result<OutputTotals, OutputError> {
        match &mut self {
            Destination::Single(output) => {
                output.flush()?;
                output.say_where();
                Ok(output.totals())
            }
            Destination::Series(_) => self.finish(),
        }
    }

    pub(super) fn finish(self) -> Result<OutputTotals, OutputError> {
        match self {
            Destination::Single(output) => output.finish(),
            Destination::Series(files) => files.finish(),
        }
    }
}
