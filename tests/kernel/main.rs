//! Kernel tests: each makes a real system call, records it, and asserts the event's header and every parameter.
//!
//! For each row of include/events.def with a program, and each private one of include/extensions.def, `cases` has a test
//! with the program's name. The list of tests is expanded from the tables, so a missing test does not compile. The tests of
//! settings have a list of their own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::macro_metavars_in_unsafe,
    clippy::vec_init_then_push
)]

mod cases;
mod compat;
mod harness;
mod marks;
mod numbers;
mod recorded;
mod ring;
mod rows;
mod scratch;
mod setup;

use std::sync::Arc;

use harness::Test;
use libtest_mimic::{Arguments, Completion, Trial};
use rows::Row;
use setup::Setup;

macro_rules! tests {
    ($($kind:ident($($row:tt)*))*) => {{
        // The private rows may be none.
        #[allow(unused_mut)]
        let mut tests: Vec<(&'static str, fn(&mut Test))> = Vec::new();
        $(test!(tests $kind($($row)*));)*
        tests
    }};
}

macro_rules! test {
    ($tests:ident EVENT_OLD($($row:tt)*)) => {};
    ($tests:ident CALL($($row:tt)*)) => {};
    ($tests:ident EXTENSION($($row:tt)*)) => {};
    ($tests:ident $kind:ident($code:ident, $number:literal, $program:ident, $($rest:tt)*)) => {
        $tests.push((stringify!($program), cases::$program));
    };
}

/// Returns the tests of the rows of calls.
fn row_trials(setup: &Result<Arc<Setup>, String>) -> impl Iterator<Item = Trial> {
    cases::rows().into_iter().map(|(name, (row, test))| {
        let setup = setup.clone();
        Trial::ignorable_test(name, move || match setup {
            Err(reason) => Err(format!("kernel tests cannot run here: {reason}").into()),
            Ok(setup) => harness::completed(|| {
                let mut row = Row::new(row, &setup);
                row.require_call();
                test(&mut row)
            }),
        })
    })
}

fn main() {
    // Memory cannot be read while the kernel moves it into a huge page.
    rustix::thread::disable_transparent_huge_pages(true).unwrap();
    let mut arguments = Arguments::from_args();
    // A test records only its own thread, but waits for time to pass: two at a time are enough.
    arguments.test_threads.get_or_insert(2);
    let setup = Setup::from_environment().and_then(|setup| setup.permitted().map(|()| Arc::new(setup)));
    let of_programs = scap::with_events!(tests).into_iter().chain(scap::with_extensions!(tests));
    let of_programs = of_programs.map(|(name, test)| (name.into(), name, test));
    let of_settings =
        cases::SETTINGS.iter().map(|(name, program, test)| (format!("settings::{name}"), *program, *test));
    let trials = of_programs
        .chain(of_settings)
        .map(|(name, program, test): (String, &'static str, fn(&mut Test))| {
            let setup = setup.clone();
            Trial::ignorable_test(name, move || match setup {
                // A test never passes without running: where BPF is not allowed, the tests fail with the reason.
                Err(reason) => Err(format!("kernel tests cannot run here: {reason}").into()),
                Ok(setup) => match harness::call_of(program).and_then(harness::lacking) {
                    Some(reason) => Ok(Completion::ignored_with(reason)),
                    None => Test::new(program, &setup).run(test),
                },
            })
        })
        .chain(row_trials(&setup))
        .chain([Trial::ignorable_test("environment::ipv6", cases::ipv6_is_here)])
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}
