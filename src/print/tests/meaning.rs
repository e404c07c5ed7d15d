//! What stands in parentheses behind a value.

use super::*;
use scap::events::Syscall;

fn line(capture: Capture) -> String {
    capture.lines().pop().unwrap()
}

#[test]
fn only_a_directory_can_be_the_current_one() {
    let at_cwd = Value::Fd(-100);
    assert_eq!(line(Capture::new().event(100, "close_e", &[at_cwd])), "> close fd=-100");
    let openat = Capture::new().event(100, "openat_e", &[at_cwd, Value::Text(b"/x")]);
    assert_eq!(line(openat), "> openat dirfd=-100(AT_FDCWD) name=/x");
}

#[test]
fn a_result_below_0_is_an_error_and_0_is_a_descriptor() {
    let opened = |fd| {
        let values = [Value::Fd(fd), Value::Fd(-100), Value::Text(b"/x"), Value::Flags(1)];
        line(Capture::new().event(100, "openat_x", &values))
    };
    assert!(opened(-2).starts_with("< openat fd=-2(ENOENT) "), "{}", opened(-2));
    assert!(opened(0).starts_with("< openat fd=0(<f>/x) "), "{}", opened(0));
    let forked = |res| line(Capture::new().fork(100, res, 100, 1));
    assert!(forked(-11).starts_with("< fork res=-11(EAGAIN) "), "{}", forked(-11));
    assert!(forked(0).starts_with("< fork res=0 "), "{}", forked(0));
}

#[test]
fn a_relative_path_is_shown_whole() {
    let (dir, name) = (Value::Fd(3), Value::Text(b"sub/../f"));
    let enter = line(Capture::new().event(100, "openat_e", &[dir, name]));
    assert!(enter.ends_with(" name=sub/../f(/srv/data/f)"), "{enter}");
    let exit = line(Capture::new().event(100, "openat_x", &[Value::Fd(-2), dir, name]));
    assert!(exit.ends_with(" name=sub/../f(/srv/data/f)"), "{exit}");
    let cwd = line(Capture::new().event(100, "openat_x", &[Value::Fd(-2), Value::Fd(-100), name]));
    assert!(cwd.ends_with(" name=sub/../f(/srv/f)"), "{cwd}");
    // Nothing is known of that descriptor.
    let unknown = line(Capture::new().event(100, "openat_x", &[Value::Fd(-2), Value::Fd(77), name]));
    assert!(unknown.ends_with(" name=sub/../f"), "{unknown}");
}

#[test]
fn the_descriptor_of_anonymous_memory_is_none_and_that_of_other_calls_is_one() {
    // MAP_ANONYMOUS has the number of O_APPEND.
    let anonymous = 8;
    let values = [Value::Fd(9), Value::Fd(-100), Value::Text(b"/x"), Value::Flags(anonymous)];
    let opened = line(Capture::new().event(100, "openat_x", &values));
    assert!(opened.starts_with("< openat fd=9(<"), "{opened}");
    let mapped = |flags| {
        let row = newest("mmap_e");
        let value = |name| match name {
            "fd" => Value::Fd(3),
            "flags" => Value::Flags(flags),
            _ => NA,
        };
        let values: Vec<_> = row.params.iter().map(|param| value(param.name)).collect();
        line(Capture::new().row(100, row, &values))
    };
    assert!(mapped(0).contains(" fd=3(<f>/srv/data)"), "{}", mapped(0));
    assert!(mapped(anonymous).contains(" fd=3 "), "{}", mapped(anonymous));
}

#[test]
fn an_event_has_the_name_of_its_call_or_its_own() {
    let call = Syscall::by_name("getppid").unwrap();
    // By the stable code, whatever the number is; by the number where there is no code.
    for (code, native) in [(call.code, u16::MAX), (0, call.number(scap::events::Arch::NATIVE).unwrap())] {
        let values = [Value::Syscall(code), Value::Uint(native.into())];
        let line = line(Capture::new().event(100, "syscall_x", &values));
        assert!(line.starts_with("< getppid "), "{line}");
    }
    let values = [Value::Uint(0), Value::Text(b"container_added"), NA];
    let capture =
        Capture::new().row(100, EVENTS.iter().find(|row| row.name == "asyncevent").unwrap(), &values);
    assert_eq!(capture.json()[0]["type"], "container_added");
}
