//! What is printed of a log and of a snapshot, as people read it at night.

use insta::assert_snapshot;
use kato_core::{Batch, Command, Coordinates, DatacenterSpec, Settings, Timestamp};
use kato_proto::store_v1 as pb;
use kato_raft::offline::{Content, Log, LogRecord, SnapshotRecord, Summary};
use pb::snapshot_record::Record;

use super::{log, snapshot};

fn record(index: u64, content: Content) -> LogRecord {
    LogRecord { index, term: 3, leader: 1, content }
}

fn batch(commands: Vec<Command>) -> Content {
    let batch = Batch { at: Timestamp(1_795_354_948_000), commands };
    Content::Batch(pb::Batch {
        version: batch.since(),
        at_unix_ms: batch.at.0,
        commands: batch.commands.iter().map(Into::into).collect(),
    })
}

#[test]
fn a_log() {
    let dub = DatacenterSpec {
        name: "dub".parse().unwrap(),
        location: Coordinates::from_degrees(53.4, -6.3).unwrap(),
        address: "dub.demo.com:7440".to_owned(),
        regions: [].into(),
        cells: [].into(),
        country: None,
        labels: [].into(),
    };
    let machines = (1..7).map(|n| format!("core-{n}.cell-1.ewr").parse().unwrap()).collect();
    let member = |name: &str| pb::Member { datacenter: name.to_owned(), address: String::new() };
    let members = pb::Membership {
        voters: vec![pb::Voters { nodes: vec![1, 2] }],
        members: [(1, member("dub")), (2, member("ewr")), (3, member("sin"))].into(),
    };
    let settings = Settings { domain: "demo.com".to_owned(), lease_ms: 6_000 };
    let bind = Command::Bind {
        instance: "web@1".parse().unwrap(),
        epoch: kato_core::Revision(40),
        machine: "core-1.cell-1.dub".parse().unwrap(),
    };
    let unknown = Content::Batch(pb::Batch {
        version: 9,
        at_unix_ms: 1_795_354_949_000,
        commands: vec![pb::Command { command: None }],
    });
    let records = vec![
        record(0, Content::Members(members)),
        record(1, Content::Blank),
        record(2, batch(vec![Command::Found(settings), Command::RegisterDatacenter(dub)])),
        record(3, batch(vec![Command::Suspend { machines, reason: "ewr is silent".to_owned() }])),
        record(4, batch(vec![bind, Command::RaiseVersion { to: 3 }])),
        record(5, unknown),
    ];
    let summary = Summary { member: 1, vote: Some((3, 1, true)), committed: Some(4), purged: None };
    let log = Log { summary: Some(summary), records, damage: Vec::new() };
    assert_snapshot!(log::shown(&log));
}

#[test]
fn a_snapshot() {
    let instance = |id: &str| pb::Instance { id: id.to_owned(), ..pb::Instance::default() };
    let part = pb::State {
        instances: vec![instance("web@1"), instance("web@2"), instance("web@3")],
        events: vec![pb::Event { revision: 41, ..pb::Event::default() }],
        ..pb::State::default()
    };
    let head = pb::SnapshotHead {
        meta: Some(pb::SnapshotMeta {
            last: Some(pb::LogId { leader: Some(pb::LeaderId { term: 3, node: 1 }), index: 900 }),
            ..pb::SnapshotMeta::default()
        }),
        state: Some(pb::State {
            version: 3,
            revision: 61,
            time_unix_ms: 1_795_354_948_000,
            settings: Some(pb::Settings { domain: "demo.com".to_owned(), lease_ms: 1 }),
            ..pb::State::default()
        }),
    };
    let end = pb::SnapshotEnd { parts: 1, items: 4, checksum: 7 };
    let records = [Record::Head(head), Record::Part(part), Record::End(end)];
    let lines: Vec<_> = (0..)
        .zip(records)
        .map(|(number, record)| SnapshotRecord {
            number,
            at: 16 + number * 400,
            bytes: 386,
            message: pb::SnapshotRecord { record: Some(record) },
        })
        .map(|record| snapshot::Line::of(&record))
        .collect();
    assert_snapshot!(snapshot::table(&lines));
}
