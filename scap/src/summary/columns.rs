//! The columns of a summary: what is shown of a group, and by what groups are sorted.

use std::cmp::Reverse;

use super::{keys::KeyValue, outcome::Act, top::Group, totals::Totals};

/// What the number in a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of something.
    Count,
    /// A duration in ns.
    Time,
    /// A number of bytes.
    Bytes,
    /// The number of an error.
    Error,
    /// The share of all groups together, in what they are sorted by; in their time, if that is no sum.
    Share,
}

macro_rules! columns {
    ($($(#[doc = $doc:literal])+ $variant:ident, $name:literal, $json:literal, $unit:ident;)*) => {
        /// A column.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Column {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Column {
            /// All columns.
            pub const ALL: &[Column] = &[$(Column::$variant),*];

            /// Returns the title, which is also its name in options.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Column::$variant => $name,)*
                }
            }

            /// Returns its name in JSON and CSV, which tells the unit.
            pub const fn json_name(self) -> &'static str {
                match self {
                    $(Column::$variant => $json,)*
                }
            }

            /// Returns what its numbers are.
            pub const fn unit(self) -> Unit {
                match self {
                    $(Column::$variant => Unit::$unit,)*
                }
            }
        }
    };
}

columns! {
    /// Calls that have ended; signals, if these are counted.
    Calls, "calls", "calls", Count;
    /// How many of them failed.
    Errors, "errors", "errors", Count;
    /// The most frequent error.
    Error, "error", "error", Error;
    /// The sum of their durations.
    Total, "total", "total_ns", Time;
    /// The mean duration.
    Mean, "mean", "mean_ns", Time;
    /// The median of the durations.
    P50, "p50", "p50_ns", Time;
    /// The duration that 99 of 100 do not exceed.
    P99, "p99", "p99_ns", Time;
    /// The longest duration.
    Max, "max", "max_ns", Time;
    /// Bytes that were read.
    In, "in", "in_bytes", Bytes;
    /// Bytes that were written.
    Out, "out", "out_bytes", Bytes;
    /// Both of them.
    Bytes, "bytes", "bytes", Bytes;
    /// The share of all groups together.
    Share, "share", "share", Share;
    /// Calls that have not ended.
    Pending, "pending", "pending", Count;
    /// How long these have taken so far.
    PendingTime, "so-far", "pending_ns", Time;
    /// Files that were opened.
    Opened, "opened", "opened", Count;
    /// Files, directories and links that were created.
    Created, "created", "created", Count;
    /// Files and directories that were deleted.
    Deleted, "deleted", "deleted", Count;
    /// Files and directories that were renamed.
    Renamed, "renamed", "renamed", Count;
    /// Connections that were made.
    Connects, "connects", "connects", Count;
    /// Connections that were accepted.
    Accepts, "accepts", "accepts", Count;
    /// The median of the time that it took to connect.
    Connect, "connect", "connect_ns", Time;
}

impl Column {
    /// Returns the column of a name.
    pub fn of(name: &str) -> Option<Column> {
        Column::ALL.iter().copied().find(|column| column.name() == name)
    }

    /// Returns the number of a group; `None` if it has none, and for [`Column::Share`].
    pub fn value(self, totals: &Totals) -> Option<u64> {
        let times = &totals.times;
        let is_timed = times.count() > 0;
        match self {
            Column::Calls => Some(totals.calls),
            Column::Errors => Some(totals.failed()),
            Column::Error => totals.most_frequent_error().and_then(|error| u64::try_from(error).ok()),
            Column::Total => is_timed.then(|| times.sum()),
            Column::Mean => times.mean(),
            Column::P50 => times.quantile(0.5),
            Column::P99 => times.quantile(0.99),
            Column::Max => times.max(),
            Column::In => Some(totals.read),
            Column::Out => Some(totals.written),
            Column::Bytes => Some(totals.read.saturating_add(totals.written)),
            Column::Share => None,
            Column::Pending => Some(totals.pending),
            Column::PendingTime => (totals.pending > 0).then_some(totals.pending_time),
            Column::Opened => Some(totals.did(Act::Open)),
            Column::Created => Some(totals.did(Act::Create)),
            Column::Deleted => Some(totals.did(Act::Delete)),
            Column::Renamed => Some(totals.did(Act::Rename)),
            Column::Connects => Some(totals.did(Act::Connect)),
            Column::Accepts => Some(totals.did(Act::Accept)),
            Column::Connect => totals.connecting.as_ref().and_then(|times| times.quantile(0.5)),
        }
    }

    /// Returns whether the number of all groups together is the sum of theirs.
    pub fn is_sum(self) -> bool {
        !matches!(
            self,
            Column::Mean
                | Column::P50
                | Column::P99
                | Column::Max
                | Column::Error
                | Column::Share
                | Column::Connect
        )
    }

    /// Returns the sum that shares are of, if groups are sorted by this column.
    #[must_use]
    pub fn shared(self, total: &Totals) -> Column {
        match self {
            column if column.is_sum() => column,
            _ if total.times.count() > 0 => Column::Total,
            _ => Column::Calls,
        }
    }

    /// Returns the share of a group in all of them, from 0 to 1; `None` if there is nothing to share.
    pub fn share(self, totals: &Totals, total: &Totals) -> Option<f64> {
        let all = self.value(total).filter(|all| *all > 0)?;
        Some(self.value(totals).unwrap_or(0) as f64 / all as f64)
    }
}

/// Sorts groups by columns, the largest first, and by their keys where these are the same.
pub fn sort(groups: &mut [Group<'_>], by: &[Column]) {
    groups.sort_by_cached_key(|group| {
        let values: Vec<_> = by.iter().map(|by| by.value(group.totals)).collect();
        (Reverse(values), KeyValue::text(&group.keys))
    });
}
