//! Random actions on the daemon.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::{
    config::{Files, spoil},
    flight,
    run::Run,
    shared::{Call, Pace},
};

/// The actions and their weights.
const ACTIONS: [(Action, u32); 17] = [
    (Action::Reload, 10),
    (Action::BadConfig, 6),
    (Action::Rotate, 8),
    (Action::Status, 6),
    (Action::Set, 6),
    (Action::CtlReload, 5),
    (Action::Usr1, 6),
    (Action::Usr2, 5),
    (Action::Deselect, 6),
    (Action::FullSpeed, 8),
    (Action::Pace, 10),
    (Action::Kill, 3),
    (Action::Terminate, 2),
    (Action::FillDisk, 4),
    (Action::HideFolder, 2),
    (Action::ReadOnly, 2),
    (Action::Flight, 4),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Reload,
    BadConfig,
    Rotate,
    Status,
    Set,
    CtlReload,
    Usr1,
    Usr2,
    Deselect,
    FullSpeed,
    Pace,
    Kill,
    Terminate,
    FillDisk,
    HideFolder,
    ReadOnly,
    Flight,
}

/// Performs one random action after the other until the time is over.
pub fn until(run: &mut Run, end: Instant) -> anyhow::Result<()> {
    while Instant::now() < end {
        let pause = run.rng.u64(500..5000);
        run.watch(Duration::from_millis(pause))?;
        let action = choose(run);
        act(run, action)?;
    }
    Ok(())
}

fn choose(run: &mut Run) -> Action {
    let all: u32 = ACTIONS.iter().map(|(_, weight)| weight).sum();
    let mut left = run.rng.u32(..all);
    for (action, weight) in ACTIONS {
        match left.checked_sub(weight) {
            Some(rest) => left = rest,
            None => return action,
        }
    }
    Action::Status
}

fn act(run: &mut Run, action: Action) -> anyhow::Result<()> {
    match action {
        Action::Reload => {
            run.count("SIGHUP with another configuration");
            change_config(run)?;
            run.reload()
        }
        Action::BadConfig => bad_config(run),
        Action::Rotate => {
            run.count("scapd ctl rotate");
            run.ask(&["rotate"])
        }
        Action::Status => {
            run.count("scapd ctl status");
            run.ask(&["status"])
        }
        Action::Set => {
            run.count("scapd ctl set");
            let snaplen = format!("snaplen={}", run.rng.u32(0..200));
            run.ask(&["set", &snaplen])
        }
        Action::CtlReload => {
            run.count("scapd ctl reload");
            change_config(run)?;
            let answer = run.ctl_reload()?;
            run.expect_done(&["reload"], answer);
            Ok(())
        }
        Action::Usr1 => signal(run, "SIGUSR1", Signal::USR1),
        Action::Usr2 => signal(run, "SIGUSR2", Signal::USR2),
        Action::Deselect => {
            run.count("calls deselected for a while");
            let call = Call::ALL[run.rng.usize(..Call::ALL.len())];
            run.deselect(call)
        }
        Action::FullSpeed => full_speed(run),
        Action::Pace => {
            let pace = if run.rng.u8(..3) == 0 { Pace::Quiet } else { Pace::Medium };
            run.shared.set_pace(pace);
            run.count(if pace == Pace::Quiet { "load: quiet" } else { "load: medium" });
            Ok(())
        }
        Action::Kill => restart(run, true),
        Action::Terminate => restart(run, false),
        Action::FillDisk => fill_disk(run),
        Action::HideFolder => hide_folder(run),
        Action::ReadOnly => read_only(run),
        Action::Flight => flight::record(run, meanwhile),
    }
}

fn change_config(run: &mut Run) -> anyhow::Result<()> {
    let (mut config, mut rng) = (run.config.clone(), run.rng.fork());
    config.change(&mut rng);
    run.config = config;
    run.write_config(None)
}

