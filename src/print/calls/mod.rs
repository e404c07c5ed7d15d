//! Formats a capture as calls, one a line, in strace's form:
//!
//! ```text
//! 14:03:05.123456 4321<cat> openat(AT_FDCWD, "/etc/hosts", O_RDONLY) = 3</etc/hosts> <0.000012>
//! │               │    │    │      │                                   │ │            └ how long it took, in s
//! │               │    │    │      │                                   │ └ what the descriptor refers to
//! │               │    │    │      │                                   └ result
//! │               │    │    │      └ arguments, `...` for what is not in the capture
//! │               │    │    └ call
//! │               │    └ its command name
//! │               └ thread
//! └ local time of day of the call's start, or of its end if the capture does not have the start
//! ```
//!
//! docs/CALLS.md describes the form. A call is written at its end. Its beginning is held until then, or until it is overdue
//! when the capture is being written; if another line comes before, it is written as *unfinished*, and the rest later as
//! *resumed*.

mod args;
mod flags;
mod forms;
mod kernel;
mod kind;
mod line;
mod other;
mod params;
mod quote;
mod requests;
mod result;
mod sockets;
mod starts;
mod structures;
mod table;
mod tasks;

use std::{
    borrow::Cow,
    io::{self, Write},
};

use jiff::tz::TimeZone;

use super::View;
use args::{Args, UNKNOWN};
use kind::{Kind, is_of_child};
use line::{Head, Part};
use params::Params;
use requests::Begins;
use result::Errors;
use scap::{format::EventView, replay::Moment};
use starts::{Start, Starts, native_number};
use table::{Arg, Shape};

/// Lines in strace's form.
#[derive(Debug)]
pub struct Calls {
    head: Head,
    errors: Errors,
    starts: Starts,
    requests: Begins,
    /// The line; while a call is held, its beginning.
    text: String,
    /// Where its arguments begin.
    args_at: usize,
    /// How much of it has been written, in bytes: 0, but for a held call that is overdue.
    shown: usize,
    section: u32,
}

/// An event of a call, and how the call is written.
#[derive(Clone, Copy)]
struct Call<'a> {
    moment: &'a Moment<'a>,
    params: &'a Params<'a>,
    shape: &'static Shape,
}

impl View for Calls {
    fn event(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.moment(moment, true, out)
    }

    fn unwanted(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.moment(moment, false, out)
    }

    fn counts(&self, moment: &Moment<'_>) -> bool {
        let event = moment.event();
        match Kind::of(event) {
            Kind::Exit(_) => !is_of_child(event),
            Kind::Completion | Kind::Signal | Kind::End | Kind::Notice | Kind::Gap => true,
            Kind::Enter(_) | Kind::Submission | Kind::Sampled | Kind::Other => false,
        }
    }

    fn waits_since(&self) -> Option<u64> {
        self.starts.held_since().filter(|_| self.shown == 0)
    }

    fn overdue(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.waits_since().is_some() { self.show(out) } else { Ok(()) }
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.break_off(out)
    }
}

impl Calls {
    /// Creates the view; `colours` are for a terminal.
    pub fn new(colours: bool) -> Calls {
        Calls::in_zone(TimeZone::system(), colours)
    }

    /// Creates the view with times of a time zone.
    pub(super) fn in_zone(tz: TimeZone, colours: bool) -> Calls {
        Calls {
            head: Head::new(tz, colours),
            errors: Errors::default(),
            starts: Starts::default(),
            requests: Begins::default(),
            text: String::new(),
            args_at: 0,
            shown: 0,
            section: 0,
        }
    }

    /// Returns the line of the call that an event ends, or begins, by itself; `None` if it does neither.
    pub fn line(&mut self, moment: &Moment<'_>) -> Option<String> {
        let event = moment.event();
        let (Kind::Enter(shape) | Kind::Exit(shape)) = Kind::of(event) else { return None };
        let params = Params::of(event)?;
        let call = Call { moment, params: &params, shape };
        let latency = moment.machine.latency();
        if event.ty().is_enter() {
            let args = self.open(call, event.ts());
            self.text.push_str(if args > 0 && shape.all > args { ",  " } else { " " });
            self.text.push_str("<unfinished ...>");
        } else {
            self.open(call, event.ts().saturating_sub(latency.unwrap_or(0)));
            self.result(call, latency);
        }
        Some(std::mem::take(&mut self.text))
    }

