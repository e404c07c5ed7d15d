//! The event table of `include/events.def`.

use std::{fmt, str::FromStr};

use super::{
    DynEntry, EXTENSIONS, Effect, Extends, FlagTable, LayoutTable, ParamType, Syscall, dyn_list, extension,
    flag_table, same,
};

/// The number of an event type: even for enter events, odd for exit events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(pub u16);

impl EventType {
    /// Returns whether it is the enter event of its pair.
    pub const fn is_enter(self) -> bool {
        self.0.is_multiple_of(2)
    }

    /// Returns whether it is a generic event, which names its system call itself.
    pub const fn is_generic(self) -> bool {
        self.0 <= 1
    }

    /// Returns the other event of the pair.
    pub const fn pair(self) -> EventType {
        EventType(self.0 ^ 1)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An enumeration whose variants the table spells in capitals.
macro_rules! spelled {
    ($(#[$doc:meta])* $enum:ident { $($(#[$variant_doc:meta])* $variant:ident = $spelling:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $enum { $($(#[$variant_doc])* $variant,)* }

        impl $enum {
            $(#[allow(dead_code)] pub(super) const $spelling: $enum = $enum::$variant;)*
        }
    };
}

spelled! {
    /// The source of an event.
    Source {
        /// None: the number is unused.
        None = NONE,
        /// The entry to, or the return from, a system call.
        Syscall = SYSCALL,
        /// A tracepoint of the kernel.
        Tracepoint = TRACEPOINT,
        /// The recorder or a reader.
        Metaevent = METAEVENT,
        /// A walk over the kernel's objects.
        Iter = ITER,
        /// A plugin of a reader.
        Plugin = PLUGIN,
        /// The event in front, which it extends: an extension event.
        Extension = EXTENSION,
    }
}

spelled! {
    /// The subject of an event.
    #[allow(missing_docs)]
    Category {
        Unknown = UNKNOWN,
        Other = OTHER,
        File = FILE,
        Net = NET,
        Ipc = IPC,
        Memory = MEMORY,
        Process = PROCESS,
        Sleep = SLEEP,
        System = SYSTEM,
        Signal = SIGNAL,
        User = USER,
        Time = TIME,
        IoRead = IO_READ,
        IoWrite = IO_WRITE,
        IoOther = IO_OTHER,
        Wait = WAIT,
        Scheduler = SCHEDULER,
        Internal = INTERNAL,
    }
}

/// The print format of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::upper_case_acronyms)]
pub enum PrintFormat {
    /// Not a number, or the type's own format.
    NA,
    /// Decimal.
    DEC,
    /// Hexadecimal.
    HEX,
    /// Octal.
    OCT,
}

/// The properties of an event, as a set of bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EventFlags(pub(super) u16);

macro_rules! event_flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl EventFlags {
            $($(#[$doc])* pub const $name: EventFlags = EventFlags($bit);)*
        }

        impl fmt::Debug for EventFlags {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let names: Vec<&str> = [$((Self::$name, stringify!($name))),*]
                    .into_iter().filter(|(flag, _)| flag.0 != 0 && self.contains(*flag)).map(|(_, n)| n).collect();
                f.write_str(&names.join(" | "))
            }
        }
    };
}
event_flags! {
    /// No property.
    NONE = 0;
    /// Returns a new file descriptor.
    CREATES_FD = 0x1;
    /// Closes a file descriptor.
    DESTROYS_FD = 0x2;
    /// Takes a file descriptor.
    USES_FD = 0x4;
    /// Reads from the file descriptor.
    READS_FROM_FD = 0x8;
    /// Writes to the file descriptor.
    WRITES_TO_FD = 0x10;
    /// Changes the state that a reader keeps of the machine.
    MODIFIES_STATE = 0x20;
    /// The number is unused.
    UNUSED = 0x40;
    /// May block.
    WAITS = 0x80;
    /// Readers do not reset their parser for it.
    SKIPPARSERESET = 0x100;
    /// Current drivers do not send it.
    OLD_VERSION = 0x200;
    /// May exceed 64 KiB.
    LARGE_PAYLOAD = 0x400;
    /// Newer readers convert it to its successor, or drop it.
    CONVERTER_MANAGED = 0x800;
}

macro_rules! effect_flags {
    ($(EFFECT($token:ident, $variant:ident, $about:literal))*) => {
        /// An effect stands among a row's flags and is none of them.
        impl EventFlags {
            $(pub(super) const $token: EventFlags = EventFlags::NONE;)*
        }
    };
}
with_effects!(effect_flags);

impl EventFlags {
    /// Returns whether the set contains all properties of `other`.
    pub const fn contains(self, other: EventFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The template of the program that records an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// Every parameter has a fixed size.
    Ringbuf,
    /// At least one parameter has a variable size.
    Auxmap,
    /// No program records it.
    None,
}

/// A version of the event table, named after the version of Falco's libs that introduced it. Later ones append
/// parameters to some rows; readers built on earlier ones abort on an event that has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Schema {
    /// The version that every reader accepts, such as sysdig 0.41 and Stratoshark 0.9.
    #[default]
    V0_23,
    /// Falco's libs 0.25 and later.
    V0_25,
}

impl Schema {
    /// Every schema, from oldest to newest.
    pub const ALL: [Schema; 2] = [Schema::V0_23, Schema::V0_25];

    /// The newest schema.
    pub const LATEST: Schema = Schema::ALL[Schema::ALL.len() - 1];

    /// Returns the version of Falco's libs.
    pub const fn version(self) -> &'static str {
        match self {
            Schema::V0_23 => "0.23",
            Schema::V0_25 => "0.25",
        }
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.version())
    }
}

impl FromStr for Schema {
    type Err = String;

