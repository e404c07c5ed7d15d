//! The control socket in the file system. Another user may own its folder and swap its contents at any time: once the
//! folder is open, nothing uses its path.

use std::{
    ffi::OsString,
    io::{self, ErrorKind},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixListener,
    },
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context, bail};
use rustix::{
    fs::{FileType, Mode, Stat, fchmod},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with},
    process::umask,
    thread::{UnshareFlags, unshare_unsafe},
};

use crate::{escape::shown, folder::Folder};

/// The backlog of listen(2).
const BACKLOG: i32 = 128;

/// A socket in the file system; removed when dropped.
#[derive(Debug)]
pub struct Socket {
    place: Place,
    /// The device and inode of the socket file.
    id: Option<(u64, u64)>,
    listener: UnixListener,
}

impl Socket {
    /// Creates the socket, with these permissions from the start. Replaces a socket without a listener.
    ///
    /// # Errors
    /// If the path is something else, if the socket there has a listener, or if the file system refuses.
    pub fn bind(path: &Path, mode: u32) -> anyhow::Result<Socket> {
        let fail = || format!("cannot create the control socket {}", shown(path));
        let place = Place::open(path).with_context(fail)?;
        place.make_room().with_context(fail)?;
        let listener = socket(SocketFlags::CLOEXEC).with_context(fail)?;
        place.bind(&listener, Mode::from_raw_mode(mode)).with_context(fail)?;
        listen(&listener, BACKLOG).with_context(fail)?;
        let made = place.stat().ok().flatten();
        if let Some(got) = made.map(|made| made.st_mode & 0o7777).filter(|got| *got != mode) {
            tracing::warn!(
                "the control socket has the permissions {got:04o}: its file system cannot set {mode:04o}"
            );
        }
        Ok(Socket { place, id: made.map(|made| (made.st_dev, made.st_ino)), listener: listener.into() })
    }

    /// Returns the listener.
    pub(super) fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let there = self.place.stat().ok().flatten().map(|there| (there.st_dev, there.st_ino));
        if there.is_some() && there == self.id {
            let _ = self.place.folder.remove(&self.place.name);
        }
    }
}

fn socket(flags: SocketFlags) -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// A name in an open folder.
#[derive(Debug)]
struct Place {
    folder: Folder,
    name: OsString,
}

impl Place {
    fn open(path: &Path) -> anyhow::Result<Place> {
        let Some(name) = path.file_name() else {
            bail!("the path has no file name; name another with --control")
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match Folder::open(folder) {
            Ok(folder) => Ok(Place { folder, name: name.to_owned() }),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                bail!("there is no folder {}; create it, or name another path with --control", shown(folder))
            }
            Err(e) => Err(e).with_context(|| shown(folder)),
        }
    }

    /// Returns the status of the file of this name, if any, without following a symbolic link.
    fn stat(&self) -> io::Result<Option<Stat>> {
        self.folder.stat(&self.name)
    }

    /// Returns the address of the socket. bind(2) and connect(2) take only paths: this one leads to the open folder,
    /// even if that was renamed.
    fn address(&self) -> io::Result<SocketAddrUnix> {
        let folder = PathBuf::from(format!("/proc/self/fd/{}", self.folder.as_fd().as_raw_fd()));
        Ok(SocketAddrUnix::new(folder.join(&self.name))?)
    }

