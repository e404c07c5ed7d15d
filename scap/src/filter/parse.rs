//! The syntax of filters, with winnow.
//!
//! Every function leaves the blanks behind what it parsed. A mistake ends the parsing at once (`ErrMode::Cut`), with its
//! place and message; nothing is tried twice.

use winnow::{
    Parser,
    combinator::{eof, opt, separated},
    error::{ErrMode, ParserError},
    stream::{Location, Stream},
    token::{literal, take_while},
};

use crate::select::suggest;

use super::{
    error::Mistake,
    input::{Input, Parsed, blanks, fail, in_value, in_word, is_blank, token},
    literal::{bare, quoted},
    syntax::{Check, Expr, FieldName, Function, Literal, Op, Right, Span, Term},
};

/// How deep parentheses may be nested. The evaluation and all else that walks the tree recurse as deep.
const MAX_DEPTH: u32 = 100;

/// Operators that are no words. One that begins with another comes before it.
const SYMBOLS: &[(&str, Op)] = &[
    ("==", Op::Eq),
    ("=", Op::Eq),
    ("!=", Op::Ne),
    ("<=", Op::Le),
    ("<", Op::Lt),
    (">=", Op::Ge),
    (">", Op::Gt),
];

const ALONE: &str = "expected an operator; a field alone is no test: write `= true` or `exists`";

/// Parses a filter.
pub(super) fn filter(text: &str) -> Result<Expr, Mistake> {
    let mut input = Input::new(text);
    let whole = |input: &mut Input<'_>| {
        blanks(input)?;
        if input.is_empty() {
            return fail(&(0..0), "the filter is empty");
        }
        let expr = or(input, 0)?;
        blanks(input)?;
        match opt(eof::<_, ErrMode<Mistake>>).parse_next(input)? {
            Some(_) => Ok(expr),
            None => Err(ErrMode::Cut(unexpected(input))),
        }
    };
    whole(&mut input).map_err(|error| mistake(error, &input))
}

fn mistake(error: ErrMode<Mistake>, input: &Input<'_>) -> Mistake {
    match error {
        ErrMode::Backtrack(mistake) | ErrMode::Cut(mistake) => mistake,
        ErrMode::Incomplete(_) => Mistake::new(&token(input), "not complete"),
    }
}

/// Parses a field, or a transformer with its arguments, at a byte of a text. Returns it, and the byte behind it.
pub(super) fn term_at(text: &str, at: usize) -> Result<(Term, usize), Mistake> {
    let mut input = Input::new(text);
    input.next_slice(at);
    match term(&mut input, 0) {
        Ok(Some(term)) => Ok((term, input.current_token_start())),
        Ok(None) => Err(Mistake::new(&token(&input), "expected a field, such as proc.name")),
        Err(error) => Err(mistake(error, &input)),
    }
}

