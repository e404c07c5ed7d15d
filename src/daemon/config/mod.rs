//! The service's configuration: TOML files in which every key is a long flag of `scapd record`.
//!
//! Values come from three sources, of which later ones win: the defaults of a service (see packaging/scapd.toml), the
//! file, and the files in the folder `config.d` next to it, in the order of their names.
//!
//! ```
//! use scapd::{cli, daemon::config::ServiceSettings};
//!
//! let mistakes = ServiceSettings::parse(&cli::keys(), "scapd.toml", "[record]\nsnaplen = 80\nsyscals = 'openat'\n").unwrap_err();
//! assert_eq!(mistakes.to_string(), "scapd.toml:3:1: syscals: unknown key; did you mean `syscalls`?");
//! ```

mod files;
mod keys;
mod mistake;
mod parse;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, ErrorKind},
    path::Path,
};

use crate::escape;
use keys::{FILTER, FILTERS, NoKey};
use parse::{Entry, Parsed};

pub use keys::{Flag, FlagError, Flags, Keys, Section, Takes, Wanted};
pub use mistake::{Mistake, Mistakes, SourcePosition};

/// The folder of additional files.
const FOLDER: &str = "config.d";

/// A configuration: the value of each key that is set, and its origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceSettings {
    values: BTreeMap<String, Value>,
    /// The filters of `[filters]`, by name. What matches one of them, or the key `filter`, is recorded.
    filters: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Value {
    /// The values as on a command line.
    values: Vec<String>,
    /// `None` for values from `scapd ctl set`.
    place: Option<SourcePosition>,
}

/// The keys in which two configurations differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Keys that can be changed while recording.
    pub live: Vec<String>,
    /// Keys that need a restart.
    pub restart: Vec<String>,
}

impl ServiceSettings {
    /// Returns the configuration without any file.
    pub fn defaults() -> ServiceSettings {
        ServiceSettings::default()
    }

    /// Reads a file, and the files in `config.d` next to it. A missing file is an error only if it `must_exist`. Logs
    /// and skips entries of `config.d` that are not regular files.
    ///
    /// # Errors
    /// All mistakes in all files.
    pub fn load(keys: &Keys, file: &Path, must_exist: bool) -> Result<ServiceSettings, Mistakes> {
        let mut settings = ServiceSettings::defaults();
        let mut mistakes = Vec::new();
        match files::open(file) {
            Ok(opened) => mistakes.extend(settings.read(keys, file, opened)),
            Err(e) if e.kind() == ErrorKind::NotFound && !must_exist => {}
            Err(e) => mistakes.push(unreadable_file(file, &e)),
        }
        let folder = file.parent().unwrap_or(Path::new("")).join(FOLDER);
        match files::open_all(&folder) {
            Ok(found) => {
                for (path, opened) in found.files {
                    mistakes.extend(settings.read(keys, &path, opened));
                }
                mistakes.extend(found.failed.iter().map(|(path, e)| unreadable_file(path, e)));
                for path in found.others {
                    tracing::warn!("{} is not a regular file: it is left alone", escape::shown(&path));
                }
            }
            Err(e) => mistakes.push(unreadable_file(&folder, &e)),
        }
        settings.finish(keys, mistakes)
    }

    fn read(&mut self, keys: &Keys, path: &Path, opened: std::fs::File) -> Vec<Mistake> {
        match files::read(opened) {
            Ok(text) => self.add(keys, path, &text),
            Err(e) => vec![unreadable_file(path, &e)],
        }
    }

    /// Parses the text of a file named `name`.
    ///
    /// # Errors
    /// All mistakes in it.
    pub fn parse(keys: &Keys, name: impl AsRef<Path>, text: &str) -> Result<ServiceSettings, Mistakes> {
        let mut settings = ServiceSettings::defaults();
        let mistakes = settings.add(keys, name.as_ref(), text);
        settings.finish(keys, mistakes)
    }

