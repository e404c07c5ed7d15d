//! Formats an event as a line in sysdig's format:
//!
//! ```text
//! 12 14:03:05.123456789 1 cat (4321) > openat dirfd=-100(AT_FDCWD) name=/etc/passwd flags=1(O_RDONLY) mode=0
//! │  │                  │ │   │      │ │      └ parameters: name, value, and meaning of the value
//! │  │                  │ │   │      │ └ event
//! │  │                  │ │   │      └ > on entry, < on return
//! │  │                  │ │   └ thread
//! │  │                  │ └ its command name
//! │  │                  └ CPU
//! │  └ local time of day
//! └ number of the event in the capture
//! ```

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    View,
    meaning::{Meaning, meaning, shown},
    text,
};
use scap::{
    events::{ParamInfo, ParamType},
    format::{Decoded, FdEntries, Value},
    model::Machine,
    replay::Moment,
};

/// Lines in sysdig's format.
#[derive(Debug)]
pub struct Lines {
    line: String,
    tz: TimeZone,
}

impl Default for Lines {
    fn default() -> Self {
        Lines { line: String::new(), tz: TimeZone::system() }
    }
}

impl View for Lines {
    fn event(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.line.clear();
        write_line(&mut self.line, moment, &self.tz);
        self.line.push('\n');
        out.write_all(self.line.as_bytes())
    }
}

/// Appends the line of an event, without a newline.
pub(super) fn write_line(out: &mut String, moment: &Moment<'_>, tz: &TimeZone) {
    let (event, names) = (moment.event(), moment.machine);
    // Writing to a string cannot fail.
    let _ = write!(out, "{} ", moment.num);
    time_of_day(out, event.ts(), tz);
    let _ = write!(out, " {} ", moment.captured.cpu);
    text::escape(out, names.comm(event.tid()).unwrap_or(b"<NA>"));
    let direction = if event.ty().is_enter() { '>' } else { '<' };
    // As in sysdig, an event without a thread has tid -1.
    let _ = write!(out, " ({}) {direction} ", event.tid() as i64);
    text::escape(out, event.name().as_bytes());
    for (info, decoded) in event.values() {
        let _ = write!(out, " {}=", info.name);
        match decoded {
            Ok(decoded) => {
                let decoded = shown(event, info, decoded);
                value(out, moment, &decoded, tz);
                meant(out, meaning(names, event, info, &decoded));
            }
            Err(_) => invalid(out, info),
        }
    }
}

/// Appends the local time of day in ns.
fn time_of_day(out: &mut String, ts: u64, tz: &TimeZone) {
    let Ok(time) = Timestamp::from_nanosecond(ts.into()) else { return };
    let time = tz.to_datetime(time);
    let _ = write!(
        out,
        "{:02}:{:02}:{:02}.{:09}",
        time.hour(),
        time.minute(),
        time.second(),
        time.subsec_nanosecond()
    );
}

fn invalid(out: &mut String, info: &ParamInfo) {
    let _ = write!(out, "<invalid {}>", info.ty.name());
}

fn meant(out: &mut String, meaning: Meaning<'_>) {
    match meaning {
        Meaning::None => {}
        Meaning::Name(name) => {
            out.push('(');
            text::escape(out, &name);
            out.push(')');
        }
        Meaning::Flags(names) => {
            let _ = write!(out, "({})", names.join("|"));
        }
        Meaning::Fd(fd) => {
            let _ = write!(out, "(<{}", fd.class.letter());
            out.extend(fd.class.protocol());
            out.push('>');
            text::escape(out, &fd.name);
            out.push(')');
        }
    }
}

fn value(out: &mut String, moment: &Moment<'_>, decoded: &Decoded<'_>, tz: &TimeZone) {
    let _ = match decoded.value {
        Value::Absent => write!(out, "{}", absent(decoded.ty)),
        Value::Int(v) => return text::integer(out, decoded.ty, decoded.format, v as u64),
        Value::Uint(v) => return text::integer(out, decoded.ty, decoded.format, v),
        Value::Mode(v) => return text::integer(out, decoded.ty, decoded.format, v.into()),
        // An address, as mmap returns.
        Value::Errno(v) if v >= 0 => return text::integer(out, decoded.ty, decoded.format, v as u64),
        Value::Errno(v) | Value::Fd(v) | Value::Pid(v) => write!(out, "{v}"),
        Value::Syscall(v) | Value::Port(v) => write!(out, "{v}"),
        Value::Signal(v) | Value::L4Proto(v) | Value::SockFamily(v) => write!(out, "{v}"),
        Value::Bool(v) => write!(out, "{v}"),
        Value::Flags(v) | Value::Enum(v) => write!(out, "{v}"),
        Value::Uid(u32::MAX) | Value::Gid(u32::MAX) => write!(out, "-1"),
        Value::Uid(v) | Value::Gid(v) => write!(out, "{v}"),
        Value::SigSet(v) => write!(out, "{}", super::signals(v).join(" ")),
        Value::Double(v) => write!(out, "{v}"),
        Value::RelTime(u64::MAX) => write!(out, "none"),
        Value::RelTime(v) => write!(out, "{v}"),
        Value::AbsTime(v) => return date(out, v, tz),
        Value::Ip(v) => write!(out, "{v}"),
        Value::Text(v) => return text::escape(out, v),
        Value::Bytes(v) | Value::Texts(v) => return text::dots(out, v),
        Value::SockAddr(v) => return text::escape(out, &text::sockaddr(&v)),
        Value::SockTuple(v) => return text::escape(out, &text::socktuple(&v)),
        Value::FdList(v) => return fd_list(out, moment.event().tid(), moment.machine, &v),
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

fn date(out: &mut String, ts: u64, tz: &TimeZone) {
    let Ok(time) = Timestamp::from_nanosecond(ts.into()) else { return };
    let _ = write!(out, "{}", time.to_zoned(tz.clone()).strftime("%Y-%m-%d %H:%M:%S.%9f %z"));
}

/// Appends each descriptor with the letter of its class and its flags.
fn fd_list(out: &mut String, tid: u64, names: &Machine, list: &FdEntries<'_>) {
    for (i, (fd, flags)) in list.iter().enumerate() {
        let letter = names.fd(tid, fd).map_or('?', |fd| fd.class.letter());
        let space = if i == 0 { "" } else { " " };
        let _ = write!(out, "{space}{fd}:{letter}{flags:x}");
    }
}
