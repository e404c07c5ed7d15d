//! How long the recorder sleeps between two polls of the rings.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::probe::{Active, ProbeError};

/// The shortest sleep between two steps. While few events come, [`Pace`] doubles it, up to [`LONGEST`].
pub const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(8);
/// A step that takes this many events is followed by the next one without a sleep.
pub const MANY: usize = 256;
/// After this long without an event, the recorder stops polling and has the next event wake it. Longer than the age at
/// which a buffer is flushed (`FLUSH`).
const QUIET: Duration = Duration::from_millis(300);
/// The longest wait for a wake-up: the recorder also has requests and limits to check.
const NAP: Duration = Duration::from_millis(100);

/// Sleeps between polls, longer and longer while few events come. A wake-up costs the traced task more than an event,
/// so there are no wake-ups while events come. Polling costs the recorder, so there is no polling while none come.
pub struct Pace {
    idle: Duration,
    last: Instant,
    /// Whether programs wake the recorder.
    wakeup: bool,
}

impl Pace {
    /// Returns the pace for the start of a recording.
    pub fn new() -> Pace {
        Pace { idle: SHORTEST, last: Instant::now(), wakeup: false }
    }

    /// Sleeps as needed after a step that took `took` events.
    pub fn rest(&mut self, active: &Active, took: usize) -> Result<(), ProbeError> {
        if took > 0 {
            self.awake(active)?;
        }
        if took >= MANY {
            self.idle = SHORTEST;
            return Ok(());
        }
        if self.wakeup {
            if active.wait(NAP)? {
                self.awake(active)?;
                self.idle = SHORTEST;
            }
            return Ok(());
        }
        if self.last.elapsed() >= QUIET {
            // A program that runs now may miss the setting. It ends within the sleep below, and a poll follows.
            self.set_wakeup(active, true)?;
        }
        self.idle = (self.idle * 2).min(LONGEST);
        thread::sleep(self.idle);
        Ok(())
    }

    fn awake(&mut self, active: &Active) -> Result<(), ProbeError> {
        self.last = Instant::now();
        if self.wakeup { self.set_wakeup(active, false) } else { Ok(()) }
    }

    fn set_wakeup(&mut self, active: &Active, wakeup: bool) -> Result<(), ProbeError> {
        self.wakeup = wakeup;
        active.probe().control().set_wakeup(wakeup);
        Ok(())
    }
}
