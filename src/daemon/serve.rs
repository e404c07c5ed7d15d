//! Connections of others, whoever they are: each has a thread of its own, which ends after a fixed time whatever the
//! other side does, and there are only so many of them.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::privileges::{self, Keep};

/// Connections at one time; further ones are closed at once.
const CONNECTIONS: usize = 8;
/// How long after an error the next connection is waited for: there may be no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// A way to the outside that has timeouts.
pub(super) trait Connection: Read + Write + Send + 'static {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()>;
}

/// Where connections come in.
pub(super) trait Listener: Send + 'static {
    type Connection: Connection;
    fn accept(&self) -> io::Result<Self::Connection>;
}

macro_rules! sockets {
    ($($listener:ty => $stream:ty),*) => {$(
        impl Connection for $stream {
            fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
                self.set_read_timeout(Some(timeout))?;
                self.set_write_timeout(Some(timeout))
            }
        }

        impl Listener for $listener {
            type Connection = $stream;
            fn accept(&self) -> io::Result<$stream> {
                <$listener>::accept(self).map(|(stream, _)| stream)
            }
        }
    )*};
}
sockets!(UnixListener => UnixStream, TcpListener => TcpStream);

/// A connection that ends at a deadline.
#[derive(Debug)]
pub(super) struct Limited<C> {
    connection: C,
    deadline: Instant,
}

impl<C: Connection> Limited<C> {
    pub(super) fn new(connection: C, time: Duration) -> Limited<C> {
        Limited { connection, deadline: Instant::now() + time }
    }

    fn wait(&self) -> io::Result<()> {
        match self.deadline.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => self.connection.set_timeout(left),
            _ => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Reads until `end` finds the end of what it looks for in what has come so far, but no more than `most` bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the other side stops before, [`io::ErrorKind::FileTooLarge`] if there is no
    /// end in so many bytes, and those of the connection.
    pub(super) fn read_up_to<T>(
        &mut self,
        most: usize,
        mut end: impl FnMut(&[u8]) -> Option<T>,
    ) -> io::Result<T> {
        let mut bytes = Vec::new();
        let mut part = [0; 1024];
        loop {
            self.wait()?;
            let read = match self.connection.read(&mut part) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes.extend_from_slice(&part[..read]);
            if let Some(found) = end(&bytes) {
                return Ok(found);
            }
            if bytes.len() > most {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
    }

    pub(super) fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.wait()?;
            match self.connection.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// Has `answer` answer each connection, on threads of that name.
pub(super) fn start<L: Listener>(
    name: &'static str,
    listener: L,
    time: Duration,
    answer: impl Fn(&mut Limited<L::Connection>) -> io::Result<()> + Send + Sync + 'static,
) -> io::Result<()> {
    let answer = Arc::new(answer);
    let open = Arc::new(AtomicUsize::new(0));
    let accept = move || {
        // Of this thread, and of those that it starts.
        privileges::keep(Keep::Nothing);
        loop {
            let Ok(connection) = listener.accept() else {
                thread::sleep(PAUSE);
                continue;
            };
            let Some(place) = Place::take(&open) else { continue };
            let answer = answer.clone();
            let mut connection = Limited::new(connection, time);
            // Without a thread it is closed, and others are waited for.
            let _ = thread::Builder::new().name(name.into()).spawn(move || {
                if let Err(error) = answer(&mut connection) {
                    tracing::debug!("{name}: {error}");
                }
                drop((connection, place));
            });
        }
    };
    thread::Builder::new().name(name.into()).spawn(accept).map(drop)
}

/// One of the connections that there may be.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Option<Place> {
        let place = Place(open.clone());
        (open.fetch_add(1, Ordering::Relaxed) < CONNECTIONS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn pair(time: Duration) -> (Limited<UnixStream>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Limited::new(ours, time), theirs)
    }

    fn line(bytes: &[u8]) -> Option<usize> {
        bytes.iter().position(|byte| *byte == b'\n')
    }

    #[test]
    fn reading_ends_at_what_is_looked_for() {
        let (mut ours, mut theirs) = pair(LONG);
        theirs.write_all(b"abc\ndef").unwrap();
        assert_eq!(ours.read_up_to(100, line).unwrap(), 3);
    }

    #[test]
    fn too_much_too_little_and_too_late_are_errors() {
        let (mut ours, mut theirs) = pair(LONG);
        theirs.write_all(&[b'x'; 5000]).unwrap();
        assert_eq!(ours.read_up_to(4096, line).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        let (mut ours, theirs) = pair(LONG);
        drop(theirs);
        assert_eq!(ours.read_up_to(4096, line).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let (mut ours, _theirs) = pair(Duration::from_millis(1));
        let kind = ours.read_up_to(4096, line).unwrap_err().kind();
        assert!(matches!(kind, io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock), "{kind}");
        // Nobody takes what is written.
        let (mut ours, _theirs) = pair(Duration::from_millis(20));
        assert!(ours.write_all(&vec![0; 64 << 20]).is_err());
    }

    #[test]
    fn there_are_only_so_many_places_and_each_is_given_back() {
        let open = Arc::default();
        for _ in 0..3 {
            let taken: Vec<_> = std::iter::from_fn(|| Place::take(&open)).collect();
            assert_eq!(taken.len(), CONNECTIONS);
        }
        assert_eq!(open.load(Ordering::Relaxed), 0);
    }
}
