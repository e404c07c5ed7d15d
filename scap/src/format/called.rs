//! What an event is called.

use std::borrow::Cow;

use super::{Decoded, EventView, Value};
use crate::events::{Arch, Event, Syscall};

impl<'a> EventView<'a> {
    /// Returns the system call that the event is of, if it is of one.
    pub fn syscall(&self) -> Option<&'static Syscall> {
        let row = self.info()?;
        if !is_generic(row) {
            return row.syscall();
        }
        let code = match self.value("ID")?.ok()?.value {
            Value::Syscall(code) => Syscall::by_code(code),
            _ => None,
        };
        // The recorder may not have known the call: look up its native number.
        code.or_else(|| match self.value("nativeID")?.ok()?.value {
            Value::Uint(number) => Syscall::by_number(Arch::NATIVE, number as u16),
            _ => None,
        })
    }

    /// Returns the event's name: of a generic event, its system call's; of an `asyncevent`, its own; otherwise its row's.
    pub fn name(&self) -> Cow<'a, str> {
        let Some(row) = self.info() else { return format!("unknown({})", self.ty()).into() };
        match row.name {
            "asyncevent" => match self.value("name") {
                Some(Ok(Decoded { value: Value::Text(name), .. })) => String::from_utf8_lossy(name),
                _ => row.name.into(),
            },
            _ if is_generic(row) => self.syscall().map_or(row.name, |call| call.name).into(),
            _ => row.common_name().into(),
        }
    }
}

fn is_generic(row: &Event) -> bool {
    row.ty.0 <= 1
}
