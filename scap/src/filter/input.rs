//! What the parsers read, and their mistakes.

use winnow::{
    LocatingSlice, Parser,
    error::{ErrMode, ParserError},
    stream::Location,
    token::take_while,
};

use super::{error::Mistake, syntax::Span};

pub(super) type Input<'a> = LocatingSlice<&'a str>;
pub(super) type Parsed<T> = Result<T, ErrMode<Mistake>>;

impl ParserError<Input<'_>> for Mistake {
    type Inner = Self;

    fn from_input(input: &Input<'_>) -> Self {
        Self::new(&token(input), "not expected here")
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

/// Returns the place of what comes next, up to a blank, a parenthesis or a comma; an empty one at the end.
pub(super) fn token(input: &Input<'_>) -> Span {
    let start = input.current_token_start();
    let ends = |c: char| is_blank(c) || matches!(c, '(' | ')' | ',');
    let length = match input.find(ends) {
        Some(0) => 1,
        Some(length) => length,
        None => input.len(),
    };
    start..start + length
}

pub(super) fn fail<T>(span: &Span, message: impl Into<String>) -> Parsed<T> {
    Err(ErrMode::Cut(Mistake::new(span, message)))
}

pub(super) fn blanks(input: &mut Input<'_>) -> Parsed<()> {
    take_while(0.., is_blank).void().parse_next(input)
}

/// Returns whether a character separates words: those of C, and the backspace, as in Falco.
pub(super) fn is_blank(c: char) -> bool {
    c.is_ascii_whitespace() || matches!(c, '\x08' | '\x0b')
}

/// Returns whether a character belongs to names of fields, operators and transformers.
pub(super) fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.')
}

/// Returns whether a value without quotes may have this character.
pub(super) fn in_value(c: char) -> bool {
    !is_blank(c) && !matches!(c, '(' | ')' | '"' | '\'' | '=' | ',')
}
