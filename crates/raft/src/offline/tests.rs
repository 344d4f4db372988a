//! Reading a store leaves it as it is, and finds what a start finds.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Content, log, snapshot, snapshots};
use crate::rig::damage::stores;
use crate::rig::{self, history};
use crate::store::LogStore;
use crate::{DirDisk, Flush, StoreError};

/// Lays a store out in a directory.
pub(crate) fn lay(content: &rig::Content, directory: &Path) {
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join("log.redb"), &content.log).unwrap();
    for (name, bytes) in &content.files {
        std::fs::write(directory.join(name), bytes).unwrap();
    }
}

/// All files of a directory.
fn all(directory: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn what_is_read_is_what_is_there_and_it_stays() {
    for (what, content, model) in stores() {
        let directory = tempfile::tempdir().unwrap();
        let raft = directory.path().join("raft");
        lay(&content, &raft);
        let before = all(&raft);
        // The coordinator's directory, or the store itself.
        for path in [directory.path(), &raft] {
            let found = log(path).unwrap();
            assert!(found.damage.is_empty(), "{what}: {:?}", found.damage);
            let summary = found.summary.unwrap();
            assert_eq!(summary.member, history::MEMBER);
            assert_eq!(summary.committed, model.committed.map(|id| id.index));
            assert_eq!(summary.purged, model.purged.map(|id| id.index));
            let indexes: Vec<u64> = found.records.iter().map(|record| record.index).collect();
            assert_eq!(indexes, model.entries.keys().copied().collect::<Vec<_>>(), "{what}");
            let batches = found.records.iter().filter(|r| matches!(r.content, Content::Batch(_)));
            assert_eq!(batches.count(), model.entries.len());
            let [file] = <[_; 1]>::try_from(snapshots(path).unwrap()).unwrap();
            let mut records = Vec::new();
            snapshot(&file, &mut |record| records.push(record)).unwrap();
            assert!(records.len() >= 3 && records[0].at == 16, "{what}: {records:?}");
        }
        assert!(all(&raft) == before, "{what}: reading has changed it");
    }
}

#[test]
fn a_store_in_use_is_refused_and_one_that_is_none_too() {
    let directory = tempfile::tempdir().unwrap();
    let error = log(directory.path()).unwrap_err().to_string();
    assert!(error.contains("there is no log that can be read at /"), "{error}");
    let disk = Arc::new(DirDisk::open(directory.path()).unwrap());
    let running = LogStore::open(disk, 7, Flush::Inline).unwrap();
    assert!(matches!(log(directory.path()), Err(StoreError::InUse)));
    assert!(matches!(snapshots(directory.path()), Err(StoreError::InUse)));
    drop(running);
    assert!(log(directory.path()).unwrap().records.is_empty());
    let error = log(&directory.path().join("gone")).unwrap_err().to_string();
    assert!(error.contains("cannot read the store at /") && error.contains("gone"), "{error}");
}

#[test]
fn what_is_damaged_is_named_and_hides_nothing_else() {
    let [_, (_, content, model)] = stores();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut damaged = content.clone();
    // The filling of one large entry.
    let place = damaged.log.windows(64).position(|bytes| bytes == [b'x'; 64]).unwrap();
    damaged.log[place] ^= 1;
    lay(&damaged, path);
    let found = log(path).unwrap();
    let texts: Vec<String> = found.damage.iter().map(ToString::to_string).collect();
    assert!(!texts.is_empty() && texts.iter().all(|text| text.contains("log.redb")), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("log.redb, log entry ")), "{texts:?}");
    assert!(found.summary.is_none());
    assert_eq!(found.records.len() + 1, model.entries.len(), "{texts:?}");

    let name = content.files.keys().rfind(|name| name.starts_with("snapshot-")).unwrap();
    let mut damaged = content.clone();
    let file = damaged.files.get_mut(name).unwrap();
    let last = file.len() - 1;
    file[last] ^= 1;
    lay(&damaged, path);
    let mut records = 0;
    let error = snapshot(&path.join(name), &mut |_| records += 1).unwrap_err().to_string();
    assert!(error.contains(name) && error.contains("record 2 at byte"), "{error}");
    assert_eq!(records, 2);
}
