//! Writes the ledger as JSON, for `--stats-file`.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    path::Path,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    time::{ClockId, clock_gettime},
};
use serde_json::{Map, Value, json};

use super::{ledger::LossLedger, summary::Summary};
use crate::{
    balance::ToJson,
    folder::{Draft, Special},
    probe::{Counters, Loaded},
};
use scap::events::event;

/// How long to wait for a pipe that accepts no data.
const PATIENCE: Duration = Duration::from_secs(3);

/// Writes the file under a temporary name, then renames it, so that nobody reads a partial file.
pub(super) fn write(path: &Path, summary: &Summary, ledger: &LossLedger, probe: &Loaded) -> io::Result<()> {
    let text = format!("{:#}\n", json(summary, ledger, probe));
    match Special::find(path.to_owned())? {
        Ok(spot) => {
            let draft = Draft::beside(&spot)?;
            draft.file().write_all(text.as_bytes())?;
            draft.replace(&spot.name)
        }
        Err(special) => {
            // The end of a recording does not wait for a reader.
            let nobody = || io::Error::new(ErrorKind::BrokenPipe, "no process has it open for reading");
            let file = special.open(&|| true)?.ok_or_else(nobody)?;
            write_patiently(&file, text.as_bytes())
        }
    }
}

/// Checks early whether the file can be written. Special files are not checked.
pub(super) fn check(path: &Path) -> io::Result<()> {
    match Special::find(path.to_owned())? {
        Ok(spot) => spot.folder.can_create(),
        Err(_) => Ok(()),
    }
}

/// Writes to a non-blocking file.
fn write_patiently(mut file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                let timeout = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
                if poll(&mut [PollFd::new(file, PollFlags::OUT)], Some(&timeout))? == 0 {
                    return Err(Errno::TIMEDOUT.into());
                }
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn json(summary: &Summary, ledger: &LossLedger, probe: &Loaded) -> Value {
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
        "written_for_names": summary.for_names,
        "lost": verdict.losses.sum(),
        "late": verdict.late,
        "unread": verdict.unread,
        "unaccounted": verdict.unaccounted() as i64,
        "causes": verdict.losses.to_json(),
        "sample": verdict.is_sample(),
        "sample_ratio": verdict.sample_ratio,
        "left_out": verdict.left_out.to_json(),
        "redacted": verdict.redacted.to_json(),
        "targets_full": summary.totals.losses.targets_full,
        "bytes": summary.written.bytes_out,
        "cpu_user_ns": user,
        "cpu_system_ns": system,
        "types": types,
        "cpus": cpus,
    })
}

fn row(ty: scap::events::EventType, counters: &Counters) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert("type".into(), json!(ty.0));
    row.insert("name".into(), json!(event(ty).and_then(|event| event.program).unwrap_or("unknown")));
    row.insert("seen".into(), json!(counters.seen));
    row.insert("lost".into(), counters.losses().to_json());
    row
}

/// Returns this process's CPU time in ns, in user and in kernel mode. Only the sum is exact: the kernel splits it by
/// ticks.
fn cpu_time() -> (u64, u64) {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let total = time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs();
    let stat = procfs::process::Process::myself().and_then(|process| process.stat());
    let (user, system) = stat.map_or((1, 0), |stat| (stat.utime, stat.stime));
    let user = u128::from(total) * u128::from(user) / u128::from(user + system).max(1);
    (user as u64, total - user as u64)
}

#[cfg(test)]
mod tests;
