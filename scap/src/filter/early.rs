//! What the kernel can decide of a filter: conditions on the task, on the socket and on the result of a call without which no
//! event matches.
//!
//! A filter implies each of its [`Clause`]s, so an event at which one of them is false does not match. What they leave open is
//! decided later. A test belongs to a clause only if the kernel has the value that a reader finds out from the events before.
//! That needs a reader that knows all threads. There is one exception: a name that is written to `/proc/PID/comm`, which no
//! event tells.

use crate::{fields::Key, text::kernel_names};

use super::{
    ends::End,
    lasting::LastingTests,
    syntax::Op,
    tree::{Constant, Literal, Operand, Right, Test as Source, Tree},
};

/// The most tests that all clauses have together.
pub const MAX_TESTS: usize = 16;

/// The most of them that are about parents and ancestors.
pub const MAX_ANCESTORS: usize = 4;

/// The most of them that are about the ends of connections.
pub const MAX_ENDS: usize = 8;

/// The shortest time of a call that the kernel compares, in ns: an interruption between two programs may take as long.
const SHORTEST: i64 = 50_000;

/// The length of a thread's name, with the NUL at its end.
const NAME_LEN: usize = 16;

/// What a test is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The id of the thread.
    Tid,
    /// The id of its process.
    Pid,
    /// Its name.
    Name,
    /// Its effective user.
    Uid,
    /// Its effective group.
    Gid,
    /// What the call returned. An enter event has none yet: there the test is true.
    Result,
    /// The time that the call took, in ns, at least: only the lower bound counts. At an enter event the test is true.
    Latency,
    /// The id of the parent process.
    Parent,
    /// The ids of all ancestors, or of the one so many generations above; 0 for all.
    Ancestor(u32),
    /// One end of the TCP connection that the call is made with. If it is made with another socket, or with what may be one, the
    /// test is true; it is false if the call is made with what has no addresses.
    End,
    /// What the process has since its last exec, clone or `setsid`, as the recorder tells the kernel.
    Process,
}

/// What a value has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// A number within these bounds.
    Within(i64, i64),
    /// A name, padded with NULs, of which these first bytes are these.
    Starts([u8; NAME_LEN], usize),
    /// An end of a connection.
    End(End),
    /// The test with this bit is not known to be false.
    Lasts(u64),
}

/// A test of a task or a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Test {
    /// What it is about.
    pub subject: Subject,
    /// What that has to be.
    pub condition: Condition,
    /// It must not be so.
    pub negated: bool,
    /// The place of the filter's test that it comes from.
    pub(super) source: usize,
}

/// Tests of which one is true at each event that matches.
pub type Clause = Vec<Test>;

/// Returns clauses that a filter implies, with no more than [`MAX_TESTS`] tests, and the tests that the recorder decides for
/// them.
pub(super) fn clauses(tree: &Tree) -> (Vec<Clause>, LastingTests) {
    let mut lasting = LastingTests::default();
    let mut all = implied(tree, &mut |test, negated, source| match lasting.add(test, negated, source) {
        Some(bit) => vec![vec![lasting_test(bit, source)]],
        None => of_test(test, negated, source),
    });
    // The shorter, the more they leave out for their cost.
    all.sort_by_key(Vec::len);
    let is_above = |test: &&Test| matches!(test.subject, Subject::Parent | Subject::Ancestor(_));
    let is_end = |test: &&Test| test.subject == Subject::End;
    let (mut tests, mut ancestors, mut ends) = (0, 0, 0);
    all.retain(|clause| {
        let with = (
            tests + clause.len(),
            ancestors + clause.iter().filter(is_above).count(),
            ends + clause.iter().filter(is_end).count(),
        );
        let fits = with.0 <= MAX_TESTS && with.1 <= MAX_ANCESTORS && with.2 <= MAX_ENDS;
        if fits {
            (tests, ancestors, ends) = with;
        }
        fits
    });
    (all, lasting)
}

