//! The benchmark's command line.

use std::process::ExitCode;

use clap::Parser;
use scapd_bench::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scapd-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
