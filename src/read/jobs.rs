//! Reading with several jobs: `scapd read -j`.
//!
//! The state of the machine is sequential, and cheap to keep; what takes long is to test events and to print them. So every
//! job reads all of the captures and keeps the state up to date, and shows the events of its own chunks alone. A chunk is
//! a stretch of a capture of a fixed length, so all jobs agree on where it starts without talking. Chunk `n` belongs to
//! job `n % jobs`. The caller's thread writes what the jobs have printed in the order of the chunks.
//!
//! All jobs read the same bytes: a capture is opened once for all, and ends where it ended then. So they also find the same
//! damage at the same place, and the one that the chunk belongs to reports it.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use super::{
    ReadArgs,
    inputs::{Input, Inputs},
    live::Waiting,
    run::{Run, Sink, Stretch},
};
use crate::print::{DependsOn, PrintError};

/// The length of a chunk in bytes of the uncompressed capture: some thousands of events.
const CHUNK: u64 = 256 << 10;
/// How many printed chunks of a job wait at most.
const QUEUE: usize = 2;

/// Returns how many jobs share the work; 1 if it cannot be divided.
pub(super) fn count(args: &ReadArgs, inputs: &Inputs) -> u64 {
    let asked = match args.jobs {
        0 => thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64),
        jobs => jobs.into(),
    };
    let divides = || {
        args.slice.is_none()
            && args.follow.is_none()
            && args.limit != Some(0)
            && args.form.view().depends_on() == DependsOn::Event
    };
    if asked == 1 || !divides() {
        return 1;
    }
    // What is not a regular file can only be read once.
    inputs.size().map_or(1, |bytes| asked.min(bytes.div_ceil(CHUNK)).max(1))
}

/// Shows the captures with several jobs.
///
/// # Errors
/// As for [`read()`](super::read), and [`PrintError::Thread`].
pub(super) fn show(
    inputs: Inputs,
    args: &ReadArgs,
    span: Option<(u64, u64)>,
    jobs: u64,
    out: &mut impl Write,
) -> Result<(), PrintError> {
    let captures = Captures { jobs, queue: Mutex::new((0, VecDeque::new(), inputs)) };
    let written = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let mut pieces = Vec::new();
        for job in 0..jobs {
            let (to, from) = sync_channel(QUEUE);
            let (captures, part) = (&captures, Part::new((job, jobs), args.limit, &written, to));
            let work = move || work(captures, args, span, part);
            let spawned = thread::Builder::new().name(format!("read-{job}")).spawn_scoped(scope, work);
            spawned.map_err(PrintError::Thread)?;
            pieces.push(from);
        }
        write_in_order(&pieces, &written, args, out)
    })
}

fn work(captures: &Captures, args: &ReadArgs, span: Option<(u64, u64)>, mut part: Part<'_>) {
    let mut taken = 0;
    let mut next = || {
        taken += 1;
        captures.get(taken - 1)
    };
    let run = Run::new(args, span).map(|run| run.into_job(part.job == 0));
    let shown = run.and_then(|mut run| run.captures(&mut next, &mut part));
    part.end(shown);
}

/// Writes the pieces of all jobs.
fn write_in_order(
    jobs: &[Receiver<Message>],
    written: &Mutex<Vec<Piece>>,
    args: &ReadArgs,
    out: &mut impl Write,
) -> Result<(), PrintError> {
    let mut left = args.limit.unwrap_or(u64::MAX);
    // For what comes before the first event and behind the last one.
    let mut frame = Run::new(args, None)?;
    for (chunk, job) in (0..).zip(jobs.iter().cycle()) {
        // A job that ends says so, unless it panics: then the scope does, too.
        let Ok(message) = job.recv() else { return Ok(()) };
        let (piece, end) = match message {
            Message::Piece(piece) => (Some(piece), None),
            Message::End { chunk: last, piece, shown } => (piece.filter(|_| last == chunk), Some(shown)),
        };
        let text = piece.as_ref().map_or(&[][..], |piece| piece.up_to(left));
        if !text.is_empty() {
            frame.begin(out).and_then(|()| out.write_all(text)).map_err(PrintError::Write)?;
        }
        if let Some(mut piece) = piece {
            left = left.saturating_sub(piece.ends.len() as u64);
            piece.clear();
            locked(written).push(piece);
        }
        match end {
            _ if left == 0 => return frame.finish(out),
            Some(shown @ (Ok(()) | Err(PrintError::Read { .. }))) => return shown.and(frame.finish(out)),
            Some(failed) => return failed,
            None => {}
        }
    }
    Ok(())
}

/// What a job says.
enum Message {
    /// What it has printed of the next one of its chunks.
    Piece(Piece),
    /// The captures end in this chunk. If that is one of its own, what it has printed of it; and what came of it all.
    End { chunk: u64, piece: Option<Piece>, shown: Result<(), PrintError> },
}

/// What was printed of a chunk.
#[derive(Default)]
struct Piece {
    text: Vec<u8>,
    /// Where the text of each counted event ends; only with a limit on their number.
    ends: Vec<usize>,
}

impl Piece {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Returns the text of so many events.
    fn up_to(&self, events: u64) -> &[u8] {
        let last = usize::try_from(events).ok().and_then(|events| self.ends.get(events.checked_sub(1)?));
        self.text.get(..last.copied().unwrap_or(self.text.len())).unwrap_or_default()
    }
}

