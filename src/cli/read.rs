//! The options of `scapd read`.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, CommandFactory, builder::RangedI64ValueParser, error::ErrorKind, value_parser};

use super::{Cli, form::FormArgs};
use crate::{
    output::Target,
    read::{self, Span, When},
    units::parse_size,
};
use scap::{
    fields::Fields,
    filter::Filter,
    select::{self, EventSet},
};

/// Uses of `scapd read`, for its help.
const EXAMPLES: &str = "\
Examples:
  scapd read a.scap 'evt.type = openat and evt.latency > 1ms'   opens that were slow
  scapd read a.scap -t d --syscalls connect,accept              how long calls took
  scapd read a.scap -p '%proc.name %evt.type'                   fields in a format; * at its start: also without value
  scapd read a.scap --csv -o evt.num,proc.name,evt.latency      a table
  scapd read a.scap -X 'evt.type in (read, write)'              data, in hexadecimal and ASCII";

/// More threads than that have more to do with the state than with the rest.
const MAX_JOBS: i64 = 256;

/// `scapd read`.
#[derive(Debug, Args)]
#[command(override_usage = "scapd read [OPTIONS] <FILE>... [FILTER]", after_help = EXAMPLES)]
pub struct ReadArgs {
    /// Captures to read, plain or compressed (gzip, xz, zstd, bzip2, lz4), and folders of captures; - for stdin.
    /// Several are read in the order of their times. What follows and is no file is a filter in the language of sysdig
    /// and Falco: proc.name = cat and evt.latency > 1ms
    #[arg(required_unless_present = "format", value_name = "FILE")]
    words: Vec<OsString>,
    #[command(flatten)]
    chosen: ChosenArgs,
    /// Stop at the first event after a time
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    to: Option<When>,
    /// Wait for more at the end of a capture that is being written, and for new captures in a folder
    #[arg(long)]
    follow: bool,
    /// Write the events to this capture instead, with what their names need; - for stdout. The capture has the state at its
    /// start, and the losses of its source; an existing file is replaced when the new one is complete
    #[arg(short = 'w', long = "write", value_name = "OUT", conflicts_with_all = ["json", "format", "fields", "calls"])]
    pub write: Option<PathBuf>,
    /// Compress the capture with gzip; also done for a name that ends in .gz
    #[arg(short = 'z', long, requires = "write")]
    pub gzip: bool,
    #[command(flatten)]
    form: FormArgs,
    /// Share the work among this many threads; 0: one for each CPU. The output is the same. Every thread keeps the state of
    /// the machine, and unpacks compressed captures. One thread is used for --calls, --write, --follow, -t D, and pipes
    #[arg(short, long, value_name = "JOBS", default_value_t = 1, value_parser = jobs())]
    pub jobs: u16,
}

/// Which events of captures are read.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct ChosenArgs {
    /// Only the events that match this filter; for one that has the name of a file
    #[arg(short = 'f', long, value_name = "FILTER")]
    filter: Option<String>,
    /// Leave out the events before a time: 90s or 1m30s after the first event, 14:03:05, 2026-11-27T14:03:05. Files of a
    /// series that end before it are not read, and their events not numbered
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    from: Option<When>,
    /// Stop after this many events
    #[arg(short = 'n', long = "count", value_name = "EVENTS")]
    count: Option<u64>,
    /// Only these events: names of system calls and of other events (procexit, switch, ...), !name to exclude, %class,
    /// /regex, ?name to ignore an unknown name
    #[arg(long, value_name = "LIST", value_parser = select::parse_events)]
    syscalls: Option<EventSet>,
    /// Only the events of these processes
    #[arg(long = "pid", value_name = "PID", value_delimiter = ',')]
    pids: Vec<u64>,
    /// Also events that were recorded only to keep names right, and internal events (procinfo, drop, ...)
    #[arg(long)]
    all: bool,
    /// Limit the memory for the capture's threads, descriptors and users [default: 1G; of a compressed file, 64M plus 32
    /// bytes for each byte of the file, up to 1G]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_state: Option<u64>,
}

impl ChosenArgs {
    /// Returns what to read for the subcommand of this name: its words are files, then a filter. `to` is the time to
    /// stop at, which has another name in some of them.
    ///
    /// # Errors
    /// If the filter is wrong, or a file does not exist.
    pub(super) fn resolve(
        self,
        subcommand: &str,
        words: Vec<OsString>,
        to: Option<When>,
    ) -> Result<read::ReadArgs, clap::Error> {
        let (files, words) = divide(words);
        if self.filter.is_some() && !words.is_empty() {
            return Err(usage(subcommand, format!("a filter both as --filter and as arguments ({words})")));
        }
        let text = self.filter.or_else(|| (!words.is_empty()).then_some(words));
        let filter = text.map(|text| filter_of(&text).map_err(|mistake| usage(subcommand, mistake)));
        Ok(read::ReadArgs {
            files,
            span: Span { from: self.from, to },
            wanted: read::Wanted {
                filter: filter.transpose()?,
                events: self.syscalls,
                pids: self.pids,
                all: self.all,
            },
            limit: self.count,
            max_state: self.max_state,
            ..read::ReadArgs::default()
        })
    }
}

