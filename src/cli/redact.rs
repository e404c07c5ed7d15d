//! The options of redaction: a file of rules, and rules by themselves.

use std::{path::Path, sync::Arc};

use clap::{ArgMatches, Args, Command, FromArgMatches, error::ErrorKind};
use scap::redact::{RuleError, RuleKind, Rules};
use serde::Deserialize;
use toml::Spanned;

use crate::{
    daemon::config::{Section, SourcePosition, read_file},
    escape::shown,
};

const REDACTION: &str = Section::Redact.heading();

/// The options, as given.
#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
struct RedactArgs {
    /// Overwrite in arguments, environments, paths and data what the rules in this file find: names of options and variables,
    /// and regular expressions (see redact.toml)
    #[arg(long, value_name = "FILE", value_parser = read_rules, help_heading = REDACTION)]
    redact: Option<Texts>,
    /// Overwrite the value of this option of programs, such as --password or '--*-token'. Can be repeated, as the next two
    #[arg(long, value_name = "NAME", value_parser = option, allow_hyphen_values = true, help_heading = REDACTION)]
    redact_option: Vec<String>,
    /// Overwrite the value of this variable, in any case, such as 'AWS_SECRET_*'
    #[arg(long, value_name = "NAME", value_parser = variable, help_heading = REDACTION)]
    redact_variable: Vec<String>,
    /// Overwrite what this regular expression on bytes matches; if it has groups, what they match
    #[arg(long, value_name = "REGEX", value_parser = pattern, allow_hyphen_values = true, help_heading = REDACTION)]
    redact_pattern: Vec<String>,
}

/// The rules that the options make together; `None` if there are none.
#[derive(Debug, Clone, Default)]
pub(super) struct Redaction(pub Option<Arc<Rules>>);

impl Args for Redaction {
    fn augment_args(command: Command) -> Command {
        RedactArgs::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        RedactArgs::augment_args_for_update(command)
    }
}

impl FromArgMatches for Redaction {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Redaction, clap::Error> {
        let RedactArgs { redact, redact_option, redact_variable, redact_pattern } =
            RedactArgs::from_arg_matches(matches)?;
        let has_file = redact.is_some();
        let mut texts = redact.unwrap_or_default();
        texts.options.extend(redact_option);
        texts.variables.extend(redact_variable);
        texts.patterns.extend(redact_pattern);
        // A file without rules is one, too: the capture says that there were none.
        if !has_file && texts == Texts::default() {
            return Ok(Redaction(None));
        }
        // Each is right by itself, so this is about all of them: too many.
        let wrong = |e: RuleError| {
            let what = format!("the rules of redaction, together: {}\n", e.what);
            clap::Error::raw(ErrorKind::ValueValidation, what)
        };
        Ok(Redaction(Some(Arc::new(texts.rules().map_err(wrong)?))))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Redaction::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Rules as they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Texts {
    options: Vec<String>,
    variables: Vec<String>,
    patterns: Vec<String>,
}

impl Texts {
    fn rules(&self) -> Result<Rules, RuleError> {
        Rules::new(&self.options, &self.variables, &self.patterns)
    }

