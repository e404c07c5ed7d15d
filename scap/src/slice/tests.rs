//! Slices of made captures: what is in them has the names of the source.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;
use crate::{
    events::{EVENTS, Effect, Event, ParamType},
    format::{
        EventBuilder, Reader, Value, frame_event,
        state::{Fd, FdKind, FdList, L4Proto, MachineInfo, NamedFd, Thread},
        strategies::{self, Owned},
    },
    ledger::NOTIFICATION,
    model::OpenFd,
    replay::{Position, Replay},
};

/// What is known at an event: its bytes, and the machine in names.
#[derive(Debug, PartialEq)]
struct Seen {
    event: Vec<u8>,
    latency: Option<u64>,
    tasks: Vec<String>,
}

const TIDS: u64 = 7;
const FDS: i64 = 6;

fn tasks(machine: &Machine) -> Vec<String> {
    let text = |text: Option<&[u8]>| text.map(|text| text.escape_ascii().to_string());
    let fd = |open: &OpenFd| {
        let (class, name) = (open.class, open.name.escape_ascii().to_string());
        format!("{class:?} {name} {:?} {:?} {:?}", open.role(), open.ends(), open.local())
    };
    let mut tasks: Vec<_> = (0..TIDS)
        .map(|tid| {
            let fds: Vec<_> = (0..FDS).map(|n| machine.fd(tid, n).map(fd)).collect();
            let names = (text(machine.comm(tid)), text(machine.last_comm(tid)), text(machine.cwd(tid)));
            let (pid, call) = (machine.pid(tid), machine.fd_of_pidfd(tid, 3, 3).map(fd));
            format!("{tid} of {pid}: {names:?} {fds:?} {call:?}")
        })
        .collect();
    tasks.push(format!("{:?}", text(machine.unborn_comm())));
    tasks
}

/// Reads a capture: the events that were asked for.
fn read(bytes: &[u8], keep: Keep) -> Vec<Seen> {
    let mut reader = Reader::new(bytes).unwrap();
    let mut replay = Replay::new(&mut reader, keep, Position::default());
    let mut seen = Vec::new();
    while let Some(moment) = replay.next().unwrap() {
        if moment.is_asked && moment.raw.ty() != NOTIFICATION {
            let event = moment.event().bytes().to_vec();
            let (latency, tasks) = (moment.machine.latency(), tasks(moment.machine));
            seen.push(Seen { event, latency, tasks });
        }
    }
    seen
}

fn slice(bytes: &[u8], mut is_wanted: impl FnMut(&Moment<'_>) -> bool) -> Vec<u8> {
    let mut reader = Reader::new(bytes).unwrap();
    let mut slice = Slice::new(false);
    let mut replay = Replay::new(&mut reader, Keep::All, Position::default());
    while let Some(moment) = replay.next().unwrap() {
        let wanted = moment.is_asked && is_wanted(&moment);
        slice.event(&moment, wanted);
    }
    slice.end_capture(reader.state());
    slice.finish();
    slice.out
}

fn notices(bytes: &[u8]) -> Vec<String> {
    let mut reader = Reader::new(bytes).unwrap();
    let mut texts = Vec::new();
    while let Some(captured) = reader.next_event().unwrap() {
        texts.extend(ledger::parse(&captured.event).map(|n| format!("{} {}", n.id(), n.text())));
    }
    texts
}

fn state() -> MachineState {
    let thread = |tid: u64, pid: u64| Thread {
        tid,
        pid,
        comm: format!("t{tid}").into(),
        cwd: format!("/p{pid}").into(),
        root: b"/".into(),
        vtid: tid as i64,
        vpid: pid as i64,
        ..Thread::default()
    };
    let file = |n: u64| FdKind::File { open_flags: 1, path: format!("/f{n}").into(), dev: 5 };
    let end = |port| ([127, 0, 0, 1].into(), port);
    let fds = vec![
        Fd { fd: 0, ino: 7, kind: file(0) },
        Fd { fd: 1, ino: 8, kind: FdKind::Ipv4 { source: end(80), destination: end(9), l4: L4Proto::Tcp } },
        Fd { fd: 2, ino: 9, kind: FdKind::Ipv4Listening { local: end(80), l4: L4Proto::Tcp } },
        Fd { fd: 3, ino: 9, kind: FdKind::Named { kind: NamedFd::Fifo, name: b"pipe:[9]".into() } },
    ];
    MachineState {
        machine: MachineInfo { hostname: b"h".into(), ..MachineInfo::default() },
        threads: vec![thread(1, 1), thread(2, 1), thread(3, 3)],
        fds: vec![FdList { pid: 1, fds: fds.clone() }, FdList { pid: 3, fds }],
        ..MachineState::default()
    }
}

fn row(code: &str) -> &'static Event {
    EVENTS.iter().find(|row| row.code == code).unwrap()
}

