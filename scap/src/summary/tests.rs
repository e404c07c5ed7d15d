//! Captures whose numbers are known.

use super::{Column, Keys, Top, Totals, sort};
use crate::{
    container,
    fields::fixture::{Capture, OK, state},
    format::{Keep, Reader, Value as Param},
    replay::{Position, Replay},
};

const ENOENT: Param<'static> = Param::Errno(-2);

fn fd(number: i64) -> (&'static str, Param<'static>) {
    ("fd", Param::Fd(number))
}

/// Returns the groups of captures that follow one another, as `keys: totals`, sorted.
fn top_of(captures: &[&Capture], keys: &str, to: impl FnMut(&Totals) -> String) -> Vec<String> {
    top_with(captures, keys, to, |_| {})
}

/// The same, with what happens behind each capture.
fn top_with(
    captures: &[&Capture],
    keys: &str,
    mut to: impl FnMut(&Totals) -> String,
    mut behind: impl FnMut(&mut Top),
) -> Vec<String> {
    let mut top = Top::new(Keys::parse(keys).unwrap());
    let (mut position, mut last) = (Position::default(), 0);
    for capture in captures {
        let mut reader = Reader::new(capture.bytes()).unwrap().keep(Keep::All);
        let mut replay = Replay::new(&mut reader, Keep::All, position);
        while let Some(moment) = replay.next().unwrap() {
            top.event(&moment).unwrap();
        }
        position = replay.position();
        last = replay.now().ts;
        top.end_capture(replay.now());
        behind(&mut top);
    }
    top.finish(last);
    let mut groups: Vec<_> = top.groups().collect();
    sort(&mut groups, &[Column::Calls, Column::Pending]);
    let show = |group: &super::Group<'_>| {
        let mut text = String::new();
        for key in &group.keys {
            key.show(&mut text);
            text.push(' ');
        }
        format!("{text}| {}", to(group.totals))
    };
    groups.iter().map(show).collect()
}

#[track_caller]
fn check(capture: &Capture, keys: &str, to: impl FnMut(&Totals) -> String, expected: &[&str]) {
    assert_eq!(top_of(&[capture], keys, to), expected);
}

fn counts(totals: &Totals) -> String {
    format!("{} {} {}", totals.calls, totals.failed(), totals.times.count())
}

fn pending(totals: &Totals) -> String {
    format!("{} {} {}", totals.calls, totals.pending, totals.pending_time)
}

#[test]
fn calls_are_counted_at_their_ends_with_errors_and_times() {
    let mut capture = Capture::new();
    // Two threads whose calls overlap; the events are 10 ns apart.
    capture
        .event(60, "getcwd_e", &[])
        .event(70, "chdir_e", &[])
        .event(60, "getcwd_x", &[("res", OK)])
        .event(70, "chdir_x", &[("res", ENOENT)])
        .event(70, "chdir_e", &[])
        .event(70, "chdir_x", &[("res", Param::Errno(-13))])
        .event(70, "chdir_e", &[])
        .event(70, "chdir_x", &[("res", ENOENT)])
        // Its start is not in the capture.
        .event(60, "chdir_x", &[("res", OK)]);
    check(&capture, "call", counts, &["chdir | 4 3 3", "getcwd | 1 0 1"]);
    let times = |totals: &Totals| format!("{} {:?}", totals.times.sum(), totals.times.max());
    check(&capture, "call", times, &["chdir | 40 Some(20)", "getcwd | 20 Some(20)"]);
    check(&capture, "call,error", counts, &["chdir ENOENT | 2 2 2", "chdir EACCES | 1 1 1"]);
    check(&capture, "process", counts, &["cc 70 | 3 3 3", "make 60 | 2 0 1"]);
    let error = |totals: &Totals| format!("{:?}", totals.most_frequent_error());
    check(&capture, "call", error, &["chdir | Some(2)", "getcwd | None"]);
}

#[test]
fn what_has_not_ended_is_pending() {
    let mut capture = Capture::new();
    capture
        .event(60, "getcwd_e", &[])
        .event(70, "chdir_e", &[])
        // Its end is lost.
        .event(70, "getcwd_e", &[])
        .event(70, "getcwd_x", &[("res", OK)])
        .call(50);
    check(&capture, "call", pending, &["getcwd | 2 1 40"]);
    capture.event(60, "procexit_e", &[("status", OK)]);
    check(&capture, "call", pending, &["getcwd | 2 0 0"]);
}

