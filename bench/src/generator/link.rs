//! The protocol between a generator and the benchmark: lines over a Unix socket, so that it does not matter which
//! process has started the generator.
//!
//! ```text
//! generator: ready          its recorder is running, and the preparations are done
//! benchmark: go
//! generator: {"ns": ...}    the measurement
//! ```

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use anyhow::{Context, bail, ensure};

use super::Measured;

const READY: &str = "ready";
const GO: &str = "go";

/// The generator's end of the connection.
#[derive(Debug)]
pub struct Host(BufReader<UnixStream>);

impl Host {
    /// Connects to the benchmark.
    ///
    /// # Errors
    /// If nothing listens there.
    pub fn connect(socket: &Path) -> anyhow::Result<Host> {
        let stream =
            UnixStream::connect(socket).with_context(|| format!("cannot connect to {}", socket.display()))?;
        Ok(Host(BufReader::new(stream)))
    }

    /// Reports that the generator is ready, and waits for the start.
    ///
    /// # Errors
    /// If the benchmark has ended.
    pub fn wait_for_go(&mut self) -> anyhow::Result<()> {
        writeln!(self.0.get_mut(), "{READY}").context("the benchmark has ended")?;
        let line = read_line(&mut self.0)?;
        ensure!(line == GO, "the benchmark says {line:?} instead of {GO:?}");
        Ok(())
    }

    /// Sends the result.
    ///
    /// # Errors
    /// If the benchmark has ended.
    pub fn tell(&mut self, measured: &Measured) -> anyhow::Result<()> {
        writeln!(self.0.get_mut(), "{}", serde_json::to_string(measured)?).context("the benchmark has ended")
    }
}

/// The benchmark's end of the connection.
#[derive(Debug)]
pub struct Link(BufReader<UnixStream>);

impl Link {
    /// Waits until the generator is ready.
    ///
    /// # Errors
    /// If it ends, or is not ready in time.
    pub fn accept(stream: UnixStream, limit: Duration) -> anyhow::Result<Link> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(limit))?;
        let mut link = Link(BufReader::new(stream));
        let line = read_line(&mut link.0)?;
        ensure!(line == READY, "the generator says {line:?} instead of {READY:?}");
        Ok(link)
    }

    /// Starts the generator, and waits for its result.
    ///
    /// # Errors
    /// If it ends without a result, or takes longer than the limit.
    pub fn go(&mut self, limit: Duration) -> anyhow::Result<Measured> {
        self.0.get_ref().set_read_timeout(Some(limit))?;
        writeln!(self.0.get_mut(), "{GO}").context("the generator has ended")?;
        let line = read_line(&mut self.0)?;
        serde_json::from_str(&line).with_context(|| format!("the generator's result is invalid: {line:?}"))
    }
}

fn read_line(reader: &mut BufReader<UnixStream>) -> anyhow::Result<String> {
    let mut line = String::new();
    match reader.read_line(&mut line) {
        Ok(0) => bail!("the other side has ended"),
        Ok(_) => Ok(line.trim_end().to_owned()),
        Err(error) => Err(error).context("cannot read from the other side"),
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, thread};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn a_generator_waits_for_its_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let measured = Measured { ns: 7, iterations: 3, warm_up: 0, calls: Some(3) };
        let generator = thread::spawn(move || {
            let mut host = Host::connect(&path).unwrap();
            host.wait_for_go().unwrap();
            host.tell(&measured).unwrap();
        });
        let mut link = Link::accept(listener.accept().unwrap().0, LIMIT).unwrap();
        assert_eq!(link.go(LIMIT).unwrap(), measured);
        generator.join().unwrap();
    }

    #[test]
    fn a_generator_that_ends_is_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert!(Link::accept(ours, LIMIT).is_err());
    }

    #[test]
    fn a_generator_that_says_nothing_is_an_error() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        assert!(Link::accept(ours, Duration::from_millis(10)).is_err());
    }
}