/// An event to be made: its row, its values and its thread.
#[derive(Clone)]
struct Made(&'static Event, Vec<Owned>, u64);

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Made(row, values, tid) = self;
        write!(f, "{tid} {}", row.code)?;
        let known = |v: &&Owned| !matches!(v, Owned::Fixed(Value::Absent));
        for (param, value) in row.params.iter().zip(values).filter(|(_, v)| known(v)) {
            let value = format!("{:?}", value.value());
            write!(f, " {}={}", param.name, value.get(..60).unwrap_or(&value))?;
        }
        Ok(())
    }
}

/// The process of a thread: odd ids are processes, each with a thread of the next id.
fn leader(tid: u64) -> u64 {
    (tid - 1) / 2 * 2 + 1
}

/// Returns the event with ids as Linux gives them: no thread belongs to two processes or is its own child.
fn sane(made: Made) -> Made {
    const CLONE_THREAD: u32 = 8192;
    let Made(row, mut values, mut tid) = made;
    let mut set = |name: &str, value: Value<'static>| {
        row.param(name).into_iter().for_each(|i| values[i] = Owned::Fixed(value));
    };
    if row.effect() == Some(Effect::Exec) {
        tid = leader(tid);
        set("pid", Value::Pid(tid as i64));
    } else if row.effect() == Some(Effect::Clone) && row.takes_effect() {
        set("vtid", Value::Pid(tid as i64));
        set("pid", Value::Pid(leader(tid) as i64));
        let res = row.param("res").map_or(0, |i| match values[i].value() {
            Value::Pid(res) => res as u64,
            _ => 0,
        });
        let child = match res {
            0 => tid,
            res if leader(res) == leader(tid) => leader(tid) + 1,
            res => leader(res),
        };
        let bits = row.param("flags").map_or(0, |i| match values[i].value() {
            Value::Flags(bits) => bits & !CLONE_THREAD,
            _ => 0,
        });
        let thread = if leader(child) == child { 0 } else { CLONE_THREAD };
        let mut set = |name: &str, value: Value<'static>| {
            row.param(name).into_iter().for_each(|i| values[i] = Owned::Fixed(value));
        };
        set("flags", Value::Flags(bits | thread));
        set("res", Value::Pid(if res == 0 || child == tid { 0 } else { child as i64 }));
    }
    Made(row, values, tid)
}

/// Returns where two readings differ.
fn differences(got: &[Seen], expected: &[Seen]) -> String {
    let mut text = String::new();
    if got.len() != expected.len() {
        text = format!("{} events instead of {}", got.len(), expected.len());
    }
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        if (&got.event, got.latency) != (&expected.event, expected.latency) {
            text += &format!("\nevent {i}: {got:?}\n instead of {expected:?}");
        }
        for (got, expected) in got.tasks.iter().zip(&expected.tasks).filter(|(a, b)| a != b) {
            text += &format!("\nat event {i}: {got}\n instead of {expected}");
        }
    }
    text
}

