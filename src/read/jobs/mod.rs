//! Reading with several jobs: `-j` of `scapd read` and of summaries.
//!
//! The state of the machine is sequential, and cheap to keep; what takes long is to test events, and to print them or to find
//! their groups. So every job reads all of the captures and keeps the state up to date, and shows the events of its own
//! [chunks](chunks::Chunks) alone. What comes of them are [`pieces`] of the output, or [`sums`].
//!
//! All jobs read the same bytes: a capture is opened once for all, and ends where it ended then. So they also find the same
//! damage at the same place.

mod chunks;
mod pieces;
mod sums;

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::{
    ReadArgs,
    inputs::{Input, Inputs},
    live::Waiting,
};
use crate::{
    bar::Bar,
    print::{DependsOn, PrintError},
};
use scap::format::Keep;

/// Returns how many jobs share the work; 1 if it cannot be divided.
pub(super) fn count(args: &ReadArgs, inputs: &Inputs) -> u64 {
    let asked = match args.jobs {
        0 => thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64),
        jobs => jobs.into(),
    };
    if asked == 1 || args.slice.is_some() || args.follow.is_some() || !divides(args) {
        return 1;
    }
    // What is not a regular file can only be read once.
    inputs.size().map_or(1, |bytes| asked.min(chunks::count(bytes)).max(1))
}

fn divides(args: &ReadArgs) -> bool {
    let view = args.form.view();
    match args.form.divide() {
        // To sum up what the type of an event decides takes no longer than to go past the event.
        Some(_) => args.limit.is_none() && args.wanted.keep().max(view.keep()) == Keep::All,
        None => args.limit != Some(0) && view.depends_on() == DependsOn::Event,
    }
}

/// Shows the captures with several jobs. Returns how many events are missing besides, if the output does not show it.
pub(super) fn show(
    inputs: Inputs,
    args: &ReadArgs,
    span: Option<(u64, u64)>,
    jobs: u64,
    bar: &Bar,
    out: &mut impl Write,
) -> (Result<(), PrintError>, u64) {
    let captures = Captures::new(inputs, jobs);
    match args.form.divide() {
        Some(sum) => sums::show(&captures, args, span, sum, bar, out),
        None => (pieces::show(&captures, args, span, out), 0),
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
    fn new(inputs: Inputs, jobs: u64) -> Captures {
        Captures { jobs, queue: Mutex::new((0, VecDeque::new(), inputs)) }
    }

    /// Returns what gives a job one capture after the other.
    fn of_job(&self) -> impl FnMut() -> Result<Option<Input>, PrintError> {
        let mut indexes = 0..;
        move || indexes.next().map_or(Ok(None), |index| self.get(index))
    }

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

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;
    use crate::{
        read::{Form, Wanted},
        top::{OutputForm, TopForm, TopKind},
    };
    use scap::{
        fields::Fields,
        filter::Filter,
        summary::{Column, Keys},
    };

    #[test]
    fn what_takes_longer_than_the_state_is_divided() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.scap");
        fs::write(&file, vec![0; 1 << 20]).unwrap();
        let jobs = |change: &dyn Fn(&mut ReadArgs)| {
            let mut args = ReadArgs { files: vec![file.clone()], jobs: 3, ..ReadArgs::default() };
            change(&mut args);
            count(&args, &Inputs::new(&args.files, None).unwrap())
        };
        let top = |keys: &str| TopForm {
            keys: Keys::parse(keys).unwrap(),
            columns: vec![Column::Calls],
            sort: vec![Column::Calls],
            rows: None,
            form: OutputForm::Json,
            every: None,
            kind: TopKind::All,
        };
        let of = |form: TopForm, filter: &str| {
            jobs(&|args| {
                let filter = Some(Filter::parse(filter, &Fields).unwrap());
                args.wanted = Wanted { filter, ..Wanted::default() };
                args.form = Form::Other(Arc::new(form.clone()));
            })
        };
        assert_eq!(jobs(&|_| {}), 3);
        assert_eq!(jobs(&|args| args.files = vec!["-".into()]), 1);
        assert_eq!(jobs(&|args| args.follow = Some(Arc::default())), 1);
        assert_eq!(of(top("file"), "evt.type = read"), 3);
        assert_eq!(of(top("call"), "fd.num = 3"), 3);
        // The type of an event decides.
        assert_eq!(of(top("call"), "evt.type = read"), 1);
        assert_eq!(of(TopForm { every: Some(Duration::MAX), ..top("file") }, "fd.num = 3"), 1);
    }
}
