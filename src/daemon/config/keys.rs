//! The keys of a configuration: the long flags of `scapd record`, so that both share one list, one syntax of values,
//! and one set of error messages.

use std::{error::Error, fmt};

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::cli::RecordArgs;
use scap::select::suggest;

/// Flags that are not keys, each with the reason.
const NOT_FOR_A_SERVICE: [(&str, &str); 4] = [
    ("all", "a service runs no command"),
    ("count", "a service records until it is stopped"),
    ("duration", "a service records until it is stopped"),
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
    ("control", crate::cli::SOCKET),
];

/// Keys that can be changed while recording; the others need a restart.
const LIVE: &[&str] = &[
    "drop-failed",
    "dynamic-snaplen",
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

/// A section of a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// `[record]`: what to record, and how.
    Record,
    /// `[files]`: where to write it, and how long to keep it.
    Files,
    /// `[metrics]`: metrics for Prometheus.
    Metrics,
    /// `[control]`: requests of `scapd ctl`.
    Control,
}

impl Section {
    /// Every section.
    pub const ALL: [Section; 4] = [Section::Record, Section::Files, Section::Metrics, Section::Control];

    /// Returns its name, without the brackets.
    pub fn name(self) -> &'static str {
        match self {
            Section::Record => "record",
            Section::Files => "files",
            Section::Metrics => "metrics",
            Section::Control => "control",
        }
    }

    /// Returns the section of that name.
    pub fn by_name(name: &str) -> Option<Section> {
        Section::ALL.into_iter().find(|section| section.name() == name)
    }

    /// Returns the section of a flag: the one named like its help heading, or else [`Section::Record`].
    fn of(arg: &Arg) -> Section {
        let heading = arg.get_help_heading().map(str::to_ascii_lowercase);
        heading.as_deref().and_then(Section::by_name).unwrap_or(Section::Record)
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
pub(super) enum Takes {
    /// `true` or `false`.
    Switch,
    /// One value.
    One,
    /// One value or an array, which is joined with commas.
    List,
    /// One value or an array, of which each element repeats the flag.
    Many,
}

/// All keys.
#[derive(Debug)]
pub(super) struct Keys {
    command: Command,
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
    pub(super) fn new() -> Keys {
        let command = RecordArgs::augment_args(Command::new("record").disable_help_flag(true));
        Keys { command }
    }

    fn args(&self) -> impl Iterator<Item = (&str, &Arg)> {
        let args = self.command.get_arguments();
        args.filter_map(|arg| Some((arg.get_long()?, arg))).filter(|(name, _)| reason_against(name).is_none())
    }

    /// Returns the keys with their sections, in the order of `scapd record --help`, without hidden ones.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, Section)> {
        self.args().filter(|(_, arg)| !arg.is_hide_set()).map(|(name, arg)| (name, Section::of(arg)))
    }

    fn arg(&self, key: &str) -> Option<&Arg> {
        self.args().find(|(name, _)| *name == key).map(|(_, arg)| arg)
    }

    /// Returns the section of a key.
    pub(super) fn section(&self, key: &str) -> Result<Section, NoKey<'_>> {
        match (self.arg(key), reason_against(key)) {
            (Some(arg), _) => Ok(Section::of(arg)),
            (None, Some(reason)) => Err(NoKey::NotForAService(reason)),
            (None, None) => Err(NoKey::Unknown(suggest(key, self.all().map(|(name, _)| name)))),
        }
    }

    /// Returns the kind of value that a key takes.
    pub(super) fn takes(&self, key: &str) -> Takes {
        let Some(arg) = self.arg(key) else { return Takes::One };
        let named_list = arg.get_value_names().is_some_and(|names| names.iter().any(|name| name == "LIST"));
        match arg.get_action() {
            ArgAction::SetTrue => Takes::Switch,
            _ if named_list || arg.get_value_delimiter().is_some() => Takes::List,
            ArgAction::Append => Takes::Many,
            _ => Takes::One,
        }
    }

    /// Returns the default values of a key.
    pub(super) fn default(&self, key: &str) -> Vec<String> {
        if let Some((_, value)) = DEFAULTS.iter().find(|(name, _)| *name == key) {
            return vec![(*value).to_owned()];
        }
        let values = self.arg(key).map(Arg::get_default_values).unwrap_or_default();
        let values = values.iter().map(|value| value.to_string_lossy().into_owned());
        // clap reports "false" for a switch, which means no value here.
        values.filter(|value| value != "false").collect()
    }

    /// Returns whether a key can be changed without a restart.
    pub(super) fn is_live(key: &str) -> bool {
        LIVE.contains(&key)
    }

    /// Checks the values of one key; the error is the message.
    pub(super) fn check(&self, key: &str, values: &[String]) -> Result<(), String> {
        if self.takes(key) == Takes::Switch && values.iter().any(|value| value != "true" && value != "false")
        {
            return Err(NEEDS_BOOL.to_owned());
        }
        let alone = self.matches([(key, values)]).map(drop);
        alone.or_else(|e| match e.kind() {
            // Dependencies between keys are checked once all are known.
            ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict => Ok(()),
            _ => Err(explain(&e)),
        })
    }

    /// Returns the flags for these values. An error consists of the key, if it concerns one, and the message.
    pub(super) fn parse<'a>(
        &self,
        values: impl IntoIterator<Item = (&'a str, &'a [String])>,
    ) -> Result<RecordArgs, (Option<String>, String)> {
        let matches = self.matches(values).and_then(|matches| RecordArgs::from_arg_matches(&matches));
        matches.map_err(|e| (key_of(&e), explain(&e)))
    }

    fn matches<'a>(
        &self,
        values: impl IntoIterator<Item = (&'a str, &'a [String])>,
    ) -> clap::error::Result<ArgMatches> {
        let mut line = vec!["record".to_owned()];
        for (key, values) in values {
            if self.takes(key) == Takes::Switch {
                line.extend(values.iter().filter(|value| *value == "true").map(|_| format!("--{key}")));
            } else {
                line.extend(values.iter().map(|value| format!("--{key}={value}")));
            }
        }
        self.command.clone().try_get_matches_from(line)
    }
}

