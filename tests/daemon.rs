//! `scapd daemon` and `scapd ctl`, used the way systemd and an administrator use them. Needs root, for real recordings.

#![allow(clippy::unwrap_used)]

mod common;

#[path = "daemon/attacks.rs"]
mod attacks;
#[path = "daemon/confined.rs"]
mod confined;
#[path = "daemon/harness.rs"]
mod harness;

use std::{fs, io::Write, os::unix::net::UnixStream, process::Command};

use common::{Capture, run, scapd};
use harness::{Daemon, Generator, RECORDING, config, ctl};
use rustix::process::Signal;

/// Calls that perl does not make by itself.
const GETGID: &str = "getgid";
const GETEGID: &str = "getegid";

#[test]
fn a_service_from_its_start_to_its_end() {
    let mut calls = Generator::start();
    let mut daemon = Daemon::start(&config(&calls, GETGID, ""));
    let ready = daemon.wait_for("READY=1");
    assert!(ready.contains("STATUS=") && ready.contains("nothing lost"), "{ready}");
    assert_eq!(daemon.capabilities() & !RECORDING, 0, "more rights than a recording takes are left");
    calls.make(GETGID, 1000);

    let status = daemon.status();
    assert_eq!(
        (&status["state"], &status["losses"]["ring_full"]),
        (&"recording".into(), &0.into()),
        "{status}"
    );
    assert_eq!(status["file"], daemon.pattern().to_str().unwrap());
    let (code, table, _) = run(&mut ctl(&daemon, &["status"]));
    assert!(code == Some(0) && table.contains("recording") && table.contains("nothing"), "{table}");

    // Start a new file, by request and by signal.
    assert_eq!(run(&mut ctl(&daemon, &["rotate"])).1, "done\n");
    calls.make(GETGID, 10);
    daemon.signal(Signal::USR1);
    daemon.wait_for_log("started a new file");

    // Change the selection by request, until the next reload.
    let (code, said, _) = run(&mut ctl(&daemon, &["set", "syscalls=getegid"]));
    assert_eq!((code, said.as_str()), (Some(0), "changed: syscalls\n"));
    calls.make(GETGID, 100);
    calls.make(GETEGID, 200);
    let (code, said, _) = run(&mut ctl(&daemon, &["reload"]));
    assert_eq!((code, said.as_str()), (Some(0), "changed: syscalls\n"));
    calls.make(GETEGID, 100);
    calls.make(GETGID, 30);
    // Change filters and retention.
    let (code, said, _) = run(&mut ctl(&daemon, &["set", "drop-failed=true", "keep-files=100000"]));
    assert_eq!((code, said.as_str()), (Some(0), "changed: drop-failed, keep-files\n"));
    let (code, said, _) = run(&mut ctl(&daemon, &["reload"]));
    assert_eq!((code, said.as_str()), (Some(0), "changed: drop-failed, keep-files\n"));
    assert_eq!(run(&mut ctl(&daemon, &["set", "only=true"])).1, "changed: only\n");
    // Names not followed meanwhile are in the state of a new file.
    assert_eq!(run(&mut ctl(&daemon, &["reload"])).1, "changed: only\n");
    let (code, _, said) = run(&mut ctl(&daemon, &["set", "buffer-size=1M"]));
    assert!(code == Some(1) && said.contains("buffer-size: cannot be changed while recording"), "{said}");
    let (code, _, said) = run(&mut ctl(&daemon, &["set", "syscals=read", "snaplen=x"]));
    assert!(
        code == Some(1) && said.contains("did you mean `syscalls`?") && said.contains("snaplen: "),
        "{said}"
    );

    daemon.signal(Signal::TERM);
    daemon.wait_for("STOPPING=1");
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(!daemon.socket().exists(), "the socket is left behind");
    // The only generic event is that of the self-test.
    assert_eq!(daemon.count(["generic_x", "getgid_x", "getegid_x"]), [1, 1040, 200], "{log}");
    assert_eq!(daemon.files().len(), 4);
}

#[test]
fn a_reload_takes_what_is_right_and_refuses_what_is_wrong() {
    let mut calls = Generator::start();
    let mut daemon = Daemon::start(&config(&calls, GETGID, ""));
    daemon.wait_for("READY=1");

    daemon.configure(&config(&calls, "getpid,nosuchcall", "[files]\ngzip = maybe\n"));
    daemon.signal(Signal::HUP);
    let reloading = daemon.wait_for("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    let ready = daemon.wait_for("READY=1");
    assert!(ready.contains("STATUS=the new configuration is invalid"), "{ready}");
    calls.make(GETGID, 10);

    daemon.configure(&config(&calls, GETEGID, "buffer-size = '1M'\n"));
    daemon.signal(Signal::HUP);
    let ready = daemon.wait_for("READY=1");
    assert!(ready.contains("restart to apply: buffer-size"), "{ready}");
    calls.make(GETGID, 10);
    calls.make(GETEGID, 20);

    daemon.signal(Signal::USR2);
    daemon.wait_for_log("statistics: ");
    let (code, ..) = run(&mut ctl(&daemon, &["stop"]));
    assert_eq!(code, Some(0));
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("the old one stays") && log.contains("scapd.toml:"), "{log}");
    assert_eq!(daemon.count(["getgid_x", "getegid_x"]), [10, 20], "{log}");
}

