//! The processes of a capture, and what became of them.

use super::outcome::{Kind, Outcome, kind};
use crate::{
    events::Effect,
    format::Value,
    hash::HashMap,
    replay::{Moment, Now},
};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this status.
    Status(u8),
    /// By this signal.
    Signal(u8),
    /// The capture does not say how.
    Unknown,
}

/// A process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u64,
    /// Its parent, when it was first seen, as an index among the processes; `None` if the capture has no events of it.
    pub parent: Option<usize>,
    /// When it was cloned, in ns since the epoch; `None` if that was before the capture.
    pub started: Option<u64>,
    /// When it ended, and how; `None` if it went on.
    pub ended: Option<(u64, Exit)>,
    /// The time of its first event, in ns since the epoch.
    pub first: u64,
    /// Its command name.
    pub comm: Vec<u8>,
    /// Its command line: the program and its arguments, each with its terminating NUL; empty if unknown.
    pub command: Vec<u8>,
    /// The paths of the programs that it executed, in order.
    pub programs: Vec<Vec<u8>>,
    /// When it executed each of them, in ns since the epoch.
    pub executed: Vec<u64>,
    /// The signals that its threads have received, with the times in ns since the epoch: the first [`MOST_SIGNALS`].
    pub signals: Vec<(u64, u8)>,
    /// How many signals its threads have received.
    pub signal_count: u64,
    /// Its user, at its last change of program or at first; `None` if unknown.
    pub uid: Option<u32>,
    /// The name of that user; empty if unknown.
    pub user: Vec<u8>,
    /// Its working directory, at its end or as it is now; empty if unknown.
    pub cwd: Vec<u8>,
    /// How many of its calls ended.
    pub calls: u64,
    /// How many of them failed.
    pub errors: u64,
    /// The bytes that they read.
    pub read: u64,
    /// The bytes that they wrote.
    pub written: u64,
    /// Whether it has events that are wanted.
    pub is_wanted: bool,
}

/// Follows the processes of captures.
#[derive(Debug, Default)]
pub struct Tree {
    processes: Vec<Process>,
    /// Those that have not ended, by their ids.
    running: HashMap<u64, usize>,
    memory: u64,
}

/// So many signals of a process are kept.
pub const MOST_SIGNALS: usize = 16;

/// What a process takes besides its texts.
const OVERHEAD: u64 = 64 + size_of::<Process>() as u64;

/// There are more processes than the reader allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the processes take more than {limit} bytes; raise the limit (--max-state)")]
pub struct TooManyProcesses {
    /// The limit, in bytes.
    pub limit: u64,
}

impl Tree {
    /// Takes an event. The numbers of a process are those of its wanted events.
    ///
    /// # Errors
    /// If the processes take too much memory.
    pub fn event(&mut self, moment: &Moment<'_>, is_wanted: bool) -> Result<(), TooManyProcesses> {
        let event = moment.event();
        let Some(pid) = moment.machine.process_of(event.tid()) else { return Ok(()) };
        let index = self.index(pid, moment);
        let Some(process) = self.processes.get_mut(index) else { return Ok(()) };
        process.is_wanted |= is_wanted;
        let outcome = Outcome::of(moment);
        if let Some(outcome) = outcome.filter(|_| is_wanted) {
            process.calls += 1;
            process.errors += u64::from(outcome.error().is_some());
            process.read += outcome.read + outcome.moved;
            process.written += outcome.written;
        }
        match event.info().and_then(|row| row.effect()) {
            Some(Effect::Exec) if outcome.is_some_and(|outcome| outcome.error().is_none()) => {
                process.describe(moment);
                let path = moment.machine.process_info(event.tid()).map(|info| info.exepath.to_vec());
                process.executed.extend(path.as_ref().map(|_| event.ts()));
                process.programs.extend(path);
                let added = process.programs.last().map_or(0, Vec::len) + process.command.len();
                self.memory += added as u64;
            }
            _ if kind(moment) == Kind::Signal && is_wanted => {
                process.signal_count += 1;
                if let Some(signal) = number(moment, "sig").filter(|_| process.signals.len() < MOST_SIGNALS) {
                    process.signals.push((event.ts(), signal as u8));
                    self.memory += size_of::<(u64, u8)>() as u64;
                }
            }
            _ if kind(moment) == Kind::End => {
                process.settle(moment);
                // A thread of several ends alone.
                if moment.machine.thread_count(pid).is_none_or(|left| left == 0) {
                    process.ended = Some((event.ts(), exit(moment)));
                    self.running.remove(&pid);
                }
            }
            _ => {}
        }
        let (needs, limit) = (self.memory, moment.limit);
        if limit > 0 && needs > limit { Err(TooManyProcesses { limit }) } else { Ok(()) }
    }

