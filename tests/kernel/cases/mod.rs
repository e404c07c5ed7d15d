//! The tests, one for each program, with its name; the files mirror bpf/syscalls/ and bpf/tracepoints/. Tests of
//! settings have a list of their own.

mod accept;
mod access;
mod addresses;
mod bases;
mod clone;
mod descriptors;
mod drop_failed;
mod epoll;
mod exec;
mod ext;
mod ext_aio;
mod ext_compat;
mod ext_contents;
mod ext_files;
mod ext_ipc;
mod ext_layouts32;
mod ext_memory;
mod ext_modules;
mod ext_mounts;
mod ext_number;
mod ext_process;
mod ext_scheduling;
mod ext_signals;
mod ext_system;
mod ext_time;
mod ext_watches;
mod ext_xattrs;
mod fds;
mod files;
mod generic;
mod identity;
mod io;
mod io_uring;
mod keyctl;
mod limits;
mod links;
mod locks;
mod losses;
mod memory;
mod messages;
mod mmsg;
mod modules;
mod mounts;
mod namespaces;
mod nodes;
mod open;
mod owner;
mod paths;
mod poll;
mod privileges;
mod process;
mod process_vm;
mod ptrace;
mod quota;
mod received;
mod requests;
mod resolved;
mod sampling;
mod semaphores;
mod sieve;
mod sift;
mod signal;
mod snaplen;
mod socketcall;
mod sockets;
mod sockopt;
mod tracepoints;
mod transfer;
mod values;
mod vectors;
mod verifier;
mod wait;
mod wakeup;

pub use accept::*;
pub use access::*;
pub use addresses::ipv6_is_here;
pub use clone::*;
pub use descriptors::*;
pub use epoll::*;
pub use exec::*;
pub use ext::child;
pub use fds::*;
pub use files::*;
pub use generic::*;
pub use identity::*;
pub use io::*;
pub use io_uring::*;
pub use keyctl::*;
pub use limits::*;
pub use links::*;
pub use locks::*;
pub use memory::*;
pub use messages::*;
pub use mmsg::*;
pub use modules::*;
pub use mounts::*;
pub use namespaces::*;
pub use nodes::*;
pub use open::*;
pub use owner::*;
pub use paths::*;
pub use poll::*;
pub use privileges::*;
pub use process::in_child;
pub use process_vm::*;
pub use ptrace::*;
pub use quota::*;
pub use requests::*;
pub use sampling::{drop_e, drop_x};
pub use semaphores::*;
pub use signal::*;
pub use socketcall::*;
pub use sockets::*;
pub use sockopt::*;
pub use tracepoints::*;
pub use transfer::*;
pub use vectors::*;
pub use wait::*;

use crate::rows::RowTest;

/// A name, a program whose events show the effect of a setting, and the test.
type SettingTest = (&'static str, &'static str, fn(&mut crate::harness::Test));

