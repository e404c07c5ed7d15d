//! A series before it begins.

use std::{collections::VecDeque, fs::File, sync::Arc, time::Duration};

use jiff::tz::TimeZone;

use super::{Files, make};
use crate::output::{
    OutputError, OutputTotals, Target,
    series::{
        Pattern, Series, StateSource,
        keeper::Keeper,
        partial::Partial,
        store::{SharedStore, Store},
    },
};
use scap::ledger::Verdict;

/// A series whose first file exists, still empty. Files of earlier recordings are untouched. Dropping it removes the
/// empty file.
#[derive(Debug)]
pub struct ReservedFiles {
    series: Series,
    compress: bool,
    began: u64,
    state: StateSource,
    store: SharedStore,
    /// The first file, until the series begins.
    first: Option<(Partial, File)>,
}

impl ReservedFiles {
    /// Creates the first file. The caller submits the machine state of this one; `state` supplies that of each later
    /// file. `now` is in ns since the epoch.
    ///
    /// # Errors
    /// [`OutputError::Create`] if the file cannot be created.
    pub fn new(
        pattern: Pattern,
        series: &Series,
        compress: bool,
        now: u64,
        state: StateSource,
    ) -> Result<ReservedFiles, OutputError> {
        let store = SharedStore::new(Store::open(pattern, series.retention));
        let first = Some(make(&store, now, &TimeZone::system())?);
        Ok(ReservedFiles { series: series.clone(), compress, began: now, state, store, first })
    }

    /// Begins the series: from now on files are closed, repaired and deleted.
    ///
    /// # Errors
    /// [`OutputError::Thread`] if no thread can be started.
    pub fn begin(mut self) -> Result<Files, OutputError> {
        let target = Target::File(self.store.lock().pattern().path());
        let keeper = Keeper::spawn(&self.series, self.store.clone())
            .map_err(|source| OutputError::Thread { target, source })?;
        let state = std::mem::replace(&mut self.state, StateSource::new(Vec::new));
        let mut files = Files {
            series: self.series.clone(),
            compress: self.compress,
            zone: TimeZone::system(),
            state,
            store: self.store.clone(),
            keeper,
            current: None,
            held: VecDeque::new(),
            began: self.began,
            opened: 0,
            earlier: Verdict::default(),
            before: OutputTotals::default(),
            selected: String::new(),
            filter: String::new(),
            redacted: String::new(),
            latest: 0,
            ended: false,
            trouble: None,
            backoff: Duration::ZERO,
            scanning: Arc::default(),
            closing: Arc::default(),
            closing_since: None,
        };
        if let Some((partial, file)) = self.first.take() {
            files.write_to(partial, file)?;
        }
        Ok(files)
    }
}

impl Drop for ReservedFiles {
    fn drop(&mut self) {
        if let Some((partial, _)) = &self.first {
            // The next recorder removes the empty file if this one cannot.
            let _ = partial.remove();
        }
    }
}
