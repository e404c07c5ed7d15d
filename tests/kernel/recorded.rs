//! Recorded events: their bytes, parsed without the library's reader as a second opinion, and assertions of their parameters.

use std::{cell::RefCell, collections::BTreeSet, ffi::CStr};

use scap::events::{Abi, Event, EventType, ParamInfo, Source, event};
use scapd::probe::RawEvent;

use crate::rows::NATIVE_ABI;

/// An event, parsed without the library's reader, as a second opinion.
pub struct Recorded {
    pub ts: u64,
    pub tid: u64,
    pub len: u32,
    pub ty: EventType,
    pub params: Vec<Vec<u8>>,
    /// The events that extend it.
    extensions: Vec<Recorded>,
}

impl Recorded {
    pub fn of(event: &RawEvent<'_>) -> Recorded {
        let mut parts = event.parts().map(Recorded::parse);
        let first = parts.next().unwrap();
        Recorded { extensions: parts.collect(), ..first }
    }

    fn parse(bytes: &[u8]) -> Recorded {
        let at = |from: usize, n: usize| &bytes[from..from + n];
        let nparams = u32::from_ne_bytes(at(22, 4).try_into().unwrap()) as usize;
        let mut pos = 26 + 2 * nparams;
        let mut params = Vec::new();
        for i in 0..nparams {
            let len = usize::from(u16::from_ne_bytes(at(26 + 2 * i, 2).try_into().unwrap()));
            params.push(at(pos, len).to_vec());
            pos += len;
        }
        let len = u32::from_ne_bytes(at(16, 4).try_into().unwrap());
        assert_eq!(pos, bytes.len(), "the lengths do not add up to the event");
        assert_eq!(len as usize, bytes.len(), "the header's length");
        Recorded {
            ts: u64::from_ne_bytes(at(0, 8).try_into().unwrap()),
            tid: u64::from_ne_bytes(at(8, 8).try_into().unwrap()),
            len,
            ty: EventType(u16::from_ne_bytes(at(20, 2).try_into().unwrap())),
            params,
            extensions: Vec::new(),
        }
    }

    pub fn assert_header(&self, event: &Event, params: usize, before: u64, after: u64) {
        // The wall clock and the boot clock are read separately: tolerate a millisecond between them.
        let tolerance = 1_000_000;
        assert!(
            (before - tolerance..=after + tolerance).contains(&self.ts),
            "time stamp {} is not between {before} and {after}",
            self.ts
        );
        assert!(self.len >= 26);
        assert_eq!(self.params.len(), params, "number of parameters");
        for (info, bytes) in event.params.iter().zip(&self.params) {
            // The test asserts whether a parameter has a value.
            if let Some(size) = info.ty.size().filter(|_| !bytes.is_empty()) {
                // An extension has integers in as few bytes as they need.
                let short = event.source == Source::Extension && [1, 2, 4].contains(&bytes.len());
                assert!(bytes.len() == size || short && bytes.len() < size, "size of {}", info.name);
            }
        }
        for extension in &self.extensions {
            let row = event_of(extension.ty);
            assert_eq!((extension.ts, extension.tid), (self.ts, self.tid), "time and thread of {}", row.code);
            extension.assert_header(row, row.params.len(), before, after);
        }
    }
}

/// Returns the row of an event type.
pub fn event_of(ty: EventType) -> &'static Event {
    event(ty).unwrap_or_else(|| panic!("no table has the event type {:#x}", ty.0))
}

/// The parameters of an event and of its extensions. Each must be asserted before this is dropped.
pub struct Params {
    /// The rows of the event and its extensions.
    rows: Vec<&'static Event>,
    recorded: Recorded,
    asserted: RefCell<BTreeSet<&'static str>>,
    /// The caller's ABI.
    abi: Abi,
}

macro_rules! number {
    ($($name:ident $int:ty),*) => {$(
        /// Asserts a number.
        #[track_caller]
        pub fn $name(&self, name: &str, expected: $int) -> &Params {
            assert_eq!(<$int>::from_ne_bytes(self.fixed(name)), expected, "{name}");
            self
        }
    )*};
}

#[allow(dead_code)]
impl Params {
    pub fn new(event: &'static Event, recorded: Recorded) -> Params {
        let extensions = recorded.extensions.iter().map(|extension| event_of(extension.ty));
        let rows: Vec<_> = [event].into_iter().chain(extensions).collect();
        Params { rows, recorded, asserted: RefCell::default(), abi: NATIVE_ABI }
    }

    /// Returns the event's type.
    pub fn ty(&self) -> EventType {
        self.recorded.ty
    }

    /// Returns the ABI that the test says the caller has.
    pub fn abi(&self) -> Abi {
        self.abi
    }