#[test]
fn behind_a_gap_nobody_knows_what_goes_on() {
    let mut capture = Capture::new();
    capture.event(60, "getcwd_e", &[]).gap("from=1 to=2 ring=3").call(50);
    check(&capture, "call", pending, &["getcwd | 1 0 0"]);
}

#[test]
fn a_call_may_go_on_in_the_next_capture() {
    let mut first = Capture::new();
    first.event(60, "getcwd_e", &[]).event(70, "chdir_e", &[]).event(50, "chdir_e", &[]);
    let mut second = Capture::new().clock(first.ts, 10);
    // 60 returns, 70 begins another call, 50 is silent.
    second.event(60, "getcwd_x", &[("res", OK)]).event(70, "getcwd_e", &[]);
    let got = top_of(&[&first, &second], "call", pending);
    assert_eq!(got, ["getcwd | 1 1 0", "chdir | 0 1 20"]);
}

#[test]
fn a_message_is_no_call() {
    let message = |res| [("res", Param::Errno(res)), fd(3)];
    let mut capture = Capture::new();
    for _ in 0..2 {
        capture.event(60, "sendmmsg_e", &[]);
        capture.event(60, "sendmmsg_x", &message(5)).event(60, "sendmmsg_x", &message(6));
    }
    let sent = |totals: &Totals| format!("{} {}", totals.calls, totals.written);
    check(&capture, "call", sent, &["sendmmsg | 2 22"]);
}

#[test]
fn a_clone_returns_once() {
    let mut capture = Capture::new();
    capture.event(60, "clone_e", &[]).child(80, 60).event(60, "clone_x", &[("res", Param::Pid(80))]);
    check(&capture, "call", counts, &["clone | 1 0 1"]);
}

#[test]
fn bytes_belong_to_the_file() {
    let open = |capture: &mut Capture, name: &'static str, flags| {
        let path = [("name", Param::Text(name.as_bytes())), ("flags", Param::Flags(flags))];
        capture.event(
            60,
            "openat_x",
            &[&[("fd", Param::Fd(3)), ("dirfd", Param::Fd(-100))][..], &path].concat(),
        );
    };
    let mut capture = Capture::new();
    open(&mut capture, "/etc/a", 1);
    capture.event(60, "read_x", &[("res", Param::Errno(7)), fd(3)]);
    capture.event(60, "read_x", &[("res", Param::Errno(-11)), fd(3)]);
    capture.event(60, "close_x", &[("res", OK), fd(3)]);
    open(&mut capture, "new", 2 | super::outcome::O_F_CREATED);
    capture.event(60, "write_x", &[("res", Param::Errno(9)), fd(3)]);
    let path = ("name", Param::Text(b"/etc/b"));
    capture.event(60, "unlinkat_x", &[("res", OK), ("dirfd", Param::Fd(-100)), path]);
    // About no file.
    capture.event(70, "write_x", &[("res", Param::Errno(100)), fd(1)]);
    let bytes = |totals: &Totals| {
        let did = |act| totals.did(act);
        let acts = [super::Act::Open, super::Act::Create, super::Act::Delete].map(did);
        format!("{} {} {} {acts:?}", totals.calls, totals.read, totals.written)
    };
    let expected = ["/etc/a | 4 7 0 [1, 0, 0]", "/srv/new | 2 0 9 [1, 1, 0]", "/etc/b | 1 0 0 [0, 0, 1]"];
    check(&capture, "file", bytes, &expected);
    check(&capture, "folder,proc.name", counts, &["/etc make | 4 1 0", "/srv make | 2 0 0"]);
}

#[test]
fn bytes_that_are_moved_are_read_from_one_file_and_written_to_another() {
    let open = |fd, name: &'static str| [("fd", Param::Fd(fd)), ("name", Param::Text(name.as_bytes()))];
    let mut capture = Capture::new();
    capture.event(60, "openat_x", &open(3, "/a")).event(60, "openat_x", &open(4, "/b"));
    let ends = [("fdout", Param::Fd(4)), ("fdin", Param::Fd(3))];
    capture.event(60, "copy_file_range_x", &[&[("res", Param::Errno(7))][..], &ends].concat());
    let ends = [("out_fd", Param::Fd(4)), ("in_fd", Param::Fd(3))];
    capture.event(60, "sendfile_x", &[&[("res", Param::Errno(5))][..], &ends].concat());
    let bytes = |totals: &Totals| format!("{} {} {}", totals.calls, totals.read, totals.written);
    check(&capture, "file", bytes, &["/b | 3 0 12", "/a | 1 12 0"]);
    check(&capture, "proc.name", bytes, &["make | 4 12 12"]);
}

