//! What the kernel can decide of a filter by the arguments of a call, before their event takes room in a ring.
//!
//! For each entry and return of a call, a filter implies clauses of tests of its parameters. They are about texts alone: paths
//! and names. What the type of the event decides is decided already, and what the kernel cannot compare may be true.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    events::{Event, EventType, Extension, SYSCALLS, Syscall, event},
    fields::{Fields, Reference, Type},
};

use super::{
    by_type::{self, Decided},
    early, paths,
    plan::Node,
    syntax::Op,
    tree::{Constant, Literal, Operand, Right, Test as Source, Tree},
};

/// The most tests of one event.
pub const MAX_OF_CALL: usize = 8;
/// The most groups of tests: events with the same ones have the same group.
pub const MAX_GROUPS: usize = 64;
/// The most sets of texts.
pub const MAX_SETS: usize = 31;
/// The most texts of all sets.
pub const MAX_TEXTS: usize = 16384;
/// The most bytes of a text that are compared, with the NUL at its end.
pub const MAX_LEN: usize = 255;

/// A test of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArgumentTest {
    /// The parameter, by its index in the event, or in its extension.
    pub param: usize,
    /// Whether it is one of the extension.
    pub of_extension: bool,
    /// It has to be a path from the root without doubled slashes, `.` and `..`: of any other one, the test may be true.
    pub is_path: bool,
    /// It is there only if the call returns 0.
    pub only_done: bool,
    /// Whether the test is true where it is not there.
    pub if_absent: bool,
    /// The set of texts.
    pub set: usize,
    /// Whether these are compared with its end.
    pub reversed: bool,
    /// It must not be so.
    pub negated: bool,
    /// The place of the filter's test that it comes from.
    pub(super) source: usize,
}

/// Texts that a parameter has to begin or to end with. A NUL at the end stands for the end of the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// The texts; those that are compared backwards are written backwards.
    pub all: Vec<Vec<u8>>,
    /// Whether the end is compared.
    pub reversed: bool,
}

/// Tests of which one is true at each event that matches.
pub type ArgumentClause = Vec<ArgumentTest>;

/// What the arguments of calls decide of a filter.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// The sets of texts.
    pub sets: Vec<Texts>,
    /// The clauses of an entry (`true`) or a return of a call.
    pub calls: Vec<(&'static Syscall, bool, Arc<[ArgumentClause]>)>,
}

impl Arguments {
    /// Finds what the arguments decide of a filter with this tree.
    pub(super) fn of(tree: &Tree) -> Arguments {
        let mut plans = Vec::new();
        tree.tests(&mut |test| plans.push(super::plan::plan(test, &Fields).ok()));
        let mut sets = Sets::default();
        let candidates = sets.add_all(tree);
        if candidates.iter().all(Option::is_none) {
            return Arguments::default();
        }
        let mut known: HashMap<Vec<ArgumentClause>, Arc<[ArgumentClause]>> = HashMap::new();
        let mut calls = Vec::new();
        for (call, is_enter) in SYSCALLS.iter().flat_map(|call| [(call, true), (call, false)]) {
            let Some(subject) = Subject::of(call, is_enter) else { continue };
            let clauses = subject.clauses(tree, &plans, &candidates);
            if clauses.is_empty() || known.len() == MAX_GROUPS && !known.contains_key(&clauses) {
                continue;
            }
            let clauses = known.entry(clauses).or_insert_with_key(|clauses| clauses.as_slice().into());
            calls.push((call, is_enter, clauses.clone()));
        }
        Arguments { sets: sets.0, calls }
    }

    /// Returns whether the filter's test with this place is among them.
    pub(super) fn has(&self, source: usize) -> bool {
        let clauses = self.calls.iter().flat_map(|(.., clauses)| clauses.iter());
        clauses.flatten().any(|test| test.source == source)
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Returns each text that is compared, by its direction: whether it is written backwards. The value has the bit of each set
    /// of which a text that begins with this one is.
    pub fn texts(&self) -> BTreeMap<(bool, &[u8]), u32> {
        let mut texts = BTreeMap::new();
        for (place, set) in self.sets.iter().enumerate() {
            for text in &set.all {
                *texts.entry((set.reversed, &text[..])).or_default() |= 1 << place;
            }
        }
        let own = texts.clone();
        for ((reversed, text), bits) in &mut texts {
            let starts = (0..text.len()).filter_map(|len| own.get(&(*reversed, &text[..len])));
            *bits |= starts.fold(0, |all, bits| all | bits);
        }
        texts
    }
}

/// The sets of texts so far.
#[derive(Default)]
struct Sets(Vec<Texts>);

/// What a test compares, if the kernel can.
#[derive(Clone, Copy)]
struct Candidate {
    set: usize,
    /// Only of paths as readers show them.
    of_paths: bool,
    /// `!=`.
    negated: bool,
    reversed: bool,
}

impl Sets {
    /// Adds the texts of each test of a tree. Returns what each one compares.
    fn add_all(&mut self, tree: &Tree) -> Vec<Option<Candidate>> {
        let mut candidates = Vec::new();
        tree.tests(&mut |test| {
            candidates.push(if let Tree::Test(test) = test { self.add(test) } else { None });
        });
        candidates
    }