/// The tests of settings.
pub const SETTINGS: &[SettingTest] = &[
    ("drop_failed", "newfstatat_x", drop_failed::leaves_out_returns_with_an_error),
    ("drop_failed_connect", "connect_x", drop_failed::keeps_connections_that_are_being_made),
    ("sieve_ids", "newfstatat_x", sieve::takes_tasks_by_their_ids),
    ("sieve_names", "newfstatat_x", sieve::takes_tasks_by_their_names),
    ("sieve_users", "newfstatat_x", sieve::takes_tasks_by_their_users),
    ("sieve_parents", "newfstatat_x", sieve::takes_tasks_by_their_parents),
    ("sieve_ends", "lseek_x", sieve::takes_calls_by_the_ends_of_their_connections),
    ("sieve_verdicts", "newfstatat_x", sieve::takes_processes_by_what_the_recorder_knows),
    ("sieve_changed_processes", "newfstatat_x", sieve::forgets_what_it_knows_of_changed_processes),
    ("sieve_user_namespaces", "newfstatat_x", sieve::takes_tasks_of_user_namespaces),
    ("sieve_results", "newfstatat_x", sieve::takes_returns_by_their_results),
    ("sieve_times", "nanosleep_x", sieve::takes_returns_by_their_times),
    ("sieve_state", "close_x", sieve::keeps_what_changes_the_state),
    ("sieve_changes", "newfstatat_x", sieve::follows_a_change),
    ("sift_texts", "newfstatat_x", sift::compares_whole_texts_starts_and_ends),
    ("sift_paths", "newfstatat_x", sift::takes_paths_that_may_be_others),
    ("sift_many", "newfstatat_x", sift::compares_with_many_texts),
    ("sift_changes", "newfstatat_x", sift::follows_a_change_of_texts),
    ("sift_results", "rmdir_x", sift::compares_what_a_result_makes_of_interest),
    ("sift_extensions", "generic_x", sift::compares_arguments_of_extensions),
    ("sampling_by_clock", "generic_x", sampling::records_a_part_of_each_second),
    ("sampling_by_clock_on_enter", "generic_e", sampling::records_a_part_of_each_second_on_enter),
    ("sampling_classes", "close_x", sampling::treats_calls_by_their_class),
    ("sampling_pairs", "generic_x", sampling::keeps_or_leaves_out_pairs),
    ("sampling_returns_alone", "close_x", sampling::judges_returns_alone_by_their_result),
    ("sampling_tracepoints", "sched_switch", sampling::leaves_out_tracepoints),
    ("values_in_registers", "generic_x", values::arguments_in_registers),
    ("values_strings", "generic_x", values::strings_and_pointers),
    ("values_vectors", "generic_x", values::data_of_vectors),
    ("values_of_x32", "generic_x", values::of_x32_have_their_own_places),
    ("values_left_out", "generic_x", values::can_be_left_out),
    ("values_in_memory", "generic_x", values::paths_and_structures),
    ("verifier_has_room", "generic_x", verifier::has_room),
    ("lost_too_large", "recvmsg_x", losses::larger_than_an_event_may_be),
    ("lost_no_scratch", "newfstatat_x", losses::no_scratch_area),
    ("resolved_links", "openat_x", resolved::sees_through_links),
    ("resolved_flags", "openat_x", resolved::has_the_flags_that_the_event_lacks),
    ("resolved_without_a_name", "openat_x", resolved::says_what_has_no_path),
    ("resolved_roots", "openat_x", resolved::sees_through_roots_and_mounts),
    ("resolved_race", "openat_x", resolved::is_not_deceived_by_a_changed_argument),
    ("bases_resolved", "unlinkat_x", bases::are_resolved),
    ("bases_roots", "unlinkat_x", bases::are_seen_through_roots),
    ("bases_of_two_paths", "renameat2_x", bases::are_told_apart),
    ("received_kinds", "recvmsg_x", received::are_described),
    ("received_sockets", "recvmsg_x", received::sockets_are_described),
    ("received_many", "recvmsg_x", received::are_described_up_to_a_limit),
    ("wakeup_fixed", "newfstatat_e", wakeup::by_an_event_of_fixed_size),
    ("wakeup_variable", "newfstatat_x", wakeup::by_an_event_of_variable_size),
    ("snaplen", "read_x", snaplen::changes_while_it_runs),
    ("dynamic_snaplen_ports", "sendto_x", snaplen::goes_by_ports),
    ("dynamic_snaplen_content", "write_x", snaplen::goes_by_content),
    ("dynamic_snaplen_databases", "sendto_x", snaplen::knows_databases),
    ("dynamic_snaplen_read", "read_x", snaplen::is_for_reading_too),
    ("dynamic_snaplen_recvfrom", "recvfrom_x", snaplen::is_for_receiving_too),
    ("dynamic_snaplen_writev", "writev_x", snaplen::of_vectors_goes_by_ports_alone),
    ("dynamic_snaplen_sendmsg", "sendmsg_x", snaplen::of_messages_goes_by_their_address),
    ("dynamic_snaplen_recvmsg", "recvmsg_x", snaplen::of_messages_received),
    ("dynamic_snaplen_sendmmsg", "sendmmsg_x", snaplen::of_several_messages),
    ("dynamic_snaplen_socketcall", "send_x", snaplen::of_socketcall),
];

/// The tests of CALL rows on this machine's calls.
const ROWS: &[&[RowTest]] = &[
    ext_aio::ROWS,
    ext_contents::ROWS,
    ext_files::ROWS,
    ext_ipc::ROWS,
    ext_memory::ROWS,
    ext_modules::ROWS,
    ext_mounts::ROWS,
    ext_process::ROWS,
    ext_scheduling::ROWS,
    ext_signals::ROWS,
    ext_system::ROWS,
    ext_time::ROWS,
    ext_watches::ROWS,
    ext_xattrs::ROWS,
    ext_compat::ROWS,
];

/// A row without a test does not compile.
macro_rules! tested {
    ($($kind:ident($name:ident, $($row:tt)*))*) => { $(tested!(@$kind $name);)* };
    (@CALL $name:ident) => {
        const _: () =
            assert!(crate::rows::has_test(ROWS, stringify!($name)), concat!("no test of the row ", stringify!($name)));
    };
    (@$kind:ident $name:ident) => {};
}
scap::with_extensions!(tested);

/// The tests of CALL rows: on this machine's calls, and on those of 32-bit programs.
pub fn rows() -> Vec<(String, RowTest)> {
    let named = |prefix: &str, rows: &[RowTest]| -> Vec<_> {
        rows.iter().map(|row| (format!("{prefix}::{}", row.0), *row)).collect()
    };
    let mut tests = named("rows", &ROWS.concat());
    if crate::compat::HERE {
        tests.extend(named("rows32", ext_layouts32::ROWS));
    }
    tests
}
