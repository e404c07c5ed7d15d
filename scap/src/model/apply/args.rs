//! The parameters of an event by name.

use crate::{
    events::Detail,
    format::{EventView, Value, decode},
    model::paths,
};

/// The parameters of an event.
pub(super) struct Args<'a> {
    pub event: &'a EventView<'a>,
}

impl<'a> Args<'a> {
    pub fn new(event: &'a EventView<'a>) -> Args<'a> {
        Args { event }
    }

    /// Returns what a call has returned: `res`, or the first parameter if that is a descriptor; `None` for an event that
    /// has no result.
    pub fn result(&self) -> Option<i64> {
        let row = self.event.info()?;
        let index = row.param("res").or_else(|| row.params.first().filter(|p| p.name == "fd").map(|_| 0))?;
        match decode(row.params.get(index)?, self.event.param(index)?).ok()?.value {
            // A result that is missing is no success.
            Value::Absent => Some(-1),
            Value::Fd(v) | Value::Errno(v) | Value::Pid(v) | Value::Int(v) => Some(v),
            _ => None,
        }
    }

    /// Returns the id of a user or a group, or another number of 32 bits.
    pub fn id(&self, name: &str) -> Option<u32> {
        match self.get(name)? {
            Value::Uid(v) | Value::Gid(v) => Some(v),
            Value::Uint(v) => u32::try_from(v).ok(),
            _ => None,
        }
    }

    pub fn bytes(&self, name: &str) -> Option<&'a [u8]> {
        match self.get(name)? {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Returns texts, each ended by a NUL.
    pub fn texts(&self, name: &str) -> Option<&'a [u8]> {
        match self.get(name)? {
            Value::Texts(texts) => Some(texts),
            _ => None,
        }
    }

    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.event.value(name)?.ok().map(|d| d.value).filter(|v| *v != Value::Absent)
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Value::Fd(v) | Value::Errno(v) | Value::Pid(v) | Value::Int(v) => Some(v),
            _ => None,
        }
    }

    pub fn uint(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Value::Uint(v) => Some(v),
            Value::Int(v) => Some(v as u64),
            Value::AbsTime(v) => Some(v),
            _ => None,
        }
    }

    pub fn text(&self, name: &str) -> Option<&'a [u8]> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the command name of a clone or exec event; if the row is too old to have it, the program's file name.
    pub fn comm(&self) -> &'a [u8] {
        self.text("comm").or_else(|| self.text("exe").map(paths::file_name)).unwrap_or_default()
    }

    pub fn flags(&self, name: &str) -> Option<u32> {
        match self.get(name)? {
            Value::Flags(v) | Value::Enum(v) => Some(v),
            _ => None,
        }
    }

    /// Returns whether the flags of a call that returns a descriptor have the one for close-on-exec, by its name.
    pub fn has_cloexec(&self) -> bool {
        let params = self.event.info().map_or(&[][..], |row| row.params);
        let table = params.iter().find(|param| param.name == "flags").map(|param| param.detail);
        let (Some(Detail::Flags(table)), Some(flags)) = (table, self.flags("flags")) else { return false };
        table.iter().any(|flag| flag.name.ends_with("CLOEXEC") && flag.value & u64::from(flags) != 0)
    }

    pub fn has_flag(&self, name: &str, flag: u32) -> bool {
        self.flags(name).is_some_and(|flags| flags & flag != 0)
    }
}
