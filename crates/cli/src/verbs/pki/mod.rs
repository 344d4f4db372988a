//! `kato pki`: the mesh's certificates. No mesh need run for it, and the machine that holds the root need have
//! no network.

mod init;
mod issue;
mod show;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use kato_net::pki::{Authority, PemError, PkiError};
use kato_net::{IdentityError, Role};

use crate::failure::Exit;

/// A day, the unit of `--days`.
const DAY: Duration = Duration::from_hours(24);

/// The file name of the root's certificate and key, without `.pem` and `-key.pem`.
const ROOT: &str = "ca";

/// Make the mesh's root certificate, and issue certificates with it
///
/// The root is made once, on a machine that can stay offline. It signs coordinators, operators and readers, and
/// one authority for each datacenter, which signs that datacenter's agents and nobody else.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Init(init::Args),
    Issue(issue::Args),
    Show(show::Args),
}

/// Why certificates could not be made or shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PkiVerbError {
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error("{path} cannot be made")]
    Directory { path: PathBuf, source: io::Error },
    #[error("the name does not fit the role")]
    Name { role: &'static str, source: IdentityError },
    #[error("{0} is there without the other file of its pair")]
    Half(PathBuf),
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} holds no certificate that can be read: {reason}")]
    NotACertificate { path: PathBuf, reason: String },
    #[error("there is no authority of {datacenter} in {directory}")]
    NoAuthority { datacenter: String, directory: PathBuf },
    #[error("there is no mesh's root in {0}")]
    NoRoot(PathBuf),
}

impl PkiVerbError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Pki(PkiError::Pem(PemError::Exists { .. })) => Some(
                "nothing was written over; to renew it, move it and its key away first,\n\
                 or write the new one to another directory"
                    .to_owned(),
            ),
            Self::NoAuthority { datacenter, .. } => Some(format!(
                "kato pki issue authority {datacenter}, with the mesh's root; or --dir names where it is"
            )),
            Self::NoRoot(_) => Some(
                "--dir names where ca.pem and ca-key.pem are; `kato pki init DIR --domain demo.com`\n\
                 makes a new mesh's"
                    .to_owned(),
            ),
            Self::Half(_) => Some("move it away, or bring the other one back".to_owned()),
            Self::Name { role: "agent", .. } => {
                Some("an agent's name is that of its machine: core-1.cell-1.dub".to_owned())
            }
            Self::Name { .. } => Some("a name is a DNS label, such as dub".to_owned()),
            _ => None,
        }
    }
}

/// Runs the verb.
pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    match args.verb {
        Verb::Init(args) => init::run(&args)?,
        Verb::Issue(args) => issue::run(&args)?,
        Verb::Show(args) => return Ok(show::run(&args)?),
    }
    Ok(Exit::Done)
}

/// The files of a name: its certificate and its key.
fn pair(directory: &Path, name: &str) -> (PathBuf, PathBuf) {
    (directory.join(format!("{name}.pem")), directory.join(format!("{name}-key.pem")))
}

/// Which of a name's files are there.
fn is_there(directory: &Path, name: &str) -> Result<bool, PkiVerbError> {
    let (certificate, key) = pair(directory, name);
    match (certificate.exists(), key.exists()) {
        (true, true) => Ok(true),
        (false, false) => Ok(false),
        (true, false) => Err(PkiVerbError::Half(certificate)),
        (false, true) => Err(PkiVerbError::Half(key)),
    }
}

/// Reads an authority by its file name.
fn load(directory: &Path, name: &str) -> Result<Authority, PkiVerbError> {
    let (certificate, key) = pair(directory, name);
    Ok(Authority::load(&certificate, &key)?)
}

/// The file name of a role's certificate: `coordinator-dub`.
fn file_name(role: &Role) -> String {
    role.to_string().replace('/', "-")
}

/// Makes a directory that only its owner can look into: keys lie in it.
fn make_directory(path: &Path) -> Result<(), PkiVerbError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| PkiVerbError::Directory { path: path.into(), source })
}
