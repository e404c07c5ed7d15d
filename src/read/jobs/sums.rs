//! What jobs add up: each in its own chunks, and at the end all together.

use std::{
    io::{self, Write},
    panic::resume_unwind,
    sync::OnceLock,
    thread,
};

use super::{Captures, chunks::Chunks};
use crate::{
    bar::Bar,
    print::{Divided, PrintError, View},
    read::{
        ReadArgs,
        inputs::Input,
        run::{Run, Sink, Stretch},
    },
};

/// Shows what the captures come to. Returns how many of their events are missing besides.
///
/// # Errors
/// As for [`read()`](crate::read::read), and [`PrintError::Thread`].
pub(super) fn show(
    captures: &Captures,
    args: &ReadArgs,
    span: Option<(u64, u64)>,
    sum: Box<dyn Divided>,
    bar: &Bar,
    out: &mut impl Write,
) -> (Result<(), PrintError>, u64) {
    let failure = OnceLock::new();
    let ended: Vec<Ended> = thread::scope(|scope| {
        let job = |job| {
            let part = Part { chunks: Chunks::new(job, captures.jobs), failure: &failure };
            let sum = &*sum;
            let work = move || work(captures, args, span, sum.view(), bar, part);
            let spawned = thread::Builder::new().name(format!("read-{job}")).spawn_scoped(scope, work);
            spawned.map_err(|e| failure.set(PrintError::Thread(e))).ok()
        };
        let jobs: Vec<_> = (0..captures.jobs).map_while(job).collect();
        jobs.into_iter().filter_map(|job| job.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    if let Some(e) = failure.into_inner() {
        return (Err(e), 0);
    }
    let shown = sum.finish(out).map_err(PrintError::Write);
    // All find the same damage, unless the disk fails.
    let read = ended.into_iter().fold((Ok(()), 0), |(read, lost), job| (read.and(job.read), lost + job.lost));
    (read.0.and(shown), read.1)
}

/// What came of a job.
struct Ended {
    read: Result<(), PrintError>,
    /// How many events are missing in its chunks.
    lost: u64,
}

/// Does what a job has to do; `None` if it failed, or another one did.
fn work(
    captures: &Captures,
    args: &ReadArgs,
    span: Option<(u64, u64)>,
    view: Box<dyn View>,
    bar: &Bar,
    mut part: Part<'_>,
) -> Option<Ended> {
    let is_first = part.chunks.job == 0;
    let mut run = Run::of_job(args, span, view, is_first);
    let mut next = captures.of_job();
    // The others are about as far.
    let seen = |input: Input| match is_first {
        true => Input { bytes: Box::new(bar.reader(input.bytes)), ..input },
        false => input,
    };
    match run.captures(|| Ok(next()?.map(seen)), &mut part) {
        read @ (Ok(()) | Err(PrintError::Read { .. })) => Some(Ended { read, lost: run.lost() }),
        Err(e) => {
            // The first one counts.
            let _ = part.failure.set(e);
            None
        }
    }
}

/// Where a job is. It writes nothing.
struct Part<'a> {
    chunks: Chunks,
    /// What one of the jobs failed with.
    failure: &'a OnceLock<PrintError>,
}

impl Write for Part<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::sink().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::sink().flush()
    }
}

impl Sink for Part<'_> {
    fn begin(&mut self) -> io::Result<()> {
        self.chunks.begin();
        Ok(())
    }

    fn reach(&mut self, offset: u64) -> io::Result<Stretch> {
        match self.failure.get() {
            // Nobody needs what it comes to.
            Some(_) => Err(io::ErrorKind::BrokenPipe.into()),
            None => Ok(self.chunks.reach(offset)),
        }
    }
}