    fn moment(&mut self, moment: &Moment<'_>, is_wanted: bool, out: &mut dyn Write) -> io::Result<()> {
        if moment.captured.section != self.section {
            self.section = moment.captured.section;
            self.lose(out)?;
        }
        let kind = Kind::of(moment.event());
        if !is_wanted && self.starts.is_empty() && !matches!(kind, Kind::Submission | Kind::Completion) {
            return Ok(());
        }
        match kind {
            Kind::Enter(shape) | Kind::Exit(shape) => self.call(moment, shape, is_wanted, out),
            Kind::Submission => {
                self.submitted(moment);
                Ok(())
            }
            Kind::Completion => self.completed(moment, is_wanted, out),
            Kind::End => self.end(moment, is_wanted, out),
            Kind::Signal if is_wanted => self.signal(moment, out),
            Kind::Notice if is_wanted => self.notice(moment.event(), out),
            Kind::Gap => {
                self.lose(out)?;
                if is_wanted { self.notice(moment.event(), out) } else { Ok(()) }
            }
            Kind::Sampled => self.lose(out),
            Kind::Signal | Kind::Notice | Kind::Other => Ok(()),
        }
    }

    /// The start of a call, or its end.
    fn call(
        &mut self,
        moment: &Moment<'_>,
        shape: &'static Shape,
        is_wanted: bool,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let event = moment.event();
        let Some(params) = Params::of(event) else { return Ok(()) };
        let call = Call { moment, params: &params, shape };
        if event.ty().is_enter() {
            return self.enter(call, is_wanted, out);
        }
        if is_of_child(event) { Ok(()) } else { self.exit(call, is_wanted, out) }
    }

    fn enter(&mut self, call: Call<'_>, is_wanted: bool, out: &mut dyn Write) -> io::Result<()> {
        let tid = call.params.event.tid();
        if is_wanted || self.starts.is_held(tid) {
            // If it is the same thread's, its exit event is missing.
            self.break_off(out)?;
        }
        self.starts.forget(tid);
        if is_wanted {
            let args = self.open(call, call.params.event.ts());
            self.starts.enter(call.params, call.shape, args);
        }
        Ok(())
    }

    fn exit(&mut self, call: Call<'_>, is_wanted: bool, out: &mut dyn Write) -> io::Result<()> {
        let Call { moment, params, shape } = call;
        let event = params.event;
        let start = self.starts.ended_by(params, shape, moment.machine);
        // If the machine has paired it with another call's start, it took another time.
        let is_mispaired = start.is_none() && self.starts.of(event.tid()).is_some();
        let latency = moment.machine.latency().filter(|_| !is_mispaired);
        if start.is_none() && self.starts.is_held(event.tid()) {
            self.break_off(out)?;
        }
        self.starts.forget(event.tid());
        match start {
            Some(start) if !start.is_broken && !is_wanted && self.shown == 0 => return Ok(()),
            // The caller's flags come with the end only.
            Some(start) if !start.is_broken && self.shown == 0 && params.number("raw_flags").is_some() => {
                self.text.truncate(self.args_at);
                self.list(call, 0);
            }
            Some(start) if !start.is_broken => self.args(call, start.args),
            // Its beginning has been written, so its end is as well.
            Some(start) => {
                self.break_off(out)?;
                self.resume(moment, &call_name(event, shape));
                self.list(call, start.args);
            }
            None if !is_wanted => return Ok(()),
            None => {
                self.break_off(out)?;
                self.open(call, event.ts().saturating_sub(latency.unwrap_or(0)));
            }
        }
        self.result(call, latency);
        self.write(out)
    }

    /// Begins the line of a call. Returns the index of the argument that comes next.
    fn open(&mut self, call: Call<'_>, ts: u64) -> usize {
        self.text.clear();
        self.begin(call.moment, ts);
        self.head.paint(&mut self.text, Part::Call, call_name(call.params.event, call.shape));
        self.text.push('(');
        self.args_at = self.text.len();
        self.list(call, 0)
    }

    /// Appends the arguments from `first` on, with the comma before it.
    fn args(&mut self, call: Call<'_>, first: usize) {
        let before = self.text.len();
        self.text.push_str(if first > 0 { ", " } else { "" });
        let start = self.text.len();
        self.list(call, first);
        if self.text.len() == start {
            self.text.truncate(before);
        }
    }

    /// Appends the arguments from `first` on. Returns the index of the next; an enter event has those before the first that
    /// it has no value of.
    fn list(&mut self, call: Call<'_>, first: usize) -> usize {
        let Call { moment, params, shape } = call;
        let is_start = params.event.ty().is_enter();
        if shape.name.is_empty() {
            let has_more = !is_start && !table::is_without_arguments(&params.event.name());
            self.text.push_str(if has_more { UNKNOWN } else { "" });
            return 0;
        }
        let start = self.text.len();
        let mut a = Args { out: &mut self.text, params, machine: moment.machine };
        for (at, arg) in shape.args.iter().enumerate().skip(first) {
            let before = a.out.len();
            if before > start {
                a.text(", ");
            }
            let from = a.out.len();
            match *arg {
                Arg::Param(param) | Arg::Formed(param, _) if is_start && params.is_absent(param) => {
                    a.out.truncate(before);
                    return at;
                }
                Arg::Param(param) => a.param(param),
                Arg::Formed(param, form) => form(&mut a, param),
                Arg::OneOf(set) => match (0..u32::BITS as usize)
                    .find(|param| set & 1 << param != 0 && !params.is_absent(*param))
                {
                    Some(param) => a.param(param),
                    None if is_start => {
                        a.out.truncate(before);
                        return at;
                    }
                    None => a.unknown(),
                },
                Arg::Unknown => a.unknown(),
            }
            if a.out.len() == from {
                a.out.truncate(before);
            }
        }
        shape.args.len()
    }

