//! `scapd generate`: the manual pages and the shells' completions, made from the command line's own definition.
//!
//! They are made when scapd is packaged or installed: see the Makefile.

mod man;
mod pages;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::CommandFactory;
use clap_complete::{Shell, generate_to};
use thiserror::Error;

use crate::{cli::Cli, print::shown};

/// Why a file could not be made.
#[derive(Debug, Error)]
#[error("cannot write {}; name a directory that can be written to", shown(path))]
pub struct GenerateError {
    /// The file, or its directory.
    path: PathBuf,
    /// Why.
    source: io::Error,
}

impl GenerateError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> GenerateError {
        |source| GenerateError { path: path.to_owned(), source }
    }
}

/// Writes a manual page for scapd and for each of its commands into a directory: `scapd.1`, `scapd-record.1`, ...
pub fn man(dir: &Path) -> Result<(), GenerateError> {
    fs::create_dir_all(dir).map_err(GenerateError::at(dir))?;
    for (name, text) in man::pages() {
        let path = dir.join(name);
        fs::write(&path, text).map_err(GenerateError::at(&path))?;
    }
    Ok(())
}

/// Writes the completions into a directory, each under the name that its shell looks for: `scapd.bash`, `_scapd`,
/// `scapd.fish`.
pub fn completions(dir: &Path) -> Result<(), GenerateError> {
    fs::create_dir_all(dir).map_err(GenerateError::at(dir))?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut Cli::command(), "scapd", dir).map_err(GenerateError::at(dir))?;
    }
    Ok(())
}
