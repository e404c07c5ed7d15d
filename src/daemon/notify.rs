//! What systemd is told: readiness, a line of status, and that the recording is alive (sd_notify(3)).
//!
//! Without a `NOTIFY_SOCKET` in the environment, nothing is told to anyone.

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

/// Messages that may wait for a service manager that is busy.
const QUEUE: usize = 16;

/// Tells the service manager, on a thread of its own: a recording waits for nobody.
#[derive(Debug, Clone)]
pub struct Notifier {
    /// `None`: nobody wants to know.
    queue: Option<SyncSender<String>>,
}

impl Notifier {
    /// Learns from the environment who wants to know.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn from_env(confine: Confinement) -> io::Result<Notifier> {
        if env::var_os("NOTIFY_SOCKET").is_none() {
            return Ok(Notifier { queue: None });
        }
        let (queue, messages) = sync_channel::<String>(QUEUE);
        let send = move || {
            confine::thread(confine, Task::Talking);
            for message in messages {
                if let Err(error) = sd_notify::notify(&[NotifyState::Custom(&message)]) {
                    tracing::debug!("the service manager cannot be told: {error}");
                }
            }
        };
        thread::Builder::new().name("scapd-notify".into()).spawn(send)?;
        Ok(Notifier { queue: Some(queue) })
    }

    /// Events are recorded, and make their way into the file.
    pub fn ready(&self, status: &Status) {
        self.offer(&[NotifyState::Ready, NotifyState::Status(&line(status))]);
    }

    /// How it goes; with food for the watchdog or not.
    pub fn tick(&self, status: &Status, health: Result<(), Ill>, feed: bool) {
        let text = match health {
            Ok(()) => line(status),
            Err(ill) => format!("{ill}; {}", line(status)),
        };
        let states = [NotifyState::Status(&text), NotifyState::Watchdog];
        self.offer(if feed { &states } else { &states[..1] });
    }

    /// The recording ends.
    pub fn stopping(&self) {
        self.offer(&[NotifyState::Stopping, NotifyState::Status("writing what is left")]);
    }

    /// A reload begins. It ends with [`reloaded`](Notifier::reloaded).
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            // Of Type=notify-reload: what is ready after this moment has the new configuration.
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!("no reload can be told to the service manager: {error}"),
        }
    }

    /// A reload has ended, well or not.
    pub fn reloaded(&self, how: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(how)]);
    }

    /// Tells it, if there is room in the queue: what it says will soon be said again, or is not worth waiting for.
    fn offer(&self, states: &[NotifyState<'_>]) {
        if let Some(queue) = &self.queue {
            let _ = queue.try_send(message(states));
        }
    }

    /// Tells it, and waits for room. The thread ends with the last of those who tell it things.
    fn tell(&self, states: &[NotifyState<'_>]) {
        if let Some(queue) = &self.queue {
            let _ = queue.send(message(states));
        }
    }
}

fn message(states: &[NotifyState<'_>]) -> String {
    states.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// When systemd's watchdog wants to be fed. Whoever feeds it has something to show for it.
#[derive(Debug)]
pub struct Watchdog {
    /// The longest time between two meals; `None`: there is no watchdog.
    interval: Option<Duration>,
    fed: Option<Instant>,
}

impl Watchdog {
    /// Learns from the environment whether there is one.
    pub fn from_env() -> Watchdog {
        // Half of the time after which it bites, as sd_watchdog_enabled(3) recommends.
        Watchdog { interval: sd_notify::watchdog_enabled().map(|time| time / 2), fed: None }
    }

    /// Whether it is to be fed now, as `next` may be too late.
    pub fn is_hungry(&self, now: Instant, next: Duration) -> bool {
        self.interval.is_some_and(|interval| {
            self.fed.is_none_or(|fed| now.saturating_duration_since(fed) + next > interval)
        })
    }

    /// It is fed.
    pub fn feed(&mut self, now: Instant) {
        self.fed = Some(now);
    }
}

/// The recording in a line.
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
