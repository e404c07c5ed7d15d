//! A capture that is made from others, such as a slice. What it is made from is still there, so nothing is left of one
//! that cannot be finished.

use std::path::{Path, PathBuf};

use rustix::fs::{Stat, stat};

use super::{Output, OutputError, OutputTotals, Reserved, Target};

/// A capture that is being made.
#[derive(Debug)]
pub struct Made {
    /// `None` once it is finished.
    output: Option<Output>,
}

impl Made {
    /// Checks that the target can be written, and that it is none of the sources.
    ///
    /// # Errors
    /// Those of [`Reserved::new`]; [`OutputError::IsSource`].
    pub fn reserve(target: Target, compress: bool, sources: &[PathBuf]) -> Result<Reserved, OutputError> {
        if let Target::File(path) = &target
            && sources.iter().any(|source| is_same(source, path))
        {
            return Err(OutputError::IsSource { target });
        }
        Reserved::new(target, compress)
    }

    /// Opens the target.
    ///
    /// # Errors
    /// Those of [`Reserved::open`].
    pub fn open(reserved: Reserved) -> Result<Made, OutputError> {
        Ok(Made { output: Some(reserved.open(&|| false)?) })
    }

    /// Writes blocks with that many events.
    ///
    /// # Errors
    /// [`OutputError::NotMade`] or [`OutputError::BrokenPipe`].
    pub fn write(&mut self, blocks: &[u8], events: u64) -> Result<(), OutputError> {
        self.output.as_mut().map_or(Ok(()), |output| output.write(blocks, events)).map_err(not_made)
    }

    /// Writes what is still in memory, for a reader that waits for it.
    ///
    /// # Errors
    /// As for [`write`](Made::write).
    pub fn flush(&mut self) -> Result<(), OutputError> {
        self.output.as_mut().map_or(Ok(()), Output::flush).map_err(not_made)
    }

    /// Gives the capture, which is complete, its name.
    ///
    /// # Errors
    /// Those of [`Output::finish`].
    pub fn finish(mut self) -> Result<OutputTotals, OutputError> {
        let Some(mut output) = self.output.take() else { return Ok(OutputTotals::default()) };
        if let Err(error) = output.flush() {
            output.discard();
            return Err(not_made(error));
        }
        output.finish().map_err(not_made)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(output) = self.output.take() {
            output.discard();
        }
    }
}

/// Returns whether the target is a file that is read as the source, or in the source, a folder.
fn is_same(source: &Path, target: &Path) -> bool {
    let is_kind = |mode: u32, kind: u32| mode & 0o170_000 == kind;
    let (Ok(source), Ok(found)) = (stat(source), stat(target)) else { return false };
    let is_in = |folder: &Stat| {
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
        stat(parent.unwrap_or(Path::new("."))).is_ok_and(|parent| is_one(&parent, folder))
    };
    is_kind(found.st_mode, 0o100_000)
        && (is_one(&source, &found) || is_kind(source.st_mode, 0o040_000) && is_in(&source))
}

fn is_one(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

fn not_made(error: OutputError) -> OutputError {
    match error {
        OutputError::NoSpace { target, source, .. } | OutputError::Write { target, source, .. } => {
            OutputError::NotMade { target, source }
        }
        other => other,
    }
}