#[test]
fn small_groups_are_given_up() {
    // Of chdir one call and one that goes on, of getcwd three and one that goes on to the end, of fchdir two.
    let mut first = Capture::new();
    first.event(70, "chdir_x", &[("res", OK)]).event(70, "chdir_e", &[]);
    first.call(60).call(60).call(60).event(60, "getcwd_e", &[]);
    first.event(50, "fchdir_x", &[("res", OK)]).event(50, "fchdir_x", &[("res", OK)]);
    let mut second = Capture::new().clock(first.ts, 10);
    second.event(70, "chdir_x", &[("res", ENOENT)]).event(50, "fchdir_x", &[("res", OK)]);
    let mut given_up = Vec::new();
    let got = top_with(&[&first, &second], "call", pending, |top| {
        // Not yet: there are not more than twice as many.
        assert!(top.prune(2, |totals| totals.calls).is_empty());
        given_up.extend(top.prune(1, |totals| totals.calls).iter().map(|totals| totals.calls));
    });
    // The largest one goes on, and the others begin anew.
    given_up.sort_unstable();
    assert_eq!(given_up, [1, 1, 1, 2]);
    assert_eq!(got, ["getcwd | 3 1 40"]);
}

#[test]
fn signals_are_counted_instead_of_calls() {
    let signal =
        |number| [("spid", Param::Pid(60)), ("dpid", Param::Pid(70)), ("sig", Param::Signal(number))];
    let mut capture = Capture::new();
    capture.call(60).event(70, "signaldeliver_e", &signal(17)).event(70, "signaldeliver_e", &signal(15));
    capture.event(70, "signaldeliver_e", &signal(17));
    check(&capture, "signal", counts, &["SIGCHLD | 2 0 0", "SIGTERM | 1 0 0"]);
}

#[test]
fn a_container_is_known_by_the_groups() {
    let mut capture = Capture::new();
    check(capture.call(60), "container", counts, &["host | 1 0 0"]);
}

#[test]
fn a_container_has_an_image_and_a_pod() {
    let id = "a".repeat(64);
    let mut state = state();
    state.threads[3].cgroups = format!("memory=/docker/{id}\0").into();
    let mut capture = Capture::of(&state);
    let told = r#"{"id":"aaaaaaaaaaaa","image":"web:1","labels":{"io.kubernetes.pod.name":"shop",
        "io.kubernetes.pod.namespace":"store"}}"#;
    let event = container::event_of(told, capture.ts);
    capture.add(&event).call(70);
    let keys = "container, image, pod, namespace";
    check(&capture, keys, counts, &["aaaaaaaaaaaa web:1 shop store | 1 0 0"]);
}

#[test]
fn any_field_is_a_key() {
    let mut capture = Capture::new();
    capture.call(60).call(70).call(70);
    check(&capture, "proc.pname, toupper(proc.name)", counts, &["make CC | 2 0 0", "zsh MAKE | 1 0 0"]);
}

#[test]
fn a_mistake_in_keys_is_underlined() {
    let mistake = |keys| Keys::parse(keys).unwrap_err().to_string();
    let unknown = mistake("call,colour");
    assert!(
        unknown.starts_with("call,colour\n     ^^^^^^ no such key; there are call, process,"),
        "{unknown}"
    );
    assert!(mistake("proc.nmae").contains("did you mean proc.name?"));
    assert!(mistake("call process").contains("expected a comma"));
    assert!(Keys::parse("").is_err());
}

#[test]
fn too_many_groups_are_refused() {
    let mut capture = Capture::new();
    for _ in 0..3000 {
        capture.call(60);
    }
    let mut reader = Reader::new(capture.bytes()).unwrap().keep(Keep::All);
    let mut replay = Replay::new(&mut reader, Keep::All, Position::default());
    let mut top = Top::new(Keys::parse("evt.num").unwrap());
    let mut refused = None;
    while let Some(moment) = replay.next().unwrap() {
        refused = refused.or(top.event(&crate::replay::Moment { limit: 300_000, ..moment.clone() }).err());
    }
    assert_eq!(refused.map(|why| why.limit), Some(300_000));
}
