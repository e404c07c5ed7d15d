//! The language of filters: that of sysdig 0.41 and Falco.
//!
//! ```
//! use scap::{fields::{Argument, Field, Reference, Registry, Source, Type, Value}, filter::Filter};
//!
//! struct Fields([Field; 2]);
//! impl Registry for Fields {
//!     fn fields(&self) -> &[Field] {
//!         &self.0
//!     }
//! }
//! let field = |name, ty| Field { name, ty, is_list: false, argument: Argument::None, about: "" };
//! let fields = Fields([field("proc.name", Type::Text), field("evt.latency", Type::Duration)]);
//!
//! struct Event(&'static str, u64);
//! impl Source for Event {
//!     fn values(&self, field: &Reference, each: &mut dyn FnMut(Value<'_>) -> bool) {
//!         each(if field.field == 0 { Value::text(self.0) } else { Value::Uint(self.1) });
//!     }
//! }
//!
//! let filter = Filter::parse("proc.name in (cat, dd) and not evt.latency < 10ms", &fields)?;
//! assert!(filter.matches(&Event("cat", 20_000_000)));
//! assert!(!filter.matches(&Event("cat", 5)));
//!
//! let error = Filter::parse("proc.nmae = cat", &fields).unwrap_err();
//! assert_eq!(error.to_string(), "\
//! proc.nmae = cat
//! ^^^^^^^^^ no such field; did you mean proc.name?");
//! # Ok::<(), scap::filter::FilterError>(())
//! ```
//!
//! # Grammar
//! | | |
//! |-|-|
//! | filter | `and`s joined by `or` |
//! | and | nots joined by `and` |
//! | not | `not`..., then a test, or a filter in parentheses |
//! | test | operand `exists`; operand operator value; operand `in`, `intersects` or `pmatch` list |
//! | operand | field, or transformer`(`arguments`)` |
//! | field | name, name`[`argument`]`, name`.`argument (`evt.arg[0]`, `evt.arg.flags`, `proc.aname[2]`) |
//! | argument of a transformer | field, transformer, number, text in quotes, `(`arguments`)` |
//! | value | text in quotes, a word, `val(`field`)`, a transformer |
//! | list | `(`values`)` with commas between, one value, `val(`field`)`, a transformer |
//! | word | no blanks and none of `()"'=,` |
//! | quotes | `"` or `'`; escapes `\\ \" \' \/ \b \f \n \r \t \xHH` |
//!
//! Keywords and names are in lower case. Blanks are needed only between words. Parentheses nest up to 100 deep.
//!
//! # Operators
//! | operator | for | true if |
//! |-|-|-|
//! | `=` `==` `!=` | all | the values are equal; they differ |
//! | `<` `<=` `>` `>=` | numbers, times, text (by bytes) | |
//! | `contains` `startswith` `endswith` | text, data | the text has the value in it, at its start, at its end |
//! | `icontains` | text, data | as `contains`; letters of ASCII in either case |
//! | `bcontains` `bstartswith` | text, data | as above; the value is in hexadecimal digits |
//! | `glob` `iglob` | text, data | the whole text matches a shell pattern; `*` also matches `/` |
//! | `regex` | text, data | the whole text matches a regular expression |
//! | `pmatch` | text, data | the path is one of the list or below one; components may be patterns |
//! | `in` | all | the value is one of the list; each value is, if the field is a list |
//! | `intersects` | all | one of the values is one of the list |
//! | `exists` | all | there is a value |
//!
//! A field without a value makes every test false. So `fd.name != x` is false at an event without a descriptor, and
//! `not fd.name = x` is true. A field with the values of both ends of a connection (`fd.ip`, `fd.port`, `fd.net`) matches if
//! one end does, and `!=` is true if both ends differ. A field with the values of all ancestors (`proc.aname`) matches if
//! one does.
//!
//! # Values
//! | type | |
//! |-|-|
//! | numbers | `10`, `-1`, `010` (ten), `0x1f`, `0o17`; sizes `4K`, `1.5MiB` (K M G T: powers of 1024) |
//! | durations, times | ns, or with a unit: `10ms`, `1.5s` (ns us ms s m h d) |
//! | ports | numbers, or names of well-known services: `https` |
//! | addresses | `10.0.0.1`, `::1` |
//! | networks | `10.0.0.0/8`, `fe80::/10`; an address is a network of one |
//! | booleans | `true`, `false` |
//!
//! # Transformers
//! | | |
//! |-|-|
//! | `tolower(t)` `toupper(t)` | letters of ASCII in one case |
//! | `basename(t)` | what follows the last `/` |
//! | `b64(t)` | what the text is in base64; no value, if it is not |
//! | `len(t)` | the number of bytes; of a list, the number of values |
//! | `join(s, l)` | the values of a list with a separator between |
//! | `concat(a, b...)` | one after the other |
//! | `val(f)` | the field itself, to the right of an operator |
//!
//! # Differences from sysdig 0.41
//! What sysdig takes means the same here, with these exceptions:
//! - `fd.net in (...)` compares with every network of the list; sysdig compares with the first. `fd.ip in (...)` is never
//!   true in sysdig.
//! - A negative number is an error for a field that is never negative; sysdig wraps it around. So are numbers out of range.
//! - `inlist` is no operator; sysdig reads `in list`. The same for the other operators that are words. A number has to end
//!   before `and`: `5and` is an error.
//! - `"a\\"` ends with a backslash; sysdig misses the closing quote.
//! - Names of services are built in; sysdig asks the machine's /etc/services.
//!
//! What sysdig refuses, and is taken here: `0x` and `0o`, units, fractions, `\x` and both quotes as escapes; text and
//! transformers with `<` and its like; a single value for a list (`fd.name pmatch /etc`); `regex`, `icontains` and `glob` on
//! data, `bcontains` on text; `\d` and `(?i)` in regular expressions; addresses for `fd.net`; arguments in brackets and behind
//! a dot alike; text as the argument of a transformer; `val` of fields with several values; `join` and `concat` (of later
//! versions). The modifiers `anyof`, `oneof` and `allof` and the transformer `getopt` of later versions do not exist here.

