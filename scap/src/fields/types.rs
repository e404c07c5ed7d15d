//! What fields need to know of each event type, found once: nothing is looked up by name at an event.

use std::sync::LazyLock;

use crate::{
    events::{self, Category, EVENTS, Event, EventFlags, Source},
    format::EventView,
    model::{FdClass, OpenFd},
    replay::Moment,
};

/// A value for each row that an event can have, extended or not; `None` for types beyond the table.
pub(crate) struct ByType<T: 'static>(LazyLock<Vec<T>>);

impl<T> ByType<T> {
    /// Finds the value of each row, once.
    pub const fn new(values: fn() -> Vec<T>) -> ByType<T> {
        ByType(LazyLock::new(values))
    }

    /// Returns the value of a row.
    pub fn of_row(&'static self, row: &Event) -> Option<&'static T> {
        self.0.get(events::rows().position(|other| std::ptr::eq(other, row))?)
    }

    /// Returns the value of an event's type.
    pub fn of(&'static self, m: &Moment<'_>) -> Option<&'static T> {
        self.of_event(m.event())
    }

    /// The same, of an event alone.
    pub fn of_event(&'static self, event: &EventView<'_>) -> Option<&'static T> {
        self.0.get(event.row()?)
    }
}

/// Collects a value for each row.
pub(crate) fn rows<T>(of: impl FnMut(&'static Event) -> T) -> Vec<T> {
    events::rows().map(of).collect()
}

/// Returns whether an event has these properties.
pub(crate) fn has(m: &Moment<'_>, flags: EventFlags) -> bool {
    m.event().info().is_some_and(|row| row.flags.contains(flags))
}

/// Returns the category of an event.
pub(crate) fn category(m: &Moment<'_>) -> Category {
    m.event().info().map_or(Category::Unknown, |row| row.category)
}

/// The parameter with the result of a call.
static RESULT: ByType<Option<usize>> = ByType::new(|| rows(Event::result));

/// Returns the result of the call that an event ends.
pub(crate) fn result(m: &Moment<'_>) -> Option<i64> {
    m.event().integer((*RESULT.of(m)?)?)
}

/// What a descriptor refers to, as categories and counters tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FdKind {
    File,
    Directory,
    Inet,
    Unix,
    Ipc,
    Other,
}

impl FdKind {
    pub fn of(fd: &OpenFd) -> FdKind {
        use crate::format::state::NamedFd::*;
        match fd.class {
            FdClass::File => FdKind::File,
            FdClass::Ipv4(_) | FdClass::Ipv6(_) => FdKind::Inet,
            FdClass::Unix => FdKind::Unix,
            FdClass::Named(Directory) => FdKind::Directory,
            FdClass::Named(Fifo | Eventfd | Signalfd | Inotify | Userfaultfd) => FdKind::Ipc,
            FdClass::Named(_) => FdKind::Other,
        }
    }
}

/// Returns the exit event's row of a call, today's.
pub(crate) fn exit(call: &str) -> Option<&'static Event> {
    let is_todays =
        |row: &&Event| row.name == call && !row.ty.is_enter() && !row.flags.contains(EventFlags::OLD_VERSION);
    EVENTS.iter().rfind(is_todays)
}

/// Returns whether events of a row, extended or not, are those of that other row.
pub(crate) fn is_of(row: &Event, other: Option<&Event>) -> bool {
    row.source == Source::Syscall && !row.ty.is_generic() && other.is_some_and(|other| other.ty == row.ty)
}
