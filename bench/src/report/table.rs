//! The report in Markdown.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};

use super::{
    GeneratorResult, Report, Sample,
    format::{bytes, count, digits, percent, time},
};
use crate::{
    contender::{Contender, Scope},
    stats::Quartiles,
};

/// The cell for an unknown or meaningless value.
const NOTHING: &str = "–";

/// Returns the report, with a link to the plot if there is one.
pub fn markdown(report: &Report, plot: Option<&str>) -> String {
    let mut text = head(report);
    if let Some(plot) = plot {
        let _ = writeln!(text, "![Time in proportion to an unrecorded run]({plot})\n");
    }
    let _ = writeln!(text, "### Time in proportion to an unrecorded run\n\n{}\n", overview(report));
    if let Some(cpu) = cpu(report) {
        let _ = writeln!(
            text,
            "### Recorder's CPU for an event, in proportion to scapd's (quartiles)\n\n{cpu}\n"
        );
    }
    text += LEGEND;
    for result in &report.generators {
        let (name, what) = (result.generator.name(), result.generator.describe());
        let _ = writeln!(text, "\n### {name}: {what}\n\n{}", details(result));
        if let Some(peers) = peers(result) {
            let _ = writeln!(text, "\nTime in proportion to that of peers that record the same:\n\n{peers}");
        }
    }
    text += &commands(report);
    text
}

fn head(report: &Report) -> String {
    let (machine, settings) = (&report.machine, &report.settings);
    let recorder: Vec<_> = settings.recorder_cpus.iter().map(ToString::to_string).collect();
    let versions: Vec<_> =
        report.versions.iter().map(|(name, version)| format!("; {name} {version}")).collect();
    let mut text = format!(
        "{date}, `{command}`\n\n\
         {cpu}, {cores} cores, {memory} of memory, Linux {kernel}; files on {file_system}{versions}.\n\n\
         Measured rounds: {rounds}, in which the contenders take turns; every round starts with another contender. A first \
         round warms up, and is discarded. The loop of a run takes about {time} ms, after a tenth as many iterations \
         as a warm-up. The generator and all its processes run on CPU {generator}, the recorder on {recorder}. \
         strace runs on the generator's CPU, which is faster, as the two wait for each other. Every \
         configurable contender gets 8 MiB of buffer for each CPU.\n",
        date = report.date,
        command = report.command,
        cpu = machine.cpu,
        cores = machine.cores,
        memory = bytes(machine.memory),
        kernel = machine.kernel,
        file_system = settings.file_system,
        versions = versions.concat(),
        rounds = settings.rounds,
        time = settings.time_ms,
        generator = settings.generator_cpu,
        recorder = recorder.join(", "),
    );
    if settings.recorder_cpus == [settings.generator_cpu] {
        text +=
            "\n**Generator and recorder share one CPU**: times of the generator include the recorder's.\n";
    }
    for note in &report.notes {
        let _ = writeln!(text, "- {note}");
    }
    text.push('\n');
    text
}

const LEGEND: &str = "\
In the tables below, *time* is the generator's own time for one iteration: the median of the rounds, and the first and third \
quartile. *× none* and the other ratios are medians of the ratios within each round, *added* is the median of the \
differences. *Recorder's CPU* is the recorder's user and system time (from the scheduler, split like the kernel's \
ticks), from the start of the generator to the end of the recorder; reading the state of the machine and loading programs \
come before. An *event* is what the tool writes: two for each call (enter and exit), one with strace and with exit only. \
*Events* and *bytes* are those of the median run, including the warm-up; *lost* is the sum over all rounds, as reported \
by the tool.
";

fn new_table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(columns.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn or_nothing<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or(NOTHING.to_owned(), show)
}

/// Returns a table with a row for each generator and a column for each contender.
fn overview(report: &Report) -> Table {
    let contenders: Vec<_> = Contender::all()
        .iter()
        .filter(|contender| **contender != Contender::None)
        .filter(|contender| report.generators.iter().any(|result| result.of(**contender).is_some()))
        .collect();
    let mut columns = vec!["", "none"];
    columns.extend(contenders.iter().map(|contender| contender.label()));
    let mut table = new_table(&columns);
    for result in &report.generators {
        let none = result.of(Contender::None).and_then(|none| Quartiles::of(none.times()));
        let mut row = vec![result.generator.name().to_owned(), or_nothing(none, |none| time(none.median))];
        row.extend(contenders.iter().map(|contender| {
            or_nothing(result.ratio(**contender, Contender::None), |ratio| digits(ratio.median))
        }));
        table.add_row(row);
    }
    table
}

