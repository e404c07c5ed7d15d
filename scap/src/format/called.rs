//! What an event is called.

use std::{borrow::Cow, sync::LazyLock};

use super::{Decoded, EventView, Value, decode};
use crate::events::{Arch, Event, EventType, Syscall, row_of_type, rows};

/// Where the name of a row's events is.
#[derive(Debug, Clone, Copy)]
enum Named {
    /// In the row.
    Row(&'static str),
    /// In the table of calls: a generic event.
    Call(&'static str),
    /// In a parameter: an asynchronous event.
    Param(&'static str, usize),
}

/// Returns whether all events of a type have the same name. Generic and asynchronous events have their own.
pub fn is_named_by_type(ty: EventType) -> bool {
    let row = row_of_type(ty).and_then(|row| NAMES.get(row));
    !ty.is_generic() && matches!(row, Some((Named::Row(_), _)))
}

/// The names of all rows, and their calls.
static NAMES: LazyLock<Vec<(Named, Option<&'static Syscall>)>> = LazyLock::new(|| {
    let named = |row: &'static Event| match (row.name, row.param("name")) {
        // Extended, a generic event has the name in its row.
        _ if row.ty.is_generic() && row.params.len() <= 2 => Named::Call(row.name),
        ("asyncevent", Some(index)) => Named::Param(row.name, index),
        _ => Named::Row(row.common_name()),
    };
    rows().map(|row| (named(row), call(row))).collect()
});

/// Returns the call of a row. An extension by itself is no event of a call.
fn call(row: &'static Event) -> Option<&'static Syscall> {
    if row.ty.is_generic() { Syscall::by_name(row.name) } else { row.syscall() }
}

impl<'a> EventView<'a> {
    /// Returns whether all events of its [row](EventView::row) have the same name, as those of a call that are extended.
    #[inline]
    pub fn is_named_by_row(&self) -> bool {
        matches!(self.row().and_then(|row| NAMES.get(row)), Some((Named::Row(_), _)))
    }

    /// Returns the system call that the event is of, if it is of one.
    pub fn syscall(&self) -> Option<&'static Syscall> {
        match NAMES.get(self.row()?)? {
            (Named::Call(_), _) => self.generic_call(),
            (_, call) => *call,
        }
    }

    /// Returns the call of a generic event.
    fn generic_call(&self) -> Option<&'static Syscall> {
        let mut params =
            self.params().map(|bytes| bytes.first_chunk().map(|number| u16::from_ne_bytes(*number)));
        let (code, native) = (params.next(), params.next());
        // The recorder may not have known the call: look up its native number.
        let by_number = || Syscall::by_number(Arch::NATIVE, native??);
        code.flatten().and_then(Syscall::by_code).or_else(by_number)
    }

    /// Returns the event's name: of a generic event, its system call's; of an `asyncevent`, its own; otherwise its row's.
    pub fn name(&self) -> Cow<'a, str> {
        match self.row().and_then(|row| NAMES.get(row)) {
            Some((Named::Row(name), _)) => (*name).into(),
            Some((Named::Call(name), _)) => self.generic_call().map_or(*name, |call| call.name).into(),
            Some((Named::Param(name, index), _)) => match self.param_value(*index) {
                Some(Value::Text(name)) => String::from_utf8_lossy(name),
                _ => (*name).into(),
            },
            None => format!("unknown({})", self.ty()).into(),
        }
    }

    /// Returns the value of a parameter by its index; `None` if the event or its row has none there, or an invalid one.
    pub fn param_value(&self, index: usize) -> Option<Value<'a>> {
        let Decoded { value, .. } = decode(self.info()?.params.get(index)?, self.param(index)?).ok()?;
        Some(value)
    }
}
