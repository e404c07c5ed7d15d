//! Escapes text that comes from others, so that a terminal shows it and does not obey it.

use std::fmt::{self, Write};

/// Where text goes.
pub trait Out: Write {
    /// Appends text of a capture.
    fn text(&mut self, bytes: &[u8]);

    /// Appends characters of ASCII that a terminal shows as they are.
    fn ascii(&mut self, chars: impl Iterator<Item = u8>);

    /// Appends an integer in decimal.
    fn integer(&mut self, integer: impl itoa::Integer) {
        // Writing to memory cannot fail.
        let _ = self.write_str(itoa::Buffer::new().format(integer));
    }
}

/// For a terminal: text of captures is [escaped](escape).
impl Out for String {
    fn text(&mut self, bytes: &[u8]) {
        escape(self, bytes);
    }

    fn ascii(&mut self, mut chars: impl Iterator<Item = u8>) {
        // Many at once: a character by itself takes longer.
        let mut some = [0; 64];
        loop {
            let mut count = 0;
            for (place, char) in some.iter_mut().zip(&mut chars) {
                *place = char;
                count += 1;
            }
            self.push_str(str::from_utf8(&some[..count]).unwrap_or_default());
            if count < some.len() {
                return;
            }
        }
    }
}

/// For a terminal, as a `String`: text of captures is [escaped](escape). Bytes need no check that they are UTF-8.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Escaped(pub Vec<u8>);

impl Write for Escaped {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl Out for Escaped {
    #[inline]
    fn text(&mut self, bytes: &[u8]) {
        let (plain, rest) = split_plain(bytes);
        self.0.extend_from_slice(plain);
        if !rest.is_empty() {
            write_escaped(self, rest, is_special);
        }
    }

    #[inline]
    fn ascii(&mut self, chars: impl Iterator<Item = u8>) {
        self.0.extend(chars);
    }
}

/// For programs: text of captures stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Raw(pub Vec<u8>);

impl Write for Raw {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl Out for Raw {
    fn text(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn ascii(&mut self, chars: impl Iterator<Item = u8>) {
        self.0.extend(chars);
    }
}

/// Returns whether a terminal interprets a character instead of showing it. This includes line separators and
/// bidirectional controls, which could make one path look like another.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Appends text from a capture. Invalid UTF-8, characters that a terminal interprets, and backslashes are escaped, so
/// that different texts never look alike.
pub fn escape(out: &mut String, bytes: &[u8]) {
    let (plain, rest) = split_plain(bytes);
    out.push_str(str::from_utf8(plain).unwrap_or_default());
    write_escaped(out, rest, is_special);
}

fn is_special(c: char) -> bool {
    c == '\\' || is_obeyed(c)
}

/// Returns the start of a text that is as it is when it is escaped, and the rest. Most text has no rest.
#[inline]
fn split_plain(bytes: &[u8]) -> (&[u8], &[u8]) {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\\';
    bytes.split_at(bytes.iter().position(|b| !is_plain(b)).unwrap_or(bytes.len()))
}

/// Appends text. Invalid UTF-8 and characters that are special are escaped.
pub fn write_escaped(out: &mut impl Write, bytes: &[u8], is_special: impl Fn(char) -> bool) {
    // Writing to memory cannot fail.
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let _ = if is_special(c) { write!(out, "{}", c.escape_default()) } else { out.write_char(c) };
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
}
