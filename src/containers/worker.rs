//! The thread that asks runtimes.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    path::PathBuf,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime::Builder, time::timeout};

use super::{
    Counts, QUEUE, Wanted,
    answer::{Answer, AskError, PATIENCE},
    cri, docker,
    sockets::{Api, Socket, to_ask},
};
use crate::confine::{self, Confinement, Task};
use scap::container::Kind;

/// How long a runtime that did not answer is left alone: the first time, as it may only be starting, and later.
const AWAY: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(30)];
/// When a container that nobody has described is asked for again: a runtime may start one before it tells of it. One of a runtime
/// that is left alone waits until that is over.
const AGAIN: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(3)];
/// Of how many sockets a failure is told.
const TOLD: usize = 64;

/// A container that is to be asked for.
struct Pending {
    wanted: Wanted,
    due: Instant,
    /// How often it was asked for.
    times: usize,
    /// Whether it counts as one without an answer.
    has_failed: bool,
}

/// A runtime that is left alone.
#[derive(Clone, Copy)]
struct Away {
    until: Instant,
    /// How often in a row it did not answer.
    times: usize,
}

/// What the thread has.
pub(super) struct Worker {
    given: Vec<Socket>,
    asked: Receiver<Wanted>,
    found: SyncSender<Arc<str>>,
    counts: Arc<Counts>,
    pending: VecDeque<Pending>,
    /// Runtimes that did not answer when they were asked last.
    away: HashMap<PathBuf, Away>,
    /// The sockets of which a failure was told.
    told: HashSet<PathBuf>,
}

impl Worker {
    pub fn new(
        given: Vec<Socket>,
        asked: Receiver<Wanted>,
        found: SyncSender<Arc<str>>,
        counts: Arc<Counts>,
    ) -> Worker {
        let (pending, away, told) = Default::default();
        Worker { given, asked, found, counts, pending, away, told }
    }

    /// Asks until nobody wants to know anything more.
    pub fn run(mut self, confine: Confinement) {
        let in_force = confine::thread(confine, Task::Asking);
        tracing::debug!("the thread that asks container runtimes: {in_force}");
        while self.receive() {
            let now = Instant::now();
            let due = self.pending.iter().position(|pending| pending.due <= now);
            if let Some(pending) = due.and_then(|due| self.pending.remove(due))
                && !self.look(pending)
            {
                return;
            }
        }
    }

    /// Waits until there is something to do; returns false if nobody wants to know anything more.
    fn receive(&mut self) -> bool {
        loop {
            let due = self.pending.iter().map(|pending| pending.due).min();
            let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
            let received = match wait {
                // What comes now waits in the queue, which has an end.
                Some(wait) if self.pending.len() >= QUEUE => {
                    thread::sleep(wait);
                    return true;
                }
                Some(wait) => self.asked.recv_timeout(wait),
                None => self.asked.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match received {
                Ok(wanted) => {
                    let due = Instant::now();
                    self.pending.push_back(Pending { wanted, due, times: 0, has_failed: false });
                }
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Asks for a container; returns false if nobody wants to know any more.
    fn look(&mut self, Pending { wanted, times, has_failed, .. }: Pending) -> bool {
        let outcome = self.ask_all(&wanted);
        let fails = matches!(outcome, Outcome::Failed(_));
        match (has_failed, fails) {
            (false, true) => drop(self.counts.failed.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(self.counts.failed.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
        let mut goes_on = true;
        let again = AGAIN.get(times).map(|wait| Instant::now() + *wait);
        match (outcome, again) {
            (Outcome::Found(json), _) => goes_on = self.found.send(json).is_ok(),
            (Outcome::Failed(until), Some(due)) => self.later(wanted, due.max(until), times + 1, true),
            (Outcome::Unknown, Some(due)) => self.later(wanted, due, times + 1, false),
            (Outcome::Unknown, None) => drop(self.counts.unknown.fetch_add(1, Ordering::Relaxed)),
            (Outcome::Failed(_), None) => {}
        }
        if times == 0 {
            self.counts.open.fetch_sub(1, Ordering::Release);
        }
        goes_on
    }

    fn later(&mut self, wanted: Wanted, due: Instant, times: usize, has_failed: bool) {
        self.pending.push_back(Pending { wanted, due, times, has_failed });
    }

    /// Asks the runtimes that may know a container, until one does.
    fn ask_all(&mut self, wanted: &Wanted) -> Outcome {
        let mut failed: Option<Instant> = None;
        for socket in to_ask(wanted, &self.given) {
            let away = self.away.get(&socket.path).filter(|away| away.until > Instant::now()).copied();
            let until = match away {
                Some(away) => away.until,
                None => match self.ask(&socket, &wanted.id) {
                    Ok(Answer::Found(found)) => {
                        return Outcome::Found(found.json(&wanted.id, kind(wanted, &socket)));
                    }
                    Ok(Answer::Unknown) => continue,
                    Err(error) if error.is_absence() => continue,
                    Err(error) => self.note(&socket, &error),
                },
            };
            failed = Some(failed.map_or(until, |earlier| earlier.min(until)));
        }
        failed.map_or(Outcome::Unknown, Outcome::Failed)
    }

    fn ask(&mut self, socket: &Socket, id: &str) -> Result<Answer, AskError> {
        let answer = ask(socket, id);
        if answer.is_ok() {
            self.away.remove(&socket.path);
        }
        answer
    }

    /// Leaves a runtime alone that cannot be asked, and says so once. Returns until when.
    fn note(&mut self, socket: &Socket, error: &AskError) -> Instant {
        let mut until = Instant::now();
        if !matches!(error, AskError::Spoken(_)) {
            let times = self.away.get(&socket.path).map_or(0, |away| away.times);
            until += AWAY[times.min(AWAY.len() - 1)];
            self.away.insert(socket.path.clone(), Away { until, times: times + 1 });
        }
        // Users come and go, and so do their sockets.
        if self.told.len() < TOLD && self.told.insert(socket.path.clone()) {
            tracing::warn!("cannot ask the container runtime at {socket}: {error}{}", error.remedy());
        }
        until
    }
}

/// What asking for a container has brought.
enum Outcome {
    /// Its JSON.
    Found(Arc<str>),
    /// No runtime knows it.
    Unknown,
    /// One that may know it could not be asked. It can be from then on.
    Failed(Instant),
}

/// Asks a runtime for a container.
fn ask(socket: &Socket, id: &str) -> Result<Answer, AskError> {
    // Made for each request: with it goes whatever the clients have left behind.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let answer = async {
            match socket.api {
                Api::Docker | Api::Podman => docker::ask(socket, id).await,
                Api::Cri => cri::ask(socket, id).await,
            }
        };
        timeout(PATIENCE, answer).await.unwrap_or(Err(AskError::Late))
    })
}

/// Returns what made a container, if its group does not say so, by the runtime that knows it.
fn kind(wanted: &Wanted, socket: &Socket) -> Kind {
    let is_called = |word: &str| socket.path.to_string_lossy().contains(word);
    wanted.kind.unwrap_or(match socket.api {
        Api::Docker => Kind::Docker,
        Api::Podman => Kind::Podman,
        Api::Cri if is_called("containerd") => Kind::Containerd,
        Api::Cri if is_called("crio") => Kind::CriO,
        Api::Cri => Kind::Cri,
    })
}
