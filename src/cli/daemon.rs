//! The command line of the service: `scapd daemon`, `scapd ctl`, and where a recording can be asked from outside.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand};

use crate::daemon::control::Allowed;

/// Where the service's configuration is.
pub const CONFIG: &str = "/etc/scapd/scapd.toml";
/// Where the service can be reached.
pub const SOCKET: &str = "/run/scapd/control.sock";

/// `scapd daemon`.
#[derive(Debug, Args)]
pub struct DaemonArgs {
    /// Read this file, and those in config.d beside it
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
    /// Say what is wrong with the configuration, and stop: exit code 2 if anything is
    #[arg(long)]
    pub check: bool,
    /// Print the configuration as it is put together, with the file and line of each value, and stop
    #[arg(long, conflicts_with = "check")]
    pub print_config: bool,
}

/// How a recording can be asked and told things while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ServeArgs {
    /// Take requests of `scapd ctl` on this socket; whoever may write to it may make them
    #[arg(long, value_name = "SOCKET", help_heading = "Control")]
    pub control: Option<PathBuf>,
    /// The permissions of that socket, in octal
    #[arg(long, value_name = "MODE", default_value = "0660", value_parser = parse_mode, help_heading = "Control")]
    pub control_mode: u32,
    /// What requests on that socket may ask for, besides the status
    #[arg(
        long,
        value_name = "LIST",
        value_enum,
        value_delimiter = ',',
        default_value = "rotate,reload,set,keep,stop",
        help_heading = "Control"
    )]
    pub control_allow: Vec<Allowed>,
    /// Serve numbers for Prometheus at http://ADDRESS:PORT/metrics, and the state of things at /healthz
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Metrics")]
    pub metrics: Option<SocketAddr>,
    /// Serve them to other machines, too: to whoever reaches the address
    #[arg(long, help_heading = "Metrics")]
    pub metrics_allow_remote: bool,
    /// Serve them by these names, too; besides, by any address, localhost, and the machine's own name
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Metrics")]
    pub metrics_host: Vec<String>,
}

/// `scapd ctl`.
#[derive(Debug, Args)]
pub struct CtlArgs {
    /// What the service is asked for
    #[command(subcommand)]
    pub request: CtlRequest,
    /// The service's socket
    #[arg(long, value_name = "PATH", default_value = SOCKET, global = true)]
    pub socket: PathBuf,
    /// Print the answer as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// A request to the service.
#[derive(Debug, Clone, Subcommand)]
pub enum CtlRequest {
    /// Say how the recording goes
    Status,
    /// Begin a new file
    Rotate,
    /// Read the configuration again
    Reload,
    /// Change keys of the configuration until the next reload, as in: set syscalls=openat,%network
    Set {
        /// What to change
        #[arg(value_name = "KEY=VALUE", required = true, value_parser = parse_assignment)]
        values: Vec<(String, String)>,
    },
    /// Take what is in the buffers, close the file, and end
    Stop,
}

/// Permissions in octal.
fn parse_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("not permissions: write them in octal, as \"0660\"".to_owned()),
    }
}

fn parse_assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("not of the form key=value".to_owned()),
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
