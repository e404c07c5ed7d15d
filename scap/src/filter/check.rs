//! Looks up the fields of a filter, and checks operators and values against their types.

use crate::{
    fields::{Argument, Field, Key, Reference, Registry, Type},
    select::suggest,
};

use super::{
    constant,
    error::Mistake,
    syntax::{self, Expr, FieldName, Function, Op, Span, Term},
    tree::{FieldOperand, Literal, Operand, Right, Test, Tree},
};

/// Returns the tree of an expression.
pub(super) fn expression(expr: &Expr, registry: &dyn Registry) -> Result<Tree, Mistake> {
    let all = |all: &[Expr]| all.iter().map(|one| expression(one, registry)).collect::<Result<_, _>>();
    Ok(match expr {
        Expr::Or(exprs) => Tree::Or(all(exprs)?),
        Expr::And(exprs) => Tree::And(all(exprs)?),
        Expr::Not(inner) => Tree::Not(Box::new(expression(inner, registry)?)),
        Expr::Check(check) => Tree::Test(Box::new(test(check, registry)?)),
    })
}

fn test(check: &syntax::Check, registry: &dyn Registry) -> Result<Test, Mistake> {
    let (op, op_span) = (check.op, &check.op_span);
    let left = operand(&check.left, registry)?;
    let ty = left.ty();
    if !fits(op, ty, left.is_list()) {
        let what = if left.is_list() { "lists".to_owned() } else { describe(ty).to_owned() };
        return Err(Mistake::new(
            op_span,
            format!("{} is not for {what}; there are {}", op.name(), all_for(&left)),
        ));
    }
    let right = match &check.right {
        syntax::Right::Nothing => Right::Nothing,
        syntax::Right::Values(values) => Right::Values(
            values
                .iter()
                .map(|value| {
                    let constant =
                        constant::read(&value.text, op, ty).map_err(|why| Mistake::new(&value.span, why))?;
                    Ok(Literal { text: value.text.as_slice().into(), value: constant })
                })
                .collect::<Result<_, Mistake>>()?,
        ),
        syntax::Right::Term(term) => {
            let right = operand(term, registry)?;
            compatible(&left, op, &right).map_err(|why| Mistake::new(term.span(), why))?;
            Right::Operand(right)
        }
    };
    Ok(Test { left, op, right })
}

/// Returns whether values of this type can be tested with this operator.
fn fits(op: Op, ty: Type, is_list: bool) -> bool {
    match op {
        Op::Exists | Op::In | Op::Intersects => true,
        _ if is_list => false,
        Op::Eq | Op::Ne => true,
        Op::Lt | Op::Le | Op::Gt | Op::Ge => !matches!(ty, Type::Bool | Type::Ip | Type::Net),
        _ => is_text(ty),
    }
}

fn all_for(operand: &Operand) -> String {
    let names: Vec<_> =
        Op::ALL.iter().filter(|op| fits(**op, operand.ty(), operand.is_list())).map(|op| op.name()).collect();
    names.join(" ")
}

fn compatible(left: &Operand, op: Op, right: &Operand) -> Result<(), String> {
    if matches!(op, Op::Regex | Op::Pmatch | Op::Bcontains | Op::Bstartswith) {
        return Err(format!("{} takes no field on its right, only text", op.name()));
    }
    if [left.ty(), right.ty()].contains(&Type::Net) {
        return Err("networks are compared with text only, such as 10.0.0.0/8".into());
    }
    if class(left.ty()) != class(right.ty()) {
        return Err(format!("{} cannot be compared with {}", describe(left.ty()), describe(right.ty())));
    }
    if right.is_list() && !matches!(op, Op::In | Op::Intersects) {
        return Err(format!("a list; compare with in or intersects, not {}", op.name()));
    }
    Ok(())
}

fn is_text(ty: Type) -> bool {
    matches!(ty, Type::Text | Type::Bytes)
}

/// Types with the same one can be compared.
fn class(ty: Type) -> u8 {
    match ty {
        Type::Text | Type::Bytes => 0,
        Type::Int | Type::Uint | Type::Double | Type::Port => 1,
        Type::Bool => 2,
        Type::Time => 3,
        Type::Duration => 4,
        Type::Ip | Type::Net => 5,
    }
}

fn describe(ty: Type) -> &'static str {
    match ty {
        Type::Text => "text",
        Type::Bytes => "data",
        Type::Int | Type::Uint | Type::Double => "numbers",
        Type::Bool => "true and false",
        Type::Time => "times",
        Type::Duration => "durations",
        Type::Port => "ports",
        Type::Ip => "addresses",
        Type::Net => "networks",
    }
}

pub(super) fn operand(term: &Term, registry: &dyn Registry) -> Result<Operand, Mistake> {
    Ok(match term {
        Term::Field(name) => Operand::Field(field(name, registry)?),
        Term::Literal(literal) => Operand::Text(literal.text.as_slice().into()),
        Term::List(terms, _) => Operand::List(
            terms
                .iter()
                .map(|term| match operand(term, registry)? {
                    one if is_text(one.ty()) && !one.is_list() => Ok(one),
                    _ => Err(Mistake::new(term.span(), "expected text: a list has no numbers and no lists")),
                })
                .collect::<Result<_, _>>()?,
        ),
        Term::Call { function, arguments, span } => {
            let operands =
                arguments.iter().map(|term| operand(term, registry)).collect::<Result<Vec<_>, _>>()?;
            check_arguments(*function, &operands, arguments, span)?;
            Operand::Call(*function, operands)
        }
    })
}

