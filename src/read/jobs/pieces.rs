//! What jobs print: the caller's thread writes it in the order of the chunks. The job that damage belongs to reports it.

use std::{
    io::{self, Write},
    sync::{
        Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use super::{Captures, chunks::Chunks, locked};
use crate::{
    print::PrintError,
    read::{
        ReadArgs,
        run::{Run, Sink, Stretch},
    },
};

/// How many printed chunks of a job wait at most.
const QUEUE: usize = 2;

/// Shows the captures with several jobs.
///
/// # Errors
/// As for [`read()`](crate::read::read), and [`PrintError::Thread`].
pub(super) fn show(
    captures: &Captures,
    args: &ReadArgs,
    span: Option<(u64, u64)>,
    out: &mut impl Write,
) -> Result<(), PrintError> {
    let written = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let mut pieces = Vec::new();
        for job in 0..captures.jobs {
            let (to, from) = sync_channel(QUEUE);
            let part = Part::new(Chunks::new(job, captures.jobs), args.limit, &written, to);
            let work = move || work(captures, args, span, part);
            let spawned = thread::Builder::new().name(format!("read-{job}")).spawn_scoped(scope, work);
            spawned.map_err(PrintError::Thread)?;
            pieces.push(from);
        }
        write_in_order(&pieces, &written, args, out)
    })
}

fn work(captures: &Captures, args: &ReadArgs, span: Option<(u64, u64)>, mut part: Part<'_>) {
    let mut run = Run::of_job(args, span, args.form.view(), part.chunks.job == 0);
    let shown = run.captures(captures.of_job(), &mut part);
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
    chunks: Chunks,
    limit: Option<u64>,
    /// The chunk of which the piece is.
    chunk: u64,
    piece: Piece,
    /// Pieces that have been written, to be used again: the system takes long to give new memory.
    written: &'a Mutex<Vec<Piece>>,
    to: SyncSender<Message>,
}

impl<'a> Part<'a> {
    fn new(
        chunks: Chunks,
        limit: Option<u64>,
        written: &'a Mutex<Vec<Piece>>,
        to: SyncSender<Message>,
    ) -> Part<'a> {
        Part { chunks, limit, chunk: 0, piece: Piece::default(), written, to }
    }

    fn take(&mut self) -> Piece {
        let next = locked(self.written).pop().unwrap_or_default();
        std::mem::replace(&mut self.piece, next)
    }

    /// Sends the pieces of the chunks before the current one.
    fn send(&mut self) -> io::Result<()> {
        while self.chunk < self.chunks.current {
            if self.chunks.is_own(self.chunk) {
                let piece = Message::Piece(self.take());
                // Nobody takes it once the output has ended.
                self.to.send(piece).map_err(|_| io::ErrorKind::BrokenPipe)?;
            }
            self.chunk += 1;
        }
        Ok(())
    }

    fn end(mut self, shown: Result<(), PrintError>) {
        let piece = self.chunks.is_own(self.chunk).then(|| self.take());
        // As in `send`.
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
        self.chunks.begin();
        self.send()
    }

    fn reach(&mut self, offset: u64) -> io::Result<Stretch> {
        let stretch = self.chunks.reach(offset);
        self.send()?;
        // A chunk shows no more than all of them may.
        let is_full = self.limit.is_some_and(|limit| self.piece.ends.len() as u64 >= limit);
        Ok(Stretch { is_shown: stretch.is_shown && !is_full, ..stretch })
    }

    fn count(&mut self) {
        if self.limit.is_some() {
            self.piece.ends.push(self.piece.text.len());
        }
    }
}
