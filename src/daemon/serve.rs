//! Serves connections of untrusted clients. Each connection has its own thread, which ends after a fixed time whatever
//! the client does. The number of connections is limited: a new one evicts the oldest, so that idle clients cannot lock
//! others out.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::confine::{self, Confinement, Task};

/// The maximum number of connections at a time.
const CONNECTIONS: usize = 32;
/// The minimum age of a connection before a new one evicts it: a client that sends its request at once gets its answer,
/// however many others connect.
const YOUNG: Duration = Duration::from_millis(50);
/// The delay before the next accept(2) after an error: the process may be out of descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// How much a client may still send after its answer, in bytes, and for how long.
const AFTERWARDS: (usize, Duration) = (1 << 20, Duration::from_secs(2));

/// A connection with timeouts.
pub(super) trait Connection: Send + Sync + 'static {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()>;
    fn read(&self, bytes: &mut [u8]) -> io::Result<usize>;
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
}

/// A listening socket.
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

            fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
                Read::read(&mut &*self, bytes)
            }

            fn write(&self, bytes: &[u8]) -> io::Result<usize> {
                Write::write(&mut &*self, bytes)
            }

            fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                <$stream>::shutdown(self, how)
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

/// The connections that can be evicted, oldest first.
#[derive(Debug)]
struct Crowd<C> {
    members: Mutex<Members<C>>,
    fewer: Condvar,
}

#[derive(Debug)]
struct Members<C> {
    list: Vec<Member<C>>,
    next: u64,
}

#[derive(Debug)]
struct Member<C> {
    id: u64,
    since: Instant,
    connection: Arc<C>,
}

