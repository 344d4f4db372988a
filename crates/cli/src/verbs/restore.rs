//! `kato restore`: gives the first coordinator of a mesh a store that begins with a backup of another one.

use std::collections::BTreeSet;
use std::path::PathBuf;

use kato_coordinator::Config;
use kato_core::{DatacenterName, Revision};
use kato_net::clock::{Clock as _, SystemClock};
use kato_raft::{Backup, StoreError};

use super::debug::DebugError;
use crate::failure::Exit;
use crate::output::units::count;

/// Begin a mesh anew from a backup, where more than half of its coordinators are lost
///
/// Run it on the host of the coordinator with the lowest member number, whose raft directory must be empty. Then
/// start it, and all others with empty directories. Whatever was agreed on after the backup is lost. Make sure
/// that no coordinator of the mesh before runs any more.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A snapshot file (snapshot-….kato), or a directory with a copy of a whole store
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// The coordinator's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Why nothing is restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    #[error("{path} is no backup of a mesh: it has no settings")]
    Unfounded { path: PathBuf },
    #[error("{what} cannot be restored from: {reason}")]
    Damaged { what: String, reason: String },
    #[error("the backup is of the mesh {found}, the configuration is of {configured}")]
    OtherMesh { found: String, configured: String },
    #[error("a mesh is restored by the first of its members, which is {first}")]
    NotFirst { first: String },
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let config = Config::load(&args.config)?;
    let path = args.backup.clone();
    let mut backup = Backup::read(&path).map_err(|error| match error {
        StoreError::InUse => anyhow::Error::from(DebugError::InUse { path: path.clone() }),
        // What it says to the owner of a store is no advice here.
        StoreError::Damaged { what, reason } => RestoreError::Damaged { what, reason }.into(),
        other => other.into(),
    })?;
    let Some(settings) = &backup.state.settings else {
        return Err(RestoreError::Unfounded { path }.into());
    };
    if settings.domain != config.domain.as_str() {
        let (found, configured) = (settings.domain.clone(), config.domain.to_string());
        return Err(RestoreError::OtherMesh { found, configured }.into());
    }
    let first = config.members.first_key_value();
    if let Some((id, member)) = first
        && *id != config.member
    {
        let first = format!("{} (member {id})", member.datacenter);
        return Err(RestoreError::NotFirst { first }.into());
    }
    let of = backup.state.revision;
    let members: BTreeSet<_> =
        config.members.values().map(|member| member.datacenter.clone()).collect();
    let gone = backup.state.datacenters.keys().filter(|name| !members.contains(*name));
    let gone: BTreeSet<DatacenterName> = gone.cloned().collect();
    backup.state.restore(SystemClock.wall(), &gone);
    let directory = config.data_dir.join("raft");
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let members = config.members.clone();
    runtime.block_on(kato_raft::restore(&directory, config.member, members, &backup))?;
    crate::output::print(&told(&config, &backup, of, &gone))?;
    Ok(Exit::Done)
}

/// What was done, and what is to be done next.
fn told(config: &Config, backup: &Backup, of: Revision, gone: &BTreeSet<DatacenterName>) -> String {
    let state = &backup.state;
    let has = |number: usize, noun| count(u32::try_from(number).unwrap_or(u32::MAX), noun);
    let others = config.members.values().filter(|m| m.datacenter != config.datacenter.name);
    let others: Vec<&str> = others.map(|member| member.datacenter.as_str()).collect();
    let next = match others[..] {
        [] => String::new(),
        _ => format!(", and those of {} with empty directories", others.join(", ")),
    };
    let given_up = if gone.is_empty() {
        String::new()
    } else {
        let names: Vec<&str> = gone.iter().map(DatacenterName::as_str).collect();
        format!(
            "given up, because they are no members: {}; what ran there is placed elsewhere\n",
            names.join(", ")
        )
    };
    format!(
        "{} is restored as incarnation {}, from revision {of} (log entry {}): {}, {}, {}, {}\n\
         {given_up}\
         start its coordinator{next}; it waits until all of them have answered\n\
         no singleton runs until every lease of the mesh before has ended: `kato status` tells\n",
        config.domain,
        state.revision.incarnation(),
        backup.entry,
        has(state.datacenters.len(), "datacenter"),
        has(state.machines.len(), "machine"),
        has(state.workloads.len(), "workload"),
        has(state.instances.len(), "instance"),
    )
}
