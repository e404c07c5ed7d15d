//! Groups of calls that several jobs count, each in its part of the captures.

use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use crate::print::{DependsOn, Divided, View};
use scap::{
    format::{EventView, Keep},
    replay::{Moment, Now},
    summary::{Keys, Top},
};

/// The times of the first event and of the last one, in ns since the epoch; `None` without any.
pub(super) type Span = Option<(u64, u64)>;

/// The parts of all jobs.
pub(super) struct Parts<F> {
    keys: Keys,
    sum: Arc<Mutex<Option<Part>>>,
    show: F,
}

/// What a job has counted.
struct Part {
    top: Top,
    /// The number and the time, in ns since the epoch, of the first event that was wanted.
    first: Option<(u64, u64)>,
    /// The newest time of all events, in ns since the epoch.
    newest: u64,
}

struct PartView {
    part: Part,
    /// The sum of the jobs that have finished.
    sum: Arc<Mutex<Option<Part>>>,
}

impl<F> Parts<F> {
    /// Starts without any; `show` shows what they come to.
    pub fn new(keys: Keys, show: F) -> Parts<F> {
        Parts { keys, sum: Arc::default(), show }
    }
}

impl<F: FnOnce(Top, Span, &mut dyn Write) -> io::Result<()> + Sync> Divided for Parts<F> {
    fn view(&self) -> Box<dyn View> {
        Box::new(PartView { part: Part::new(&self.keys), sum: self.sum.clone() })
    }

    fn finish(self: Box<Self>, out: &mut dyn Write) -> io::Result<()> {
        let sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Part { top, first, newest } = sum.unwrap_or_else(|| Part::new(&self.keys));
        (self.show)(top, first.map(|(_, ts)| (ts, newest)), out)
    }
}

impl Part {
    fn new(keys: &Keys) -> Part {
        Part { top: Top::new(keys.clone()), first: None, newest: 0 }
    }

    fn merge(&mut self, other: Part) -> io::Result<()> {
        self.first = self.first.into_iter().chain(other.first).min();
        self.newest = self.newest.max(other.newest);
        self.top.merge(other.top).map_err(io::Error::other)
    }
}

impl View for PartView {
    fn event(&mut self, moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.part.first.get_or_insert((moment.num, moment.event().ts()));
        self.part.top.event(moment).map_err(io::Error::other)
    }

    fn unwanted(&mut self, moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.part.top.unwanted(moment);
        Ok(())
    }

    fn follows(&self, event: &EventView<'_>, is_of_others: bool) -> bool {
        self.part.top.follows(event, is_of_others)
    }

    fn of_others(&mut self, moment: &Moment<'_>, is_wanted: bool) -> io::Result<()> {
        self.part.top.of_others(moment, is_wanted);
        Ok(())
    }

    fn end(&mut self, now: Now<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.part.top.end_capture(now);
        self.part.newest = self.part.newest.max(now.newest());
        Ok(())
    }

    fn finish(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        let empty = Part::new(self.part.top.keys());
        let part = mem::replace(&mut self.part, empty);
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *sum {
            Some(sum) => sum.merge(part),
            None => {
                *sum = Some(part);
                Ok(())
            }
        }
    }

    fn keep(&self) -> Keep {
        self.part.top.keys().keep()
    }

    fn hides_losses(&self) -> bool {
        true
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Shown
    }
}
