//! How the tests record, from the environment.
//!
//! `SCAPD_TEST_ATTACH` is the way to attach: `auto` (the default), `btf`, `tracepoint`. `SCAPD_TEST_PROBE=shared` lets
//! all tests of system calls record by one probe with every program: where loading takes long, as in an emulated machine.

use std::{
    env,
    sync::{Mutex, MutexGuard, PoisonError},
};

use scap::events::{SYSCALLS, Schema, Syscall};
use scapd::probe::{Active, Attach, Directions, Opened, Options, ProbeError};

/// How the tests record.
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

    /// What probes are opened with.
    pub fn options(&self) -> Options {
        Options { attach: self.attach, targets: 4096, ..Options::default() }
    }

    /// Whether BPF programs can be loaded here; the reason if not.
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

    /// The probe for a test that needs these options and calls.
    pub fn source(&self, options: Options, calls: Vec<&'static Syscall>) -> ProbeSource<'_> {
        let shared = self.shared.as_ref().map(|mutex| mutex.lock().unwrap_or_else(PoisonError::into_inner));
        // Tracepoints are chosen as a probe is loaded.
        let apart = shared.is_none() || !options.tracepoints.is_empty();
        ProbeSource { options, calls, shared, apart, own: None }
    }
}

/// Where a test's probe comes from, and where it goes back to.
pub struct ProbeSource<'a> {
    options: Options,
    calls: Vec<&'static Syscall>,
    // Held by whom it is no use to, too: one test at a time.
    shared: Option<MutexGuard<'a, Option<Active>>>,
    /// Whether the test has a probe of its own.
    apart: bool,
    own: Option<Active>,
}

impl ProbeSource<'_> {
    /// How many bytes of data the events keep from now on; 80 if not called.
    pub fn snaplen(&mut self, bytes: u32) {
        self.options.snaplen = bytes;
        self.own = None;
    }

    /// What the probe is opened with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Records calls that the tables do not know, too.
    pub fn unknown_calls(&mut self) {
        self.options.unknown_calls = true;
        self.keep_apart();
        self.own = None;
    }

    /// Which version of the event table is followed; the default one if not called.
    pub fn schema(&mut self, schema: Schema) {
        self.options.schema = schema;
        self.keep_apart();
        self.own = None;
    }

    /// Which events of the calls are recorded; both if not called.
    pub fn directions(&mut self, directions: Directions) {
        self.options.directions = directions;
        self.keep_apart();
        self.own = None;
    }

    /// Records these calls instead.
    pub fn calls(&mut self, calls: Vec<&'static Syscall>) {
        self.calls = calls;
        self.keep_apart();
        self.own = None;
    }

    /// Has the test have a probe of its own from now on.
    pub fn keep_apart(&mut self) {
        self.apart = true;
    }

    /// The test's own probe, if it runs.
    pub fn own(&self) -> Option<&Active> {
        self.own.as_ref()
    }

    fn place(&mut self) -> &mut Option<Active> {
        self.shared.as_deref_mut().filter(|_| !self.apart).unwrap_or(&mut self.own)
    }

    /// A probe that records the calls and nothing else. It comes back with `put`, else the next one is loaded anew.
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
