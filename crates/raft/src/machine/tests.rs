//! Snapshots as they are written, sent and installed: in small pieces, whole or not at all, and never backwards.

use std::io;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use kato_core::State;
use kato_core::version::NEWEST;
use openraft::storage::{RaftSnapshotBuilder, RaftStateMachine};

use super::content::{self, Reader};
use super::frames::{frame, header};
use super::{Content, Machine, Receiver, Snapshots};
use crate::StoreError;
use crate::disk::{Disk, Draft};
use crate::rig::history::id;
use crate::rig::{RigDisk, sample};
use crate::store::Extent;
use crate::types::SnapshotMeta;

/// Enough for many parts, and to take a moment.
const INSTANCES: u32 = 5_000;

fn meta(index: u64) -> SnapshotMeta {
    SnapshotMeta { last_log_id: Some(id(1, index)), ..SnapshotMeta::default() }
}

/// What was appended, piece by piece.
#[derive(Clone, Default)]
struct Pieces(Arc<Mutex<Vec<Vec<u8>>>>);

impl Draft for Pieces {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().push(bytes.to_owned());
        Ok(())
    }

    fn keep(self: Box<Self>, _: &str) -> io::Result<()> {
        Ok(())
    }
}

/// A snapshot's pieces, and how often its writer let others have their turn.
fn written(state: &State) -> (Vec<Vec<u8>>, usize) {
    let mut pieces = Pieces::default();
    let kept = pieces.clone();
    let meta = meta(9);
    let mut writing = Box::pin(content::write(&mut pieces, &meta, state));
    let turns = (0..10_000).find(|_| (&mut writing).now_or_never().is_some()).unwrap();
    drop(writing);
    (std::mem::take(&mut *kept.0.lock().unwrap()), turns)
}

fn read(file: &[u8], piece: usize) -> Result<(SnapshotMeta, State), StoreError> {
    let mut reader = Reader::new("file".to_owned(), NEWEST);
    for piece in file.chunks(piece) {
        reader.push(piece)?;
    }
    reader.finish()
}

#[test]
fn a_large_state_is_written_in_small_pieces_and_reads_back() {
    let state = sample::state(INSTANCES);
    let (pieces, turns) = written(&state);
    let file = pieces.concat();
    let largest = pieces.iter().map(Vec::len).max().unwrap();
    assert!(file.len() > 500_000 && largest < 160 * 1024, "{largest} of {}", file.len());
    assert!(turns > 10 && turns + 3 == pieces.len(), "{turns} turns, {} pieces", pieces.len());
    for piece in [1_000, 4_096, content::PIECE_BYTES, usize::MAX] {
        let (meta, read) = read(&file, piece).unwrap();
        assert!(read == state, "pieces of {piece}");
        assert_eq!(meta, self::meta(9));
    }
    let small = written(&sample::state(3)).0.concat();
    assert!(read(&small, 1).unwrap().1 == sample::state(3));
}

#[test]
fn a_file_without_its_end_or_in_another_order_is_refused() {
    let (pieces, _) = written(&sample::state(2_000));
    let refused = |pieces: &[&Vec<u8>], expected: &str| {
        let file: Vec<u8> = pieces.iter().copied().flatten().copied().collect();
        let error = read(&file, 10_000).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("file") && error.contains(expected), "{expected}: {error}");
    };
    let all: Vec<&Vec<u8>> = pieces.iter().collect();
    assert!(all.len() > 6, "too few pieces: {}", all.len());
    for end in 1..all.len() {
        refused(&all[..end], if end == 1 { "ends" } else { "ends before its end record" });
    }
    let mut swapped = all.clone();
    swapped.swap(3, 4);
    refused(&swapped, "record 2 at byte");
    let mut short = all.clone();
    short.remove(3);
    refused(&short, "record 2 at byte");
    // Numbered anew, as no damage would, it is short of what its end says.
    let numbered: Vec<Vec<u8>> =
        (0..).zip(&short[1..]).map(|(number, whole)| frame(number, &whole[14..])).collect();
    let first = header().to_vec();
    let forged: Vec<&Vec<u8>> = std::iter::once(&first).chain(&numbered).collect();
    refused(&forged, "came before the end, it says");
    let mut longer = all;
    longer.push(&pieces[3]);
    refused(&longer, "record");
}

