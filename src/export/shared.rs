//! A view that is made before captures are read, and asked for the rest behind them.

use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::print::{DependsOn, MakeView, View};
use scap::{
    format::Keep,
    replay::{Moment, Now},
};

/// A view, for what reads and for what made it. It is the only one of its form.
pub(super) struct Shared<V>(Arc<Mutex<Used<V>>>);

struct Used<V> {
    view: V,
    has_events: bool,
}

impl<V> Shared<V> {
    /// Shares a view.
    pub fn new(view: V) -> Shared<V> {
        Shared(Arc::new(Mutex::new(Used { view, has_events: false })))
    }

    /// Returns another handle of it.
    pub fn share(&self) -> Shared<V> {
        Shared(self.0.clone())
    }

    /// Returns the view; `None` as long as another handle is there.
    pub fn take(self) -> Option<V> {
        Some(Arc::into_inner(self.0)?.into_inner().unwrap_or_else(PoisonError::into_inner).view)
    }

    /// Returns whether the captures had an event, wanted or not.
    pub fn has_events(&self) -> bool {
        self.lock().has_events
    }

    fn lock(&self) -> MutexGuard<'_, Used<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> fmt::Debug for Shared<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl<V: View + Send + 'static> MakeView for Shared<V> {
    fn view(&self) -> Box<dyn View> {
        Box::new(self.share())
    }
}

impl<V: View> View for Shared<V> {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.lock().view.begin(out)
    }

    fn event(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut used = self.lock();
        used.has_events = true;
        used.view.event(moment, out)
    }

    fn unwanted(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut used = self.lock();
        used.has_events = true;
        used.view.unwanted(moment, out)
    }

    fn end(&mut self, now: Now<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.lock().view.end(now, out)
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.lock().view.finish(out)
    }

    fn keep(&self) -> Keep {
        self.lock().view.keep()
    }

    fn hides_losses(&self) -> bool {
        self.lock().view.hides_losses()
    }

    fn depends_on(&self) -> DependsOn {
        self.lock().view.depends_on()
    }
}
