//! Events as text, in sysdig's format: the arguments that follow an event's name in a line, and times.
//!
//! The functions write to an [`Out`]: a `String` and an [`Escaped`] get text that is escaped for a terminal,
//! a [`Raw`] text as it is.

mod args;
mod data;
mod escape;
pub mod kernel_names;
mod known;
pub mod meaning;
mod time;
mod values;

pub use crate::model::{sockaddr, socktuple};
pub use args::{argument, arguments, value};
pub use data::DataForm;
pub use escape::{Escaped, Out, Raw, escape, is_obeyed, write_escaped};
pub use time::{date, iso8601, local, time_of_day};
pub use values::{dots, enum_names, flag_names, integer};
