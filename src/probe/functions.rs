//! The kernel's functions of system calls, which its BTF has.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::OsStr,
};

use libbpf_rs::btf::{
    Btf, ReferencesType,
    types::{Func, FuncProto, Ptr, Struct},
};

use super::{ProbeError, slots};
use scap::{events::Syscall, select::Selection};

/// What the names of functions begin with, and those of calls without arguments: the kernel then has the first one as another
/// name of the second one, for 64-bit and for 32-bit programs.
#[cfg(target_arch = "x86_64")]
const PREFIXES: [(&str, &str); 3] =
    [("__x64_sys_", "__do_sys_"), ("__ia32_sys_", "__do_sys_"), ("__ia32_compat_sys_", "__do_compat_sys_")];
// 32-bit calls have no table on arm64: see `slots::compat_slot`.
#[cfg(target_arch = "aarch64")]
const PREFIXES: [(&str, &str); 1] = [("__arm64_sys_", "__arm64_sys_")];

/// A function that makes a call. Its argument are the registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    pub name: String,
    /// Its type in the kernel's BTF.
    pub id: u32,
    /// The type of its prototype. The kernel tells prototypes apart by the names of arguments, and a program array takes only
    /// programs for functions of one prototype.
    pub prototype: u32,
    /// The function of that prototype that libbpf finds by this name.
    pub leader: String,
}

/// A type of a function's name. A name may have several: that of the definition, and those of stand-ins for kernels without the
/// call.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    id: u32,
    /// Its prototype, if the registers can be read by it.
    prototype: Option<u32>,
}

/// The functions of this kernel.
#[derive(Debug, Default)]
pub(super) struct Functions(HashMap<String, Function>);

impl Functions {
    /// Finds this kernel's functions.
    pub(super) fn find_out() -> Result<Functions, ProbeError> {
        let btf = Btf::from_vmlinux().map_err(|e| ProbeError::libbpf("read the kernel's BTF", e))?;
        let mut candidates: BTreeMap<String, Vec<Candidate>> = BTreeMap::new();
        for function in btf.type_by_kind::<Func<'_>>() {
            let Some(name) = function.name().and_then(OsStr::to_str) else { continue };
            if PREFIXES.iter().any(|(stub, bare)| name.starts_with(stub) || name.starts_with(bare)) {
                let prototype = FuncProto::try_from(function.referenced_type()).ok();
                let prototype = prototype.and_then(|prototype| prototype_of_registers(&btf, &prototype));
                let candidate = Candidate { id: function.type_id().into(), prototype };
                candidates.entry(name.to_owned()).or_default().push(candidate);
            }
        }
        Ok(Functions::of_candidates(candidates))
    }

    /// Takes for each name the candidate with the most frequent prototype: the programs are loaded once for each prototype.
    fn of_candidates(all: BTreeMap<String, Vec<Candidate>>) -> Functions {
        let (mut leaders, mut counts) = (BTreeMap::new(), BTreeMap::<u32, usize>::new());
        for (name, candidates) in &all {
            if let Some(prototype) = candidates.first().and_then(|first| first.prototype) {
                leaders.entry(prototype).or_insert(name);
            }
            for prototype in candidates.iter().filter_map(|candidate| candidate.prototype) {
                *counts.entry(prototype).or_default() += 1;
            }
        }
        let function = |(name, candidates): (&String, &Vec<Candidate>)| {
            let usable = candidates.iter().filter_map(|candidate| Some((candidate.id, candidate.prototype?)));
            let (id, prototype) = usable
                .filter(|(_, prototype)| leaders.contains_key(prototype))
                .max_by_key(|(_, prototype)| counts.get(prototype))?;
            let leader = (*leaders.get(&prototype)?).clone();
            Some((name.clone(), Function { name: name.clone(), id, prototype, leader }))
        };
        Functions(all.iter().filter_map(function).collect())
    }

    /// Returns the functions that make a call. Some may make other calls, too.
    pub(super) fn of(&self, call: &Syscall) -> Vec<&Function> {
        let mut found: Vec<&Function> = Vec::new();
        for stem in call.functions() {
            for (stub, bare) in PREFIXES {
                let named = |prefix: &str| self.0.get(&format!("{prefix}{stem}"));
                found.extend(named(bare).or_else(|| named(stub)));
            }
        }
        found.sort_by_key(|function| function.id);
        found.dedup();
        found
    }

    /// Returns the first of them, by name.
    pub(super) fn first(&self) -> Option<&Function> {
        self.0.values().min_by(|a, b| a.name.cmp(&b.name))
    }
}

