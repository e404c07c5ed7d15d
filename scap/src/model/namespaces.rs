//! Process ids in nested pid namespaces.
//!
//! An event carries its thread's id in the initial namespace, but calls take and return ids of the caller's namespace.
//! A capture does not name namespaces; the start time of its first process identifies one. The initial state has that
//! time in ns since the epoch, rounded to clock ticks, the events of children in ns since boot. This module matches the
//! two.

use crate::hash::{HashMap, HashSet};

use super::memory::{map_memory, set_memory};

/// A clock tick in ns, the resolution of /proc/PID/stat and so of the initial state.
const TICK: u64 = 10_000_000;
/// The id of a namespace's first process in that namespace.
const INIT: i64 = 1;

/// A nested pid namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Namespace(u32);

/// The id of a thread in its own, nested namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nested {
    /// `None` if unknown.
    pub namespace: Option<Namespace>,
    pub vtid: i64,
}

/// The nested namespaces of a capture and their members.
#[derive(Debug, Clone, Default)]
pub(crate) struct Namespaces {
    boot_time: u64,
    count: u32,
    /// The namespaces of the initial state, by the start of their first process in ticks since boot.
    of_state: HashMap<u64, Namespace>,
    /// The namespaces seen in events, by the start of their first process in ns since boot.
    of_events: HashMap<u64, Namespace>,
    dated: HashSet<Namespace>,
    members: HashMap<(Namespace, i64), u64>,
    /// Children of which only the parent's return has been seen.
    announced: HashSet<(Namespace, i64)>,
}

impl Namespaces {
    pub fn new(boot_time: u64) -> Namespaces {
        Namespaces { boot_time, ..Namespaces::default() }
    }

    /// Converts a namespace's start in an event to that in the initial state: ns since the epoch.
    pub fn start_in_state(&self, start: u64) -> u64 {
        self.boot_time.saturating_add(start)
    }

    /// The memory that all of this takes, in bytes.
    pub fn memory(&self) -> u64 {
        map_memory(&self.of_state)
            + map_memory(&self.of_events)
            + map_memory(&self.members)
            + set_memory(&self.dated)
            + set_memory(&self.announced)
    }

    /// Returns the namespace of a thread of the initial state. `start` is 0 if unknown.
    pub fn of_state(&mut self, start: u64) -> Option<Namespace> {
        let tick = start.checked_sub(self.boot_time).filter(|_| start != 0)? / TICK;
        if let Some(known) = self.of_state.get(&tick) {
            return Some(*known);
        }
        let new = self.create();
        self.of_state.insert(tick, new);
        Some(new)
    }

    /// Returns the namespace of a child, given that namespace's start time (0: unknown) and the parent's namespace.
    pub fn of_child(&mut self, vtid: i64, start: u64, parent: Option<Namespace>) -> Option<Namespace> {
        if start == 0 {
            return if vtid == INIT { Some(self.create()) } else { parent };
        }
        if let Some(known) = self.of_events.get(&start).filter(|_| vtid != INIT) {
            return Some(*known);
        }
        let namespace = match vtid {
            INIT => self.create(),
            _ => {
                let undated = |namespace: &Namespace| !self.dated.contains(namespace);
                let same_tick =
                    (0..3).filter_map(|i| self.of_state.get(&((start / TICK + i).checked_sub(1)?)).copied());
                match parent.into_iter().chain(same_tick).find(undated) {
                    Some(known) => known,
                    None => self.create(),
                }
            }
        };
        self.dated.insert(namespace);
        self.of_events.insert(start, namespace);
        Some(namespace)
    }

    /// Announces a member that will enter later.
    pub fn announce(&mut self, nested: Nested) {
        if let Nested { namespace: Some(namespace), vtid } = nested {
            self.announced.insert((namespace, vtid));
        }
    }

    /// Adds a member; returns whether it was announced.
    pub fn enter(&mut self, nested: Option<Nested>, tid: u64) -> bool {
        let Some(Nested { namespace: Some(namespace), vtid }) = nested else { return false };
        self.members.insert((namespace, vtid), tid);
        self.announced.remove(&(namespace, vtid))
    }

    pub fn leave(&mut self, nested: Option<Nested>, tid: u64) {
        if let Some(Nested { namespace: Some(namespace), vtid }) = nested
            && self.members.get(&(namespace, vtid)) == Some(&tid)
        {
            self.members.remove(&(namespace, vtid));
        }
    }

    /// Returns the thread with the number `id` in the namespace of `nested`; `id` itself if that is `None`.
    pub fn resolve(&self, nested: Option<Nested>, id: u64) -> Option<u64> {
        match nested {
            None => Some(id),
            Some(nested) => self.members.get(&(nested.namespace?, i64::try_from(id).ok()?)).copied(),
        }
    }

    fn create(&mut self) -> Namespace {
        self.count += 1;
        Namespace(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: u64 = 1_700_000_000_000_000_000;

    #[test]
    fn a_namespace_of_the_state_is_that_of_its_members_children() {
        let mut all = Namespaces::new(BOOT);
        let (a, b) = (all.of_state(BOOT + 5 * TICK), all.of_state(BOOT + 900 * TICK));
        assert!(a != b && a == all.of_state(BOOT + 5 * TICK) && all.of_state(0).is_none());
        // The clocks of the events and of the state may differ: the parent decides.
        assert_eq!(all.of_child(7, 3 * TICK + 77, a), a);
        // A process that entered the namespace from outside has a child in it: the start time decides.
        assert_eq!(all.of_child(9, 900 * TICK + 77, None), b);
        assert_eq!(all.of_child(10, 900 * TICK + 77, a), b);
    }

    #[test]
    fn the_first_process_makes_a_namespace() {
        let mut all = Namespaces::new(BOOT);
        let outer = all.of_child(1, 1000, None);
        let inner = all.of_child(1, 2000, outer);
        assert!(outer != inner);
        assert_eq!(all.of_child(2, 2000, outer), inner);
        assert_eq!(all.of_child(2, 1000, outer), outer);
        // An old capture has no start times.
        let old = all.of_child(1, 0, None);
        assert!(old.is_some() && old != outer && old != inner);
        assert_eq!((all.of_child(2, 0, old), all.of_child(2, 0, None)), (old, None));
    }

    #[test]
    fn ids_are_resolved_within_the_namespace() {
        let mut all = Namespaces::new(BOOT);
        let [a, b] = [1000, 2000].map(|start| all.of_child(1, start, None));
        let nested = |namespace, vtid| Some(Nested { namespace, vtid });
        all.enter(nested(a, 1), 500);
        all.enter(nested(b, 1), 600);
        assert_eq!(all.resolve(nested(a, 9), 1), Some(500));
        assert_eq!(all.resolve(nested(b, 9), 1), Some(600));
        assert_eq!(all.resolve(nested(None, 9), 1), None);
        assert_eq!(all.resolve(None, 1), Some(1));
        all.leave(nested(a, 1), 501);
        assert_eq!(all.resolve(nested(a, 9), 1), Some(500));
        all.leave(nested(a, 1), 500);
        assert_eq!(all.resolve(nested(a, 9), 1), None);
    }
}
