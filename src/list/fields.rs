//! `scapd list fields`: the fields of filters and of output formats.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ColumnConstraint, ContentArrangement};
use serde::Serialize;

use super::{print, print_json, table};
use scap::fields::{Argument, Field, Fields, Registry, Type};

/// A field, or one of sysdig and Falco that does not exist here.
#[derive(Debug, Serialize)]
struct FieldRow {
    name: &'static str,
    /// What stands before the first dot.
    class: &'static str,
    supported: bool,
    /// The type of its values; `None` if it is not supported.
    #[serde(rename = "type")]
    ty: Option<&'static str>,
    /// Whether it has several values at once.
    list: bool,
    /// The argument that it takes.
    argument: Option<ArgumentRow>,
    /// A line of explanation; of a field that is not supported, the reason.
    about: &'static str,
}

#[derive(Debug, Serialize)]
struct ArgumentRow {
    number: bool,
    name: bool,
    /// Whether the field needs it.
    required: bool,
}

impl FieldRow {
    fn new(field: &Field) -> FieldRow {
        let (number, name, required) = match field.argument {
            Argument::None => (false, false, false),
            Argument::OptionalIndex => (true, false, false),
            Argument::Key => (true, true, true),
            Argument::OptionalName => (false, true, false),
            Argument::OptionalKey => (true, true, false),
        };
        FieldRow {
            name: field.name,
            class: class(field.name),
            supported: true,
            ty: Some(type_name(field.ty)),
            list: field.is_list,
            argument: (number || name).then_some(ArgumentRow { number, name, required }),
            about: field.about,
        }
    }

    fn unsupported((name, reason): (&'static str, &'static str)) -> FieldRow {
        let class = class(name);
        FieldRow { name, class, supported: false, ty: None, list: false, argument: None, about: reason }
    }

    /// Returns the name with its argument's form.
    fn form(&self) -> String {
        let argument = self.argument.as_ref().map_or("", |argument| match (argument.number, argument.name) {
            (true, true) => "[N|NAME]",
            (true, false) => "[N]",
            _ => "[NAME]",
        });
        let optional =
            if self.argument.as_ref().is_some_and(|argument| !argument.required) { "?" } else { "" };
        format!("{}{argument}{optional}", self.name)
    }

    fn type_form(&self) -> String {
        let ty = self.ty.unwrap_or_default();
        if self.list { format!("list({ty})") } else { ty.to_owned() }
    }
}

/// Returns the class of a field: what stands before the first dot.
fn class(name: &str) -> &str {
    name.split_once('.').map_or(name, |(class, _)| class)
}

/// Returns the name of a type. Filters write its values as `scap::filter` says.
fn type_name(ty: Type) -> &'static str {
    match ty {
        Type::Text => "text",
        Type::Bytes => "data",
        Type::Int => "int",
        Type::Uint => "uint",
        Type::Bool => "bool",
        Type::Double => "float",
        Type::Time => "time",
        Type::Duration => "duration",
        Type::Port => "port",
        Type::Ip => "address",
        Type::Net => "network",
    }
}

/// Returns the rows class by class, those that are not supported at the end.
fn rows() -> Vec<FieldRow> {
    let of = Fields;
    let mut rows: Vec<_> = of.fields().iter().map(FieldRow::new).collect();
    let classes: Vec<_> = rows.iter().map(|row| row.class).collect();
    rows.sort_by_key(|row| classes.iter().position(|class| *class == row.class));
    rows.extend(Fields::unsupported().map(FieldRow::unsupported));
    rows
}

/// Prints every field class by class: name with the form of its argument, type, explanation; then the fields of sysdig
/// and Falco that do not exist here, each with the reason. With a `width`, explanations that are longer are wrapped.
///
/// # Errors
/// Errors of `out`, including a broken pipe.
pub fn fields(out: &mut impl Write, json: bool, width: Option<u16>) -> io::Result<()> {
    let rows = rows();
    if json {
        return print_json(out, &rows);
    }
    let (there, missing): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.supported);
    // All tables have the same columns.
    let columns = [
        rows.iter().map(|row| row.form().len()).max().unwrap_or_default(),
        there.iter().map(|row| row.type_form().len()).max().unwrap_or_default(),
    ];
    let mut header: &[_] = &["NAME", "TYPE", "EXPLANATION"];
    for of_class in there.chunk_by(|a, b| a.class == b.class) {
        let lines = of_class.iter().map(|row| [row.form(), row.type_form(), row.about.to_owned()]);
        print_aligned(out, header, lines, &columns, width)?;
        writeln!(out)?;
        header = &[];
    }
    let lines = missing.iter().map(|row| [row.form(), row.about.to_owned()]);
    print_aligned(out, &["NOT SUPPORTED", "REASON"], lines, &columns[..1], width)
}

