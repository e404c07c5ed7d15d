//! The options of a recording that is kept in memory and written when something happens.

use std::time::Duration;

use clap::Args;

use super::read::filter_of;
use crate::{
    daemon::config::Section,
    flight::{Flight, KeepLonger, KeepOnDisk, Pressure, RateTrigger},
    units::{parse_duration, parse_size, parse_span},
};
use scap::filter::Filter;

/// The heading of these options.
const FLIGHT: &str = Section::Flight.heading();

/// What is kept in memory, and when it is written.
#[derive(Debug, Clone, Args)]
pub(super) struct FlightArgs {
    /// Keep the events of the last TIME in memory, in at most SIZE [default: 256M], and write only when something happens: a
    /// capture of them, and of what follows. -w names these captures; the keep options, hooks and manifests are for them, and the
    /// rotate options do nothing. SIGUSR1 asks for one, and so does `scapd ctl dump`
    #[arg(long, value_name = "TIME[,SIZE]", value_parser = parse_keep, help_heading = FLIGHT)]
    keep: Option<Kept>,
    /// Pack older events in memory (LZ4), on a thread of its own: two to five times as many fit into SIZE
    #[arg(long, requires = "keep", conflicts_with = "keep_on_disk", help_heading = FLIGHT)]
    keep_packed: bool,
    /// Keep what matches this filter for a longer TIME than everything else, in at most SIZE more memory [default: 64M], e.g.
    /// 'evt.type in (execve, connect):10m'. What changes the state of the machine (processes, descriptors) is kept with it, so
    /// that names are right
    #[arg(long, value_name = "FILTER:TIME[,SIZE]", value_parser = parse_longer, requires = "keep",
          help_heading = FLIGHT)]
    keep_longer: Option<KeepLonger>,
    /// Keep all of that also in a file, of a quarter more than SIZE, from which the next start, or `scapd repair`, makes a capture
    /// after the recorder was killed [default FILE: scapd.window in the folder of the captures]
    #[arg(long, value_name = "FILE", value_parser = parse_on_disk, num_args = 0..=1, require_equals = true,
          default_missing_value = "", requires = "keep", help_heading = FLIGHT)]
    keep_on_disk: Option<KeepOnDisk>,
    /// Write when an event matches this filter, e.g. 'evt.type = procexit and proc.name = postgres'; may be repeated
    #[arg(long, value_name = "FILTER", value_parser = filter_of, requires = "keep", help_heading = FLIGHT)]
    trigger: Vec<Filter>,
    /// Write when as many events match a filter within a time, e.g. 'evt.res = ENOSPC:100/10s'; may be repeated
    #[arg(long, value_name = "FILTER:COUNT/TIME", value_parser = parse_rate, requires = "keep",
          help_heading = FLIGHT)]
    trigger_rate: Vec<RateTrigger>,
    /// Write when tasks have waited so long for memory, cpu or io, within a time of 500ms to 10s, e.g. memory:some:150ms/2s; may be
    /// repeated. `full` instead of `some`: when all had to wait at the same time
    #[arg(long, value_name = "RESOURCE:some|full:TIME/TIME", requires = "keep", help_heading = FLIGHT)]
    trigger_pressure: Vec<Pressure>,
    /// How long a capture goes on after what made it
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_after,
          help_heading = FLIGHT)]
    after: Duration,
    /// Write at most this many captures in an hour
    #[arg(long, value_name = "COUNT", default_value_t = 60, help_heading = FLIGHT,
          value_parser = clap::value_parser!(u32).range(1..))]
    dumps_per_hour: u32,
}

/// The value of `--keep`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    time: Duration,
    bytes: u64,
}

impl FlightArgs {
    /// Returns the flight recorder, or `None` for a usual recording.
    pub fn flight(self) -> Option<Flight> {
        let FlightArgs {
            keep,
            keep_packed,
            keep_longer,
            keep_on_disk,
            trigger,
            trigger_rate,
            trigger_pressure,
            after,
            dumps_per_hour,
        } = self;
        let Kept { time, bytes } = keep?;
        Some(Flight {
            time,
            bytes,
            is_packed: keep_packed,
            longer: keep_longer,
            on_disk: keep_on_disk,
            after,
            dumps_per_hour,
            triggers: trigger,
            rates: trigger_rate,
            pressures: trigger_pressure,
        })
    }
}

fn parse_keep(text: &str) -> Result<Kept, String> {
    parse_kept(text, Flight::BYTES)
}

fn parse_longer(text: &str) -> Result<KeepLonger, String> {
    const FORM: &str = "not of the form FILTER:TIME[,SIZE], such as evt.type = connect:10m,64M";
    let (filter, kept) = text.rsplit_once(':').ok_or(FORM)?;
    let Kept { time, bytes } = parse_kept(kept, KeepLonger::BYTES).map_err(|e| format!("{e}; {FORM}"))?;
    Ok(KeepLonger { filter: filter_of(filter)?, time, bytes })
}

