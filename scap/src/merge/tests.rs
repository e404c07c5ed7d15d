//! Merges of made captures.

use super::*;
use crate::{
    events::{EventType, event as event_row, event_by_program},
    format::{
        EventBuilder, Value, frame_event,
        state::{Fd, FdKind, FdList, Thread},
    },
    ledger::{Cause, Gap, Losses, Notice, notice_of},
    replay::{Position, Replay},
};

/// A capture with a process of that id, and threads' events at times.
struct Source {
    bytes: Vec<u8>,
    written: u64,
    lost: u64,
}

impl Source {
    fn new(pids: &[u64], name: &str) -> Source {
        let thread = |pid: &u64| Thread {
            tid: *pid,
            pid: *pid,
            comm: format!("{name}{pid}").into(),
            cwd: format!("/{name}").into(),
            ..Thread::default()
        };
        let file = |pid: &u64| {
            let kind = FdKind::File { open_flags: 1, path: format!("/{name}/{pid}").into(), dev: 0 };
            FdList { pid: *pid, fds: vec![Fd { fd: 3, ino: 0, kind }] }
        };
        let state = MachineState {
            threads: pids.iter().map(thread).collect(),
            fds: pids.iter().map(file).collect(),
            ..MachineState::default()
        };
        let mut bytes = Vec::new();
        write_state(&mut bytes, &state).unwrap();
        Source { bytes, written: 0, lost: 0 }
    }

