//! The calls that events end, each once.

use super::outcome::{Kind, Outcome, kind};
use crate::{events::EventType, hash::HashMap, replay::Moment};

/// Tells which calls the events end that are given to it.
#[derive(Debug, Default)]
pub struct Ends {
    messages: Messages,
}

impl Ends {
    /// Takes an event. Returns what came of the call that it ends, and whether a summary counts the call there: `sendmmsg` and
    /// `recvmmsg` have an end for each message, and the first one counts.
    pub fn event(&mut self, moment: &Moment<'_>) -> Option<(Outcome, bool)> {
        let is_call = match kind(moment) {
            Kind::Enter => {
                self.messages.begin(moment.event().tid());
                return None;
            }
            Kind::Exit | Kind::Request => true,
            Kind::Message => self.messages.is_first(moment),
            Kind::Signal | Kind::End | Kind::Other => return None,
        };
        Some((Outcome::at(moment), is_call))
    }
}

/// Tells the first message of a call from further ones.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// Threads whose last event was the end of one message of several, and the type of that event.
    last: HashMap<u64, EventType>,
}

impl Messages {
    /// Takes it that a thread begins a call.
    #[inline]
    pub fn begin(&mut self, tid: u64) {
        if !self.last.is_empty() {
            self.last.remove(&tid);
        }
    }

    /// Returns whether the next event of a thread may be the end of a further message.
    #[inline]
    pub fn awaits(&self, tid: u64) -> bool {
        !self.last.is_empty() && self.last.contains_key(&tid)
    }

    /// Takes the end of a message. Returns whether it is the first one of its call.
    pub fn is_first(&mut self, moment: &Moment<'_>) -> bool {
        let event = moment.event();
        let is_further = self.last.get(&event.tid()) == Some(&event.ty());
        // Without their enter events, one call is not told from the next.
        if moment.machine.latency().is_some() {
            self.last.insert(event.tid(), event.ty());
        }
        !is_further
    }
}