fn reason_against(key: &str) -> Option<&'static str> {
    NOT_FOR_A_SERVICE.iter().find(|(name, _)| *name == key).map(|(_, reason)| *reason)
}

/// Returns the key that clap's error concerns.
fn key_of(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg) else { return None };
    let flag = arg.split_whitespace().find_map(|word| word.strip_prefix("--"))?;
    Some(flag.split(['=', '[']).next().unwrap_or(flag).to_owned())
}

/// Returns clap's message, without its references to a command line.
fn explain(error: &clap::Error) -> String {
    if let Some(source) = error.source() {
        return source.to_string();
    }
    if let (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(missing))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    {
        let flag = |arg: &String| arg.split_whitespace().next().unwrap_or(arg).trim_matches('-').to_owned();
        let missing: Vec<_> = missing.iter().map(flag).collect();
        return format!("`{}` is missing, but another key requires it", missing.join("`, `"));
    }
    let value = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => value.as_str(),
        _ => "",
    };
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(valid)) if value.is_empty() => {
            format!("needs one of {}", valid.join(", "))
        }
        Some(ContextValue::Strings(valid)) => match suggest(value, valid.iter().map(String::as_str)) {
            Some(near) => format!("`{value}` is not one of {}; did you mean `{near}`?", valid.join(", ")),
            None => format!("`{value}` is not one of {}", valid.join(", ")),
        },
        _ if error.get(ContextKind::InvalidValue).is_some() && value.is_empty() => "needs a value".to_owned(),
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).replace("argument ", "").replace('\'', "`")
        }
    }
}
