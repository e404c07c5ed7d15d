//! The data in the page of a report, as JSON.
//!
//! Times are divided into `bins` bins of `width` ns; the first one begins at `start`. Other times are in ns since `start`; those
//! that are too large for a double, and `start`, `first` and `last` (ns since the epoch), are strings.
//!
//! - `v`, `scapd` (its version), `made` (when), `zone` and `offset` (its name, and its seconds ahead of UTC), `files`, `command` (the `scapd top` of the same events, without times), `filter`,
//!   `span` (the times on the command line), `damage` (why reading ended early), `events` (how many count), `sections`,
//!   `machines`, `ledger` (as `scapd info --json` has it): about the captures.
//! - `calls`, `names`, `files_by_name`, `peers`, `failures`: tables. `keys` are the titles of the columns of keys; a row has its
//!   keys `k`; the numbers of all times `t`, in the order of `columns`; its `bins`; of failures also an `example`. `others` has how many
//!   more groups there are, and their `bins`. `without_key` calls are in no group; `given_up` groups were forgotten for want of memory, and
//!   may have been counted more than once.
//! - `bins` are [packed](super::packed) numbers: for each bin that has any, how many without any are before it, then how many calls
//!   ended, how many of them failed, the sum of their times in ns, the bytes read and written. In `calls`, the time of the
//!   longest follows, and how many steps of durations there are: each is a [step](scap::summary::step_of), and a number of calls.
//! - `waiting`: `uses`; a row for each process name, whose `bins` have the time in ns spent on each use; `others`.
//! - `processes`: parents before their children; `more_processes` are left out.
//! - `slow`: the slowest calls of each bin, and of all: `[end, latency, line]`; `unfinished`: `[begin, so far, line]`.
//!
//! What grows with the captures has a [limit](super::bounds::Limits), and what is beyond is counted.

use std::cmp::Reverse;

use jiff::{Timestamp, tz::TimeZone};
use scap::{
    format::state::MachineInfo,
    ledger::Notice,
    summary::{Bins, Column, Group, Numbers, Series, Spent, SpentSeries, Spread, Tally, Use, shift_of},
};
use serde_json::{Map, Value as Json, json};

use super::{
    bounds::{Clock, Limits},
    collect::{Collected, Table},
    packed::Packer,
    processes,
};
use crate::{
    balance,
    escape::{escaped, for_terminal},
    json::{VERSION, safe},
};

/// What is known of a report apart from what the captures come to.
#[derive(Debug, Default)]
pub(super) struct About {
    pub files: Vec<String>,
    pub command: String,
    pub filter: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub damage: Option<String>,
}

/// Numbers that have a packed form.
pub(super) trait Packed: Numbers + Clone {
    fn pack(&self, packer: &mut Packer);
}

impl Packed for Tally {
    fn pack(&self, packer: &mut Packer) {
        [self.calls, self.errors, self.time, self.read, self.written]
            .into_iter()
            .for_each(|number| packer.put(number));
    }
}

impl Packed for Spread {
    fn pack(&self, packer: &mut Packer) {
        self.tally.pack(packer);
        packer.put(self.tally.longest);
        packer.put(self.steps.len() as u64);
        for (step, count) in &self.steps {
            packer.put(u64::from(*step));
            packer.put(u64::from(*count));
        }
    }
}

