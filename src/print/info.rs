//! The summary of a capture.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    io::{self, Read, Write},
    path::PathBuf,
    time::Duration,
};

use comfy_table::Table;
use serde_json::{Value as Json, json};

use super::{
    PrintError,
    json::{VERSION, bytes, ns, rfc3339},
    losses::LedgerSummary,
    open,
    table::{plain_table, ranking},
};
use crate::{
    escape::escaped,
    json::{escape as escape_json, safe},
};
use scap::{
    events::EventType,
    format::{BlockType, EventView, Keep, ReadError, Reader, Value, state::MachineInfo},
    ledger,
    replay::{Moment, Position, Replay},
};

/// The maximum number of notices to keep; further ones are only counted.
const MAX_NOTICES: usize = 100;
/// What is shown of a notice's text, in bytes.
const MAX_NOTICE: usize = 64 << 10;
/// The memory that a process takes in the list of them, as JSON too, in bytes.
const PROCESS: u64 = 512;

/// The arguments of [`info()`].
#[derive(Debug, Clone)]
pub struct InfoArgs {
    /// The capture; `-` is the standard input.
    pub file: PathBuf,
    /// Whether to print a JSON object instead of tables.
    pub json: bool,
    /// The number of event types and of processes in the tables; the JSON object has all.
    pub top: usize,
    /// Whether to also count events that were recorded only to keep names right.
    pub all: bool,
    /// How much memory the captured machine's threads, and its processes with events, may take, in bytes; by default as
    /// [`Reader::max_state`] has it.
    pub max_state: Option<u64>,
}

/// The number of events of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventCount {
    /// The type.
    pub ty: EventType,
    /// Its name; generic events are counted by system call.
    pub name: String,
    /// The number of events.
    pub count: u64,
}

/// The number of events of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessCount {
    /// The process id.
    pub pid: u64,
    /// Its last command name.
    pub comm: Option<Vec<u8>>,
    /// The number of events.
    pub count: u64,
}

/// A `notification` event that does not belong to scapd's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherNotice {
    /// The time in ns since the epoch.
    pub ts: u64,
    /// The `id` parameter: the subject.
    pub id: Vec<u8>,
    /// The `desc` parameter: the text.
    pub text: Vec<u8>,
}

/// The contents of a capture in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The recorded machine; if there are several sections, that of the last one.
    pub machine: MachineInfo,
    /// The number of sections: concatenated captures.
    pub sections: u32,
    /// The size of all complete blocks in bytes, uncompressed.
    pub size: u64,
    /// The number of threads in the initial state.
    pub threads: usize,
    /// The number of file descriptors in the initial state.
    pub fds: usize,
    /// The number of events.
    pub events: u64,
    /// The number of events recorded only to keep names right. The other counts exclude them, unless `all` was set.
    pub for_names: u64,
    /// The number of events that another one extends, with which they are one.
    pub extended: u64,
    /// The number of extension events without the event that they belong to. Each is an event of its own here.
    pub lone_extensions: u64,
    /// The times of the oldest and the newest event in ns since the epoch.
    pub times: Option<(u64, u64)>,
    /// The number of sections that begin before the previous one ends.
    pub early_sections: u64,
    /// The number of events that are older than the previous one of their section.
    pub out_of_order: u64,
    /// Event counts by type, in descending order.
    pub by_type: Vec<EventCount>,
    /// Event counts by process, in descending order.
    pub by_process: Vec<ProcessCount>,
    /// Block counts by type.
    pub blocks: BTreeMap<BlockType, u64>,
    /// The number of `drop` events: points at which the recorder dropped events on purpose.
    pub drops: u64,
    /// The ledger, if scapd made the capture.
    pub ledger: LedgerSummary,
    /// The first 100 other `notification` events.
    pub notices: Vec<OtherNotice>,
    /// The number of other `notification` events.
    pub notice_count: u64,
    /// The time of the previous event.
    previous: u64,
    /// The compression format, if the file is compressed.
    pub compression: Option<&'static str>,
}

