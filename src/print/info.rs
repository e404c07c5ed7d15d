//! What a capture holds, in a page.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    io::{self, Read, Write},
    ops::ControlFlow,
    path::PathBuf,
    time::Duration,
};

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value as Json, json};

use super::{
    Numbered, PrintError, for_each_event,
    json::{VERSION, bytes, escape as escape_json, ns, rfc3339, safe},
    losses::Ledger,
    names::Names,
    open,
    text::escaped,
};
use scap::{
    events::EventType,
    format::{BlockType, EventView, ReadError, Reader, Value, state::MachineInfo},
    ledger,
};

/// Notices beyond this many are only counted.
const MAX_NOTICES: usize = 100;

/// What [`info()`] is asked for.
#[derive(Debug, Clone)]
pub struct InfoArgs {
    /// The capture; `-` is the standard input.
    pub file: PathBuf,
    /// Whether to show a JSON object instead of tables.
    pub json: bool,
    /// How many event types, and how many processes, the tables show; the JSON object has all.
    pub top: usize,
    /// Whether to count the events too that were recorded only to keep the names in others right.
    pub all: bool,
}

/// How many events of a type there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventCount {
    /// The type.
    pub ty: EventType,
    /// Its name; generic events are counted by system call.
    pub name: String,
    /// How many.
    pub count: u64,
}

/// How many events of a process there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessCount {
    /// The process.
    pub pid: u64,
    /// The last command name that it had.
    pub comm: Option<Vec<u8>>,
    /// How many.
    pub count: u64,
}

/// A `notification` event of someone else: what a recorder had to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// When: ns since the epoch.
    pub ts: u64,
    /// What it is about.
    pub id: Vec<u8>,
    /// The text.
    pub text: Vec<u8>,
}

/// What a capture holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The machine that it comes from; of the last section, if there are several.
    pub machine: MachineInfo,
    /// Sections: captures put one behind the other.
    pub sections: u32,
    /// Bytes of the whole blocks, uncompressed.
    pub size: u64,
    /// Threads in the state that it starts with.
    pub threads: usize,
    /// File descriptors in the state that it starts with.
    pub fds: usize,
    /// Events.
    pub events: u64,
    /// Events that were recorded to keep the names in others right. The numbers here are without them, unless they were
    /// to be with them.
    pub for_names: u64,
    /// Time of the oldest and of the youngest event, in ns since the epoch.
    pub times: Option<(u64, u64)>,
    /// Sections that begin before the one in front of them has ended.
    pub early_sections: u64,
    /// Events that are older than the one before them in their section.
    pub out_of_order: u64,
    /// Events by type, the most frequent first.
    pub by_type: Vec<EventCount>,
    /// Events by process, the busiest first.
    pub by_process: Vec<ProcessCount>,
    /// Blocks by type.
    pub blocks: BTreeMap<BlockType, u64>,
    /// `drop` events: times at which the recorder left out events on purpose.
    pub drops: u64,
    /// Its ledger, if it was made by scapd.
    pub ledger: Ledger,
    /// The first hundred other `notification` events.
    pub notices: Vec<Notice>,
    /// How many of these there are.
    pub notice_count: u64,
    /// The time of the event that was read last.
    previous: u64,
    /// What the file is compressed by, if it is.
    pub compression: Option<&'static str>,
}

impl Summary {
    /// Reads a capture to its end. Where that is not the regular one, the summary is of all that comes before it. Events
    /// that were recorded to keep the names in others right are only counted.
    pub fn collect<R: Read>(reader: &mut Reader<R>) -> (Summary, Option<ReadError>) {
        Summary::collect_events(reader, false)
    }

