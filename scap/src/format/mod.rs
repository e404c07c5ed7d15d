//! The .scap capture file: its blocks, the machine's initial state, and its events.
//!
//! [`write_state`] writes the start of a file, and [`frame_event`] each event. [`Reader`] reads both back, and the
//! files of every version of sysdig and Falco.

mod ahead;
pub mod block;
mod builder;
mod called;
mod error;
mod event;
mod fields;
pub mod gzip;
mod in_memory;
mod in_place;
mod input;
mod joiner;
mod keep;
mod legacy;
mod lists;
mod packed;
#[cfg(test)]
mod proptests;
mod reader;
pub mod state;
#[cfg(any(test, feature = "proptest"))]
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used)]
pub mod strategies;
mod structure;
mod value;
mod writer;

pub use block::{
    BlockType, FOR_NAMES, MAX_EVENT, event_block_len, frame_event, frame_for_names, set_event_time, set_time,
};
pub use builder::{BuildError, EventBuilder};
pub use called::is_named_by_type;
pub use error::ReadError;
pub use event::{EVENT_HEADER_LEN, EventError, EventView};
pub use fields::Fields;
pub use gzip::Place;
pub use in_memory::{BlockEvent, EventBlock, EventBlocks};
pub use joiner::Joiner;
pub use joiner::successor;
pub use keep::{Keep, StateCounts, heap};
pub use lists::Received;
pub use reader::{CapturedEvent, Reader};
pub use state::MachineState;
pub use structure::{BitSet, Dirent, Dirents, Structure, Structures};
pub use value::{Decoded, FdEntries, SockAddr, SockTuple, Value, ValueError, decode};
pub(crate) use value::{family, integer};
pub use writer::complete_state;
pub use writer::write_state;
