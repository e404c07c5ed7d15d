//! The tests of the configuration.

use std::{fs, os::unix::fs::symlink};

use clap::CommandFactory;

use super::*;
use crate::cli::{Cli, keys};

const EXAMPLE: &str = include_str!("../../../packaging/scapd.toml");

fn mistakes(text: &str) -> Vec<String> {
    match ServiceSettings::parse(&keys(), "f", text) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.0.iter().map(ToString::to_string).collect(),
    }
}

fn mistake(text: &str) -> String {
    mistakes(text).join("\n")
}

/// Uncomments the values in the example: the lines without a space after the comment sign.
fn without_comment_signs(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_is_the_defaults() {
    let keys = crate::cli::keys();
    let as_it_is = ServiceSettings::parse(&keys, "scapd.toml", EXAMPLE).unwrap();
    assert_eq!(as_it_is, ServiceSettings::defaults());
    let all = ServiceSettings::parse(&keys, "scapd.toml", &without_comment_signs(EXAMPLE)).unwrap();
    assert_eq!(all.difference(&keys, &ServiceSettings::defaults()), Difference::default());
    let missing: Vec<_> =
        keys.all().map(|(key, _)| key).filter(|key| !EXAMPLE.contains(&format!("{key} ="))).collect();
    assert!(missing.is_empty(), "not in the example: {missing:?}");
}

#[test]
fn every_flag_of_record_is_a_key_or_has_a_reason_not_to_be() {
    let keys = crate::cli::keys();
    let cli = Cli::command();
    let record = cli.find_subcommand("record").unwrap();
    let flags: Vec<_> =
        record.get_arguments().filter_map(|arg| arg.get_long()).filter(|name| *name != "help").collect();
    assert!(flags.len() > 15, "{flags:?}");
    for flag in flags {
        let key = flag.strip_prefix("no-").unwrap_or(flag);
        assert!(!matches!(keys.section(key), Err(NoKey::Unknown(_))), "{flag}");
    }
    for section in Section::ALL {
        assert!(keys.all().any(|(_, of)| of == section), "{section} has no keys");
    }
    for (key, value) in keys::DEFAULTS {
        assert_eq!(keys.check(key, &[(*value).to_owned()]), Ok(()), "{key}");
    }
}

#[test]
fn values_reach_the_flags() {
    let text = "[record]\nsyscalls = ['openat', '%network']\nevents = 'enter'\nsnaplen = 0x100\npid = [1, 2]\n\
                [files]\ngzip = true\nwrite = '/tmp/x y.scap'\n[metrics]\nmetrics = '127.0.0.1:1'\n";
    let settings = ServiceSettings::parse(&keys(), "f", &text.replace("0x100", "256")).unwrap();
    let Wanted { recording: config, serving } = settings.wanted(&keys()).unwrap();
    assert_eq!(serving.metrics, Some("127.0.0.1:1".parse().unwrap()));
    assert_eq!(serving.control, Some(crate::daemon::control::SOCKET.into()));
    assert_eq!(config.syscalls, Some(scap::select::parse("openat,%network").unwrap()));
    assert!(config.probe.directions.enter && !config.probe.directions.exit && config.compress);
    assert_eq!((config.probe.snaplen, config.pids), (256, vec![1, 2]));
    assert_eq!(config.write.unwrap().to_str(), Some("/tmp/x y.scap"));
    assert!(config.files.is_some_and(|files| files.retention.bytes == Some(10 << 30)), "a budget");
    let service = ServiceSettings::defaults().wanted(&keys()).unwrap().recording;
    assert!(service.probe.directions.exit && !service.probe.directions.enter, "exit events alone");
}

#[test]
fn a_mistake_has_its_place_and_a_remedy() {
    for (text, says) in [
        ("[record]\nsnaplan = 1", "f:2:1: snaplan: unknown key; did you mean `snaplen`?"),
        ("[record]\nsnaplen = 65536", "f:2:11: snaplen: 65536 is not in 0..=65535"),
        ("[record]\n\nbuffer-size = '8X'", "f:3:15: buffer-size: unknown unit X: use K, M or G"),
        (
            "[record]\nevents = ['exti']",
            "f:2:10: events: `exti` is not one of enter, exit; did you mean `exit`?",
        ),
        ("[record]\nsyscalls = 'acess'", "f:2:12: syscalls: unknown syscall `acess`; did you mean `access`?"),
        (
            "[record]\nsyscalls = 1979-05-27",
            "f:2:12: syscalls: takes a string or a number, not a value of type datetime",
        ),
        ("[record]\nsnaplen = [1]", "f:2:11: snaplen: takes one value, not an array"),
        ("[record]\nsnaplen = ''", "f:2:11: snaplen: cannot parse integer from empty string"),
        ("[files]\ngzip = 1", "f:2:8: gzip: needs true or false"),
        ("[files]\nsnaplen = 1", "f:2:1: snaplen: belongs in the section [record]"),
        ("snaplen = 1", "f:1:1: snaplen: belongs in a section: write [record] on a line above it"),
        ("[record]\nduration = '1m'", "f:2:1: duration: is not a key: a service records until it is stopped"),
        ("[recrod]\n", "f:1:2: [recrod]: unknown section; did you mean [record]?"),
        ("record = 1", "f:1:1: record: is a section: write [record] on a line of its own"),
        (
            "[control]\ncontrol-mode = 'rw'",
            "f:2:16: control-mode: not permissions in octal, such as \"0660\"",
        ),
    ] {
        assert_eq!(mistake(text), says, "{text}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let all = mistakes("[record]\nxyzzy = 1\nattach = 'glue'\n[files]\ngzip = 'yes'\n");
    let lines: Vec<_> = all.iter().map(|line| line.split(':').nth(1).unwrap()).collect();
    assert_eq!(lines, ["2", "3", "5"], "{all:?}");
    // In text that is not valid TOML, all syntax errors.
    let all = mistakes("[record]\nsnaplen = \nevents = exit\nsnaplen = 2\n");
    assert!(all.len() >= 2 && all[0].starts_with("f:2:") && all[1].starts_with("f:3:"), "{all:?}");
    let twice = mistake("[record]\nsnaplen = 1\nsnaplen = 2");
    assert!(twice.starts_with("f:3:1: "), "{twice}");
}

#[test]
fn later_files_win() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scapd.toml");
    let further = folder.path().join("config.d");
    fs::create_dir(&further).unwrap();
    fs::write(&file, "[record]\nsnaplen = 1\nsyscalls = 'read'\n").unwrap();
    fs::write(further.join("20-b.toml"), "[record]\nsnaplen = 3\n").unwrap();
    fs::write(further.join("10-a.toml"), "[record]\nsnaplen = 2\nbuffer-size = '1M'\n").unwrap();
    fs::write(further.join("30-c.toml.bak"), "no toml").unwrap();
    fs::write(further.join(".40-d.toml"), "no toml").unwrap();
    let settings = ServiceSettings::load(&keys(), &file, true).unwrap();
    let text = settings.to_toml(&keys());
    assert!(
        text.contains(&format!("snaplen = \"3\" # {}:2:1\n", further.join("20-b.toml").display())),
        "{text}"
    );
    assert!(text.contains("buffer-size = \"1M\"") && text.contains("syscalls = \"read\""), "{text}");
    assert!(text.contains("events = \"exit\"\n"), "{text}");
    fs::write(further.join("25-x.toml"), "[record]\nsnaplen = 'x'\n").unwrap();
    fs::write(&file, b"[record]\n\xff").unwrap();
    let mistakes = ServiceSettings::load(&keys(), &file, true).unwrap_err().to_string();
    assert!(mistakes.contains("scapd.toml: cannot be read: line 2 is not UTF-8"), "{mistakes}");
    assert!(mistakes.contains("25-x.toml:2:11: snaplen: "), "{mistakes}");
}

#[test]
fn what_is_no_regular_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (file, further) = (folder.path().join("scapd.toml"), folder.path().join("config.d"));
    fs::create_dir(&further).unwrap();
    let fifo = |path: &std::path::Path| {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    };
    // Opening or reading any of the first three would never return.
    fifo(&further.join("10-fifo.toml"));
    symlink("/dev/zero", further.join("20-zero.toml")).unwrap();
    symlink(further.join("10-fifo.toml"), further.join("30-link.toml")).unwrap();
    fs::create_dir(further.join("40-folder.toml")).unwrap();
    fs::write(folder.path().join("kept.toml"), "[record]\nsnaplen = 7\n").unwrap();
    symlink("../kept.toml", further.join("50-kept.toml")).unwrap();
    let settings = ServiceSettings::load(&keys(), &file, false).unwrap();
    assert!(settings.to_toml(&keys()).contains("snaplen = \"7\" # "), "a link to a file is followed");

    fs::write(further.join("60-large.toml"), vec![b' '; files::LONGEST as usize + 1]).unwrap();
    symlink("gone.toml", further.join("70-gone.toml")).unwrap();
    let mistakes = ServiceSettings::load(&keys(), &file, false).unwrap_err().to_string();
    assert!(mistakes.contains("70-gone.toml: there is no such file"), "{mistakes}");
    assert!(mistakes.contains("60-large.toml: cannot be read: it has more than 1048576 bytes"), "{mistakes}");
    // A file that the user names must be a regular file.
    let mistakes =
        ServiceSettings::load(&keys(), &further.join("10-fifo.toml"), true).unwrap_err().to_string();
    assert!(mistakes.contains("10-fifo.toml: cannot be read: it is not a regular file"), "{mistakes}");
}

#[test]
fn a_folder_has_only_so_many_files() {
    let folder = tempfile::tempdir().unwrap();
    let (file, further) = (folder.path().join("scapd.toml"), folder.path().join("config.d"));
    fs::create_dir(&further).unwrap();
    for number in 0..1000 {
        fs::write(further.join(format!("{number}.toml")), "").unwrap();
    }
    assert_eq!(ServiceSettings::load(&keys(), &file, false), Ok(ServiceSettings::defaults()));
    fs::write(further.join("1000.toml"), "").unwrap();
    let mistakes = ServiceSettings::load(&keys(), &file, false).unwrap_err().to_string();
    assert!(mistakes.contains("it has more than 1000 files"), "{mistakes}");
}

#[test]
fn a_file_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scapd.toml");
    assert_eq!(ServiceSettings::load(&keys(), &file, false), Ok(ServiceSettings::defaults()));
    let mistakes = ServiceSettings::load(&keys(), &file, true).unwrap_err().to_string();
    assert!(
        mistakes.ends_with("scapd.toml: there is no such file; name another with --config"),
        "{mistakes}"
    );
}

