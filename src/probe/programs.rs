//! The table from event types to programs, expanded from the rows of include/events.def and the private ones of
//! include/extensions.def. A row without a program does not compile.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libbpf_rs::{AsRawLibbpf, OpenProgramMut, ProgramMut, libbpf_sys};
use scapd_bpf::{OpenScapdProgs, ScapdProgs};

use super::{io_uring::Hook, routes::Helpers, slots::RULE_SLOTS};
use scap::{
    events::{EventType, same},
    select::Tracepoint,
};

/// The first type of the events of our own: `SC_TYPE_PRIVATE` of include/extensions_dimensions.h.
pub(super) const PRIVATE: u16 = 0xa000;

/// Visits the program of an event; the flag says whether it runs for a system call.
type Visitor<'a> = dyn FnMut(EventType, bool, &mut OpenProgramMut<'_>) + 'a;

/// Calls `visit` with the program of each event.
pub(super) fn for_each_open(programs: &mut OpenScapdProgs<'_>, visit: &mut Visitor<'_>) {
    for_each_of_the_format(programs, visit);
    for_each_private(programs, visit);
}

/// Returns the loaded program that records an event; `None` if the event has none, or it was not loaded.
pub(super) fn descriptor<'a>(programs: &'a ScapdProgs<'_>, event: EventType) -> Option<BorrowedFd<'a>> {
    if event.0 < PRIVATE { of_the_format(programs, event) } else { of_private(programs, event) }
}

macro_rules! programs {
    ($($kind:ident($($row:tt)*))*) => {
        fn for_each_of_the_format(programs: &mut OpenScapdProgs<'_>, visit: &mut Visitor<'_>) {
            $({ open!(programs visit $kind($($row)*)); })*
        }

        fn of_the_format<'a>(programs: &'a ScapdProgs<'_>, event: EventType) -> Option<BorrowedFd<'a>> {
            match event.0 {
                $(number!($kind($($row)*)) => loaded!(programs $kind($($row)*)),)*
                _ => None,
            }
        }
    };
}

macro_rules! extensions {
    ($($kind:ident($($row:tt)*))*) => {
        // The table may have no row with a program.
        #[allow(unused_variables)]
        fn for_each_private(programs: &mut OpenScapdProgs<'_>, visit: &mut Visitor<'_>) {
            $({ open!(programs visit $kind($($row)*)); })*
        }

        #[allow(unused_variables)]
        fn of_private<'a>(programs: &'a ScapdProgs<'_>, event: EventType) -> Option<BorrowedFd<'a>> {
            $(private!(event programs $kind($($row)*));)*
            None
        }

        /// How many event types of ours have programs. Their numbers follow one another from [`PRIVATE`] on.
        pub(super) const PRIVATE_EVENTS: usize = 0 $(+ is_private!($kind))*;
    };
}

macro_rules! open {
    ($programs:ident $visit:ident EVENT_OLD($($row:tt)*)) => {};
    ($programs:ident $visit:ident CALL($($row:tt)*)) => {};
    ($programs:ident $visit:ident EXTENSION($($row:tt)*)) => {};
    ($programs:ident $visit:ident $kind:ident(
        $code:ident, $number:literal, $program:ident, $name:ident, $source:ident, $($rest:tt)*
    )) => {
        // Enter events of the format's newest calls have no source, so this tests for tracepoints.
        let is_syscall = !same(stringify!($source), "TRACEPOINT");
        $visit(EventType($number), is_syscall, &mut $programs.$program)
    };
}

macro_rules! number {
    ($kind:ident($code:ident, $number:literal, $($rest:tt)*)) => {
        $number
    };
}

macro_rules! loaded {
    ($programs:ident EVENT_OLD($($row:tt)*)) => {
        None
    };
    ($programs:ident $kind:ident($code:ident, $number:literal, $program:ident, $($rest:tt)*)) => {
        $programs.$program.autoload().then(|| $programs.$program.as_fd())
    };
}

macro_rules! private {
    ($event:ident $programs:ident PRIVATE($code:ident, $number:literal, $($rest:tt)*)) => {
        if $event.0 == $number {
            return loaded!($programs PRIVATE($code, $number, $($rest)*));
        }
    };
    ($event:ident $programs:ident $kind:ident($($row:tt)*)) => {};
}

