//! From the tree of a filter to the plan that is run at each event.
//!
//! - Tests of the same operand with the same operator that `or` joins become one: of a set, of one automaton for many
//!   substrings. The same for `!=` joined by `and`, and for `not` joined by `and`.
//! - What no event can change is decided now: empty lists, text alone.
//! - In `and` and `or` the cheap tests come first. Tests have no side effects, so the order does not matter otherwise.

use std::collections::HashMap;

use crate::fields::{Reference, Registry, Source, Value};

use super::{
    predicate::{Predicate, compare},
    syntax::Op,
    transform::Nothing,
    tree::{Constant, Operand, Right, Test, Tree},
};

/// A part of a plan.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Constant(bool),
    Not(Box<Node>),
    All(Box<[Node]>),
    Any(Box<[Node]>),
    Values(Box<Values>),
    Operands(Box<Operands>),
}

/// A test of an operand against values of the filter.
#[derive(Debug, Clone)]
pub(super) struct Values {
    operand: Operand,
    /// Every value of the operand has to match, and it has to have one; otherwise one that matches will do.
    every: bool,
    /// The predicate must not be true.
    negated: bool,
    predicate: Predicate,
}

/// A test of an operand against another.
#[derive(Debug, Clone)]
pub(super) struct Operands {
    left: Operand,
    every: bool,
    op: Op,
    right: Operand,
}

impl Node {
    /// Returns whether the event matches.
    pub(super) fn matches<S: Source + ?Sized>(&self, source: &S) -> bool {
        match self {
            Self::Constant(result) => *result,
            Self::Not(inner) => !inner.matches(source),
            Self::All(nodes) => nodes.iter().all(|node| node.matches(source)),
            Self::Any(nodes) => nodes.iter().any(|node| node.matches(source)),
            Self::Values(test) => quantify(&test.operand, test.every, source, |value| {
                test.predicate.matches(value) != test.negated
            }),
            Self::Operands(test) => quantify(&test.left, test.every, source, |left| {
                quantify(&test.right, false, source, |right| compare(left, test.op, right))
            }),
        }
    }

    /// Returns what it is at every event that has the same values of the known fields; `None` if that depends on others.
    pub(super) fn known<S: Source + ?Sized>(
        &self,
        source: &S,
        is_known: &dyn Fn(&Reference) -> bool,
    ) -> Option<bool> {
        match self {
            Self::Constant(result) => Some(*result),
            Self::Not(inner) => inner.known(source, is_known).map(|result| !result),
            Self::All(nodes) => known_of(nodes, false, |node| node.known(source, is_known)),
            Self::Any(nodes) => known_of(nodes, true, |node| node.known(source, is_known)),
            Self::Values(_) | Self::Operands(_) => {
                let mut all_known = true;
                self.operands(&mut |operand| {
                    operand.fields(&mut |field| all_known &= is_known(&field.reference));
                });
                all_known.then(|| self.matches(source))
            }
        }
    }

    /// Calls `each` with every operand.
    pub(super) fn operands<'a>(&'a self, each: &mut dyn FnMut(&'a Operand)) {
        match self {
            Self::Constant(_) => {}
            Self::Not(inner) => inner.operands(each),
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().for_each(|node| node.operands(each)),
            Self::Values(test) => each(&test.operand),
            Self::Operands(test) => {
                each(&test.left);
                each(&test.right);
            }
        }
    }
}

/// Returns what is known of nodes of which one that is `decisive` decides.
fn known_of(nodes: &[Node], decisive: bool, known: impl Fn(&Node) -> Option<bool>) -> Option<bool> {
    let mut result = Some(!decisive);
    for node in nodes {
        match known(node) {
            Some(found) if found == decisive => return Some(decisive),
            Some(_) => {}
            None => result = None,
        }
    }
    result
}

