//! A flight recorder beside the daemon, for a while: each of its dumps is a whole capture, from which no call is missing that its
//! ledger does not tell.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    capture::Capture,
    run::Run,
    shared::{Shared, THREADS},
};

/// Maximum time for a dump, and for the start and the end of the recorder.
const PATIENCE: Duration = Duration::from_secs(20);

/// The recorder. It is killed when dropped.
struct Recorder {
    process: Child,
    folder: PathBuf,
}

impl Recorder {
    fn start(scapd: &Path, folder: PathBuf, load: u32) -> anyhow::Result<Recorder> {
        fs::create_dir_all(&folder)?;
        let mut command = Command::new(scapd);
        command.args(["record", "-q", "--keep", "2s,24M", "--after", "100ms"]);
        command.args(["--keep-longer", "evt.type = execve:1m,8M", "-p", &load.to_string()]);
        command.arg("--control").arg(folder.join("socket")).arg("-w").arg(folder.join("dump.scap"));
        let log = File::create(folder.join("log"))?;
        let process = command.stdout(Stdio::null()).stderr(log).spawn().context("cannot start a recorder")?;
        Ok(Recorder { process, folder })
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill_process(Pid::from_child(&self.process), signal)?)
    }

    fn dump(&self, number: u32) -> PathBuf {
        self.folder.join(format!("dump-{number:06}.scap"))
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a flight recorder, and asks for some dumps while the daemon goes on.
pub fn record(
    run: &mut Run,
    mut meanwhile: impl FnMut(&mut Run) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    run.count("a flight recorder beside the daemon");
    let folder = run.paths.folder.join("flight");
    let mut recorder = Recorder::start(&run.paths.scapd, folder.clone(), run.load())?;
    if !wait(run, || folder.join("socket").exists())? {
        run.violated(format!("the flight recorder does not start: {}", recorder.said()));
        return Ok(());
    }
    for number in 1..=run.rng.u32(2..6) {
        let pause = run.rng.u64(300..3000);
        run.watch(Duration::from_millis(pause))?;
        meanwhile(run)?;
        recorder.signal(Signal::USR1)?;
        if !wait(run, || recorder.dump(number).exists())? {
            run.violated(format!("dump {number} was not written: {}", recorder.said()));
            return Ok(());
        }
        *run.tally.entry("  dumps").or_default() += 1;
        check(run, &recorder.dump(number))?;
    }
    recorder.signal(Signal::TERM)?;
    if !wait(run, || recorder.process.try_wait().is_ok_and(|status| status.is_some()))? {
        run.violated(format!("the flight recorder does not end: {}", recorder.said()));
    } else if !recorder.process.wait()?.success() {
        run.violated(format!("the flight recorder failed: {}", recorder.said()));
    }
    fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Waits, while the daemon is watched; returns false if it lasts too long.
fn wait(run: &mut Run, mut is_done: impl FnMut() -> bool) -> anyhow::Result<bool> {
    let begun = Instant::now();
    while !is_done() {
        if begun.elapsed() > PATIENCE {
            return Ok(false);
        }
        run.watch(Duration::from_millis(50))?;
    }
    Ok(true)
}

fn check(run: &mut Run, path: &Path) -> anyhow::Result<()> {
    let output = Command::new(&run.paths.scapd).arg("verify").arg(path).output()?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // 7: it is whole, and lists what is missing.
    if !matches!(output.status.code(), Some(0 | 7)) {
        run.violated(format!("{name}: {}", String::from_utf8_lossy(&output.stdout)));
    }
    let capture = Capture::read(&name, File::open(path)?, run.load(), &tids(run.shared));
    for fault in &capture.faults {
        run.violated(format!("a dump: {fault}"));
    }
    for (stream, calls) in &capture.runs {
        for hole in &calls.holes {
            let is_told = |gap: &crate::capture::Gap| gap.from <= hole.before && gap.to >= hole.after;
            if !capture.gaps.iter().any(is_told) {
                run.violated(format!("{name}: {stream:?}: {hole:?} is in no gap"));
            }
        }
    }
    Ok(())
}

fn tids(shared: Shared) -> Vec<u64> {
    (0..THREADS).map(|thread| shared.slot(thread).tid.load(Ordering::SeqCst)).collect()
}
