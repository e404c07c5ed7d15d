//! The file of a series that is being written.

use std::time::Instant;

use sha2::{Digest, Sha256};

use super::partial::Partial;
use crate::output::{Output, OutputError, chunk::Chunk};
use scap::{
    format::frame_event,
    ledger::{self, Verdict},
};

/// The current file.
#[derive(Debug)]
pub struct Current {
    pub output: Output,
    pub partial: Partial,
    /// The balance of what is safely in the file.
    pub balance: Verdict,
    pub began: u64,
    pub opened: Instant,
    pub looked: Instant,
    pub sum: Option<Sha256>,
    /// Bytes before the first event.
    pub state: u64,
}

/// A chunk that is not safely in the file yet.
#[derive(Debug)]
pub struct HeldChunk {
    pub chunk: Chunk,
    /// Uncompressed bytes of the file up to the end of this chunk, once it is accepted.
    pub end: Option<u64>,
    /// Made here: a machine state or a balance, which belongs to one file only.
    pub own: bool,
}

impl Current {
    /// Hands a chunk to the output. On an error, the output cuts off what was not safely in the file.
    pub fn put(&mut self, held: &mut HeldChunk) -> Result<(), OutputError> {
        let chunk = &mut held.chunk;
        if held.own
            && let Some((packer, _)) = &mut self.output.packer
        {
            packer.pack(&chunk.bytes, &mut chunk.packed).map_err(|e| self.output.error(e))?;
        }
        let bytes = if self.output.packer.is_some() { &chunk.packed } else { &chunk.bytes };
        self.output.put(bytes, chunk.bytes.len(), chunk.events)?;
        if let Some(sum) = &mut self.sum {
            sum.update(bytes);
        }
        let accepted = self.output.accepted();
        held.end = Some(accepted.bytes_in);
        if accepted.events == 0 {
            self.state = accepted.bytes_out;
        }
        Ok(())
    }

    /// Counts a chunk that is safely in the file.
    pub fn settle(&mut self, chunk: &Chunk) {
        self.balance.written += chunk.events;
        self.balance.late += chunk.late;
        chunk.losses.iter().for_each(|(cause, count)| self.balance.losses.add(cause, count));
    }
}

/// Builds the chunk that ends a file: its balance, at a time in ns since the epoch.
pub fn notice(verdict: &Verdict, at: u64) -> Chunk {
    let mut bytes = Vec::new();
    frame_event(&mut bytes, 0, &ledger::notice(ledger::VERDICT, &verdict.text(), at));
    Chunk::of(bytes)
}

/// Appends the notice of the selected events, or of the filter, at a time in ns since the epoch.
pub fn repeated_notice(bytes: &mut Vec<u8>, id: &str, text: &str, at: u64) {
    frame_event(bytes, 0, &ledger::notice(id, text, at));
}
