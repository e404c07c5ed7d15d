//! What other threads ask of a recording: to stop, to rotate, to change what it records.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel},
    },
    time::Duration,
};

use super::{Config, status::Status};
use crate::{
    output::Retention,
    probe::{DynamicSnaplen, SampleRatio},
};
use scap::select::SyscallSet;

/// How long a request waits to be carried out. A rotation reads the state of the machine first.
const PATIENCE: Duration = Duration::from_secs(30);

/// What can change while a recording runs. The rest of a [`Config`](super::Config) is fixed at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The calls; `None`: all of them, those that the tables do not know included.
    pub syscalls: Option<SyscallSet>,
    /// Nothing besides: see [`Config::only`].
    pub only: bool,
    /// Bytes of data that an event keeps at most.
    pub snaplen: u32,
    /// Traffic of which more is kept.
    pub dynamic_snaplen: Option<DynamicSnaplen>,
    /// Leave out the exit events of calls that failed.
    pub drop_failed: bool,
    /// Record a part of each second.
    pub sampling: Option<SampleRatio>,
    /// What is kept of a series of files; `None`: as before.
    pub retention: Option<Retention>,
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Settings {
        Settings {
            syscalls: config.syscalls,
            only: config.only,
            snaplen: config.probe.snaplen,
            dynamic_snaplen: config.probe.dynamic_snaplen,
            drop_failed: config.probe.drop_failed,
            sampling: config.probe.sampling,
            retention: config.files.as_ref().map(|files| files.retention),
        }
    }
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The recording has ended, or has not begun yet.
    #[error("the recording has ended")]
    Ended,
    /// It cannot be done.
    #[error("{0}")]
    Refused(String),
    /// It has not been done yet.
    #[error(
        "not done within {} s, as while nothing can be written (see the log); it is done as soon as it can be",
        .0.as_secs()
    )]
    Late(Duration),
}

/// The answer to a request.
pub(super) type Answer = SyncSender<Result<(), String>>;

/// A request on its way.
pub(super) enum Request {
    /// Go on in a new file.
    Rotate(Answer),
    /// Record something else from now on.
    Change(Settings, Answer),
}

/// Asks something of a recording, from any thread. Clones ask the same one.
#[derive(Debug, Clone)]
pub struct Handle {
    stop: Arc<AtomicBool>,
    signalled: Arc<AtomicBool>,
    requests: Sender<Request>,
    status: Arc<Mutex<Arc<Status>>>,
}

/// The recording's end of it, for [`run`](super::run).
#[derive(Debug)]
pub struct Requests {
    stop: Arc<AtomicBool>,
    requests: Receiver<Request>,
    status: Arc<Mutex<Arc<Status>>>,
}

/// Both ends.
pub fn requests() -> (Handle, Requests) {
    let (sender, receiver) = channel();
    let stop = Arc::new(AtomicBool::new(false));
    let status = Arc::new(Mutex::new(Arc::new(Status::default())));
    (
        Handle { stop: stop.clone(), signalled: Arc::default(), requests: sender, status: status.clone() },
        Requests { stop, requests: receiver, status },
    )
}

impl Handle {
    /// Ends the recording: it drains the rings and closes the file. Does not wait for that.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// What [`stop`](Handle::stop) sets, for signal handlers.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }

    /// Set by the first signal that ends the recording: the next one does not wait.
    pub(crate) fn signalled_flag(&self) -> Arc<AtomicBool> {
        self.signalled.clone()
    }

    /// Goes on in a new file, and waits until it does, for half a minute.
    ///
    /// # Errors
    /// [`RequestError::Refused`] if the recording goes to a single file, or the new one cannot be made;
    /// [`RequestError::Late`] if there is none by then.
    pub fn rotate(&self) -> Result<(), RequestError> {
        self.ask(Request::Rotate, PATIENCE)
    }

    /// Records something else from now on, and waits until that is so, for half a minute. If the events refer to what was not followed so far
    /// (descriptors, say), a series goes on in a new file, whose state has the names; in a single file some may be wrong.
    ///
    /// # Errors
    /// [`RequestError::Refused`] if the recording did not load what this takes: see
    /// [`Config::selectable`](super::Config::selectable); [`RequestError::Late`] if it is not so by then.
    pub fn change(&self, settings: Settings) -> Result<(), RequestError> {
        self.ask(|answer| Request::Change(settings, answer), PATIENCE)
    }

    fn ask(&self, request: impl FnOnce(Answer) -> Request, patience: Duration) -> Result<(), RequestError> {
        let (answer, answered) = sync_channel(1);
        self.requests.send(request(answer)).map_err(|_| RequestError::Ended)?;
        match answered.recv_timeout(patience) {
            Ok(done) => done.map_err(RequestError::Refused),
            Err(RecvTimeoutError::Timeout) => Err(RequestError::Late(patience)),
            Err(RecvTimeoutError::Disconnected) => Err(RequestError::Ended),
        }
    }

    /// How it goes, as of a second ago at most; all zero before it begins.
    pub fn status(&self) -> Arc<Status> {
        // Nothing panics while it holds the lock; what is there is whole in any case.
        self.status.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}

impl Requests {
    /// Whether the recording is to end.
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The next request, if there is one.
    pub(super) fn next(&self) -> Option<Request> {
        self.requests.try_recv().ok()
    }

    /// Shows how it goes to those who ask.
    pub(super) fn publish(&self, status: Arc<Status>) {
        *self.status.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = status;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_waits_only_so_long() {
        let (handle, requests) = requests();
        let asked = handle.ask(Request::Rotate, Duration::from_millis(10));
        assert!(matches!(asked, Err(RequestError::Late(_))), "{asked:?}");
        assert!(matches!(requests.next(), Some(Request::Rotate(_))), "it can still be done");
        drop(requests);
        assert!(matches!(handle.rotate(), Err(RequestError::Ended)));
    }
}