/// An event whose descriptors and threads are among few, so that events are about the same ones.
fn event() -> impl Strategy<Value = Made> {
    const MORE: [&str; 8] = [
        "PPME_SYSCALL_CLONE_20_X",
        "PPME_SYSCALL_CLONE_20_E",
        "PPME_SYSCALL_OPENAT_2_X",
        "PPME_SYSCALL_DUP_1_X",
        "PPME_SYSCALL_READ_E",
        "PPME_SYSCALL_READ_X",
        "PPME_PROCEXIT_1_E",
        "PPME_SYSCALL_EXECVE_19_X",
    ];
    let values = |row: &'static Event| -> Vec<BoxedStrategy<Owned>> {
        let of = |param: &crate::events::ParamInfo| -> BoxedStrategy<Owned> {
            match param.ty {
                ParamType::FD => (-1..FDS).prop_map(|n| Owned::Fixed(Value::Fd(n))).boxed(),
                ParamType::PID => (0..TIDS as i64).prop_map(|n| Owned::Fixed(Value::Pid(n))).boxed(),
                ParamType::ERRNO => prop_oneof![4 => Just(0), 1 => Just(-9), 1 => Just(3)]
                    .prop_map(|n| Owned::Fixed(Value::Errno(n)))
                    .boxed(),
                _ => any::<Index>().prop_map(|_| Owned::Fixed(Value::Absent)).boxed(),
            }
        };
        row.params.iter().map(of).collect()
    };
    let any_row = any::<Index>().prop_map(|i| i.get(EVENTS));
    let chosen = any::<Index>().prop_map(|i| row(MORE[i.index(MORE.len())]));
    let effective = any::<Index>().prop_map(|i| {
        let rows: Vec<_> = EVENTS.iter().filter(|row| row.effect().is_some()).collect();
        *i.get(&rows)
    });
    let rows = prop_oneof![1 => any_row, 2 => chosen, 3 => effective];
    // Of the other parameters, some have any value, and some none.
    (rows, 1..TIDS).prop_flat_map(move |(row, tid)| {
        let known = values(row);
        let any_values = strategies::values(row);
        (Just(row), known, any_values, vec(any::<bool>(), row.params.len()), Just(tid)).prop_map(
            |(row, known, others, choice, tid)| {
                let is_known =
                    |i: usize| matches!(row.params[i].ty, ParamType::FD | ParamType::PID | ParamType::ERRNO);
                let pick = |(i, (known, other))| if is_known(i) || !choice[i] { known } else { other };
                sane(Made(row, known.into_iter().zip(others).enumerate().map(pick).collect(), tid))
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever events a slice has, they have the names of the source, also in a slice of a slice.
    #[test]
    fn names_are_those_of_the_source(
        events in vec(event(), 1..60),
        chosen in vec(0..4u8, 60),
        again in vec(any::<bool>(), 60),
    ) {
        let mut source = Vec::new();
        write_state(&mut source, &state()).unwrap();
        let mut machine = Machine::of_state(&state(), Keep::Names);
        for (i, Made(row, values, tid)) in events.iter().enumerate() {
            // No thread ends twice, and none but a main thread acts before its clone.
            let is_unknown = machine.comm(*tid).is_none();
            let is_impossible = is_unknown
                && (row.effect() == Some(Effect::Exit)
                    || row.effect() != Some(Effect::Clone) && leader(*tid) != *tid);
            // Around a gap, names are uncertain in the source, too.
            let is_gap = row.effect() == Some(Effect::Drop);
            if row.ty != NOTIFICATION && !is_gap && !is_impossible {
                let event = strategies::built(row, values, 100 + i as u64, *tid);
                machine.apply(&EventView::parse(&event, false).unwrap());
                machine.settle();
                frame_event(&mut source, 1, &event);
            }
        }
        let mut nth = 0;
        let first = slice(&source, |_| { nth += 1; chosen[nth - 1] == 0 });
        for keep in [Keep::Names, Keep::All] {
            let of_source = read(&source, keep).into_iter().zip(&chosen);
            let expected: Vec<_> = of_source.filter(|(_, n)| **n == 0).map(|(seen, _)| seen).collect();
            let wrong = differences(&read(&first, keep), &expected);
            prop_assert!(wrong.is_empty(), "{keep:?}: {wrong}");
            let mut nth = 0;
            let second = slice(&first, |_| { nth += 1; again[nth - 1] });
            let expected: Vec<_> = expected.into_iter().zip(&again).filter(|(_, keep)| **keep).map(|(s, _)| s).collect();
            let wrong = differences(&read(&second, keep), &expected);
            prop_assert!(wrong.is_empty(), "a slice of a slice, {keep:?}: {wrong}");
        }
    }
}

/// A source with reads by thread 1 at these times, and notices.
fn source(events: &[(u64, &str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_state(&mut bytes, &state()).unwrap();
    for (ts, id, text) in events {
        let event = match *id {
            "" => {
                let values = [Owned::Fixed(Value::Fd(0)), Owned::Fixed(Value::Uint(1))];
                strategies::built(row("PPME_SYSCALL_READ_E"), &values, *ts, 1)
            }
            id => ledger::notice_of(id, text, *ts, 0),
        };
        frame_event(&mut bytes, 0, &event);
    }
    bytes
}

const GAP: (&str, &str) = (ledger::GAP, "lost=5 from=1 to=2 cpus=0 ring_full=5");
const END: (&str, &str) =
    (ledger::VERDICT, "verdict=incomplete seen=14 written=4 lost=10 late=0 unread=0 ring_full=10");

#[test]
fn a_slice_has_the_ledger_of_its_source() {
    let clock = (ledger::CLOCK, "stepped by=7 at=9");
    let bytes = source(&[
        (1, "", ""),
        (2, GAP.0, GAP.1),
        (3, "", ""),
        (4, "", ""),
        (5, clock.0, clock.1),
        (6, "", ""),
        (7, GAP.0, GAP.1),
        (8, END.0, END.1),
    ]);
    let expected = [
        &format!("{} {}", GAP.0, GAP.1),
        "scapd.clock stepped by=7 at=9",
        &format!("{} {}", GAP.0, GAP.1),
        "scapd.slice left_out=2 source=read",
        "scapd.verdict verdict=incomplete seen=12 written=2 lost=10 late=0 unread=0 ring_full=10",
    ];
    let out = slice(&bytes, |moment| moment.raw.ts() == 4);
    assert_eq!(notices(&out), expected);
    assert_eq!(read(&out, Keep::Names).len(), 1);
    // Losses may have hit what was wanted, even if nothing is left of it.
    assert_eq!(notices(&slice(&bytes, |_| false)).len(), 5);
    // Without losses, nothing wanted is nothing.
    let whole = source(&[(1, "", ""), (2, ledger::VERDICT, "verdict=complete seen=1 written=1")]);
    assert_eq!(notices(&slice(&whole, |_| false)), [""; 0]);
}

#[test]
fn a_slice_knows_no_more_than_its_source_says() {
    let unclosed = source(&[(1, "", ""), (2, "", "")]);
    assert_eq!(
        notices(&slice(&unclosed, |moment| moment.raw.ts() == 1)),
        ["scapd.slice left_out=1 source=read"]
    );
    let cut = source(&[(1, "", ""), (2, ledger::CUT, "cause=cut_off offset=7 bytes=3")]);
    let expected = ["scapd.slice left_out=0 source=read", "scapd.cut cause=cut_off offset=7 bytes=3"];
    assert_eq!(notices(&slice(&cut, |_| true)), expected);

    // The source is not read to its end.
    let bytes = source(&[(1, "", ""), (2, "", ""), (3, END.0, END.1)]);
    let mut reader = Reader::new(&bytes[..]).unwrap();
    let mut replay = Replay::new(&mut reader, Keep::All, Position::default());
    let mut stopped = Slice::new(false);
    stopped.event(&replay.next().unwrap().unwrap(), true);
    stopped.finish();
    assert_eq!(notices(&stopped.out), ["scapd.slice left_out=0 source=stopped"]);
}

#[test]
fn each_section_with_wanted_events_begins_anew() {
    let one = source(&[(1, "", ""), (2, "", "")]);
    let bytes = [&one[..], &source(&[(11, "", "")]), &source(&[(21, "", ""), (22, "", "")])].concat();
    let out = slice(&bytes, |moment| moment.raw.ts() != 11);
    let mut reader = Reader::new(&out[..]).unwrap();
    while reader.next_event().unwrap().is_some() {}
    assert_eq!(reader.section(), 2);
    assert_eq!(notices(&out), ["scapd.slice left_out=0 source=read", "scapd.slice left_out=1 source=read"]);
}

#[test]
fn what_comes_after_the_last_wanted_event_is_left_out() {
    let mut bytes = source(&[(1, "", "")]);
    for ts in 2..50 {
        let values = [Owned::Fixed(Value::Errno(0)), Owned::Text(b"/".to_vec())];
        frame_event(&mut bytes, 0, &strategies::built(row("PPME_SYSCALL_CHDIR_X"), &values, ts, 1));
    }
    let events = |out: &[u8]| {
        let mut reader = Reader::new(out).unwrap();
        std::iter::from_fn(|| reader.next_event().unwrap().map(|c| c.event.ty()))
            .filter(|ty| *ty != NOTIFICATION)
            .count()
    };
    assert_eq!(events(&slice(&bytes, |moment| moment.raw.ts() == 1)), 1);
    assert_eq!(events(&slice(&bytes, |moment| matches!(moment.raw.ts(), 1 | 10))), 10);
}

/// Returns the events of a capture that have an extension: the bytes of both.
fn extended(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = Reader::new(bytes).unwrap();
    let mut all = Vec::new();
    while let Some(captured) = reader.next_event().unwrap() {
        let mut both = Vec::new();
        captured.event.copy_to(&mut both);
        all.extend(captured.event.extension().map(|_| both));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn an_extension_stays_behind_its_event(pairs in vec(strategies::extended(), 1..4)) {
        let events: Vec<_> = pairs.iter().flat_map(|(event, extension)| [event.clone(), extension.clone()]).collect();
        let bytes = strategies::capture(&state(), &events);
        prop_assert_eq!(extended(&bytes).len(), pairs.len());
        let sliced = slice(&bytes, |moment| moment.raw.extension().is_some());
        prop_assert_eq!(extended(&sliced), extended(&bytes));
    }
}

#[test]
fn a_slice_begins_with_what_was_told_of_containers() {
    let mut source = Vec::new();
    write_state(&mut source, &state()).unwrap();
    let told = r#"{"container":{"id":"aaaaaaaaaaaa","type":0,"name":"web"}}"#;
    // It changes nothing.
    let row = EVENTS.iter().rfind(|row| row.name == "getcwd").unwrap();
    let call = |ts| EventBuilder::new(row, ts, TIDS).build_short().unwrap();
    for event in [container::event_of(told, 90), call(100), call(110)] {
        frame_event(&mut source, 0, &event);
    }
    let mut nth = 0;
    let first = slice(&source, |_| {
        nth += 1;
        nth == 3
    });
    let mut nth = 0;
    // Once more: it is there for names, as in the first slice.
    let second = slice(&first, |_| {
        nth += 1;
        nth == 1
    });
    for sliced in [&first, &second] {
        let mut reader = Reader::new(&sliced[..]).unwrap().keep(Keep::All);
        let mut replay = Replay::new(&mut reader, Keep::All, Position::default());
        let moment = replay.next().unwrap().unwrap();
        assert_eq!(moment.captured.flags & FOR_NAMES, FOR_NAMES);
        let name = moment.machine.told_container().map(|told| told.name.to_string());
        assert_eq!((name.as_deref(), moment.raw.ts()), (Some("web"), 110));
        let moment = replay.next().unwrap().unwrap();
        assert!(moment.machine.container(b"aaaaaaaaaaaa").is_some());
        assert_eq!((moment.raw.ts(), moment.machine.told_container().is_none()), (110, true));
    }
}
