//! `scapd list`: the tables of system calls, events and fields, as text or JSON.
//!
//! As text, each row is one line under a header line; only the last column may contain spaces. As JSON, a table is an
//! array of objects.

mod fields;

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use scap::{
    events::{Arch, Event, EventType, ParamInfo, SYSCALLS, Schema, Source, Syscall, Template, types},
    select::{Class, SyscallSet, category_name, classes},
};

pub use fields::{fields, terminal_width};

/// The text of an empty column.
const NOTHING: &str = "-";

/// A row of `scapd list syscalls`.
#[derive(Debug, Serialize)]
struct SyscallRow {
    name: &'static str,
    /// The stable code.
    code: u16,
    /// Its number on this architecture.
    number: Option<u16>,
    /// Its number for 32-bit programs on x86-64.
    number_i386: Option<u16>,
    /// The types of its enter and exit event; `None` for a generic event.
    enter_event: Option<u16>,
    exit_event: Option<u16>,
    /// Whether it has a BPF program of its own.
    program: bool,
    /// Whether its arguments are recorded, in an extension of its generic event if it has no program.
    arguments: bool,
    /// Which of its events are recorded while sampling.
    sampled: &'static str,
    /// Its classes, without the percent sign.
    classes: Vec<&'static str>,
}

impl SyscallRow {
    fn new(call: &'static Syscall, classes: &[Class]) -> Self {
        let number_of = |event: Option<&Event>| event.map(|event| event.ty.0);
        let (enter_event, exit_event) = (number_of(call.enter()), number_of(call.exit()));
        SyscallRow {
            name: call.name,
            code: call.code,
            number: call.number(Arch::NATIVE),
            number_i386: call.number(Arch::I386),
            enter_event,
            exit_event,
            program: enter_event.is_some() || exit_event.is_some(),
            arguments: enter_event.is_some() || exit_event.is_some() || is_extended(call),
            sampled: call.sampling.recorded(),
            classes: classes
                .iter()
                .filter(|class| class.calls.contains(call))
                .map(|class| class.name)
                .collect(),
        }
    }
}

/// A row of `scapd list events`.
#[derive(Debug, Serialize)]
struct EventRow {
    number: u16,
    code: &'static str,
    name: &'static str,
    source: &'static str,
    category: &'static str,
    /// The template of its program.
    template: Option<&'static str>,
    /// The program that records it; `None` if scapd only reads it.
    program: Option<&'static str>,
    parameters: Vec<ParameterRow>,
}

#[derive(Debug, Serialize)]
struct ParameterRow {
    name: &'static str,
    #[serde(rename = "type")]
    ty: String,
    /// The first schema with this parameter; `None` if the default schema has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'static str>,
}

impl EventRow {
    fn new(event: &'static Event) -> Self {
        let parameter = |p: &ParamInfo| {
            let schema = (p.since > Schema::default()).then(|| p.since.version());
            ParameterRow { name: p.name, ty: p.ty.name(), schema }
        };
        EventRow {
            number: event.ty.0,
            code: event.code,
            name: event.name,
            source: source_name(event.source),
            category: category_name(event.category),
            template: match event.template {
                Template::Ringbuf => Some("ringbuf"),
                Template::Auxmap => Some("auxmap"),
                Template::None => None,
            },
            program: event.program,
            parameters: event.params.iter().map(parameter).collect(),
        }
    }
}

fn source_name(source: Source) -> &'static str {
    match source {
        Source::None => "none",
        Source::Syscall => "syscall",
        Source::Tracepoint => "tracepoint",
        Source::Metaevent => "metaevent",
        Source::Iter => "iter",
        Source::Plugin => "plugin",
        Source::Extension => "extension",
    }
}

/// A row of `scapd list coverage`: how the calls of a class are recorded.
#[derive(Debug, Serialize)]
struct CoverageRow {
    class: String,
    calls: usize,
    /// Calls with a program of their own.
    programs: usize,
    /// Calls recorded as generic events.
    generic: usize,
    /// Calls whose arguments are recorded, by a program of their own or in the extension of the generic event.
    arguments: usize,
}

impl CoverageRow {
    fn new(class: impl Into<String>, calls: &SyscallSet) -> Self {
        let has_program = |call: &Syscall| call.enter().is_some() || call.exit().is_some();
        let programs = calls.iter().filter(|call| has_program(call)).count();
        let arguments = calls.iter().filter(|call| has_program(call) || is_extended(call)).count();
        CoverageRow {
            class: class.into(),
            calls: calls.len(),
            programs,
            generic: calls.len() - programs,
            arguments,
        }
    }
}

/// Returns whether the generic events of a call have its arguments and its result in an extension.
fn is_extended(call: &Syscall) -> bool {
    scap::events::is_extended(EventType(1), || call.code)
}

