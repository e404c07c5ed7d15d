//! The service's end of the socket.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use serde_json::{Map, Value};

use super::protocol::{MAX_REQUEST, Request, answer, parse};
use crate::daemon::serve;

/// How long a client may take to make its request and to take the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A socket in the file system; removed when dropped.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    listener: UnixListener,
}

impl Socket {
    /// Makes the socket, with those permissions from its first moment on. One that nobody listens to is replaced.
    ///
    /// # Errors
    /// If something else is there, somebody listens, or the file system does not allow it.
    pub fn bind(path: &Path, mode: u32) -> anyhow::Result<Socket> {
        let fail = || format!("cannot make the control socket {}", path.display());
        if let Some(folder) =
            path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
        {
            bail!(
                "{}: there is no folder {}; make it, or name another path with --control",
                fail(),
                folder.display()
            );
        }
        match fs::symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => {
                bail!("{}: something else is there; remove it, or name another path with --control", fail());
            }
            Ok(_) if UnixStream::connect(path).is_ok() => {
                bail!(
                    "{}: another scapd listens there; stop it, or name another path with --control",
                    fail()
                );
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e).with_context(fail),
            Ok(_) => {}
        }
        // Beside its place first: it is not to be reached before it has its permissions.
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let listener = UnixListener::bind(&beside).with_context(fail)?;
        let placed = fs::set_permissions(&beside, fs::Permissions::from_mode(mode))
            .and_then(|()| fs::rename(&beside, path));
        if placed.is_err() {
            let _ = fs::remove_file(&beside);
        }
        placed.with_context(fail)?;
        Ok(Socket { path: path.to_owned(), listener })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Answers requests from now on, on threads of its own.
///
/// # Errors
/// If there is no thread to be had.
pub fn serve(
    socket: &Socket,
    handle: impl Fn(Request) -> Result<Map<String, Value>, String> + Send + Sync + 'static,
) -> io::Result<()> {
    let handle = Arc::new(handle);
    serve::start("scapd-control", socket.listener.try_clone()?, PATIENCE, move |client| {
        let line = client.read_up_to(MAX_REQUEST, |bytes| {
            let end = bytes.iter().position(|byte| *byte == b'\n')?;
            Some(bytes[..end].to_vec())
        });
        let result = match line {
            Ok(line) => parse(&line).map_err(|e| e.to_string()).and_then(|request| handle(request)),
            Err(e) if e.kind() == io::ErrorKind::FileTooLarge => {
                Err(format!("a request has at most {MAX_REQUEST} bytes"))
            }
            Err(e) => return Err(e),
        };
        client.write_all(&answer(result))
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn ask(path: &Path, line: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(line).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a listener leaves its socket behind");
        let socket = Socket::bind(&path, 0o600).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let said = format!("{:#}", Socket::bind(&path, 0o600).unwrap_err());
        assert!(said.contains("another scapd listens there"), "{said}");
        drop(socket);
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is left behind");
        fs::write(&path, "").unwrap();
        let said = format!("{:#}", Socket::bind(&path, 0o600).unwrap_err());
        assert!(said.contains("something else is there"), "{said}");
        let long = folder.path().join("x".repeat(120));
        assert!(
            format!("{:#}", Socket::bind(&long, 0o600).unwrap_err())
                .contains("cannot make the control socket")
        );
    }

    #[test]
    fn requests_are_answered_while_other_clients_misbehave() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let socket = Socket::bind(&path, 0o600).unwrap();
        serve(&socket, |request| match request {
            Request::Rotate {} => Err("cannot".into()),
            _ => Ok(Map::from_iter([("file".into(), "f".into())])),
        })
        .unwrap();
        let _silent: Vec<_> = (0..4).map(|_| UnixStream::connect(&path).unwrap()).collect();
        assert_eq!(ask(&path, b"{\"request\":\"status\"}\n"), "{\"ok\":true,\"file\":\"f\"}\n");
        assert_eq!(ask(&path, b"{\"request\":\"rotate\"}\n"), "{\"ok\":false,\"error\":\"cannot\"}\n");
        assert!(ask(&path, b"hello\n").starts_with("{\"ok\":false,\"error\":\"not a request: "));
        let mut stream = UnixStream::connect(&path).unwrap();
        // The answer may come before all is taken.
        let _ = stream.write_all(&vec![b' '; MAX_REQUEST + 2048]);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.is_empty() || answer.contains("at most"), "{answer}");
    }
}
