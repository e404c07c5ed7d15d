//! The results, in the form of the .json file from which the tables and the plot are made.

mod format;
mod plot;
mod section;
mod table;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use format::{bytes, digits, time};
pub use plot::plot;
pub use section::replace;
pub use table::markdown;

use crate::{
    contender::Contender,
    counts::Counts,
    cpu::CpuTime,
    generator::{Generator, Measured},
    machine::Machine,
    stats::Quartiles,
};

/// A whole run of the benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The time of its end.
    pub date: String,
    /// The command line.
    pub command: String,
    /// The machine.
    pub machine: Machine,
    /// The settings.
    pub settings: Settings,
    /// The versions of the programs that were compared.
    pub versions: BTreeMap<String, String>,
    /// The reasons for what was left out.
    pub notes: Vec<String>,
    /// The results.
    pub generators: Vec<GeneratorResult>,
}

/// The settings of the benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The number of measured rounds, without the discarded first one.
    pub rounds: usize,
    /// The intended duration of a run's loop, in ms.
    pub time_ms: u64,
    /// The CPU of the generator.
    pub generator_cpu: usize,
    /// The CPUs of the recorder.
    pub recorder_cpus: Vec<usize>,
    /// The type of the file system that recorders wrote to.
    pub file_system: String,
}

/// All contenders over one generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GeneratorResult {
    /// The generator.
    pub generator: Generator,
    /// The contenders that could run.
    pub contenders: Vec<ContenderResult>,
}

/// One contender over one generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContenderResult {
    /// The contender.
    pub contender: Contender,
    /// Its command line.
    pub command: String,
    /// One sample for each round, in order.
    pub samples: Vec<Sample>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The generator's measurement.
    #[serde(flatten)]
    pub measured: Measured,
    /// CPU time of the recorder, from the start of the generator's work to the recorder's end, without its
    /// preparations.
    pub cpu: Option<CpuTime>,
    /// CPU time that the recorder reports, in ns.
    pub own_cpu_ns: Option<u64>,
    /// Written events.
    pub events: Option<u64>,
    /// Lost events.
    pub lost: Option<u64>,
    /// Lost events by cause.
    pub causes: BTreeMap<String, u64>,
    /// The size of the recorder's file, in bytes.
    pub bytes: Option<u64>,
}

impl Sample {
    /// Returns the sample of a generator without a recorder.
    pub fn unrecorded(measured: Measured) -> Sample {
        Sample {
            measured,
            cpu: None,
            own_cpu_ns: None,
            events: None,
            lost: None,
            causes: BTreeMap::new(),
            bytes: None,
        }
    }

    /// Returns the sample of a generator with a recorder.
    pub fn recorded(measured: Measured, cpu: CpuTime, counts: Counts) -> Sample {
        Sample {
            measured,
            cpu: Some(cpu),
            own_cpu_ns: counts.own_cpu_ns,
            events: counts.events,
            lost: counts.lost,
            causes: counts.causes,
            bytes: Some(counts.bytes),
        }
    }

    /// Returns the duration of an iteration, in ns.
    pub fn ns_per_iteration(&self) -> f64 {
        self.measured.ns as f64 / self.measured.iterations.max(1) as f64
    }

    /// Returns the iterations that the recorder saw, including the warm-up.
    fn all_iterations(&self) -> f64 {
        (self.measured.iterations + self.measured.warm_up).max(1) as f64
    }

    fn cpu_per_iteration(&self) -> Option<f64> {
        Some(self.cpu?.total_ns as f64 / self.all_iterations())
    }

    fn cpu_per_event(&self) -> Option<f64> {
        let events = self.events.filter(|events| *events > 0)?;
        Some(self.cpu?.total_ns as f64 / events as f64)
    }
}

impl GeneratorResult {
    /// Returns the results of a contender.
    pub fn of(&self, contender: Contender) -> Option<&ContenderResult> {
        self.contenders.iter().find(|result| result.contender == contender)
    }

    /// Returns the ratio of the times of two contenders, round by round.
    pub fn ratio(&self, of: Contender, to: Contender) -> Option<Quartiles> {
        Quartiles::of_ratios(&self.of(of)?.times(), &self.of(to)?.times())
    }

    /// Returns the ratio of the recorders' CPU times for an event, round by round; `None` if one is unknown.
    pub fn cpu_ratio(&self, of: Contender, to: Contender) -> Option<Quartiles> {
        let times = |contender| -> Option<Vec<f64>> {
            self.of(contender)?.samples.iter().map(Sample::cpu_per_event).collect()
        };
        Quartiles::of_ratios(&times(of)?, &times(to)?)
    }

    /// Returns the time that a contender adds to a call, in ns; `None` if the number of calls is unknown.
    pub fn added_per_call(&self, of: Contender) -> Option<Quartiles> {
        let result = self.of(of)?;
        let calls = result.samples.first()?.measured;
        let per_iteration = calls.calls? as f64 / calls.iterations.max(1) as f64;
        let per_call = |result: &ContenderResult| {
            result.times().into_iter().map(|time| time / per_iteration).collect::<Vec<_>>()
        };
        Quartiles::of_differences(&per_call(result), &per_call(self.of(Contender::None)?))
    }
}

impl ContenderResult {
    /// Returns the duration of an iteration in each round, in ns.
    pub fn times(&self) -> Vec<f64> {
        self.samples.iter().map(Sample::ns_per_iteration).collect()
    }

    /// Returns the recorder's CPU time for an iteration, in ns: the median over the rounds, and its user and system
    /// parts, split like the ticks of all rounds. The parts are `None` if there were no ticks.
    fn cpu_per_iteration(&self) -> Option<(f64, Option<(f64, f64)>)> {
        let total = self.median(Sample::cpu_per_iteration)?;
        let user = self.sum(|sample| Some(sample.cpu?.user_ticks))?;
        let system = self.sum(|sample| Some(sample.cpu?.system_ticks))?;
        let part = |ticks: u64| total * ticks as f64 / (user + system) as f64;
        Some((total, (user + system > 0).then(|| (part(user), part(system)))))
    }

    /// Returns the median over the rounds, if all have the value.
    fn median(&self, of: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        let all: Option<Vec<f64>> = self.samples.iter().map(of).collect();
        Some(Quartiles::of(all?)?.median)
    }

    /// Returns the sum over the rounds, if all have the value.
    fn sum(&self, of: impl Fn(&Sample) -> Option<u64>) -> Option<u64> {
        self.samples.iter().map(of).sum()
    }
}

#[cfg(test)]
mod tests;
