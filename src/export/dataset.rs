//! `scapd export --to parquet`: a folder with the tables.

use std::{
    fmt::Write as _,
    io::{self, Write},
    path::Path,
};

use jiff::Timestamp;

use super::{
    events::EventRows,
    parquet::Table,
    tables::{self, CONNECTION_KEYS, CONNECTIONS, LEDGER, PROCESSES},
};
use crate::print::{DependsOn, View};
use scap::{
    format::Keep,
    replay::{Moment, Now},
    summary::{Ends, Keys, Top, Tree},
};

const HOUR: u64 = 3_600_000_000_000;

/// What Hive and its kin call the partition of rows without a value.
const NOTHING: &str = "__HIVE_DEFAULT_PARTITION__";

/// The tables, while they are made.
pub(super) struct Dataset {
    events: Table,
    processes: Table,
    connections: Table,
    ledger: Table,
    rows: EventRows,
    ends: Ends,
    tree: Tree,
    top: Top,
    place: Place,
    /// The number and the time of the last event.
    last: (u64, u64),
}

/// The partition of the last event.
#[derive(Default)]
struct Place {
    /// The name of the machine; `None` before the first event.
    name: Option<Vec<u8>>,
    /// `host=NAME`.
    host: String,
    /// The hours since the epoch, and `host=NAME/date=DATE/hour=HOUR`.
    hour: u64,
    partition: String,
}

impl Place {
    /// Goes to an hour on the same machine.
    fn go_to(&mut self, ts: u64) {
        if self.partition.is_empty() || self.hour != ts / HOUR {
            self.hour = ts / HOUR;
            let time = Timestamp::from_nanosecond(ts.into()).unwrap_or_default();
            self.partition = format!("{}/{}", self.host, time.strftime("date=%Y-%m-%d/hour=%H"));
        }
    }
}

impl Dataset {
    /// Starts the tables in a folder.
    pub fn new(root: &Path) -> io::Result<Dataset> {
        let table = |name: &str, columns: &[_]| Table::new(root, name, columns);
        Ok(Dataset {
            events: table("events", &EventRows::columns())?,
            processes: table("processes", &PROCESSES)?,
            connections: table("connections", &CONNECTIONS)?,
            ledger: table("ledger", &LEDGER)?,
            rows: EventRows::new().map_err(io::Error::other)?,
            ends: Ends::default(),
            tree: Tree::default(),
            top: connections()?,
            place: Place::default(),
            last: (0, 0),
        })
    }

    /// Takes any event.
    fn reach(&mut self, moment: &Moment<'_>, is_wanted: bool) -> io::Result<()> {
        let name = &moment.machine.info().hostname;
        if self.place.name.as_ref() != Some(name) {
            self.end_host()?;
            self.place = Place { name: Some(name.clone()), host: host(name), ..Place::default() };
        }
        self.place.go_to(moment.event().ts());
        self.last = (moment.num, moment.event().ts());
        if tables::is_notice(moment) {
            tables::notice(moment, self.ledger.row(&self.place.host)?);
            self.ledger.end_row()?;
        }
        self.tree.event(moment, is_wanted).map_err(io::Error::other)
    }

    /// Writes the processes and connections of a machine behind its last event.
    fn end_host(&mut self) -> io::Result<()> {
        let (tree, mut top) =
            (std::mem::take(&mut self.tree), std::mem::replace(&mut self.top, connections()?));
        if self.place.name.is_none() {
            return Ok(());
        }
        top.finish(self.last.1);
        for process in tree.processes() {
            tables::process(process, tree.processes(), self.processes.row(&self.place.host)?);
            self.processes.end_row()?;
        }
        for group in top.groups() {
            tables::connection(&group, self.connections.row(&self.place.host)?);
            self.connections.end_row()?;
        }
        Ok(())
    }

    /// Ends the tables. `cut` says why a capture could not be read on, if one could not.
    pub fn finish(mut self, cut: Option<&str>) -> io::Result<()> {
        self.end_host()?;
        if let Some(why) = cut {
            tables::cut(self.last.0, self.last.1, why, self.ledger.row(&self.place.host)?);
            self.ledger.end_row()?;
        }
        // A table without any file is none to those that read it.
        self.events.finish(&self.place.partition)?;
        self.processes.finish(&self.place.host)?;
        self.connections.finish(&self.place.host)?;
        self.ledger.finish(&self.place.host)
    }
}

fn connections() -> io::Result<Top> {
    Ok(Top::new(Keys::parse(CONNECTION_KEYS).map_err(io::Error::other)?).with_connections())
}

/// Returns the name of a machine's partition: what is no letter, digit, dot or dash is escaped as in addresses.
pub(super) fn host(name: &[u8]) -> String {
    let mut host = "host=".to_owned();
    if name.is_empty() {
        host.push_str(NOTHING);
    }
    for byte in name {
        // Writing to a string cannot fail.
        let _ = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
                host.write_char(char::from(*byte))
            }
            other => write!(host, "%{other:02X}"),
        };
    }
    host
}

impl View for Dataset {
    fn event(&mut self, moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.reach(moment, true)?;
        let ended = self.ends.event(moment);
        self.rows.write(moment, ended, self.events.row(&self.place.partition)?);
        self.events.end_row()?;
        self.top.event(moment).map_err(io::Error::other)
    }

    fn unwanted(&mut self, moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.top.unwanted(moment);
        self.reach(moment, false)
    }

    fn end(&mut self, now: Now<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.top.end_capture(now);
        self.tree.end_capture(now);
        Ok(())
    }

    fn keep(&self) -> Keep {
        Keep::All
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::All
    }
}
