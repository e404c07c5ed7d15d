//! Says where each part of a filter is decided, and what is recorded for that: `scapd record --explain`.

use std::io::{self, Write};

use comfy_table::{Table, presets};
use scap::{
    filter::{Part, Place, Places},
    select::SyscallSet,
};
use serde_json::{Value as Json, json};

use super::{Config, wanted::Wanted};
use crate::escape::escaped;

/// The most names of calls that a line has.
const NAMED: usize = 12;

/// Prints where the parts of the configuration's filter are decided. Records nothing.
///
/// # Errors
/// If `out` cannot be written.
pub fn explain(config: &Config, as_json: bool, out: &mut impl Write) -> io::Result<()> {
    let wanted = Wanted::new(config);
    let selection = wanted.selection();
    let places = config.filter.as_ref().map(Places::of);
    let parts = places.as_ref().map(Places::parts).unwrap_or_default();
    let follows = places.as_ref().is_some_and(Places::takes_recorder);
    if as_json {
        let names = |set: &SyscallSet| {
            set.iter().filter(|call| call.is_here()).map(|call| call.name).collect::<Vec<_>>()
        };
        let line = json!({
            "filter": config.filter.as_ref().map(ToString::to_string),
            "parts": parts.iter().map(part_json).collect::<Vec<_>>(),
            "recorder_decides": follows,
            "loaded": {
                "enter": names(&selection.enter),
                "exit": names(&selection.exit),
                "for_names": names(&selection.for_names.calls),
                "tracepoints": wanted.tracepoints().iter().map(|t| t.name()).collect::<Vec<_>>(),
            },
        });
        return writeln!(out, "{line}");
    }
    let mut table = plain(["decided", "test"]);
    for part in parts {
        let places: Vec<_> = part.places.iter().map(|place| place.text()).collect();
        table.add_row([places.join(", then "), escaped(part.text.as_bytes())]);
    }
    print(&table, out)?;
    writeln!(out)?;
    let mut loaded = plain(["recorded", "of"]);
    loaded.add_row(["enter events".to_owned(), calls(&selection.enter)]);
    loaded.add_row(["exit events".to_owned(), calls(&selection.exit)]);
    if !selection.for_names.calls.is_empty() {
        loaded.add_row(["exit events, for names".to_owned(), calls(&selection.for_names.calls)]);
    }
    loaded.add_row(["tracepoints".to_owned(), wanted.tracepoints().to_string()]);
    print(&loaded, out)
}

fn part_json(part: &Part) -> Json {
    json!({ "test": part.text, "places": part.places.iter().map(|place: &Place| place.key()).collect::<Vec<_>>() })
}

/// Returns the names of a few calls, or the number of many.
fn calls(set: &SyscallSet) -> String {
    let set: SyscallSet = set.iter().filter(|call| call.is_here()).collect();
    match set.len() {
        0 => "no call".to_owned(),
        _ if set == SyscallSet::all() => "all calls".to_owned(),
        count if count > NAMED => format!("{count} calls"),
        _ => set.iter().map(|call| call.name).collect::<Vec<_>>().join(", "),
    }
}

fn plain(header: [&str; 2]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    table
}

/// Prints a table without the blanks around its lines.
fn print(table: &Table, out: &mut impl Write) -> io::Result<()> {
    table.to_string().lines().try_for_each(|line| writeln!(out, "{}", line.trim()))
}
