//! Notifies systemd of readiness, status and liveness (sd_notify(3)).
//!
//! Without `NOTIFY_SOCKET` in the environment, this does nothing.

use std::{
    env, io,
    sync::mpsc::{SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use indicatif::HumanCount;
use sd_notify::NotifyState;

use super::health::Ill;
use crate::{
    confine::{self, Confinement, Task},
    record::Status,
};

/// The maximum number of messages that wait for a busy service manager.
const QUEUE: usize = 16;

/// Notifies the service manager from a thread of its own, so that the recording never waits for it.
#[derive(Debug, Clone)]
pub struct Notifier {
    /// `None` without a service manager.
    queue: Option<SyncSender<String>>,
}

impl Notifier {
    /// Creates the notifier for the socket named in the environment.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn from_env(confine: Confinement) -> io::Result<Notifier> {
        if env::var_os("NOTIFY_SOCKET").is_none() {
            return Ok(Notifier { queue: None });
        }
        let (queue, messages) = sync_channel::<String>(QUEUE);
        let send = move || {
            confine::thread(confine, Task::Talking);
            for message in messages {
                if let Err(error) = sd_notify::notify(&[NotifyState::Custom(&message)]) {
                    tracing::debug!("cannot notify the service manager: {error}");
                }
            }
        };
        thread::Builder::new().name("scapd-notify".into()).spawn(send)?;
        Ok(Notifier { queue: Some(queue) })
    }

    /// Reports that events are recorded and reach the file.
    pub fn ready(&self, status: &Status) {
        self.offer(&[NotifyState::Ready, NotifyState::Status(&line(status))]);
    }

    /// Reports the status, and feeds the watchdog if `feed` is set.
    pub fn tick(&self, status: &Status, health: Result<(), Ill>, feed: bool) {
        let text = match health {
            Ok(()) => line(status),
            Err(ill) => format!("{ill}; {}", line(status)),
        };
        let states = [NotifyState::Status(&text), NotifyState::Watchdog];
        self.offer(if feed { &states } else { &states[..1] });
    }

    /// Reports that the recording is ending.
    pub fn stopping(&self) {
        self.offer(&[NotifyState::Stopping, NotifyState::Status("draining the buffers")]);
    }

    /// Reports that a reload begins. [`reloaded`](Notifier::reloaded) ends it.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            // With Type=notify-reload, a READY=1 after this time stamp ends the reload.
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!("cannot notify the service manager of the reload: {error}"),
        }
    }

    /// Reports the end of a reload, successful or not.
    pub fn reloaded(&self, how: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(how)]);
    }

    /// Sends a message unless the queue is full: it will soon be repeated, or is not worth the wait.
    fn offer(&self, states: &[NotifyState<'_>]) {
        if let Some(queue) = &self.queue {
            let _ = queue.try_send(message(states));
        }
    }

    /// Sends a message, and waits while the queue is full. The thread ends when the last sender is dropped.
    fn tell(&self, states: &[NotifyState<'_>]) {
        if let Some(queue) = &self.queue {
            let _ = queue.send(message(states));
        }
    }
}

fn message(states: &[NotifyState<'_>]) -> String {
    states.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The schedule of systemd's watchdog. The caller feeds it only while the recording makes progress.
#[derive(Debug)]
pub struct Watchdog {
    /// The longest time between two feedings; `None` without a watchdog.
    interval: Option<Duration>,
    fed: Option<Instant>,
}

impl Watchdog {
    /// Reads the watchdog's timeout from the environment.
    pub fn from_env() -> Watchdog {
        // Half of the timeout, as sd_watchdog_enabled(3) recommends.
        Watchdog { interval: sd_notify::watchdog_enabled().map(|time| time / 2), fed: None }
    }

    /// Returns whether it needs feeding now, because the next chance, after `next`, may be too late.
    pub fn is_hungry(&self, now: Instant, next: Duration) -> bool {
        self.interval.is_some_and(|interval| {
            self.fed.is_none_or(|fed| now.saturating_duration_since(fed) + next > interval)
        })
    }

    /// Notes that it was fed.
    pub fn feed(&mut self, now: Instant) {
        self.fed = Some(now);
    }
}

/// Returns the status of the recording in one line.
pub fn line(status: &Status) -> String {
    let lost = status.losses.sum();
    let lost =
        if lost == 0 { "nothing lost".to_owned() } else { format!("{} events lost", HumanCount(lost)) };
    format!("{} events/s, {} written, {lost}", HumanCount(status.rate as u64), HumanCount(status.written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use scap::ledger::{Cause, Losses};

    #[test]
    fn a_line_says_how_fast_and_what_is_lost() {
        let mut status = Status { rate: 1234.5, written: 7, ..Status::default() };
        assert_eq!(line(&status), "1,234 events/s, 7 written, nothing lost");
        status.losses = Losses::default();
        status.losses.add(Cause::RingFull, 2000);
        assert_eq!(line(&status), "1,234 events/s, 7 written, 2,000 events lost");
    }

    #[test]
    fn a_busy_service_manager_holds_up_nobody() {
        let (queue, messages) = sync_channel(1);
        let notifier = Notifier { queue: Some(queue) };
        for _ in 0..100 {
            notifier.tick(&Status::default(), Ok(()), true);
        }
        let message = messages.recv().unwrap();
        assert_eq!(message, "STATUS=0 events/s, 0 written, nothing lost\nWATCHDOG=1");
        notifier.tick(&Status::default(), Err(Ill::Closing), false);
        assert!(messages.recv().unwrap().starts_with("STATUS=closing: "));
    }

    #[test]
    fn the_watchdog_is_fed_before_it_bites() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let second = Duration::from_secs(1);
        let mut watchdog = Watchdog { interval: Some(Duration::from_secs(2)), fed: None };
        assert!(watchdog.is_hungry(start, second));
        watchdog.feed(start);
        assert!(!watchdog.is_hungry(at(900), second) && watchdog.is_hungry(at(1100), second));
        assert!(!Watchdog { interval: None, fed: None }.is_hungry(start, second));
    }
}
