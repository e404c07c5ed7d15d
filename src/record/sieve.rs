//! The recorder's place of a filter: decides about each event, in the order of time, and passes on what is written.
//!
//! Where an event's type is enough, nothing is decoded. Otherwise a machine follows the events, as for a reader, and the calls
//! that change it are written too, marked as those that only keep names right.

use std::collections::{HashMap, VecDeque};

use crate::{probe::RawEvent, ring::merge::time_stamp};
use scap::{
    events::{Effect, EventType},
    fields::{Fields, Need},
    filter::{Decided, Filter, Matcher, Places, Verdict},
    format::{EventView, MachineState, set_time},
    replay::{Follow, Moment},
    select::Judge,
    slice::{Direction, Queue, Waiting},
};

/// How long an event waits for the return of a call, in ns.
const PATIENCE: u64 = 250_000_000;
/// The most memory for events that wait for the state of the machine, in bytes. More wait in the rings.
pub(super) const MAX_HELD: usize = 64 << 20;

/// The number of events of a process that are left out before the kernel is told again.
const LOOK_AGAIN: u32 = 64;

/// An event on its way to the output. Its time is the one that is written.
#[derive(Debug)]
pub(super) struct Sifted {
    cpu: u16,
    late: bool,
    ts: u64,
    /// The event, and from `end` on those that extend it.
    bytes: Vec<u8>,
    end: usize,
    /// It is written for itself.
    pub is_wanted: bool,
}

impl Sifted {
    pub fn new(event: &RawEvent<'_>, ts: u64) -> Sifted {
        let mut bytes = Vec::with_capacity(event.bytes.len() + event.extensions.len());
        for part in event.parts() {
            let start = bytes.len();
            bytes.extend_from_slice(part);
            set_time(&mut bytes[start..], ts);
        }
        let end = event.bytes.len();
        Sifted { cpu: event.cpu, late: event.late, ts, bytes, end, is_wanted: false }
    }

    /// Returns it as it came from a ring, with its time.
    pub fn raw(&self) -> (RawEvent<'_>, u64) {
        let (bytes, extensions) = self.bytes.split_at(self.end);
        (RawEvent { cpu: self.cpu, late: self.late, bytes, extensions }, self.ts)
    }

    fn view(&self) -> Option<EventView<'_>> {
        EventView::parse_joined(&self.bytes, false).ok()
    }
}

impl Waiting for Sifted {
    fn size(&self) -> usize {
        self.bytes.len() + size_of::<Sifted>()
    }

    fn ts(&self) -> u64 {
        self.ts
    }

    fn is_wanted(&self) -> bool {
        self.is_wanted
    }
}

/// What the kernel is to be told of processes.
#[derive(Debug, Default)]
struct Verdicts {
    /// By process, how many of its events were left out.
    looks: HashMap<u64, u32>,
    new: Vec<Verdict>,
}

impl Verdicts {
    /// Looks at the process of an event that is left out. Again now and then: it may have changed, and the kernel may have
    /// forgotten what it was told.
    fn look(&mut self, places: &Places, moment: &Moment<'_>, at: u64) {
        let event = moment.event();
        let Some(pid) = moment.machine.process_of(event.tid()) else { return };
        if is_end(event.ty()) {
            self.looks.remove(&pid);
            return;
        }
        let looks = self.looks.entry(pid).or_default();
        *looks = looks.wrapping_add(1);
        if looks.is_power_of_two() || looks.is_multiple_of(LOOK_AGAIN) {
            self.new.extend(places.verdict(moment, at));
        }
    }
}

/// A filter that runs beside a recording.
#[derive(Debug)]
pub(super) struct Sieve {
    /// The text of the filter.
    pub text: String,
    places: Places,
    matcher: Matcher,
    /// Whether the recording has nothing that only keeps names right.
    only: bool,
    follow: Follow,
    /// Events that wait for the state of the machine, and their memory in bytes.
    held: Option<(VecDeque<Sifted>, usize)>,
    queue: Queue<Sifted>,
    ready: VecDeque<Sifted>,
    /// What the kernel is to be told, once it has this filter.
    verdicts: Option<Verdicts>,
    /// Events that came in, and events that were passed on.
    taken: u64,
    passed: u64,
}

impl Sieve {
    pub fn new(filter: &Filter, only: bool) -> Sieve {
        let places = Places::of(filter);
        let needs_state = places.takes_recorder() && places.need() >= Need::State;
        Sieve {
            text: filter.to_string(),
            matcher: Matcher::new(filter, &Fields),
            only,
            follow: Follow::default(),
            held: needs_state.then(Default::default),
            queue: Queue::new(false),
            ready: VecDeque::new(),
            verdicts: None,
            taken: 0,
            passed: 0,
            places,
        }
    }

