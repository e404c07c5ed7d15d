//! The generators, as a separate program.

use std::process::ExitCode;

use clap::Parser;
use scapd_bench::generator::{Arguments, run};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error:#}", arguments.generator.name());
            ExitCode::FAILURE
        }
    }
}
