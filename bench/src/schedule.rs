//! The order of the runs: contenders take turns in rounds. A first round warms up, determines how many iterations fill
//! the time of a run, and is discarded.

use std::time::Duration;

use crate::{
    contender::Contender,
    generator::Generator,
    report::{ContenderResult, GeneratorResult, Sample},
    run::Bench,
};

/// The maximum iterations of a run.
const MOST: u64 = 50_000_000;

/// The number and duration of the runs.
#[derive(Debug, Clone, Copy)]
pub struct Rounds {
    /// The number of measured rounds.
    pub rounds: usize,
    /// The duration of a run's measured loop.
    pub time: Duration,
}

/// A contender in the rounds of one generator.
struct Turn {
    contender: Contender,
    iterations: u64,
    samples: Vec<Sample>,
    failed: bool,
}

/// Runs all contenders over a generator. Leaves out those that fail, and adds a note.
pub fn run(
    bench: &Bench,
    generator: Generator,
    contenders: &[Contender],
    rounds: Rounds,
    notes: &mut Vec<String>,
) -> GeneratorResult {
    let mut turns: Vec<_> = contenders
        .iter()
        .map(|contender| Turn {
            contender: *contender,
            iterations: contender.first_iterations(generator),
            samples: Vec::new(),
            failed: false,
        })
        .collect();
    for round in 0..=rounds.rounds {
        for index in order(turns.len(), round) {
            let turn = &mut turns[index];
            if turn.failed {
                continue;
            }
            match bench.run(turn.contender, generator, turn.iterations) {
                Ok(sample) => {
                    let time = crate::report::time(sample.ns_per_iteration());
                    let label = turn.contender.label();
                    eprintln!(
                        "{:10} round {round}/{}  {label:22} {time:>9}",
                        generator.name(),
                        rounds.rounds
                    );
                    if round == 0 {
                        turn.iterations = iterations(generator, sample.ns_per_iteration(), rounds.time);
                    } else {
                        turn.samples.push(sample);
                    }
                }
                Err(error) => {
                    eprintln!("{error:#}");
                    notes.push(format!("left out: {error:#}"));
                    turn.failed = true;
                }
            }
        }
    }
    let contenders = turns
        .into_iter()
        .filter(|turn| !turn.failed)
        .map(|turn| ContenderResult {
            contender: turn.contender,
            command: turn.contender.example(generator, &bench.scapd),
            samples: turn.samples,
        })
        .collect();
    GeneratorResult { generator, contenders }
}

/// Returns the order of a round: each round starts with another contender, so that none always follows the same one.
fn order(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |index| (index + round) % count)
}

/// Returns the number of iterations that take about this time.
fn iterations(generator: Generator, ns_per_iteration: f64, time: Duration) -> u64 {
    let wanted = time.as_nanos() as f64 / ns_per_iteration.max(1.0);
    // One and a half digits: readable numbers.
    let unit = 10f64.powf(wanted.max(1.0).log10().floor()) / 2.0;
    let round = (wanted / unit).round() * unit;
    (round as u64).clamp(generator.least_iterations(), MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_begin_with_another_contender_each() {
        assert_eq!(order(3, 0).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(order(3, 1).collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!(order(3, 5).collect::<Vec<_>>(), [2, 0, 1]);
        assert_eq!(order(0, 1).count(), 0);
    }

    #[test]
    fn iterations_fill_the_time() {
        let time = Duration::from_millis(300);
        assert_eq!(iterations(Generator::Access, 100.0, time), 3_000_000);
        assert_eq!(iterations(Generator::Access, 130.0, time), 2_500_000);
        assert_eq!(iterations(Generator::Access, 22_000.0, time), 15_000);
        assert_eq!(iterations(Generator::Access, 1e9, time), Generator::Access.least_iterations());
        assert_eq!(iterations(Generator::Access, 0.0, time), MOST);
        assert_eq!(iterations(Generator::Compile, 4e9, time), 2);
        assert_eq!(iterations(Generator::Compile, 1e8, time), 3);
    }
}
