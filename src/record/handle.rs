//! Requests to a recording from other threads: to stop, to rotate, to change the selection.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel},
    },
    time::Duration,
};

use super::{settings::LiveSettings, status::Status};
use scap::ledger::{Trigger, TriggerKind};

/// How long to wait for a request to be carried out. A rotation reads the state of the machine first.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An error of a request.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The recording has ended, or failed to start.
    #[error("the recording has ended")]
    Ended,
    /// The recording cannot do it.
    #[error("{0}")]
    Refused(String),
    /// The recording has not done it yet.
    #[error(
        "not done within {} s (see the log for output errors); the recorder will still do it when it can",
        .0.as_secs()
    )]
    Late(Duration),
}

/// The answer to a request.
pub(super) type Answer = SyncSender<Result<(), String>>;

/// A queued request.
pub(super) enum HandleRequest {
    /// Continue in a new file.
    Rotate(Answer),
    /// Change the settings.
    Change(Box<LiveSettings>, Answer),
    /// Write a dump of the events in memory; it goes on for this time, or for the usual one.
    Dump(Trigger, Option<Duration>, Answer),
}

/// Controls a recording from any thread. Clones control the same recording.
#[derive(Debug, Clone)]
pub struct Handle {
    stop: Arc<AtomicBool>,
    signalled: Arc<AtomicBool>,
    dump: Arc<AtomicBool>,
    requests: Sender<HandleRequest>,
    status: Arc<Mutex<Arc<Status>>>,
}

/// The recording's end of the channel, for [`run`](super::run).
#[derive(Debug)]
pub struct Requests {
    stop: Arc<AtomicBool>,
    dump: Arc<AtomicBool>,
    requests: Receiver<HandleRequest>,
    status: Arc<Mutex<Arc<Status>>>,
}

/// Makes both ends of the channel.
pub fn requests() -> (Handle, Requests) {
    let (sender, receiver) = channel();
    let (stop, dump) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let status = Arc::new(Mutex::new(Arc::new(Status::default())));
    (
        Handle {
            stop: stop.clone(),
            signalled: Arc::default(),
            dump: dump.clone(),
            requests: sender,
            status: status.clone(),
        },
        Requests { stop, dump, requests: receiver, status },
    )
}

impl Handle {
    /// Ends the recording, which then drains the rings and closes the file. Does not wait for that.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Returns the flag that [`stop`](Handle::stop) sets, for signal handlers.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }

    /// Returns the flag that the first signal to end the recording sets. The next signal ends the process at once.
    pub(crate) fn signalled_flag(&self) -> Arc<AtomicBool> {
        self.signalled.clone()
    }

    /// Continues in a new file. Waits for it for up to 30 s.
    ///
    /// # Errors
    /// [`RequestError::Refused`] if the recording goes to a single file; [`RequestError::Late`] if there is no new file
    /// by then.
    pub fn rotate(&self) -> Result<(), RequestError> {
        self.ask(HandleRequest::Rotate, PATIENCE)
    }

    /// Writes a dump of the events that are kept in memory, which goes on for the time `after`, or for the usual one. Does not wait
    /// for the dump.
    ///
    /// # Errors
    /// [`RequestError::Refused`] if the recording keeps no events in memory.
    pub fn dump(&self, by: TriggerKind, after: Option<Duration>, reason: &str) -> Result<(), RequestError> {
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        let trigger = Trigger { by, reason, ..Trigger::default() };
        self.ask(|answer| HandleRequest::Dump(trigger, after, answer), PATIENCE)
    }

    /// Returns the flag that a signal for a dump sets.
    pub(crate) fn dump_flag(&self) -> Arc<AtomicBool> {
        self.dump.clone()
    }

    /// Changes the settings. Waits for that for up to 30 s. If the new events refer to names that were not followed so
    /// far (descriptors, say), a series continues in a new file, whose state has the names; in a single file some names
    /// may be wrong.
    ///
    /// # Errors
    /// [`RequestError::Refused`] if the recording did not load what this takes: see
    /// [`Config::selectable`](super::Config::selectable); [`RequestError::Late`] if it has not changed by then.
    pub fn change(&self, settings: LiveSettings) -> Result<(), RequestError> {
        self.change_within(settings, PATIENCE)
    }

