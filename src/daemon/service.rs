//! Carries out the requests of `scapd ctl` and of signals.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, TryLockError},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};

use super::{
    config::{Difference, Keys, ServiceSettings},
    control::Request,
    health::Health,
    notify::Notifier,
};
use crate::{
    balance::ToJson,
    confine::Confinement,
    escape,
    flight::{DiskStatus, FlightStatus, KeptStatus},
    record::{self, Handle, PATIENCE, RequestError},
};
use scap::ledger::TriggerKind;

/// The interval between two attempts to lock the settings.
const LOOK: Duration = Duration::from_millis(20);

/// A recording, with its configuration if it is a service.
#[derive(Debug)]
pub struct Service {
    handle: Handle,
    health: Arc<Health>,
    notifier: Notifier,
    configuration: Option<Configuration>,
    confine: Confinement,
}

/// The source of a configuration, and the settings in force.
#[derive(Debug)]
pub struct Configuration {
    /// The file.
    pub file: PathBuf,
    /// Whether a missing file is an error.
    pub must_exist: bool,
    /// The keys that it may have.
    pub keys: Keys,
    /// The settings in force.
    pub running: Mutex<ServiceSettings>,
}

impl Service {
    /// Creates a service for a recording; `None` for a configuration that comes from the command line alone.
    ///
    /// # Errors
    /// If the thread that notifies the service manager cannot be started.
    pub fn new(
        handle: Handle,
        configuration: Option<Configuration>,
        confine: Confinement,
    ) -> io::Result<Service> {
        let notifier = Notifier::from_env(confine)?;
        Ok(Service { handle, health: Arc::default(), notifier, configuration, confine })
    }

    /// Returns the confinement of the threads that serve clients.
    pub fn confinement(&self) -> Confinement {
        self.confine
    }

    /// Returns the notifier of the service manager.
    pub fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// Returns the handle of the recording.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Returns the health of the recording.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Carries out a request of `scapd ctl`.
    ///
    /// # Errors
    /// A message for the client.
    pub fn answer(&self, request: Request) -> Result<Map<String, Value>, String> {
        match request {
            Request::Status {} => Ok(self.status()),
            Request::Rotate {} => self.rotate().map(|()| Map::new()),
            Request::Dump { after, reason } => {
                let reason = if reason.is_empty() { "by request" } else { &reason };
                let after = after.map(Duration::from_secs);
                self.dump(TriggerKind::Request, after, reason).map(|()| Map::new())
            }
            Request::Reload {} => self.reload().map(|difference| told(&difference)),
            Request::Set { values } => {
                let changes = values.iter().map(|(key, value)| (key.as_str(), value.as_str()));
                self.set(changes).map(|difference| told(&difference))
            }
            Request::Stop {} => {
                tracing::info!("stopping on request");
                self.handle.stop();
                Ok(Map::new())
            }
        }
    }

    fn status(&self) -> Map<String, Value> {
        let status = self.handle.status();
        let state =
            self.health.check(Instant::now()).map_or_else(|ill| ill.to_string(), |()| "recording".into());
        let cpus: Vec<_> = status
            .cpus
            .iter()
            .map(|cpu| json!({ "seen": cpu.seen, "losses": cpu.losses.to_json() }))
            .collect();
        let rings: Vec<_> =
            status.rings.iter().map(|ring| json!({ "used": ring.used, "size": ring.size })).collect();
        let programs: Vec<_> = status
            .programs
            .iter()
            .map(|of| json!({ "name": of.name, "runs": of.runs, "ns": of.time }))
            .collect();
        let fields = [
            ("state", state.into()),
            ("seconds", status.running.as_secs().into()),
            ("file", status.target.clone().into()),
            ("taken", status.taken.into()),
            ("left_out", status.left_out.into()),
            ("written", status.written.into()),
            ("pending", status.pending().into()),
            ("bytes", status.bytes.into()),
            ("files_closed", status.files_closed.into()),
            ("files_deleted", status.files_deleted.into()),
            ("files_unshipped", status.files_unshipped.into()),
            ("rate", (status.rate as u64).into()),
            ("losses", status.losses.to_json()),
            ("cpus", cpus.into()),
            ("rings", rings.into()),
            ("programs", programs.into()),
        ];
        let flight = status.flight.as_ref().map(|flight| ("flight", flight_status(flight)));
        fields.into_iter().chain(flight).map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Starts a new file.
    ///
    /// # Errors
    /// The reason, as text.
    pub fn rotate(&self) -> Result<(), String> {
        self.handle.rotate().map_err(|e| e.to_string())
    }

    /// Asks for a dump of the events that are kept in memory.
    ///
    /// # Errors
    /// The reason, as text.
    pub fn dump(&self, by: TriggerKind, after: Option<Duration>, reason: &str) -> Result<(), String> {
        self.handle.dump(by, after, reason).map_err(|e| e.to_string())
    }

    /// Returns whether the recording keeps events in memory.
    pub fn keeps_window(&self) -> bool {
        self.handle.status().flight.is_some()
    }

    /// Reloads the configuration and applies it. If it is invalid, nothing changes.
    ///
    /// # Errors
    /// All mistakes in it, one per line, or the reason why the recording refuses it.
    pub fn reload(&self) -> Result<Difference, String> {
        let configuration = self.configuration()?;
        self.notifier.reloading();
        let result =
            ServiceSettings::load(&configuration.keys, &configuration.file, configuration.must_exist)
                .map_err(|mistakes| mistakes.to_string())
                .and_then(|settings| self.apply(configuration, |_| Ok(settings)));
        let said = match &result {
            Ok(Difference { live, restart }) if restart.is_empty() => match live.as_slice() {
                [] => "configuration reloaded: no changes".to_owned(),
                live => format!("configuration reloaded: {} changed", live.join(", ")),
            },
            Ok(Difference { restart, .. }) => {
                format!("configuration reloaded; restart to apply: {}", restart.join(", "))
            }
            Err(_) => "the new configuration is invalid; the old one stays in force".to_owned(),
        };
        match &result {
            Ok(_) => tracing::info!("{said}"),
            Err(error) => tracing::error!("{said}:\n{error}"),
        }
        self.notifier.reloaded(&said);
        result
    }

    /// Changes configuration keys until the next reload.
    fn set<'a>(&self, changes: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Difference, String> {
        let configuration = self.configuration()?;
        let difference = self.apply(configuration, |running| {
            let wanted =
                running.with(&configuration.keys, changes).map_err(|mistakes| mistakes.to_string())?;
            match running.difference(&configuration.keys, &wanted).restart {
                restart if restart.is_empty() => Ok(wanted),
                restart => Err(format!(
                    "{}: cannot be changed while recording; set it in {} and restart the service",
                    restart.join(", "),
                    escape::shown(&configuration.file)
                )),
            }
        })?;
        tracing::info!("changed by request: {}", difference.live.join(", "));
        Ok(difference)
    }

