//! The routes from calls to the programs of their events.

use std::{
    collections::BTreeSet,
    os::fd::{AsRawFd, BorrowedFd},
};

use libbpf_rs::{MapCore, MapFlags};

use super::slots;
use scap::events::EventType;

/// The events that a slot is recorded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    pub slot: usize,
    /// The event of its entry, if recorded.
    pub enter: Option<EventType>,
    /// The event of its return, if recorded.
    pub exit: Option<EventType>,
}

/// Returns the events of routes.
pub(super) fn events(routes: &[Route]) -> BTreeSet<EventType> {
    routes.iter().flat_map(|route| [route.enter, route.exit]).flatten().collect()
}

/// The programs of the slots without a call, in the order of [`slots::rule_slots`].
pub(super) type Helpers<'a> = [Option<BorrowedFd<'a>>; slots::RULE_SLOTS];

/// Routes calls to programs: those of events, and the helpers of entries and of returns.
pub(super) fn fill<'a>(
    on_enter: &impl MapCore,
    on_exit: &impl MapCore,
    routes: &[Route],
    program: &impl Fn(EventType) -> Option<BorrowedFd<'a>>,
    helpers: [Helpers<'_>; 2],
) -> libbpf_rs::Result<()> {
    for route in routes {
        set_program(on_enter, route.slot, route.enter.and_then(program))?;
        set_program(on_exit, route.slot, route.exit.and_then(program))?;
    }
    let [enter_helpers, exit_helpers] = helpers;
    for (slot, program) in slots::rule_slots().zip(enter_helpers) {
        set_program(on_enter, slot, program)?;
    }
    for (slot, program) in slots::rule_slots().zip(exit_helpers) {
        set_program(on_exit, slot, program)?;
    }
    Ok(())
}

/// Routes a slot to a program, if one is given.
fn set_program(array: &impl MapCore, slot: usize, program: Option<BorrowedFd<'_>>) -> libbpf_rs::Result<()> {
    let Some(program) = program else { return Ok(()) };
    array.update(&(slot as u32).to_ne_bytes(), &program.as_raw_fd().to_ne_bytes(), MapFlags::ANY)
}
