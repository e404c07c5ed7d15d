//! Tables of groups: as text, JSON and CSV.

use comfy_table::{CellAlignment, Table};
use serde_json::{Map, Value as Json, json};

use super::units::{self, number};
use crate::{
    escape::for_terminal,
    json::{VERSION, escape, safe},
    print::{Row, TableForm, json_bytes, plain_table, rfc3339},
};
use scap::{
    fields::Value,
    summary::{Column, Group, KeyValue, Keys, Totals, Unit},
};

/// The form of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputForm {
    /// Aligned, with units.
    #[default]
    Text,
    /// A JSON object.
    Json,
    /// RFC 4180, with a line of names.
    Csv,
}

impl OutputForm {
    /// Returns the form that two options choose; text without either.
    pub fn of(json: bool, csv: bool) -> OutputForm {
        match (json, csv) {
            (true, _) => OutputForm::Json,
            (_, true) => OutputForm::Csv,
            _ => OutputForm::Text,
        }
    }
}

/// What a table shows.
pub(super) struct Shown<'a> {
    pub keys: &'a Keys,
    pub columns: &'a [Column],
    /// Shares are of this sum.
    pub shared: Column,
    /// The groups that are shown, in order.
    pub groups: &'a [Group<'a>],
    /// How many there are in all.
    pub all: usize,
    pub total: &'a Totals,
    pub without_key: u64,
    /// The time that it is about, in ns since the epoch.
    pub span: Option<(u64, u64)>,
}

impl Shown<'_> {
    pub fn write(&self, out: &mut String, form: OutputForm) {
        match form {
            OutputForm::Text => self.text(out),
            OutputForm::Json => escape(out, &format!("{}\n", safe(self.json()))),
            OutputForm::Csv => self.csv(out),
        }
    }

    /// Leaves out the columns that have nothing to say.
    fn text_columns(&self) -> Vec<Column> {
        let is_told = |column: &Column| match column {
            Column::Pending | Column::PendingTime => self.total.pending > 0,
            Column::Error => self.total.failed() > 0,
            Column::Opened
            | Column::Created
            | Column::Deleted
            | Column::Renamed
            | Column::Connects
            | Column::Accepts => column.value(self.total) != Some(0),
            _ => true,
        };
        self.columns.iter().copied().filter(is_told).collect()
    }

    fn text(&self, out: &mut String) {
        let columns = self.text_columns();
        let has_example = self.groups.iter().any(|group| group.totals.example.is_some());
        let mut table = plain_table();
        let titles = columns.iter().map(|column| column.name()).chain(self.keys.titles());
        table.set_header(titles.chain(has_example.then_some("example")));
        for group in self.groups {
            let mut cells = self.numbers(&columns, group.totals);
            for key in &group.keys {
                let mut text = String::new();
                key.show(&mut text);
                cells.push(text);
            }
            cells.extend(group.totals.example.as_deref().map(for_terminal));
            table.add_row(cells);
        }
        let more = self.all - self.groups.len();
        let name = match more {
            0 => "total".to_owned(),
            _ => format!("total, with {more} more"),
        };
        table.add_row(self.numbers(&columns, self.total).into_iter().chain([name]));
        align(&mut table, columns.len());
        out.extend(table.lines().flat_map(|line| [line.trim_end().to_owned(), "\n".to_owned()]));
        if self.without_key > 0 {
            let what = if self.keys.counts_signals() { "signals" } else { "calls" };
            let keys: Vec<_> = self.keys.titles().collect();
            out.push_str("not shown: ");
            number(out, self.without_key, Unit::Count);
            out.push_str(&format!(" {what} without {}\n", keys.join(" or ")));
        }
    }

    fn numbers(&self, columns: &[Column], totals: &Totals) -> Vec<String> {
        let text = |column: &Column| {
            let mut text = String::new();
            match (column, column.value(totals)) {
                (Column::Share, _) => {
                    if let Some(share) = self.shared.share(totals, self.total) {
                        text = format!("{:.2} %", share * 100.0);
                    }
                }
                // Zeros tell little, and hide what else there is.
                (_, Some(0)) if *column != Column::Calls && column.unit() != Unit::Time => {}
                (_, Some(value)) => number(&mut text, value, column.unit()),
                (_, None) => {}
            }
            text
        };
        columns.iter().map(text).collect()
    }

    fn json(&self) -> Json {
        let time = |ts: u64| rfc3339(ts).map_or(Json::Null, Json::from);
        let groups = self.groups.iter().map(|group| {
            let mut object = self.json_numbers(group.totals);
            object.insert("keys".to_owned(), keys_json(self.keys, &group.keys));
            if let Some(example) = &group.totals.example {
                object.insert("example".to_owned(), (&**example).into());
            }
            Json::from(object)
        });
        json!({
            "v": VERSION,
            "from": self.span.map(|span| time(span.0)),
            "to": self.span.map(|span| time(span.1)),
            "counts": if self.keys.counts_signals() { "signals" } else { "calls" },
            "shares_of": self.shared.json_name(),
            "groups": groups.collect::<Vec<_>>(),
            "more_groups": self.all - self.groups.len(),
            "total": self.json_numbers(self.total),
            "without_key": self.without_key,
        })
    }

    fn json_numbers(&self, totals: &Totals) -> Map<String, Json> {
        let mut object = json_numbers(totals);
        let share = self.shared.share(totals, self.total).map_or(Json::Null, Json::from);
        object.insert(Column::Share.json_name().to_owned(), share);
        object
    }

    fn csv(&self, out: &mut String) {
        let mut line = Vec::new();
        let mut row = Row::new(TableForm::Csv, &mut line);
        self.keys.titles().for_each(|title| row.cell(title));
        self.columns.iter().for_each(|column| row.cell(column.json_name()));
        row.end();
        out.push_str(&String::from_utf8_lossy(&line));
        for group in self.groups {
            let mut row = Row::new(TableForm::Csv, &mut line);
            let mut text = String::new();
            for key in &group.keys {
                text.clear();
                key.show(&mut text);
                row.cell(&text);
            }
            self.columns.iter().for_each(|column| row.cell(&self.plain(*column, group.totals)));
            row.end();
            out.push_str(&String::from_utf8_lossy(&line));
        }
    }

    fn plain(&self, column: Column, totals: &Totals) -> String {
        match (column, column.value(totals)) {
            (Column::Share, _) => {
                self.shared.share(totals, self.total).map_or_else(String::new, |share| format!("{share:.6}"))
            }
            (Column::Error, Some(error)) => units::error(error),
            (_, value) => value.map_or_else(String::new, |value| value.to_string()),
        }
    }
}

