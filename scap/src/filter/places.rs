//! Where each part of a filter is decided while events are recorded.
//!
//! Each part goes to the earliest place that can decide it. The types of the events come first: programs whose events cannot
//! match are not loaded, and their calls cost next to nothing. The recorder decides the rest, with the machine at each event.
//! What it decides is what [`Filter::matches`] says at the same event of an unfiltered capture.

use std::collections::BTreeMap;

use crate::{
    events::{EVENTS, EXTENSIONS, Effect, Event, EventType, Extends, Extension, SYSCALLS, Syscall, event},
    fields::{Fields, Need, Reference, Registry},
    replay::Moment,
    select::{Selection, SyscallSet, Tracepoint, TracepointSet},
};

use super::{
    Filter,
    arguments::Arguments,
    by_type::{Decided, decided},
    early::{self, Clause, Subject},
    lasting::{LastingTests, Verdict},
    tree::Tree,
};

/// A place that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Before anything is recorded, by the type of an event: what cannot match is not loaded.
    NotLoaded,
    /// The kernel, by the task that makes a call.
    Task,
    /// The kernel, by what the call is made with.
    Call,
    /// The kernel, by the result or the time of a call.
    Return,
    /// The kernel, by an argument of the call: before the event takes room in a ring.
    Event,
    /// The recorder, at each event, in the order of time.
    Recorder,
}

impl Place {
    /// Returns its name in JSON.
    pub const fn key(self) -> &'static str {
        match self {
            Place::NotLoaded => "not_loaded",
            Place::Task => "task",
            Place::Call => "call",
            Place::Return => "return",
            Place::Event => "event",
            Place::Recorder => "recorder",
        }
    }

    /// Returns its name for people.
    pub const fn text(self) -> &'static str {
        match self {
            Place::NotLoaded => "not loaded",
            Place::Task => "at the task",
            Place::Call => "at the call",
            Place::Return => "at the return",
            Place::Event => "at the event",
            Place::Recorder => "recorder",
        }
    }
}

/// A test of a filter, and where it is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The test, as a filter of its own.
    pub text: String,
    /// The places that decide it; the later ones decide what the earlier ones leave open.
    pub places: Vec<Place>,
}

/// What a filter decides where.
#[derive(Debug, Clone)]
pub struct Places {
    by_type: Vec<Decided>,
    /// Of the types that the format does not have.
    by_own_type: BTreeMap<u16, Decided>,
    /// Of generic events, by the stable code of their call: enter and exit events.
    by_code: BTreeMap<u16, [Decided; 2]>,
    need: Need,
    parts: Vec<Part>,
    early: Vec<Clause>,
    lasting: LastingTests,
    arguments: Arguments,
}

impl Places {
    /// Finds out where the parts of a filter on [`Fields`] are decided.
    pub fn of(filter: &Filter) -> Places {
        let by_type: Vec<_> = EVENTS.iter().map(|row| decided(&filter.plan, row, 0)).collect();
        let codes = SYSCALLS.iter().map(|call| call.code).chain([0]);
        let by_code = codes.filter_map(|code| {
            let of = |ty| event(EventType(ty)).map(|row| decided(&filter.plan, row, code));
            Some((code, [of(0)?, of(1)?]))
        });
        let by_code: BTreeMap<_, _> = by_code.collect();
        let by_own_type = own_rows().map(|row| (row.ty.0, decided(&filter.plan, row, 0))).collect();
        let (early, lasting, arguments) = Default::default();
        let (need, parts) = (Need::Event, Vec::new());
        let mut places = Places { by_type, by_own_type, by_code, need, parts, early, lasting, arguments };
        if places.takes_recorder() {
            let open = filter.fields.iter().filter(|field| !Fields.is_of_type(field.field));
            places.need = open.map(Fields::need).max().unwrap_or(Need::Event);
        }
        let need = places.need;
        if need != Need::Everything {
            (places.early, places.lasting) = early::clauses(&filter.tree);
            places.arguments = Arguments::of(&filter.tree);
        }
        filter.tree.tests(&mut |test| {
            let source = places.parts.len();
            let at_event = || Some(Place::Event).filter(|_| places.arguments.has(source));
            let early = early_place(&places.early, source).or_else(at_event);
            places.parts.push(part(test, need, early));
        });
        places
    }

    /// Returns what the kernel decides, once all threads are known.
    pub fn early(&self) -> &[Clause] {
        &self.early
    }

    /// Returns what the kernel decides by the arguments of calls.
    pub fn arguments(&self) -> &Arguments {
        &self.arguments
    }