    fn add(&mut self, test: &Source) -> Option<Candidate> {
        let (Operand::Field(field), Right::Values(values)) = (&test.left, &test.right) else { return None };
        if !matches!(field.ty, Type::Text | Type::Bytes) || !Fields::is_of_param(&field.reference) {
            return None;
        }
        let texts = texts(test.op, values)?;
        let count: usize = self.0.iter().map(|set| set.all.len()).sum();
        if self.0.len() == MAX_SETS || count + texts.all.len() > MAX_TEXTS {
            return None;
        }
        let set = self.0.iter().position(|known| *known == texts).unwrap_or(self.0.len());
        if set == self.0.len() {
            self.0.push(texts);
        }
        let (of_paths, negated) = (test.op == Op::Pmatch, test.op == Op::Ne);
        Some(Candidate { set, of_paths, negated, reversed: self.0[set].reversed })
    }
}

/// Returns what a text has to begin or end with for an operator; `None` if the kernel cannot compare it.
fn texts(op: Op, values: &[Literal]) -> Option<Texts> {
    let mut texts = Texts { all: Vec::new(), reversed: op == Op::Endswith };
    for literal in values {
        let Constant::Text(text) = &literal.value else { return None };
        let whole = |text: &[u8]| [text, b"\0"].concat();
        match op {
            Op::Eq | Op::Ne | Op::In => texts.all.push(whole(text)),
            Op::Startswith => texts.all.push(text.to_vec()),
            Op::Endswith => texts.all.push(text.iter().rev().copied().collect()),
            Op::Pmatch => {
                let path = paths::plain(text)?;
                texts.all.extend([whole(&path), [&path[..], b"/"].concat()]);
            }
            _ => return None,
        }
    }
    // What begins with nothing, every text begins with.
    let fits = |text: &Vec<u8>| (1..=MAX_LEN - 1).contains(&text.len());
    let has_end = |text: &Vec<u8>| text.iter().rev().skip(1).any(|byte| *byte == 0);
    (texts.all.iter().all(fits) && !texts.all.iter().any(has_end)).then_some(texts)
}

/// Returns whether a tree has a test of a field that is so.
fn tested(tree: &Tree, is_so: &mut dyn FnMut(&Reference) -> bool) -> bool {
    let mut any = false;
    tree.tests(&mut |test| {
        if let Tree::Test(test) = test
            && let Operand::Field(field) = &test.left
        {
            any |= is_so(&field.reference);
        }
    });
    any
}

/// The entries or the returns of a call.
struct Subject {
    /// The row of the event alone, and the stable code of its call if it is generic.
    row: &'static Event,
    code: u16,
    /// The row with its extension, and the number of parameters in front of that.
    joined: &'static Event,
    base: usize,
}

impl Subject {
    fn of(call: &'static Syscall, is_enter: bool) -> Option<Subject> {
        let own = if is_enter { call.enter() } else { call.exit() };
        let row = own.or_else(|| event(EventType(u16::from(!is_enter))))?;
        let extension = by_type::extension_of(row.ty, call.code);
        let base = extension.map_or(row.params.len(), Extension::base_params);
        Some(Subject { row, code: call.code, joined: extension.map_or(row, |e| &e.joined), base })
    }

    /// Returns the clauses that a filter implies at these events; none if they have too many tests.
    fn clauses(
        &self,
        tree: &Tree,
        plans: &[Option<Node>],
        candidates: &[Option<Candidate>],
    ) -> Vec<ArgumentClause> {
        if !tested(tree, &mut |test| Fields::text_param(test, self.joined).is_some()) {
            return Vec::new();
        }
        let mut clauses = early::implied(tree, &mut |test, negated, source| {
            if let Some(candidate) = candidates.get(source).copied().flatten()
                && let Some(test) = self.test(test, candidate, negated, source)
            {
                return vec![vec![test]];
            }
            let decided = plans.get(source).and_then(Option::as_ref);
            match decided.map(|plan| by_type::decided(plan, self.row, self.code)) {
                Some(Decided::Match) if negated => vec![Vec::new()],
                Some(Decided::NoMatch) if !negated => vec![Vec::new()],
                _ => Vec::new(),
            }
        });
        // Events that match nothing are not recorded for themselves.
        clauses.retain(|clause| !clause.is_empty());
        clauses.sort_by_key(Vec::len);
        let mut tests = 0;
        clauses.retain(|clause| {
            let fits = tests + clause.len() <= MAX_OF_CALL;
            tests += if fits { clause.len() } else { 0 };
            fits
        });
        clauses
    }