#[test]
fn numbers_are_served_in_the_form_that_prometheus_reads() {
    let mut calls = Generator::start();
    let mut daemon = Daemon::start(&config(&calls, GETGID, "[metrics]\nmetrics = '127.0.0.1:0'\n"));
    daemon.wait_for("READY=1");
    let address = daemon.wait_for_log("metrics at ").split_whitespace().last().unwrap().to_owned();
    calls.make(GETGID, 500);
    // The status is at most a second old.
    daemon.wait_until(|daemon| daemon.status()["written"].as_u64() >= Some(501));
    let response = minreq::get(&address).send().unwrap();
    assert_eq!(response.status_code, 200);
    let mut headers = response.headers.iter();
    let content =
        headers.find(|(name, _)| name.eq_ignore_ascii_case("content-type")).map(|(_, value)| value.as_str());
    assert!(
        content.is_some_and(|content| content.starts_with("application/openmetrics-text")),
        "{content:?}"
    );
    let text = response.as_str().unwrap();
    let samples = harness::samples(text);
    let of = |name: &str| samples.iter().filter(|(of, ..)| of == name).map(|(.., value)| value).sum::<f64>();
    assert!(
        of("scapd_events_written_total") >= 501.0 && of("scapd_written_bytes_total") > 16_000.0,
        "{text}"
    );
    assert_eq!(of("scapd_events_seen_total"), of("scapd_events_taken_total"), "{text}");
    assert_eq!(of("scapd_events_lost_total"), 0.0, "{text}");
    assert!(of("scapd_ring_size_bytes") >= 4096.0 && of("process_cpu_seconds_total") > 0.0, "{text}");
    let health = minreq::get(address.replace("/metrics", "/healthz")).send().unwrap();
    assert_eq!((health.status_code, health.as_str().unwrap()), (200, "ok\n"));
}

#[test]
fn bad_clients_hold_up_nobody() {
    let mut calls = Generator::start();
    let mut daemon = Daemon::start(&config(&calls, GETGID, ""));
    daemon.wait_for("READY=1");
    let mut bad: Vec<_> = (0..50).map(|_| UnixStream::connect(daemon.socket()).unwrap()).collect();
    for (at, client) in bad.iter_mut().enumerate() {
        // Connections beyond the limit are closed already.
        let _ = client.write_all(&vec![b"{[\0\n"[at % 4]; 10_000]);
    }
    calls.make(GETGID, 1000);
    let ticks: Vec<_> = (0..2).map(|_| daemon.wait_for("STATUS=")).collect();
    assert_eq!(ticks.len(), 2, "the pipeline goes on");
    drop(bad);
    daemon.wait_until(|daemon| run(&mut ctl(daemon, &["status"])).0 == Some(0));
    run(&mut ctl(&daemon, &["stop"]));
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(daemon.count(["getgid_x"]), [1000]);
}

#[test]
fn the_watchdog_is_fed_while_the_pipeline_runs() {
    let calls = Generator::start();
    let mut daemon = Daemon::start_with(&config(&calls, GETGID, ""), |command| {
        command.env("WATCHDOG_USEC", "4000000");
    });
    daemon.wait_for("READY=1");
    daemon.wait_for("WATCHDOG=1");
    daemon.wait_for("WATCHDOG=1");
    // A second daemon must not replace it.
    let (code, _, said) = run(scapd().args(["daemon", "--config"]).arg(daemon.config()));
    assert!(code == Some(1) && said.contains("another scapd listens there"), "{said}");
}

#[test]
fn a_user_with_four_capabilities_is_enough() {
    let mut calls = Generator::start();
    let all = "+bpf,+perfmon,+sys_ptrace,+dac_read_search";
    let mut daemon = Daemon::start_as_nobody(&config(&calls, GETGID, ""), all);
    daemon.wait_for("READY=1");
    assert_eq!(daemon.capabilities() & !RECORDING, 0);
    calls.make(GETGID, 10);
    daemon.signal(Signal::INT);
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("is missing"), "{log}");
    assert_eq!(daemon.count(["getgid_x"]), [10]);
}

