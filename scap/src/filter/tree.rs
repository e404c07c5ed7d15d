//! The tree of a filter whose fields are known and whose values fit the types. Printed, it parses to the same tree.

use std::{
    fmt::{self, Display, Formatter, Write},
    net::IpAddr,
};

use ipnet::IpNet;
use regex::bytes::Regex;

use crate::fields::{Key, Reference, Type};

use super::{
    literal::{write_quoted, write_value},
    syntax::{Function, Op},
};

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    Or(Vec<Tree>),
    And(Vec<Tree>),
    Not(Box<Tree>),
    Test(Box<Test>),
}

/// A test of an event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Test {
    pub(super) left: Operand,
    pub(super) op: Op,
    pub(super) right: Right,
}

/// The right side of a test.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Right {
    Nothing,
    /// One value, or those of a list.
    Values(Vec<Literal>),
    Operand(Operand),
}

/// What has values at an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Operand {
    Field(FieldOperand),
    Call(Function, Vec<Operand>),
    Text(Box<[u8]>),
    /// Operands, each of which contributes its first value.
    List(Vec<Operand>),
}

/// A field of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FieldOperand {
    pub(super) reference: Reference,
    pub(super) name: &'static str,
    pub(super) ty: Type,
    pub(super) is_list: bool,
    /// It has the values of all ancestors (`proc.aname` without an index): `!=` is true if one of them differs.
    pub(super) is_ancestry: bool,
    /// Its argument is printed behind a dot, as in `evt.arg.flags`.
    pub(super) dotted: bool,
}

/// A value as written, and as understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Literal {
    pub(super) text: Box<[u8]>,
    pub(super) value: Constant,
}

/// A value of a filter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Constant {
    Text(Box<[u8]>),
    Integer(i128),
    Double(f64),
    Bool(bool),
    Ip(IpAddr),
    Net(IpNet),
    Regex(Pattern),
}

/// A regular expression that matches whole values.
#[derive(Debug, Clone)]
pub(super) struct Pattern(pub(super) Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Tree {
    /// Calls `each` with every test, in order.
    pub(super) fn tests<'t>(&'t self, each: &mut impl FnMut(&'t Tree)) {
        match self {
            Tree::Or(trees) | Tree::And(trees) => trees.iter().for_each(|tree| tree.tests(each)),
            Tree::Not(inner) => inner.tests(each),
            Tree::Test(_) => each(self),
        }
    }
}

impl Operand {
    /// Returns the type of the values.
    pub(super) fn ty(&self) -> Type {
        match self {
            Self::Field(field) => field.ty,
            Self::Call(Function::Len, _) => Type::Uint,
            Self::Call(..) | Self::Text(_) | Self::List(_) => Type::Text,
        }
    }

    /// Returns whether there may be several values, which `in` and `intersects` compare as a set.
    pub(super) fn is_list(&self) -> bool {
        match self {
            Self::Field(field) => field.is_list,
            Self::Call(Function::Len | Function::Join | Function::Concat, _) | Self::Text(_) => false,
            Self::Call(_, arguments) => arguments.iter().any(Self::is_list),
            Self::List(_) => true,
        }
    }

    /// Returns whether the values are those of ancestors.
    pub(super) fn is_ancestry(&self) -> bool {
        match self {
            Self::Field(field) => field.is_ancestry,
            Self::Call(Function::Join | Function::Concat, _) | Self::Text(_) | Self::List(_) => false,
            Self::Call(_, arguments) => arguments.iter().any(Self::is_ancestry),
        }
    }

    /// Calls `each` with every field.
    pub(super) fn fields<'a>(&'a self, each: &mut dyn FnMut(&'a FieldOperand)) {
        match self {
            Self::Field(field) => each(field),
            Self::Call(_, operands) | Self::List(operands) => {
                operands.iter().for_each(|operand| operand.fields(each))
            }
            Self::Text(_) => {}
        }
    }
}

impl Display for Tree {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            // `or` binds the least; what it stands in needs parentheses around it.
            Self::Or(all) => separated(f, all, " or ", |f, one| one.enclosed(f, matches!(one, Self::Or(_)))),
            Self::And(all) => separated(f, all, " and ", |f, one| {
                one.enclosed(f, matches!(one, Self::Or(_) | Self::And(_)))
            }),
            Self::Not(inner) => {
                f.write_str("not ")?;
                inner.enclosed(f, !matches!(**inner, Self::Test(_)))
            }
            Self::Test(test) => test.fmt(f),
        }
    }
}

impl Tree {
    fn enclosed(&self, f: &mut Formatter<'_>, parentheses: bool) -> fmt::Result {
        if parentheses { write!(f, "({self})") } else { self.fmt(f) }
    }
}

impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.left, self.op.name())?;
        match &self.right {
            Right::Nothing => Ok(()),
            Right::Values(values) if self.op.takes_list() => {
                f.write_str(" (")?;
                separated(f, values, ", ", |f, value| value.fmt(f))?;
                f.write_char(')')
            }
            Right::Values(values) => values.iter().try_for_each(|value| write!(f, " {value}")),
            Right::Operand(field @ Operand::Field(_)) => write!(f, " val({field})"),
            Right::Operand(operand) => write!(f, " {operand}"),
        }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => field.fmt(f),
            Self::Call(function, _) => f.write_str(function.name()).and_then(|()| self.fmt_arguments(f)),
            Self::Text(text) => write_quoted(f, text),
            Self::List(_) => self.fmt_arguments(f),
        }
    }
}

impl Operand {
    fn fmt_arguments(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('(')?;
        if let Self::Call(_, operands) | Self::List(operands) = self {
            separated(f, operands, ", ", |f, operand| operand.fmt(f))?;
        }
        f.write_char(')')
    }
}

impl Display for FieldOperand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match &self.reference.argument {
            None => Ok(()),
            Some(Key::Index(index)) => write!(f, "[{index}]"),
            Some(Key::Name(name)) if self.dotted && is_identifier(name) => write!(f, ".{name}"),
            Some(Key::Name(name)) if is_identifier(name) => write!(f, "[{name}]"),
            Some(Key::Name(name)) => {
                f.write_char('[')?;
                write_quoted(f, name.as_bytes())?;
                f.write_char(']')
            }
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_value(f, &self.text)
    }
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn separated<T>(
    f: &mut Formatter<'_>,
    all: &[T],
    separator: &str,
    one: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in all.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        one(f, item)?;
    }
    Ok(())
}