/// Returns the id of a prototype, if its only argument are the registers.
fn prototype_of_registers(btf: &Btf<'_>, prototype: &FuncProto<'_>) -> Option<u32> {
    let argument = prototype.iter().next().filter(|_| prototype.len() == 1)?;
    let pointer = btf.type_by_id::<Ptr<'_>>(argument.ty)?;
    // A kernel of 5.10 has only its name for some functions; the programs cannot read it there.
    let registers = Struct::try_from(pointer.referenced_type().skip_mods_and_typedefs()).ok()?;
    (registers.name()? == "pt_regs").then(|| prototype.type_id().into())
}

/// A function to which programs are attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub function: Function,
    /// Whether at its entry.
    pub enter: bool,
    /// Whether at its return.
    pub exit: bool,
}

/// What a selection is attached to.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// The functions, by their prototypes.
    pub families: BTreeMap<u32, Vec<Target>>,
    /// The slots that can be reached through functions of a prototype.
    slots: BTreeMap<u32, BTreeSet<usize>>,
    /// The calls without a function.
    pub without: Vec<&'static str>,
}

impl Targets {
    /// Returns the functions of a selection's calls.
    pub(super) fn of(functions: &Functions, selection: &Selection) -> Targets {
        let mut targets = Targets::default();
        let mut all: BTreeMap<u32, Target> = BTreeMap::new();
        for (slot, events) in slots::wanted_slots(selection) {
            let found = functions.of(events.call);
            if found.is_empty() && !targets.without.contains(&events.call.name) {
                targets.without.push(events.call.name);
            }
            for function in found {
                targets.slots.entry(function.prototype).or_default().insert(slot);
                let none = Target { function: function.clone(), enter: false, exit: false };
                let target = all.entry(function.id).or_insert(none);
                target.enter |= events.enter;
                target.exit |= (events.exit || events.for_names) && returns(events.call);
            }
        }
        for target in all.into_values().filter(|target| target.enter || target.exit) {
            targets.families.entry(target.function.prototype).or_default().push(target);
        }
        targets
    }

    /// Returns whether a slot can be reached through functions of a prototype.
    pub(super) fn reach(&self, prototype: u32, slot: usize) -> bool {
        self.slots.get(&prototype).is_some_and(|slots| slots.contains(&slot))
    }
}