    /// Parses a version, or `latest`.
    fn from_str(name: &str) -> Result<Schema, String> {
        if name == "latest" {
            return Ok(Schema::LATEST);
        }
        Schema::ALL.into_iter().find(|schema| schema.version() == name).ok_or_else(|| {
            let known: Vec<_> = Schema::ALL.iter().map(|schema| schema.version()).collect();
            format!("unknown schema version: use {} or latest", known.join(", "))
        })
    }
}

/// Further information on a parameter's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// None.
    None,
    /// The names of its values.
    Flags(FlagTable),
    /// The types that a dynamic parameter may hold.
    Dyn(&'static [DynEntry]),
    /// The value is a path relative to the directory in the parameter at this index.
    DirFd(u8),
    /// The flags of the operation of io_uring in the parameter at this index.
    ByOpcode(u8),
    /// The layouts of a structure, by the caller's ABI.
    Layout(LayoutTable),
}

/// A parameter of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParamInfo {
    /// The name that readers print.
    pub name: &'static str,
    /// Its encoding.
    pub ty: ParamType,
    /// The print format of a number.
    pub format: PrintFormat,
    /// Further information on its value.
    pub detail: Detail,
    /// The first schema that records it; the reader decodes it with any schema.
    pub since: Schema,
}

/// A row of the event table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The symbol, such as `PPME_SYSCALL_ACCESS_E`.
    pub code: &'static str,
    /// The number.
    pub ty: EventType,
    /// The name that readers print.
    pub name: &'static str,
    /// Its source.
    pub source: Source,
    /// Its subject.
    pub category: Category,
    /// Its properties.
    pub flags: EventFlags,
    /// What it does to the machine, as the row says it; see [`Event::effect`].
    pub(super) own_effect: Option<Effect>,
    /// Its parameters, in the order of an event.
    pub params: &'static [ParamInfo],
    /// The template of the program that records it.
    pub template: Template,
    /// The BPF program that records it.
    pub program: Option<&'static str>,
}

impl Event {
    /// Returns the system call whose entry or return it is; `None` for a generic event, which names its call itself.
    pub fn syscall(&self) -> Option<&'static Syscall> {
        if self.source != Source::Syscall || self.ty.0 <= 1 {
            return None;
        }
        let stem = self.program.and_then(|p| p.strip_suffix("_e").or_else(|| p.strip_suffix("_x")));
        stem.and_then(Syscall::by_name).or_else(|| Syscall::by_name(self.name))
    }

    /// Returns what the event does to the model of the machine. The enter event of a call has the effect of its exit event,
    /// and [does not cause it](Event::takes_effect).
    pub fn effect(&self) -> Option<Effect> {
        match self.own_effect {
            None if self.source == Source::Syscall && self.ty.is_enter() => event(self.ty.pair())?.own_effect,
            own => own,
        }
    }

    /// Returns whether an event of the row causes the row's effect: an exit event does, or an event of no system call.
    pub fn takes_effect(&self) -> bool {
        self.own_effect.is_some()
    }

    /// Returns the index of the parameter with what a call has returned; `None` if the row is not that of a call's return, or
    /// has no such number.
    pub fn result(&self) -> Option<usize> {
        let is_number = |index: &usize| matches!(self.params[*index].ty.size(), Some(4 | 8));
        let index = if self.ty.is_generic() { self.param("res") } else { Some(0) };
        let is_return = self.source == Source::Syscall && !self.ty.is_enter() && !self.params.is_empty();
        index.filter(|_| is_return).filter(is_number)
    }

    /// Returns the index of a parameter.
    #[inline]
    pub fn param(&self, name: &str) -> Option<usize> {
        self.params.iter().position(|p| p.name == name)
    }

    /// Returns the number of parameters that a schema records.
    pub fn recorded(&self, schema: Schema) -> usize {
        self.params.iter().filter(|param| param.since <= schema).count()
    }

    /// Returns the name; if it is `NA`, as in enter events of newer calls, that of the pair's other event.
    pub fn common_name(&self) -> &'static str {
        match event(self.ty.pair()) {
            Some(other) if self.name == "NA" => other.name,
            _ => self.name,
        }
    }
}

