//! Each way in which a store cannot be used is one clear error.

use std::sync::Arc;

use kato_core::version::NEWEST;
use redb::ReadableTable as _;

use super::disk::{Content, RigDisk};
use super::history::{MEMBER, Model, Step, Store, id, run, script};
use crate::error::chain;
use crate::machine::Machine;
use crate::offline::tests::lay;
use crate::store::{LogStore, VERSION, seal, seal_as};
use crate::{DirDisk, Disk, Flush, StoreError};

/// A store with two snapshots, whose log begins between them or behind both.
fn store(purge_behind_both: bool) -> (Content, Model) {
    let mut steps = script(4);
    if !purge_behind_both {
        let purges = steps.iter().filter(|step| matches!(step, Step::Purge(_))).count();
        assert_eq!(purges, 2);
        let last = steps.iter().rposition(|step| matches!(step, Step::Purge(_))).unwrap();
        steps.remove(last);
    }
    let disk = RigDisk::default();
    let mut store = Store::open(&disk).unwrap();
    assert_eq!(run(&disk, &mut store, &steps).0, steps.len());
    drop(store);
    (disk.content(), Model::all(&steps).pop().unwrap())
}

fn snapshots(content: &Content) -> Vec<String> {
    content.files.keys().filter(|name| name.starts_with("snapshot-")).cloned().collect()
}

fn refusal(content: Content) -> String {
    chain(&Store::open(&RigDisk::of(content)).map(|_| ()).expect_err("it must be refused"))
}

fn damage(content: &mut Content, name: &str) {
    content.files.get_mut(name).unwrap()[40] ^= 1;
}

#[test]
fn an_older_snapshot_serves_only_where_the_log_covers_the_rest() {
    let (covered, model) = store(false);
    let [older, newer] = <[String; 2]>::try_from(snapshots(&covered)).unwrap();
    let mut content = covered.clone();
    damage(&mut content, &newer);
    let found = Store::open(&RigDisk::of(content.clone())).unwrap().found();
    assert_eq!((found.entries, found.purged), (model.entries, model.purged));
    assert!(older.contains(&format!("{}.", found.snapshot.unwrap().0)));
    damage(&mut content, &older);
    let text = refusal(content);
    assert!(text.contains(&newer) && text.contains("is damaged: its checksum is"), "{text}");

    let (uncovered, _) = store(true);
    let mut content = uncovered.clone();
    damage(&mut content, &newer);
    let text = refusal(content);
    assert!(text.contains(&newer) && text.contains("is damaged: its checksum is"), "{text}");
    let mut content = uncovered;
    content.files.remove(&newer);
    let text = refusal(content);
    assert!(text.contains("no snapshot reaches it"), "{text}");
}

/// A follower was sent a snapshot beyond its log, said so, and lost the power before the log was purged.
#[test]
fn a_snapshot_beyond_the_log_is_not_passed_over() {
    let (mut content, _) = store(false);
    let newer = snapshots(&content).pop().unwrap();
    let sent = "snapshot-00000000000000000900.kato";
    content.files.insert(sent.to_owned(), content.files[&newer].clone());
    damage(&mut content, sent);
    let text = refusal(content);
    assert!(text.contains(sent) && text.contains("is damaged"), "{text}");
}

#[test]
fn what_was_committed_must_be_there() {
    let disk = RigDisk::default();
    let mut store = Store::open(&disk).unwrap();
    let steps = [Step::Committed(id(3, 40)), Step::Vote(super::history::vote(3, true))];
    assert_eq!(run(&disk, &mut store, &steps).0, 2);
    drop(store);
    let text = refusal(disk.content());
    assert!(text.contains("entry 40 was committed, log and snapshots end before it"), "{text}");
}

#[test]
fn a_store_is_one_members_and_one_process_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let disk = || Arc::new(DirDisk::open(directory.path()).unwrap());
    let first = LogStore::open(disk(), MEMBER, Flush::Inline).unwrap();
    let error = LogStore::open(disk(), MEMBER, Flush::Inline).map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::InUse), "{error:?}");
    assert_eq!(error.to_string(), "the log is in use by another process");
    drop(first);
    let error = LogStore::open(disk(), 8, Flush::Inline).map(|_| ()).unwrap_err();
    let text = "the store belongs to member 7 of the mesh, the configuration says 8";
    assert_eq!(error.to_string(), text);
    drop(LogStore::open(disk(), MEMBER, Flush::Inline).unwrap());
}

#[test]
fn a_store_of_another_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(DirDisk::open(directory.path()).unwrap());
    drop(LogStore::open(disk.clone(), MEMBER, Flush::Inline).unwrap());
    let database = disk.open_log(&redb::Database::builder()).unwrap();
    let transaction = database.begin_write().unwrap();
    let singles = redb::TableDefinition::<&str, &[u8]>::new("singles");
    let format = seal(&9_u64.to_le_bytes());
    transaction.open_table(singles).unwrap().insert("format", format.as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = LogStore::open(disk, MEMBER, Flush::Inline).map(|_| ()).unwrap_err();
    let text = error.to_string();
    let expected = "log.redb, the format was written by a newer kato (format 9), this one knows \
                    up to 2: start the newer binary";
    assert!(text.ends_with(expected), "{text}");
}

