//! The sockets of runtimes: where they are, and which of them to ask for a container.

use std::{
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::LazyLock,
};

use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::UnixStream;

use super::Wanted;
use crate::escape::shown;
use scap::container::Kind;

/// The protocol that a socket speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Api {
    /// Docker's API.
    Docker,
    /// Docker's API, by Podman.
    Podman,
    /// Kubernetes' CRI: containerd, CRI-O.
    Cri,
}

/// A socket of a runtime.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Socket {
    /// Its path.
    pub path: PathBuf,
    /// What it speaks.
    pub api: Api,
    /// The user whose containers it knows. It has to belong to that user, and is asked for no others.
    pub user: Option<u32>,
}

/// Why a text names no socket.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SocketError {
    /// The path begins at no root.
    #[error("the path of a socket begins with /")]
    Relative,
    /// The path does not say what the socket speaks.
    #[error("which API does it speak? Give docker:PATH, podman:PATH or cri:PATH")]
    Api,
}

/// Where the runtimes have their sockets.
const USUAL: [(&str, Api); 6] = [
    ("/run/docker.sock", Api::Docker),
    ("/run/podman/podman.sock", Api::Podman),
    ("/run/containerd/containerd.sock", Api::Cri),
    ("/run/k3s/containerd/containerd.sock", Api::Cri),
    ("/run/crio/crio.sock", Api::Cri),
    ("/var/run/docker.sock", Api::Docker),
];
/// Where sockets are again that are in /run, unless it is a directory of its own.
const VAR_RUN: &str = "/var/run/";
/// Whether it is.
static VAR_RUN_IS_APART: LazyLock<bool> =
    LazyLock::new(|| fs::canonicalize(VAR_RUN).is_ok_and(|path| path != Path::new("/run")));
/// Where a user's have theirs, below `/run/user/UID`.
const OF_USER: [(&str, Api); 2] = [("podman/podman.sock", Api::Podman), ("docker.sock", Api::Docker)];

impl FromStr for Socket {
    type Err = SocketError;

    fn from_str(text: &str) -> Result<Socket, SocketError> {
        let (api, path) = match text.split_once(':') {
            Some(("docker", path)) => (Some(Api::Docker), path),
            Some(("podman", path)) => (Some(Api::Podman), path),
            Some(("cri", path)) => (Some(Api::Cri), path),
            _ => (None, text),
        };
        if !path.starts_with('/') {
            return Err(SocketError::Relative);
        }
        let guessed = || {
            let says = |word| path.contains(word);
            match () {
                () if says("podman") => Some(Api::Podman),
                () if says("docker") => Some(Api::Docker),
                () if says("containerd") || says("crio") => Some(Api::Cri),
                () => None,
            }
        };
        let api = api.or_else(guessed).ok_or(SocketError::Api)?;
        Ok(Socket { path: path.into(), api, user: None })
    }
}

impl std::fmt::Display for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let api = match self.api {
            Api::Docker => "docker",
            Api::Podman => "podman",
            Api::Cri => "cri",
        };
        write!(f, "{api}:{}", shown(&self.path))
    }
}

impl Api {
    /// Returns whether containers of this kind may be known there.
    fn may_know(self, kind: Option<Kind>) -> bool {
        match kind {
            Some(Kind::Docker) => self == Api::Docker,
            Some(Kind::Podman) => self == Api::Podman,
            Some(Kind::Containerd | Kind::CriO) => self == Api::Cri,
            _ => true,
        }
    }
}

/// Returns the sockets to ask for a container, of those that were given; of the usual ones, if none were.
pub(super) fn to_ask(wanted: &Wanted, given: &[Socket]) -> Vec<Socket> {
    let mut sockets = given.to_vec();
    if given.is_empty() {
        wanted.user.into_iter().for_each(|uid| sockets.extend(of_user(uid)));
        // The containers of root are the machine's, also in a session of root.
        if matches!(wanted.user, None | Some(0)) {
            sockets.extend(usual(*VAR_RUN_IS_APART));
        }
    }
    sockets.retain(|socket| socket.api.may_know(wanted.kind));
    sockets
}

fn of_user(uid: u32) -> impl Iterator<Item = Socket> {
    OF_USER.into_iter().map(move |(name, api)| {
        let path = Path::new("/run/user").join(uid.to_string()).join(name);
        Socket { path, api, user: Some(uid) }
    })
}

/// Returns the sockets of the machine's own runtimes.
pub(super) fn usual(var_run_is_apart: bool) -> impl Iterator<Item = Socket> {
    let known = USUAL.into_iter().filter(move |(path, _)| var_run_is_apart || !path.starts_with(VAR_RUN));
    known.map(|(path, api)| Socket { path: path.into(), api, user: None })
}

impl Socket {
    /// Connects to it.
    ///
    /// # Errors
    /// Also if it belongs to neither its user nor root.
    pub(super) async fn connect(&self) -> io::Result<TokioIo<UnixStream>> {
        let stream = UnixStream::connect(&self.path).await?;
        if let Some(user) = self.user {
            let owner = stream.peer_cred()?.uid();
            // Anybody could have put a socket there, if the directory was theirs.
            if owner != user && owner != 0 {
                let text = format!("user {owner} listens there instead of user {user}");
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
            }
        }
        Ok(TokioIo::new(stream))
    }
}
