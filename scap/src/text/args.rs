//! The arguments of an event in sysdig's form: `fd=3(<f>/etc/hosts) size=4096`.

use std::{borrow::Cow, sync::LazyLock};

use jiff::tz::TimeZone;

use super::{
    data::DataForm,
    escape::{Out, Raw},
    kernel_names::signals,
    meaning::{Meaning, is_signed, meaning, shown, signed},
    time, values,
};
use crate::{
    events::{EVENTS, Event, ParamInfo, ParamType},
    format::{Decoded, EventView, FdEntries, Value, decode},
    model::{Machine, sockaddr, socktuple},
};

/// What is known of a parameter before its value.
struct Known {
    info: &'static ParamInfo,
    /// A space, its name, `=`.
    start: String,
    is_signed: bool,
}

/// The parameters of the rows, by type.
static KNOWN: LazyLock<Vec<Vec<Known>>> = LazyLock::new(|| {
    let known = |row: &'static Event, info: &'static ParamInfo| Known {
        info,
        start: format!(" {}=", info.name),
        is_signed: is_signed(row, info),
    };
    EVENTS.iter().map(|row| row.params.iter().map(|info| known(row, info)).collect()).collect()
});

/// Appends all arguments of an event, each with a space before it: name, value, and the value's meaning in parentheses.
pub fn arguments(
    out: &mut impl Out,
    event: &EventView<'_>,
    machine: &Machine,
    tz: &TimeZone,
    data: DataForm,
) {
    let params = KNOWN.get(usize::from(event.ty().0)).map_or(&[][..], Vec::as_slice);
    for (Known { info, start, is_signed }, bytes) in params.iter().zip(event.params()) {
        // Writing to memory cannot fail.
        let _ = out.write_str(start);
        match decode(info, bytes) {
            Ok(decoded) => {
                let decoded = if *is_signed { signed(decoded) } else { decoded };
                value(out, event, machine, &decoded, tz, data);
                match meaning(machine, event, info, &decoded) {
                    Meaning::None => {}
                    known => {
                        let _ = out.write_char('(');
                        write_meaning(out, &known);
                        let _ = out.write_char(')');
                    }
                }
            }
            Err(_) => invalid(out, info),
        }
    }
}

/// Returns an argument, given by its bytes, as text that is not escaped: its meaning, or its value if that has none.
pub fn argument<'a>(
    event: &EventView<'_>,
    machine: &'a Machine,
    info: &'static ParamInfo,
    bytes: &'a [u8],
    tz: &TimeZone,
) -> Cow<'a, [u8]> {
    let mut out = Raw::default();
    match decode(info, bytes) {
        Ok(decoded) => {
            let decoded = shown(event, info, decoded);
            match (meaning(machine, event, info, &decoded), decoded.value) {
                (Meaning::Name(name), _) if !name.is_empty() => return name,
                (Meaning::None, Value::Text(text)) => return text.into(),
                (Meaning::None | Meaning::Name(_), _) => {
                    value(&mut out, event, machine, &decoded, tz, DataForm::Dots)
                }
                (known, _) => write_meaning(&mut out, &known),
            }
        }
        Err(_) => invalid(&mut out, info),
    }
    out.0.into()
}

fn invalid(out: &mut impl Out, info: &ParamInfo) {
    let _ = write!(out, "<invalid {}>", info.ty.name());
}

fn write_meaning(out: &mut impl Out, meaning: &Meaning<'_>) {
    match meaning {
        Meaning::None => {}
        Meaning::Name(name) => out.text(name),
        Meaning::Flags(names) => {
            let mut separator = "";
            for name in names {
                let _ = out.write_str(separator).and_then(|()| out.write_str(name));
                separator = "|";
            }
        }
        Meaning::Fd(fd) => {
            let letters = [Some('<'), Some(fd.class.letter()), fd.class.protocol(), Some('>')];
            let _ = letters.into_iter().flatten().try_for_each(|letter| out.write_char(letter));
            out.text(&fd.name);
        }
    }
}

/// Appends a value without its meaning.
pub fn value(
    out: &mut impl Out,
    event: &EventView<'_>,
    machine: &Machine,
    decoded: &Decoded<'_>,
    tz: &TimeZone,
    data: DataForm,
) {
    let _ = match decoded.value {
        Value::Absent => out.write_str(absent(decoded.ty)),
        Value::Int(v) => return values::integer(out, decoded.ty, decoded.format, v as u64),
        Value::Uint(v) => return values::integer(out, decoded.ty, decoded.format, v),
        Value::Mode(v) => return values::integer(out, decoded.ty, decoded.format, v.into()),
        // An address, as mmap returns.
        Value::Errno(v) if v >= 0 => return values::integer(out, decoded.ty, decoded.format, v as u64),
        Value::Errno(v) | Value::Fd(v) | Value::Pid(v) => return out.integer(v),
        Value::Syscall(v) | Value::Port(v) => return out.integer(v),
        Value::Signal(v) | Value::L4Proto(v) | Value::SockFamily(v) => return out.integer(v),
        Value::Bool(v) => write!(out, "{v}"),
        Value::Flags(v) | Value::Enum(v) => return out.integer(v),
        Value::Uid(u32::MAX) | Value::Gid(u32::MAX) => write!(out, "-1"),
        Value::Uid(v) | Value::Gid(v) => return out.integer(v),
        Value::SigSet(v) => out.write_str(&signals(v).join(" ")),
        Value::Double(v) => write!(out, "{v}"),
        Value::RelTime(u64::MAX) => write!(out, "none"),
        Value::RelTime(v) => write!(out, "{v}"),
        Value::AbsTime(v) => return absolute(out, v, tz),
        Value::Ip(v) => write!(out, "{v}"),
        Value::Text(v) => return out.text(v),
        Value::Bytes(v) | Value::Texts(v) => return data.write(out, v),
        Value::SockAddr(v) => return out.text(&sockaddr(&v)),
        Value::SockTuple(v) => return out.text(&socktuple(&v)),
        Value::FdList(v) => return fd_list(out, event.tid(), machine, &v),
    };
}

/// Returns sysdig's text for a missing value.
fn absent(ty: ParamType) -> &'static str {
    use ParamType::*;
    match ty {
        BYTEBUF | SOCKTUPLE | FDLIST | CHARBUFARRAY | CHARBUF_PAIR_ARRAY | DYN => "NULL",
        _ => "<NA>",
    }
}

/// Appends date, time and offset.
fn absolute(out: &mut impl Out, ts: u64, tz: &TimeZone) {
    if let Some(offset) = time::offset(ts, tz) {
        time::date(out, ts, tz);
        time::time_of_day(out, ts, tz, true);
        let _ = write!(out, " {offset}");
    }
}

/// Appends each descriptor with the letter of its class and its flags.
fn fd_list(out: &mut impl Out, tid: u64, machine: &Machine, list: &FdEntries<'_>) {
    for (i, (fd, flags)) in list.iter().enumerate() {
        let letter = machine.fd(tid, fd).map_or('?', |fd| fd.class.letter());
        let space = if i == 0 { "" } else { " " };
        let _ = write!(out, "{space}{fd}:{letter}{flags:x}");
    }
}
