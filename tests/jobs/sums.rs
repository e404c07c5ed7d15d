//! Summaries: what several jobs add up is what one counts.

use std::{path::PathBuf, process::Command, sync::Arc};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use scap::{
    events::Event,
    format::{MachineState, state::Thread, strategies},
    ledger::{self, Cause, Gap, Losses},
    select::parse_events,
    summary::{Column, Keys},
};
use scapd::{
    print::MakeView,
    read::{Form, ReadArgs, Span, When},
    top::{OutputForm, TopForm, TopKind},
};
use serde_json::Value as Json;

use super::{EVENTS_OF_A_CAPTURE, START, STEP, Shown, capture, check, file, filter, read_or_write, state};

/// Keys of all kinds: of the event, its thread, its files and its peers, and some that most events lack.
const KEYS: [&str; 10] = [
    "call,fd.name",
    "process,call",
    "thread.tid,call",
    "file",
    "exe,user,evt.dir",
    "error,call,proc.name",
    "peer,port",
    "evt.num",
    "evt.deltatime,proc.nthreads",
    "signal",
];

fn top(keys: &str) -> TopForm {
    TopForm {
        keys: Keys::parse(keys).unwrap(),
        columns: vec![Column::Calls],
        sort: vec![Column::Total, Column::Calls],
        rows: None,
        // It has all numbers.
        form: OutputForm::Json,
        every: None,
        kind: TopKind::All,
    }
}

fn summed(form: &TopForm) -> Form {
    assert!(form.divide().is_some(), "{form:?} does not divide");
    Form::Other(Arc::new(form.clone()))
}

/// Checks that several jobs count what one counts, and returns how many calls these are.
fn calls(what: &str, files: &[PathBuf], keys: &str, change: &dyn Fn(&mut ReadArgs)) -> u64 {
    let Shown { out, error } = check(&format!("{what} by {keys}"), files, &|args| {
        args.form = summed(&top(keys));
        change(args);
    });
    assert!(error.is_none(), "{what} by {keys}: {error:?}");
    serde_json::from_slice::<Json>(&out).unwrap()["total"]["calls"].as_u64().unwrap()
}

/// Events of the calls that have several ends, among others, of threads that often do not end what they begin.
fn messages(seed: u64) -> Vec<Vec<u8>> {
    let (mut random, mut runner) = (fastrand::Rng::with_seed(seed), TestRunner::deterministic());
    let is_one =
        |row: &Event| matches!(row.name, "sendmmsg" | "recvmmsg" | "close" | "openat" | "clone" | "procexit");
    let event = strategies::event().prop_filter("another one", |(row, _)| is_one(row));
    let any: Vec<_> = (0..100).map(|_| event.new_tree(&mut runner).unwrap().current()).collect();
    let event = |number: u64| {
        let (row, values) = &any[random.usize(..any.len())];
        // Some have the same time.
        strategies::built(row, values, START + number / 3 * STEP, random.u64(1..9))
    };
    (0..EVENTS_OF_A_CAPTURE * 2).map(event).collect()
}

#[test]
fn groups_are_those_of_one_job() {
    let folder = tempfile::tempdir().unwrap();
    let files = [file(&folder, "a.scap", &capture(11, 0))];
    for keys in KEYS {
        let all = calls("all", &files, keys, &|_| {});
        assert!(all > 20 || ["peer,port", "signal"].contains(&keys), "by {keys}: {all} calls");
    }
    calls("internal events, too", &files, "thread.tid,call", &|args| args.wanted.all = true);
    for text in
        ["evt.latency > 3ms", "fd.num = 3 and evt.dir = <", "evt.num > 5000", "evt.res > 0", "evt.num < 0"]
    {
        for keys in ["call", "process,call"] {
            calls(text, &files, keys, &|args| args.wanted = filter(text));
        }
    }
    let list = |text| move |args: &mut ReadArgs| args.wanted.events = Some(parse_events(text).unwrap());
    for text in ["read", "!read,!write"] {
        calls(text, &files, "thread.tid,call", &list(text));
    }
    calls("a process", &files, "file", &|args| args.wanted.pids = vec![3]);
    let part = |from, to| Span { from: Some(When::parse(from).unwrap()), to: Some(When::parse(to).unwrap()) };
    for (from, to) in [("3s", "7s"), ("0s", "0s"), ("11.9s", "90s"), ("90s", "95s"), ("5s", "4s")] {
        calls(&format!("{from} to {to}"), &files, "thread.tid,call", &|args| args.span = part(from, to));
    }
}

#[test]
fn calls_with_several_ends_are_those_of_one_job() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.scap", &strategies::capture(&state(), &messages(1)));
    assert!(path.metadata().unwrap().len() > 6 << 18, "of many chunks");
    let files = [path];
    for text in ["evt.num > 0", "evt.dir = <", "evt.res > 0", "evt.type = sendmmsg"] {
        let count = calls(text, &files, "thread.tid,call", &|args| args.wanted = filter(text));
        assert!(count > 100, "{text}: {count}");
    }
}

