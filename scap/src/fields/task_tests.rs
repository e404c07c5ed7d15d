//! Tests of the fields of processes, threads and users.

use proptest::prelude::*;

use super::{
    Field, Fields, Key, Reference, Registry, Source,
    fixture::{Capture, OK, state},
};
use crate::format::{Value as Param, strategies};

#[test]
fn a_process_has_what_the_state_says() {
    let mut capture = Capture::new();
    capture.call(70).has(&[
        ("proc.name", "cc"),
        ("proc.exe", "-cc"),
        ("proc.exepath", "/bin/cc"),
        ("proc.args", "-a b c"),
        ("proc.args[1]", "b c"),
        ("proc.args[2]", ""),
        ("proc.cmdline", "cc -a b c"),
        ("proc.exeline", "-cc -a b c"),
        ("proc.cmdnargs", "2"),
        ("proc.cmdlenargs", "5"),
        ("proc.env", "NAME=cc EMPTY="),
        ("proc.env[NAME]", "cc"),
        ("proc.env[NAM]", ""),
        ("proc.cwd", "/srv/"),
        ("proc.tty", "34816"),
        ("proc.pid", "70"),
        ("proc.ppid", "60"),
        ("proc.vpid", "70"),
        ("proc.pvpid", "60"),
        ("proc.duration", "-"),
        ("proc.pid.ts", "-"),
        ("proc.loginshellid", "50"),
        ("thread.tid", "70"),
        ("thread.vtid", "70"),
        ("thread.ismain", "true"),
        ("thread.nametid", "cc70"),
        ("thread.cgroups", "cpu=/a blkio=/b"),
        ("thread.cgroup[blkio]", "/b"),
        ("thread.cgroup[io]", "/b"),
        ("thread.cgroup[memory]", "-"),
        ("thread.cap_effective", "CAP_SYS_RESOURCE CAP_CHECKPOINT_RESTORE"),
        ("thread.cap_permitted", ""),
        ("user.uid", "7"),
        ("user.name", "ann"),
        ("user.homedir", "/h"),
        ("user.shell", "/bin/zsh"),
        ("user.loginuid", "7"),
        ("user.loginname", "ann"),
        ("group.gid", "8"),
        ("group.name", "staff"),
        ("proc.stdin.type", "pipe"),
        ("proc.stdout.name", "pipe:[2]"),
        ("proc.stderr.name", "-"),
        ("proc.fdopencount", "2"),
        ("proc.fdlimit", "200"),
        ("proc.fdusage", "1"),
    ]);
    let of_init = [("user.loginuid", "-1"), ("user.loginname", "-"), ("user.name", "-"), ("proc.pname", "-")];
    capture.call(1).has(&of_init);
}

#[test]
fn an_exec_replaces_what_was_known() {
    let mut capture = Capture::new();
    capture.child(80, 70).exec(80, 70, b"").has(&[
        ("proc.cmdline", "ls"),
        ("proc.exeline", "ls"),
        ("proc.args", ""),
        ("proc.cmdnargs", "0"),
        ("proc.env", "B=2"),
        ("proc.aenv[NAME]", "cc"),
        ("proc.aenv[B]", ""),
        ("proc.pcmdline", "cc -a b c"),
        ("proc.duration", "10"),
        ("proc.pid.ts", "1000001010"),
        ("proc.is_exe_writable", "true"),
        ("proc.is_exe_from_memfd", "false"),
        ("proc.exe_ino", "9"),
        ("proc.exe_ino.ctime", "1000000400"),
        ("proc.exe_ino.mtime", "-"),
        ("proc.exe_ino.ctime_duration_proc_start", "610"),
        ("proc.exe_ino.ctime_duration_pidns_start", "-"),
        ("thread.cap_effective", "CAP_CHOWN"),
        ("proc.fdlimit", "100"),
    ]);
    // A prlimit that reads the limit has zeros as the new one.
    let limits = [("newcur", 0), ("newmax", 0), ("oldcur", 90), ("oldmax", 95)];
    let limits = limits.map(|(name, limit)| (name, Param::Int(limit)));
    let what = [("res", OK), ("pid", Param::Int(0)), ("resource", Param::Enum(7))];
    capture.event(80, "prlimit_x", &[&limits[..], &what].concat()).has(&[("proc.fdlimit", "90")]);
}

