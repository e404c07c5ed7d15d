//! What the kernel refuses.

use scap::events::{Source, event_by_program};

/// A program that the kernel refused, or a function of a call that takes none. A call's event is then recorded as a generic one, a tracepoint's not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The program, or the function.
    pub program: String,
    /// The verifier's log, or the kernel's error.
    pub log: String,
}

impl Refused {
    /// Returns what becomes of the program's events: those of a call have generic events in their place.
    pub fn consequence(&self) -> &'static str {
        let of_tracepoint =
            event_by_program(&self.program).is_none_or(|row| row.source == Source::Tracepoint);
        if of_tracepoint { "not recorded" } else { "recorded as generic events" }
    }
}
