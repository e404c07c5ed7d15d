//! Counts the events that the recorder takes from the rings, for the summary.

use std::collections::BTreeMap;

use crate::probe;
use scap::{
    events::{EventType, ForeignCall},
    select::Judge,
};

/// Counts of the taken events that the ledger does not keep.
#[derive(Debug, Clone)]
pub struct Counts {
    /// Requested events, by the [place](probe::counted) of their type.
    pub types: Vec<u64>,
    /// Requested generic exit events, by the call's stable code. Calls that the tables do not know have code 0.
    pub generic: Vec<u64>,
    /// Of those with code 0: calls whose number is not from the native table, by kind.
    pub foreign: BTreeMap<&'static str, u64>,
    /// All events.
    pub total: u64,
    /// Requested events.
    pub asked: u64,
}

impl Counts {
    pub(super) fn new() -> Counts {
        Counts {
            types: vec![0; probe::COUNTED],
            generic: vec![0; 1 << 10],
            foreign: BTreeMap::new(),
            total: 0,
            asked: 0,
        }
    }

    /// Counts an event and returns its type. One that is not wanted was not requested either. Offsets are those of
    /// include/scap_event.h.
    #[inline]
    pub(super) fn add(&mut self, event: &[u8], judge: &mut Judge, is_wanted: bool) -> EventType {
        self.total += 1;
        let word = |at: usize| event.get(at..at + 2).map_or(0, |b| u16::from_ne_bytes([b[0], b[1]]));
        let ty = EventType(word(20));
        // The first two parameters of a generic event follow their two lengths.
        let (code, native) = (|| word(30), || word(32));
        if is_wanted && judge.is_asked(ty, code) {
            self.asked += 1;
            if let Some(place) = probe::counted(ty) {
                self.types[place] += 1;
            }
            if ty.0 == 1
                && let Some(count) = self.generic.get_mut(usize::from(code()))
            {
                *count += 1;
            }
            if ty.0 == 1
                && let (0, Some(call)) = (code(), ForeignCall::of(native()))
            {
                *self.foreign.entry(call.kind()).or_default() += 1;
            }
        }
        ty
    }
}
