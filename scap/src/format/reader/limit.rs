//! How much memory the state of a section may take.

use std::{io::Read, sync::atomic::Ordering::Relaxed};

use super::{
    super::{error::ReadError, input::Input, keep},
    COUNTED, Exceeded, Reader,
};

impl<R: Read> Reader<R> {
    /// Sets how much memory what is [kept](Reader::keep) of a section's state may take, in bytes. By default, this is 1 GiB,
    /// and of a compressed file no more than 64 MiB and 32 bytes for each byte that was read of the file.
    #[must_use]
    pub fn max_state(mut self, bytes: Option<u64>) -> Self {
        self.max_state = bytes;
        self
    }

    /// The memory that a state may take by now, in bytes: see [`max_state`](Reader::max_state).
    pub fn state_limit(&self) -> u64 {
        match (self.max_state, self.given()) {
            (Some(limit), _) => limit,
            (None, Some(given)) => keep::default_limit(given),
            (None, None) => keep::MOST,
        }
    }

    /// Bytes that a compressed file has given, if the limit follows from them.
    pub(super) fn given(&self) -> Option<u64> {
        let is_decisive = self.max_state.is_none() && !matches!(self.input, Input::Plain(_));
        is_decisive.then(|| self.given.load(Relaxed))
    }

    /// Checks that what was built from the state takes no more than [`state_limit`](Reader::state_limit).
    ///
    /// # Errors
    /// [`ReadError::TooLarge`] if it takes more bytes of memory.
    pub fn afford(&self, memory: u64) -> Result<(), ReadError> {
        let (offset, limit, given) = (self.offset, self.state_limit(), self.given());
        if memory <= limit {
            return Ok(());
        }
        Err(ReadError::TooLarge { offset, needs: memory, is_least: true, limit, given })
    }

    /// Fails if the state exceeds its limit. While it is being read, it is counted on, to tell what it needs.
    pub(super) fn within_limit(&self, is_being_read: bool) -> Result<(), ReadError> {
        let Some(Exceeded { offset, limit, given }) = self.exceeded else { return Ok(()) };
        let needs = self.lists.memory();
        if is_being_read && needs < limit.saturating_mul(COUNTED) {
            return Ok(());
        }
        Err(ReadError::TooLarge { offset, needs, is_least: is_being_read, limit, given })
    }
}
