//! The balance of a recording, so far and at its end.

use super::{super::redaction::Redaction, Drain};
use crate::probe::Loaded;
use scap::ledger::{Cause, Redacted, Verdict};

impl Drain {
    /// Returns the verdict of a file that ends here.
    pub fn verdict(&self, probe: &Loaded) -> Verdict {
        self.judge(probe, self.counts.total, Cause::Backlog)
    }

    /// Returns the verdict on what has reached the output.
    pub fn verdict_of_output(&self, probe: &Loaded) -> Verdict {
        self.judge(probe, self.writer.progress().events(), Cause::Disk)
    }

    /// Returns the verdict. Events left in the rings are lost, unless the event limit was reached.
    fn judge(&self, probe: &Loaded, written: u64, left: Cause) -> Verdict {
        let mut verdict = self.ledger.verdict(probe, written, self.left_out(), self.pending());
        verdict.redacted = self.redacted();
        if !self.is_full() {
            verdict.losses.add(left, std::mem::take(&mut verdict.unread));
        }
        verdict
    }

    /// Returns what the balance has so far besides events and their losses.
    pub(super) fn beside(&self, probe: &Loaded) -> Verdict {
        Verdict { redacted: self.redacted(), ..self.ledger.beside(probe, self.left_out()) }
    }

    /// Returns what was overwritten so far.
    fn redacted(&self) -> Redacted {
        self.redaction.as_ref().map(Redaction::done).unwrap_or_default()
    }
}