/// Prints, for each class, how many calls it has, how many have a program of their own, how many are recorded as generic
/// events, and of how many there are the arguments. The same counts follow for calls without a class, all native calls, and calls that only 32-bit
/// programs have. A call can be in more than one class.
///
/// # Errors
/// Errors of `out`, including a broken pipe.
pub fn coverage(out: &mut impl Write, json: bool) -> io::Result<()> {
    let classes = classes();
    let all = SyscallSet::all();
    let classified = classes.iter().fold(SyscallSet::none(), |calls, class| calls.union(&class.calls));
    let compat: SyscallSet = SYSCALLS.iter().filter(|call| call.is_compat_only()).collect();
    let mut rows: Vec<_> =
        classes.iter().map(|class| CoverageRow::new(format!("%{}", class.name), &class.calls)).collect();
    rows.push(CoverageRow::new("of no class", &all.difference(&classified)));
    rows.push(CoverageRow::new("all", &all.difference(&compat)));
    rows.push(CoverageRow::new("32-bit alone", &compat));
    if json {
        return print_json(out, &rows);
    }
    let mut table = table(&["CLASS", "CALLS", "PROGRAM", "GENERIC", "ARGUMENTS"], &[1, 2, 3, 4]);
    for row in rows {
        let counts = [row.calls, row.programs, row.generic, row.arguments].map(|count| count.to_string());
        table.add_row([row.class].into_iter().chain(counts));
    }
    print(out, &table)
}

/// Prints every system call: name, stable code, numbers on this architecture and for 32-bit programs, events, what
/// sampling records, classes.
///
/// # Errors
/// Errors of `out`, including a broken pipe.
pub fn syscalls(out: &mut impl Write, json: bool) -> io::Result<()> {
    let classes = classes();
    let rows: Vec<SyscallRow> = SYSCALLS.iter().map(|call| SyscallRow::new(call, &classes)).collect();
    if json {
        return print_json(out, &rows);
    }
    let header = ["NAME", "CODE", "NUMBER", "I386", "ENTER", "EXIT", "PROGRAM", "SAMPLED", "CLASSES"];
    let mut table = table(&header, &[1, 2, 3, 4, 5]);
    for row in rows {
        let number = |number: Option<u16>| number.map_or(NOTHING.to_owned(), |n| n.to_string());
        let event = |number: Option<u16>| number.map_or("generic".to_owned(), |n| n.to_string());
        table.add_row([
            row.name.to_owned(),
            row.code.to_string(),
            number(row.number),
            number(row.number_i386),
            event(row.enter_event),
            event(row.exit_event),
            match (row.program, row.arguments) {
                (true, _) => "yes",
                (false, true) => "extended",
                (false, false) => "generic",
            }
            .to_owned(),
            row.sampled.to_owned(),
            joined(row.classes.iter().map(|class| format!("%{class}"))),
        ]);
    }
    print(out, &table)
}

/// Prints every event type: number, symbol, name, source, category, template, program, parameters with their types.
///
/// # Errors
/// Errors of `out`, including a broken pipe.
pub fn events(out: &mut impl Write, json: bool) -> io::Result<()> {
    let rows: Vec<EventRow> = types().map(EventRow::new).collect();
    if json {
        return print_json(out, &rows);
    }
    let header = ["NUMBER", "CODE", "NAME", "SOURCE", "CATEGORY", "TEMPLATE", "PROGRAM", "PARAMETERS"];
    let mut table = table(&header, &[0]);
    for row in rows {
        table.add_row([
            row.number.to_string(),
            row.code.to_owned(),
            row.name.to_owned(),
            row.source.to_owned(),
            row.category.to_owned(),
            row.template.unwrap_or(NOTHING).to_owned(),
            row.program.unwrap_or(NOTHING).to_owned(),
            joined(row.parameters.iter().map(|p| format!("{}:{}", p.name, p.ty))),
        ]);
    }
    print(out, &table)
}

