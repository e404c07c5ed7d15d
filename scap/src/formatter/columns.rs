//! Lists of columns: `evt.num,proc.name,fd.name`.

use crate::{
    fields::Registry,
    filter::{Expression, FilterError},
};

/// The columns of a table of events: fields and transformers. There is at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns(Vec<Expression>);

impl Columns {
    /// Parses a list of fields with commas between.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn parse(text: &str, registry: &impl Registry) -> Result<Self, FilterError> {
        let mut columns = Vec::new();
        let mut at = 0;
        loop {
            at += blanks(&text[at..]);
            // As users of other formats may write it.
            at += usize::from(text[at..].starts_with('%'));
            columns.push(Expression::parse_at(text, &mut at, registry)?);
            at += blanks(&text[at..]);
            match text[at..].chars().next() {
                None => return Ok(Self(columns)),
                Some(',') => at += 1,
                Some(c) => {
                    let span = at..at + c.len_utf8();
                    return Err(FilterError::new(text, span, "expected a comma and a further field"));
                }
            }
        }
    }

    /// Returns the columns, in their order.
    pub fn expressions(&self) -> &[Expression] {
        &self.0
    }

    /// Returns the columns of several lists as one; none if there is no list.
    pub fn joined(lists: impl IntoIterator<Item = Columns>) -> Option<Columns> {
        let all: Vec<_> = lists.into_iter().flat_map(|list| list.0).collect();
        (!all.is_empty()).then_some(Columns(all))
    }
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start().len()
}