impl Summary {
    /// Reads a capture to its end. After a read error, the summary covers everything before it. Only `for_names` counts
    /// the events that were recorded only to keep names right.
    pub fn collect<R: Read>(reader: &mut Reader<R>) -> (Summary, Option<ReadError>) {
        Summary::collect_events(reader, false)
    }

    /// Like [`collect`](Summary::collect); with `all`, every count includes events recorded only to keep names right.
    pub fn collect_events<R: Read>(reader: &mut Reader<R>, all: bool) -> (Summary, Option<ReadError>) {
        let mut summary = Summary::default();
        let mut types: HashMap<EventType, HashMap<String, u64>> = HashMap::new();
        let mut processes: HashMap<u64, (Option<Vec<u8>>, u64)> = HashMap::new();
        let mut replay = Replay::new(reader, Keep::Names, Position::default());
        let end = loop {
            let moment = match replay.next() {
                Ok(Some(moment)) => moment,
                Ok(None) => break None,
                Err(e) => break Some(e),
            };
            summary.look(&moment);
            let notice = ledger::parse(&moment.captured.event);
            notice.into_iter().for_each(|notice| summary.ledger.add(notice));
            if moment.is_asked || all {
                summary.count(&moment, &mut types, &mut processes);
            }
            let (needs, limit) = (processes.len() as u64 * PROCESS, moment.limit.max(PROCESS));
            if needs > limit {
                let offset = moment.captured.offset;
                break Some(ReadError::TooLarge { offset, needs, is_least: true, limit, given: None });
            }
        };
        summary.machine = reader.state().machine.clone();
        summary.threads = reader.state_counts().threads as usize;
        summary.fds = reader.state_counts().fds as usize;
        summary.sections = reader.section();
        summary.size = reader.offset();
        summary.compression = reader.compression();
        summary.blocks = reader.block_counts();
        summary.by_type = types
            .into_iter()
            .flat_map(|(ty, names)| {
                names.into_iter().map(move |(name, count)| EventCount { ty, name, count })
            })
            .collect();
        summary.by_type.sort_by(|a, b| (b.count, a.ty, &a.name).cmp(&(a.count, b.ty, &b.name)));
        summary.by_process =
            processes.into_iter().map(|(pid, (comm, count))| ProcessCount { pid, comm, count }).collect();
        summary.by_process.sort_by_key(|p| (std::cmp::Reverse(p.count), p.pid));
        (summary, end)
    }

    /// Updates the numbers that cover every event.
    fn look(&mut self, moment: &Moment<'_>) {
        let event = &moment.captured.event;
        self.extended += u64::from(moment.raw.extension().is_some());
        self.lone_extensions += u64::from(event.ty().is_extension());
        self.for_names += u64::from(!moment.is_asked && ledger::parse(event).is_none());
        let (first, last) = self.times.unwrap_or((event.ts(), event.ts()));
        self.early_sections += u64::from(moment.turns_back);
        self.out_of_order +=
            u64::from(event.ts() < self.previous && self.sections == moment.captured.section);
        (self.previous, self.sections) = (event.ts(), moment.captured.section);
        self.times = Some((first.min(event.ts()), last.max(event.ts())));
    }

    fn count(
        &mut self,
        moment: &Moment<'_>,
        types: &mut HashMap<EventType, HashMap<String, u64>>,
        processes: &mut HashMap<u64, (Option<Vec<u8>>, u64)>,
    ) {
        let (event, names) = (moment.event(), moment.machine);
        self.events += 1;
        let name = event.name();
        let of_type = types.entry(event.ty()).or_default();
        match of_type.get_mut(&*name) {
            Some(count) => *count += 1,
            None => drop(of_type.insert(name.into_owned(), 1)),
        }

        let (comm, count) = processes.entry(names.pid(event.tid())).or_default();
        *count += 1;
        let now = names.comm(event.tid());
        if now.is_some() && now != comm.as_deref() {
            *comm = now.map(<[u8]>::to_vec);
        }
        self.notice(event);
    }

