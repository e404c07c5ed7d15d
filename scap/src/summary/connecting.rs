//! How long it takes to connect, also where `connect` does not wait for it.

use super::outcome::Outcome;
use crate::{fields::subject::subject, format::Value, hash::HashMap, replay::Moment};

const EINPROGRESS: i64 = -115;
/// The most connections under way that are known; beyond, the times of further ones are not.
const MOST: usize = 1 << 16;

/// What came of connecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connected {
    /// It took so long, in ns.
    Within(u64),
    /// It goes on.
    Begun,
    /// It failed with this error, as the call says only now.
    Failed(i64),
}

/// The connections that are under way: a process, its descriptor, and when `connect` was called.
#[derive(Debug, Default)]
pub(super) struct Connecting(HashMap<(u64, i64), u64>);

impl Connecting {
    /// Takes the end of a call. Returns what came of connecting, if that is known now: when `connect` returns; or at the start of
    /// the first call that transfers something, or that learns the error from SO_ERROR.
    pub fn event(&mut self, moment: &Moment<'_>, outcome: &Outcome) -> Option<Connected> {
        let event = moment.event();
        let name = event.info()?.name;
        let is_connect = name == "connect";
        if !is_connect && self.0.is_empty() {
            return None;
        }
        let key = (moment.machine.pid(event.tid()), subject(moment)?.fd);
        let begun = event.ts().saturating_sub(outcome.latency.unwrap_or(0));
        match outcome.result? {
            0 if is_connect && !self.0.contains_key(&key) => outcome.latency.map(Connected::Within),
            EINPROGRESS if is_connect => {
                if self.0.len() < MOST {
                    self.0.entry(key).or_insert(begun);
                }
                Some(Connected::Begun)
            }
            result if result >= 0 && (is_connect || outcome.read + outcome.written > 0) => {
                self.ended(key, begun)
            }
            _ if name == "close" => {
                self.0.remove(&key);
                None
            }
            0 => match event.value("val")?.ok()?.value {
                Value::Errno(0) => self.ended(key, begun),
                Value::Errno(error) => self.0.remove(&key).map(|_| Connected::Failed(error.saturating_abs())),
                _ => None,
            },
            _ => None,
        }
    }

    fn ended(&mut self, key: (u64, i64), ts: u64) -> Option<Connected> {
        let begun = self.0.remove(&key)?;
        Some(Connected::Within(ts.saturating_sub(begun)))
    }
}
