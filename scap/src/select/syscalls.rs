//! Parses the list of `--syscalls`.

use regex::bytes::RegexBuilder;

use super::{SelectError, SyscallSet, Term, aliases::ALIASES, classes, suggest, terms};
use crate::events::{Arch, CompatTwin, EVENTS, SYSCALLS, Source, Syscall};

/// Parses a list of system calls into a set.
///
/// | term | meaning |
/// | --- | --- |
/// | `name` | the call of this name, or of this name in libc, in an event or in the 32-bit ABI: `pread` is `pread64` |
/// | `%class` | the calls of a [class](super::classes) |
/// | `/regex` | the calls whose name contains a match of the regular expression (`^` and `$` anchor it) |
/// | `all`, `none` | everything, nothing |
/// | `!term` | removes the calls of the term |
/// | `?term` | as the term, but names nothing instead of being an error |
///
/// ```
/// # use scap::select;
/// let files = select::parse("%file,!/stat,close")?;
/// assert!(files.iter().any(|call| call.name == "openat"));
/// assert!(!files.iter().any(|call| call.name == "newfstatat"));
/// # Ok::<(), scap::select::SelectError>(())
/// ```
///
/// # Errors
/// A [`SelectError`] for the first invalid term, with a suggestion.
pub fn parse(list: &str) -> Result<SyscallSet, SelectError> {
    let terms = terms(list)?;
    let mut set =
        if terms.first().is_some_and(|term| term.negated) { SyscallSet::all() } else { SyscallSet::none() };
    for term in terms {
        match term.text {
            "none" if !term.negated => set = SyscallSet::none(),
            _ if term.negated => set = set.difference(&resolve(term)?),
            _ => set = set.union(&resolve(term)?),
        }
    }
    Ok(set)
}

/// Returns the calls of one term, whether it adds or removes them.
pub(super) fn resolve(term: Term<'_>) -> Result<SyscallSet, SelectError> {
    let calls = match term.text {
        "all" => Ok(SyscallSet::all()),
        "none" => Ok(SyscallSet::none()),
        text => match (text.strip_prefix('%'), text.strip_prefix('/')) {
            (Some(class), _) => by_class(class),
            (_, Some(regex)) => by_regex(regex),
            _ => by_name(text).map(|call| [call].into_iter().collect()),
        },
    };
    match calls {
        // `?` excuses unknown names, not bad syntax.
        Err(e) if term.optional && !matches!(e, SelectError::Regex { .. }) => Ok(SyscallSet::none()),
        calls => calls,
    }
}

fn by_class(name: &str) -> Result<SyscallSet, SelectError> {
    classes::class(name).ok_or_else(|| {
        let names = || classes::names();
        SelectError::UnknownClass {
            name: name.to_owned(),
            suggestion: suggest(name, names()).map(|name| format!("%{name}")),
            known: names().map(|name| format!("%{name}")).collect::<Vec<_>>().join(" "),
        }
    })
}

fn by_regex(regex: &str) -> Result<SyscallSet, SelectError> {
    // Names are ASCII. The size limit (1 MiB compiled) stops pathological expressions.
    let compiled = RegexBuilder::new(regex).unicode(false).size_limit(1 << 20).build().map_err(|e| {
        let text = e.to_string();
        let reason = text.lines().last().unwrap_or_default();
        let reason = reason.strip_prefix("error: ").unwrap_or(reason).to_owned();
        SelectError::Regex { regex: regex.to_owned(), reason }
    })?;
    let calls: SyscallSet =
        SyscallSet::all().iter().filter(|call| compiled.is_match(call.name.as_bytes())).collect();
    if calls.is_empty() { Err(SelectError::NoMatch { regex: regex.to_owned() }) } else { Ok(calls) }
}

fn by_name(name: &str) -> Result<&'static Syscall, SelectError> {
    let exact = Syscall::by_name(name);
    let candidates = [
        exact,
        ALIASES.iter().find(|(alias, _)| *alias == name).and_then(|(_, call)| Syscall::by_name(call)),
        by_event_name(name),
        exact.and_then(|call| call.number(Arch::I386)).and_then(CompatTwin::of),
        exact.and_then(Syscall::selected_with),
    ];
    let native = candidates.into_iter().flatten().find(|call| call.number(Arch::NATIVE).is_some());
    if let Some(call) = native.or(exact.filter(|call| call.is_here())) {
        return Ok(call);
    }
    Err(match exact {
        Some(call) => elsewhere(call),
        None => {
            SelectError::UnknownSyscall { name: name.to_owned(), suggestion: suggest(name, known_names()) }
        }
    })
}

/// Returns the call whose program records events of this name: readers print `pread` for pread64.
fn by_event_name(name: &str) -> Option<&'static Syscall> {
    let named = EVENTS.iter().filter(|e| e.source == Source::Syscall && e.name == name);
    named.filter_map(|e| e.program).find_map(|program| {
        let stem = program.strip_suffix("_e").or_else(|| program.strip_suffix("_x"))?;
        Syscall::by_stem(stem)
    })
}

/// Returns all names for the calls of this machine.
fn known_names() -> impl Iterator<Item = &'static str> {
    let here = SYSCALLS.iter().filter(|call| call.is_here());
    here.map(|call| call.name).chain(ALIASES.iter().map(|(alias, _)| *alias))
}

