//! `kato logs`: what an instance prints.

use kato_core::InstanceId;
use kato_proto::v1::{self, Consistency, Datacenter, Health, LogLine, ReadLogsRequest};
use v1::logs_client::LogsClient;

use super::explain::instance_id;
use super::reading::{ReadArgs, note_age};
use super::{VerbError, connect, lookup, status};
use crate::cli::ConnectionArgs;
use crate::client::{Client, ClientError, Outage};
use crate::failure::Exit;
use crate::output::{self, Reader, units};

/// How far back a log is read that broke off.
const LINES_AGAIN: u32 = 1000;

/// Show what an instance prints
///
/// Lines of its standard output and standard error as they are; lines of Káto itself begin with "kato: ". With -f a
/// log that breaks off, with its coordinator or because the instance moves, is followed again; if that does not work
/// within the time of --timeout, it fails.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Such as web@1
    #[arg(value_name = "INSTANCE")]
    instance: String,
    /// Go on as it prints more
    #[arg(short, long)]
    follow: bool,
    /// Begin with the last so many lines
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    lines: u32,
    /// Begin each line with its time in UTC
    #[arg(short, long)]
    timestamps: bool,
    #[command(flatten)]
    read: ReadArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: Args, connection: ConnectionArgs) -> anyhow::Result<Exit> {
    let id = instance_id(&args.instance)?;
    let mut client = connect(&connection).await?;
    let read = read(&mut client, &id, &args).await;
    let Err(error) = read else { return read };
    Err(match error.downcast::<ClientError>() {
        Ok(error) => explained(&mut client, &id, error).await,
        Err(error) => error,
    })
}

async fn read(client: &mut Client, id: &InstanceId, args: &Args) -> anyhow::Result<Exit> {
    let (follow, lines, consistency) = (args.follow, args.lines, args.read.consistency());
    let mut request = ReadLogsRequest { instance: id.to_string(), follow, lines, consistency };
    let mut stream =
        client.stream(async |calls| LogsClient::new(calls).read(request.clone()).await).await?;
    if consistency == i32::from(Consistency::Stale) {
        output::note(&format!(
            "stale: {id} may run elsewhere by now; this is from where a coordinator last knew it"
        ));
        if let Ok(known) = lookup::workload(client, id.workload.as_str(), consistency).await {
            note_age(known.read.as_ref());
        }
    }
    let mut place = Place::default();
    let mut outage = Outage::default();
    loop {
        match client.message(&mut stream, follow).await {
            Ok(Some(line)) => {
                outage.end();
                let new = place.is_new(&line);
                if new && output::print_raw(&shown(&line, args.timestamps))? == Reader::Gone {
                    return Ok(Exit::Done);
                }
                continue;
            }
            Ok(None) if !follow => return Ok(Exit::Done),
            Err(error) if !follow || !error.may_pass() => return Err(error.into()),
            Ok(None) | Err(_) => {}
        }
        if outage.begin() {
            output::note(&format!(
                "the log of {id} broke off; it is followed again, if that works within {:?}",
                client.patience()
            ));
        }
        request.lines = place.resume(lines);
        let open = async |calls| LogsClient::new(calls).read(request.clone()).await;
        stream = match client.reopen(&mut outage, open).await {
            Err(error) if error.is_not_found() => {
                output::note(&format!("there is no {id} any more"));
                return Ok(Exit::Done);
            }
            opened => opened?,
        };
    }
}

/// The error with what it means for a log, which is where its instance runs and nowhere else.
async fn explained(client: &mut Client, id: &InstanceId, error: ClientError) -> anyhow::Error {
    let stale = Consistency::Stale.into();
    if error.is_not_found() {
        return lookup::missing(client, id, stale, error).await;
    }
    if error.is_out_of_reach()
        && let Ok(Some(gone)) = gone(client, id, stale).await
    {
        return gone.into();
    }
    error.into()
}

/// That the coordinator of the instance's datacenter is gone, if it is: as one of the others knows.
async fn gone(
    client: &mut Client,
    id: &InstanceId,
    stale: i32,
) -> Result<Option<VerbError>, ClientError> {
    let instances = lookup::instances(client, id.workload.as_str(), stale).await?.instances;
    let Some(found) = instances.into_iter().find(|found| found.id == id.to_string()) else {
        return Ok(None);
    };
    let datacenters = lookup::datacenters(client, stale).await?.datacenters;
    let health = datacenters.iter().find(|d| d.name == found.datacenter).map(Datacenter::health);
    let members = status::ask(client, stale).await?.members;
    let heard = members.iter().any(|m| m.datacenter == found.datacenter && m.heard);
    let health = match health {
        Some(Health::Lost) => "lost",
        Some(Health::Suspected) => "suspected to be lost",
        _ if !heard => "not heard",
        _ => return Ok(None),
    };
    let (datacenter, machine) = (output::plain(&found.datacenter), output::plain(&found.machine));
    Ok(Some(VerbError::LogOutOfReach { instance: id.to_string(), datacenter, machine, health }))
}

/// Where a reader is in a log.
#[derive(Default)]
struct Place {
    /// When the last line was printed, and how many of that millisecond were shown.
    last: Option<(u64, usize)>,
    /// Whether lines come that may have been shown before.
    resumed: bool,
    again: usize,
}

impl Place {
    /// How many lines to begin with.
    fn resume(&mut self, lines: u32) -> u32 {
        let Some((_, shown)) = self.last else { return lines };
        (self.resumed, self.again) = (true, shown);
        LINES_AGAIN
    }

    /// Whether the line was not shown before. The times are the machine's: where an instance has moved to one whose
    /// clock is behind, the first lines may be missing.
    fn is_new(&mut self, line: &LogLine) -> bool {
        match &mut self.last {
            Some((at, _)) if self.resumed && line.at_unix_ms < *at => return false,
            Some((at, _)) if *at == line.at_unix_ms && self.again > 0 => {
                self.again -= 1;
                return false;
            }
            Some((at, shown)) if *at == line.at_unix_ms => *shown += 1,
            last => *last = Some((line.at_unix_ms, 1)),
        }
        (self.resumed, self.again) = (false, 0);
        true
    }
}

fn shown(line: &LogLine, timestamps: bool) -> String {
    let time = if timestamps { units::moment(line.at_unix_ms) + " " } else { String::new() };
    let from = if line.stream == "kato" { "kato: " } else { "" };
    format!("{time}{from}{}\n", line.text.trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_goes_on_after_the_last_line_that_was_shown() {
        let history = [(5, "a"), (7, "b"), (7, "c"), (7, "d"), (9, "e")];
        let line = |(at_unix_ms, text): &(u64, &str)| LogLine {
            at_unix_ms: *at_unix_ms,
            text: (*text).to_owned(),
            ..LogLine::default()
        };
        for breaks in 0..=history.len() {
            let (mut place, mut shown) = (Place::default(), Vec::new());
            for sent in [breaks, history.len()] {
                place.resume(100);
                let lines = history.iter().map(line).take(sent);
                shown.extend(lines.filter(|line| place.is_new(line)).map(|line| line.text));
            }
            assert_eq!(shown, ["a", "b", "c", "d", "e"], "broken after {breaks}");
        }
    }
}
