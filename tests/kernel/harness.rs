//! The parts of a kernel test: a probe for one program, calls made on this thread, and their events.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::mpsc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use libtest_mimic::{Completion, Failed};
use scap::{
    events::{Arch, Event, Schema, Source, Syscall, event, event_by_program},
    ledger::{LeftOut, Losses},
    select::{TracepointSet, parse_tracepoints},
};
use scapd::probe::{Active, Control, Counters, Directions, ProbeOptions, TargetState};

pub use crate::recorded::Params;
use crate::{
    compat,
    marks::{Marks, Way},
    recorded::{Recorded, event_of},
    setup::{ProbeSource, Setup},
};

/// The payload of a panic that ends a test which this machine cannot run.
struct NotTestable(String);

/// Ends the test, which is reported as ignored: this machine cannot run it, for this reason.
pub fn not_testable(reason: &str) -> ! {
    resume_unwind(Box::new(NotTestable(reason.to_owned())))
}

/// Makes a system call, and returns the kernel's result: an error is a negative errno.
#[macro_export]
macro_rules! syscall {
    ($name:ident $(, $arg:expr)* $(,)?) => {{
        #[allow(unused_unsafe, clippy::undocumented_unsafe_blocks)]
        let result = unsafe { libc::syscall($crate::numbers::number($crate::numbers::$name) $(, $arg)*) };
        if result == -1 { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap()) } else { result }
    }};
}

/// A test of one program.
pub struct Test<'a> {
    program: &'static str,
    event: &'static Event,
    source: ProbeSource<'a>,
}