/// Aligns the columns of numbers to the right.
pub(super) fn align(table: &mut Table, numbers: usize) {
    for column in table.column_iter_mut().take(numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// Returns the numbers of a group as JSON: all columns but the share, and of errors all instead of the most frequent one.
pub(super) fn json_numbers(totals: &Totals) -> Map<String, Json> {
    let columns = Column::ALL.iter().filter(|column| !matches!(column, Column::Error | Column::Share));
    let mut object: Map<_, _> = columns
        .map(|column| (column.json_name().to_owned(), column.value(totals).map_or(Json::Null, Json::from)))
        .collect();
    let name = |number: i64| u64::try_from(number).map_or_else(|_| number.to_string(), units::error);
    let mut errors = totals.errors.clone();
    errors.sort_by_key(|(error, count)| (std::cmp::Reverse(*count), *error));
    let errors: Map<_, _> = errors.into_iter().map(|(error, count)| (name(error), count.into())).collect();
    object.insert("by_error".to_owned(), errors.into());
    object
}

/// Returns the keys of a group as JSON, by their titles.
pub(super) fn keys_json(keys: &Keys, values: &[KeyValue<'_>]) -> Json {
    let keys: Map<_, _> = keys.titles().map(str::to_owned).zip(values.iter().map(key_json)).collect();
    keys.into()
}

/// Returns a key as JSON.
pub(super) fn key_json(key: &KeyValue<'_>) -> Json {
    match &key.value {
        Value::Text(text) => json_bytes(text),
        Value::Int(v) => (*v).into(),
        Value::Uint(v) => (*v).into(),
        Value::Bool(v) => (*v).into(),
        Value::Double(v) => (*v).into(),
        Value::Ip(ip) => ip.to_string().into(),
    }
}
