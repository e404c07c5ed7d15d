//! Values as they are written: quotes and escapes, and the quotes that a printed filter needs.

use std::fmt::{self, Write};

use winnow::{
    Parser,
    combinator::opt,
    stream::Location,
    token::{any, one_of, take_while},
};

use super::{
    input::{Input, Parsed, fail, in_value},
    syntax::Literal,
};

/// Parses text in single or double quotes; none if no quote follows.
pub(super) fn quoted(input: &mut Input<'_>) -> Parsed<Option<Literal>> {
    let start = input.current_token_start();
    let Some(quote) = opt(one_of(['"', '\''])).parse_next(input)? else { return Ok(None) };
    let mut text = Vec::new();
    loop {
        let plain = take_while(0.., |c: char| c != quote && c != '\\').parse_next(input)?;
        text.extend_from_slice(plain.as_bytes());
        match opt(any).parse_next(input)? {
            Some('\\') => text.push(escape(input, start)?),
            Some(_) => return Ok(Some(Literal { text, span: start..input.previous_token_end() })),
            None => return fail(&(start..input.previous_token_end()), "the closing quote is missing"),
        }
    }
}

/// Parses what follows a backslash.
fn escape(input: &mut Input<'_>, literal: usize) -> Parsed<u8> {
    let start = input.current_token_start() - 1;
    let byte = match opt(any).parse_next(input)? {
        // Falco's rules of old have a blank here, and it means a backslash in libs.
        Some('\\' | ' ') => b'\\',
        Some('b') => b'\x08',
        Some('f') => b'\x0c',
        Some('n') => b'\n',
        Some('r') => b'\r',
        Some('t') => b'\t',
        Some('/') => b'/',
        Some('"') => b'"',
        Some('\'') => b'\'',
        Some('x') => {
            let digits = take_while(0..=2, |c: char| c.is_ascii_hexdigit()).parse_next(input)?;
            match (digits.len(), u8::from_str_radix(digits, 16)) {
                (2, Ok(byte)) => byte,
                _ => {
                    return fail(
                        &(start..input.previous_token_end()),
                        "expected two hexadecimal digits behind \\x",
                    );
                }
            }
        }
        Some(_) => {
            let span = start..input.previous_token_end();
            return fail(&span, "no such escape; write \\\\ for a backslash");
        }
        None => return fail(&(literal..input.previous_token_end()), "the closing quote is missing"),
    };
    Ok(byte)
}

/// Parses a run of these characters; none if it is empty.
pub(super) fn bare(input: &mut Input<'_>, allowed: impl Fn(char) -> bool) -> Parsed<Option<Literal>> {
    let (text, span) = take_while(0.., allowed).with_span().parse_next(input)?;
    Ok((!text.is_empty()).then(|| Literal { text: text.into(), span }))
}

/// Writes a value such that it parses to the same bytes, with quotes only where they are needed.
pub(super) fn write_value(f: &mut fmt::Formatter<'_>, text: &[u8]) -> fmt::Result {
    match str::from_utf8(text) {
        Ok(text) if !text.is_empty() && text.chars().all(|c| in_value(c) && c.is_ascii_graphic()) => {
            f.write_str(text)
        }
        _ => write_quoted(f, text),
    }
}

/// Writes a value with quotes.
pub(super) fn write_quoted(f: &mut fmt::Formatter<'_>, text: &[u8]) -> fmt::Result {
    f.write_char('"')?;
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    f.write_char('"')
}
