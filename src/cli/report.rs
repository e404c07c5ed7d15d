//! The options of `scapd report`.

use std::{ffi::OsString, path::PathBuf};

use clap::Args;

use super::read::{divide, filter_of, usage};
use crate::{
    output::Target,
    read::{ReadArgs, Span, Wanted, When},
    report,
    units::parse_size,
};
use scap::select;

/// `scapd report`.
#[derive(Debug, Args)]
#[command(
    override_usage = "scapd report [OPTIONS] <FILE>... [FILTER] -o <OUT>",
    after_help = "The page needs no other file and no network. It has names, paths and arguments from the capture, and is readable by its \
    owner only."
)]
pub struct ReportArgs {
    /// Captures, and folders of captures; - for stdin. Several are read in the order of their times. What follows and is no
    /// file is a filter: a call counts if its exit event matches
    #[arg(required = true, value_name = "FILE")]
    words: Vec<OsString>,
    /// Write the page to this file; - for stdout. An existing file is replaced when the new one is complete
    #[arg(short = 'o', long = "output", visible_short_alias = 'w', value_name = "OUT")]
    output: PathBuf,
    /// Count only what matches this filter; for one that has the name of a file
    #[arg(short = 'f', long, value_name = "FILTER")]
    filter: Option<String>,
    /// Leave out the events before a time: 90s or 1m30s after the first event, 14:03:05, 2026-11-27T14:03:05
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Stop at the first event after a time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Count only these system calls and other events, as in `scapd read`
    #[arg(long, value_name = "LIST")]
    syscalls: Option<String>,
    /// Also count events that were recorded only to keep names right
    #[arg(long)]
    all: bool,
    /// Limit the memory for the capture's threads, descriptors and users, and that for the groups [default: 1G]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_state: Option<u64>,
}

impl ReportArgs {
    /// Returns what to read, and where the page goes.
    ///
    /// # Errors
    /// If the filter, a list or a time is wrong, or a file does not exist.
    pub fn resolve(self) -> Result<report::ReportArgs, clap::Error> {
        let wrong = |message| usage("report", message);
        let (files, words) = divide(self.words);
        if self.filter.is_some() && !words.is_empty() {
            return Err(wrong(format!("a filter both as --filter and as arguments ({words})")));
        }
        let text = self.filter.or_else(|| (!words.is_empty()).then_some(words));
        let filter = text.as_deref().map(filter_of).transpose().map_err(wrong)?;
        let events = self.syscalls.as_deref().map(select::parse_events).transpose();
        let events = events.map_err(|why| wrong(format!("--syscalls: {why}")))?;
        let time = |name: &str, text: &Option<String>| {
            let time = text.as_deref().map(When::parse).transpose();
            time.map_err(|why| wrong(format!("{name}: {why}")))
        };
        let span = Span { from: time("--from", &self.from)?, to: time("--to", &self.to)? };
        let mut command = vec!["scapd".to_owned(), "top".to_owned()];
        command.extend(files.iter().map(|file| file.to_string_lossy().into_owned()));
        let options = [("--filter", &text), ("--syscalls", &self.syscalls)];
        for (name, value) in options.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            command.extend([name.to_owned(), value.clone()]);
        }
        command.extend(self.all.then(|| "--all".to_owned()));
        // A word with a NUL cannot come from a command line.
        let command = shlex::try_join(command.iter().map(String::as_str)).unwrap_or_default();
        Ok(report::ReportArgs {
            read: ReadArgs {
                files,
                span,
                wanted: Wanted { filter, events, all: self.all, ..Wanted::default() },
                max_state: self.max_state,
                ..ReadArgs::default()
            },
            target: Target::from_arg(self.output),
            filter: text,
            from: self.from,
            to: self.to,
            command,
            signal: None,
        })
    }
}