    fn notice(&mut self, event: &EventView<'_>) {
        if ledger::parse(event).is_some() {
            return;
        }
        match event.info().map(|row| row.name) {
            Some("drop") => self.drops += 1,
            Some("notification") => {
                self.notice_count += 1;
                if self.notices.len() < MAX_NOTICES {
                    let text = |name| match event.value(name) {
                        Some(Ok(d)) => match d.value {
                            Value::Text(text) => text[..text.len().min(MAX_NOTICE)].to_vec(),
                            _ => Vec::new(),
                        },
                        _ => Vec::new(),
                    };
                    self.notices.push(OtherNotice { ts: event.ts(), id: text("id"), text: text("desc") });
                }
            }
            _ => {}
        }
    }

    /// Returns the time from the oldest to the newest event.
    pub fn duration(&self) -> Duration {
        let (first, last) = self.times.unwrap_or_default();
        Duration::from_nanos(last.saturating_sub(first))
    }

    /// Converts the summary to a JSON object. Times are given in ns since the epoch and as RFC 3339 text.
    pub fn to_json(&self) -> Json {
        let direction = |ty: EventType| if ty.is_enter() { ">" } else { "<" };
        safe(json!({
            "v": VERSION,
            "machine": {
                "hostname": bytes(&self.machine.hostname),
                "cpus": self.machine.num_cpus,
                "memory": self.machine.memory_size,
                "max_pid": self.machine.max_pid,
                "boot_ts": ns(self.machine.boot_time),
                "boot_time": rfc3339(self.machine.boot_time),
            },
            "sections": self.sections,
            "early_sections": self.early_sections,
            "compression": self.compression,
            "size": self.size,
            "threads": self.threads,
            "fds": self.fds,
            "events": self.events,
            "events_for_names": self.for_names,
            "extended": self.extended,
            "lone_extensions": self.lone_extensions,
            "first_ts": self.times.map(|t| ns(t.0)),
            "first_time": self.times.and_then(|t| rfc3339(t.0)),
            "last_ts": self.times.map(|t| ns(t.1)),
            "last_time": self.times.and_then(|t| rfc3339(t.1)),
            "duration_ns": self.duration().as_nanos() as u64,
            "out_of_order": self.out_of_order,
            "by_type": self.by_type.iter().map(|e| json!({
                "type": e.name, "dir": direction(e.ty), "number": e.ty.0, "count": e.count,
            })).collect::<Vec<_>>(),
            "by_process": self.by_process.iter().map(|p| json!({
                "pid": p.pid as i64, "proc": p.comm.as_deref().map(bytes), "count": p.count,
            })).collect::<Vec<_>>(),
            "blocks": self.blocks.iter().map(|(ty, count)| json!({
                "block": ty.name(), "number": ty.0, "count": count,
            })).collect::<Vec<_>>(),
            "ledger": self.ledger.to_json(),
            "drops": self.drops,
            "notifications": self.notice_count,
            "notices": self.notices.iter().map(|n| json!({
                "ts": ns(n.ts), "time": rfc3339(n.ts), "id": bytes(&n.id), "text": bytes(&n.text),
            })).collect::<Vec<_>>(),
        }))
    }

