//! The options of `scapd export`.

use std::{ffi::OsString, path::PathBuf};

use clap::Args;

use super::{choice::choice, read::ChosenArgs, top::parse_keys};
use crate::{
    choice::Choice,
    export::{self, ExportForm, StackValue},
    output::Target,
    read::{ReadArgs, When},
};
use scap::summary::Keys;

/// `scapd export`.
#[derive(Debug, Args)]
#[command(override_usage = "scapd export [OPTIONS] --to FORM -o PATH <FILE>... [FILTER]")]
pub struct ExportArgs {
    /// Captures to export, and folders of captures; - for stdin. Several are read in the order of their times. What follows
    /// and is no file is a filter: only the events that match it are exported
    #[arg(required = true, value_name = "FILE")]
    words: Vec<OsString>,
    /// What to export to
    #[arg(long, value_name = "FORM", value_parser = choice::<ExportForm>(), hide_possible_values = false)]
    to: ExportForm,
    /// Write to this folder (parquet) or file, which must not exist; - for stdout
    #[arg(short = 'o', long = "output", value_name = "PATH")]
    output: PathBuf,
    /// The width of stacks (folded, svg)
    #[arg(long, value_name = "WHAT", value_parser = choice::<StackValue>(), default_value = StackValue::default().name())]
    value: StackValue,
    /// What stacks have below their processes (folded, svg): keys of scapd top, such as call,file
    #[arg(long, value_name = "KEY,...", value_parser = parse_keys, default_value = "call")]
    by: Keys,
    /// Stop at the first event after a time
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    until: Option<When>,
    #[command(flatten)]
    chosen: ChosenArgs,
}

impl ExportArgs {
    /// Returns what to export.
    ///
    /// # Errors
    /// If the filter is wrong, or a file does not exist.
    pub fn resolve(self) -> Result<export::ExportArgs, clap::Error> {
        let reading = self.chosen.resolve("export", self.words, self.until)?;
        Ok(export::ExportArgs {
            reading: ReadArgs { progress: true, ..reading },
            form: self.to,
            target: Target::from_arg(self.output),
            value: self.value,
            keys: self.by,
        })
    }
}
