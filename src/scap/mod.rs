//! The .scap capture file: its blocks, the state of the machine that it starts with, its events.

pub mod state;
