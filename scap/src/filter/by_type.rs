//! What the type of an event, and of a generic one its call, says of a filter.

use crate::{
    events::{EXTENSIONS, Event, EventType, Extends, Extension},
    fields::{Fields, Reference},
    format::{CapturedEvent, EventBuilder, EventView, Value, state::MachineState},
    model::Machine,
    replay::Moment,
};

use super::plan::Node;

/// What the type of an event says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// All events of the type match.
    Match,
    /// None does.
    NoMatch,
    /// It depends on more than the type.
    Depends,
}

/// Returns what a plan says of all events of a row, extended or not; of a generic row, of all events of the call with this code.
pub(super) fn decided(plan: &Node, row: &'static Event, code: u16) -> Decided {
    if row.program.is_none() && Extends::of(row.ty).is_none() {
        // Nothing records such events.
        return Decided::NoMatch;
    }
    let builder = EventBuilder::new(row, 1, 1);
    let built = match row.ty.0 {
        0 | 1 => builder.param(Value::Syscall(code)).and_then(|b| b.param(Value::Uint(u16::MAX.into()))),
        _ => Ok(builder),
    };
    let Ok(mut bytes) = built.and_then(EventBuilder::build_short) else { return Decided::Depends };
    let alone = decided_of(plan, &bytes, row);
    let Some(extension) = extension_of(row.ty, code) else { return alone };
    let Ok(behind) = EventBuilder::new(&extension.own, 1, 1).build_short() else { return Decided::Depends };
    bytes.extend_from_slice(&behind);
    if decided_of(plan, &bytes, &extension.joined) == alone { alone } else { Decided::Depends }
}

/// Returns the extension of events of a type; of generic ones, of those of the call with this code.
pub(super) fn extension_of(ty: EventType, code: u16) -> Option<&'static Extension> {
    EXTENSIONS.iter().find(|extension| extends(extension, ty, code))
}

/// Returns whether an extension belongs to events of a type; to generic ones, if they are those of the call with this code.
fn extends(extension: &Extension, ty: EventType, code: u16) -> bool {
    match Extends::of(extension.own.ty) {
        Some(Extends::Call(call)) => {
            ty.is_generic() && call == code && ty.is_enter() == extension.own.ty.is_enter()
        }
        Some(Extends::Event(extended)) => extended == ty,
        Some(Extends::Nothing) | None => false,
    }
}

/// Returns what a plan says of an event, with its extension if it has one, given only what its row determines.
fn decided_of(plan: &Node, bytes: &[u8], row: &Event) -> Decided {
    let Ok(event) = EventView::parse_joined(bytes, false) else { return Decided::Depends };
    let (machine, state) = (Machine::default(), MachineState::default());
    let captured =
        CapturedEvent { cpu: 0, flags: 0, offset: 0, more: true, section: 1, state: &state, event };
    let moment = Moment {
        num: 1,
        is_asked: true,
        turns_back: false,
        of_source: false,
        limit: 0,
        first: 1,
        previous: 1,
        newest: 1,
        raw: event,
        captured,
        machine: &machine,
    };
    match plan.known(&moment, &|field: &Reference| Fields::is_of_row(field, row)) {
        Some(true) => Decided::Match,
        Some(false) => Decided::NoMatch,
        None => Decided::Depends,
    }
}
