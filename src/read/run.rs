//! Going through captures: the events of one after the other, those that are wanted to a view.

use std::{
    io::{self, Read, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use indicatif::HumanCount;

use super::{
    ReadArgs, Stopped,
    inputs::Input,
    live::{Live, Waiting},
    slice::SliceView,
};
use crate::{
    escape::escaped,
    print::{DependsOn, PrintError, View},
};
use scap::{
    events::{EVENTS, EventType},
    filter::Matcher,
    format::{EventView, ReadError, Reader},
    ledger::{self, NOTIFICATION, Notice},
    replay::{Moment, Position, Replay},
};

/// Where a run writes to.
pub(super) trait Sink: Write {
    /// Takes the start of a capture.
    ///
    /// # Errors
    /// If what was written before cannot go on.
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Takes the place of the next event, or of the end, in the uncompressed capture, in bytes. Returns the stretch of the
    /// capture in which it lies.
    ///
    /// # Errors
    /// If what was written before cannot go on.
    fn reach(&mut self, _offset: u64) -> io::Result<Stretch> {
        Ok(Stretch { is_shown: true, end: u64::MAX })
    }

    /// Takes it that an event was shown that counts.
    fn count(&mut self) {}
}

/// A stretch of a capture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    /// Whether its events are shown.
    pub is_shown: bool,
    /// Where it ends at the earliest, in bytes of the uncompressed capture.
    pub end: u64,
}

/// All of what is written, as it is.
pub(super) struct Whole<W>(pub W);

impl<W: Write> Write for Whole<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> Sink for Whole<W> {}

/// A run over captures.
pub(super) struct Run<'a> {
    args: &'a ReadArgs,
    view: Box<dyn View>,
    matcher: Option<Matcher>,
    /// The times to show, in ns since the epoch, once the first event is known.
    span: Option<(u64, u64)>,
    /// How many more events may be shown.
    left: u64,
    position: Position,
    has_warned: bool,
    has_begun: bool,
    /// Something was shown since the output was flushed.
    is_unflushed: bool,
    /// By type: whether no event of it is shown, once that is known.
    excluded: Vec<Option<bool>>,
    /// How many events the recorder lost in this time, if the view does not show it.
    lost: u64,
}