pub(super) const fn detail(list: &str, arg: u8) -> Detail {
    if same(list, "dirfd") {
        return Detail::DirFd(arg);
    }
    if same(list, "by_opcode") {
        return Detail::ByOpcode(arg);
    }
    match dyn_list(list) {
        Some(entries) => Detail::Dyn(entries),
        None => Detail::Flags(flag_table(list)),
    }
}

macro_rules! detail {
    () => {
        Detail::None
    };
    ($list:ident) => {
        detail(stringify!($list), 0)
    };
    ($list:ident $arg:literal) => {
        detail(stringify!($list), $arg)
    };
}

macro_rules! since {
    (P) => {
        Schema::V0_23
    };
    (P_0_25) => {
        Schema::V0_25
    };
}

/// Returns the effect that one of a row's flags names.
pub(super) const fn effect(flags: &[&str]) -> Option<Effect> {
    let mut i = 0;
    while i < flags.len() {
        if let Some(effect) = Effect::of_token(flags[i]) {
            return Some(effect);
        }
        i += 1;
    }
    None
}

macro_rules! row {
    (EVENT_FIXED($code:ident, $number:literal, $program:ident, $($rest:tt)*)) => {
        row!(@ $code $number, Template::Ringbuf, Some(stringify!($program)), $($rest)*)
    };
    (EVENT_VAR($code:ident, $number:literal, $program:ident, $($rest:tt)*)) => {
        row!(@ $code $number, Template::Auxmap, Some(stringify!($program)), $($rest)*)
    };
    (EVENT_OLD($code:ident, $number:literal, $($rest:tt)*)) => {
        row!(@ $code $number, Template::None, None, $($rest)*)
    };
    (@ $code:ident $number:literal, $template:expr, $program:expr,
        $name:ident, $source:ident, $category:ident, $($flag:ident)|+,
        $($p:ident($param:ident, $ty:ident, $format:ident $(, $list:ident $(, $arg:literal)?)?))*) => {
        Event {
            code: stringify!($code),
            ty: EventType($number),
            name: stringify!($name),
            source: Source::$source,
            category: Category::$category,
            flags: EventFlags(0 $(| EventFlags::$flag.0)+),
            own_effect: effect(&[$(stringify!($flag)),+]),
            params: &[$(ParamInfo {
                name: stringify!($param),
                ty: ParamType::$ty,
                format: PrintFormat::$format,
                detail: detail!($($list $($arg)?)?),
                since: since!($p),
            }),*],
            template: $template,
            program: $program,
        }
    };
}

macro_rules! events {
    ($($kind:ident($($row:tt)*))*) => {
        /// Every event type, indexed by its number.
        pub static EVENTS: &[Event] = &[$(row!($kind($($row)*))),*];
    };
}
with_events!(events);

/// Returns the row of an event type, which may be one of an [`Extension`](super::Extension); `None` for a number beyond the
/// tables.
#[inline]
pub fn event(ty: EventType) -> Option<&'static Event> {
    match EVENTS.get(ty.0 as usize) {
        None => extension(ty).map(|row| &row.own),
        row => row,
    }
}

/// Returns the event that a BPF program records.
pub fn event_by_program(program: &str) -> Option<&'static Event> {
    let own = EXTENSIONS.iter().filter(|row| row.extends == Extends::Nothing).map(|row| &row.own);
    EVENTS.iter().chain(own).find(|e| e.program == Some(program))
}

#[cfg(test)]
mod tests;