    /// Appends the end of a call's line.
    fn result(&mut self, call: Call<'_>, latency: Option<u64>) {
        let Call { moment, params, .. } = call;
        self.text.push_str(") = ");
        if params.row().ty.is_generic() && params.row().result().is_none() {
            self.text.push('?');
        } else {
            let before = self.text.len();
            let mut a = Args { out: &mut self.text, params, machine: moment.machine };
            if result::result(&mut a, &mut self.errors) && self.head.is_coloured() {
                let error = self.text.split_off(before);
                self.head.paint(&mut self.text, Part::Error, error);
            }
        }
        self.latency(latency);
    }

    /// Appends how long it took.
    fn latency(&mut self, latency: Option<u64>) {
        if let Some(ns) = latency {
            self.text.push(' ');
            let time = format_args!("<{}.{:06}>", ns / 1_000_000_000, ns % 1_000_000_000 / 1000);
            self.head.paint(&mut self.text, Part::Time, time);
        }
    }

    /// The end of a thread, and of the call that it is in.
    fn end(&mut self, moment: &Moment<'_>, is_wanted: bool, out: &mut dyn Write) -> io::Result<()> {
        let event = moment.event();
        match self.starts.of(event.tid()) {
            Some(start) if is_wanted => self.unreturned(moment, &start, out)?,
            _ if is_wanted || self.starts.is_held(event.tid()) => self.break_off(out)?,
            _ => {}
        }
        self.starts.forget(event.tid());
        if !is_wanted {
            return Ok(());
        }
        self.other(moment, other::end, out)
    }

    fn signal(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.break_off(out)?;
        self.other(moment, other::signal, out)
    }

    /// Writes the line of an event that is no call.
    fn other(
        &mut self,
        moment: &Moment<'_>,
        append: fn(&mut String, &EventView<'_>),
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let event = moment.event();
        self.text.clear();
        self.begin(moment, event.ts());
        self.head.begin(&mut self.text, Part::Other);
        append(&mut self.text, event);
        self.head.end(&mut self.text, Part::Other);
        self.write(out)
    }

    fn notice(&mut self, event: &EventView<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.break_off(out)?;
        self.text.clear();
        self.head.time(&mut self.text, event.ts());
        self.text.push(' ');
        self.head.begin(&mut self.text, Part::Other);
        other::notice(&mut self.text, event);
        self.head.end(&mut self.text, Part::Other);
        self.write(out)
    }

    /// Forgets which calls have started: events are missing, so what ends next may be another call.
    fn lose(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.break_off(out)?;
        self.starts.clear();
        self.requests.clear();
        Ok(())
    }

    /// Ends the line of a call that has not ended, before another line.
    fn break_off(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Some(start) = self.starts.interrupt() else { return Ok(()) };
        self.text.push_str(if start.args > 0 && start.has_more { ",  " } else { " " });
        self.head.paint(&mut self.text, Part::Broken, "<unfinished ...>");
        self.write(out)
    }

    fn resume(&mut self, moment: &Moment<'_>, name: &str) {
        self.text.clear();
        self.begin(moment, moment.event().ts());
        self.head.paint(&mut self.text, Part::Broken, format_args!("<... {name} resumed>"));
    }

    /// Writes the end of the call that a thread is in when it ends.
    fn unreturned(&mut self, moment: &Moment<'_>, start: &Start, out: &mut dyn Write) -> io::Result<()> {
        if !start.is_broken {
            self.text.push_str(if start.args > 0 && start.has_more { ", " } else { "" });
        } else {
            self.break_off(out)?;
            self.resume(moment, start.name);
        }
        self.text.push_str(if start.has_more { UNKNOWN } else { "" });
        self.text.push_str(") = ?");
        self.write(out)
    }

    fn begin(&mut self, moment: &Moment<'_>, ts: u64) {
        let tid = moment.event().tid();
        self.head.write(&mut self.text, ts, tid, moment.machine.comm(tid));
    }

    fn write(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.text.push('\n');
        self.show(out)?;
        self.shown = 0;
        Ok(())
    }

    /// Writes what of the text has not been written yet.
    fn show(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.text.as_bytes()[self.shown..])?;
        self.shown = self.text.len();
        Ok(())
    }
}

fn call_name(event: &EventView<'_>, shape: &Shape) -> Cow<'static, str> {
    if !shape.name.is_empty() {
        return shape.name.into();
    }
    match event.syscall() {
        Some(call) => call.name.into(),
        None => format!("syscall_{:#x}", native_number(event)).into(),
    }
}
