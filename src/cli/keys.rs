//! The flags of `scapd record` and `scapd ship` as keys of a configuration.

use std::error::Error;

use clap::{
    Arg, ArgAction, Args, Command, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{
    RecordArgs,
    daemon::{ControlArgs, MetricsArgs},
    flight::FlightArgs,
    record::OutputArgs,
    redact::Redaction,
    ship::ShipKeys,
};
use crate::daemon::config::{Flag, FlagError, Flags, Keys, Section, Takes, Wanted};
use scap::select::suggest;

/// Returns the keys of a service's configuration.
pub fn keys() -> Keys {
    Keys::new(RecordFlags {
        command: ShipKeys::augment_args(RecordArgs::augment_args(
            Command::new("record").disable_help_flag(true),
        )),
    })
}

#[derive(Debug)]
struct RecordFlags {
    command: Command,
}

impl Flags for RecordFlags {
    fn all(&self) -> Vec<Flag> {
        self.command.get_arguments().filter_map(flag).collect()
    }

    fn parse(&self, line: Vec<String>) -> Result<Wanted, FlagError> {
        let line = std::iter::once("record".to_owned()).chain(line);
        let matches = self.command.clone().try_get_matches_from(line);
        let args = matches.and_then(|matches| RecordArgs::from_arg_matches(&matches));
        args.map(Wanted::from).map_err(|e| FlagError {
            key: key_of(&e),
            what: explain(&e),
            is_dependency: [ErrorKind::MissingRequiredArgument, ErrorKind::ArgumentConflict]
                .contains(&e.kind()),
        })
    }
}

/// Returns a long flag as a key.
fn flag(arg: &Arg) -> Option<Flag> {
    let named_list = arg.get_value_names().is_some_and(|names| names.iter().any(|name| name == "LIST"));
    let long = arg.get_long()?;
    let on = long.strip_prefix("no-");
    let takes = match arg.get_action() {
        ArgAction::SetTrue if on.is_some() => Takes::SwitchOff,
        ArgAction::SetTrue => Takes::Switch,
        _ if named_list || arg.get_value_delimiter().is_some() => Takes::List,
        ArgAction::Append => Takes::Many,
        _ => Takes::One,
    };
    let default = match takes {
        // clap reports "false" for a switch, which means no value here.
        Takes::Switch => Vec::new(),
        Takes::SwitchOff => vec!["true".to_owned()],
        _ => arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect(),
    };
    let name = on.filter(|_| takes == Takes::SwitchOff).unwrap_or(long).to_owned();
    Some(Flag { name, section: section(arg), takes, default, hidden: arg.is_hide_set() })
}

/// Returns the section of a flag: by the group of options that declares it.
fn section(arg: &Arg) -> Section {
    fn has<A: Args>(arg: &Arg) -> bool {
        A::augment_args(Command::new("")).get_arguments().any(|other| other.get_id() == arg.get_id())
    }
    match () {
        () if has::<OutputArgs>(arg) => Section::Files,
        () if has::<FlightArgs>(arg) => Section::Flight,
        () if has::<Redaction>(arg) => Section::Redact,
        () if has::<ControlArgs>(arg) => Section::Control,
        () if has::<MetricsArgs>(arg) => Section::Metrics,
        () if has::<ShipKeys>(arg) => Section::Ship,
        () => Section::Record,
    }
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
