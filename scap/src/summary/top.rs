//! Calls in groups: the numbers of each.

use super::{
    begun::Begun,
    connecting::{Connected, Connecting},
    ends::Messages,
    groups::Groups,
    keys::{KeyValue, Keys},
    outcome::{Kind, Outcome, is_message, kind},
    totals::Totals,
};
use crate::{
    format::EventView,
    hash::HashMap,
    replay::{Moment, Now},
};

/// Groups calls by [`Keys`], and adds up what came of them.
///
/// A call counts at its end, in the group of its exit event. A call that has not ended at the end of the captures counts as
/// pending, in the group of its enter event. A call without an enter event counts as one of unknown duration.
#[derive(Debug)]
pub struct Top<S = Totals> {
    groups: Groups<S>,
    begun: Begun,
    /// Calls that had not ended at the end of a capture before, by their threads: their groups and when they began. They may
    /// go on in the next one.
    carried: HashMap<u64, (usize, u64)>,
    messages: Messages,
    /// Connections under way, if it is to be known how long they take.
    connecting: Option<Connecting>,
    without_key: u64,
    /// The group of the call that the last event has ended.
    ended: Option<usize>,
    /// The memory of the groups' numbers, as it was last looked at.
    memory: usize,
    looked: usize,
    /// What all of it may take, as it was last said; 0 before.
    limit: u64,
}

/// A group.
#[derive(Debug)]
pub struct Group<'a, S = Totals> {
    /// Its keys.
    pub keys: Vec<KeyValue<'a>>,
    /// Its numbers.
    pub totals: &'a S,
}

/// What is added up for a group: [`Totals`], or more than these.
pub trait Sums: Default {
    /// Adds a call that ended at this time, in ns since the epoch.
    fn call(&mut self, outcome: &Outcome, ts: u64);
    /// Adds what a call has done, without the call.
    fn effects(&mut self, outcome: &Outcome, ts: u64);
    /// Adds bytes that a call of another group has read from what this one is about.
    fn moved(&mut self, bytes: u64, ts: u64);
    /// Returns the numbers of all times.
    fn totals(&mut self) -> &mut Totals;
    /// The memory that this takes besides its own size, in bytes.
    fn memory(&self) -> usize;
}

impl Sums for Totals {
    #[inline]
    fn call(&mut self, outcome: &Outcome, _ts: u64) {
        self.add(outcome);
    }

    fn effects(&mut self, outcome: &Outcome, _ts: u64) {
        self.add_effects(outcome);
    }

    fn moved(&mut self, bytes: u64, _ts: u64) {
        self.read = self.read.saturating_add(bytes);
    }

    fn totals(&mut self) -> &mut Totals {
        self
    }

    fn memory(&self) -> usize {
        Totals::memory(self)
    }
}

/// The groups take more memory than the reader allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the groups take more than {limit} bytes: there are too many different keys; choose other keys, or raise the limit \
     (--max-state)"
)]
pub struct TooManyGroups {
    /// The limit, in bytes.
    pub limit: u64,
}

impl Top {
    /// Starts without calls.
    pub fn new(keys: Keys) -> Top {
        Top::summing(keys)
    }

    /// Returns the numbers of all groups together.
    pub fn total(&self) -> Totals {
        let mut total = Totals::default();
        self.groups.iter().for_each(|(_, totals)| total.merge(totals));
        total
    }

    /// Adds what another one has counted, by the same keys, of other events of the same captures. Either was told of the
    /// other's as [of others](Top::of_others), and both of the ends of all captures. Neither knows how long it takes to connect,
    /// which depends on all events.
    ///
    /// # Errors
    /// If the groups take too much memory together.
    pub fn merge(&mut self, other: Top) -> Result<(), TooManyGroups> {
        let places = self.groups.merge(other.groups, |own, other| own.merge(&other));
        let carried = other.carried.into_iter().filter_map(|(tid, (group, since))| {
            let place = places.get(group)?;
            Some((tid, (*place, since)))
        });
        self.carried.extend(carried);
        self.without_key += other.without_key;
        (self.ended, self.looked) = (None, 0);
        self.check(self.limit.max(other.limit))
    }
}

