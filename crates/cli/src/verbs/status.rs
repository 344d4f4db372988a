//! `kato status`: the first thing to type when something is wrong.

use std::time::Duration;

use kato_proto::v1::{self, Consistency, GetStatusRequest, GetStatusResponse};
use v1::cluster_client::ClusterClient;

use super::reading::{ReadArgs, note_age};
use super::{connect, lookup, now};
use crate::cli::ConnectionArgs;
use crate::client::{Client, ClientError};
use crate::failure::Exit;
use crate::output::{self, Format, overview};

/// How long the first coordinator may take to hear a majority, and each further one: an order of magnitude more than
/// the longest round trips, and less than whoever has lost a majority likes to wait.
const MAJORITY: Duration = Duration::from_secs(2);
const MAJORITY_ELSEWHERE: Duration = Duration::from_secs(1);

/// Show who leads, who is silent, what may be lost, and what it costs
///
/// Without a majority of coordinators it says so, and shows what one of them knows.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    read: ReadArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: Args, connection: ConnectionArgs) -> anyhow::Result<Exit> {
    let mut client = connect(&connection).await?;
    let mut consistency = args.read.consistency();
    let mut answer = if args.read.is_open() {
        match of_majority(&mut client).await {
            // Whoever asks now needs to see what there is to see.
            Err(error) if error.is_unavailable() || error.is_late() => {
                consistency = Consistency::Stale.into();
                client = connect(&connection).await?;
                ask(&mut client, consistency).await?
            }
            answer => answer?,
        }
    } else {
        ask(&mut client, consistency).await?
    };
    if answer.leader.is_empty() && consistency == i32::from(Consistency::Stale) {
        output::warn("no majority of coordinators answers; this is what one of them knows");
    }
    note_age(answer.read.as_ref());
    if !answer.leader.is_empty() {
        // It is planned anew for each datacenter, which may take longer than anybody waits for a majority.
        match ask_for(&mut client, consistency, true).await {
            Ok(whole) => answer.losses = whole.losses,
            Err(error) => output::warn(&format!("what a loss would come to is not known: {error}")),
        }
    }
    if args.output.is_document() {
        output::print_document(args.output, &answer)?;
        return Ok(Exit::Done);
    }
    let datacenters = lookup::datacenters(&mut client, consistency).await;
    let datacenters = match datacenters {
        Ok(answer) => answer.datacenters,
        Err(error) => {
            output::warn(&format!("the datacenters' health is not known: {error}"));
            Vec::new()
        }
    };
    output::print(&overview::overview(&answer, &datacenters, now()))?;
    Ok(Exit::Done)
}

/// Asks for the status that a majority knows, but not for long: a coordinator that is cut off waits for the others.
async fn of_majority(client: &mut Client) -> Result<GetStatusResponse, ClientError> {
    let patience = client.patience();
    client.set_patience(MAJORITY.min(patience));
    let answer = loop {
        match ask(client, Consistency::Linearizable.into()).await {
            Err(error) if error.is_late() && client.go_on().await => {
                client.set_patience(MAJORITY_ELSEWHERE.min(patience));
            }
            answer => break answer,
        }
    };
    client.set_patience(patience);
    answer
}

/// Asks for the status.
pub(crate) async fn ask(
    client: &mut Client,
    consistency: i32,
) -> Result<GetStatusResponse, ClientError> {
    ask_for(client, consistency, false).await
}

/// Asks for the status, and what the loss of each datacenter would come to if that is wanted.
async fn ask_for(
    client: &mut Client,
    consistency: i32,
    losses: bool,
) -> Result<GetStatusResponse, ClientError> {
    let request = GetStatusRequest { consistency, losses };
    client.read(async |calls| ClusterClient::new(calls).get_status(request).await).await
}