    /// Like [`change`](Handle::change), with a limit of its own.
    ///
    /// # Errors
    /// As for [`change`](Handle::change).
    pub(crate) fn change_within(
        &self,
        settings: LiveSettings,
        patience: Duration,
    ) -> Result<(), RequestError> {
        self.ask(|answer| HandleRequest::Change(Box::new(settings), answer), patience)
    }

    fn ask(
        &self,
        request: impl FnOnce(Answer) -> HandleRequest,
        patience: Duration,
    ) -> Result<(), RequestError> {
        let (answer, answered) = sync_channel(1);
        self.requests.send(request(answer)).map_err(|_| RequestError::Ended)?;
        match answered.recv_timeout(patience) {
            Ok(done) => done.map_err(RequestError::Refused),
            Err(RecvTimeoutError::Timeout) => Err(RequestError::Late(patience)),
            Err(RecvTimeoutError::Disconnected) => Err(RequestError::Ended),
        }
    }

    /// Returns the latest status, about a second old at most; all zero before the recording begins.
    pub fn status(&self) -> Arc<Status> {
        // Nothing panics while holding the lock, and the value is a single pointer: always whole.
        self.status.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}

impl Requests {
    /// Returns whether the recording must end.
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Returns whether a signal has asked for a dump since the last time.
    pub(super) fn asks_for_dump(&self) -> bool {
        self.dump.load(Ordering::Relaxed) && self.dump.swap(false, Ordering::Relaxed)
    }

    /// Returns the next request, if any.
    pub(super) fn next(&self) -> Option<HandleRequest> {
        self.requests.try_recv().ok()
    }

    /// Publishes the status to the handles.
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
        let asked = handle.ask(HandleRequest::Rotate, Duration::from_millis(10));
        assert!(matches!(asked, Err(RequestError::Late(_))), "{asked:?}");
        assert!(matches!(requests.next(), Some(HandleRequest::Rotate(_))), "it can still be done");
        drop(requests);
        assert!(matches!(handle.rotate(), Err(RequestError::Ended)));
    }

    #[test]
    fn a_stop_reaches_the_recording() {
        let (handle, requests) = requests();
        assert!(!requests.stopped());
        handle.clone().stop();
        assert!(requests.stopped());
        let (handle, requests) = super::requests();
        handle.stop_flag().store(true, Ordering::Relaxed);
        assert!(requests.stopped());
        // One flag for all who ask.
        handle.signalled_flag().store(true, Ordering::Relaxed);
        assert!(handle.signalled_flag().load(Ordering::Relaxed));
    }

    #[test]
    fn the_latest_status_is_shown() {
        let (handle, requests) = requests();
        assert_eq!(handle.status().taken, 0);
        for taken in [5, 9] {
            requests.publish(Arc::new(Status { taken, ..Status::default() }));
            assert_eq!(handle.clone().status().taken, taken);
        }
    }

    #[test]
    fn an_answer_of_the_recording_is_returned() {
        let (handle, requests) = requests();
        let recording = std::thread::spawn(move || {
            for result in [Ok(()), Err("no".to_owned())] {
                let request = std::iter::repeat_with(|| {
                    std::thread::sleep(Duration::from_millis(1));
                    requests.next()
                });
                let Some(HandleRequest::Change(settings, answer)) = request.take(5000).flatten().next()
                else {
                    panic!("not asked to change");
                };
                assert_eq!(settings.snaplen, 77);
                answer.send(result).unwrap();
            }
        });
        let settings = LiveSettings { snaplen: 77, ..LiveSettings::from(&crate::record::Config::default()) };
        handle.change(settings.clone()).unwrap();
        let refused = handle.change(settings).unwrap_err();
        assert!(matches!(refused, RequestError::Refused(text) if text == "no"));
        recording.join().unwrap();
    }
}
