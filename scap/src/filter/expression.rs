//! Fields and transformers outside of filters: in output formats and lists of columns.

use std::fmt;

use crate::fields::{Argument, NumberForm, Reference, Registry, Source, Type, Value};

use super::{
    FilterError, check,
    error::Mistake,
    input::in_word,
    parse,
    syntax::{FieldName, Function, Term},
    tree::Operand,
};

/// A field of the registry, or a transformer with its arguments. `Display` prints it as filters have it.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    operand: Operand,
    number_form: NumberForm,
    has_several: bool,
}

impl Expression {
    /// Parses the expression at byte `at` of a text, and moves `at` behind it. Other text may follow: a name ends before
    /// the first character that no name has, and before dots at its end. A bracket or parenthesis belongs to the
    /// expression if the field takes an argument, or if the name is that of a transformer.
    ///
    /// # Errors
    /// The mistake, with its place.
    pub fn parse_at(text: &str, at: &mut usize, registry: &impl Registry) -> Result<Self, FilterError> {
        let parsed = |start| -> Result<(Self, usize), Mistake> {
            let (term, end) = term(text, start, registry)?;
            let operand = check::operand(&term, registry)?;
            let number_form = match &operand {
                Operand::Field(field) => {
                    let index = field.reference.field;
                    NumberForm { digits: registry.digits(index), is_hex: registry.is_hex(index) }
                }
                _ => NumberForm::default(),
            };
            let has_several = has_several(&operand, registry);
            Ok((Self { operand, number_form, has_several }, end))
        };
        let (expression, end) = parsed(*at).map_err(|mistake| mistake.of(text))?;
        *at = end;
        Ok(expression)
    }

    /// Returns the type of the values.
    pub fn ty(&self) -> Type {
        self.operand.ty()
    }

    /// Returns how numbers are printed.
    pub fn number_form(&self) -> NumberForm {
        self.number_form
    }

    /// Returns whether there may be several values.
    pub fn has_several(&self) -> bool {
        self.has_several
    }

    /// Returns the fields whose values are needed.
    pub fn fields(&self) -> Vec<&Reference> {
        let mut fields = Vec::new();
        self.operand.fields(&mut |field| fields.push(&field.reference));
        fields
    }

    /// Calls `each` with every value at an event, until it returns false.
    pub fn values<S: Source + ?Sized>(&self, source: &S, each: &mut dyn FnMut(Value<'_>) -> bool) {
        self.operand.values(source, each);
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.operand.fmt(f)
    }
}

fn term(text: &str, start: usize, registry: &impl Registry) -> Result<(Term, usize), Mistake> {
    let rest = &text[start..];
    let word = &rest[..rest.find(|c| !in_word(c)).unwrap_or(rest.len())];
    let name = word.trim_end_matches('.');
    let end = start + name.len();
    let behind = &text[end..];
    let field = check::find(name, registry.fields()).map(|(index, _)| &registry.fields()[index]);
    let is_whole = match field {
        Some(field) => behind.starts_with('[') && takes_bracket(field.argument, &behind[1..]),
        None => name.is_empty() || behind.starts_with('('),
    };
    if is_whole {
        return parse::term_at(text, start);
    }
    Ok((Term::Field(FieldName { name: name.to_owned(), argument: None, span: start..end }), end))
}

/// Returns whether a bracket behind a field's name begins its argument: `%proc.name[%proc.pid]` has brackets as text.
fn takes_bracket(argument: Argument, behind: &str) -> bool {
    match argument {
        Argument::None => false,
        Argument::Key => true,
        Argument::OptionalIndex => behind.starts_with(|c: char| c.is_ascii_digit()),
        // A name, or either of them.
        _ => behind.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '"')),
    }
}

fn has_several(operand: &Operand, registry: &impl Registry) -> bool {
    match operand {
        Operand::Field(field) => registry.has_several(&field.reference),
        Operand::Text(_) | Operand::Call(Function::Len | Function::Join | Function::Concat, _) => false,
        Operand::Call(_, operands) => operands.iter().any(|operand| has_several(operand, registry)),
        Operand::List(_) => true,
    }
}
