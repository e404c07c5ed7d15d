//! Summaries: calls in groups with their numbers, as `strace -c` and `perf trace -s` have them, by any field.
//!
//! A summary is a fold over the moments of a [`Replay`](crate::replay::Replay): [`Top`] takes each event, and has the groups at
//! any time.
//!
//! ```no_run
//! use scap::{format::Reader, replay::{Position, Replay}, summary::{Column, Keys, Top, sort}};
//!
//! let mut top = Top::new(Keys::parse("process,call")?);
//! let keep = top.keys().keep();
//! let mut reader = Reader::new(std::fs::File::open("a.scap")?)?.keep(keep);
//! let mut replay = Replay::new(&mut reader, keep, Position::default());
//! while let Some(moment) = replay.next()? {
//!     top.event(&moment)?;
//! }
//! let now = replay.now();
//! top.end_capture(now);
//! top.finish(now.ts);
//! let mut groups: Vec<_> = top.groups().collect();
//! sort(&mut groups, &[Column::Total]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod begun;
mod bins;
mod columns;
mod connecting;
mod ends;
#[cfg(test)]
mod fold_tests;
mod groups;
mod keys;
mod outcome;
mod pairs;
mod series;
mod slowest;
#[cfg(test)]
mod tests;
mod times;
mod top;
mod totals;
mod tree;
mod wait;
mod waiting;

pub use bins::{Bins, Cell, MOST_BINS, shift_of};
pub use columns::{Column, Unit, sort};
pub use ends::Ends;
pub use keys::{KeyValue, Keys, NAMED_KEYS, NamedKey};
pub use outcome::{Act, Outcome};
pub use pairs::Pair;
pub use series::{Numbers, Series, SpentSeries, Spread, Tally, step_of};
pub use slowest::{Slow, Slowest};
pub use times::Times;
pub use top::{Group, Sums, TooManyGroups, Top};
pub use totals::Totals;
pub use tree::{Exit, MOST_SIGNALS, Process, TooManyProcesses, Tree};
pub use wait::Wait;
pub use waiting::{Spent, SpentSums, Use, Waiting};
