//! What `kato` can do: one module a verb, with its arguments and what it does.

pub(crate) mod agent;
pub(crate) mod apply;
pub(crate) mod budget;
pub(crate) mod completion;
mod confirm;
pub(crate) mod coordinator;
pub(crate) mod debug;
pub(crate) mod delete;
pub(crate) mod describe;
pub(crate) mod dev;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod get;
pub(crate) mod logs;
mod lookup;
pub(crate) mod pki;
pub(crate) mod plan;
mod reading;
pub(crate) mod restore;
pub(crate) mod shim;
mod shown;
mod signals;
pub(crate) mod status;
mod unit;
pub(crate) mod version;

use std::io;
use std::path::PathBuf;

use kato_core::{NameError, Timestamp, UNIT_BYTES_MAX};
use kato_net::clock::{Clock, SystemClock};

use crate::cli::{Cli, ConnectionArgs, Verb};
use crate::client::Client;
use crate::failure::Exit;
use crate::settings::Settings;

/// Why a verb could not do what it was asked for, where that is nobody else's fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerbError {
    #[error("{command} would change the mesh, and there is no terminal to ask on")]
    NoTerminal { command: &'static str },
    #[error("cannot read {path}")]
    Unit { path: PathBuf, source: io::Error },
    #[error("{path} is larger than {UNIT_BYTES_MAX} bytes")]
    UnitTooLarge { path: PathBuf },
    #[error("{path}:{line}: the line is not UTF-8: save the file in that encoding")]
    UnitNotUtf8 { path: PathBuf, line: usize },
    #[error("a unit file from the standard input needs its name")]
    NamelessUnit,
    #[error("--name names the unit on the standard input, and no file is -")]
    NameWithoutStdin,
    #[error("--expected-revision is of one workload, and there are {0} files")]
    RevisionOfMany(usize),
    #[error("there is no {kind} \"{name}\"")]
    Unknown { kind: &'static str, name: String, near: Option<String> },
    #[error("there are both a workload and a datacenter \"{0}\"")]
    Ambiguous(String),
    #[error("\"{0}\" is not a kind of thing")]
    Kind(String),
    #[error("\"{name}\" is not an instance: it looks like \"web@1\"")]
    Instance { name: String, source: Option<NameError> },
    #[error(
        "the coordinator of {datacenter} does not answer ({health}), and the log of {instance} is on its machine there, {machine}"
    )]
    LogOutOfReach { instance: String, datacenter: String, machine: String, health: &'static str },
    #[error("the coordinator is older than this kato, and knows nothing of --at")]
    NoPast,
    #[error("\"{0}\" cannot be deleted: only workloads can")]
    NotDeletable(String),
    #[error("cannot read the answer to the question")]
    Answer(#[source] io::Error),
    #[error("--datacenter chooses among offers, not among {0}")]
    DatacenterOf(&'static str),
}

impl VerbError {
    /// Whether the command line was wrong.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NamelessUnit
                | Self::NameWithoutStdin
                | Self::RevisionOfMany(_)
                | Self::Kind(_)
                | Self::NotDeletable(_)
                | Self::Instance { .. }
                | Self::DatacenterOf(_)
        )
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NoTerminal { .. } => {
                Some("-y does it without a question; nothing has been changed".to_owned())
            }
            Self::NamelessUnit => Some("kato apply - --name web@.service < FILE".to_owned()),
            Self::RevisionOfMany(_) => Some("apply the files one by one".to_owned()),
            Self::Unknown { near: Some(near), .. } => Some(format!("did you mean \"{near}\"?")),
            Self::Unknown { kind: "workload or datacenter", .. } => Some(
                "`kato get workloads` and `kato get datacenters` show what there is".to_owned(),
            ),
            Self::Unknown { kind, .. } => Some(format!("`kato get {kind}s` shows what there is")),
            Self::Ambiguous(name) => {
                Some(format!("kato describe workload {name}, or kato describe datacenter {name}"))
            }
            Self::LogOutOfReach { datacenter, .. } => Some(format!(
                "it can be read when {datacenter} is back; `kato describe {datacenter}` shows for how long it has been gone"
            )),
            Self::NotDeletable(_) => Some("kato delete workload NAME".to_owned()),
            Self::Kind(_) => {
                Some("use workload, placement, datacenter or machine, and a name".to_owned())
            }
            Self::Instance { name, .. } => {
                let workload = name.split('@').next().unwrap_or_default();
                Some(format!("`kato get placements {workload}` shows the instances of a workload"))
            }
            _ => None,
        }
    }
}

impl VerbError {
    /// A name that is none of an instance. Where its form is wrong the form is all there is to say.
    fn instance(name: &str, error: NameError) -> Self {
        let source = Some(error).filter(|error| !matches!(error, NameError::Form { .. }));
        Self::Instance { name: name.to_owned(), source }
    }
}

/// Does what the command line says.
pub(crate) fn run(cli: Cli) -> anyhow::Result<Exit> {
    let connection = cli.connection;
    match cli.verb {
        Verb::Apply(args) => client(apply::run(args, connection)),
        Verb::Plan(args) => client(plan::run(args, connection)),
        Verb::Get(args) => client(get::run(args, connection)),
        Verb::Describe(args) => client(describe::run(args, connection)),
        Verb::Explain(args) => client(explain::run(args, connection)),
        Verb::Status(args) => client(status::run(args, connection)),
        Verb::Logs(args) => client(logs::run(args, connection)),
        Verb::Events(args) => client(events::run(args, connection)),
        Verb::Budget(args) => client(budget::run(args, connection)),
        Verb::Delete(args) => client(delete::run(args, connection)),
        Verb::Version(args) => client(version::run(args, connection)),
        Verb::Completion(args) => completion::run(args),
        Verb::Pki(args) => pki::run(args),
        Verb::Debug(args) => debug::run(args),
        Verb::Restore(args) => restore::run(&args),
        Verb::Dev(args) => dev::run(args),
        Verb::Coordinator(args) => coordinator::run(&args),
        Verb::Agent(args) => agent::run(&args),
        Verb::Shim(args) => shim::run_shim(&args),
        Verb::ExecUnit(args) => shim::run_exec(&args),
    }
}

/// Runs a verb that calls the mesh and does little else: one thread is enough for it.
fn client(verb: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(verb)
}

/// A connection as the settings say.
async fn connect(connection: &ConnectionArgs) -> anyhow::Result<Client> {
    Ok(Client::connect(Settings::resolve(connection)?).await?)
}

/// The time that ages are counted from.
fn now() -> Timestamp {
    SystemClock.wall()
}
