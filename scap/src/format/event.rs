//! The layout of an event: header, lengths, parameters.
//!
//! ```text
//! 0       8        16        20          22             26            26 + n × size
//! ├───────┼────────┼─────────┼───────────┼──────────────┼─────────────┼─────────────┬───┐
//! │ ts    │ tid    │ len     │ type      │ nparams = n  │ n lengths   │ parameter 0 │ … │
//! │ (u64) │ (u64)  │ (u32)   │ (u16)     │ (u32)        │ (u16 each)  │             │   │
//! └───────┴────────┴─────────┴───────────┴──────────────┴─────────────┴─────────────┴───┘
//!   ns since the     of the whole                         u32 each in types that may
//!   epoch            event                                exceed 64 KiB
//! ```

use thiserror::Error;

use super::{
    block::{MAX_EVENT, frame_captured},
    fields::Fields,
    value::{Decoded, ValueError, decode},
};
use crate::events::{Event, EventFlags, EventType, ParamInfo, event};

/// The size of the header in bytes.
pub const EVENT_HEADER_LEN: usize = 26;

/// Why bytes are not an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EventError {
    /// There are fewer bytes than the header needs, or than the header's length says.
    #[error("the event needs {needed} bytes, but only {got} are there")]
    Short {
        /// The number of bytes needed.
        needed: usize,
        /// The number of bytes there are.
        got: usize,
    },
    /// The header's length field is less than the size of the header.
    #[error("the event's length of {0} bytes is less than that of its header")]
    Length(u32),
    /// The parameters exceed the event.
    #[error("the event's {nparams} parameters exceed its length of {len} bytes")]
    Params {
        /// The number of parameters in the header.
        nparams: u32,
        /// The event's length.
        len: u32,
    },
}

/// A view of an event in a buffer. [`EventView::parse`] has checked that its parts are within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventView<'a> {
    bytes: &'a [u8],
    head: Head,
}

/// An event's header, checked against the event's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    ts: u64,
    tid: u64,
    len: u32,
    ty: EventType,
    nparams: u32,
    wide: bool,
}

/// Returns whether an event's parameters have 32-bit lengths. Its type decides; for an unknown type, `large` does:
/// whether the block is one for large events.
#[inline]
pub(super) fn wide_lengths(ty: EventType, large: bool) -> bool {
    event(ty).map_or(large, |row| row.flags.contains(EventFlags::LARGE_PAYLOAD))
}

impl<'a> EventView<'a> {
    /// Reads an event's header and checks its parts. `bytes` start with the event and may be longer; `large` says
    /// whether they come from a block for large events.
    ///
    /// # Errors
    /// If a part exceeds the event, or the event exceeds `bytes`.
    #[inline]
    pub fn parse(bytes: &'a [u8], large: bool) -> Result<EventView<'a>, EventError> {
        let short = |needed| EventError::Short { needed, got: bytes.len() };
        let mut f = Fields::new(bytes);
        let header = (|| Some((f.u64()?, f.u64()?, f.u32()?, f.u16()?, f.u32()?)))();
        let (ts, tid, len, ty, nparams) = header.ok_or(short(EVENT_HEADER_LEN))?;
        if (len as usize) < EVENT_HEADER_LEN {
            return Err(EventError::Length(len));
        }
        let bytes = bytes.get(..len as usize).ok_or(short(len as usize))?;
        let ty = EventType(ty);
        let view =
            EventView { bytes, head: Head { ts, tid, len, ty, nparams, wide: wide_lengths(ty, large) } };
        let fits = || {
            let (lengths, values) = bytes
                .get(EVENT_HEADER_LEN..)?
                .split_at_checked((nparams as usize).checked_mul(view.length_size())?)?;
            // The sum cannot overflow: there are no more lengths than bytes.
            let sum: u64 = match view.head.wide {
                true => lengths.as_chunks().0.iter().map(|l| u64::from(u32::from_ne_bytes(*l))).sum(),
                false => lengths.as_chunks().0.iter().map(|l| u64::from(u16::from_ne_bytes(*l))).sum(),
            };
            (sum <= values.len() as u64).then_some(())
        };
        fits().ok_or(EventError::Params { nparams, len })?;
        Ok(view)
    }

    /// Returns the header, to recreate the view with [`with_head`](Self::with_head) without keeping the bytes borrowed.
    #[inline]
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// Recreates a view from its header and the same bytes.
    #[inline]
    pub(super) fn with_head(bytes: &'a [u8], head: Head) -> EventView<'a> {
        EventView { bytes: bytes.get(..head.len as usize).unwrap_or(bytes), head }
    }

    /// Returns the time in ns since the epoch.
    #[inline]
    pub fn ts(&self) -> u64 {
        self.head.ts
    }

    /// Returns the thread.
    #[inline]
    pub fn tid(&self) -> u64 {
        self.head.tid
    }

    /// Returns the type.
    #[inline]
    pub fn ty(&self) -> EventType {
        self.head.ty
    }

    /// Returns the number of parameters; its row of the table may have more or fewer.
    #[inline]
    pub fn nparams(&self) -> u32 {
        self.head.nparams
    }

    /// Returns the event's bytes, including the header.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns its row of the table; `None` for a type that is newer than the table.
    #[inline]
    pub fn info(&self) -> Option<&'static Event> {
        event(self.head.ty)
    }

    /// Returns the bytes of a parameter; `None` if the event or its row of the table has none at that index.
    #[inline]
    pub fn param(&self, index: usize) -> Option<&'a [u8]> {
        self.params().nth(index)
    }

