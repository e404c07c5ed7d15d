//! The extension events of `include/extensions.def`.

use super::{
    Category, Detail, EVENTS, Event, EventFlags, EventType, ParamInfo, ParamType, PrintFormat, SYSCALLS,
    Schema, Source, Syscall, Template, layout, same,
    table::{detail, effect},
};

/// The type of the extension of a generic enter event is this, plus two times the stable code of its call.
const CALLS: u16 = 0x8000;
/// The type of the extension of another event is this, plus the event's type.
const PROGRAMS: u16 = 0x9000;
/// Events of our own have types from here on, ...
const PRIVATE: u16 = 0xa000;
/// ... and none from here on.
const END: u16 = 0xa100;

/// What an event of the table belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extends {
    /// The generic event of the call with this stable code.
    Call(u16),
    /// An event of this type.
    Event(EventType),
    /// Nothing: it is an event of its own.
    Nothing,
}

/// Where the value of a parameter comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgSource {
    /// The argument itself.
    Value,
    /// Memory at the address in the argument.
    In,
    /// The same, filled in by the kernel.
    Out,
    /// The same, whether or not the call failed.
    InOut,
    /// Memory at the address in the argument, filled in by the kernel if the result is above 0.
    Found,
    /// The argument itself; a 32-bit caller passes it in two arguments, so that later ones move.
    Wide,
    /// The same, where later arguments do not move.
    Pair,
}

/// The argument of a call that a parameter of its extension shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arg {
    /// The argument, counted from 0.
    pub index: u8,
    /// Where the value is.
    pub source: ArgSource,
}

/// A row of the table of extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    /// The event by itself: its parameters are its own.
    pub own: Event,
    /// The event that it extends with it, as one: the parameters of both. The type is that of the extended event. Of an
    /// event that extends nothing, this is [`own`](Extension::own).
    pub joined: Event,
    /// What it extends.
    pub extends: Extends,
    /// The arguments that its last parameters show, if it extends the event of a call without a program.
    pub args: &'static [Arg],
}

impl Extension {
    /// Returns the number of parameters of the extended event, which are the first of [`joined`](Extension::joined).
    pub const fn base_params(&self) -> usize {
        self.joined.params.len() - self.own.params.len()
    }
}

/// The parameters of a generic event.
const GENERIC: usize = 2;

/// Returns the parameters of an event and its extension, one behind the other.
const fn both<const N: usize>(base: &[ParamInfo], own: &[ParamInfo]) -> [ParamInfo; N] {
    let mut all = [if base.is_empty() { own[0] } else { base[0] }; N];
    let mut i = 0;
    while i < N {
        all[i] = if i < base.len() { base[i] } else { own[i - base.len()] };
        if let (true, Detail::DirFd(dir)) = (i >= base.len(), all[i].detail) {
            all[i].detail = Detail::DirFd(dir + base.len() as u8);
        }
        i += 1;
    }
    all
}

/// Returns the parameters of an extension of a call, with the directories of their paths: a path directly behind a
/// descriptor of a directory is relative to it.
const fn relative<const N: usize>(params: [ParamInfo; N]) -> [ParamInfo; N] {
    let mut params = params;
    let mut i = 1;
    while i < N {
        let directory = params[i - 1];
        let is_directory = matches!(directory.ty, ParamType::FD) && ends_with(directory.name, "dirfd");
        if is_directory && matches!(params[i].ty, ParamType::FSPATH) {
            params[i].detail = Detail::DirFd(i as u8 - 1);
        }
        i += 1;
    }
    params
}

