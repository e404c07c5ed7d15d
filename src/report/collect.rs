//! What a report is about: the numbers of captures, from one pass over them, in bounded memory.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use scap::{
    format::{Keep, state::MachineInfo},
    ledger::{self, Notice},
    replay::{Moment, Now},
    summary::{
        Bins, Cell, Keys, Numbers, Outcome, Series, Slow, Slowest, SpentSeries, Spread, Tally, Top, Tree,
        Wait, Waiting,
    },
};

use super::slowest::{Call, Few};
use crate::print::{Calls, DependsOn, LedgerSummary, MakeView, View};

/// So many groups of a table are followed. When there are twice as many, those that have cost least become others: what comes
/// of them later is told apart again, so that a group of which a part was early may lack that part.
const MOST_GROUPS: usize = 10_000;
/// So many of the slowest calls of all are known, with those that have not ended.
const MOST_SLOW: usize = 50;
/// So many machines are named.
const MOST_MACHINES: usize = 10;

/// Calls in groups, by time.
pub(super) struct Table<C> {
    pub top: Top<Series<C>>,
    /// What the groups came to that were given up, and how many they were.
    pub others: Series<C>,
    pub given_up: u64,
}

impl<C: Numbers> Table<C> {
    fn by(keys: Keys) -> Table<C> {
        Table { top: Top::summing(keys), others: Series::default(), given_up: 0 }
    }

    fn event(&mut self, moment: &Moment<'_>) -> io::Result<()> {
        self.top.event(moment).map_err(io::Error::other)?;
        for other in self.top.prune(MOST_GROUPS, Series::cost) {
            self.others.merge(other);
            self.given_up += 1;
        }
        Ok(())
    }
}

/// What captures come to.
pub(super) struct Collected {
    /// The times of the first event and of the last one that count, in ns since the epoch.
    pub span: Option<(u64, u64)>,
    /// How many events count.
    pub events: u64,
    pub machines: Vec<MachineInfo>,
    pub ledger: LedgerSummary,
    /// How many sections the captures have: each has a balance, if scapd made it.
    pub sections: u64,
    pub calls: Table<Spread>,
    pub names: Table<Tally>,
    pub files: Table<Tally>,
    pub peers: Table<Tally>,
    pub failures: Table<Tally>,
    pub waiting: Waiting<SpentSeries>,
    pub tree: Tree,
    pub slowest: Bins<Few>,
    /// The slowest of all: when the call ended, or began if it has not ended, and its line.
    pub slowest_of_all: Vec<Slow<(u64, String)>>,
}

/// What calls are grouped by in a report.
#[derive(Debug, Clone)]
pub(super) struct Groupings {
    calls: Keys,
    names: Keys,
    files: Keys,
    peers: Keys,
    failures: Keys,
}

impl Groupings {
    pub fn new() -> Result<Groupings, scap::filter::FilterError> {
        Ok(Groupings {
            calls: Keys::parse("call")?,
            names: Keys::parse("proc.name")?,
            files: Keys::parse("file")?,
            peers: Keys::parse("proc.name,peer,port")?,
            failures: Keys::parse("call,error,proc.name")?,
        })
    }
}

/// A form of captures that shows nothing: once they have been read, it has what they come to.
pub(super) struct Collect {
    groupings: Groupings,
    pub collected: Arc<Mutex<Option<Collected>>>,
}

impl std::fmt::Debug for Collect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collect").finish_non_exhaustive()
    }
}

impl Collect {
    pub fn new(groupings: Groupings) -> Collect {
        Collect { groupings, collected: Arc::default() }
    }

