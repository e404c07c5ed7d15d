//! Converts events of old captures to the current format.
//!
//! Old recorders stored a call's arguments only in its enter event, and some old rows have a successor. An old exit
//! event gets the arguments from its enter event and becomes an event of the successor. Parameters that neither event
//! has get no value.

use std::sync::LazyLock;

use crate::hash::HashMap;

use super::{event::EventView, keep::heap};
use crate::events::{
    Detail, EVENTS, Event, EventFlags, EventType, ParamInfo, ParamType, Source, event as row_of,
};

/// Joins exit events of old captures with their enter events. Use a new one for each section of a capture.
#[derive(Debug, Default)]
pub struct Joiner {
    /// The last enter event of each thread.
    entered: HashMap<u64, Vec<u8>>,
    /// By type of the exit event: whether the events of a pair stay as they are. Exit events in this section are complete,
    /// so that their enter events need not be kept; or no event is ever converted.
    whole: Vec<bool>,
    joined: Vec<u8>,
}

impl Joiner {
    /// The memory of the enter events that are kept, in bytes.
    pub fn memory(&self) -> u64 {
        const ENTRY: u64 = 2 * size_of::<(u64, Vec<u8>)>() as u64;
        self.entered.capacity() as u64 * ENTRY
            + self.entered.values().map(|bytes| heap(bytes.capacity())).sum::<u64>()
    }

    /// Returns whether events of this type stay as they are from now on, and need not be joined.
    #[inline]
    pub(crate) fn leaves(&self, ty: EventType) -> bool {
        self.whole.get(usize::from(ty.0 | 1)) == Some(&true)
    }

    /// Returns the event in the current format, which most have already. Call it with each event, in order.
    #[inline]
    pub fn join<'a>(&'a mut self, event: EventView<'a>) -> EventView<'a> {
        if self.leaves(event.ty()) {
            return event;
        }
        self.convert(event)
    }

    fn convert<'a>(&'a mut self, event: EventView<'a>) -> EventView<'a> {
        let Some(row) = row_of(event.ty()) else { return event };
        let ty = usize::from(row.ty.0);
        if row.source != Source::Syscall {
            match row.name {
                "procexit" => drop(self.entered.remove(&event.tid())),
                _ => self.leave(ty),
            }
            return event;
        }
        let Some(plan) = PLANS.get(ty | 1).and_then(Option::as_ref) else {
            self.leave(ty);
            return event;
        };
        if row.ty.is_enter() {
            let kept = self.entered.entry(event.tid()).or_default();
            kept.clear();
            kept.extend_from_slice(event.bytes());
            return event;
        }
        if std::ptr::eq(plan.row, row) && event.nparams() as usize >= plan.needed {
            self.leave(ty);
            return event;
        }
        let enter = self.entered.get(&event.tid()).and_then(|bytes| EventView::parse(bytes, false).ok());
        plan.join(&event, enter.filter(|enter| enter.ty() == row.ty.pair()), &mut self.joined);
        if let Some(kept) = self.entered.get_mut(&event.tid()) {
            kept.clear();
        }
        match (EventView::parse(&self.joined, false), event.extension()) {
            (Ok(joined), Some(extension)) if extension.extends(&joined) => joined.with_extension(&extension),
            (joined, _) => joined.unwrap_or(event),
        }
    }

    fn leave(&mut self, ty: usize) {
        self.whole.resize(EVENTS.len().next_multiple_of(2), false);
        // Events of our own types have no pairs to be kept.
        if let Some(whole) = self.whole.get_mut(ty | 1) {
            *whole = true;
        }
    }
}

/// How to convert the exit events of a row to the current row.
#[derive(Debug)]
struct Plan {
    /// The current row.
    row: &'static Event,
    /// The sources of each of its parameters: the exit event, then the enter event.
    sources: Vec<[Option<Place>; 2]>,
    /// An event with at least this many parameters needs no enter event.
    needed: usize,
}

/// A parameter of an old event, and the number of leading bytes to skip.
#[derive(Debug, Clone, Copy)]
struct Place {
    index: usize,
    skip: usize,
}

/// The plans, indexed by event type; `None` for events that need no conversion.
static PLANS: LazyLock<Vec<Option<Plan>>> = LazyLock::new(|| EVENTS.iter().map(Plan::new).collect());