impl<C: Connection> Crowd<C> {
    fn new() -> Crowd<C> {
        Crowd { members: Mutex::new(Members { list: Vec::new(), next: 0 }), fewer: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Members<C>> {
        // Every step leaves the list consistent, so a poisoned lock is harmless.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection. If there are too many, waits until the oldest is at least [`YOUNG`] and evicts it.
    fn admit(&self, connection: &Arc<C>) -> u64 {
        let mut members = self.lock();
        while members.list.len() >= CONNECTIONS {
            let age = members.list[0].since.elapsed();
            if age >= YOUNG {
                let oldest = members.list.remove(0);
                // Its thread gets an error and ends.
                let _ = oldest.connection.shutdown(Shutdown::Both);
            } else {
                let waited = self.fewer.wait_timeout(members, YOUNG - age);
                members = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        members.add(connection)
    }

    fn remove(&self, id: u64) {
        self.lock().list.retain(|member| member.id != id);
        self.fewer.notify_one();
    }
}

impl<C> Members<C> {
    fn add(&mut self, connection: &Arc<C>) -> u64 {
        let id = self.next;
        self.next += 1;
        self.list.push(Member { id, since: Instant::now(), connection: connection.clone() });
        id
    }
}

/// Limits how many clients wait for the recording at a time.
#[derive(Debug)]
pub(super) struct Waiting {
    most: usize,
    now: AtomicUsize,
}

impl Waiting {
    pub(super) fn new(most: usize) -> Waiting {
        Waiting { most, now: AtomicUsize::new(0) }
    }

    fn enter(&self) -> Option<Leaves<'_>> {
        let before = self.now.fetch_add(1, Ordering::Relaxed);
        let leaves = Leaves(&self.now);
        (before < self.most).then_some(leaves)
    }
}

struct Leaves<'a>(&'a AtomicUsize);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A client connection with a deadline.
#[derive(Debug)]
pub(super) struct Client<C: Connection> {
    connection: Arc<C>,
    time: Duration,
    deadline: Instant,
    crowd: Arc<Crowd<C>>,
    id: u64,
}

impl<C: Connection> Drop for Client<C> {
    fn drop(&mut self) {
        self.crowd.remove(self.id);
    }
}

impl<C: Connection> Client<C> {
    fn new(connection: C, time: Duration, crowd: &Arc<Crowd<C>>) -> Client<C> {
        let connection = Arc::new(connection);
        let id = crowd.admit(&connection);
        Client { connection, time, deadline: Instant::now() + time, crowd: crowd.clone(), id }
    }

    /// Runs `work`, which may take long. Meanwhile the client cannot be evicted; then its time starts again. Returns
    /// `None` if too many clients are already waiting.
    pub(super) fn wait_for<T>(&mut self, waiting: &Waiting, work: impl FnOnce() -> T) -> Option<T> {
        let _leaves = waiting.enter()?;
        self.crowd.remove(self.id);
        let done = work();
        self.id = self.crowd.lock().add(&self.connection);
        self.deadline = Instant::now() + self.time;
        Some(done)
    }

    /// Waits until the client has read its answer: closing a socket with unread input resets the connection, and the
    /// answer is lost.
    fn finish(&mut self) -> io::Result<()> {
        self.connection.shutdown(Shutdown::Write)?;
        self.deadline = self.deadline.min(Instant::now() + AFTERWARDS.1);
        let (mut rest, mut part) = (AFTERWARDS.0, [0; 4096]);
        while rest > 0 {
            self.wait()?;
            match self.connection.read(&mut part) {
                Ok(0) => return Ok(()),
                Ok(read) => rest = rest.saturating_sub(read),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn wait(&self) -> io::Result<()> {
        match self.deadline.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => self.connection.set_timeout(left),
            _ => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Reads until `end`, given the input so far, returns a value, or more than `most` bytes have arrived.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the client closes the connection first, [`io::ErrorKind::FileTooLarge`] if
    /// `most` bytes are not enough, and errors of the connection.
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

/// Accepts connections on a new thread, and calls `answer` for each on a thread of its own; all threads get `name`.
pub(super) fn start<L: Listener>(
    name: &'static str,
    listener: L,
    time: Duration,
    confine: Confinement,
    answer: impl Fn(&mut Client<L::Connection>) -> io::Result<()> + Send + Sync + 'static,
) -> io::Result<()> {
    let answer = Arc::new(answer);
    let crowd = Arc::new(Crowd::new());
    let accept = move || {
        // Applies to this thread and to those that it starts.
        let in_force = confine::thread(confine, Task::Talking);
        tracing::debug!("{name}: {in_force}");
        loop {
            let Ok(connection) = listener.accept() else {
                thread::sleep(PAUSE);
                continue;
            };
            let answer = answer.clone();
            let mut client = Client::new(connection, time, &crowd);
            // If no thread can be started, this closes the connection.
            let _ = thread::Builder::new().name(name.into()).spawn(move || {
                if let Err(error) = answer(&mut client).and_then(|()| client.finish()) {
                    tracing::debug!("{name}: {error}");
                }
            });
        }
    };
    thread::Builder::new().name(name.into()).spawn(accept).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn pair(time: Duration) -> (Client<UnixStream>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Client::new(ours, time, &Arc::new(Crowd::new())), theirs)
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
        // The peer does not read.
        let (mut ours, _theirs) = pair(Duration::from_millis(20));
        assert!(ours.write_all(&vec![0; 64 << 20]).is_err());
    }

    #[test]
    fn the_oldest_goes_when_another_one_comes_but_not_while_it_is_young_or_waits() {
        let crowd = Arc::new(Crowd::new());
        let mut theirs = Vec::new();
        let mut come = || {
            let (our, their) = UnixStream::pair().unwrap();
            theirs.push(their);
            Client::new(our, LONG, &crowd)
        };
        let start = Instant::now();
        let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| come()).collect();
        let waiting = Waiting::new(1);
        clients[0].wait_for(&waiting, || {
            assert_eq!(crowd.lock().list.len(), CONNECTIONS - 1, "who waits takes nobody's place");
        });
        let another = come();
        assert!(start.elapsed() >= YOUNG);
        let is_open = |at: usize| crowd.lock().list.iter().any(|member| member.id == at as u64);
        assert!(!is_open(1) && is_open(2), "that of the second client is the oldest by now");
        assert_eq!(clients[1].read_up_to(10, line).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(another.connection.write(b"x").is_ok());
        drop((clients, another));
        assert!(crowd.lock().list.is_empty());
    }

    #[test]
    fn only_so_many_wait_and_their_time_stands_still() {
        let waiting = Waiting::new(1);
        let (mut first, _theirs) = pair(Duration::from_millis(200));
        let (mut second, _) = pair(LONG);
        first.wait_for(&waiting, || {
            assert_eq!(second.wait_for(&waiting, || ()), None);
            thread::sleep(Duration::from_millis(250));
        });
        assert!(first.write_all(b"late").is_ok(), "the answer has its own time");
        assert_eq!(second.wait_for(&waiting, || 7), Some(7), "each place is given back");
    }

    #[test]
    fn an_answer_arrives_though_not_all_of_the_request_was_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        start("test", listener, LONG, Confinement::Auto, |client| {
            let _ = client.read_up_to(100, line);
            client.write_all(b"answer")
        })
        .unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&vec![b'x'; 512 << 10]).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
    }
}