    /// Returns what the captures came to; `None` if they were not read.
    pub fn take(&self) -> Option<Collected> {
        self.collected.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl MakeView for Collect {
    fn view(&self) -> Box<dyn View> {
        let Groupings { calls, names, files, peers, failures } = self.groupings.clone();
        let own = Collected {
            span: None,
            events: 0,
            machines: Vec::new(),
            ledger: LedgerSummary::default(),
            sections: 0,
            calls: Table::by(calls),
            waiting: Waiting::summing(names.clone()),
            names: Table::by(names),
            files: Table::by(files),
            peers: Table::by(peers),
            failures: Table::by(failures),
            tree: Tree::default(),
            slowest: Bins::default(),
            slowest_of_all: Vec::new(),
        };
        Box::new(CollectView {
            own: Some(own),
            slowest: Slowest::new(MOST_SLOW, false),
            section: 0,
            lines: Calls::new(false),
            collected: self.collected.clone(),
        })
    }
}

struct CollectView {
    /// `None` once it is handed over.
    own: Option<Collected>,
    slowest: Slowest<(u64, String)>,
    /// The section of the event before.
    section: u32,
    lines: Calls,
    collected: Arc<Mutex<Option<Collected>>>,
}

impl CollectView {
    /// Takes what any event tells of the capture.
    fn look(&mut self, moment: &Moment<'_>) {
        let Some(own) = &mut self.own else { return };
        if moment.captured.section != self.section {
            self.section = moment.captured.section;
            own.sections += 1;
            let machine = &moment.captured.state.machine;
            let is_known = own.machines.iter().any(|known| known.hostname == machine.hostname);
            if !is_known && own.machines.len() < MOST_MACHINES {
                own.machines.push(machine.clone());
            }
        }
        let notice = ledger::parse(moment.event());
        notice.into_iter().for_each(|notice: Notice| own.ledger.add(notice));
    }
}

impl Collected {
    /// Returns when the first bin begins at the latest, in ns since the epoch: the time of threads may begin before the first event that
    /// counts.
    pub fn start(&self) -> u64 {
        let first = self.span.map_or(0, |(from, _)| from);
        let starts = self.waiting.groups().filter_map(|(_, spent)| spent.bins.start());
        starts.fold(first, u64::min)
    }

    fn event(&mut self, moment: &Moment<'_>, lines: &mut Calls) -> io::Result<()> {
        let ts = moment.event().ts();
        let (from, to) = self.span.get_or_insert((ts, ts));
        // Captures may be joined out of order.
        (*from, *to) = (ts.min(*from), ts.max(*to));
        self.events += 1;
        self.calls.event(moment)?;
        self.names.event(moment)?;
        self.files.event(moment)?;
        self.peers.event(moment)?;
        self.waiting.event(moment, true).map_err(io::Error::other)?;
        self.tree.event(moment, true).map_err(io::Error::other)?;
        let Some(outcome) = Outcome::of(moment) else { return Ok(()) };
        if outcome.error().is_some() {
            self.failures.event(moment)?;
            self.failures.top.illustrate(|| lines.line(moment));
        }
        if let Some(latency) = outcome.latency.filter(|_| !Wait::of(moment).is_on_purpose()) {
            let few = self.slowest.at(ts);
            if few.takes(latency)
                && let Some(line) = lines.line(moment)
            {
                few.put(Call { latency, ended: ts, line });
            }
        }
        Ok(())
    }

    fn unwanted(&mut self, moment: &Moment<'_>) -> io::Result<()> {
        self.calls.top.unwanted(moment);
        self.names.top.unwanted(moment);
        self.files.top.unwanted(moment);
        self.peers.top.unwanted(moment);
        self.tree.event(moment, false).map_err(io::Error::other)
    }

    fn end_capture(&mut self, now: Now<'_>) {
        self.calls.top.end_capture(now);
        self.names.top.end_capture(now);
        self.files.top.end_capture(now);
        self.peers.top.end_capture(now);
        self.waiting.end_capture(now);
        self.tree.end_capture(now);
        self.span = self.span.map(|(from, to)| (from, to.max(now.ts)));
    }

    fn finish(&mut self) {
        let end = self.span.map_or(0, |(_, to)| to);
        self.calls.top.finish(end);
        self.names.top.finish(end);
        self.files.top.finish(end);
        self.peers.top.finish(end);
    }
}

impl View for CollectView {
    fn event(&mut self, moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.look(moment);
        let Some(own) = &mut self.own else { return Ok(()) };
        own.event(moment, &mut self.lines)?;
        self.slowest.event(moment, |moment| Some((moment.event().ts(), self.lines.line(moment)?)));
        Ok(())
    }

    fn unwanted(&mut self, moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.look(moment);
        let Some(own) = &mut self.own else { return Ok(()) };
        own.waiting.event(moment, false).map_err(io::Error::other)?;
        own.unwanted(moment)
    }

    fn before(&mut self, moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.look(moment);
        let Some(own) = &mut self.own else { return Ok(()) };
        own.waiting.skip(moment.event().ts());
        own.unwanted(moment)
    }

    fn end(&mut self, now: Now<'_>, _out: &mut dyn Write) -> io::Result<()> {
        // Numbers of sections start anew with each capture.
        self.section = 0;
        if let Some(own) = &mut self.own {
            own.end_capture(now);
        }
        self.slowest.end_capture(now, |moment| Some((moment.event().ts(), self.lines.line(moment)?)));
        Ok(())
    }

    fn finish(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        let slowest = std::mem::replace(&mut self.slowest, Slowest::new(0, false));
        if let Some(mut own) = self.own.take() {
            own.finish();
            own.slowest_of_all = slowest.into_sorted();
            *self.collected.lock().unwrap_or_else(PoisonError::into_inner) = Some(own);
        }
        Ok(())
    }

    fn keep(&self) -> Keep {
        Keep::All
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::All
    }
}
