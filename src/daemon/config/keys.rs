//! The keys of a configuration: the long flags of `scapd record`, so that both share one list, one syntax of values,
//! and one set of error messages.

use std::fmt;

use crate::{
    daemon::{Serving, control},
    record,
};
use scap::select::suggest;

/// Flags that are not keys, each with the reason.
const NOT_FOR_A_SERVICE: [(&str, &str); 6] = [
    ("all", "a service runs no command"),
    ("count", "a service records until it is stopped"),
    ("duration", "a service records until it is stopped"),
    ("explain", "a service records"),
    ("json", "a service records"),
    ("quiet", "a service has no progress to show"),
];

/// The defaults of a service that differ from those of `scapd record`.
pub(super) const DEFAULTS: &[(&str, &str)] = &[
    ("events", "exit"),
    ("write", "/var/lib/scapd/scapd-%Y%m%d-%H%M%S.scap"),
    ("rotate-size", "256M"),
    ("rotate-time", "1h"),
    ("keep-bytes", "10G"),
    ("keep-free", "10%"),
    ("control", control::SOCKET),
];

/// Keys that can be changed while recording; the others need a restart.
const LIVE: &[&str] = &[
    "drop-failed",
    "dynamic-snaplen",
    "extensions",
    "filter",
    "full-capture-ports",
    "keep-age",
    "keep-bytes",
    "keep-files",
    "keep-free",
    "only",
    "sample",
    "snaplen",
    "statsd-port",
    "syscalls",
];

/// Keys that may also stand in the section in which they were before 0.8.
const MOVED: &[(&str, Section)] = &[("redact", Section::Record)];

/// The key of the filter, and the section of the named filters that are joined with it.
pub(super) const FILTER: &str = "filter";
pub(super) const FILTERS: &str = "filters";

/// A section of a configuration file whose keys are flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// `[record]`: what to record, and how.
    Record,
    /// `[redact]`: what is overwritten before it is written.
    Redact,
    /// `[files]`: where to write it, and how long to keep it.
    Files,
    /// `[flight]`: the last events, which are kept in memory, and when they are written.
    Flight,
    /// `[metrics]`: metrics for Prometheus.
    Metrics,
    /// `[control]`: requests of `scapd ctl`.
    Control,
    /// `[ship]`: what `scapd ship` does, which is a process of its own.
    Ship,
}

impl Section {
    /// Every section.
    pub const ALL: [Section; 7] = [
        Section::Record,
        Section::Redact,
        Section::Files,
        Section::Flight,
        Section::Metrics,
        Section::Control,
        Section::Ship,
    ];

    /// Returns its name, without the brackets.
    pub const fn name(self) -> &'static str {
        match self {
            Section::Record => "record",
            Section::Redact => "redact",
            Section::Files => "files",
            Section::Flight => "flight",
            Section::Metrics => "metrics",
            Section::Control => "control",
            Section::Ship => "ship",
        }
    }

    /// Returns the heading of its options in the help text.
    pub const fn heading(self) -> &'static str {
        match self {
            Section::Record => "Options",
            Section::Redact => "Redaction",
            Section::Files => "Files",
            Section::Flight => "Flight recorder",
            Section::Metrics => "Metrics",
            Section::Control => "Control",
            Section::Ship => "Ship",
        }
    }

    /// Returns the section of that name.
    pub fn by_name(name: &str) -> Option<Section> {
        Section::ALL.into_iter().find(|section| section.name() == name)
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.name())
    }
}

/// The error for a switch whose value is not a boolean.
pub(super) const NEEDS_BOOL: &str = "needs true or false";

/// The kind of value that a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// `true` or `false`.
    Switch,
    /// The same, `true` by default: the flag is `--no-NAME`.
    SwitchOff,
    /// One value.
    One,
    /// One value or an array, which is joined with commas.
    List,
    /// One value or an array, of which each element repeats the flag.
    Many,
}

impl Takes {
    /// Returns whether the value is `true` or `false`.
    pub const fn is_switch(self) -> bool {
        matches!(self, Takes::Switch | Takes::SwitchOff)
    }
}

/// A long flag of `scapd record`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Its name, without the dashes; that of a [`Takes::SwitchOff`], without `no-`.
    pub name: String,
    /// The section that it belongs to.
    pub section: Section,
    /// The kind of value that it takes.
    pub takes: Takes,
    /// Its default values.
    pub default: Vec<String>,
    /// Whether help texts leave it out.
    pub hidden: bool,
}

/// What the flags of a command line ask for.
#[derive(Debug)]
pub struct Wanted {
    /// The recording.
    pub recording: record::Config,
    /// What it serves meanwhile.
    pub serving: Serving,
}

/// Why flags are wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagError {
    /// The flag, if it concerns one.
    pub key: Option<String>,
    /// The message.
    pub what: String,
    /// Whether the values are right, and only do not fit other flags.
    pub is_dependency: bool,
}