impl Plan {
    fn new(old: &'static Event) -> Option<Plan> {
        if old.source != Source::Syscall || old.ty.is_enter() {
            return None;
        }
        let row = successor(old);
        let enter = row_of(old.ty.pair())?;
        let sources: Vec<_> = row.params.iter().map(|p| [place(old, p), place(enter, p)]).collect();
        let needed = sources.iter().rposition(|[_, enter]| enter.is_some()).map_or(0, |last| last + 1);
        (needed > 0 || !std::ptr::eq(row, old)).then_some(Plan { row, sources, needed })
    }

    fn join(&self, exit: &EventView<'_>, enter: Option<EventView<'_>>, out: &mut Vec<u8>) {
        let of = |event: &EventView<'_>, place: Option<Place>| -> Vec<u8> {
            let place = place.and_then(|place| Some(event.param(place.index)?.get(place.skip..)?.to_vec()));
            place.unwrap_or_default()
        };
        let mut values: Vec<Vec<u8>> = Vec::with_capacity(self.sources.len());
        for [from_exit, from_enter] in &self.sources {
            let mut value = of(exit, *from_exit);
            if let (true, Some(enter)) = (value.is_empty(), &enter) {
                value = of(enter, *from_enter);
            }
            values.push(value);
        }
        let has_own = if self.row.ty == exit.ty() { exit.nparams() as usize } else { 0 };
        let count =
            values.iter().rposition(|value| !value.is_empty()).map_or(0, |last| last + 1).max(has_own);
        values.truncate(count);
        write(out, exit, self.row, &values);
    }
}

/// Writes an event of the current row with these values. Each comes from an event with 16-bit lengths.
fn write(out: &mut Vec<u8>, exit: &EventView<'_>, row: &Event, values: &[Vec<u8>]) {
    let len = super::EVENT_HEADER_LEN + values.iter().map(|value| 2 + value.len()).sum::<usize>();
    out.clear();
    out.extend_from_slice(&exit.ts().to_ne_bytes());
    out.extend_from_slice(&exit.tid().to_ne_bytes());
    out.extend_from_slice(&(len as u32).to_ne_bytes());
    out.extend_from_slice(&row.ty.0.to_ne_bytes());
    out.extend_from_slice(&(values.len() as u32).to_ne_bytes());
    values.iter().for_each(|value| out.extend_from_slice(&(value.len() as u16).to_ne_bytes()));
    values.iter().for_each(|value| out.extend_from_slice(value));
}

