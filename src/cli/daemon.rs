//! The command lines of `scapd daemon` and `scapd ctl`, and the options of the control socket and the metrics.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::{choice::choice, flight::parse_after};
use crate::daemon::{
    Action, CONFIG, DaemonOptions, Serving,
    config::Section,
    control::{Allowed, Request, SOCKET},
};

const CONTROL: &str = Section::Control.heading();
const METRICS: &str = Section::Metrics.heading();

/// `scapd daemon`.
#[derive(Debug, Args)]
pub struct DaemonArgs {
    /// Read this file and those in config.d next to it
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
    /// Check the configuration, report mistakes, and exit, with code 2 if there are any
    #[arg(long)]
    pub check: bool,
    /// Print the effective configuration, with the file and line of each value, and exit
    #[arg(long, conflicts_with = "check")]
    pub print_config: bool,
}

/// The control socket and the metrics of a running recording.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ServeArgs {
    /// The control socket.
    #[command(flatten)]
    control: ControlArgs,
    /// The metrics.
    #[command(flatten)]
    metrics: MetricsArgs,
}

/// The control socket of a running recording.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(super) struct ControlArgs {
    /// Accept `scapd ctl` requests on this socket, from anyone who may write to it
    #[arg(long, value_name = "SOCKET", help_heading = CONTROL)]
    pub control: Option<PathBuf>,
    /// Permissions of the control socket, in octal
    #[arg(long, value_name = "MODE", default_value = "0660", value_parser = parse_mode, help_heading = CONTROL)]
    pub control_mode: u32,
    /// Requests to accept on the control socket, in addition to status
    #[arg(
        long,
        value_name = "LIST",
        value_parser = choice::<Allowed>(),
        value_delimiter = ',',
        default_value = "rotate,dump,reload,set,keep,stop",
        help_heading = CONTROL
    )]
    pub control_allow: Vec<Allowed>,
}

/// The metrics of a running recording.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(super) struct MetricsArgs {
    /// Serve Prometheus metrics at http://ADDRESS:PORT/metrics, and a health check at /healthz
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = METRICS)]
    pub metrics: Option<SocketAddr>,
    /// Also serve metrics to other machines: to anyone who can reach the address
    #[arg(long, help_heading = METRICS)]
    pub metrics_allow_remote: bool,
    /// Also answer requests for metrics under these host names; any IP address, localhost and the machine's own name
    /// are always accepted
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = METRICS)]
    pub metrics_host: Vec<String>,
}

/// `scapd ctl`.
#[derive(Debug, Args)]
pub struct CtlArgs {
    /// What to request
    #[command(subcommand)]
    pub request: CtlRequest,
    /// Control socket of the service
    #[arg(long, value_name = "PATH", default_value = SOCKET, global = true)]
    pub socket: PathBuf,
    /// Print the answer as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// A request to the service.
#[derive(Debug, Clone, Subcommand)]
pub enum CtlRequest {
    /// Show the status of the recording
    Status,
    /// Start a new file
    Rotate,
    /// Write the events that are kept in memory, and what follows
    Dump {
        /// How long what follows is, e.g. 10s, 0 [default: as configured]
        #[arg(long, value_name = "TIME", value_parser = parse_after)]
        after: Option<Duration>,
        /// Why; the capture says it
        #[arg(value_name = "REASON", trailing_var_arg = true)]
        reason: Vec<String>,
    },
    /// Reload the configuration
    Reload,
    /// Change configuration keys until the next reload, e.g. set syscalls=openat,%network
    Set {
        /// What to change
        #[arg(value_name = "KEY=VALUE", required = true, value_parser = parse_assignment)]
        values: Vec<(String, String)>,
    },
    /// Drain the buffers, close the file and exit
    Stop,
}

impl From<DaemonArgs> for DaemonOptions {
    fn from(args: DaemonArgs) -> DaemonOptions {
        let action = match args {
            DaemonArgs { check: true, .. } => Action::Check,
            DaemonArgs { print_config: true, .. } => Action::Print,
            _ => Action::Record,
        };
        DaemonOptions { config: args.config, action }
    }
}

impl From<ServeArgs> for Serving {
    fn from(args: ServeArgs) -> Serving {
        let ControlArgs { control, control_mode, control_allow } = args.control;
        let MetricsArgs { metrics, metrics_allow_remote, metrics_host } = args.metrics;
        Serving { control, control_mode, control_allow, metrics, metrics_allow_remote, metrics_host }
    }
}

impl From<CtlRequest> for Request {
    fn from(request: CtlRequest) -> Request {
        match request {
            CtlRequest::Status => Request::Status {},
            CtlRequest::Rotate => Request::Rotate {},
            CtlRequest::Dump { after, reason } => {
                Request::Dump { after: after.map(|after| after.as_secs()), reason: reason.join(" ") }
            }
            CtlRequest::Reload => Request::Reload {},
            CtlRequest::Set { values } => Request::Set { values: values.into_iter().collect() },
            CtlRequest::Stop => Request::Stop {},
        }
    }
}

/// Parses permissions in octal.
fn parse_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("not permissions in octal, such as \"0660\"".to_owned()),
    }
}

fn parse_assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("not of the form KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        assert_eq!((parse_mode("0660"), parse_mode("0o600")), (Ok(0o660), Ok(0o600)));
        for wrong in ["", "888", "7777", "-1", "rw"] {
            assert!(parse_mode(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn assignments() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(parse_assignment("a=b=c"), pair("a", "b=c"));
        assert_eq!(parse_assignment("a="), pair("a", ""));
        assert!(parse_assignment("a").is_err() && parse_assignment("=a").is_err());
    }
}