/// Finds the clauses that a test of a tree, or its negation, implies; the test has this place among those of the tree. One
/// without tests is false.
pub(super) type OfTest<'a, T> = dyn FnMut(&Source, bool, usize) -> Vec<Vec<T>> + 'a;

/// Returns clauses that a tree implies, from those of its tests.
pub(super) fn implied<T: Clone>(tree: &Tree, of_test: &mut OfTest<'_, T>) -> Vec<Vec<T>> {
    implied_by(tree, false, &mut 0, of_test)
}

/// The same of a tree or its negation; `next` counts the tests.
fn implied_by<T: Clone>(
    tree: &Tree,
    negated: bool,
    next: &mut usize,
    of_test: &mut OfTest<'_, T>,
) -> Vec<Vec<T>> {
    match tree {
        Tree::Not(inner) => implied_by(inner, !negated, next, of_test),
        Tree::And(trees) | Tree::Or(trees) => {
            let parts = trees.iter().map(|tree| implied_by(tree, negated, next, of_test));
            let parts: Vec<_> = parts.collect();
            let all_hold = matches!(tree, Tree::And(_)) != negated;
            if all_hold { parts.into_iter().flatten().collect() } else { any(&parts) }
        }
        Tree::Test(test) => {
            *next += 1;
            of_test(test, negated, *next - 1)
        }
    }
}

fn lasting_test(bit: u64, source: usize) -> Test {
    Test { subject: Subject::Process, condition: Condition::Lasts(bit), negated: false, source }
}

/// Returns clauses of a disjunction: one of each part, joined, in all combinations that are small enough.
fn any<T: Clone>(parts: &[Vec<Vec<T>>]) -> Vec<Vec<T>> {
    let mut joined = vec![Vec::new()];
    for part in parts {
        let pairs = joined.iter().flat_map(|one| part.iter().map(move |other| [&one[..], other].concat()));
        joined = pairs.filter(|clause| clause.len() <= MAX_TESTS).take(MAX_TESTS).collect();
    }
    joined
}

/// Returns the clauses of a test; none if the kernel cannot decide it.
fn of_test(test: &Source, negated: bool, source: usize) -> Vec<Clause> {
    use Subject::{Gid, Name, Pid, Tid, Uid};
    let Operand::Field(field) = &test.left else { return Vec::new() };
    let subject = match field.name {
        "thread.tid" => Subject::Tid,
        "proc.pid" => Subject::Pid,
        "proc.name" => Subject::Name,
        "user.uid" => Subject::Uid,
        "group.gid" => Subject::Gid,
        "evt.rawres" | "evt.res" | "evt.failed" => Subject::Result,
        "evt.latency" | "evt.wait_latency" => Subject::Latency,
        "proc.ppid" => Subject::Parent,
        "proc.apid" => match field.reference.argument {
            None => Subject::Ancestor(0),
            Some(Key::Index(generation @ 1..)) => Subject::Ancestor(generation),
            _ => return Vec::new(),
        },
        name if End::is_of(name) => Subject::End,
        _ => return Vec::new(),
    };
    // Some returns have no result or no time, some processes no known parent, and match the negation of any test of it.
    if negated && !matches!(subject, Tid | Pid | Name | Uid | Gid) {
        return Vec::new();
    }
    // That is true if any ancestor differs.
    if matches!(subject, Subject::Ancestor(_)) && test.op == Op::Ne {
        return Vec::new();
    }
    let (
        Right::Values(values),
        Op::Eq | Op::Ne | Op::In | Op::Lt | Op::Le | Op::Gt | Op::Ge | Op::Startswith,
    ) = (&test.right, test.op)
    else {
        return Vec::new();
    };
    let conditions: Option<Vec<_>> =
        values.iter().map(|literal| condition(subject, test.op, literal)).collect();
    let Some(conditions) = conditions else { return Vec::new() };
    if subject == Subject::Latency {
        return if test.op == Op::Ne { Vec::new() } else { at_least(&conditions, source) };
    }
    let differs = (test.op == Op::Ne) != negated;
    let tests = conditions.into_iter().flatten().map(|condition| Test {
        subject,
        condition,
        negated: differs,
        source,
    });
    if differs { tests.map(|test| vec![test]).collect() } else { vec![tests.collect()] }
}