    fn configuration(&self) -> Result<&Configuration, String> {
        self.configuration
            .as_ref()
            .ok_or_else(|| "only `scapd daemon` has a configuration to change".to_owned())
    }

    /// Applies the changes that need no restart, one caller at a time. `wanted` makes the new settings from those in
    /// force. Waits for other callers and for the recording for up to 30 s together.
    fn apply(
        &self,
        configuration: &Configuration,
        wanted: impl FnOnce(&ServiceSettings) -> Result<ServiceSettings, String>,
    ) -> Result<Difference, String> {
        let started = Instant::now();
        let mut running = lock_within(&configuration.running, PATIENCE)
            .ok_or("another change is still being made; try again")?;
        let wanted = wanted(&running)?;
        let difference = running.difference(&configuration.keys, &wanted);
        if difference.live.is_empty() {
            return Ok(difference);
        }
        let next = running.adopting(&wanted, &difference.live);
        let config = next.wanted(&configuration.keys).map_err(|e| e.to_string())?.recording;
        let left = PATIENCE.saturating_sub(started.elapsed());
        self.handle.change_within(record::LiveSettings::from(&config), left).map_err(|e| match e {
            RequestError::Late(_) => RequestError::Late(PATIENCE).to_string(),
            other => other.to_string(),
        })?;
        *running = next;
        Ok(difference)
    }
}

fn flight_status(status: &FlightStatus) -> Value {
    let FlightStatus { window, longer, disk, triggers, refused, dumps, written, failed, written_bytes } =
        status;
    let KeptStatus { from, events, bytes, limit, evicted } = window;
    let mut value = json!({
        "from": from,
        "events": events,
        "bytes": bytes,
        "limit": limit,
        "evicted": evicted,
        "triggers": triggers,
        "refused": refused,
        "dumps": dumps,
        "written": written,
        "failed": failed,
        "written_bytes": written_bytes,
    });
    if let Some(DiskStatus { size, queued, written, skipped, is_failing }) = disk {
        value["disk"] = json!({ "size": size, "queued": queued, "written": written, "skipped": skipped, "failing": is_failing });
    }
    if let Some(KeptStatus { from, events, bytes, limit, evicted }) = longer {
        value["longer"] =
            json!({ "from": from, "events": events, "bytes": bytes, "limit": limit, "evicted": evicted });
    }
    value
}

/// Locks a mutex; returns `None` if others hold it for that long.
fn lock_within<T>(mutex: &Mutex<T>, patience: Duration) -> Option<MutexGuard<'_, T>> {
    let started = Instant::now();
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            // The settings are replaced as a whole, so a poisoned lock is harmless.
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if started.elapsed() >= patience => return None,
            Err(TryLockError::WouldBlock) => thread::sleep(LOOK),
        }
    }
}

fn told(difference: &Difference) -> Map<String, Value> {
    let keys = [("changed", &difference.live), ("restart", &difference.restart)];
    keys.into_iter().map(|(name, keys)| (name.to_owned(), json!(keys))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_waits_for_another_one_but_not_forever() {
        let mutex = Mutex::new(1);
        let held = mutex.lock().unwrap();
        let short = Duration::from_millis(50);
        thread::scope(|scope| {
            assert!(scope.spawn(|| lock_within(&mutex, short).is_none()).join().unwrap());
            let waits = scope.spawn(|| lock_within(&mutex, Duration::from_secs(60)).map(|found| *found));
            thread::sleep(short);
            drop(held);
            assert_eq!(waits.join().unwrap(), Some(1));
        });
    }
}