/// Returns whether a call's function ever returns. The kernel would keep the trampoline of each task that does not, and from
/// 6.15 on refuses programs there.
fn returns(call: &Syscall) -> bool {
    !["exit", "exit_group"].contains(&call.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use scap::events::Arch;

    fn functions(all: &[(&str, u32)]) -> Functions {
        let mut candidates: BTreeMap<String, Vec<Candidate>> = BTreeMap::new();
        for (id, (name, prototype)) in all.iter().enumerate() {
            let prototype = (*prototype != 0).then_some(*prototype);
            candidates.entry((*name).into()).or_default().push(Candidate { id: id as u32, prototype });
        }
        Functions::of_candidates(candidates)
    }

    #[test]
    fn a_function_has_the_prototype_of_most_if_it_can() {
        let kernel =
            functions(&[("a", 2), ("a", 1), ("b", 1), ("c", 0), ("c", 1), ("d", 2), ("e", 0), ("f", 3)]);
        let of = |name: &str| kernel.0.get(name).map(|f| (f.id, f.prototype, f.leader.as_str()));
        assert_eq!(of("a"), Some((1, 1, "b")), "libbpf finds another one by the name");
        assert_eq!(of("c"), Some((4, 1, "b")));
        assert_eq!(of("d"), Some((5, 2, "a")));
        assert_eq!(of("e"), None);
        assert_eq!(of("f"), Some((7, 3, "f")));
    }

    fn names(functions: &Functions, call: &str) -> Vec<String> {
        let call = Syscall::by_name(call).unwrap();
        functions.of(call).into_iter().map(|function| function.name.clone()).collect()
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_call_has_functions_for_each_kind_of_program() {
        let kernel = functions(&[
            ("__x64_sys_newstat", 1),
            ("__ia32_compat_sys_newstat", 2),
            ("__x64_sys_newstatus", 1),
            ("__x64_sys_vfork", 2),
            ("__do_sys_vfork", 2),
            ("__ia32_compat_sys_socketcall", 2),
        ]);
        assert_eq!(names(&kernel, "stat"), ["__x64_sys_newstat", "__ia32_compat_sys_newstat"]);
        assert_eq!(names(&kernel, "vfork"), ["__do_sys_vfork"], "the stub is another name of it");
        assert_eq!(names(&kernel, "bind"), ["__ia32_compat_sys_socketcall"]);
        assert_eq!(names(&kernel, "read"), Vec::<String>::new());
    }

    /// The first call that came after Linux 5.10.
    const NEWER: u16 = 441;

    #[test]
    fn every_call_of_this_kernel_has_a_function() {
        // No kernel since 5.10 makes these, or only some do.
        const REMOVED: [&str; 14] = [
            "_sysctl",
            "bdflush",
            "create_module",
            "epoll_ctl_old",
            "epoll_wait_old",
            "get_kernel_syms",
            "getpmsg",
            "idle",
            "lookup_dcookie",
            "nfsservctl",
            "query_module",
            "uprobe",
            "uretprobe",
            "perf_event_open",
        ];
        let kernel = Functions::find_out().unwrap();
        let selection = Selection::all();
        let without = Targets::of(&kernel, &selection).without;
        let is_newer =
            |name: &str| Syscall::by_name(name).unwrap().number(Arch::NATIVE).is_some_and(|n| n >= NEWER);
        let unexpected: Vec<_> =
            without.into_iter().filter(|name| !REMOVED.contains(name) && !is_newer(name)).collect();
        assert_eq!(unexpected, Vec::<&str>::new());
        // The functions of these names make other calls, if any.
        for (name, stem) in [("stat", "newstat"), ("uname", "newuname"), ("sendfile", "sendfile64")] {
            let call = Syscall::by_name(name).unwrap();
            let has = kernel.of(call).iter().any(|f| f.name.ends_with(&format!("_sys_{stem}")));
            assert!(has || call.number(Arch::NATIVE).is_none(), "{name}");
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn programs_are_attached_where_the_selection_needs_them() {
        let kernel = functions(&[
            ("__x64_sys_read", 1),
            ("__ia32_sys_read", 2),
            ("__x64_sys_exit", 1),
            ("__x64_sys_execve", 2),
            ("__x64_sys_execveat", 1),
        ]);
        let set = |names: &[&str]| names.iter().map(|name| Syscall::by_name(name).unwrap()).collect();
        let selection = Selection {
            enter: set(&["exit", "getppid"]),
            exit: set(&["read", "exit", "execve"]),
            ..Selection::default()
        };
        let targets = Targets::of(&kernel, &selection);
        assert_eq!(targets.without, ["getppid"]);
        let attached = |prototype: u32| {
            let targets = &targets.families[&prototype];
            targets.iter().map(|t| (t.function.name.as_str(), t.enter, t.exit)).collect::<Vec<_>>()
        };
        let first = [
            ("__x64_sys_read", false, true),
            ("__x64_sys_exit", true, false),
            // It returns as an execve.
            ("__x64_sys_execveat", false, true),
        ];
        assert_eq!(attached(1), first);
        assert_eq!(attached(2), [("__ia32_sys_read", false, true), ("__x64_sys_execve", false, true)]);
        assert!(targets.reach(1, 0) && targets.reach(2, 0), "read");
        assert!(targets.reach(1, 60) && !targets.reach(2, 60), "exit");
    }
}
