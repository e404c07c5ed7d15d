//! The ledger's figures as JSON and in words.

use indicatif::HumanCount;
use scap::ledger::{Cause, Cut, LeftOut, Longer, Losses, Redacted, RuleCounts, SliceNote, Verdict};
use serde_json::{Value as Json, json};

/// Figures that have a JSON form.
pub trait ToJson {
    /// Returns a JSON object.
    fn to_json(&self) -> Json;
}

impl ToJson for Losses {
    /// Every cause is a key.
    fn to_json(&self) -> Json {
        Cause::ALL.iter().map(|cause| (cause.key().to_owned(), Json::from(self.of(*cause)))).collect()
    }
}

impl ToJson for LeftOut {
    fn to_json(&self) -> Json {
        let LeftOut { failed, sampled, filtered, sieved, evicted, passed } = self;
        json!({
            "failed": failed,
            "sampled": sampled,
            "filtered": filtered,
            "sieved": sieved,
            "evicted": evicted,
            "passed": passed,
        })
    }
}

impl ToJson for Redacted {
    fn to_json(&self) -> Json {
        json!({ "values": self.values, "events": self.events })
    }
}

impl ToJson for RuleCounts {
    fn to_json(&self) -> Json {
        json!({ "options": self.options, "variables": self.variables, "patterns": self.patterns })
    }
}

impl ToJson for Cut {
    fn to_json(&self) -> Json {
        json!({ "cause": self.cause.key(), "offset": self.offset, "bytes": self.bytes })
    }
}

impl ToJson for Longer {
    fn to_json(&self) -> Json {
        json!({ "until": self.until, "filter": self.filter })
    }
}

impl ToJson for SliceNote {
    fn to_json(&self) -> Json {
        json!({ "left_out": self.left_out, "source_read": !self.is_stopped })
    }
}

/// Describes what was left out on purpose, and what was overwritten: a line for each rule that did so.
pub fn left_out_lines(verdict: &Verdict) -> impl Iterator<Item = String> {
    let part = match verdict.sample_ratio {
        0 => "until sampling was turned off".to_owned(),
        1 => "without the calls that sampling never records".to_owned(),
        ratio => format!("1/{ratio} of each second"),
    };
    let LeftOut { failed, sampled, filtered, sieved, evicted, passed } = verdict.left_out;
    let sample = format!("a sample, {part}: {} events left out on purpose", HumanCount(sampled));
    let successes = format!("{} returns of failed calls left out on purpose", HumanCount(failed));
    let others = match sieved {
        0 => format!("left out: {} in the recorder", HumanCount(filtered)),
        sieved => {
            format!(
                "left out: {} in the kernel, {} in the recorder",
                HumanCount(sieved),
                HumanCount(filtered)
            )
        }
    };
    let Redacted { values, events } = verdict.redacted;
    let redacted = format!("overwritten: {} values in {} events", HumanCount(values), HumanCount(events));
    let early =
        format!("{} events had left the window before their time, for want of room", HumanCount(evicted));
    let passed_by = format!(
        "{} events had left the window when their time was over; what is kept longer is here",
        HumanCount(passed)
    );
    [
        (filtered | sieved, others),
        (sampled, sample),
        (failed, successes),
        (evicted, early),
        (passed, passed_by),
        (values, redacted),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(_, line)| line)
}
