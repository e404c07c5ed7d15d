//! The file of `--redact`.

use std::{path::Path, sync::Arc};

use scap::redact::{RuleError, RuleKind, Rules};
use serde::Deserialize;
use toml::Spanned;

use crate::{
    daemon::config::{SourcePosition, read_file},
    escape::shown,
};

/// The contents of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RuleFile {
    options: Vec<Spanned<String>>,
    variables: Vec<Spanned<String>>,
    patterns: Vec<Spanned<String>>,
}

/// Reads the rules of a file; the error is the message.
pub(super) fn rules_of(file: &str) -> Result<Arc<Rules>, String> {
    let path = Path::new(file);
    let text = read_file(path).map_err(|e| format!("{} cannot be read: {e}", shown(path)))?;
    parse(path, &text).map(Arc::new)
}

fn parse(path: &Path, text: &str) -> Result<Rules, String> {
    let at = |start: usize| SourcePosition::of_byte(path, text, start);
    let file: RuleFile = toml::from_str(text)
        .map_err(|e| format!("{}: {}", at(e.span().map_or(0, |span| span.start)), e.message()))?;
    let strings =
        |list: &[Spanned<String>]| list.iter().map(|rule| rule.get_ref().clone()).collect::<Vec<_>>();
    let RuleFile { options, variables, patterns } = &file;
    let rules = Rules::new(&strings(options), &strings(variables), &strings(patterns));
    rules.map_err(|RuleError { kind, index, what }| {
        let list = match kind {
            RuleKind::Option => options,
            RuleKind::Variable => variables,
            RuleKind::Pattern => patterns,
        };
        format!("{}: {what}", at(list.get(index).map_or(0, |rule| rule.span().start)))
    })
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
        let rules = parse(Path::new("redact.toml"), EXAMPLE).unwrap();
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
        assert!(rules_of("/no/such/file").unwrap_err().starts_with("/no/such/file cannot be read: "));
        assert!(rules_of("/dev/zero").unwrap_err().contains("not a regular file"));
    }
}
