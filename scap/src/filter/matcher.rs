//! A filter that remembers what it says of each type of events.

use super::{Filter, plan::Node};
use crate::{
    events::{EVENTS, EventType},
    fields::{Reference, Registry, Source},
    format::is_named_by_type,
};

/// A filter, as it is asked about many events. Most filters name the types they are about: events of other types cost
/// no more than a look into a table.
#[derive(Debug)]
pub struct Matcher {
    plan: Node,
    /// The indexes of the fields that only depend on an event's type.
    of_type: Vec<bool>,
    /// What is known of each type, once an event of it was seen.
    known: Vec<Known>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Unseen,
    /// All of its events match, or none.
    Always(bool),
    /// It takes the event's other fields.
    Depends,
}

impl Matcher {
    /// Prepares a filter that was parsed with this registry.
    pub fn new(filter: &Filter, registry: &impl Registry) -> Matcher {
        let of_type = (0..registry.fields().len()).map(|field| registry.is_of_type(field)).collect();
        Matcher { plan: filter.plan.clone(), of_type, known: vec![Known::Unseen; EVENTS.len()] }
    }

    /// Returns whether no event of this type matches; `None` before [`matches`](Matcher::matches) has seen one.
    pub fn excludes(&self, ty: EventType) -> Option<bool> {
        match self.known.get(usize::from(ty.0)) {
            Some(Known::Unseen) if is_named_by_type(ty) => None,
            known => Some(known == Some(&Known::Always(false))),
        }
    }

    /// Returns whether an event of this type matches.
    #[inline]
    pub fn matches<S: Source + ?Sized>(&mut self, ty: EventType, source: &S) -> bool {
        let known = match self.known.get_mut(usize::from(ty.0)) {
            Some(known) if is_named_by_type(ty) => known,
            _ => return self.plan.matches(source),
        };
        if *known == Known::Unseen {
            let of_type = &self.of_type;
            let is_known = |field: &Reference| of_type.get(field.field) == Some(&true);
            *known = self.plan.known(source, &is_known).map_or(Known::Depends, Known::Always);
        }
        match *known {
            Known::Always(result) => result,
            _ => self.plan.matches(source),
        }
    }
}
