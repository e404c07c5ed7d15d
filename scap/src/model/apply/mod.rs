//! Updates the machine from events.

mod args;
mod descriptors;
mod io_uring;
mod tasks;

use std::sync::LazyLock;

use super::{
    fds::{Direction, O_CLOEXEC},
    flags,
    machine::{Ended, Machine},
    pairing::Call,
};
use crate::{
    container,
    events::{
        EXTENSIONS, Effect, Event, EventType, Extends, Extension, event, extension, row_of_type, rows, types,
    },
    format::{EventView, state::NamedFd},
    ledger::{self, Notice},
};
use args::Args;

/// The most bytes of a thread's name.
const COMM_LEN: usize = 15;

impl Machine {
    /// Updates the machine from an event. Call it with each event, before asking for what the event refers to.
    /// [Join](crate::format::Joiner) the events of old captures first.
    pub fn apply(&mut self, event: &EventView<'_>) {
        self.apply_any(event, None);
    }

    /// Updates the machine from an event of this CPU, as [`apply`](Machine::apply). How long threads have
    /// [run](Machine::ran) is only known with this.
    pub fn apply_on(&mut self, cpu: u16, event: &EventView<'_>) {
        self.apply_any(event, Some(cpu));
    }

    fn apply_any(&mut self, event: &EventView<'_>, cpu: Option<u16>) {
        self.settle();
        (self.changed, self.renamed) = (false, false);
        let call = self.pair(event);
        self.latency = call.map(|call| event.ts().saturating_sub(call.entered));
        (self.ran, self.used, self.request_fd) = (None, None, None);
        self.containers.forget_last();
        let Some(row) = event.info().filter(|_| !is_quiet(event)) else { return };
        self.changed = match row.effect() {
            Some(effect) if row.takes_effect() => {
                Apply { machine: self, tid: event.tid(), cpu, row, args: Args::new(event, row) }.apply(effect)
            }
            Some(Effect::Clone) => {
                self.tasks.begin_clone(event.tid(), event.ts());
                true
            }
            _ => false,
        };
    }

    /// Notes the call that an event begins, and returns the one that it ends. [Quiet](is_quiet) events do nothing else.
    #[inline]
    pub(crate) fn pair(&mut self, event: &EventView<'_>) -> Option<Call> {
        if self.ignores_calls { None } else { self.pairing.event(event) }
    }

    /// Removes what the last event has ended, as the next event does.
    pub fn settle(&mut self) {
        match self.ended.take() {
            Some(Ended::Fds { tid, first, last }) => self.tasks.files_mut(tid).close(first..=last),
            Some(Ended::Thread { tid, reaper }) => self.tasks.end(tid, reaper),
            None => {}
        }
    }
}

/// Returns whether an event changes nothing but the call that its thread is in, as its row says.
#[inline]
pub(crate) fn is_quiet(event: &EventView<'_>) -> bool {
    static QUIET: LazyLock<Vec<bool>> = LazyLock::new(|| rows().map(is_quiet_row).collect());
    event.row().and_then(|row| QUIET.get(row)) == Some(&true)
}

fn is_quiet_row(row: &Event) -> bool {
    !row.takes_effect() && row.effect() != Some(Effect::Clone)
}

/// What an event may change of a [`Machine`]'s [state](Machine::write_state). The machine needs no other events for it;
/// [`call`](Machine::call) and [`latency`](Machine::latency) take all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing, unless an event extends it that makes a change.
    Nothing,
    /// The state, also by itself.
    ByItself,
    /// The state, together with the event that it extends.
    ByExtending,
}

impl Change {
    /// Returns that of an event type.
    #[inline]
    pub fn of(ty: EventType) -> Change {
        static CHANGES: LazyLock<Vec<Change>> = LazyLock::new(|| types().map(Change::of_row).collect());
        row_of_type(ty).and_then(|row| CHANGES.get(row)).copied().unwrap_or(Change::Nothing)
    }

    fn of_row(row: &Event) -> Change {
        match extension(row.ty).filter(|extension| extension.extends != Extends::Nothing) {
            Some(extension) if !is_quiet_row(&extension.joined) => Change::ByExtending,
            None if !is_quiet_row(row) => Change::ByItself,
            _ => Change::Nothing,
        }
    }
}

