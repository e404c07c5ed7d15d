//! What a call returned.

use std::io;

use super::{args::Args, forms::open_flags, kernel::RESTARTS, params::number};
use scap::text::kernel_names;
use scap::{
    events::{EventFlags, FlagTable, ParamType, PrintFormat, flag_table},
    format::Value,
};

/// The texts of errors, as the C library has them.
#[derive(Debug, Default)]
pub struct Errors(Vec<Option<Box<str>>>);

impl Errors {
    /// Returns the text of an error.
    fn text(&mut self, error: i64) -> Option<&str> {
        if let Some((_, text)) = RESTARTS.iter().find(|(number, _)| *number == error) {
            return Some(text);
        }
        let index = usize::try_from(error).ok().filter(|index| *index < MOST)?;
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        let slot = self.0.get_mut(index)?;
        Some(slot.get_or_insert_with(|| {
            let text = io::Error::from_raw_os_error(error as i32).to_string();
            text.split(" (os error").next().unwrap_or_default().into()
        }))
    }
}

/// Errors are below this number.
const MOST: usize = 4096;

/// Appends what stands behind `= `. Returns whether it is an error.
pub fn result(a: &mut Args<'_, '_>, errors: &mut Errors) -> bool {
    let at = a.params.row().result().unwrap_or(0);
    let Some((info, decoded)) = a.params.at(at) else {
        a.text("?");
        return false;
    };
    let Some(v) = number(decoded.value) else {
        a.text("?");
        return false;
    };
    let may_fail = matches!(info.ty, ParamType::ERRNO | ParamType::FD | ParamType::PID | ParamType::INT64);
    if may_fail && (-(MOST as i64)..0).contains(&v) {
        failure(a, errors, -v);
        return true;
    }
    let row = a.params.row();
    match decoded.value {
        Value::Fd(_) => {
            if row.name == "fcntl" && is_number_of_fcntl(a, v) {
                return false;
            }
            a.descriptor(at, v);
        }
        Value::Errno(_) if row.flags.contains(EventFlags::CREATES_FD) && !makes_two(row.name) => {
            a.own_descriptor(v);
        }
        Value::Uid(_) | Value::Gid(_) => a.param(at),
        _ if decoded.format == PrintFormat::HEX => a.hexadecimal(v as u64),
        _ => a.format(format_args!("{v}")),
    }
    answer(a, v);
    false
}

fn makes_two(name: &str) -> bool {
    matches!(name, "pipe" | "pipe2" | "socketpair") || name.starts_with("recv")
}

fn failure(a: &mut Args<'_, '_>, errors: &mut Errors, error: i64) {
    // A tracer sees these where a signal has interrupted the call.
    a.text(if error >= 512 { "?" } else { "-1" });
    match kernel_names::errno(error) {
        Some(name) => a.format(format_args!(" {name}")),
        None => return a.format(format_args!(" (errno {error})")),
    }
    if let Some(text) = errors.text(error) {
        a.format(format_args!(" ({text})"));
    }
}

/// Appends the result of an fcntl that is neither a descriptor nor 0. Returns false if it is one of them.
fn is_number_of_fcntl(a: &mut Args<'_, '_>, v: i64) -> bool {
    const COMMANDS: FlagTable = flag_table("fcntl_commands");
    let command = a.params.number("cmd");
    let name = COMMANDS.iter().find(|flag| i64::try_from(flag.value).ok() == command).map(|flag| flag.name);
    match name {
        Some("F_GETFD") if v == 1 => a.text("0x1 (flags FD_CLOEXEC)"),
        Some("F_GETFL") => {
            a.format(format_args!("{v:#x} (flags "));
            open_flags(a, v as u64);
            a.text(")");
        }
        Some("F_DUPFD" | "F_DUPFD_CLOEXEC") => return false,
        _ => a.format(format_args!("{v}")),
    }
    true
}

/// Appends what strace adds to the result.
fn answer(a: &mut Args<'_, '_>, v: i64) {
    match (a.params.row().name, v) {
        ("poll" | "ppoll" | "select", 0) => a.text(" (Timeout)"),
        ("poll" | "ppoll", 1..) => {
            if let Value::FdList(list) = a.params.named("fds") {
                a.text(" (");
                a.polled(&list, Some("revents"), true);
                a.text(")");
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_texts_of_the_c_library() {
        let mut errors = Errors::default();
        assert_eq!(errors.text(2), Some("No such file or directory"));
        assert_eq!(errors.text(11), Some("Resource temporarily unavailable"));
        assert_eq!(errors.text(2), Some("No such file or directory"));
        assert_eq!(errors.text(516), Some("Interrupted by signal"));
        assert_eq!(errors.text(-1), None);
        assert_eq!(errors.text(4096), None);
    }
}
