//! Replays a capture: each event, joined, with its number and the machine at it.
//!
//! ```no_run
//! use scap::{format::{Keep, Reader}, replay::{Position, Replay}};
//!
//! let mut reader = Reader::new(std::fs::File::open("a.scap")?)?.keep(Keep::All);
//! let mut replay = Replay::new(&mut reader, Keep::All, Position::default());
//! while let Some(moment) = replay.next()? {
//!     if let (Some(thread), Some(ns)) = (moment.thread(), moment.machine.latency()) {
//!         println!("{} {} {ns}", moment.num, thread.comm.escape_ascii());
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::io::Read;

use crate::{
    format::{CapturedEvent, EventView, FOR_NAMES, Joiner, Keep, MachineState, ReadError, Reader},
    ledger,
    model::{Interval, Machine, Thread, is_quiet},
    select::Judge,
};

/// An event and the machine at it.
#[derive(Debug, Clone)]
pub struct Moment<'a> {
    /// The number of the event, counted from 1.
    pub num: u64,
    /// Whether the event was asked for, when it was recorded and when the capture was made from others; if not, it is there
    /// only to keep names right.
    pub is_asked: bool,
    /// Whether it is the first event of its section, and older than an event of the previous section.
    pub turns_back: bool,
    /// Whether fields of a descriptor are those of the one that a call moves data from, as `sendfile` does. Usually, they are
    /// those of the one that it moves data to.
    pub of_source: bool,
    /// The memory that tables may take, in bytes.
    pub limit: u64,
    /// The time of the first event, in ns since the epoch.
    pub first: u64,
    /// The time of the event before, in ns since the epoch; that of this one, if it is the first.
    pub previous: u64,
    /// The newest time of all events so far, in ns since the epoch.
    pub newest: u64,
    /// The event as the capture has it.
    pub raw: EventView<'a>,
    /// The event, with the events that extend it, in the current schema.
    pub captured: CapturedEvent<'a>,
    /// The machine after the event. What the event has ended is still known.
    pub machine: &'a Machine,
}

impl<'a> Moment<'a> {
    /// Returns the event.
    pub fn event(&self) -> &EventView<'a> {
        &self.captured.event
    }

    /// Returns the thread of the event; `None` if it is unknown, or if only names are kept.
    pub fn thread(&self) -> Option<Thread<'a>> {
        self.machine.thread(self.event().tid())
    }

    /// Returns the machine without the event.
    pub fn now(&self) -> Now<'a> {
        let (section, previous) = (self.captured.section, self.event().ts());
        let position = Position { events: self.num, first: self.first, previous, newest: self.newest };
        Now {
            machine: self.machine,
            ts: self.event().ts(),
            state: self.captured.state,
            section,
            position,
            limit: self.limit,
        }
    }
}

/// The machine at a time, such as the end of a capture.
#[derive(Debug, Clone, Copy)]
pub struct Now<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// The time, in ns since the epoch: that of the last event.
    pub ts: u64,
    state: &'a MachineState,
    section: u32,
    position: Position,
    limit: u64,
}

impl<'a> Now<'a> {
    /// Returns the newest time of all events so far, in ns since the epoch.
    pub fn newest(&self) -> u64 {
        self.position.newest
    }

    /// Returns an event that was before, such as the start of a call that has not ended, with the machine as it is now.
    pub fn with(&self, event: EventView<'a>) -> Moment<'a> {
        let Now { machine, state, section, position, limit, .. } = *self;
        let captured = CapturedEvent { cpu: 0, flags: 0, offset: 0, more: false, section, state, event };
        Moment {
            num: position.events,
            is_asked: true,
            turns_back: false,
            of_source: false,
            limit,
            first: position.first,
            previous: position.previous,
            newest: position.newest,
            raw: event,
            captured,
            machine,
        }
    }
}

/// How far a replay has come. The next capture of a series continues there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// The events so far.
    pub events: u64,
    /// The time of the first event, in ns since the epoch.
    first: u64,
    /// The time of the last event.
    previous: u64,
    /// The newest time so far.
    newest: u64,
}

impl Position {
    /// Takes an event of this time. Returns the time of the event before, or its own if there was none.
    #[inline]
    fn take(&mut self, ts: u64) -> u64 {
        if self.events == 0 {
            (self.first, self.previous) = (ts, ts);
        }
        self.newest = self.newest.max(ts);
        self.events += 1;
        std::mem::replace(&mut self.previous, ts)
    }
}

/// A capture that is replayed.
#[derive(Debug)]
pub struct Replay<'r, R: Read> {
    reader: &'r mut Reader<R>,
    keep: Keep,
    course: Course,
    section: u32,
    interval: Interval,
    limit: u64,
}

/// What is known at an event from those before it.
#[derive(Debug, Default)]
struct Course {
    machine: Machine,
    ignores_calls: bool,
    joiner: Joiner,
    judge: Judge,
    position: Position,
}

impl<'r, R: Read> Replay<'r, R> {
    /// Starts at the beginning of a capture. The reader [keeps](Reader::keep) at least as much as `keep`, which the
    /// machine is made [with](Machine::of_state).
    pub fn new(reader: &'r mut Reader<R>, keep: Keep, position: Position) -> Self {
        Replay {
            reader,
            keep,
            course: Course { position, ..Course::default() },
            section: 0,
            interval: Interval::default(),
            limit: 0,
        }
    }