pub mod arguments;
mod by_type;
mod check;
mod constant;
pub mod early;
pub mod ends;
mod error;
mod expression;
mod glob;
mod input;
mod lasting;
mod literal;
mod matcher;
mod parse;
mod paths;
mod places;
mod plan;
mod predicate;
mod syntax;
#[cfg(test)]
mod tests;
mod transform;
mod tree;

use std::{collections::HashSet, fmt};

pub use by_type::Decided;
pub use error::FilterError;
pub use expression::Expression;
pub use lasting::Verdict;
pub use matcher::Matcher;
pub use places::{Part, Place, Places};

use crate::fields::{Reference, Registry, Source};

use self::{error::Mistake, plan::Node, tree::Tree};

/// A filter. `Display` prints a text that parses to the same filter.
#[derive(Debug, Clone)]
pub struct Filter {
    tree: Tree,
    plan: Node,
    fields: Vec<Reference>,
}

impl Filter {
    /// Parses a filter, and checks it against the fields of a registry.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn parse(text: &str, registry: &impl Registry) -> Result<Self, FilterError> {
        let parsed = || {
            let tree = check::expression(&parse::filter(text)?, registry)?;
            let plan = plan::plan(&tree, registry).map_err(|why| Mistake::new(&(0..text.len()), why))?;
            let fields = fields(&plan);
            Ok(Self { tree, plan, fields })
        };
        parsed().map_err(|mistake: Mistake| mistake.of(text))
    }

    /// Returns whether an event matches.
    pub fn matches<S: Source + ?Sized>(&self, source: &S) -> bool {
        self.plan.matches(source)
    }

    /// Returns the fields whose values the filter needs, each once. Fields that cannot change the result are missing.
    pub fn fields(&self) -> &[Reference] {
        &self.fields
    }
}

fn fields(plan: &Node) -> Vec<Reference> {
    let (mut fields, mut seen) = (Vec::new(), HashSet::new());
    plan.operands(&mut |operand| {
        operand.fields(&mut |field| {
            if seen.insert(&field.reference) {
                fields.push(field.reference.clone());
            }
        });
    });
    fields
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tree.fmt(f)
    }
}

/// Filters are the same if they are written the same, apart from blanks, quotes and needless parentheses.
impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.tree == other.tree
    }
}
