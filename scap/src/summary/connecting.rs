//! How long it takes to connect, also where `connect` does not wait for it.

use super::outcome::Outcome;
use crate::{fields::subject::subject, format::Value, hash::HashMap, replay::Moment};

const EINPROGRESS: i64 = -115;
/// The most connections under way that are known; beyond, the times of further ones are not.
const MOST: usize = 1 << 16;

/// The connections that are under way: a process, its descriptor, and when `connect` was called.
#[derive(Debug, Default)]
pub(super) struct Connecting(HashMap<(u64, i64), u64>);

impl Connecting {
    /// Takes the end of a call. Returns how long connecting took, in ns, if that is known now: when `connect` returns; or at the
    /// start of the first call that transfers something, or learns from SO_ERROR that there is no error.
    pub fn event(&mut self, moment: &Moment<'_>, outcome: &Outcome) -> Option<u64> {
        let event = moment.event();
        let is_connect = event.info().is_some_and(|row| row.name == "connect");
        if !is_connect && self.0.is_empty() {
            return None;
        }
        let key = (moment.machine.pid(event.tid()), subject(moment)?.fd);
        let begun = event.ts().saturating_sub(outcome.latency.unwrap_or(0));
        match outcome.result {
            Some(0) if is_connect && !self.0.contains_key(&key) => outcome.latency,
            Some(EINPROGRESS) if is_connect => {
                if self.0.len() < MOST {
                    self.0.entry(key).or_insert(begun);
                }
                None
            }
            Some(result) if result >= 0 && (is_connect || outcome.read + outcome.written > 0) => {
                Some(begun.saturating_sub(self.0.remove(&key)?))
            }
            _ if event.info().is_some_and(|row| row.name == "close") => {
                self.0.remove(&key);
                None
            }
            Some(0) => match event.value("val")?.ok()?.value {
                Value::Errno(0) => Some(begun.saturating_sub(self.0.remove(&key)?)),
                Value::Errno(_) => {
                    self.0.remove(&key);
                    None
                }
                _ => None,
            },
            _ => None,
        }
    }
}
