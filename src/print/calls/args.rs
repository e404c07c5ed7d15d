//! Arguments by the type of their parameter. What only some calls have stands in `forms.rs`.

use std::fmt::Write;

use super::{
    flags, kernel,
    params::{Params, number},
    quote, sockets, structures,
};
use scap::{
    events::{Detail, Effect, EventFlags, FlagTable, ParamInfo, PrintFormat, flag_table, io_uring_op},
    format::{Decoded, FdEntries, Value},
    model::{AT_FDCWD, Machine},
    text::{
        kernel_names,
        meaning::{Meaning, meaning},
    },
};

/// What the recorder does not have.
pub const UNKNOWN: &str = "...";

/// The flags of open, as the kernel has them.
const OPEN_FLAGS: FlagTable = flag_table("open_flags");

/// The arguments of a call, while they are written.
pub struct Args<'a, 'e> {
    pub out: &'a mut String,
    pub params: &'a Params<'e>,
    pub machine: &'a Machine,
}

impl Args<'_, '_> {
    /// Appends text.
    pub fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Appends what the recorder does not have.
    pub fn unknown(&mut self) {
        self.text(UNKNOWN);
    }

    /// Appends formatted text.
    pub fn format(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.out.write_fmt(text);
    }

    /// Appends a parameter as its type says.
    pub fn param(&mut self, at: usize) {
        let Some((info, decoded)) = self.params.at(at) else { return self.unknown() };
        match decoded.value {
            Value::Fd(v) => self.descriptor(at, v),
            Value::Flags(v) if matches!(info.detail, Detail::ByOpcode(_)) => self.by_opcode(info, v.into()),
            _ => self.described(info, &decoded),
        }
    }

    /// Appends the flags of a request's operation.
    fn by_opcode(&mut self, info: &ParamInfo, value: u64) {
        let Detail::ByOpcode(index) = info.detail else { return };
        let number = self.params.at(index.into()).and_then(|(_, opcode)| number(opcode.value));
        let op = number.and_then(|number| io_uring_op(u8::try_from(number).ok()?));
        match op.and_then(|op| Some((op.flags?, op.is_enum))) {
            Some((table, true)) => flags::enumerated(self.out, table, value),
            Some((OPEN_FLAGS, false)) => flags::open(self.out, OPEN_FLAGS, value),
            Some((table, false)) => flags::flags(self.out, table, value, None),
            None => self.hexadecimal(value),
        }
    }

    /// Appends the value of a parameter, or of a member of a structure, as its type says.
    pub fn described(&mut self, info: &ParamInfo, decoded: &Decoded<'_>) {
        let Detail::Flags(table) = info.detail else { return self.value(decoded) };
        let bits = number(decoded.value).unwrap_or_default() as u64;
        let own = match decoded.ty.size() {
            Some(size) if size < size_of::<u64>() => bits & ((1 << (8 * size)) - 1),
            _ => bits,
        };
        match decoded.value {
            Value::Flags(_) | Value::Flags64(_) => flags::flags(self.out, table, own, None),
            Value::Enum(_) => flags::enumerated(self.out, table, own),
            Value::Int(_) | Value::Uint(_) if decoded.format == PrintFormat::HEX => {
                flags::flags(self.out, table, own, None)
            }
            Value::Int(_) | Value::Uint(_) => flags::enumerated(self.out, table, own),
            _ => self.value(decoded),
        }
    }

    /// Appends a value that needs no table.
    pub fn value(&mut self, decoded: &Decoded<'_>) {
        match decoded.value {
            Value::Absent => self.unknown(),
            Value::Uint(v) if decoded.format == PrintFormat::HEX => self.hexadecimal(v),
            Value::Uint(v) if decoded.format == PrintFormat::OCT => self.octal(v),
            Value::Int(v) if decoded.format == PrintFormat::HEX => self.hexadecimal(v as u32 as u64),
            Value::Uint(v) => self.format(format_args!("{v}")),
            Value::Uid(u32::MAX) | Value::Gid(u32::MAX) => self.text("-1"),
            Value::Signal(v) => kernel::signal(self.out, v),
            Value::SigSet(v) => self.signals(v),
            Value::Mode(v) => self.octal(v.into()),
            Value::RelTime(v) => self.time(v, "tv_nsec", 1),
            Value::Text(text) => quote::quoted(self.out, text),
            Value::Bytes(bytes) | Value::Texts(bytes) => quote::quoted(self.out, bytes),
            Value::SockAddr(address) => sockets::address(self.out, &address),
            Value::Fd(v) => self.own_descriptor(v),
            Value::Flags64(v) => self.hexadecimal(v),
            Value::SigSet64(v) => structures::signals(self, v),
            Value::Struct(v) => structures::structure(self, &v),
            Value::Structs(v) => structures::structures(self, &v),
            Value::BitSet(v) => structures::numbers(self, v),
            Value::Dirents(v) => structures::dirents(self, &v),
            Value::Received(v) => structures::received(self, &v),
            value => match number(value) {
                Some(v) => self.format(format_args!("{v}")),
                None => self.unknown(),
            },
        }
    }

