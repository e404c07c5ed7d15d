//! The progress line of a recording on a terminal.

use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use super::drain::Drain;
use crate::probe::Active;

const INTERVAL: Duration = Duration::from_millis(200);

/// A progress line on stderr, shown only on a terminal.
pub struct ProgressLine {
    bar: ProgressBar,
    started: Instant,
    shown: Instant,
    events: u64,
    rate: f64,
}

impl ProgressLine {
    pub fn new(quiet: bool, target: &str) -> ProgressLine {
        let bar =
            if quiet || !stderr().is_terminal() { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}  {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(target.to_owned());
        let now = Instant::now();
        ProgressLine { bar, started: now, shown: now, events: 0, rate: 0.0 }
    }

    /// Updates the line, at most every 200 ms.
    pub fn show(&mut self, active: &Active, drain: &Drain) {
        let since = self.shown.elapsed();
        if self.bar.is_hidden() || since < INTERVAL {
            return;
        }
        let events = drain.events();
        self.rate = (events - self.events) as f64 / since.as_secs_f64();
        self.events = events;
        self.shown = Instant::now();
        self.bar.set_message(format!(
            "{:.1} s  {} events  {}/s  {} lost  {}",
            self.started.elapsed().as_secs_f64(),
            HumanCount(events),
            HumanCount(self.rate as u64),
            HumanCount(active.probe().totals().lost()),
            HumanBytes(drain.progress().bytes_out()),
        ));
        self.bar.tick();
    }

    /// Clears the line.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
