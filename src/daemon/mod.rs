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
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex},
};

use anyhow::Context;

use crate::{
    cli::{CONFIG, DaemonArgs, ServeArgs},
    confine::Confinement,
    exit, print,
    privileges::{self, Keep},
    record::{self, Handle, Observer},
};
use config::Settings;
pub use control::Socket;
use report::Reporter;
pub use service::{Configuration, Service};

/// Runs `scapd daemon`, which records until it is stopped.
///
/// # Errors
/// [`config::Mistakes`], errors of [`record::run`] and of the sockets.
pub fn run(args: &DaemonArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    // The default file is optional; a file named with --config must exist.
    let must_exist = args.config != Path::new(CONFIG);
    let settings = match Settings::load(&args.config, must_exist) {
        Err(mistakes) if args.check => {
            writeln!(out, "{mistakes}")?;
            return Ok(ExitCode::from(exit::USAGE));
        }
        settings => settings?,
    };
    if args.check {
        writeln!(out, "{}: the configuration is valid", print::shown(&args.config))?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.print_config {
        out.write_all(settings.to_toml().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    record(args, must_exist, settings)
}

fn record(args: &DaemonArgs, must_exist: bool, settings: Settings) -> anyhow::Result<ExitCode> {
    let flags = settings.args()?;
    let serve = flags.serve.clone();
    let config =
        record::Config { selectable: true, self_test: true, quiet: true, ..record::Config::from(flags) };
    let is_confined = config.confine != Confinement::Off;
    // Drop capabilities before anything is opened or created: what fails without them must fail now, not at the first
    // rotation.
    if is_confined {
        privileges::keep(Keep::Loading);
    }
    for capability in privileges::missing().into_iter().flatten().filter(|c| !c.essential) {
        tracing::warn!("{} is missing: it is needed {}", capability.name, capability.reason);
    }
    let (handle, requests) = record::requests();
    crate::signals::stop(&handle).context("cannot install the signal handlers")?;
    let configuration =
        Configuration { file: args.config.clone(), must_exist, running: Mutex::new(settings) };
    let service = Arc::new(Service::new(handle, Some(configuration), config.confine)?);
    signals::serve(service.clone()).context("cannot install the signal handlers")?;
    let _socket = start_serving(&serve, &service)?;
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
    Ok(ExitCode::from(if failed { exit::LOST } else { 0 }))
}

/// Opens the control socket and the metrics of a foreground recording, as far as requested. Returns the observer of the
/// recording, and the socket, which must live as long as the recording.
///
/// # Errors
/// Errors of the sockets.
pub fn attend(
    args: &ServeArgs,
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
fn start_serving(args: &ServeArgs, service: &Arc<Service>) -> anyhow::Result<Option<Socket>> {
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
