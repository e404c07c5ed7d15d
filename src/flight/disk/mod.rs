//! The window in a file, from which it is made into a capture after the recorder was killed.
//!
//! ```text
//!  window ──▶ where a record goes (area) ──▶ a thread that writes it ──▶ the file ──▶ after a crash: left, a capture
//! ```
//!
//! Segments are written as they come, behind those before, round and round. The state of the machine that belongs to a segment
//! is known when it leaves the window: that is the [tail](super::tail). So from time to time, a state is written, too. A
//! recovery begins with the last state that is whole: it applies what is in the file from there up to the start of the window,
//! as the tail would have. Nothing that follows the last whole state is overwritten: the file has room for a window, and for
//! what comes between two states.
//!
//! The file is written, not mapped: a disk that fails is an error of a write, not a signal, and one that is slow holds up
//! neither the recorder nor a dump. The window in memory does not need the file.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod area;
mod file;
mod layout;
mod left;
mod thread;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use rustix::fs::OFlags;

use super::{KeepLonger, gauge::Gauge, ns, segment::Segment, status::DiskStatus};
use crate::{
    escape::shown,
    folder::{self, Spot},
};
use area::Area;
use file::{Found, LeftFile};
use layout::{HEADER, Header, Kind, PAGE};
use scap::{
    format::frame_event,
    ledger::{self, Longer},
};
use thread::{Blocks, Done, Job, Work};

pub use file::{WindowFile, usual_path};
pub use left::{LeftWindow, Saved};

/// How many segments may wait for the disk.
const QUEUE: usize = 1024;
/// A state is written when so many parts of the size have been written since the last one.
const STATES: u64 = 8;
/// Room in the file for states, beside what is in proportion to the size, in bytes.
const ROOM: u64 = 16 << 20;
/// More than the notice before the blocks of a segment takes, in bytes.
const LEAD: usize = 1024;

