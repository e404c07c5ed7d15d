//! Overwrites what must not be in the capture, and counts it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use scap::{
    format::MachineState,
    ledger::{Redacted, RuleCounts},
    redact::{Redactor, Rules},
};

/// Overwrites events and the state of the machine. Clones count together.
#[derive(Debug, Clone)]
pub(super) struct Redaction {
    rules: Arc<Rules>,
    /// The values in all states.
    in_states: Arc<AtomicU64>,
}

impl Redaction {
    pub(super) fn new(rules: Arc<Rules>) -> Redaction {
        Redaction { rules, in_states: Arc::default() }
    }

    /// Returns the state with what must not be in the capture overwritten.
    pub(super) fn state(&self, state: &MachineState) -> MachineState {
        let mut state = state.clone();
        let values = Redactor::new(self.rules.clone()).state(&mut state);
        self.in_states.fetch_add(values, Ordering::Relaxed);
        state
    }

    /// Begins to overwrite events.
    pub(super) fn of_events(&self) -> EventRedaction {
        let redactor = Redactor::new(self.rules.clone());
        EventRedaction { all: self.clone(), redactor, done: Redacted::default() }
    }
}

/// Overwrites events.
#[derive(Debug)]
pub(super) struct EventRedaction {
    all: Redaction,
    redactor: Redactor,
    done: Redacted,
}

impl EventRedaction {
    /// Returns the bytes to write of an event, or of one that extends it; `values` counts what was overwritten.
    #[inline]
    pub(super) fn part<'a>(&'a mut self, part: &'a [u8], values: &mut u64) -> &'a [u8] {
        let (part, found) = self.redactor.event(part);
        *values += found;
        part
    }

    /// Counts an event in which so many values were overwritten.
    #[inline]
    pub(super) fn count(&mut self, values: u64) {
        self.done.add(Redacted { values, events: u64::from(values > 0) });
    }

    /// Returns what was overwritten so far, in the states too.
    pub(super) fn done(&self) -> Redacted {
        let in_states = Redacted { values: self.all.in_states.load(Ordering::Relaxed), events: 0 };
        let mut done = self.done;
        done.add(in_states);
        done
    }

    /// Returns the text of the notice of what is overwritten.
    pub(super) fn notice(&self) -> String {
        let [options, variables, patterns] = self.all.rules.counts().map(|count| count as u64);
        RuleCounts { options, variables, patterns }.text()
    }
}
