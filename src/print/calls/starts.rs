//! The calls that have started: which exit event ends which.

use std::{collections::HashMap, num::NonZeroU16};

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
    numbers: Numbers,
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
        let numbers = Numbers::of(params, shape, args);
        let start =
            Start { name, args, has_more, is_broken: false, ts: event.ts(), exit: shape.exit, numbers };
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
                && start.numbers.agree(&Numbers::of(params, shape, start.args))
        })
    }
}

/// The most arguments of a call.
const ARGS: usize = 8;

/// What a call's start and its end have in common: the number of a generic call, and digests of the numbers among the first
/// arguments, as far as an event has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Numbers {
    native: u16,
    args: [Option<NonZeroU16>; ARGS],
}

impl Numbers {
    /// Only what a register holds is the same at a call's start and end: not texts, times and sets, and not flags, to which
    /// the recorder adds some. Of a number, the low 32 bits: one of both events may have it with another sign.
    fn of(params: &Params<'_>, shape: &Shape, args: usize) -> Numbers {
        let native = if params.event.ty().is_generic() { native_number(params.event) } else { 0 };
        let mut numbers = Numbers { native, ..Numbers::default() };
        for (to, arg) in numbers.args.iter_mut().zip(shape.args.iter().take(args)) {
            let (Arg::Param(at) | Arg::Formed(at, _)) = *arg else { continue };
            let Some((_, decoded)) = params.at(at) else { continue };
            let is_set = decoded.format == PrintFormat::HEX && decoded.ty.size() != Some(8);
            *to = match decoded.value {
                Value::Flags(_)
                | Value::Flags64(_)
                | Value::Mode(_)
                | Value::RelTime(_)
                | Value::SigSet(_) => None,
                value if !is_set => number(value).map(digest),
                _ => None,
            };
        }
        numbers
    }

    /// Returns whether both can be of the same call: an argument that only one of them has says nothing.
    fn agree(&self, other: &Numbers) -> bool {
        let both = self.args.iter().zip(&other.args).filter_map(|(a, b)| Some(((*a)?, (*b)?)));
        self.native == other.native && both.into_iter().all(|(a, b)| a == b)
    }
}

fn digest(number: i64) -> NonZeroU16 {
    let mixed = (number as u32).wrapping_mul(0x9e37_79b1) >> 16;
    NonZeroU16::MIN | mixed as u16
}

/// Returns the number of a generic event's call.
pub fn native_number(event: &EventView<'_>) -> u16 {
    event.param(1).and_then(<[u8]>::first_chunk).map_or(0, |number| u16::from_ne_bytes(*number))
}