#[test]
fn a_missing_capability_is_named() {
    let calls = Generator::start();
    for (caps, missing) in [
        ("+perfmon,+sys_ptrace,+dac_read_search", "CAP_BPF"),
        ("+bpf,+sys_ptrace,+dac_read_search", "CAP_PERFMON"),
    ] {
        let mut daemon = Daemon::start_as_nobody(&config(&calls, GETGID, ""), caps);
        let (code, log) = daemon.end();
        assert_eq!(code, Some(3), "{log}");
        assert!(log.contains(&format!("with the missing {missing}")), "{log}");
    }
    for (caps, missing) in [
        ("+bpf,+perfmon,+dac_read_search", "CAP_SYS_PTRACE"),
        ("+bpf,+perfmon,+sys_ptrace", "CAP_DAC_READ_SEARCH"),
    ] {
        let mut daemon = Daemon::start_as_nobody(&config(&calls, GETGID, ""), caps);
        daemon.wait_for_log(&format!("{missing} is missing"));
    }
}

#[test]
fn a_configuration_is_checked_and_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scapd.toml");
    fs::write(&file, "[record]\nsyscalls = 'acess'\nbufer-size = 1\n[metrics]\nmetrics = 'here'\n").unwrap();
    let (code, said, _) = run(scapd().args(["daemon", "--check", "--config"]).arg(&file));
    assert_eq!(code, Some(2), "{said}");
    let lines: Vec<_> = said.lines().map(|line| line.replace(&format!("{}:", file.display()), "")).collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert_eq!(lines[0], "2:12: syscalls: unknown syscall `acess`; did you mean `access`?");
    assert_eq!(lines[1], "3:1: bufer-size: unknown key; did you mean `buffer-size`?");
    assert!(lines[2].starts_with("5:11: metrics: "), "{said}");
    // The service refuses it in the same way.
    let (code, _, said) = run(scapd().args(["daemon", "--config"]).arg(&file));
    assert!(code == Some(2) && said.contains("did you mean `buffer-size`?"), "{said}");

    fs::write(&file, "[record]\nsyscalls = 'access'\n").unwrap();
    let (code, said, _) = run(scapd().args(["daemon", "--check", "--config"]).arg(&file));
    assert_eq!(code, Some(0), "{said}");
    let (code, said, _) = run(scapd().args(["daemon", "--print-config", "--config"]).arg(&file));
    let line = format!("syscalls = \"access\" # {}:2:1\n", file.display());
    assert!(code == Some(0) && said.contains(&line) && said.contains("events = \"exit\"\n"), "{said}");
    let (code, _, said) = run(scapd().args(["daemon", "--config", "/no/such/file"]));
    assert!(code == Some(2) && said.contains("there is no such file"), "{said}");
}

#[test]
fn a_service_that_is_not_there() {
    let (code, _, said) = run(scapd().args(["ctl", "status", "--socket", "/no/such/socket"]));
    assert!(code == Some(1) && said.contains("is it running?"), "{said}");
}

#[test]
fn a_recording_that_is_no_service_can_be_asked_too() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, path) = (folder.path().join("control.sock"), folder.path().join("x.scap"));
    let child = scapd()
        .args(["record", "-q", "--syscalls", "getgid", "--duration", "60s", "--control"])
        .args([&socket, &"-w".into(), &path])
        .spawn();
    let mut child = harness::Killed(child.unwrap());
    let ask = |words: &[&str]| {
        run(Command::new(env!("CARGO_BIN_EXE_scapd")).arg("ctl").args(words).arg("--socket").arg(&socket))
    };
    harness::until(|| ask(&["status"]).1.contains("recording"));
    let (code, _, said) = ask(&["set", "snaplen=1"]);
    assert!(code == Some(1) && said.contains("only `scapd daemon`"), "{said}");
    assert_eq!(ask(&["stop"]).0, Some(0));
    assert!(child.0.wait().unwrap().success());
    assert!(!Capture::read(&path).gaps.iter().any(|gap| gap.losses.sum() > 0));
}

/// Less space is free than `keep-free` asks for, and there is nothing to delete.
#[test]
fn a_full_disk_is_borne_from_the_start_on() {
    let mut calls = Generator::start();
    let full = config(&calls, GETGID, "[files]\nkeep-free = '99%'\n");
    let mut daemon = Daemon::start_with(&full, |command| {
        command.env("WATCHDOG_USEC", "4000000");
    });
    daemon.wait_for("READY=1");
    calls.make(GETGID, 10);
    daemon.wait_until(|daemon| {
        daemon.status()["state"].as_str().unwrap().contains("nothing can be written now")
    });
    // A restart would not help, so the watchdog must still be fed.
    daemon.wait_for("WATCHDOG=1");
    daemon.signal(Signal::TERM);
    let (_, log) = daemon.end();
    assert!(log.contains("99% of the disk"), "{log}");
}
