//! Accounts for every marked call: it is in a file, or counted by the ledger, or made while nothing recorded it.
//!
//! Calls are numbered, so missing events are holes in a stream (a thread's enter or exit events). A window, in which
//! the daemon did not record such calls, explains the part of a hole inside it. The rest must match the gap notices in
//! the files: by number, event type and time.
//!
//! The edges of a window are call numbers, read from the generators' memory before it starts and after it ends, so only
//! the times of gaps depend on clocks.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use scap::events::EventType;

use crate::{
    capture::{Capture, Gap, Hole, Stream},
    shared::Call,
};

/// Tolerance for a gap's times, whose clock differs from that of events (ns).
const SLACK: u64 = 50_000_000;
/// A gap lasts up to a second, and is reported a little later: later losses before a `kill -9` go unreported (ns).
const UNTOLD: u64 = 2_500_000_000;
/// Maximum time until events are in the file, unless the disk gives trouble (ns).
const FLUSHED: u64 = 2_000_000_000;

/// Calls that were not recorded: a range of numbers per thread.
#[derive(Debug, Clone)]
pub struct Window {
    pub cause: &'static str,
    /// Only calls of this kind.
    pub only: Option<Call>,
    pub numbers: Vec<Range<u64>>,
}

impl Window {
    /// Creates a window, from the first call not `done` when it opens to the last one `begun` when it closes.
    pub fn new(cause: &'static str, only: Option<Call>, done: &[u64], begun: &[u64]) -> Window {
        Window { cause, only, numbers: done.iter().zip(begun).map(|(done, begun)| *done..*begun).collect() }
    }

    fn covers(&self, stream: Stream) -> Range<u64> {
        let numbers = self.numbers.get(stream.thread).cloned().unwrap_or(0..0);
        if self.only.is_none_or(|call| call == Call::of(stream.thread)) { numbers } else { 0..0 }
    }
}

/// A daemon's life from start to end.
#[derive(Debug, Clone, Default)]
pub struct Lifetime {
    /// Start time, in ns since the epoch.
    pub started: u64,
    /// Per thread, the number of calls begun when it was ready.
    pub from: Vec<u64>,
    /// Per thread, the first call not done when it was told to end.
    pub to: Vec<u64>,
    /// Time of its kill (ns since the epoch), if it was killed.
    pub killed: Option<u64>,
    /// Whether it could not write at the end.
    pub troubled: bool,
}

/// The account of the marked calls' events.
#[derive(Debug, Default)]
pub struct Account {
    /// Expected events.
    pub expected: u64,
    pub captured: u64,
    /// Missing and reported by the ledger; by cause in `causes`.
    pub lost: u64,
    pub causes: BTreeMap<&'static str, u64>,
    /// Missing, by window.
    pub windows: BTreeMap<&'static str, u64>,
    /// Not flushed when the daemon was killed, and the longest time before a kill that is missing for it (ns).
    pub unflushed: u64,
    pub longest_unflushed: u64,
    /// Lost shortly before a kill, too late for a gap notice.
    pub untold: u64,
    /// Number of sums by lifetime and event type with losses, and how many of them match exactly.
    pub sums: u64,
    pub equal: u64,
    pub violations: Vec<String>,
}

/// Missing events of a lifetime by event type, and the losses that its gaps report.
#[derive(Debug, Default)]
struct Balance {
    missing: BTreeMap<EventType, u64>,
    /// Missing for another reason, at a time when losses may also have been counted.
    otherwise: BTreeMap<EventType, u64>,
    told: BTreeMap<EventType, u64>,
    untyped: u64,
    gaps: Vec<Gap>,
    last_time: u64,
}

/// Draws up the account of all files. `total` is the number of calls of each thread.
pub fn account(
    mut captures: Vec<Capture>,
    lifetimes: &[Lifetime],
    windows: &[Window],
    total: &[u64],
) -> Account {
    captures.retain(|capture| capture.first_time > 0);
    captures.sort_by_key(|capture| capture.first_time);
    let mut account = Account::default();
    let mut balances: Vec<Balance> = lifetimes.iter().map(|_| Balance::default()).collect();
    for capture in &captures {
        let Some(balance) = lifetime_at(lifetimes, capture.first_time).and_then(|i| balances.get_mut(i))
        else {
            account.violations.push(format!("{}: older than the first daemon", capture.name));
            continue;
        };
        balance.last_time = balance.last_time.max(capture.last_time);
        for gap in &capture.gaps {
            balance.tell(gap);
            for (cause, count) in gap.losses.iter() {
                *account.causes.entry(cause.text()).or_default() += count;
            }
        }
    }
    for stream in Stream::all() {
        let total = total.get(stream.thread).copied().unwrap_or(0);
        account.expected += total;
        for hole in account.holes(&captures, stream, total) {
            account.explain(stream, hole, lifetimes, windows, &mut balances);
        }
    }
    for (index, (lifetime, balance)) in lifetimes.iter().zip(&balances).enumerate() {
        account.compare(index, balance);
        let Some(killed) = lifetime.killed.filter(|_| !lifetime.troubled) else { continue };
        let unflushed = killed.saturating_sub(balance.last_time);
        account.longest_unflushed = account.longest_unflushed.max(unflushed);
        if unflushed > FLUSHED {
            let seconds = unflushed as f64 / 1e9;
            account
                .violations
                .push(format!("daemon {index}: the last {seconds:.1} s before it was killed are missing"));
        }
    }
    account
}

