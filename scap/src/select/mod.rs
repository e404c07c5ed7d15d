//! What to record: parses the lists of `--syscalls` and `--tracepoints` into sets.
//!
//! A list consists of terms, separated by commas and evaluated from left to right. A term adds to the set; a term with
//! the prefix `!` removes from it. A list that begins with a removal starts from everything. `all` and `none` fill and
//! empty the set. The prefix `?` (after a `!`) ignores a term that names nothing. To combine lists, join them with
//! commas.

mod aliases;
mod asked;
mod classes;
mod companions;
mod events;
mod selection;
mod set;
mod syscalls;
mod tracepoints;
mod variants;

pub use asked::Asked;
pub use asked::Judge;
pub use classes::{Class, category_name, classes};
pub use companions::{NameRule, name_rule};
pub use events::{EventSet, is_internal, parse_events};
pub use selection::{Companions, Selection};
pub use set::{Iter, SyscallSet};
pub use syscalls::parse;
pub use tracepoints::{Tracepoint, TracepointSet, parse_tracepoints};
pub use variants::variants;

/// A mistake in a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// A term without a name.
    #[error("empty term in the list `{list}`: separate names with single commas")]
    EmptyTerm {
        /// The whole list.
        list: String,
    },
    /// No architecture has a system call of this name.
    #[error("unknown syscall `{name}`{}", remedy(*suggestion, "`scapd list syscalls` prints them all"))]
    UnknownSyscall {
        /// The name as written.
        name: String,
        /// A similar name.
        suggestion: Option<&'static str>,
    },
    /// Neither an event nor a system call has this name.
    #[error("unknown event `{name}`{}", remedy(*suggestion, "`scapd list events` prints them all"))]
    UnknownEvent {
        /// The name as written.
        name: String,
        /// A similar name.
        suggestion: Option<&'static str>,
    },
    /// The call exists, but not on this architecture.
    #[error("syscall `{name}` does not exist on {here}{only}; write `?{name}` to ignore it here")]
    Elsewhere {
        /// The call's name.
        name: &'static str,
        /// This architecture.
        here: &'static str,
        /// The architectures that have it, as the end of the message; empty if no known architecture has it.
        only: String,
    },
    /// No class has this name.
    #[error("unknown class `%{name}`{}", remedy(suggestion.as_deref(), &format!("the classes are {known}")))]
    UnknownClass {
        /// The name as written, without the percent sign.
        name: String,
        /// A similar class, with the percent sign.
        suggestion: Option<String>,
        /// All classes.
        known: String,
    },
    /// An invalid regular expression.
    #[error("`/{regex}` is not a regular expression: {reason} (a comma ends the term)")]
    Regex {
        /// The expression as written, without the slash.
        regex: String,
        /// The parser's message.
        reason: String,
    },
    /// No call of this architecture matches.
    #[error("no syscall matches `/{regex}`; write `?/{regex}` to ignore that")]
    NoMatch {
        /// The expression as written, without the slash.
        regex: String,
    },
    /// No system call has this stable code.
    #[error("no syscall has the stable code {code}; `scapd list syscalls` prints them")]
    UnknownCode {
        /// The code.
        code: u16,
    },
    /// No tracepoint has this name.
    #[error("unknown tracepoint `{name}`{}", remedy(*suggestion, &format!("the tracepoints are {known}")))]
    UnknownTracepoint {
        /// The name as written.
        name: String,
        /// A similar name.
        suggestion: Option<&'static str>,
        /// All tracepoints.
        known: String,
    },
}

/// Returns the end of the message about an unknown name.
fn remedy(suggestion: Option<&str>, otherwise: &str) -> String {
    match suggestion {
        Some(name) => format!("; did you mean `{name}`?"),
        None => format!("; {otherwise}"),
    }
}

/// One term of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Term<'a> {
    /// Whether it removes from the set.
    negated: bool,
    /// Whether it may name nothing.
    optional: bool,
    /// The term without its prefixes; never empty.
    text: &'a str,
}

impl<'a> Term<'a> {
    fn parse(term: &'a str, list: &str) -> Result<Self, SelectError> {
        let term = term.trim();
        let (negated, term) = strip(term, '!');
        let (optional, text) = strip(term, '?');
        if text.is_empty() {
            return Err(SelectError::EmptyTerm { list: list.to_owned() });
        }
        Ok(Term { negated, optional, text })
    }
}

fn strip(text: &str, sign: char) -> (bool, &str) {
    match text.strip_prefix(sign) {
        Some(rest) => (true, rest),
        None => (false, text),
    }
}

/// Returns the terms of a list, at least one.
fn terms(list: &str) -> Result<Vec<Term<'_>>, SelectError> {
    list.split(',').map(|term| Term::parse(term, list)).collect()
}

/// Returns the candidate most similar to `name`, if one is similar enough to be what a typo was meant for.
pub fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const ALIKE: f64 = 0.6;
    candidates
        .into_iter()
        // Each differing length costs an edit. So no name, however long, is compared with all candidates.
        .filter(|candidate| candidate.len() as f64 >= ALIKE * name.len() as f64)
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_has_its_signs_in_one_order() {
        let term = |negated, optional, text| Term { negated, optional, text };
        assert_eq!(
            terms(" open, !close,?%file,!?/x").unwrap(),
            [
                term(false, false, "open"),
                term(true, false, "close"),
                term(false, true, "%file"),
                term(true, true, "/x")
            ]
        );
    }

    #[test]
    fn an_empty_term_is_an_error() {
        for list in ["", ",", "open,", ",open", "open,,close", "!", "?", "!?", "open, ,close"] {
            assert_eq!(terms(list).unwrap_err(), SelectError::EmptyTerm { list: list.to_owned() });
        }
    }

    #[test]
    fn a_suggestion_is_near() {
        assert_eq!(suggest("acess", ["open", "access", "accept"]), Some("access"));
        assert_eq!(suggest("opne", ["open", "access"]), Some("open"));
        assert_eq!(suggest("xyzzy", ["open", "access"]), None);
    }
}