/// Returns the data.
pub(super) fn json(about: &About, collected: &Collected, limits: Limits) -> Json {
    let (first, last) = collected.span.unwrap_or_default();
    let start = collected.start();
    let shift = shift_of(start, last);
    let clock = Clock { shift, start: start >> shift << shift };
    let count = (last >> shift) - (start >> shift) + 1;
    let in_all = [Column::Calls, Column::Errors, Column::Total, Column::In, Column::Out];
    let timed = [&in_all[..], &[Column::P50, Column::P99, Column::Max, Column::Pending, Column::PendingTime]];
    let filed = [&in_all[..], &[Column::Opened, Column::Created, Column::Deleted, Column::Renamed]];
    let linked = [&in_all[..], &[Column::Connects, Column::Accepts]];
    let told = |about: &Option<String>| about.as_deref().map(|text| limits.cut(&for_terminal(text)));
    let (zone, offset) = zone(first);
    let (processes, more) = processes::json(collected.tree.processes(), clock, limits);
    safe(json!({
        "v": VERSION,
        "scapd": env!("CARGO_PKG_VERSION"),
        "made": Timestamp::now().to_string(),
        "files": about.files.iter().map(|file| for_terminal(file)).collect::<Vec<_>>(),
        "command": for_terminal(&about.command),
        "filter": told(&about.filter),
        "span": { "from": about.from, "to": about.to },
        "damage": about.damage.as_deref().map(for_terminal),
        "zone": zone,
        "offset": offset,
        "start": clock.start.to_string(),
        "width": 1_u64 << shift,
        "bins": count,
        "first": first.to_string(),
        "last": last.to_string(),
        "events": collected.events,
        "sections": collected.sections,
        "machines": collected.machines.iter().map(machine).collect::<Vec<_>>(),
        "ledger": ledger(collected, clock, limits),
        "calls": table(&collected.calls, &timed.concat(), limits.calls, clock, limits),
        "names": table(&collected.names, &in_all, limits.names, clock, limits),
        "files_by_name": table(&collected.files, &filed.concat(), limits.files, clock, limits),
        "peers": table(&collected.peers, &linked.concat(), limits.peers, clock, limits),
        "failures": table(&collected.failures, &in_all, limits.failures, clock, limits),
        "waiting": waiting(collected, clock, limits),
        "processes": processes,
        "more_processes": more,
        "slow": slow(collected, clock, limits),
        "unfinished": unfinished(collected, clock, limits),
    }))
}

/// Returns the name of the time zone, in which lines of calls have their times, and its seconds ahead of UTC at a time.
fn zone(ts: u64) -> (String, i32) {
    let zone = TimeZone::system();
    let offset = zone.to_offset(Timestamp::from_nanosecond(ts.into()).unwrap_or_default());
    (zone.iana_name().map_or_else(|| format!("UTC{offset}"), str::to_owned), offset.seconds())
}

fn machine(machine: &MachineInfo) -> Json {
    json!({
        "hostname": escaped(&machine.hostname),
        "cpus": machine.num_cpus,
        "memory": machine.memory_size,
        "boot": machine.boot_time,
    })
}

fn ledger(collected: &Collected, clock: Clock, limits: Limits) -> Json {
    let mut json = collected.ledger.to_json();
    let left_out = collected.ledger.verdicts.iter().flat_map(balance::left_out_lines);
    json["left_out_lines"] = left_out.collect();
    json["slice_lines"] =
        collected.ledger.slices.iter().map(|note| Json::from(Notice::Slice(*note).text())).collect();
    json["filters"] =
        collected.ledger.filters.iter().map(|text| Json::from(limits.cut(&for_terminal(text)))).collect();
    json["gap_spans"] = collected
        .ledger
        .gaps
        .iter()
        .map(|gap| json!([clock.since_start(gap.from), clock.since_start(gap.to), gap.losses.sum()]))
        .collect();
    json
}

fn table<C: Packed>(table: &Table<C>, columns: &[Column], most: usize, clock: Clock, limits: Limits) -> Json {
    let mut groups: Vec<Group<'_, Series<C>>> = table.top.groups().collect();
    let text = |group: &Group<'_, Series<C>>| {
        let texts = group.keys.iter().map(|key| {
            let mut text = String::new();
            key.show(&mut text);
            text
        });
        texts.collect::<Vec<_>>()
    };
    groups.sort_by_cached_key(|group| (Reverse(group.totals.cost()), text(group)));
    let told = groups.len().min(most);
    let rows = groups[..told].iter().map(|group| {
        let mut row = Map::new();
        row.insert("k".to_owned(), text(group).iter().map(|text| limits.cut(text)).collect());
        let totals = &group.totals.totals;
        let numbers = columns.iter().map(|column| column.value(totals).map_or(Json::Null, Json::from));
        row.insert("t".to_owned(), numbers.collect());
        row.insert("bins".to_owned(), packed(&[&group.totals.bins], clock).into());
        if let Some(example) = &totals.example {
            row.insert("example".to_owned(), limits.cut(&for_terminal(example)).into());
        }
        Json::from(row)
    });
    let rows: Vec<_> = rows.collect();
    let others = groups[told..].iter().map(|group| &group.totals.bins).chain([&table.others.bins]);
    let others: Vec<_> = others.collect();
    json!({
        "keys": table.top.keys().titles().collect::<Vec<_>>(),
        "columns": columns.iter().map(|column| column.json_name()).collect::<Vec<_>>(),
        "rows": rows,
        "others": { "groups": groups.len() - told, "bins": packed(&others, clock) },
        "given_up": table.given_up,
        "without_key": table.top.without_key(),
    })
}

