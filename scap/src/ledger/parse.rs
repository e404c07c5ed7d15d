//! Reads notices back.

use std::collections::BTreeMap;

use super::{
    CLOCK, CUT, Cause, ClockStep, Cut, CutCause, FILTER, GAP, Gap, LONGER, LeftOut, Longer, Losses,
    NOTIFICATION, Notice, REDACTED, Redacted, RuleCounts, SELECTED, SLICE, SliceNote, TRIGGER, Trigger,
    TriggerKind, VERDICT, Verdict,
};
use crate::{
    events::{EVENTS, EventType, event_by_program},
    format::EventView,
    select::Asked,
};

/// The maximum number of CPUs of a gap: Linux's NR_CPUS.
const MAX_CPUS: usize = 8192;

/// Parses a notice; `None` for any other event, and for notices of other programs.
pub fn parse(event: &EventView<'_>) -> Option<Notice> {
    if event.ty() != NOTIFICATION {
        return None;
    }
    let text = |index| {
        let bytes = event.param(index)?;
        std::str::from_utf8(bytes.strip_suffix(b"\0").unwrap_or(bytes)).ok()
    };
    let fields = Fields::parse(text(1)?);
    match text(0)? {
        GAP => Some(Notice::Gap(Gap {
            from: fields.number("from"),
            to: fields.number("to"),
            cpus: fields.list("cpus").filter_map(|cpu| cpu.parse().ok()).take(MAX_CPUS).collect(),
            losses: Losses::parse(&fields),
            most: fields.list("most").filter_map(parse_count).take(EVENTS.len()).collect(),
        })),
        VERDICT => Some(Notice::Verdict(Verdict {
            seen: fields.number("seen"),
            written: fields.number("written"),
            losses: Losses::parse(&fields),
            late: fields.number("late"),
            unread: fields.number("unread"),
            left_out: LeftOut {
                failed: fields.number("failed"),
                sampled: fields.number("sampled"),
                filtered: fields.number("filtered"),
                sieved: fields.number("sieved"),
                evicted: fields.number("evicted"),
                passed: fields.number("passed"),
            },
            redacted: Redacted {
                values: fields.number("redacted"),
                events: fields.number("redacted_events"),
            },
            sample_ratio: fields.number("sample_ratio").try_into().unwrap_or(0),
        })),
        CLOCK => Some(Notice::Clock(ClockStep { by: fields.signed("by"), at: fields.number("at") })),
        CUT => Some(Notice::Cut(Cut {
            cause: fields.cut_cause(),
            offset: fields.number("offset"),
            bytes: fields.number("bytes"),
        })),
        SLICE => Some(Notice::Slice(SliceNote {
            left_out: fields.number("left_out"),
            is_stopped: fields.text("source") == "stopped",
        })),
        TRIGGER => {
            let (fields, reason) = Fields::before(text(1)?, " reason=");
            Some(Notice::Trigger(Trigger {
                by: TriggerKind::ALL
                    .into_iter()
                    .find(|kind| fields.text("by") == kind.key())
                    .unwrap_or_default(),
                at: fields.number("at"),
                after: fields.number("after"),
                reason: reason.to_owned(),
            }))
        }
        LONGER => {
            let (fields, filter) = Fields::before(text(1)?, " filter=");
            Some(Notice::Longer(Longer { until: fields.number("until"), filter: filter.to_owned() }))
        }
        FILTER => Some(Notice::Filter(text(1)?.to_owned())),
        REDACTED => Some(Notice::Redacted(RuleCounts {
            options: fields.number("options"),
            variables: fields.number("variables"),
            patterns: fields.number("patterns"),
        })),
        SELECTED => Some(Notice::Selected(Asked::parse(
            fields.text("syscalls"),
            fields.text("events"),
            fields.text("tracepoints"),
            fields.text("extensions"),
        ))),
        _ => None,
    }
}

impl Losses {
    fn parse(fields: &Fields<'_>) -> Losses {
        let mut losses = Losses::default();
        for cause in Cause::ALL {
            losses.add(cause, fields.number(cause.key()));
        }
        losses
    }
}

fn parse_count(pair: &str) -> Option<(EventType, u64)> {
    let (program, count) = pair.split_once(':')?;
    Some((event_by_program(program)?.ty, count.parse().ok()?))
}

/// `key=value` pairs separated by spaces.
struct Fields<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Fields<'a> {
    fn parse(text: &'a str) -> Fields<'a> {
        Fields(text.split(' ').filter_map(|pair| pair.split_once('=')).collect())
    }

    /// Parses what is before the last key, whose value is the rest of the text, and may look like other fields.
    fn before(text: &'a str, last: &str) -> (Fields<'a>, &'a str) {
        let (fields, rest) = text.split_once(last).unwrap_or((text, ""));
        (Fields::parse(fields), rest)
    }

    /// Returns a number; 0 if the key is missing.
    fn number(&self, key: &str) -> u64 {
        self.0.get(key).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// Returns a text; empty if the key is missing.
    fn text(&self, key: &str) -> &'a str {
        self.0.get(key).copied().unwrap_or_default()
    }

    /// Returns a signed number; 0 if the key is missing.
    fn signed(&self, key: &str) -> i64 {
        self.0.get(key).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    fn cut_cause(&self) -> CutCause {
        let named = |cause: &CutCause| self.0.get("cause") == Some(&cause.key());
        CutCause::ALL.into_iter().find(named).unwrap_or_default()
    }

    fn list(&self, key: &str) -> impl Iterator<Item = &'a str> {
        self.0.get(key).into_iter().flat_map(|value| value.split(','))
    }
}
