//! A member whose disk is full stops, and says why.

use std::error::Error as _;
use std::sync::Arc;

use kato_core::DatacenterName;
use kato_net::task::Tasks;

use super::{PATIENCE, register, reopened, start};
use crate::rig::{Fault, RigDisk};
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