fn parse_on_disk(text: &str) -> Result<KeepOnDisk, String> {
    Ok(if text.is_empty() { KeepOnDisk::Beside } else { KeepOnDisk::At(text.into()) })
}

/// Parses `TIME[,SIZE]`.
fn parse_kept(text: &str, usual: u64) -> Result<Kept, String> {
    let (time, size) = text.split_once(',').map_or((text, None), |(time, size)| (time, Some(size)));
    let time = parse_duration(time.trim())?;
    let bytes = size.map_or(Ok(usual), |size| parse_size(size.trim()))?;
    if bytes < Flight::LEAST {
        return Err(format!("the least size is {}M", Flight::LEAST >> 20));
    }
    Ok(Kept { time, bytes })
}

pub(super) fn parse_after(text: &str) -> Result<Duration, String> {
    parse_span(text).ok_or_else(|| "not a time: use a form such as 10s, or 0".to_owned())
}

fn parse_rate(text: &str) -> Result<RateTrigger, String> {
    const FORM: &str = "not of the form FILTER:COUNT/TIME, such as evt.failed = true:100/10s";
    let (filter, rate) = text.rsplit_once(':').ok_or(FORM)?;
    let (count, time) = rate.split_once('/').ok_or(FORM)?;
    let count = count.trim().parse().ok().filter(|count| *count > 0).ok_or(FORM)?;
    Ok(RateTrigger { filter: filter_of(filter)?, count, within: parse_duration(time.trim())? })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        flight: FlightArgs,
    }

    fn flight(args: &[&str]) -> Result<Option<Flight>, String> {
        let parsed = Alone::try_parse_from(["x"].iter().chain(args)).map_err(|e| e.to_string())?;
        Ok(parsed.flight.flight())
    }

    #[test]
    fn time_and_size() {
        let kept = |text: &str| parse_keep(text).map(|kept| (kept.time.as_secs(), kept.bytes >> 20));
        assert_eq!(kept("60s"), Ok((60, 256)));
        assert_eq!(kept("5m, 1G"), Ok((300, 1024)));
        for (wrong, says) in
            [("60s,", "not a size"), ("soon", "not a time"), ("1s,1M", "the least size is 4M")]
        {
            assert!(kept(wrong).unwrap_err().contains(says), "{wrong}");
        }
    }

    #[test]
    fn what_is_kept_longer_is_before_the_last_colon() {
        let longer = parse_longer("fd.name = /a:b or evt.type in (execve, connect):10m,8M").unwrap();
        assert_eq!((longer.time, longer.bytes), (Duration::from_secs(600), 8 << 20));
        assert_eq!(longer.filter.to_string(), "fd.name = /a:b or evt.type in (execve, connect)");
        assert_eq!(parse_longer("evt.type = connect:10m").unwrap().bytes, KeepLonger::BYTES);
        for wrong in ["evt.type = connect", "evt.type = connect:", "fd.name = /a:b"] {
            assert!(parse_longer(wrong).unwrap_err().contains("FILTER:TIME[,SIZE]"), "{wrong}");
        }
        assert!(parse_longer("evt.tpye = x:10m").unwrap_err().contains("evt.type"));
        assert!(flight(&["--keep-longer", "evt.type = connect:10m"]).unwrap_err().contains("--keep"));
    }

    #[test]
    fn a_file_for_the_window_may_be_named() {
        let on_disk = |arg: &[&str]| flight(&[&["--keep", "1m"], arg].concat()).unwrap().unwrap().on_disk;
        assert_eq!(on_disk(&[]), None);
        assert_eq!(on_disk(&["--keep-on-disk"]), Some(KeepOnDisk::Beside));
        assert_eq!(on_disk(&["--keep-on-disk=/a b"]), Some(KeepOnDisk::At("/a b".into())));
        assert!(flight(&["--keep-on-disk"]).unwrap_err().contains("--keep"));
    }

    #[test]
    fn a_rate_is_behind_the_last_colon() {
        let rate = parse_rate("fd.name = /a:b:100/10s").unwrap();
        assert_eq!(
            (rate.count, rate.within, rate.filter.to_string()),
            (100, Duration::from_secs(10), "fd.name = /a:b".into())
        );
        for wrong in
            ["evt.failed = true", "evt.failed = true:10", "evt.failed = true:0/1s", "evt.failed = true:x/1s"]
        {
            assert!(parse_rate(wrong).unwrap_err().contains("FILTER:COUNT/TIME"), "{wrong}");
        }
        assert!(parse_rate("evt.tpye = x:1/1s").unwrap_err().contains("evt.type"));
    }

    #[test]
    fn without_keep_nothing_is_kept() {
        assert_eq!(flight(&[]), Ok(None));
        assert!(flight(&["--trigger", "evt.type = open"]).unwrap_err().contains("--keep"));
        let given =
            flight(&["--keep", "1m", "--after", "0", "--trigger", "evt.type = open"]).unwrap().unwrap();
        assert_eq!((given.time.as_secs(), given.after, given.triggers.len()), (60, Duration::ZERO, 1));
    }
}