/// The definition of the flags of `scapd record`.
pub trait Flags: fmt::Debug + Send + Sync {
    /// Returns all flags, in the order of the help text.
    fn all(&self) -> Vec<Flag>;

    /// Parses flags, each in the form `--name` or `--name=value`.
    ///
    /// # Errors
    /// The first wrong flag.
    fn parse(&self, line: Vec<String>) -> Result<Wanted, FlagError>;
}

/// All keys: the flags of `scapd record`, without those that a service does not take, and those of `scapd ship`.
#[derive(Debug)]
pub struct Keys {
    flags: Box<dyn Flags>,
    list: Vec<Flag>,
}

/// Why a name is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey<'a> {
    /// A flag that a service does not take, with the reason.
    NotForAService(&'static str),
    /// An unknown name, with the most similar key.
    Unknown(Option<&'a str>),
}

impl Keys {
    /// Makes the keys from the flags.
    pub fn new(flags: impl Flags + 'static) -> Keys {
        let mut list = flags.all();
        list.retain(|flag| reason_against(&flag.name).is_none());
        Keys { flags: Box::new(flags), list }
    }

    /// Returns the keys with their sections, in the order of `scapd record --help`, without hidden ones.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, Section)> {
        self.list.iter().filter(|flag| !flag.hidden).map(|flag| (flag.name.as_str(), flag.section))
    }

    fn flag(&self, key: &str) -> Option<&Flag> {
        self.list.iter().find(|flag| flag.name == key)
    }

    /// Returns the section of a key.
    pub(super) fn section(&self, key: &str) -> Result<Section, NoKey<'_>> {
        match (self.flag(key), reason_against(key)) {
            (Some(flag), _) => Ok(flag.section),
            (None, Some(reason)) => Err(NoKey::NotForAService(reason)),
            (None, None) => Err(NoKey::Unknown(suggest(key, self.all().map(|(name, _)| name)))),
        }
    }

    /// Returns whether a key may stand in a section.
    pub(super) fn belongs(&self, key: &str, section: Section) -> bool {
        self.section(key) == Ok(section) || MOVED.contains(&(key, section))
    }

    /// Returns whether the values of a key in several files are taken together; else those of the last file are taken. So what
    /// one file has overwritten, no other one leaves in.
    pub(super) fn is_joined(&self, key: &str) -> bool {
        self.section(key) == Ok(Section::Redact) && self.takes(key) == Takes::Many
    }

    /// Returns the kind of value that a key takes.
    pub(super) fn takes(&self, key: &str) -> Takes {
        self.flag(key).map_or(Takes::One, |flag| flag.takes)
    }

    /// Returns the default values of a key.
    pub(super) fn default(&self, key: &str) -> Vec<String> {
        match DEFAULTS.iter().find(|(name, _)| *name == key) {
            Some((_, value)) => vec![(*value).to_owned()],
            None => self.flag(key).map(|flag| flag.default.clone()).unwrap_or_default(),
        }
    }

    /// Returns whether a key can be changed without a restart.
    pub(super) fn is_live(key: &str) -> bool {
        LIVE.contains(&key)
    }

    /// Checks the values of one key; the error is the message.
    pub(super) fn check(&self, key: &str, values: &[String]) -> Result<(), String> {
        if self.takes(key).is_switch() && values.iter().any(|value| value != "true" && value != "false") {
            return Err(NEEDS_BOOL.to_owned());
        }
        match self.parse([(key, values)]) {
            // Dependencies between keys are checked once all are known.
            Err(error) if !error.is_dependency => Err(error.what),
            _ => Ok(()),
        }
    }

    /// Returns what these values ask for.
    pub(super) fn parse<'a>(
        &self,
        values: impl IntoIterator<Item = (&'a str, &'a [String])>,
    ) -> Result<Wanted, FlagError> {
        self.flags.parse(self.line(values))
    }

    /// Returns these values as flags of a command line.
    pub(super) fn line<'a>(&self, values: impl IntoIterator<Item = (&'a str, &'a [String])>) -> Vec<String> {
        let mut line = Vec::new();
        for (key, values) in values {
            let given = |set: &'static str| values.iter().filter(move |value| *value == set);
            match self.takes(key) {
                Takes::Switch => line.extend(given("true").map(|_| format!("--{key}"))),
                Takes::SwitchOff => line.extend(given("false").map(|_| format!("--no-{key}"))),
                _ => line.extend(values.iter().map(|value| format!("--{key}={value}"))),
            }
        }
        line
    }
}

fn reason_against(key: &str) -> Option<&'static str> {
    NOT_FOR_A_SERVICE.iter().find(|(name, _)| *name == key).map(|(_, reason)| *reason)
}