fn lifetime_at(lifetimes: &[Lifetime], time: u64) -> Option<usize> {
    lifetimes.iter().rposition(|lifetime| lifetime.started <= time)
}

impl Account {
    /// Returns all missing calls of a stream.
    fn holes(&mut self, captures: &[Capture], stream: Stream, total: u64) -> Vec<Hole> {
        let (mut next, mut after) = (0, 0);
        let mut holes = Vec::new();
        for capture in captures {
            let Some(run) = capture.runs.get(&stream) else { continue };
            self.captured += run.count;
            if run.first < next {
                let what = format!("{}: {stream:?}: {} again, after {}", capture.name, run.first, next - 1);
                self.violations.push(what);
                continue;
            }
            if run.first > next {
                holes.push(Hole { numbers: next..run.first, after, before: run.first_time });
            }
            holes.extend(run.holes.iter().cloned());
            (next, after) = (run.last + 1, run.last_time);
        }
        if next < total {
            holes.push(Hole { numbers: next..total, after, before: u64::MAX });
        } else if next > total {
            self.violations
                .push(format!("{stream:?}: call {} captured, but only {total} calls made", next - 1));
        }
        holes
    }

    fn explain(
        &mut self,
        stream: Stream,
        hole: Hole,
        lifetimes: &[Lifetime],
        windows: &[Window],
        balances: &mut [Balance],
    ) {
        let mut rest = vec![hole.numbers.clone()];
        let mut in_window = 0;
        for window in windows {
            let covered = window.covers(stream);
            let mut inside = 0;
            rest = rest.into_iter().flat_map(|part| without(part, &covered, &mut inside)).collect();
            if inside > 0 {
                *self.windows.entry(window.cause).or_default() += inside;
            }
            in_window += inside;
        }
        // Losses while the daemon ended may or may not have been counted and reported.
        if in_window > 0 {
            for (lifetime, balance) in lifetimes.iter().zip(balances.iter_mut()) {
                let span = lifetime.from[stream.thread]..=lifetime.to[stream.thread];
                if span.contains(&hole.numbers.start) || span.contains(&hole.numbers.end) {
                    *balance.otherwise.entry(stream.ty()).or_default() += in_window;
                }
            }
        }
        for part in rest {
            self.explain_part(stream, part, &hole, lifetimes, balances);
        }
    }

    /// Accounts for a part of a hole that no window explains.
    fn explain_part(
        &mut self,
        stream: Stream,
        part: Range<u64>,
        hole: &Hole,
        lifetimes: &[Lifetime],
        balances: &mut [Balance],
    ) {
        let count = part.end - part.start;
        let thread = stream.thread;
        let found = lifetimes
            .iter()
            .zip(balances)
            .find(|(l, _)| l.from[thread] <= part.start && part.end <= l.to[thread]);
        let Some((lifetime, balance)) = found else {
            self.violations.push(format!("{stream:?}: {part:?} missing, not within the life of one daemon"));
            return;
        };
        if lifetime.killed.is_some() {
            let is_tail = part.end == lifetime.to[thread];
            if is_tail || hole.before.saturating_add(UNTOLD) >= balance.last_time {
                *balance.otherwise.entry(stream.ty()).or_default() += count;
                if is_tail {
                    self.unflushed += count;
                } else {
                    self.untold += count;
                }
                return;
            }
        }
        *balance.missing.entry(stream.ty()).or_default() += count;
        self.lost += count;
        let is_told = |gap: &Gap| {
            gap.from <= hole.before.saturating_add(SLACK) && gap.to.saturating_add(SLACK) >= hole.after
        };
        if !balance.gaps.iter().any(is_told) {
            let Hole { after, before, .. } = hole;
            self.violations.push(format!(
                "{stream:?}: {part:?} missing (between {after} and {before}), and no gap covers that time"
            ));
        }
    }

    fn compare(&mut self, index: usize, balance: &Balance) {
        let of = |counts: &BTreeMap<EventType, u64>, ty| counts.get(&ty).copied().unwrap_or(0);
        let types: BTreeSet<_> = Stream::all().map(Stream::ty).collect();
        for ty in types {
            let (missing, told) = (of(&balance.missing, ty), of(&balance.told, ty));
            if missing == 0 && told == 0 {
                continue;
            }
            self.sums += 1;
            self.equal += u64::from(missing == told);
            let (at_most, otherwise) = (told + balance.untyped, of(&balance.otherwise, ty));
            if missing > at_most || told > missing + otherwise {
                self.violations.push(format!(
                    "daemon {index}, event type {}: {missing} missing (plus {otherwise} not recorded), \
                     but its gaps report {told} (plus {} without a type)",
                    ty.0, balance.untyped
                ));
            }
        }
    }
}

