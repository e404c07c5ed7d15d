//! The table of events as text: `scapd export --to csv` and `--to jsonl`.

use std::io::{self, Write};

use super::{
    columns::{Cells, Column},
    events::EventRows,
};
use crate::print::{DependsOn, Row, TableForm, View, rfc3339};
use scap::{filter::FilterError, format::Keep, replay::Moment, summary::Ends};

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineForm {
    /// RFC 4180, behind a line with the names; maps are JSON objects.
    Csv,
    /// A JSON object a line.
    Json,
}

/// Writes the table of events, a line for each.
pub(super) struct TextTable {
    form: LineForm,
    columns: Vec<Column>,
    rows: EventRows,
    ends: Ends,
    line: Vec<u8>,
    /// The JSON of a map, or of the whole line.
    object: Object,
}

impl TextTable {
    /// Returns a table in this form.
    ///
    /// # Errors
    /// As for [`EventRows::new`].
    pub fn new(form: LineForm) -> Result<TextTable, FilterError> {
        Ok(TextTable {
            form,
            columns: EventRows::columns(),
            rows: EventRows::new()?,
            ends: Ends::default(),
            line: Vec::new(),
            object: Object::default(),
        })
    }
}

impl View for TextTable {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.form != LineForm::Csv {
            return Ok(());
        }
        let mut row = Row::new(TableForm::Csv, &mut self.line);
        self.columns.iter().for_each(|column| row.cell(column.name));
        row.end();
        out.write_all(&self.line)
    }

    fn event(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        let ended = self.ends.event(moment);
        self.object.clear();
        match self.form {
            LineForm::Csv => {
                let row = Row::new(TableForm::Csv, &mut self.line);
                let mut cells = CsvCells { row, map: &mut self.object };
                self.rows.write(moment, ended, &mut cells);
                cells.row.end();
                out.write_all(&self.line)
            }
            LineForm::Json => {
                let mut cells =
                    JsonCells { columns: self.columns.iter(), object: &mut self.object, map: None };
                self.rows.write(moment, ended, &mut cells);
                self.object.end();
                self.object.text.push('\n');
                out.write_all(self.object.text.as_bytes())
            }
        }
    }

    fn keep(&self) -> Keep {
        Keep::All
    }

    fn hides_losses(&self) -> bool {
        true
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Shown
    }
}

/// A JSON object. Its texts are escaped for a terminal already.
#[derive(Default)]
struct Object {
    text: String,
}

impl Object {
    fn clear(&mut self) {
        self.text.clear();
    }

    /// Begins a member.
    fn name(&mut self, name: &str) {
        self.text.push(if self.text.is_empty() { '{' } else { ',' });
        self.string(name);
        self.text.push(':');
    }

    fn string(&mut self, text: &str) {
        // A string is always valid JSON, and memory can be written.
        self.text.push_str(&serde_json::to_string(text).unwrap_or_default());
    }

    fn end(&mut self) {
        self.text.push_str(if self.text.is_empty() { "{}" } else { "}" });
    }
}

struct CsvCells<'a> {
    row: Row<'a>,
    map: &'a mut Object,
}

impl Cells for CsvCells<'_> {
    fn int(&mut self, value: Option<i64>) {
        self.row.cell(
            value.map(|value| itoa::Buffer::new().format(value).to_owned()).as_deref().unwrap_or_default(),
        );
    }

    fn bool(&mut self, value: Option<bool>) {
        self.row.cell(value.map_or("", |value| if value { "true" } else { "false" }));
    }

    fn text(&mut self, value: Option<&str>) {
        self.row.cell(value.unwrap_or_default());
    }

    fn time(&mut self, ns: Option<u64>) {
        self.row.cell(&ns.and_then(rfc3339).unwrap_or_default());
    }

    fn entry(&mut self, name: &str, value: &str) {
        self.map.name(name);
        self.map.string(value);
    }

    fn end_map(&mut self) {
        self.map.end();
        self.row.cell(&self.map.text);
        self.map.clear();
    }
}

struct JsonCells<'a> {
    columns: std::slice::Iter<'a, Column>,
    object: &'a mut Object,
    /// The map that has begun.
    map: Option<Object>,
}

impl JsonCells<'_> {
    fn member(&mut self, json: Option<&str>) {
        let Some(column) = self.columns.next() else { return };
        self.object.name(column.name);
        self.object.text.push_str(json.unwrap_or("null"));
    }
}

impl Cells for JsonCells<'_> {
    fn int(&mut self, value: Option<i64>) {
        self.member(value.map(|value| itoa::Buffer::new().format(value).to_owned()).as_deref());
    }

    fn bool(&mut self, value: Option<bool>) {
        self.member(value.map(|value| if value { "true" } else { "false" }));
    }

    fn text(&mut self, value: Option<&str>) {
        self.member(value.and_then(|value| serde_json::to_string(value).ok()).as_deref());
    }

    fn time(&mut self, ns: Option<u64>) {
        self.member(ns.and_then(rfc3339).map(|time| format!("\"{time}\"")).as_deref());
    }

    fn entry(&mut self, name: &str, value: &str) {
        let map = self.map.get_or_insert_default();
        map.name(name);
        map.string(value);
    }

    fn end_map(&mut self) {
        let mut map = self.map.take().unwrap_or_default();
        map.end();
        self.member(Some(&map.text));
    }
}
