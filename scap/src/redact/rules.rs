//! The rules: what they are made of, and what they find.

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use thiserror::Error;

/// What a rule is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleKind {
    /// The name of an option.
    Option,
    /// The name of a variable.
    Variable,
    /// A regular expression.
    Pattern,
}

/// A rule that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what}")]
pub struct RuleError {
    /// Its kind.
    pub kind: RuleKind,
    /// Its position among those of its kind.
    pub index: usize,
    /// The message.
    pub what: String,
}

/// What has to be overwritten.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How many options, variables and patterns there are.
    counts: [usize; 3],
    /// What is looked for in a text, together, and each by itself: the names, and the patterns.
    set: RegexSet,
    texts: Vec<Regex>,
    /// What the texts of a list start with: an option up to its value, one with its value glued to it, a variable.
    options: Option<Regex>,
    glued: Option<Regex>,
    variables: Option<Regex>,
}

/// The value behind a name in a text: in quotes, or a word.
const VALUE: &str = r#"(?:"([^"\x00\n]+)|'([^'\x00\n]+)|([^\s\x00"'][^\s\x00"'&;,]*))"#;
/// What may be in front of an option in a text.
const BEFORE_OPTION: &str = r#"(?:^|[\s\x00"'`;|&(\[,])"#;

impl Rules {
    /// Makes the rules: names of options (`--password`, `-p`), names of variables (`AWS_SECRET_*`; case does not matter), and
    /// patterns. `*` in a name is any text. A pattern works on bytes; if it has groups, only what they match is overwritten.
    ///
    /// # Errors
    /// The first rule that is wrong.
    pub fn new(options: &[String], variables: &[String], patterns: &[String]) -> Result<Rules, RuleError> {
        check_names(RuleKind::Option, options)?;
        check_names(RuleKind::Variable, variables)?;
        let mut sources = Vec::new();
        let words = either(options, r"[^=\s\x00]*");
        if let Some(words) = &words {
            sources.push(format!(r"{BEFORE_OPTION}{words}(?:=|[\s\x00]\s*){VALUE}"));
        }
        let glued = either(options.iter().filter(|name| is_short(name)), "");
        if let Some(glued) = &glued {
            sources.push(format!(r"{BEFORE_OPTION}{glued}([^\s\x00]+)"));
        }
        let names = either(variables, "[A-Za-z0-9_.-]*");
        if let Some(names) = &names {
            // An assignment that is a line takes all of it, as in an environment or a file of variables.
            let (before, sign) = ("(?:^|[^A-Za-z0-9_])", r#"["']?[ \t]*[=:][ \t]*"#);
            sources
                .push(format!(r"(?i:(?:^|[\n\x00]){names})=([^\n\x00]+)|(?i:{before}{names}){sign}{VALUE}"));
        }
        for (index, pattern) in patterns.iter().enumerate() {
            let wrong = |what: String| RuleError { kind: RuleKind::Pattern, index, what };
            let of_pattern = regex(pattern).map_err(|e| wrong(message(&e)))?;
            if of_pattern.is_match(b"") {
                return Err(wrong("the pattern matches the empty text: it says nothing".to_owned()));
            }
            sources.push(pattern.clone());
        }
        // Each is right by itself; the names were checked.
        let whole = |e: regex::Error| RuleError { kind: RuleKind::Pattern, index: 0, what: message(&e) };
        let start = |name: Option<String>, end: &str| {
            name.map(|name| regex(&format!("^{name}{end}")).map_err(whole)).transpose()
        };
        let listed = names.map(|names| format!("(?i:{names})"));
        Ok(Rules {
            counts: [options.len(), variables.len(), patterns.len()],
            set: RegexSetBuilder::new(&sources).unicode(false).build().map_err(whole)?,
            texts: sources.iter().map(|source| regex(source)).collect::<Result<_, _>>().map_err(whole)?,
            options: start(words, "(?:=|$)")?,
            glued: start(glued, ".")?,
            variables: start(listed, "=")?,
        })
    }

    /// Returns how many options, variables and patterns there are.
    pub fn counts(&self) -> [usize; 3] {
        self.counts
    }

    /// Adds where something has to be overwritten in a text.
    pub(super) fn find(&self, text: &[u8], found: &mut Vec<Range<usize>>) {
        if !self.set.is_match(text) {
            return;
        }
        for rule in self.set.matches(text).iter().filter_map(|index| self.texts.get(index)) {
            if rule.captures_len() == 1 {
                found.extend(rule.find_iter(text).map(|found| found.range()));
                continue;
            }
            for captures in rule.captures_iter(text) {
                found.extend(captures.iter().skip(1).flatten().map(|group| group.range()));
            }
        }
    }

    /// The same in texts that each end with a NUL, as arguments and environments: an option may have its value in the next one.
    pub(super) fn find_in_list(&self, list: &[u8], found: &mut Vec<Range<usize>>) {
        let (mut start, mut is_value) = (0, false);
        for text in list.split(|byte| *byte == 0) {
            let end = start + text.len();
            if std::mem::take(&mut is_value) {
                found.push(start..end);
            } else if let Some(after) = starts(&self.options, text) {
                is_value = text.get(after.wrapping_sub(1)) != Some(&b'=');
                found.push(start + after..end);
            } else if let Some(after) = starts(&self.variables, text) {
                found.push(start + after..end);
            } else {
                if let Some(after) = starts(&self.glued, text) {
                    found.push(start + after - 1..end);
                }
                let before = found.len();
                self.find(text, found);
                found[before..].iter_mut().for_each(|range| *range = start + range.start..start + range.end);
            }
            start = end + 1;
        }
        found.retain(|range| !range.is_empty());
    }
}

/// Returns where the match at the start of a text ends.
fn starts(rule: &Option<Regex>, text: &[u8]) -> Option<usize> {
    rule.as_ref()?.find(text).map(|found| found.end())
}

fn regex(source: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(source).unicode(false).build()
}

/// Returns the message of an error in one line, without the pattern.
fn message(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    format!("not a regular expression: {}", last.strip_prefix("error: ").unwrap_or(last))
}

/// Returns a regular expression for any of these names, in which `*` is `any`; `None` if there are none.
fn either<'a>(names: impl IntoIterator<Item = &'a String>, any: &str) -> Option<String> {
    let one = |name: &String| name.split('*').map(regex::escape).collect::<Vec<_>>().join(any);
    let all: Vec<_> = names.into_iter().map(one).collect();
    (!all.is_empty()).then(|| format!("(?:{})", all.join("|")))
}

/// Returns whether an option is a dash and a letter, which may have its value glued to it.
fn is_short(option: &str) -> bool {
    matches!(option.as_bytes(), [b'-', letter] if letter.is_ascii_alphanumeric())
}

fn check_names(kind: RuleKind, names: &[String]) -> Result<(), RuleError> {
    let is_wrong =
        |name: &String| name.is_empty() || name.contains(['=', '\0', '\n', ' ']) || !name.is_ascii();
    match names.iter().position(is_wrong) {
        None => Ok(()),
        Some(index) => {
            let what = "not a name: it is empty, or has a character that names do not have".to_owned();
            Err(RuleError { kind, index, what })
        }
    }
}
