//! `scapd report`: captures as one page that is opened in a browser.
//!
//! `collect` is a form of [`read`] that adds up what the captures come to, with the summaries of `scap::summary`; `data`
//! says what the page gets of it, and in which shape; `page` writes the page around it.

mod bounds;
mod collect;
mod data;
mod packed;
mod page;
mod processes;
mod slowest;

use std::{
    io,
    sync::{Arc, atomic::AtomicUsize},
};

use crate::{
    escape::shown,
    output::{Made, Target},
    print::PrintError,
    read::{self, Form, ReadArgs},
};
use bounds::Limits;
use collect::{Collect, Groupings};
use data::About;

/// How large the page may be, in bytes.
pub const MOST_BYTES: usize = 3_000_000;

/// The arguments of [`report()`].
#[derive(Debug)]
pub struct ReportArgs {
    /// What is read, and which of it; its form does not matter.
    pub read: ReadArgs,
    /// Where the page goes.
    pub target: Target,
    /// The filter, as it was given.
    pub filter: Option<String>,
    /// The time from which events count, as it was given.
    pub from: Option<String>,
    /// The time up to which events count, as it was given.
    pub to: Option<String>,
    /// The command line of a `scapd top` that counts the same events, without times.
    pub command: String,
    /// The number of a signal that has come: nothing of the page is left then.
    pub signal: Option<Arc<AtomicUsize>>,
}

/// Reads captures, and writes the page.
///
/// # Errors
/// If a capture cannot be opened or read to its end, or if the page cannot be written. Of a damaged capture, the page has what is
/// before the damage, and says so.
pub fn report(args: ReportArgs) -> anyhow::Result<()> {
    let reserved = Made::reserve(args.target.clone(), false, &args.read.files)?;
    let collect = Arc::new(Collect::new(Groupings::new()?));
    let form = Form::Other(collect.clone());
    let about = About {
        files: args.read.files.iter().map(|file| shown(file)).collect(),
        command: args.command,
        filter: args.filter,
        from: args.from,
        to: args.to,
        damage: None,
    };
    let read_args = ReadArgs { form, signal: args.signal, progress: true, jobs: 1, ..args.read };
    let outcome = read::read(&read_args, &mut io::sink());
    let damage = match &outcome {
        Err(error @ PrintError::Read { .. }) => Some(chain(error)),
        _ => None,
    };
    // Of what is no capture, there is nothing to tell.
    let collected = collect.take().filter(|collected| outcome.is_ok() || collected.events > 0);
    let Some(collected) = collected else { return outcome.map_err(read::cause) };
    let about = About { damage, ..about };
    let mut text = String::new();
    for limits in Limits::all() {
        text = page::page(&data::json(&about, &collected, limits));
        if text.len() <= MOST_BYTES {
            break;
        }
    }
    let mut made = Made::open(reserved)?;
    made.write(text.as_bytes(), 0)?;
    made.finish()?;
    outcome.map_err(read::cause)
}

/// Returns an error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
