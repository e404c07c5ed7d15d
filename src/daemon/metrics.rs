//! Metrics for Prometheus at `/metrics`, in the OpenMetrics text format, and a health check at `/healthz`.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, EncodeMetric, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use super::{
    health::Health,
    http::{Hosts, parse},
    serve,
};
use crate::{
    confine::Confinement,
    flight::{DiskStatus, KeptStatus},
    record::{Handle, Status},
};
use scap::ledger::{Cause, Losses};

/// How long a client may take to send its request and read the response.
const PATIENCE: Duration = Duration::from_secs(10);
/// The maximum size of a request, in bytes.
const LONGEST: usize = 8 << 10;

const TEXT: &str = "text/plain; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Opens the port.
///
/// # Errors
/// If the address is not a loopback address and remote access was not allowed, or if it cannot be bound.
pub fn listen(address: SocketAddr, allow_remote: bool) -> anyhow::Result<TcpListener> {
    if !address.ip().is_loopback() && !allow_remote {
        bail!(
            "other machines could read metrics at {address}; use 127.0.0.1, or allow it with \
             metrics-allow-remote"
        );
    }
    TcpListener::bind(address).with_context(|| format!("cannot serve metrics at {address}"))
}

/// Starts threads that answer requests for one of the hosts.
pub fn serve(
    listener: TcpListener,
    hosts: Hosts,
    confine: Confinement,
    handle: Handle,
    health: Arc<Health>,
) -> io::Result<()> {
    serve::start("scapd-metrics", listener, PATIENCE, confine, move |client| {
        let request = client.read_up_to(LONGEST, |bytes| parse(bytes, &hosts));
        let plain = |status, body| Response { status, content: TEXT, body };
        let response = match request {
            Ok(Ok(path)) => respond(&path, &handle, &health),
            Ok(Err(refusal)) => plain(refusal.status, format!("{}{}\n", refusal.status, refusal.remedy)),
            Err(e) if e.kind() == io::ErrorKind::FileTooLarge => {
                let status = "431 Request Header Fields Too Large";
                plain(status, format!("{status}\n"))
            }
            Err(e) => return Err(e),
        };
        client.write_all(response.head().as_bytes())?;
        client.write_all(response.body.as_bytes())
    })
}

struct Response {
    status: &'static str,
    content: &'static str,
    body: String,
}

impl Response {
    fn head(&self) -> String {
        format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.status,
            self.content,
            self.body.len()
        )
    }
}

fn respond(path: &str, handle: &Handle, health: &Health) -> Response {
    let plain = |status, body: String| Response { status, content: TEXT, body };
    match path {
        "/metrics" => match encode(&handle.status(), health) {
            Ok(body) => Response { status: "200 OK", content: OPENMETRICS, body },
            Err(error) => plain("500 Internal Server Error", format!("{error}\n")),
        },
        "/healthz" => match health.check(Instant::now()) {
            Ok(()) => plain("200 OK", "ok\n".into()),
            Err(ill) => plain("503 Service Unavailable", format!("{ill}\n")),
        },
        _ => plain("404 Not Found", "try /metrics or /healthz\n".into()),
    }
}

fn encode(status: &Arc<Status>, health: &Health) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    let healthy = health.check(Instant::now()).is_ok();
    registry.register_collector(Box::new(Numbers { status: status.clone(), healthy }));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

/// All metrics at one moment.
#[derive(Debug)]
struct Numbers {
    status: Arc<Status>,
    healthy: bool,
}

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family = Family(&mut encoder);
        self.recording(&mut family)?;
        self.losses(&mut family)?;
        self.flight(&mut family)?;
        self.rings(&mut family)?;
        self.programs(&mut family)?;
        process(&mut family)
    }
}

impl Numbers {
    fn recording(&self, family: &mut Family<'_, '_>) -> fmt::Result {
        let status = &self.status;
        family.gauges(
            "scapd_build_info",
            "Version of scapd",
            [([("version", String::from(env!("CARGO_PKG_VERSION")))], 1u64)],
        )?;
        let healthy = u64::from(self.healthy);
        family.gauge("scapd_healthy", "1 while /healthz returns 200, else 0", healthy)?;
        let since = status.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        family.gauge(
            "scapd_recording_start_time_seconds",
            "Start time of the recording since the epoch",
            since,
        )?;
        let cpus = || status.cpus.iter().enumerate();
        let seen = cpus().map(|(cpu, of)| ([("cpu", cpu.to_string())], of.seen));
        family.counters("scapd_events_seen", "Events that the BPF programs started to record", seen)?;
        family.counter("scapd_events_taken", "Events read from the ring buffers", status.taken)?;
        family.counter("scapd_events_written", "Events written to the output", status.written)?;
        let left_out = [("kernel", status.sieved), ("recorder", status.left_out)];
        family.counters(
            "scapd_events_left_out",
            "Events that did not match the filter",
            left_out.map(|(place, count)| ([("place", place)], count)),
        )?;
        family.counter(
            "scapd_written_bytes",
            "Bytes written to the output, after compression",
            status.bytes,
        )?;
        family.counter("scapd_files_closed", "Files completed", status.files_closed)?;
        family.counter("scapd_files_deleted", "Files deleted by retention", status.files_deleted)?;
        family.counter(
            "scapd_files_unshipped",
            "Files deleted by retention before scapd ship had shipped them",
            status.files_unshipped,
        )?;
        family.gauge("scapd_queue_events", "Events read from the rings and not yet written", status.pending())
    }