    /// The same; `all` events are in every number.
    pub fn collect_events<R: Read>(reader: &mut Reader<R>, all: bool) -> (Summary, Option<ReadError>) {
        let mut summary = Summary::default();
        let mut types: HashMap<EventType, HashMap<String, u64>> = HashMap::new();
        let mut processes: HashMap<u64, (Option<Vec<u8>>, u64)> = HashMap::new();
        let end = for_each_event(reader, |numbered, names| {
            summary.look(numbered);
            if numbered.asked || all {
                summary.count(numbered, names, &mut types, &mut processes);
            }
            ControlFlow::<()>::Continue(())
        });
        summary.machine = reader.state().machine.clone();
        summary.threads = reader.state().threads.len();
        summary.fds = reader.state().fds.iter().map(|list| list.fds.len()).sum();
        summary.sections = reader.section();
        summary.size = reader.offset();
        summary.compression = reader.compression();
        summary.blocks = reader.block_counts().clone();
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
        (summary, end.err())
    }

    /// What is told of every event.
    fn look(&mut self, numbered: &Numbered<'_>) {
        let event = &numbered.captured.event;
        self.for_names += u64::from(!numbered.asked);
        let (first, last) = self.times.unwrap_or((event.ts(), event.ts()));
        self.early_sections += u64::from(numbered.turns_back);
        self.out_of_order +=
            u64::from(event.ts() < self.previous && self.sections == numbered.captured.section);
        (self.previous, self.sections) = (event.ts(), numbered.captured.section);
        self.times = Some((first.min(event.ts()), last.max(event.ts())));
    }

    fn count(
        &mut self,
        numbered: &Numbered<'_>,
        names: &Names,
        types: &mut HashMap<EventType, HashMap<String, u64>>,
        processes: &mut HashMap<u64, (Option<Vec<u8>>, u64)>,
    ) {
        let event = &numbered.captured.event;
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
        if let Some(notice) = ledger::parse(event) {
            return self.ledger.add(notice);
        }
        match event.info().map(|row| row.name) {
            Some("drop") => self.drops += 1,
            Some("notification") => {
                self.notice_count += 1;
                if self.notices.len() < MAX_NOTICES {
                    let text = |name| match event.value(name) {
                        Some(Ok(d)) => match d.value {
                            Value::Text(text) => text.to_vec(),
                            _ => Vec::new(),
                        },
                        _ => Vec::new(),
                    };
                    self.notices.push(Notice { ts: event.ts(), id: text("id"), text: text("desc") });
                }
            }
            _ => {}
        }
    }

    /// How long the capture lasted, from its first to its last event.
    pub fn duration(&self) -> Duration {
        let (first, last) = self.times.unwrap_or_default();
        Duration::from_nanos(last.saturating_sub(first))
    }

    /// All of it as a JSON object: times in ns since the epoch and, beside them, as text.
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

    /// A page for people, with the `top` most frequent event types and processes.
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
        row("threads at the start", self.threads.to_string());
        row("descriptors at the start", self.fds.to_string());
        row("bytes, uncompressed", self.size.to_string());
        if let Some(format) = self.compression {
            row("compressed by", format.to_owned());
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
        if self.for_names > 0 {
            row("to keep names right", self.for_names.to_string());
        }
        if let Some(asked) = self.ledger.asked.first() {
            row("asked for", asked.to_string());
        }
        if self.ledger.asked.len() > 1 {
            row("changes of that", (self.ledger.asked.len() - 1).to_string());
        }
        row("drop events", self.drops.to_string());
        row("other notices", self.notice_count.to_string());
        table
    }
}

pub(super) fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

/// The first rows of a list, and how many more there are; the last two columns are numbers.
fn ranking(header: [&str; 3], rows: impl ExactSizeIterator<Item = [String; 3]>, top: usize) -> Table {
    let more = rows.len().saturating_sub(top);
    let mut table = plain_table();
    table.set_header(header);
    table.add_rows(rows.take(top));
    if more > 0 {
        table.add_row([format!("… and {more} more")]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Shows what a capture holds.
///
/// # Errors
/// If the capture cannot be opened or read to its end, after what it holds up to there was shown; if `out` cannot be
/// written, but for a broken pipe.
pub fn info(args: &InfoArgs, out: &mut impl Write) -> Result<(), PrintError> {
    let damaged = |source| PrintError::Read { path: args.file.clone(), source };
    let mut reader = Reader::new(open(&args.file)?).map_err(damaged)?;
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
