//! The report, from made-up numbers.

use super::*;

fn sample(ns: u64, iterations: u64, calls: Option<u64>, events: Option<u64>) -> Sample {
    let measured = Measured { ns, iterations, warm_up: 0, calls };
    let cpu = CpuTime { total_ns: 3 * iterations, user_ticks: 1, system_ticks: 2 };
    let counts =
        Counts { events, lost: events.map(|_| 1), bytes: 2048, causes: BTreeMap::new(), own_cpu_ns: None };
    Sample::recorded(measured, cpu, counts)
}

fn result(contender: Contender, samples: Vec<Sample>) -> ContenderResult {
    ContenderResult { contender, command: contender.name(), samples }
}

/// Three rounds; in the second one everything takes twice as long.
fn report() -> Report {
    let rounds = |ns: u64, iterations: u64, events| {
        [1, 2, 1].map(|slow| sample(ns * slow, iterations, Some(2 * iterations), events)).to_vec()
    };
    let none = rounds(200_000, 1000, None);
    let contenders = vec![
        result(Contender::None, none.into_iter().map(|s| Sample::unrecorded(s.measured)).collect()),
        result(Contender::Scapd, rounds(400_000, 1000, Some(6000))),
        result(Contender::ScapdOnly, rounds(300_000, 1000, None)),
        result(Contender::Strace, rounds(800_000, 100, Some(200))),
    ];
    Report {
        date: "2026-01-02 03:04 UTC".into(),
        command: "scapd-bench run".into(),
        machine: Machine { cpu: "A CPU".into(), cores: 2, memory: 4 << 30, kernel: "6.1".into() },
        settings: Settings {
            rounds: 3,
            time_ms: 300,
            generator_cpu: 1,
            recorder_cpus: vec![0],
            file_system: "ext4".into(),
        },
        versions: BTreeMap::from([("strace".into(), "6.1".into())]),
        notes: vec!["sysdig is left out".into()],
        generators: vec![GeneratorResult { generator: Generator::OpenClose, contenders }],
    }
}

/// Returns the cells of the first row below the headline that starts with `first`.
fn row(text: &str, headline: &str, first: &str) -> Vec<String> {
    let (_, below) = text.split_once(headline).unwrap();
    let line = below.lines().find(|line| line.starts_with(&format!("| {first} "))).unwrap();
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

#[test]
fn ratios_are_taken_within_rounds() {
    let report = report();
    let result = &report.generators[0];
    let two = Quartiles { q1: 2.0, median: 2.0, q3: 2.0 };
    assert_eq!(result.ratio(Contender::Scapd, Contender::None), Some(two));
    assert_eq!(result.ratio(Contender::Scapd, Contender::Perf), None);
    assert_eq!(result.added_per_call(Contender::Scapd).unwrap().median, 100.0);
}

#[test]
fn a_row_has_what_was_measured() {
    let text = markdown(&report(), None);
    assert_eq!(
        row(&text, "### open-close", "scapd"),
        [
            "scapd",
            "1000",
            "400 ns",
            "400 ns … 600 ns",
            "2.00",
            "100 ns",
            "3.00 ns (1.00 ns + 2.00 ns)",
            "0.50 ns",
            "6000",
            "3 (< 0.1 %)",
            "2.00 KiB"
        ]
    );
    assert_eq!(row(&text, "### open-close", "none")[5..], ["–"; 6]);
    assert_eq!(row(&text, "### open-close", "strace -f")[4], "40.0");
    assert_eq!(row(&text, "### open-close", "scapd, these calls")[7..10], ["–"; 3]);
}

#[test]
fn only_what_records_the_same_is_compared() {
    let text = markdown(&report(), None);
    assert_eq!(row(&text, "that record the same", "scapd"), ["scapd", "0.05"]);
    assert_eq!(row(&text, "that record the same", "scapd, these calls"), ["scapd, these calls", "–"]);
}

#[test]
fn the_report_says_where_it_comes_from() {
    let text = markdown(&report(), Some("plot.svg"));
    for part in
        ["A CPU", "Linux 6.1", "strace 6.1", "2026-01-02", "`scapd-bench run`", "(plot.svg)", "discarded"]
    {
        assert!(text.contains(part), "{part}");
    }
    assert!(text.contains("- sysdig is left out\n"));
    assert!(!text.contains("share one CPU"));
}

#[test]
fn a_report_without_results_can_be_shown() {
    let report = Report { generators: Vec::new(), ..report() };
    assert!(markdown(&report, None).contains("A CPU"));
    assert!(!plot(&report, std::path::Path::new("/no/such/folder")).unwrap());
}

#[test]
fn a_report_comes_back_from_its_file() {
    let report = report();
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
}

#[test]
fn the_plot_has_all_contenders() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(plot(&report(), file.path()).unwrap());
    let svg = std::fs::read_to_string(file.path()).unwrap();
    for part in ["<svg", "open-close", "scapd, these calls", "strace -f", "40.0", "</svg>"] {
        assert!(svg.contains(part), "{part}");
    }
}
