//! Tests of the table of extensions.

use std::{fmt::Write, fs, path::Path};

use super::*;
use crate::events::{Layout, Syscall, event};

#[test]
fn a_type_has_one_row_and_belongs_to_what_the_row_extends() {
    let mut seen = std::collections::BTreeSet::new();
    for row in &EXTENSIONS {
        let own = &row.own;
        assert!(seen.insert(own.ty), "{} has the type of another row", own.code);
        assert_eq!(Extends::of(own.ty), Some(row.extends), "{}", own.code);
        assert_eq!(event(own.ty), Some(own));
        assert_eq!(extension(own.ty), Some(row));
        match row.extends {
            Extends::Call(code) => {
                assert_eq!(Syscall::by_code(code).unwrap().name, own.name);
                assert_eq!(own.ty.0, 0x8000 + 2 * code + u16::from(!own.ty.is_enter()));
                assert_eq!(row.joined.ty.0, u16::from(!own.ty.is_enter()));
            }
            Extends::Event(ty) => {
                assert_eq!(own.ty.0, 0x9000 + ty.0);
                let base = event(ty).unwrap();
                assert_eq!((row.joined.ty, base.program), (ty, own.program), "{}", own.code);
                assert!(base.program.is_some(), "{} extends what nothing records", own.code);
            }
            Extends::Nothing => assert!(own.ty.0 >= 0xa000, "{}", own.code),
        }
    }
    assert_eq!(event(EventType(0x7fff)), None);
    assert_eq!(event(EventType(0xffff)), None);
    assert_eq!(Extends::of(EventType(0x7fff)), None);
    assert_eq!(Extends::of(EventType(0xffff)), Some(Extends::Nothing));
}

#[test]
fn a_call_without_a_program_is_what_a_call_extends() {
    for row in &EXTENSIONS {
        if let Extends::Call(code) = row.extends {
            let call = Syscall::by_code(code).unwrap();
            assert!(call.enter().is_none() && call.exit().is_none(), "{} has programs", call.name);
        }
    }
}

#[test]
fn the_joined_row_has_the_parameters_of_both() {
    for row in EXTENSIONS.iter().filter(|row| row.extends != Extends::Nothing) {
        let (base, own) = (event(row.joined.ty).unwrap().params, row.own.params);
        let (first, rest) = row.joined.params.split_at(row.base_params());
        assert_eq!(first, base, "{}", row.own.code);
        for (joined, own) in rest.iter().zip(own) {
            assert_eq!((joined.name, joined.ty), (own.name, own.ty), "{}", row.own.code);
            if let (Detail::DirFd(joined), Detail::DirFd(own)) = (joined.detail, own.detail) {
                assert_eq!(usize::from(joined), base.len() + usize::from(own));
            }
        }
        let mut names: Vec<_> = row.joined.params.iter().map(|param| param.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), row.joined.params.len(), "{}: two parameters of a name", row.own.code);
    }
}

#[test]
fn a_path_behind_the_descriptor_of_a_directory_is_relative_to_it() {
    let statx = Syscall::by_name("statx").unwrap().code;
    let row = extension(EventType(0x8000 + 2 * statx + 1)).unwrap();
    let path = row.joined.param("path").unwrap();
    assert_eq!(row.joined.params[path].detail, Detail::DirFd(3));
    assert_eq!(row.joined.params[3].name, "dirfd");
    assert_eq!(row.own.params[row.own.param("path").unwrap()].detail, Detail::DirFd(1));
}

/// The enter event has the parameters of the exit event without the result, so that both have the same arguments.
#[test]
fn both_events_of_a_call_have_its_arguments() {
    for row in EXTENSIONS.iter().filter(|row| matches!(row.extends, Extends::Call(_))) {
        assert!(row.args.iter().all(|arg| arg.index < 6), "{}: no call has so many arguments", row.own.code);
        let behind = if row.own.ty.is_enter() { 0 } else { 1 };
        assert_eq!(row.own.params.len(), behind + row.args.len(), "{}", row.own.code);
        let is_effective = row.own.effect().is_some();
        assert!(!row.own.ty.is_enter() || !row.own.takes_effect(), "{} {is_effective}", row.own.code);
    }
}

#[test]
fn every_call_that_makes_a_descriptor_has_an_effect() {
    for row in EXTENSIONS.iter().filter(|row| matches!(row.extends, Extends::Call(_))) {
        let makes = !row.own.ty.is_enter() && row.own.flags.contains(EventFlags::CREATES_FD);
        assert_eq!(row.joined.takes_effect(), makes, "{}: which STATE_ token?", row.own.code);
    }
}

#[test]
fn a_structure_has_a_layout_and_everything_else_has_not() {
    for row in &EXTENSIONS {
        for param in row.own.params {
            let is_structure = matches!(param.ty, ParamType::STRUCT | ParamType::STRUCTS);
            let layouts: &[Layout] = match param.detail {
                Detail::Layout(table) => table,
                _ => &[],
            };
            assert_eq!(is_structure, !layouts.is_empty(), "{}.{}", row.own.code, param.name);
        }
    }
}