impl Test<'_> {
    pub fn new<'a>(program: &'static str, setup: &'a Setup) -> Test<'a> {
        let event = event_by_program(program).unwrap();
        let tracepoints = match event.source {
            Source::Tracepoint => parse_tracepoints(event.name).unwrap(),
            _ => TracepointSet::none(),
        };
        let calls = call_of(program).map(|call| call.selected_with().unwrap_or(call)).into_iter().collect();
        let source = setup.source(ProbeOptions { tracepoints, ..setup.options() }, calls);
        Test { program, event, source }
    }

    /// Makes a test of a call that is recorded as a generic event.
    pub fn of_call<'a>(call: &'static Syscall, setup: &'a Setup) -> Test<'a> {
        let program = "generic_x";
        let options = ProbeOptions { tracepoints: TracepointSet::none(), ..setup.options() };
        let source = setup.source(options, vec![call]);
        Test { program, event: event_by_program(program).unwrap(), source }
    }

    /// Runs the test; the error is the message of the failed assertion.
    pub fn run(mut self, test: fn(&mut Test)) -> Result<Completion, Failed> {
        completed(|| test(&mut self))
    }

    /// Sets the bytes of data that events keep; the default is 80.
    pub fn snaplen(&mut self, bytes: u32) {
        self.source.snaplen(bytes);
    }

    /// Gives the test its own probe, so that no other test affects its counters.
    pub fn count_apart(&mut self) {
        self.source.keep_apart();
    }

    /// Also records calls that the tables do not know, from now on.
    pub fn unknown_calls(&mut self) {
        self.source.unknown_calls();
    }

    /// Sets the schema of the event table, from now on.
    pub fn schema(&mut self, schema: Schema) {
        self.source.schema(schema);
    }

    /// Sets which events of the calls are recorded; the default is both.
    pub fn directions(&mut self, directions: Directions) {
        self.source.directions(directions);
    }

    /// Sets the calls to record from now on, instead of the program's own.
    pub fn select(&mut self, calls: &[&str]) {
        self.source.calls(calls.iter().map(|name| Syscall::by_name(name).unwrap()).collect());
    }

    /// Changes settings of the running probe.
    pub fn change(&mut self, change: impl FnOnce(&Control<'_>)) {
        self.source.keep_apart();
        let probe = self.started();
        change(&probe.probe().control());
        self.source.put(probe);
    }

    /// Returns whether an action on another thread wakes this one, which waits for an event, within the limit.
    pub fn is_woken_by(&mut self, action: impl FnOnce() + Send, limit: Duration) -> bool {
        let mut probe = self.started();
        let (told, tid) = mpsc::channel();
        let (go, started) = mpsc::channel();
        let woken = thread::scope(|scope| {
            scope.spawn(move || {
                told.send(rustix::thread::gettid().as_raw_nonzero().get() as u32).unwrap();
                started.recv().unwrap();
                // Gives this thread time to start waiting: otherwise it only finds the event.
                thread::sleep(Duration::from_millis(100));
                action();
            });
            probe.probe().control().add_target(tid.recv().unwrap(), TargetState::Active).unwrap();
            go.send(()).unwrap();
            probe.wait(limit).unwrap()
        });
        while probe.next_event().is_some() || !probe.is_drained() {}
        self.source.put(probe);
        woken
    }

    /// Returns the number of events that programs have started to record since the probe was started.
    pub fn seen(&self) -> u64 {
        self.source.own().unwrap().probe().totals().sum().seen
    }

    /// Returns what was left out since the probe was started.
    pub fn left_out(&self) -> LeftOut {
        self.source.own().unwrap().probe().totals().left_out
    }

    /// Returns the running probe, or a new one.
    fn started(&mut self) -> Active {
        let probe = self.source.take().unwrap();
        if let Some(refused) = probe.probe().refused().iter().find(|refused| refused.program == self.program)
        {
            panic!("{} is refused:\n{}", refused.program, refused.log);
        }
        probe
    }

    /// Records what this thread and its children do in `action`: all events of the test's type.
    pub fn capture(&mut self, action: impl FnOnce() -> i64) -> Captured {
        let event = self.event;
        let before = now();
        let (ret, tid, mut events) = self.record_all(action);
        let after = now();
        events.retain(|recorded| recorded.ty == event.ty);
        let params = event.recorded(self.source.options().schema);
        events.iter().for_each(|recorded| recorded.assert_header(event, params, before, after));
        Captured { ret, tid, event, events }
    }

    /// Records what this thread and its children do in `action`: the result, and all events.
    pub fn events(&mut self, action: impl FnOnce() -> i64) -> (i64, Vec<Params>) {
        let before = now();
        let (ret, _, events) = self.record_all(action);
        let after = now();
        let schema = self.source.options().schema;
        let params = events.into_iter().map(|recorded| {
            let row = event_of(recorded.ty);
            recorded.assert_header(row, row.recorded(schema), before, after);
            Params::new(row, recorded)
        });
        (ret, params.collect())
    }

    /// Returns the names (such as `access_x`) and the time stamps (ns since the epoch) of this thread's events in
    /// `action`.
    pub fn names(&mut self, action: impl FnOnce() -> i64) -> Vec<(&'static str, u64)> {
        let (_, tid, events) = self.record_all(action);
        let own = events.into_iter().filter(|recorded| recorded.tid == tid);
        own.map(|recorded| (event(recorded.ty).and_then(|row| row.program).unwrap(), recorded.ts)).collect()
    }

    /// Makes a call with one event, and returns the losses.
    pub fn loses_or_records(&mut self, call: impl FnOnce() -> i64) -> Losses {
        let ty = self.event.ty;
        let (ret, _, events, lost) = self.record(call);
        assert!(ret >= 0, "the call failed: {ret}");
        let recorded = events.iter().filter(|event| event.ty == ty).count();
        assert_eq!(recorded as u64 + lost.sum(), 1, "{recorded} events were recorded");
        lost
    }

    /// The same, while each CPU's scratch area for `way` is in use, as if another run had not ended.
    pub fn loses_while_in_use(&mut self, way: Way, call: impl FnOnce() -> i64) -> Losses {
        let probe = self.started();
        let mut marks = Marks::map(probe.probe(), way);
        self.source.put(probe);
        marks.add(1);
        let lost = self.loses_or_records(call);
        marks.add(-1);
        lost
    }

    /// Returns the counters of the test's event since the probe was started.
    pub fn counters(&self) -> Counters {
        let totals = self.source.own().unwrap().probe().totals();
        totals.events.iter().find(|(ty, _)| *ty == self.event.ty).map(|(_, c)| *c).unwrap_or_default()
    }

    /// Returns the total losses of all CPUs since the probe was started, the number that shows a new loss.
    pub fn lost_on_cpus(&self) -> u64 {
        self.source.own().unwrap().probe().lost().sum()
    }

    /// Records an action without losses, and returns its result, the thread, and all events.
    fn record_all(&mut self, action: impl FnOnce() -> i64) -> (i64, u64, Vec<Recorded>) {
        let (ret, tid, events, lost) = self.record(action);
        assert_eq!(lost.sum(), 0, "events were lost: {:?}", lost.iter().collect::<Vec<_>>());
        (ret, tid, events)
    }

    /// Records an action, and returns its result, the thread, all events, and the losses.
    fn record(&mut self, action: impl FnOnce() -> i64) -> (i64, u64, Vec<Recorded>, Losses) {
        let mut probe = self.started();
        let tid = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        let lost = probe.probe().totals().losses();
        probe.probe().control().add_target(tid, TargetState::Active).unwrap();
        let ret = action();
        probe.probe().control().remove_target(tid).unwrap();
        let mut events = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            while let Some(event) = probe.next_event() {
                events.push(Recorded::of(&event));
            }
            if probe.is_drained() {
                break;
            }
            assert!(Instant::now() < deadline, "events stay in the rings");
            std::thread::sleep(Duration::from_micros(200));
        }
        let lost = probe.probe().totals().losses().since(&lost);
        self.source.put(probe);
        (ret, u64::from(tid), events, lost)
    }

    /// Makes a call that must fail with this errno, and returns its one event.
    pub fn fails(&mut self, errno: i32, call: impl FnOnce() -> i64) -> Params {
        let captured = self.capture(call);
        captured.assert_known(errno);
        assert_eq!(captured.ret, -i64::from(errno), "the call's result");
        captured.one()
    }

    /// Makes a call that must succeed, and returns its result and its one event.
    pub fn succeeds(&mut self, call: impl FnOnce() -> i64) -> (i64, Params) {
        let captured = self.capture(call);
        captured.assert_known(0);
        assert!(captured.ret >= 0, "the call failed: {}", captured.ret);
        (captured.ret, captured.one())
    }
}

