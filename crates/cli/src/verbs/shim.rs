//! `kato shim` and `kato exec-unit`: the processes around one instance. Agents start them; nobody types them.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::failure::Exit;

/// Run one instance's commands and guard its deadline
#[derive(Debug, clap::Args)]
pub(crate) struct ShimArgs {
    /// The instance's directory
    #[arg(long, value_name = "DIR")]
    directory: PathBuf,
}

/// Become one command of a unit
#[derive(Debug, clap::Args)]
pub(crate) struct ExecArgs {
    /// What the shim hands over
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run_shim(args: &ShimArgs) -> anyhow::Result<Exit> {
    kato_agent::shim::run(&args.directory)?;
    Ok(Exit::Done)
}

pub(crate) fn run_exec(args: &ExecArgs) -> anyhow::Result<Exit> {
    // It returns only if it failed.
    Err(kato_agent::exec::run(&args.arguments).into())
}
