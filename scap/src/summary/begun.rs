//! The calls that threads are in: their enter events, as long as they have not ended.

use crate::{format::EventView, hash::HashMap, model::Machine};

/// The calls that threads are in.
#[derive(Debug, Default)]
pub(super) struct Begun {
    /// The thread whose call began last, and the event: the next event is often its end.
    last: Option<u64>,
    event: Vec<u8>,
    others: HashMap<u64, Vec<u8>>,
    /// Buffers that are free.
    free: Vec<Vec<u8>>,
    memory: usize,
}

impl Begun {
    /// Notes the enter event of a call.
    #[inline]
    pub fn enter(&mut self, event: &EventView<'_>) {
        let tid = event.tid();
        if let Some(other) = self.last.filter(|last| *last != tid) {
            let free = self.free.pop().unwrap_or_default();
            let waiting = std::mem::replace(&mut self.event, free);
            self.memory += waiting.capacity();
            if let Some(before) = self.others.insert(other, waiting) {
                self.give_back(before);
            }
            self.drop_other(tid);
        }
        self.last = Some(tid);
        self.event.clear();
        event.copy_to(&mut self.event);
    }

    /// Returns whether a thread is in a call, as far as events told.
    #[inline]
    pub fn has(&self, tid: u64) -> bool {
        self.last == Some(tid) || !self.others.is_empty() && self.others.contains_key(&tid)
    }

    /// Forgets the call of a thread: it has ended, or is not known to go on.
    #[inline]
    pub fn exit(&mut self, tid: u64) {
        if self.last == Some(tid) {
            self.last = None;
        } else if !self.others.is_empty() {
            self.drop_other(tid);
        }
    }

    fn drop_other(&mut self, tid: u64) {
        if let Some(ended) = self.others.remove(&tid) {
            self.give_back(ended);
        }
    }

    fn give_back(&mut self, buffer: Vec<u8>) {
        self.memory -= buffer.capacity();
        self.free.push(buffer);
    }

    /// Returns the enter events of the calls that the machine knows to go on.
    pub fn events<'a>(&'a self, machine: &Machine) -> impl Iterator<Item = EventView<'a>> {
        let last = self.last.map(|_| &self.event);
        let events = last.into_iter().chain(self.others.values());
        // They are copies of events.
        let events = events.filter_map(|bytes| EventView::parse_joined(bytes, false).ok());
        events.filter(|event| machine.call(event.tid()).is_some_and(|call| call.entered == event.ts()))
    }

    /// The memory of the events, in bytes.
    pub fn memory(&self) -> usize {
        self.memory + self.free.len() * size_of::<Vec<u8>>()
    }
}
