//! Triggers of the kernel: tasks that wait for memory, CPU or I/O (PSI, Documentation/accounting/psi.rst).

use std::{
    fmt,
    fs::File,
    io::{self, Write},
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::{
    choice::{Choice, choices},
    confine::{self, Confinement, Task},
    units::parse_duration,
};
use scap::ledger::{Trigger, TriggerKind};

/// How often the thread looks whether the recording has ended.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };
/// The windows that the kernel accepts.
const WINDOWS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];

choices! {
    /// What tasks wait for.
    pub enum Resource {
        Memory = "memory": "Memory",
        Cpu = "cpu": "A CPU",
        Io = "io": "I/O",
    }
}

choices! {
    /// Which tasks wait.
    pub enum Waiters {
        Some = "some": "Some tasks",
        Full = "full": "All tasks that are not idle, at the same time",
    }
}

/// Tasks that wait for so long, within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressure {
    /// What they wait for.
    pub resource: Resource,
    /// Which tasks.
    pub waiters: Waiters,
    /// How long they wait.
    pub stall: Duration,
    /// Within which time.
    pub within: Duration,
}

impl fmt::Display for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pressure { resource, waiters, stall, within } = self;
        write!(f, "{}:{}:{stall:?}/{within:?}", resource.name(), waiters.name())
    }
}

impl FromStr for Pressure {
    type Err = String;

    fn from_str(text: &str) -> Result<Pressure, String> {
        let parts = || {
            let mut parts = text.splitn(3, ':');
            let (resource, waiters) = (parts.next()?, parts.next()?);
            let (stall, within) = parts.next()?.split_once('/')?;
            Some((resource.parse().ok()?, waiters.parse().ok()?, stall, within))
        };
        let (resource, waiters, stall, within) = parts()
            .ok_or("not of the form memory|cpu|io:some|full:TIME/TIME, such as memory:some:150ms/2s")?;
        let pressure =
            Pressure { resource, waiters, stall: parse_duration(stall)?, within: parse_duration(within)? };
        if pressure.within < WINDOWS[0] || pressure.within > WINDOWS[1] || pressure.stall > pressure.within {
            return Err("the second time is 500ms to 10s, and the first one no longer than that".to_owned());
        }
        Ok(pressure)
    }
}

/// Why the kernel does not tell a pressure.
#[derive(Debug, thiserror::Error)]
#[error("the kernel refuses the trigger {pressure}{}", remedy(source))]
pub struct PressureError {
    pressure: Pressure,
    source: io::Error,
}

fn remedy(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::OPNOTSUPP) => ": it does not measure pressure (start it with psi=1)",
        Some(Errno::INVAL | Errno::ACCESS | Errno::PERM) => {
            ": without CAP_SYS_RESOURCE, it takes Linux 6.5, and a second time that is a multiple of 2s"
        }
        _ => "",
    }
}

/// Waits for pressures on a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct PressureWatch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    has_any: AtomicBool,
    stop: AtomicBool,
    come: Mutex<Vec<Trigger>>,
}

impl PressureWatch {
    /// Tells the kernel about the pressures, and starts the thread.
    ///
    /// # Errors
    /// [`PressureError`], also if no thread can be started.
    pub fn start(pressures: &[Pressure], confine: Confinement) -> Result<PressureWatch, PressureError> {
        let shared = Arc::new(Shared::default());
        let asked: Result<Vec<_>, _> =
            pressures.iter().map(|pressure| Ok((*pressure, ask(pressure)?))).collect();
        let asked = asked?;
        let Some((first, _)) = asked.first() else { return Ok(PressureWatch { shared, thread: None }) };
        let (first, to) = (*first, shared.clone());
        let watch = move || {
            confine::thread(confine, Task::Talking);
            to.watch(asked);
        };
        let thread = thread::Builder::new().name("scapd-pressure".into()).spawn(watch);
        let thread = thread.map_err(|source| PressureError { pressure: first, source })?;
        Ok(PressureWatch { shared, thread: Some(thread) })
    }

    /// Returns what has come since the last time.
    pub fn take(&self) -> Vec<Trigger> {
        if !self.shared.has_any.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        std::mem::take(&mut self.shared.come.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for PressureWatch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic has been printed where it happened.
            let _ = thread.join();
        }
    }
}

/// Opens a trigger of the kernel.
fn ask(pressure: &Pressure) -> Result<File, PressureError> {
    let open = || {
        let path = format!("/proc/pressure/{}", pressure.resource.name());
        let mut file = File::options().read(true).write(true).open(path)?;
        let [stall, within] = [pressure.stall, pressure.within].map(|time| time.as_micros());
        // The kernel replaces the last byte.
        file.write_all(format!("{} {stall} {within}\0", pressure.waiters.name()).as_bytes())?;
        Ok(file)
    };
    open().map_err(|source| PressureError { pressure: *pressure, source })
}

impl Shared {
    fn watch(&self, asked: Vec<(Pressure, File)>) {
        let mut asked = asked;
        while !self.stop.load(Ordering::Relaxed) && !asked.is_empty() {
            let mut fds: Vec<_> = asked.iter().map(|(_, file)| PollFd::new(file, PollFlags::PRI)).collect();
            match poll(&mut fds, Some(&LOOK)) {
                Ok(0) | Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(e) => return tracing::error!("cannot wait for pressure: {e}"),
            }
            let found: Vec<_> = fds.iter().map(PollFd::revents).collect();
            for ((pressure, _), _) in asked.iter().zip(&found).filter(|(_, of)| of.contains(PollFlags::PRI)) {
                let reason = pressure.to_string();
                let trigger = Trigger { by: TriggerKind::Pressure, reason, ..Trigger::default() };
                self.come.lock().unwrap_or_else(PoisonError::into_inner).push(trigger);
                self.has_any.store(true, Ordering::Relaxed);
            }
            let mut found = found.iter();
            asked.retain(|_| found.next().is_none_or(|of| !of.contains(PollFlags::ERR)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_pressure() {
        let pressure: Pressure = "memory:some:150ms/2s".parse().unwrap();
        assert_eq!((pressure.resource, pressure.waiters), (Resource::Memory, Waiters::Some));
        assert_eq!((pressure.stall, pressure.within), (Duration::from_millis(150), Duration::from_secs(2)));
        assert_eq!(pressure.to_string().parse(), Ok(pressure));
        for (wrong, says) in [
            ("memory:some", "not of the form"),
            ("disk:some:1s/2s", "not of the form"),
            ("io:all:1s/2s", "not of the form"),
            ("io:full:1s/100ms", "500ms to 10s"),
            ("io:full:3s/2s", "no longer than that"),
            ("io:full:x/2s", "not a time"),
        ] {
            let said = wrong.parse::<Pressure>().unwrap_err();
            assert!(said.contains(says), "{wrong}: {said}");
        }
    }
}
