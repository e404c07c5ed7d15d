//! The options of `scapd diff`.

use std::{ffi::OsString, path::PathBuf, sync::Arc};

use clap::Args;

use super::{
    read::{filter_of, usage},
    top::{parse_column, parse_keys},
};
use crate::{
    read::{Form, ReadArgs, Wanted},
    top::{DiffForm, DiffTable, OutputForm, Sum},
    units::parse_size,
};
use scap::summary::{
    Column::{self, Bytes, Calls, Total},
    Keys,
};

/// The tables without `--by`: what they are by, and what they compare.
const TABLES: [(&str, &[Column]); 5] = [
    ("call", &[Total, Calls]),
    ("exe", &[Total, Calls]),
    ("call,error", &[Calls]),
    ("file", &[Calls, Bytes]),
    ("peer,port", &[Calls, Bytes]),
];

/// `scapd diff`.
#[derive(Debug, Args)]
#[command(override_usage = "scapd diff [OPTIONS] <BEFORE> <AFTER> [FILTER]")]
pub struct DiffArgs {
    /// Capture of the run before, or a folder of captures
    before: PathBuf,
    /// Capture of the run after, or a folder of captures
    after: PathBuf,
    /// Compare only calls whose exit event matches this filter
    filter: Vec<OsString>,
    /// Compare groups by these keys of scapd top [default: a table each by call, exe, call and error, file, and peer]
    #[arg(long, value_name = "KEY,...", value_parser = parse_keys)]
    by: Option<Keys>,
    /// Compare these columns of scapd top; what changed most in the first one comes first [default: total,calls]
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', value_parser = parse_column, requires = "by")]
    columns: Vec<Column>,
    /// Show this many groups of each table; 0 for all
    #[arg(short = 'n', long = "count", value_name = "ROWS", default_value_t = 10)]
    count: usize,
    /// Print a JSON object (docs/JSON.md)
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print comma-separated values, with times in ns
    #[arg(long, requires = "by")]
    csv: bool,
    /// Limit the memory for the threads, descriptors and users of a capture, and that for the groups [default: 1G]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_state: Option<u64>,
}

/// A run: what to read, and the form that has its sums then.
pub type Run = (ReadArgs, Arc<Sum>);

impl DiffArgs {
    /// Returns the form, the run before and the one after.
    ///
    /// # Errors
    /// If the filter is wrong.
    pub fn resolve(self) -> Result<(DiffForm, [Run; 2]), clap::Error> {
        let wrong = |mistake| usage("diff", mistake);
        let words: Vec<_> = self.filter.iter().map(|word| word.to_string_lossy()).collect();
        let filter = match &*words.join(" ") {
            "" => None,
            text => Some(filter_of(text).map_err(wrong)?),
        };
        let given = self.by.map(|keys| DiffTable {
            keys,
            columns: if self.columns.is_empty() { vec![Total, Calls] } else { self.columns },
        });
        let own = |(by, columns): &(&str, &[Column])| {
            Ok(DiffTable { keys: parse_keys(by).map_err(wrong)?, columns: columns.to_vec() })
        };
        let tables = match given {
            Some(table) => vec![table],
            None => TABLES.iter().map(own).collect::<Result<_, clap::Error>>()?,
        };
        let form = DiffForm {
            tables,
            rows: (self.count > 0).then_some(self.count),
            form: OutputForm::of(self.json, self.csv),
        };
        let run = |file| {
            let sum = form.sum();
            let args = ReadArgs {
                files: vec![file],
                wanted: Wanted { filter: filter.clone(), ..Wanted::default() },
                form: Form::Other(sum.clone()),
                max_state: self.max_state,
                progress: true,
                ..ReadArgs::default()
            };
            (args, sum)
        };
        let runs = [run(self.before), run(self.after)];
        Ok((form, runs))
    }
}
