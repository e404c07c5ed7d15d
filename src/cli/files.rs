//! The options of a recording that is split into files.

use std::time::Duration;

use clap::Args;

use super::choice::choice;
use crate::{
    choice::Choice,
    daemon::config::Section,
    output::{Free, Hook, OnError, Retention, Rotation, Series},
    units::{parse_duration, parse_size},
};

/// The heading of these options.
pub(super) const FILES: &str = Section::Files.heading();
/// The unit of a bare number in `-C`, as in sysdig and tcpdump.
const MILLION: u64 = 1_000_000;

/// How a recording is split into files. Any of these options turns it into a series of files and `-w` into a pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct FilesArgs {
    /// Start a new file before the current one exceeds this size, e.g. 100M, 1G; a bare number is in millions of bytes
    #[arg(short = 'C', long, value_name = "SIZE", value_parser = parse_file_size, help_heading = FILES)]
    rotate_size: Option<u64>,
    /// Start a new file after this time, e.g. 30s, 5m, 1h; a bare number is in seconds
    #[arg(short = 'G', long, value_name = "TIME", value_parser = parse_duration, help_heading = FILES)]
    rotate_time: Option<Duration>,
    /// Align -G to the wall clock: with -G 1h, start each file on the hour, local time
    #[arg(long, requires = "rotate_time", help_heading = FILES)]
    align: bool,
    /// Start a new file after this many events, including events that only keep names right
    #[arg(short = 'e', long, value_name = "EVENTS", help_heading = FILES,
          value_parser = clap::value_parser!(u64).range(1..))]
    rotate_events: Option<u64>,
    /// Keep this many files, including the current one, and delete the oldest
    #[arg(short = 'W', long, value_name = "FILES", help_heading = FILES,
          value_parser = clap::value_parser!(u64).range(1..))]
    keep_files: Option<u64>,
    /// Limit the total size of the files, and delete the oldest
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = FILES)]
    keep_bytes: Option<u64>,
    /// Delete files this long after they were closed
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = FILES)]
    keep_age: Option<Duration>,
    /// Keep this much of the disk free, e.g. 5G, 10%: delete the oldest files, and pause if that is not enough
    #[arg(long, value_name = "SIZE|PERCENT", help_heading = FILES)]
    keep_free: Option<Free>,
    /// Write FILE.json next to each closed file, with its event and loss counts, times and SHA-256
    #[arg(long, help_heading = FILES)]
    write_manifest: bool,
    /// Run this for each closed file, without a shell; the path is the last argument and $SCAPD_FILE
    #[arg(long, value_name = "COMMAND", help_heading = FILES)]
    on_close: Option<Hook>,
    /// What to do when a file cannot be written
    #[arg(long, value_name = "WHAT", value_parser = choice::<OnError>(),
          default_value = OnError::default().name(), help_heading = FILES)]
    on_write_error: OnError,
}

impl FilesArgs {
    /// Returns the series, or `None` for a single file.
    pub fn series(self) -> Option<Series> {
        if self == FilesArgs::default() {
            return None;
        }
        Some(Series {
            rotation: Rotation {
                size: self.rotate_size,
                period: self.rotate_time,
                align: self.align,
                events: self.rotate_events,
            },
            retention: Retention {
                files: self.keep_files,
                bytes: self.keep_bytes,
                age: self.keep_age,
                free: self.keep_free,
            },
            manifest: self.write_manifest,
            on_close: self.on_close,
            on_error: self.on_write_error,
            ..Series::default()
        })
    }
}

fn parse_file_size(text: &str) -> Result<u64, String> {
    let bytes = match text.parse::<u64>() {
        Ok(millions) => millions.checked_mul(MILLION).ok_or_else(|| "too large".to_owned())?,
        Err(_) => parse_size(text)?,
    };
    if bytes == 0 { Err("a file cannot be that small".to_owned()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        files: FilesArgs,
    }

    fn series(line: &str) -> Option<Series> {
        let args = std::iter::once("x").chain(line.split_whitespace());
        Alone::try_parse_from(args).map(|alone| alone.files.series()).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn without_options_there_is_one_file() {
        assert_eq!(series(""), None);
        assert_eq!(series("-W 3").unwrap().retention.files, Some(3));
        assert_eq!(series("--on-write-error fail").unwrap().on_error, OnError::Fail);
    }

    #[test]
    fn sizes_are_bytes_with_a_unit_and_millions_without() {
        let size = |text: &str| series(&format!("-C {text}")).unwrap().rotation.size;
        assert_eq!((size("100M"), size("3")), (Some(100 << 20), Some(3_000_000)));
        assert!(parse_file_size("0").is_err() && parse_file_size("18446744073709551615").is_err());
    }

    #[test]
    fn times() {
        let rotation = series("-G 1h --align -e 5").unwrap().rotation;
        assert_eq!(rotation.period, Some(Duration::from_secs(3600)));
        assert!(rotation.align && rotation.events == Some(5));
        assert!(Alone::try_parse_from(["x", "--align"]).is_err());
    }
}
