//! `kato budget`: what the machines that the mesh buys may cost together.

use kato_core::MicroDollars;
use kato_proto::v1::{self, Budget, SetBudgetRequest};
use v1::cluster_client::ClusterClient;

use super::reading::{ReadArgs, note_age};
use super::{connect, status};
use crate::cli::ConnectionArgs;
use crate::failure::Exit;
use crate::output::{self, overview};

/// Show or set what the machines that the mesh buys may cost together
///
/// What would need more is refused when it is applied, and finds no place when a datacenter is lost. Nothing is ended where
/// the machines cost more already.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Dollars an hour, or none for any amount; shows the budget if left out
    #[arg(value_parser = wish)]
    max: Option<Wish>,
    /// Refuse unless the budget is of this revision (0: there must be none)
    #[arg(long, value_name = "REVISION", requires = "max")]
    expected_revision: Option<u64>,
    #[command(flatten)]
    read: ReadArgs,
}

/// What the budget shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wish(Option<MicroDollars>);

fn wish(text: &str) -> Result<Wish, String> {
    if text == "none" {
        return Ok(Wish(None));
    }
    let max = text.parse::<MicroDollars>()?;
    Ok(Wish(Some(max)))
}

/// Runs the verb.
pub(crate) async fn run(args: Args, connection: ConnectionArgs) -> anyhow::Result<Exit> {
    let mut client = connect(&connection).await?;
    let Some(Wish(max)) = args.max else {
        let answer = status::ask(&mut client, args.read.consistency()).await?;
        note_age(answer.read.as_ref());
        let text = answer.budget.as_ref().map_or("none".to_owned(), |budget| {
            format!("{} (revision {})", overview::budget(budget), budget.revision)
        });
        output::print(&format!("{text}\n"))?;
        return Ok(Exit::Done);
    };
    let request = SetBudgetRequest {
        max_micros_per_hour: max.map(|max| max.0),
        expected_revision: args.expected_revision,
    };
    let done =
        client.write(async |calls| ClusterClient::new(calls).set_budget(request).await).await?;
    let text = max.map_or("none".to_owned(), |max| {
        let text = overview::budget(&Budget {
            max_micros_per_hour: max.0,
            spent_micros_per_hour: done.spent_micros_per_hour,
            revision: done.revision,
        });
        format!("{text} (revision {})", done.revision)
    });
    output::print(&format!("{text}\n"))?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_dollars_or_none() {
        assert_eq!(wish("none"), Ok(Wish(None)));
        for (text, micros) in [("0", 0), ("12.50", 12_500_000), ("$1", 1_000_000)] {
            assert_eq!(wish(text), Ok(Wish(Some(MicroDollars(micros)))), "{text}");
        }
        for bad in ["", "-1", "NaN", "1e30", "much", "None"] {
            assert!(wish(bad).is_err(), "{bad:?} was taken");
        }
    }
}
