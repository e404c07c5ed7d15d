//! Tells others how the recording goes, as it goes: systemd, the log, the watchers of its health.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use indicatif::HumanCount;

use super::{health::Ill, notify::Watchdog, service::Service};
use crate::{
    privileges::{self, Keep},
    record::{Observer, Status},
};
use scap::ledger::Losses;

/// Losses that go on are told this often.
const LOSSES: Duration = Duration::from_secs(60);

/// Between two ticks of a recording, and some more.
const TICK: Duration = Duration::from_millis(1500);

/// Follows a recording.
#[derive(Debug)]
pub struct Reporter {
    service: Arc<Service>,
    watchdog: Watchdog,
    /// Whether this process does nothing but record.
    alone: bool,
    told: Option<Instant>,
    losses: Losses,
}

impl Reporter {
    /// Of a service's recording. If the process does nothing else, and is confined, it gives up the rights that only
    /// loading takes.
    pub fn new(service: Arc<Service>, alone: bool) -> Reporter {
        Reporter { service, watchdog: Watchdog::from_env(), alone, told: None, losses: Losses::default() }
    }

    /// Has new losses logged, but not each second.
    fn log_losses(&mut self, status: &Status, now: Instant) {
        let new = status.losses.since(&self.losses);
        let recent = self.told.is_some_and(|told| now.saturating_duration_since(told) < LOSSES);
        if new.sum() == 0 || recent {
            return;
        }
        self.told = Some(now);
        self.losses = status.losses;
        let causes: Vec<_> =
            new.iter().map(|(cause, count)| format!("{} {}", cause.text(), HumanCount(count))).collect();
        tracing::warn!(lost = new.sum(), "{} events lost: {}", HumanCount(new.sum()), causes.join(", "));
    }
}

impl Observer for Reporter {
    fn loaded(&mut self) {
        if self.alone {
            privileges::keep(Keep::Recording);
        }
    }

    fn started(&mut self, status: &Status) {
        self.service.health().see(status, Instant::now());
        tracing::info!("recording into {}", status.target);
        self.service.notifier().ready(status);
    }

    fn tick(&mut self, status: &Status) {
        let now = Instant::now();
        self.service.health().see(status, now);
        self.log_losses(status, now);
        let health = self.service.health().check(now);
        // A restart brings no room on a full disk.
        let well = matches!(health, Ok(()) | Err(Ill::Waiting));
        let feed = well && self.watchdog.is_hungry(now, TICK);
        if feed {
            self.watchdog.feed(now);
        }
        self.service.notifier().tick(status, health, feed);
    }

    fn closing(&mut self, _: &Status) {
        self.service.health().close();
        self.service.notifier().stopping();
    }
}
