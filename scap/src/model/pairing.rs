//! Pairs the enter and exit events of each thread.

use std::sync::LazyLock;

use crate::hash::HashMap;

use super::memory::map_memory;
use crate::{
    events::{EVENTS, Effect, EventType, Source, Syscall, event},
    format::{EventView, successor},
};

/// A call that a thread is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// When it was entered, in ns since the epoch.
    pub entered: u64,
    /// The type of the current exit event of the call.
    exit: EventType,
    /// The code of a generic event's call, otherwise 0.
    code: u16,
}

/// The calls that threads are in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pairing {
    /// The call entered last, by its thread: the next event is often its exit.
    last: Option<(u64, Call)>,
    others: HashMap<u64, Call>,
}

/// The current exit event of each row's call; 0 for rows of no system call.
static EXITS: LazyLock<Vec<EventType>> = LazyLock::new(|| {
    let exit = |row: &'static crate::events::Event| match row.source {
        Source::Syscall => event(EventType(row.ty.0 | 1)).map_or(row.ty, |exit| successor(exit).ty),
        _ => EventType(0),
    };
    EVENTS.iter().map(exit).collect()
});

impl Call {
    /// Returns its name; empty if it has none.
    pub fn name(&self) -> &'static str {
        match Syscall::by_code(self.code).filter(|_| self.exit.is_generic()) {
            Some(call) => call.name,
            None => event(self.exit).filter(|row| !row.ty.is_generic()).map_or("", |row| row.name),
        }
    }

    /// Returns whether it makes a thread.
    fn is_clone(&self) -> bool {
        event(self.exit).is_some_and(|row| row.effect() == Some(Effect::Clone))
    }

    fn of(event: &EventView<'_>) -> Option<Call> {
        let exit = *EXITS.get(usize::from(event.ty().0)).filter(|exit| exit.0 != 0)?;
        let code = match exit.0 {
            1 => event.param(0).and_then(<[u8]>::first_chunk).map_or(0, |code| u16::from_ne_bytes(*code)),
            _ => 0,
        };
        Some(Call { entered: event.ts(), exit, code })
    }
}

impl Pairing {
    /// Notes an event of a system call. Returns the call that an exit event ends.
    pub fn event(&mut self, event: &EventView<'_>) -> Option<Call> {
        let call = Call::of(event)?;
        if event.ty().is_enter() {
            self.enter(event.tid(), call);
            return None;
        }
        let entered = self.take(event.tid())?;
        (entered.exit == call.exit && entered.code == call.code).then_some(entered)
    }

    fn enter(&mut self, tid: u64, call: Call) {
        match self.last.replace((tid, call)) {
            Some((other, _)) if other == tid => {}
            Some((other, waiting)) => {
                self.others.insert(other, waiting);
                self.others.remove(&tid);
            }
            // The exit of an earlier call of the thread may be lost.
            None => drop(self.others.remove(&tid)),
        }
    }

    /// Forgets the call that a thread is in.
    pub fn take(&mut self, tid: u64) -> Option<Call> {
        if self.last.is_some_and(|(last, _)| last == tid) {
            return self.last.take().map(|(_, call)| call);
        }
        self.others.remove(&tid)
    }

    /// Returns the call that a thread is in.
    pub fn call(&self, tid: u64) -> Option<Call> {
        self.last
            .filter(|(last, _)| *last == tid)
            .map(|(_, call)| call)
            .or_else(|| self.others.get(&tid).copied())
    }

    /// Returns the threads that are in a clone, in order, and when they entered it, in ns since the epoch.
    pub fn in_clone(&self) -> Vec<(u64, u64)> {
        let calls = self.last.into_iter().chain(self.others.iter().map(|(tid, call)| (*tid, *call)));
        let mut tids: Vec<_> =
            calls.filter(|(_, call)| call.is_clone()).map(|(tid, call)| (tid, call.entered)).collect();
        tids.sort_unstable();
        tids
    }

    /// Forgets all calls.
    pub fn clear(&mut self) {
        *self = Pairing::default();
    }

    /// The memory that this takes, in bytes.
    pub fn memory(&self) -> u64 {
        map_memory(&self.others)
    }
}