    /// Returns the index of a process, which is new if it is not known to run.
    fn index(&mut self, pid: u64, moment: &Moment<'_>) -> usize {
        if let Some(known) = self.running.get(&pid) {
            return *known;
        }
        let info = moment.machine.process_info(moment.event().tid());
        let parent = info.and_then(|info| self.running.get(&info.ptid)).copied();
        let started = info.map(|info| info.started).filter(|started| *started != 0);
        let mut process = Process { pid, parent, started, first: moment.event().ts(), ..Process::default() };
        process.describe(moment);
        self.memory += OVERHEAD + (process.command.len() + process.cwd.len()) as u64;
        let index = self.processes.len();
        self.processes.push(process);
        self.running.insert(pid, index);
        index
    }

    /// Takes the end of a capture. Others may follow.
    pub fn end_capture(&mut self, now: Now<'_>) {
        for (pid, index) in &self.running {
            if let (Some(process), Some(cwd)) = (self.processes.get_mut(*index), now.machine.cwd(*pid)) {
                process.cwd = cwd.to_vec();
            }
        }
        // What ended between two captures has no event.
        self.running.retain(|pid, _| now.machine.comm(*pid).is_some());
    }

    /// Returns all processes, in the order of their first events: parents come before their children.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }
}

impl Process {
    /// Notes what is known of the process now.
    fn describe(&mut self, moment: &Moment<'_>) {
        let tid = moment.event().tid();
        if let Some(thread) = moment.machine.thread(tid) {
            self.comm = thread.comm.to_vec();
            self.command = [&thread.process.exe[..], b"\0", &thread.process.args].concat();
            if thread.process.exe.is_empty() {
                self.command.clear();
            }
            self.uid = Some(thread.info.uid).filter(|uid| *uid != u32::MAX);
            let user = self.uid.and_then(|uid| moment.machine.user(uid));
            self.user = user.map_or_else(Vec::new, |user| user.name.to_vec());
        }
        self.settle(moment);
    }

    fn settle(&mut self, moment: &Moment<'_>) {
        if let Some(cwd) = moment.machine.cwd(moment.event().tid()) {
            self.cwd = cwd.to_vec();
        }
    }
}

/// Returns how the thread of an event ended.
fn exit(moment: &Moment<'_>) -> Exit {
    let number = |name: &str| number(moment, name);
    // Old recorders tell the status alone, as wait(2) has it.
    let (status, signal) = match number("status") {
        Some(wait) => (number("ret").unwrap_or(wait >> 8 & 0xff), number("sig").unwrap_or(wait & 0x7f)),
        None => return Exit::Unknown,
    };
    match (status, signal) {
        (_, 1..) => Exit::Signal(signal as u8),
        (status, _) => Exit::Status(status as u8),
    }
}

/// Returns a parameter that is a status or a signal.
fn number(moment: &Moment<'_>, name: &str) -> Option<i64> {
    match moment.event().value(name)?.ok()?.value {
        Value::Errno(number) => Some(number),
        Value::Signal(number) => Some(number.into()),
        _ => None,
    }
}
