//! Where events come from: captures, one after the other.

use std::{io::Read, path::PathBuf, vec};

use crate::print::{self, PrintError};

/// A capture that is open.
pub(super) type Input = (PathBuf, Box<dyn Read>);

/// The captures to read.
pub(super) struct Inputs {
    files: vec::IntoIter<PathBuf>,
}

impl Inputs {
    /// Reads these files in this order; `-` is the standard input.
    ///
    /// # Errors
    /// [`PrintError::Open`].
    pub fn new(files: &[PathBuf]) -> Result<Inputs, PrintError> {
        Ok(Inputs { files: files.to_vec().into_iter() })
    }

    /// Opens the next capture.
    ///
    /// # Errors
    /// [`PrintError::Open`].
    pub fn next(&mut self) -> Result<Option<Input>, PrintError> {
        let Some(path) = self.files.next() else { return Ok(None) };
        let input = print::open(&path)?;
        Ok(Some((path, input)))
    }
}
