//! What made a flight recorder write a dump.

/// The kinds of what can make a flight recorder write a dump.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TriggerKind {
    /// A request, as that of `scapd ctl dump`.
    #[default]
    Request,
    /// A signal to the recorder.
    Signal,
    /// An event that matches a filter.
    Filter,
    /// As many events that match a filter, within a time.
    Rate,
    /// Tasks that wait for memory, CPU or I/O.
    Pressure,
}

impl TriggerKind {
    /// Every kind.
    pub const ALL: [TriggerKind; 5] = [
        TriggerKind::Request,
        TriggerKind::Signal,
        TriggerKind::Filter,
        TriggerKind::Rate,
        TriggerKind::Pressure,
    ];

    /// The name in notices and in JSON.
    pub const fn key(self) -> &'static str {
        match self {
            TriggerKind::Request => "request",
            TriggerKind::Signal => "signal",
            TriggerKind::Filter => "filter",
            TriggerKind::Rate => "rate",
            TriggerKind::Pressure => "pressure",
        }
    }
}

/// What made a flight recorder write a dump.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trigger {
    /// Its kind.
    pub by: TriggerKind,
    /// When, in ns since the epoch.
    pub at: u64,
    /// How long the dump goes on after it at least, in ns.
    pub after: u64,
    /// The filter, or what the request says; one line.
    pub reason: String,
}

impl Trigger {
    /// Returns the `desc` of its notice.
    pub fn text(&self) -> String {
        format!("by={} at={} after={} reason={}", self.by.key(), self.at, self.after, self.reason)
    }
}
