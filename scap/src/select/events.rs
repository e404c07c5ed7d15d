//! Parses the list of `read --syscalls`, which can also name events that are not system calls.

use std::fmt;

use regex::bytes::Regex;

use super::{SelectError, SyscallSet, Term, suggest, syscalls, terms};
use crate::{
    events::{Category, EVENTS, Event, EventFlags, EventType, SYSCALLS, Syscall, row_of_type, types},
    format::{EventView, is_named_by_type, successor},
};

/// A set of events in a capture: those of a set of system calls, and others by name.
#[derive(Clone, PartialEq, Eq)]
pub struct EventSet {
    calls: SyscallSet,
    /// Whether each event type is in the set. A generic event is in the set if its call is.
    types: Vec<bool>,
}

/// Returns whether an event only concerns the recorder or the reader, such as `procinfo`. These are shown on request.
pub fn is_internal(row: &Event) -> bool {
    row.category == Category::Internal
}

impl EventSet {
    fn none() -> EventSet {
        EventSet { calls: SyscallSet::none(), types: types().map(|_| false).collect() }
    }

    /// Returns the set of all events except internal ones.
    fn all() -> EventSet {
        let types = types().map(|row| !is_internal(row)).collect();
        EventSet { calls: SYSCALLS.iter().collect(), types }
    }

    /// Returns the set of the events of some calls.
    fn of_calls(calls: SyscallSet) -> EventSet {
        let of_call = |row: &Event| row.syscall().is_some_and(|call| calls.contains(call));
        EventSet { calls, types: types().map(of_call).collect() }
    }

    fn combine(self, other: &EventSet, calls: SyscallSet, op: impl Fn(bool, bool) -> bool) -> EventSet {
        EventSet { calls, types: self.types.iter().zip(&other.types).map(|(a, b)| op(*a, *b)).collect() }
    }

    fn union(self, other: &EventSet) -> EventSet {
        let calls = self.calls.union(&other.calls);
        self.combine(other, calls, |a, b| a || b)
    }

    fn difference(self, other: &EventSet) -> EventSet {
        let calls = self.calls.difference(&other.calls);
        self.combine(other, calls, |a, b| a && !b)
    }

    /// Returns whether no event of this type is in the set.
    pub fn excludes(&self, ty: EventType) -> bool {
        is_named_by_type(ty) && !self.has_type(ty)
    }

    /// Returns whether an event is in the set.
    pub fn contains(&self, event: &EventView<'_>) -> bool {
        let Some(row) = event.info() else { return false };
        match row.name {
            _ if row.ty.is_generic() => {
                event.syscall().map_or(self.has_type(row.ty), |call| self.calls.contains(call))
            }
            // An async event has the name that its plugin gives it.
            "asyncevent" if !self.has_type(row.ty) => {
                let name = event.name();
                EVENTS.iter().any(|other| other.name == name && self.has_type(other.ty))
            }
            _ => self.has_type(row.ty),
        }
    }

    fn has_type(&self, ty: EventType) -> bool {
        row_of_type(ty).and_then(|row| self.types.get(row)).copied().unwrap_or_default()
    }
}

impl fmt::Debug for EventSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types = self.types.iter().filter(|is_in| **is_in).count();
        write!(f, "EventSet({}, {types} event types)", self.calls)
    }
}

/// Parses a list into a set of events. Takes what [`parse`](super::parse) takes, and the name of every event. An old
/// name that two calls share selects both.
///
/// # Errors
/// A [`SelectError`] for the first invalid term, with a suggestion.
pub fn parse_events(list: &str) -> Result<EventSet, SelectError> {
    let terms = terms(list)?;
    let mut set =
        if terms.first().is_some_and(|term| term.negated) { EventSet::all() } else { EventSet::none() };
    for term in terms {
        let named = resolve(term)?;
        set = match term.text {
            "none" if !term.negated => named,
            _ if term.negated => set.difference(&named),
            _ => set.union(&named),
        };
    }
    Ok(set)
}

fn resolve(term: Term<'_>) -> Result<EventSet, SelectError> {
    let mut set = match term.text {
        "all" => return Ok(EventSet::all()),
        "none" => return Ok(EventSet::none()),
        _ => EventSet::none(),
    };
    let calls = syscalls::resolve(term);
    let is_named: Box<dyn Fn(&str) -> bool> = match term.text.strip_prefix('/') {
        Some(regex) => match Regex::new(regex) {
            Ok(regex) => Box::new(move |name| regex.is_match(name.as_bytes())),
            Err(_) => return calls.map(EventSet::of_calls),
        },
        None => Box::new(|name| name == term.text),
    };
    for row in types().filter(|row| is_named(row.name) && has_events(row)) {
        for row in [row, crate::events::event(row.ty.pair()).map_or(row, successor)] {
            for ty in [row.ty, row.ty.pair()] {
                if let Some(is_in) = row_of_type(ty).and_then(|row| set.types.get_mut(row)) {
                    *is_in = true;
                }
            }
        }
    }
    // The capture may come from a machine with other calls.
    set.calls = Syscall::by_name(term.text).into_iter().collect();
    match calls {
        Ok(calls) => Ok(set.union(&EventSet::of_calls(calls))),
        Err(_) if set != EventSet::none() => Ok(set),
        Err(SelectError::UnknownSyscall { name, suggestion }) => {
            let names = || types().filter(|row| has_events(row)).map(|row| row.name);
            let suggestion = suggestion.or_else(|| suggest(&name, names()));
            Err(SelectError::UnknownEvent { name, suggestion })
        }
        Err(e) => Err(e),
    }
}