#[test]
fn what_is_printed_is_read_back() {
    let text = "[record]\npid = [7, 8]\n[files]\nwrite = 'a\"b\\c.scap'\ngzip = true\n";
    let settings = ServiceSettings::parse(&keys(), "f", text).unwrap();
    let again = ServiceSettings::parse(&keys(), "f", &settings.to_toml(&keys())).unwrap();
    assert_eq!(settings.difference(&keys(), &again), Difference::default());
}

#[test]
fn named_filters_are_joined() {
    let parsed = |text: &str| ServiceSettings::parse(&keys(), "f", text).unwrap();
    let filter = |settings: &ServiceSettings| {
        settings.wanted(&keys()).unwrap().recording.filter.map(|filter| filter.to_string())
    };
    let of = |text: &str| filter(&parsed(text));
    let (a, b) = ("proc.name = a", "proc.name = b or fd.num = 3");
    assert_eq!(of(&format!("[filters]\nx = '{a}'")).as_deref(), Some(a));
    let both = parsed(&format!("[record]\nfilter = '{a}'\n[filters]\n'of a package' = '{b}'"));
    assert_eq!(filter(&both), Some(format!("{a} or ({b})")));
    assert_eq!(of("[filters]"), None);
    assert_eq!(of(&format!("[record]\nfilter = ''\n[filters]\nx = '{a}'\ny = ' '")).as_deref(), Some(a));
    let differs = |old: &str, new: &str| parsed(old).difference(&keys(), &parsed(new));
    let filter_alone = Difference { live: vec!["filter".to_owned()], restart: Vec::new() };
    assert_eq!(differs("", &format!("[filters]\nx = '{a}'")), filter_alone);
    assert_eq!(
        differs(&format!("[record]\nfilter = '{a}'"), &format!("[filters]\nx = '{a}'")),
        Difference::default()
    );
    // A reload takes them over, and a request joins its own.
    assert_eq!(filter(&parsed("").adopting(&both, &["filter".to_owned()])), filter(&both));
    let set = parsed(&format!("[filters]\nx = '{a}'")).with(&keys(), [("filter", "fd.num = 1")]).unwrap();
    assert_eq!(filter(&set), Some(format!("fd.num = 1 or {a}")));
    let again = parsed(&both.to_toml(&keys()));
    assert_eq!((filter(&again), again.filters.len()), (filter(&both), 1));
}