    /// Returns whether the kernel leaves out what processes do of which the recorder has found out that a test is false.
    pub fn takes_verdicts(&self) -> bool {
        !self.lasting.is_empty()
    }

    /// Returns what is false of the process of an event that was made at `at`, a time of the programs; `None` if nothing is
    /// that the kernel can leave events out for.
    pub fn verdict(&self, moment: &Moment<'_>, at: u64) -> Option<Verdict> {
        self.lasting.verdict(moment, at)
    }

    /// Returns the events that are recorded even if the kernel refuses them: what the recorder needs to decide about others, and
    /// with `with_names` to keep names right.
    pub fn kept(&self, with_names: bool) -> Selection {
        if self.need < Need::State && !with_names {
            return Selection::default();
        }
        let returns = |of: fn(&Syscall) -> bool| SyscallSet::all().iter().filter(move |call| of(call));
        let names = Selection::default().with_all_companions().for_names.calls;
        // A task that becomes another in the middle of a call may match at its end.
        Selection {
            enter: returns(changes_task).collect(),
            exit: returns(changes_state).collect::<SyscallSet>().union(&names),
            ..Selection::default()
        }
    }

    /// Returns the tests of the filter, in its order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns what the type of an event says: of a generic one, with its call.
    #[inline]
    pub fn decided(&self, ty: EventType, code: impl FnOnce() -> u16) -> Decided {
        match ty.0 {
            0 | 1 => self.by_code.get(&code()).map_or(Decided::Depends, |both| both[usize::from(ty.0)]),
            ty => self.of_number(ty),
        }
    }

    /// Returns whether the recorder has something to decide that takes more than an event's type.
    pub fn takes_recorder(&self) -> bool {
        let types = self.by_type.iter().chain(self.by_own_type.values());
        types.chain(self.by_code.values().flatten()).any(|d| *d == Decided::Depends)
    }

    /// Returns what the recorder has to know besides an event.
    pub fn need(&self) -> Need {
        self.need
    }

    /// Returns the part of a selection that has to be recorded: what may match, and what the recorder needs to decide. Those
    /// that keep names right come with it, if the recorder needs the state of the machine or `with_names` is set.
    pub fn narrow(&self, selection: &Selection, with_names: bool) -> Selection {
        if self.need == Need::Everything {
            return *selection;
        }
        let exit: SyscallSet = selection.exit.iter().filter(|call| self.may_match(call, false)).collect();
        let is_entered = |call: &&'static Syscall| {
            self.may_match(call, true) || self.need >= Need::Call && exit.contains(call)
        };
        let enter = selection.enter.iter().filter(is_entered).collect();
        let narrowed = Selection { enter, exit, ..Selection::default() };
        if self.takes_recorder() && self.need >= Need::State {
            // Not all that a filter can ask for is a name: the process group, limits.
            let changing: SyscallSet = selection.exit.iter().filter(|call| changes_state(call)).collect();
            let names = narrowed.with_all_companions().for_names.calls;
            let exit = exit.union(&changing.difference(&names));
            Selection { exit, ..narrowed }.with_all_companions()
        } else if with_names && (enter, exit) != (selection.enter, selection.exit) {
            narrowed.with_companions()
        } else {
            Selection { for_names: selection.for_names, ..narrowed }
        }
    }

    /// Returns the tracepoints of which events may match, or are needed to decide.
    pub fn narrow_tracepoints(&self, tracepoints: TracepointSet) -> TracepointSet {
        let may_match = |tracepoint: &Tracepoint| {
            let names = tracepoint.event_names();
            let mut rows = EVENTS.iter().chain(own_rows()).filter(|row| names.contains(&row.name));
            names.is_empty()
                || self.need == Need::Everything
                || rows.any(|row| self.of_type(row) != Decided::NoMatch)
        };
        tracepoints.iter().filter(may_match).collect()
    }

    /// Returns whether calls that are not in the tables may match.
    pub fn takes_unknown_calls(&self) -> bool {
        self.need == Need::Everything
            || self.by_code.get(&0).is_none_or(|both| both.iter().any(|d| *d != Decided::NoMatch))
    }

    fn of_number(&self, ty: u16) -> Decided {
        let of_format = self.by_type.get(usize::from(ty));
        of_format.or_else(|| self.by_own_type.get(&ty)).copied().unwrap_or(Decided::Depends)
    }

    fn of_type(&self, row: &Event) -> Decided {
        self.of_number(row.ty.0)
    }

    /// Returns whether an event of a call may match: of the call, or of one that is selected with it.
    fn may_match(&self, call: &Syscall, is_enter: bool) -> bool {
        let own = Syscall::by_code(call.code).into_iter();
        own.chain(call.compat_only()).any(|call| {
            let row = if is_enter { call.enter() } else { call.exit() };
            let decided = match row {
                Some(row) => self.of_type(row),
                None => self.decided(EventType(u16::from(!is_enter)), || call.code),
            };
            decided != Decided::NoMatch
        })
    }
}

