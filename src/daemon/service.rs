//! The service as those see it who ask something of it: `scapd ctl`, signals.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use serde_json::{Map, Value, json};

use super::{
    config::{Difference, Settings},
    control::Request,
    health::Health,
    notify::Notifier,
};
use crate::{
    balance::ToJson,
    confine::Confinement,
    print,
    record::{self, Handle},
};

/// A recording, and its configuration if it has one.
#[derive(Debug)]
pub struct Service {
    handle: Handle,
    health: Arc<Health>,
    notifier: Notifier,
    configuration: Option<Configuration>,
    confine: Confinement,
}

/// Where a configuration comes from, and what of it is in force.
#[derive(Debug)]
pub struct Configuration {
    /// The file.
    pub file: PathBuf,
    /// Whether it is a mistake if there is no such file.
    pub must_exist: bool,
    /// What is in force.
    pub running: Mutex<Settings>,
}

impl Service {
    /// A recording with that configuration; `None`: it was told all by its command line.
    ///
    /// # Errors
    /// If there is no thread to be had, of which the service manager, if there is one, is told things.
    pub fn new(
        handle: Handle,
        configuration: Option<Configuration>,
        confine: Confinement,
    ) -> io::Result<Service> {
        let notifier = Notifier::from_env(confine)?;
        Ok(Service { handle, health: Arc::default(), notifier, configuration, confine })
    }

    /// What those threads give up that talk to others.
    pub fn confinement(&self) -> Confinement {
        self.confine
    }

    /// To tell the service manager.
    pub fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// The recording.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// How it is.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Carries out a request of `scapd ctl`.
    ///
    /// # Errors
    /// What is wrong with it, for the one who made it.
    pub fn answer(&self, request: Request) -> Result<Map<String, Value>, String> {
        match request {
            Request::Status {} => Ok(self.status()),
            Request::Rotate {} => self.rotate().map(|()| Map::new()),
            Request::Reload {} => self.reload().map(|difference| told(&difference)),
            Request::Set { values } => {
                let changes = values.iter().map(|(key, value)| (key.as_str(), value.as_str()));
                self.set(changes).map(|difference| told(&difference))
            }
            Request::Stop {} => {
                tracing::info!("asked to stop");
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
            ("written", status.written.into()),
            ("pending", status.pending().into()),
            ("bytes", status.bytes.into()),
            ("files_closed", status.files_closed.into()),
            ("files_deleted", status.files_deleted.into()),
            ("rate", (status.rate as u64).into()),
            ("losses", status.losses.to_json()),
            ("cpus", cpus.into()),
            ("rings", rings.into()),
            ("programs", programs.into()),
        ];
        fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Goes on in a new file.
    ///
    /// # Errors
    /// Why not.
    pub fn rotate(&self) -> Result<(), String> {
        self.handle.rotate().map_err(|e| e.to_string())
    }

    /// Reads the configuration again, and records what it says now. If it is wrong, nothing changes.
    ///
    /// # Errors
    /// All mistakes in it, a line each, or why the recording refuses it.
    pub fn reload(&self) -> Result<Difference, String> {
        let configuration = self.configuration()?;
        self.notifier.reloading();
        let result = Settings::load(&configuration.file, configuration.must_exist)
            .map_err(|mistakes| mistakes.to_string())
            .and_then(|settings| self.apply(configuration, |_| Ok(settings)));
        let said = match &result {
            Ok(Difference { live, restart }) if restart.is_empty() => match live.as_slice() {
                [] => "configuration read again: nothing has changed".to_owned(),
                live => format!("configuration read again: {} changed", live.join(", ")),
            },
            Ok(Difference { restart, .. }) => {
                format!("configuration read again; changes with a restart: {}", restart.join(", "))
            }
            Err(_) => "the new configuration is wrong; the old one stays".to_owned(),
        };
        match &result {
            Ok(_) => tracing::info!("{said}"),
            Err(error) => tracing::error!("{said}:\n{error}"),
        }
        self.notifier.reloaded(&said);
        result
    }

    /// Changes keys until the next reload.
    fn set<'a>(&self, changes: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Difference, String> {
        let configuration = self.configuration()?;
        let difference = self.apply(configuration, |running| {
            let wanted = running.with(changes).map_err(|mistakes| mistakes.to_string())?;
            match running.difference(&wanted).restart {
                restart if restart.is_empty() => Ok(wanted),
                restart => Err(format!(
                    "{}: cannot be changed while it runs; write it into {} and restart the service",
                    restart.join(", "),
                    print::shown(&configuration.file)
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

    /// Puts in force what can be without a restart, of what is wanted instead of what is running. One change at a time.
    fn apply(
        &self,
        configuration: &Configuration,
        wanted: impl FnOnce(&Settings) -> Result<Settings, String>,
    ) -> Result<Difference, String> {
        // It is replaced as a whole, so what a panic would leave is whole, too.
        let mut running = configuration.running.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = wanted(&running)?;
        let difference = running.difference(&wanted);
        if difference.live.is_empty() {
            return Ok(difference);
        }
        let next = running.adopting(&wanted, &difference.live);
        let config = record::Config::from(next.args().map_err(|e| e.to_string())?);
        self.handle.change(record::Settings::from(&config)).map_err(|e| e.to_string())?;
        *running = next;
        Ok(difference)
    }
}

fn told(difference: &Difference) -> Map<String, Value> {
    let keys = [("changed", &difference.live), ("restart", &difference.restart)];
    keys.into_iter().map(|(name, keys)| (name.to_owned(), json!(keys))).collect()
}
