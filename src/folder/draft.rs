//! A file that gets its name when it is complete.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, ErrorKind},
};

use super::{Identity, Spot};

/// How many names are tried.
const TRIES: u32 = 1000;

/// A new file in the folder of its future name. Dropping it before it has that name removes it.
#[derive(Debug)]
pub struct Draft {
    file: File,
    spot: Spot,
    identity: Identity,
    has_name: bool,
}

impl Draft {
    /// Creates the file as `NAME.partial`, or as `NAME.1.partial` and so on if that exists.
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

    /// Returns the file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Syncs it and renames it in its folder, replacing the target.
    ///
    /// # Errors
    /// Those of rename(2) and fsync(2); [`ErrorKind::NotFound`] if the file was taken away.
    pub fn replace(self, name: &OsStr) -> io::Result<()> {
        self.finish(|spot| spot.folder.rename(&spot.name, name))
    }

    /// Syncs it and renames it in its folder, replacing nothing.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], and others of rename(2) and fsync(2); [`ErrorKind::NotFound`] if the file was
    /// taken away.
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
