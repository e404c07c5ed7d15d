//! Renders a manual page from clap's definition of a command and the texts in [`pages`](super::pages).

use clap::{Command, CommandFactory};
use clap_mangen::{
    Man,
    roff::{Inline, Roff, bold, roman},
};

use super::{
    pages::{PAGES, Page},
    summaries::SUMMARIES,
};
use crate::{cli::Cli, exit};

/// Returns the file name and the text of each page.
pub(super) fn pages() -> Vec<(String, Vec<u8>)> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    add(&root, &mut pages);
    pages
}

/// Returns the texts of all pages.
fn texts() -> impl Iterator<Item = &'static Page> {
    PAGES.iter().chain(SUMMARIES)
}

/// Adds the pages of a command and its subcommands. (The root has an empty path.)
fn add(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let path = name.strip_prefix("scapd").unwrap_or(name).trim_start();
    let page = texts().find(|page| page.command == path);
    pages.push((format!("{}.1", name.replace(' ', "-")), render(command, page)));
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        add(command, pages);
    }
}

/// Renders a page. It writes to memory, which cannot fail.
fn render(command: &Command, page: Option<&Page>) -> Vec<u8> {
    let usage = command.clone().render_usage().to_string();
    let command = command
        .clone()
        .override_usage(usage.trim_start_matches("Usage: ").to_owned())
        // Headings of option groups would become sections of the page.
        .mut_args(|arg| arg.help_heading(None::<&str>));
    let has_commands = command.get_subcommands().any(|command| !command.is_hide_set());
    let man = Man::new(command)
        // No date, so that builds are reproducible. roff drops an empty argument.
        .date(" ")
        .source(concat!("scapd ", env!("CARGO_PKG_VERSION")))
        .manual("scapd, a system call recorder");
    let mut text = Vec::new();
    let rendered = man
        .render_title(&mut text)
        .and_then(|()| man.render_name_section(&mut text))
        .and_then(|()| man.render_synopsis_section(&mut text))
        .and_then(|()| man.render_description_section(&mut text))
        .and_then(|()| paragraphs(page).to_writer(&mut text))
        .and_then(|()| man.render_options_section(&mut text))
        .and_then(|()| if has_commands { man.render_subcommands_section(&mut text) } else { Ok(()) })
        .and_then(|()| page.map_or(Ok(()), |page| sections(page).to_writer(&mut text)));
    debug_assert!(rendered.is_ok());
    text
}

/// Returns the paragraphs after the first sentence of the description.
fn paragraphs(page: Option<&Page>) -> Roff {
    let mut roff = Roff::new();
    for text in page.into_iter().flat_map(|page| page.description) {
        roff.control("PP", []);
        roff.text(inline(text));
    }
    roff
}

/// Returns the sections after the options.
fn sections(page: &Page) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in exit::MEANINGS.iter().filter(|(code, _)| page.exit.contains(code)) {
        roff.control("TP", ["4"]);
        roff.text([bold(code.to_string())]);
        roff.text(inline(meaning));
    }
    items(&mut roff, "ENVIRONMENT", page.environment);
    items(&mut roff, "FILES", page.files);
    if !page.examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
    }
    for (command, meaning) in page.examples {
        roff.control("PP", []);
        roff.text(inline(meaning));
        roff.control("PP", []);
        roff.control("RS", ["4"]);
        roff.control("EX", []);
        roff.text([roman(*command)]);
        roff.control("EE", []);
        roff.control("RE", []);
    }
    roff.control("SH", ["SEE ALSO"]);
    for (i, name) in page.see_also.iter().enumerate() {
        let (name, section) = name.split_once('(').unwrap_or((name, "1)"));
        let comma = if i + 1 < page.see_also.len() { "," } else { "" };
        roff.control("BR", [name, &format!("({section}{comma}")]);
    }
    roff
}

/// Adds a section that explains names, if there are any.
fn items(roff: &mut Roff, heading: &str, items: &[(&str, &str)]) {
    if !items.is_empty() {
        roff.control("SH", [heading]);
    }
    for (name, meaning) in items {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text(inline(meaning));
    }
}

/// Makes text between backticks bold.
fn inline(text: &str) -> Vec<Inline> {
    text.split('`').enumerate().map(|(i, part)| if i % 2 == 0 { roman(part) } else { bold(part) }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser;

    use super::*;

    #[test]
    fn every_command_has_a_page_and_every_page_a_command() {
        let commands: BTreeSet<String> = pages().into_iter().map(|(name, _)| name).collect();
        let described: BTreeSet<String> = texts()
            .map(|page| format!("scapd {}", page.command).trim_end().replace(' ', "-") + ".1")
            .collect();
        assert_eq!(commands, described);
    }

    #[test]
    fn the_examples_are_command_lines() {
        for (example, _) in texts().flat_map(|page| page.examples) {
            let mut parsed = 0;
            for command in example.split('|').map(str::trim) {
                let words = shlex::split(command).unwrap_or_else(|| panic!("{example}"));
                if command.starts_with("scapd ") {
                    parsed += 1;
                    Cli::try_parse_from(words).unwrap_or_else(|e| panic!("{example}: {e}"));
                }
            }
            assert_ne!(parsed, 0, "{example}");
        }
    }

    #[test]
    fn a_page_says_what_clap_and_the_table_know() {
        let text = |wanted: &str| {
            let page = pages().into_iter().find(|(name, _)| name == wanted).map(|(_, text)| text);
            String::from_utf8(page.unwrap()).unwrap()
        };
        let record = text("scapd-record.1");
        for part in [
            ".SH NAME\nscapd\\-record \\- Record system calls to a file\n",
            "\\fB\\-\\-snaplen\\fR",
            "[default: 80]",
            ".TP 4\n\\fB7\\fR\n",
            ".SH EXAMPLES\n",
            ".BR scapd-read (1),\n",
        ] {
            assert!(record.contains(part), "{part:?} is not in\n{record}");
        }
        assert!(!record.contains("test\\-rate"), "a hidden option is in\n{record}");
        assert!(!text("scapd.1").contains("generate"), "a hidden command is in it");
    }

    #[test]
    fn backticks_are_bold() {
        assert_eq!(inline("a `b` c"), [roman("a "), bold("b"), roman(" c")]);
        assert!(texts().flat_map(|page| page.description).all(|text| text.matches('`').count() % 2 == 0));
    }
}
