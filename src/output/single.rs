//! A capture that is one file.
//!
//! [`Reserved`] checks the target and changes nothing; [`open`](Reserved::open) is for when nothing else can fail any more.
//! A regular file is written as `NAME.partial`, locked, and renamed over `NAME` when it is whole and on disk. Until then
//! `NAME` is untouched. A `NAME.partial` that a recorder left behind is kept as `NAME.1.partial`.
//!
//! Pipes and devices are opened in place. So is a file in whose folder no file can be made, or that is a mount point: it is
//! locked at once and emptied late.

use std::{
    fs::{self, File, Permissions},
    io::{self, ErrorKind, IsTerminal},
    os::{
        fd::AsFd,
        unix::{
            ffi::OsStrExt,
            fs::{OpenOptionsExt, PermissionsExt},
        },
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, CWD, FlockOperation, Mode, OFlags, StatxAttributes, StatxFlags, flock, fstat, open, statfs,
        statx,
    },
    io::Errno,
};

use super::{
    Output, OutputError, Target,
    series::{Identity, Whereabouts, partial_of, rename_to_free, sync_dir},
    sink::Sink,
};

/// Links that are followed from a name, as many as the kernel follows.
const LINKS: usize = 40;
/// Attempts to create a file while others put theirs in its place.
const TRIES: usize = 8;
/// Numbers that are tried for a file that was left behind.
const NUMBERS: usize = 10_000;
/// What `statfs` says of /proc (linux/magic.h).
const PROC_MAGIC: u64 = 0x9fa0;

/// A target that can be opened, as far as can be told; nothing was changed yet.
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
    InPlace(PathBuf),
    /// A regular file that is written in place, locked.
    Locked(PathBuf, File),
    /// A regular file that is written beside its name.
    Beside(PathBuf),
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
            Target::File(path) => Way::to(&target, path)?,
        };
        Ok(Reserved { target, compress, way })
    }

    /// What is to be written to.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Opens the target: creates the file, or empties it where it is written in place. For a FIFO it waits for a reader.
    ///
    /// # Errors
    /// [`OutputError::Create`], and [`OutputError::Busy`] if another recorder was faster.
    pub fn open(self) -> Result<Output, OutputError> {
        let Reserved { target, compress, way } = self;
        let failed = |e| OutputError::create(&target, e);
        let (sink, place) = match way {
            // Past the buffer that std keeps for its own stdout.
            Way::Stdout => {
                (io::stdout().as_fd().try_clone_to_owned().map(File::from).and_then(Sink::new), None)
            }
            Way::InPlace(path) => {
                let file = File::options().write(true).open(&path).map_err(failed)?;
                if file.metadata().map_err(failed)?.is_file() {
                    lock(&target, &path, &file)?;
                    empty(&path, &file).map_err(failed)?;
                }
                (Sink::own(file), None)
            }
            Way::Locked(path, file) => {
                empty(&path, &file).map_err(failed)?;
                let identity = Identity::of(&file).map_err(failed)?;
                (Sink::own(file), Some(Place { path, identity, becomes: None }))
            }
            Way::Beside(path) => {
                let (file, place) = create_beside(&target, path)?;
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
    fn to(target: &Target, path: &Path) -> Result<Way, OutputError> {
        let failed = |e| OutputError::create(target, e);
        let Some(path) = name_of(path).map_err(failed)? else { return Ok(Way::InPlace(path.into())) };
        let old = match open_old(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            old => Some(old.map_err(failed)?),
        };
        match (can_create_in(folder_of(&path)), old) {
            (Ok(()), old) if old.is_none() || !is_mount_point(&path) => {
                drop(left_behind(target, &partial_of(&path))?);
                Ok(Way::Beside(path))
            }
            (_, Some(file)) => {
                lock(target, &path, &file)?;
                Ok(Way::Locked(path, file))
            }
            (created, None) => {
                created.map_err(failed)?;
                Ok(Way::Beside(path))
            }
        }
    }
}

/// The name of a regular file, with links resolved; `None` for what is no regular file, or is named by a descriptor.
fn name_of(path: &Path) -> io::Result<Option<PathBuf>> {
    let bytes = path.as_os_str().as_bytes();
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(Errno::ISDIR.into()),
        Ok(found) if !found.is_file() => return Ok(None),
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        Err(_) if bytes.ends_with(b"/") || bytes.ends_with(b"/.") => return Err(Errno::ISDIR.into()),
        _ => {}
    }
    let mut name = path.to_owned();
    for _ in 0..LINKS {
        let folder = folder_of(&name);
        if statfs(folder)?.f_type as u64 == PROC_MAGIC {
            return Ok(None);
        }
        match fs::read_link(&name) {
            Ok(to) => name = folder.join(to),
            Err(_) => return Ok(Some(name)),
        }
    }
    Err(Errno::LOOP.into())
}

/// The folder that a file is in, or is to be in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Opens the file that is there, unchanged.
fn open_old(path: &Path) -> io::Result<File> {
    File::options().write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

/// Tries whether a file can be made in a folder, by one that never has a name.
pub fn can_create_in(folder: &Path) -> io::Result<()> {
    match open(folder, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR) {
        // The file system has no such files: the real one will tell.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Ok(()),
        made => Ok(made.map(drop)?),
    }
}

/// Nothing can be renamed over a mount point, as a container's volume of one file is.
fn is_mount_point(path: &Path) -> bool {
    statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty())
        .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

fn lock(target: &Target, path: &Path, file: &File) -> Result<(), OutputError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(OutputError::Busy { target: target.clone(), path: path.into() }),
        // A file system that knows no locks has none that are held.
        _ => Ok(()),
    }
}