impl Balance {
    fn tell(&mut self, gap: &Gap) {
        for (ty, count) in &gap.types {
            *self.told.entry(*ty).or_default() += count;
        }
        self.untyped += gap.untyped();
        self.gaps.push(gap.clone());
    }
}

/// Returns a range without another one, and adds the size of their overlap to `common`.
fn without(part: Range<u64>, covered: &Range<u64>, common: &mut u64) -> Vec<Range<u64>> {
    let start = covered.start.clamp(part.start, part.end);
    let end = covered.end.clamp(start, part.end);
    *common += end - start;
    [part.start..start, end..part.end].into_iter().filter(|range| !range.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use scap::ledger::{Cause, Losses};

    use super::*;
    use crate::{
        capture::{Run, Side},
        shared::THREADS,
    };

    const CALLS: u64 = 100;

    fn lifetime(killed: Option<u64>) -> Lifetime {
        Lifetime { started: 1, from: vec![0; THREADS], to: vec![CALLS; THREADS], killed, troubled: false }
    }

    /// A complete file, except for `missing` exits of thread 0.
    fn capture(missing: Range<u64>, told: u64) -> Capture {
        let mut capture =
            Capture { name: "f".into(), first_time: 10, last_time: 10_000_000_000, ..Capture::default() };
        for stream in Stream::all() {
            let full = Run {
                first: 0,
                first_time: 10,
                last: CALLS - 1,
                last_time: 10_000_000_000,
                count: CALLS,
                holes: Vec::new(),
            };
            capture.runs.insert(stream, full);
        }
        let run = capture.runs.get_mut(&hit()).unwrap();
        run.count -= missing.end - missing.start;
        if missing.end == CALLS {
            run.last = missing.start - 1;
        } else if !missing.is_empty() {
            run.holes.push(Hole { numbers: missing, after: 100, before: 200 });
        }
        if told > 0 {
            let mut losses = Losses::default();
            losses.add(Cause::RingFull, told);
            capture.gaps.push(Gap { from: 90, to: 210, losses, types: vec![(hit().ty(), told)] });
        }
        capture
    }

    fn hit() -> Stream {
        Stream { thread: 0, side: Side::Exit }
    }

    fn check(capture: Capture, killed: Option<u64>, windows: &[Window]) -> Account {
        account(vec![capture], &[lifetime(killed)], windows, &[CALLS; THREADS])
    }

    #[test]
    fn everything_is_there_or_told() {
        let all = check(capture(0..0, 0), None, &[]);
        assert!(all.violations.is_empty() && all.captured == all.expected, "{all:?}");
        let told = check(capture(5..8, 3), None, &[]);
        assert!(
            told.violations.is_empty() && told.lost == 3 && (told.sums, told.equal) == (1, 1),
            "{told:?}"
        );
    }

    #[test]
    fn too_little_too_much_and_nothing_told() {
        for told in [0, 2, 4] {
            assert!(!check(capture(5..8, told), None, &[]).violations.is_empty(), "{told}");
        }
        // At another time.
        let mut later = capture(5..8, 3);
        later.gaps[0].from = 1_000_000_000;
        later.gaps[0].to = 1_100_000_000;
        assert!(!check(later, None, &[]).violations.is_empty());
    }

    #[test]
    fn windows_explain_what_is_in_them() {
        let window = |numbers: Range<u64>, only| Window { cause: "w", only, numbers: vec![numbers; THREADS] };
        let inside = check(capture(5..8, 0), None, &[window(4..8, None)]);
        assert!(inside.violations.is_empty() && inside.windows["w"] == 3, "{inside:?}");
        assert!(!check(capture(5..8, 0), None, &[window(6..9, None)]).violations.is_empty());
        assert!(!check(capture(5..8, 0), None, &[window(4..8, Some(Call::Openat2))]).violations.is_empty());
    }

    #[test]
    fn a_kill_takes_the_end_only() {
        let end = check(capture(90..CALLS, 0), Some(10_500_000_000), &[]);
        assert!(end.violations.is_empty() && end.unflushed == 10, "{end:?}");
        assert_eq!(end.longest_unflushed, 500_000_000);
        assert!(!check(capture(50..60, 0), Some(10_500_000_000), &[]).violations.is_empty());
    }

    #[test]
    fn a_file_that_comes_twice() {
        let twice = vec![capture(0..0, 0), capture(0..0, 0)];
        let account = account(twice, &[lifetime(None)], &[], &[CALLS; THREADS]);
        assert_eq!(account.violations.len(), Stream::all().count());
    }
}