/// Returns whether there can be events of a row.
fn has_events(row: &Event) -> bool {
    !row.flags.contains(EventFlags::UNUSED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{EventBuilder, Value};

    fn row(code: &str) -> &'static Event {
        EVENTS.iter().find(|row| row.code == code).unwrap()
    }

    fn has(list: &str, code: &str) -> bool {
        let event = EventBuilder::new(row(code), 1, 1).build_short().unwrap();
        parse_events(list).unwrap().contains(&EventView::parse(&event, false).unwrap())
    }

    fn generic(list: &str, call: &str) -> bool {
        let code = Value::Syscall(Syscall::by_name(call).unwrap().code);
        let event =
            EventBuilder::new(row("PPME_GENERIC_X"), 1, 1).param(code).unwrap().build_short().unwrap();
        parse_events(list).unwrap().contains(&EventView::parse(&event, false).unwrap())
    }

    #[test]
    fn every_events_name_finds_it() {
        for row in EVENTS.iter().filter(|row| has_events(row) && row.name != "syscall") {
            assert!(has(row.name, row.code), "{}", row.code);
            assert!(!has(&format!("all,!{}", row.name), row.code), "{}", row.code);
        }
        for (name, code) in [
            ("procexit", "PPME_PROCEXIT_1_E"),
            ("switch", "PPME_SCHEDSWITCH_6_E"),
            ("signaldeliver", "PPME_SIGNALDELIVER_E"),
            ("container", "PPME_CONTAINER_JSON_2_E"),
            ("notification", "PPME_NOTIFICATION_E"),
        ] {
            assert!(has(name, code) && has(&format!("read,{name}"), code) && !has("read", code), "{name}");
        }
        assert!(has("/^proc", "PPME_PROCEXIT_1_E") && has("/^proc", "PPME_SYSCALL_PROCESS_VM_READV_X"));
    }

    #[test]
    fn the_names_of_calls_are_those_of_record() {
        assert!(has("pread", "PPME_SYSCALL_PREAD_X") && has("pread64", "PPME_SYSCALL_PREAD_E"));
        assert!(has("%network", "PPME_SOCKET_BIND_X") && !has("%network", "PPME_SYSCALL_READ_X"));
        assert!(generic("getpid", "getpid") && !generic("getpid", "getpgrp"));
        assert!(
            generic("!read", "getpid")
                && !generic("!getpid", "getpid")
                && has("!getpid", "PPME_PROCEXIT_1_E")
        );
        assert!(generic("s390_sthyi", "s390_sthyi"));
    }

    #[test]
    fn accept_finds_both_calls_that_had_this_name() {
        for code in
            ["ACCEPT_X", "ACCEPT4_X", "ACCEPT_5_E", "ACCEPT_5_X", "ACCEPT4_5_X", "ACCEPT4_6_E", "ACCEPT4_6_X"]
        {
            assert!(has("accept", &format!("PPME_SOCKET_{code}")), "{code}");
        }
        assert!(has("accept4", "PPME_SOCKET_ACCEPT4_6_X") && !has("accept4", "PPME_SOCKET_ACCEPT_5_X"));
        assert!(!has("accept,!accept4", "PPME_SOCKET_ACCEPT4_6_X"));
    }

    #[test]
    fn what_is_internal_has_to_be_named() {
        for (name, code) in [("procinfo", "PPME_PROCINFO_E"), ("drop", "PPME_DROP_X")] {
            assert!(has(name, code) && !has("all", code) && !has("!read", code), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_gets_a_suggestion() {
        let error = |list| parse_events(list).unwrap_err().to_string();
        assert_eq!(error("procexti"), "unknown event `procexti`; did you mean `procexit`?");
        assert_eq!(error("xyzzy12"), "unknown event `xyzzy12`; `scapd list events` prints them all");
        assert_eq!(error("acess"), "unknown event `acess`; did you mean `access`?");
        assert!(parse_events("?xyzzy12,read").is_ok() && parse_events("/a(").is_err());
    }
}