    fn flight(&self, family: &mut Family<'_, '_>) -> fmt::Result {
        let Some(flight) = &self.status.flight else { return Ok(()) };
        let KeptStatus { from, events, bytes, limit, evicted } = flight.window;
        family.gauge("scapd_window_events", "Events kept in memory", events)?;
        family.gauge("scapd_window_bytes", "Memory of the events that are kept", bytes)?;
        family.gauge("scapd_window_limit_bytes", "The most that it may be", limit)?;
        family.gauge(
            "scapd_window_start_time_seconds",
            "Time of the first event kept, since the epoch",
            from as f64 / 1e9,
        )?;
        family.counter(
            "scapd_window_evicted",
            "Events that left the window before their time, for want of memory",
            evicted,
        )?;
        if let Some(KeptStatus { from, events, bytes, limit, evicted }) = flight.longer {
            family.gauge("scapd_longer_events", "Events kept longer than the window", events)?;
            family.gauge("scapd_longer_bytes", "Memory of the events that are kept longer", bytes)?;
            family.gauge("scapd_longer_limit_bytes", "The most that it may be", limit)?;
            family.gauge(
                "scapd_longer_start_time_seconds",
                "Time of the first event kept longer, since the epoch",
                from as f64 / 1e9,
            )?;
            family.counter(
                "scapd_longer_evicted",
                "Events kept longer that left before their time, for want of memory",
                evicted,
            )?;
        }
        if let Some(DiskStatus { size, queued, written, skipped, is_failing }) = flight.disk {
            family.gauge("scapd_window_file_bytes", "Size of the file in which the window is kept", size)?;
            family.gauge(
                "scapd_window_file_queued",
                "Segments that wait to be written to that file",
                queued,
            )?;
            family.counter("scapd_window_file_written_bytes", "Bytes written to that file", written)?;
            family.counter(
                "scapd_window_file_skipped",
                "Events that are not in that file, as it could not be written, or not fast enough",
                skipped,
            )?;
            family.gauge(
                "scapd_window_file_failing",
                "1 while that file cannot be written",
                u64::from(is_failing),
            )?;
        }
        family.counter("scapd_triggers", "Triggers of dumps", flight.triggers)?;
        family.counter("scapd_triggers_refused", "Triggers beyond the limit per hour", flight.refused)?;
        let dumps = [("begun", flight.dumps), ("written", flight.written), ("failed", flight.failed)];
        let dumps = dumps.map(|(state, count)| ([("state", state)], count));
        family.counters("scapd_dumps", "Dumps of the window, by what became of them", dumps)?;
        family.counter("scapd_dumps_written_bytes", "Bytes of dumps, after compression", flight.written_bytes)
    }

    /// Losses that belong to no CPU have no `cpu` label.
    fn losses(&self, family: &mut Family<'_, '_>) -> fmt::Result {
        let status = &self.status;
        let mut on_cpus = Losses::default();
        let mut rows = Vec::new();
        for (cpu, of) in status.cpus.iter().enumerate() {
            for cause in Cause::ALL.into_iter().filter(|cause| !matches!(cause, Cause::Skipped | Cause::Disk))
            {
                let count = of.losses.of(cause);
                on_cpus.add(cause, count);
                rows.push((vec![("cause", cause.key().to_owned()), ("cpu", cpu.to_string())], count));
            }
        }
        for (cause, count) in Cause::ALL.into_iter().map(|cause| (cause, status.losses.of(cause))) {
            let elsewhere = count.saturating_sub(on_cpus.of(cause));
            if elsewhere > 0 || matches!(cause, Cause::Skipped | Cause::Disk) {
                rows.push((vec![("cause", cause.key().to_owned())], elsewhere));
            }
        }
        family.counters("scapd_events_lost", "Events missing from the capture, by cause", rows)
    }

    fn rings(&self, family: &mut Family<'_, '_>) -> fmt::Result {
        let rings = &self.status.rings;
        let last = rings.len().saturating_sub(1);
        let label =
            |ring: usize| [("ring", if ring == last { "reserve".to_owned() } else { ring.to_string() })];
        let used = rings.iter().enumerate().map(|(ring, of)| (label(ring), of.used));
        family.gauges("scapd_ring_fill_bytes", "Bytes waiting in a ring buffer", used)?;
        let size = rings.iter().enumerate().map(|(ring, of)| (label(ring), of.size));
        family.gauges("scapd_ring_size_bytes", "Size of a ring buffer", size)
    }
}

