//! Records what a Linux machine does, system call by system call, into .scap capture files.

pub mod events;
pub mod list;
pub mod output;
pub mod scap;
pub mod select;
