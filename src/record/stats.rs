//! The ledger as JSON, for `--stats-file`.

use std::{fs, io, path::Path};

use rustix::{
    io::Errno,
    time::{ClockId, clock_gettime},
};
use serde_json::{Map, Value, json};

use super::{ledger::Ledger, summary::Summary};
use crate::{
    events::event,
    output::{can_create_in, folder_of, partial_of},
    probe::{Counters, Loaded},
};

/// Writes the file: beside its place first, then renamed, so that nobody reads half of it.
pub(super) fn write(path: &Path, summary: &Summary, ledger: &Ledger, probe: &Loaded) -> io::Result<()> {
    let text = format!("{:#}\n", json(summary, ledger, probe));
    if is_special(path) {
        return fs::write(path, text);
    }
    let partial = partial_of(path);
    fs::write(&partial, text)?;
    fs::rename(&partial, path)
}

/// Whether the file can be written, as far as can be told before.
pub(super) fn check(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(Errno::ISDIR.into()),
        Ok(_) if is_special(path) => Ok(()),
        _ => can_create_in(folder_of(path)),
    }
}

/// Whether it is a pipe or a device, which must not be replaced by a file.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

fn json(summary: &Summary, ledger: &Ledger, probe: &Loaded) -> Value {
    let verdict = &summary.verdict;
    let (user, system) = cpu_time();
    let types: Vec<_> = summary.totals.events.iter().map(|(ty, counters)| row(*ty, counters)).collect();
    let cpus: Vec<_> = ledger
        .cpus(probe)
        .enumerate()
        .map(|(cpu, types)| {
            let types: Vec<_> = types
                .iter()
                .map(|(ty, counters, taken)| {
                    let mut row = row(*ty, counters);
                    row.insert("taken".into(), json!(taken));
                    row
                })
                .collect();
            json!({ "cpu": cpu, "types": types })
        })
        .collect();
    json!({
        "file": summary.target,
        "files": summary.files,
        "files_deleted": summary.deleted,
        "seconds": summary.duration.as_secs_f64(),
        "complete": verdict.is_complete(),
        "seen": verdict.seen,
        "written": verdict.written,
        "lost": verdict.losses.sum(),
        "late": verdict.late,
        "unread": verdict.unread,
        "unaccounted": verdict.unaccounted() as i64,
        "causes": verdict.losses.to_json(),
        "sample": verdict.is_sample(),
        "sample_ratio": verdict.sample_ratio,
        "left_out": verdict.left_out.to_json(),
        "targets_full": summary.totals.losses.targets_full,
        "bytes": summary.written.bytes_out,
        "cpu_user_ns": user,
        "cpu_system_ns": system,
        "types": types,
        "cpus": cpus,
    })
}

fn row(ty: crate::events::EventType, counters: &Counters) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert("type".into(), json!(ty.0));
    row.insert("name".into(), json!(event(ty).and_then(|event| event.program).unwrap_or("unknown")));
    row.insert("seen".into(), json!(counters.seen));
    row.insert("lost".into(), counters.losses().to_json());
    row
}

/// This process's time on the CPU, in ns: in user and in kernel mode. Only the sum is exact; the kernel divides it by ticks.
fn cpu_time() -> (u64, u64) {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let total = time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs();
    let stat = procfs::process::Process::myself().and_then(|process| process.stat());
    let (user, system) = stat.map_or((1, 0), |stat| (stat.utime, stat.stime));
    let user = u128::from(total) * u128::from(user) / u128::from(user + system).max(1);
    (user as u64, total - user as u64)
}
