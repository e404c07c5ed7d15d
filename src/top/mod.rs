//! Summaries of captures: `scapd top` and its kin, without the command line.
//!
//! A summary is a form for [`read`](crate::print::MakeView): what goes through captures, files and live ones, is the same as for
//! events. `scap::summary` has the numbers, and this module shows them.

mod diff;
mod parts;
mod slow;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod tree;
mod units;
mod view;
mod waiting;

pub use diff::{DiffForm, DiffTable, Sum};
pub use slow::SlowForm;
pub use state::{Part, StateForm};
pub use table::OutputForm;
pub use tree::TreeForm;
pub use view::{TopForm, TopKind};
pub use waiting::WaitingForm;
