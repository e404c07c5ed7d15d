//! What fields need to know of each event type, found once: nothing is looked up by name at an event.

use std::sync::LazyLock;

use crate::{
    events::{Category, EVENTS, Event, EventFlags, Source},
    model::{FdClass, OpenFd},
    replay::Moment,
};

/// A value for each event type; `None` for types beyond the table.
pub(super) struct ByType<T: 'static>(LazyLock<Vec<T>>);

impl<T> ByType<T> {
    /// Finds the value of each row, once.
    pub const fn new(values: fn() -> Vec<T>) -> ByType<T> {
        ByType(LazyLock::new(values))
    }

    /// Returns the value of an event's type.
    pub fn of(&'static self, m: &Moment<'_>) -> Option<&'static T> {
        self.0.get(usize::from(m.event().ty().0))
    }
}

/// Collects a value for each row.
pub(super) fn rows<T>(of: impl FnMut(&'static Event) -> T) -> Vec<T> {
    EVENTS.iter().map(of).collect()
}

/// Returns whether an event has these properties.
pub(super) fn has(m: &Moment<'_>, flags: EventFlags) -> bool {
    m.event().info().is_some_and(|row| row.flags.contains(flags))
}

/// Returns the category of an event.
pub(super) fn category(m: &Moment<'_>) -> Category {
    m.event().info().map_or(Category::Unknown, |row| row.category)
}

/// Whether the first parameter is the result of a call. Generic events have none.
static HAS_RESULT: ByType<bool> = ByType::new(|| {
    let number = |row: &Event| row.params.first().is_some_and(|param| matches!(param.ty.size(), Some(4 | 8)));
    rows(|row| row.source == Source::Syscall && !row.ty.is_enter() && row.ty.0 > 1 && number(row))
});

/// Returns the result of the call that an event ends.
pub(super) fn result(m: &Moment<'_>) -> Option<i64> {
    if !*HAS_RESULT.of(m)? {
        return None;
    }
    match *m.event().param(0)? {
        [a, b, c, d] => Some(i32::from_ne_bytes([a, b, c, d]).into()),
        [a, b, c, d, e, f, g, h] => Some(i64::from_ne_bytes([a, b, c, d, e, f, g, h])),
        _ => None,
    }
}

/// What a descriptor refers to, as categories and counters tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FdKind {
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
pub(super) fn exit(call: &str) -> Option<&'static Event> {
    let is_todays =
        |row: &&Event| row.name == call && !row.ty.is_enter() && !row.flags.contains(EventFlags::OLD_VERSION);
    EVENTS.iter().rfind(is_todays)
}
