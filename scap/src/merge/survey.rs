//! What is in a source: found before the merge, by reading it once.

use std::{collections::HashSet, io::Read};

use crate::{
    events::Source,
    format::{EventView, ReadError, Reader},
    ledger::{self, NOTIFICATION, Notice, Verdict},
};

/// A source.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// The host name of its machine.
    pub hostname: Vec<u8>,
    /// When its machine was started, in ns since the epoch.
    pub boot_time: u64,
    /// Its sections that have events.
    pub sections: Vec<SectionSurvey>,
}

/// A section of a source.
#[derive(Debug, Clone, Default)]
pub struct SectionSurvey {
    /// Its number in the source, from 1.
    pub number: u32,
    /// The times of its first event, notices included, ...
    pub starts: u64,
    /// ... and of its oldest and its newest event, without notices.
    pub times: Option<(u64, u64)>,
    /// The balance at its end, if it has one.
    pub balance: Option<Verdict>,
    /// The threads that it has calls of.
    pub tids: HashSet<u64>,
}

impl Survey {
    /// Reads a source to its end.
    ///
    /// # Errors
    /// If it is damaged or cannot be read.
    pub fn of(reader: &mut Reader<impl Read>) -> Result<Survey, ReadError> {
        let mut survey = Survey::default();
        while let Some(captured) = reader.next_event()? {
            if survey.sections.last().is_none_or(|section| section.number != captured.section) {
                let starts = captured.event.ts();
                let section = SectionSurvey { number: captured.section, starts, ..SectionSurvey::default() };
                survey.sections.push(section);
                if survey.sections.len() == 1 {
                    let machine = &captured.state.machine;
                    (survey.hostname, survey.boot_time) = (machine.hostname.clone(), machine.boot_time);
                }
            }
            if let Some(section) = survey.sections.last_mut() {
                section.event(&captured.event);
            }
        }
        if survey.sections.is_empty() {
            let machine = &reader.state().machine;
            (survey.hostname, survey.boot_time) = (machine.hostname.clone(), machine.boot_time);
        }
        Ok(survey)
    }

    /// Returns the time of its first event; `None` if it has none.
    pub fn starts(&self) -> Option<u64> {
        self.sections.first().map(|section| section.starts)
    }

    /// Returns the number of a section that begins before the one before it ends.
    pub fn early_section(&self) -> Option<u32> {
        let end = |section: &SectionSurvey| section.times.map_or(section.starts, |(_, last)| last);
        self.sections.windows(2).find_map(|pair| match pair {
            [one, next] => (next.starts < end(one)).then_some(next.number),
            _ => None,
        })
    }
}

impl SectionSurvey {
    fn event(&mut self, event: &EventView<'_>) {
        if event.ty() == NOTIFICATION {
            if let Some(Notice::Verdict(balance)) = ledger::parse(event) {
                self.balance = Some(balance);
            }
            return;
        }
        let ts = event.ts();
        self.times = Some(self.times.map_or((ts, ts), |(first, last)| (first.min(ts), last.max(ts))));
        if has_call(event) {
            self.tids.insert(event.tid());
        }
    }

    fn overlaps(&self, other: &SectionSurvey) -> bool {
        match (self.times, other.times) {
            (Some((a, b)), Some((c, d))) => a < d && c < b,
            _ => false,
        }
    }
}

/// Returns whether an event is one of a call, or of the end of a thread: these change what others refer to.
pub(super) fn has_call(event: &EventView<'_>) -> bool {
    event.info().is_some_and(|row| row.source == Source::Syscall || row.name == "procexit")
}

/// Two sources that have events of the same thread in a time that both cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    /// The sources, by their place in the list.
    pub sources: (usize, usize),
    /// A thread that both have.
    pub tid: u64,
}

/// Returns two sources that cannot be merged, if there are any.
pub fn conflict(surveys: &[Survey]) -> Option<Conflict> {
    let sections = |i: usize| surveys.get(i).into_iter().flat_map(|survey| &survey.sections);
    for second in 0..surveys.len() {
        for first in 0..second {
            for (one, other) in
                sections(first).flat_map(|one| sections(second).map(move |other| (one, other)))
            {
                let shared = one.tids.intersection(&other.tids).min();
                if let (true, Some(tid)) = (one.overlaps(other), shared) {
                    return Some(Conflict { sources: (first, second), tid: *tid });
                }
            }
        }
    }
    None
}
