//! Kernel tests: each makes a real system call, captures it, and asserts the event's header and every parameter.
//!
//! A row of include/events.def that has a program must have a test of the program's name in `cases`: the list of tests
//! is expanded from the table, so a forgotten one does not compile. The tests of settings stand beside that list.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::macro_metavars_in_unsafe,
    clippy::vec_init_then_push
)]

mod cases;
#[cfg(target_arch = "x86_64")]
mod compat;
mod harness;
mod marks;
mod scratch;
mod setup;

use std::sync::Arc;

use harness::Test;
use libtest_mimic::{Arguments, Trial};
use setup::Setup;

macro_rules! tests {
    ($($kind:ident($($row:tt)*))*) => {{
        let mut tests: Vec<(&'static str, fn(&mut Test))> = Vec::new();
        $(test!(tests $kind($($row)*));)*
        tests
    }};
}

macro_rules! test {
    ($tests:ident EVENT_OLD($($row:tt)*)) => {};
    ($tests:ident $kind:ident($code:ident, $number:literal, $program:ident, $($rest:tt)*)) => {
        $tests.push((stringify!($program), cases::$program));
    };
}

fn main() {
    // Memory cannot be read in the moment in which the kernel moves it into a huge page.
    rustix::thread::disable_transparent_huge_pages(true).unwrap();
    let mut arguments = Arguments::from_args();
    // A test records its own thread alone, but waits for time to pass: two at a time are enough.
    arguments.test_threads.get_or_insert(2);
    let setup = Setup::from_environment().and_then(|setup| setup.permitted().map(|()| Arc::new(setup)));
    let of_programs = scap::with_events!(tests).into_iter().map(|(name, test)| (name.into(), name, test));
    let of_settings =
        cases::SETTINGS.iter().map(|(name, program, test)| (format!("settings::{name}"), *program, *test));
    let trials = of_programs
        .chain(of_settings)
        .map(|(name, program, test): (String, &'static str, fn(&mut Test))| {
            let setup = setup.clone();
            Trial::ignorable_test(name, move || match setup {
                // Never a pass without having looked: where BPF is not allowed, the tests fail and say so.
                Err(reason) => Err(format!("kernel tests cannot run here: {reason}").into()),
                Ok(setup) => Test::new(program, &setup).run(test),
            })
        })
        .chain([Trial::ignorable_test("environment::ipv6", cases::ipv6_is_here)])
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}
