//! The requested events, as a capture records them. All others in it are companions, which keep names right.

use std::fmt;

use super::{SyscallSet, Tracepoint, TracepointSet, parse_tracepoints};
use crate::events::{EVENTS, Event, EventType, SYSCALLS, Source, Syscall, event};

/// The events that the user requested. The other events in a capture keep the names in these right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The calls; `None` for all, including those that are not in the tables.
    pub syscalls: Option<SyscallSet>,
    /// Whether their enter events were requested.
    pub enter: bool,
    /// Whether their exit events were requested.
    pub exit: bool,
    /// The tracepoints.
    pub tracepoints: TracepointSet,
    /// Whether events have the extensions that the table has for them.
    pub extensions: bool,
}

impl Asked {
    /// Returns whether all exit events were requested, so that there are no companions.
    pub fn is_everything(&self) -> bool {
        self.syscalls.is_none() && self.exit
    }

    /// Returns whether a capture need not state it: everything, with extensions.
    pub fn is_usual(&self) -> bool {
        self.is_everything() && self.extensions
    }

    /// Returns whether events of this type were requested. For generic events, this ignores the call: see
    /// [`has_call`](Asked::has_call).
    pub fn has(&self, row: &Event) -> bool {
        let direction = if row.ty.is_enter() { self.enter } else { self.exit };
        let call = || {
            let stem = row.program.and_then(|p| p.strip_suffix("_e").or_else(|| p.strip_suffix("_x")));
            stem.and_then(Syscall::by_stem)
        };
        match row.source {
            // The format also has enter events without a source.
            Source::Syscall | Source::None if row.ty.0 <= 1 => direction,
            Source::Syscall | Source::None => {
                (direction && self.has_call(call())) || self.has_tracepoint_of(row)
            }
            Source::Tracepoint => {
                row.name != "procexit" || self.tracepoints.contains(Tracepoint::SchedProcessExit)
            }
            Source::Metaevent | Source::Iter | Source::Plugin | Source::Extension => true,
        }
    }

    /// Returns whether a call was requested; `None` is a call that is not in the tables.
    pub fn has_call(&self, call: Option<&Syscall>) -> bool {
        let Some(set) = &self.syscalls else { return true };
        let Some(call) = call else { return false };
        set.contains(call)
            || call.selected_with().is_some_and(|with| set.contains(with))
            // A successful execveat exits as an execve in the kernel.
            || (call.name == "execve" && Syscall::by_name("execveat").is_some_and(|call| set.contains(call)))
    }

    /// Returns whether an exit event stands for a requested tracepoint, as on arm64.
    fn has_tracepoint_of(&self, row: &Event) -> bool {
        match row.program {
            Some("clone_x") => self.tracepoints.contains(Tracepoint::SchedProcessFork),
            Some("execve_x") => self.tracepoints.contains(Tracepoint::SchedProcessExec),
            _ => false,
        }
    }

    /// Parses the values that `Display` writes; `extensions` may be empty.
    pub fn parse(syscalls: &str, events: &str, tracepoints: &str, extensions: &str) -> Asked {
        let has = |event| events.split(',').any(|name| name == event);
        Asked {
            syscalls: (syscalls != "all").then(|| calls(syscalls)),
            enter: has("enter"),
            exit: has("exit"),
            tracepoints: parse_tracepoints(tracepoints).unwrap_or(TracepointSet::none()),
            extensions: extensions != "none",
        }
    }
}

/// Decides for each event whether it was requested.
#[derive(Debug, Clone, Default)]
pub struct Judge {
    /// `None` if all events were requested.
    asked: Option<Asked>,
    /// The cached answers by event type.
    types: Vec<Option<bool>>,
}

impl Judge {
    /// Judges by what was asked for.
    pub fn new(asked: Asked) -> Judge {
        if asked.is_everything() {
            return Judge::default();
        }
        Judge { asked: Some(asked), types: vec![None; EVENTS.len()] }
    }

    /// Returns whether it can reject events at all.
    #[inline]
    pub fn is_strict(&self) -> bool {
        self.asked.is_some()
    }

    /// Returns whether an event of this type was requested; `code` returns the stable code of a generic event's call.
    #[inline]
    pub fn is_asked(&mut self, ty: EventType, code: impl FnOnce() -> u16) -> bool {
        let Some(asked) = &self.asked else { return true };
        let Some(of_type) = self.types.get_mut(usize::from(ty.0)) else { return true };
        let of_type = *of_type.get_or_insert_with(|| event(ty).is_none_or(|row| asked.has(row)));
        of_type && (ty.0 > 1 || asked.has_call(Syscall::by_code(code())))
    }
}

/// Returns the calls of a list, which another architecture may have written.
fn calls(list: &str) -> SyscallSet {
    let every: SyscallSet =
        if list.starts_with('!') { SYSCALLS.iter().collect() } else { SyscallSet::none() };
    list.split(',').fold(every, |mut set, term| {
        let (negated, name) = term.strip_prefix('!').map_or((false, term), |name| (true, name));
        if let Some(call) = Syscall::by_name(name) {
            let _ = if negated { set.remove(call) } else { set.insert(call) };
        }
        set
    })
}

