//! Everything about .scap captures that needs neither a kernel nor BPF: the tables of events and calls, the format, the
//! ledger of what a recording lost, and the lists that select events.

#[macro_use]
pub mod events;

pub mod container;
pub mod fields;
pub mod filter;
pub mod format;
pub mod formatter;
mod hash;
pub mod ledger;
pub mod merge;
pub mod model;
pub mod redact;
pub mod replay;
pub mod select;
pub mod slice;
pub mod summary;
pub mod text;