macro_rules! is_private {
    (PRIVATE) => {
        1
    };
    ($kind:ident) => {
        0
    };
}

scap::with_events!(programs);
scap::with_extensions!(extensions);

/// Calls `visit` with the programs that belong to no event.
pub(super) fn for_each_helper(
    programs: &mut OpenScapdProgs<'_>,
    visit: &mut dyn FnMut(&mut OpenProgramMut<'_>),
) {
    let OpenScapdProgs {
        dispatch_enter,
        dispatch_exit,
        head_enter,
        head_exit,
        rules_enter,
        rules_exit,
        drop_e_on_enter,
        drop_x_on_enter,
        sift_enter,
        sift_exit,
        follow_fork,
        follow_exec,
        measure_preemption,
        list_tasks,
        io_uring_submit_sqe,
        io_uring_req_failed,
        ..
    } = programs;
    for program in [
        dispatch_enter,
        dispatch_exit,
        head_enter,
        head_exit,
        rules_enter,
        rules_exit,
        drop_e_on_enter,
        drop_x_on_enter,
        sift_enter,
        sift_exit,
        follow_fork,
        follow_exec,
        measure_preemption,
        list_tasks,
        io_uring_submit_sqe,
        io_uring_req_failed,
    ] {
        visit(program);
    }
    for program in floor(programs) {
        visit(program);
    }
}

/// Returns the loaded programs of the slots without a call: see [`rule_slots`](super::slots::rule_slots). Dispatchers that are
/// attached are not among them.
pub(super) fn helpers<'a>(programs: &'a ScapdProgs<'_>) -> [Helpers<'a>; 2] {
    let loaded = |program: &'a ProgramMut<'_>| program.autoload().then(|| program.as_fd());
    let ScapdProgs { sift_enter, rules_enter, drop_e_on_enter, drop_x_on_enter, .. } = programs;
    let ScapdProgs { sift_exit, rules_exit, drop_e, drop_x, .. } = programs;
    let of =
        |sift, rules, drop_e, drop_x| [None, loaded(sift), loaded(rules), loaded(drop_e), loaded(drop_x)];
    [of(sift_enter, rules_enter, drop_e_on_enter, drop_x_on_enter), of(sift_exit, rules_exit, drop_e, drop_x)]
}

/// The same for an object that is not a skeleton, and whose dispatchers are called by heads.
pub(super) fn helpers_of_heads(
    programs: &OpenScapdProgs<'_>,
) -> libbpf_rs::Result<[[Option<OwnedFd>; RULE_SLOTS]; 2]> {
    let OpenScapdProgs { dispatch_enter, sift_enter, rules_enter, drop_e_on_enter, drop_x_on_enter, .. } =
        programs;
    let OpenScapdProgs { dispatch_exit, sift_exit, rules_exit, drop_e, drop_x, .. } = programs;
    Ok([
        [
            loaded(dispatch_enter)?,
            loaded(sift_enter)?,
            loaded(rules_enter)?,
            loaded(drop_e_on_enter)?,
            loaded(drop_x_on_enter)?,
        ],
        [loaded(dispatch_exit)?, loaded(sift_exit)?, loaded(rules_exit)?, loaded(drop_e)?, loaded(drop_x)?],
    ])
}

/// Returns a program of an object that is loaded, but not as a skeleton; `None` if it was left out.
pub(super) fn loaded(program: &OpenProgramMut<'_>) -> libbpf_rs::Result<Option<OwnedFd>> {
    if !program.autoload() {
        return Ok(None);
    }
    // SAFETY: the program belongs to the object, which keeps the descriptor open.
    let fd =
        unsafe { BorrowedFd::borrow_raw(libbpf_sys::bpf_program__fd(program.as_libbpf_object().as_ptr())) };
    Ok(Some(fd.try_clone_to_owned()?))
}

