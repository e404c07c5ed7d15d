//! A trace for ui.perfetto.dev: `scapd export --to perfetto`.
//!
//! Threads are tracks below their processes, and calls slices on them. A slice is written when its call ends: the reader
//! sorts by time. Nothing waits in memory but what is known of each track.

pub mod messages;

use std::{
    collections::HashMap,
    io::{self, Write},
};

use jiff::tz::TimeZone;

use crate::print::{DependsOn, View};
use messages::{
    BOOTTIME, COUNTER, Clock, ClockSnapshot, CounterDescriptor, DebugAnnotation, FtraceEvent,
    FtraceEventBundle, INSTANT, ProcessDescriptor, REALTIME, SLICE_BEGIN, SLICE_END, STATE_CLEARED,
    SchedSwitch, ThreadDescriptor, TracePacket, TrackDescriptor, TrackEvent, UNIT_COUNT, UNIT_SIZE_BYTES,
};
use scap::{
    events::Effect,
    format::{Keep, Value},
    ledger::{self, Notice},
    replay::{Moment, Now},
    summary::{Ends, Outcome},
    text::{self, kernel_names},
};

/// The packets come from one sequence.
const SEQUENCE: u32 = 1;
/// The field of `Trace` that has its packets.
const PACKET: u32 = 1;

/// Kinds of tracks: the lowest bits of their ids, below that of the thread or process.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Thread = 1,
    Process = 2,
    Read = 3,
    Written = 4,
    Resident = 5,
    Lost = 6,
    Ledger = 7,
}

fn uuid(kind: Kind, id: u64) -> u64 {
    id.wrapping_shl(3) | kind as u64
}

/// Writes a trace.
#[derive(Default)]
pub(super) struct Trace {
    ends: Ends,
    /// The name that the track of each thread has.
    threads: HashMap<u64, Vec<u8>>,
    processes: HashMap<u64, Counters>,
    /// Events that were lost so far, if there is a track for that.
    lost: Option<u64>,
    /// When the last call of each thread began that is wanted.
    begun: HashMap<u64, u64>,
    /// Calls that went on at the end of the last capture: their tracks, starts and names.
    pending: Vec<(u64, u64, &'static str)>,
    has_begun: bool,
    buffer: Vec<u8>,
}

/// What was counted of a process, and what its track says of it.
#[derive(Default)]
struct Counters {
    command: Vec<u8>,
    read: u64,
    written: u64,
    resident_kb: u32,
}

impl Trace {
    fn packet(&mut self, packet: TracePacket, out: &mut dyn Write) -> io::Result<()> {
        let flags = if std::mem::replace(&mut self.has_begun, true) { None } else { Some(STATE_CLEARED) };
        let packet =
            TracePacket { trusted_packet_sequence_id: Some(SEQUENCE), sequence_flags: flags, ..packet };
        self.buffer.clear();
        prost::encoding::message::encode(PACKET, &packet, &mut self.buffer);
        out.write_all(&self.buffer)
    }

    fn track(&mut self, track: TrackDescriptor, out: &mut dyn Write) -> io::Result<()> {
        self.packet(TracePacket { track_descriptor: Some(track), ..TracePacket::default() }, out)
    }

    fn happens(&mut self, ts: u64, event: TrackEvent, out: &mut dyn Write) -> io::Result<()> {
        self.packet(
            TracePacket { timestamp: Some(ts), track_event: Some(event), ..TracePacket::default() },
            out,
        )
    }

    /// Writes that the trace's clock is that of the wall.
    fn clock(&mut self, ts: u64, out: &mut dyn Write) -> io::Result<()> {
        let clock = |id| Clock { clock_id: Some(id), timestamp: Some(ts) };
        let clocks = vec![clock(BOOTTIME), clock(REALTIME)];
        let packet = TracePacket { clock_snapshot: Some(ClockSnapshot { clocks }), ..TracePacket::default() };
        self.packet(packet, out)
    }

