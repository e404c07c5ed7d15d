//! The ledger of a capture as `scapd info` prints it: balances, gaps, clock steps and cuts.

use std::time::Duration;

use comfy_table::{CellAlignment, Table};
use serde_json::{Value as Json, json};

use super::{
    json::{ns, rfc3339},
    table::plain_table,
};
use crate::{balance::ToJson, escape};
use scap::{
    events::event,
    ledger::{
        ClockStep, Cut, Gap, Longer, Losses, Notice, Redacted, RuleCounts, SliceNote, Trigger, Verdict,
    },
    select::Asked,
};

/// The maximum number of each kind of notice to keep. Further gaps and clock steps are only counted.
const MAX_GAPS: usize = 100;

/// The ledger of a capture, collected from its notices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerSummary {
    /// The balance of each section that has one; at most 100.
    pub verdicts: Vec<Verdict>,
    /// The first 100 gaps.
    pub gaps: Vec<Gap>,
    /// The number of gaps.
    pub gap_count: u64,
    /// The first 100 steps of the wall clock.
    pub clock_steps: Vec<ClockStep>,
    /// The number of clock steps.
    pub clock_step_count: u64,
    /// Where repaired sections had ended; at most 100.
    pub cuts: Vec<Cut>,
    /// The recording's selection, unless it was everything, and each change of it; at most 100.
    pub asked: Vec<Asked>,
    /// The recording's filter, and each change of it; at most 100.
    pub filters: Vec<String>,
    /// What was overwritten in each section; at most 100.
    pub redacted: Vec<RuleCounts>,
    /// What the sections of a slice left out of their source; at most 100.
    pub slices: Vec<SliceNote>,
    /// What made a flight recorder write the capture; at most 100.
    pub triggers: Vec<Trigger>,
    /// From when on each section has everything, if that is later than its start; at most 100.
    pub longer: Vec<Longer>,
}

impl LedgerSummary {
    pub(crate) fn add(&mut self, notice: Notice) {
        match notice {
            Notice::Verdict(verdict) if self.verdicts.len() < MAX_GAPS => self.verdicts.push(verdict),
            Notice::Cut(cut) if self.cuts.len() < MAX_GAPS => self.cuts.push(cut),
            Notice::Selected(asked) if self.asked.len() < MAX_GAPS => self.asked.push(asked),
            Notice::Filter(text) if self.filters.len() < MAX_GAPS => self.filters.push(text),
            Notice::Redacted(rules) if self.redacted.len() < MAX_GAPS => self.redacted.push(rules),
            Notice::Slice(note) if self.slices.len() < MAX_GAPS => self.slices.push(note),
            Notice::Trigger(trigger) if self.triggers.len() < MAX_GAPS => self.triggers.push(trigger),
            Notice::Longer(longer) if self.longer.len() < MAX_GAPS => self.longer.push(longer),
            Notice::Verdict(_)
            | Notice::Cut(_)
            | Notice::Selected(_)
            | Notice::Filter(_)
            | Notice::Redacted(_)
            | Notice::Slice(_)
            | Notice::Trigger(_)
            | Notice::Longer(_) => {}
            Notice::Gap(gap) => {
                self.gap_count += 1;
                if self.gaps.len() < MAX_GAPS {
                    self.gaps.push(gap);
                }
            }
            Notice::Clock(step) => {
                self.clock_step_count += 1;
                if self.clock_steps.len() < MAX_GAPS {
                    self.clock_steps.push(step);
                }
            }
        }
    }

