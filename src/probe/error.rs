//! What can go wrong with a probe, and what to do about it.

use std::io;

use crate::{limits, privileges};

/// An error of a probe.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The kernel does not let us load BPF programs.
    #[error("not allowed to {what}: {remedy}")]
    NotPermitted {
        /// What was refused.
        what: String,
        /// What is missing.
        remedy: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel does not describe its own types.
    #[error(
        "this kernel has no BTF (/sys/kernel/btf/vmlinux): it must be built with CONFIG_DEBUG_INFO_BTF=y"
    )]
    NoBtf,
    /// The kernel lacks what every program needs.
    #[error("kernel {release} is too old: scapd needs 5.8 or later")]
    KernelTooOld {
        /// The kernel's release.
        release: String,
    },
    /// The wanted way to attach is not to be had.
    #[error("cannot attach by {attach}: {reason}")]
    AttachUnavailable {
        /// The way to attach.
        attach: &'static str,
        /// What is missing, and the remedy.
        reason: String,
    },
    /// The verifier refused a program without which there is no capture.
    #[error("this kernel refuses the BPF program {program}:\n{log}")]
    Refused {
        /// The program.
        program: String,
        /// What the verifier said.
        log: String,
    },
    /// The limit of open files is too low.
    #[error(
        "cannot {what}: the limit of open files (RLIMIT_NOFILE) is {limit}, which is too low for the programs and maps: \
         raise the hard limit (`ulimit -Hn 4096` as root, or LimitNOFILE= of a unit), or select fewer calls"
    )]
    OpenFiles {
        /// The step.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// A step failed that should not have.
    #[error("cannot {what}")]
    Failed {
        /// The step.
        what: String,
        /// The kernel's answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A size that a ring cannot have.
    #[error(
        "a ring of {bytes} bytes is impossible: a power of two of at least {page} bytes (the page size) is needed"
    )]
    RingSize {
        /// The size that was asked for.
        bytes: u64,
        /// The page size.
        page: u64,
    },
    /// A call or a tracepoint was selected whose program was not loaded.
    #[error("the program of {0} is not loaded: name it when the probe is loaded")]
    NotLoaded(String),
    /// /proc has ids of processes from which there is no way to those of events.
    #[error("events have the process ids of the initial pid namespace, but not so /proc: {0}")]
    PidNamespace(&'static str),
    /// There is no room for another target.
    #[error("cannot follow task {tid}: {reason}")]
    Target {
        /// The task.
        tid: u32,
        /// Why.
        reason: String,
    },
}

impl ProbeError {
    pub(super) fn failed(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> ProbeError {
        ProbeError::Failed { what: what.into(), source: source.into() }
    }

    /// An error of libbpf, told apart by what the user can do about it.
    pub(super) fn libbpf(what: impl Into<String>, error: libbpf_rs::Error) -> ProbeError {
        let what = what.into();
        if is_out_of_descriptors(&error) {
            return ProbeError::OpenFiles { what, limit: limits::open_files() };
        }
        match error.kind() {
            libbpf_rs::ErrorKind::PermissionDenied => {
                let source = io::ErrorKind::PermissionDenied.into();
                ProbeError::NotPermitted { what, remedy: remedy(), source }
            }
            _ => ProbeError::failed(what, error),
        }
    }
}

/// Whether the process has no descriptor left. libbpf-rs has no kind for it, and hides the number from all but the text.
pub(super) fn is_out_of_descriptors(error: &libbpf_rs::Error) -> bool {
    format!("{error:#}").contains(&io::Error::from_raw_os_error(libc::EMFILE).to_string())
}

fn remedy() -> String {
    let missing = privileges::missing().unwrap_or_default();
    let names: Vec<_> = missing.iter().filter(|c| c.essential).map(|c| c.name).collect();
    if names.is_empty() {
        "the capabilities are there, so a container's seccomp filter, kernel lockdown or a security module forbids it"
            .into()
    } else {
        format!("run as root, or with the missing {}", names.join(" and "))
    }
}
