//! `kato apply`: shows what a unit file would cost, asks, makes sure that what was shown still holds, and applies it.

use kato_proto::v1::{
    self, ApplyRequest, ApplyResponse, Change, UnitFile, Workload, apply_request,
};
use v1::workloads_client::WorkloadsClient;

use super::plan::UnitArgs;
use super::{confirm, connect, shown};
use crate::cli::ConnectionArgs;
use crate::client::{Client, ClientError};
use crate::failure::Exit;
use crate::output::style::{BAD, GOOD, paint};
use crate::output::{self, Format, candidates, units};

/// Make or change workloads, after showing where they would go and at what price
///
/// First the plan is shown, as `kato plan` shows it, and a question is asked, unless -y is given. If the mesh has
/// changed when the answer is yes, so that something else would be chosen, that is shown and asked instead; if
/// somebody has changed the workload, nothing is done. A changed workload's instances are replaced one after
/// another, and each is placed when its turn comes. Ends with 2 where some instances found no place.
#[derive(Debug, clap::Args)]
#[command(override_usage = "kato apply [OPTIONS] <FILE>...")]
#[command(group(clap::ArgGroup::new("wish").args(["files"]).required(true).multiple(true)))]
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

/// A unit, what applying it would do, and the revision that this rests on.
struct Planned {
    unit: UnitFile,
    expected_revision: u64,
    response: ApplyResponse,
}

impl Planned {
    fn changes(&self) -> bool {
        self.response.change() != Change::None
    }
}

/// Runs the verb.
pub(crate) async fn run(args: Args, connection: ConnectionArgs) -> anyhow::Result<Exit> {
    let units = args.units.read()?;
    let mut client = connect(&connection).await?;
    let mut plans = Vec::new();
    for unit in units {
        let response = dry_run(&mut client, unit.clone(), args.units.expected_revision).await?;
        let expected_revision = args.units.expected_revision.unwrap_or(seen(&response));
        plans.push(Planned { unit, expected_revision, response });
    }
    show(&plans, args.output, args.yes)?;
    if !args.yes {
        let Some(agreed) = agree(&mut client, plans, args.output).await? else {
            output::note("nothing has been changed");
            return Ok(Exit::Failed);
        };
        plans = agreed;
    }
    let mut exit = Exit::Done;
    for plan in plans {
        let done =
            if plan.changes() { commit(&mut client, &plan).await? } else { plan.response.clone() };
        if args.output.is_document() {
            output::print_document(args.output, &done)?;
        } else if plan.changes() {
            output::print(&outcome(&plan.response, &done))?;
        }
        if let Some(departure) = shown::departure(&plan.response, &done) {
            output::note(&departure);
        }
        if done.unplaced > 0 {
            exit = Exit::Partly;
        }
    }
    Ok(exit)
}

/// Asks until there is a yes to what would be done at that moment; nothing where the answer is no. A question may
/// stand for long, and a yes to what no longer holds is none.
async fn agree(
    client: &mut Client,
    mut plans: Vec<Planned>,
    format: Format,
) -> anyhow::Result<Option<Vec<Planned>>> {
    while plans.iter().any(Planned::changes) {
        if !confirm::confirm("kato apply", "Apply?", confirm::Default::Yes)? {
            return Ok(None);
        }
        let mut same = true;
        for plan in &mut plans {
            let now = dry_run(client, plan.unit.clone(), Some(plan.expected_revision)).await?;
            same &= shown::is_same(&plan.response, &now);
            plan.response = now;
        }
        if same {
            break;
        }
        output::note("the mesh has changed meanwhile; this is what would be done now:\n");
        show(&plans, format, false)?;
    }
    Ok(Some(plans))
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
    let call = client.read(async |calls| WorkloadsClient::new(calls).apply(request.clone()).await);
    // A workload with all its rules is large.
    Box::pin(call).await
}

async fn commit(client: &mut Client, plan: &Planned) -> Result<ApplyResponse, ClientError> {
    let source = Some(apply_request::Source::Unit(plan.unit.clone()));
    let expected_revision = Some(plan.expected_revision);
    let request = ApplyRequest { source, dry_run: false, expected_revision };
    client.write(async |calls| WorkloadsClient::new(calls).apply(request.clone()).await).await
}

/// What was done, in a line.
fn outcome(shown: &ApplyResponse, done: &ApplyResponse) -> String {
    let workload = done.workload.clone().unwrap_or_default();
    let name = output::plain(workload.spec.as_ref().map_or("", |spec| &spec.name));
    let word = match done.change() {
        Change::Created => "created",
        Change::Updated => "updated",
        Change::None | Change::Unspecified => "unchanged",
    };
    let left = match done.unplaced {
        0 => String::new(),
        some => {
            let left = format!("{} without a place", units::count(some, "instance"));
            format!("; {}: `kato get placements {name}` says why", paint(BAD, &left))
        }
    };
    let (revision, price) = (workload.revision, price(shown, done));
    format!("\n{name} {} (revision {revision}), {price}{left}\n", paint(GOOD, word))
}

/// What the workload costs; and what it will, where its instances are only about to change.
fn price(shown: &ApplyResponse, done: &ApplyResponse) -> String {
    let fine = candidates::is_fine(shown) || candidates::is_fine(done);
    let of = |workload: &Option<Workload>| workload.as_ref().map_or(0, |w| w.price_micros_per_hour);
    let show = |micros| format!("{}/h", units::money_beside(micros, fine));
    let (will, now) = (of(&shown.workload), of(&done.workload));
    // What was shown is of all instances, unless some of an unchanged workload had no place.
    let whole = shown.workload.as_ref().is_some_and(|workload| {
        let count = workload.spec.as_ref().map_or(1, |spec| spec.count.max(1));
        workload.placed + shown.unplaced == count
    });
    if done.change() == Change::Updated && whole && will != now {
        return format!("{} now, {} when every instance has changed", show(now), show(will));
    }
    show(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples;

    fn at(price: i64, change: Change) -> ApplyResponse {
        let mut answer = samples::plan(change);
        answer.workload.as_mut().unwrap().price_micros_per_hour = price;
        answer
    }

    #[test]
    fn prices_are_shown_alike_and_those_to_come_are_called_so() {
        for (shown, done, expected) in [
            (at(2_280, Change::Created), at(2_280, Change::Created), "$0.002280/h"),
            // As fine as the prices of the table.
            (at(2_300, Change::Created), at(2_300, Change::Created), "$0.002300/h"),
            (at(2_280, Change::Updated), at(2_280, Change::Updated), "$0.002280/h"),
            (
                at(5_700, Change::Updated),
                at(5_350, Change::Updated),
                "$0.005350/h now, $0.005700/h when every instance has changed",
            ),
        ] {
            assert_eq!(price(&shown, &done), expected);
        }
    }
}
