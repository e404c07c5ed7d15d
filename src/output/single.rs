//! A capture in a single file.
//!
//! [`Reserved`] checks the target and changes nothing; call [`open`](Reserved::open) once nothing else can fail. A
//! regular file is written as `NAME.partial`, locked, and renamed over `NAME` when it is whole and on disk. Until then
//! `NAME` is untouched. A `NAME.partial` that a recorder left behind is kept as `NAME.1.partial`.
//!
//! Pipes and devices are opened in place. So is a file that is a mount point, or that may not be replaced in its
//! folder: it is locked by the check, and emptied on opening.

use std::{
    fs::{File, Permissions},
    io::{self, ErrorKind, IsTerminal},
    os::{fd::AsFd, unix::fs::PermissionsExt},
    path::PathBuf,
};

use rustix::{
    fs::{
        AtFlags, FlockOperation, OFlags, Stat, StatxAttributes, StatxFlags, fcntl_getfl, fcntl_setfl, flock,
        fstat, statx,
    },
    io::Errno,
    process::geteuid,
};

use super::{Output, OutputError, Target, sink::Sink};
use crate::{
    escape::shown,
    folder::{self, Identity, Special, Spot, Whereabouts, is_own},
    salvage::PARTIAL,
};

/// How often creation is tried while other processes take the name.
const TRIES: usize = 8;
/// Limit of the numbers tried for a file that was left behind.
const NUMBERS: usize = 10_000;

/// A checked target; nothing has been changed yet.
#[derive(Debug)]
pub struct Reserved {
    target: Target,
    compress: bool,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Stdout,
    /// A pipe, a device, or a descriptor's name in /proc.
    InPlace(Special),
    /// A regular file that is written in place, locked.
    Locked(Spot, File),
    /// A regular file that is written as `NAME.partial`.
    Beside(Spot),
}

impl Reserved {
    /// Checks the target.
    ///
    /// # Errors
    /// [`OutputError::Terminal`] if stdout is a terminal, [`OutputError::Busy`] if another recorder writes the file,
    /// [`OutputError::Create`] if the target cannot be written to.
    pub fn new(target: Target, compress: bool) -> Result<Self, OutputError> {
        let way = match &target {
            Target::Stdout if io::stdout().is_terminal() => return Err(OutputError::Terminal),
            Target::Stdout => Way::Stdout,
            Target::File(path) => Way::to(&target, path.clone())?,
        };
        Ok(Reserved { target, compress, way })
    }

    /// Returns the target.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Opens the target: creates the file, or empties it if it is written in place. Waits for the reader of a FIFO
    /// until `give_up` returns true.
    ///
    /// # Errors
    /// [`OutputError::Create`], [`OutputError::NoReader`], [`OutputError::InTheWay`], and [`OutputError::Busy`] if
    /// another recorder was faster.
    pub fn open(self, give_up: &dyn Fn() -> bool) -> Result<Output, OutputError> {
        let Reserved { target, compress, way } = self;
        let failed = |e| OutputError::create(&target, e);
        let (sink, place) = match way {
            // Bypasses std's buffer for stdout.
            Way::Stdout => {
                (io::stdout().as_fd().try_clone_to_owned().map(File::from).and_then(Sink::new), None)
            }
            Way::InPlace(special) => {
                let Some(file) = special.open(give_up).map_err(failed)? else {
                    return Err(OutputError::NoReader { target });
                };
                wait_for_readers(&file).map_err(failed)?;
                if file.metadata().map_err(failed)?.is_file() {
                    lock(&target, target.path(), &file)?;
                    empty(&target, &file).map_err(failed)?;
                }
                (Sink::own(file), None)
            }
            Way::Locked(spot, file) => {
                empty(&target, &file).map_err(failed)?;
                let identity = Identity::of(&file).map_err(failed)?;
                (Sink::own(file), Some(Unpublished { spot, identity, becomes: None }))
            }
            Way::Beside(spot) => {
                let (file, place) = create_beside(&target, spot)?;
                (Sink::own(file), Some(place))
            }
        };
        let sink = sink.map_err(|e| OutputError::create(&target, e))?;
        let mut output = Output::over(target, sink, compress);
        output.place = place;
        Ok(output)
    }
}