    /// Says which ABI the caller has; the default is this machine's.
    pub fn set_abi(&mut self, abi: Abi) {
        self.abi = abi;
    }

    /// Returns every parameter with its name.
    fn all(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let events = std::iter::once(&self.recorded).chain(&self.recorded.extensions);
        self.rows.iter().zip(events).flat_map(|(row, event)| {
            row.params.iter().zip(&event.params).map(|(info, bytes)| (info.name, bytes.as_slice()))
        })
    }

    /// Returns the types of the events that extend it.
    pub fn extended_by(&self) -> Vec<EventType> {
        self.recorded.extensions.iter().map(|extension| extension.ty).collect()
    }

    number!(u8 u8, u16 u16, u32 u32, u64 u64, i16 i16, i32 i32, i64 i64);

    /// Returns the event's time stamp, in ns since the epoch.
    pub fn ts(&self) -> u64 {
        self.recorded.ts
    }

    /// Returns the event's thread.
    pub fn tid(&self) -> u64 {
        self.recorded.tid
    }

    #[track_caller]
    fn fixed<const N: usize>(&self, name: &str) -> [u8; N] {
        let bytes = self.bytes_of(name);
        // An extension has integers in as few bytes as they need.
        if let (1..=4, Some(size), Some(last)) = (bytes.len(), self.info_of(name).ty.size(), bytes.last())
            && (size, bytes.len() < N) == (N, true)
        {
            let mut extended = [if self.info_of(name).ty.is_signed() && *last > 127 { 255 } else { 0 }; N];
            extended[..bytes.len()].copy_from_slice(bytes);
            return extended;
        }
        bytes.try_into().unwrap_or_else(|_| panic!("{name} has {} bytes instead of {N}", bytes.len()))
    }

    /// Returns a parameter's bytes, and counts it as asserted.
    #[track_caller]
    pub fn bytes_of(&self, name: &str) -> &[u8] {
        let (name, bytes) = self.find(name);
        self.asserted.borrow_mut().insert(name);
        bytes
    }

    /// Returns an unsigned number of any size, for assertions other than equality, and counts it as asserted.
    #[track_caller]
    pub fn number(&self, name: &str) -> u64 {
        let bytes = self.bytes_of(name);
        assert!((1..=8).contains(&bytes.len()), "{name} has {} bytes", bytes.len());
        bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
    }

    /// Asserts a NUL-terminated string.
    #[track_caller]
    pub fn text(&self, name: &str, expected: &CStr) -> &Params {
        let bytes = self.bytes_of(name);
        assert_eq!(
            String::from_utf8_lossy(bytes),
            String::from_utf8_lossy(expected.to_bytes_with_nul()),
            "{name}"
        );
        self
    }

    /// Asserts bytes.
    #[track_caller]
    pub fn bytes(&self, name: &str, expected: &[u8]) -> &Params {
        assert_eq!(self.bytes_of(name), expected, "{name}");
        self
    }

    /// Returns a parameter's bytes, without counting it as asserted.
    #[track_caller]
    pub fn peek(&self, name: &str) -> &[u8] {
        self.find(name).1
    }

    /// Returns the description of a parameter.
    #[track_caller]
    pub fn info_of(&self, name: &str) -> &'static ParamInfo {
        let mut known = self.rows.iter().flat_map(|row| row.params);
        known.find(|info| info.name == name).unwrap_or_else(|| panic!("{} has no {name}", self.code()))
    }

    /// Returns the number of bytes of a parameter, without counting it as asserted.
    #[track_caller]
    pub fn length_of(&self, name: &str) -> usize {
        self.find(name).1.len()
    }

    #[track_caller]
    fn find(&self, name: &str) -> (&'static str, &[u8]) {
        let found = self.all().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("{} has no {name}", self.code()))
    }

    fn code(&self) -> &'static str {
        self.rows[0].code
    }

    /// Counts the remaining parameters as asserted, in a test of something other than the event.
    pub fn rest_does_not_matter(&self) -> &Params {
        self.asserted.borrow_mut().extend(self.all().map(|(name, _)| name));
        self
    }

    /// Asserts that a parameter has no value.
    #[track_caller]
    pub fn empty(&self, name: &str) -> &Params {
        let bytes = self.bytes_of(name);
        assert!(bytes.is_empty(), "{name} has the value `{}`", bytes.escape_ascii());
        self
    }
}

impl Drop for Params {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let asserted = self.asserted.borrow();
        let forgotten: Vec<_> =
            self.all().map(|(name, _)| name).filter(|name| !asserted.contains(name)).collect();
        assert!(forgotten.is_empty(), "the test does not assert {forgotten:?} of {}", self.code());
    }
}
