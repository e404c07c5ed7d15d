//! Process ids in the initial pid namespace and in nested ones.

use super::*;

const BOOT: u64 = 1_699_999_000_000_000_000;

/// A host with an init, and a container whose init (500) is 1 there and has a child (507) that is 7 there.
fn container() -> MachineState {
    let start = 300_000_000_000;
    let thread = |tid, vtid, comm: &str, start| Thread {
        tid,
        pid: tid,
        vtid,
        vpid: vtid,
        comm: comm.into(),
        pidns_init_start_ts: BOOT + start,
        ..Thread::default()
    };
    MachineState {
        machine: MachineInfo { boot_time: BOOT, ..MachineInfo::default() },
        threads: vec![
            thread(1, 1, "init", 0),
            thread(7, 7, "kthread", 0),
            thread(500, 1, "box-init", start),
            thread(507, 7, "worker", start),
            thread(600, 1, "other-init", 2 * start),
        ],
        ..MachineState::default()
    }
}

fn clone(capture: Capture, [tid, res, pid, ptid]: [i64; 4], [vtid, vpid]: [i64; 2], start: u64) -> Capture {
    let mut values = vec![Value::Pid(res), Value::Text(b"/bin/sh"), NA, Value::Pid(tid), Value::Pid(pid)];
    values.extend([
        Value::Pid(ptid),
        NA,
        NA,
        NA,
        NA,
        NA,
        NA,
        NA,
        Value::Text(b"sh"),
        NA,
        Value::Flags(0),
        NA,
        NA,
    ]);
    values.extend([Value::Pid(vtid), Value::Pid(vpid), Value::Uint(start)]);
    capture.event(tid as u64, "clone_x", &values)
}

fn kill(capture: Capture, tid: u64, pid: i64) -> Capture {
    capture.event(tid, "kill_e", &[Value::Pid(pid), Value::Signal(9)])
}

fn killed(capture: &Capture) -> Vec<String> {
    let lines = capture.lines().into_iter();
    lines.filter_map(|l| Some(l.strip_prefix("> kill pid=")?.split(' ').next()?.to_string())).collect()
}

#[test]
fn a_number_is_that_of_the_callers_namespace() {
    let capture = kill(kill(kill(kill(Capture::of(&container()), 500, 1), 500, 7), 507, 500), 1, 7);
    let capture = kill(kill(kill(capture, 600, 1), 600, 7), 500, 0);
    assert_eq!(
        killed(&capture),
        ["1(box-init)", "7(worker)", "500", "7(kthread)", "1(other-init)", "7", "0"]
    );
}

#[test]
fn the_kernels_own_numbers_are_the_hosts() {
    let lines = Capture::of(&container())
        .event(500, "switch_e", &[Value::Pid(7)])
        .event(500, "signaldeliver_e", &[Value::Pid(7), Value::Pid(7), Value::Signal(9)])
        .lines();
    assert_eq!(
        lines,
        ["> switch next=7(kthread)", "> signaldeliver spid=7(worker) dpid=7(kthread) sig=9(SIGKILL)"]
    );
}

/// A child of the container's init, 8 there and 508 on the host, with the clone's returns in either order.
#[test]
fn a_child_in_a_namespace_is_named_there() {
    let child = |capture| clone(capture, [508, 0, 508, 500], [8, 8], 300_000_000_777);
    let parent = |capture| clone(capture, [500, 8, 500, 1], [1, 1], 0);
    for parent_first in [false, true] {
        let capture = Capture::of(&container());
        let capture = if parent_first { child(parent(capture)) } else { parent(child(capture)) };
        let parents = capture.lines().into_iter().find(|l| l.contains("res=8")).unwrap();
        let name = if parent_first { "box-init" } else { "sh" };
        assert!(
            parents.contains(&format!("< clone res=8({name}) ")) && parents.contains("tid=500(box-init)"),
            "{parents}"
        );
        assert!(parents.contains("vtid=1(box-init) vpid=1(box-init)"), "{parents}");
        let capture = kill(kill(kill(capture, 507, 8), 508, 1), 1, 8).exec(508, "prog");
        let exit = [Value::Errno(0), Value::Errno(0), Value::Signal(0), Value::Uint(0), Value::Pid(1)];
        let capture = kill(kill(capture, 507, 8).event(508, "procexit_e", &exit), 507, 8);
        assert_eq!(killed(&capture), ["8(sh)", "1(box-init)", "8", "8(prog)", "8"]);
    }
}

#[test]
fn a_namespace_that_begins_in_the_capture() {
    // 1 forks 700, the first process of a new namespace, which forks 701.
    let capture = clone(Capture::of(&container()), [700, 0, 700, 1], [1, 1], 900_000_000_001);
    let capture = clone(capture, [1, 700, 1, 0], [1, 1], 0).exec(700, "box");
    let capture = clone(capture, [701, 0, 701, 700], [2, 2], 900_000_000_001);
    let capture = kill(kill(kill(kill(capture, 701, 1), 700, 2), 500, 2), 1, 700);
    assert_eq!(killed(&capture), ["1(box)", "2(sh)", "2", "700(box)"]);
}

#[test]
fn a_capture_of_old_does_not_tell_namespaces_apart() {
    let mut state = container();
    state.threads.iter_mut().for_each(|t| t.pidns_init_start_ts = 0);
    let capture = kill(kill(Capture::of(&state), 500, 1), 1, 7);
    assert_eq!(killed(&capture), ["1", "7(kthread)"]);
}

#[test]
fn a_child_that_has_ended_has_a_name_at_its_parents_return() {
    let exit = [Value::Errno(0), Value::Errno(0), Value::Signal(0), Value::Uint(0), Value::Pid(1)];
    let capture = Capture::new().fork(200, 0, 200, 100).exec(200, "prog").event(200, "procexit_e", &exit);
    let capture = kill(capture.fork(100, 200, 100, 1), 100, 200);
    let lines = capture.lines();
    assert!(lines[3].starts_with("< fork res=200(prog) "), "{}", lines[3]);
    assert_eq!(killed(&capture), ["200"]);
}

#[test]
fn a_child_that_runs_before_anybody_tells_of_it() {
    let switch = |capture: Capture, tid, next| capture.event(tid, "switch_e", &[Value::Pid(next)]);
    let capture = switch(switch(Capture::new(), 100, 200).event(100, "vfork_e", &[]), 100, 200);
    let capture = switch(capture.fork(200, 0, 200, 100), 1, 300);
    let switches: Vec<_> = capture.lines().into_iter().filter(|l| l.contains("switch")).collect();
    assert_eq!(switches, ["> switch next=200", "> switch next=200(sh)", "> switch next=300"]);
}

#[test]
fn an_event_without_a_thread_has_none() {
    let capture = Capture::new().event(u64::MAX, "close_e", &[Value::Fd(3)]);
    assert!(capture.read(|_| {}).0.contains(" <NA> (-1) > close fd=3"));
    let (summary, _) = Summary::collect(&mut Reader::new(&capture.bytes[..]).unwrap());
    assert_eq!(summary.to_json()["by_process"][0]["pid"], -1);
    assert!(!summary.to_text(9).contains("18446744073709551615"));
    assert_eq!((&capture.json()[0]["tid"], &capture.json()[0]["pid"]), (&json!(-1), &json!(-1)));
}
