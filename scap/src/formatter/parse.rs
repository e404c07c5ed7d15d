//! Parses formats.

use super::{Formatter, Piece};
use crate::{
    fields::Registry,
    filter::{Expression, FilterError},
};

/// The widest that a value can be made: no terminal is as wide, and a line stays in memory.
const MAX_WIDTH: usize = 9999;

pub(super) fn format(text: &str, registry: &impl Registry) -> Result<Formatter, FilterError> {
    let mut at = usize::from(text.starts_with('*'));
    let is_lenient = at == 1;
    if at == text.len() {
        return Err(FilterError::new(text, 0..at, "the format is empty; write fields, such as %proc.name"));
    }
    let (mut pieces, mut plain) = (Vec::new(), String::new());
    while let Some(c) = text[at..].chars().next() {
        let start = at;
        at += c.len_utf8();
        match c {
            '\\' => plain.push(escape(text, &mut at)?),
            '%' if text[at..].starts_with('%') => {
                at += 1;
                plain.push('%');
            }
            '%' => {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
                }
                pieces.push(value(text, start, &mut at, registry)?);
            }
            c => plain.push(c),
        }
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain.into()));
    }
    Ok(Formatter { pieces, is_lenient })
}

/// Parses what follows a backslash.
fn escape(text: &str, at: &mut usize) -> Result<char, FilterError> {
    let start = *at - 1;
    let c = text[*at..].chars().next();
    *at += c.map_or(0, char::len_utf8);
    match c {
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('t') => Ok('\t'),
        Some('\\') => Ok('\\'),
        _ => Err(FilterError::new(
            text,
            start..*at,
            "no such escape; there are \\n, \\r and \\t, and \\\\ for a backslash",
        )),
    }
}

/// Parses what follows a percent sign, which stands at `start`.
fn value(text: &str, start: usize, at: &mut usize, registry: &impl Registry) -> Result<Piece, FilterError> {
    let digits = text[*at..].bytes().take_while(u8::is_ascii_digit).count();
    let width = match &text[*at..*at + digits] {
        "" => None,
        digits => match digits.parse() {
            Ok(width) if width <= MAX_WIDTH => Some(width).filter(|width| *width > 0),
            _ => {
                let span = *at..*at + digits.len();
                return Err(FilterError::new(text, span, format!("a width is at most {MAX_WIDTH}")));
            }
        },
    };
    *at += digits;
    let rest = &text[*at..];
    if rest.is_empty() || rest.starts_with(|c: char| c.is_whitespace() || c == '%') {
        let message = "expected a field, such as %proc.name; write %% for a percent sign";
        return Err(FilterError::new(text, start..*at, message));
    }
    if rest.starts_with('-') {
        let message = "a width has no sign: %20proc.name pads with blanks at the right, or cuts";
        return Err(FilterError::new(text, *at..*at + 1, message));
    }
    if !rest.starts_with('{') {
        return Ok(Piece::Value { expression: Expression::parse_at(text, at, registry)?, width });
    }
    let open = *at;
    *at += 1;
    let expression = Expression::parse_at(text, at, registry)?;
    if !text[*at..].starts_with('}') {
        return Err(FilterError::new(text, open..*at, "expected } behind the field"));
    }
    *at += 1;
    Ok(Piece::Value { expression, width })
}