/// Returns whether an event of this type, with or without another one that extends it, may change a machine's state.
pub fn may_change(ty: EventType) -> bool {
    let is_extended = |row: &&Extension| match row.extends {
        Extends::Event(extended) => extended == ty,
        Extends::Call(_) => ty.is_generic() && ty.is_enter() == row.own.ty.is_enter(),
        Extends::Nothing => false,
    };
    let extending = EXTENSIONS.iter().filter(is_extended).map(|row| row.own.ty);
    extending.chain([ty]).any(|ty| Change::of(ty) != Change::Nothing)
}

/// An event, and the machine that it changes.
struct Apply<'a> {
    machine: &'a mut Machine,
    tid: u64,
    cpu: Option<u16>,
    row: &'static Event,
    args: Args<'a>,
}

impl Apply<'_> {
    /// Applies the event. Returns whether it may have changed what other events refer to.
    fn apply(mut self, effect: Effect) -> bool {
        match effect {
            Effect::Close => self.closed(),
            Effect::Connect => return self.connected(),
            Effect::Clone => self.cloned(),
            Effect::Fcntl => return self.fcntl(),
            Effect::Exit => self.exited(),
            Effect::Memory | Effect::Switch | Effect::CpuTime => {
                self.usage_told(effect);
                return false;
            }
            Effect::IoUringSubmit => {
                self.io_uring_submitted();
                return false;
            }
            Effect::IoUringComplete => return self.io_uring_completed(),
            Effect::Notice => return self.notified(),
            Effect::Container => return self.container_told(),
            Effect::Drop => self.gap(),
            // The rest changes something if the call succeeded.
            _ if self.args.result().is_some_and(|result| result < 0) => return false,
            _ => return self.succeeded(effect),
        }
        true
    }

    fn succeeded(&mut self, effect: Effect) -> bool {
        match effect {
            Effect::Send => return self.transferred(Direction::Out),
            Effect::Receive => {
                let has_followed = self.transferred(Direction::In);
                return self.received_fds() || has_followed;
            }
            Effect::Prctl => return self.renamed(),
            Effect::Bpf => return self.bpf(),
            Effect::Open => self.opened(),
            Effect::CloseRange => self.range_closed(),
            Effect::Duplicate => {
                let cloexec = self.args.has_flag("flags", O_CLOEXEC);
                self.duplicated(self.args.int("oldfd"), cloexec);
            }
            Effect::Pipe => self.pipe(),
            Effect::Socket => self.socket_made(),
            Effect::SocketPair => self.socket_pair(),
            Effect::Bind => self.bound(),
            Effect::Accept => self.accepted(),
            Effect::PidfdOpen => self.pidfd_opened(),
            Effect::PidfdGetfd => self.pidfd_got(),
            Effect::Eventfd => self.created(NamedFd::Eventfd),
            Effect::Eventpoll => self.created(NamedFd::Eventpoll),
            Effect::Signalfd => self.created(NamedFd::Signalfd),
            Effect::Timerfd => self.created(NamedFd::Timerfd),
            Effect::Inotify => self.created(NamedFd::Inotify),
            Effect::Memfd => self.created(NamedFd::Memfd),
            Effect::Userfaultfd => self.created(NamedFd::Userfaultfd),
            Effect::IoUring => self.created(NamedFd::IoUring),
            Effect::AnonymousFd => self.anonymous_made(),
            effect => self.task_changed(effect),
        }
        true
    }

    fn renamed(&mut self) -> bool {
        let (Some(flags::PR_SET_NAME), Some(comm)) = (self.args.flags("option"), self.args.text("arg2_str"))
        else {
            return false;
        };
        // The kernel cuts it off.
        self.machine.tasks.rename(self.tid, &comm[..comm.len().min(COMM_LEN)]);
        true
    }

    fn task_changed(&mut self, effect: Effect) {
        match effect {
            Effect::ChangeDirectory => {
                let path = self.args.text("path").and_then(|path| self.absolute(path));
                self.directory_changed(path.map(Into::into));
            }
            Effect::ChangeDirectoryFd => {
                let fd = self.args.int("fd").and_then(|fd| self.machine.fd(self.tid, fd));
                self.directory_changed(fd.map(|fd| fd.name.clone()).filter(|name| name.starts_with(b"/")));
            }
            Effect::ChangeRoot => self.root_changed(),
            Effect::Exec => self.executed(),
            Effect::Unshare => {
                let flags = self.args.flags("flags").unwrap_or_default();
                let fs = flags::CLONE_FS | flags::NEW_MOUNTS;
                self.machine.tasks.unshare(self.tid, flags & flags::CLONE_FILES != 0, flags & fs != 0);
            }
            Effect::ChangeUser => self.user_changed(),
            Effect::ChangeGroup => self.group_changed(),
            Effect::ChangeCapabilities => self.capabilities_changed(),
            Effect::NewSession => self.session_begun(),
            Effect::ChangeProcessGroup => self.process_group_changed(),
            Effect::ChangeLimit => self.limit_changed(),
            Effect::UserAdded | Effect::UserDeleted | Effect::GroupAdded | Effect::GroupDeleted => {
                self.accounts_changed(effect);
            }
            // Those above. They are listed so that rustc asks for the case of a new one.
            Effect::Open
            | Effect::Close
            | Effect::CloseRange
            | Effect::Duplicate
            | Effect::Fcntl
            | Effect::Pipe
            | Effect::Socket
            | Effect::SocketPair
            | Effect::Bind
            | Effect::Connect
            | Effect::Accept
            | Effect::Send
            | Effect::Receive
            | Effect::Clone
            | Effect::Exit
            | Effect::Prctl
            | Effect::Memory
            | Effect::Switch
            | Effect::CpuTime
            | Effect::PidfdOpen
            | Effect::PidfdGetfd
            | Effect::Bpf
            | Effect::Eventfd
            | Effect::Eventpoll
            | Effect::Signalfd
            | Effect::Timerfd
            | Effect::Inotify
            | Effect::Memfd
            | Effect::Userfaultfd
            | Effect::IoUring
            | Effect::IoUringSubmit
            | Effect::IoUringComplete
            | Effect::AnonymousFd
            | Effect::Container
            | Effect::Notice
            | Effect::Drop => {}
        }
    }

    fn absolute(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.machine.absolute(self.args.event, None, path)
    }

    /// Returns whether it tells of a container.
    fn container_told(&mut self) -> bool {
        let Some(description) = container::told_by(self.args.event) else { return false };
        let Machine { containers, tasks, .. } = &mut *self.machine;
        containers.add(description, || tasks.cgroups());
        true
    }

    fn usage_told(&mut self, effect: Effect) {
        match effect {
            Effect::Switch => self.switched(),
            Effect::CpuTime => self.cpu_time_told(),
            _ => self.memory_told(),
        }
    }

    /// Handles a notice of the recorder. Where that of a gap says that only events without an effect are missing, the
    /// state is as before. Returns whether it changes what other events refer to.
    fn notified(&mut self) -> bool {
        // A generic event may have been that of a call with an effect.
        let is_harmless =
            |ty: &EventType| *ty != EventType(1) && event(*ty).is_some_and(|row| row.effect().is_none());
        match ledger::parse(self.args.event) {
            Some(Notice::Gap(gap))
                if !gap.most.is_empty()
                    && gap.losses.sum() == gap.most.iter().map(|(_, count)| count).sum::<u64>()
                    && gap.most.iter().all(|(ty, _)| is_harmless(ty)) =>
            {
                self.machine.pairing.clear();
            }
            Some(Notice::Gap(_)) => self.gap(),
            Some(Notice::Selected(asked)) => self.machine.tasks.is_partial = !asked.is_everything(),
            Some(Notice::Filter(text)) => self.machine.tasks.is_partial |= !text.is_empty(),
            _ => return false,
        }
        true
    }

    fn gap(&mut self) {
        self.machine.pairing.clear();
        self.machine.requests.clear();
        self.machine.schedule.clear();
        self.machine.tasks.gap();
    }
}