fn check_arguments(
    function: Function,
    operands: &[Operand],
    terms: &[Term],
    span: &Span,
) -> Result<(), Mistake> {
    let name = function.name();
    let wrong = |index: usize, what: &str| {
        Err(Mistake::new(
            terms[index].span(),
            format!("{name} takes {what} here, not {}", describe_operand(&operands[index])),
        ))
    };
    match function {
        Function::Tolower | Function::Toupper | Function::B64 | Function::Basename | Function::Len => {
            let [operand] = operands else {
                return Err(Mistake::new(
                    span,
                    format!("{name} takes one argument, such as {name}(proc.name)"),
                ));
            };
            let any_list = function == Function::Len && operand.is_list();
            if any_list || is_text(operand.ty()) { Ok(()) } else { wrong(0, "text") }
        }
        Function::Join => {
            let [separator, list] = operands else {
                let message = "join takes two arguments, such as join(\",\", (proc.name, fd.name))";
                return Err(Mistake::new(span, message));
            };
            match () {
                () if separator.is_list() || !is_text(separator.ty()) => wrong(0, "text"),
                () if !list.is_list() || !is_text(list.ty()) => wrong(1, "a list of text"),
                () => Ok(()),
            }
        }
        Function::Concat => {
            if operands.len() < 2 {
                let message = "concat takes two or more arguments, such as concat(proc.name, \":\", fd.name)";
                return Err(Mistake::new(span, message));
            }
            match operands.iter().position(|operand| operand.is_list() || !is_text(operand.ty())) {
                Some(index) => wrong(index, "text"),
                None => Ok(()),
            }
        }
    }
}

fn describe_operand(operand: &Operand) -> String {
    if operand.is_list() {
        format!("a list of {}", describe(operand.ty()))
    } else {
        describe(operand.ty()).to_owned()
    }
}

fn field(written: &FieldName, registry: &dyn Registry) -> Result<FieldOperand, Mistake> {
    let fields = registry.fields();
    let wrong = |message: String| Mistake::new(&written.span, message);
    let (index, behind) =
        find(&written.name, fields).ok_or_else(|| wrong(unknown(&written.name, registry)))?;
    let field = &fields[index];
    let argument = match (behind, &written.argument) {
        (Some(_), Some(_)) => return Err(wrong(format!("{} takes one argument", field.name))),
        (Some(name), None) => Some(name.as_bytes()),
        (None, argument) => argument.as_ref().map(|argument| argument.text.as_slice()),
    };
    let argument = key(field, argument).map_err(wrong)?;
    if let (Some(Key::Name(name)), Some(known)) = (&argument, registry.argument_names(index))
        && !known.contains(&&**name)
    {
        return Err(wrong(match suggest(name, known) {
            Some(meant) => format!("{} has no argument {name}; did you mean {meant}?", field.name),
            None => format!("{} has no argument {name}", field.name),
        }));
    }
    let is_ancestry = field.argument.counts_ancestors() && argument.is_none();
    let reference = Reference { field: index, argument };
    Ok(FieldOperand {
        name: field.name,
        ty: registry.type_of(&reference),
        is_list: field.is_list,
        is_ancestry,
        dotted: field.argument == Argument::Key,
        reference,
    })
}

/// Returns the field with a name, or the longest that has the rest behind a dot as its argument.
pub(super) fn find<'a>(name: &'a str, fields: &[Field]) -> Option<(usize, Option<&'a str>)> {
    let named = |name: &str| fields.iter().position(|field| field.name == name);
    if let Some(index) = named(name) {
        return Some((index, None));
    }
    let dots = name.rmatch_indices('.').map(|(dot, _)| dot);
    // A field's name has few dots; a longer text is not looked up at each of them.
    dots.skip(name.matches('.').count().saturating_sub(8)).find_map(|dot| {
        let index = named(&name[..dot])?;
        (fields[index].argument.may_be_name() && dot + 1 < name.len())
            .then(|| (index, Some(&name[dot + 1..])))
    })
}

fn unknown(name: &str, registry: &dyn Registry) -> String {
    if let Some(why) = registry.why_not(name) {
        return format!("{name}: {why}");
    }
    let fields = registry.fields();
    if let Some(meant) = suggest(&name.to_ascii_lowercase(), fields.iter().map(|field| field.name)) {
        return format!("no such field; did you mean {meant}?");
    }
    if !name.contains('.') {
        return "no such field; their names have a dot, as in proc.name (macros of Falco do not exist here)"
            .into();
    }
    "no such field; `scapd list fields` prints them all".into()
}

/// Returns the argument of a field.
fn key(field: &Field, text: Option<&[u8]>) -> Result<Option<Key>, String> {
    let name = field.name;
    let Some(text) = text else {
        return match field.argument {
            Argument::Key => Err(format!("{name} needs an argument, such as {name}[0] or {name}.flags")),
            _ => Ok(None),
        };
    };
    let text = str::from_utf8(text).map_err(|_| format!("the argument of {name} is not UTF-8"))?;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = || match text.parse() {
        Ok(number) => Ok(Some(Key::Index(number))),
        Err(_) => Err(format!("{name} takes a number up to {} as its argument", u32::MAX)),
    };
    match field.argument {
        Argument::None => Err(format!("{name} takes no argument")),
        Argument::OptionalIndex if is_number => number(),
        Argument::OptionalIndex => Err(format!("{name} takes a number as its argument, such as {name}[1]")),
        Argument::Key | Argument::OptionalKey if is_number => number(),
        _ if text.is_empty() => Err(format!("the argument of {name} is empty")),
        Argument::Key | Argument::OptionalName | Argument::OptionalKey => Ok(Some(Key::Name(text.into()))),
    }
}