/// Runs a test; the error is the message of the failed assertion.
pub fn completed(test: impl FnOnce()) -> Result<Completion, Failed> {
    let Err(panic) = catch_unwind(AssertUnwindSafe(test)) else {
        return Ok(Completion::Completed);
    };
    if let Some(NotTestable(reason)) = panic.downcast_ref() {
        return Ok(Completion::ignored_with(reason));
    }
    let message = panic.downcast_ref::<String>().map(String::as_str);
    Err(message.or_else(|| panic.downcast_ref().copied()).unwrap_or("the test panicked").into())
}

/// Returns the call that makes a program's event, if it is one of a call.
pub fn call_of(program: &str) -> Option<&'static Syscall> {
    let event = event_by_program(program).unwrap();
    let stem = &program[..program.len() - 2];
    // No call has these events of its own.
    let name = if matches!(stem, "generic" | "drop") { "getppid" } else { stem };
    (event.source != Source::Tracepoint).then(|| Syscall::by_stem(name).unwrap())
}

/// Returns why no test can make a call on this architecture. (On x86-64, those that only 32-bit programs have can be made.)
pub fn lacking(call: &Syscall) -> Option<String> {
    let here = compat::HERE || call.number(Arch::NATIVE).is_some();
    (!here).then(|| format!("{} has no {}", std::env::consts::ARCH, call.name))
}

/// Returns the time in ns since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// The recording of an action.
pub struct Captured {
    /// The action's result.
    pub ret: i64,
    /// The thread that it ran on.
    pub tid: u64,
    event: &'static Event,
    events: Vec<Recorded>,
}

impl Captured {
    /// Ends the test if the kernel does not have the call.
    fn assert_known(&self, errno: i32) {
        if errno != libc::ENOSYS && self.ret == -i64::from(libc::ENOSYS) {
            not_testable("the kernel does not have this call");
        }
    }

    /// Returns the one event of this thread.
    pub fn one(self) -> Params {
        let (tid, event) = (self.tid, self.event);
        let mut own: Vec<_> = self.events.into_iter().filter(|e| e.tid == tid).collect();
        assert_eq!(own.len(), 1, "{} events of this thread instead of one", own.len());
        Params::new(event, own.remove(0))
    }

    /// Returns all events of this thread and its children, in time order.
    pub fn all(self) -> Vec<Params> {
        let event = self.event;
        self.events.into_iter().map(|e| Params::new(event, e)).collect()
    }
}
