//! Records what a Linux machine does, system call by system call, into .scap capture files.
//!
//! Captures themselves are the crate [`scap`].

pub mod balance;
mod bar;
pub mod bench;
pub mod check;
pub mod choice;
pub mod cli;
mod clocks;
pub mod confine;
pub mod containers;
pub mod daemon;
pub mod escape;
pub mod exit;
pub mod export;
pub mod flight;
mod folder;
pub mod generate;
mod json;
mod kernel;
pub mod limits;
pub mod list;
pub mod merge;
pub mod output;
pub mod print;
pub mod privileges;
pub mod probe;
pub mod read;
pub mod record;
pub mod repair;
pub mod report;
pub mod ring;
mod salvage;
pub mod ship;
pub mod signals;
pub mod snapshot;
pub mod top;
pub mod trace;
pub mod units;
pub mod verify;
