//! Colours of lines on a terminal; those of sysdig.

use std::fmt::Write;

use anstream::{AutoStream, ColorChoice, stream::RawStream};
use anstyle::{AnsiColor, Style};

/// The command's name.
pub(super) const COMMAND: Style = AnsiColor::Green.on_default().bold();
/// The thread's id.
pub(super) const THREAD: Style = AnsiColor::Cyan.on_default();
/// The event's name.
pub(super) const EVENT: Style = AnsiColor::Blue.on_default().bold();

/// Returns whether output to a stream has colours: on a terminal, unless NO_COLOR or TERM=dumb forbids it.
pub fn has_colours(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// Appends text in a style, if there is one.
pub(super) fn painted<O: Write>(out: &mut O, style: Option<Style>, write: impl FnOnce(&mut O)) {
    let Some(style) = style else { return write(out) };
    // Writing to memory cannot fail.
    let _ = write!(out, "{style}");
    write(out);
    let _ = write!(out, "{style:#}");
}