    /// Writes the track of a thread, and that of its process, if what is known of their names has changed. Returns its id.
    fn thread(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<u64> {
        let tid = moment.event().tid();
        let (machine, pid) = (moment.machine, moment.machine.pid(tid));
        let name = machine.comm(tid).unwrap_or_default();
        let is_named = self.threads.get(&tid).is_some_and(|known| known == name);
        let process = machine.process_info(tid);
        let command = process.map(|info| [&info.exe[..], b"\0", &info.args].concat()).unwrap_or_default();
        let known = self.processes.get(&pid);
        if known.is_none_or(|known| known.command != command) {
            let words = command.strip_suffix(b"\0").unwrap_or(&command).split(|byte| *byte == 0);
            let process = ProcessDescriptor {
                pid: Some(pid as i32),
                cmdline: words.filter(|_| !command.is_empty()).map(escaped).collect(),
                process_name: Some(escaped(machine.process_comm(pid).unwrap_or(name))),
            };
            let track = TrackDescriptor {
                uuid: Some(uuid(Kind::Process, pid)),
                process: Some(process),
                ..TrackDescriptor::default()
            };
            self.track(track, out)?;
            self.processes.entry(pid).or_default().command = command;
        }
        if !is_named {
            let thread = ThreadDescriptor {
                pid: Some(pid as i32),
                tid: Some(tid as i64),
                thread_name: Some(escaped(name)),
            };
            let track = TrackDescriptor {
                uuid: Some(uuid(Kind::Thread, tid)),
                parent_uuid: Some(uuid(Kind::Process, pid)),
                thread: Some(thread),
                ..TrackDescriptor::default()
            };
            self.track(track, out)?;
            self.threads.insert(tid, name.to_vec());
        }
        Ok(uuid(Kind::Thread, tid))
    }

    /// Writes what a call did, from its start to its end; without a known start, as a moment.
    fn call(&mut self, moment: &Moment<'_>, outcome: &Outcome, out: &mut dyn Write) -> io::Result<()> {
        let (track, ts) = (self.thread(moment, out)?, moment.event().ts());
        let event = described(moment, track, Some(outcome));
        match outcome.latency {
            Some(ns) => {
                let begin = TrackEvent { r#type: Some(SLICE_BEGIN), ..event };
                self.happens(ts.saturating_sub(ns), begin, out)?;
                let end =
                    TrackEvent { r#type: Some(SLICE_END), track_uuid: Some(track), ..TrackEvent::default() };
                self.happens(ts, end, out)?;
            }
            None => self.happens(ts, TrackEvent { r#type: Some(INSTANT), ..event }, out)?,
        }
        self.count(moment, outcome, out)
    }

    /// Writes the counters of the process that a call has changed.
    fn count(&mut self, moment: &Moment<'_>, outcome: &Outcome, out: &mut dyn Write) -> io::Result<()> {
        let (tid, ts) = (moment.event().tid(), moment.event().ts());
        let pid = moment.machine.pid(tid);
        let resident = moment.machine.thread_info(tid).map_or(0, |info| info.memory.vmrss_kb);
        let counters = self.processes.entry(pid).or_default();
        let mut changed = Vec::new();
        let mut add = |kind, name, count: &mut u64, added: u64| {
            if added > 0 {
                let is_new = *count == 0;
                *count = count.saturating_add(added);
                changed.push((kind, name, *count, is_new));
            }
        };
        add(Kind::Read, "bytes read", &mut counters.read, outcome.read.saturating_add(outcome.moved));
        add(Kind::Written, "bytes written", &mut counters.written, outcome.written);
        if resident != counters.resident_kb {
            let is_new = counters.resident_kb == 0;
            counters.resident_kb = resident;
            changed.push((Kind::Resident, "resident memory", u64::from(resident) << 10, is_new));
        }
        for (kind, name, value, is_new) in changed {
            let (track, parent) = (uuid(kind, pid), uuid(Kind::Process, pid));
            if is_new {
                self.counter(track, Some(parent), name, UNIT_SIZE_BYTES, out)?;
            }
            self.value(ts, track, value, out)?;
        }
        Ok(())
    }

    fn counter(
        &mut self,
        track: u64,
        parent: Option<u64>,
        name: &str,
        unit: i32,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let counter = Some(CounterDescriptor { unit: Some(unit) });
        let (uuid, name) = (Some(track), Some(name.to_owned()));
        self.track(
            TrackDescriptor { uuid, name, parent_uuid: parent, counter, ..TrackDescriptor::default() },
            out,
        )
    }

    fn value(&mut self, ts: u64, track: u64, value: u64, out: &mut dyn Write) -> io::Result<()> {
        let event = TrackEvent {
            r#type: Some(COUNTER),
            track_uuid: Some(track),
            counter_value: Some(i64::try_from(value).unwrap_or(i64::MAX)),
            ..TrackEvent::default()
        };
        self.happens(ts, event, out)
    }

    /// Writes which thread leaves a CPU and which one comes.
    fn switch(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        let (event, machine) = (moment.event(), moment.machine);
        let Some(Ok(Value::Pid(next))) = event.value("next").map(|next| next.map(|next| next.value)) else {
            return Ok(());
        };
        let name = |tid: u64| machine.comm(tid).map(escaped);
        let switch = SchedSwitch {
            prev_comm: name(event.tid()),
            prev_pid: Some(event.tid() as i32),
            // Neither is recorded; 0 as a state is to be able to run.
            prev_prio: Some(0),
            prev_state: Some(0),
            next_comm: name(next as u64),
            next_pid: Some(next as i32),
            next_prio: Some(0),
        };
        let event = FtraceEvent {
            timestamp: Some(event.ts()),
            pid: Some(event.tid() as u32),
            sched_switch: Some(switch),
        };
        let bundle = FtraceEventBundle { cpu: Some(moment.captured.cpu.into()), event: vec![event] };
        self.packet(TracePacket { ftrace_events: Some(bundle), ..TracePacket::default() }, out)
    }

    /// Writes what the ledger says, on a track of its own; and how much was lost so far.
    fn notice(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        let (ts, track) = (moment.event().ts(), uuid(Kind::Ledger, 0));
        if self.lost.is_none() {
            self.lost = Some(0);
            let name = Some("ledger".to_owned());
            self.track(TrackDescriptor { uuid: Some(track), name, ..TrackDescriptor::default() }, out)?;
            self.counter(uuid(Kind::Lost, 0), None, "lost events", UNIT_COUNT, out)?;
        }
        self.happens(ts, TrackEvent { r#type: Some(INSTANT), ..described(moment, track, None) }, out)?;
        if let Some(Notice::Gap(gap)) = ledger::parse(moment.event()) {
            let lost = self.lost.unwrap_or(0).saturating_add(gap.losses.sum());
            self.lost = Some(lost);
            self.value(ts, uuid(Kind::Lost, 0), lost, out)?;
        }
        Ok(())
    }
}

/// Returns an event of a track: its name, its arguments, and what came of it.
fn described(moment: &Moment<'_>, track: u64, outcome: Option<&Outcome>) -> TrackEvent {
    let (event, machine) = (moment.event(), moment.machine);
    let annotation =
        |name: &str| DebugAnnotation { name: Some(name.to_owned()), ..DebugAnnotation::default() };
    let number = |name: &str, value: i64| DebugAnnotation { int_value: Some(value), ..annotation(name) };
    let mut annotations = vec![number("num", moment.num as i64)];
    if let Some(result) = outcome.and_then(|outcome| outcome.result) {
        annotations.push(number("result", result));
    }
    if let Some(error) = outcome.and_then(Outcome::error).and_then(kernel_names::errno) {
        annotations.push(DebugAnnotation { string_value: Some(error.to_owned()), ..annotation("error") });
    }
    for ((info, decoded), raw) in event.values().zip(event.params()) {
        if decoded.is_ok_and(|decoded| decoded.value == Value::Absent) {
            continue;
        }
        let text = escaped(&text::argument(event, machine, info, raw, &TimeZone::UTC));
        annotations.push(DebugAnnotation { string_value: Some(text), ..annotation(info.name) });
    }
    let category = event.info().map(|row| format!("{:?}", row.category));
    TrackEvent {
        name: Some(event.name().into_owned()),
        track_uuid: Some(track),
        categories: category.into_iter().collect(),
        debug_annotations: annotations,
        ..TrackEvent::default()
    }
}

/// Returns whether a call begins with an event.
fn begins(moment: &Moment<'_>) -> bool {
    let event = moment.event();
    moment.machine.call(event.tid()).is_some_and(|call| call.entered == event.ts())
}

fn escaped(bytes: &[u8]) -> String {
    let mut shown = String::new();
    text::escape(&mut shown, bytes);
    shown
}

impl View for Trace {
    fn event(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        if !self.has_begun {
            self.clock(moment.event().ts(), out)?;
        }
        let ended = self.ends.event(moment);
        match (ended, moment.event().info().and_then(|row| row.effect())) {
            (Some((outcome, true)), _) => self.call(moment, &outcome, out),
            (Some((outcome, false)), _) => self.count(moment, &outcome, out),
            (None, Some(Effect::Switch)) => self.switch(moment, out),
            (None, _) if moment.event().ty() == ledger::NOTIFICATION => self.notice(moment, out),
            // A call that begins is written when it ends.
            (None, _) if begins(moment) => {
                self.begun.insert(moment.event().tid(), moment.event().ts());
                Ok(())
            }
            (None, _) => {
                let track = self.thread(moment, out)?;
                let event = TrackEvent { r#type: Some(INSTANT), ..described(moment, track, None) };
                self.happens(moment.event().ts(), event, out)
            }
        }
    }

    fn unwanted(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        // Losses are no matter of a filter.
        if moment.event().ty() == ledger::NOTIFICATION && self.has_begun {
            self.notice(moment, out)
        } else {
            Ok(())
        }
    }

    fn end(&mut self, now: Now<'_>, _out: &mut dyn Write) -> io::Result<()> {
        let calls = self.begun.iter().filter(|(tid, _)| self.threads.contains_key(tid));
        let calls = calls.filter_map(|(tid, began)| {
            let call = now.machine.call(*tid).filter(|call| call.entered == *began)?;
            Some((uuid(Kind::Thread, *tid), *began, call.name()))
        });
        self.pending = calls.collect();
        self.pending.sort_unstable();
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        // They have a start and no end.
        for (track, entered, name) in std::mem::take(&mut self.pending) {
            let (name, track_uuid) = (Some(name.to_owned()), Some(track));
            let event = TrackEvent { r#type: Some(SLICE_BEGIN), track_uuid, name, ..TrackEvent::default() };
            self.happens(entered, event, out)?;
        }
        Ok(())
    }

    fn keep(&self) -> Keep {
        Keep::All
    }

    fn hides_losses(&self) -> bool {
        true
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::All
    }
}
