//! `kato apply`: shows what a unit file would cost, asks, and then applies exactly what was shown.

use kato_proto::v1::{self, ApplyRequest, ApplyResponse, Change, UnitFile, apply_request};
use v1::workloads_client::WorkloadsClient;

use super::plan::UnitArgs;
use super::{confirm, connect};
use crate::cli::ConnectionArgs;
use crate::client::{Client, ClientError};
use crate::failure::Exit;
use crate::output::style::{BAD, GOOD, paint};
use crate::output::{self, Format, candidates, units};

/// Make or change workloads, after showing where they would go and at what price
///
/// First the plan is shown, as `kato plan` shows it, and a question is asked, unless -y is given. What is then
/// applied is what was shown: if somebody changed the workload in between, nothing is done. Ends with 2 where
/// some instances found no place.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    units: UnitArgs,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// The form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// A unit and what applying it would do.
struct Planned {
    unit: UnitFile,
    response: ApplyResponse,
}

/// Runs the verb.
pub(crate) async fn run(args: Args, connection: ConnectionArgs) -> anyhow::Result<Exit> {
    let units = args.units.read()?;
    let mut client = connect(&connection).await?;
    let mut plans = Vec::new();
    for unit in units {
        let response = dry_run(&mut client, unit.clone(), args.units.expected_revision).await?;
        plans.push(Planned { unit, response });
    }
    show(&plans, args.output, args.yes)?;
    let changes = plans.iter().any(|plan| plan.response.change() != Change::None);
    if changes && !args.yes && !confirm::confirm("kato apply", "Apply?", confirm::Default::Yes)? {
        output::note("nothing has been changed");
        return Ok(Exit::Failed);
    }
    let mut exit = Exit::Done;
    for plan in plans {
        let changes = plan.response.change() != Change::None;
        let done = if changes {
            let expected = args.units.expected_revision.unwrap_or(seen(&plan.response));
            commit(&mut client, plan.unit, expected).await?
        } else {
            plan.response
        };
        if args.output.is_document() {
            output::print_document(args.output, &done)?;
        } else if changes {
            output::print(&outcome(&done))?;
        }
        if done.unplaced > 0 {
            exit = Exit::Partly;
        }
    }
    Ok(exit)
}

/// Shows the plans; beside the answer where that is for a program and a person must still say yes.
fn show(plans: &[Planned], format: Format, yes: bool) -> anyhow::Result<()> {
    let texts: Vec<String> = plans.iter().map(|plan| candidates::plan(&plan.response)).collect();
    let text = texts.join("\n");
    if !format.is_document() {
        output::print(&text)?;
    } else if !yes {
        anstream::eprint!("{text}");
    }
    Ok(())
}

/// The revision that a plan rests on; 0 where the workload did not exist.
fn seen(plan: &ApplyResponse) -> u64 {
    match plan.change() {
        Change::Created => 0,
        _ => plan.workload.as_ref().map_or(0, |workload| workload.revision),
    }
}

/// Asks what applying the unit would do, as whoever is about to do it: who may not apply is told before the question.
async fn dry_run(
    client: &mut Client,
    unit: UnitFile,
    expected_revision: Option<u64>,
) -> Result<ApplyResponse, ClientError> {
    let source = Some(apply_request::Source::Unit(unit));
    let request = ApplyRequest { source, dry_run: true, expected_revision };
    client.read(async |calls| WorkloadsClient::new(calls).apply(request.clone()).await).await
}

async fn commit(
    client: &mut Client,
    unit: UnitFile,
    expected_revision: u64,
) -> Result<ApplyResponse, ClientError> {
    let source = Some(apply_request::Source::Unit(unit));
    let expected_revision = Some(expected_revision);
    let request = ApplyRequest { source, dry_run: false, expected_revision };
    client.write(async |calls| WorkloadsClient::new(calls).apply(request.clone()).await).await
}

/// What was done, in a line.
fn outcome(done: &ApplyResponse) -> String {
    let workload = done.workload.clone().unwrap_or_default();
    let name = output::plain(&workload.spec.map(|spec| spec.name).unwrap_or_default());
    let word = match done.change() {
        Change::Created => "created",
        Change::Updated => "updated",
        Change::None | Change::Unspecified => "unchanged",
    };
    let price = units::money(workload.price_micros_per_hour);
    let left = match done.unplaced {
        0 => String::new(),
        some => {
            let left = format!("{} without a place", units::count(some, "instance"));
            format!("; {}: `kato get placements {name}` says why", paint(BAD, &left))
        }
    };
    let revision = workload.revision;
    format!("\n{name} {} (revision {revision}), {price}/h{left}\n", paint(GOOD, word))
}
