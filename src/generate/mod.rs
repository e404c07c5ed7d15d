//! `scapd generate`: makes the manual pages and shell completions from the definition of the command line.
//!
//! The Makefile runs it to package or install scapd.

mod man;
mod pages;
mod summaries;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::CommandFactory;
use clap_complete::{Shell, generate_to};
use thiserror::Error;

use crate::{cli::Cli, escape::shown};

/// A file could not be written.
#[derive(Debug, Error)]
#[error("cannot write {}; name a writable directory", shown(path))]
pub struct GenerateError {
    /// The file, or its directory.
    path: PathBuf,
    /// The cause.
    source: io::Error,
}

impl GenerateError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> GenerateError {
        |source| GenerateError { path: path.to_owned(), source }
    }
}

/// Writes the manual pages of scapd and of each command into a directory: `scapd.1`, `scapd-record.1`, ...
pub fn man(dir: &Path) -> Result<(), GenerateError> {
    fs::create_dir_all(dir).map_err(GenerateError::at(dir))?;
    for (name, text) in man::pages() {
        let path = dir.join(name);
        fs::write(&path, text).map_err(GenerateError::at(&path))?;
    }
    Ok(())
}

/// Writes the completions into a directory, under the names that the shells expect: `scapd.bash`, `_scapd`,
/// `scapd.fish`.
pub fn completions(dir: &Path) -> Result<(), GenerateError> {
    fs::create_dir_all(dir).map_err(GenerateError::at(dir))?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut Cli::command(), "scapd", dir).map_err(GenerateError::at(dir))?;
    }
    Ok(())
}
