//! Records what a Linux machine does, system call by system call, into .scap capture files.

pub mod events;
pub mod scap;
pub mod snapshot;
