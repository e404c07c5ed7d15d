//! What is loaded and selected, beside what was asked for.

use super::*;
use scap::events::Syscall;

fn set(names: &[&str]) -> SyscallSet {
    names.iter().map(|name| Syscall::by_name(name).unwrap()).collect()
}

fn wanted(names: &[&str]) -> Wanted {
    Wanted::new(&config(names))
}

fn config(names: &[&str]) -> Config {
    Config { syscalls: Some(set(names)), ..Config::default() }
}

#[test]
fn names_are_followed_unless_nothing_else_is_asked_for() {
    let close = Syscall::by_name("close").unwrap();
    let read = wanted(&["read"]);
    assert!(read.has_companions());
    assert!(read.selection().for_names.calls.contains(close));
    assert!(read.tracepoints().contains(Tracepoint::SchedProcessExit));
    let only = Wanted { only: true, tracepoints: TracepointSet::none(), ..read.clone() };
    assert!(!only.has_companions());
    assert!(only.selection().for_names.calls.is_empty());
    assert!(only.tracepoints().is_empty());
    // A recording of everything has them anyway.
    assert!(!Wanted { syscalls: None, ..read.clone() }.has_companions());
    assert!(!Wanted { syscalls: None, only: true, ..read.clone() }.has_companions());
}

#[test]
fn each_direction_is_selected_by_itself() {
    for (enter, exit) in [(true, true), (true, false), (false, true)] {
        let wanted = Wanted { directions: Directions { enter, exit }, ..wanted(&["read"]) };
        let (selection, read) = (wanted.selection(), Syscall::by_name("read").unwrap());
        assert_eq!((selection.enter.contains(read), selection.exit.contains(read)), (enter, exit));
        assert!(!selection.enter.contains(Syscall::by_name("write").unwrap()));
        assert_eq!((wanted.asked().enter, wanted.asked().exit), (enter, exit));
    }
}

#[test]
fn a_change_replaces_the_calls_and_keeps_the_rest() {
    let before = Wanted { directions: Directions { enter: false, exit: true }, ..wanted(&["read"]) };
    let settings = LiveSettings { only: true, ..LiveSettings::from(&config(&["write"])) };
    let after = before.changed(&settings);
    assert_eq!(after.asked(), Asked { syscalls: Some(set(&["write"])), ..before.asked() });
    assert!(after.only && !before.only);
    assert_eq!(before.and(set(&["write"])).asked().syscalls, Some(set(&["read", "write"])));
}

#[test]
fn new_names_are_needed_when_more_is_followed() {
    let (directories, descriptors) = (wanted(&["access"]), wanted(&["read"]));
    assert!(descriptors.needs_new_names(&directories));
    assert!(!directories.needs_new_names(&descriptors));
    assert!(!descriptors.needs_new_names(&descriptors));
    assert!(!Wanted { only: true, ..descriptors.clone() }.needs_new_names(&directories));
}

#[test]
fn what_may_be_selected_later_is_loaded_at_the_start() {
    let has = |set: &SyscallSet, name| set.contains(Syscall::by_name(name).unwrap());
    let mut config = Config { only: true, ..config(&["read"]) };
    config.probe.snaplen = 77;
    config.probe.tracepoints = [Tracepoint::SchedSwitch].into_iter().collect();
    let load = |config: &Config, test| Wanted::new(config).to_load(config, 9, test);

    let (selection, options) = load(&config, None);
    assert!(has(&selection.exit, "read") && !has(&selection.exit, "write"));
    assert_eq!((options.targets, options.snaplen, options.unknown_calls), (9, 77, false));
    assert_eq!(options.tracepoints, config.probe.tracepoints);

    let (selection, _) = load(&config, Syscall::by_name("getpid"));
    assert!(has(&selection.exit, "getpid") && !has(&selection.exit, "write"));

    config.selectable = true;
    let (selection, options) = load(&config, None);
    assert!(has(&selection.exit, "write") && options.unknown_calls);
    assert!(options.tracepoints.contains(Tracepoint::SchedProcessExit));

    let all = Config { syscalls: None, selectable: false, ..config };
    assert!(load(&all, None).1.unknown_calls);
}