fn elsewhere(call: &'static Syscall) -> SelectError {
    let archs: Vec<&str> = [Arch::X86_64, Arch::I386, Arch::Arm64]
        .into_iter()
        .filter(|arch| call.number(*arch).is_some())
        .map(arch_name)
        .collect();
    let only = if archs.is_empty() { String::new() } else { format!(", only on {}", archs.join(" and ")) };
    SelectError::Elsewhere { name: call.name, here: arch_name(Arch::NATIVE), only }
}

fn arch_name(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86-64",
        Arch::I386 => "i386",
        Arch::Arm64 => "arm64",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(list: &str) -> String {
        parse(list).unwrap().to_string()
    }

    fn error(list: &str) -> String {
        parse(list).unwrap_err().to_string()
    }

    #[test]
    fn terms_are_taken_from_left_to_right() {
        assert_eq!(names("read,write"), "read,write");
        assert_eq!(names("read,write,!read"), "write");
        assert_eq!(names("!read,read"), "all");
        assert_eq!(names("read,none,write"), "write");
        assert_eq!(names("read,all"), "all");
        assert_eq!(names("all,!all"), "none");
        assert_eq!(names("!none"), "all");
        assert_eq!(names(" read , write "), "read,write");
    }

    #[test]
    fn a_list_that_begins_with_a_removal_starts_from_all() {
        let set = parse("!read,!write").unwrap();
        assert_eq!(set, parse("read,write").unwrap().complement());
    }

    #[test]
    fn a_regular_expression_is_searched_for() {
        assert_eq!(names("/^clone"), "clone,clone3");
        assert_eq!(names("/^dup[^3]*$"), "dup,dup2");
        assert!(parse("/stat").unwrap().contains(Syscall::by_name("newfstatat").unwrap()));
        assert_eq!(names("/^read,!/v|link|ahead"), "read");
        assert_eq!(error("/^$"), "no syscall matches `/^$`; write `?/^$` to ignore that");
        assert_eq!(error("/a("), "`/a(` is not a regular expression: unclosed group (a comma ends the term)");
        assert_eq!(names("?/^$"), "none");
        assert!(parse("?/a(").is_err());
    }

    #[test]
    fn other_names_of_a_call_are_known() {
        assert_eq!(names("pread,pwrite,prlimit,umount,stat64,fcntl64,newselect,_newselect,mmap2,_llseek"), {
            names("pread64,pwrite64,prlimit64,umount2,stat,fcntl,select,mmap,lseek")
        });
        for (alias, call) in ALIASES {
            let call = Syscall::by_name(call).unwrap();
            assert!(call.number(Arch::X86_64).is_some(), "{alias}");
        }
    }

    #[test]
    fn the_name_of_an_event_with_a_program_is_a_name_of_its_call() {
        for e in EVENTS.iter().filter(|e| e.source == Source::Syscall && e.name != "syscall") {
            if e.program.is_some() {
                assert!(parse(e.name).is_ok(), "{}", e.name);
            }
        }
    }

    #[test]
    fn an_unknown_name_gets_a_suggestion() {
        assert_eq!(error("acess"), "unknown syscall `acess`; did you mean `access`?");
        assert_eq!(error("open,xyzzy12"), "unknown syscall `xyzzy12`; `scapd list syscalls` prints them all");
        assert_eq!(error("%fiel"), "unknown class `%fiel`; did you mean `%file`?");
        assert!(error("%").contains("the classes are %"), "{}", error("%"));
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_call_of_another_architecture_is_named_as_one() {
        assert_eq!(
            error("s390_sthyi"),
            "syscall `s390_sthyi` does not exist on x86-64; write `?s390_sthyi` to ignore it here"
        );
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_call_of_32_bit_programs_has_a_name_of_its_own_or_a_64_bit_calls() {
        assert_eq!(names("ipc,socketcall"), "ipc,socketcall");
        assert_eq!(names("waitpid,oldstat,sigreturn"), names("wait4,stat,rt_sigreturn"));
        assert_eq!(names("/^ipc$"), "ipc");
        for call in SYSCALLS.iter().filter(|call| call.number(Arch::I386).is_some()) {
            assert!(parse(call.name).is_ok(), "{}", call.name);
        }
    }

    #[test]
    fn an_optional_term_may_name_nothing() {
        assert_eq!(names("?s390_sthyi,read,?nosuch,?%nosuch"), "read");
        assert_eq!(names("!?nosuch,!?read"), names("!read"));
    }

    #[test]
    fn display_is_parsed_back() {
        for list in ["all", "none", "%file", "!%file,read"] {
            let set = parse(list).unwrap();
            assert_eq!(parse(&set.to_string()), Ok(set));
        }
    }

    proptest! {
        #[test]
        fn no_list_panics(list in "[a-z0-9_%/!?,.*+(){}\\[\\]|^$ \\\\é]{0,40}") {
            let _ = parse(&list);
        }

        #[test]
        fn no_text_panics(list in any::<String>()) {
            let _ = parse(&list);
        }

        #[test]
        fn any_set_is_parsed_back(codes in proptest::collection::vec(0u16..500, 0..40)) {
            let native = codes.into_iter().filter_map(Syscall::by_code).filter(|s| s.number(Arch::NATIVE).is_some());
            let set: SyscallSet = native.collect();
            prop_assert_eq!(parse(&set.to_string()), Ok(set));
            prop_assert_eq!(set.complement().complement(), set);
        }
    }
}
