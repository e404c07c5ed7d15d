//! Mistakes in filters and output formats, shown with the place underlined.

use std::{fmt, ops::Range};

/// A mistake in a filter or an output format. `Display` prints its line, the place underlined, and the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    text: String,
    mistake: Mistake,
}

/// A place and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// The bytes of the text that it concerns; empty for something that is missing.
    pub(super) span: Range<usize>,
    pub(super) message: String,
}

impl Mistake {
    pub(super) fn new(span: &Range<usize>, message: impl Into<String>) -> Self {
        Self { span: span.clone(), message: message.into() }
    }

    pub(super) fn of(self, text: &str) -> FilterError {
        FilterError { text: text.to_owned(), mistake: self }
    }
}

impl FilterError {
    /// Returns the error for a place in a text.
    pub(crate) fn new(text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        Mistake::new(&span, message).of(text)
    }

    /// Returns the bytes of the text that the error concerns. The range is empty where something is missing.
    pub fn span(&self) -> Range<usize> {
        self.mistake.span.clone()
    }

    /// Returns what is wrong, without the text.
    pub fn message(&self) -> &str {
        &self.mistake.message
    }
}

/// The most characters of a line that are shown on each side of the place.
const CONTEXT: usize = 60;

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.mistake.span;
        let line_start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |newline| start + newline);
        let before: Vec<char> = self.text[line_start..start].chars().collect();
        let place: Vec<char> = self.text[start..end.clamp(start, line_end)].chars().collect();
        let after: Vec<char> = self.text[end.clamp(start, line_end)..line_end].chars().collect();

        let left = &before[before.len().saturating_sub(CONTEXT)..];
        let place = &place[..place.len().min(2 * CONTEXT)];
        let right = &after[..after.len().min(CONTEXT)];
        let mut line = String::new();
        line.extend((left.len() < before.len()).then_some('…'));
        line.extend(left);
        let indent = line.chars().count();
        line.extend(place);
        line.extend(right);
        line.extend((right.len() < after.len()).then_some('…'));

        // A tab has no width of its own, and other control characters act on the terminal.
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        writeln!(f, "{}", line.trim_end())?;
        write!(f, "{:indent$}{} {}", "", "^".repeat(place.len().max(1)), self.mistake.message)
    }
}

impl std::error::Error for FilterError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, span: Range<usize>) -> String {
        Mistake::new(&span, "wrong").of(text).to_string()
    }

    #[test]
    fn the_place_is_underlined() {
        assert_eq!(shown("abc def", 4..7), "abc def\n    ^^^ wrong");
        assert_eq!(shown("abc", 3..3), "abc\n   ^ wrong");
        assert_eq!(shown("", 0..0), "\n^ wrong");
        assert_eq!(shown("é\u{7}\tdef", 4..5), "é  def\n   ^ wrong");
    }

    #[test]
    fn only_the_line_of_the_place_is_shown() {
        assert_eq!(shown("one\ntwo three\nfour", 8..13), "two three\n    ^^^^^ wrong");
        assert_eq!(shown("one\ntwo\nthree", 4..13), "two\n^^^ wrong", "the place goes on");
        assert_eq!(shown("one\n", 4..4), "\n^ wrong");
        assert_eq!(shown("one\ntwo", 3..3), "one\n   ^ wrong");
    }

    #[test]
    fn a_long_line_is_cut() {
        let text = format!("{}X{}", "a".repeat(200), "b".repeat(200));
        let line = format!("…{}X{}…", "a".repeat(CONTEXT), "b".repeat(CONTEXT));
        assert_eq!(shown(&text, 200..201), format!("{line}\n{:61}^ wrong", ""));
        let place = shown(&"c".repeat(500), 0..500);
        assert_eq!(place.lines().next().unwrap().len(), 2 * CONTEXT);
    }
}
