//! `kato explain`: why an instance is where it is.

use kato_core::InstanceId;
use kato_proto::v1::{self, ExplainRequest};
use v1::placement_client::PlacementClient;

use super::reading::{ReadArgs, note_age};
use super::{VerbError, connect, lookup, now};
use crate::cli::ConnectionArgs;
use crate::failure::Exit;
use crate::output::{self, Format, explanation};

/// Show why an instance is where it is, and not elsewhere
///
/// For each datacenter: the filter that removed it, or the terms of its score in dollars and milliseconds, with
/// the source and the age of the price. It is the decision that was kept with the placement, not a new one.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Such as web@1
    #[arg(value_name = "INSTANCE")]
    instance: String,
    /// The form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    read: ReadArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: Args, connection: ConnectionArgs) -> anyhow::Result<Exit> {
    let id = instance_id(&args.instance)?;
    let mut client = connect(&connection).await?;
    let consistency = args.read.consistency();
    let request = ExplainRequest { instance: id.to_string(), consistency };
    let answer =
        client.read(async |calls| PlacementClient::new(calls).explain(request.clone()).await).await;
    let answer = match answer {
        Err(error) if error.is_not_found() => {
            return Err(lookup::missing(&mut client, &id, consistency, error).await);
        }
        answer => answer?,
    };
    note_age(answer.read.as_ref());
    if args.output.is_document() {
        output::print_document(args.output, &answer)?;
    } else {
        output::print(&explanation::explanation(&answer, now()))?;
    }
    Ok(Exit::Done)
}

/// Reads `web@1`.
pub(crate) fn instance_id(text: &str) -> Result<InstanceId, VerbError> {
    text.parse().map_err(|error| VerbError::instance(text, error))
}