#[test]
fn ancestors_are_those_that_run() {
    let mut capture = Capture::new();
    capture.call(70).has(&[
        ("proc.pname", "make"),
        ("proc.pexe", "-make"),
        ("proc.pexepath", "/bin/make"),
        ("proc.aname", "make,zsh,init"),
        ("proc.aname[0]", "cc"),
        ("proc.aname[3]", "init"),
        ("proc.aname[4]", "-"),
        ("proc.apid", "60,50,1"),
        ("proc.aexe[2]", "-zsh"),
        ("proc.aexepath", "/bin/make,/bin/zsh,/bin/init"),
        ("proc.acmdline[1]", "make -a b c"),
        ("proc.aargs[1]", "-a b c"),
        ("proc.aenv[1]", "NAME=make EMPTY="),
        ("proc.aenv[NAME]", "make"),
    ]);
    // The parent ends: a reaper takes its place, or nobody that is known.
    let mut reaped = Capture::new();
    reaped.event(60, "procexit_e", &[("reaper_tid", Param::Pid(1))]);
    reaped.call(70).has(&[("proc.ppid", "1"), ("proc.aname", "init")]);
    capture.event(60, "procexit_e", &[]).call(70).has(&[("proc.ppid", "-"), ("proc.aname", "-")]);
}

/// Events name the thread that made a process as its parent.
#[test]
fn a_parent_is_a_process() {
    let clone = crate::model::flag("clone_flags", "CLONE_THREAD");
    let mut capture = Capture::new();
    capture.fork(71, 70, 60, clone, (71, 70)).child(80, 71).has(&[("proc.ppid", "70"), ("proc.pname", "cc")]);
    capture.exec(80, 71, b"").has(&[("proc.ppid", "70"), ("proc.aname[2]", "make")]);
}

/// A parent whose end was lost, and whose number another process has now, is not the parent.
#[test]
fn a_number_that_is_taken_again_is_no_parent() {
    let mut capture = Capture::new();
    capture.gap("lost=9 ring_full=9").child(60, 1).call(70);
    capture.has(&[("proc.ppid", "-"), ("proc.pname", "-"), ("proc.nthreads", "-")]);
}

#[test]
fn circles_of_parents_end() {
    let mut state = state();
    state.threads[1].ptid = 70;
    let mut capture = Capture::of(&state);
    capture.call(70);
    assert!(capture.at_end(&["proc.aname"])[0].starts_with("make,zsh,cc,make"));
    capture.has(&[("proc.loginshellid", "50"), ("proc.sname", "zsh"), ("proc.aname[9999]", "-")]);
}

#[test]
fn a_leader_that_has_ended_is_stood_for() {
    let mut capture = Capture::new();
    capture.call(70).has(&[
        ("proc.sid", "50"),
        ("proc.sname", "zsh"),
        ("proc.sid.exe", "-zsh"),
        ("proc.sid.exepath", "/bin/zsh"),
        ("proc.pgid", "60"),
        ("proc.pgid.name", "make"),
        ("proc.vpgid.exe", "-make"),
        ("proc.pgid.exepath", "/bin/make"),
        ("proc.is_sid_leader", "false"),
        ("proc.is_pgid_leader", "false"),
        ("proc.is_vpgid_leader", "false"),
    ]);
    capture.event(50, "procexit_e", &[("reaper_tid", Param::Pid(1))]);
    capture.call(70).has(&[("proc.sname", "make"), ("proc.pgid.name", "make")]);
    capture.event(60, "procexit_e", &[("reaper_tid", Param::Pid(1))]);
    capture.call(70).has(&[("proc.sname", "cc"), ("proc.pgid.name", "cc"), ("proc.sid", "50")]);
    // A new session and its group.
    capture.event(70, "setsid_x", &[("res", Param::Pid(70))]);
    let leads =
        [("proc.is_sid_leader", "true"), ("proc.is_pgid_leader", "true"), ("proc.is_vpgid_leader", "true")];
    capture.has(&leads);
    // A group's number in a nested namespace is not that of a process outside.
    let mut state = state();
    (state.threads[3].pgid, state.threads[3].vpgid, state.threads[3].vpid) = (-1, 1, 1);
    let nested =
        [("proc.vpgid", "1"), ("proc.pgid", "-"), ("proc.vpgid.name", "-"), ("proc.is_vpgid_leader", "true")];
    Capture::of(&state).call(70).has(&nested);
}

#[test]
fn the_first_process_stands_for_session_0() {
    let mut state = state();
    state.threads.iter_mut().for_each(|thread| (thread.sid, thread.pgid) = (0, 0));
    Capture::of(&state).call(70).has(&[
        ("proc.sid", "0"),
        ("proc.sname", "init"),
        ("proc.sid.exe", "-init"),
        ("proc.pgid.name", "init"),
        ("proc.is_sid_leader", "false"),
    ]);
}

