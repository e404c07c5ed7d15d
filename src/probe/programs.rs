//! The event-type → program table, expanded from the rows of include/events.def: a row without a program does not
//! compile.

use std::os::fd::{AsFd, BorrowedFd};

use libbpf_rs::OpenProgramMut;

use super::skel::{OpenScapdProgs, ScapdProgs};
use crate::events::EventType;

macro_rules! programs {
    ($($kind:ident($($row:tt)*))*) => {
        /// Calls `visit` with the program of each event.
        pub(super) fn for_each_open(
            programs: &mut OpenScapdProgs<'_>,
            mut visit: impl FnMut(EventType, &mut OpenProgramMut<'_>),
        ) {
            $(open!(programs visit $kind($($row)*));)*
        }

        /// The loaded program that records an event; `None` if it has none, or it was not loaded.
        pub(super) fn descriptor<'a>(programs: &'a ScapdProgs<'_>, event: EventType) -> Option<BorrowedFd<'a>> {
            match event.0 {
                $(number!($kind($($row)*)) => loaded!(programs $kind($($row)*)),)*
                _ => None,
            }
        }
    };
}

macro_rules! open {
    ($programs:ident $visit:ident EVENT_OLD($($row:tt)*)) => {};
    ($programs:ident $visit:ident $kind:ident($code:ident, $number:literal, $program:ident, $($rest:tt)*)) => {
        $visit(EventType($number), &mut $programs.$program)
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

with_events!(programs);
