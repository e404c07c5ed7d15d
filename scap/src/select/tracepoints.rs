//! Parses the list of `--tracepoints`.

use std::fmt;

use super::{SelectError, suggest, terms};

/// A kernel tracepoint that scapd records, apart from those of system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tracepoint {
    /// A thread exits.
    SchedProcessExit,
    /// An execve has replaced the program of a process.
    SchedProcessExec,
    /// A thread has created another thread or process.
    SchedProcessFork,
    /// A CPU switches to another thread.
    SchedSwitch,
    /// A signal is delivered.
    SignalDeliver,
    /// A page fault in user mode.
    PageFaultUser,
    /// A page fault in kernel mode.
    PageFaultKernel,
    /// The kernel takes a request from a ring of io_uring, or posts its result.
    IoUring,
}

impl Tracepoint {
    /// Every tracepoint.
    pub const ALL: &'static [Tracepoint] = &[
        Tracepoint::SchedProcessExit,
        Tracepoint::SchedProcessExec,
        Tracepoint::SchedProcessFork,
        Tracepoint::SchedSwitch,
        Tracepoint::SignalDeliver,
        Tracepoint::PageFaultUser,
        Tracepoint::PageFaultKernel,
        Tracepoint::IoUring,
    ];

    /// Returns the kernel's name for it, or for its group of tracepoints.
    pub const fn name(self) -> &'static str {
        match self {
            Tracepoint::SchedProcessExit => "sched_process_exit",
            Tracepoint::SchedProcessExec => "sched_process_exec",
            Tracepoint::SchedProcessFork => "sched_process_fork",
            Tracepoint::SchedSwitch => "sched_switch",
            Tracepoint::SignalDeliver => "signal_deliver",
            Tracepoint::PageFaultUser => "page_fault_user",
            Tracepoint::PageFaultKernel => "page_fault_kernel",
            Tracepoint::IoUring => "io_uring",
        }
    }

    /// Returns its stable code in the readers' libraries, which share the range with system calls; `None` if its events
    /// are those of a system call, or in no reader's library.
    pub const fn code(self) -> Option<u16> {
        match self {
            Tracepoint::SchedProcessExit => Some(396),
            Tracepoint::SchedProcessExec | Tracepoint::SchedProcessFork | Tracepoint::IoUring => None,
            Tracepoint::SchedSwitch => Some(397),
            Tracepoint::PageFaultUser => Some(398),
            Tracepoint::PageFaultKernel => Some(399),
            Tracepoint::SignalDeliver => Some(400),
        }
    }

    /// Returns the names of its events, which a list may use too; none if they are those of a system call.
    pub const fn event_names(self) -> &'static [&'static str] {
        match self {
            Tracepoint::SchedProcessExit => &["procexit"],
            Tracepoint::SchedProcessExec | Tracepoint::SchedProcessFork => &[],
            Tracepoint::SchedSwitch => &["switch"],
            Tracepoint::SignalDeliver => &["signaldeliver"],
            Tracepoint::PageFaultUser | Tracepoint::PageFaultKernel => &["page_fault"],
            Tracepoint::IoUring => &["io_uring_submit", "io_uring_complete"],
        }
    }
}

/// A set of tracepoints. By default thread exits, without which a reader's process table grows forever, and io_uring, which
/// does the work of system calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TracepointSet(u8);

impl TracepointSet {
    /// Returns the empty set.
    pub const fn none() -> Self {
        TracepointSet(0)
    }

    /// Returns every tracepoint.
    pub fn all() -> Self {
        Tracepoint::ALL.iter().copied().collect()
    }

    /// Adds a tracepoint.
    pub fn insert(&mut self, tracepoint: Tracepoint) {
        self.0 |= bit(tracepoint);
    }

    /// Removes a tracepoint.
    pub fn remove(&mut self, tracepoint: Tracepoint) {
        self.0 &= !bit(tracepoint);
    }

    /// Returns whether the tracepoint is in the set.
    pub fn contains(self, tracepoint: Tracepoint) -> bool {
        self.0 & bit(tracepoint) != 0
    }

    /// Returns whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the tracepoints of the set.
    pub fn iter(self) -> impl Iterator<Item = Tracepoint> {
        Tracepoint::ALL.iter().copied().filter(move |tracepoint| self.contains(*tracepoint))
    }
}

const fn bit(tracepoint: Tracepoint) -> u8 {
    1 << tracepoint as u8
}

impl Default for TracepointSet {
    fn default() -> Self {
        TracepointSet(bit(Tracepoint::SchedProcessExit) | bit(Tracepoint::IoUring))
    }
}

impl FromIterator<Tracepoint> for TracepointSet {
    fn from_iter<I: IntoIterator<Item = Tracepoint>>(tracepoints: I) -> Self {
        TracepointSet(tracepoints.into_iter().fold(0, |bits, tracepoint| bits | bit(tracepoint)))
    }
}

