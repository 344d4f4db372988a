//! The log's memory is bounded by bytes, not only by the number of entries.

use std::sync::Arc;

use kato_net::task::Tasks;

use super::{PATIENCE, large, register, reopened, start_within};
use crate::retention::Retention;
use crate::rig::RigDisk;
use crate::space::Floor;
use crate::store::LogStore;
use crate::{Disk, Flush};

const BYTES: usize = 200_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_entries_bring_a_snapshot_and_are_purged() {
    let disk = RigDisk::default();
    let tasks = Tasks::new();
    let retention = Retention { bytes_max: 10 * BYTES, bytes_kept: 3 * BYTES };
    let mesh =
        start_within((retention, Floor::DEFAULT), Arc::new(disk.clone()), &tasks).await.unwrap();
    mesh.propose(register("kept"), PATIENCE).await.unwrap();
    for _ in 0..40 {
        mesh.propose(large(BYTES), PATIENCE).await.unwrap();
    }
    tasks.shutdown().cancel();
    mesh.shutdown().await;
    tasks.join(PATIENCE).await.unwrap();
    drop(mesh);
    let content = disk.list().unwrap();
    assert!(content.iter().any(|name| name.starts_with("snapshot-")), "{content:?}");
    // The last snapshot and purge may have been under way.
    let log = reopened(|| LogStore::open(Arc::new(disk.clone()), 1, Flush::Inline)).await.unwrap();
    assert!(log.bytes() < 20 * BYTES, "{} bytes in memory", log.bytes());
}
