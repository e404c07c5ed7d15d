//! What is kept longer than the window.

use super::*;
use scap::format::{FOR_NAMES, Value};
use scapd::flight::KeepLonger;

/// The names of the files that are read: the first one was opened before the recording.
const FILES: [&str; 3] = ["early", "needle", "other"];

/// Returns a recording of one second, and of ten minutes of opening the needle.
fn config_of(folder: &Path) -> Config {
    let mut config = flight(folder, 1);
    (config.syscalls, config.only) = (Some(select::parse("pread,openat").unwrap()), false);
    if let Some(flight) = &mut config.flight {
        let filter = filter("evt.type = openat and fd.name contains needle");
        let time = Duration::from_secs(600);
        flight.longer = Some(KeepLonger { filter, time, bytes: KeepLonger::BYTES });
    }
    config
}

/// What a dump has.
#[derive(Debug, Default)]
struct Found {
    /// `pread` calls before the window, and in it.
    before: u64,
    calls: u64,
    /// The files that were opened, and whether that is there for names only.
    opened: Vec<(&'static str, bool)>,
    /// The names of the files that were read with a valid descriptor.
    read: std::collections::BTreeSet<String>,
    verdict: Option<Verdict>,
}

fn look(path: &Path, generated: std::ops::Range<u64>) -> Found {
    let mut reader = Reader::new(File::open(path).unwrap()).unwrap().keep(Keep::All);
    let mut replay = Replay::new(&mut reader, Keep::All, Position::default());
    let (mut found, mut until) = (Found::default(), None);
    while let Some(moment) = replay.next().unwrap() {
        let event = moment.event();
        match ledger::parse(event) {
            Some(Notice::Longer(longer)) => until = Some(longer.until),
            Some(Notice::Verdict(verdict)) => found.verdict = Some(verdict),
            Some(_) => {}
            None if event.ty() == common::event_type("pread64_x") => {
                let is_before = event.ts() < until.unwrap();
                *if is_before { &mut found.before } else { &mut found.calls } += 1;
                if let Some(fd) = moment.machine.fd(event.tid(), number(event, "fd").unwrap()) {
                    let name = String::from_utf8_lossy(&fd.name);
                    found.read.insert(name.rsplit('/').next().unwrap().to_owned());
                    assert!(generated.contains(&(number(event, "pos").unwrap() as u64)));
                }
            }
            None => {
                let name = event.value("name").and_then(Result::ok).map(|name| name.value);
                if let Some(Value::Text(name)) = name
                    && let Some(name) = FILES.into_iter().find(|file| name.ends_with(file.as_bytes()))
                {
                    found.opened.push((name, moment.captured.flags & FOR_NAMES != 0));
                }
            }
        }
    }
    found
}

#[test]
fn before_the_window_there_is_what_matches_and_names_are_right() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let paths = FILES.map(|name| folder.path().join(name));
    paths.iter().for_each(|path| fs::write(path, "x").unwrap());
    let early = File::open(&paths[0]).unwrap();
    let recording = Recording::start(config_of(folder.path()));
    let needle = File::open(&paths[1]).unwrap();
    assert!(File::open(folder.path().join("missing")).is_err());
    let other = File::open(&paths[2]).unwrap();
    let generator = Generator::start(2, 100, Duration::from_millis(1));
    // The window is of a second.
    thread::sleep(Duration::from_secs(3));
    let mut buffer = [0; 8];
    for (at, file) in (5_000_000..).zip([&early, &needle, &other]) {
        std::os::unix::fs::FileExt::read_at(file, &mut buffer, at).unwrap();
    }
    let made = generator.stop().values().sum::<u64>() + 3;
    let longer = status(&recording).longer.unwrap();
    assert!(longer.events >= 2 && longer.evicted == 0 && longer.from < status(&recording).window.from);
    dump(&recording, Duration::ZERO, "now");
    wait_for("the dump", || status(&recording).written == 1);
    let summary = recording.stop().unwrap().summary;
    assert!(summary.verdict.is_complete(), "{:?}", summary.verdict);
    let path = captures(folder.path()).into_iter().find(|path| path.ends_with("a-000001.scap")).unwrap();
    let found = look(&path, 5_000_000..5_000_003);
    assert_eq!(
        (found.before, found.read.iter().map(String::as_str).collect::<Vec<_>>()),
        (0, FILES.to_vec())
    );
    assert_eq!(found.opened, [("needle", false), ("other", true)]);
    let verdict = found.verdict.unwrap();
    assert!(found.calls > 1000 && verdict.left_out.passed > 1000, "{verdict:?}");
    // What has gone are calls, and openings that failed.
    let gone = made - found.calls;
    assert!((gone..gone + 1000).contains(&verdict.left_out.passed), "{gone} calls: {verdict:?}");
    assert_eq!((verdict.left_out.evicted, verdict.is_complete()), (0, true));
    for (command, says) in [
        ("verify", "everything from"),
        ("verify", "events had left the window when their time was over"),
        ("info", "gone, their time over"),
        ("info", "evt.type = openat and fd.name contains needle"),
    ] {
        let (code, out, err) = common::run(common::scapd().arg(command).arg(&path));
        assert!(code == Some(0) && out.contains(says), "{says}\n{out}{err}");
    }
    // Before the window, only what was asked for is shown.
    let (_, out, _) =
        common::run(common::scapd().args(["read", "-p", "%fd.filename"]).arg(&path).arg("evt.type = openat"));
    assert_eq!(out.trim(), "needle");
}

#[test]
fn it_has_to_be_longer() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = common::scapd();
    recorder.args(["record", "-q", "--keep", "1m", "--keep-longer", "evt.type = connect:30s", "-w"]);
    let (code, _, err) = common::run(recorder.arg(folder.path().join("a.scap")));
    assert!(code != Some(0) && err.contains("--keep-longer takes a longer time than 30s"), "{err}");
}