    /// Appends a descriptor and what it refers to.
    pub fn descriptor(&mut self, at: usize, fd: i64) {
        let Some((info, decoded)) = self.params.at(at) else { return };
        let is_request = self.params.row().effect() == Some(Effect::IoUringSubmit);
        if fd == AT_FDCWD && (is_directory(info.name) || is_request) {
            return self.text("AT_FDCWD");
        }
        // Old recorders did not extend the sign.
        let fd = if u32::try_from(fd).is_ok() { i64::from(fd as i32) } else { fd };
        self.format(format_args!("{fd}"));
        if let Meaning::Fd(open) = meaning(self.machine, self.params.event, info, &decoded) {
            sockets::descriptor(self.out, open);
        }
    }

    /// Appends the number of a descriptor of the thread, and what it refers to.
    pub fn own_descriptor(&mut self, fd: i64) {
        self.format(format_args!("{fd}"));
        if let Some(open) = self.machine.fd(self.params.event.tid(), fd) {
            sockets::descriptor(self.out, open);
        }
    }

    /// Appends a number in hexadecimal, 0 without the prefix.
    pub fn hexadecimal(&mut self, v: u64) {
        if v == 0 { self.text("0") } else { self.format(format_args!("{v:#x}")) }
    }

    /// Appends a number in octal, as modes are.
    pub fn octal(&mut self, v: u64) {
        if v == 0 { self.text("000") } else { self.format(format_args!("0{v:03o}")) }
    }

    /// Appends a set of the first 32 signals.
    pub fn signals(&mut self, set: u32) {
        self.text("[");
        let mut space = "";
        for signal in (1..=32u8).filter(|signal| set & 1 << (signal - 1) != 0) {
            self.text(space);
            space = " ";
            match kernel_names::signal(signal) {
                Some(name) => self.text(name.trim_start_matches("SIG")),
                None => self.text("RTMIN"),
            }
        }
        self.text("]");
    }

    /// Appends a time span in ns as a structure, whose second member counts units of so many ns.
    pub fn time(&mut self, ns: u64, member: &str, unit: u64) {
        const SECOND: u64 = 1_000_000_000;
        if ns == u64::MAX {
            return self.text("NULL");
        }
        self.format(format_args!("{{tv_sec={}, {member}={}}}", ns / SECOND, ns % SECOND / unit));
    }

    /// Appends data that the call transfers: `...` follows if the recorder has only their beginning.
    pub fn data(&mut self, data: Value<'_>) {
        let (p, row) = (self.params, self.params.row());
        let reads = row.flags.contains(EventFlags::READS_FROM_FD) && !row.name.ends_with("mmsg");
        let whole = if reads { p.result() } else { p.number("size").or_else(|| p.number("length")) };
        match data {
            Value::Bytes(bytes) => {
                quote::quoted(self.out, bytes);
                if whole.is_some_and(|whole| whole > bytes.len() as i64) {
                    self.unknown();
                }
            }
            _ if whole == Some(0) => self.text("\"\""),
            _ => self.unknown(),
        }
    }

    /// Appends the descriptors that a call waits for, with the events under a name, if there is one.
    pub fn polled(&mut self, list: &FdEntries<'_>, events: Option<&str>, is_result: bool) {
        const POLL_FLAGS: FlagTable = scap::events::flag_table("poll_flags");
        self.text("[");
        let mut comma = "";
        let all = list.iter().filter(|(_, events)| !is_result || *events != 0);
        for (fd, set) in all {
            self.text(comma);
            comma = ", ";
            self.text("{fd=");
            if is_result {
                self.format(format_args!("{fd}"))
            } else {
                self.own_descriptor(fd)
            }
            if let Some(events) = events {
                self.format(format_args!(", {events}="));
                flags::flags(self.out, POLL_FLAGS, set.into(), None);
            }
            self.text("}");
        }
        self.text("]");
    }
}

fn is_directory(name: &str) -> bool {
    name.contains("dir") || name == "mountfd"
}
