//! Tests of one value, ready to run: sets, substrings and patterns are compiled.

use std::{cmp::Ordering, collections::HashSet, net::IpAddr};

use aho_corasick::AhoCorasick;
use ipnet::IpNet;
use memchr::memmem::Finder;
use regex::bytes::Regex;

use crate::fields::Value;

use super::{glob::Glob, paths::Paths, syntax::Op, tree::Constant};

/// A test of one value: whether it matches one of some values. A value of another type does not match.
#[derive(Debug, Clone)]
pub(super) enum Predicate {
    /// Always true.
    Exists,
    Set(TextSet),
    Order(Order, Box<[u8]>),
    Contains(Substrings),
    Startswith(Box<[Box<[u8]>]>),
    Endswith(Box<[Box<[u8]>]>),
    Glob(Box<[Glob]>),
    Regex(Box<[Regex]>),
    Paths(Box<Paths>),
    Integers(Integers),
    Doubles(Box<[f64]>),
    DoubleOrder(Order, f64),
    Bool {
        true_matches: bool,
        false_matches: bool,
    },
    Addresses(Box<[IpAddr]>),
    Networks(Box<[IpNet]>),
}

/// Which results of a comparison match.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order(Ordering, bool);

/// Some texts.
#[derive(Debug, Clone)]
pub(super) enum TextSet {
    /// So few that comparing them is faster than hashing.
    Few(Box<[Box<[u8]>]>),
    Many(HashSet<Box<[u8]>, foldhash::fast::FixedState>),
}

/// Texts to look for in others.
#[derive(Debug, Clone)]
pub(super) enum Substrings {
    One(Box<Finder<'static>>),
    Many(AhoCorasick),
}

/// Tests of integers.
#[derive(Debug, Clone)]
pub(super) enum Integers {
    /// Sorted.
    Set(Box<[i128]>),
    Order(Order, i128),
}

/// Up to how many texts are compared one by one.
const FEW: usize = 6;

impl Order {
    fn of(op: Op) -> Option<Self> {
        match op {
            Op::Lt => Some(Self(Ordering::Less, false)),
            Op::Le => Some(Self(Ordering::Less, true)),
            Op::Gt => Some(Self(Ordering::Greater, false)),
            Op::Ge => Some(Self(Ordering::Greater, true)),
            _ => None,
        }
    }

    fn matches(self, ordering: Option<Ordering>) -> bool {
        ordering.is_some_and(|ordering| ordering == self.0 || self.1 && ordering == Ordering::Equal)
    }

    /// Returns the one of some bounds that includes what all of them include.
    fn widest<T>(self, bounds: Vec<T>, compare: impl Fn(&T, &T) -> Ordering) -> Option<T> {
        let bounds = bounds.into_iter();
        if self.0 == Ordering::Less { bounds.max_by(compare) } else { bounds.min_by(compare) }
    }
}

impl Predicate {
    /// Compiles the test whether an operator is true for one of some values, of which there is at least one. `!=` is the
    /// same as `=` here.
    ///
    /// # Errors
    /// The values are too many or too long for one automaton.
    pub(super) fn new(op: Op, values: Vec<Constant>) -> Result<Self, String> {
        match values.first() {
            _ if op == Op::Exists => Ok(Self::Exists),
            Some(Constant::Text(_)) => Self::of_text(
                op,
                only(values, |value| if let Constant::Text(text) = value { Some(text) } else { None }),
            ),
            Some(Constant::Regex(_)) => {
                let all = only(
                    values,
                    |value| if let Constant::Regex(regex) = value { Some(regex.0) } else { None },
                );
                Ok(Self::Regex(all.into()))
            }
            Some(Constant::Integer(_)) => {
                let all =
                    only(values, |value| if let Constant::Integer(one) = value { Some(one) } else { None });
                Ok(Self::Integers(Integers::new(op, all)))
            }
            Some(Constant::Double(_)) => {
                let all =
                    only(values, |value| if let Constant::Double(one) = value { Some(one) } else { None });
                let bound = |order: Order| Some((order, order.widest(all.clone(), f64::total_cmp)?));
                Ok(match Order::of(op).and_then(bound) {
                    Some((order, bound)) => Self::DoubleOrder(order, bound),
                    None => Self::Doubles(all.into()),
                })
            }
            Some(Constant::Ip(_)) => {
                let all = only(values, |value| if let Constant::Ip(ip) = value { Some(ip) } else { None });
                Ok(Self::Addresses(all.into()))
            }
            Some(Constant::Net(_)) => {
                let all = only(values, |value| if let Constant::Net(net) = value { Some(net) } else { None });
                Ok(Self::Networks(all.into()))
            }
            Some(Constant::Bool(_)) | None => Ok(Self::Bool {
                true_matches: values.contains(&Constant::Bool(true)),
                false_matches: values.contains(&Constant::Bool(false)),
            }),
        }
    }

