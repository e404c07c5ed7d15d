//! Which events are shown.

use scap::{
    events::{EventType, event},
    fields::{Fields, Registry},
    filter::{Filter, Matcher},
    format::Keep,
    replay::Moment,
    select::{self, EventSet},
};

/// Which events are shown.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Those that match.
    pub filter: Option<Filter>,
    /// Those of these types and system calls.
    pub events: Option<EventSet>,
    /// Those of these processes and threads; empty for all.
    pub pids: Vec<u64>,
    /// Also those that were recorded only to keep names right, and internal events that are not named.
    pub all: bool,
}

impl Wanted {
    /// Returns the filter as it is asked about many events.
    pub(super) fn matcher(&self) -> Option<Matcher> {
        self.filter.as_ref().map(|filter| Matcher::new(filter, &Fields))
    }

    /// Returns whether an event is shown, if the filter's matcher says so too.
    pub(super) fn has(&self, moment: &Moment<'_>, matcher: &mut Option<Matcher>) -> bool {
        let (event, machine) = (moment.event(), moment.machine);
        let of_process = |p: &u64| *p == machine.pid(event.tid()) || *p == event.tid();
        (self.all || moment.is_asked && !self.hides(event.ty()))
            && (self.pids.is_empty() || self.pids.iter().any(of_process))
            && self.events.as_ref().is_none_or(|events| events.contains(event))
            && matcher.as_mut().is_none_or(|matcher| matcher.matches(event.ty(), moment))
    }

    /// Returns whether no event of this type is shown; `None` if that is not known yet.
    pub(super) fn excludes(&self, ty: EventType, matcher: &Option<Matcher>) -> Option<bool> {
        let is_hidden = !self.all && self.hides(ty);
        if is_hidden || self.events.as_ref().is_some_and(|events| events.excludes(ty)) {
            return Some(true);
        }
        matcher.as_ref().map_or(Some(false), |matcher| matcher.excludes(ty))
    }

    /// Returns whether events of this type are hidden, as internal ones are that are not named. As in sysdig, a filter does
    /// not name them.
    fn hides(&self, ty: EventType) -> bool {
        self.events.is_none() && event(ty).is_some_and(select::is_internal)
    }

    /// Returns how much of the machine this asks for.
    pub(super) fn keep(&self) -> Keep {
        if self.asks_for_tasks() { Keep::All } else { Keep::Names }
    }

    /// Returns whether this asks for more than the type of an event and its process.
    pub(super) fn asks_for_tasks(&self) -> bool {
        let fields = self.filter.as_ref().map_or(&[][..], |filter| filter.fields());
        fields.iter().any(|field| !Fields.is_of_type(field.field))
    }
}
