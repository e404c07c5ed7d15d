//! The parameters of an event by name.

use crate::{
    events::{Detail, Event},
    format::{EventView, Value, decode, integer},
    model::paths,
};

/// The parameters of an event.
pub(super) struct Args<'a> {
    pub event: &'a EventView<'a>,
    row: &'static Event,
}

impl<'a> Args<'a> {
    /// Wraps those of an event with this row.
    pub fn new(event: &'a EventView<'a>, row: &'static Event) -> Args<'a> {
        Args { event, row }
    }

    /// Returns what a call has returned: `res`, or the first parameter if that is a descriptor; `None` for an event that
    /// has no result.
    pub fn result(&self) -> Option<i64> {
        let is_descriptor = || self.row.params.first().is_some_and(|param| param.name == "fd");
        let index = self.row.param("res").or_else(|| is_descriptor().then_some(0))?;
        // A result that is missing is no success.
        if self.event.param(index)?.is_empty() { Some(-1) } else { self.signed(index) }
    }

    /// Returns a signed number: a descriptor, a result, a pid, or an integer.
    fn signed(&self, index: usize) -> Option<i64> {
        let ty = self.row.params.get(index)?.ty;
        if ty.is_signed() { integer(ty, self.event.param(index)?).map(|bits| bits as i64) } else { None }
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
        let index = self.row.param(name)?;
        let bytes = self.event.param(index).filter(|bytes| !bytes.is_empty())?;
        decode(self.row.params.get(index)?, bytes).ok().map(|decoded| decoded.value)
    }

    /// Returns the address family of a socket's address or tuple.
    pub fn family(&self, name: &str) -> Option<u8> {
        self.event.param(self.row.param(name)?)?.first().copied()
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        self.signed(self.row.param(name)?)
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
        let table = self.row.params.iter().find(|param| param.name == "flags").map(|param| param.detail);
        let (Some(Detail::Flags(table)), Some(flags)) = (table, self.flags("flags")) else { return false };
        table.iter().any(|flag| flag.value & u64::from(flags) != 0 && flag.name.ends_with("CLOEXEC"))
    }

    pub fn has_flag(&self, name: &str, flag: u32) -> bool {
        self.flags(name).is_some_and(|flags| flags & flag != 0)
    }
}