/// Returns whether a test is true for every value of an operand, or for one. Without a value it is not.
fn quantify<S: Source + ?Sized>(
    operand: &Operand,
    every: bool,
    source: &S,
    test: impl Fn(&Value<'_>) -> bool,
) -> bool {
    let mut result = false;
    operand.values(source, &mut |value| {
        result = test(&value);
        result == every
    });
    result
}

/// Makes the plan of a tree.
///
/// # Errors
/// A message, if the texts to look for are too many or too long.
pub(super) fn plan(tree: &Tree, registry: &dyn Registry) -> Result<Node, String> {
    lower(draft(tree), registry).map(|(node, _)| node)
}

/// A plan whose tests can still be merged.
#[derive(Debug)]
enum Draft {
    Constant(bool),
    Not(Box<Draft>),
    All(Vec<Draft>),
    Any(Vec<Draft>),
    Values { operand: Operand, every: bool, op: Op, values: Vec<Constant> },
    Operands(Box<Operands>),
}

fn draft(tree: &Tree) -> Draft {
    match tree {
        Tree::Or(all) => any(all.iter().map(draft).collect()),
        Tree::And(trees) => all(trees.iter().map(draft).collect()),
        Tree::Not(inner) => not(draft(inner)),
        Tree::Test(test) => draft_test(test),
    }
}

fn draft_test(test: &Test) -> Draft {
    let every = match test.op {
        Op::In => test.left.is_list(),
        // An ancestor that differs is enough.
        Op::Ne => !test.left.is_ancestry(),
        _ => false,
    };
    let op = match test.op {
        Op::In | Op::Intersects => Op::Eq,
        Op::Bcontains => Op::Contains,
        Op::Bstartswith => Op::Startswith,
        op => op,
    };
    match &test.right {
        Right::Values(values) if values.is_empty() => Draft::Constant(false),
        Right::Values(values) => {
            let values = values.iter().map(|literal| literal.value.clone()).collect();
            Draft::Values { operand: test.left.clone(), every, op, values }
        }
        Right::Nothing => Draft::Values { operand: test.left.clone(), every, op, values: Vec::new() },
        Right::Operand(right) => {
            Draft::Operands(Box::new(Operands { left: test.left.clone(), every, op, right: right.clone() }))
        }
    }
}

fn not(inner: Draft) -> Draft {
    match inner {
        Draft::Constant(result) => Draft::Constant(!result),
        Draft::Not(inner) => *inner,
        inner => Draft::Not(Box::new(inner)),
    }
}

fn any(drafts: Vec<Draft>) -> Draft {
    let mut kept = Vec::new();
    for draft in drafts {
        match draft {
            Draft::Constant(true) => return Draft::Constant(true),
            Draft::Constant(false) => {}
            Draft::Any(inner) => kept.extend(inner),
            draft => kept.push(draft),
        }
    }
    // One value that matches a or b is the same as one that matches a, or one that matches b.
    one_or(merge(kept, |every, op| !every && op != Op::Ne), false, Draft::Any)
}

fn all(drafts: Vec<Draft>) -> Draft {
    let (mut kept, mut negated) = (Vec::new(), Vec::new());
    for draft in drafts {
        match draft {
            Draft::Constant(false) => return Draft::Constant(false),
            Draft::Constant(true) => {}
            Draft::All(inner) => kept.extend(inner),
            Draft::Not(inner) => negated.push(*inner),
            draft => kept.push(draft),
        }
    }
    // None of them is true: not one of them is.
    match not(any(negated)) {
        Draft::Constant(true) => {}
        Draft::Constant(false) => return Draft::Constant(false),
        draft => kept.push(draft),
    }
    // Every value differs from a and from b.
    one_or(merge(kept, |every, op| every && op == Op::Ne), true, Draft::All)
}

fn one_or(mut drafts: Vec<Draft>, empty: bool, many: fn(Vec<Draft>) -> Draft) -> Draft {
    match (drafts.pop(), drafts.is_empty()) {
        (None, _) => Draft::Constant(empty),
        (Some(only), true) => only,
        (last, false) => many(drafts.into_iter().chain(last).collect()),
    }
}

/// Merges the tests of the same operand with the same operator, where `mergeable` says so.
fn merge(drafts: Vec<Draft>, mergeable: impl Fn(bool, Op) -> bool) -> Vec<Draft> {
    let mut merged: Vec<Draft> = Vec::with_capacity(drafts.len());
    let mut places = HashMap::new();
    for draft in drafts {
        if let Draft::Values { operand, every, op, values } = &draft
            && mergeable(*every, *op)
        {
            let place = *places.entry((operand.clone(), *op)).or_insert(merged.len());
            if let Some(Draft::Values { values: earlier, .. }) = merged.get_mut(place) {
                earlier.extend_from_slice(values);
                continue;
            }
        }
        merged.push(draft);
    }
    merged
}

/// Compiles a draft, and returns what it costs, too.
fn lower(draft: Draft, registry: &dyn Registry) -> Result<(Node, u32), String> {
    let lower_all = |drafts: Vec<Draft>| -> Result<(Box<[Node]>, u32), String> {
        let mut nodes =
            drafts.into_iter().map(|draft| lower(draft, registry)).collect::<Result<Vec<_>, _>>()?;
        nodes.sort_by_key(|(_, cost)| *cost);
        let cost = nodes.iter().fold(0, |sum: u32, (_, cost)| sum.saturating_add(*cost));
        Ok((nodes.into_iter().map(|(node, _)| node).collect(), cost))
    };
    let (node, cost) = match draft {
        Draft::Constant(result) => return Ok((Node::Constant(result), 0)),
        Draft::Not(inner) => {
            let (inner, cost) = lower(*inner, registry)?;
            return Ok(match inner {
                Node::Constant(result) => (Node::Constant(!result), 0),
                inner => (Node::Not(Box::new(inner)), cost),
            });
        }
        Draft::All(drafts) => return lower_all(drafts).map(|(nodes, cost)| (Node::All(nodes), cost)),
        Draft::Any(drafts) => return lower_all(drafts).map(|(nodes, cost)| (Node::Any(nodes), cost)),
        Draft::Values { operand, every, op, values } => {
            let predicate = Predicate::new(op, values)?;
            let cost = predicate.cost();
            let test = Values { operand, every, negated: op == Op::Ne, predicate };
            (Node::Values(Box::new(test)), cost)
        }
        Draft::Operands(test) => (Node::Operands(test), 2),
    };
    let mut fields = 0;
    let mut all = cost;
    node.operands(&mut |operand| {
        all = all.saturating_add(operand_cost(operand, registry));
        operand.fields(&mut |_| fields += 1);
    });
    // Text alone is the same at every event.
    Ok(if fields == 0 { (Node::Constant(node.matches(&Nothing)), 0) } else { (node, all) })
}

fn operand_cost(operand: &Operand, registry: &dyn Registry) -> u32 {
    /// What a transformer costs: it may copy.
    const TRANSFORMER: u32 = 10;
    match operand {
        Operand::Field(field) => registry.cost(field.reference.field),
        Operand::Text(_) => 0,
        Operand::Call(_, operands) | Operand::List(operands) => operands
            .iter()
            .fold(TRANSFORMER, |sum, operand| sum.saturating_add(operand_cost(operand, registry))),
    }
}
