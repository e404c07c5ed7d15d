//! `scapd diff`: what changed from one run to another.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value as Json, json};

use super::{
    table::{OutputForm, align, json_numbers, keys_json},
    units::number,
};
use crate::{
    json::{VERSION, escape, safe},
    print::{DependsOn, MakeView, Row, TableForm, View, plain_table, rfc3339},
};
use scap::{
    format::Keep,
    replay::{Moment, Now},
    summary::{Column, Keys, Pair, Top, Totals},
};

/// How two runs are compared.
#[derive(Debug, Clone)]
pub struct DiffForm {
    /// The tables, in order.
    pub tables: Vec<DiffTable>,
    /// How many groups of each are shown at most.
    pub rows: Option<usize>,
    /// As text, JSON or CSV.
    pub form: OutputForm,
}

/// A table of what changed.
#[derive(Debug, Clone)]
pub struct DiffTable {
    /// What calls are grouped by.
    pub keys: Keys,
    /// What is compared. Groups are sorted by the change in the first one.
    pub columns: Vec<Column>,
}

impl DiffForm {
    /// Returns a form of a run that shows nothing: once it has been read, the form has its sums.
    pub fn sum(&self) -> Arc<Sum> {
        let keys = self.tables.iter().map(|table| table.keys.clone()).collect();
        Arc::new(Sum { keys, sums: Arc::default() })
    }

    /// Writes what changed from one run to another.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn write(&self, before: &Sum, after: &Sum, out: &mut impl Write) -> io::Result<()> {
        let (before, after) = (before.take(), after.take());
        let sums = before.tops.iter().zip(&after.tops);
        let tables: Vec<_> = self.tables.iter().zip(sums).map(|(table, sums)| table.changes(sums)).collect();
        let mut page = String::new();
        match self.form {
            OutputForm::Json => {
                let object = json!({
                    "v": VERSION,
                    "before": before.span(),
                    "after": after.span(),
                    "tables": tables.iter().map(|changes| changes.json(self.rows)).collect::<Vec<_>>(),
                });
                escape(&mut page, &format!("{}\n", safe(object)));
            }
            OutputForm::Csv => tables.iter().for_each(|changes| changes.csv(self.rows, &mut page)),
            OutputForm::Text => {
                // Most runs have no peers.
                let told = tables.iter().filter(|changes| tables.len() == 1 || !changes.is_empty());
                for (index, changes) in told.enumerate() {
                    page.push_str(if index > 0 { "\n" } else { "" });
                    changes.text(self.rows, &mut page);
                }
            }
        }
        out.write_all(page.as_bytes())
    }
}

/// What a run comes to.
#[derive(Debug, Default)]
struct Sums {
    tops: Vec<Top>,
    /// The times of the first event and of the last one, in ns since the epoch.
    span: Option<(u64, u64)>,
}

impl Sums {
    fn span(&self) -> Json {
        let time = |ts: u64| rfc3339(ts).map_or(Json::Null, Json::from);
        self.span.map_or(Json::Null, |(from, to)| json!({ "from": time(from), "to": time(to) }))
    }
}

/// A form of a capture that shows nothing: the sums are wanted.
#[derive(Debug)]
pub struct Sum {
    keys: Vec<Keys>,
    /// Where the sums are at the end.
    sums: Arc<Mutex<Sums>>,
}

impl Sum {
    fn take(&self) -> Sums {
        std::mem::take(&mut *self.sums.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl MakeView for Sum {
    fn view(&self) -> Box<dyn View> {
        let tops = self.keys.iter().cloned().map(Top::new).collect();
        Box::new(SumView { own: Sums { tops, span: None }, sums: self.sums.clone() })
    }
}

struct SumView {
    own: Sums,
    sums: Arc<Mutex<Sums>>,
}

impl View for SumView {
    fn event(&mut self, moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        let ts = moment.event().ts();
        let (_, to) = self.own.span.get_or_insert((ts, ts));
        *to = ts.max(*to);
        self.own.tops.iter_mut().try_for_each(|top| top.event(moment)).map_err(io::Error::other)
    }

    fn unwanted(&mut self, moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.own.tops.iter_mut().for_each(|top| top.unwanted(moment));
        Ok(())
    }

    fn end(&mut self, now: Now<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.own.tops.iter_mut().for_each(|top| top.end_capture(now));
        Ok(())
    }

    fn finish(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        let end = self.own.span.map_or(0, |(_, to)| to);
        self.own.tops.iter_mut().for_each(|top| top.finish(end));
        *self.sums.lock().unwrap_or_else(PoisonError::into_inner) = std::mem::take(&mut self.own);
        Ok(())
    }

    fn keep(&self) -> Keep {
        let keeps = self.own.tops.iter().map(|top| top.keys().keep());
        keeps.max().unwrap_or(Keep::Names)
    }

    fn hides_losses(&self) -> bool {
        true
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Shown
    }
}

impl DiffTable {
    fn changes<'a>(&'a self, (before, after): (&'a Top, &'a Top)) -> Changes<'a> {
        let mut pairs = Pair::all(before, after);
        let all = pairs.len();
        pairs.retain(|pair| self.columns.iter().any(|column| pair.change(*column) != 0));
        if let Some(by) = self.columns.first() {
            Pair::sort(&mut pairs, *by);
        }
        Changes { table: self, same: all - pairs.len(), pairs, total: [before.total(), after.total()] }
    }
}

/// The groups of a table that changed.
struct Changes<'a> {
    table: &'a DiffTable,
    pairs: Vec<Pair<'a>>,
    /// How many groups did not change.
    same: usize,
    total: [Totals; 2],
}