/// Returns whether the exit event of a call changes the state of the machine, apart from the memory of processes.
fn changes_state(call: &Syscall) -> bool {
    call.exit().and_then(Event::effect).is_some_and(|effect| effect != Effect::Memory)
}

/// Returns whether a call changes what the kernel tests of a task.
fn changes_task(call: &Syscall) -> bool {
    use Effect::{ChangeGroup, ChangeUser, Clone, Exec, Prctl};
    let effect = call.exit().and_then(Event::effect);
    effect.is_some_and(|effect| matches!(effect, Clone | Exec | Prctl | ChangeUser | ChangeGroup))
}

/// Returns the rows of events that are beside the format and extend no other event.
fn own_rows() -> impl Iterator<Item = &'static Event> {
    let stands_alone = |row: &&'static Extension| Extends::of(row.joined.ty) == Some(Extends::Nothing);
    EXTENSIONS.iter().filter(stands_alone).map(|row| &row.joined)
}

/// Returns where the kernel decides the test with this number, if it does.
fn early_place(clauses: &[Clause], source: usize) -> Option<Place> {
    let test = clauses.iter().flatten().find(|test| test.source == source)?;
    Some(match test.subject {
        Subject::End => Place::Call,
        Subject::Result | Subject::Latency => Place::Return,
        _ => Place::Task,
    })
}

/// Returns where a test is decided, in a filter with this need, if the kernel decides it at the place `early`.
fn part(test: &Tree, need: Need, early: Option<Place>) -> Part {
    let fields = fields_of(test);
    let is_known = |row: &Event| fields.iter().all(|field| Fields::is_of_row(field, row));
    let (mut some, mut all) = (false, true);
    for row in EVENTS {
        let is_known = is_known(row);
        some |= is_known;
        all &= is_known;
    }
    let by_type = need != Need::Everything;
    let not_loaded = Some(Place::NotLoaded).filter(|_| some && by_type);
    let later = [early, Some(Place::Recorder)].into_iter().flatten().filter(|_| !(all && by_type));
    Part { text: test.to_string(), places: not_loaded.into_iter().chain(later).collect() }
}

fn fields_of(test: &Tree) -> Vec<Reference> {
    let Tree::Test(test) = test else { return Vec::new() };
    let mut fields = Vec::new();
    let mut add = |operand: &super::tree::Operand| {
        operand.fields(&mut |field| fields.push(field.reference.clone()));
    };
    add(&test.left);
    if let super::tree::Right::Operand(right) = &test.right {
        add(right);
    }
    fields
}

#[cfg(test)]
mod tests_of_places {
    use super::*;
    use crate::select;

    fn places(text: &str) -> Places {
        Places::of(&Filter::parse(text, &Fields).unwrap())
    }

    fn where_are(text: &str) -> Vec<(String, String)> {
        let places = places(text);
        let names = |part: &Part| part.places.iter().map(|p| p.text()).collect::<Vec<_>>().join(", ");
        places.parts().iter().map(|part| (part.text.clone(), names(part))).collect()
    }

    fn narrowed(text: &str) -> (String, String, bool) {
        let selection = places(text).narrow(&Selection::all(), true);
        (selection.enter.to_string(), selection.exit.to_string(), selection.for_names.calls.is_empty())
    }

    #[test]
    fn each_test_has_its_place() {
        let pairs = |text| where_are(text).into_iter().map(|(_, place)| place).collect::<Vec<_>>();
        assert_eq!(
            where_are("evt.type in (open, openat) and (proc.name = cat or not fd.num > 3)"),
            [
                ("evt.type in (open, openat)", "not loaded"),
                ("proc.name = cat", "recorder"),
                ("fd.num > 3", "recorder")
            ]
            .map(|(test, place)| (test.to_owned(), place.to_owned()))
        );
        assert_eq!(pairs("evt.category = net"), ["not loaded, recorder"]);
        assert_eq!(pairs("evt.latency > 1ms"), ["at the return, recorder"]);
        assert_eq!(pairs("evt.dir = > or syscall.type exists"), ["not loaded", "not loaded"]);
        assert_eq!(pairs("evt.type = read and evt.num > 5"), ["recorder", "recorder"], "it takes all events");
        assert_eq!(pairs("proc.name = cat and evt.num > 5"), ["recorder", "recorder"]);
        assert_eq!(
            pairs("proc.pid = 1 and (evt.rawres = 2 or user.uid = 3) and (group.gid = 4 or fd.num = 5)"),
            [
                "at the task, recorder",
                "not loaded, at the return, recorder",
                "at the task, recorder",
                "recorder",
                "recorder"
            ]
        );
    }

