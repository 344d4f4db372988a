//! `kato debug log`: the Raft log as it lies on a coordinator's disk.

use std::path::PathBuf;

use kato_core::version::NEWEST;
use kato_proto::store_v1 as pb;
use kato_raft::offline::{self, Content, Log, LogRecord, Summary};
use serde::Serialize;

use super::DebugError;
use super::commands::{few, words};
use crate::failure::Exit;
use crate::output::table::Table;
use crate::output::{self, Format, units};

/// Show the log on a coordinator's disk, one line for each entry
///
/// The coordinator must not run. Nothing is changed. What is damaged is named at the end, and the rest is shown all
/// the same.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The coordinator's data directory
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The form of the answer; json and yaml have all of each command
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// One entry as a document.
#[derive(Serialize)]
struct Document<'a> {
    index: u64,
    term: u64,
    /// The member that led.
    leader: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<&'a pb::Batch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    membership: Option<&'a pb::Membership>,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let found = offline::log(&args.data_dir);
    let mut log = found.map_err(DebugError::opening(args.data_dir.clone()))?;
    if args.output.is_document() {
        for record in &log.records {
            output::print_document(args.output, &document(record))?;
        }
    } else {
        output::print(&shown(&log))?;
    }
    let Some(first) = (!log.damage.is_empty()).then(|| log.damage.remove(0)) else {
        return Ok(Exit::Done);
    };
    for more in log.damage {
        output::warn(&more.to_string());
    }
    Err(DebugError::Damaged { path: args.data_dir.clone(), source: first }.into())
}

fn document(record: &LogRecord) -> Document<'_> {
    let (batch, membership) = match &record.content {
        Content::Blank => (None, None),
        Content::Batch(batch) => (Some(batch), None),
        Content::Members(members) => (None, Some(members)),
    };
    Document { index: record.index, term: record.term, leader: record.leader, batch, membership }
}

/// The log for people.
pub(super) fn shown(log: &Log) -> String {
    let rows = &log.records;
    let number = |number: u64| number.to_string().into();
    let table = Table::new(rows.len())
        .right("INDEX", rows.iter().map(|record| number(record.index)))
        .right("TERM", rows.iter().map(|record| number(record.term)))
        .left("TIME", rows.iter().map(|record| time(record).into()))
        .left("WHAT", rows.iter().map(|record| what(record).into()))
        .render();
    let summary = log.summary.as_ref().map(summary).unwrap_or_default();
    format!("{summary}{table}")
}

fn summary(summary: &Summary) -> String {
    let vote = match summary.vote {
        None => "has not voted".to_owned(),
        Some((term, member, true)) => format!("follows member {member} in term {term}"),
        Some((term, member, false)) => format!("has voted for member {member} in term {term}"),
    };
    let upto = |index: Option<u64>, nothing: &str| {
        index.map_or_else(|| nothing.to_owned(), |index| format!("up to entry {index}"))
    };
    let member = summary.member;
    let committed = upto(summary.committed, "nothing");
    let purged = upto(summary.purged, "nothing");
    format!(
        "member {member} {vote}; known to be committed: {committed}; in snapshots alone: {purged}\n\n"
    )
}

fn time(record: &LogRecord) -> String {
    match &record.content {
        Content::Batch(batch) => units::moment(batch.at_unix_ms),
        Content::Blank | Content::Members(_) => "-".to_owned(),
    }
}

fn what(record: &LogRecord) -> String {
    match &record.content {
        Content::Blank => format!("member {} leads", record.leader),
        Content::Batch(batch) => {
            let commands = batch.commands.iter().map(words).collect::<Vec<_>>().join("; ");
            if batch.version <= NEWEST {
                return commands;
            }
            format!("of mesh version {}, this kato knows up to {NEWEST}: {commands}", batch.version)
        }
        Content::Members(members) => {
            let votes = |id: &u64| members.voters.iter().any(|voters| voters.nodes.contains(id));
            let name = |(id, member): (&u64, &pb::Member)| {
                let role = if votes(id) { "" } else { " without a vote" };
                format!("{} ({id}{role})", member.datacenter)
            };
            format!("members: {}", few(members.members.iter().map(name)))
        }
    }
}