impl ReadArgs {
    /// Returns the format of the default lines, if it is asked for instead of events.
    pub fn shown_format(&self) -> Option<&'static str> {
        self.form.shown_format()
    }

    /// Returns what to read, and how to show it.
    ///
    /// # Errors
    /// If the filter is wrong, or a file does not exist.
    pub fn resolve(self) -> Result<read::ReadArgs, clap::Error> {
        if self.words.is_empty() {
            return Err(usage("read", "<FILE>... is missing: the captures to read".into()));
        }
        let reading = self.chosen.resolve("read", self.words, self.to)?;
        Ok(read::ReadArgs {
            follow: self.follow.then(Arc::default),
            form: self.form.into(),
            jobs: self.jobs,
            progress: self.write.is_some() && !self.follow,
            slice: self.write.map(|path| slice_to(path, self.gzip)),
            ..reading
        })
    }
}

/// Returns the parser of `--jobs`.
pub(super) fn jobs() -> RangedI64ValueParser<u16> {
    value_parser!(u16).range(..=MAX_JOBS)
}

/// Returns where a slice goes.
fn slice_to(path: PathBuf, gzip: bool) -> read::SliceTo {
    let compress = gzip || path.extension().is_some_and(|extension| extension == "gz");
    read::SliceTo { target: Target::from_arg(path), compress }
}

/// Divides the arguments into files and the words of a filter, joined by blanks. The first one is a file, and so are
/// those behind it that exist.
pub(super) fn divide(words: Vec<OsString>) -> (Vec<PathBuf>, String) {
    let is_file = |word: &OsString| word == "-" || Path::new(word).exists();
    let files = 1 + words.iter().skip(1).take_while(|word| is_file(word)).count();
    let filter: Vec<_> = words.iter().skip(files).map(|word| word.to_string_lossy()).collect();
    (words.iter().take(files).map(PathBuf::from).collect(), filter.join(" "))
}

/// Parses a filter.
///
/// # Errors
/// A message with the mistake's place.
pub(super) fn filter_of(text: &str) -> Result<Filter, String> {
    Filter::parse(text, &Fields).map_err(|mistake| {
        // A word alone is more likely a file that is missing.
        let is_file = !text.contains(char::is_whitespace) && (text.contains('/') || text.contains(".scap"));
        let hint =
            if is_file { format!("\n{text} is no file, so it is read as a filter") } else { String::new() };
        format!("invalid filter:\n{mistake}{hint}")
    })
}

/// Returns clap's error for arguments of a subcommand that it cannot check itself.
pub(super) fn usage(subcommand: &str, message: String) -> clap::Error {
    let mut cli = Cli::command();
    cli.build();
    let mut command = cli.find_subcommand(subcommand).cloned().unwrap_or(cli);
    command.error(ErrorKind::ValueValidation, message)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn the_examples_of_the_help_are_command_lines() {
        let lines = EXAMPLES.lines().filter_map(|line| line.trim().split_once("   "));
        let count = lines
            .map(|(command, _)| {
                let words = shlex::split(command).unwrap();
                let cli = Cli::try_parse_from(words).unwrap_or_else(|why| panic!("{command}: {why}"));
                let crate::cli::Command::Read(args) = cli.command else { panic!("{command}") };
                args.resolve().unwrap_or_else(|why| panic!("{command}: {why}"));
            })
            .count();
        assert_eq!(count, 5);
    }

    fn divided(words: &[&str]) -> (Vec<PathBuf>, String) {
        divide(words.iter().map(OsString::from).collect())
    }

    #[test]
    fn files_come_first_and_then_the_filter() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().to_str().unwrap();
        assert_eq!(divided(&["x"]), (vec!["x".into()], String::new()));
        assert_eq!(divided(&["x", "-", here]), (vec!["x".into(), "-".into(), here.into()], String::new()));
        let filter = divided(&[here, "proc.name=cat", "and", here]);
        assert_eq!(filter, (vec![here.into()], format!("proc.name=cat and {here}")));
    }

    #[test]
    fn a_file_that_is_missing_is_said() {
        let error = filter_of("/no/such.scap").unwrap_err();
        assert!(error.contains("/no/such.scap is no file"), "{error}");
        let error = filter_of("proc.nam = x").unwrap_err();
        assert!(error.contains("did you mean proc.name?") && !error.contains("no file"), "{error}");
    }
}
