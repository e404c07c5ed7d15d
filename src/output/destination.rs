//! What the writer's thread writes to: a single output, or the files of a series.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
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

/// Takes the chunks of a [`WriterThread`](super::WriterThread) in memory, and decides what is written of them.
pub trait ChunkSink: fmt::Debug + Send {
    /// Returns where what is written goes, for messages.
    fn target(&self) -> Target;

    /// Takes a chunk of whole blocks; it may take its memory, too.
    ///
    /// # Errors
    /// If nothing can be taken from now on.
    fn put(&mut self, chunk: &mut Chunk) -> Result<(), OutputError>;

    /// Called after each pause between chunks, and several times a second while none come.
    fn tick(&mut self);

    /// Nothing more comes; `at` is in ns since the epoch.
    fn end(&mut self, at: u64);

    /// Returns what was taken.
    fn totals(&self) -> OutputTotals;

    /// Returns the report on the files that are written.
    fn report(&self) -> Arc<SeriesReport>;

    /// Returns the number of files begun.
    fn files(&self) -> u64;

    /// Returns the flag that tells it not to wait for the disk any longer than briefly.
    fn closing(&self) -> Arc<AtomicBool>;

    /// Waits until what was to be written is written.
    fn finish(self: Box<Self>);
}

/// What a [`WriterThread`](super::WriterThread) writes to.
#[derive(Debug)]
pub enum Destination {
    /// A single output: an error ends it.
    Single(Box<Output>),
    /// A series of files.
    Series(Box<Files>),
    /// Something that decides itself.
    Sink(Box<dyn ChunkSink>),
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
            Destination::Sink(sink) => sink.target(),
        }
    }

    pub(super) fn is_compressed(&self) -> bool {
        match self {
            Destination::Single(output) => output.packer.is_some(),
            Destination::Series(files) => files.is_compressed(),
            Destination::Sink(_) => false,
        }
    }

    /// Returns the flag that stops the destination from waiting for the disk.
    pub(super) fn closing(&self) -> Arc<AtomicBool> {
        match self {
            Destination::Single(_) => Arc::default(),
            Destination::Series(files) => files.closing(),
            Destination::Sink(sink) => sink.closing(),
        }
    }

    /// Returns the flag that is set while the next file waits for the machine state.
    pub(super) fn scanning(&self) -> Arc<AtomicBool> {
        match self {
            Destination::Single(_) | Destination::Sink(_) => Arc::default(),
            Destination::Series(files) => files.scanning(),
        }
    }

    /// Returns the count of bytes taken so far, if that depends on a reader.
    pub(super) fn taken(&self) -> Option<Arc<AtomicU64>> {
        match self {
            Destination::Single(output) => output.sink.taken(),
            Destination::Series(_) | Destination::Sink(_) => None,
        }
    }

    /// Returns whether it has to be told the time while no chunks come.
    pub(super) fn takes_time(&self) -> bool {
        matches!(self, Destination::Sink(_))
    }

    pub(super) fn report(&self) -> Arc<SeriesReport> {
        match self {
            Destination::Single(_) => Arc::default(),
            Destination::Series(files) => files.report(),
            Destination::Sink(sink) => sink.report(),
        }
    }

    pub(super) fn totals(&self) -> OutputTotals {
        match self {
            Destination::Single(output) => output.totals(),
            Destination::Series(files) => files.totals(),
            Destination::Sink(sink) => sink.totals(),
        }
    }

    pub(super) fn position(&self) -> Position {
        match self {
            Destination::Single(output) => {
                Position { files: 1, state: 0, bytes: output.accepted().bytes_out }
            }
            Destination::Series(files) => files.position(),
            Destination::Sink(sink) => Position { files: sink.files(), ..Position::default() },
        }
    }

    /// Writes a chunk, and frees the chunks that are no longer needed.
    pub(super) fn put(&mut self, mut chunk: Chunk, free: &mut dyn FnMut(Chunk)) -> Result<(), OutputError> {
        match self {
            Destination::Single(output) => {
                let bytes = if output.packer.is_some() { &chunk.packed } else { &chunk.bytes };
                output.put(bytes, chunk.bytes.len(), chunk.events)?;
                free(chunk);
                Ok(())
            }
            Destination::Series(files) => files.put(chunk, free),
            Destination::Sink(sink) => {
                sink.put(&mut chunk)?;
                free(chunk);
                Ok(())
            }
        }
    }

    pub(super) fn flush(&mut self, free: &mut dyn FnMut(Chunk)) -> Result<(), OutputError> {
        match self {
            Destination::Single(output) => output.flush(),
            Destination::Series(files) => files.flush(free),
            Destination::Sink(sink) => {
                sink.tick();
                Ok(())
            }
        }
    }

    /// Switches a series to a new file.
    pub(super) fn next(&mut self, cut: FileCut, free: &mut dyn FnMut(Chunk)) -> Result<(), OutputError> {
        match self {
            Destination::Single(_) | Destination::Sink(_) => Ok(()),
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
            Destination::Sink(sink) => {
                sink.end(at);
                Ok(())
            }
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
            Destination::Series(_) | Destination::Sink(_) => self.finish(),
        }
    }

    pub(super) fn finish(self) -> Result<OutputTotals, OutputError> {
        match self {
            Destination::Single(output) => output.finish(),
            Destination::Series(files) => files.finish(),
            Destination::Sink(sink) => {
                let totals = sink.totals();
                sink.finish();
                Ok(totals)
            }
        }
    }
}