const fn ends_with(text: &str, end: &str) -> bool {
    let (text, end) = (text.as_bytes(), end.as_bytes());
    let mut i = 0;
    while i < end.len() {
        if text.len() < end.len() || text[text.len() - end.len() + i] != end[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Returns the stable code of a call.
const fn code(name: &str) -> u16 {
    let mut i = 0;
    while i < SYSCALLS.len() {
        if same(SYSCALLS[i].name, name) {
            return SYSCALLS[i].code;
        }
        i += 1;
    }
    panic!("a row of extensions.def names a call that syscalls.def does not have")
}

/// Returns the event of a program.
#[allow(dead_code)] // Rows of EXTENSION need it.
const fn base(program: &str) -> &'static Event {
    let mut i = 0;
    while i < EVENTS.len() {
        if let Some(name) = EVENTS[i].program
            && same(name, program)
        {
            return &EVENTS[i];
        }
        i += 1;
    }
    panic!("a row of extensions.def names a program that events.def does not have")
}

/// Returns what is known of the values of a parameter.
const fn listed(ty: ParamType, list: &str, arg: u8) -> Detail {
    if same(list, "NA") {
        return Detail::None;
    }
    match ty {
        ParamType::STRUCT | ParamType::STRUCTS => Detail::Layout(layout(list)),
        // It only says where the bytes start.
        ParamType::BYTEBUF => Detail::None,
        _ => detail(list, arg),
    }
}

const fn param(name: &'static str, ty: ParamType, format: PrintFormat, detail: Detail) -> ParamInfo {
    ParamInfo { name, ty, format, detail, since: Schema::V0_23 }
}

/// Joins the row of an extension with that of the event that it extends.
const fn join(base: &'static Event, own: Event, extends: Extends, all: &'static [ParamInfo]) -> Extension {
    let is_call = matches!(extends, Extends::Call(_));
    let joined = Event {
        name: if is_call { own.name } else { base.name },
        category: if is_call { own.category } else { base.category },
        // The type of an event that is not generic decides its flags, extended or not.
        flags: if is_call { EventFlags(base.flags.0 | own.flags.0) } else { base.flags },
        own_effect: if own.own_effect.is_some() { own.own_effect } else { base.own_effect },
        params: all,
        ..*base
    };
    Extension { own, joined, extends, args: &[] }
}

macro_rules! param {
    ($name:ident, $ty:ident, $format:ident $(, $list:ident $(, $arg:tt)*)?) => {
        param(stringify!($name), ParamType::$ty, PrintFormat::$format, param!(@list $ty $($list $($arg)*)?))
    };
    (@list $ty:ident) => { Detail::None };
    (@list $ty:ident $list:ident) => { listed(ParamType::$ty, stringify!($list), 0) };
    (@list $ty:ident $list:ident $arg:literal) => { listed(ParamType::$ty, stringify!($list), $arg) };
}

macro_rules! source {
    (VALUE) => {
        ArgSource::Value
    };
    (IN) => {
        ArgSource::In
    };
    (OUT) => {
        ArgSource::Out
    };
    (INOUT) => {
        ArgSource::InOut
    };
    (FOUND) => {
        ArgSource::Found
    };
    (IN_VIA) => {
        ArgSource::In
    };
    (IN_EACH) => {
        ArgSource::In
    };
    (OUT_VIA) => {
        ArgSource::Out
    };
    (WIDE) => {
        ArgSource::Wide
    };
    (PAIR) => {
        ArgSource::Pair
    };
}

/// The constant of a row. A constant of its own for each row: the compiler checks a large one slowly.
macro_rules! extension {
    // The two types of a call.
    (CALL($name:ident, $category:ident, $($flag:ident)|+, R($($result:ident),+),
        $(A($param:ident, $ty:ident, $format:ident, $list:ident, $source:ident, $arg:literal, $length:tt
            $(, $when:literal, $set:literal $(, $shift:literal)?)?))*)) => {
        pub const $name: &[Extension] = {
            const FLAGS: EventFlags = EventFlags(0 $(| EventFlags::$flag.0)+);
            const CODE: u16 = code(stringify!($name));
            // An exit event has the result, then the arguments; an enter event only these.
            const EXIT: &[ParamInfo] = &relative([
                param!(res, $($result),+), $(param!($param, $ty, $format, $list)),*
            ]);
            const ENTER: &[ParamInfo] = &relative([$(param!($param, $ty, $format, $list)),*]);
            const ALL: &[ParamInfo] = &both::<{ GENERIC + EXIT.len() }>(EVENTS[1].params, EXIT);
            const ALL_ENTER: &[ParamInfo] = &both::<{ GENERIC + ENTER.len() }>(EVENTS[0].params, ENTER);
            const ARGS: &[Arg] = &[$(Arg { index: $arg, source: source!($source) }),*];
            const ROW: Event = Event {
                code: concat!("EXT_", stringify!($name), "_E"),
                ty: EventType(CALLS + 2 * CODE),
                name: stringify!($name),
                source: Source::Extension,
                category: Category::$category,
                flags: FLAGS,
                own_effect: None,
                params: ENTER,
                template: Template::Auxmap,
                program: Some("generic_e"),
            };
            const EXIT_ROW: Event = Event {
                code: concat!("EXT_", stringify!($name), "_X"),
                ty: EventType(CALLS + 2 * CODE + 1),
                own_effect: effect(&[$(stringify!($flag)),+]),
                params: EXIT,
                program: Some("generic_x"),
                ..ROW
            };
            &[
                Extension { args: ARGS, ..join(&EVENTS[0], ROW, Extends::Call(CODE), ALL_ENTER) },
                Extension { args: ARGS, ..join(&EVENTS[1], EXIT_ROW, Extends::Call(CODE), ALL) },
            ]
        };
    };
    (EXTENSION($program:ident, $($flag:ident)|+, $(P($($param:tt)*))*)) => {
        pub const $program: &[Extension] = {
            const BASE: &Event = base(stringify!($program));
            const OWN: &[ParamInfo] = &[$(param!($($param)*)),*];
            const ALL: &[ParamInfo] = &both::<{ BASE.params.len() + OWN.len() }>(BASE.params, OWN);
            const ROW: Event = Event {
                code: concat!("EXT_", stringify!($program)),
                ty: EventType(PROGRAMS + BASE.ty.0),
                source: Source::Extension,
                flags: EventFlags(0 $(| EventFlags::$flag.0)+),
                own_effect: effect(&[$(stringify!($flag)),+]),
                params: OWN,
                template: Template::Auxmap,
                ..*BASE
            };
            &[join(BASE, ROW, Extends::Event(BASE.ty), ALL)]
        };
    };
    (PRIVATE($code:ident, $number:literal, $program:ident, $name:ident, $source:ident, $category:ident,
        $($flag:ident)|+, $(P($($param:tt)*))*)) => {
        pub const $program: &[Extension] = {
            const ROW: Event = Event {
                code: stringify!($code),
                ty: EventType($number),
                name: stringify!($name),
                source: Source::$source,
                category: Category::$category,
                flags: EventFlags(0 $(| EventFlags::$flag.0)+),
                own_effect: effect(&[$(stringify!($flag)),+]),
                params: &[$(param!($($param)*)),*],
                template: Template::Auxmap,
                program: Some(stringify!($program)),
            };
            &[Extension { own: ROW, joined: ROW, extends: Extends::Nothing, args: &[] }]
        };
    };
}

/// The name of a row's constant.
macro_rules! row_name {
    (PRIVATE($code:ident, $number:literal, $program:ident, $($rest:tt)*)) => {
        rows::$program
    };
    ($kind:ident($name:ident, $($rest:tt)*)) => {
        rows::$name
    };
}

macro_rules! extensions {
    ($($kind:ident($($row:tt)*))*) => {
        #[allow(non_upper_case_globals)]
        mod rows {
            use super::*;
            $(extension!($kind($($row)*));)*
        }

        /// The rows of the table, each with its types.
        const TABLE: &[&[Extension]] = &[$(row_name!($kind($($row)*))),*];
    };
}
with_extensions!(extensions);

const fn count() -> usize {
    let (mut row, mut count) = (0, 0);
    while row < TABLE.len() {
        count += TABLE[row].len();
        row += 1;
    }
    count
}

const COUNT: usize = count();

/// Returns the extension of the exit or the enter event of a call without a program of its own.
pub fn extension_of_call(call: &Syscall, is_exit: bool) -> Option<&'static Extension> {
    extension(EventType(CALLS + 2 * call.code + u16::from(is_exit)))
}

/// Every event type beside those of the format, in the order of the table.
pub static EXTENSIONS: [Extension; COUNT] = {
    let mut all = [TABLE[0][0]; COUNT];
    let (mut row, mut at) = (0, 0);
    while row < TABLE.len() {
        let mut i = 0;
        while i < TABLE[row].len() {
            all[at] = TABLE[row][i];
            at += 1;
            i += 1;
        }
        row += 1;
    }
    all
};

/// For each type from [`CALLS`] on, 1 plus the index in [`EXTENSIONS`], or 0.
static INDEX: [u16; (END - CALLS) as usize] = {
    let mut index = [0; (END - CALLS) as usize];
    let mut i = 0;
    while i < COUNT {
        let slot = (EXTENSIONS[i].own.ty.0 - CALLS) as usize;
        assert!(index[slot] == 0, "two rows of extensions.def have the same type");
        index[slot] = i as u16 + 1;
        i += 1;
    }
    index
};

/// Returns the row of an event type beside those of the format.
#[inline]
pub fn extension(ty: EventType) -> Option<&'static Extension> {
    EXTENSIONS.get(place(ty)?)
}

