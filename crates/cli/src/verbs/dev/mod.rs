//! `kato dev`: a whole mesh on this host. Three datacenters, each with a coordinator and two machines, from the
//! same configuration files and through the same commands that an operator would use.

mod control;
mod files;
mod founding;
mod ports;
mod processes;
mod report;
mod site;
mod supervisor;

use std::path::PathBuf;

use crate::failure::Exit;
use site::SITES;

/// Start a mesh of three datacenters on this host
///
/// Everything is kept in the data directory; the same directory resumes the same mesh, with the ports and the
/// catalogue that it was founded with. Ctrl-C stops every process that was started.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: StartArgs,
}

#[derive(Debug, clap::Args)]
struct StartArgs {
    /// Where everything is kept [default: ~/.local/state/kato/dev]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The coordinators' ports: this one and the two after it [default: free ones]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(ports::BASES))]
    base_port: Option<u16>,
    /// A catalogue of offers in place of the built-in one
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Kill every process of a datacenter, as if it burned
    Lose(DatacenterArgs),
    /// Start a lost datacenter again
    Return(DatacenterArgs),
}

#[derive(Debug, clap::Args)]
struct DatacenterArgs {
    /// dub, ewr or sin
    datacenter: String,
    /// The data directory of the mesh
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Why `kato dev` did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevError {
    #[error("there is no home directory to keep the mesh in")]
    NoHome,
    #[error("cannot use the data directory {path}")]
    Directory { path: PathBuf, source: std::io::Error },
    #[error(
        "the data directory {path} was made by another version of kato: format {found}, this is {known}"
    )]
    Format { path: PathBuf, found: String, known: u32 },
    #[error("the data directory {path} holds something else than a mesh of kato dev")]
    Foreign { path: PathBuf },
    #[error("another kato dev runs in {path}")]
    Running { path: PathBuf },
    #[error("the port {port} of {datacenter} is in use")]
    PortBusy { port: u16, datacenter: &'static str, resumed: bool },
    #[error("the coordinator of {datacenter} cannot have the port {port}")]
    Port { port: u16, datacenter: &'static str, source: std::io::Error },
    #[error("the mesh in {path} was founded with the ports {has}, not from {asked} on")]
    OtherPorts { path: PathBuf, has: String, asked: u16 },
    #[error("the mesh in {path} was founded with {has}, not with {}", asked.display())]
    OtherCatalogue { path: PathBuf, has: String, asked: PathBuf },
    #[error("the catalogue {catalogue} has no offer for {city}: {region}")]
    NoOffer { catalogue: String, city: &'static str, region: String },
    #[error("no {needed} free ports were found from {first} on")]
    NoPorts { first: u16, needed: usize },
    #[error("no kato dev runs in {path}")]
    NotRunning { path: PathBuf },
    #[error("{0}")]
    Refused(String),
    #[error("{process} of {datacenter} ended before the mesh was ready: {status}")]
    Died { process: String, datacenter: String, status: String, log: PathBuf },
    #[error("the mesh was not ready after {seconds} s")]
    NotReady { seconds: u64, last: String, logs: PathBuf },
}

impl DevError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NoHome => Some("say where: kato dev --data-dir DIR".to_owned()),
            Self::Directory { .. } => {
                Some("choose a directory that you may write to: kato dev --data-dir DIR".to_owned())
            }
            Self::Format { .. } => Some(
                "use another directory with --data-dir; the kato that made this one can still run it"
                    .to_owned(),
            ),
            Self::Foreign { .. } => {
                Some("use another directory with --data-dir; nothing in this one was touched".to_owned())
            }
            Self::Running { .. } => {
                Some("stop it with Ctrl-C, or use another --data-dir".to_owned())
            }
            Self::PortBusy { resumed: true, port, .. } => Some(format!(
                "this mesh was founded with it: stop what listens on {port} (ss -ltnp), or start \
                 another mesh with --data-dir"
            )),
            Self::PortBusy { .. } | Self::Port { .. } => {
                Some("choose others with --base-port".to_owned())
            }
            Self::OtherPorts { .. } => Some(
                "leave --base-port out, or start another mesh with --data-dir: the ports of a mesh \
                 are fixed when it is founded"
                    .to_owned(),
            ),
            Self::OtherCatalogue { path, asked, .. } => {
                let config =
                    SITES.map(|site| path.join(format!("{}.toml", site.name)).display().to_string());
                Some(format!(
                    "leave --catalog out, or start another mesh with --data-dir; to give this one another,\n\
                     write catalog = \"{}\" above [tls] in {}",
                    asked.display(),
                    config.join(", ")
                ))
            }
            Self::NoOffer { .. } => Some(
                "docs/placement.md has the form of a catalogue; this offer must be on demand and x86_64"
                    .to_owned(),
            ),
            Self::NoPorts { .. } => Some("say which to use: --base-port PORT".to_owned()),
            Self::NotRunning { .. } => Some("start one with: kato dev".to_owned()),
            Self::Died { log, .. } => Some(format!("its log says why: {}", log.display())),
            Self::NotReady { last, logs, .. } => {
                Some(format!("last seen: {last}; the logs are in {}", logs.display()))
            }
            Self::Refused(_) => None,
        }
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        None => supervisor::run(args.start),
        Some(Command::Lose(args)) => control::ask("lose", &args),
        Some(Command::Return(args)) => control::ask("return", &args),
    }
}

/// The directory that was asked for, or the usual one.
fn data_dir(asked: Option<PathBuf>) -> Result<PathBuf, DevError> {
    let base = || {
        let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
        state.or_else(home).map(|state| state.join("kato/dev"))
    };
    let directory = asked.or_else(base).ok_or(DevError::NoHome)?;
    std::path::absolute(&directory)
        .map_err(|source| DevError::Directory { path: directory, source })
}
