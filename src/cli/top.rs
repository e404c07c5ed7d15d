//! The options of `scapd top` and its kin.

use std::{sync::Arc, time::Duration};

use clap::Args;

use super::{
    form::below,
    source::{Source, SourceArgs},
};
use crate::{
    read::Form,
    top::{OutputForm, TopForm},
    units::parse_duration,
};
use scap::summary::{Column, Keys};

/// The rows of a table by default: a screen.
const ROWS: usize = 25;

/// `scapd top`.
#[derive(Debug, Args)]
#[command(override_usage = "scapd top [OPTIONS] [FILE]... [FILTER] [-p PID | -- COMMAND]")]
pub struct TopArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Group calls by these: call, process, thread, exe, command, user, cgroup, file, folder, device, connection, peer, port,
    /// error, signal, and fields of filters
    #[arg(long, value_name = "KEY,...", default_value = "call", value_parser = parse_keys)]
    by: Keys,
    #[command(flatten)]
    table: TableArgs,
}

/// How a table is shown.
#[derive(Debug, Args)]
#[group(skip)]
pub struct TableArgs {
    /// Sort by these columns, the largest first
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', value_parser = parse_column)]
    sort: Vec<Column>,
    /// Show these columns: calls, errors, error (the most frequent), total, mean, p50, p99, max, in, out, share, pending (calls
    /// that have not ended), so-far (their time), opened, created, deleted, renamed, connects, accepts
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', value_parser = parse_column)]
    columns: Vec<Column>,
    /// Show this many groups; 0 for all
    #[arg(short = 'n', long = "count", value_name = "ROWS", default_value_t = ROWS)]
    count: usize,
    /// Print a JSON object, with all columns (docs/JSON.md)
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print comma-separated values, with times in ns
    #[arg(long)]
    csv: bool,
    /// Show the calls of each interval of this length: 5s, 1m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    every: Option<Duration>,
}

impl TopArgs {
    /// Returns what to go through.
    ///
    /// # Errors
    /// If the filter is wrong, or a file does not exist.
    pub fn resolve(self) -> Result<Source, clap::Error> {
        use Column::{
            Calls, Error, Errors, In, Max, Mean, Out, P50, P99, Pending, PendingTime, Share, Total,
        };
        let (columns, sort) = match self.by.counts_signals() {
            true => (&[Share, Calls][..], Calls),
            false => (
                &[Share, Total, Calls, Errors, Error, Mean, P50, P99, Max, In, Out, Pending, PendingTime][..],
                Total,
            ),
        };
        // Without enter events, there are no times to sort by.
        let form = self.table.form(self.by, columns, &[sort, Calls]);
        self.source.resolve("top", Form::Other(Arc::new(form)))
    }
}

impl TableArgs {
    /// Returns the form, with these columns and this order unless others are given.
    fn form(self, keys: Keys, columns: &[Column], sort: &[Column]) -> TopForm {
        let given =
            |given: Vec<Column>, default: &[Column]| if given.is_empty() { default.to_vec() } else { given };
        TopForm {
            keys,
            columns: given(self.columns, columns),
            sort: given(self.sort, sort),
            rows: (self.count > 0).then_some(self.count),
            form: match (self.json, self.csv) {
                (true, _) => OutputForm::Json,
                (_, true) => OutputForm::Csv,
                _ => OutputForm::Text,
            },
            every: self.every,
        }
    }
}

fn parse_keys(text: &str) -> Result<Keys, String> {
    Keys::parse(text).map_err(below)
}

fn parse_column(name: &str) -> Result<Column, String> {
    Column::of(name).ok_or_else(|| {
        let names: Vec<_> = Column::ALL.iter().map(|column| column.name()).collect();
        format!("there is no such column: there are {}", names.join(", "))
    })
}
