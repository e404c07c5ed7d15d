//! Runs the benchmark's programs.

use std::{
    io,
    process::{Command, Output},
};

fn run(program: &str, arguments: &[&str]) -> io::Result<Output> {
    Command::new(program).args(arguments).output()
}

#[test]
fn a_generator_prints_what_it_measured() {
    let output = run(env!("CARGO_BIN_EXE_scapd-generate"), &["open-close", "--iterations", "50"]).unwrap();
    assert!(output.status.success(), "{output:?}");
    let measured: scapd_bench::generator::Measured = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((measured.iterations, measured.warm_up, measured.calls), (50, 5, Some(100)));
    assert!(measured.ns > 0);
}

#[test]
fn a_generator_that_cannot_start_says_why() {
    let arguments = ["access", "--iterations", "1", "--socket", "/no/such/socket"];
    let output = run(env!("CARGO_BIN_EXE_scapd-generate"), &arguments).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/socket"), "{output:?}");
}

#[test]
fn a_report_is_made_again_from_its_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let sample = |ns| {
        serde_json::json!({
            "ns": ns, "iterations": 10, "warm_up": 1, "calls": 10, "cpu": null, "own_cpu_ns": null,
            "events": null, "lost": null, "causes": {}, "bytes": null
        })
    };
    let contender =
        |name, ns| serde_json::json!({"contender": name, "command": name, "samples": [sample(ns)]});
    let report = serde_json::json!({
        "date": "today", "command": "run", "notes": [], "versions": {},
        "machine": {"cpu": "A CPU", "cores": 1, "memory": 1, "kernel": "6.1"},
        "settings": {
            "rounds": 1, "time_ms": 1, "generator_cpu": 0, "recorder_cpus": [0], "file_system": "ext4"
        },
        "generators": [{
            "generator": "access", "contenders": [contender("none", 1000), contender("scapd", 1500)]
        }]
    });
    std::fs::write(path("numbers.json"), report.to_string()).unwrap();
    std::fs::write(path("RESULTS.md"), "before\n<!-- bench: begin --><!-- bench: end -->\nafter\n").unwrap();
    let arguments =
        ["render", &path("numbers.json"), "--write-results", "--document", &dir.path().to_string_lossy()];
    let output = run(env!("CARGO_BIN_EXE_scapd-bench"), &arguments).unwrap();
    assert!(output.status.success(), "{output:?}");

    let document = std::fs::read_to_string(path("RESULTS.md")).unwrap();
    assert!(document.starts_with("before\n") && document.ends_with("\nafter\n"), "{document}");
    assert!(document.contains("1.50") && document.contains("(plot.svg)"), "{document}");
    for file in ["plot.svg", "numbers.md", "numbers.svg"] {
        assert!(std::fs::metadata(path(file)).unwrap().len() > 0, "{file}");
    }
}
