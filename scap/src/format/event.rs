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
    value::{Decoded, ValueError, decode, integer},
};
use crate::events::{
    Event, EventFlags, EventType, Extends, Extension, ParamInfo, event, extension, row_of_joined, row_of_type,
};

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
    /// The bytes of the event that extends this one; empty if there is none.
    extension: &'a [u8],
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
    /// The same of the extension.
    extension: Tail,
}

/// What is known of the extension of an event: its type, its number of parameters, and whether these have 32-bit lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tail {
    ty: EventType,
    nparams: u16,
    wide: bool,
}

impl Tail {
    const NONE: Tail = Tail { ty: EventType(0), nparams: 0, wide: false };
}

impl Head {
    pub fn len(&self) -> usize {
        self.len as usize
    }

    pub fn ty(&self) -> EventType {
        self.ty
    }
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
        let wide = wide_lengths(ty, large);
        let head = Head { ts, tid, len, ty, nparams, wide, extension: Tail::NONE };
        let view = EventView { bytes, head, extension: &[] };
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

    /// Reads an event and, directly behind it, the one that extends it, as [`copy_to`](EventView::copy_to) appends them.
    ///
    /// # Errors
    /// As [`parse`](EventView::parse). What follows and is not the event's extension is ignored.
    pub fn parse_joined(bytes: &'a [u8], large: bool) -> Result<EventView<'a>, EventError> {
        let event = EventView::parse(bytes, large)?;
        let behind = bytes.get(event.bytes.len()..).unwrap_or_default();
        match EventView::parse(behind, large) {
            Ok(extension) if extension.extends(&event) => Ok(event.with_extension(&extension)),
            _ => Ok(event),
        }
    }

    /// Returns whether this event belongs to the one in front of it, as its extension.
    #[inline]
    pub fn extends(&self, event: &EventView<'_>) -> bool {
        (self.ts(), self.tid()) == (event.ts(), event.tid())
            && match Extends::of(self.ty()) {
                Some(Extends::Call(code)) => {
                    event.ty().is_generic()
                        && event.ty().is_enter() == self.ty().is_enter()
                        && event.own_param(0) == Some(&code.to_ne_bytes())
                }
                Some(Extends::Event(ty)) => ty == event.ty(),
                Some(Extends::Nothing) | None => false,
            }
    }

    /// Returns the stable code that a generic event has, 0 if it has none.
    #[inline]
    pub fn generic_code(&self) -> u16 {
        self.own_param(0).and_then(<[u8]>::first_chunk).map_or(0, |code| u16::from_ne_bytes(*code))
    }

    /// Returns the event as one with the event that [`extends`](EventView::extends) it.
    #[inline]
    pub(super) fn with_extension(mut self, extension: &EventView<'a>) -> EventView<'a> {
        let Head { ty, nparams, wide, .. } = extension.head;
        self.extension = extension.bytes;
        self.head.extension = Tail { ty, nparams: nparams.try_into().unwrap_or(u16::MAX), wide };
        self
    }

    /// Returns the event that extends this one, by itself.
    pub fn extension(&self) -> Option<EventView<'a>> {
        let Tail { ty, nparams, wide } = self.head.extension;
        let head = Head {
            len: self.extension.len() as u32,
            ty,
            nparams: nparams.into(),
            wide,
            extension: Tail::NONE,
            ..self.head
        };
        (!self.extension.is_empty()).then_some(EventView { bytes: self.extension, head, extension: &[] })
    }

    /// Returns the header, to recreate the view with [`with_head`](Self::with_head) without keeping the bytes borrowed.
    #[inline]
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// Recreates a view from its header and the same bytes, those of the event and those of its extension.
    #[inline]
    pub(super) fn with_head(bytes: &'a [u8], extension: &'a [u8], head: Head) -> EventView<'a> {
        EventView { bytes: bytes.get(..head.len as usize).unwrap_or(bytes), head, extension }
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

    /// Returns the number of parameters, without those of its extension; its row of the table may have more or fewer.
    #[inline]
    pub fn nparams(&self) -> u32 {
        self.head.nparams
    }

    /// Returns the event's bytes, including the header, without its extension.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns how many parameters say only which call the event is of, at the start: those of a generic event that is extended.
    #[inline]
    pub fn identity(&self) -> usize {
        match self.joined() {
            Some(row) if self.ty().is_generic() => row.base_params(),
            _ => 0,
        }
    }

    /// Appends the event's bytes to `out`, and behind them those of its extension.
    pub fn copy_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.bytes);
        out.extend_from_slice(self.extension);
    }

    /// Returns its row of the table, with the parameters of its extension; `None` for a type that is newer than the table.
    #[inline]
    pub fn info(&self) -> Option<&'static Event> {
        match self.joined() {
            None => event(self.head.ty),
            Some(row) => Some(&row.joined),
        }
    }

    /// Returns the position of [`info`](EventView::info) among [`rows`](crate::events::rows).
    #[inline]
    pub fn row(&self) -> Option<usize> {
        match self.joined() {
            None => row_of_type(self.head.ty),
            Some(_) => row_of_joined(self.head.extension.ty),
        }
    }

    /// Returns the row of the extension, if there is one and its type is known.
    #[inline]
    fn joined(&self) -> Option<&'static Extension> {
        if self.extension.is_empty() { None } else { extension(self.head.extension.ty) }
    }

    /// Returns the bytes of a parameter by its index in [`info`](EventView::info); `None` if the event or its row of the table
    /// has none at that index.
    #[inline]
    pub fn param(&self, index: usize) -> Option<&'a [u8]> {
        match self.joined() {
            Some(row) if index >= row.base_params() => {
                self.extension()?.params().nth(index - row.base_params())
            }
            _ => self.own_param(index),
        }
    }

    /// Returns the bytes of a parameter that is not one of the extension.
    #[inline]
    fn own_param(&self, index: usize) -> Option<&'a [u8]> {
        let known = event(self.head.ty).map_or(usize::MAX, |row| row.params.len());
        if index < known { self.own_params().nth(index) } else { None }
    }

    /// Iterates over the bytes of the parameters that both the event and its row of the table have. An empty parameter
    /// has no value. The parameters of the extension follow those of the event.
    #[inline]
    pub fn params(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.indexed().map(|(_, bytes)| bytes)
    }

    /// Iterates over the same with the index that each has in the row.
    #[inline]
    pub fn indexed(&self) -> impl Iterator<Item = (usize, &'a [u8])> + use<'a> {
        let joined = self.joined();
        let known = match joined {
            None => event(self.head.ty).map_or(usize::MAX, |row| row.params.len()),
            Some(row) => row.base_params(),
        };
        let extension = joined.and_then(|row| Some((row.joined.params.len(), self.extension()?)));
        let more = extension.map(|(end, view)| (known..end).zip(view.own_params()));
        self.own_params().take(known).enumerate().chain(more.into_iter().flatten())
    }

    /// Iterates over the bytes of all parameters of this event, known or not, without those of its extension.
    #[inline]
    fn own_params(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self
            .bytes
            .get(EVENT_HEADER_LEN + self.head.nparams as usize * self.length_size()..)
            .unwrap_or_default();
        self.lengths().map_while(move |len| {
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
        self.indexed().map_while(|(index, bytes)| rows.get(index).map(|info| (info, decode(info, bytes))))
    }

    /// Returns a parameter by name; `None` if the event or its row of the table has none of that name.
    pub fn value(&self, name: &str) -> Option<Result<Decoded<'a>, ValueError>> {
        let row = self.info()?;
        let index = row.param(name)?;
        Some(decode(&row.params[index], self.param(index)?))
    }

    /// Returns a parameter of a type with a fixed size as a number; `None` if it has no value.
    pub fn integer(&self, index: usize) -> Option<i64> {
        let info = self.info()?.params.get(index)?;
        integer(info.ty, self.param(index)?).map(|bits| bits as i64)
    }

    /// Appends the event's block to `out`, and that of its extension, as those of a capture that is made from others:
    /// recorded on `cpu`, with these flags of the block.
    pub fn frame(&self, out: &mut Vec<u8>, cpu: u16, flags: u32) {
        // The lengths of an unknown event have the size that its block says.
        let large = self.bytes.len() > MAX_EVENT || (self.head.wide && event(self.head.ty).is_none());
        frame_captured(out, cpu, flags, large, self.bytes);
        if let Some(extension) = self.extension() {
            extension.frame(out, cpu, flags);
        }
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