/// Adds up series, and packs the sum.
fn packed<C: Packed>(series: &[&Bins<C>], clock: Clock) -> String {
    let mut sum = Bins::default();
    series.iter().for_each(|bins| sum.add(bins));
    sum.widen(clock.shift);
    let mut packer = Packer::default();
    clock.each(&sum, |before, cell| {
        packer.put(before);
        cell.pack(&mut packer);
    });
    packer.into_text()
}

fn waiting(collected: &Collected, clock: Clock, limits: Limits) -> Json {
    let mut groups: Vec<_> = collected
        .waiting
        .groups()
        .map(|(keys, spent)| {
            let mut name = String::new();
            keys.iter().for_each(|key| key.show(&mut name));
            (name, spent)
        })
        .collect();
    groups.sort_by(|a, b| {
        (b.1.total.busy(), b.1.total.time(), &a.0).cmp(&(a.1.total.busy(), a.1.total.time(), &b.0))
    });
    let told = groups.len().min(limits.names);
    let packed = |series: &[(String, &SpentSeries)]| {
        let mut sum = Bins::<Spent>::default();
        series.iter().for_each(|(_, spent)| sum.add(&spent.bins));
        sum.widen(clock.shift);
        let mut packer = Packer::default();
        clock.each(&sum, |before, spent| {
            packer.put(before);
            Use::all().for_each(|on| packer.put(spent.on(on)));
        });
        packer.into_text()
    };
    let row = |group: &(String, &SpentSeries)| {
        json!({
            "k": [limits.cut(&group.0)],
            "threads": group.1.total.threads,
            "bins": packed(std::slice::from_ref(group)),
        })
    };
    json!({
        "uses": Use::all().map(Use::name).collect::<Vec<_>>(),
        "on_purpose": Use::all().filter(|on| matches!(on, Use::In(wait) if wait.is_on_purpose())).map(Use::name).collect::<Vec<_>>(),
        "has_switches": collected.waiting.has_switches(),
        "rows": groups[..told].iter().map(row).collect::<Vec<_>>(),
        "others": { "groups": groups.len() - told, "bins": packed(&groups[told..]) },
    })
}

fn slow(collected: &Collected, clock: Clock, limits: Limits) -> Json {
    let of_bins = collected.slowest.cells().iter();
    let of_bins = of_bins.flat_map(|(_, few)| few.calls().iter().take(limits.slow));
    let of_bins = of_bins.map(|call| (call.ended, call.latency, &*call.line));
    let of_all = collected.slowest_of_all.iter().filter(|slow| slow.has_ended);
    let of_all = of_all.map(|slow| (slow.what.0, slow.latency, &*slow.what.1));
    let mut calls: Vec<_> = of_bins.chain(of_all).collect();
    calls.sort_by_key(|call| (Reverse(call.1), call.0));
    calls.dedup();
    let call = |(ended, latency, line): (u64, u64, &str)| {
        json!([clock.since_start(ended), latency, limits.cut(&for_terminal(line))])
    };
    calls.into_iter().map(call).collect()
}

fn unfinished(collected: &Collected, clock: Clock, limits: Limits) -> Json {
    let calls = collected.slowest_of_all.iter().filter(|slow| !slow.has_ended);
    let call = |slow: &scap::summary::Slow<(u64, String)>| {
        json!([clock.since_start(slow.what.0), slow.latency, limits.cut(&for_terminal(&slow.what.1))])
    };
    calls.map(call).collect()
}
