//! What the kernel decides of a filter by the arguments of a call.

use std::ffi::{CStr, CString};

use scap::{
    fields::Fields,
    filter::{Filter, Places},
};
use scapd::probe::KernelFilter;

use super::look_at;
use crate::{harness::Test, syscall};

fn set(t: &mut Test, text: &str) {
    let places = Places::of(&Filter::parse(text, &Fields).unwrap());
    let (clauses, arguments) = (places.early().to_vec(), places.arguments().clone());
    assert!(!arguments.is_empty(), "{text}");
    t.change(|control| control.set_filter(&KernelFilter { clauses, arguments, kept: places.kept(true) }));
}

/// Returns whether the return of an action is taken. Its entry has no path.
fn is_taken(t: &mut Test, action: impl FnOnce() -> i64) -> bool {
    let before = t.left_out().sieved;
    let returns = t.names(action).iter().filter(|(program, _)| program.ends_with("_x")).count();
    assert_eq!(returns as u64 + t.left_out().sieved - before, 1, "taken or counted as left out");
    returns == 1
}

fn path(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn assert_takes(t: &mut Test, filter: &str, cases: &[(&str, bool)]) {
    set(t, filter);
    for (text, expected) in cases {
        let path = path(text);
        assert_eq!(is_taken(t, || look_at(&path)), *expected, "{filter}: {text}");
    }
}

pub fn compares_whole_texts_starts_and_ends(t: &mut Test) {
    assert_takes(
        t,
        "evt.rawarg.path = /no/where",
        &[
            ("/no/where", true),
            ("/no/wher", false),
            ("/no/where/", false),
            ("/no/where2", false),
            ("", false),
        ],
    );
    assert_takes(t, "evt.rawarg.path != /no/where", &[("/no/where", false), ("/no/wher", true)]);
    assert_takes(t, "not evt.rawarg.path = /no/where", &[("/no/where", false), ("x", true)]);
    assert_takes(
        t,
        "evt.rawarg.path startswith /no/w",
        &[("/no/w", true), ("/no/where", true), ("/no/v", false), ("no/w", false), ("/", false)],
    );
    assert_takes(
        t,
        "evt.rawarg.path endswith .log",
        &[("/no/x.log", true), (".log", true), ("/no/x.log2", false), ("log", false), ("/no/x.log/y", false)],
    );
    assert_takes(
        t,
        "evt.rawarg.path in (/no/a, /no/b) or evt.rawarg.path startswith /no/c",
        &[("/no/a", true), ("/no/b", true), ("/no/c/d", true), ("/no/d", false), ("/no/ab", false)],
    );
    assert_takes(
        t,
        "evt.rawarg.path startswith /no and not evt.rawarg.path endswith .so",
        &[("/no/a", true), ("/no/a.so", false), ("/on/a", false)],
    );
}

pub fn takes_paths_that_may_be_others(t: &mut Test) {
    assert_takes(
        t,
        "evt.arg.path startswith /no/where",
        &[
            ("/no/where/x", true),
            ("/no/thing", false),
            ("/no/.thing", false),
            ("/no/thing..", false),
            ("/no/thing.x/y.z", false),
            // Only the recorder knows what these are.
            ("no/where", true),
            ("", true),
            ("/no//where", true),
            ("/no/./where", true),
            ("/no/../no/where", true),
            ("/on/..", true),
            ("/on/.", true),
            ("/on/", true),
            ("//on", true),
        ],
    );
    set(t, "evt.arg.path startswith /no/where");
    // At all places of the words that are compared at once.
    for length in (1..40).chain([500, 990]) {
        let start = format!("/{}", "x".repeat(length));
        for (end, expected) in
            [("/../no/where", true), ("//y", true), ("/./y", true), ("/y", false), ("/.y", false)]
        {
            let path = path(&format!("{start}{end}"));
            assert_eq!(is_taken(t, || look_at(&path)), expected, "{length}: {end}");
        }
    }
    let long = path(&format!("/{}/..", "x/".repeat(700)));
    assert!(is_taken(t, || look_at(&long)), "one that is too long to look through");
}

pub fn compares_with_many_texts(t: &mut Test) {
    let many: Vec<_> = (0..3000).map(|n| format!("/no/{n}/where")).collect();
    let filter = format!("evt.arg.path pmatch ({})", many.join(","));
    assert_takes(
        t,
        &filter,
        &[
            ("/no/0/where", true),
            ("/no/2999/where/x", true),
            ("/no/2999/wherever", false),
            ("/no/3000/where", false),
            ("/no/1", false),
        ],
    );
    // Texts that are starts of others.
    assert_takes(
        t,
        "evt.arg.path startswith /a/b or (evt.arg.path startswith /a and evt.arg.path endswith /c)",
        &[("/a/b/x", true), ("/a/c", true), ("/a/x", false), ("/c", false), ("/a/b/c", true)],
    );
}

pub fn follows_a_change_of_texts(t: &mut Test) {
    // Three, so that each one is in both sieves.
    for _ in 0..2 {
        for (own, other) in [("/no/a", "/no/b"), ("/no/b", "/no/c"), ("/no/c", "/no/a")] {
            assert_takes(t, &format!("evt.rawarg.path = {own}"), &[(own, true), (other, false)]);
        }
    }
    t.change(|control| control.set_filter(&KernelFilter::default()));
    assert!(is_taken(t, || look_at(c"/no/c")));
}

pub fn compares_what_a_result_makes_of_interest(t: &mut Test) {
    t.select(&["rmdir", "mkdir", "openat"]);
    let rmdir = |path: &'static CStr| syscall!(SYS_rmdir, path.as_ptr());
    set(t, "fs.path.name startswith /no");
    assert!(!is_exit_taken(t, || rmdir(c"/no/where")), "it has no such field, as it fails");
    set(t, "not fs.path.name startswith /no");
    assert!(is_exit_taken(t, || rmdir(c"/no/where")));
    let folder = std::env::temp_dir().join(format!("scapd-sift-{}", std::process::id()));
    let folder = CString::new(folder.into_os_string().into_encoded_bytes()).unwrap();
    let mkdir = |path: &CStr| syscall!(SYS_mkdir, path.as_ptr(), 0o700);
    for (filter, expected) in [("not fs.path.name startswith /", false), ("fs.path.name startswith /", true)]
    {
        set(t, filter);
        assert_eq!(is_exit_taken(t, || mkdir(&folder)), expected, "{filter}");
        assert_eq!(syscall!(SYS_rmdir, folder.as_ptr()), 0);
    }
    // What may change a name is taken, whatever the filter says.
    set(t, "evt.rawarg.name = /no/where");
    let open = |path: &'static CStr| syscall!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), 0);
    let mut fd = -1;
    assert!(is_exit_taken(t, || {
        fd = open(c"/");
        fd
    }));
    syscall!(SYS_close, fd);
    assert!(!is_exit_taken(t, || open(c"/no/thing")));
}

/// The same as [`is_taken`], of a call whose entry may have a path.
fn is_exit_taken(t: &mut Test, action: impl FnOnce() -> i64) -> bool {
    t.names(action).iter().any(|(program, _)| program.ends_with("_x"))
}

pub fn compares_arguments_of_extensions(t: &mut Test) {
    t.select(&["faccessat"]);
    t.change(|control| control.set_extensions(true));
    let access = |path: &CStr| syscall!(SYS_faccessat, libc::AT_FDCWD, path.as_ptr(), 0);
    set(t, "evt.arg.path startswith /no");
    assert!(is_exit_taken(t, || access(c"/no/where")));
    assert!(!is_exit_taken(t, || access(c"/on/where")));
    // Without its extension, an event has no path to compare.
    t.change(|control| control.set_extensions(false));
    assert!(is_exit_taken(t, || access(c"/on/where")));
    t.change(|control| control.set_extensions(true));
}