    fn add(&mut self, keys: &Keys, file: &Path, text: &str) -> Vec<Mistake> {
        let Parsed { entries, filters, mistakes } = parse::parse(keys, file, text);
        for Entry { key, values, place } in entries {
            let before = self.values.remove(&key).filter(|_| keys.is_joined(&key));
            let values = before.into_iter().flat_map(|value| value.values).chain(values).collect();
            self.values.insert(key, Value { values, place: Some(place) });
        }
        for Entry { key, values, place } in filters {
            self.filters.insert(key, Value { values, place: Some(place) });
        }
        mistakes
    }

    /// Checks the dependencies between keys, if no other mistakes were found.
    fn finish(self, keys: &Keys, mut mistakes: Vec<Mistake>) -> Result<ServiceSettings, Mistakes> {
        if mistakes.is_empty() {
            mistakes.extend(self.wanted_or_mistake(keys).err());
        }
        if mistakes.is_empty() { Ok(self) } else { Err(Mistakes(mistakes)) }
    }

    /// Returns this configuration with some keys changed, for `scapd ctl set`.
    ///
    /// # Errors
    /// All mistakes in the changes.
    pub fn with<'a>(
        &self,
        keys: &Keys,
        changes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<ServiceSettings, Mistakes> {
        let mut changed = self.clone();
        let mut mistakes = Vec::new();
        for (key, value) in changes {
            let values = vec![value.to_owned()];
            match check(keys, key, &values) {
                Ok(()) => {
                    changed.values.insert(key.to_owned(), Value { values, place: None });
                }
                Err(what) => mistakes.push(Mistake { place: None, key: Some(key.to_owned()), what }),
            }
        }
        changed.finish(keys, mistakes)
    }

    /// Returns what this configuration asks for.
    ///
    /// # Errors
    /// Conflicts and missing dependencies between keys.
    pub fn wanted(&self, keys: &Keys) -> Result<Wanted, Mistakes> {
        self.wanted_or_mistake(keys).map_err(Mistakes::from)
    }

    fn wanted_or_mistake(&self, keys: &Keys) -> Result<Wanted, Mistake> {
        let defaults: BTreeMap<_, _> =
            keys::DEFAULTS.iter().map(|(key, value)| (*key, vec![(*value).to_owned()])).collect();
        let defaults = defaults.iter().filter(|(key, _)| !self.values.contains_key(**key));
        let filter = self.filter();
        let others = self.values.iter().filter(|(key, _)| *key != FILTER);
        let own = others.map(|(key, value)| (key.as_str(), value.values.as_slice()));
        let own = own.chain((!filter.is_empty()).then_some((FILTER, filter.as_slice())));
        keys.parse(defaults.map(|(key, values)| (*key, values.as_slice())).chain(own)).map_err(
            |FlagError { key, what, .. }| {
                let value = key.as_ref().and_then(|key| self.values.get(key));
                Mistake { place: value.and_then(|value| value.place.clone()), key, what }
            },
        )
    }

    /// Returns the value of the key `filter`, joined with the named ones.
    fn filter(&self) -> Vec<String> {
        let own = self.values.get(FILTER).into_iter();
        let all: Vec<_> = own.chain(self.filters.values()).flat_map(|value| &value.values).collect();
        match all.iter().filter(|text| !text.trim().is_empty()).collect::<Vec<_>>()[..] {
            [] => all.first().map(|_| String::new()).into_iter().collect(),
            [one] => vec![(*one).clone()],
            ref several => {
                let joined: Vec<_> = several.iter().map(|text| format!("({text})")).collect();
                vec![joined.join(" or ")]
            }
        }
    }

    /// Returns the keys of a section that are set, as flags of a command line.
    pub fn flags(&self, keys: &Keys, section: Section) -> Vec<String> {
        let values = self.values.iter().filter(|(key, _)| keys.section(key) == Ok(section));
        keys.line(values.map(|(key, value)| (key.as_str(), value.values.as_slice())))
    }

    /// Returns the values of a key, set or default. That of `filter` has the named ones.
    fn effective(&self, keys: &Keys, key: &str) -> Vec<String> {
        let values = match key {
            FILTER => self.filter(),
            _ => self.values.get(key).map_or_else(|| keys.default(key), |value| value.values.clone()),
        };
        // A switch that is off equals one that is not set.
        if keys.takes(key).is_switch() && values == ["false"] { Vec::new() } else { values }
    }