#[test]
fn threads_are_counted() {
    let clone = crate::model::flag("clone_flags", "CLONE_THREAD");
    let counts = |threads, others| [("proc.nthreads", threads), ("proc.nchilds", others)];
    let mut capture = Capture::new();
    capture.call(70).has(&counts("1", "0"));
    capture.fork(71, 70, 60, clone, (71, 70)).fork(72, 70, 60, clone, (72, 70)).has(&counts("3", "2"));
    capture.call(72).has(&[("thread.ismain", "false"), ("proc.pid", "70"), ("proc.pid.ts", "-")]);
    // The one that ends does not count.
    capture.event(72, "procexit_e", &[]).has(&counts("2", "1"));
    capture.call(70).has(&counts("2", "1"));
    // The main thread ends first, which leaves its process its name.
    capture.event(70, "procexit_e", &[]).call(71).has(&counts("1", "1"));
    capture.has(&[("proc.aname[0]", "cc"), ("proc.vmsize", "11"), ("thread.vmsize", "0")]);
    // Another thread executes a program: it is the main thread then, and the only one.
    capture.exec(70, 60, b"").has(&counts("1", "0"));
    capture.call(70).has(&[("thread.vtid", "70"), ("proc.name", "ls"), ("proc.aname[0]", "ls")]);
    assert_eq!(capture.call(71).at_end(&["proc.name"]), ["-"]);
}

#[test]
fn after_a_gap_counts_are_unknown() {
    let fields = [("proc.nthreads", "1"), ("proc.fdopencount", "2"), ("proc.fdusage", "1")];
    let mut capture = Capture::new();
    // Nothing that changes them is missing.
    capture.gap("lost=3 ring_full=3 most=read_x:2,write_x:1").call(70).has(&fields);
    capture.gap("lost=3 ring_full=3 most=read_x:2,clone_x:1").call(70);
    capture.has(&fields.map(|(field, _)| (field, "-")));
    // A fork and an exec have one thread.
    capture.child(80, 70).has(&[("proc.nthreads", "1"), ("proc.fdopencount", "-")]);
    for harmful in ["lost=4 ring_full=4 most=read_x:3", "lost=1 ring_full=1"] {
        let mut capture = Capture::new();
        capture.gap(harmful).call(70).has(&[("proc.nthreads", "-")]);
        capture.exec(70, 60, b"").has(&[("proc.nthreads", "1"), ("proc.name", "ls")]);
    }
}

#[test]
fn memory_is_that_of_the_process() {
    let clone = crate::model::flag("clone_flags", "CLONE_THREAD");
    let mut capture = Capture::new();
    capture.fork(71, 70, 60, clone, (71, 70));
    let told = [("vm_size", Param::Uint(300)), ("vm_rss", Param::Uint(200)), ("vm_swap", Param::Uint(100))];
    capture.event(71, "brk_x", &told).call(70).has(&[
        ("proc.vmsize", "300"),
        ("proc.vmrss", "200"),
        ("proc.vmswap", "100"),
        ("thread.vmsize", "300"),
        ("thread.vmsize.b", "307200"),
        ("thread.vmrss", "200"),
        ("thread.vmrss.b", "204800"),
        ("thread.pfmajor", "0"),
    ]);
    capture.call(71).has(&[
        ("proc.vmsize", "300"),
        ("thread.vmrss.b", "0"),
        ("thread.pfmajor", "1"),
        ("thread.pfminor", "2"),
    ]);
    // The child's own return says more than the parent's, though it comes later.
    let ids = [
        ("res", Param::Pid(80)),
        ("pid", Param::Pid(70)),
        ("vtid", Param::Pid(70)),
        ("comm", Param::Text(b"cc")),
    ];
    capture.event(70, "clone_x", &ids).child(80, 70);
    capture.has(&[("proc.vmsize", "11"), ("thread.pfminor", "2"), ("proc.aname[1]", "cc")]);
}

