//! The arguments of an event in sysdig's form: `fd=3(<f>/etc/hosts) size=4096`.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::{
    data::DataForm,
    escape::{Out, Raw},
    kernel_names::{signals, signals_of_64},
    known::{KNOWN, KnownRow, open_fd},
    meaning::{Meaning, meaning, shown, signed},
    time, values,
};
use crate::{
    events::{ParamInfo, ParamType},
    format::{Decoded, EventView, FdEntries, Structure, Value, ValueError, decode, state::Fd},
    model::{Machine, OpenFd, sockaddr, socktuple},
};

/// Appends all arguments of an event, each with a space before it: name, value, and the value's meaning in parentheses.
pub fn arguments(
    out: &mut impl Out,
    event: &EventView<'_>,
    machine: &Machine,
    tz: &TimeZone,
    data: DataForm,
) {
    let Some(KnownRow { params, is_request }) = event.row().and_then(|row| KNOWN.get(row)) else { return };
    let (skipped, of_thread) = (event.identity(), (machine, event.tid()));
    event.indexed().for_each(|(index, bytes)| {
        let Some(known) = params.get(index).filter(|_| index >= skipped) else { return };
        if *is_request && bytes.is_empty() {
            return;
        }
        // Writing to memory cannot fail.
        let _ = out.write_str(&known.start);
        if !known.write(out, bytes, data, of_thread) {
            let decoded = decode(known.info, bytes);
            let decoded = decoded.map(|decoded| if known.is_signed { signed(decoded) } else { decoded });
            explained(out, event, machine, (known.info, decoded), tz, data);
        }
    });
}

/// Appends a member of a structure: name, value, and the value's meaning in parentheses.
fn named(
    out: &mut impl Out,
    event: &EventView<'_>,
    machine: &Machine,
    (info, decoded): (&ParamInfo, Result<Decoded<'_>, ValueError>),
    tz: &TimeZone,
    data: DataForm,
) {
    let _ = [info.name, "="].into_iter().try_for_each(|part| out.write_str(part));
    let decoded = decoded.map(|decoded| shown(event, info, decoded));
    explained(out, event, machine, (info, decoded), tz, data);
}

/// Appends a value as it is [`shown`], and its meaning in parentheses.
#[inline]
fn explained(
    out: &mut impl Out,
    event: &EventView<'_>,
    machine: &Machine,
    (info, decoded): (&ParamInfo, Result<Decoded<'_>, ValueError>),
    tz: &TimeZone,
    data: DataForm,
) {
    let Ok(decoded) = decoded else { return invalid(out, info) };
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
        Meaning::Fd(fd) => open_fd(out, fd),
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
        Value::SigSet64(v) => out.write_str(&signals_of_64(v).join(" ")),
        Value::Flags64(v) => return out.integer(v),
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
        Value::Struct(v) => return structure(out, event, machine, &v, tz, data),
        Value::Structs(v) => {
            return listed(out, v.iter(), |out, v| structure(out, event, machine, &v, tz, data));
        }
        Value::BitSet(v) => return listed(out, v.iter(), |out, number| out.integer(number)),
        Value::Dirents(v) => return listed(out, v.iter(), |out, entry| out.text(entry.name)),
        Value::Received(v) => return listed(out, v.iter(), |out, fd| described(out, &fd)),
    };
}

/// Appends items in brackets.
fn listed<O: Out, T>(out: &mut O, items: impl Iterator<Item = T>, item: impl Fn(&mut O, T)) {
    let _ = out.write_char('[');
    for (i, one) in items.enumerate() {
        let _ = out.write_str(if i == 0 { "" } else { ", " });
        item(out, one);
    }
    let _ = out.write_char(']');
}

/// Appends a descriptor that an event describes.
fn described(out: &mut impl Out, fd: &Fd) {
    let open = OpenFd::described(fd);
    let _ = write!(out, "{}(", fd.fd);
    open_fd(out, &open);
    let _ = out.write_char(')');
}

/// Appends the members of a structure.
fn structure(
    out: &mut impl Out,
    event: &EventView<'_>,
    machine: &Machine,
    structure: &Structure<'_>,
    tz: &TimeZone,
    data: DataForm,
) {
    let mut before = "{";
    for member in structure.members() {
        let _ = out.write_str(before);
        before = ", ";
        named(out, event, machine, member, tz, data);
    }
    let _ = out.write_str(if before == "{" { "{}" } else { "}" });
}

/// Returns sysdig's text for a missing value.
fn absent(ty: ParamType) -> &'static str {
    use ParamType::*;
    match ty {
        BYTEBUF | IOVEC | DIRENTS | FDENTRIES | BITSET | STRUCT | STRUCTS | SOCKTUPLE | FDLIST
        | CHARBUFARRAY | CHARBUF_PAIR_ARRAY | DYN => "NULL",
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{format::strategies, text::Escaped};

    proptest! {
        #[test]
        fn simple_forms_are_those_of_decoded_values((row, values) in strategies::event()) {
            let bytes = strategies::built(row, &values, 1, 1);
            let event = EventView::parse(&bytes, false).unwrap();
            let (machine, tz, data) = (Machine::default(), TimeZone::UTC, DataForm::Dots);
            let params = event.row().map_or(&[][..], |row| &KNOWN[row].params);
            for (known, bytes) in params.iter().zip(event.params()) {
                let (mut simple, mut whole) = (Escaped::default(), Escaped::default());
                if known.write(&mut simple, bytes, data, (&machine, event.tid())) {
                    let decoded = decode(known.info, bytes).map(|value| shown(&event, known.info, value));
                    explained(&mut whole, &event, &machine, (known.info, decoded), &tz, data);
                    prop_assert_eq!(simple.0, whole.0);
                }
            }
        }
    }
}
