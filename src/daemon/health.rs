//! Whether the recording does what it is there for: known to systemd's watchdog and to `/healthz`.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::record::Status;

/// Without a sign of life for this long, the pipeline is stuck: it gives one each second.
const SILENCE: Duration = Duration::from_secs(10);
/// Events that wait for this long without one reaching the output: the writer is stuck.
const STUCK: Duration = Duration::from_secs(10);

/// What is known of the recording's health.
#[derive(Debug)]
pub struct Health(Mutex<State>);

#[derive(Debug, Clone, Copy)]
enum State {
    Starting,
    Recording { looked: Instant, writing: Writing, waiting: bool },
    Closing,
}

/// How far the writer has got, and when it was last seen to get on.
#[derive(Debug, Clone, Copy)]
struct Writing {
    bytes: u64,
    at: Instant,
}

/// Why the recording is not healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ill {
    /// It has not begun.
    #[error("starting: no event has made its way into the file yet")]
    Starting,
    /// It is about to end.
    #[error("closing: no more events are recorded")]
    Closing,
    /// The thread that takes events from the rings gives no sign of life.
    #[error("the pipeline has given no sign of life for {} s", .0.as_secs())]
    Silent(Duration),
    /// Nothing can be written, and the recording waits until it can be again: that it is to do by itself.
    #[error("nothing can be written now; recording goes on when it can be, see the log")]
    Waiting,
    /// Events wait, and the output takes none.
    #[error("the output has taken nothing for {} s, and events wait", .0.as_secs())]
    Stuck(Duration),
}

impl Health {
    /// Of a recording that has not begun.
    pub fn new() -> Health {
        Health(Mutex::new(State::Starting))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // A state is replaced as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sign of life of the pipeline.
    pub fn see(&self, status: &Status, now: Instant) {
        let mut state = self.state();
        let gets_on = |before: &Writing| status.pending() == 0 || status.bytes != before.bytes;
        let writing = match &*state {
            State::Recording { writing, .. } if !status.waiting && !gets_on(writing) => *writing,
            _ => Writing { bytes: status.bytes, at: now },
        };
        *state = State::Recording { looked: now, writing, waiting: status.waiting };
    }

    /// The recording is about to end.
    pub fn close(&self) {
        *self.state() = State::Closing;
    }

    /// Whether all is well.
    ///
    /// # Errors
    /// What is not.
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