impl Numbers {
    /// The kernel counts only while kernel.bpf_stats_enabled is 1.
    fn programs(&self, family: &mut Family<'_, '_>) -> fmt::Result {
        let programs = &self.status.programs;
        let label = |name: &str| [("program", name.to_owned())];
        let runs = programs.iter().map(|of| (label(&of.name), of.runs));
        family.counters(
            "scapd_program_runs",
            "Runs of a BPF program, while kernel.bpf_stats_enabled is 1",
            runs,
        )?;
        let time = programs.iter().map(|of| (label(&of.name), of.time as f64 / 1e9));
        family.counters("scapd_program_run_seconds", "Time spent in a BPF program and its tail calls", time)
    }
}

/// Writes metrics of this process, under the names that Prometheus client libraries use.
fn process(family: &mut Family<'_, '_>) -> fmt::Result {
    let Ok(stat) = procfs::process::Process::myself().and_then(|process| process.stat()) else {
        return Ok(());
    };
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    family.counter("process_cpu_seconds", "CPU time in user and kernel mode", cpu)?;
    let resident = stat.rss * rustix::param::page_size() as u64;
    family.gauge("process_resident_memory_bytes", "Resident memory", resident)?;
    family.gauge("process_virtual_memory_bytes", "Virtual memory", stat.vsize)?;
    let threads = u64::try_from(stat.num_threads).unwrap_or(0);
    family.gauge("process_threads", "Threads", threads)
}

/// Writes families of metrics.
struct Family<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Family<'_, '_> {
    /// Writes a counter; the encoder appends `_total` to the name.
    fn counter(&mut self, name: &str, help: &str, number: impl EncodeCounterValue) -> fmt::Result {
        ConstCounter::new(number).encode(self.0.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    /// Writes a counter for each set of labels.
    fn counters<L: EncodeLabelSet, N: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (L, N)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        rows.into_iter()
            .try_for_each(|(labels, number)| ConstCounter::new(number).encode(family.encode_family(&labels)?))
    }

    /// Writes a gauge.
    fn gauge(&mut self, name: &str, help: &str, number: impl EncodeGaugeValue) -> fmt::Result {
        ConstGauge::new(number).encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    /// Writes a gauge for each set of labels.
    fn gauges<L: EncodeLabelSet, N: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (L, N)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        rows.into_iter()
            .try_for_each(|(labels, number)| ConstGauge::new(number).encode(family.encode_family(&labels)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        probe::ProgramRuns,
        record::{CpuStatus, RingStatus},
    };

    fn status() -> Arc<Status> {
        let mut of_a_cpu = Losses::default();
        of_a_cpu.add(Cause::RingFull, 3);
        let mut losses = of_a_cpu;
        losses.add(Cause::Skipped, 5);
        Arc::new(Status {
            taken: 100,
            written: 90,
            bytes: 4096,
            losses,
            cpus: vec![
                CpuStatus { seen: 10, losses: Losses::default() },
                CpuStatus { seen: 96, losses: of_a_cpu },
            ],
            programs: vec![ProgramRuns { name: "dispatch_exit".into(), runs: 7, time: 1_500_000_000 }],
            rings: vec![RingStatus { used: 8, size: 64 }, RingStatus { used: 0, size: 32 }],
            ..Status::default()
        })
    }

    #[test]
    fn the_numbers_are_those_of_the_status() {
        let text = encode(&status(), &Health::new()).unwrap();
        for line in [
            "# TYPE scapd_events_lost counter",
            "scapd_events_lost_total{cause=\"ring_full\",cpu=\"1\"} 3",
            "scapd_events_lost_total{cause=\"ring_full\",cpu=\"0\"} 0",
            "scapd_events_lost_total{cause=\"skipped\"} 5",
            "scapd_events_seen_total{cpu=\"1\"} 96",
            "scapd_written_bytes_total 4096",
            "scapd_queue_events 10",
            "scapd_ring_fill_bytes{ring=\"0\"} 8",
            "scapd_ring_size_bytes{ring=\"reserve\"} 32",
            "scapd_program_run_seconds_total{program=\"dispatch_exit\"} 1.5",
            "scapd_healthy 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(text.contains("\nprocess_cpu_seconds_total ") && text.ends_with("# EOF\n"), "{text}");
        assert!(!text.contains("cause=\"ring_full\"} "), "counted on its CPU already");
    }

    #[test]
    fn there_are_two_paths() {
        let (handle, _requests) = crate::record::requests();
        let health = Health::new();
        let answer = |path: &str| respond(path, &handle, &health).status;
        assert_eq!(answer("/metrics"), "200 OK");
        assert_eq!(answer("/healthz"), "503 Service Unavailable");
        assert_eq!(answer("/"), "404 Not Found");
    }

    #[test]
    fn others_machines_are_kept_out_unless_told_otherwise() {
        let said = listen("0.0.0.0:0".parse().unwrap(), false).unwrap_err().to_string();
        assert!(said.contains("metrics-allow-remote"), "{said}");
        assert!(listen("0.0.0.0:0".parse().unwrap(), true).is_ok());
        let local = listen("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let said = format!("{:#}", listen(local.local_addr().unwrap(), false).unwrap_err());
        assert!(said.contains("cannot serve metrics at 127.0.0.1:"), "{said}");
    }
}