#[test]
fn named_filters_of_other_files() {
    let folder = tempfile::tempdir().unwrap();
    let (file, further) = (folder.path().join("scapd.toml"), folder.path().join("config.d"));
    fs::create_dir(&further).unwrap();
    fs::write(&file, "[filters]\nown = 'fd.num = 1'\n").unwrap();
    fs::write(further.join("10-web.toml"), "[filters]\nweb = 'fd.num = 2'\n").unwrap();
    fs::write(further.join("90-local.toml"), "[filters]\nown = ''\n").unwrap();
    let settings = ServiceSettings::load(&keys(), &file, true).unwrap();
    let filter = settings.wanted(&keys()).unwrap().recording.filter.unwrap();
    assert_eq!(filter.to_string(), "fd.num = 2", "a later file takes the place of one of that name");
    fs::write(further.join("20-bad.toml"), "[filters]\nok = 'fd.num = 3'\nbad = 'fd.nmu = 3'\n").unwrap();
    let mistakes = ServiceSettings::load(&keys(), &file, true).unwrap_err().to_string();
    assert!(mistakes.contains("20-bad.toml:3:7: bad: invalid filter:"), "{mistakes}");
    assert!(mistakes.contains("did you mean fd.num?"), "{mistakes}");
    assert_eq!(mistake("[filters]\nx = 1"), "f:2:5: x: takes a filter as a string");
    assert_eq!(mistake("filters = 1"), "f:1:1: filters: is a section: write [filters] on a line of its own");
    assert_eq!(mistake("[filter]\n"), "f:1:2: [filter]: unknown section; did you mean [filters]?");
}

