//! What was overwritten on purpose, and by how many rules.

/// What was overwritten because it must not be in the capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Redacted {
    /// Parameters of events in which something was overwritten.
    pub values: u64,
    /// Events that had such parameters.
    pub events: u64,
}

impl Redacted {
    /// Adds another count.
    pub fn add(&mut self, other: Redacted) {
        self.values = self.values.saturating_add(other.values);
        self.events = self.events.saturating_add(other.events);
    }

    /// Returns what was overwritten since an earlier count.
    pub fn since(&self, earlier: &Redacted) -> Redacted {
        Redacted {
            values: self.values.saturating_sub(earlier.values),
            events: self.events.saturating_sub(earlier.events),
        }
    }
}

/// The number of rules of each kind that say what is overwritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RuleCounts {
    /// Names of options.
    pub options: u64,
    /// Names of variables.
    pub variables: u64,
    /// Regular expressions.
    pub patterns: u64,
}

impl RuleCounts {
    /// Returns the `desc` of its notice.
    pub fn text(&self) -> String {
        format!("options={} variables={} patterns={}", self.options, self.variables, self.patterns)
    }
}