fn or(input: &mut Input<'_>, depth: u32) -> Parsed<Expr> {
    let all = separated(1.., |input: &mut Input<'_>| and(input, depth), keyword("or")).parse_next(input)?;
    Ok(one_or(all, Expr::Or))
}

fn and(input: &mut Input<'_>, depth: u32) -> Parsed<Expr> {
    let all = separated(1.., |input: &mut Input<'_>| not(input, depth), keyword("and")).parse_next(input)?;
    Ok(one_or(all, Expr::And))
}

fn one_or(mut all: Vec<Expr>, many: fn(Vec<Expr>) -> Expr) -> Expr {
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => only,
        (last, _) => many(all.into_iter().chain(last).collect()),
    }
}

fn not(input: &mut Input<'_>, depth: u32) -> Parsed<Expr> {
    let mut negated = false;
    while opt(keyword("not")).parse_next(input)?.is_some() {
        negated = !negated;
    }
    blanks(input)?;
    let expr = if opt('(').parse_next(input)?.is_some() {
        let inner = or(input, deeper(input, depth)?)?;
        close(input, "expected ), or `and` or `or` and a further test")?;
        inner
    } else {
        Expr::Check(Box::new(check(input, depth)?))
    };
    Ok(if negated { Expr::Not(Box::new(expr)) } else { expr })
}

/// Parses blanks, a word, and what ends it: anything that is no part of a word.
fn keyword(word: &'static str) -> impl FnMut(&mut Input<'_>) -> Parsed<()> {
    move |input| {
        let start = input.checkpoint();
        blanks(input)?;
        if opt(literal(word)).parse_next(input)?.is_some() && !input.chars().next().is_some_and(in_word) {
            return Ok(());
        }
        input.reset(&start);
        Err(ErrMode::Backtrack(Mistake::from_input(input)))
    }
}

fn check(input: &mut Input<'_>, depth: u32) -> Parsed<Check> {
    let left = match term(input, depth)? {
        Some(term @ (Term::Field(_) | Term::Call { .. })) => term,
        Some(term) => return fail(term.span(), "expected a field, such as proc.name, and not a value"),
        None if input.is_empty() => return fail(&token(input), "expected a test, such as proc.name = cat"),
        None => return fail(&token(input), "expected a field, such as proc.name"),
    };
    blanks(input)?;
    let (op, op_span) = operator(input)?;
    let right = match op {
        Op::Exists => Right::Nothing,
        _ => right(input, op, depth)?,
    };
    Ok(Check { left, op, op_span, right })
}

fn operator(input: &mut Input<'_>) -> Parsed<(Op, Span)> {
    let (word, span) = take_while(0.., in_word).with_span().parse_next(input)?;
    if let Some(op) = Op::named(word) {
        return Ok((op, span));
    }
    let missing = "expected an operator, such as =, contains or exists";
    if word.is_empty() {
        for (symbol, op) in SYMBOLS {
            if let Some((_, span)) = opt(literal(*symbol).with_span()).parse_next(input)? {
                return Ok((*op, span));
            }
        }
        return fail(&token(input), if input.is_empty() { ALONE } else { missing });
    }
    if ["and", "or"].contains(&word) {
        return fail(&span, ALONE);
    }
    let lower = word.to_ascii_lowercase();
    match suggest(&lower, Op::ALL.iter().map(|op| op.name())) {
        Some(name) => fail(&span, format!("no such operator; did you mean {name}?")),
        None => fail(&span, missing),
    }
}

fn right(input: &mut Input<'_>, op: Op, depth: u32) -> Parsed<Right> {
    blanks(input)?;
    if op.takes_list() && opt('(').parse_next(input)?.is_some() {
        return Ok(Right::Values(list(input, |input| match value(input)? {
            Some(value) => Ok(value),
            None => fail(&token(input), "expected a value"),
        })?));
    }
    if let Some(call) = call(input, depth)? {
        return Ok(Right::Term(call));
    }
    match value(input)? {
        Some(value) => Ok(Right::Values(vec![value])),
        None if op.takes_list() => fail(&token(input), "expected a list, such as (a, b)"),
        None => fail(&token(input), "expected a value"),
    }
}

/// Parses what is between an open parenthesis and the one that closes it, with commas between.
fn list<T>(input: &mut Input<'_>, mut one: impl FnMut(&mut Input<'_>) -> Parsed<T>) -> Parsed<Vec<T>> {
    let mut all = Vec::new();
    blanks(input)?;
    if opt(')').parse_next(input)?.is_some() {
        return Ok(all);
    }
    loop {
        blanks(input)?;
        all.push(one(input)?);
        blanks(input)?;
        if opt(',').parse_next(input)?.is_none() {
            close(input, "expected , or )")?;
            return Ok(all);
        }
    }
}

fn close(input: &mut Input<'_>, message: &str) -> Parsed<()> {
    blanks(input)?;
    match opt(')').parse_next(input)? {
        Some(_) => Ok(()),
        None => fail(&token(input), message),
    }
}

/// Parses a field, a transformer or a literal; none if there is none.
fn term(input: &mut Input<'_>, depth: u32) -> Parsed<Option<Term>> {
    if let Some(call) = call(input, depth)? {
        return Ok(Some(call));
    }
    match input.chars().next() {
        Some('"' | '\'' | '0'..='9' | '+' | '-') => Ok(value(input)?.map(Term::Literal)),
        Some('a'..='z' | 'A'..='Z') => Ok(Some(Term::Field(field(input)?))),
        _ => Ok(None),
    }
}

