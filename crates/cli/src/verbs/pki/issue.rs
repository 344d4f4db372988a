//! `kato pki issue`: a certificate for a member of the mesh.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use kato_core::{DatacenterName, Timestamp};
use kato_net::Role;
use kato_net::pki::{Authority, Host, Overwrite, PemError, PkiError};

use super::{DAY, PkiVerbError, ROOT, file_name, is_there, load, make_directory, pair};
use crate::output::{self, units};
use crate::verbs::now;

/// How long an authority is valid by default.
const AUTHORITY_DAYS: u32 = 730;

/// Issue a certificate
///
/// Writes ROLE-NAME.pem and ROLE-NAME-key.pem. A coordinator also gets the authority of its datacenter, unless
/// it has one. Nothing is written over.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// For whom
    #[arg(value_enum)]
    role: RoleKind,
    /// The datacenter (dub), the person or program (ada), or the agent's machine (core-1.cell-1.dub)
    name: String,
    /// Where the mesh's root is; for agents, their authority
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Where to write the certificate [default: the same]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// DNS name or IP address for ordinary gRPC clients; several with commas
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    san: Vec<Host>,
    /// How long it is valid [default: authority 730, agent 90, others 365]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleKind {
    /// A datacenter's coordinator, and the datacenter's authority
    Coordinator,
    /// A datacenter's authority alone, which signs its agents
    Authority,
    /// A person or program that may change things
    Operator,
    /// A person or program that may look
    Reader,
    /// A machine's agent
    Agent,
}

impl RoleKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Authority => "authority",
            Self::Operator => "operator",
            Self::Reader => "reader",
            Self::Agent => "agent",
        }
    }

    fn days(self) -> u32 {
        match self {
            Self::Authority => AUTHORITY_DAYS,
            Self::Agent => 90,
            Self::Coordinator | Self::Operator | Self::Reader => 365,
        }
    }
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> Result<(), PkiVerbError> {
    let role = args.role.as_str();
    let parsed = format!("{role}/{}", args.name).parse::<Role>();
    let role = parsed.map_err(|source| PkiVerbError::Name { role, source })?;
    let out = args.out.as_ref().unwrap_or(&args.dir);
    // Before anything is made: half of what was asked for would only confuse.
    let name = file_name(&role);
    if is_there(out, &name)? {
        let path = pair(out, &name).0;
        return Err(PkiError::from(PemError::Exists { path }).into());
    }
    let signer = signer(&args.dir, &role)?;
    make_directory(out)?;
    let (days, now) = (args.days.unwrap_or(args.role.days()), now());
    let validity = DAY * days;
    let mut written = Vec::new();
    match &role {
        Role::Authority(datacenter) => written.push(authority(&signer, out, datacenter, validity)?),
        Role::Coordinator(datacenter) => {
            let own = format!("{datacenter}.{}", signer.domain()).parse::<Host>();
            let hosts: Vec<Host> = own.into_iter().chain(args.san.iter().cloned()).collect();
            if !is_there(out, &file_name(&Role::Authority(datacenter.clone())))? {
                let validity = DAY * AUTHORITY_DAYS;
                written.push(authority(&signer, out, datacenter, validity)?);
            }
            written.push(leaf(&signer, role.clone(), &hosts, out, now, validity)?);
        }
        _ => written.push(leaf(&signer, role.clone(), &args.san, out, now, validity)?),
    }
    // A closed pipe does not undo what has been written.
    let _ = output::print(&written.concat());
    Ok(())
}

/// Who may sign for the role: the root, or for an agent the authority of its datacenter.
fn signer(directory: &Path, role: &Role) -> Result<Authority, PkiVerbError> {
    if let Role::Agent(machine) = role {
        let datacenter = &machine.cell.datacenter;
        let name = file_name(&Role::Authority(datacenter.clone()));
        if !is_there(directory, &name)? {
            let datacenter = datacenter.to_string();
            return Err(PkiVerbError::NoAuthority { datacenter, directory: directory.into() });
        }
        return load(directory, &name);
    }
    if !is_there(directory, ROOT)? {
        return Err(PkiVerbError::NoRoot(directory.into()));
    }
    load(directory, ROOT)
}

fn authority(
    root: &Authority,
    out: &Path,
    datacenter: &DatacenterName,
    validity: Duration,
) -> Result<String, PkiVerbError> {
    let made = root.intermediate(datacenter.clone(), now(), validity)?;
    let name = file_name(&Role::Authority(datacenter.clone()));
    made.store(out, &name, Overwrite::Refuse)?;
    Ok(report(&made.to_string(), out, &name, made.expires_at()))
}

fn leaf(
    signer: &Authority,
    role: Role,
    hosts: &[Host],
    out: &Path,
    now: Timestamp,
    validity: Duration,
) -> Result<String, PkiVerbError> {
    let name = file_name(&role);
    let issued = signer.issue(role, hosts, now, validity)?;
    issued.store(out, &name, Overwrite::Refuse)?;
    // It does not outlive whoever signed it.
    let millis = u64::try_from(validity.as_millis()).unwrap_or(u64::MAX);
    let end = Timestamp(now.0.saturating_add(millis)).min(signer.expires_at());
    Ok(report(&issued.identity().to_string(), out, &name, end))
}

fn report(identity: &str, out: &Path, name: &str, end: Timestamp) -> String {
    let (certificate, key) = pair(out, name);
    format!(
        "Issued {identity}, valid until {}\n  {}\n  {}\n",
        units::moment(end.0),
        certificate.display(),
        key.display()
    )
}