impl<S: Sums> Top<S> {
    /// Starts without calls, to add up what `S` does.
    pub fn summing(keys: Keys) -> Top<S> {
        Top {
            groups: Groups::new(keys),
            begun: Begun::default(),
            carried: HashMap::default(),
            messages: Messages::default(),
            connecting: None,
            without_key: 0,
            ended: None,
            memory: 0,
            looked: 0,
            limit: 0,
        }
    }

    /// Has it know [how long it takes to connect](Totals::connecting), for which it looks at all calls more closely. That
    /// connecting goes on is no error then, and that it failed is one of the call that learns it.
    #[must_use]
    pub fn with_connections(mut self) -> Top<S> {
        self.connecting = Some(Connecting::default());
        self
    }

    /// Returns the keys.
    pub fn keys(&self) -> &Keys {
        self.groups.keys()
    }

    /// Takes an event.
    ///
    /// # Errors
    /// If the groups take too much memory.
    #[inline]
    pub fn event(&mut self, moment: &Moment<'_>) -> Result<(), TooManyGroups> {
        let event = moment.event();
        let kind = kind(moment);
        self.ended = None;
        if kind == Kind::Other {
            return Ok(());
        }
        if !self.carried.is_empty() && !matches!(kind, Kind::Signal | Kind::Request) {
            self.carried.remove(&event.tid());
        }
        match kind {
            Kind::Signal => return self.signal(moment),
            _ if self.keys().counts_signals() => {}
            Kind::Enter => {
                self.begun.enter(event);
                self.messages.begin(event.tid());
            }
            Kind::Request => return self.ended(moment, true),
            Kind::Exit => {
                self.begun.exit(event.tid());
                return self.ended(moment, true);
            }
            Kind::Message => {
                self.begun.exit(event.tid());
                let is_first = self.messages.is_first(moment);
                return self.ended(moment, is_first);
            }
            Kind::End => self.begun.exit(event.tid()),
            Kind::Other => {}
        }
        Ok(())
    }

    /// Gives the group of the call that the last event has ended a line about it, if it has none.
    pub fn illustrate(&mut self, line: impl FnOnce() -> Option<String>) {
        let group = self.ended.and_then(|index| self.groups.item(index));
        if let Some(totals) = group.map(S::totals).filter(|totals| totals.example.is_none()) {
            totals.example = line().map(String::into_boxed_str);
        }
    }

    /// Takes an event that is not to be counted.
    pub fn unwanted(&mut self, moment: &Moment<'_>) {
        let (kind, tid) = (kind(moment), moment.event().tid());
        if matches!(kind, Kind::Exit | Kind::Message | Kind::End | Kind::Enter) {
            self.begun.exit(tid);
            self.carried.remove(&tid);
        }
        if kind == Kind::Enter {
            self.messages.begin(tid);
        }
    }

    /// Takes an event that another one counts, if it is wanted, which this one is [merged](Top::merge) with.
    pub fn of_others(&mut self, moment: &Moment<'_>, is_wanted: bool) {
        self.unwanted(moment);
        if is_wanted && kind(moment) == Kind::Message && !self.keys().counts_signals() {
            self.messages.is_first(moment);
        }
    }

    /// Returns whether an event matters that is not to be counted, or [of others](Top::of_others).
    #[inline]
    pub fn follows(&self, event: &EventView<'_>, is_of_others: bool) -> bool {
        let tid = event.tid();
        self.begun.has(tid)
            || !self.carried.is_empty() && self.carried.contains_key(&tid)
            || self.messages.awaits(tid)
            || is_of_others && is_message(event)
    }

    #[inline]
    fn ended(&mut self, moment: &Moment<'_>, is_call: bool) -> Result<(), TooManyGroups> {
        let Some(index) = self.groups.index(moment) else {
            self.without_key += u64::from(is_call);
            return Ok(());
        };
        self.ended = Some(index);
        let mut outcome = Outcome::at(moment);
        let connecting = self.connecting.as_mut().and_then(|open| open.event(moment, &outcome));
        if let Some(sums) = self.groups.item(index) {
            match connecting {
                Some(Connected::Within(ns)) => sums.totals().add_connecting(ns),
                Some(Connected::Begun) => outcome.result = None,
                Some(Connected::Failed(error)) => outcome.result = error.checked_neg(),
                None => {}
            }
            let ts = moment.event().ts();
            if is_call { sums.call(&outcome, ts) } else { sums.effects(&outcome, ts) }
        }
        if outcome.moved > 0 {
            self.moved(moment, outcome.moved);
        }
        self.check(moment.limit)
    }

