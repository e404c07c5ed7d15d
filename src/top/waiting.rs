//! `scapd top --waiting`: what threads spent their time on.

use std::io::{self, Write};

use serde_json::{Map, Value as Json, json};

use super::{
    table::{OutputForm, align, key_json},
    units::{number, time},
};
use crate::{
    json::{VERSION, escape, safe},
    print::{DependsOn, MakeView, Row, TableForm, View, plain_table, rfc3339},
};
use scap::{
    format::Keep,
    replay::{Moment, Now},
    summary::{KeyValue, Keys, Spent, Unit, Use, Waiting},
};

/// How the time of threads is shown.
#[derive(Debug, Clone)]
pub struct WaitingForm {
    /// What threads are grouped by.
    pub keys: Keys,
    /// How many groups are shown at most.
    pub rows: Option<usize>,
    /// As text, JSON or CSV.
    pub form: OutputForm,
}

impl MakeView for WaitingForm {
    fn view(&self) -> Box<dyn View> {
        Box::new(WaitingView { shown: self.clone(), waiting: Waiting::new(self.keys.clone()), span: None })
    }
}

struct WaitingView {
    shown: WaitingForm,
    waiting: Waiting,
    span: Option<(u64, u64)>,
}

type Group<'a> = (Vec<KeyValue<'a>>, &'a Spent);

impl View for WaitingView {
    fn event(&mut self, moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        let ts = moment.event().ts();
        self.span = Some((self.span.map_or(ts, |(from, _)| from), ts));
        self.waiting.event(moment, true).map_err(io::Error::other)
    }

    fn unwanted(&mut self, moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.waiting.event(moment, false).map_err(io::Error::other)
    }

    fn before(&mut self, moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.waiting.skip(moment.event().ts());
        Ok(())
    }

    fn end(&mut self, now: Now<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.waiting.end_capture(now);
        self.span = self.span.map(|(from, to)| (from, to.max(now.ts)));
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let mut groups: Vec<_> = self.waiting.groups().collect();
        let text = |keys: &[KeyValue<'_>]| {
            let mut text = String::new();
            keys.iter().for_each(|key| key.show(&mut text));
            text
        };
        groups.sort_by_cached_key(|(keys, spent)| {
            (std::cmp::Reverse((spent.busy(), spent.time())), text(keys))
        });
        let all = groups.len();
        let mut total = Spent::default();
        groups.iter().for_each(|(_, spent)| total.merge(spent));
        groups.truncate(self.shown.rows.unwrap_or(all));
        let mut page = String::new();
        match self.shown.form {
            OutputForm::Text => self.text(&mut page, &groups, &total, all),
            OutputForm::Json => escape(&mut page, &format!("{}\n", safe(self.json(&groups, &total, all)))),
            OutputForm::Csv => self.csv(&mut page, &groups),
        }
        out.write_all(page.as_bytes())
    }

    fn keep(&self) -> Keep {
        Keep::All
    }

    fn hides_losses(&self) -> bool {
        true
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::All
    }
}

impl WaitingView {
    fn text(&self, page: &mut String, groups: &[Group<'_>], total: &Spent, all: usize) {
        let uses: Vec<_> = Use::all().filter(|on| total.on(*on) > 0).collect();
        let mut table = plain_table();
        let titles = ["threads", "time"].into_iter().chain(uses.iter().map(|on| on.name()));
        table.set_header(titles.chain(self.waiting.keys().titles()));
        let cells = |spent: &Spent| {
            let mut threads = String::new();
            number(&mut threads, spent.threads, Unit::Count);
            let share = |on: &Use| match spent.on(*on) {
                0 => String::new(),
                ns => format!("{:.1} %", ns as f64 * 100.0 / spent.time() as f64),
            };
            [threads, time(spent.time())].into_iter().chain(uses.iter().map(share)).collect::<Vec<_>>()
        };
        for (keys, spent) in groups {
            let mut row = cells(spent);
            for key in keys {
                let mut text = String::new();
                key.show(&mut text);
                row.push(text);
            }
            table.add_row(row);
        }
        let more = all - groups.len();
        let name = if more > 0 { format!("total, with {more} more") } else { "total".to_owned() };
        table.add_row(cells(total).into_iter().chain([name]));
        align(&mut table, uses.len() + 2);
        page.extend(table.lines().flat_map(|line| [line.trim_end().to_owned(), "\n".to_owned()]));
    }

    fn json(&self, groups: &[Group<'_>], total: &Spent, all: usize) -> Json {
        let time = |ts: u64| rfc3339(ts).map_or(Json::Null, Json::from);
        let spent = |spent: &Spent| {
            let uses = Use::all().map(|on| (on.name().to_owned(), Json::from(spent.on(on))));
            json!({
                "threads": spent.threads,
                "time_ns": spent.time(),
                "spent_ns": uses.collect::<Map<_, _>>(),
            })
        };
        let groups = groups.iter().map(|(keys, time)| {
            let titles = self.waiting.keys().titles().map(str::to_owned);
            let mut group = spent(time);
            group["keys"] = titles.zip(keys.iter().map(key_json)).collect::<Map<_, _>>().into();
            group
        });
        let groups: Vec<_> = groups.collect();
        json!({
            "v": VERSION,
            "from": self.span.map(|span| time(span.0)),
            "to": self.span.map(|span| time(span.1)),
            "has_switches": self.waiting.has_switches(),
            "more_groups": all - groups.len(),
            "groups": groups,
            "total": spent(total),
        })
    }

    fn csv(&self, page: &mut String, groups: &[Group<'_>]) {
        let mut line = Vec::new();
        let mut row = Row::new(TableForm::Csv, &mut line);
        self.waiting.keys().titles().for_each(|title| row.cell(title));
        ["threads", "time_ns"].iter().for_each(|title| row.cell(title));
        Use::all().for_each(|on| row.cell(&format!("{}_ns", on.name())));
        row.end();
        page.push_str(&String::from_utf8_lossy(&line));
        for (keys, spent) in groups {
            let mut row = Row::new(TableForm::Csv, &mut line);
            for key in keys {
                let mut text = String::new();
                key.show(&mut text);
                row.cell(&text);
            }
            [spent.threads, spent.time()].iter().for_each(|value| row.cell(&value.to_string()));
            Use::all().for_each(|on| row.cell(&spent.on(on).to_string()));
            row.end();
            page.push_str(&String::from_utf8_lossy(&line));
        }
    }
}