/// Returns a table without rules, with two spaces between columns. The columns at `numbers` are right-aligned.
fn table(header: &[&str], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !header.is_empty() {
        table.set_header(header.to_vec());
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for index in numbers {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn joined(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    if words.is_empty() { NOTHING.to_owned() } else { words.join(" ") }
}

fn print(out: &mut impl Write, table: &Table) -> io::Result<()> {
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    out.flush()
}

fn print_json(out: &mut impl Write, rows: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, rows)?;
    writeln!(out)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use scap::events::EVENTS;

    type Print = fn(&mut Vec<u8>, bool) -> io::Result<()>;

    fn text(print: Print) -> Vec<Vec<String>> {
        let mut out = Vec::new();
        print(&mut out, false).unwrap();
        let out = String::from_utf8(out).unwrap();
        out.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    }

    fn json(print: Print) -> Vec<Value> {
        let mut out = Vec::new();
        print(&mut out, true).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn every_call_has_a_line() {
        let lines = text(syscalls);
        assert_eq!(lines[0][..4], ["NAME", "CODE", "NUMBER", "I386"]);
        assert_eq!(lines.len(), SYSCALLS.len() + 1);
        for (line, call) in lines[1..].iter().zip(SYSCALLS) {
            assert_eq!(line[..2], [call.name.to_owned(), call.code.to_string()]);
            assert!(line.len() >= 8, "{line:?}");
        }
        let line = lines.iter().find(|line| line[0] == "unlinkat").unwrap();
        assert_eq!(line[3..7], ["301", "302", "303", "yes"]);
        assert_eq!(line[7], "part");
        assert!(line[8..].contains(&"%file".to_owned()), "{line:?}");
        let line = lines.iter().find(|line| line[0] == "gettid").unwrap();
        assert_eq!(line[3..], ["224", "generic", "generic", "extended", "part", "%pure"]);
    }

    #[test]
    fn every_event_has_a_line() {
        let lines = text(events);
        assert_eq!(lines.len(), types().count() + 1);
        for (line, event) in lines[1..].iter().zip(types()) {
            assert_eq!(line[..3], [event.ty.to_string(), event.code.to_owned(), event.name.to_owned()]);
        }
        assert_eq!(lines[264 + 1].join(" "), {
            "264 PPME_SYSCALL_ACCESS_E access syscall file ringbuf access_e mode:flags32"
        });
        assert_eq!(lines[10 + 1][5..], ["-", "-", "size:uint32"]);
    }

    #[test]
    fn coverage_counts_every_call_once_in_a_class() {
        let lines = text(coverage);
        let row = |class: &str| -> Vec<usize> {
            let line = lines.iter().find(|line| line.join(" ").starts_with(&format!("{class} "))).unwrap();
            line[line.len() - 4..].iter().map(|n| n.parse().unwrap()).collect()
        };
        for line in &lines[1..] {
            let numbers: Vec<usize> = line[line.len() - 4..].iter().map(|n| n.parse().unwrap()).collect();
            assert_eq!(numbers[0], numbers[1] + numbers[2], "{line:?}");
            assert!(numbers[1] <= numbers[3] && numbers[3] <= numbers[0], "{line:?}");
        }
        let programs =
            EVENTS.iter().filter(|e| e.source != Source::Tracepoint && e.program.is_some()).count();
        // The generic pair and the drop pair belong to no call.
        #[cfg(target_arch = "x86_64")]
        assert_eq!(2 * (row("all")[1] + row("32-bit alone")[1]), programs - 4);
        assert_eq!(row("all")[0], SYSCALLS.iter().filter(|call| call.number(Arch::NATIVE).is_some()).count());
        assert_eq!(row("%pure")[1], 4, "get(e)uid and get(e)gid");
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_table_in_the_readme_is_what_is_printed() {
        let mut table = Vec::new();
        coverage(&mut table, false).unwrap();
        let table = String::from_utf8(table).unwrap();
        // Read at run time, so that a change of the README does not rebuild the tests.
        let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
        assert!(readme.contains(&table), "write there what `scapd list coverage` prints:\n{table}");
    }

    #[test]
    fn the_calls_that_arm64_lacks_are_listed() {
        let has = |call: &Syscall, arch| call.number(arch).is_some();
        let lacking = SYSCALLS.iter().filter(|call| has(call, Arch::X86_64) && !has(call, Arch::Arm64));
        let mut lacking: Vec<_> = lacking.map(|call| call.name).collect();
        lacking.sort();
        let lacking = format!("`{}`.", lacking.join("`, `"));
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ARM64.md")).unwrap();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&lacking), "list in docs/ARM64.md: {lacking}");
    }

    #[test]
    fn json_has_the_same_rows() {
        let calls = json(syscalls);
        assert!(calls.iter().map(|row| row["name"].as_str()).eq(SYSCALLS.iter().map(|call| Some(call.name))));
        let socketcall = calls.iter().find(|row| row["name"] == "socketcall").unwrap();
        assert_eq!((&socketcall["number"], &socketcall["classes"]), (&Value::Null, &Value::Array(vec![])));

        let events = json(events);
        assert!(events.iter().map(|row| row["code"].as_str()).eq(types().map(|event| Some(event.code))));
        let access = &events[265];
        assert_eq!(access["template"], "auxmap");
        let parameters = access["parameters"].as_array().unwrap();
        let names: Vec<_> = parameters.iter().filter_map(|p| p["name"].as_str()).collect();
        assert_eq!(names, ["res", "name", "mode"]);
        assert_eq!(parameters[1]["type"], "fspath");
    }

    #[test]
    fn an_error_of_the_output_is_passed_on() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for json in [false, true] {
            assert_eq!(syscalls(&mut Broken, json).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            assert_eq!(events(&mut Broken, json).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        }
    }
}