/// Reloads a wrong configuration, which must change nothing: `scapd ctl` reports it, SIGHUP logs it.
fn bad_config(run: &mut Run) -> anyhow::Result<()> {
    let mut rng = run.rng.fork();
    let bad = spoil(&run.good_config(), &mut rng);
    run.write_config(Some(&bad))?;
    if rng.bool() {
        run.count("SIGHUP with a wrong configuration");
        run.reload()?;
    } else {
        run.count("scapd ctl reload of a wrong configuration");
        let (code, said) = run.ctl_reload()?;
        if code == Some(0) || !said.contains("scapd.toml") {
            run.violated(format!("a wrong configuration was accepted, or not explained: {code:?}: {said}"));
        }
    }
    run.write_config(None)
}

fn signal(run: &mut Run, name: &'static str, signal: Signal) -> anyhow::Result<()> {
    run.count(name);
    run.with_daemon(|daemon| daemon.signal(signal))
}

/// Runs the load at full speed for a moment.
fn full_speed(run: &mut Run) -> anyhow::Result<()> {
    run.count("load: full speed for a second");
    let before = run.shared.pace();
    run.shared.set_pace(Pace::Full);
    let time = run.rng.u64(500..1500);
    let watched = run.watch(Duration::from_millis(time));
    run.shared.set_pace(before);
    watched
}

fn restart(run: &mut Run, kill: bool) -> anyhow::Result<()> {
    let (cause, done) = if kill {
        run.count("kill -9");
        ("from kill -9 to the next start", run.kill()?)
    } else {
        run.count("SIGTERM");
        ("from SIGTERM to the next start", run.stop()?)
    };
    run.config.files = Files::any(&mut run.rng);
    run.start(cause, &done)
}

/// Sometimes performs a short action.
fn meanwhile(run: &mut Run) -> anyhow::Result<()> {
    let action =
        [Action::Status, Action::Usr2, Action::Reload, Action::Usr1, Action::Set][run.rng.usize(..5)];
    if run.rng.u8(..6) == 0 { act(run, action) } else { Ok(()) }
}

/// Fills the disk once, or keeps it full whatever the daemon deletes; sometimes kills the daemon meanwhile.
fn fill_disk(run: &mut Run) -> anyhow::Result<()> {
    let keep_full = run.rng.bool();
    run.count(if keep_full { "disk kept full" } else { "disk filled" });
    run.trouble = true;
    let time = if run.rng.u8(..4) == 0 {
        Duration::from_secs(40)
    } else {
        Duration::from_millis(run.rng.u64(3000..15000))
    };
    let end = Instant::now() + time;
    run.disk.fill()?;
    while Instant::now() < end {
        run.watch(Duration::from_millis(300))?;
        if keep_full {
            run.disk.fill()?;
        }
        meanwhile(run)?;
    }
    let kill = run.rng.u8(..5) == 0;
    let done = if kill { Some(run.kill()?) } else { None };
    run.disk.free()?;
    if let Some(done) = done {
        run.count("kill -9 while the disk is full");
        run.start("from kill -9 to the next start", &done)?;
    }
    run.recover("the disk has room again")
}

/// Renames the folder of files away and back.
fn hide_folder(run: &mut Run) -> anyhow::Result<()> {
    run.count("folder of files renamed away and back");
    run.trouble = true;
    run.disk.hide()?;
    let time = run.rng.u64(300..6000);
    run.watch(Duration::from_millis(time))?;
    run.disk.show()?;
    run.recover("the folder is back")
}

/// Makes the disk read-only for a while. The kernel refuses that while a file is open for writing, so the folder is
/// renamed away first, until the daemon gives its file up.
fn read_only(run: &mut Run) -> anyhow::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(10);
    run.trouble = true;
    run.disk.hide()?;
    let (start, files) = (Instant::now(), run.disk.hidden());
    while start.elapsed() < PATIENCE && run.with_daemon(|daemon| Ok(daemon.has_open(&files)))? {
        run.watch(Duration::from_millis(100))?;
    }
    run.disk.show()?;
    if run.disk.set_read_only(true)? {
        run.count("disk read-only for a while");
        let time = run.rng.u64(2000..6000);
        run.watch(Duration::from_millis(time))?;
        anyhow::ensure!(run.disk.set_read_only(false)?, "the disk stays read-only");
    } else {
        run.count("disk not made read-only, as a file was open");
    }
    run.recover("the disk can be written again")
}
