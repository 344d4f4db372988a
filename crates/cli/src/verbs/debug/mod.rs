//! `kato debug`: what lies on a coordinator's disk, for when nothing else says why.

mod commands;
mod log;
mod snapshot;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::Subcommand;
use kato_raft::StoreError;

use crate::failure::Exit;

/// Look at what lies on a coordinator's disk, without a mesh and without changing it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Log(log::Args),
    Snapshot(snapshot::Args),
}

/// Why a store could not be read, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DebugError {
    #[error("a coordinator uses the store in {path}")]
    InUse { path: PathBuf },
    #[error("the store in {path} is not whole: a coordinator would not start on it")]
    Damaged { path: PathBuf, source: StoreError },
    #[error("the store cannot be read")]
    Store(#[source] StoreError),
    #[error("there is no snapshot in {path}")]
    NoSnapshot { path: PathBuf },
}

impl DebugError {
    /// The error of opening the store in a directory.
    fn opening(path: PathBuf) -> impl FnOnce(StoreError) -> Self {
        |error| match error {
            StoreError::InUse => Self::InUse { path },
            other => Self::Store(other),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::InUse { path } => Some(format!(
                "stop the coordinator first, or read a copy: \
                 cp -r {0} /tmp/store && kato debug log --data-dir /tmp/store",
                path.display()
            )),
            Self::Store(StoreError::Io { .. }) => Some(
                "--data-dir is the data_dir of the coordinator's configuration, or its raft directory"
                    .to_owned(),
            ),
            Self::NoSnapshot { .. } => Some(
                "the log alone holds everything so far: kato debug log --data-dir DIR".to_owned(),
            ),
            _ => None,
        }
    }
}

/// Runs the verb.
pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    match args.verb {
        Verb::Log(args) => log::run(&args),
        Verb::Snapshot(args) => snapshot::run(&args),
    }
}