/// Returns what a value has to be for an operator; `Some(None)` if it never is, `None` if the kernel cannot say.
fn condition(subject: Subject, op: Op, literal: &Literal) -> Option<Option<Condition>> {
    if subject == Subject::End {
        return End::of(op, &literal.value).map(|end| end.map(Condition::End));
    }
    Some(match &literal.value {
        Constant::Text(name) if subject == Subject::Name => name_condition(op, name)?,
        Constant::Text(result) if op != Op::Startswith => Some(result_named(result)?),
        // Whether it failed.
        Constant::Bool(true) => Some(Condition::Within(i64::MIN, -1)),
        Constant::Bool(false) => Some(Condition::Within(0, i64::MAX)),
        Constant::Integer(number) => {
            let (low, high) = match op {
                Op::Lt => (i128::MIN, *number - 1),
                Op::Le => (i128::MIN, *number),
                Op::Gt => (*number + 1, i128::MAX),
                Op::Ge => (*number, i128::MAX),
                _ => (*number, *number),
            };
            let (least, most) = (i128::from(i64::MIN), i128::from(i64::MAX));
            let bound = |number: i128| i64::try_from(number.clamp(least, most)).unwrap_or_default();
            (low <= most && high >= least).then(|| Condition::Within(bound(low), bound(high)))
        }
        _ => return None,
    })
}

/// Returns the clauses of a test of the time of a call. The events of a call have other times than what the kernel compares, as
/// other programs take them: so it leaves out only what is shorter than half of that, and nothing if that is next to nothing.
fn at_least(conditions: &[Option<Condition>], source: usize) -> Vec<Clause> {
    let low = |condition: &Condition| match condition {
        Condition::Within(low, _) => *low / 2,
        Condition::Starts(..) | Condition::Lasts(_) | Condition::End(_) => 0,
    };
    let Some(low) = conditions.iter().flatten().map(low).min() else { return vec![Clause::new()] };
    let condition = Condition::Within(low, i64::MAX);
    let test = Test { subject: Subject::Latency, condition, negated: false, source };
    if low >= SHORTEST { vec![vec![test]] } else { Vec::new() }
}

/// Returns the condition of a name for an operator; `Some(None)` if no name is so, `None` if the kernel cannot say.
fn name_condition(op: Op, name: &[u8]) -> Option<Option<Condition>> {
    let mut bytes = [0; NAME_LEN];
    // Names are shorter, and have no NUL.
    if name.len() >= NAME_LEN || name.contains(&0) {
        return Some(None);
    }
    bytes[..name.len()].copy_from_slice(name);
    match op {
        // What follows the NUL may be anything.
        Op::Eq | Op::Ne | Op::In => Some(Some(Condition::Starts(bytes, name.len() + 1))),
        Op::Startswith => Some(Some(Condition::Starts(bytes, name.len()))),
        _ => None,
    }
}

