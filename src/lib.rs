//! Records what a Linux machine does, system call by system call, into .scap capture files.

pub mod events;
pub mod print;
pub mod scap;
