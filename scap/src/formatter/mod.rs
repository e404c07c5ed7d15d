//! Output formats: text with fields in it, as `sysdig -p` takes them, and lists of columns.
//!
//! ```
//! use scap::{fields::Fields, formatter::Formatter};
//!
//! let format = Formatter::parse("%evt.num %20proc.name %toupper(evt.type)", &Fields)?;
//! let error = Formatter::parse("%evt.num %proc.nmae", &Fields).unwrap_err();
//! assert_eq!(error.to_string(), "\
//! %evt.num %proc.nmae
//!           ^^^^^^^^^ no such field; did you mean proc.name?");
//! # Ok::<(), scap::filter::FilterError>(())
//! ```
//!
//! # Formats
//! | | |
//! |-|-|
//! | `*` at the start | a missing value is printed as `<NA>`; otherwise an event that has no value for a field prints no line |
//! | `%proc.name` | the value of a field, as [`show`] prints it; several values as `(a,b)` |
//! | `%evt.arg.flags` `%evt.arg[0]` | with an argument |
//! | `%toupper(proc.name)` | a transformer of the [filter language](crate::filter) |
//! | `%20proc.name` | cut to 20 characters, or padded with blanks at its right |
//! | `%{evt.latency}ns` | a field with letters right behind it |
//! | `%%` `\n` `\r` `\t` `\\` | a percent sign, a newline, a carriage return, a tab, a backslash |
//!
//! # Differences from sysdig 0.41
//! Formats that sysdig takes mean the same here, with these exceptions:
//! - A name ends where letters, digits, `_` and dots end: `%evt.numX` is an error, and sysdig prints the number and an X.
//! - A width counts characters; sysdig counts bytes.
//! - With `*`, `evt.latency` is `<NA>` at an event that has none; sysdig 0.41 prints 0.
//! - Options for data (`-A`, `-X`) apply to fields of data (`evt.buffer`), and to lines; sysdig applies them to `evt.args`
//!   too.
//! - Data is printed once with `-x`, `-X` and `-b`; sysdig 0.41 makes a dump of the dump.
//!
//! What sysdig refuses, and is taken here: `%%`, braces, `fd.ip` and other fields that sysdig has only in filters, arguments
//! in brackets and behind a dot alike.

mod columns;
mod parse;
#[cfg(test)]
mod tests;

pub use columns::Columns;

use crate::{
    fields::{NO_VALUE, Registry, Source, show},
    filter::{Expression, FilterError},
    text::DataForm,
};

/// A compiled output format.
#[derive(Debug, Clone, PartialEq)]
pub struct Formatter {
    pieces: Vec<Piece>,
    /// Lines are printed also if a value is missing.
    is_lenient: bool,
}

/// A part of a format.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(Box<str>),
    Value { expression: Expression, width: Option<usize> },
}

impl Formatter {
    /// Parses a format, and looks its fields up in a registry.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn parse(text: &str, registry: &impl Registry) -> Result<Self, FilterError> {
        parse::format(text, registry)
    }

    /// Appends the text of an event. Returns false, and appends nothing, if a value is missing and the format does not
    /// begin with `*`.
    pub fn format<S: Source + ?Sized>(&self, source: &S, data: DataForm, out: &mut String) -> bool {
        let start = out.len();
        for piece in &self.pieces {
            let is_there = match piece {
                Piece::Text(text) => {
                    out.push_str(text);
                    true
                }
                Piece::Value { expression, width } => {
                    let from = out.len();
                    let is_there = write_value(out, expression, source, data);
                    if let Some(width) = width {
                        fit(out, from, *width);
                    }
                    is_there || self.is_lenient
                }
            };
            if !is_there {
                out.truncate(start);
                return false;
            }
        }
        true
    }

    /// Returns the expressions, in their order.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value { expression, .. } => Some(expression),
            Piece::Text(_) => None,
        })
    }
}

/// Appends the values of an expression, or [`NO_VALUE`]; returns whether there is one.
fn write_value<S: Source + ?Sized>(
    out: &mut String,
    expression: &Expression,
    source: &S,
    data: DataForm,
) -> bool {
    let (ty, number, several) = (expression.ty(), expression.number_form(), expression.has_several());
    let mut is_first = true;
    expression.values(source, &mut |value| {
        if several {
            out.push(if is_first { '(' } else { ',' });
        }
        is_first = false;
        show(out, &value, ty, number, data);
        several
    });
    match (is_first, several) {
        (true, _) => out.push_str(NO_VALUE),
        (false, true) => out.push(')'),
        (false, false) => {}
    }
    !is_first
}

/// Cuts or pads the text from byte `from` on to so many characters.
fn fit(out: &mut String, from: usize, width: usize) {
    let text = &out[from..];
    match text.char_indices().nth(width) {
        Some((end, _)) => out.truncate(from + end),
        None => out.extend(std::iter::repeat_n(' ', width - text.chars().count())),
    }
}
