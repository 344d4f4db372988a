//! `kato delete`: deletes a workload and stops its instances.

use kato_proto::v1::{self, DeleteWorkloadRequest};
use v1::workloads_client::WorkloadsClient;

use super::{VerbError, confirm, connect, lookup};
use crate::cli::ConnectionArgs;
use crate::failure::Exit;
use crate::output;
use crate::output::units::{count, money};

/// Delete a workload and stop its instances
///
/// If somebody changed it since it was shown, nothing is done.
#[derive(Debug, clap::Args)]
#[command(override_usage = "kato delete [OPTIONS] [workload] <NAME>")]
pub(crate) struct Args {
    /// The workload's name; the word workload before it may be left out
    #[arg(value_name = "[workload] NAME", num_args = 1..=2, required = true)]
    thing: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Runs the verb.
pub(crate) async fn run(args: Args, connection: ConnectionArgs) -> anyhow::Result<Exit> {
    let name = match &args.thing[..] {
        [name] => name.strip_prefix("workload/").unwrap_or(name),
        [kind, name] if matches!(kind.as_str(), "workload" | "workloads" | "wl") => name,
        _ => return Err(VerbError::NotDeletable(args.thing.join(" ")).into()),
    };
    let mut client = connect(&connection).await?;
    let linearizable = v1::Consistency::Linearizable.into();
    let found = lookup::workload(&mut client, name, linearizable).await?;
    let workload = found.workload.unwrap_or_default();
    let instances = workload.spec.as_ref().map_or(1, |spec| spec.count.max(1));
    if !args.yes {
        let price = money(workload.price_micros_per_hour);
        let question =
            format!("Delete {name} and stop {} ({price}/h)?", count(instances, "instance"));
        if !confirm::confirm("kato delete", &question, confirm::Default::No)? {
            output::note("nothing has been changed");
            return Ok(Exit::Failed);
        }
    }
    let expected_revision = Some(workload.revision);
    let request = DeleteWorkloadRequest { name: name.to_owned(), expected_revision };
    let done = client
        .write(async |calls| WorkloadsClient::new(calls).delete(request.clone()).await)
        .await?;
    output::print(&format!("{name} deleted (revision {})\n", done.revision))?;
    Ok(Exit::Done)
}