    /// Formats the summary as tables, with the `top` most frequent event types and processes.
    pub fn to_text(&self, top: usize) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", self.overview().trim_fmt());
        for table in self.ledger.tables() {
            let _ = writeln!(out, "\n{}", table.trim_fmt());
        }
        let types = self.by_type.iter().map(|e| {
            let direction = if e.ty.is_enter() { ">" } else { "<" };
            [format!("{direction} {}", e.name), e.ty.to_string(), e.count.to_string()]
        });
        let _ = writeln!(out, "\n{}", ranking(["event", "number", "count"], types, top).trim_fmt());
        let processes = self.by_process.iter().map(|p| {
            [escaped(p.comm.as_deref().unwrap_or(b"<NA>")), (p.pid as i64).to_string(), p.count.to_string()]
        });
        let _ = writeln!(out, "\n{}", ranking(["process", "pid", "events"], processes, top).trim_fmt());
        let blocks =
            self.blocks.iter().map(|(ty, n)| [ty.name().into(), format!("{:#x}", ty.0), n.to_string()]);
        let _ = writeln!(out, "\n{}", ranking(["block", "number", "count"], blocks, usize::MAX).trim_fmt());
        for notice in &self.notices {
            let time = rfc3339(notice.ts).unwrap_or_default();
            let _ = writeln!(out, "notice at {time}: {}: {}", escaped(&notice.id), escaped(&notice.text));
        }
        let unshown = self.notice_count - self.notices.len() as u64;
        if unshown > 0 {
            let _ = writeln!(out, "and {unshown} more notices");
        }
        out
    }

    fn overview(&self) -> Table {
        let mut table = plain_table();
        let mut row = |name: &str, value: String| {
            table.add_row([name.to_string(), value]);
        };
        row("host", escaped(&self.machine.hostname));
        row("CPUs", self.machine.num_cpus.to_string());
        row("memory", format!("{} MiB", self.machine.memory_size >> 20));
        if self.machine.boot_time != 0 {
            row("booted", rfc3339(self.machine.boot_time).unwrap_or_default());
        }
        if let Some((first, last)) = self.times {
            row("first event", rfc3339(first).unwrap_or_default());
            row("last event", rfc3339(last).unwrap_or_default());
            row("duration", format!("{:.6} s", self.duration().as_secs_f64()));
        }
        row("events", self.events.to_string());
        if self.extended > 0 {
            row("with an extension", self.extended.to_string());
        }
        if self.lone_extensions > 0 {
            row("extensions without their event", self.lone_extensions.to_string());
        }
        row("threads at the start", self.threads.to_string());
        row("descriptors at the start", self.fds.to_string());
        row("uncompressed bytes", self.size.to_string());
        if let Some(format) = self.compression {
            row("compression", format.to_owned());
        }
        if self.sections > 1 {
            row("sections", self.sections.to_string());
        }
        if self.early_sections > 0 {
            row("sections out of order", self.early_sections.to_string());
        }
        if self.out_of_order > 0 {
            row("events out of order", self.out_of_order.to_string());
        }
        if !self.ledger.slices.is_empty() {
            let left_out = self.ledger.slices.iter().map(|note| note.left_out).fold(0, u64::saturating_add);
            row("left out of the source", left_out.to_string());
        }
        if self.for_names > 0 {
            row("recorded for names", self.for_names.to_string());
        }
        if let Some(filter) = self.ledger.filters.first() {
            row("filter", escaped(filter.as_bytes()));
        }
        if self.ledger.filters.len() > 1 {
            row("filter changes", (self.ledger.filters.len() - 1).to_string());
        }
        if let Some(rules) = self.ledger.redacted.first() {
            row("overwritten by rules", rules.text());
        }
        if let Some(asked) = self.ledger.asked.first() {
            row("selection", asked.to_string());
        }
        if self.ledger.asked.len() > 1 {
            row("selection changes", (self.ledger.asked.len() - 1).to_string());
        }
        row("drop events", self.drops.to_string());
        row("other notices", self.notice_count.to_string());
        table
    }
}

/// Prints the summary of a capture.
///
/// # Errors
/// If the capture cannot be opened or read to its end (after printing the summary of the readable part), or if `out`
/// cannot be written, except for a broken pipe.
pub fn info(args: &InfoArgs, out: &mut impl Write) -> Result<(), PrintError> {
    let damaged = |source| PrintError::Read { path: args.file.clone(), source };
    let reader = Reader::new(open(&args.file)?).map_err(damaged)?;
    let mut reader = reader.keep(Keep::Threads).max_state(args.max_state);
    let (summary, error) = Summary::collect_events(&mut reader, args.all);
    let mut page = String::new();
    if args.json {
        escape_json(&mut page, &format!("{:#}\n", summary.to_json()));
    } else {
        page = summary.to_text(args.top);
    }
    match out.write_all(page.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => return Err(PrintError::Write(e)),
        _ => {}
    }
    error.map_or(Ok(()), |e| Err(damaged(e)))
}
