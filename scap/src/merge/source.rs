//! A source while it is merged.

use std::{collections::HashSet, io::Read};

use super::survey::{SectionSurvey, Survey, has_call};
use crate::{
    format::{EventView, FOR_NAMES, Joiner, Keep, MachineState, ReadError, Reader},
    ledger::{self, Losses, Notice, Verdict},
    model::Machine,
    select::Judge,
};

/// A section of a source in the balance of the result.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// The balance of the source's section.
    balance: Option<Verdict>,
    /// What earlier sections of the result have accounted for.
    accounted: Verdict,
    /// Events in this section of the result, and losses that notices in it report.
    written: u64,
    lost: Losses,
    /// The notices of repairs: they stand at the end.
    pub cuts: Vec<Vec<u8>>,
}

impl Part {
    /// Returns what the section that has ended adds to the balance.
    pub fn rest(&self) -> Option<Verdict> {
        self.balance.map(|balance| balance.since(&self.accounted))
    }

    /// Returns what a section that continues adds to the balance.
    fn interim(&mut self) -> Option<Verdict> {
        self.balance?;
        let losses = std::mem::take(&mut self.lost);
        let written = std::mem::take(&mut self.written);
        let seen = written.saturating_add(losses.sum().saturating_sub(losses.unseen()));
        let interim = Verdict { seen, written, losses, ..Verdict::default() };
        self.accounted.add(&interim);
        Some(interim)
    }
}

/// The next event of a source.
#[derive(Debug)]
struct Head {
    ts: u64,
    block: Vec<u8>,
    /// The event in today's schema.
    joined: Vec<u8>,
    notice: Option<Notice>,
    /// The state of the section that it is the first event of.
    start: Option<Box<MachineState>>,
}

/// A source that is being read.
#[derive(Debug)]
pub(super) struct Source<R: Read> {
    reader: Reader<R>,
    survey: Survey,
    section: u32,
    joiner: Joiner,
    judge: Judge,
    machine: Machine,
    /// The threads of which the section has had calls.
    tids: HashSet<u64>,
    part: Part,
    head: Option<Head>,
    /// Whether the section has begun in the result.
    has_begun: bool,
}

impl<R: Read> Source<R> {
    pub fn new(reader: Reader<R>, survey: Survey) -> Source<R> {
        Source {
            reader,
            survey,
            section: 0,
            joiner: Joiner::default(),
            judge: Judge::default(),
            machine: Machine::default(),
            tids: HashSet::new(),
            part: Part::default(),
            head: None,
            has_begun: false,
        }
    }

    pub fn head_time(&self) -> Option<u64> {
        self.head.as_ref().map(|head| head.ts)
    }

    /// Returns whether the next event is the first of its section.
    pub fn is_at_start(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.start.is_some())
    }

    /// Returns whether it is within a section that has begun.
    pub fn is_inside(&self) -> bool {
        self.has_begun && self.head.is_some() && !self.is_at_start()
    }

    /// Returns whether it is within a section that has no more events from `ts` on, only notices.
    pub fn is_ending_before(&self, ts: u64) -> bool {
        let last = self.survey_of_section().and_then(|section| section.times).map_or(0, |(_, last)| last);
        let is_notice = self.head.as_ref().is_some_and(|head| head.notice.is_some());
        self.is_inside() && is_notice && last <= ts
    }

    pub fn take_start(&mut self) -> Option<MachineState> {
        self.has_begun = true;
        self.head.as_mut().and_then(|head| head.start.take()).map(|state| *state)
    }

    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Returns the processes of which the section has had calls.
    pub fn followed(&self) -> HashSet<u64> {
        let own = self.tids.iter().flat_map(|tid| [self.machine.pid(*tid), *tid]);
        own.collect()
    }

    pub fn interim(&mut self) -> Option<Verdict> {
        self.part.interim()
    }

    fn survey_of_section(&self) -> Option<&SectionSurvey> {
        self.survey.sections.iter().find(|section| section.number == self.section)
    }

    /// Reads the next event. Returns the section that ends with that.
    pub fn advance(&mut self) -> Result<Option<Part>, ReadError> {
        self.head = None;
        let Some(captured) = self.reader.next_event()? else {
            return Ok(std::mem::take(&mut self.has_begun).then(|| std::mem::take(&mut self.part)));
        };
        let (mut start, mut ended) = (None, None);
        if captured.section != self.section {
            ended = std::mem::take(&mut self.has_begun).then(|| std::mem::take(&mut self.part));
            self.section = captured.section;
            self.machine = Machine::of_state(captured.state, Keep::All);
            (self.joiner, self.judge) = (Joiner::default(), Judge::default());
            self.tids = HashSet::new();
            let balance =
                self.survey.sections.iter().find(|s| s.number == captured.section).and_then(|s| s.balance);
            self.part = Part { balance, ..Part::default() };
            start = Some(Box::new(captured.state.clone()));
        }
        let raw = captured.event;
        let joined = self.joiner.join(raw);
        let notice = ledger::parse(&joined);
        if let Some(Notice::Selected(asked)) = &notice {
            self.judge = Judge::new(*asked);
        }
        let is_asked =
            captured.flags & FOR_NAMES == 0 && self.judge.is_asked(joined.ty(), || raw.generic_code());
        let flags = captured.flags & !FOR_NAMES | if is_asked { 0 } else { FOR_NAMES };
        let mut block = Vec::new();
        raw.frame(&mut block, captured.cpu, flags);
        let mut bytes = Vec::new();
        joined.copy_to(&mut bytes);
        self.head = Some(Head { ts: raw.ts(), block, joined: bytes, notice, start });
        Ok(ended)
    }

    /// Gives away the next event: its block, its time, and whether it is no notice. `None` for a notice that the result has
    /// in another form.
    pub fn emit(&mut self) -> Option<(Vec<u8>, u64, bool)> {
        let head = self.head.take()?;
        match head.notice {
            // The marks of the events say it, and other sources have other selections.
            Some(Notice::Verdict(_) | Notice::Selected(_) | Notice::Filter(_)) => return None,
            Some(Notice::Cut(_)) => {
                self.part.cuts.push(head.block);
                return None;
            }
            Some(Notice::Gap(ref gap)) => {
                gap.losses.iter().for_each(|(cause, count)| self.part.lost.add(cause, count));
            }
            _ => {}
        }
        let mut is_event = false;
        if let Ok(event) = EventView::parse_joined(&head.joined, false) {
            self.machine.apply(&event);
            self.machine.settle();
            is_event = !ledger::is_own(event.ty());
            self.part.written += u64::from(is_event);
            if has_call(&event) {
                self.tids.insert(event.tid());
            }
        }
        Some((head.block, head.ts, is_event))
    }
}
