//! Counts the memory of what lives, whoever holds it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A count of bytes that several threads share.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// Returns the bytes that are counted now.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts bytes until the result is dropped.
    pub fn count(&self, bytes: usize) -> Counted {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
        Counted { gauge: self.clone(), bytes: bytes as u64 }
    }
}

/// Bytes that are counted.
#[derive(Debug)]
pub struct Counted {
    gauge: Gauge,
    bytes: u64,
}

impl Counted {
    /// Returns how many.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.gauge.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
