//! Builds events in user space: notifications, and events in tests. The BPF programs build recorded events themselves.

use thiserror::Error;

use super::{Value, event::EVENT_HEADER_LEN};
use crate::events::{Event, EventFlags};

/// Why values do not form an event of the given type.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BuildError {
    /// More values than the row has parameters.
    #[error("{event} has only {max} parameters")]
    TooMany {
        /// The event's symbol.
        event: &'static str,
        /// The number of its parameters.
        max: usize,
    },
    /// Fewer values than the row has parameters.
    #[error("{event} has no value for its parameter {param}")]
    Missing {
        /// The event's symbol.
        event: &'static str,
        /// The first missing parameter.
        param: &'static str,
    },
    /// A value of the wrong type, or out of range.
    #[error("{event}.{param} has type {ty}, which cannot hold {value}")]
    Type {
        /// The event's symbol.
        event: &'static str,
        /// The parameter.
        param: &'static str,
        /// Its type.
        ty: String,
        /// The value.
        value: String,
    },
    /// A parameter or the whole event is too long for its length field.
    #[error("{event} is too long: {len} bytes")]
    TooLong {
        /// The event's symbol.
        event: &'static str,
        /// Its length in bytes.
        len: usize,
    },
}

/// Builds an event, parameter by parameter, in the order of its row.
///
/// An integer must be in its type's range. An empty [`Value::Bytes`] is read back as [`Value::Absent`]: the format does
/// not distinguish them.
///
/// ```
/// use scap::{events::{EventType, event}, format::{EventBuilder, EventView, Value}};
///
/// let notification = event(EventType(280)).ok_or("no such event")?;
/// let bytes = EventBuilder::new(notification, 1_700_000_000_000_000_000, 1)
///     .param(Value::Text(b"drop"))?
///     .param(Value::Text(b"12 events lost"))?
///     .build()?;
/// assert_eq!(EventView::parse(&bytes, false)?.param(0), Some(&b"drop\0"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct EventBuilder {
    row: &'static Event,
    ts: u64,
    tid: u64,
    lengths: Vec<usize>,
    data: Vec<u8>,
}

impl EventBuilder {
    /// Starts an event of thread `tid` at `ts` ns since the epoch.
    pub fn new(row: &'static Event, ts: u64, tid: u64) -> EventBuilder {
        EventBuilder { row, ts, tid, lengths: Vec::new(), data: Vec::new() }
    }

    /// Adds the next parameter.
    ///
    /// # Errors
    /// If the row has no further parameter, or if the value does not fit its type.
    pub fn param(mut self, value: Value<'_>) -> Result<EventBuilder, BuildError> {
        let (event, params) = (self.row.code, self.row.params);
        let Some(info) = params.get(self.lengths.len()) else {
            return Err(BuildError::TooMany { event, max: params.len() });
        };
        let before = self.data.len();
        if !value.encode(info, &mut self.data) {
            let (ty, value) = (info.ty.name(), format!("{value:?}"));
            return Err(BuildError::Type { event, param: info.name, ty, value });
        }
        self.lengths.push(self.data.len() - before);
        Ok(self)
    }

    /// Returns the event's bytes.
    ///
    /// # Errors
    /// If a parameter is missing, or the event is too long for the format.
    pub fn build(self) -> Result<Vec<u8>, BuildError> {
        match self.row.params.get(self.lengths.len()) {
            Some(missing) => Err(BuildError::Missing { event: self.row.code, param: missing.name }),
            None => self.build_short(),
        }
    }

