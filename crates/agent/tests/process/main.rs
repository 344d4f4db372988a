//! The sandbox engine with real processes: shims, units and agents that are killed. This binary is its own shim
//! and its own `exec-unit`, as `kato` is, which is why it has a `main` of its own.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests by their attribute, which these do not have"
)]

mod agent;
mod daemon;
mod deadline;
mod life;
mod output;
mod pipes;
mod support;

use std::error::Error;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.first().and_then(|first| first.to_str()) {
        Some("shim") => shim(&arguments[1..]),
        Some("exec-unit") => {
            let error = kato_agent::exec::run(&arguments[1..]);
            eprintln!("error: {error}");
            ExitCode::from(kato_agent::exec::EXIT_EXEC)
        }
        Some("agent") => agent::main(Path::new(&arguments[1])),
        _ => libtest_mimic::run(&Arguments::from_args(), trials()).exit_code(),
    }
}

fn shim(arguments: &[OsString]) -> ExitCode {
    let [flag, directory] = arguments else { return ExitCode::from(64) };
    assert_eq!(flag, "--directory");
    let Err(error) = kato_agent::shim::run(Path::new(directory)) else { return ExitCode::SUCCESS };
    eprint!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}

/// One test by its function's name.
macro_rules! trials {
    ($($module:ident::$name:ident),* $(,)?) => {
        vec![$(Trial::test(stringify!($module::$name), || {
            support::block_on($module::$name());
            Ok(())
        })),*]
    };
}

fn trials() -> Vec<Trial> {
    trials![
        life::commands_see_the_values_of_their_instance,
        life::a_failing_unit_is_restarted_up_to_its_limit,
        life::a_unit_that_ends_well_is_left_alone,
        life::a_stop_ends_a_stubborn_tree,
        life::a_missing_program_is_named_with_its_line,
        life::only_what_is_newer_replaces_what_runs,
        life::ports_are_distinct_and_free_and_kept,
        life::the_examples_run,
        output::output_is_captured_rotated_and_followed,
        agent::a_reopened_sandbox_finds_the_same_process,
        agent::a_killed_agent_leaves_its_units_running_and_starts_no_second_copy,
        agent::a_killed_shim_takes_its_unit_along_which_returns_if_it_restarts,
        agent::a_killed_shim_is_the_end_of_a_unit_that_does_not_restart,
        agent::what_a_shim_left_behind_is_killed_at_the_next_start,
        agent::what_a_new_agent_cannot_reach_yet_is_shown_until_it_is_stopped,
        agent::a_shim_survives_a_hang_up_and_stops_its_unit_when_told_to_end,
        agent::what_runs_without_its_files_is_ended_before_anything_starts,
        daemon::a_unit_whose_shim_is_killed_runs_again_as_its_restart_says,
        daemon::an_instance_without_a_port_says_so_until_one_is_free,
        deadline::a_singleton_is_gone_before_its_deadline_without_an_agent,
        deadline::an_extended_deadline_keeps_it_running,
        deadline::a_deadline_in_the_past_starts_nothing,
        deadline::a_killed_guard_leaves_nothing_of_a_singleton,
        deadline::a_singleton_without_its_warden_stops_and_may_start_anew,
        deadline::a_stop_that_takes_too_long_ends_by_the_deadline,
    ]
}