    /// Iterates over the bytes of the parameters that both the event and its row of the table have. An empty parameter
    /// has no value.
    #[inline]
    pub fn params(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let known = self.info().map_or(usize::MAX, |row| row.params.len());
        let mut rest = self
            .bytes
            .get(EVENT_HEADER_LEN + self.head.nparams as usize * self.length_size()..)
            .unwrap_or_default();
        self.lengths().take(known).map_while(move |len| {
            let (param, after) = rest.split_at_checked(len)?;
            rest = after;
            Some(param)
        })
    }

    /// Iterates over the decoded parameters with their descriptions in the table; empty for an unknown type.
    pub fn values(
        &self,
    ) -> impl Iterator<Item = (&'static ParamInfo, Result<Decoded<'a>, ValueError>)> + use<'a> {
        let rows = self.info().map_or(&[][..], |row| row.params);
        rows.iter().zip(self.params()).map(|(info, bytes)| (info, decode(info, bytes)))
    }

    /// Returns a parameter by name; `None` if the event or its row of the table has none of that name.
    pub fn value(&self, name: &str) -> Option<Result<Decoded<'a>, ValueError>> {
        let row = self.info()?;
        let index = row.param(name)?;
        Some(decode(&row.params[index], self.param(index)?))
    }

    /// Appends the event's block to `out`, as one of a capture that is made from others: recorded on `cpu`, with these
    /// flags of the block.
    pub fn frame(&self, out: &mut Vec<u8>, cpu: u16, flags: u32) {
        // The lengths of an unknown event have the size that its block says.
        let large = self.bytes.len() > MAX_EVENT || (self.head.wide && self.info().is_none());
        frame_captured(out, cpu, flags, large, self.bytes);
    }

    #[inline]
    fn length_size(&self) -> usize {
        if self.head.wide { size_of::<u32>() } else { size_of::<u16>() }
    }

    #[inline]
    fn lengths(&self) -> impl Iterator<Item = usize> + use<'a> {
        let mut f = Fields::new(self.bytes.get(EVENT_HEADER_LEN..).unwrap_or_default());
        let wide = self.head.wide;
        (0..self.head.nparams)
            .map_while(move |_| if wide { f.u32().map(|l| l as usize) } else { f.u16().map(usize::from) })
    }
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;
    use crate::format::Value;

    /// An exit event of `openat` as bytes: -2, AT_FDCWD, "/a", O_RDONLY, and no value for mode.
    const OPENAT: &[u8] = b"\x08\x07\x06\x05\x04\x03\x02\x01\x39\x05\0\0\0\0\0\0\x3b\0\0\0\x33\x01\x05\0\0\0\
        \x08\0\x08\0\x03\0\x04\0\0\0\
        \xfe\xff\xff\xff\xff\xff\xff\xff\x9c\xff\xff\xff\xff\xff\xff\xff/a\0\x01\0\0\0";

    #[test]
    fn the_parts_of_an_event() {
        let e = EventView::parse(OPENAT, false).unwrap();
        assert_eq!(OPENAT.len(), 59);
        assert_eq!((e.ts(), e.tid(), e.ty(), e.nparams()), (0x0102_0304_0506_0708, 1337, EventType(307), 5));
        assert_eq!(e.info().unwrap().code, "PPME_SYSCALL_OPENAT_2_X");
        assert_eq!(e.param(2), Some(&b"/a\0"[..]));
        assert_eq!(e.param(4), Some(&b""[..]));
        assert_eq!(e.param(5), None);
        let values: Vec<_> = e.values().map(|(p, v)| (p.name, v.unwrap().value)).collect();
        let expected = [
            ("fd", Value::Fd(-2)),
            ("dirfd", Value::Fd(-100)),
            ("name", Value::Text(b"/a")),
            ("flags", Value::Flags(1)),
            ("mode", Value::Absent),
        ];
        assert_eq!(values, expected);
        assert_eq!(e.value("name").unwrap().unwrap().value, Value::Text(b"/a"));
        assert!(e.value("ino").is_none(), "the row has it, the event does not");
        assert!(e.value("nonsense").is_none());
    }

    #[test]
    fn padding_behind_the_event_is_not_part_of_it() {
        let longer = [OPENAT, b"\0"].concat();
        assert_eq!(EventView::parse(&longer, false).unwrap().bytes(), OPENAT);
    }

    #[test]
    fn parameters_beyond_the_row_are_not_shown() {
        // An exit event of `close` with three parameters; the row has two.
        let mut bytes = [0; EVENT_HEADER_LEN].to_vec();
        bytes[16] = 26 + 6 + 17;
        bytes[20] = 5;
        bytes[22] = 3;
        bytes.extend_from_slice(&[8, 0, 8, 0, 1, 0]);
        bytes.extend_from_slice(&[1; 17]);
        let e = EventView::parse(&bytes, false).unwrap();
        assert_eq!(e.nparams(), 3);
        assert_eq!(e.params().count(), 2);
        assert_eq!(e.param(2), None);
    }

    #[test]
    fn lengths_are_wide_where_the_type_says_so() {
        let mut bytes = [0; EVENT_HEADER_LEN].to_vec();
        bytes[16] = 26 + 4 + 3;
        bytes[20..22].copy_from_slice(&324u16.to_le_bytes());
        bytes[22] = 1;
        bytes.extend_from_slice(b"\x03\0\0\0{}\0");
        let e = EventView::parse(&bytes, false).unwrap();
        assert_eq!(e.value("json").unwrap().unwrap().value, Value::Text(b"{}"));
        // For a type beyond the table, the block decides.
        bytes[20..22].copy_from_slice(&60_000u16.to_le_bytes());
        assert_eq!(EventView::parse(&bytes, true).unwrap().param(0), Some(&b"{}\0"[..]));
        assert_eq!(EventView::parse(&bytes, false).unwrap().param(0), Some(&b"\0\0{"[..]));
        assert_eq!(EventView::parse(&bytes, true).unwrap().values().count(), 0);
    }

    #[test]
    fn what_exceeds_the_event_is_refused() {
        let with = |at: usize, byte: u8| {
            let mut bytes = OPENAT.to_vec();
            bytes[at] = byte;
            EventView::parse(&bytes, false).map(|_| ()).unwrap_err()
        };
        assert_eq!(EventView::parse(&OPENAT[..25], false), Err(EventError::Short { needed: 26, got: 25 }));
        assert_eq!(EventView::parse(&OPENAT[..58], false), Err(EventError::Short { needed: 59, got: 58 }));
        assert_eq!(with(16, 25), EventError::Length(25));
        assert_eq!(with(16, 58), EventError::Params { nparams: 5, len: 58 });
        assert_eq!(with(22, 17), EventError::Params { nparams: 17, len: 59 });
        assert_eq!(with(25, 0xff), EventError::Params { nparams: 0xff00_0005, len: 59 });
        assert_eq!(with(27, 1), EventError::Params { nparams: 5, len: 59 });
    }
}
