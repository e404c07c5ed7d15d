//! The tree that a filter's text is parsed into: names are not looked up, values not understood yet.

use std::ops::Range;

/// Bytes of the filter's text.
pub(super) type Span = Range<usize>;

/// An expression.
#[derive(Debug, Clone)]
pub(super) enum Expr {
    /// One of them is true. At least two.
    Or(Vec<Expr>),
    /// All of them are true. At least two.
    And(Vec<Expr>),
    Not(Box<Expr>),
    Check(Box<Check>),
}

/// A test: an operand, an operator, and what it is compared with.
#[derive(Debug, Clone)]
pub(super) struct Check {
    pub(super) left: Term,
    pub(super) op: Op,
    pub(super) op_span: Span,
    pub(super) right: Right,
}

/// The right side of an operator.
#[derive(Debug, Clone)]
pub(super) enum Right {
    /// Nothing: `exists`.
    Nothing,
    /// A value, or the values of a list.
    Values(Vec<Literal>),
    /// A function's result, or `val(field)`.
    Term(Term),
}

/// What has values at an event.
#[derive(Debug, Clone)]
pub(super) enum Term {
    Field(FieldName),
    /// A transformer with its arguments.
    Call {
        function: Function,
        arguments: Vec<Term>,
        span: Span,
    },
    /// Text, or a number, as an argument of a transformer.
    Literal(Literal),
    /// A list in parentheses, as an argument of a transformer.
    List(Vec<Term>, Span),
}

impl Term {
    pub(super) fn span(&self) -> &Span {
        match self {
            Self::Field(field) => &field.span,
            Self::Call { span, .. } | Self::List(_, span) => span,
            Self::Literal(literal) => &literal.span,
        }
    }
}

/// A field's name and, if given, the argument in brackets. An argument behind a further dot is part of the name here.
#[derive(Debug, Clone)]
pub(super) struct FieldName {
    pub(super) name: String,
    pub(super) argument: Option<Literal>,
    /// Name and argument.
    pub(super) span: Span,
}

/// A value as written, without quotes and escapes.
#[derive(Debug, Clone)]
pub(super) struct Literal {
    pub(super) text: Vec<u8>,
    /// With quotes.
    pub(super) span: Span,
}

/// Defines an enum and the names of its variants.
macro_rules! names {
    ($(#[$about:meta])* $type:ident { $($variant:ident = $name:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(super) enum $type { $($variant,)* }

        impl $type {
            /// All of them.
            pub(super) const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the name in filters.
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Returns the one with this name.
            pub(super) fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

names! {
    /// An operator. `==` is another name of `=`.
    Op {
        Eq = "=",
        Ne = "!=",
        Lt = "<",
        Le = "<=",
        Gt = ">",
        Ge = ">=",
        Contains = "contains",
        Icontains = "icontains",
        Bcontains = "bcontains",
        Startswith = "startswith",
        Bstartswith = "bstartswith",
        Endswith = "endswith",
        Glob = "glob",
        Iglob = "iglob",
        Regex = "regex",
        Pmatch = "pmatch",
        In = "in",
        Intersects = "intersects",
        Exists = "exists",
    }
}

impl Op {
    /// Returns whether a list may stand to its right.
    pub(super) fn takes_list(self) -> bool {
        matches!(self, Self::In | Self::Intersects | Self::Pmatch)
    }
}

names! {
    /// A transformer. `val` is none: it only tells a field from text.
    Function {
        Tolower = "tolower",
        Toupper = "toupper",
        B64 = "b64",
        Basename = "basename",
        Len = "len",
        Join = "join",
        Concat = "concat",
    }
}
