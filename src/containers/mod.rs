//! Asks the runtimes on this machine about the containers that appear in a recording: name, image, labels, pod.
//!
//! [`Lookup`] belongs to the recording's thread and never waits: it hands ids to a thread of its own (`worker`), through a queue
//! of fixed length, and takes what that has found. The worker asks one socket after the other, each request with a limit of
//! time and of bytes. A runtime that does not answer is left alone for a while, so that the others get their turn; then it is asked
//! again, as it may only have been starting.
//!
//! Two protocols are enough: Docker's API over HTTP (`docker`; Podman speaks it, too), and Kubernetes' CRI over gRPC (`cri`;
//! containerd and CRI-O). `sockets` says where they are, and whom to believe: a container in a user's session is asked for only at
//! sockets of that user.

mod answer;
mod cri;
mod docker;
mod found;
mod image;
mod sockets;
mod worker;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use crate::confine::Confinement;
use scap::container::{self, Kind};
pub use sockets::{Api, Socket, SocketError};

/// How many containers can wait for the worker. More at once are not asked for, and counted.
const QUEUE: usize = 256;
/// How many ids are remembered as asked for.
const ASKED: usize = 4096;
/// How many descriptions are kept for the start of further files: those that came last.
const KEPT: usize = 1024;

/// What to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    /// The id, of 64 hexadecimal digits.
    id: Box<str>,
    kind: Option<Kind>,
    user: Option<u32>,
}

/// What became of the containers that were seen.
#[derive(Debug, Default)]
struct Counts {
    /// Those of which a first answer is still to come.
    open: AtomicU64,
    unknown: AtomicU64,
    failed: AtomicU64,
}

/// What became of the containers that were seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runtimes have described them.
    pub described: u64,
    /// No runtime knew them.
    pub unknown: u64,
    /// A runtime that may know them could not be asked, so far.
    pub failed: u64,
    /// Too many appeared at once.
    pub passed_over: u64,
}

impl Tally {
    /// Logs it, if there were containers.
    pub fn log(&self) {
        let Tally { described, unknown, failed, passed_over } = *self;
        if described + unknown + failed + passed_over > 0 {
            tracing::info!(
                "containers: {described} described by a runtime, {unknown} unknown to all, {failed} without an answer, \
                 {passed_over} not asked for as too many came at once"
            );
        }
    }
}

/// Asks for containers, on a thread of its own.
#[derive(Debug)]
pub struct Lookup {
    to: SyncSender<Wanted>,
    from: Receiver<Arc<str>>,
    counts: Arc<Counts>,
    /// The control groups that were looked at last: mostly, the next ones are the same.
    last: Vec<u8>,
    asked: HashSet<Box<str>>,
    /// Descriptions by id, and the ids in the order in which they came.
    known: HashMap<Box<str>, Arc<str>>,
    order: VecDeque<Box<str>>,
    tally: Tally,
}

impl Lookup {
    /// Starts the thread, which asks these sockets; the usual ones, if there are none.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(sockets: &[Socket], confine: Confinement) -> std::io::Result<Lookup> {
        let ((to, asked), (found, from)) = (sync_channel(QUEUE), sync_channel(QUEUE));
        let counts = Arc::new(Counts::default());
        let worker = worker::Worker::new(sockets.to_vec(), asked, found, counts.clone());
        // It is not waited for: it ends when this is gone, at the latest after one request.
        thread::Builder::new().name("scapd-names".into()).spawn(move || worker.run(confine))?;
        let (last, asked, known, order) = Default::default();
        Ok(Lookup { to, from, counts, last, asked, known, order, tally: Tally::default() })
    }

    /// Asks for the container of a process with these control groups, if it is new.
    pub fn see(&mut self, cgroups: &[u8]) {
        if cgroups == self.last {
            return;
        }
        self.last.clear();
        self.last.extend_from_slice(cgroups);
        let Some(found) = container::in_groups(cgroups).filter(|found| container::is_id(found.id)) else {
            return;
        };
        let Ok(id) = std::str::from_utf8(found.id) else { return };
        if self.asked.contains(id) {
            return;
        }
        if self.asked.len() >= ASKED {
            // Those that are still there are asked for once more.
            self.asked.clear();
        }
        self.asked.insert(id.into());
        self.counts.open.fetch_add(1, Ordering::Relaxed);
        if self.to.try_send(Wanted { id: id.into(), kind: found.kind, user: found.user }).is_err() {
            self.counts.open.fetch_sub(1, Ordering::Relaxed);
            self.tally.passed_over += 1;
            // It may be asked for at its next exec.
            self.asked.remove(id);
        }
    }

    /// Returns the JSON of a container that a runtime has described meanwhile.
    pub fn take(&mut self) -> Option<Arc<str>> {
        match self.from.try_recv() {
            Ok(json) => Some(self.keep(json)),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// Returns what [`take`](Lookup::take) does, and waits until `deadline` as long as a first answer is still to come.
    pub fn take_until(&mut self, deadline: Instant) -> Option<Arc<str>> {
        const LOOK: Duration = Duration::from_millis(5);
        loop {
            if let Some(json) = self.take() {
                return Some(json);
            }
            if self.counts.open.load(Ordering::Acquire) == 0 || Instant::now() >= deadline {
                return self.take();
            }
            thread::sleep(LOOK);
        }
    }

    fn keep(&mut self, json: Arc<str>) -> Arc<str> {
        let Some(told) = container::Description::parse(json.as_bytes()) else { return json };
        self.tally.described += 1;
        if self.known.insert(told.full_id.clone(), json.clone()).is_none() {
            self.order.push_back(told.full_id);
        }
        if self.order.len() > KEPT {
            self.order.pop_front().map(|oldest| self.known.remove(&oldest));
        }
        json
    }

    /// Returns the JSON of the containers that are known, for the start of a file.
    pub fn known(&self) -> impl Iterator<Item = &str> {
        self.order.iter().filter_map(|id| self.known.get(id)).map(|json| &**json)
    }

    /// Returns what became of the containers so far.
    pub fn tally(&self) -> Tally {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Tally { unknown: load(&self.counts.unknown), failed: load(&self.counts.failed), ..self.tally }
    }
}

#[cfg(test)]
mod tests;
