//! The `kato` binary: every operator verb.

mod cli;
mod client;
mod contexts;
mod failure;
mod logging;
mod output;
mod settings;
mod suggest;
mod verbs;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(wrong) => return cli::explain(&wrong).into(),
    };
    match verbs::run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => failure::report(&error).into(),
    }
}
