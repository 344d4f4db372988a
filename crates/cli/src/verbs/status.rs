//! `kato status`: the first thing to type when something is wrong.

use kato_proto::v1::{self, Consistency, GetStatusRequest, GetStatusResponse};
use v1::cluster_client::ClusterClient;

use super::reading::{ReadArgs, note_age};
use super::{connect, lookup, now};
use crate::cli::ConnectionArgs;
use crate::client::{Client, ClientError};
use crate::failure::Exit;
use crate::output::{self, Format, overview};

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
    let answer = match ask(&mut client, consistency).await {
        // Whoever asks now needs to see what there is to see.
        Err(error) if error.is_unavailable() && args.read.is_open() => {
            consistency = Consistency::Stale.into();
            let mut client = connect(&connection).await?;
            ask(&mut client, consistency).await?
        }
        answer => answer?,
    };
    if answer.leader.is_empty() && consistency == i32::from(Consistency::Stale) {
        output::warn("no majority of coordinators answers; this is what one of them knows");
    }
    note_age(answer.read.as_ref());
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

/// Asks for the status.
pub(crate) async fn ask(
    client: &mut Client,
    consistency: i32,
) -> Result<GetStatusResponse, ClientError> {
    let request = GetStatusRequest { consistency };
    client.read(async |calls| ClusterClient::new(calls).get_status(request).await).await
}
