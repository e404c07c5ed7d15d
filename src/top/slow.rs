//! `scapd slow`: the slowest calls.

use std::io::{self, Write};

use serde_json::json;

use super::{table::OutputForm, units::time};
use crate::{
    escape::for_terminal,
    json::{VERSION, escape, safe},
    print::{Calls, DependsOn, MakeView, View, rfc3339},
};
use scap::{
    format::Keep,
    replay::{Moment, Now},
    summary::Slowest,
};

/// How the slowest calls are shown.
#[derive(Debug, Clone, Copy)]
pub struct SlowForm {
    /// How many.
    pub rows: usize,
    /// Also those that wait on purpose, as sleep and poll do.
    pub with_waits: bool,
    /// As text or JSON.
    pub form: OutputForm,
}

impl MakeView for SlowForm {
    fn view(&self) -> Box<dyn View> {
        let slowest = Slowest::new(self.rows, self.with_waits);
        Box::new(SlowView { form: self.form, slowest: Some(slowest), calls: Calls::new(false) })
    }
}

struct SlowView {
    form: OutputForm,
    /// `None` once they are shown.
    slowest: Option<Slowest<(u64, String)>>,
    calls: Calls,
}

impl View for SlowView {
    fn event(&mut self, moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        let Some(slowest) = &mut self.slowest else { return Ok(()) };
        slowest.event(moment, |moment| Some((moment.event().ts(), self.calls.line(moment)?)));
        Ok(())
    }

    fn end(&mut self, now: Now<'_>, _out: &mut dyn Write) -> io::Result<()> {
        let Some(slowest) = &mut self.slowest else { return Ok(()) };
        slowest.end_capture(now, |moment| Some((moment.event().ts(), self.calls.line(moment)?)));
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let mut page = String::new();
        for slow in self.slowest.take().map(Slowest::into_sorted).unwrap_or_default() {
            let (ts, line) = &slow.what;
            if self.form == OutputForm::Json {
                let start = if slow.has_ended { ts.saturating_sub(slow.latency) } else { *ts };
                let object = json!({
                    "v": VERSION,
                    "time": rfc3339(start),
                    "latency_ns": slow.latency,
                    "ended": slow.has_ended,
                    "call": line,
                });
                escape(&mut page, &format!("{}\n", safe(object)));
            } else {
                page.push_str(&format!("{:>8}  {}\n", time(slow.latency), for_terminal(line)));
            }
        }
        out.write_all(page.as_bytes())
    }

    fn keep(&self) -> Keep {
        Keep::All
    }

    fn hides_losses(&self) -> bool {
        true
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Shown
    }
}
