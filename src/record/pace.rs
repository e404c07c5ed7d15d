//! How long the recorder rests between two looks at the rings.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::probe::{Active, ProbeError};

/// How long to sleep when there is nothing to do: at first, and when that goes on.
pub const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(8);
/// So many events at once, and there may be more already.
pub const MANY: usize = 256;
/// After so long without an event, the next one is to wake the recorder: until then it looks. Longer than a buffer waits
/// for more events (`FLUSH`).
const QUIET: Duration = Duration::from_millis(300);
/// How long it then waits at most: there are others than programs to look after.
const NAP: Duration = Duration::from_millis(100);

/// Rests: the longer nothing comes, the longer. A wake-up costs the one who makes a system call more than an event, so
/// that there are none while events come; and looking costs the recorder, so that it does not look while none come.
pub struct Pace {
    idle: Duration,
    last: Instant,
    /// Programs wake the recorder.
    wakeup: bool,
}

impl Pace {
    /// Right after the start.
    pub fn new() -> Pace {
        Pace { idle: SHORTEST, last: Instant::now(), wakeup: false }
    }

    /// Rests, or not, after a look at which so many events were taken.
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
            // The sleep below is longer than any program runs that does not know of it yet, and a look follows.
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
