//! The server of the control socket.

use std::{io, sync::Arc, time::Duration};

use serde_json::{Map, Value};

use super::{
    protocol::{MAX_REQUEST, Request, answer, parse},
    socket::Socket,
};
use crate::{
    confine::Confinement,
    daemon::serve::{self, Waiting},
};

/// How long a client may take to send its request and read the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many requests may wait for a rotation, and how many for a change of the configuration.
const MOST: usize = 8;

/// Starts threads that answer requests.
///
/// # Errors
/// If no thread can be started.
pub fn serve(
    socket: &Socket,
    confine: Confinement,
    handle: impl Fn(Request) -> Result<Map<String, Value>, String> + Send + Sync + 'static,
) -> io::Result<()> {
    let handle = Arc::new(handle);
    let (rotations, changes) = (Waiting::new(MOST), Waiting::new(MOST));
    serve::start("scapd-control", socket.listener().try_clone()?, PATIENCE, confine, move |client| {
        let line = client.read_up_to(MAX_REQUEST, |bytes| {
            let end = bytes.iter().position(|byte| *byte == b'\n')?;
            Some(bytes[..end].to_vec())
        });
        let request = match line {
            Ok(line) => parse(&line).map_err(|e| e.to_string()),
            Err(e) if e.kind() == io::ErrorKind::FileTooLarge => {
                Err(format!("a request has at most {MAX_REQUEST} bytes"))
            }
            Err(e) => return Err(e),
        };
        let result = request.and_then(|request| {
            let waiting = match request {
                // Answered at once, however many others wait.
                Request::Status {} | Request::Stop {} => return handle(request),
                Request::Rotate {} | Request::Dump { .. } => &rotations,
                Request::Reload {} | Request::Set { .. } => &changes,
            };
            client
                .wait_for(waiting, || handle(request))
                .unwrap_or_else(|| Err(format!("{MOST} such requests are already waiting; try again")))
        });
        client.write_all(&answer(result))
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
        path::Path,
        sync::mpsc::channel,
    };

    use super::*;

    fn ask(path: &Path, line: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(line).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn requests_are_answered_while_other_clients_misbehave() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let socket = Socket::bind(&path, 0o600).unwrap();
        serve(&socket, Confinement::Auto, |request| match request {
            Request::Rotate {} => Err("cannot".into()),
            _ => Ok(Map::from_iter([("file".into(), "f".into())])),
        })
        .unwrap();
        let _silent: Vec<_> = (0..4).map(|_| UnixStream::connect(&path).unwrap()).collect();
        assert_eq!(ask(&path, b"{\"request\":\"status\"}\n"), "{\"ok\":true,\"file\":\"f\"}\n");
        assert_eq!(ask(&path, b"{\"request\":\"rotate\"}\n"), "{\"ok\":false,\"error\":\"cannot\"}\n");
        assert!(ask(&path, b"hello\n").starts_with("{\"ok\":false,\"error\":\"not a request: "));
        // The answer arrives although the service has not read the whole request.
        let said = ask(&path, &vec![b' '; MAX_REQUEST + 2048]);
        assert!(said.contains("at most"), "{said}");
    }

    #[test]
    fn those_that_wait_keep_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let socket = Socket::bind(&path, 0o600).unwrap();
        let ((go, held), (here, came)) = (channel::<()>(), channel());
        let held = std::sync::Mutex::new(held);
        serve(&socket, Confinement::Auto, move |request| match request {
            Request::Rotate {} => {
                here.send(()).unwrap();
                held.lock().unwrap().recv().map(|()| Map::new()).map_err(|e| e.to_string())
            }
            _ => Ok(Map::new()),
        })
        .unwrap();
        let mut rotating: Vec<_> = (0..MOST).map(|_| UnixStream::connect(&path).unwrap()).collect();
        for client in &mut rotating {
            client.write_all(b"{\"request\":\"rotate\"}\n").unwrap();
        }
        let ok = "{\"ok\":true}\n";
        (0..MOST).for_each(|_| came.recv().unwrap());
        assert!(ask(&path, b"{\"request\":\"rotate\"}\n").contains("are already waiting"));
        let _silent: Vec<_> = (0..100).map(|_| UnixStream::connect(&path).unwrap()).collect();
        for request in ["status", "reload", "stop"] {
            assert_eq!(ask(&path, format!("{{\"request\":\"{request}\"}}\n").as_bytes()), ok, "{request}");
        }
        (0..MOST).for_each(|_| go.send(()).unwrap());
        for mut client in rotating {
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, ok, "each is told");
        }
    }
}