    /// Returns the text of a rule, if this one rule is right.
    fn check(self, text: &str) -> Result<String, String> {
        self.rules().map(|_| text.to_owned()).map_err(|e| e.what)
    }
}

fn option(text: &str) -> Result<String, String> {
    Texts { options: vec![text.to_owned()], ..Texts::default() }.check(text)
}

fn variable(text: &str) -> Result<String, String> {
    Texts { variables: vec![text.to_owned()], ..Texts::default() }.check(text)
}

fn pattern(text: &str) -> Result<String, String> {
    Texts { patterns: vec![text.to_owned()], ..Texts::default() }.check(text)
}

/// The contents of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RuleFile {
    options: Vec<Spanned<String>>,
    variables: Vec<Spanned<String>>,
    patterns: Vec<Spanned<String>>,
}

/// Reads the rules of a file; the error is the message.
fn read_rules(file: &str) -> Result<Texts, String> {
    let path = Path::new(file);
    let text = read_file(path).map_err(|e| format!("{} cannot be read: {e}", shown(path)))?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Texts, String> {
    let at = |start: usize| SourcePosition::of_byte(path, text, start);
    let file: RuleFile = toml::from_str(text)
        .map_err(|e| format!("{}: {}", at(e.span().map_or(0, |span| span.start)), e.message()))?;
    let strings =
        |list: &[Spanned<String>]| list.iter().map(|rule| rule.get_ref().clone()).collect::<Vec<_>>();
    let RuleFile { options, variables, patterns } = &file;
    let texts =
        Texts { options: strings(options), variables: strings(variables), patterns: strings(patterns) };
    match texts.rules() {
        Ok(_) => Ok(texts),
        Err(RuleError { kind, index, what }) => {
            let list = match kind {
                RuleKind::Option => options,
                RuleKind::Variable => variables,
                RuleKind::Pattern => patterns,
            };
            Err(format!("{}: {what}", at(list.get(index).map_or(0, |rule| rule.span().start))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../packaging/redact.toml");

    fn mistake(text: &str) -> String {
        parse(Path::new("r.toml"), text).unwrap_err()
    }

    #[test]
    fn the_example_is_right() {
        let rules = parse(Path::new("redact.toml"), EXAMPLE).unwrap().rules().unwrap();
        assert!(rules.counts().iter().all(|count| *count > 2), "{:?}", rules.counts());
    }

    #[test]
    fn a_mistake_has_its_place() {
        for (text, says) in [
            ("patterns = ['a', '(']", "r.toml:1:18: not a regular expression: unclosed group"),
            ("\noptions = ['']", "r.toml:2:12: not a name"),
            ("pattern = []", "r.toml:1:1: unknown field `pattern`"),
            ("patterns = [1]", "r.toml:1:13: invalid type: integer"),
            ("variables = ['A', 'x=y']", "r.toml:1:19: not a name"),
            ("options = ", "r.toml:1:"),
        ] {
            assert!(mistake(text).starts_with(says), "{text}: {}", mistake(text));
        }
        assert!(read_rules("/no/such/file").unwrap_err().starts_with("/no/such/file cannot be read: "));
        assert!(read_rules("/dev/zero").unwrap_err().contains("not a regular file"));
    }

    #[test]
    fn rules_of_a_file_and_of_options_are_taken_together() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rules.toml");
        std::fs::write(&file, "options = ['--password']\npatterns = ['a+']\n").unwrap();
        let of = |args: &[&str]| {
            let command = RedactArgs::augment_args(Command::new("x").no_binary_name(true));
            let matches = command.try_get_matches_from(args);
            let rules = matches.and_then(|matches| Redaction::from_arg_matches(&matches));
            rules.map(|Redaction(rules)| rules.map(|rules| rules.counts())).map_err(|e| e.to_string())
        };
        assert_eq!(of(&[]), Ok(None));
        let (file, empty) = (file.to_str().unwrap(), folder.path().join("empty.toml"));
        std::fs::write(&empty, "").unwrap();
        assert_eq!(of(&["--redact", empty.to_str().unwrap()]), Ok(Some([0; 3])));
        let both =
            ["--redact", file, "--redact-option", "--token", "--redact-variable=*_KEY", "--redact-option=-p"];
        assert_eq!(of(&both), Ok(Some([3, 1, 1])));
        assert_eq!(of(&["--redact-pattern", "-+"]), Ok(Some([0, 0, 1])));
        assert!(of(&["--redact-pattern", "("]).unwrap_err().contains("not a regular expression"));
        assert!(of(&["--redact-variable", "x=y"]).unwrap_err().contains("not a name"));
    }
}