/// Writes a list that [`parse_tracepoints`] takes.
impl fmt::Display for TracepointSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        f.write_str(&self.iter().map(Tracepoint::name).collect::<Vec<_>>().join(","))
    }
}

impl fmt::Debug for TracepointSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TracepointSet({self})")
    }
}

/// Parses a list of tracepoints into a set: names of tracepoints or of their events, `all`, `none`, each with an
/// optional `!` or `?`, as in [`parse`](super::parse).
///
/// # Errors
/// [`SelectError::UnknownTracepoint`] or [`SelectError::EmptyTerm`] for the first invalid term.
pub fn parse_tracepoints(list: &str) -> Result<TracepointSet, SelectError> {
    let terms = terms(list)?;
    let mut set = if terms.first().is_some_and(|term| term.negated) {
        TracepointSet::all()
    } else {
        TracepointSet::none()
    };
    for term in terms {
        let named = match resolve(term.text) {
            Err(_) if term.optional => TracepointSet::none(),
            named => named?,
        };
        match term.text {
            "none" if !term.negated => set = TracepointSet::none(),
            _ if term.negated => set.0 &= !named.0,
            _ => set.0 |= named.0,
        }
    }
    Ok(set)
}

fn resolve(name: &str) -> Result<TracepointSet, SelectError> {
    match name {
        "all" => return Ok(TracepointSet::all()),
        "none" => return Ok(TracepointSet::none()),
        _ => {}
    }
    let all = || Tracepoint::ALL.iter().copied();
    let named: TracepointSet =
        all().filter(|t| t.name() == name || t.event_names().contains(&name)).collect();
    if !named.is_empty() {
        return Ok(named);
    }
    let names = || all().map(Tracepoint::name).chain(all().flat_map(Tracepoint::event_names).copied());
    Err(SelectError::UnknownTracepoint {
        name: name.to_owned(),
        suggestion: suggest(name, names()),
        known: all().map(Tracepoint::name).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::events::{Source, rows};

    fn names(list: &str) -> String {
        parse_tracepoints(list).unwrap().to_string()
    }

    #[test]
    fn tracepoints_have_their_own_and_their_events_names() {
        assert_eq!(TracepointSet::default().to_string(), "sched_process_exit,io_uring");
        assert_eq!(names("procexit,signaldeliver"), "sched_process_exit,signal_deliver");
        assert_eq!(names("page_fault"), "page_fault_user,page_fault_kernel");
        assert_eq!(names("all,!page_fault,!sched_process_exec"), {
            "sched_process_exit,sched_process_fork,sched_switch,signal_deliver,io_uring"
        });
        assert_eq!(names("!switch"), names("all,!sched_switch"));
        assert_eq!(names("io_uring_complete"), "io_uring");
        assert_eq!(names("none"), "none");
        assert_eq!(names("?nosuch,switch"), "sched_switch");
    }

    #[test]
    fn an_unknown_name_gets_a_suggestion() {
        let error = |list| parse_tracepoints(list).unwrap_err().to_string();
        assert_eq!(error("sched_swich"), "unknown tracepoint `sched_swich`; did you mean `sched_switch`?");
        assert!(error("x").starts_with("unknown tracepoint `x`; the tracepoints are sched_process_exit, "));
        assert!(error("switch,").starts_with("empty term"));
    }

    #[test]
    fn no_call_has_the_code_of_a_tracepoint() {
        let codes: Vec<_> = Tracepoint::ALL.iter().filter_map(|tracepoint| tracepoint.code()).collect();
        assert_eq!(codes, [396, 397, 400, 398, 399]);
        assert!(crate::events::SYSCALLS.iter().all(|call| !codes.contains(&call.code)));
    }

    #[test]
    fn all_is_complete_and_event_names_are_the_tables() {
        for (i, tracepoint) in Tracepoint::ALL.iter().enumerate() {
            assert_eq!(*tracepoint as usize, i);
            for name in tracepoint.event_names() {
                let event = rows().filter(|e| e.name == *name && e.program.is_some()).last().unwrap();
                assert_eq!(event.source, Source::Tracepoint, "{name}");
            }
        }
        for event in rows().filter(|e| e.source == Source::Tracepoint && e.program.is_some()) {
            assert!(parse_tracepoints(event.name).is_ok(), "{}", event.name);
        }
    }

    proptest! {
        #[test]
        fn no_list_panics(list in "[a-z_!?,]{0,30}") {
            let _ = parse_tracepoints(&list);
        }

        #[test]
        fn any_set_is_parsed_back(bits: u8) {
            let set = TracepointSet(bits);
            prop_assert_eq!(parse_tracepoints(&set.to_string()), Ok(set));
        }
    }
}
