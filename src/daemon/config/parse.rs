//! Parses the text of a configuration file into values by key, each with its position.

use std::{ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    keys::{FILTER, FILTERS, Keys, NEEDS_BOOL, NoKey, Section, Takes},
    mistake::{Mistake, SourcePosition},
};
use scap::select::suggest;

/// A key with its values, as on a command line, and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub key: String,
    pub values: Vec<String>,
    pub place: SourcePosition,
}

/// What a file sets.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// Keys.
    pub entries: Vec<Entry>,
    /// Named filters; the key is the name.
    pub filters: Vec<Entry>,
    pub mistakes: Vec<Mistake>,
}

/// Parses the text of a file. Finds all mistakes in it; if it is not valid TOML, only the syntax errors.
pub(super) fn parse(keys: &Keys, file: &Path, text: &str) -> Parsed {
    let mut parser = Parser { keys, file, text, parsed: Parsed::default() };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        parser.mistake(error.span().unwrap_or(0..0), None, error.message());
    }
    if errors.is_empty() {
        for (name, value) in table.get_ref() {
            parser.section(name, value);
        }
    }
    let Parser { mut parsed, .. } = parser;
    parsed.mistakes.sort_by(|a, b| a.place.cmp(&b.place));
    parsed
}

struct Parser<'a> {
    keys: &'a Keys,
    file: &'a Path,
    text: &'a str,
    parsed: Parsed,
}

type Name<'a> = Spanned<std::borrow::Cow<'a, str>>;

impl Parser<'_> {
    fn place(&self, span: Range<usize>) -> SourcePosition {
        SourcePosition::of_byte(self.file, self.text, span.start)
    }

    fn mistake(&mut self, span: Range<usize>, key: Option<&str>, what: impl Into<String>) {
        let place = Some(self.place(span));
        self.parsed.mistakes.push(Mistake { place, key: key.map(str::to_owned), what: what.into() });
    }

    fn section(&mut self, name: &Name<'_>, value: &Spanned<DeValue<'_>>) {
        let text = name.get_ref().as_ref();
        match (Section::by_name(text), value.get_ref()) {
            (None, DeValue::Table(table)) if text == FILTERS => {
                for (name, value) in table {
                    self.filter(name, value);
                }
            }
            (None, _) if text == FILTERS => {
                let what = format!("is a section: write [{FILTERS}] on a line of its own");
                self.mistake(name.span(), Some(text), what);
            }
            (Some(section), DeValue::Table(table)) => {
                for (key, value) in table {
                    self.key(section, key, value);
                }
            }
            (Some(section), _) => {
                self.mistake(
                    name.span(),
                    Some(text),
                    format!("is a section: write {section} on a line of its own"),
                );
            }
            (None, DeValue::Table(_)) => {
                let known: Vec<_> = Section::ALL.map(Section::name).into_iter().chain([FILTERS]).collect();
                let what = match suggest(text, known.iter().copied()) {
                    Some(near) => format!("unknown section; did you mean [{near}]?"),
                    None => format!("unknown section; the sections are [{}]", known.join("], [")),
                };
                self.mistake(name.span(), Some(&format!("[{text}]")), what);
            }
            (None, _) => {
                let what = self.wrong_key(text, None);
                self.mistake(name.span(), Some(text), what);
            }
        }
    }

    /// A named filter: its name is free, its value that of the key `filter`.
    fn filter(&mut self, name: &Name<'_>, value: &Spanned<DeValue<'_>>) {
        let key = name.get_ref().as_ref();
        let DeValue::String(text) = value.get_ref() else {
            return self.mistake(value.span(), Some(key), "takes a filter as a string");
        };
        let values = vec![text.as_ref().to_owned()];
        match self.keys.check(FILTER, &values) {
            Ok(()) => {
                let place = self.place(name.span());
                self.parsed.filters.push(Entry { key: key.to_owned(), values, place });
            }
            Err(what) => self.mistake(value.span(), Some(key), what),
        }
    }

    fn key(&mut self, section: Section, name: &Name<'_>, value: &Spanned<DeValue<'_>>) {
        let key = name.get_ref().as_ref();
        if !self.keys.belongs(key, section) {
            let what = self.wrong_key(key, Some(section));
            return self.mistake(name.span(), Some(key), what);
        }
        let checked = values(self.keys.takes(key), value.get_ref())
            .and_then(|values| self.keys.check(key, &values).map(|()| values));
        match checked {
            Ok(values) => {
                let place = self.place(name.span());
                self.parsed.entries.push(Entry { key: key.to_owned(), values, place });
            }
            Err(what) => self.mistake(value.span(), Some(key), what),
        }
    }

    /// Returns the message about a key that is unknown or in the wrong section; `None` for outside of any section.
    fn wrong_key(&self, key: &str, section: Option<Section>) -> String {
        match self.keys.section(key) {
            Ok(right) => match section {
                Some(_) => format!("belongs in the section {right}"),
                None => format!("belongs in a section: write {right} on a line above it"),
            },
            Err(NoKey::NotForAService(reason)) => format!("is not a key: {reason}"),
            Err(NoKey::Unknown(Some(near))) => format!("unknown key; did you mean `{near}`?"),
            // It may be meant by what it is in its section: options in [redact].
            Err(NoKey::Unknown(None)) => {
                let with_section = section.map(|section| format!("{}-{key}", section.name()));
                match with_section.and_then(|name| suggest(&name, self.keys.all().map(|(name, _)| name))) {
                    Some(near) => format!("unknown key; did you mean `{near}`?"),
                    None => "unknown key; `scapd daemon --print-config` prints them all".to_owned(),
                }
            }
        }
    }
}

/// Returns the values of a key as on a command line, or an error message.
fn values(takes: Takes, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match (takes, value) {
        (takes, DeValue::Boolean(on)) if takes.is_switch() => Ok(vec![on.to_string()]),
        (takes, _) if takes.is_switch() => Err(NEEDS_BOOL.to_owned()),
        (Takes::List, DeValue::Array(array)) => {
            let values: Result<Vec<_>, _> = array.iter().map(|value| scalar(value.get_ref())).collect();
            values.map(|values| vec![values.join(",")])
        }
        (Takes::Many, DeValue::Array(array)) => array.iter().map(|value| scalar(value.get_ref())).collect(),
        (_, DeValue::Array(_)) => Err("takes one value, not an array".to_owned()),
        (_, value) => scalar(value).map(|value| vec![value]),
    }
}

fn scalar(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.as_ref().to_owned()),
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Float(number) => Ok(number.to_string()),
        other => Err(format!("takes a string or a number, not a value of type {}", other.type_str())),
    }
}