impl<'a> Run<'a> {
    pub fn new(args: &'a ReadArgs, span: Option<(u64, u64)>) -> Result<Run<'a>, PrintError> {
        let view: Box<dyn View> = match &args.slice {
            Some(to) => {
                let slice = SliceView::new(to, &args.files, args.wanted.all);
                Box::new(slice.map_err(|e| PrintError::Write(io::Error::other(e)))?)
            }
            None => args.form.view(),
        };
        Ok(Run::of(args, span, view))
    }

    fn of(args: &'a ReadArgs, span: Option<(u64, u64)>, view: Box<dyn View>) -> Run<'a> {
        let mut excluded = vec![None; EVENTS.len()];
        if view.hides_losses()
            && let Some(notices) = excluded.get_mut(usize::from(NOTIFICATION.0))
        {
            *notices = Some(false);
        }
        Run {
            args,
            view,
            matcher: args.wanted.matcher(),
            span,
            left: args.limit.unwrap_or(u64::MAX),
            position: Position::default(),
            has_warned: false,
            has_begun: false,
            is_unflushed: false,
            excluded,
            lost: 0,
        }
    }

    /// Returns the run of one of several jobs: what comes before the first event and behind the last one is not its matter, nor
    /// is the limit. One of them warns.
    pub fn of_job(args: &'a ReadArgs, span: Option<(u64, u64)>, view: Box<dyn View>, warns: bool) -> Run<'a> {
        Run { left: u64::MAX, has_warned: !warns, has_begun: true, ..Run::of(args, span, view) }
    }

    /// Shows the captures that `next` returns.
    pub fn captures(
        &mut self,
        mut next: impl FnMut() -> Result<Option<Input>, PrintError>,
        out: &mut impl Sink,
    ) -> Result<(), PrintError> {
        let mut shown = Ok(());
        while self.left > 0
            && shown.is_ok()
            && let Some(Input { path, bytes, is_growing, waiting }) = next()?
        {
            shown = match self.capture(&path, bytes, waiting, out) {
                // Its recorder has not finished the last event.
                Err(PrintError::Read { source: ReadError::Truncated { .. }, .. }) if is_growing => Ok(()),
                result => result,
            };
        }
        match shown {
            // What is before the damage has been shown.
            Ok(()) | Err(PrintError::Read { .. }) => shown.and(self.finish(out)),
            failed => failed,
        }
    }

    /// Shows a capture.
    pub fn capture(
        &mut self,
        path: &Path,
        input: impl Read,
        waiting: Waiting,
        out: &mut impl Sink,
    ) -> Result<(), PrintError> {
        if self.left == 0 {
            return Ok(());
        }
        out.begin().map_err(PrintError::Write)?;
        let Waiting { live, hurry } = waiting;
        let mut reader =
            Reader::new(input).map_err(|source| PrintError::Read { path: path.into(), source })?;
        let keep = self.args.wanted.keep().max(self.view.keep());
        reader = reader.keep(keep).max_state(self.args.max_state).hurry(hurry);
        let shown = self.events(path, &mut reader, live, out);
        out.reach(reader.offset()).map_err(PrintError::Write)?;
        shown
    }

    /// Writes what comes behind the last event.
    pub fn finish(&mut self, out: &mut impl Write) -> Result<(), PrintError> {
        self.begin(out).and_then(|()| self.view.finish(out)).map_err(PrintError::Write)
    }

    /// Returns how many events are missing, if the view does not show it; of a job, in its part.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn events<R: Read>(
        &mut self,
        path: &Path,
        reader: &mut Reader<R>,
        mut live: Option<Live>,
        out: &mut impl Sink,
    ) -> Result<(), PrintError> {
        let damaged = |source| PrintError::Read { path: path.into(), source };
        let keep = self.args.wanted.keep().max(self.view.keep());
        let needs_calls = self.args.wanted.asks_for_tasks() || self.view.needs_calls();
        let is_told_all = self.view.depends_on() == DependsOn::All;
        let mut replay = Replay::new(reader, keep, self.position).ignore_calls(!needs_calls);
        let ended = loop {
            let moment = match replay.next() {
                Ok(Some(moment)) => moment,
                Ok(None) => break Ok(()),
                Err(source) => break Err(damaged(source)),
            };
            if moment.turns_back && !std::mem::replace(&mut self.has_warned, true) {
                warn_of_order(path, moment.captured.section);
            }
            let stretch = self.stop().and_then(|()| out.reach(moment.captured.offset));
            let stretch = stretch.map_err(PrintError::Write)?;
            let is_excluded = self.moment(&moment, stretch.is_shown, out).map_err(PrintError::Write)?;
            if !moment.captured.more {
                let ts = moment.event().ts();
                self.pause(ts, live.as_mut(), out).map_err(PrintError::Write)?;
            }
            if self.left == 0 {
                return self.view.end(replay.now(), out).map_err(PrintError::Write);
            }
            // Often, the next ones are, too.
            if is_excluded && !is_told_all {
                self.pass(&mut replay, stretch);
            }
        };
        self.view.end(replay.now(), out).map_err(PrintError::Write)?;
        ended?;
        self.position = replay.position();
        self.view.end_capture(reader.state(), out).map_err(PrintError::Write)
    }

    /// Shows what is known, before the next event is waited for. The last one was at this time.
    fn pause(&mut self, ts: u64, live: Option<&mut Live>, out: &mut impl Write) -> io::Result<()> {
        if std::mem::take(&mut self.is_unflushed) {
            out.flush()?;
        }
        let (Some(live), Some(since)) = (live, self.view.waits_since()) else { return Ok(()) };
        let age = Duration::from_nanos(ts.saturating_sub(since));
        let patience = self.view.patience();
        if age < patience && live.has_more_within(patience - age) {
            return Ok(());
        }
        self.view.overdue(out)?;
        out.flush()
    }

    fn stop(&self) -> io::Result<()> {
        match self.args.signal.as_ref().map_or(0, |signal| signal.load(Relaxed)) {
            0 => Ok(()),
            signal => Err(io::Error::other(Stopped { signal })),
        }
    }

    /// Shows an event if it is wanted. Returns whether its place, time or type alone exclude it.
    fn moment(&mut self, moment: &Moment<'_>, is_shown: bool, out: &mut impl Sink) -> io::Result<bool> {
        let (from, to) = *self.span.get_or_insert_with(|| self.args.span.resolve(moment.first));
        let ts = moment.event().ts();
        if is_shown && moment.event().ty() == NOTIFICATION && self.view.hides_losses() {
            self.lost += lost(moment.event(), from, to);
        }
        if ts > to {
            self.left = 0;
            return Ok(true);
        }
        if !is_shown {
            if self.view.follows(moment.event(), true) {
                let is_wanted = ts >= from && self.args.wanted.has(moment, &mut self.matcher);
                self.view.of_others(moment, is_wanted)?;
            }
            return Ok(true);
        }
        if ts < from {
            self.view.before(moment, out)?;
            return Ok(true);
        }
        if !self.args.wanted.has(moment, &mut self.matcher) {
            self.view.unwanted(moment, out)?;
            return Ok(self.excludes(moment.event().ty()));
        }
        self.begin(out)?;
        self.view.event(moment, out)?;
        if self.view.counts(moment) {
            self.left -= 1;
            out.count();
        }
        self.is_unflushed = true;
        Ok(false)
    }

    /// Writes what comes before the first event, once.
    pub fn begin(&mut self, out: &mut impl Write) -> io::Result<()> {
        if std::mem::replace(&mut self.has_begun, true) { Ok(()) } else { self.view.begin(out) }
    }

    /// Returns whether it is known that no event of a type is shown. Notes it, once one was asked about.
    #[inline]
    fn excludes(&mut self, ty: EventType) -> bool {
        let Some(excluded) = self.excluded.get_mut(usize::from(ty.0)) else { return false };
        if excluded.is_none() {
            *excluded = self.args.wanted.excludes(ty, &self.matcher);
        }
        *excluded == Some(true)
    }

    /// Goes past events that are not shown.
    fn pass<R: Read>(&self, replay: &mut Replay<'_, R>, stretch: Stretch) {
        let Some((from, to)) = self.span else { return };
        replay.pass(|event, offset| {
            let is_excluded = || self.excluded.get(usize::from(event.ty().0)) == Some(&Some(true));
            offset < stretch.end
                && event.ts() <= to
                && (!stretch.is_shown || event.ts() < from || is_excluded())
                && !self.view.follows(event, !stretch.is_shown)
        });
    }
}

/// Says how many events are missing.
pub(super) fn warn_of_losses(lost: u64) {
    if lost > 0 {
        let lost = HumanCount(lost);
        tracing::warn!("{lost} events were lost by the recorder and are missing here; see scapd verify");
    }
}

/// Returns how many events were lost between two times, if a notice says so.
fn lost(event: &EventView<'_>, from: u64, to: u64) -> u64 {
    match ledger::parse(event) {
        Some(Notice::Gap(gap)) if gap.to >= from && gap.from <= to => gap.losses.sum(),
        _ => 0,
    }
}

fn warn_of_order(path: &Path, section: u32) {
    let file = escaped(path.as_os_str().as_bytes());
    tracing::warn!(
        "{file}: its captures are concatenated out of order: section {section} begins before section {} ends",
        section - 1
    );
}