impl Changes<'_> {
    /// Returns whether neither run has a group.
    fn is_empty(&self) -> bool {
        self.pairs.is_empty() && self.same == 0
    }

    fn shown(&self, rows: Option<usize>) -> &[Pair<'_>] {
        &self.pairs[..rows.unwrap_or(usize::MAX).min(self.pairs.len())]
    }

    fn text(&self, rows: Option<usize>, out: &mut String) {
        let (columns, shown) = (&self.table.columns, self.shown(rows));
        let mut table = plain_table();
        let titles = columns.iter().flat_map(|column| {
            [format!("{} before", column.name()), "after".to_owned(), "change".to_owned()]
        });
        table.set_header(titles.chain(self.table.keys.titles().map(str::to_owned)));
        for pair in shown {
            let mut cells = self.numbers(pair);
            for key in &pair.keys {
                let mut text = String::new();
                key.show(&mut text);
                cells.push(text);
            }
            table.add_row(cells);
        }
        let more = self.pairs.len() - shown.len();
        let name = match (more, self.same) {
            (0, 0) => "total".to_owned(),
            (0, same) => format!("total, with {same} unchanged"),
            (more, 0) => format!("total, with {more} more"),
            (more, same) => format!("total, with {more} more and {same} unchanged"),
        };
        let [before, after] = &self.total;
        let total = Pair { keys: Vec::new(), before: Some(before), after: Some(after) };
        table.add_row(self.numbers(&total).into_iter().chain([name]));
        align(&mut table, 3 * columns.len());
        out.extend(table.lines().flat_map(|line| [line.trim_end().to_owned(), "\n".to_owned()]));
    }

    /// Returns the cells of a row: of each column the number before, the one after, and the change.
    fn numbers(&self, pair: &Pair<'_>) -> Vec<String> {
        let cells = self.table.columns.iter().flat_map(|column| {
            let value = |totals: Option<&Totals>| {
                let mut text = String::new();
                if let Some(value) = totals.and_then(|totals| column.value(totals)) {
                    number(&mut text, value, column.unit());
                }
                text
            };
            let change = pair.change(*column);
            let mut text = String::from(if change < 0 { "-" } else { "+" });
            number(&mut text, u64::try_from(change.unsigned_abs()).unwrap_or(u64::MAX), column.unit());
            [value(pair.before), value(pair.after), if change == 0 { String::new() } else { text }]
        });
        cells.collect()
    }

    fn json(&self, rows: Option<usize>) -> Json {
        let (keys, shown) = (&self.table.keys, self.shown(rows));
        let numbers =
            |totals: Option<&Totals>| totals.map_or(Json::Null, |totals| json_numbers(totals).into());
        let group = |pair: &Pair<'_>| {
            json!({
                "keys": keys_json(keys, &pair.keys),
                "before": numbers(pair.before),
                "after": numbers(pair.after),
            })
        };
        json!({
            "by": keys.titles().collect::<Vec<_>>(),
            "groups": shown.iter().map(group).collect::<Vec<_>>(),
            "more_groups": self.pairs.len() - shown.len(),
            "unchanged_groups": self.same,
            "before": json_numbers(&self.total[0]),
            "after": json_numbers(&self.total[1]),
        })
    }

    fn csv(&self, rows: Option<usize>, out: &mut String) {
        let mut line = Vec::new();
        let mut row = Row::new(TableForm::Csv, &mut line);
        self.table.keys.titles().for_each(|title| row.cell(title));
        for column in &self.table.columns {
            ["before", "after"].iter().for_each(|side| row.cell(&format!("{side}_{}", column.json_name())));
        }
        row.end();
        out.push_str(&String::from_utf8_lossy(&line));
        for pair in self.shown(rows) {
            let mut row = Row::new(TableForm::Csv, &mut line);
            let mut text = String::new();
            for key in &pair.keys {
                text.clear();
                key.show(&mut text);
                row.cell(&text);
            }
            for column in &self.table.columns {
                for totals in [pair.before, pair.after] {
                    let value = totals.and_then(|totals| column.value(totals));
                    row.cell(&value.map_or_else(String::new, |value| value.to_string()));
                }
            }
            row.end();
            out.push_str(&String::from_utf8_lossy(&line));
        }
    }
}