fn field(input: &mut Input<'_>) -> Parsed<FieldName> {
    let (name, mut span) = take_while(1.., in_word).with_span().parse_next(input)?;
    let mut argument = None;
    if opt('[').parse_next(input)?.is_some() {
        argument = match quoted(input)? {
            Some(text) => Some(text),
            None => bare(input, |c| !matches!(c, '[' | ']' | '"' | '\'') && !is_blank(c))?,
        };
        if argument.is_none() {
            return fail(&token(input), "expected an argument, such as [0] or [name]");
        }
        if opt(']').parse_next(input)?.is_none() {
            return fail(&token(input), "expected ]");
        }
        span.end = input.previous_token_end();
    }
    Ok(FieldName { name: name.to_owned(), argument, span })
}

/// Parses a transformer with its arguments, or `val(field)`; none if no name with a parenthesis follows.
fn call(input: &mut Input<'_>, depth: u32) -> Parsed<Option<Term>> {
    let start = input.checkpoint();
    let (name, mut span) = take_while(0.., in_word).with_span().parse_next(input)?;
    if name.is_empty() || opt('(').parse_next(input)?.is_none() {
        input.reset(&start);
        return Ok(None);
    }
    let depth = deeper(input, depth)?;
    let argument = |input: &mut Input<'_>| match opt('(').parse_next(input)? {
        Some(_) => {
            let start = input.previous_token_end() - 1;
            let depth = deeper(input, depth)?;
            let terms = list(input, |input| argument(input, depth))?;
            Ok(Term::List(terms, start..input.previous_token_end()))
        }
        None => argument(input, depth),
    };
    if name == "val" {
        blanks(input)?;
        let field = match term(input, depth)? {
            Some(term @ Term::Field(_)) => term,
            _ => return fail(&token(input), "expected a field, such as proc.name"),
        };
        close(input, "expected )")?;
        return Ok(Some(field));
    }
    let Some(function) = Function::named(name) else {
        let names = Function::ALL.iter().map(|function| function.name()).chain(["val"]);
        let all = || names.clone().collect::<Vec<_>>().join(", ");
        return match suggest(&name.to_ascii_lowercase(), names.clone()) {
            Some(meant) => fail(&span, format!("no such transformer; did you mean {meant}?")),
            None => fail(&span, format!("no such transformer; there are {}", all())),
        };
    };
    let arguments = list(input, argument)?;
    span.end = input.previous_token_end();
    Ok(Some(Term::Call { function, arguments, span }))
}

fn argument(input: &mut Input<'_>, depth: u32) -> Parsed<Term> {
    match term(input, depth)? {
        Some(term) => Ok(term),
        None => fail(&token(input), "expected a field, a transformer, a number or text in quotes"),
    }
}

/// Parses a value with or without quotes; none if there is none.
fn value(input: &mut Input<'_>) -> Parsed<Option<Literal>> {
    if let Some(literal) = quoted(input)? {
        return Ok(Some(literal));
    }
    bare(input, in_value)
}

fn deeper(input: &Input<'_>, depth: u32) -> Parsed<u32> {
    if depth == MAX_DEPTH {
        let at = input.previous_token_end();
        return fail(&(at - 1..at), format!("nested more than {MAX_DEPTH} deep"));
    }
    Ok(depth + 1)
}

/// Says what is wrong with what follows a complete test.
fn unexpected(input: &Input<'_>) -> Mistake {
    let span = token(input);
    let word: String = input.chars().take_while(|c| in_word(*c)).collect();
    let message = match (word.to_ascii_lowercase().as_str(), input.chars().next()) {
        ("and" | "or" | "not", _) => "expected `and`, `or` or the end; keywords are in lower case",
        (_, Some(')')) => "there is no ( for this )",
        (_, Some(',' | '=' | '(' | '"' | '\'')) => {
            "expected `and`, `or` or the end; a value with this character needs quotes"
        }
        (_, Some('&' | '|')) => "expected `and`, `or` or the end",
        _ => "expected `and`, `or` or the end; a value with blanks needs quotes",
    };
    Mistake::new(&span, message)
}
