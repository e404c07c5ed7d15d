//! `scapd export`: captures in the forms of other programs, without the command line.
//!
//! An export is a form for [`crate::read`], as a summary is: what goes through captures is the same as for events.
//! What is exported gets its name when it is complete.

mod columns;
mod dataset;
mod events;
mod folded;
mod parquet;
pub mod perfetto;
mod shared;
mod tables;
#[cfg(test)]
mod tests;
mod text;

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};
use tempfile::TempDir;
use thiserror::Error;

use crate::{
    choice::{Choice, choices},
    escape::shown,
    folder::{Draft, Spot},
    output::Target,
    print::{PrintError, View},
    read::{self, Form, ReadArgs},
    salvage::PARTIAL,
};
use dataset::Dataset;
use folded::{StackForm, Stacks};
use perfetto::Trace;
use scap::{filter::FilterError, summary::Keys};
use shared::Shared;
use text::{LineForm, TextTable};

pub use folded::StackValue;

/// Returns the name of a machine's partition: `host=NAME`. What is no letter, digit, dot or dash is escaped as in addresses.
pub fn host_partition(name: &[u8]) -> String {
    dataset::host(name)
}

choices! {
    /// What a capture is exported to.
    pub enum ExportForm {
        Parquet = "parquet": "A folder with tables of Parquet: events, processes, connections, ledger",
        Csv = "csv": "The table of events as comma-separated values",
        Jsonl = "jsonl": "The table of events as JSON, an object a line",
        Folded = "folded": "Calls as stacks of processes, a line each, for flame graphs",
        Svg = "svg": "The same, drawn as a flame graph",
        Perfetto = "perfetto": "A trace for ui.perfetto.dev: processes, threads, calls, switches, counters",
    }
}

/// The arguments of [`export()`].
#[derive(Debug)]
pub struct ExportArgs {
    /// The captures, and which of their events. The form is not used.
    pub reading: ReadArgs,
    /// What they are exported to.
    pub form: ExportForm,
    /// Where that goes.
    pub target: Target,
    /// What stacks are wide by.
    pub value: StackValue,
    /// What stacks have below their processes.
    pub keys: Keys,
}

/// Why captures could not be exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// Something is there already.
    #[error("{} exists: remove it, or name another place", shown(path))]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// A folder cannot go to stdout.
    #[error("{} is a folder, which cannot go to stdout: name a path (-o PATH)", form.name())]
    IsFolder {
        /// The form.
        form: ExportForm,
    },
    /// It cannot be written. Nothing is left of it.
    #[error("cannot write {}", shown(path))]
    Write {
        /// The place.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl ExportError {
    fn at(path: &Path) -> impl Fn(io::Error) -> ExportError {
        move |source| match source.kind() {
            ErrorKind::AlreadyExists => ExportError::Exists { path: path.to_owned() },
            _ => ExportError::Write { path: path.to_owned(), source },
        }
    }
}

/// Exports captures. `out` is stdout.
///
/// # Errors
/// If a capture cannot be read to its end; what is before is exported then. If the export cannot be written; nothing is left of
/// it then.
pub fn export(args: ExportArgs, out: &mut impl Write) -> anyhow::Result<()> {
    match (args.form, args.target.clone()) {
        (ExportForm::Parquet, Target::File(path)) => to_folder(args.reading, &path),
        (form @ ExportForm::Parquet, Target::Stdout) => Err(ExportError::IsFolder { form }.into()),
        (_, Target::Stdout) => read_to(args, out).0.map_err(read::cause),
        (_, Target::File(path)) => to_file(args, &path),
    }
}

