//! `kato plan`: what `apply` would do, or what would become of what runs if something were otherwise, without doing it.

use kato_proto::v1::{
    self, ApplyRequest, ApplyResponse, Change, Consistency, PriceChange, UnitFile, WhatIfRequest,
    apply_request,
};
use v1::placement_client::PlacementClient;
use v1::workloads_client::WorkloadsClient;

use super::{VerbError, connect, unit};
use crate::cli::ConnectionArgs;
use crate::client::{Client, ClientError};
use crate::failure::Exit;
use crate::output::{self, Format, candidates, what_if};

/// Show what applying a unit file, or losing a datacenter, would come to; change nothing
///
/// With a FILE, the first table has every datacenter: what an instance would cost there, how far it is from the users that
/// Near= names, and whether it was chosen or why not. Ends with 0 where nothing would change, with 2 where
/// something would.
///
/// With --without, --capacity or --price, which may be given several times and together, it shows what of all that runs would
/// go where, the change in dollars an hour and in latency, and what would run nowhere. Ends with 2 where something would.
#[derive(Debug, clap::Args)]
#[command(group(
    clap::ArgGroup::new("question")
        .args(["files", "without", "capacity", "price"])
        .required(true)
        .multiple(true)
))]
#[command(override_usage = "kato plan [OPTIONS] <FILE>...\n       \
                            kato plan [OPTIONS] [--without <LOST>]... [--capacity <DATACENTER=N>]...\n                 \
                            [--price <PROVIDER[:REGION]=PERCENT>]...")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) units: UnitArgs,
    #[command(flatten)]
    hypothesis: HypothesisArgs,
    /// The form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// What is taken to be so.
#[derive(Debug, clap::Args)]
#[group(required = false, multiple = true, conflicts_with_all = ["files", "expected_revision", "name"])]
struct HypothesisArgs {
    /// As if this datacenter were lost, or provider=NAME, or region=PROVIDER:REGION
    #[arg(long, value_name = "LOST")]
    without: Vec<String>,
    /// As if a datacenter had so many machines at most, such as dub=0
    #[arg(long, value_name = "DATACENTER=N", value_parser = capacity)]
    capacity: Vec<(String, u32)>,
    /// As if prices of a provider, or of one of its regions, were others, such as ec2:eu-west-1=+50%
    #[arg(long, value_name = "PROVIDER[:REGION]=PERCENT", value_parser = price)]
    price: Vec<PriceChange>,
}

impl HypothesisArgs {
    /// The question, if there is one.
    fn request(&self) -> Option<WhatIfRequest> {
        let Self { without, capacity, price } = self;
        if without.is_empty() && capacity.is_empty() && price.is_empty() {
            return None;
        }
        Some(WhatIfRequest {
            without: without.clone(),
            capacity: capacity.iter().cloned().collect(),
            prices: price.clone(),
            consistency: Consistency::Linearizable.into(),
        })
    }
}

/// Reads `dub=0`.
fn capacity(text: &str) -> Result<(String, u32), String> {
    let read = text.split_once('=').and_then(|(name, most)| Some((name, most.parse().ok()?)));
    let (name, most) = read.filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
        "write a datacenter and the most machines that it has, such as dub=0".to_owned()
    })?;
    Ok((name.to_owned(), most))
}

/// Reads `ec2:eu-west-1=+50%`.
fn price(text: &str) -> Result<PriceChange, String> {
    let form = || {
        "write a provider, perhaps its region, and by how much its prices are others, such as ec2=-20% or \
         ec2:eu-west-1=+50%"
            .to_owned()
    };
    let (whose, percent) = text.split_once('=').ok_or_else(form)?;
    let percent = percent.strip_suffix('%').and_then(|digits| digits.parse().ok());
    let percent = percent.filter(|percent| *percent != 0).ok_or_else(form)?;
    let (provider, region) = whose.split_once(':').unwrap_or((whose, ""));
    if provider.is_empty() {
        return Err(form());
    }
    Ok(PriceChange { provider: provider.to_owned(), region: region.to_owned(), percent })
}

/// Which unit files.
#[derive(Debug, clap::Args)]
pub(crate) struct UnitArgs {
    /// systemd unit files with an [X-Kato] section; - is the standard input
    #[arg(value_name = "FILE")]
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
    if let Some(request) = args.hypothesis.request() {
        return what_if(&request, args.output, &connection).await;
    }
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

/// Shows what would become of what runs.
async fn what_if(
    request: &WhatIfRequest,
    format: Format,
    connection: &ConnectionArgs,
) -> anyhow::Result<Exit> {
    let mut client = connect(connection).await?;
    let answer = client
        .read(async |calls| PlacementClient::new(calls).what_if(request.clone()).await)
        .await?;
    if format.is_document() {
        output::print_document(format, &answer)?;
    } else {
        output::print(&what_if::outcome(&answer))?;
    }
    Ok(if answer.stranded.is_empty() { Exit::Done } else { Exit::Partly })
}

/// Asks what applying the unit would do.
async fn ask(
    client: &mut Client,
    unit: UnitFile,
    expected_revision: Option<u64>,
) -> Result<ApplyResponse, ClientError> {
    let source = Some(apply_request::Source::Unit(unit));
    let request = ApplyRequest { source, dry_run: true, expected_revision };
    let call = client.read(async |calls| WorkloadsClient::new(calls).plan(request.clone()).await);
    // A workload with all its rules is large.
    Box::pin(call).await
}
