//! `kato describe`: one thing with all that is known of it.

use kato_core::{InstanceId, MachineId};
use kato_proto::v1;

use super::explain::instance_id;
use super::lookup::{self, unknown};
use super::reading::{ReadArgs, note_age};
use super::{VerbError, connect, now};
use crate::cli::ConnectionArgs;
use crate::client::Client;
use crate::failure::Exit;
use crate::output::{self, details};

/// How many of the latest events are shown.
const EVENTS_SHOWN: usize = 10;

/// Show one thing with all that is known of it
///
/// Without a kind the form of the name decides: web@1 is an instance, core-1.cell-1.dub a machine, dub or web a
/// datacenter or a workload.
#[derive(Debug, clap::Args)]
#[command(override_usage = "kato describe [OPTIONS] [KIND] <NAME>")]
pub(crate) struct Args {
    /// workload, placement, datacenter or machine; may be left out
    #[arg(value_name = "[KIND] NAME", num_args = 1..=2, required = true)]
    thing: Vec<String>,
    #[command(flatten)]
    read: ReadArgs,
}

/// What can be described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Workload,
    Placement,
    Datacenter,
    Machine,
}

/// Runs the verb.
pub(crate) async fn run(args: Args, connection: ConnectionArgs) -> anyhow::Result<Exit> {
    let (kind, name) = parse(&args.thing)?;
    let consistency = args.read.consistency();
    let mut client = connect(&connection).await?;
    let kind = match kind {
        Some(kind) => kind,
        None => guess(&mut client, name, consistency).await?,
    };
    let text = match kind {
        Kind::Workload => workload(&mut client, name, consistency).await?,
        Kind::Placement => placement(&mut client, name, consistency).await?,
        Kind::Datacenter => datacenter(&mut client, name, consistency).await?,
        Kind::Machine => machine(&mut client, name, consistency).await?,
    };
    output::print(&text)?;
    Ok(Exit::Done)
}

/// The kind, where it is given or the form of the name tells it, and the name.
fn parse(thing: &[String]) -> Result<(Option<Kind>, &str), VerbError> {
    let (kind, name) = match thing {
        [kind, name] => (kind.as_str(), name.as_str()),
        [one] => match one.split_once('/') {
            Some((kind, name)) => (kind, name),
            None if one.parse::<InstanceId>().is_ok() => return Ok((Some(Kind::Placement), one)),
            None if one.parse::<MachineId>().is_ok() => return Ok((Some(Kind::Machine), one)),
            None => return Ok((None, one)),
        },
        _ => return Err(VerbError::Kind(thing.join(" "))),
    };
    let kind = match kind {
        "workload" | "workloads" | "wl" => Kind::Workload,
        "placement" | "placements" | "instance" | "instances" => Kind::Placement,
        "datacenter" | "datacenters" | "dc" => Kind::Datacenter,
        "machine" | "machines" => Kind::Machine,
        other => return Err(VerbError::Kind(other.to_owned())),
    };
    Ok((Some(kind), name))
}

/// Whether a plain name is that of a datacenter or of a workload.
async fn guess(client: &mut Client, name: &str, consistency: i32) -> anyhow::Result<Kind> {
    let datacenters = lookup::datacenters(client, consistency).await?.datacenters;
    let workloads = lookup::workloads(client, consistency).await?.workloads;
    let mut names: Vec<&str> = datacenters.iter().map(|d| d.name.as_str()).collect();
    let datacenter = names.contains(&name);
    let of_workloads = workloads.iter().filter_map(|w| Some(w.spec.as_ref()?.name.as_str()));
    let of_workloads: Vec<&str> = of_workloads.collect();
    match (datacenter, of_workloads.contains(&name)) {
        (true, true) => Err(VerbError::Ambiguous(name.to_owned()).into()),
        (true, false) => Ok(Kind::Datacenter),
        (false, true) => Ok(Kind::Workload),
        (false, false) => {
            names.extend(of_workloads);
            Err(unknown("workload or datacenter", name, names).into())
        }
    }
}

async fn workload(client: &mut Client, name: &str, consistency: i32) -> anyhow::Result<String> {
    let answer = lookup::workload(client, name, consistency).await?;
    note_age(answer.read.as_ref());
    let instances = lookup::instances(client, name, consistency).await?.instances;
    let events = latest(client, name, consistency).await?;
    Ok(details::workload(&answer.workload.unwrap_or_default(), &instances, &events, now()))
}

async fn placement(client: &mut Client, name: &str, consistency: i32) -> anyhow::Result<String> {
    let id = instance_id(name)?;
    let answer = lookup::instances(client, id.workload.as_str(), consistency).await?;
    note_age(answer.read.as_ref());
    let instance = lookup::instance(answer.instances, name)?;
    let events = latest(client, name, consistency).await?;
    Ok(details::placement(&instance, &events, now()))
}

async fn datacenter(client: &mut Client, name: &str, consistency: i32) -> anyhow::Result<String> {
    let answer = lookup::datacenters(client, consistency).await?;
    note_age(answer.read.as_ref());
    let found = answer.datacenters.iter().find(|d| d.name == name);
    let names = answer.datacenters.iter().map(|d| d.name.as_str());
    let found = found.ok_or_else(|| unknown("datacenter", name, names))?;
    let mut machines = lookup::machines(client, consistency).await?.machines;
    machines.retain(|machine| {
        machine.id.parse::<MachineId>().is_ok_and(|id| id.cell.datacenter.as_str() == name)
    });
    let events = latest(client, name, consistency).await?;
    Ok(details::datacenter(found, &machines, &events, now()))
}

async fn machine(client: &mut Client, name: &str, consistency: i32) -> anyhow::Result<String> {
    let answer = lookup::machines(client, consistency).await?;
    note_age(answer.read.as_ref());
    let found = answer.machines.iter().find(|m| m.id == name);
    let names = answer.machines.iter().map(|m| m.id.as_str());
    let found = found.ok_or_else(|| unknown("machine", name, names))?;
    let mut instances = lookup::instances(client, "", consistency).await?.instances;
    instances.retain(|instance| instance.machine == name);
    Ok(details::machine(found, &instances, now()))
}

/// The latest events of something, the oldest of them first.
async fn latest(
    client: &mut Client,
    subject: &str,
    consistency: i32,
) -> anyhow::Result<Vec<v1::Event>> {
    let mut events = lookup::events(client, subject, consistency).await?.events;
    Ok(events.split_off(events.len().saturating_sub(EVENTS_SHOWN)))
}