/// Returns the benchmark's bare programs: those on a call's entry, then those on its return. Within each group, every
/// program does more than the one before.
pub(super) fn floor<'a, 'obj>(programs: &'a mut OpenScapdProgs<'obj>) -> [&'a mut OpenProgramMut<'obj>; 7] {
    [
        &mut programs.floor_enter_empty,
        &mut programs.floor_enter_clock,
        &mut programs.floor_enter_reserve,
        &mut programs.floor_exit_empty,
        &mut programs.floor_exit_clock,
        &mut programs.floor_exit_path,
        &mut programs.floor_exit_reserve,
    ]
}

/// Returns the loaded programs that are attached. They call all others.
pub(super) fn attached<'a, 'obj>(
    programs: &'a ScapdProgs<'obj>,
) -> impl Iterator<Item = &'a ProgramMut<'obj>> {
    let dispatchers = [&programs.dispatch_enter, &programs.dispatch_exit];
    dispatchers.into_iter().filter(|program| program.autoload()).chain(on_tracepoints(programs))
}

/// When to load a program that is attached to a tracepoint of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// If targets are followed.
    Follow,
    /// If targets are followed or the tracepoint is recorded.
    FollowAnd(Tracepoint),
    /// If the tracepoint is recorded.
    Tracepoint(Tracepoint),
    /// If io_uring is recorded and this kernel has the program's tracepoint.
    IoUring(Hook),
    /// If the exit event that it adds to is recorded, given by its program's name.
    #[cfg(target_arch = "x86_64")]
    With(&'static str),
    /// If calls are recorded by their functions, and one of the exit events that it stands for, given by their programs'
    /// names.
    #[cfg(target_arch = "x86_64")]
    ByFunction(&'static [&'static str]),
    /// If the tracepoint is recorded, or the exit event that it stands for, given by its program's name.
    #[cfg(target_arch = "aarch64")]
    Exit(Tracepoint, &'static str),
}

macro_rules! tracepoint_programs {
    ($($(#[$cfg:meta])* $program:ident: $want:expr,)*) => {
        /// Calls `visit` with the programs on tracepoints of their own.
        pub(super) fn for_each_tracepoint(
            programs: &mut OpenScapdProgs<'_>,
            visit: &mut dyn FnMut(Want, &mut OpenProgramMut<'_>),
        ) {
            $($(#[$cfg])* visit($want, &mut programs.$program);)*
        }

        /// Returns the loaded programs on tracepoints of their own, in the order in which they must run.
        pub(super) fn on_tracepoints<'a, 'obj>(
            programs: &'a ScapdProgs<'obj>,
        ) -> impl Iterator<Item = &'a ProgramMut<'obj>> {
            [$($(#[$cfg])* &programs.$program,)*].into_iter().filter(|program| program.autoload())
        }
    };
}

tracepoint_programs! {
    // First: they decide whether a task is followed, and so whether its events are recorded.
    follow_fork: Want::Follow,
    follow_exec: Want::Follow,
    #[cfg(target_arch = "aarch64")]
    sched_process_fork: Want::Exit(Tracepoint::SchedProcessFork, "clone_x"),
    #[cfg(target_arch = "x86_64")]
    sched_process_fork: Want::ByFunction(&["clone_x", "clone3_x", "fork_x", "vfork_x"]),
    #[cfg(target_arch = "x86_64")]
    note_interpreter: Want::With("execve_x"),
    #[cfg(target_arch = "aarch64")]
    sched_process_exec: Want::Exit(Tracepoint::SchedProcessExec, "execve_x"),
    sched_process_exit: Want::FollowAnd(Tracepoint::SchedProcessExit),
    sched_switch: Want::Tracepoint(Tracepoint::SchedSwitch),
    signal_deliver: Want::Tracepoint(Tracepoint::SignalDeliver),
    page_fault: Want::Tracepoint(Tracepoint::PageFaultUser),
    page_fault_kernel: Want::Tracepoint(Tracepoint::PageFaultKernel),
    io_uring_submit: Want::IoUring(Hook::SubmitReq),
    io_uring_submit_sqe: Want::IoUring(Hook::SubmitSqe),
    io_uring_req_failed: Want::IoUring(Hook::ReqFailed),
    io_uring_complete: Want::IoUring(Hook::Complete),
}
