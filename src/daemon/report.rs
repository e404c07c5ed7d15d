//! Reports the progress of a recording to systemd, to the log and to the health check.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use indicatif::HumanCount;

use super::{health::Ill, notify::Watchdog, service::Service};
use crate::{
    privileges::{self, Kept},
    record::{Observer, Status},
};
use scap::ledger::Losses;

/// The minimum interval between two log messages about losses.
const LOSSES: Duration = Duration::from_secs(60);

/// The interval between two ticks of a recording, with a margin.
const TICK: Duration = Duration::from_millis(1500);

/// Observes a recording and reports on it.
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
    /// Creates the reporter of a service's recording. If `alone`, the process drops the capabilities that only loading
    /// needs: it does nothing but record, and is confined.
    pub fn new(service: Arc<Service>, alone: bool) -> Reporter {
        Reporter { service, watchdog: Watchdog::from_env(), alone, told: None, losses: Losses::default() }
    }

    /// Logs new losses, at most once per [`LOSSES`].
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
            privileges::keep(Kept::Recording);
        }
    }

    fn started(&mut self, status: &Status) {
        self.service.health().see(status, Instant::now());
        tracing::info!("recording to {}", status.target);
        self.service.notifier().ready(status);
    }

    fn tick(&mut self, status: &Status) {
        let now = Instant::now();
        self.service.health().see(status, now);
        self.log_losses(status, now);
        let health = self.service.health().check(now);
        // A restart does not free space on a full disk.
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
