//! What happens after an error of the disk: whether and when writing is tried again.

use std::{
    io::ErrorKind,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use super::{
    super::{OnError, keeper::chain},
    Files,
};
use crate::{escape::shown, folder::Whereabouts, output::OutputError};

/// Delay before writing is retried, and its maximum when file after file fails.
pub const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// After this time without an error, the backoff is reset.
const CALM: Duration = Duration::from_secs(60);
/// A current file of at least this many bytes is worth closing so that it can be deleted.
const MUCH: u64 = 4 << 20;
/// How long the end of a recording waits for a failing disk.
pub const PATIENCE: Duration = Duration::from_secs(3);

impl Files {
    /// Waits after an error until a retry makes sense, or returns the error.
    pub(super) fn bear(&mut self, error: OutputError) -> Result<(), OutputError> {
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
        // Nothing could be deleted: the current file may be what fills the disk. Once closed, the next attempt may
        // delete it.
        if full && self.is_worth_deleting() {
            self.give_up(Whereabouts::There);
        }
        if self.trouble.is_none() {
            self.trouble = Some(Instant::now());
            self.keeper.report().waiting.store(true, Ordering::Relaxed);
            tracing::warn!(
                "{}; writing resumes as soon as possible, and events lost until then are counted",
                chain(&error)
            );
        }
        if broken {
            self.give_up(Whereabouts::There);
        }
        let wait = if broken { self.backoff() } else { RETRY };
        if self.pause(wait) { Ok(()) } else { Err(error) }
    }

    /// Returns whether closing the current file, so that it can be deleted, would make room.
    fn is_worth_deleting(&self) -> bool {
        let bytes = self.current.as_ref().map_or(0, |current| current.output.totals().bytes_out);
        bytes >= MUCH && self.store.lock().saves_room()
    }

    /// Returns the delay after a failed file, doubled each time. A full disk or a missing directory is retried soon,
    /// but many short files would be litter.
    fn backoff(&mut self) -> Duration {
        let wait = self.backoff;
        self.backoff = (wait * 2).clamp(RETRY, LONGEST_RETRY);
        wait
    }

    /// Waits before a retry. Returns false if the recording has been ending for longer than [`PATIENCE`].
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

    pub(super) fn well_again(&mut self) {
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
}

/// Returns whether an error may go away.
pub fn may_pass(error: &OutputError) -> bool {
    matches!(error, OutputError::NoSpace { .. } | OutputError::Create { .. } | OutputError::Write { .. })
}
