//! A file that gets its name when it is complete.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, ErrorKind},
};

use super::{Identity, Spot};

/// Names that are tried.
const TRIES: u32 = 1000;

/// A new file beside the name that it is to get; removed when it is dropped without having got one.
#[derive(Debug)]
pub struct Draft {
    file: File,
    spot: Spot,
    identity: Identity,
    has_name: bool,
}

impl Draft {
    /// Makes the file: `NAME.partial`, or `NAME.1.partial` and so on if others have that.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn beside(name: &Spot) -> io::Result<Draft> {
        for number in 0..TRIES {
            let spot =
                if number == 0 { name.with(".partial") } else { name.with(&format!(".{number}.partial")) };
            let file = match spot.folder.create(&spot.name) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            let identity = Identity::of(&file)?;
            return Ok(Draft { file, spot, identity, has_name: false });
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives it a name in its folder, in the place of what has it.
    ///
    /// # Errors
    /// Those of rename(2), [`ErrorKind::NotFound`] if somebody has taken the file away.
    pub fn replace(self, name: &OsStr) -> io::Result<()> {
        self.finish(|spot| spot.folder.rename(&spot.name, name))
    }

    /// Gives it a name in its folder that nothing has.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], and others of rename(2); [`ErrorKind::NotFound`] if somebody has taken it away.
    pub fn rename_new(self, name: &OsStr) -> io::Result<()> {
        self.finish(|spot| spot.folder.rename_new(&spot.name, name))
    }

    fn finish(mut self, rename: impl FnOnce(&Spot) -> io::Result<()>) -> io::Result<()> {
        self.file.sync_all()?;
        if !self.is_there() {
            return Err(ErrorKind::NotFound.into());
        }
        rename(&self.spot)?;
        self.has_name = true;
        self.spot.folder.sync()
    }

    fn is_there(&self) -> bool {
        let found = self.spot.stat().ok().flatten();
        found.is_some_and(|found| Identity::from(&found) == self.identity)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.has_name && self.is_there() {
            let _ = self.spot.folder.remove(&self.spot.name);
        }
    }
}