    /// Takes over the machine of the filter before, if that has what this one needs. The events of that one have all been
    /// passed on, unless it still waits for the state of the machine: then this one gets them.
    pub fn inherit(&mut self, before: Sieve) {
        let had = if before.places.takes_recorder() { before.places.need() } else { Need::Event };
        if before.held.is_none() && had >= Need::State && had >= self.places.need() {
            self.follow = before.follow;
            self.held = None;
        } else if let (Some((held, bytes)), Some(own)) = (before.held, &mut self.held) {
            self.taken += held.len() as u64;
            own.0.extend(held);
            own.1 += bytes;
        }
    }

    /// Returns whether it waits for the state of the machine.
    pub fn needs_state(&self) -> bool {
        self.held.is_some()
    }

    /// Returns whether it takes another event.
    pub fn has_room(&self) -> bool {
        self.held.as_ref().is_none_or(|(_, bytes)| *bytes < MAX_HELD)
    }

    /// Starts with the state of the machine, to which the events that have come in since belong.
    pub fn begin(&mut self, state: &MachineState, judge: &mut Judge) {
        let Some((held, _)) = self.held.take() else { return };
        self.follow = Follow::new(state);
        // The kernel does not filter yet, so nobody asks for the times.
        held.into_iter().for_each(|event| self.sift(event, 0, judge));
    }

    /// Looks for processes of which the kernel can leave out what they do: it has this filter now.
    pub fn begin_verdicts(&mut self) {
        self.verdicts = self.places.takes_verdicts().then(Verdicts::default);
    }

    /// Returns what is new to tell the kernel.
    pub fn take_verdicts(&mut self) -> Vec<Verdict> {
        self.verdicts.as_mut().map(|verdicts| std::mem::take(&mut verdicts.new)).unwrap_or_default()
    }

    /// Takes an event, which is written with the time `ts`.
    pub fn take(&mut self, event: &RawEvent<'_>, ts: u64, judge: &mut Judge) {
        self.taken += 1;
        let at = time_stamp(event.bytes);
        let event = Sifted::new(event, ts);
        match &mut self.held {
            Some((held, bytes)) => {
                *bytes += event.size();
                held.push_back(event);
            }
            None => self.sift(event, at, judge),
        }
    }

    /// Decides about an event that was made at `at`, a time of the programs.
    fn sift(&mut self, mut event: Sifted, at: u64, judge: &mut Judge) {
        let Some(view) = event.view() else {
            // The recorder does not judge what it cannot read.
            event.is_wanted = true;
            return self.queue.add(0, Direction::None, true, || event);
        };
        let (ty, tid) = (view.ty(), view.tid());
        let is_asked = judge.is_asked(ty, || view.generic_code());
        if !self.places.takes_recorder() {
            event.is_wanted = is_asked && self.places.decided(ty, || view.generic_code()) == Decided::Match;
            if event.is_wanted || !self.only {
                self.ready.push_back(event);
            }
            return;
        }
        let direction = Direction::of(&view);
        let moment = self.follow.event(event.cpu, view);
        let is_wanted = is_asked && self.matcher.matches(moment.event().ty(), &moment);
        let is_needed = is_wanted || !self.only && (moment.machine.has_changed() || is_mark(ty));
        if let (Some(verdicts), false) = (&mut self.verdicts, is_wanted) {
            verdicts.look(&self.places, &moment, at);
        }
        event.is_wanted = is_wanted;
        self.queue.add(tid, direction, is_needed, || event);
    }

    /// Takes an event of the recorder's own that tells of a container. Call it when the state of the machine is known.
    pub fn tell(&mut self, event: EventView<'_>) {
        if self.places.takes_recorder() {
            self.follow.event(0, event);
        }
    }

    /// Returns the next event to write at the time `now`, in ns since the epoch.
    pub fn next(&mut self, now: u64) -> Option<Sifted> {
        if self.ready.is_empty() {
            let ready = &mut self.ready;
            self.queue.drain(now.saturating_sub(PATIENCE), |event| ready.push_back(event));
        }
        let next = self.ready.pop_front()?;
        self.passed += 1;
        Some(next)
    }

    /// Decides about the calls that have not returned.
    pub fn settle(&mut self, are_kept: bool) {
        self.queue.decide(are_kept);
    }

    /// Returns the number of events that are still to be decided or passed on.
    pub fn pending(&self) -> u64 {
        let held = self.held.as_ref().map_or(0, |(held, _)| held.len());
        (held + self.queue.len() + self.ready.len()) as u64
    }

    /// Returns the number of events that were left out.
    pub fn left_out(&self) -> u64 {
        self.taken.saturating_sub(self.passed).saturating_sub(self.pending())
    }
}

/// Returns whether events of a type are the end of a thread.
fn is_end(ty: EventType) -> bool {
    scap::events::event(ty).is_some_and(|row| row.effect() == Some(Effect::Exit))
}

/// Returns whether events of a type say what a recording lacks: `drop`.
fn is_mark(ty: EventType) -> bool {
    scap::events::event(ty).is_some_and(|row| row.name == "drop")
}

#[cfg(test)]
mod tests;
