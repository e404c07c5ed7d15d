//! What a runtime answers, or why it does not.

use std::{fmt, io, time::Duration};

use thiserror::Error;

use super::found::Found;

/// How long one request may take: a runtime may have to be started for it, and answers about a container that it starts when that
/// has been started.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// What a runtime says of a container.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Found(Found),
    /// It does not know it.
    Unknown,
}

/// Why a runtime gave no answer.
#[derive(Debug, Error)]
pub(super) enum AskError {
    #[error(transparent)]
    Socket(#[from] io::Error),
    /// What came is no answer.
    #[error("{0}")]
    Spoken(String),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Late,
}

impl AskError {
    pub fn spoken(error: impl fmt::Display) -> AskError {
        AskError::Spoken(error.to_string())
    }

    /// Returns whether there is no such runtime.
    pub fn is_absence(&self) -> bool {
        matches!(self, AskError::Socket(error) if error.kind() == io::ErrorKind::NotFound)
    }

    pub fn remedy(&self) -> &'static str {
        match self {
            AskError::Socket(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                ": let scapd's user use the socket, or record with --no-containers"
            }
            _ => ": its containers have no names until it answers",
        }
    }
}