#[test]
fn several_captures_are_added_up_as_by_one_job() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (capture(13, 0), strategies::capture(&state(), &messages(2)));
    let empty = strategies::capture(&state(), &[]);
    let files = [
        file(&folder, "a.scap", &a),
        file(&folder, "b.scap", &b),
        file(&folder, "empty.scap", &empty),
        // Two sections, the second of which turns back.
        file(&folder, "ba.scap", &[b, a].concat()),
    ];
    for keys in ["thread.tid,call", "file", "evt.num"] {
        calls("several captures", &files, keys, &|_| {});
    }
    let text = "evt.num > 20000 and evt.res >= 0";
    calls(text, &files, "thread.tid,call", &|args| args.wanted = filter(text));
    let gone = [files[0].clone(), folder.path().join("gone.scap"), files[1].clone()];
    let shown = check("a capture that is gone", &gone, &|args| args.form = summed(&top("file")));
    assert!(shown.error.unwrap().contains("gone.scap") && shown.out.is_empty());
}

#[test]
fn a_call_is_not_pending_whose_thread_goes_on_in_the_part_of_another_job() {
    let folder = tempfile::tempdir().unwrap();
    let tid = 5;
    let thread = Thread { tid, pid: tid, comm: "sh".into(), ..Thread::default() };
    let state = MachineState { threads: vec![thread], ..MachineState::default() };
    let first = [read_or_write("read_e", START, tid, b"")];
    let mut second: Vec<_> =
        ["write_e", "write_x"].map(|program| read_or_write(program, START + 1, tid, b"")).into();
    second.extend((2..102).map(|at| read_or_write("read_x", START + at, tid ^ 1, &[7; 5000])));
    let files = [("a.scap", &first[..]), ("b.scap", &second)]
        .map(|(name, events)| file(&folder, name, &strategies::capture(&state, events)));
    let shown = check("two captures", &files, &|args| args.form = summed(&top("thread.tid,call")));
    let total = &serde_json::from_slice::<Json>(&shown.out).unwrap()["total"];
    assert_eq!((&total["calls"], &total["pending"]), (&101.into(), &0.into()));
}

#[test]
fn damaged_captures_are_added_up_as_by_one_job() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, mut random) = (capture(16, 0), fastrand::Rng::with_seed(16));
    let mut places: Vec<usize> = (0..3).map(|_| random.usize(..whole.len())).collect();
    places.extend([20, 1 << 18, whole.len() - 1]);
    for at in places {
        let cut = file(&folder, "cut.scap", &whole[..at]);
        let shown = check(&format!("cut at {at}"), &[cut], &|args| args.form = summed(&top("process,call")));
        assert!(shown.error.is_some() && shown.out.starts_with(b"{"), "{at}: {:?}", shown.error);
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        let changed = file(&folder, "changed.scap", &changed);
        check(&format!("changed at {at}"), &[changed], &|args| args.form = summed(&top("thread.tid,call")));
    }
}

#[test]
fn too_many_groups_are_too_many_for_several_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let files = [file(&folder, "a.scap", &strategies::capture(&state(), &messages(4)))];
    let with = |limit| {
        move |args: &mut ReadArgs| {
            (args.form, args.max_state) = (summed(&top("evt.num")), Some(limit));
        }
    };
    // No job alone has that many.
    let shown = check("1.5 MiB", &files, &with(3 << 19));
    assert!(shown.error.unwrap().contains("too many different keys") && shown.out.is_empty());
    assert!(check("16 MiB", &files, &with(16 << 20)).error.is_none());
}

#[test]
fn what_the_recorder_lost_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = messages(3);
    let mut losses = Losses::default();
    losses.add(Cause::RingFull, 5);
    let gap = Gap { from: START, to: START + STEP, losses, ..Gap::default() };
    // In different chunks.
    for at in [1, 7000, 14_000] {
        events.insert(at, ledger::notice(ledger::GAP, &gap.text(), START + STEP));
    }
    let path = file(&folder, "a.scap", &strategies::capture(&state(), &events));
    let said = |jobs| {
        let mut top = Command::new(env!("CARGO_BIN_EXE_scapd"));
        let run = top.args(["top", "--by", "file", "-j", jobs]).arg(&path).output().unwrap();
        (String::from_utf8(run.stdout).unwrap(), String::from_utf8(run.stderr).unwrap())
    };
    let one = said("1");
    assert!(one.1.contains(" 15 events were lost by the recorder"), "{}", one.1);
    assert_eq!(said("3"), one);
}

#[test]
fn what_depends_on_all_events_is_not_divided() {
    let every = Some(std::time::Duration::from_secs(1));
    let columns = vec![Column::Calls, Column::Connect];
    let of_all = [
        TopForm { every, ..top("file") },
        TopForm { columns, ..top("file") },
        TopForm { kind: TopKind::Failed, ..top("file") },
    ];
    let folder = tempfile::tempdir().unwrap();
    let files = [file(&folder, "a.scap", &capture(18, 0))];
    for form in of_all {
        assert!(form.divide().is_none(), "{form:?}");
        let shown = check("one job's", &files, &|args| args.form = Form::Other(Arc::new(form.clone())));
        assert!(shown.error.is_none() && !shown.out.is_empty());
    }
}