    /// Removes a socket without a listener.
    fn make_room(&self) -> anyhow::Result<()> {
        let Some(there) = self.stat()? else { return Ok(()) };
        if FileType::from_raw_mode(there.st_mode) != FileType::Socket {
            bail!("something else is there; remove it, or name another path with --control");
        }
        // Nonblocking: a listener with a full backlog would block connect(2).
        match connect(&socket(SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?, &self.address()?) {
            Err(Errno::CONNREFUSED | Errno::NOENT) => {}
            Ok(()) | Err(Errno::AGAIN) => {
                bail!("another scapd listens there; stop it, or name another path with --control")
            }
            Err(e) => return Err(e.into()),
        }
        match self.folder.remove(&self.name) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// Binds a socket to this name. The file gets the mode of the socket, minus the umask.
    fn bind(&self, socket: &OwnedFd, mode: Mode) -> anyhow::Result<()> {
        let address = self.address().context("the file name is too long")?;
        fchmod(socket, mode)?;
        match without_umask(|| bind(socket, &address))? {
            Err(Errno::NOENT) => bail!("its folder was removed, or /proc is not mounted"),
            Err(Errno::ADDRINUSE) => {
                bail!("something else is there; remove it, or name another path with --control")
            }
            bound => Ok(bound?),
        }
    }
}

/// Runs `run` on a thread with a umask of its own, 0. If a sandbox forbids unshare(2), changes the umask of the process
/// for a moment instead: no other thread creates files yet, as the recording starts later.
fn without_umask<T: Send>(run: impl FnOnce() -> T + Send) -> io::Result<T> {
    let run = || {
        // SAFETY: this unshares only the working directory, the root and the umask of this thread.
        let is_own = unsafe { unshare_unsafe(UnshareFlags::FS) }.is_ok();
        let before = umask(Mode::empty());
        let done = run();
        if !is_own {
            umask(before);
        }
        done
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("scapd-bind".into()).spawn_scoped(scope, run)?;
        thread.join().map_err(|_| io::Error::other("the thread that creates it panicked"))
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::{
            fs::{FileTypeExt, PermissionsExt, lchown, symlink},
            net::UnixStream,
        },
    };

    use super::*;
    use crate::confine;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn links_of_other_users_on_the_way_are_not_followed() {
        assert!(rustix::process::geteuid().is_root(), "this test needs root");
        let folder = tempfile::tempdir().unwrap();
        let [ours, link] = ["ours", "link"].map(|name| folder.path().join(name));
        fs::create_dir(&ours).unwrap();
        symlink(&ours, &link).unwrap();
        drop(Socket::bind(&link.join("control.sock"), 0o600).unwrap());
        lchown(&link, Some(65534), Some(65534)).unwrap();
        let said = format!("{:#}", Socket::bind(&link.join("control.sock"), 0o600).unwrap_err());
        assert!(said.contains("belongs to user 65534 and is not followed"), "{said}");
        assert_eq!(fs::read_dir(&ours).unwrap().count(), 0);
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a listener leaves its socket behind");
        let socket = Socket::bind(&path, 0o600).unwrap();
        assert_eq!(mode(&path), 0o600);
        let said = format!("{:#}", Socket::bind(&path, 0o600).unwrap_err());
        assert!(said.contains("another scapd listens there"), "{said}");
        drop(socket);
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is left behind");
        fs::write(&path, "").unwrap();
        let said = format!("{:#}", Socket::bind(&path, 0o600).unwrap_err());
        assert!(said.contains("something else is there"), "{said}");
        let long = folder.path().join("x".repeat(120));
        let said = format!("{:#}", Socket::bind(&long, 0o600).unwrap_err());
        assert!(said.contains("cannot create the control socket") && said.contains("too long"), "{said}");
        let said = format!("{:#}", Socket::bind(Path::new("/no/such/folder/x"), 0o600).unwrap_err());
        assert!(said.contains("there is no folder /no/such/folder"), "{said}");
    }

    #[test]
    fn the_permissions_are_those_that_are_wanted_whatever_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        // On a thread with its own umask, so that other tests keep theirs.
        let modes = without_umask(|| {
            [0o077, 0o777, 0].map(|mask| {
                umask(Mode::from_raw_mode(mask));
                let path = folder.path().join(format!("{mask:o}"));
                let socket = Socket::bind(&path, 0o666).unwrap();
                let mode = mode(&path);
                drop(socket);
                let after = umask(Mode::empty());
                (mode, after.as_raw_mode())
            })
        });
        assert_eq!(modes.unwrap(), [(0o666, 0o077), (0o666, 0o777), (0o666, 0)]);
    }

    #[test]
    fn a_sandbox_that_forbids_a_umask_of_ones_own_is_borne() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let bound = std::thread::spawn(move || {
            confine::thread(confine::Confinement::Auto, confine::Task::Recording);
            let _socket = Socket::bind(&path, 0o666).unwrap();
            mode(&path)
        });
        assert_eq!(bound.join().unwrap(), 0o666);
    }

    #[test]
    fn a_folder_with_a_long_path_will_do() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x".repeat(100)).join("y".repeat(100));
        fs::create_dir_all(&deep).unwrap();
        let path = deep.join("control.sock");
        let _socket = Socket::bind(&path, 0o600).unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    }

    #[test]
    fn links_are_not_followed_and_others_sockets_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("control.sock"), folder.path().join("other"));
        symlink(&other, &path).unwrap();
        for there in [false, true] {
            if there {
                drop(UnixListener::bind(&other).unwrap());
            }
            let said = format!("{:#}", Socket::bind(&path, 0o600).unwrap_err());
            assert!(said.contains("something else is there"), "{said}");
            assert_eq!(other.exists(), there);
        }
        fs::remove_file(&path).unwrap();
        let socket = Socket::bind(&path, 0o600).unwrap();
        // Another process replaces the socket.
        fs::remove_file(&path).unwrap();
        let theirs = UnixListener::bind(&path).unwrap();
        drop(socket);
        assert!(path.exists() && UnixStream::connect(&path).is_ok());
        // A listener with a full backlog does not block.
        let mut waiting = Vec::new();
        loop {
            let client = super::socket(SocketFlags::NONBLOCK).unwrap();
            let address = SocketAddrUnix::new(&path).unwrap();
            let connected = connect(&client, &address);
            waiting.push(client);
            match connected {
                Ok(()) => assert!(waiting.len() < 10_000),
                Err(e) => break assert_eq!(e, Errno::AGAIN),
            }
        }
        let said = format!("{:#}", Socket::bind(&path, 0o600).unwrap_err());
        assert!(said.contains("another scapd listens there"), "{said}");
        drop(theirs);
    }
}