/// Returns a table with a row for each contender.
fn details(result: &GeneratorResult) -> Table {
    let mut table = new_table(&[
        "",
        "iterations",
        "time",
        "quartiles",
        "× none",
        "added / call",
        "recorder's CPU / iteration (user + system)",
        "CPU / event",
        "events",
        "lost",
        "bytes",
    ]);
    for row in &result.contenders {
        let times = Quartiles::of(row.times());
        let lost = row.sum(|sample| sample.lost).zip(row.sum(|sample| sample.events));
        let as_count = |value: Option<f64>| or_nothing(value, |value| count(value.round() as u64));
        table.add_row([
            row.contender.label().to_owned(),
            as_count(row.median(|sample| Some(sample.measured.iterations as f64))),
            or_nothing(times, |times| time(times.median)),
            or_nothing(times, |times| format!("{} … {}", time(times.q1), time(times.q3))),
            or_nothing(result.ratio(row.contender, Contender::None), |ratio| digits(ratio.median)),
            match row.contender {
                Contender::None => NOTHING.to_owned(),
                other => or_nothing(result.added_per_call(other), |added| time(added.median)),
            },
            or_nothing(row.cpu_per_iteration(), |(total, parts)| match parts {
                Some((user, system)) => format!("{} ({} + {})", time(total), time(user), time(system)),
                None => time(total),
            }),
            or_nothing(row.median(|sample| sample.cpu_per_event()), time),
            as_count(row.median(|sample| sample.events.map(|events| events as f64))),
            or_nothing(lost, |(lost, kept)| match lost {
                0 => "0".to_owned(),
                lost => format!("{} ({})", count(lost), percent(lost, lost + kept)),
            }),
            or_nothing(row.median(|s| s.bytes.map(|bytes| bytes as f64)), |value| bytes(value as u64)),
        ]);
    }
    table
}

/// Returns a table of scapd's settings against the peers that record the same; `None` if either is missing.
fn peers(result: &GeneratorResult) -> Option<Table> {
    let (ours, peers): (Vec<_>, Vec<_>) = result
        .contenders
        .iter()
        .map(|row| row.contender)
        .filter(|contender| contender.scope() != Scope::Nothing)
        .partition(|contender| contender.is_scapd());
    if ours.is_empty() || peers.is_empty() {
        return None;
    }
    let mut columns = vec![""];
    columns.extend(peers.iter().map(|peer| peer.label()));
    let mut table = new_table(&columns);
    for contender in ours {
        let mut row = vec![contender.label().to_owned()];
        row.extend(peers.iter().map(|peer| {
            let ratio = result.ratio(contender, *peer).filter(|_| peer.scope() == contender.scope());
            or_nothing(ratio, |ratio| digits(ratio.median))
        }));
        table.add_row(row);
    }
    Some(table)
}

/// Returns a table of the CPU that settings of scapd take for an event, in proportion to the usual ones, for each generator; `None`
/// if nothing is compared that runs only on request.
fn cpu(report: &Report) -> Option<Table> {
    let has = |contender: &Contender| {
        *contender != Contender::Scapd
            && contender.is_scapd()
            && contender.scope() == Scope::All
            && report.generators.iter().any(|result| result.cpu_ratio(*contender, Contender::Scapd).is_some())
    };
    let contenders: Vec<_> = Contender::all().iter().copied().filter(has).collect();
    if !contenders.iter().any(|contender| contender.is_on_request()) {
        return None;
    }
    let mut columns = vec!["", Contender::Scapd.label()];
    columns.extend(contenders.iter().map(|contender| contender.label()));
    let mut table = new_table(&columns);
    for result in &report.generators {
        let usual = result.of(Contender::Scapd).and_then(|usual| usual.median(Sample::cpu_per_event));
        let mut row = vec![result.generator.name().to_owned(), or_nothing(usual, time)];
        row.extend(contenders.iter().map(|contender| {
            or_nothing(result.cpu_ratio(*contender, Contender::Scapd), |ratio| {
                format!("{} ({} … {})", digits(ratio.median), digits(ratio.q1), digits(ratio.q3))
            })
        }));
        table.add_row(row);
    }
    Some(table)
}

/// Returns the command lines for the first generator; those for others differ only in the names of calls.
fn commands(report: &Report) -> String {
    let Some(first) = report.generators.first() else { return String::new() };
    let mut text = format!("\n### Commands, for {}\n\n```text\n", first.generator.name());
    for row in &first.contenders {
        let _ = writeln!(text, "{}", row.command);
    }
    text + "```\n"
}