    /// Adds the bytes that a call has moved to what it has read them from.
    fn moved(&mut self, moment: &Moment<'_>, bytes: u64) {
        let source = self.groups.index(&Moment { of_source: true, ..moment.clone() });
        if let Some(sums) = source.and_then(|index| self.groups.item(index)) {
            sums.moved(bytes, moment.event().ts());
        }
    }

    fn signal(&mut self, moment: &Moment<'_>) -> Result<(), TooManyGroups> {
        if !self.keys().counts_signals() {
            return Ok(());
        }
        match self.groups.index(moment) {
            Some(index) => self.groups.item(index).into_iter().for_each(|sums| sums.totals().calls += 1),
            None => self.without_key += 1,
        }
        self.check(moment.limit)
    }

    /// Checks the memory. Numbers are looked at when the groups have grown.
    #[inline]
    fn check(&mut self, limit: u64) -> Result<(), TooManyGroups> {
        self.limit = limit;
        let groups = self.groups.memory();
        if groups < self.looked {
            return Ok(());
        }
        self.memory = self.groups.iter().map(|(_, totals)| totals.memory()).sum();
        self.looked = groups + groups / 4 + (64 << 10);
        let needs = groups + self.memory + self.begun.memory();
        if limit > 0 && needs as u64 > limit { Err(TooManyGroups { limit }) } else { Ok(()) }
    }

    /// Takes the end of a capture. Others may follow.
    pub fn end_capture(&mut self, now: Now<'_>) {
        let goes_on = |tid: &u64| now.machine.comm(*tid).is_some() && now.machine.call(*tid).is_none();
        self.carried.retain(|tid, _| goes_on(tid));
        let begun = std::mem::take(&mut self.begun);
        for event in begun.events(now.machine) {
            match self.groups.index(&now.with(event)) {
                Some(index) => drop(self.carried.insert(event.tid(), (index, event.ts()))),
                None => self.without_key += 1,
            }
        }
    }

    /// Counts the calls as pending that have not ended, behind the end of the last capture. `ts` is the time of the last event, in
    /// ns since the epoch.
    pub fn finish(&mut self, ts: u64) {
        for (index, since) in std::mem::take(&mut self.carried).into_values() {
            if let Some(sums) = self.groups.item(index) {
                sums.totals().add_pending(ts.saturating_sub(since));
            }
        }
    }

    /// Ends an interval: counts the calls as pending that have not ended. What follows [`clear`](Top::clear) is the next
    /// one.
    pub fn end_interval(&mut self, now: Now<'_>) {
        for event in self.begun.events(now.machine) {
            let index = self.groups.index(&now.with(event));
            if let Some(sums) = index.and_then(|index| self.groups.item(index)) {
                sums.totals().add_pending(now.ts.saturating_sub(event.ts()));
            }
        }
    }

    /// Leaves the `most` groups that have the highest rank, if there are more than twice as many. Returns what the others came
    /// to; a later call may make one of them anew.
    pub fn prune(&mut self, most: usize, rank: impl Fn(&S) -> u64) -> Vec<S> {
        if self.groups.len() <= 2 * most {
            return Vec::new();
        }
        let (places, pruned) = self.groups.prune(most, rank);
        self.carried.retain(|_, (group, _)| {
            let place = places.get(*group).copied().flatten();
            place.inspect(|place| *group = *place).is_some()
        });
        (self.ended, self.looked) = (None, 0);
        pruned
    }

    /// Forgets all groups, but not the calls that have not ended.
    pub fn clear(&mut self) {
        self.groups.clear();
        self.carried.clear();
        (self.without_key, self.looked) = (0, 0);
    }

    /// Returns the groups, in no order.
    pub fn groups(&self) -> impl Iterator<Item = Group<'_, S>> {
        self.groups.iter().map(|(keys, totals)| Group { keys, totals })
    }

    /// Returns how many calls lack a key, and are in no group.
    pub fn without_key(&self) -> u64 {
        self.without_key
    }
}
