//! What calls wait for.

use crate::{
    events::{Category, Event, ParamType, Source},
    fields::{
        subject,
        types::{self, ByType, FdKind},
    },
    replay::Moment,
};

/// What a call waits for, if it takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Files and directories. What is in memory takes no time.
    Disk,
    /// Other machines, and sockets of IP within this one.
    Network,
    /// Other processes, through pipes, unix sockets, queues and the like.
    Pipes,
    /// Whatever comes first on several descriptors.
    Poll,
    /// Locks that other threads hold, and conditions that they signal.
    Locks,
    /// A time to pass, or a signal.
    Sleep,
    /// Children to end, or to execute a program.
    Children,
    /// Terminals, devices, and all else.
    Other,
}

/// Calls whose name says it.
const NAMED: &[(Wait, &str)] = &[
    (
        Wait::Poll,
        "poll ppoll select pselect6 epoll_wait epoll_pwait epoll_pwait2 io_uring_enter io_getevents \
         io_pgetevents",
    ),
    // Of the commands of fcntl, those for locks wait.
    (Wait::Locks, "futex futex_wait futex_waitv futex_requeue flock fcntl semop semtimedop"),
    (Wait::Sleep, "nanosleep clock_nanosleep pause rt_sigsuspend rt_sigtimedwait"),
    (Wait::Children, "wait4 waitid vfork"),
    (Wait::Network, "connect accept accept4"),
    (Wait::Disk, "fsync fdatasync sync syncfs sync_file_range msync execve execveat getdents getdents64"),
    (Wait::Pipes, "mq_timedsend mq_timedreceive msgsnd msgrcv"),
];

/// What the calls of a row wait for; `None` if that depends on the descriptor.
static WAITS: ByType<Option<Wait>> = ByType::new(|| types::rows(of_row));

fn of_row(row: &'static Event) -> Option<Wait> {
    let name = row.syscall().map_or(row.name, |call| call.name);
    let named = NAMED.iter().find(|(_, names)| names.split(' ').any(|known| known == name));
    let takes_path = || {
        let is_path = |ty| matches!(ty, ParamType::FSPATH | ParamType::FSRELPATH);
        row.category == Category::File || row.params.iter().any(|param| is_path(param.ty))
    };
    match named {
        // What they are connected to decides.
        Some((Wait::Network, _)) => None,
        Some((wait, _)) => Some(*wait),
        None if row.source == Source::Syscall && takes_path() => Some(Wait::Disk),
        None => None,
    }
}

impl Wait {
    /// All of them.
    pub const ALL: [Wait; 8] = [
        Wait::Disk,
        Wait::Network,
        Wait::Pipes,
        Wait::Poll,
        Wait::Locks,
        Wait::Sleep,
        Wait::Children,
        Wait::Other,
    ];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Wait::Disk => "disk",
            Wait::Network => "network",
            Wait::Pipes => "pipes",
            Wait::Poll => "poll",
            Wait::Locks => "locks",
            Wait::Sleep => "sleep",
            Wait::Children => "children",
            Wait::Other => "other",
        }
    }

    /// Returns what the call of an event waits for.
    pub fn of(moment: &Moment<'_>) -> Wait {
        if let Some(Some(wait)) = WAITS.of(moment) {
            return *wait;
        }
        let Some(open) = subject::open(moment) else { return Wait::Other };
        match FdKind::of(open) {
            FdKind::File
                if [&b"/dev/"[..], b"/proc/", b"/sys/"].iter().any(|at| open.name.starts_with(at)) =>
            {
                Wait::Other
            }
            FdKind::File | FdKind::Directory => Wait::Disk,
            FdKind::Inet => Wait::Network,
            FdKind::Unix | FdKind::Ipc => Wait::Pipes,
            FdKind::Other => Wait::Other,
        }
    }

    /// Returns whether the call does nothing else: it sleeps, polls or waits for a child.
    pub const fn is_on_purpose(self) -> bool {
        matches!(self, Wait::Poll | Wait::Sleep | Wait::Children)
    }
}
