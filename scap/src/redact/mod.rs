//! Overwrites what a capture must not hold: secrets in arguments, environments, paths and data.
//!
//! What a rule finds is overwritten at its length, so nothing else moves, and readers see events of the same form. Which
//! parameters are looked at follows from their types in the event table. Each value is looked at by itself: what is divided
//! among several, or cut off before its end, is not recognized as a whole.

mod places;
mod rules;

use std::{ops::Range, sync::Arc};

use crate::{
    events::EventType,
    format::{
        EventView,
        state::{FdKind, MachineState},
    },
};
use places::Texts;

pub use rules::{RuleError, RuleKind, Rules};

/// What overwrites.
pub const COVER: u8 = b'*';

/// Overwrites what its rules find.
#[derive(Debug)]
pub struct Redactor {
    rules: Arc<Rules>,
    /// Where something was found in the event at hand.
    found: Vec<Range<usize>>,
    /// The event at hand, overwritten.
    event: Vec<u8>,
}

impl Redactor {
    /// Makes one of rules.
    pub fn new(rules: Arc<Rules>) -> Redactor {
        Redactor { rules, found: Vec::new(), event: Vec::new() }
    }

    /// Returns an event with what is found overwritten, and in how many values something was found. An event without such
    /// values is returned as it is.
    pub fn event<'a>(&'a mut self, event: &'a [u8]) -> (&'a [u8], u64) {
        let ty = event.get(20..).and_then(<[u8]>::first_chunk).map_or(0, |ty| u16::from_ne_bytes(*ty));
        if !places::has_texts(EventType(ty)) {
            return (event, 0);
        }
        let Ok(view) = EventView::parse(event, false) else { return (event, 0) };
        let Redactor { rules, found, event: covered } = self;
        let mut values = 0;
        found.clear();
        places::texts(&view, |text| {
            let before = found.len();
            let bytes = text.bytes();
            match text {
                Texts::Data(_) => rules.find(bytes, found),
                Texts::List(_) => rules.find_in_list(bytes, found),
            }
            let at = offset_in(event, bytes);
            found[before..].iter_mut().for_each(|range| *range = at + range.start..at + range.end);
            values += u64::from(found.len() > before);
        });
        if found.is_empty() {
            return (event, 0);
        }
        covered.clear();
        covered.extend_from_slice(event);
        cover(covered, found);
        (covered, values)
    }

    /// Overwrites what is found in the state of a machine. Returns in how many values something was found.
    pub fn state(&mut self, state: &mut MachineState) -> u64 {
        let mut values = 0;
        let mut list = |text: &mut Vec<u8>| {
            self.found.clear();
            self.rules.find_in_list(text, &mut self.found);
            cover(text, &self.found);
            values += u64::from(!self.found.is_empty());
        };
        for thread in &mut state.threads {
            let paths = [&mut thread.exepath, &mut thread.cwd, &mut thread.root];
            let others = [&mut thread.comm, &mut thread.exe, &mut thread.cgroups];
            paths.into_iter().chain(others).for_each(&mut list);
            [&mut thread.args, &mut thread.env].into_iter().for_each(&mut list);
        }
        for fd in state.fds.iter_mut().flat_map(|list| &mut list.fds) {
            match &mut fd.kind {
                FdKind::File { path, .. } | FdKind::Unix { path, .. } | FdKind::Named { name: path, .. } => {
                    list(path);
                }
                FdKind::Ipv4 { .. }
                | FdKind::Ipv6 { .. }
                | FdKind::Ipv4Listening { .. }
                | FdKind::Ipv6Listening { .. } => {}
            }
        }
        state.users.iter_mut().flat_map(|user| [&mut user.home, &mut user.shell]).for_each(&mut list);
        values
    }
}

/// Overwrites these parts of a text.
fn cover(text: &mut [u8], parts: &[Range<usize>]) {
    for part in parts {
        if let Some(bytes) = text.get_mut(part.clone()) {
            bytes.fill(COVER);
        }
    }
}

/// Returns where a part of a slice starts in it.
fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
}

#[cfg(test)]
mod tests;
