//! Records what a Linux machine does, system call by system call, into .scap capture files.

#[macro_use]
pub mod events;
pub mod list;
pub mod output;
pub mod probe;
pub mod ring;
pub mod scap;
pub mod select;
pub mod snapshot;