    /// Like [`build`](Self::build), but the last parameters may be missing, as in an event from a recorder older than
    /// the table.
    ///
    /// # Errors
    /// If the event is too long for the format.
    pub fn build_short(self) -> Result<Vec<u8>, BuildError> {
        let wide = self.row.flags.contains(EventFlags::LARGE_PAYLOAD);
        let size = if wide { size_of::<u32>() } else { size_of::<u16>() };
        let len = EVENT_HEADER_LEN + self.lengths.len() * size + self.data.len();
        let too_long = |len| BuildError::TooLong { event: self.row.code, len };

        let mut out = Vec::with_capacity(len);
        out.extend_from_slice(&self.ts.to_ne_bytes());
        out.extend_from_slice(&self.tid.to_ne_bytes());
        out.extend_from_slice(&u32::try_from(len).map_err(|_| too_long(len))?.to_ne_bytes());
        out.extend_from_slice(&self.row.ty.0.to_ne_bytes());
        out.extend_from_slice(&(self.lengths.len() as u32).to_ne_bytes());
        for &l in &self.lengths {
            if wide {
                out.extend_from_slice(&u32::try_from(l).map_err(|_| too_long(l))?.to_ne_bytes());
            } else {
                out.extend_from_slice(&u16::try_from(l).map_err(|_| too_long(l))?.to_ne_bytes());
            }
        }
        out.extend_from_slice(&self.data);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        events::{EventType, event},
        format::{SockTuple, event::EventView},
    };

    fn row(ty: u16) -> &'static Event {
        event(EventType(ty)).unwrap()
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused() {
        let close = || EventBuilder::new(row(5), 0, 0);
        assert!(matches!(close().param(Value::Uint(1)), Err(BuildError::Type { param: "res", .. })));
        assert!(matches!(close().param(Value::Text(b"")), Err(BuildError::Type { .. })));
        let one = close().param(Value::Errno(-9)).unwrap();
        assert!(matches!(one.clone().build(), Err(BuildError::Missing { param: "fd", .. })));
        assert!(one.clone().build_short().is_ok());
        let full = one.param(Value::Fd(3)).unwrap();
        assert!(matches!(full.param(Value::Absent), Err(BuildError::TooMany { max: 2, .. })));
    }

    #[test]
    fn a_value_out_of_range_is_refused() {
        let read = |size| {
            EventBuilder::new(row(6), 0, 0).param(Value::Fd(1)).unwrap().param(Value::Uint(size)).map(|_| ())
        };
        assert!(read(u32::MAX.into()).is_ok());
        assert!(read(u64::from(u32::MAX) + 1).is_err());
        let mixed = SockTuple::Inet { source: ([1; 4].into(), 1), destination: ([1u16; 8].into(), 1) };
        let connect = EventBuilder::new(row(23), 0, 0).param(Value::Errno(0)).unwrap();
        assert!(connect.param(Value::SockTuple(mixed)).is_err());
    }

    #[test]
    fn a_parameter_longer_than_its_length_can_say_is_refused() {
        let long = vec![b'x'; 65_536];
        let read = EventBuilder::new(row(7), 0, 0).param(Value::Errno(0)).unwrap();
        let read = read.param(Value::Bytes(&long)).unwrap();
        assert_eq!(
            read.build_short(),
            Err(BuildError::TooLong { event: "PPME_SYSCALL_READ_X", len: 65_536 })
        );
        // A type that may be large has 32-bit lengths.
        let json = EventBuilder::new(row(324), 0, 0).param(Value::Text(&long)).unwrap().build().unwrap();
        let view = EventView::parse(&json, true).unwrap();
        assert_eq!(view.value("json").unwrap().unwrap().value, Value::Text(&long));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_dynamic_value_byte_by_byte() {
        let getsockopt = EventBuilder::new(row(47), 0, 0);
        let values = [Value::Errno(0), Value::Fd(3), Value::Enum(1), Value::Enum(4), Value::RelTime(5)];
        let e = values.into_iter().fold(getsockopt, |b, v| b.param(v).unwrap()).build_short().unwrap();
        let view = EventView::parse(&e, false).unwrap();
        assert_eq!(view.param(4), Some(&[4, 5, 0, 0, 0, 0, 0, 0, 0][..]));
        assert_eq!(view.value("val").unwrap().unwrap().value, Value::RelTime(5));
    }
}