#[test]
fn rules_of_redaction_of_all_files_are_added() {
    let folder = tempfile::tempdir().unwrap();
    let (file, further) = (folder.path().join("scapd.toml"), folder.path().join("config.d"));
    fs::create_dir(&further).unwrap();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/redact.toml");
    // The file of rules may stay where it was before there was a section.
    let text = "[redact]\nredact-option = ['--password', '-p']\nredact-variable = 'A_*'\n";
    fs::write(&file, format!("[record]\nredact = '{example}'\n{text}")).unwrap();
    fs::write(
        further.join("20-shop.toml"),
        "[redact]\nredact-option = []\nredact-pattern = ['card=([0-9]+)']\n",
    )
    .unwrap();
    fs::write(further.join("30-more.toml"), "[redact]\nredact-option = '--card'\n").unwrap();
    let load = || ServiceSettings::load(&keys(), &file, true);
    let counts = |settings: ServiceSettings| {
        settings.wanted(&keys()).unwrap().recording.redact.map_or([0; 3], |rules| rules.counts())
    };
    let both = counts(load().unwrap());
    let in_section =
        ServiceSettings::parse(&keys(), "f", &format!("[redact]\nredact = '{example}'")).unwrap();
    assert!(in_section.difference(&keys(), &load().unwrap()).restart.contains(&"redact-option".to_owned()));
    let of_example = counts(in_section);
    assert_eq!([0, 1, 2].map(|kind| both[kind] - of_example[kind]), [3, 1, 1]);
    let again = ServiceSettings::parse(&keys(), "f", &load().unwrap().to_toml(&keys())).unwrap();
    assert_eq!(counts(again), both);
    for (text, says) in [
        (
            "[redact]\nredact-pattern = ['a', '(']",
            "f:2:18: redact-pattern: not a regular expression: unclosed group",
        ),
        ("[redact]\noptions = ['-p']", "f:2:1: options: unknown key; did you mean `redact-option`?"),
        ("[record]\nredact-option = ['-p']", "f:2:1: redact-option: belongs in the section [redact]"),
    ] {
        assert_eq!(mistake(text), says, "{text}");
    }
}

#[test]
fn what_differs_and_what_needs_a_restart() {
    let old = ServiceSettings::parse(&keys(), "f", "[record]\nsnaplen = 80\nbuffer-size = '8M'\n").unwrap();
    assert_eq!(old.difference(&keys(), &ServiceSettings::defaults()), Difference::default());
    let new = ServiceSettings::parse(
        &keys(),
        "f",
        "[record]\nsnaplen = 81\nbuffer-size = '4M'\nevents = 'exit'\n[files]\ngzip = false\n",
    );
    let difference = old.difference(&keys(), &new.unwrap());
    assert_eq!(
        (difference.live, difference.restart),
        (vec!["snaplen".to_owned()], vec!["buffer-size".to_owned()])
    );
}