    fn event(mut self, ts: u64, tid: u64, program: &str, values: &[(&str, Value<'_>)]) -> Source {
        let row = event_by_program(program).unwrap();
        let value = |name| values.iter().find(|(n, _)| *n == name).map_or(Value::Absent, |(_, value)| *value);
        let start = EventBuilder::new(row, ts, tid);
        let event = row.params.iter().fold(start, |b, p| b.param(value(p.name)).unwrap()).build().unwrap();
        frame_event(&mut self.bytes, 0, &event);
        self.written += 1;
        self
    }

    fn chdir(self, ts: u64, tid: u64, path: &str) -> Source {
        self.event(ts, tid, "chdir_x", &[("res", Value::Errno(0)), ("path", Value::Text(path.as_bytes()))])
    }

    fn read(self, ts: u64, tid: u64) -> Source {
        self.event(ts, tid, "read_x", &[("res", Value::Errno(0)), ("fd", Value::Fd(3))])
    }

    fn gap(mut self, ts: u64, lost: u64) -> Source {
        let mut losses = Losses::default();
        losses.add(Cause::RingFull, lost);
        let text = Gap { from: ts, to: ts, losses, ..Gap::default() }.text();
        frame_event(&mut self.bytes, 0, &notice_of(ledger::GAP, &text, ts, 0));
        self.lost += lost;
        self
    }

    fn end(mut self, ts: u64) -> Source {
        let mut losses = Losses::default();
        losses.add(Cause::RingFull, self.lost);
        let seen = self.written + self.lost;
        let text = Verdict { seen, written: self.written, losses, ..Verdict::default() }.text();
        frame_event(&mut self.bytes, 0, &notice_of(ledger::VERDICT, &text, ts, 0));
        self
    }
}

fn surveys(sources: &[&[u8]]) -> Vec<Survey> {
    sources.iter().map(|bytes| Survey::of(&mut Reader::new(*bytes).unwrap()).unwrap()).collect()
}

/// Merges sources that are given in the order of their starts.
fn merged(sources: &[&[u8]]) -> Vec<u8> {
    let mut merge = Merge::default();
    let mut waiting = surveys(sources).into_iter().zip(sources).peekable();
    loop {
        let next = merge.next_time();
        if let Some((survey, bytes)) =
            waiting.next_if(|(survey, _)| next.is_none_or(|ts| survey.starts().unwrap() <= ts))
        {
            merge.add(Reader::new(*bytes).unwrap(), survey).unwrap();
        } else if next.is_some() {
            merge.step().unwrap();
        } else {
            break;
        }
    }
    merge.finish(&MachineState::default());
    merge.out
}

/// Returns the events, each with its time, section, thread's name and directory, and the name of descriptor 3; and the
/// balance of each section.
fn shown(bytes: &[u8]) -> (Vec<String>, Vec<Verdict>) {
    let mut reader = Reader::new(bytes).unwrap();
    let mut replay = Replay::new(&mut reader, crate::format::Keep::Names, Position::default());
    let (mut lines, mut balances) = (Vec::new(), Vec::new());
    while let Some(moment) = replay.next().unwrap() {
        let event = moment.event();
        match ledger::parse(event) {
            Some(Notice::Verdict(balance)) => balances.push(balance),
            Some(_) => {}
            None => {
                let text =
                    |text: Option<&[u8]>| text.map_or("-".into(), |text| text.escape_ascii().to_string());
                let (machine, tid) = (moment.machine, event.tid());
                let fd = text(machine.fd(tid, 3).map(|fd| &fd.name[..]));
                let (comm, cwd) = (text(machine.comm(tid)), text(machine.cwd(tid)));
                lines.push(format!("{} {} {comm} {cwd} {fd}", event.ts(), moment.captured.section));
            }
        }
    }
    (lines, balances)
}

#[test]
fn sources_that_follow_each_other_keep_their_states_and_their_balances() {
    let one = Source::new(&[1, 2], "one").read(10, 1).chdir(11, 1, "sub").gap(12, 5).read(13, 1).end(14);
    let two = Source::new(&[1, 2], "two").read(20, 1).chdir(21, 1, "sub").end(22);
    let bytes = merged(&[&one.bytes, &two.bytes]);
    let (lines, balances) = shown(&bytes);
    assert_eq!(
        lines,
        [
            "10 1 one1 /one /one/1",
            "11 1 one1 /one/sub /one/1",
            "13 1 one1 /one/sub /one/1",
            "20 2 two1 /two /two/1",
            "21 2 two1 /two/sub /two/1",
        ]
    );
    assert_eq!((balances[0].written, balances[0].losses.sum(), balances[0].seen), (3, 5, 8));
    assert_eq!((balances[1].written, balances[1].losses.sum(), balances[1].unaccounted()), (2, 0, 0));
}

#[test]
fn sources_of_different_processes_are_united_where_they_overlap() {
    let long = Source::new(&[1, 2, 3], "old").read(10, 1).chdir(11, 1, "sub").gap(12, 5);
    let long = long.read(20, 1).read(30, 1).gap(31, 2).read(40, 1).end(41);
    let short = Source::new(&[1, 2, 3], "new").read(19, 2).chdir(21, 2, "deep").read(29, 2).end(35);
    assert_eq!(conflict(&surveys(&[&long.bytes, &short.bytes])), None);
    let (lines, balances) = shown(&merged(&[&long.bytes, &short.bytes]));
    assert_eq!(
        lines,
        [
            "10 1 old1 /old /old/1",
            "11 1 old1 /old/sub /old/1",
            "19 2 new2 /new /new/2",
            "20 2 old1 /old/sub /old/1",
            "21 2 new2 /new/deep /new/2",
            "29 2 new2 /new/deep /new/2",
            "30 2 old1 /old/sub /old/1",
            "40 2 old1 /old/sub /old/1",
        ]
    );
    let told: Vec<_> =
        balances.iter().map(|b| (b.written, b.losses.sum(), b.seen, b.unaccounted())).collect();
    assert_eq!(told, [(2, 5, 7, 0), (6, 2, 8, 0)]);
}

#[test]
fn a_source_without_a_balance_leaves_none() {
    let one = Source::new(&[1], "one").read(10, 1).read(30, 1);
    let two = Source::new(&[2], "two").read(20, 2).end(22);
    let three = Source::new(&[2], "three").read(50, 2).end(52);
    let (lines, balances) = shown(&merged(&[&one.bytes, &two.bytes, &three.bytes]));
    assert_eq!((lines.len(), balances.len()), (4, 1));
}

#[test]
fn calls_of_the_same_thread_at_the_same_time_are_a_conflict() {
    let one = Source::new(&[1, 2], "one").read(10, 1).read(20, 2).read(30, 1);
    let two = Source::new(&[1, 2], "two").read(15, 2).read(25, 2);
    let after = Source::new(&[1, 2], "after").read(30, 1).read(40, 2);
    let of =
        |sources: &[&Source]| conflict(&surveys(&sources.iter().map(|s| &s.bytes[..]).collect::<Vec<_>>()));
    assert_eq!(of(&[&one, &two]), Some(Conflict { sources: (0, 1), tid: 2 }));
    assert_eq!(of(&[&after, &two, &one]), Some(Conflict { sources: (1, 2), tid: 2 }));
    assert_eq!(of(&[&one, &after]), None);
}

#[test]
fn an_extension_stays_behind_its_event() {
    let code = crate::events::Syscall::by_name("fsync").unwrap().code;
    let extended = |ts: u64, tid: u64| {
        let mut source = Source::new(&[tid], "x");
        let generic = &crate::events::EVENTS[1];
        let event = EventBuilder::new(generic, ts, tid).param(Value::Syscall(code)).unwrap();
        let extension = event_row(EventType(0x8001 + 2 * code)).unwrap();
        let extension = EventBuilder::new(extension, ts, tid).param(Value::Errno(0)).unwrap();
        for event in [event, extension] {
            frame_event(&mut source.bytes, 0, &event.build_short().unwrap());
        }
        source.end(ts + 10).bytes
    };
    // At the same time in both.
    let out = merged(&[&extended(5, 1), &extended(5, 2)]);
    let mut reader = Reader::new(&out[..]).unwrap();
    let mut tids = Vec::new();
    while let Some(captured) = reader.next_event().unwrap() {
        tids.extend(captured.event.extension().map(|extension| extension.tid()));
    }
    tids.sort();
    assert_eq!(tids, [1, 2]);
}
