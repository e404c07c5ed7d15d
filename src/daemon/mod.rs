//! The recorder as a service: configuration, readiness, control requests, metrics.

pub mod config;
pub mod control;
mod health;
pub mod http;
mod metrics;
mod notify;
mod report;
mod serve;
mod service;
mod signals;

use std::{
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use anyhow::Context;

use crate::{
    confine::Confinement,
    escape,
    privileges::{self, Kept},
    record::{self, Handle, Observer},
};
use config::{Keys, ServiceSettings, Wanted};
pub use control::Socket;
use report::Reporter;
pub use service::{Configuration, Service};

/// The default configuration file.
pub const CONFIG: &str = "/etc/scapd/scapd.toml";

/// What [`run`] does.
#[derive(Debug, Clone)]
pub struct DaemonOptions {
    /// The configuration file; those in `config.d` next to it are read too.
    pub config: PathBuf,
    /// What to do with the configuration.
    pub action: Action,
}

/// What to do with a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Record as it says.
    Record,
    /// Report its mistakes.
    Check,
    /// Print it, with the position of each value.
    Print,
}

/// How the service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As it was asked to.
    Well,
    /// The checked configuration has mistakes.
    Mistaken,
    /// Events were lost, which is a failure by the configuration.
    Lost,
}

/// The control socket and the metrics of a running recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// The path of the control socket, if wanted.
    pub control: Option<PathBuf>,
    /// Its permissions.
    pub control_mode: u32,
    /// The requests that it accepts.
    pub control_allow: Vec<control::Allowed>,
    /// The address of the metrics, if wanted.
    pub metrics: Option<SocketAddr>,
    /// Whether other machines may have the metrics.
    pub metrics_allow_remote: bool,
    /// Names of this machine, in addition to its usual ones.
    pub metrics_host: Vec<String>,
}

/// Runs `scapd daemon`, which records until it is stopped. `keys` are those of the configuration.
///
/// # Errors
/// [`config::Mistakes`], errors of [`record::run`] and of the sockets.
pub fn run(options: &DaemonOptions, keys: Keys, out: &mut impl Write) -> anyhow::Result<Ended> {
    // The default file is optional; a file named with --config must exist.
    let file = options.config.clone();
    let must_exist = file != Path::new(CONFIG);
    let settings = match ServiceSettings::load(&keys, &file, must_exist) {
        Err(mistakes) if options.action == Action::Check => {
            writeln!(out, "{mistakes}")?;
            return Ok(Ended::Mistaken);
        }
        settings => settings?,
    };
    match options.action {
        Action::Check => writeln!(out, "{}: the configuration is valid", escape::shown(&file))?,
        Action::Print => out.write_all(settings.to_toml(&keys).as_bytes())?,
        Action::Record => {
            let wanted = settings.wanted(&keys)?;
            return record(Configuration { file, must_exist, keys, running: Mutex::new(settings) }, wanted);
        }
    }
    Ok(Ended::Well)
}

fn record(configuration: Configuration, wanted: Wanted) -> anyhow::Result<Ended> {
    let Wanted { recording, serving } = wanted;
    let config = record::Config { selectable: true, self_test: true, quiet: true, ..recording };
    let is_confined = config.confine != Confinement::Off;
    // Drop capabilities before anything is opened or created: what fails without them must fail now, not at the first
    // rotation.
    if is_confined {
        privileges::keep(Kept::Loading);
    }
    for capability in privileges::missing().into_iter().flatten().filter(|c| !c.essential) {
        tracing::warn!("{} is missing: it is needed {}", capability.name, capability.reason);
    }
    let (handle, requests) = record::requests();
    crate::signals::stop(&handle).context("cannot install the signal handlers")?;
    let service = Arc::new(Service::new(handle, Some(configuration), config.confine)?);
    signals::serve(service.clone()).context("cannot install the signal handlers")?;
    let _socket = start_serving(&serving, &service)?;
    let outcome = record::run(&config, requests, &mut Reporter::new(service, is_confined))?;
    let summary = &outcome.summary;
    tracing::info!(
        events = summary.events,
        bytes = summary.written.bytes_out,
        lost = summary.verdict.losses.sum(),
        "{} closed with {} events: {}",
        summary.target,
        summary.events,
        summary.balance()
    );
    outcome.stats?;
    let failed = config.fail_on_loss && !summary.verdict.is_complete();
    Ok(if failed { Ended::Lost } else { Ended::Well })
}

/// Opens the control socket and the metrics of a foreground recording, as far as requested. Returns the observer of the
/// recording, and the socket, which must live as long as the recording.
///
/// # Errors
/// Errors of the sockets.
pub fn attend(
    args: &Serving,
    confine: Confinement,
    handle: &Handle,
) -> anyhow::Result<(Box<dyn Observer>, Option<Socket>)> {
    if args.control.is_none() && args.metrics.is_none() {
        return Ok((Box::new(()), None));
    }
    let service = Arc::new(Service::new(handle.clone(), None, confine)?);
    let socket = start_serving(args, &service)?;
    Ok((Box::new(Reporter::new(service, false)), socket))
}

/// Starts the requested servers. Dropping the control socket removes it.
fn start_serving(args: &Serving, service: &Arc<Service>) -> anyhow::Result<Option<Socket>> {
    if let Some(address) = args.metrics {
        let listener = metrics::listen(address, args.metrics_allow_remote)?;
        tracing::info!("metrics at http://{}/metrics", listener.local_addr()?);
        let hosts = http::Hosts::new(&args.metrics_host);
        let (handle, health) = (service.handle().clone(), service.health().clone());
        metrics::serve(listener, hosts, service.confinement(), handle, health)
            .context("cannot serve metrics")?;
    }
    let Some(path) = &args.control else { return Ok(None) };
    let socket = Socket::bind(path, args.control_mode)?;
    let (answering, allowed) = (service.clone(), args.control_allow.clone());
    let answer = move |request| control::check(&request, &allowed).and_then(|()| answering.answer(request));
    control::serve(&socket, service.confinement(), answer).context("cannot serve the control socket")?;
    Ok(Some(socket))
}
