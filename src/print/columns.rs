//! Tables of fields: `scapd read -o`, with `--csv`, `--tsv` or `--json`.

use std::io::{self, Write};

use csv_core::Writer as Csv;

use super::{DependsOn, View, json};
use scap::{
    fields::{Type, Value, show},
    filter::Expression,
    format::Keep,
    formatter::Columns,
    replay::Moment,
    text::DataForm,
};

/// The form of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableForm {
    /// Values with tabs between, as `tshark -T fields` prints them.
    Plain,
    /// The same, behind a line with the names.
    Tsv,
    /// RFC 4180, behind a line with the names; lines end with a newline alone.
    Csv,
    /// A JSON object a line.
    Json,
}

/// What stands between several values of one field.
const BETWEEN_VALUES: char = ';';

/// A table.
#[derive(Debug)]
pub struct FieldTable {
    columns: Columns,
    form: TableForm,
    data: DataForm,
    /// The text of one value.
    value: String,
    line: Vec<u8>,
}

impl FieldTable {
    /// Returns a view with these columns.
    pub fn new(columns: Columns, form: TableForm, data: DataForm) -> FieldTable {
        FieldTable { columns, form, data, value: String::new(), line: Vec::new() }
    }

    fn row(&mut self, moment: &Moment<'_>) {
        let mut row = Row::new(self.form, &mut self.line);
        for column in self.columns.expressions() {
            self.value.clear();
            text(&mut self.value, column, moment, self.data);
            row.cell(&self.value);
        }
        row.end();
    }

    fn object(&mut self, moment: &Moment<'_>) {
        let object = &mut self.value;
        object.clear();
        let mut before = '{';
        for column in self.columns.expressions() {
            object.push(before);
            before = ',';
            json::string(object, column.to_string().as_bytes());
            object.push(':');
            member(object, column, moment);
        }
        object.push_str("}\n");
        self.line.clear();
        self.line.extend_from_slice(object.as_bytes());
    }
}

impl View for FieldTable {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if !matches!(self.form, TableForm::Csv | TableForm::Tsv) {
            return Ok(());
        }
        let mut row = Row::new(self.form, &mut self.line);
        self.columns.expressions().iter().for_each(|column| row.cell(&column.to_string()));
        row.end();
        out.write_all(&self.line)
    }

    fn event(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        match self.form {
            TableForm::Json => self.object(moment),
            TableForm::Plain | TableForm::Tsv | TableForm::Csv => self.row(moment),
        }
        out.write_all(&self.line)
    }

    fn keep(&self) -> Keep {
        Keep::All
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Event
    }
}

/// A row of cells.
pub(crate) struct Row<'a> {
    line: &'a mut Vec<u8>,
    csv: Option<Csv>,
    is_first: bool,
}

impl<'a> Row<'a> {
    /// Starts a row in `line`.
    pub fn new(form: TableForm, line: &'a mut Vec<u8>) -> Row<'a> {
        line.clear();
        Row { line, csv: (form == TableForm::Csv).then(Csv::new), is_first: true }
    }

    /// Adds a cell. Its text is escaped: it has neither tabs nor newlines.
    pub fn cell(&mut self, text: &str) {
        let is_first = std::mem::replace(&mut self.is_first, false);
        let Some(csv) = &mut self.csv else {
            if !is_first {
                self.line.push(b'\t');
            }
            return self.line.extend_from_slice(text.as_bytes());
        };
        let start = self.line.len();
        // Each byte may be a quote that is doubled; quotes around the cell, and around the one before; the comma.
        self.line.resize(start + 2 * text.len() + 8, 0);
        let mut end = start;
        if !is_first {
            end += csv.delimiter(&mut self.line[end..]).1;
        }
        end += csv.field(text.as_bytes(), &mut self.line[end..]).2;
        self.line.truncate(end);
    }

    /// Ends the row with a newline.
    pub fn end(mut self) {
        let Some(csv) = &mut self.csv else { return self.line.push(b'\n') };
        let start = self.line.len();
        self.line.resize(start + 8, 0);
        let written = csv.terminator(&mut self.line[start..]).1;
        self.line.truncate(start + written);
    }
}

/// Appends the values of a column; nothing if there is none.
fn text(out: &mut String, column: &Expression, moment: &Moment<'_>, data: DataForm) {
    let (ty, number) = (column.ty(), column.number_form());
    let mut is_first = true;
    column.values(moment, &mut |value| {
        if !std::mem::replace(&mut is_first, false) {
            out.push(BETWEEN_VALUES);
        }
        show(out, &value, ty, number, data);
        column.has_several()
    });
}

/// Appends the value of a column as JSON: an array if there may be several, null if there is none.
fn member(out: &mut String, column: &Expression, moment: &Moment<'_>) {
    let (ty, several) = (column.ty(), column.has_several());
    let mut is_first = true;
    if several {
        out.push('[');
    }
    column.values(moment, &mut |value| {
        if !std::mem::replace(&mut is_first, false) {
            out.push(',');
        }
        json_value(out, &value, ty);
        several
    });
    match (several, is_first) {
        (true, _) => out.push(']'),
        (false, true) => out.push_str("null"),
        (false, false) => {}
    }
}

fn json_value(out: &mut String, value: &Value<'_>, ty: Type) {
    match value {
        Value::Text(bytes) => json::string(out, bytes),
        Value::Int(v) => json::signed(out, *v),
        Value::Uint(v) if ty == Type::Time => json::quoted(out, *v),
        Value::Uint(v) => json::unsigned(out, *v),
        Value::Bool(v) => out.push_str(if *v { "true" } else { "false" }),
        Value::Double(v) => json::double(out, *v),
        Value::Ip(v) => json::ip(out, v.to_canonical()),
    }
}