    fn of_text(op: Op, texts: Vec<Box<[u8]>>) -> Result<Self, String> {
        Ok(match op {
            Op::Contains | Op::Bcontains => Self::Contains(Substrings::new(&texts, false)?),
            Op::Icontains => Self::Contains(Substrings::new(&texts, true)?),
            Op::Startswith | Op::Bstartswith => Self::Startswith(texts.into()),
            Op::Endswith => Self::Endswith(texts.into()),
            Op::Glob => Self::Glob(texts.iter().map(|text| Glob::new(text, false)).collect()),
            Op::Iglob => Self::Glob(texts.iter().map(|text| Glob::new(text, true)).collect()),
            Op::Pmatch => Self::Paths(Box::new(Paths::new(texts.iter().map(|text| &**text)))),
            _ => match Order::of(op) {
                Some(order) => Self::Order(order, order.widest(texts, Ord::cmp).unwrap_or_default()),
                None => Self::Set(TextSet::new(texts)),
            },
        })
    }

    /// Returns whether the value matches.
    pub(super) fn matches(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Exists, _) => true,
            (Self::Integers(integers), value) => integer(value).is_some_and(|value| integers.matches(value)),
            (Self::Doubles(doubles), value) => double(value).is_some_and(|value| doubles.contains(&value)),
            (Self::DoubleOrder(order, bound), value) => {
                order.matches(double(value).and_then(|value| value.partial_cmp(bound)))
            }
            (Self::Bool { true_matches, .. }, Value::Bool(true)) => *true_matches,
            (Self::Bool { false_matches, .. }, Value::Bool(false)) => *false_matches,
            (Self::Addresses(all), Value::Ip(ip)) => all.contains(ip),
            (Self::Networks(all), Value::Ip(ip)) => all.iter().any(|net| net.contains(ip)),
            (_, Value::Text(text)) => self.matches_text(text),
            _ => false,
        }
    }

    fn matches_text(&self, text: &[u8]) -> bool {
        match self {
            Self::Set(set) => set.contains(text),
            Self::Order(order, bound) => order.matches(Some(text.cmp(bound))),
            Self::Contains(substrings) => substrings.are_in(text),
            Self::Startswith(all) => all.iter().any(|start| text.starts_with(start)),
            Self::Endswith(all) => all.iter().any(|end| text.ends_with(end)),
            Self::Glob(all) => all.iter().any(|glob| glob.matches(text)),
            Self::Regex(all) => {
                // As libs has it: bytes that are no UTF-8 become U+FFFD, so that `.` matches them.
                let text = String::from_utf8_lossy(text);
                all.iter().any(|regex| regex.is_match(text.as_bytes()))
            }
            Self::Paths(paths) => paths.matches(text),
            _ => false,
        }
    }

    /// Returns what a test costs, compared with that of a number.
    pub(super) fn cost(&self) -> u32 {
        match self {
            Self::Exists
            | Self::Bool { .. }
            | Self::Integers(_)
            | Self::Doubles(_)
            | Self::DoubleOrder(..) => 1,
            Self::Set(_) | Self::Order(..) | Self::Addresses(_) | Self::Networks(_) => 2,
            Self::Startswith(_) | Self::Endswith(_) => 2,
            Self::Paths(_) => 4,
            Self::Contains(_) => 6,
            Self::Glob(_) => 8,
            Self::Regex(_) => 20,
        }
    }
}

