//! Overwrites what must not be in the capture, and counts it.

use std::sync::Arc;

use scap::{
    ledger::{Redacted, RuleCounts},
    redact::{Redactor, Rules},
};

/// Overwrites events.
#[derive(Debug)]
pub(super) struct Redaction {
    redactor: Redactor,
    rules: RuleCounts,
    done: Redacted,
}

impl Redaction {
    pub(super) fn new(rules: Arc<Rules>) -> Redaction {
        let [options, variables, patterns] = rules.counts().map(|count| count as u64);
        let counts = RuleCounts { options, variables, patterns };
        Redaction { redactor: Redactor::new(rules), rules: counts, done: Redacted::default() }
    }

    /// Returns the bytes to write of an event, or of one that extends it; adds to `values` in how many something was found.
    #[inline]
    pub(super) fn part<'a>(&'a mut self, part: &'a [u8], values: &mut u64) -> &'a [u8] {
        let (part, found) = self.redactor.event(part);
        *values += found;
        part
    }

    /// Counts an event with so many values in which something was overwritten.
    #[inline]
    pub(super) fn count(&mut self, values: u64) {
        self.done.add(Redacted { values, events: u64::from(values > 0) });
    }

    /// Returns what was overwritten so far.
    pub(super) fn done(&self) -> Redacted {
        self.done
    }

    /// Returns the text of the notice of what is overwritten.
    pub(super) fn notice(&self) -> String {
        self.rules.text()
    }
}
