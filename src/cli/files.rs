//! The command line of a recording into many files.

use std::time::Duration;

use clap::Args;

use crate::{
    output::{Free, Hook, OnError, Retention, Rotation, Series},
    units::{parse_duration, parse_size},
};

/// `-C` counts in millions of bytes, as those of sysdig and tcpdump do.
const MILLION: u64 = 1_000_000;

/// How a recording is divided into files. Any of these options makes it a series of files, for which `-w` is a pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct FilesArgs {
    /// Begin a new file before one exceeds this size, as 100M, 1G; a number alone is in millions of bytes
    #[arg(short = 'C', long, value_name = "SIZE", value_parser = parse_file_size, help_heading = "Files")]
    rotate_size: Option<u64>,
    /// Begin a new file after this time, as 30s, 5m, 1h; a number alone is in seconds
    #[arg(short = 'G', long, value_name = "TIME", value_parser = parse_duration, help_heading = "Files")]
    rotate_time: Option<Duration>,
    /// Begin it by the clock: with -G 1h at the full hour, local time
    #[arg(long, requires = "rotate_time", help_heading = "Files")]
    align: bool,
    /// Begin a new file after this many events, those that keep names right among them
    #[arg(short = 'e', long, value_name = "EVENTS", help_heading = "Files",
          value_parser = clap::value_parser!(u64).range(1..))]
    rotate_events: Option<u64>,
    /// Keep this many files, the one that is written among them, and delete the oldest
    #[arg(short = 'W', long, value_name = "FILES", help_heading = "Files",
          value_parser = clap::value_parser!(u64).range(1..))]
    keep_files: Option<u64>,
    /// Keep this many bytes of files together
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Files")]
    keep_bytes: Option<u64>,
    /// Keep files for this long after they were closed
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Files")]
    keep_age: Option<Duration>,
    /// Keep so much of the disk free, as 5G, 10%: deletes the oldest files, and pauses if that is not enough
    #[arg(long, value_name = "SIZE|PERCENT", help_heading = "Files")]
    keep_free: Option<Free>,
    /// Write FILE.json beside each closed file: its events, losses, time, and sha256
    #[arg(long, help_heading = "Files")]
    write_manifest: bool,
    /// Run this for each closed file, without a shell, with the path as last argument and as $SCAPD_FILE
    #[arg(long, value_name = "COMMAND", help_heading = "Files")]
    on_close: Option<Hook>,
    /// What to do when a file cannot be written
    #[arg(long, value_name = "WHAT", value_enum, default_value_t, help_heading = "Files")]
    on_write_error: OnError,
}

impl FilesArgs {
    /// The series; `None` if it is to be a single file.
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
    if bytes == 0 { Err("no file is that small".to_owned()) } else { Ok(bytes) }
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