    pub(crate) fn to_json(&self) -> Json {
        json!({
            "balances": self.verdicts.iter().map(|verdict| json!({
                "complete": verdict.is_complete(),
                "seen": verdict.seen,
                "written": verdict.written,
                "lost": verdict.losses.sum(),
                "late": verdict.late,
                "unread": verdict.unread,
                "causes": verdict.losses.to_json(),
                "sample": verdict.is_sample(),
                "sample_ratio": verdict.sample_ratio,
                "left_out": verdict.left_out.to_json(),
                "redacted": verdict.redacted.to_json(),
            })).collect::<Vec<_>>(),
            "gap_count": self.gap_count,
            "gaps": self.gaps.iter().map(|gap| json!({
                "from": ns(gap.from),
                "from_time": rfc3339(gap.from),
                "to": ns(gap.to),
                "cpus": gap.cpus,
                "lost": gap.losses.sum(),
                "causes": gap.losses.to_json(),
            })).collect::<Vec<_>>(),
            "asked_for": self.asked.iter().map(Asked::to_string).collect::<Vec<_>>(),
            "filters": self.filters,
            "redacted": self.redacted.iter().map(ToJson::to_json).collect::<Vec<_>>(),
            "clock_step_count": self.clock_step_count,
            "clock_steps": self.clock_steps.iter().map(|step| json!({
                "at": step.at,
                "at_time": rfc3339(step.at),
                "by": step.by,
            })).collect::<Vec<_>>(),
            "triggers": self.triggers.iter().map(|trigger| json!({
                "by": trigger.by.key(),
                "at": trigger.at,
                "at_time": rfc3339(trigger.at),
                "after": trigger.after,
                "reason": trigger.reason,
            })).collect::<Vec<_>>(),
            "longer": self.longer.iter().map(ToJson::to_json).collect::<Vec<_>>(),
            "slices": self.slices.iter().map(ToJson::to_json).collect::<Vec<_>>(),
            "cuts": self.cuts.iter().map(ToJson::to_json).collect::<Vec<_>>(),
        })
    }

    /// Returns a table for each balance, and one each for the gaps, the clock steps and the cuts, if there are any.
    pub(super) fn tables(&self) -> Vec<Table> {
        let mut tables: Vec<_> = self.verdicts.iter().map(balance).collect();
        if !self.triggers.is_empty() {
            tables.push(self.trigger_table());
        }
        if !self.longer.is_empty() {
            tables.push(self.longer_table());
        }
        if !self.gaps.is_empty() {
            tables.push(self.gap_table());
        }
        if !self.clock_steps.is_empty() {
            tables.push(self.clock_table());
        }
        if !self.cuts.is_empty() {
            tables.push(self.cut_table());
        }
        tables
    }

    fn clock_table(&self) -> Table {
        let mut table = plain_table();
        table.set_header(["clock stepped at", "by"]);
        for step in &self.clock_steps {
            table.add_row([rfc3339(step.at).unwrap_or_default(), step.by_text()]);
        }
        let more = self.clock_step_count - self.clock_steps.len() as u64;
        if more > 0 {
            table.add_row([format!("… and {more} more")]);
        }
        align_right(&mut table, 1);
        table
    }

    fn trigger_table(&self) -> Table {
        let mut table = plain_table();
        table.set_header(["triggered at", "by", "reason"]);
        for trigger in &self.triggers {
            let time = rfc3339(trigger.at).unwrap_or_default();
            table.add_row([time, trigger.by.key().to_owned(), escape::escaped(trigger.reason.as_bytes())]);
        }
        table
    }

    fn longer_table(&self) -> Table {
        let mut table = plain_table();
        table.set_header(["everything from", "before, what changes the state, and"]);
        for Longer { until, filter } in &self.longer {
            table.add_row([rfc3339(*until).unwrap_or_default(), escape::escaped(filter.as_bytes())]);
        }
        table
    }

    fn cut_table(&self) -> Table {
        let mut table = plain_table();
        table.set_header(["repaired", "at byte", "bytes left out"]);
        for Cut { cause, offset, bytes } in &self.cuts {
            table.add_row([cause.text().to_owned(), offset.to_string(), bytes.to_string()]);
        }
        for column in [1, 2] {
            align_right(&mut table, column);
        }
        table
    }