/// Makes the folder under another name beside it, and renames it in the end.
fn to_folder(reading: ReadArgs, path: &Path) -> anyhow::Result<()> {
    let failed = ExportError::at(path);
    // The rename tells it too, but only then.
    if fs::symlink_metadata(path).is_ok() {
        return Err(ExportError::Exists { path: path.to_owned() }.into());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    let folder =
        tempfile::Builder::new().prefix(&name).suffix(PARTIAL).tempdir_in(parent).map_err(&failed)?;
    let dataset = Shared::new(Dataset::new(folder.path()).map_err(&failed)?);
    let damage = match read_with(reading, &dataset, &mut io::sink()) {
        Ok(()) => None,
        Err(error @ PrintError::Read { .. }) => Some(error),
        Err(error) => return Err(cause(error, path)),
    };
    if (damage.is_none() || dataset.has_events())
        && let Some(dataset) = dataset.take()
    {
        dataset.finish(damage.as_ref().map(said).as_deref()).map_err(&failed)?;
        publish(folder, path, parent).map_err(&failed)?;
    }
    damage.map_or(Ok(()), |damage| Err(damage.into()))
}

/// Renames a folder that is complete. It replaces nothing.
fn publish(folder: TempDir, path: &Path, parent: &Path) -> io::Result<()> {
    match renameat_with(CWD, folder.path(), CWD, path, RenameFlags::NOREPLACE) {
        // Some network file systems lack the flag; rename(2) replaces no folder with entries.
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(folder.path(), path)?,
        renamed => renamed?,
    }
    // It has another name now.
    drop(folder.keep());
    File::open(parent)?.sync_all()
}

fn to_file(args: ExportArgs, path: &Path) -> anyhow::Result<()> {
    let failed = ExportError::at(path);
    let spot =
        Spot::find(path).map_err(&failed)?.ok_or_else(|| ExportError::Exists { path: path.to_owned() })?;
    if spot.stat().map_err(&failed)?.is_some() {
        return Err(ExportError::Exists { path: path.to_owned() }.into());
    }
    let draft = Draft::beside(&spot).map_err(&failed)?;
    let (result, has_events) = read_to(args, &mut draft.file());
    let damage = match result {
        Ok(()) => None,
        Err(error @ PrintError::Read { .. }) => Some(error),
        Err(error) => return Err(cause(error, path)),
    };
    if damage.is_none() || has_events {
        draft.rename_new(&spot.name).map_err(&failed)?;
    }
    damage.map_or(Ok(()), |damage| Err(damage.into()))
}

/// Writes one of the forms that have a start and an end. Returns also whether the captures had an event.
fn read_to(args: ExportArgs, out: &mut impl Write) -> (Result<(), PrintError>, bool) {
    fn with<V: View + Send + 'static>(
        reading: ReadArgs,
        view: Result<V, FilterError>,
        out: &mut impl Write,
    ) -> (Result<(), PrintError>, bool) {
        match view.map(Shared::new) {
            Ok(view) => (read_with(reading, &view, out), view.has_events()),
            Err(error) => (Err(PrintError::Write(io::Error::other(error))), false),
        }
    }
    let ExportArgs { reading, form, value, keys, .. } = args;
    match form {
        ExportForm::Csv => with(reading, TextTable::new(LineForm::Csv), out),
        ExportForm::Jsonl | ExportForm::Parquet => with(reading, TextTable::new(LineForm::Json), out),
        ExportForm::Folded => with(reading, Ok(Stacks::new(StackForm::Lines, value, keys)), out),
        ExportForm::Svg => with(reading, Ok(Stacks::new(StackForm::Svg, value, keys)), out),
        ExportForm::Perfetto => with(reading, Ok(Trace::default()), out),
    }
}

/// Reads captures with a view.
fn read_with<V: View + Send + 'static>(
    reading: ReadArgs,
    view: &Shared<V>,
    out: &mut impl Write,
) -> Result<(), PrintError> {
    read::read(&ReadArgs { form: Form::Other(Arc::new(view.share())), jobs: 1, ..reading }, out)
}

/// Returns an error of the output as one of this place.
fn cause(error: PrintError, path: &Path) -> anyhow::Error {
    match read::cause(error).downcast::<PrintError>() {
        Ok(PrintError::Write(source)) => ExportError::Write { path: path.to_owned(), source }.into(),
        Ok(other) => other.into(),
        Err(other) => other,
    }
}

/// Returns an error with its causes.
fn said(error: &PrintError) -> String {
    match error {
        PrintError::Read { source, .. } => format!("{error}: {source}"),
        other => other.to_string(),
    }
}