impl Way {
    fn to(target: &Target, path: PathBuf) -> Result<Way, OutputError> {
        let failed = |e| OutputError::create(target, e);
        let spot = match Special::find(path).map_err(failed)? {
            Ok(spot) => spot,
            Err(special) => return Ok(Way::InPlace(special)),
        };
        let old = match spot.folder.regular(&spot.name, OFlags::WRONLY) {
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            old => Some(old.map_err(failed)?.ok_or_else(|| failed(Errno::EXIST.into()))?),
        };
        let is_mount_point = is_mount_point(&spot);
        match (spot.folder.can_create(), old) {
            (Ok(()), None) => Way::beside(target, spot),
            (Ok(()), Some(old)) if !is_mount_point && may_replace(&spot, &old).map_err(failed)? => {
                Way::beside(target, spot)
            }
            (_, Some(old)) => {
                // Its owner could read what is written to it.
                if !is_mount_point && !is_own(&fstat(&old).map_err(|e| failed(e.into()))?) {
                    return Err(failed(Errno::PERM.into()));
                }
                lock(target, spot.path(), &old)?;
                Ok(Way::Locked(spot, old))
            }
            (Err(e), None) => Err(failed(e)),
        }
    }

    fn beside(target: &Target, spot: Spot) -> Result<Way, OutputError> {
        drop(left_behind(target, &spot.with(PARTIAL))?);
        Ok(Way::Beside(spot))
    }
}

/// Returns whether it is a mount point, such as a single-file volume of a container. Nothing can be renamed over it.
fn is_mount_point(spot: &Spot) -> bool {
    statx(&*spot.folder, &spot.name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty())
        .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Returns whether another file may be renamed over `old`: in a sticky folder only the owner of the file or of the
/// folder may do so.
fn may_replace(spot: &Spot, old: &File) -> io::Result<bool> {
    const STICKY: u32 = 0o1000;
    let is_ours = |found: &Stat| is_own(found) || geteuid().is_root();
    let folder = fstat(&*spot.folder)?;
    Ok(folder.st_mode & STICKY == 0 || is_ours(&folder) || is_ours(&fstat(old)?))
}

/// Makes writes to a full pipe wait (clears `O_NONBLOCK`).
fn wait_for_readers(file: &File) -> io::Result<()> {
    Ok(fcntl_setfl(file, fcntl_getfl(file)?.difference(OFlags::NONBLOCK))?)
}

fn lock(target: &Target, path: PathBuf, file: &File) -> Result<(), OutputError> {
    if folder::lock(file) { Ok(()) } else { Err(OutputError::Busy { target: target.clone(), path }) }
}

/// Empties a file that is written in place, and restricts it to its owner.
fn empty(target: &Target, file: &File) -> io::Result<()> {
    if let Err(e) = file.set_permissions(Permissions::from_mode(0o600)) {
        tracing::warn!("cannot restrict {target} to its owner: {e}");
    }
    file.set_len(0)
}

fn create_beside(target: &Target, becomes: Spot) -> Result<(File, Unpublished), OutputError> {
    let failed = |e| OutputError::create(target, e);
    let spot = becomes.with(PARTIAL);
    for _ in 0..TRIES {
        match spot.folder.create(&spot.name) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => put_aside(target, &becomes, &spot)?,
            Err(e) => return Err(failed(e)),
            Ok(file) => {
                lock(target, spot.path(), &file)?;
                let identity = Identity::of(&file).map_err(failed)?;
                // Before it was locked, another recorder may have moved it aside as left behind.
                if spot.whereabouts(identity, &file) != Whereabouts::There {
                    return Err(OutputError::Busy { target: target.clone(), path: spot.path() });
                }
                return Ok((file, Unpublished { spot, identity, becomes: Some(becomes) }));
            }
        }
    }
    Err(failed(ErrorKind::AlreadyExists.into()))
}

