//! The health of the recording, for systemd's watchdog and `/healthz`.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::record::Status;

/// The pipeline is stuck if it reports nothing for this long. It reports every second.
const SILENCE: Duration = Duration::from_secs(10);
/// The writer is stuck if events wait for this long and none reaches the output.
const STUCK: Duration = Duration::from_secs(10);

/// The health of a recording.
#[derive(Debug)]
pub struct Health(Mutex<State>);

#[derive(Debug, Clone, Copy)]
enum State {
    Starting,
    Recording { looked: Instant, writing: Writing, waiting: bool },
    Closing,
}

/// The progress of the writer, and when it last made any.
#[derive(Debug, Clone, Copy)]
struct Writing {
    bytes: u64,
    at: Instant,
}

/// Why the recording is not healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ill {
    /// The recording has not started.
    #[error("starting: no event has reached the file yet")]
    Starting,
    /// The recording is about to end.
    #[error("closing: no more events are recorded")]
    Closing,
    /// The thread that drains the rings does not report.
    #[error("the pipeline has not reported for {} s", .0.as_secs())]
    Silent(Duration),
    /// Nothing can be written. The recording waits and recovers without help.
    #[error("nothing can be written now; the recording resumes when it can write again, see the log")]
    Waiting,
    /// Events wait, but the output accepts none.
    #[error("the output has accepted nothing for {} s while events wait", .0.as_secs())]
    Stuck(Duration),
}

impl Health {
    /// Creates the health of a recording that has not started.
    pub fn new() -> Health {
        Health(Mutex::new(State::Starting))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is replaced as a whole, so a poisoned lock is harmless.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a report of the pipeline.
    pub fn see(&self, status: &Status, now: Instant) {
        let mut state = self.state();
        let gets_on = |before: &Writing| status.pending() == 0 || status.bytes != before.bytes;
        let writing = match &*state {
            State::Recording { writing, .. } if !status.waiting && !gets_on(writing) => *writing,
            _ => Writing { bytes: status.bytes, at: now },
        };
        *state = State::Recording { looked: now, writing, waiting: status.waiting };
    }

    /// Notes that the recording is about to end.
    pub fn close(&self) {
        *self.state() = State::Closing;
    }

    /// Checks that the recording is healthy.
    ///
    /// # Errors
    /// The reason why it is not.
    pub fn check(&self, now: Instant) -> Result<(), Ill> {
        match *self.state() {
            State::Starting => Err(Ill::Starting),
            State::Closing => Err(Ill::Closing),
            State::Recording { looked, writing, waiting } => {
                let since = |then: Instant| now.saturating_duration_since(then);
                if since(looked) >= SILENCE {
                    Err(Ill::Silent(since(looked)))
                } else if waiting {
                    Err(Ill::Waiting)
                } else if since(writing.at) >= STUCK {
                    Err(Ill::Stuck(since(writing.at)))
                } else {
                    Ok(())
                }
            }
        }
    }
}

impl Default for Health {
    fn default() -> Health {
        Health::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(taken: u64, written: u64, bytes: u64) -> Status {
        Status { taken, written, bytes, ..Status::default() }
    }

    #[test]
    fn a_life_from_start_to_end() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let health = Health::new();
        assert_eq!(health.check(start), Err(Ill::Starting));
        health.see(&status(5, 0, 0), start);
        assert_eq!(health.check(at(9)), Ok(()));
        assert_eq!(health.check(at(10)), Err(Ill::Silent(Duration::from_secs(10))));
        for second in 0..30 {
            health.see(&status(5 + second, second, second), at(second));
        }
        assert_eq!(health.check(at(30)), Ok(()), "a writer that is behind, and gets on");
        for second in 30..45 {
            health.see(&status(5 + second, 29, 29), at(second));
        }
        assert_eq!(health.check(at(45)), Err(Ill::Stuck(Duration::from_secs(16))));
        health.see(&status(60, 30, 31), at(46));
        assert_eq!(health.check(at(46)), Ok(()));
        for second in 46..100 {
            health.see(&status(60, 60, 31), at(second));
        }
        assert_eq!(health.check(at(100)), Ok(()), "nothing happens, and nothing waits");
        for second in 100..200 {
            health.see(&Status { waiting: true, ..status(99, 60, 31) }, at(second));
        }
        assert_eq!(health.check(at(200)), Err(Ill::Waiting));
        health.see(&status(99, 60, 31), at(201));
        assert_eq!(health.check(at(201)), Ok(()), "the writer gets its time again");
        health.close();
        assert_eq!(health.check(at(100)), Err(Ill::Closing));
    }
}
