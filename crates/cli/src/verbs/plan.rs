//! `kato plan`: what `apply` would do, without doing it.

use kato_proto::v1::{self, ApplyRequest, ApplyResponse, Change, UnitFile, apply_request};
use v1::workloads_client::WorkloadsClient;

use super::{VerbError, connect, unit};
use crate::cli::ConnectionArgs;
use crate::client::{Client, ClientError};
use crate::failure::Exit;
use crate::output::{self, Format, candidates};

/// Show where a unit file would be placed and at what price; change nothing
///
/// The first table has every datacenter: what an instance would cost there, how far it is from the users that
/// Near= names, and whether it was chosen or why not. Ends with 0 where nothing would change, with 2 where
/// something would.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) units: UnitArgs,
    /// The form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Which unit files.
#[derive(Debug, clap::Args)]
pub(crate) struct UnitArgs {
    /// systemd unit files with an [X-Kato] section; - is the standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<String>,
    /// The unit's name where a file is -, such as web@.service
    #[arg(long, value_name = "UNIT")]
    name: Option<String>,
    /// Fail unless the workload is at this revision; 0: unless it does not exist
    #[arg(long, value_name = "N")]
    pub(crate) expected_revision: Option<u64>,
}

impl UnitArgs {
    /// Reads the files.
    pub(crate) fn read(&self) -> Result<Vec<UnitFile>, VerbError> {
        if self.name.is_some() && !self.files.iter().any(|file| file == "-") {
            return Err(VerbError::NameWithoutStdin);
        }
        if self.expected_revision.is_some() && self.files.len() > 1 {
            return Err(VerbError::RevisionOfMany(self.files.len()));
        }
        self.files.iter().map(|file| unit::read(file, self.name.as_deref())).collect()
    }
}

/// Runs the verb.
pub(crate) async fn run(args: Args, connection: ConnectionArgs) -> anyhow::Result<Exit> {
    let units = args.units.read()?;
    let mut client = connect(&connection).await?;
    let mut exit = Exit::Done;
    for (index, unit) in units.into_iter().enumerate() {
        let plan = ask(&mut client, unit, args.units.expected_revision).await?;
        if plan.change() != Change::None {
            exit = Exit::Partly;
        }
        if args.output.is_document() {
            output::print_document(args.output, &plan)?;
        } else {
            let gap = if index > 0 { "\n" } else { "" };
            output::print(&format!("{gap}{}", candidates::plan(&plan)))?;
        }
    }
    Ok(exit)
}

/// Asks what applying the unit would do.
async fn ask(
    client: &mut Client,
    unit: UnitFile,
    expected_revision: Option<u64>,
) -> Result<ApplyResponse, ClientError> {
    let source = Some(apply_request::Source::Unit(unit));
    let request = ApplyRequest { source, dry_run: true, expected_revision };
    client.read(async |calls| WorkloadsClient::new(calls).plan(request.clone()).await).await
}