/// Writes `key=value` pairs with lists as on the command line. Lists excluded calls (`!name`) where that is shorter.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let syscalls = match &self.syscalls {
            None => "all".to_owned(),
            Some(set) => {
                let names = set.to_string();
                let others: Vec<_> = set.complement().iter().map(|call| format!("!{}", call.name)).collect();
                let others = others.join(",");
                if others.is_empty() || names.len() <= others.len() { names } else { others }
            }
        };
        let events = match (self.enter, self.exit) {
            (true, true) => "enter,exit",
            (true, false) => "enter",
            (false, true) => "exit",
            (false, false) => "none",
        };
        write!(f, "syscalls={syscalls} events={events} tracepoints={}", self.tracepoints)?;
        f.write_str(if self.extensions { "" } else { " extensions=none" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{events::event_by_program, select};

    fn asked(list: &str) -> Asked {
        let syscalls = Some(select::parse(list).unwrap());
        Asked { syscalls, enter: true, exit: true, tracepoints: TracepointSet::none(), extensions: true }
    }

    fn reparsed(asked: &Asked) -> Asked {
        let text = asked.to_string();
        let values: Vec<_> = text.split(' ').map(|pair| pair.split_once('=').unwrap().1).collect();
        Asked::parse(values[0], values[1], values[2], values.get(3).copied().unwrap_or_default())
    }

    #[test]
    fn a_type_was_asked_for_by_its_call_and_direction() {
        let has = |asked: &Asked, program| asked.has(event_by_program(program).unwrap());
        let both = asked("read,execveat,keyctl");
        for (program, expected) in [
            ("read_e", true),
            ("read_x", true),
            ("write_x", false),
            ("execve_x", true),
            ("execve_e", true),
            ("keyctl_e", true),
            ("close_range_e", false),
            ("sched_process_exit", false),
            ("sched_switch", true),
            ("drop_e", true),
        ] {
            assert_eq!(has(&both, program), expected, "{program}");
        }
        let enter = Asked { exit: false, tracepoints: TracepointSet::default(), ..asked("read") };
        assert!(has(&enter, "read_e") && !has(&enter, "read_x") && !has(&enter, "generic_x"));
        assert!(has(&enter, "sched_process_exit"));
        assert!(!enter.has_call(None) && enter.has_call(Syscall::by_name("read")));
        assert!(Asked { syscalls: None, ..enter }.has_call(None));
    }

    #[test]
    fn the_shorter_list_is_written() {
        assert_eq!(asked("read,write").to_string(), "syscalls=read,write events=enter,exit tracepoints=none");
        assert!(asked("!read,!write").to_string().starts_with("syscalls=!read,!write "));
        assert!(asked("none").to_string().starts_with("syscalls=none "));
        let all = Asked { syscalls: None, exit: false, tracepoints: TracepointSet::all(), ..asked("none") };
        assert!(all.to_string().starts_with("syscalls=all events=enter tracepoints=sched_process_exit,"));
        assert_eq!(reparsed(&all), all);
        // Without extensions, everything is stated too.
        let plain = Asked { exit: true, extensions: false, ..all };
        assert!(plain.to_string().ends_with(" extensions=none"), "{plain}");
        assert_eq!(reparsed(&plain), plain);
        assert!(plain.is_everything() && !plain.is_usual() && Asked { extensions: true, ..plain }.is_usual());
    }

    #[test]
    fn a_generic_event_is_judged_by_its_call() {
        let code = |name| Syscall::by_name(name).unwrap().code;
        let mut judge = Judge::new(asked("getppid"));
        let generic = |judge: &mut Judge, code| judge.is_asked(EventType(1), || code);
        assert!(judge.is_strict() && generic(&mut judge, code("getppid")));
        assert!(!generic(&mut judge, code("getpid")) && !generic(&mut judge, 0));
        assert!(judge.is_asked(EventType(u16::MAX), || 0), "a type of the future");
        let mut all = Judge::new(Asked { syscalls: None, ..asked("none") });
        assert!(!all.is_strict() && generic(&mut all, 0));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(codes in proptest::collection::vec(0usize..SYSCALLS.len(), 0..400)) {
            let set: SyscallSet = codes.iter().map(|i| &SYSCALLS[*i]).filter(|call| call.is_here()).collect();
            let asked = Asked { syscalls: Some(set), ..asked("none") };
            let again = reparsed(&asked);
            for call in SYSCALLS.iter().filter(|call| call.is_here()) {
                prop_assert_eq!(again.has_call(Some(call)), asked.has_call(Some(call)), "{}", call.name);
            }
        }

        #[test]
        fn no_text_panics(list in "[a-z_!,%]{0,40}", events in "[a-z,]{0,12}") {
            let _ = Asked::parse(&list, &events, &list, &events);
        }
    }
}
