//! Mistakes in a configuration, with their positions.

use std::{error::Error, fmt, path::PathBuf};

use crate::escape;

/// A position in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourcePosition {
    /// The file.
    pub file: PathBuf,
    /// The line, starting at 1; 0 for the whole file.
    pub line: usize,
    /// The character in the line, starting at 1.
    pub column: usize,
}

impl SourcePosition {
    /// Returns the position that stands for the whole file.
    pub fn file(file: impl Into<PathBuf>) -> SourcePosition {
        SourcePosition { file: file.into(), line: 0, column: 0 }
    }

    /// Returns the position of the byte at an offset in a file's text.
    pub fn of_byte(file: impl Into<PathBuf>, text: &str, at: usize) -> SourcePosition {
        let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let before = &text[..at];
        let line = before.rsplit('\n').next().unwrap_or(before);
        SourcePosition {
            file: file.into(),
            line: 1 + before.matches('\n').count(),
            column: 1 + line.chars().count(),
        }
    }
}

impl fmt::Display for SourcePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape::shown(&self.file))?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        Ok(())
    }
}

/// A mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Its position; `None` for a value that does not come from a file.
    pub place: Option<SourcePosition>,
    /// The key, if it concerns one.
    pub key: Option<String>,
    /// The message, with the remedy.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// All mistakes in a configuration, at least one. Displayed one per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.0.iter();
        if let Some(first) = lines.next() {
            first.fmt(f)?;
        }
        lines.try_for_each(|mistake| write!(f, "\n{mistake}"))
    }
}

impl Error for Mistakes {}

impl From<Mistake> for Mistakes {
    fn from(mistake: Mistake) -> Mistakes {
        Mistakes(vec![mistake])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters() {
        let at = |byte| {
            let place = SourcePosition::of_byte("f", "one\ntwö=3\n", byte);
            (place.line, place.column)
        };
        assert_eq!([at(0), at(3), at(4), at(8), at(99)], [(1, 1), (1, 4), (2, 1), (2, 4), (3, 1)]);
        // Within a character.
        assert_eq!(at(7), (2, 3));
    }
}