#[test]
fn the_rows_of_all_tables_stand_at_their_places() {
    let all: Vec<_> = rows().collect();
    assert_eq!(all.len(), EVENTS.len() + 2 * EXTENSIONS.len());
    for row in EVENTS {
        assert_eq!(all[row_of_type(row.ty).unwrap()], row);
    }
    for row in &EXTENSIONS {
        assert_eq!(all[row_of_type(row.own.ty).unwrap()], &row.own);
        assert_eq!(all[row_of_joined(row.own.ty).unwrap()], &row.joined);
    }
    assert_eq!(row_of_type(EventType(EVENTS.len() as u16)), None);
    assert_eq!(row_of_joined(EventType(1)), None);
}

#[test]
fn an_enter_event_is_extended_only_if_its_call_may_wait() {
    let code = |name: &str| Syscall::by_name(name).unwrap().code;
    assert!(is_extended(EventType(1), || code("statx")));
    assert!(!is_extended(EventType(0), || code("statx")));
    assert!(is_extended(EventType(0), || code("fsync")) && is_extended(EventType(1), || code("fsync")));
    assert!(!is_extended(EventType(1), || code("read")) && !is_extended(EventType(1), || u16::MAX));
    assert!(!is_extended(EventType(u16::MAX), || 0));
}

/// Rows of the two kinds that the events of programs and events of our own have.
#[allow(non_upper_case_globals)]
mod others {
    use super::*;
    extension!(EXTENSION(openat_x, STATE_OPEN, P(path, FSPATH, NA) P(at, FSRELPATH, NA, dirfd, 0)));
    extension!(PRIVATE(PPME_TEST_E, 0xa0f0, test, tested, TRACEPOINT, IO_OTHER, USES_FD, P(fd, FD, DEC)
        P(flags, FLAGS32, HEX, file_flags) P(time, STRUCT, NA, timespec)));
}

#[test]
fn the_row_of_an_extension_follows_from_its_program() {
    let [row] = others::openat_x else { panic!("one type") };
    let base = crate::events::event_by_program("openat_x").unwrap();
    assert_eq!((row.own.ty.0, row.extends), (0x9000 + base.ty.0, Extends::Event(base.ty)));
    assert_eq!((row.own.name, row.own.code, row.own.source), ("openat", "EXT_openat_x", Source::Extension));
    assert_eq!((row.joined.name, row.joined.source, row.joined.code), (base.name, base.source, base.code));
    assert_eq!(row.base_params(), base.params.len());
    assert_eq!(row.joined.params.last().unwrap().detail, Detail::DirFd(base.params.len() as u8));
    assert_eq!(row.own.params[1].detail, Detail::DirFd(0));
    assert!(row.joined.flags.contains(EventFlags::CREATES_FD), "of the event");
}

#[test]
fn an_event_of_our_own_extends_nothing() {
    let [row] = others::test else { panic!("one type") };
    assert_eq!((row.own.ty.0, row.own.name, row.extends), (0xa0f0, "tested", Extends::Nothing));
    assert_eq!((row.own, row.base_params()), (row.joined, 0));
    assert_eq!((row.own.category, row.own.program), (Category::IoOther, Some("test")));
    assert!(matches!(row.own.params[1].detail, Detail::Flags(_)));
    assert!(matches!(row.own.params[2].detail, Detail::Layout(_)));
}

/// One line for each type: its number, its row, and its parameters with their encoding.
fn lines() -> Vec<String> {
    let mut rows: Vec<_> = EXTENSIONS.iter().map(|row| &row.own).collect();
    rows.sort_by_key(|row| row.ty);
    rows.iter().map(|row| line(row)).collect()
}

fn line(row: &Event) -> String {
    let mut line = format!("{:#06x} {}", row.ty.0, row.code);
    for param in row.params {
        let list = match param.detail {
            Detail::Layout(table) => format!(":{}", table[0].name),
            Detail::Flags(table) => format!(":{}", table[0].table),
            _ => String::new(),
        };
        write!(line, " {}:{}{list}", param.name, param.ty.name()).unwrap();
    }
    line
}

/// `tests/data/extensions.txt` holds the types and their parameters. Captures have these numbers, so a line may only become
/// longer: lines may be added, and parameters at the end of a line.
#[test]
fn types_and_parameters_never_change() {
    let kept = include_str!("../../../tests/data/extensions.txt");
    let now = lines();
    for kept in kept.lines() {
        let is_kept = |now: &&String| {
            now.strip_prefix(kept).is_some_and(|more| more.is_empty() || more.starts_with(' '))
        };
        assert!(now.iter().any(|now| is_kept(&now)), "this row is gone or has changed, and must not: {kept}");
    }
    if now.iter().map(String::as_str).ne(kept.lines()) {
        let new = Path::new(env!("OUT_DIR")).join("extensions.txt");
        fs::write(&new, now.join("\n") + "\n").unwrap();
        panic!("rows were added: cp {} scap/tests/data/extensions.txt", new.display());
    }
}