/// Where a job is, and what it has printed.
struct Part<'a> {
    job: u64,
    jobs: u64,
    limit: Option<u64>,
    /// The first chunk of the capture.
    first: u64,
    /// The chunk of the last event. Those of all captures are counted.
    chunk: u64,
    /// Where it ends, in bytes of the uncompressed capture; 0 before the capture's first event.
    chunk_end: u64,
    /// The stretch of the last event.
    stretch: Stretch,
    has_capture: bool,
    piece: Piece,
    /// Pieces that have been written, to be used again: the system takes long to give new memory.
    written: &'a Mutex<Vec<Piece>>,
    to: SyncSender<Message>,
}

impl<'a> Part<'a> {
    fn new(
        (job, jobs): (u64, u64),
        limit: Option<u64>,
        written: &'a Mutex<Vec<Piece>>,
        to: SyncSender<Message>,
    ) -> Part<'a> {
        Part {
            job,
            jobs,
            limit,
            first: 0,
            chunk: 0,
            chunk_end: 0,
            stretch: Stretch { is_shown: false, end: 0 },
            has_capture: false,
            piece: Piece::default(),
            written,
            to,
        }
    }

    fn is_own(&self, chunk: u64) -> bool {
        chunk % self.jobs == self.job
    }

    fn take(&mut self) -> Piece {
        let next = locked(self.written).pop().unwrap_or_default();
        std::mem::replace(&mut self.piece, next)
    }

    fn go_to(&mut self, chunk: u64) -> io::Result<()> {
        while self.chunk < chunk {
            if self.is_own(self.chunk) {
                let piece = Message::Piece(self.take());
                // Nobody takes it once the output has ended.
                self.to.send(piece).map_err(|_| io::ErrorKind::BrokenPipe)?;
            }
            self.chunk += 1;
        }
        Ok(())
    }

    fn end(mut self, shown: Result<(), PrintError>) {
        let piece = self.is_own(self.chunk).then(|| self.take());
        // As in `go_to`.
        let _ = self.to.send(Message::End { chunk: self.chunk, piece, shown });
    }
}

impl Write for Part<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Part<'_> {
    fn begin(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.has_capture, true) {
            self.first = self.chunk + 1;
        }
        self.chunk_end = 0;
        self.go_to(self.first)
    }

    fn reach(&mut self, offset: u64) -> io::Result<Stretch> {
        if offset >= self.chunk_end {
            let chunk = self.first + offset / CHUNK;
            self.go_to(chunk)?;
            let away = (self.job + self.jobs - chunk % self.jobs) % self.jobs;
            let end_of = |chunk: u64| (chunk + 1 - self.first) * CHUNK;
            self.chunk_end = end_of(chunk);
            // That of another job is as long as there is none of its own.
            let end = if away == 0 { self.chunk_end } else { end_of(chunk + away - 1) };
            self.stretch = Stretch { is_shown: away == 0, end };
        }
        // A chunk shows no more than all of them may.
        let is_full = self.limit.is_some_and(|limit| self.piece.ends.len() as u64 >= limit);
        Ok(Stretch { is_shown: self.stretch.is_shown && !is_full, ..self.stretch })
    }

    fn count(&mut self) {
        if self.limit.is_some() {
            self.piece.ends.push(self.piece.text.len());
        }
    }
}

/// The captures, for all jobs.
struct Captures {
    jobs: u64,
    /// How many captures all jobs have taken; those that some have; and the others.
    queue: Mutex<(usize, VecDeque<Opened>, Inputs)>,
}

/// A capture that is open, or why it is not.
struct Opened {
    /// How many jobs have taken it.
    takers: u64,
    input: Result<Option<Shared>, PrintError>,
}

impl Captures {
    /// Returns the capture at an index; `None` behind the last one.
    fn get(&self, index: usize) -> Result<Option<Input>, PrintError> {
        let mut queue = locked(&self.queue);
        let (done, opened, inputs) = &mut *queue;
        while *done + opened.len() <= index {
            let input = inputs.next_file().map(|file| file.map(Shared::new));
            opened.push_back(Opened { takers: 0, input });
        }
        let Some(taken) = opened.get_mut(index - *done) else { return Ok(None) };
        taken.takers += 1;
        let input = match &taken.input {
            Ok(shared) => Ok(shared.as_ref().map(Shared::input)),
            Err(e) => Err(again(e)),
        };
        while opened.front().is_some_and(|first| first.takers == self.jobs) {
            opened.pop_front();
            *done += 1;
        }
        input
    }
}

/// A job that panics ends the others.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns an error of opening a capture once more.
fn again(error: &PrintError) -> PrintError {
    let copy = |e: &io::Error| {
        e.raw_os_error().map_or_else(|| io::Error::new(e.kind(), e.to_string()), io::Error::from_raw_os_error)
    };
    match error {
        PrintError::Open { path, source } => PrintError::Open { path: path.clone(), source: copy(source) },
        other => PrintError::Write(io::Error::other(other.to_string())),
    }
}

/// A capture that several jobs read.
struct Shared {
    path: PathBuf,
    file: Arc<File>,
    len: u64,
    is_growing: bool,
}

impl Shared {
    fn new(opened: super::inputs::OpenFile) -> Shared {
        let super::inputs::OpenFile { path, file, is_growing } = opened;
        let len = file.metadata().map_or(0, |meta| meta.len());
        Shared { path, file: Arc::new(file), len, is_growing }
    }

    fn input(&self) -> Input {
        let bytes = Box::new(At { file: self.file.clone(), at: 0, len: self.len });
        Input { path: self.path.clone(), bytes, is_growing: self.is_growing, waiting: Waiting::default() }
    }
}

/// A place in a file that has others, too.
struct At {
    file: Arc<File>,
    at: u64,
    len: u64,
}

impl Read for At {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.len - self.at).unwrap_or(usize::MAX).min(buf.len());
        let read = self.file.read_at(&mut buf[..most], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
