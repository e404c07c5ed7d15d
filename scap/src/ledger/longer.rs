//! From when on a dump of a flight recorder has everything.

/// Before a time, a dump has only what is kept longer: events that match a filter, and those that change the state of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Longer {
    /// The time, in ns since the epoch. From then on, the dump has all events.
    pub until: u64,
    /// The filter, in one line.
    pub filter: String,
}

impl Longer {
    /// Returns the `desc` of its notice.
    pub fn text(&self) -> String {
        format!("until={} filter={}", self.until, self.filter)
    }
}
