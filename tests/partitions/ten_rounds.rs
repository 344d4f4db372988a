//! Ten rounds of `partitions`, with the program that Cargo built.

use std::process::Command;

#[path = "../built.rs"]
mod built;
#[path = "../not_run.rs"]
mod not_run;

/// What the program ends with where the machine lacks what it needs.
const LACKING: i32 = 3;

#[test]
fn two_copies_of_a_singleton_never_live_at_once_between_cut_stopped_and_killed_hosts() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_partitions"));
    program.args(["--rounds", "10", "--kato"]).arg(built::kato());
    let output = program.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(LACKING) {
        return not_run::not_run(errors.trim());
    }
    assert!(output.status.success(), "{said}\n{errors}");
    eprintln!("{said}");
}
