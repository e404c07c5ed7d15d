//! The environment's settings for recording in tests.
//!
//! `SCAPD_TEST_ATTACH` is the way to attach: `auto` (the default), `btf`, `tracepoint`, `function`. `SCAPD_TEST_PROBE=shared` uses
//! one probe with every program for all tests of system calls, where loading is slow, as in emulation.

use std::{
    env,
    sync::{Mutex, MutexGuard, PoisonError},
};

use scap::events::{SYSCALLS, Schema, Syscall};
use scapd::probe::{Active, Attach, Directions, Opened, ProbeError, ProbeOptions};

/// The environment's settings for the tests.
pub struct Setup {
    attach: Attach,
    shared: Option<Mutex<Option<Active>>>,
}

impl Setup {
    pub fn from_environment() -> Result<Setup, String> {
        let value = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let attach = value("SCAPD_TEST_ATTACH").map_or(Ok(Attach::Auto), |name| name.parse())?;
        let shared = match value("SCAPD_TEST_PROBE").as_deref() {
            None | Some("own") => None,
            Some("shared") => Some(Mutex::default()),
            Some(other) => return Err(format!("SCAPD_TEST_PROBE is `{other}`: one of own, shared")),
        };
        Ok(Setup { attach, shared })
    }

    /// Returns the options for opening probes.
    pub fn options(&self) -> ProbeOptions {
        ProbeOptions { attach: self.attach, targets: 4096, ..ProbeOptions::default() }
    }

    /// Returns the reason if BPF programs cannot be loaded here.
    pub fn permitted(&self) -> Result<(), String> {
        let calls: Vec<_> = Syscall::by_name("getpid").into_iter().collect();
        let probe = Opened::new(&self.options()).and_then(|p| p.load(&calls)).and_then(|p| p.attach());
        probe.map(drop).map_err(|e| {
            let mut text = e.to_string();
            let mut source = std::error::Error::source(&e);
            while let Some(cause) = source {
                text.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            text
        })
    }

    /// Returns the probe source for a test that needs these options and calls.
    pub fn source(&self, options: ProbeOptions, calls: Vec<&'static Syscall>) -> ProbeSource<'_> {
        let shared = self.shared.as_ref().map(|mutex| mutex.lock().unwrap_or_else(PoisonError::into_inner));
        // Tracepoints are chosen when a probe is loaded.
        let apart = shared.is_none() || !options.tracepoints.is_empty();
        ProbeSource { options, calls, shared, apart, own: None }
    }
}

/// Lends a test its probe.
pub struct ProbeSource<'a> {
    options: ProbeOptions,
    calls: Vec<&'static Syscall>,
    // Also locked by tests that cannot use the shared probe: tests run one at a time.
    shared: Option<MutexGuard<'a, Option<Active>>>,
    /// The test has its own probe.
    apart: bool,
    own: Option<Active>,
}

impl ProbeSource<'_> {
    /// Sets the bytes of data that events keep; the default is 80.
    pub fn snaplen(&mut self, bytes: u32) {
        self.options.snaplen = bytes;
        self.own = None;
    }

    /// Returns the options for opening the probe.
    pub fn options(&self) -> &ProbeOptions {
        &self.options
    }

    /// Also records calls that the tables do not know.
    pub fn unknown_calls(&mut self) {
        self.options.unknown_calls = true;
        self.keep_apart();
        self.own = None;
    }

    /// Sets the schema of the event table.
    pub fn schema(&mut self, schema: Schema) {
        self.options.schema = schema;
        self.keep_apart();
        self.own = None;
    }

    /// Sets which events of the calls are recorded; the default is both.
    pub fn directions(&mut self, directions: Directions) {
        self.options.directions = directions;
        self.keep_apart();
        self.own = None;
    }

    /// Sets the calls to record.
    pub fn calls(&mut self, calls: Vec<&'static Syscall>) {
        self.calls = calls;
        self.keep_apart();
        self.own = None;
    }

    /// Gives the test its own probe from now on.
    pub fn keep_apart(&mut self) {
        self.apart = true;
    }

    /// Returns the test's own probe, if it runs.
    pub fn own(&self) -> Option<&Active> {
        self.own.as_ref()
    }

    fn place(&mut self) -> &mut Option<Active> {
        self.shared.as_deref_mut().filter(|_| !self.apart).unwrap_or(&mut self.own)
    }

    /// Returns a probe that records only these calls. `put` returns it; otherwise the next one is loaded anew.
    pub fn take(&mut self) -> Result<Active, ProbeError> {
        let probe = match self.place().take() {
            Some(probe) => probe,
            None => self.load()?,
        };
        if !self.apart {
            probe.probe().select(&self.calls)?;
            probe.probe().control().set_snaplen(self.options.snaplen);
        }
        Ok(probe)
    }

    pub fn put(&mut self, probe: Active) {
        *self.place() = Some(probe);
    }

    fn load(&self) -> Result<Active, ProbeError> {
        let calls = if self.apart { self.calls.clone() } else { SYSCALLS.iter().collect() };
        Ok(Opened::new(&self.options)?.load(&calls)?.attach()?.start())
    }
}
