//! What JSON is made of: numbers, strings, times.

use std::{fmt::Write, sync::LazyLock};

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::{json::MAX_NUMBER, print::text};

/// Appends bytes that are not a valid value of their type.
pub(super) fn invalid(out: &mut String, bytes: &[u8]) {
    out.push_str("{\"invalid\":\"");
    bytes.iter().for_each(|&byte| hex(out, byte));
    out.push_str("\"}");
}

fn hex(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

pub(in crate::print) fn unsigned(out: &mut String, v: u64) {
    if v > MAX_NUMBER {
        return quoted(out, v);
    }
    out.push_str(itoa::Buffer::new().format(v));
}

pub(in crate::print) fn signed(out: &mut String, v: i64) {
    let quotes = if v.unsigned_abs() > MAX_NUMBER { "\"" } else { "" };
    for part in [quotes, itoa::Buffer::new().format(v), quotes] {
        out.push_str(part);
    }
}

/// Appends a number as a string, whatever its value; for numbers that are mostly too large.
pub(in crate::print) fn quoted(out: &mut String, v: u64) {
    for part in ["\"", itoa::Buffer::new().format(v), "\""] {
        out.push_str(part);
    }
}

pub(in crate::print) fn double(out: &mut String, v: f64) {
    if v.is_finite() {
        let _ = write!(out, "{v:?}");
    } else {
        out.push_str("null");
    }
}

/// Appends text or data as a string. As in lines, backslashes are doubled, and bytes that are not UTF-8 become `\xNN`.
/// JSON's own escapes come on top, also for characters that a terminal interprets.
pub(in crate::print) fn string(out: &mut String, bytes: &[u8]) {
    out.push('"');
    let is_plain = |b: &u8| matches!(b, b' '..=b'~') && *b != b'"' && *b != b'\\';
    match str::from_utf8(bytes) {
        Ok(text) if bytes.iter().all(is_plain) => out.push_str(text),
        Ok(text) => characters(out, text),
        Err(_) => {
            for chunk in bytes.utf8_chunks() {
                characters(out, chunk.valid());
                for &byte in chunk.invalid() {
                    out.push_str("\\\\x");
                    hex(out, byte);
                }
            }
        }
    }
    out.push('"');
}

/// The longest form of a character of ASCII.
const LONGEST: usize = 6;

/// The forms of the characters of ASCII, and their lengths.
static FORMS: LazyLock<[([u8; LONGEST], usize); 128]> = LazyLock::new(|| {
    std::array::from_fn(|byte| {
        let form = match byte as u8 {
            b'"' => "\\\"".to_owned(),
            b'\\' => "\\\\\\\\".to_owned(),
            b'\n' => "\\n".to_owned(),
            b'\r' => "\\r".to_owned(),
            b'\t' => "\\t".to_owned(),
            plain @ b' '..=b'~' => char::from(plain).to_string(),
            byte => format!("\\u{byte:04x}"),
        };
        let mut bytes = [0; LONGEST];
        bytes[..form.len()].copy_from_slice(form.as_bytes());
        (bytes, form.len())
    })
});

/// Appends characters of a string.
fn characters(out: &mut String, text: &str) {
    /// So many at once: one by itself takes longer.
    const MANY: usize = 64;
    let (forms, mut rest) = (&*FORMS, text);
    while !rest.is_empty() {
        let mut some = [0; MANY * LONGEST];
        let (mut count, mut end) = (0, 0);
        for byte in rest.bytes().take(MANY) {
            let (Some((form, len)), Some(place)) =
                (forms.get(usize::from(byte)), some[end..].first_chunk_mut())
            else {
                break;
            };
            *place = *form;
            (count, end) = (count + 1, end + len);
        }
        out.push_str(str::from_utf8(&some[..end]).unwrap_or_default());
        rest = &rest[count..];
        if count < MANY
            && let Some(c) = rest.chars().next()
        {
            // All that are obeyed fit in 16 bits.
            let _ =
                if text::is_obeyed(c) { write!(out, "\\u{:04x}", u32::from(c)) } else { out.write_char(c) };
            rest = &rest[c.len_utf8()..];
        }
    }
}

/// Formats a time in UTC with ns.
pub(crate) fn rfc3339(ts: u64) -> Option<String> {
    Timestamp::from_nanosecond(ts.into()).ok().map(|t| format!("{t:.9}"))
}

/// Converts text or data to a JSON value; same escaping as [`string`].
pub(crate) fn bytes(bytes: &[u8]) -> Json {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for &byte in chunk.invalid() {
            text.push_str("\\x");
            hex(&mut text, byte);
        }
    }
    text.into()
}

/// Converts a time in ns to a JSON string: it is too large for a number.
pub(in crate::print) fn ns(ts: u64) -> Json {
    ts.to_string().into()
}