    fn gap_table(&self) -> Table {
        let mut table = plain_table();
        table.set_header(["gap at", "duration", "CPUs", "lost", "causes", "most frequent"]);
        for gap in &self.gaps {
            let time = Duration::from_nanos(gap.to.saturating_sub(gap.from));
            let cpus: Vec<_> = gap.cpus.iter().map(ToString::to_string).collect();
            table.add_row([
                rfc3339(gap.from).unwrap_or_default(),
                format!("{:.1} ms", time.as_secs_f64() * 1e3),
                cpus.join(" "),
                gap.losses.sum().to_string(),
                causes(&gap.losses),
                most(gap),
            ]);
        }
        let more = self.gap_count - self.gaps.len() as u64;
        if more > 0 {
            table.add_row([format!("… and {more} more")]);
        }
        for column in [1, 3] {
            align_right(&mut table, column);
        }
        table
    }
}

fn balance(verdict: &Verdict) -> Table {
    let mut table = plain_table();
    table.set_header(["balance", "events"]);
    let mut row = |name: &str, count: u64| {
        table.add_row([name.to_owned(), count.to_string()]);
    };
    row("seen", verdict.seen);
    row("written", verdict.written);
    row("lost", verdict.losses.sum());
    for (cause, count) in verdict.losses.iter() {
        row(&format!("  {}", cause.text()), count);
    }
    if verdict.late > 0 {
        row("out of order", verdict.late);
    }
    if verdict.unread > 0 {
        row("after the limit", verdict.unread);
    }
    if verdict.is_sample() {
        row("left out by sampling", verdict.left_out.sampled);
    }
    if verdict.left_out.filtered > 0 {
        row("left out by the filter", verdict.left_out.filtered);
    }
    if verdict.left_out.sieved > 0 {
        row("left out in the kernel", verdict.left_out.sieved);
    }
    if verdict.left_out.evicted > 0 {
        row("gone before its time", verdict.left_out.evicted);
    }
    if verdict.left_out.passed > 0 {
        row("gone, their time over", verdict.left_out.passed);
    }
    if verdict.left_out.failed > 0 {
        row("failed, left out", verdict.left_out.failed);
    }
    if verdict.redacted != Redacted::default() {
        row("with overwritten values", verdict.redacted.events);
        row("overwritten values", verdict.redacted.values);
    }
    align_right(&mut table, 1);
    table
}