#[test]
fn a_thread_of_which_little_is_known_has_no_wrong_values() {
    let unknown =
        ["proc.name", "proc.pid", "proc.exe", "proc.ppid", "user.uid", "proc.nthreads", "thread.vtid"];
    let mut capture = Capture::new();
    assert_eq!(capture.call(99).at_end(&unknown), ["-"; 7]);
    // The parent is unknown: what the child has of it is, too.
    capture.child(90, 99).has(&[
        ("proc.name", "child"),
        ("proc.ppid", "99"),
        ("proc.pname", "-"),
        ("user.uid", "7"),
        ("user.loginuid", "-"),
        ("proc.sid", "-"),
        ("proc.sname", "-"),
        ("proc.tty", "-"),
        ("proc.env", "-"),
        ("proc.fdlimit", "-"),
        ("proc.fdopencount", "-"),
        ("thread.cgroups", "-"),
        ("thread.cap_effective", "-"),
        ("proc.is_exe_writable", "-"),
        ("proc.is_sid_leader", "-"),
        ("proc.nthreads", "1"),
    ]);
    capture.exec(90, 99, b"x\0").has(&[
        ("proc.env", "B=2"),
        ("thread.cap_effective", "CAP_CHOWN"),
        ("proc.is_exe_writable", "true"),
        ("user.loginuid", "-1"),
        ("proc.sid", "-"),
    ]);
    // An exec of a process that nobody has told of; a clone tells its ids in a container later.
    capture.exec(95, 94, b"").has(&[
        ("proc.ppid", "94"),
        ("user.uid", "-"),
        ("thread.vtid", "-"),
        ("proc.vpid", "-"),
    ]);
    let ids =
        [("res", Param::Pid(7)), ("pid", Param::Pid(95)), ("vtid", Param::Pid(1)), ("vpid", Param::Pid(1))];
    capture.event(95, "clone_x", &ids).has(&[
        ("thread.vtid", "1"),
        ("proc.vpid", "1"),
        ("proc.nthreads", "1"),
    ]);
    assert_eq!(capture.call(7).at_end(&["proc.name"]), ["-"], "7 is a number in the container");
}

#[test]
fn a_namespace_has_one_start() {
    let mut capture = Capture::new();
    let start = ("pidns_init_start_ts", Param::Uint(500));
    let ids = |vtid| {
        [
            ("res", Param::Pid(0)),
            ("pid", Param::Pid(80)),
            ("vtid", Param::Pid(vtid)),
            ("vpid", Param::Pid(vtid)),
        ]
    };
    let comm = [("ptid", Param::Pid(70)), ("comm", Param::Text(b"c"))];
    capture.event(80, "clone_x", &[&ids(1)[..], &comm, &[start]].concat());
    let times = [("proc.pidns_init_start_ts", "1000000500"), ("proc.vpid", "1"), ("proc.pvpid", "70")];
    capture.has(&times);
    // The file that it executes is older.
    capture.exec(80, 70, b"").has(&[("proc.exe_ino.ctime_duration_pidns_start", "-"), times[0]]);
}

#[test]
fn a_switch_tells_how_long_a_thread_ran() {
    let next = |tid| [("next", Param::Pid(tid))];
    let ran = |now, all| [("thread.exectime", now), ("thread.totexectime", all)];
    let mut capture = Capture::new();
    capture.event(70, "switch_e", &next(60)).has(&ran("-", "-"));
    capture.call(60).has(&ran("-", "-"));
    capture.event(60, "switch_e", &next(70)).has(&ran("20", "20"));
    capture.event(70, "switch_e", &next(60)).has(&ran("10", "10"));
    capture.event(60, "switch_e", &next(1)).has(&ran("10", "30"));
    // The switch to it is missing: the thread is not recorded that ran between.
    capture.event(60, "switch_e", &next(70)).has(&ran("-", "-"));
    capture.gap("lost=1 ring_full=1").event(70, "switch_e", &next(60)).has(&ran("-", "-"));
}

#[test]
fn a_procinfo_event_tells_the_time_on_cpus() {
    let ticks = |user, system| [("cpu_usr", Param::Uint(user)), ("cpu_sys", Param::Uint(system))];
    let cpu =
        |all, user, system| [("thread.cpu", all), ("thread.cpu.user", user), ("thread.cpu.system", system)];
    let mut capture = Capture::new();
    capture.event(70, "procinfo_e", &ticks(100, 20)).has(&cpu("-", "-", "-"));
    capture
        .event(60, "procinfo_e", &ticks(1, 2))
        .event(70, "procinfo_e", &ticks(130, 25))
        .has(&cpu("35", "30", "5"));
    capture.event(70, "procinfo_e", &ticks(999, 25)).has(&cpu("100", "100", "0"));
    capture.call(70).has(&cpu("-", "-", "-"));
}