    /// Returns the keys that have different values in `other`.
    pub fn difference(&self, keys: &Keys, other: &ServiceSettings) -> Difference {
        let mut names: Vec<&str> =
            self.values.keys().chain(other.values.keys()).map(String::as_str).chain([FILTER]).collect();
        names.sort_unstable();
        names.dedup();
        // Another process reads those of `scapd ship`.
        let is_ours = |key: &&str| keys.section(key) != Ok(Section::Ship);
        let changed = names.into_iter().filter(is_ours);
        let changed = changed.filter(|key| self.effective(keys, key) != other.effective(keys, key));
        let (live, restart) = changed.map(str::to_owned).partition(|key| Keys::is_live(key));
        Difference { live, restart }
    }

    /// Returns this configuration with the values that `other` has for `keys`.
    pub fn adopting(&self, other: &ServiceSettings, keys: &[String]) -> ServiceSettings {
        let mut adopted = self.clone();
        for key in keys {
            if key == FILTER {
                adopted.filters.clone_from(&other.filters);
            }
            match other.values.get(key) {
                Some(value) => adopted.values.insert(key.clone(), value.clone()),
                None => adopted.values.remove(key),
            };
        }
        adopted
    }

    /// Returns the whole configuration as TOML, with the file and position of each value that a file sets.
    pub fn to_toml(&self, keys: &Keys) -> String {
        let mut text = String::new();
        for section in Section::ALL {
            let _ = writeln!(text, "{}{section}", if text.is_empty() { "" } else { "\n" });
            for (key, _) in keys.all().filter(|(_, of)| *of == section) {
                text.push_str(&self.line(keys, key));
            }
        }
        let _ = writeln!(text, "\n[{FILTERS}]");
        for (name, value) in &self.filters {
            let quoted = |text: &str| toml::Value::from(text).to_string();
            let filter = value.values.first().map(String::as_str).unwrap_or_default();
            let place = value.place.as_ref().map(|place| format!(" # {place}")).unwrap_or_default();
            let _ = writeln!(text, "{} = {}{place}", quoted(name), quoted(filter));
        }
        text
    }

    fn line(&self, keys: &Keys, key: &str) -> String {
        let own = |value: &Value| value.values.clone();
        let values = match key {
            FILTER => self.values.get(key).map(own).unwrap_or_default(),
            _ => self.effective(keys, key),
        };
        let quoted = |value: &String| toml::Value::from(value.as_str()).to_string();
        let value = match (keys.takes(key), values.as_slice()) {
            (takes, values) if takes.is_switch() => (!values.is_empty()).to_string(),
            (_, []) => return format!("#{key} =\n"),
            (Takes::Many, values) => {
                format!("[{}]", values.iter().map(quoted).collect::<Vec<_>>().join(", "))
            }
            (_, [value, ..]) => quoted(value),
        };
        match self.values.get(key).and_then(|value| value.place.as_ref()) {
            Some(place) => format!("{key} = {value} # {place}\n"),
            None => format!("{key} = {value}\n"),
        }
    }
}

/// Reads a file that a key names. Only regular files are opened.
///
/// # Errors
/// If it is not one, is too large or not UTF-8, and errors of open(2) and read(2).
pub fn read_file(path: &Path) -> io::Result<String> {
    files::open(path).and_then(files::read)
}

fn check(keys: &Keys, key: &str, values: &[String]) -> Result<(), String> {
    match keys.section(key) {
        Ok(Section::Ship) => Err("is a key of `scapd ship`: change it in the file".to_owned()),
        Ok(_) => keys.check(key, values),
        Err(NoKey::NotForAService(reason)) => Err(format!("is not a key: {reason}")),
        Err(NoKey::Unknown(Some(near))) => Err(format!("unknown key; did you mean `{near}`?")),
        Err(NoKey::Unknown(None)) => Err("unknown key".to_owned()),
    }
}

fn unreadable_file(path: &Path, error: &io::Error) -> Mistake {
    let what = match error.kind() {
        ErrorKind::NotFound => "there is no such file; name another with --config".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    Mistake { place: Some(SourcePosition::file(path)), key: None, what }
}

#[cfg(test)]
mod tests;