/// Each kind of record says the version that it was written with.
#[test]
fn records_of_a_newer_kato_are_refused_by_name() {
    let newer = |payload: &[u8]| seal_as(VERSION + 1, payload);
    let refused = |what: &str, change: &dyn Fn(&DirDisk)| {
        let directory = tempfile::tempdir().unwrap();
        let disk = DirDisk::open(directory.path()).unwrap();
        let (content, _) = store(true);
        lay(&content, directory.path());
        change(&disk);
        let opened = LogStore::open(Arc::new(disk.clone()), MEMBER, Flush::Inline);
        let opened =
            opened.and_then(|log| Machine::open(Arc::new(disk), log.extent(), NEWEST).map(drop));
        let text = opened.expect_err(what).to_string();
        let expected = "was written by a newer kato (format 3), this one knows up to 2: start";
        assert!(text.contains(what) && text.contains(expected), "{what}: {text}");
    };
    let change = |disk: &DirDisk, table: &str, key: &str| {
        let database = disk.open_log(&redb::Database::builder()).unwrap();
        let transaction = database.begin_write().unwrap();
        let singles = redb::TableDefinition::<&str, &[u8]>::new("singles");
        let entries = redb::TableDefinition::<u64, &[u8]>::new("entries");
        if table == "singles" {
            let mut table = transaction.open_table(singles).unwrap();
            let payload = table.get(key).unwrap().unwrap().value()[6..].to_vec();
            table.insert(key, newer(&payload).as_slice()).unwrap();
        } else {
            let mut table = transaction.open_table(entries).unwrap();
            let (last, sealed) =
                table.last().unwrap().map(|(k, v)| (k.value(), v.value().to_vec())).unwrap();
            table.insert(last, newer(&sealed[6..]).as_slice()).unwrap();
        }
        transaction.commit().unwrap();
    };
    refused("log.redb, the vote", &|disk| change(disk, "singles", "vote"));
    refused("log.redb, the head", &|disk| change(disk, "singles", "head"));
    refused("log.redb, log entry ", &|disk| change(disk, "entries", ""));
    refused("log.mark", &|disk| {
        let mark = disk.read("log.mark").unwrap();
        let head = newer(&mark[6..38]);
        for offset in [0, 512] {
            disk.note("log.mark", offset, &head, true).unwrap();
        }
    });
    refused(", record 1 at byte", &|disk| {
        let name = disk.list().unwrap().into_iter().rfind(|name| name.starts_with("snap")).unwrap();
        let mut file = disk.read(&name).unwrap();
        // The header, then the head's frame of eight bytes and its record, then that of the first part.
        let length = |at: usize| u32::from_le_bytes(*file[at..].first_chunk().unwrap()) as usize;
        let begin = 16 + 8 + length(16) + 8;
        let end = begin + length(begin - 8);
        let record = newer(&file[begin + 6..end]);
        file[begin..end].copy_from_slice(&record);
        disk.write(&name, &file).unwrap();
    });
}

/// Files that somebody removed, one at a time.
#[test]
fn a_store_that_lost_a_file_is_refused() {
    let (whole, _) = store(true);
    let without_log = Content { log: Vec::new(), ..whole.clone() };
    let text = refusal(without_log.clone());
    assert!(text.contains("it is empty, but log.mark shows that it was written"), "{text}");
    let mut only_snapshots = without_log;
    only_snapshots.files.remove("log.mark");
    let text = refusal(only_snapshots);
    assert!(text.contains("it is empty, but snapshot-"), "{text}");
    let files = [("welcome".to_owned(), vec![1])].into();
    let text = refusal(Content { log: Vec::new(), files });
    assert!(text.contains("it is empty, but welcome shows"), "{text}");
    let mut without_mark = whole;
    without_mark.files.remove("log.mark");
    let text = refusal(without_mark);
    assert!(text.contains("log.mark is damaged: it holds no whole mark"), "{text}");
}

/// What a crash left unfinished is cleared away, and does not count as a file of the store.
#[test]
fn unfinished_files_go() {
    let directory = tempfile::tempdir().unwrap();
    let left = directory.path().join("snapshot-00000000000000000009.tmp");
    std::fs::write(&left, "half").unwrap();
    let disk = Arc::new(DirDisk::open(directory.path()).unwrap());
    let log = LogStore::open(disk.clone(), MEMBER, Flush::Inline).unwrap();
    assert!(!left.exists(), "it would lie there for ever");
    assert!(Machine::open(disk.clone(), log.extent(), NEWEST).is_ok());
    assert_eq!(disk.list().unwrap(), ["log.mark"]);
}
