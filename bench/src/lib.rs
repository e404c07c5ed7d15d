//! What recording with scapd costs: generators of system calls, recorded by scapd and by its peers in turns.
//!
//! The data path: [`schedule`] lets [`contender`]s take turns over a [`generator`]; [`run`] starts one pair, and
//! measures; [`counts`] reads what the recorder left; [`report`] makes JSON, table and plot of it.

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
pub mod report;
pub mod run;
pub mod schedule;
pub mod stats;
