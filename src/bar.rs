//! How far the reading of long captures is: a bar on stderr, if that is a terminal.

use std::{
    io::{self, IsTerminal, Read, Write, stderr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is done before that shows no bar.
const DELAY: Duration = Duration::from_millis(500);

/// A bar of bytes. Clones are the same bar.
#[derive(Debug, Clone)]
pub struct Bar {
    bar: ProgressBar,
    begun: Instant,
    /// It has still to be shown.
    waits: Arc<AtomicBool>,
}

impl Bar {
    /// Returns a bar of so many bytes; of an unknown number, it shows how many were read.
    pub fn new(bytes: Option<u64>) -> Bar {
        let (bar, template) = match bytes {
            Some(bytes) => (ProgressBar::new(bytes), "{wide_bar} {percent} %  {bytes_per_sec}  {eta}"),
            None => (ProgressBar::no_length(), "{spinner} {bytes}  {bytes_per_sec}"),
        };
        bar.set_draw_target(ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Bar { bar, begun: Instant::now(), waits: Arc::new(stderr().is_terminal().into()) }
    }

    /// Returns one that shows nothing.
    pub fn hidden() -> Bar {
        let bar = Bar::new(None);
        bar.waits.store(false, Relaxed);
        bar
    }

    /// Counts what is read of it.
    pub fn reader<R: Read>(&self, inner: R) -> impl Read + use<R> {
        Counted { bar: self.clone(), inner }
    }

    /// Writes without mixing what comes on the terminal with the bar.
    pub fn writer<W: Write>(&self, inner: W) -> impl Write + use<W> {
        Beside { bar: self.clone(), inner }
    }

    /// Removes it.
    pub fn finish(&self) {
        self.waits.store(false, Relaxed);
        self.bar.finish_and_clear();
    }

    fn add(&self, bytes: usize) {
        self.bar.inc(bytes as u64);
        if self.waits.load(Relaxed) && self.begun.elapsed() >= DELAY {
            self.waits.store(false, Relaxed);
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

struct Counted<R> {
    bar: Bar,
    inner: R,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.inner.read(bytes).inspect(|read| self.bar.add(*read))
    }
}

struct Beside<W> {
    bar: Bar,
    inner: W,
}

impl<W: Write> Write for Beside<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bar.bar.suspend(|| self.inner.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.bar.bar.suspend(|| self.inner.flush())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_through_is_what_came() {
        let bar = Bar::new(Some(5));
        let (mut read, mut written) = (Vec::new(), Vec::new());
        bar.reader(&b"bytes"[..]).read_to_end(&mut read).unwrap();
        let mut out = bar.writer(&mut written);
        out.write_all(&read).unwrap();
        out.flush().unwrap();
        drop(out);
        assert_eq!((written, bar.bar.position()), (b"bytes".to_vec(), 5));
    }
}