/// Opens and locks the file that a recorder left behind; `None` if there is none.
fn left_behind(target: &Target, partial: &Spot) -> Result<Option<File>, OutputError> {
    let in_the_way = |source| OutputError::InTheWay { target: target.clone(), path: partial.path(), source };
    let file = match partial.folder.own(&partial.name, OFlags::RDONLY) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        // Not a file of this user's recorders.
        file => file.and_then(|own| own.ok_or_else(|| Errno::EXIST.into())).map_err(in_the_way)?,
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(OutputError::Busy { target: target.clone(), path: partial.path() }),
        // Without locks it might still be in use.
        Err(e) => Err(in_the_way(e.into())),
        Ok(()) => Ok(Some(file)),
    }
}

/// Moves a file that was left behind out of the way, and removes it if it is empty.
fn put_aside(target: &Target, becomes: &Spot, partial: &Spot) -> Result<(), OutputError> {
    let in_the_way = |source| OutputError::InTheWay { target: target.clone(), path: partial.path(), source };
    let Some(file) = left_behind(target, partial)? else { return Ok(()) };
    let identity = Identity::of(&file).map_err(in_the_way)?;
    if partial.whereabouts(identity, &file) != Whereabouts::There {
        return Ok(());
    }
    if file.metadata().map_err(in_the_way)?.len() == 0 {
        return partial.folder.remove(&partial.name).map_err(in_the_way);
    }
    for number in 1..NUMBERS {
        // The name that `scapd repair` gives it.
        let name = becomes.with(&format!(".{number}"));
        if name.stat().map_err(in_the_way)?.is_some() {
            continue;
        }
        let aside = name.with(PARTIAL);
        match partial.folder.rename_new(&partial.name, &aside.name) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(in_the_way(e)),
            Ok(()) => {
                let [partial, name, aside] = [partial, &name, &aside].map(|spot| shown(&spot.path()));
                tracing::warn!(
                    "a recorder left {partial} behind; it is now {aside}: `scapd repair {aside}` makes it {name}"
                );
                return Ok(());
            }
        }
    }
    Err(in_the_way(Errno::EXIST.into()))
}

/// The name of the file being written.
#[derive(Debug)]
pub struct Unpublished {
    spot: Spot,
    identity: Identity,
    /// The name that it gets when it is whole; `None` if it is written in place.
    becomes: Option<Spot>,
}

impl Unpublished {
    /// Returns the path of the file being written.
    pub fn path(&self) -> PathBuf {
        self.spot.path()
    }

    /// Renames the file, which is whole and on disk, to its final name.
    pub fn publish(&self, target: &Target, file: &File) -> Result<(), OutputError> {
        let became = match self.spot.whereabouts(self.identity, file) {
            Whereabouts::There => None,
            Whereabouts::Moved => Some("moved away"),
            Whereabouts::Removed => Some("removed"),
        };
        if let Some(became) = became {
            return Err(OutputError::Missing { target: target.clone(), path: self.path(), became });
        }
        let Some(becomes) = &self.becomes else { return Ok(()) };
        let folder = &self.spot.folder;
        let renamed = folder.rename(&self.spot.name, &becomes.name).and_then(|()| folder.sync());
        renamed.map_err(|source| OutputError::Publish { target: target.clone(), path: self.path(), source })
    }

    /// Removes a `.partial` file to which nothing was written.
    pub fn discard(&self, file: &File) {
        if fstat(file).is_ok_and(|found| found.st_size == 0) {
            self.remove(file);
        }
    }

    /// Removes a `.partial` file.
    pub fn remove(&self, file: &File) {
        if self.becomes.is_some() && self.spot.whereabouts(self.identity, file) == Whereabouts::There {
            let _ = self.spot.folder.remove(&self.spot.name);
        }
    }
}