    #[test]
    fn only_what_may_match_is_loaded() {
        let of = |enter: &str, exit: &str, alone| (enter.to_owned(), exit.to_owned(), alone);
        assert_eq!(narrowed("evt.type = fsync"), of("fsync", "fsync", false));
        assert_eq!(narrowed("evt.type = fsync and evt.dir = <"), of("none", "fsync", false));
        assert_eq!(narrowed("evt.type = getppid and evt.dir = >"), of("getppid", "none", false));
        assert_eq!(narrowed("evt.type = pread"), of("pread64", "pread64", false));
        let (enter, ..) = narrowed("evt.type = fsync and evt.dir = < and evt.latency > 1ms");
        assert_eq!(enter, "fsync", "their entries have the times");
        assert_eq!(narrowed("proc.name = cat"), of("all", "all", true));
        let opens = "open,openat,open_by_handle_at,creat,openat2";
        let opens = select::parse(opens).unwrap().to_string();
        assert_eq!(narrowed("evt.is_open_write = true"), of("none", &opens, false));
        assert_eq!(narrowed("evt.failed = true").0, "none", "entries have no result");
        assert_eq!(narrowed("evt.type = fsync and evt.num > 5"), of("all", "all", true));
        let files = places("evt.category = file").narrow(&Selection::all(), true);
        assert!(
            files.exit.contains(Syscall::by_name("fadvise64").unwrap()),
            "its extension has a descriptor"
        );
        let net = places("evt.category = net").narrow(&Selection::all(), true);
        let has = |name| net.exit.contains(Syscall::by_name(name).unwrap());
        assert!(has("bind") && has("read") && !has("fsync") && !has("getppid"));
    }

    #[test]
    fn what_the_state_takes_comes_with_it() {
        let selection = places("evt.type = getppid and proc.name = cat").narrow(&Selection::all(), false);
        let all = Selection { enter: SyscallSet::all(), ..Selection::default() }.companions();
        assert_eq!(selection.for_names.calls, all.calls);
        assert!(!selection.for_names.directories_only);
        let length = places("evt.type = pread and evt.buflen > 1");
        assert_eq!(length.need(), Need::State, "it depends on the kind of the descriptor");
        let alone = places("evt.type = getppid and evt.rawres > 1").narrow(&Selection::all(), false);
        assert!(alone.for_names.calls.is_empty(), "an event has its result");
        // A selection of the user is only narrowed further.
        let exit = select::parse("getppid,read").unwrap();
        let asked = Selection { exit, ..Selection::default() };
        let both = places("evt.type in (read, write)").narrow(&asked, false);
        assert_eq!((both.enter.to_string(), both.exit.to_string()), ("none".into(), "read".into()));
    }

    #[test]
    fn tracepoints_and_unknown_calls_may_match_or_not() {
        let all = |text| places(text).narrow_tracepoints(TracepointSet::all()).to_string();
        assert_eq!(all("evt.type = switch"), "sched_process_exec,sched_process_fork,sched_switch");
        assert_eq!(all("proc.name = x"), TracepointSet::all().to_string());
        assert!(!places("evt.type = read").takes_unknown_calls());
        assert!(places("proc.name = x").takes_unknown_calls() && places("evt.dir = <").takes_unknown_calls());
    }

    #[test]
    fn every_call_that_changes_the_state_is_a_companion() {
        let selection = places("evt.type = getppid and proc.pgid = 1").narrow(&Selection::all(), false);
        let followed = selection.exit.union(&selection.for_names.calls);
        for call in SyscallSet::all().iter().filter(|call| changes_state(call)) {
            assert!(followed.contains(call), "{}", call.name);
        }
        assert!(selection.exit.contains(Syscall::by_name("setpgid").unwrap()));
        assert!(!selection.exit.contains(Syscall::by_name("close").unwrap()), "only if it changes a name");
    }
}
