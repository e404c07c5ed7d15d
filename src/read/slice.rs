//! `scapd read -w`: the wanted events as a capture.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use crate::{
    output::{Made, OutputError, Reserved, Target},
    print::View,
};
use scap::{
    format::{Keep, MachineState},
    replay::Moment,
    slice::Slice,
};

/// How many bytes are written at once: each is a gzip member of its own.
const CHUNK: usize = 1 << 20;

/// Where a slice goes.
#[derive(Debug, Clone)]
pub struct SliceTo {
    /// The file, or stdout.
    pub target: Target,
    /// Compress with gzip.
    pub compress: bool,
}

/// Writes the wanted events to a capture.
pub(super) struct SliceView {
    slice: Slice,
    reserved: Option<Reserved>,
    made: Option<Made>,
    /// A reader waits for the events.
    is_live: bool,
    /// Wanted events that were written before.
    before: u64,
}

impl SliceView {
    /// Checks the target. With `all`, what was recorded only to keep names right may be wanted too.
    pub fn new(to: &SliceTo, sources: &[PathBuf], all: bool) -> Result<SliceView, OutputError> {
        let is_live = to.target == Target::Stdout && !to.compress;
        let reserved = Some(Made::reserve(to.target.clone(), to.compress, sources)?);
        Ok(SliceView { slice: Slice::new(all), reserved, made: None, is_live, before: 0 })
    }

    fn put(&mut self, moment: &Moment<'_>, is_wanted: bool) -> io::Result<()> {
        self.slice.event(moment, is_wanted);
        let must_hurry = self.is_live && !moment.captured.more;
        if must_hurry {
            self.slice.hurry();
        }
        if self.slice.out.len() >= CHUNK || must_hurry {
            self.write().map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), OutputError> {
        if let Some(reserved) = self.reserved.take() {
            self.made = Some(Made::open(reserved)?);
        }
        let Some(made) = &mut self.made else { return Ok(()) };
        let wanted = self.slice.wanted();
        made.write(&self.slice.out, wanted - self.before)?;
        self.before = wanted;
        self.slice.out.clear();
        if self.is_live { made.flush() } else { Ok(()) }
    }
}

impl View for SliceView {
    fn event(&mut self, moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.put(moment, true)
    }

    fn unwanted(&mut self, moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.put(moment, false)
    }

    fn end_capture(&mut self, state: &MachineState, _out: &mut dyn Write) -> io::Result<()> {
        self.slice.end_capture(state);
        Ok(())
    }

    fn finish(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        self.slice.finish();
        self.write().map_err(io::Error::other)?;
        match self.made.take() {
            Some(made) => made.finish().map(drop).map_err(io::Error::other),
            None => Ok(()),
        }
    }

    fn keep(&self) -> Keep {
        Keep::All
    }
}