    fn test(
        &self,
        test: &Source,
        candidate: Candidate,
        negated: bool,
        source: usize,
    ) -> Option<ArgumentTest> {
        let Operand::Field(field) = &test.left else { return None };
        let param = Fields::text_param(&field.reference, self.joined)?;
        Some(ArgumentTest {
            param: param.index.checked_sub(self.base).unwrap_or(param.index),
            of_extension: param.index >= self.base,
            is_path: param.is_path || candidate.of_paths,
            only_done: param.only_done,
            if_absent: negated,
            set: candidate.set,
            reversed: candidate.reversed,
            negated: candidate.negated != negated,
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Filter;

    fn arguments(text: &str) -> Arguments {
        Arguments::of(&Filter::parse(text, &Fields).unwrap().tree)
    }

    /// Returns the clauses of the returns of a call, as text: the parameters with their sets.
    fn shown(text: &str, call: &str) -> String {
        let arguments = arguments(text);
        let of_call = |(known, is_enter, _): &&(&Syscall, bool, _)| known.name == call && !is_enter;
        let Some((call, _, clauses)) = arguments.calls.iter().find(of_call) else { return String::new() };
        let subject = Subject::of(call, false).unwrap();
        let test = |test: &ArgumentTest| {
            let param = test.param + if test.of_extension { subject.base } else { 0 };
            let set = &arguments.sets[test.set];
            let texts: Vec<_> = set.all.iter().map(|text| text.escape_ascii().to_string()).collect();
            let marks = [
                (test.negated, "not "),
                (test.is_path, "path "),
                (test.only_done, "done "),
                (set.reversed, "reversed "),
            ];
            let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
            format!("{marks}{} {}", subject.joined.params[param].name, texts.join("|"))
        };
        let clause = |clause: &ArgumentClause| clause.iter().map(test).collect::<Vec<_>>().join(" or ");
        clauses.iter().map(clause).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn texts_are_starts() {
        assert_eq!(shown("evt.rawarg.path = /a", "newfstatat"), "path /a\\x00");
        assert_eq!(shown("evt.arg.path startswith /a", "newfstatat"), "path path /a");
        assert_eq!(shown("evt.rawarg.path endswith .c", "newfstatat"), "reversed path c.");
        assert_eq!(
            shown("evt.rawarg.path pmatch (/a/, b)", "newfstatat"),
            "path path /a\\x00|/a/|/b\\x00|/b/"
        );
        for open in [
            "contains a",
            "glob '/a*'",
            "regex '/a.*'",
            "pmatch (/a*)",
            "pmatch (/)",
            "startswith ''",
            "> /a",
        ] {
            assert_eq!(shown(&format!("evt.rawarg.path {open}"), "newfstatat"), "", "{open}");
        }
        let long = "x".repeat(MAX_LEN);
        assert_eq!(shown(&format!("evt.rawarg.path = {long}"), "newfstatat"), "");
        assert_ne!(shown(&format!("evt.rawarg.path startswith {}", &long[1..]), "newfstatat"), "");
    }

    #[test]
    fn fields_are_of_the_parameters_of_each_call() {
        assert_eq!(shown("fs.path.name = /a", "unlinkat"), "path done name /a\\x00");
        assert_eq!(shown("fs.path.nameraw = a", "openat"), "name a\\x00");
        assert_eq!(shown("fs.path.source = /a", "rename"), "path done oldpath /a\\x00");
        assert_eq!(
            shown("fs.path.target = /a", "symlinkat"),
            "",
            "a target beside a link of which nothing is known"
        );
        assert_eq!(shown("fs.path.targetraw = a", "symlinkat"), "done target a\\x00");
        assert_eq!(shown("evt.abspath.dst = /a", "renameat2"), "path newpath /a\\x00");
        assert_eq!(shown("evt.arg.path = /a", "statx"), "path path /a\\x00", "of an extension");
        assert_eq!(shown("evt.arg.path = /a", "getppid"), "");
        assert_eq!(shown("evt.arg[1] = /a", "newfstatat"), "");
    }

    #[test]
    fn types_are_decided_before() {
        let filter = "evt.type = openat and evt.rawarg.name = /a or evt.type = unlink";
        assert_eq!(shown(filter, "openat"), "name /a\\x00");
        assert_eq!(shown(filter, "unlink"), "");
        let filter = "(evt.rawarg.path = a or fd.num = 3) and not evt.rawarg.path = b";
        assert_eq!(shown(filter, "newfstatat"), "not path b\\x00");
        assert_eq!(shown("evt.rawarg.path = a or proc.name = b", "newfstatat"), "");
    }

    #[test]
    fn a_text_has_the_bits_of_its_starts() {
        let arguments =
            arguments("evt.arg.path startswith /a and (evt.arg.path = /a/b or evt.arg.path endswith a/)");
        let texts: Vec<_> =
            arguments.texts().into_iter().map(|((back, text), bits)| (back, text.to_vec(), bits)).collect();
        assert_eq!(
            texts,
            [(false, b"/a".to_vec(), 1), (false, b"/a/b\0".to_vec(), 3), (true, b"/a".to_vec(), 4)]
        );
    }
}