#[test]
fn keys_that_need_each_other_are_looked_at_together() {
    let keys = crate::cli::keys();
    assert_eq!(keys.check("align", &["true".to_owned()]), Ok(()));
    let settings =
        ServiceSettings::parse(&keys, "f", "[files]\nalign = true\nrotate-time = '30m'\n").unwrap();
    let series = settings.wanted(&keys).unwrap().recording.files.unwrap();
    assert!(series.rotation.align && series.rotation.period == Some(std::time::Duration::from_secs(1800)));
    let alone = keys.parse([("align", ["true".to_owned()].as_slice())]).map(drop).unwrap_err();
    assert_eq!(alone.what, "`rotate-time` is missing, but another key requires it");
}

#[test]
fn a_switch_that_is_on_by_default() {
    let extensions = |text: &str| {
        let settings = ServiceSettings::parse(&keys(), "f", text).unwrap();
        let line =
            settings.to_toml(&keys()).lines().find(|line| line.starts_with("extensions")).map(str::to_owned);
        let difference = settings.difference(&keys(), &ServiceSettings::defaults()).live;
        (settings.wanted(&keys()).unwrap().recording.probe.extensions, line.unwrap(), difference.len())
    };
    assert_eq!(extensions(""), (true, "extensions = true".into(), 0));
    assert_eq!(extensions("[record]\nextensions = true\n"), (true, "extensions = true # f:2:1".into(), 0));
    assert_eq!(extensions("[record]\nextensions = false\n"), (false, "extensions = false # f:2:1".into(), 1));
    assert!(mistake("[record]\nextensions = 'no'\n").contains("needs true or false"));
    assert!(mistake("[record]\nno-extensions = true\n").contains("did you mean `extensions`?"));
}

#[test]
fn keys_are_changed_one_by_one() {
    let settings =
        ServiceSettings::defaults().with(&keys(), [("syscalls", "openat,read"), ("snaplen", "5")]).unwrap();
    assert_eq!(settings.difference(&keys(), &ServiceSettings::defaults()).live, ["snaplen", "syscalls"]);
    let wrong = ServiceSettings::defaults()
        .with(&keys(), [("syscals", "x"), ("snaplen", "many"), ("count", "1")])
        .unwrap_err();
    let lines: Vec<_> = wrong.0.iter().map(ToString::to_string).collect();
    assert_eq!(lines[0], "syscals: unknown key; did you mean `syscalls`?");
    assert!(lines[1].starts_with("snaplen: ") && lines[2].starts_with("count: is not a key"), "{lines:?}");
    let wrong = ServiceSettings::defaults().with(&keys(), [("drop-failed", "yes")]).unwrap_err();
    assert_eq!(wrong.to_string(), "drop-failed: needs true or false");
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = ServiceSettings::parse(&keys(), "f", &text);
    }

    #[test]
    fn no_value_panics(key in "[a-z-]{1,14}", value in "[ -~]{0,20}") {
        let _ = ServiceSettings::parse(&keys(), "f", &format!("[record]\n{key} = {value}\n"));
        let _ = ServiceSettings::defaults().with(&keys(), [(key.as_str(), value.as_str())]);
    }
}

#[test]
fn what_scapd_ship_does_is_checked_and_needs_no_restart() {
    let keys = keys();
    let parse = |text: &str| ServiceSettings::parse(&keys, "f", text);
    let settings = parse("[ship]\nto = 's3://bucket/all'\ndelete = true\nas = 'both'\n").unwrap();
    let flags = settings.flags(&keys, Section::Ship);
    assert_eq!(flags, ["--as=both", "--delete", "--to=s3://bucket/all"]);
    assert_eq!(ServiceSettings::defaults().difference(&keys, &settings), Difference::default());
    assert!(parse("[ship]\nto = 's3://key:secret@bucket'\n").is_err());
    assert!(parse("[files]\ndelete = true\n").unwrap_err().to_string().contains("section [ship]"));
    let set = ServiceSettings::defaults().with(&keys, [("delete", "true")]).unwrap_err();
    assert!(set.to_string().contains("change it in the file"), "{set}");
}
