//! The cost of recording with scapd: generators of system calls, recorded by scapd and by its peers in turn.
//!
//! The data path: [`schedule`] runs the [`contender`]s over a [`generator`] in turn; [`run`] starts and measures one
//! pair; [`counts`] reads the recorder's files; [`report`] writes JSON, tables and plot.

mod bpftrace;
pub mod cli;
pub mod contender;
pub mod counts;
pub mod cpu;
pub mod generator;
pub mod machine;
pub mod merge;
pub mod peers;
mod perf_data;
pub mod read;
pub mod report;
pub mod run;
pub mod schedule;
pub mod stats;
