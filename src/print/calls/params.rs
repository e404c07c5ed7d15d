//! The parameters of an event, each at its place.

use scap::{
    events::{Event, ParamInfo},
    format::{Decoded, EventView, Value, decode},
};

/// The most parameters that a row has.
pub const MAX: usize = 48;

/// The parameters of an event.
#[derive(Debug)]
pub struct Params<'a> {
    pub event: &'a EventView<'a>,
    row: &'static Event,
    raw: [&'a [u8]; MAX],
}

impl<'a> Params<'a> {
    /// Returns `None` for an event of no row.
    pub fn of(event: &'a EventView<'a>) -> Option<Params<'a>> {
        let mut raw = [&[][..]; MAX];
        for (index, bytes) in event.indexed() {
            if let Some(to) = raw.get_mut(index) {
                *to = bytes;
            }
        }
        Some(Params { event, row: event.info()?, raw })
    }

    /// Returns the parameter at an index; one that is missing or has invalid bytes has no value.
    pub fn at(&self, index: usize) -> Option<(&'static ParamInfo, Decoded<'a>)> {
        let info = self.row.params.get(index)?;
        let absent = Decoded { ty: info.ty, format: info.format, value: Value::Absent };
        Some((info, decode(info, self.raw.get(index)?).unwrap_or(absent)))
    }

    /// Returns whether a parameter has no value.
    pub fn is_absent(&self, index: usize) -> bool {
        self.at(index).is_none_or(|(_, decoded)| decoded.value == Value::Absent)
    }

    /// Returns the value of a parameter.
    pub fn named(&self, name: &str) -> Value<'a> {
        self.row.param(name).and_then(|index| self.at(index)).map_or(Value::Absent, |(_, d)| d.value)
    }

    /// Returns the number of a parameter.
    pub fn number(&self, name: &str) -> Option<i64> {
        number(self.named(name))
    }

    /// Returns the text of a parameter.
    pub fn text(&self, name: &str) -> Option<&'a [u8]> {
        match self.named(name) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns what the call has returned, if that is recorded.
    pub fn result(&self) -> Option<i64> {
        self.at(self.row.result().unwrap_or(0)).and_then(|(_, d)| number(d.value))
    }

    /// Returns the row.
    pub fn row(&self) -> &'static Event {
        self.row
    }
}

/// Returns a value that is a number.
pub fn number(value: Value<'_>) -> Option<i64> {
    Some(match value {
        Value::Int(v) | Value::Errno(v) | Value::Fd(v) | Value::Pid(v) => v,
        Value::Uint(v) | Value::RelTime(v) | Value::Flags64(v) => v as i64,
        Value::Flags(v) | Value::Enum(v) | Value::Mode(v) | Value::Uid(v) | Value::Gid(v) => v.into(),
        Value::Signal(v) => v.into(),
        Value::Bool(v) => v.into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use scap::events::rows;

    #[test]
    fn every_row_fits() {
        assert!(rows().all(|row| row.params.len() <= MAX));
    }
}