/// Returns the condition of a result that `evt.res` shows as this text, if the text is a name.
fn result_named(name: &[u8]) -> Option<Condition> {
    if name == b"SUCCESS" {
        return Some(Condition::Within(0, i64::MAX));
    }
    let is_so = |error: &i64| kernel_names::errno(*error).is_some_and(|own| own.as_bytes() == name);
    (1..4096).find(is_so).map(|error| Condition::Within(-error, -error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fields::Fields, filter::Filter};

    fn of(text: &str) -> Vec<Clause> {
        clauses(&Filter::parse(text, &Fields).unwrap().tree).0
    }

    /// Returns the clauses as text: numbers with their bounds, names with a `*` if more may follow.
    fn shown(text: &str) -> String {
        let test = |test: &Test| {
            let value = match test.condition {
                Condition::Within(low, high) => format!("{low}..{high}"),
                Condition::Starts(name, len) => {
                    let end = name.iter().position(|byte| *byte == 0).unwrap();
                    let rest = if len == end { "*" } else { "" };
                    format!("{}{rest}", String::from_utf8_lossy(&name[..end]))
                }
                Condition::Lasts(bit) => bit.to_string(),
                Condition::End(End { address, prefix, ports }) => format!("{address}/{prefix} {ports:?}"),
            };
            let not = if test.negated { "not " } else { "" };
            format!("{not}{:?} {value}", test.subject)
        };
        let clause = |clause: &Clause| clause.iter().map(test).collect::<Vec<_>>().join(" or ");
        of(text).iter().map(clause).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_conjunction_has_the_clauses_of_its_parts() {
        assert_eq!(shown("proc.name = cat and fd.num > 3 and proc.pid = 7"), "Name cat, Pid 7..7");
        assert_eq!(
            shown("proc.name in (a, b) and thread.tid >= 5"),
            format!("Tid 5..{}, Name a or Name b", i64::MAX)
        );
        assert_eq!(shown("fd.num > 3"), "");
    }

    #[test]
    fn a_disjunction_has_a_clause_only_if_all_its_parts_have() {
        assert_eq!(shown("proc.name = cat or fd.num > 3"), "");
        assert_eq!(shown("proc.name = cat or user.uid = 0"), "Name cat or Uid 0..0");
        assert_eq!(
            shown("(proc.name = a and fd.num = 1) or (proc.name = b and proc.pid = 1)"),
            "Name a or Name b, Name a or Pid 1..1"
        );
    }

    #[test]
    fn negations_go_down_to_the_tests() {
        assert_eq!(shown("not proc.name in (a, b)"), "not Name a, not Name b");
        assert_eq!(shown("proc.name != a"), "not Name a");
        assert_eq!(shown("not (proc.pid = 1 or fd.num = 2)"), "not Pid 1..1");
        assert_eq!(shown("not (proc.pid = 1 and fd.num = 2)"), "");
        assert_eq!(shown("not proc.name != a"), "Name a");
    }

    #[test]
    fn results_are_numbers() {
        let (least, most) = (i64::MIN, i64::MAX);
        assert_eq!(shown("evt.failed = true"), format!("Result {least}..-1"));
        assert_eq!(
            shown("evt.res = ENOENT or evt.res = SUCCESS"),
            format!("Result -2..-2 or Result 0..{most}")
        );
        assert_eq!(shown("evt.rawres < -1"), format!("Result {least}..-2"));
        assert_eq!(shown("evt.res = 12 or evt.failed = true"), "", "no name");
        assert_eq!(shown("not evt.failed = true"), "", "an event without a result matches");
    }

    #[test]
    fn times_are_lower_bounds_of_half_the_time() {
        let long = |low: i64| format!("Latency {low}..{}", i64::MAX);
        assert_eq!(shown("evt.latency > 10ms"), long(5_000_000));
        assert_eq!(shown("evt.latency >= 10ms and proc.pid = 1"), format!("{}, Pid 1..1", long(5_000_000)));
        assert_eq!(shown("evt.wait_latency in (1ms, 4ms)"), long(500_000));
        assert_eq!(
            shown("evt.latency > 10ms or evt.failed = true"),
            format!("{} or Result {}..-1", long(5_000_000), i64::MIN)
        );
        for open in
            ["evt.latency < 10ms", "evt.latency != 10ms", "not evt.latency > 10ms", "evt.latency > 99us"]
        {
            assert_eq!(shown(open), "", "{open}");
        }
    }

    #[test]
    fn parents_and_ancestors_are_those_of_now() {
        assert_eq!(shown("proc.ppid in (1, 7)"), "Parent 1..1 or Parent 7..7");
        assert_eq!(shown("proc.ppid != 1"), "not Parent 1..1");
        assert_eq!(shown("not proc.ppid = 1"), "", "the parent may be unknown");
        assert_eq!(shown("proc.apid = 7 and proc.apid[2] = 1"), "Ancestor(0) 7..7, Ancestor(2) 1..1");
        for open in ["proc.apid != 7", "not proc.apid = 7", "proc.apid[0] = 7", "proc.apid exists"] {
            assert_eq!(shown(open), "", "{open}");
        }
    }

    #[test]
    fn ends_are_networks_and_ports() {
        assert_eq!(shown("fd.sport = 443"), "End ::/0 (443, 443)");
        assert_eq!(
            shown("fd.net in (10.0.0.0/8, ::1/128) and fd.rport > 1023"),
            "End ::/0 (1024, 65535), End ::ffff:10.0.0.0/104 (0, 65535) or End ::1/128 (0, 65535)"
        );
        assert_eq!(
            shown("fd.sip = 10.0.0.1 or proc.pid = 1"),
            "End ::ffff:10.0.0.1/128 (0, 65535) or Pid 1..1"
        );
        for open in
            ["fd.sport != 443", "not fd.sport = 443", "fd.sip exists", "fd.sproto = https", "fd.name = 443"]
        {
            assert_eq!(shown(open), "", "{open}");
        }
        let ports: Vec<_> = (0..MAX_ENDS + 1).map(|port| port.to_string()).collect();
        assert_eq!(shown(&format!("fd.port in ({}) and proc.pid = 1", ports.join(", "))), "Pid 1..1");
    }

    #[test]
    fn what_a_process_has_is_a_bit() {
        assert_eq!(
            shown("proc.exepath startswith /usr/ and not proc.exe regex 'a.*'"),
            "Process 1, Process 2"
        );
        assert_eq!(shown("thread.cgroup.cpu = /a or proc.tty != 0"), "Process 1 or Process 2");
        assert_eq!(shown("container.id != host or container.full_id exists"), "Process 1 or Process 2");
        assert_eq!(shown("basename(proc.exepath) = val(proc.exe)"), "Process 1");
        // The same test is one, its negation another.
        let both = "(proc.sid = 1 or proc.pid = 2) and (not proc.sid = 1 or proc.pid = 3)";
        assert_eq!(shown(both), "Process 1 or Pid 2..2, Process 2 or Pid 3..3");
        for open in ["proc.exepath = val(fd.name)", "proc.cmdline contains a", "proc.pname = a"] {
            assert_eq!(shown(open), "", "{open}");
        }
    }

    #[test]
    fn names_that_no_thread_has_leave_everything_out() {
        assert_eq!(of("proc.name = sixteen-letters-"), [Clause::new()]);
        assert_eq!(shown("proc.name in (fifteen-letters, sixteen-letters-)"), "Name fifteen-letters");
        assert_eq!(shown("proc.name != sixteen-letters-"), "");
        assert_eq!(shown("proc.name startswith kworker/"), "Name kworker/*");
        assert_eq!(shown("proc.name contains a"), "");
    }

    #[test]
    fn there_are_only_so_many_tests() {
        let many: Vec<_> = (0..40).map(|n| n.to_string()).collect();
        assert_eq!(shown(&format!("proc.pid in ({}) and user.uid = 3", many.join(", "))), "Uid 3..3");
        let pairs: Vec<_> = (0..6).map(|n| format!("(proc.pid = {n} and user.uid = {n})")).collect();
        let tests: usize = of(&pairs.join(" or ")).iter().map(Vec::len).sum();
        assert!(tests > 0 && tests <= MAX_TESTS, "{tests}");
    }
}