/// Returns the index of a type in [`EXTENSIONS`].
#[inline]
fn place(ty: EventType) -> Option<usize> {
    let index = *INDEX.get(usize::from(ty.0.checked_sub(CALLS)?))?;
    usize::from(index).checked_sub(1)
}

impl Extends {
    /// Returns what an event of a type extends, whether or not the table has it; for a call, the event's parity says which
    /// event of its pair. `None` for a type of the format.
    pub const fn of(ty: EventType) -> Option<Extends> {
        match ty.0 {
            0..CALLS => None,
            CALLS..PROGRAMS => Some(Extends::Call((ty.0 - CALLS) / 2)),
            PROGRAMS..PRIVATE => Some(Extends::Event(EventType(ty.0 - PROGRAMS))),
            PRIVATE.. => Some(Extends::Nothing),
        }
    }
}

impl EventType {
    /// Returns whether it belongs to the event in front of it.
    pub const fn is_extension(self) -> bool {
        self.0 >= CALLS && self.0 < PRIVATE
    }
}

/// Returns whether the table has an extension for events of a type; of a generic event, for the call with this stable code.
pub fn is_extended(ty: EventType, code: impl FnOnce() -> u16) -> bool {
    if !ty.is_generic() {
        return ty.0 < PRIVATE - PROGRAMS && extension(EventType(PROGRAMS + ty.0)).is_some();
    }
    let row = code().checked_mul(2).and_then(|twice| extension(EventType(CALLS.checked_add(twice)? + ty.0)));
    // Without parameters of its own, an enter event has no extension.
    row.is_some_and(|row| !ty.is_enter() || row.own.flags.contains(EventFlags::WAITS))
}

/// Iterates over the rows of all types: those of the format, then those of [`EXTENSIONS`].
pub fn types() -> impl Iterator<Item = &'static Event> {
    EVENTS.iter().chain(EXTENSIONS.iter().map(|row| &row.own))
}

/// Iterates over all rows that an event can have: those of all [`types`], then the joined ones of [`EXTENSIONS`]. The position
/// of a row is that of [`EventView::row`](crate::format::EventView::row).
pub fn rows() -> impl Iterator<Item = &'static Event> {
    types().chain(EXTENSIONS.iter().map(|row| &row.joined))
}

/// Returns the position of a type's own row among [`rows`].
#[inline]
pub(crate) fn row_of_type(ty: EventType) -> Option<usize> {
    let number = usize::from(ty.0);
    if number < EVENTS.len() { Some(number) } else { Some(EVENTS.len() + place(ty)?) }
}

/// Returns the position of the row of an event with an extension of this type among [`rows`].
#[inline]
pub(crate) fn row_of_joined(ty: EventType) -> Option<usize> {
    Some(EVENTS.len() + COUNT + place(ty)?)
}

#[cfg(test)]
mod tests;
