//! What was measured, as it stands in the .json file; the table and the plot are made of it.

mod format;
mod plot;
mod section;
mod table;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use format::time;
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
    /// When it ended.
    pub date: String,
    /// The command line.
    pub command: String,
    /// Where it ran.
    pub machine: Machine,
    /// How it ran.
    pub settings: Settings,
    /// The versions of the programs that were compared.
    pub versions: BTreeMap<String, String>,
    /// What was left out, and why.
    pub notes: Vec<String>,
    /// The results.
    pub generators: Vec<GeneratorResult>,
}

/// How the benchmark ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Rounds that count, after one that does not.
    pub rounds: usize,
    /// What the loop of a run was to take, in ms.
    pub time_ms: u64,
    /// The CPU of the generator.
    pub generator_cpu: usize,
    /// The CPUs of the recorder.
    pub recorder_cpus: Vec<usize>,
    /// The kind of file system that recorders wrote to.
    pub file_system: String,
}

/// All contenders over one generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GeneratorResult {
    /// Which.
    pub generator: Generator,
    /// Those that could run.
    pub contenders: Vec<ContenderResult>,
}

/// One contender over one generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContenderResult {
    /// Which.
    pub contender: Contender,
    /// How it was called.
    pub command: String,
    /// One for each round, in their order.
    pub samples: Vec<Sample>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What the generator measured.
    #[serde(flatten)]
    pub measured: Measured,
    /// CPU time of the recorder, from the start of the generator's work to its own end; what it takes to get ready is
    /// not in it.
    pub cpu: Option<CpuTime>,
    /// CPU time that the recorder says it took, in ns.
    pub own_cpu_ns: Option<u64>,
    /// Events that the recorder wrote.
    pub events: Option<u64>,
    /// Events that it lost.
    pub lost: Option<u64>,
    /// Why.
    pub causes: BTreeMap<String, u64>,
    /// The size of the recorder's file.
    pub bytes: Option<u64>,
}

impl Sample {
    /// Of a generator without a recorder.
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

    /// Of a generator with a recorder.
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

    /// How long an iteration took.
    pub fn ns_per_iteration(&self) -> f64 {
        self.measured.ns as f64 / self.measured.iterations.max(1) as f64
    }

    /// Iterations that the recorder saw, those that warmed up included.
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
    /// The results of a contender.
    pub fn of(&self, contender: Contender) -> Option<&ContenderResult> {
        self.contenders.iter().find(|result| result.contender == contender)
    }

    /// The time of a contender in proportion to another's, round by round.
    pub fn ratio(&self, of: Contender, to: Contender) -> Option<Quartiles> {
        Quartiles::of_ratios(&self.of(of)?.times(), &self.of(to)?.times())
    }

    /// What a contender adds to a call, in ns; `None` where the number of calls is not known.
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
    /// ns of an iteration, by round.
    pub fn times(&self) -> Vec<f64> {
        self.samples.iter().map(Sample::ns_per_iteration).collect()
    }

    /// The recorder's CPU time of an iteration, in ns: the median over the rounds; and its parts in user mode and in the
    /// kernel, as the ticks of all rounds are split. `None` as the parts if there were no ticks.
    fn cpu_per_iteration(&self) -> Option<(f64, Option<(f64, f64)>)> {
        let total = self.median(Sample::cpu_per_iteration)?;
        let user = self.sum(|sample| Some(sample.cpu?.user_ticks))?;
        let system = self.sum(|sample| Some(sample.cpu?.system_ticks))?;
        let part = |ticks: u64| total * ticks as f64 / (user + system) as f64;
        Some((total, (user + system > 0).then(|| (part(user), part(system)))))
    }

    /// The median over the rounds of what all of them have.
    fn median(&self, of: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        let all: Option<Vec<f64>> = self.samples.iter().map(of).collect();
        Some(Quartiles::of(all?)?.median)
    }

    /// The sum over the rounds of what all of them have.
    fn sum(&self, of: impl Fn(&Sample) -> Option<u64>) -> Option<u64> {
        self.samples.iter().map(of).sum()
    }
}

#[cfg(test)]
mod tests;
