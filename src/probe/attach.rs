//! The ways to attach to the syscall tracepoints, and which to take.

use std::{path::Path, str::FromStr};

use super::ProbeError;

/// How the syscall programs are attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Attach {
    /// `Btf` where syscall tracepoints run with preemption off, `Tracepoint` elsewhere.
    #[default]
    Auto,
    /// `tp_btf`: the cheapest.
    Btf,
    /// `tracepoint/raw_syscalls`: also right where programs can be preempted.
    Tracepoint,
}

impl Attach {
    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Attach::Auto => "auto",
            Attach::Btf => "btf",
            Attach::Tracepoint => "tracepoint",
        }
    }
}

impl FromStr for Attach {
    type Err = String;

    fn from_str(s: &str) -> Result<Attach, String> {
        [Attach::Auto, Attach::Btf, Attach::Tracepoint]
            .into_iter()
            .find(|a| a.name() == s)
            .ok_or_else(|| format!("unknown way to attach `{s}`: one of auto, btf, tracepoint"))
    }
}

/// The kernel's major and minor version.
pub(super) fn kernel_version() -> (u32, u32) {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Whether the tracepoints of tracefs can be opened.
pub(super) fn check_tracefs() -> Result<(), ProbeError> {
    let roots = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
    if roots.iter().any(|root| Path::new(root).join("events/raw_syscalls/sys_enter/id").exists()) {
        return Ok(());
    }
    Err(ProbeError::AttachUnavailable {
        attach: Attach::Tracepoint.name(),
        reason: "tracefs is not mounted: mount -t tracefs tracefs /sys/kernel/tracing".into(),
    })
}
