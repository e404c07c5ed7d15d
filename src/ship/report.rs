//! What became of the captures.

use std::fmt;

use indicatif::HumanBytes;
use serde_json::{Value, json};
use url::Url;

use crate::json::VERSION;

/// What became of the captures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Captures that were shipped.
    pub shipped: Vec<ShippedFile>,
    /// How many were in the store already.
    pub already: u64,
    /// How many were deleted here.
    pub deleted: u64,
    /// Captures that were not shipped when they were last tried, and why.
    pub failed: Vec<(String, String)>,
}

/// A capture that was shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShippedFile {
    /// The path of the capture.
    pub file: String,
    /// Its objects.
    pub keys: Vec<String>,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
}

impl Report {
    /// Returns whether nothing is left to ship.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }

    /// Returns it as JSON.
    pub fn to_json(&self, to: &Url) -> Value {
        let shipped = self.shipped.iter().map(|ShippedFile { file, keys, bytes, sha256 }| {
            json!({ "file": file, "keys": keys, "bytes": bytes, "sha256": sha256 })
        });
        let failed = self.failed.iter().map(|(file, why)| json!({ "file": file, "error": why }));
        json!({
            "version": VERSION,
            "to": to.as_str(),
            "shipped": shipped.collect::<Vec<_>>(),
            "already": self.already,
            "deleted": self.deleted,
            "failed": failed.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.shipped.iter().map(|file| file.bytes).sum();
        write!(
            f,
            "{} shipped ({}), {} there already, {} deleted here, {} failed",
            self.shipped.len(),
            HumanBytes(bytes),
            self.already,
            self.deleted,
            self.failed.len()
        )
    }
}