/// Why the window cannot be kept in a file, or not be saved from one.
#[derive(Debug, thiserror::Error)]
pub enum OnDiskError {
    /// It cannot be opened.
    #[error("cannot open {}, in which the window is to be kept", shown(path))]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be made.
    #[error(
        "cannot create {}, in which the window is to be kept: name another file with --keep-on-disk=FILE",
        shown(path)
    )]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is not enough room on the disk.
    #[error(
        "there is no room for {}, which takes {} MiB: free some, name a file elsewhere with --keep-on-disk=FILE, or give \
         --keep less memory",
        shown(path), bytes >> 20
    )]
    NoRoom {
        /// The file.
        path: PathBuf,
        /// What it would take.
        bytes: u64,
        /// The system's error.
        source: io::Error,
    },
    /// It belongs to others, or is no regular file.
    #[error(
        "{} is not a file that only this user may write, with no other name: move it away, or name another file with \
         --keep-on-disk=FILE",
        shown(path)
    )]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// Another recorder uses it.
    #[error(
        "{} is in use by another recorder: stop that one first, or name another file with --keep-on-disk=FILE",
        shown(path)
    )]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// It is something else.
    #[error(
        "{} is not the window of a flight recorder; it is unchanged: move it away, or name another file with \
         --keep-on-disk=FILE",
        shown(path)
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Another version of scapd made it.
    #[error(
        "{} is the window of another version of scapd (its form is {version}, this version knows {}); it is unchanged: save it \
         with `scapd repair` of that version, or move it away",
        shown(path),
        layout::VERSION
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version of its layout.
        version: u64,
    },
    /// Its start is damaged.
    #[error(
        "the start of {} is damaged, so nothing can be saved from it; it is unchanged: move it away",
        shown(path)
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// It has no state of the machine to begin with.
    #[error(
        "{} has no whole state of the machine, so nothing can be saved from it; it is unchanged: move it away",
        shown(path)
    )]
    NoState {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read {}, the window of a recorder that was killed", shown(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be removed.
    #[error("cannot remove {}, which is saved", shown(path))]
    Remove {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Checks a file before a recording, and changes nothing.
///
/// # Errors
/// If it cannot be used.
pub fn check(path: &Path) -> Result<(), OnDiskError> {
    Found::at(path).map(drop)
}

/// Makes the file of a recording, or returns the one that another has left there.
///
/// # Errors
/// If it cannot be used.
pub fn make(
    path: &Path,
    (time, bytes): (Duration, u64),
    longer: Option<&KeepLonger>,
) -> Result<Result<WindowFile, LeftWindow>, OnDiskError> {
    let (spot, empty) = match Found::at(path)? {
        Found::Nothing(spot, empty) => (spot, empty),
        Found::Left(left) => return Ok(Err(LeftWindow::new(left))),
    };
    let sizes = [size_for(bytes) + ROOM, longer.map_or(0, |longer| size_for(longer.bytes))];
    let times = (ns(time), longer.map_or(0, |longer| ns(longer.time)));
    WindowFile::make(spot, empty, times, sizes).map(Ok)
}

/// Finds the window of a recorder in a file that a user names; `None` if it is something else.
///
/// # Errors
/// If it is in use, damaged, or of another version.
pub fn find(path: &Path) -> Result<Option<LeftWindow>, OnDiskError> {
    let Ok(Some(spot)) = Spot::find(path) else { return Ok(None) };
    let Ok(Some(file)) = spot.folder.regular(&spot.name, OFlags::RDONLY) else { return Ok(None) };
    match LeftFile::of(file, spot) {
        Err(OnDiskError::Foreign { .. }) => Ok(None),
        Ok(left) if !folder::lock(&left.file) => Err(OnDiskError::Busy { path: path.into() }),
        left => left.map(LeftWindow::new).map(Some),
    }
}

/// Returns the size of an area for as many bytes in memory: they, and what comes between two states.
fn size_for(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 4)
}

/// Writes the window of a recording to its file.
#[derive(Debug)]
pub struct OnDisk {
    file: WindowFile,
    areas: [Area; 2],
    /// How much is written to each area between two states.
    parts: [u64; 2],
    /// By kind, the segments so far, and their events.
    so_far: [(u64, u64); 2],
    /// The notice of what is kept longer.
    lead: Vec<u8>,
    gauge: Gauge,
    /// The last whole state in the file, and the one on its way there.
    last: Option<State>,
    coming: Option<State>,
    states: u64,
    /// The bytes of a state.
    state_size: u64,
    jobs: SyncSender<Job>,
    /// Jobs sent.
    sent: u64,
    thread: JoinHandle<()>,
    done: Arc<Done>,
}

/// A state in the file.
#[derive(Debug, Clone, Copy)]
struct State {
    number: u64,
    /// The first segments behind it, by kind.
    from: [u64; 2],
    /// Where it is.
    place: u64,
    /// Where each area was when it was taken.
    heads: [u64; 2],
}

impl OnDisk {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(
        file: WindowFile,
        bytes: [u64; 2],
        longer: Option<&str>,
        gauge: &Gauge,
    ) -> io::Result<OnDisk> {
        let done = Arc::new(Done::default());
        let (jobs, queue) = sync_channel(QUEUE);
        let work =
            Work { file: file.file.clone(), spot: file.spot.clone(), id: file.head.id, done: done.clone() };
        let thread =
            std::thread::Builder::new().name("scapd-window".to_owned()).spawn(move || work.run(&queue))?;
        let mut lead = Vec::new();
        if let Some(filter) = longer {
            let notice = Longer { until: 0, filter: filter.to_owned() };
            frame_event(&mut lead, 0, &ledger::notice(ledger::LONGER, &notice.text(), 0));
        }
        Ok(OnDisk {
            areas: file.head.areas.map(Area::new),
            file,
            parts: bytes.map(|bytes| bytes / STATES),
            so_far: [(0, 0); 2],
            lead,
            gauge: gauge.clone(),
            last: None,
            coming: None,
            states: 0,
            state_size: 0,
            jobs,
            sent: 0,
            thread,
            done,
        })
    }

    /// Returns at least what a segment of so many bytes takes in the file.
    pub fn takes(bytes: usize) -> usize {
        (HEADER + LEAD + bytes).next_multiple_of(PAGE as usize)
    }

    /// Writes a segment of the window, which has left it up to the segment `oldest`; `early` events would still be there.
    pub fn window(&mut self, segment: &Arc<Segment>, oldest: u64, early: u64) {
        self.segment(Kind::Window, segment, oldest, early);
    }

    /// Writes a segment of what is kept longer, which has all that has left the window up to the segment `oldest`.
    pub fn longer(&mut self, segment: &Arc<Segment>, oldest: u64) {
        self.segment(Kind::Longer, segment, oldest, 0);
    }

    fn segment(&mut self, kind: Kind, segment: &Arc<Segment>, window: u64, early: u64) {
        self.settle();
        let area = kind.area();
        let (number, before) = self.so_far[area];
        self.so_far[area] = (number + 1, before + segment.events());
        let mut lead = Vec::new();
        frame_event(
            &mut lead,
            0,
            &ledger::notice(ledger::VERDICT, &segment.balance.text(), segment.index.latest),
        );
        let header = Header {
            kind,
            number,
            lead: lead.len() as u64,
            blocks: segment.blocks().len() as u64,
            first: segment.index.first,
            latest: segment.index.latest,
            before,
            events: segment.events(),
            window,
            longer: 0,
            early,
            sum: 0,
        };
        // Without a new state, no room gets free: one must fit in any case.
        let spare = if kind == Kind::Window { 2 * self.state_size } else { 0 };
        let Some(place) = header.record().and_then(|size| self.areas[area].take(size, spare)) else {
            self.skip(segment.events());
            return;
        };
        self.areas[area].keep(number, place);
        let at = self.areas[area].offset(place);
        self.send(Job { at, header, lead, blocks: Blocks::Of(Arc::downgrade(segment)) });
    }

    /// Returns whether a state is due, if the oldest segments are these.
    pub fn wants_state(&mut self, oldest: [u64; 2]) -> bool {
        self.settle();
        let Some(last) = &self.last else { return self.coming.is_none() };
        let is_due = (0..2).any(|area| {
            let since = self.areas[area].head() - last.heads[area];
            since > 0 && since >= self.parts[area] && oldest[area] > last.from[area]
        });
        self.coming.is_none() && is_due
    }

    /// Writes the state at the oldest segments; the window has so many events by then.
    pub fn state(&mut self, blocks: Vec<u8>, oldest: [u64; 2], events: u64) {
        self.states += 1;
        let header = Header {
            kind: Kind::State,
            number: self.states,
            lead: self.lead.len() as u64,
            blocks: blocks.len() as u64,
            first: 0,
            latest: 0,
            before: self.so_far[0].1.saturating_sub(events),
            events: 0,
            window: oldest[0],
            longer: oldest[1],
            early: 0,
            sum: 0,
        };
        let size = header.record().unwrap_or(u64::MAX);
        self.state_size = size.saturating_add(PAGE);
        let place = self.areas[0].take(size, 0);
        let heads = [0, 1].map(|area| self.areas[area].head());
        let state = |place| State { number: header.number, from: oldest, place, heads };
        match place {
            Some(place) => {
                self.coming = Some(state(place));
                let at = self.areas[0].offset(place);
                let counted = self.gauge.count(blocks.capacity());
                self.send(Job {
                    at,
                    header,
                    lead: self.lead.clone(),
                    blocks: Blocks::Own { blocks, _counted: counted },
                });
            }
            // The next one is due when as much was written again.
            None => self.last.iter_mut().for_each(|last| last.heads = heads),
        }
    }

    /// Takes note of what the thread has done, and frees what is not needed any more.
    fn settle(&mut self) {
        let tried = self.done.tried.load(Relaxed);
        let Some(coming) = self.coming.take_if(|coming| coming.number <= tried) else { return };
        if self.done.state.load(Relaxed) == coming.number {
            self.areas[0].release(coming.from[0], coming.place);
            let longer = self.areas[1].head();
            self.areas[1].release(coming.from[1], coming.heads[1].min(longer));
            self.last = Some(coming);
        } else if let Some(last) = &mut self.last {
            last.heads = coming.heads;
        }
    }

    fn send(&mut self, job: Job) {
        let (events, number) = (job.header.events, job.header.number);
        let is_state = job.header.kind == Kind::State;
        if self.jobs.try_send(job).is_ok() {
            self.sent += 1;
        } else {
            // The disk is that far behind.
            self.skip(events);
            if is_state {
                self.coming.take_if(|coming| coming.number == number);
            }
        }
    }

    fn skip(&self, events: u64) {
        self.done.skipped.fetch_add(events, Relaxed);
    }

    /// Returns what it has done, for others.
    pub fn status(&self) -> DiskStatus {
        DiskStatus {
            size: self.file.head.size(),
            queued: self.sent.saturating_sub(self.done.jobs.load(Relaxed)),
            written: self.done.bytes.load(Relaxed),
            skipped: self.done.skipped.load(Relaxed),
            is_failing: self.done.is_failing.load(Relaxed),
        }
    }

    /// Ends it. Without `is_over`, the file stays, for a capture.
    pub fn close(self, is_over: bool) {
        let OnDisk { file, jobs, thread, .. } = self;
        if is_over {
            file.remove();
        }
        drop(jobs);
        // A panic has been printed where it happened.
        let _ = thread.join();
    }
}
