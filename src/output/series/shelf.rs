//! Files of a series that are written one by one, whenever there is one to write, and each of which has its own state.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use jiff::tz::TimeZone;

use super::{
    Pattern, Series, SeriesReport,
    current::{Current, notice},
    files::{PATIENCE, RETRY, make, may_pass, no_room},
    keeper::{Closed, Keeper, chain},
    seal,
    store::{SharedStore, Store},
};
use crate::{
    folder::{Folder, Whereabouts},
    output::{Output, OutputError, Target, sink::Sink},
};
use scap::{
    format::frame_event,
    ledger::{self, Cut, Verdict},
};

/// Writes such files, and keeps them as a series: names, manifests, hooks, retention, and what was left behind.
#[derive(Debug)]
pub struct Shelf {
    series: Series,
    compress: bool,
    zone: TimeZone,
    store: SharedStore,
    keeper: Keeper,
}

/// A file that is being written.
#[derive(Debug)]
pub struct ShelfFile(Current);

impl Shelf {
    /// How long to wait before an attempt to write is repeated, and how long a recording that ends waits.
    pub const RETRY: Duration = RETRY;
    /// How long the end of a recording waits for a failing disk.
    pub const PATIENCE: Duration = PATIENCE;

    /// Checks that files can be created, and changes nothing.
    ///
    /// # Errors
    /// [`OutputError::Create`] if they cannot.
    pub fn check(pattern: &Pattern) -> Result<(), OutputError> {
        let can_create = Folder::open(pattern.dir()).and_then(|folder| folder.can_create());
        can_create.map_err(|e| OutputError::create(&Target::File(pattern.path()), e))
    }

    /// Starts the thread that closes files, repairs what was left behind, and deletes as retention says.
    ///
    /// # Errors
    /// [`OutputError::Thread`] if no thread can be started.
    pub fn open(pattern: Pattern, series: &Series, compress: bool) -> Result<Shelf, OutputError> {
        let target = Target::File(pattern.path());
        let store = SharedStore::new(Store::open(pattern, series.retention));
        let keeper =
            Keeper::spawn(series, store.clone()).map_err(|source| OutputError::Thread { target, source })?;
        Ok(Shelf { series: series.clone(), compress, zone: TimeZone::system(), store, keeper })
    }

    /// Returns the pattern of the names.
    pub fn target(&self) -> Target {
        Target::File(self.store.lock().pattern().path())
    }

    /// Returns the report on the files.
    pub fn report(&self) -> Arc<SeriesReport> {
        self.keeper.report()
    }

    /// Creates a file with the name of that time, in ns since the epoch.
    ///
    /// # Errors
    /// [`OutputError::Create`].
    pub fn begin(&self, at: u64) -> Result<ShelfFile, OutputError> {
        let (partial, file) = make(&self.store, at, &self.zone)?;
        let sink = Sink::own(file).map_err(|e| OutputError::create(&self.target(), e))?;
        let now = Instant::now();
        Ok(ShelfFile(Current {
            output: Output::over(Target::File(partial.path.clone()), sink, self.compress),
            partial,
            balance: Verdict::default(),
            began: at,
            opened: now,
            looked: now,
            // A file is cut off after an error: the thread that closes it reads it once more.
            sum: None,
            state: 0,
        }))
    }

    /// Writes whole blocks with that many events. After an error, the file holds what was written before, as far as
    /// [`ShelfFile::settled`] says.
    ///
    /// # Errors
    /// As for [`Output::write`]; [`OutputError::Missing`] if another process has moved or removed the file.
    pub fn put(&self, file: &mut ShelfFile, blocks: &[u8], events: u64) -> Result<(), OutputError> {
        let current = &mut file.0;
        if self.report().no_room.load(Ordering::Relaxed) {
            return Err(current.output.error(no_room(self.series.retention.free)));
        }
        let whereabouts = current.output.whereabouts(&current.partial);
        if whereabouts != Whereabouts::There {
            let became = if whereabouts == Whereabouts::Moved { "moved away" } else { "removed" };
            let path = current.partial.path.clone();
            return Err(OutputError::Missing { target: self.target(), path, became });
        }
        current.output.write(blocks, events)
    }

    /// Ends a file with its balance, and with a notice of what it lacks where that was cut off, and gives it to the thread that
    /// closes it. `began` and `at` are when its first event and
    /// its end were, in ns since the epoch.
    ///
    /// # Errors
    /// As for [`Output::write`]; the file is returned with the error.
    pub fn close(
        &self,
        mut file: ShelfFile,
        verdict: Verdict,
        cut: Option<&Cut>,
        (began, at): (u64, u64),
    ) -> Result<(), Box<(ShelfFile, OutputError)>> {
        let verdict = seal(verdict);
        let mut last = notice(&verdict, at);
        if let Some(cut) = cut {
            frame_event(&mut last.bytes, 0, &ledger::notice_of(ledger::CUT, &cut.text(), at, 0));
        }
        let output = &mut file.0.output;
        if let Err(error) = output.write(&last.bytes, 0).and_then(|()| output.flush()) {
            return Err(Box::new((file, error)));
        }
        self.hand_over(file, Some(verdict), (began, at));
        Ok(())
    }

    /// Gives up a file of which a part is written. That part stays, without a balance.
    pub fn give_up(&self, file: ShelfFile, span: (u64, u64)) {
        self.hand_over(file, None, span);
    }

    fn hand_over(&self, ShelfFile(current): ShelfFile, verdict: Option<Verdict>, span: (u64, u64)) {
        let whereabouts = current.output.whereabouts(&current.partial);
        let Current { output, partial, sum, .. } = current;
        self.keeper.close(Closed { output, partial, whereabouts, span, verdict, sum });
    }

    /// Removes a file that was begun.
    pub fn discard(&self, ShelfFile(current): ShelfFile) {
        // Another process may have removed it.
        let _ = current.partial.remove();
        self.store.lock().ended(&current.partial.path, None);
    }

    /// Returns whether an error may go away, so that another attempt makes sense, and makes room if that is what lacks and
    /// retention allows it. An error without remedy ends in a message.
    pub fn may_recover(&self, error: &OutputError) -> bool {
        if matches!(error, OutputError::NoSpace { .. }) {
            self.store.lock().make_room();
        }
        may_pass(error) || matches!(error, OutputError::Missing { .. })
    }

    /// Notes whether writing waits for the disk.
    pub fn set_waiting(&self, is_waiting: bool) {
        self.keeper.report().waiting.store(is_waiting, Ordering::Relaxed);
    }

    /// Returns an error with its cause, for a message.
    pub fn explain(error: &OutputError) -> String {
        chain(error)
    }
}

impl ShelfFile {
    /// Returns how many bytes of the blocks are safely in the file, before compression.
    pub fn settled(&self) -> u64 {
        self.0.output.totals().bytes_in
    }

    /// Returns the path that it gets when it is closed, unless another process takes it first.
    pub fn becomes(&self) -> PathBuf {
        self.0.partial.path.with_file_name(&self.0.partial.name)
    }

    /// Returns the bytes of the file, after compression.
    pub fn bytes(&self) -> u64 {
        self.0.output.totals().bytes_out
    }
}
