//! The errors of a probe, with their remedies.

use std::io;

use crate::{limits, privileges};

/// An error of a probe.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The kernel does not allow this process to load BPF programs.
    #[error("not allowed to {what}: {remedy}")]
    NotPermitted {
        /// The refused step.
        what: String,
        /// The remedy.
        remedy: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// The kernel has no BTF, the description of its types.
    #[error(
        "this kernel has no BTF (/sys/kernel/btf/vmlinux): it must be built with CONFIG_DEBUG_INFO_BTF=y"
    )]
    NoBtf,
    /// The kernel is older than 5.8.
    #[error("kernel {release} is too old: scapd needs 5.8 or later")]
    KernelTooOld {
        /// The kernel's release.
        release: String,
    },
    /// The requested way to attach is not available.
    #[error("cannot attach by {attach}: {reason}")]
    AttachUnavailable {
        /// The way to attach.
        attach: &'static str,
        /// What is missing, and the remedy.
        reason: String,
    },
    /// The verifier refused a program that every capture needs.
    #[error("this kernel refuses the BPF program {program}:\n{log}")]
    Refused {
        /// The program.
        program: String,
        /// The verifier's log.
        log: String,
    },
    /// The limit of open files is too low.
    #[error(
        "cannot {what}: the limit of open files (RLIMIT_NOFILE) is {limit}, which is too low for the programs and maps: \
         raise the hard limit (`ulimit -Hn 4096` as root, or LimitNOFILE= of a unit), or select fewer calls"
    )]
    OpenFiles {
        /// The step that failed.
        what: String,
        /// The current limit.
        limit: u64,
    },
    /// A step failed unexpectedly.
    #[error("cannot {what}")]
    Failed {
        /// The step.
        what: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An invalid ring size.
    #[error(
        "invalid ring size of {bytes} bytes: use a power of two of at least {page} bytes (the page size)"
    )]
    RingSize {
        /// The requested size.
        bytes: u64,
        /// The page size in bytes.
        page: u64,
    },
    /// A selected call or tracepoint has no loaded program.
    #[error("the program of {0} is not loaded: name it when the probe is loaded")]
    NotLoaded(String),
    /// The process ids in /proc cannot be translated to those in events.
    #[error("cannot translate the process ids in /proc to those of the initial pid namespace: /proc {0}")]
    PidNamespace(&'static str),
    /// A task cannot be added to the targets, or removed from them.
    #[error("cannot follow task {tid}: {reason}")]
    Target {
        /// The task.
        tid: u32,
        /// The cause.
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

    /// Returns the error of a step that takes capabilities which this process lacks; `None` if it has all.
    pub(super) fn without_capabilities(what: &str) -> Option<ProbeError> {
        let lacks = privileges::missing().unwrap_or_default().iter().any(|c| c.essential);
        let source = io::ErrorKind::PermissionDenied.into();
        lacks.then(|| ProbeError::NotPermitted { what: what.into(), remedy: remedy(), source })
    }

    /// Wraps an error of libbpf, by its remedy.
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

/// Returns whether the error says that the process has no descriptor left. libbpf-rs has no kind for it, and its errors
/// carry the errno only in their text.
pub(super) fn is_out_of_descriptors(error: &libbpf_rs::Error) -> bool {
    has_errno(error, libc::EMFILE)
}

/// Returns whether a call of libbpf failed with an errno.
pub(super) fn has_errno(error: &libbpf_rs::Error, errno: i32) -> bool {
    format!("{error:#}").contains(&io::Error::from_raw_os_error(errno).to_string())
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