/// A recording of some calls may lack those that make and end threads and descriptors.
#[test]
fn where_events_are_left_out_counts_are_unknown() {
    let notice =
        |desc: &'static str| [("id", Param::Text(b"scapd.selected")), ("desc", Param::Text(desc.as_bytes()))];
    let counts = ["proc.nthreads", "proc.nchilds", "proc.fdopencount", "proc.fdusage"];
    let mut capture = Capture::new();
    capture
        .event(0, "notification_e", &notice("syscalls=read events=enter,exit tracepoints=none"))
        .child(80, 70);
    assert_eq!(capture.at_end(&counts), ["-"; 4]);
    capture.event(0, "notification_e", &notice("syscalls=all events=enter,exit tracepoints=all")).call(80);
    assert_eq!(capture.at_end(&counts), ["1", "0", "2", "1"]);
}

/// The names of sysdig 0.41.
#[test]
fn every_field_is_there() {
    const NAMES: &str = "proc.exe proc.pexe proc.aexe proc.exepath proc.pexepath proc.aexepath proc.name proc.pname \
        proc.aname proc.args proc.aargs proc.cmdline proc.pcmdline proc.acmdline proc.cmdnargs proc.cmdlenargs \
        proc.exeline proc.env proc.aenv proc.cwd proc.loginshellid proc.tty proc.pid proc.ppid proc.apid proc.vpid \
        proc.pvpid proc.sid proc.sname proc.sid.exe proc.sid.exepath proc.vpgid proc.vpgid.name proc.vpgid.exe \
        proc.vpgid.exepath proc.pgid proc.pgid.name proc.pgid.exe proc.pgid.exepath proc.duration proc.ppid.duration \
        proc.pid.ts proc.ppid.ts proc.is_exe_writable proc.is_exe_upper_layer proc.is_exe_lower_layer \
        proc.is_exe_from_memfd proc.is_sid_leader proc.is_vpgid_leader proc.is_pgid_leader proc.exe_ino \
        proc.exe_ino.ctime proc.exe_ino.mtime proc.exe_ino.ctime_duration_proc_start \
        proc.exe_ino.ctime_duration_pidns_start proc.pidns_init_start_ts thread.cap_permitted thread.cap_inheritable \
        thread.cap_effective proc.fdopencount proc.fdlimit proc.fdusage proc.vmsize proc.vmrss proc.vmswap \
        thread.pfmajor thread.pfminor thread.tid thread.ismain thread.vtid thread.nametid thread.exectime \
        thread.totexectime thread.cgroups thread.cgroup proc.nthreads proc.nchilds thread.cpu thread.cpu.user \
        thread.cpu.system thread.vmsize thread.vmrss thread.vmsize.b thread.vmrss.b proc.stdin.type proc.stdout.type \
        proc.stderr.type proc.stdin.name proc.stdout.name proc.stderr.name user.uid user.name user.homedir user.shell \
        user.loginuid user.loginname group.gid group.name";
    let is_ours = |field: &&Field| {
        ["proc.", "thread.", "user.", "group."].iter().any(|class| field.name.starts_with(class))
    };
    let mut expected: Vec<_> = NAMES.split_whitespace().collect();
    let mut names: Vec<_> = Fields.fields().iter().filter(is_ours).map(|field| field.name).collect();
    expected.sort_unstable();
    names.sort_unstable();
    assert_eq!(names, expected);
    for field in Fields.fields().iter().filter(is_ours) {
        assert!(
            !field.about.is_empty() && !field.about.ends_with('.') && !field.about.contains('\n'),
            "{}",
            field.name
        );
    }
}

proptest! {
    /// No field fails, whatever a capture says, and whatever its argument is.
    #[test]
    fn no_field_fails(mut state in strategies::state(), events in proptest::collection::vec((strategies::event(), 0..6u64), 0..30)) {
        for (i, t) in state.threads.iter_mut().enumerate() {
            (t.tid, t.pid, t.ptid) = (i as u64 % 6, i as u64 % 3, t.ptid % 6);
        }
        let mut capture = Capture::of(&state);
        for (i, ((row, values), tid)) in events.iter().enumerate() {
            capture.add(&strategies::built(row, values, i as u64, *tid));
        }
        let keys = [None, Some(Key::Index(0)), Some(Key::Index(u32::MAX)), Some(Key::Name("cpu".into()))];
        capture.replay(|moment| {
            for (field, argument) in (0..Fields.fields().len()).flat_map(|field| keys.clone().map(|key| (field, key))) {
                moment.values(&Reference { field, argument }, &mut |_| true);
            }
        });
    }
}
