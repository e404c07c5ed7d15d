//! Tests of what tasks share.

use super::*;
use crate::model::{
    fds::{FdClass, OpenFd},
    flags::{CLONE_FILES, CLONE_FS},
};

fn child(tid: u64, pid: u64, flags: u32) -> Child<'static> {
    Child {
        tid,
        pid,
        parent: 1,
        ptid: None,
        comm: b"c",
        flags,
        told: Told::Both,
        nested: None,
        more: More::default(),
    }
}

fn parent() -> Tasks {
    let mut tasks = Tasks::default();
    tasks.add(1, 1, b"p", Told::Both, None);
    open(&mut tasks, 1, 3);
    tasks
}

fn open(tasks: &mut Tasks, tid: u64, fd: i64) {
    tasks.files_mut(tid).insert(fd, OpenFd::new(FdClass::File, b"/a"), false);
}

fn has(tasks: &Tasks, tid: u64, fd: i64) -> bool {
    tasks.files(tid).is_some_and(|files| files.get(fd).is_some())
}

#[test]
fn descriptors_are_shared_or_copied() {
    let mut tasks = parent();
    tasks.fork(&child(2, 2, CLONE_FILES));
    tasks.fork(&child(3, 3, 0));
    open(&mut tasks, 2, 4);
    open(&mut tasks, 3, 5);
    assert_eq!([1, 2, 3].map(|tid| [3, 4, 5].map(|fd| has(&tasks, tid, fd))), {
        [[true, true, false], [true, true, false], [true, false, true]]
    });
    // An exec ends the sharing; the end of one process leaves the other its descriptors.
    tasks.exec(2, 2, b"x");
    open(&mut tasks, 2, 6);
    assert!(has(&tasks, 2, 3) && !has(&tasks, 1, 6));
    tasks.end(2, None);
    assert!(has(&tasks, 1, 4));
    [1, 3].into_iter().for_each(|tid| tasks.end(tid, None));
    assert!(tasks.files.items.is_empty() && tasks.directories.items.is_empty());
}

#[test]
fn a_thread_may_have_descriptors_of_its_own() {
    let mut tasks = parent();
    tasks.fork(&child(2, 1, CLONE_THREAD | CLONE_FILES | CLONE_FS));
    tasks.fork(&child(3, 1, CLONE_THREAD | CLONE_FS));
    open(&mut tasks, 1, 4);
    assert!(has(&tasks, 2, 4) && !has(&tasks, 3, 4) && has(&tasks, 3, 3));
    tasks.unshare(2, true, true);
    open(&mut tasks, 2, 5);
    *tasks.cwd_mut(2) = (*b"/x").into();
    assert!(has(&tasks, 2, 4) && !has(&tasks, 1, 5));
    assert_eq!((tasks.cwd(1), tasks.cwd(2)), (None, Some(&b"/x"[..])));
    // Its exec makes its descriptors the process's.
    tasks.exec(2, 1, b"x");
    assert!(has(&tasks, 2, 5));
    [1, 2, 3].into_iter().for_each(|tid| tasks.end(tid, None));
    assert!(tasks.files.items.is_empty() && tasks.directories.items.is_empty());
}

#[test]
fn an_ended_child_keeps_its_name_until_its_parent_returns() {
    let mut tasks = parent();
    tasks.fork(&Child { told: Told::Child, ..child(2, 2, 0) });
    tasks.end(2, None);
    assert_eq!((tasks.comm(2), tasks.last_comm(2)), (None, Some(&b"c"[..])));
    assert!(!tasks.is_gone(2) && !has(&tasks, 2, 3));
    tasks.fork(&Child { told: Told::Parent, ..child(2, 2, 0) });
    assert!(tasks.is_gone(2));
    tasks.end(2, None);
    assert_eq!(tasks.last_comm(2), None);
    tasks.end(1, None);
    assert!(tasks.files.items.is_empty() && tasks.processes.is_empty());
}

#[test]
fn a_thread_that_nobody_has_told_of_has_the_name_of_those_that_make_one() {
    let mut tasks = parent();
    tasks.add(2, 2, b"q", Told::Both, None);
    assert_eq!(tasks.unborn_comm(), None);
    tasks.begin_clone(1, 9);
    assert_eq!(tasks.unborn_comm(), Some(&b"p"[..]));
    // It may be the child of either.
    tasks.begin_clone(2, 9);
    assert_eq!(tasks.unborn_comm(), None);
    tasks.rename(2, b"p");
    assert_eq!(tasks.unborn_comm(), Some(&b"p"[..]));
    tasks.end_clone(2);
    tasks.fork(&child(3, 3, 0));
    assert_eq!(tasks.unborn_comm(), None);
}

#[test]
fn what_a_child_shares_is_what_its_flags_say() {
    let shares = |pid, flags| {
        let mut tasks = parent();
        *tasks.cwd_mut(1) = (*b"/p").into();
        tasks.fork(&child(2, pid, flags));
        open(&mut tasks, 2, 4);
        *tasks.cwd_mut(2) = (*b"/c").into();
        assert!(has(&tasks, 2, 3) && has(&tasks, 2, 4));
        (has(&tasks, 1, 4), tasks.cwd(1) == Some(b"/c"))
    };
    for (pid, flag) in [(2, 0), (1, CLONE_THREAD)] {
        assert_eq!(shares(pid, flag), (false, false));
        assert_eq!(shares(pid, flag | CLONE_FILES), (true, false));
        assert_eq!(shares(pid, flag | CLONE_FS), (false, true));
        assert_eq!(shares(pid, flag | CLONE_FILES | CLONE_FS), (true, true));
    }
}

#[test]
fn the_state_has_the_directories_of_threads_and_the_numbers_of_a_container() {
    let thread = |tid, pid, cwd: &str, vtid| StateThread {
        tid,
        pid,
        comm: b"c".into(),
        cwd: cwd.into(),
        vtid,
        pidns_init_start_ts: 77,
        ..StateThread::default()
    };
    let state = [thread(10, 10, "/a", 1), thread(11, 10, "/b", 2), thread(20, 20, "/c", 20)];
    let tasks = Tasks::of_state(&state, 5, false);
    assert_eq!([10, 11, 20].map(|tid| tasks.cwd(tid)), [&b"/a"[..], b"/b", b"/c"].map(Some));
    // In a container, 1 is its first process; outside, it is 1.
    assert_eq!((tasks.resolve(11, 1), tasks.resolve(20, 20)), (Some(10), Some(20)));
    assert_eq!(tasks.resolve(10, 2), Some(11));
}

#[test]
fn only_the_clone_whose_child_was_seen_is_no_news() {
    let mut tasks = parent();
    tasks.born.extend([(1, Some(9)), (2, None)]);
    // The return of the first one is lost.
    tasks.begin_clone(1, 12);
    tasks.begin_clone(2, 12);
    assert_eq!((tasks.cloning.contains(&1), tasks.cloning.contains(&2)), (true, false));
    tasks.end_clone(1);
    tasks.born.insert(1, Some(12));
    tasks.begin_clone(1, 12);
    assert!(tasks.cloning.is_empty() && tasks.born.is_empty());
}
