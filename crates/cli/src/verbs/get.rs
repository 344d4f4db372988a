//! `kato get`: lists of things.

use clap::ValueEnum;
use kato_core::Timestamp;
use kato_proto::v1;
use v1::topology_client::TopologyClient;

use super::lookup::{self, unknown};
use super::reading::{ReadArgs, note_age};
use super::{VerbError, connect, now};
use crate::cli::ConnectionArgs;
use crate::client::Client;
use crate::failure::Exit;
use crate::output::table::Table;
use crate::output::{self, Format, lists};

/// List things, or show one of them
///
/// NAME narrows the list: a workload's instances (web), a datacenter's or cell's machines (dub, cell-1.dub), or
/// one thing by its whole name.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to list
    #[arg(value_enum, value_name = "KIND")]
    kind: Kind,
    /// Only this one, or what belongs to it
    name: Option<String>,
    /// Only offers in this datacenter
    #[arg(long, value_name = "NAME")]
    datacenter: Option<String>,
    /// The form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    read: ReadArgs,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    #[value(alias = "workload", alias = "wl")]
    Workloads,
    #[value(alias = "placement", alias = "instances", alias = "instance")]
    Placements,
    #[value(alias = "machine", alias = "nodes")]
    Machines,
    #[value(alias = "datacenter", alias = "dc")]
    Datacenters,
    #[value(alias = "cell")]
    Cells,
    #[value(alias = "offer")]
    Offers,
    #[value(alias = "endpoint", alias = "ep")]
    Endpoints,
}

/// Runs the verb.
pub(crate) async fn run(args: Args, connection: ConnectionArgs) -> anyhow::Result<Exit> {
    if args.datacenter.is_some() && args.kind != Kind::Offers {
        let value = args.kind.to_possible_value();
        let kind = ["workloads", "placements", "machines", "datacenters", "cells", "endpoints"]
            .into_iter()
            .find(|kind| value.as_ref().is_some_and(|value| value.get_name() == *kind));
        return Err(VerbError::DatacenterOf(kind.unwrap_or("these")).into());
    }
    let mut client = connect(&connection).await?;
    let shown = Shown { name: args.name.clone(), format: args.output, now: now() };
    match args.kind {
        Kind::Workloads => workloads(&mut client, &args, &shown).await?,
        Kind::Placements | Kind::Endpoints => instances(&mut client, &args, &shown).await?,
        Kind::Machines => machines(&mut client, &args, &shown).await?,
        Kind::Datacenters => datacenters(&mut client, &args, &shown).await?,
        Kind::Cells => cells(&mut client, &args, &shown).await?,
        Kind::Offers => offers(&mut client, &args, &shown).await?,
    }
    Ok(Exit::Done)
}

/// How a list is shown.
struct Shown {
    name: Option<String>,
    format: Format,
    now: Timestamp,
}

impl Shown {
    /// Leaves only what is named; an error where nothing is.
    fn narrow<T>(
        &self,
        kind: &'static str,
        items: &mut Vec<T>,
        name: impl Fn(&T) -> &str,
        fits: impl Fn(&T, &str) -> bool,
    ) -> Result<(), VerbError> {
        let Some(wanted) = &self.name else { return Ok(()) };
        if !items.iter().any(|item| fits(item, wanted)) {
            return Err(unknown(kind, wanted, items.iter().map(name)));
        }
        items.retain(|item| fits(item, wanted));
        Ok(())
    }

    /// Prints the message for programs, the table for people.
    fn print(
        &self,
        noun: &str,
        message: &impl serde::Serialize,
        count: usize,
        table: impl FnOnce(Timestamp, bool) -> Table,
    ) -> anyhow::Result<()> {
        if self.format.is_document() {
            output::print_document(self.format, message)?;
        } else if count == 0 {
            // Beside the answer, so that a script that counts lines counts none.
            output::note(&format!("there are no {noun}"));
        } else {
            output::print(&table(self.now, self.format == Format::Wide).render())?;
        }
        Ok(())
    }
}

async fn workloads(client: &mut Client, args: &Args, shown: &Shown) -> anyhow::Result<()> {
    let consistency = args.read.consistency();
    if let Some(name) = &args.name {
        let answer = lookup::workload(client, name, consistency).await?;
        note_age(answer.read.as_ref());
        let workload = answer.workload.unwrap_or_default();
        let one = [workload.clone()];
        return shown
            .print("workloads", &workload, 1, |now, wide| lists::workloads(&one, now, wide));
    }
    let answer = lookup::workloads(client, consistency).await?;
    note_age(answer.read.as_ref());
    let all = &answer.workloads;
    shown.print("workloads", &answer, all.len(), |now, wide| lists::workloads(all, now, wide))
}

