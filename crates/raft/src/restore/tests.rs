//! A backup is a snapshot or a whole store; what is made of it is taken by a coordinator, and nothing else is.

use kato_core::{Batch, Command, Settings, Timestamp};
use kato_net::task::Tasks;

use super::*;
use crate::offline::tests::lay;
use crate::rig::damage::stores;

fn founders() -> BTreeMap<NodeId, Member> {
    let member = |(id, name): (NodeId, &str)| {
        let datacenter = name.parse().unwrap();
        (id, Member { datacenter, address: format!("{name}:7440") })
    };
    [(1, "dub"), (2, "ewr"), (3, "sin")].map(member).into()
}

#[test]
fn a_store_is_a_backup_with_all_that_its_log_has() {
    for (what, content, model) in stores() {
        let directory = tempfile::tempdir().unwrap();
        lay(&content, directory.path());
        let whole = Backup::read(directory.path()).unwrap();
        assert_eq!(whole.entry, model.entries.keys().last().copied().unwrap(), "{what}");
        let files = crate::offline::snapshots(directory.path()).unwrap();
        let snapshot = Backup::read(&files[0]).unwrap();
        assert!(snapshot.entry < whole.entry, "{what}");
        assert!(snapshot.state.revision <= whole.state.revision, "{what}");
        assert!(whole.term >= model.vote.unwrap().leader_id.term, "{what}");
    }
    let nowhere = Backup::read(Path::new("/nonexistent/snapshot")).unwrap_err();
    assert!(nowhere.to_string().contains("/nonexistent"), "{nowhere}");
}

fn backup() -> Backup {
    let settings = Settings { domain: "demo.com".to_owned(), lease_ms: 5_400 };
    let mut state = State::default();
    state.apply(&Batch { at: Timestamp(1), commands: vec![Command::Found(settings)] });
    state.restore(Timestamp(1_795_354_948_000), &std::collections::BTreeSet::new());
    Backup { state, entry: 41, term: 7 }
}

#[tokio::test]
async fn a_restored_store_begins_with_the_backup() {
    let directory = tempfile::tempdir().unwrap();
    let backup = backup();
    restore(directory.path(), 1, founders(), &backup).await.unwrap();
    let disk: Arc<dyn Disk> = Arc::new(DirDisk::open(directory.path()).unwrap());
    let restored = Restored::open(Arc::clone(&disk)).unwrap();
    assert!(restored.is_pending());
    let log = LogStore::open(Arc::clone(&disk), 1, Flush::Inline).unwrap();
    let machine = crate::machine::Machine::open(Arc::clone(&disk), log.extent(), NEWEST).unwrap();
    let view = machine.subscribe().borrow().clone();
    assert_eq!((view.index, &view.state), (42, &backup.state));
    restored.end().unwrap();
    assert!(!Restored::open(disk).unwrap().is_pending());
    drop((log, machine));

    let again = restore(directory.path(), 1, founders(), &backup).await.unwrap_err();
    assert!(again.to_string().contains("is not empty"), "{again}");
}

/// With one founder there is nobody to ask: it leads, and goes on where the backup ends.
#[tokio::test]
async fn a_mesh_goes_on_from_a_backup() {
    let directory = tempfile::tempdir().unwrap();
    let mut founders = founders();
    founders.split_off(&2);
    let backup = backup();
    restore(directory.path(), 1, founders, &backup).await.unwrap();
    let tasks = Tasks::new();
    let disk = Arc::new(DirDisk::open(directory.path()).unwrap());
    let mesh = crate::alone::start(disk, &tasks).await.unwrap();
    let view = mesh.read(std::time::Duration::from_secs(10)).await.unwrap();
    assert!(view.index > 42, "a leader's first entry follows");
    assert_eq!(view.state.quarantined, backup.state.quarantined);
    mesh.shutdown().await;
    tasks.shutdown().cancel();
}

#[test]
fn a_restore_that_did_not_end_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let disk = DirDisk::open(directory.path()).unwrap();
    disk.write(RESTORING, b"").unwrap();
    let error = Restored::open(Arc::new(disk)).err().unwrap().to_string();
    assert!(error.ends_with("did not end: empty it, and restore again"), "{error}");
}