/// Returns the row that replaces an old one. It has the same name, except that old rows call `accept4` `accept`.
pub fn successor(old: &'static Event) -> &'static Event {
    if !old.flags.contains(EventFlags::OLD_VERSION) {
        return old;
    }
    let name = if old.code.starts_with("PPME_SOCKET_ACCEPT4") { "accept4" } else { old.name };
    let todays = |row: &&Event| {
        row.name == name
            && row.ty.is_enter() == old.ty.is_enter()
            && !row.flags.contains(EventFlags::OLD_VERSION)
    };
    EVENTS.iter().rfind(todays).unwrap_or(old)
}

/// Returns where an old row has the value of a current parameter.
fn place(old: &Event, param: &ParamInfo) -> Option<Place> {
    let (name, skip) = match (old.name, param.name) {
        ("dup", "oldfd") if old.param("oldfd").is_none() => ("fd", 0),
        // The value follows a byte that says which of the two it is.
        ("bpf", "fd") if old.param("fd").is_none() => ("res_or_fd", 1),
        (_, name) => (name, 0),
    };
    let index = old.param(name)?;
    (skip > 0 || is_alike(&old.params[index], param)).then_some(Place { index, skip })
}

/// Returns whether two parameters have the same encoding and meaning.
fn is_alike(old: &ParamInfo, new: &ParamInfo) -> bool {
    use ParamType::{CHARBUF, FSPATH, FSRELPATH};
    let is_text = |ty| matches!(ty, CHARBUF | FSPATH | FSRELPATH);
    let same_type = old.ty == new.ty
        || is_text(old.ty) && is_text(new.ty)
        || old.ty.size().is_some() && old.ty.size() == new.ty.size();
    let same_table = match (old.detail, new.detail) {
        (Detail::Flags(old), Detail::Flags(new)) => old == new,
        _ => true,
    };
    same_type && same_table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{EventBuilder, Value};

    fn row(code: &str) -> &'static Event {
        EVENTS.iter().find(|row| row.code == code).unwrap()
    }

    fn built(code: &str, tid: u64, values: &[Value<'_>]) -> Vec<u8> {
        let start = EventBuilder::new(row(code), 1, tid);
        values.iter().fold(start, |b, v| b.param(*v).unwrap()).build_short().unwrap()
    }

    fn joined(joiner: &mut Joiner, event: &[u8]) -> (String, Vec<(&'static str, String)>) {
        let event = joiner.join(EventView::parse(event, false).unwrap());
        let values = event.values().map(|(info, v)| (info.name, format!("{:?}", v.unwrap().value))).collect();
        (event.info().unwrap().code.to_string(), values)
    }

    #[test]
    fn an_exit_event_gets_the_arguments_of_its_enter_event() {
        let mut joiner = Joiner::default();
        let enter = [Value::Fd(3), Value::Uint(7)];
        joined(&mut joiner, &built("PPME_SYSCALL_READ_E", 5, &enter));
        joined(&mut joiner, &built("PPME_SYSCALL_READ_E", 6, &[Value::Fd(4), Value::Uint(8)]));
        let exit = [Value::Errno(1), Value::Bytes(b"x")];
        let (code, values) = joined(&mut joiner, &built("PPME_SYSCALL_READ_X", 5, &exit));
        assert_eq!(code, "PPME_SYSCALL_READ_X");
        assert_eq!(values[2..], [("fd", "Fd(3)".to_string()), ("size", "Uint(7)".to_string())]);
        // An enter event serves only one exit event.
        let (_, values) = joined(&mut joiner, &built("PPME_SYSCALL_READ_X", 5, &exit));
        assert_eq!(values.len(), 2);
        let (_, values) = joined(&mut joiner, &built("PPME_SYSCALL_WRITE_X", 6, &exit));
        assert_eq!(values.len(), 2, "the thread's enter event is a read's");
    }

    #[test]
    fn an_old_row_becomes_its_successor() {
        let mut joiner = Joiner::default();
        let open = [Value::Fd(-100), Value::Text(b"/a"), Value::Flags(1), Value::Uint(0)];
        joined(&mut joiner, &built("PPME_SYSCALL_OPENAT_E", 5, &open));
        let (code, values) = joined(&mut joiner, &built("PPME_SYSCALL_OPENAT_X", 5, &[Value::Fd(3)]));
        assert_eq!((&code[..], values.len()), ("PPME_SYSCALL_OPENAT_2_X", 5));
        assert_eq!(values[2], ("name", format!("{:?}", Value::Text(b"/a"))));

        joined(&mut joiner, &built("PPME_SYSCALL_DUP_E", 5, &[Value::Fd(3)]));
        let (code, values) = joined(&mut joiner, &built("PPME_SYSCALL_DUP_X", 5, &[Value::Fd(9)]));
        assert_eq!((&code[..], &values[1]), ("PPME_SYSCALL_DUP_1_X", &("oldfd", "Fd(3)".to_string())));
        let (code, values) = joined(&mut joiner, &built("PPME_SYSCALL_BPF_X", 5, &[Value::Fd(9)]));
        assert_eq!((&code[..], &values[0]), ("PPME_SYSCALL_BPF_2_X", &("fd", "Fd(9)".to_string())));
        joined(&mut joiner, &built("PPME_SOCKET_ACCEPT4_5_E", 5, &[Value::Int(1)]));
        let (code, values) = joined(&mut joiner, &built("PPME_SOCKET_ACCEPT4_5_X", 5, &[Value::Fd(9)]));
        assert_eq!((&code[..], &values[5]), ("PPME_SOCKET_ACCEPT4_6_X", &("flags", "Int(1)".to_string())));
    }

    #[test]
    fn an_event_of_today_stays_as_it_is() {
        let mut joiner = Joiner::default();
        let fd = |fd| [Value::Fd(fd), Value::Uint(1)];
        joined(&mut joiner, &built("PPME_SYSCALL_WRITE_E", 5, &fd(3)));
        let exit = built(
            "PPME_SYSCALL_WRITE_X",
            5,
            &[Value::Errno(1), Value::Bytes(b"x"), Value::Fd(4), Value::Uint(1)],
        );
        assert_eq!(joiner.join(EventView::parse(&exit, false).unwrap()).bytes(), exit);
        // A parameter of the same name with another flag table does not match.
        let (enter, exit) = (row("PPME_SYSCALL_EXECVEAT_E"), row("PPME_SYSCALL_EXECVEAT_X"));
        assert!(enter.param("flags").is_some());
        assert!(place(enter, &exit.params[exit.param("flags").unwrap()]).is_none());
    }

    #[test]
    fn an_enter_event_is_kept_until_its_call_or_its_thread_ends() {
        let mut joiner = Joiner::default();
        let enter = built("PPME_SYSCALL_READ_E", 5, &[Value::Fd(3), Value::Uint(7)]);
        let exit = built("PPME_SYSCALL_READ_X", 5, &[Value::Errno(1), Value::Bytes(b"x")]);
        // What happens to the thread meanwhile does not end the call ...
        joined(&mut joiner, &enter);
        joined(&mut joiner, &built("PPME_SIGNALDELIVER_E", 5, &[]));
        assert_eq!(joined(&mut joiner, &exit).1.len(), 4);
        // ... but its end does: another one may get its id.
        joined(&mut joiner, &enter);
        joined(&mut joiner, &built("PPME_PROCEXIT_1_E", 6, &[]));
        assert_eq!(joiner.entered.len(), 1);
        joined(&mut joiner, &built("PPME_PROCEXIT_1_E", 5, &[]));
        assert_eq!(joined(&mut joiner, &exit).1.len(), 2);
    }

    #[test]
    fn enter_events_that_no_exit_event_needs_are_not_kept() {
        let mut joiner = Joiner::default();
        let whole = [Value::Errno(1), Value::Bytes(b"x"), Value::Fd(3), Value::Uint(7)];
        joined(&mut joiner, &built("PPME_SYSCALL_READ_X", 5, &whole));
        joined(&mut joiner, &built("PPME_SYSCALL_READ_E", 5, &[Value::Fd(3), Value::Uint(7)]));
        assert!(joiner.entered.is_empty());
        joined(&mut joiner, &built("PPME_SYSCALL_WRITE_E", 5, &[Value::Fd(3), Value::Uint(7)]));
        assert_eq!(joiner.entered.len(), 1, "of its own type alone");
    }

    #[test]
    fn parameters_are_alike_that_have_the_same_bytes_and_the_same_meaning() {
        let param = |code, name| {
            let row = row(code);
            &row.params[row.param(name).unwrap()]
        };
        let (fd, size) = (param("PPME_SYSCALL_READ_E", "fd"), param("PPME_SYSCALL_READ_E", "size"));
        let (text, path) =
            (param("PPME_SYSCALL_EXECVEAT_X", "exe"), param("PPME_SYSCALL_OPENAT_2_X", "name"));
        let (open, execve) =
            (param("PPME_SYSCALL_OPENAT_2_X", "flags"), param("PPME_SYSCALL_EXECVEAT_X", "flags"));
        assert!(is_alike(fd, fd) && is_alike(text, path) && is_alike(path, text) && is_alike(open, open));
        assert!(!is_alike(fd, size), "8 and 4 bytes");
        assert!(!is_alike(fd, text) && !is_alike(text, fd), "a number and a text");
        assert!(!is_alike(text, param("PPME_SYSCALL_EXECVEAT_X", "args")), "a text and data");
        assert!(!is_alike(open, execve), "4 bytes each, and other flags");
    }

    #[test]
    fn every_old_exit_event_has_a_successor() {
        for row in EVENTS.iter().filter(|row| row.source == Source::Syscall && !row.ty.is_enter()) {
            let new = successor(row);
            assert!(!new.flags.contains(EventFlags::OLD_VERSION), "{}", row.code);
            // The successor has a place for every parameter of the old event.
            for param in row.params {
                let kept =
                    new.params.iter().any(|p| place(row, p).is_some_and(|at| row.params[at.index] == *param));
                assert!(kept, "{}.{}", row.code, param.name);
            }
        }
    }
}