fn align_right(table: &mut Table, column: usize) {
    if let Some(column) = table.column_mut(column) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn causes(losses: &Losses) -> String {
    let causes: Vec<_> = losses.iter().map(|(cause, n)| format!("{} {n}", cause.text())).collect();
    causes.join(", ")
}

fn most(gap: &Gap) -> String {
    let types = gap.most.iter().map(|(ty, count)| {
        let direction = if ty.is_enter() { '>' } else { '<' };
        format!("{direction} {} {count}", event(*ty).map_or("unknown", |event| event.name))
    });
    types.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use scap::{
        events::event_by_program,
        ledger::{Cause, LeftOut},
    };

    fn losses() -> Losses {
        let mut losses = Losses::default();
        losses.add(Cause::RingFull, 7);
        losses
    }

    #[test]
    fn a_gap_and_the_balance_are_tables() {
        let mut ledger = LedgerSummary::default();
        assert!(ledger.tables().is_empty());
        let read_x = event_by_program("read_x").unwrap().ty;
        let gap = Gap {
            from: 1_000_000,
            to: 3_500_000,
            cpus: vec![0, 3],
            losses: losses(),
            most: vec![(read_x, 6)],
        };
        for _ in 0..=MAX_GAPS {
            ledger.add(Notice::Gap(gap.clone()));
        }
        let left_out = LeftOut { sampled: 8, ..LeftOut::default() };
        let verdict = Verdict { seen: 10, written: 3, losses: losses(), left_out, ..Verdict::default() };
        ledger.add(Notice::Verdict(verdict));
        ledger.add(Notice::Cut(Cut { offset: 1234, bytes: 17, ..Cut::default() }));
        for _ in 0..=MAX_GAPS {
            ledger.add(Notice::Clock(ClockStep { by: -1_500_000_000, at: 1_000_000 }));
        }
        let [balance, gaps, steps, cuts] = &ledger.tables()[..] else { panic!("not four tables") };
        let steps = steps.to_string();
        assert!(steps.contains("-1.500000 s") && steps.contains("and 1 more"), "{steps}");
        assert_eq!(ledger.to_json()["clock_steps"][0]["by"], -1_500_000_000);
        assert_eq!(ledger.to_json()["clock_step_count"], MAX_GAPS + 1);
        assert!(cuts.to_string().contains("not closed     1234              17"), "{cuts}");
        let balance = balance.to_string();
        for (name, count) in
            [("seen", "10"), ("written", "3"), ("lost", "7"), ("ring full", "7"), ("left out by", "8")]
        {
            let row = balance.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
            assert!(row.trim_end().ends_with(count), "{balance}");
        }
        let gaps = gaps.to_string();
        assert!(gaps.contains(&format!("{} 7", Cause::RingFull.text())), "{gaps}");
        assert!(gaps.contains("2.5 ms") && gaps.contains("0 3") && gaps.contains("< read 6"), "{gaps}");
        assert!(gaps.contains("and 1 more"), "{gaps}");
        assert!(!balance.contains("failed"), "{balance}");
        assert_eq!(ledger.to_json()["balances"][0]["left_out"]["sampled"], 8);
        assert_eq!(ledger.to_json()["gap_count"], MAX_GAPS + 1);
        assert_eq!(ledger.to_json()["cuts"][0]["bytes"], 17);
    }

    #[test]
    fn a_hundred_of_each_are_kept() {
        let mut ledger = LedgerSummary::default();
        let step = ClockStep { by: 1, at: 1 };
        let notices = || {
            let asked = Asked::parse("read", "exit", "none", "");
            let (verdict, cut) = (Notice::Verdict(Verdict::default()), Notice::Cut(Cut::default()));
            [verdict, cut, Notice::Selected(asked), Notice::Gap(Gap::default()), Notice::Clock(step)]
        };
        notices().into_iter().for_each(|notice| ledger.add(notice));
        let kept = |l: &LedgerSummary| {
            [l.verdicts.len(), l.cuts.len(), l.asked.len(), l.gaps.len(), l.clock_steps.len()]
        };
        assert_eq!(kept(&ledger), [1; 5]);
        assert_eq!(ledger.tables().len(), 4);
        // As many as are kept have no more.
        let more =
            |l: &LedgerSummary| l.tables().iter().filter(|table| table.to_string().contains("more")).count();
        assert_eq!(more(&ledger), 0);
        (0..MAX_GAPS + 4).for_each(|_| notices().into_iter().for_each(|notice| ledger.add(notice)));
        assert_eq!(kept(&ledger), [MAX_GAPS; 5]);
        assert_eq!((ledger.gap_count, ledger.clock_step_count), (105, 105));
        let (gaps, steps) = (ledger.gap_table().to_string(), ledger.clock_table().to_string());
        assert!(gaps.contains("and 5 more") && steps.contains("and 5 more"), "{gaps}{steps}");
    }

    #[test]
    fn a_balance_has_rows_of_what_there_is() {
        let rows = |verdict: Verdict| balance(&verdict).row_iter().count();
        let least = rows(Verdict::default());
        let left_out = |failed, sampled| Verdict {
            left_out: LeftOut { failed, sampled, ..LeftOut::default() },
            ..Verdict::default()
        };
        assert_eq!(rows(Verdict { late: 1, ..Verdict::default() }), least + 1);
        assert_eq!(rows(Verdict { unread: 1, ..Verdict::default() }), least + 1);
        assert_eq!(rows(Verdict { losses: losses(), ..Verdict::default() }), least + 1);
        assert_eq!((rows(left_out(1, 0)), rows(left_out(0, 1))), (least + 1, least + 1));
    }
}
