//! The calls that have started: which exit event ends which.

use std::collections::HashMap;

use super::{
    params::{Params, number},
    table::{self, Arg, Shape},
};
use scap::{
    events::{EventType, PrintFormat},
    format::{EventView, Value},
    model::Machine,
};

/// The most threads whose interrupted calls are known. They take some 16 MiB; beyond, calls are shown as if their starts
/// were not in the capture.
const MOST: usize = 1 << 17;

/// A call that has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The name of the call; empty if it has none.
    pub name: &'static str,
    /// How many of its arguments have been written.
    pub args: usize,
    /// Whether there are more.
    pub has_more: bool,
    /// Whether its line was ended before the call.
    pub is_broken: bool,
    ts: u64,
    exit: EventType,
    digest: u64,
}

/// The calls that have started and not ended.
#[derive(Debug, Default)]
pub struct Starts {
    /// The call that began last, whose line nothing has interrupted, and its thread. Most calls end as this.
    held: Option<(u64, Start)>,
    broken: HashMap<u64, Start>,
}

impl Starts {
    /// Notes an enter event, of whose call the first arguments have been written. No call is held then.
    pub fn enter(&mut self, params: &Params<'_>, shape: &Shape, args: usize) {
        let event = params.event;
        let is_generic = shape.name.is_empty();
        let name = if is_generic { event.syscall().map_or("", |call| call.name) } else { shape.name };
        let has_more = if is_generic { !table::is_without_arguments(name) } else { shape.all > args };
        let digest = digest(params, shape, args);
        let start =
            Start { name, args, has_more, is_broken: false, ts: event.ts(), exit: shape.exit, digest };
        self.held = Some((event.tid(), start));
    }

    /// Returns whether a thread's call is held.
    pub fn is_held(&self, tid: u64) -> bool {
        self.held.is_some_and(|(held, _)| held == tid)
    }

    /// Returns when the call that is held has started, in ns since the epoch.
    pub fn held_since(&self) -> Option<u64> {
        self.held.map(|(_, start)| start.ts)
    }

    /// Notes that another line interrupts the call that is held, and returns it.
    pub fn interrupt(&mut self) -> Option<Start> {
        let (tid, start) = self.held.take()?;
        if self.broken.len() >= MOST {
            self.broken.clear();
        }
        self.broken.insert(tid, Start { is_broken: true, ..start });
        Some(start)
    }

    /// Returns the call of a thread.
    pub fn of(&self, tid: u64) -> Option<Start> {
        match self.held {
            Some((held, start)) if held == tid => Some(start),
            _ => self.broken.get(&tid).copied(),
        }
    }

    /// Forgets the call of a thread.
    pub fn forget(&mut self, tid: u64) {
        self.held = self.held.filter(|(held, _)| *held != tid);
        self.broken.remove(&tid);
    }

    /// Forgets all calls: events are missing.
    pub fn clear(&mut self) {
        self.held = None;
        self.broken.clear();
    }

    /// Returns whether no call is known.
    pub fn is_empty(&self) -> bool {
        self.held.is_none() && self.broken.is_empty()
    }

    /// Returns the call that an exit event ends. The machine must have paired them, and the arguments must be the same:
    /// where a loss has not been reported yet, the machine takes the next call for it.
    pub fn ended_by(&self, params: &Params<'_>, shape: &Shape, machine: &Machine) -> Option<Start> {
        let event = params.event;
        self.of(event.tid()).filter(|start| {
            machine.latency() == Some(event.ts().saturating_sub(start.ts))
                && start.exit == event.ty()
                && start.digest == digest(params, shape, start.args)
        })
    }
}

/// Returns a digest of the numbers among the first arguments, and of the number of a generic call. Only what a register
/// holds is the same at a call's start and end: not texts, times and sets, and not flags, to which the recorder adds some.
fn digest(params: &Params<'_>, shape: &Shape, args: usize) -> u64 {
    let is_generic = params.event.ty().is_generic();
    let mut digest = if is_generic { u64::from(native_number(params.event)) } else { 0 };
    for arg in shape.args.iter().take(args) {
        let (Arg::Param(at) | Arg::Formed(at, _)) = *arg else { continue };
        let Some((_, decoded)) = params.at(at) else { continue };
        let is_set = decoded.format == PrintFormat::HEX && decoded.ty.size() != Some(8);
        match decoded.value {
            Value::Flags(_) | Value::Flags64(_) | Value::Mode(_) | Value::RelTime(_) | Value::SigSet(_) => {}
            value if !is_set => {
                let number = number(value).unwrap_or_default() as u64;
                digest = (digest.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
            }
            _ => {}
        }
    }
    digest
}

/// Returns the number of a generic event's call.
pub fn native_number(event: &EventView<'_>) -> u16 {
    event.param(1).and_then(<[u8]>::first_chunk).map_or(0, |number| u16::from_ne_bytes(*number))
}