/// Empties a file that is written in place, and makes it its owner's alone.
fn empty(path: &Path, file: &File) -> io::Result<()> {
    if let Err(e) = file.set_permissions(Permissions::from_mode(0o600)) {
        tracing::warn!("the permissions of {} stay as they are: {e}", path.display());
    }
    file.set_len(0)
}

fn create_beside(target: &Target, path: PathBuf) -> Result<(File, Place), OutputError> {
    let failed = |e| OutputError::create(target, e);
    let partial = partial_of(&path);
    for _ in 0..TRIES {
        // It holds what the whole machine does: data, arguments, environments.
        match File::options().write(true).create_new(true).mode(0o600).open(&partial) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => put_aside(target, &path, &partial)?,
            Err(e) => return Err(failed(e)),
            Ok(file) => {
                lock(target, &partial, &file)?;
                let identity = Identity::of(&file).map_err(failed)?;
                // Before the lock, another recorder may have taken it for one that was left behind.
                if identity.whereabouts(&partial, &file) != Whereabouts::There {
                    return Err(OutputError::Busy { target: target.clone(), path: partial });
                }
                return Ok((file, Place { path: partial, identity, becomes: Some(path) }));
            }
        }
    }
    Err(failed(ErrorKind::AlreadyExists.into()))
}

/// The file that a recorder left behind, locked; `None` if there is none.
fn left_behind(target: &Target, partial: &Path) -> Result<Option<File>, OutputError> {
    let in_the_way = |source| OutputError::InTheWay { target: target.clone(), path: partial.into(), source };
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match File::options().read(true).custom_flags(flags).open(partial) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(in_the_way)?,
    };
    if !file.metadata().map_err(in_the_way)?.is_file() {
        return Err(in_the_way(Errno::EXIST.into()));
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(OutputError::Busy { target: target.clone(), path: partial.into() }),
        // Without locks it cannot be told from one that is still being written.
        Err(e) => Err(in_the_way(e.into())),
        Ok(()) => Ok(Some(file)),
    }
}

/// Makes room for a new file, and keeps what was recorded.
fn put_aside(target: &Target, path: &Path, partial: &Path) -> Result<(), OutputError> {
    let in_the_way = |source| OutputError::InTheWay { target: target.clone(), path: partial.into(), source };
    let Some(file) = left_behind(target, partial)? else { return Ok(()) };
    let identity = Identity::of(&file).map_err(in_the_way)?;
    if identity.whereabouts(partial, &file) != Whereabouts::There {
        return Ok(());
    }
    if file.metadata().map_err(in_the_way)?.len() == 0 {
        return fs::remove_file(partial).map_err(in_the_way);
    }
    for number in 1..NUMBERS {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        let aside = partial_of(Path::new(&name));
        // `scapd repair` gives it this name.
        if fs::symlink_metadata(&name).is_ok() {
            continue;
        }
        match rename_to_free(partial, &aside) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(in_the_way(e)),
            Ok(()) => {
                tracing::warn!(
                    "{} was left behind by a recorder, and is now {2}: `scapd repair {2}` makes it {1}",
                    partial.display(),
                    Path::new(&name).display(),
                    aside.display()
                );
                return Ok(());
            }
        }
    }
    Err(in_the_way(Errno::EXIST.into()))
}

/// The name of the file that is written.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    identity: Identity,
    /// The name that it gets when it is whole; `None`: it has it.
    becomes: Option<PathBuf>,
}

impl Place {
    /// Where the file is that is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file, which is whole and on disk, its name.
    pub fn publish(&self, target: &Target, file: &File) -> Result<(), OutputError> {
        let became = match self.identity.whereabouts(&self.path, file) {
            Whereabouts::There => None,
            Whereabouts::Moved => Some("moved away"),
            Whereabouts::Removed => Some("removed"),
        };
        if let Some(became) = became {
            return Err(OutputError::Missing { target: target.clone(), path: self.path.clone(), became });
        }
        let Some(name) = &self.becomes else { return Ok(()) };
        let renamed = fs::rename(&self.path, name).and_then(|()| sync_dir(folder_of(name)));
        renamed.map_err(|source| OutputError::Publish {
            target: target.clone(),
            path: self.path.clone(),
            source,
        })
    }

    /// Removes a file beside its name that nothing was written to.
    pub fn discard(&self, file: &File) {
        let is_empty = fstat(file).is_ok_and(|found| found.st_size == 0);
        if self.becomes.is_some()
            && is_empty
            && self.identity.whereabouts(&self.path, file) == Whereabouts::There
        {
            let _ = fs::remove_file(&self.path);
        }
    }
}