    /// Has the machine not know [the calls](Machine::call) that threads are in, nor [how long](Machine::latency) they took.
    /// This saves time.
    #[must_use]
    pub fn ignore_calls(mut self, ignores: bool) -> Self {
        self.course.ignore_calls(ignores);
        self
    }

    /// Returns how far it has come.
    pub fn position(&self) -> Position {
        self.course.position
    }

    /// Returns the machine after the last event.
    pub fn now(&self) -> Now<'_> {
        let Replay { course: Course { machine, position, .. }, section, limit, .. } = self;
        let state = self.reader.state();
        Now { machine, ts: position.previous, state, section: *section, position: *position, limit: *limit }
    }

    /// Goes past the next events as long as `is_unwanted` says so and they change nothing of the machine, as
    /// [`next`](Replay::next) does, and faster. `is_unwanted` gets the event as the capture has it, with its
    /// extension, and where its block starts in the uncompressed capture, in bytes. It is not asked about all events: what is not passed, `next` returns.
    pub fn pass(&mut self, mut is_unwanted: impl FnMut(&EventView<'_>, u64) -> bool) {
        let Replay { reader, course, interval, section, .. } = self;
        let Course { machine, joiner, position, .. } = course;
        if reader.section() != *section {
            return;
        }
        reader.pass(|offset, event| {
            let ty = event.ty();
            let passes =
                is_quiet(event) && joiner.leaves(ty) && !interval.is_over() && is_unwanted(event, offset);
            if passes {
                machine.pair(event);
                interval.event(event.bytes().len());
                position.take(event.ts());
            }
            passes
        });
    }

    /// Returns the next event; `None` at the end of the capture.
    ///
    /// # Errors
    /// [`ReadError`] if the capture is damaged or cannot be read, or needs more memory than the reader allows.
    #[allow(clippy::should_implement_trait)] // An iterator's items cannot borrow from it.
    pub fn next(&mut self) -> Result<Option<Moment<'_>>, ReadError> {
        if self.interval.is_over() {
            // The machine has taken over what they need of it.
            self.reader.forget_state();
            let memory = self.course.machine.memory() + self.course.joiner.memory();
            self.reader.afford(memory)?;
            self.limit = self.reader.state_limit();
            self.interval.restart(memory);
        }
        let Some(captured) = self.reader.next_event()? else { return Ok(None) };
        self.interval.event(captured.event.bytes().len());
        let is_first = captured.section != self.section;
        let turns_back = is_first && captured.event.ts() < self.course.position.newest;
        if is_first {
            self.section = captured.section;
            let Course { ignores_calls, position, .. } = self.course;
            self.course = Course::new(captured.state, self.keep, position);
            self.course.ignore_calls(ignores_calls);
            self.interval.end();
        }
        let moment = self.course.moment(captured);
        Ok(Some(Moment { turns_back, limit: self.limit, ..moment }))
    }
}

impl Course {
    fn new(state: &MachineState, keep: Keep, position: Position) -> Course {
        Course { machine: Machine::of_state(state, keep), position, ..Course::default() }
    }

    fn ignore_calls(&mut self, ignores: bool) {
        self.ignores_calls = ignores;
        self.machine.ignore_calls(ignores);
    }

    fn moment<'a>(&'a mut self, captured: CapturedEvent<'a>) -> Moment<'a> {
        let ts = captured.event.ts();
        let raw = captured.event;
        let captured = CapturedEvent { event: self.joiner.join(captured.event), ..captured };
        self.machine.apply_on(captured.cpu, &captured.event);
        if captured.event.ty() == ledger::NOTIFICATION
            && let Some(ledger::Notice::Selected(asked)) = ledger::parse(&captured.event)
        {
            self.judge = Judge::new(asked);
        }
        let is_asked = captured.flags & FOR_NAMES == 0
            && self.judge.is_asked(captured.event.ty(), || captured.event.generic_code());
        let previous = self.position.take(ts);
        Moment {
            num: self.position.events,
            is_asked,
            turns_back: false,
            of_source: false,
            limit: 0,
            raw,
            first: self.position.first,
            previous,
            newest: self.position.newest,
            captured,
            machine: &self.machine,
        }
    }
}

/// Follows events as they are recorded: gives each with the machine at it, as a replay of the capture would.
#[derive(Debug, Default)]
pub struct Follow {
    course: Course,
    /// What the moments have as the state of their section.
    state: MachineState,
}

impl Follow {
    /// Starts with this state of the machine.
    pub fn new(state: &MachineState) -> Follow {
        Follow { course: Course::new(state, Keep::All, Position::default()), state: MachineState::default() }
    }

    /// Takes the next event, which was recorded on a CPU.
    pub fn event<'a>(&'a mut self, cpu: u16, event: EventView<'a>) -> Moment<'a> {
        let captured =
            CapturedEvent { cpu, flags: 0, offset: 0, more: true, section: 1, state: &self.state, event };
        self.course.moment(captured)
    }
}