/// Prints a table whose first columns have these widths.
fn print_aligned<const N: usize>(
    out: &mut impl Write,
    header: &[&str],
    rows: impl Iterator<Item = [String; N]>,
    widths: &[usize],
    width: Option<u16>,
) -> io::Result<()> {
    const BETWEEN: u16 = 2;
    let mut table = table(header, &[]);
    for row in rows {
        table.add_row(row);
    }
    // A header sets the padding; the first column exists only with a row.
    for column in table.column_iter_mut() {
        column.set_padding((0, BETWEEN));
    }
    for (index, width) in widths.iter().enumerate() {
        if let (Some(column), Ok(width)) = (table.column_mut(index), u16::try_from(*width)) {
            column.set_constraint(ColumnConstraint::Absolute(comfy_table::Width::Fixed(width + BETWEEN)));
        }
    }
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    print(out, &table)
}

/// Returns the number of columns of the terminal that is the standard output, if it is one.
pub fn terminal_width() -> Option<u16> {
    let out = io::stdout();
    let size = if out.is_terminal() { rustix::termios::tcgetwinsize(&out).ok() } else { None };
    size.map(|size| size.ws_col).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(width: Option<u16>) -> String {
        let mut out = Vec::new();
        fields(&mut out, false, width).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_field_has_a_line_in_its_class() {
        let text = text(None);
        let paragraphs: Vec<_> = text.split("\n\n").collect();
        let (missing, classes) = paragraphs.split_last().unwrap();
        let name = |line: &str| line.split([' ', '[']).next().unwrap().to_owned();
        let mut names = Vec::new();
        for (index, lines) in classes.iter().enumerate() {
            let of_class: Vec<_> = lines.lines().skip(usize::from(index == 0)).map(name).collect();
            assert!(of_class.iter().all(|name| class(name) == class(&of_class[0])), "{of_class:?}");
            names.extend(of_class);
        }
        names.sort();
        let mut expected: Vec<_> = Fields.fields().iter().map(|field| field.name.to_owned()).collect();
        expected.sort();
        assert_eq!(names, expected);
        assert!(missing.starts_with("NOT SUPPORTED ") && missing.contains("\nfd.cip.name "), "{missing}");
        let is_list = |line: &str| line.starts_with("fd.types[N]? ") && line.contains(" list(text) ");
        assert!(text.lines().any(is_list), "{text}");
    }

    #[test]
    fn a_terminal_gets_no_longer_lines_than_it_has_columns() {
        let text = text(Some(100));
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        let wrapped = text.lines().filter(|line| line.starts_with(&" ".repeat(20)));
        assert!(wrapped.count() > 0, "{text}");
    }

    #[test]
    fn a_field_is_supported_or_not() {
        let supported: Vec<_> = Fields.fields().iter().map(|field| field.name).collect();
        for (name, reason) in Fields::unsupported() {
            assert!(!supported.contains(&name) && !reason.is_empty(), "{name}");
        }
    }

    #[test]
    fn json_has_the_same_fields() {
        let mut out = Vec::new();
        fields(&mut out, true, None).unwrap();
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&out).unwrap();
        assert_eq!(rows.len(), Fields.fields().len() + Fields::unsupported().count());
        let row = |name| rows.iter().find(|row| row["name"] == name).unwrap();
        let types = row("fd.types");
        assert_eq!(
            (&types["type"], &types["list"], &types["class"]),
            (&"text".into(), &true.into(), &"fd".into())
        );
        assert_eq!(types["argument"], serde_json::json!({"number": true, "name": false, "required": false}));
        assert_eq!(
            (&row("fd.sip")["argument"], &row("fd.sip.name")["supported"]),
            (&().into(), &false.into())
        );
    }
}