/// Returns the values of one variant.
fn only<T>(values: Vec<Constant>, of: impl FnMut(Constant) -> Option<T>) -> Vec<T> {
    values.into_iter().filter_map(of).collect()
}

impl TextSet {
    fn new(mut texts: Vec<Box<[u8]>>) -> Self {
        texts.sort_unstable();
        texts.dedup();
        if texts.len() <= FEW { Self::Few(texts.into()) } else { Self::Many(texts.into_iter().collect()) }
    }

    fn contains(&self, text: &[u8]) -> bool {
        match self {
            Self::Few(texts) => texts.iter().any(|one| **one == *text),
            Self::Many(texts) => texts.contains(text),
        }
    }
}

impl Substrings {
    fn new(texts: &[Box<[u8]>], ignore_case: bool) -> Result<Self, String> {
        match texts {
            [one] if !ignore_case => Ok(Self::One(Box::new(Finder::new(one).into_owned()))),
            many => AhoCorasick::builder()
                .ascii_case_insensitive(ignore_case)
                .build(many)
                .map(Self::Many)
                .map_err(|why| format!("cannot look for all these texts: {why}")),
        }
    }

    fn are_in(&self, text: &[u8]) -> bool {
        match self {
            Self::One(finder) => finder.find(text).is_some(),
            Self::Many(automaton) => automaton.is_match(text),
        }
    }
}

impl Integers {
    fn new(op: Op, mut all: Vec<i128>) -> Self {
        let bound = |order: Order| Some((order, order.widest(all.clone(), Ord::cmp)?));
        if let Some((order, bound)) = Order::of(op).and_then(bound) {
            return Self::Order(order, bound);
        }
        all.sort_unstable();
        all.dedup();
        Self::Set(all.into())
    }

    fn matches(&self, value: i128) -> bool {
        match self {
            Self::Set(all) => match **all {
                [only] => only == value,
                _ => all.binary_search(&value).is_ok(),
            },
            Self::Order(order, bound) => order.matches(Some(value.cmp(bound))),
        }
    }
}

fn integer(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(number) => Some((*number).into()),
        Value::Uint(number) => Some((*number).into()),
        _ => None,
    }
}

fn double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Double(number) => Some(*number),
        Value::Int(number) => Some(*number as f64),
        Value::Uint(number) => Some(*number as f64),
        _ => None,
    }
}

/// Returns whether an operator is true for two values of the same event.
pub(super) fn compare(left: &Value<'_>, op: Op, right: &Value<'_>) -> bool {
    if let (Value::Text(left), Value::Text(right)) = (left, right) {
        return compare_text(left, op, right);
    }
    let ordering = match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Ip(left), Value::Ip(right)) => Some(left.cmp(right)),
        _ => match (integer(left), integer(right)) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => double(left).zip(double(right)).and_then(|(left, right)| left.partial_cmp(&right)),
        },
    };
    match (op, Order::of(op)) {
        (_, Some(order)) => order.matches(ordering),
        (Op::Ne, _) => ordering != Some(Ordering::Equal),
        _ => ordering == Some(Ordering::Equal),
    }
}

fn compare_text(left: &[u8], op: Op, right: &[u8]) -> bool {
    match (op, Order::of(op)) {
        (_, Some(order)) => order.matches(Some(left.cmp(right))),
        (Op::Ne, _) => left != right,
        (Op::Contains, _) => memchr::memmem::find(left, right).is_some(),
        (Op::Icontains, _) => {
            right.is_empty() || left.windows(right.len()).any(|window| window.eq_ignore_ascii_case(right))
        }
        (Op::Startswith, _) => left.starts_with(right),
        (Op::Endswith, _) => left.ends_with(right),
        (Op::Glob | Op::Iglob, _) => Glob::new(right, op == Op::Iglob).matches(left),
        _ => left == right,
    }
}
