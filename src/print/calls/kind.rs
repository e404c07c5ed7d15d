//! What an event is to this view.

use super::table::Shape;
use scap::{
    events::{Effect, Source},
    format::{EventView, Value},
    ledger::{self, Notice},
};

/// What an event is to this view.
pub enum Kind {
    /// The start of a call.
    Enter(&'static Shape),
    /// The end of a call.
    Exit(&'static Shape),
    /// A request of io_uring is submitted.
    Submission,
    /// A request of io_uring is complete.
    Completion,
    /// A signal reaches a thread.
    Signal,
    /// A thread ends.
    End,
    /// A notice that has a line.
    Notice,
    /// The notice that events are missing before it.
    Gap,
    /// The border of a sample: events are missing before it.
    Sampled,
    /// Nothing.
    Other,
}

impl Kind {
    pub fn of(event: &EventView<'_>) -> Kind {
        if let Some(shape) = Shape::of(event) {
            return if event.ty().is_enter() { Kind::Enter(shape) } else { Kind::Exit(shape) };
        }
        let Some(row) = event.info() else { return Kind::Other };
        match (row.source, row.effect()) {
            (_, Some(Effect::Exit)) => Kind::End,
            (_, Some(Effect::IoUringSubmit)) => Kind::Submission,
            (_, Some(Effect::IoUringComplete)) => Kind::Completion,
            (_, Some(Effect::Drop)) => Kind::Sampled,
            (_, Some(Effect::Notice)) => match ledger::parse(event) {
                Some(Notice::Gap(_)) => Kind::Gap,
                Some(Notice::Clock(_) | Notice::Cut(_) | Notice::Trigger(_) | Notice::Longer(_)) => {
                    Kind::Notice
                }
                _ => Kind::Other,
            },
            (Source::Tracepoint, _) if row.name == "signaldeliver" => Kind::Signal,
            _ => Kind::Other,
        }
    }
}

/// Returns whether an event is the return of a clone in the child, which is no call of its own.
pub fn is_of_child(event: &EventView<'_>) -> bool {
    let is_clone = event.info().is_some_and(|row| row.effect() == Some(Effect::Clone));
    is_clone
        && !event.ty().is_enter()
        && matches!(event.value("res"), Some(Ok(d)) if d.value == Value::Pid(0))
}
