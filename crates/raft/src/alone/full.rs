//! A member whose disk is almost full takes no writes; one whose disk is full stops, and says why.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use kato_core::DatacenterName;
use kato_net::task::Tasks;

use super::{PATIENCE, register, reopened, start, start_within};
use crate::retention::Retention;
use crate::rig::{Fault, RigDisk};
use crate::space::Floor;
use crate::store::LogStore;
use crate::{Error, Flush};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_the_member_and_loses_nothing() {
    let disk = RigDisk::default();
    let tasks = Tasks::new();
    let mesh = start(Arc::new(disk.clone()), &tasks).await.unwrap();
    mesh.propose(register("kept"), PATIENCE).await.unwrap();
    disk.fail(Some(Fault { at: disk.operations(), error: 28, lasting: true }));
    let outcome = mesh.propose(register("lost"), PATIENCE).await;
    assert!(matches!(outcome, Err(Error::Unknown | Error::Stopped(_))), "{outcome:?}");
    let stopped = tasks.join(PATIENCE).await.unwrap_err();
    let reason = stopped.source().expect("it has a cause").to_string();
    assert!(reason.contains("the log cannot be written"), "{reason}");
    assert!(reason.contains("No space left on device"), "{reason}");
    let outcome = mesh.propose(register("later"), PATIENCE).await;
    assert!(matches!(outcome, Err(Error::Stopped(_))), "{outcome:?}");
    mesh.shutdown().await;
    drop(mesh);

    disk.fail(None);
    let tasks = Tasks::new();
    reopened(|| LogStore::open(Arc::new(disk.clone()), 1, Flush::Inline)).await.unwrap();
    let mesh = start(Arc::new(disk), &tasks).await.unwrap();
    let view = mesh.read(PATIENCE).await.unwrap();
    assert!(view.state.datacenters.contains_key(&"kept".parse::<DatacenterName>().unwrap()));
    mesh.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_almost_full_disk_ends_writes_in_order_and_begins_them_again() {
    let disk = RigDisk::default();
    let tasks = Tasks::new();
    let floor = Floor { needed: 64 << 20, every: Duration::from_millis(20) };
    let limits = (Retention::DEFAULT, floor);
    let mesh = start_within(limits, Arc::new(disk.clone()), &tasks).await.unwrap();
    mesh.propose(register("kept"), PATIENCE).await.unwrap();
    let mut alarm = mesh.disk_alarm();
    assert!(alarm.borrow().is_none());
    disk.leave(Some(12 << 20));
    let refusing = alarm.wait_for(|alarm| alarm.as_ref().is_some_and(|alarm| alarm.refusing));
    let seen = tokio::time::timeout(PATIENCE, refusing).await.unwrap().unwrap().clone().unwrap();
    assert_eq!((seen.free, seen.needed), (12 << 20, 64 << 20));
    let refused = mesh.propose(register("refused"), PATIENCE).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the disk of dub is almost full: 12 MiB left in rig, 64 MiB needed"
    );
    // What asks changes nothing, and gets its answer.
    let view = mesh.read(PATIENCE).await.unwrap();
    let has = |view: &crate::View, name: &str| {
        view.state.datacenters.contains_key(&name.parse::<DatacenterName>().unwrap())
    };
    assert!(has(&view, "kept") && !has(&view, "refused"));
    disk.leave(None);
    let over = tokio::time::timeout(PATIENCE, alarm.wait_for(Option::is_none)).await;
    drop(over.unwrap().unwrap());
    mesh.propose(register("later"), PATIENCE).await.unwrap();
    assert!(has(&mesh.read(PATIENCE).await.unwrap(), "later"));
    tasks.shutdown().cancel();
    mesh.shutdown().await;
    tasks.join(PATIENCE).await.unwrap();
}
