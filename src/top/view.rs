//! `scapd top`, `scapd errors`, `scapd files` and `scapd net`: groups of calls, at the end or again and again.

use std::{
    io::{self, Write},
    time::Duration,
};

use super::{
    parts::{Parts, Span},
    table::{OutputForm, Shown},
};
use crate::print::{Calls, DependsOn, Divided, MakeView, View};
use scap::{
    format::{EventView, Keep},
    replay::{Moment, Now},
    summary::{Column, Group, Keys, Outcome, Top, sort},
    text,
};

/// How groups of calls are shown.
#[derive(Debug, Clone)]
pub struct TopForm {
    /// What calls are grouped by.
    pub keys: Keys,
    /// What is shown of a group.
    pub columns: Vec<Column>,
    /// What groups are sorted by: the first one, then the others.
    pub sort: Vec<Column>,
    /// How many groups are shown at most.
    pub rows: Option<usize>,
    /// As text, JSON or CSV.
    pub form: OutputForm,
    /// Show the calls of each interval of this length, not of all.
    pub every: Option<Duration>,
    /// What else is special.
    pub kind: TopKind,
}

/// What is special about a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TopKind {
    /// Nothing.
    #[default]
    All,
    /// It has only calls that failed, and one of each group as an example.
    Failed,
    /// It is about what has the keys; how many calls have not is of no interest.
    Some,
}

impl MakeView for TopForm {
    fn view(&self) -> Box<dyn View> {
        let mut top = Top::new(self.keys.clone());
        if self.columns.contains(&Column::Connect) {
            top = top.with_connections();
        }
        let calls = (self.kind == TopKind::Failed).then(|| Calls::new(false));
        Box::new(TopView { calls, ..TopView::new(self.clone(), top, None) })
    }

    /// An interval, the first example of a group, and how long it took to connect depend on all events.
    fn divide(&self) -> Option<Box<dyn Divided>> {
        if self.every.is_some() || self.kind == TopKind::Failed || self.columns.contains(&Column::Connect) {
            return None;
        }
        let form = self.clone();
        let show = |top, span, out: &mut dyn Write| TopView::new(form, top, span).finish(out);
        Some(Box::new(Parts::new(self.keys.clone(), show)))
    }
}

struct TopView {
    shown: TopForm,
    top: Top,
    /// Writes the examples.
    calls: Option<Calls>,
    /// That of the interval.
    span: Span,
    has_shown: bool,
}

impl TopView {
    fn new(shown: TopForm, top: Top, span: Span) -> TopView {
        TopView { shown, top, calls: None, span, has_shown: false }
    }

    /// Takes the time of an event. Shows the interval before, if it is over.
    #[inline]
    fn reach(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        let ts = moment.event().ts();
        let Some((from, to)) = &mut self.span else {
            self.span = Some((ts, ts));
            return Ok(());
        };
        *to = ts.max(*to);
        match self.shown.every {
            Some(every) if ts.saturating_sub(*from) >= nanos(every) => self.interval(moment.now(), out),
            _ => Ok(()),
        }
    }

    /// Shows the interval that is over, and starts the one with this time.
    fn interval(&mut self, now: Now<'_>, out: &mut dyn Write) -> io::Result<()> {
        let (Some(every), Some((from, _))) = (self.shown.every, self.span) else { return Ok(()) };
        let over = now.ts.saturating_sub(from) / nanos(every) * nanos(every);
        self.span = Some((from, from + over));
        self.top.end_interval(now);
        self.show(out)?;
        self.top.clear();
        self.span = Some((from + over, now.ts));
        Ok(())
    }

    fn show(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let total = self.top.total();
        let mut groups: Vec<Group<'_>> = self.top.groups().collect();
        sort(&mut groups, &self.shown.sort);
        let all = groups.len();
        groups.truncate(self.shown.rows.unwrap_or(all));
        let by = self.shown.sort.first().copied().unwrap_or(Column::Total);
        let shown = Shown {
            keys: self.top.keys(),
            columns: &self.shown.columns,
            shared: by.shared(&total),
            groups: &groups,
            all,
            total: &total,
            without_key: if self.shown.kind == TopKind::All { self.top.without_key() } else { 0 },
            span: self.span,
        };
        let mut page = String::new();
        if self.shown.every.is_some() && self.shown.form == OutputForm::Text {
            page.push_str(if self.has_shown { "\n" } else { "" });
            if let Some((_, to)) = self.span {
                text::time_of_day(&mut page, to, text::local(), false);
                page.push('\n');
            }
        }
        shown.write(&mut page, self.shown.form);
        self.has_shown = true;
        out.write_all(page.as_bytes())?;
        if self.shown.every.is_some() { out.flush() } else { Ok(()) }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
}

impl View for TopView {
    fn event(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.reach(moment, out)?;
        let Some(calls) = &mut self.calls else { return self.top.event(moment).map_err(io::Error::other) };
        if Outcome::of(moment).is_some_and(|outcome| outcome.error().is_some()) {
            self.top.event(moment).map_err(io::Error::other)?;
            self.top.illustrate(|| calls.line(moment));
        }
        Ok(())
    }

    fn unwanted(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        if self.span.is_some() {
            self.reach(moment, out)?;
        }
        self.top.unwanted(moment);
        Ok(())
    }

    fn follows(&self, event: &EventView<'_>, is_of_others: bool) -> bool {
        self.top.follows(event, is_of_others)
    }

    fn waits_since(&self) -> Option<u64> {
        self.shown.every.and(self.span).map(|(from, _)| from)
    }

    fn patience(&self) -> Duration {
        self.shown.every.unwrap_or(Duration::MAX)
    }

    fn overdue(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let (Some(every), Some((from, _))) = (self.shown.every, self.span) else { return Ok(()) };
        let to = from + nanos(every);
        self.span = Some((from, to));
        self.show(out)?;
        self.top.clear();
        self.span = Some((to, to));
        Ok(())
    }

    fn end(&mut self, now: Now<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.top.end_capture(now);
        if let Some((_, to)) = &mut self.span {
            *to = now.newest();
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.top.finish(self.span.map_or(0, |(_, to)| to));
        self.show(out)
    }

    fn keep(&self) -> Keep {
        // Examples have arguments.
        if self.calls.is_some() { Keep::All } else { self.shown.keys.keep() }
    }

    fn hides_losses(&self) -> bool {
        true
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Shown
    }
}
