//! The leader dies while many clients write: what was acknowledged is there.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kato_proto::v1::workloads_client::WorkloadsClient;
use kato_proto::v1::{ApplyRequest, ListWorkloadsResponse, WorkloadSpec, apply_request};
use rustix::process::Signal;
use tonic::transport::Channel;

use crate::support::client::{block_on, dial};
use crate::support::mesh::Mesh;
use crate::support::{figure, now, processes, say, until};

/// The shortest time between two writes of one writer.
const PACE: Duration = Duration::from_millis(10);
/// Writes before the leader is killed, and after.
const BEFORE: usize = 200;
const AFTER: usize = 300;

/// A workload that fits nowhere: what is written is the wish, and no machine is kept busy by it.
fn wish(name: &str) -> ApplyRequest {
    let spec = WorkloadSpec {
        name: name.to_owned(),
        unit: "[Service]\nExecStart=/bin/true\n".to_owned(),
        datacenters: vec!["nowhere".to_owned()],
        ..WorkloadSpec::default()
    };
    let source = Some(apply_request::Source::Spec(spec));
    ApplyRequest { source, dry_run: false, expected_revision: None }
}

/// What the writers have been told, and when.
#[derive(Default)]
struct Acknowledged {
    names: Mutex<BTreeSet<String>>,
    times: Mutex<Vec<Duration>>,
    stop: AtomicBool,
}

impl Acknowledged {
    fn count(&self) -> usize {
        self.names.lock().unwrap().len()
    }
}

/// Writes one workload after the other until it is told to stop. An error is no acknowledgement: the next one follows.
async fn write(channel: Channel, writer: usize, told: Arc<Acknowledged>) {
    let mut client = WorkloadsClient::new(channel);
    let mut pace = tokio::time::interval(PACE);
    let mut number = 0;
    while !told.stop.load(Ordering::Relaxed) {
        // A coordinator that is gone refuses at once: it must not be asked a thousand times a second.
        pace.tick().await;
        number += 1;
        let name = format!("w{writer}-{number}");
        let call = client.apply(wish(&name));
        if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_secs(2), call).await {
            told.names.lock().unwrap().insert(name);
            told.times.lock().unwrap().push(now());
        }
    }
}

#[test]
fn acknowledged_writes_survive_the_leader() {
    let mesh = Mesh::start();
    let status = mesh.status();
    let leader = status.leader.clone();
    let pinned = format!("Singleton=yes\nDatacenters={leader}");
    mesh.run(&[&mesh.unit("single.service", "ExecStart=/bin/sleep infinity", &pinned)]);
    let pids = processes::pids(&mesh.data(), "single@1");
    let (ca, operator) = (mesh.data().join("pki/ca.pem"), mesh.data().join("pki/operator"));
    let told = Arc::new(Acknowledged::default());
    let killed = block_on(async {
        let mut writers = tokio::task::JoinSet::new();
        for (number, member) in status.members.iter().enumerate() {
            for writer in 0..2 {
                let channel = dial(&ca, &operator, &member.address);
                writers.spawn(write(channel, number * 2 + writer, Arc::clone(&told)));
            }
        }
        let killing = tokio::task::spawn_blocking({
            let (told, data, leader) = (Arc::clone(&told), mesh.data(), leader.clone());
            move || {
                until("writes flow", || (told.count() >= BEFORE).then_some(()));
                let killed = now();
                processes::coordinator(&data, &leader).signal(Signal::KILL);
                let before = told.count();
                until("writes flow again", || (told.count() >= before + AFTER).then_some(()));
                told.stop.store(true, Ordering::Relaxed);
                killed
            }
        });
        let killed = killing.await.unwrap();
        while let Some(ended) = writers.join_next().await {
            ended.unwrap();
        }
        killed
    });
    let mut times = told.times.lock().unwrap().clone();
    times.sort();
    let gap = times
        .windows(2)
        .filter(|pair| pair[1] >= killed)
        .map(|pair| pair[1].saturating_sub(pair[0]));
    let gap = gap.max().unwrap();
    figure("write gap when the leader is killed", gap);
    assert!(gap < Duration::from_secs(10), "{gap:?}");

    let there: ListWorkloadsResponse = until("the list of workloads", || {
        let ran = mesh.kato(&["get", "workloads", "-o", "json"]);
        (ran.code == 0).then(|| serde_json::from_str(&ran.out).unwrap())
    });
    let there: BTreeSet<String> =
        there.workloads.into_iter().map(|workload| workload.spec.unwrap().name).collect();
    let acknowledged = told.names.lock().unwrap().clone();
    say(&format!("FIGURE: {} writes acknowledged, {} there", acknowledged.len(), there.len()));
    let missing: Vec<_> = acknowledged.difference(&there).collect();
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    assert_ne!(mesh.leader(), leader, "a dead leader leads");
    assert_eq!(processes::pids(&mesh.data(), "single@1"), pids, "the crash stopped a singleton");
}