async fn instances(client: &mut Client, args: &Args, shown: &Shown) -> anyhow::Result<()> {
    let consistency = args.read.consistency();
    let workload = args.name.as_deref().unwrap_or_default();
    let workload = workload.split('@').next().unwrap_or_default();
    let mut answer = lookup::instances(client, workload, consistency).await?;
    note_age(answer.read.as_ref());
    if answer.instances.is_empty() && !workload.is_empty() {
        // A workload that is not there is told from one that has no instances yet.
        lookup::workload(client, workload, consistency).await?;
    } else {
        let fits = |i: &v1::Instance, name: &str| i.id == name || name == workload;
        shown.narrow("placement", &mut answer.instances, |i| &i.id, fits)?;
    }
    let all = &answer.instances;
    if args.kind == Kind::Placements {
        return shown.print("placements", &answer, all.len(), |now, wide| {
            lists::placements(all, now, wide)
        });
    }
    let count = all.iter().map(|i| i.endpoints.len()).sum();
    shown.print("endpoints", &answer, count, |_, _| lists::endpoints(all))
}

async fn machines(client: &mut Client, args: &Args, shown: &Shown) -> anyhow::Result<()> {
    let mut answer = lookup::machines(client, args.read.consistency()).await?;
    note_age(answer.read.as_ref());
    let fits = |m: &v1::Machine, name: &str| belongs(&m.id, name);
    shown.narrow("machine", &mut answer.machines, |m| &m.id, fits)?;
    let all = &answer.machines;
    shown.print("machines", &answer, all.len(), |now, wide| lists::machines(all, now, wide))
}

async fn datacenters(client: &mut Client, args: &Args, shown: &Shown) -> anyhow::Result<()> {
    let mut answer = lookup::datacenters(client, args.read.consistency()).await?;
    note_age(answer.read.as_ref());
    let fits = |d: &v1::Datacenter, name: &str| d.name == name;
    shown.narrow("datacenter", &mut answer.datacenters, |d| &d.name, fits)?;
    let all = &answer.datacenters;
    shown.print("datacenters", &answer, all.len(), |now, wide| lists::datacenters(all, now, wide))
}

async fn cells(client: &mut Client, args: &Args, shown: &Shown) -> anyhow::Result<()> {
    let consistency = args.read.consistency();
    let mut answer = client
        .list(async |calls, page| {
            let request = v1::ListCellsRequest { page, consistency };
            TopologyClient::new(calls).list_cells(request).await
        })
        .await?;
    note_age(answer.read.as_ref());
    shown.narrow("cell", &mut answer.cells, |c| &c.id, |c, name| belongs(&c.id, name))?;
    let all = &answer.cells;
    shown.print("cells", &answer, all.len(), |_, _| lists::cells(all))
}

async fn offers(client: &mut Client, args: &Args, shown: &Shown) -> anyhow::Result<()> {
    let datacenter = args.datacenter.clone().unwrap_or_default();
    let consistency = args.read.consistency();
    let mut answer = client
        .list(async |calls, page| {
            let datacenter = datacenter.clone();
            let request = v1::ListOffersRequest { page, datacenter, consistency };
            TopologyClient::new(calls).list_offers(request).await
        })
        .await?;
    note_age(answer.read.as_ref());
    shown.narrow("offer", &mut answer.offers, kind_of, |o, name| kind_of(o) == name)?;
    let all = &answer.offers;
    shown.print("offers", &answer, all.len(), |now, wide| lists::offers(all, now, wide))?;
    let foreign =
        |o: &v1::DatacenterOffer| o.offer.as_ref().is_some_and(|o| !lists::is_placed_on(o));
    if !shown.format.is_document() && all.iter().any(foreign) {
        let arch = kato_core::Arch::default();
        output::note(&format!(
            "instances go on {arch} machines, and on others where their unit says so in Arch="
        ));
    }
    Ok(())
}

fn kind_of(offer: &v1::DatacenterOffer) -> &str {
    offer.offer.as_ref().map_or("", |offer| offer.kind.as_str())
}

/// Whether `id` is `name`, or lies in it: `core-1.cell-1.dub` lies in `cell-1.dub` and in `dub`.
fn belongs(id: &str, name: &str) -> bool {
    id == name || id.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
}