fn machine(disk: &RigDisk) -> (Machine, Arc<Snapshots>) {
    let machine = Machine::open(Arc::new(disk.clone()), Extent::default(), NEWEST).unwrap();
    let snapshots = machine.snapshots();
    (machine, snapshots)
}

/// The file of a snapshot of this many instances up to this entry.
async fn file(instances: u32, index: u64) -> Vec<u8> {
    let disk = RigDisk::default();
    let (mut machine, _) = machine(&disk);
    machine.restore(&meta(index), sample::state(instances));
    machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
    let [name] = <[String; 1]>::try_from(disk.list().unwrap()).unwrap();
    disk.read(&name).unwrap()
}

fn received(mut receiver: Receiver, rest: &[u8]) -> Content {
    receiver.push(rest).unwrap();
    Content::Received(receiver.finish().unwrap())
}

fn index_and_instances(machine: &Machine) -> (u64, usize) {
    let view = machine.subscribe().borrow().clone();
    (view.index, view.state.instances.len())
}

#[tokio::test]
async fn of_two_snapshots_that_come_at_once_the_newer_one_stays() {
    let (older, newer) = (file(100, 5).await, file(300, 8).await);
    for newer_first in [true, false] {
        let disk = RigDisk::default();
        let (mut machine, snapshots) = machine(&disk);
        let mut first = Receiver::new(Arc::clone(&snapshots)).unwrap();
        let mut second = Receiver::new(snapshots).unwrap();
        first.push(&older[..older.len() / 2]).unwrap();
        second.push(&newer[..newer.len() / 3]).unwrap();
        let older = (meta(5), received(first, &older[older.len() / 2..]));
        let newer = (meta(8), received(second, &newer[newer.len() / 3..]));
        assert_eq!(disk.list().unwrap(), Vec::<String>::new(), "a draft has a name");
        let both = if newer_first { [newer, older] } else { [older, newer] };
        for (meta, content) in both {
            machine.install_snapshot(&meta, content).await.unwrap();
        }
        assert_eq!(index_and_instances(&machine), (8, 300), "newer first: {newer_first}");
        let names = disk.list().unwrap();
        assert_eq!(names.len(), if newer_first { 1 } else { 2 }, "{names:?}");
        let current = machine.get_current_snapshot().await.unwrap().unwrap();
        assert_eq!(current.meta, meta(8));
        assert_eq!(index_and_instances(&self::machine(&disk).0), (8, 300));
    }
}

#[tokio::test]
async fn a_snapshot_that_was_built_slowly_replaces_no_newer_one() {
    let disk = RigDisk::default();
    let (mut machine, snapshots) = machine(&disk);
    machine.restore(&meta(3), sample::state(INSTANCES));
    let mut builder = machine.get_snapshot_builder().await;
    let mut building = Box::pin(builder.build_snapshot());
    assert!((&mut building).now_or_never().is_none(), "it is built at once");
    let newer = received(Receiver::new(snapshots).unwrap(), &file(300, 8).await);
    machine.install_snapshot(&meta(8), newer).await.unwrap();
    assert_eq!(building.await.unwrap().meta, meta(3));
    let current = machine.get_current_snapshot().await.unwrap().unwrap();
    assert_eq!(current.meta, meta(8));
    assert_eq!(disk.list().unwrap().len(), 2);
    assert_eq!(index_and_instances(&self::machine(&disk).0), (8, 300));
}

#[tokio::test]
async fn what_the_leader_sends_is_taken_whole_or_leaves_nothing() {
    let whole = file(300, 8).await;
    let disk = RigDisk::default();
    let (mut machine, snapshots) = machine(&disk);
    let mut cut = Receiver::new(Arc::clone(&snapshots)).unwrap();
    cut.push(&whole[..whole.len() - 1]).unwrap();
    let error = cut.finish().map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("the snapshot from the leader, record"), "{error}");
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 4;
    let error = Receiver::new(Arc::clone(&snapshots)).unwrap().push(&damaged).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    // Another one than the leader said.
    let content = received(Receiver::new(snapshots).unwrap(), &whole);
    let error = machine.install_snapshot(&meta(9), content).await.unwrap_err().to_string();
    assert!(error.contains("the leader said"), "{error}");
    assert_eq!(index_and_instances(&machine), (0, 0));
    assert_eq!(disk.list().unwrap(), Vec::<String>::new());
}
