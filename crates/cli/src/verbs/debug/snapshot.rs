//! `kato debug snapshot`: a snapshot file, record by record.

use std::path::{Path, PathBuf};

use kato_proto::store_v1 as pb;
use kato_raft::offline::{self, SnapshotRecord};
use pb::snapshot_record::Record;
use serde::Serialize;

use super::DebugError;
use crate::failure::Exit;
use crate::output::table::Table;
use crate::output::{self, Format, units};

/// Show a snapshot on a coordinator's disk, one line for each record
///
/// Of a data directory all snapshots are shown, the oldest first; the coordinator must not run. A file by its name can
/// be read at any time. Nothing is changed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A snapshot file
    #[arg(value_name = "FILE", required_unless_present = "data_dir", conflicts_with = "data_dir")]
    file: Option<PathBuf>,
    /// The coordinator's data directory
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The form of the answer; json and yaml have all of each record
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// One record as a document.
#[derive(Serialize)]
struct Document<'a> {
    file: &'a Path,
    record: u64,
    byte: u64,
    #[serde(flatten)]
    message: &'a pb::SnapshotRecord,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let files = match (&args.file, &args.data_dir) {
        (Some(file), _) => vec![file.clone()],
        (None, directory) => {
            let directory = directory.clone().unwrap_or_default();
            let found = offline::snapshots(&directory);
            let found = found.map_err(DebugError::opening(directory.clone()))?;
            if found.is_empty() {
                return Err(DebugError::NoSnapshot { path: directory }.into());
            }
            found
        }
    };
    for (number, file) in files.iter().enumerate() {
        if args.output.is_document() {
            documents(args.output, file)?;
            continue;
        }
        let mut lines = Vec::new();
        let read = offline::snapshot(file, &mut |record| lines.push(Line::of(&record)));
        let before = if number == 0 { "" } else { "\n" };
        output::print(&format!("{before}{}\n{}", file.display(), table(&lines)))?;
        read.map_err(|source| DebugError::Damaged { path: file.clone(), source })?;
    }
    Ok(Exit::Done)
}

fn documents(format: Format, file: &Path) -> anyhow::Result<()> {
    let mut printed = Ok(());
    let read = offline::snapshot(file, &mut |record| {
        let (number, byte) = (record.number, record.at);
        let message = &record.message;
        let document = Document { file, record: number, byte, message };
        if printed.is_ok() {
            printed = output::print_document(format, &document);
        }
    });
    printed?;
    Ok(read.map_err(|source| DebugError::Damaged { path: file.to_owned(), source })?)
}

/// What is shown of a record: the records themselves may be many.
pub(super) struct Line {
    number: u64,
    at: u64,
    bytes: usize,
    what: String,
}

impl Line {
    pub(super) fn of(record: &SnapshotRecord) -> Self {
        let what = match &record.message.record {
            Some(Record::Head(found)) => head(found),
            Some(Record::Part(part)) => items(part),
            Some(Record::End(end)) => format!("end: items in all parts: {}", end.items),
            None => "? (a record that this kato does not know)".to_owned(),
        };
        Self { number: record.number, at: record.at, bytes: record.bytes, what }
    }
}

/// The records for people.
pub(super) fn table(lines: &[Line]) -> String {
    Table::new(lines.len())
        .right("RECORD", lines.iter().map(|line| line.number.to_string().into()))
        .right("BYTE", lines.iter().map(|line| line.at.to_string().into()))
        .right("BYTES", lines.iter().map(|line| line.bytes.to_string().into()))
        .left("WHAT", lines.iter().map(|line| line.what.as_str().into()))
        .render()
}

fn head(head: &pb::SnapshotHead) -> String {
    let last = head.meta.as_ref().and_then(|meta| meta.last.as_ref());
    let upto = last.map_or_else(
        || "no entry".to_owned(),
        |last| {
            let term = last.leader.as_ref().map_or(0, |leader| leader.term);
            format!("entry {} of term {term}", last.index)
        },
    );
    let state = head.state.as_ref();
    let members = head.meta.as_ref().and_then(|meta| meta.membership.as_ref());
    let names = members.into_iter().flat_map(|members| members.members.values());
    let names: Vec<&str> = names.map(|member| member.datacenter.as_str()).collect();
    let domain = state.and_then(|state| state.settings.as_ref());
    format!(
        "head: up to {upto}, revision {}, {}, mesh version {}, {} with {}",
        state.map_or(0, |state| state.revision),
        units::moment(state.map_or(0, |state| state.time_unix_ms)),
        state.map_or(0, |state| state.version),
        domain.map_or("not founded", |settings| &settings.domain),
        if names.is_empty() { "no members".to_owned() } else { names.join(", ") },
    )
}

/// How many of what, with the first and the last of them.
fn items(part: &pb::State) -> String {
    let name = |spec: Option<&str>| spec.unwrap_or("?").to_owned();
    let datacenters = part.datacenters.iter().map(|found| found.spec.as_ref().map(|s| &*s.name));
    let machines = part.machines.iter().map(|found| found.spec.as_ref().map(|s| &*s.id));
    let workloads = part.workloads.iter().map(|found| found.spec.as_ref().map(|s| &*s.name));
    let lists: [(&str, Vec<String>); 7] = [
        ("datacenter", datacenters.map(name).collect()),
        ("machine", machines.map(name).collect()),
        ("workload", workloads.map(name).collect()),
        ("instance", part.instances.iter().map(|found| found.id.clone()).collect()),
        ("order", part.orders.iter().map(|found| format!("order-{}", found.id)).collect()),
        ("stopping", part.stopping.iter().map(|found| found.instance.clone()).collect()),
        ("event", part.events.iter().map(|found| found.revision.to_string()).collect()),
    ];
    let shown = lists.iter().filter_map(|(noun, names)| match names.as_slice() {
        [] => None,
        [one] => Some(format!("1 {noun} ({one})")),
        [first, .., last] => {
            let plural = if *noun == "stopping" { "" } else { "s" };
            Some(format!("{} {noun}{plural} ({first} to {last})", names.len()))
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}
