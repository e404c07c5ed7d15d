//! Tests of the table of events.

use super::*;
use crate::events::{Syscall, types};

#[test]
fn an_event_stands_at_its_number() {
    for (i, e) in EVENTS.iter().enumerate() {
        assert_eq!(e.ty.0 as usize, i, "{}", e.code);
    }
}

#[test]
fn codes_and_programs_are_unique() {
    for (i, a) in EVENTS.iter().enumerate() {
        for b in &EVENTS[i + 1..] {
            assert_ne!(a.code, b.code);
            assert!(a.program.is_none() || a.program != b.program, "{:?} twice", a.program);
        }
    }
}

/// A row that makes or ends a descriptor without an effect would make a reader's descriptors wrong.
#[test]
fn every_row_that_makes_or_ends_a_descriptor_has_an_effect() {
    for e in EVENTS.iter().filter(|e| e.source != Source::Syscall || !e.ty.is_enter()) {
        let concerns = e.flags.contains(EventFlags::CREATES_FD) || e.flags.contains(EventFlags::DESTROYS_FD);
        assert!(
            !concerns || e.own_effect.is_some(),
            "{} makes or ends a descriptor: its row needs a STATE_ token of include/effects.def",
            e.code
        );
    }
}

#[test]
fn the_effect_of_a_call_stands_in_its_exit_row() {
    for e in EVENTS.iter().filter(|e| e.source == Source::Syscall && e.ty.is_enter()) {
        assert!(e.own_effect.is_none(), "{}: the STATE_ token belongs to the exit event's row", e.code);
    }
}

#[test]
fn rows_of_a_name_have_the_same_effect() {
    for e in EVENTS.iter().filter(|e| e.effect().is_some_and(|effect| effect != Effect::Memory)) {
        let others = EVENTS.iter().filter(|other| other.name == e.name);
        others.for_each(|other| assert_eq!(other.effect(), e.effect(), "{}", other.code));
    }
    for effect in Effect::ALL {
        assert!(types().any(|e| e.own_effect == Some(*effect)), "no row has {effect:?}");
    }
}

/// A schema determines only the number of parameters, so newer parameters must come last.
#[test]
fn parameters_of_later_schemas_stand_behind_older_ones() {
    for e in EVENTS {
        assert!(e.params.is_sorted_by_key(|p| p.since), "{}", e.code);
    }
    let newer = |e: &&Event| e.recorded(Schema::V0_23) < e.params.len();
    let rows: Vec<_> = EVENTS.iter().filter(newer).map(|e| e.code).collect();
    assert_eq!(rows, ["PPME_SOCKET_SOCKET_X", "PPME_SYSCALL_FCNTL_X"]);
    assert!(EVENTS.iter().all(|e| e.recorded(Schema::LATEST) == e.params.len()));
}

#[test]
fn an_enter_event_is_even_and_its_exit_event_follows() {
    for e in EVENTS {
        let suffix = if e.ty.is_enter() { "_E" } else { "_X" };
        assert!(e.code.ends_with(suffix), "{} has number {}", e.code, e.ty);
        let pair = event(e.ty.pair()).unwrap();
        assert_eq!(e.code[..e.code.len() - 2], pair.code[..pair.code.len() - 2]);
    }
}

#[test]
fn a_program_fits_its_row() {
    for e in EVENTS {
        let Some(program) = e.program else { continue };
        let fixed = e.params.iter().all(|p| p.ty.size().is_some());
        assert_eq!(e.template == Template::Ringbuf, fixed, "{program}: the wrong template");
        if e.source == Source::Syscall {
            let (stem, suffix) = program.split_at(program.len() - 2);
            assert_eq!(suffix, if e.ty.is_enter() { "_e" } else { "_x" }, "{program}");
            assert!(stem == "generic" || Syscall::by_stem(stem).is_some(), "{program}: no such call");
            let pair = event(e.ty.pair()).unwrap();
            assert!(pair.program.is_some(), "{program} has no partner");
        }
    }
}

#[test]
fn a_relative_path_names_a_descriptor() {
    for e in EVENTS {
        for p in e.params {
            if let Detail::DirFd(i) = p.detail {
                assert_eq!(e.params[i as usize].ty, ParamType::FD, "{}.{}", e.code, p.name);
            }
        }
    }
}

/// `tests/data/events.txt` is an independent list of the event table: number, code, name, parameters.
#[test]
fn codes_and_parameters_are_those_of_the_format() {
    let facts = include_str!("../../../tests/data/events.txt");
    let mut rows = EVENTS.iter();
    for line in facts.lines() {
        let e = rows.next().unwrap();
        let mut ours = format!("{} {} {} ", e.ty, e.code, e.name);
        let params: Vec<String> = e
            .params
            .iter()
            .map(|p| {
                let list = match p.detail {
                    Detail::None => String::new(),
                    Detail::Flags(table) => format!(":{}", table[0].table),
                    Detail::Dyn(entries) => format!(":{}", entries[0].list),
                    Detail::DirFd(i) => format!(":dirfd_param:{i}"),
                    Detail::ByOpcode(i) => format!(":by_opcode:{i}"),
                    Detail::Layout(table) => format!(":{}", table[0].name),
                };
                let format = format!("{:?}", p.format).to_ascii_lowercase();
                format!("{}:{}:{format}{list}", p.name, p.ty.name())
            })
            .collect();
        ours.push_str(&params.join(" "));
        assert_eq!(ours, line);
    }
    assert_eq!(rows.next(), None);
}

/// `tests/data/programs.txt` lists the events that have programs in other recorders, with the usual program names.
/// Each event must have a program of that name here.
#[test]
fn every_event_of_the_list_has_its_program() {
    let listed: Vec<_> = include_str!("../../../tests/data/programs.txt")
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .collect();
    assert_eq!(listed.len(), 320);
    for (code, program) in listed {
        let event = EVENTS.iter().find(|e| e.code == code).unwrap();
        assert_eq!(event.program, Some(program), "{code}");
    }
}
