//! Bits of a small store flip, one at a time: after each the store opens with exactly what was acknowledged, or refuses
//! and names the file, the place and what to do. No flip makes it shorter, in a length or anywhere else: whatever redb
//! takes for a write that the power cut short is behind the mark.
//!
//! Every bit of the mark, the snapshots and the welcome, always. Of the log one bit in every few bytes, or, under
//! `KATO_REQUIRE_ALL=1`, every single one, which takes minutes.

use std::sync::Arc;
use std::thread;

use super::damage::{Tally, stores_after};
use fastrand::Rng;

use super::disk::{Content, Cut, RigDisk};
use super::history::{Model, Step, Store, entry, id, run, vote};
use crate::Disk;
use crate::welcome::{WELCOME, Welcome};

/// Turns what takes long on.
const REQUIRE_ALL: &str = "KATO_REQUIRE_ALL";
/// Bytes of the log from one flip to the next otherwise; the bit wanders.
const STRIDE: usize = 5;
/// Whatever the stride: redb's header, with the one byte that says which commit is the last.
const HEADER_BYTES: usize = 320;
/// Threads that open stores.
const THREADS: usize = 2;

/// A log of a few records, behind and ahead of a snapshot.
fn small() -> Vec<Step> {
    vec![
        Step::Vote(vote(1, true)),
        Step::Append(vec![entry(1, 0, 40), entry(1, 1, 40)]),
        Step::Committed(id(1, 1)),
        Step::Append(vec![entry(1, 2, 40)]),
        Step::Snapshot(1),
        Step::Purge(id(1, 0)),
        Step::Append(vec![entry(1, 3, 40)]),
    ]
}

/// Flips these bits of the log (for no name), or of another file, and opens the store after each.
fn flip(what: &str, content: &Content, model: &Model, name: Option<&str>, bits: &[usize]) -> Tally {
    let mut tally = Tally::default();
    for bit in bits {
        let mut damaged = content.clone();
        let file = match name {
            None => &mut damaged.log,
            Some(name) => damaged.files.get_mut(name).unwrap(),
        };
        file[bit / 8] ^= 1 << (bit % 8);
        let shown = name.unwrap_or("log.redb");
        let what = format!("{what}, {shown}, byte {}, bit {}", bit / 8, bit % 8);
        tally.open(&what, damaged, model);
    }
    tally
}

#[test]
fn no_flipped_bit_of_a_log_makes_it_shorter_or_another() {
    let all = std::env::var_os(REQUIRE_ALL).is_some_and(|value| value == "1");
    for (what, content, model) in stores_after(&small()) {
        let chosen = |bit: &usize| {
            let (byte, bit) = (bit / 8, bit % 8);
            all || byte < HEADER_BYTES || byte % STRIDE == 0 && bit == byte / STRIDE % 8
        };
        let bits: Vec<usize> = (0..content.log.len() * 8).filter(chosen).collect();
        let tallies: Vec<Tally> = thread::scope(|scope| {
            let parts = bits.chunks(bits.len().div_ceil(THREADS));
            let running: Vec<_> = parts
                .map(|part| scope.spawn(|| flip(what, &content, &model, None, part)))
                .collect();
            running.into_iter().map(|one| one.join().expect("a store was wrong")).collect()
        });
        let refused: usize = tallies.iter().map(|tally| tally.refused).sum();
        println!("{what}, log of {} bytes, {} bits: {tallies:?}", content.log.len(), bits.len());
        assert!(refused > bits.len() / 20, "{what}: the flips hit nothing: {refused}");
    }
}

#[test]
fn no_flipped_bit_of_a_mark_or_a_snapshot_makes_a_store_shorter_or_another() {
    for (what, content, model) in stores_after(&small()) {
        for name in content.files.keys() {
            let bits: Vec<usize> = (0..content.files[name].len() * 8).collect();
            let tally = flip(what, &content, &model, Some(name), &bits);
            println!("{what}, {name}, {} bits: {tally:?}", bits.len());
            // One of two places of the mark may be damaged, and padding means nothing. Of a snapshot every bit counts.
            let snapshot = name.starts_with("snapshot-");
            assert_eq!(tally.exact == 0, snapshot, "{what}, {name}: {tally:?}");
        }
    }
}

#[test]
fn a_flipped_bit_of_the_welcome_takes_nothing_back() {
    let disk = RigDisk::default();
    Welcome::open(Arc::new(disk.clone())).unwrap().give().unwrap();
    let content = disk.content();
    let file = disk.read(WELCOME).unwrap();
    for bit in 0..file.len() * 8 {
        let mut damaged = content.clone();
        damaged.files.get_mut(WELCOME).unwrap()[bit / 8] ^= 1 << (bit % 8);
        let welcome = Welcome::open(Arc::new(RigDisk::of(damaged))).unwrap();
        assert!(welcome.is_given(), "bit {bit}");
    }
}

/// The one case that a store alone cannot tell: the power went before the mark of the last write was synced, and the
/// medium damaged that very write. It may come up short by this write, and by no more: the leader finds that out
/// (`crate::lost`, and `a_follower_that_lost_what_it_acknowledged_is_told_to_come_back_as_another` with real members).
#[test]
fn damage_of_a_last_write_without_its_mark_costs_that_write_at_the_most() {
    let mut steps = small();
    steps.push(Step::Append(vec![entry(1, 4, 40)]));
    let models = Model::all(&steps);
    let [.., before, last] = models.as_slice() else { panic!("two models") };
    let disk = RigDisk::default();
    disk.record();
    let mut store = Store::open(&disk).unwrap();
    assert_eq!(run(&disk, &mut store, &steps).0, steps.len());
    let cut = disk.moments().pop().unwrap().cut(Cut::Lost, &mut Rng::with_seed(0));
    drop(store);
    let (mut exact, mut short, mut refused) = (0, 0, 0);
    for byte in (0..cut.log.len()).step_by(3) {
        let mut damaged = cut.clone();
        damaged.log[byte] ^= 1 << (byte / 3 % 8);
        match Store::open(&RigDisk::of(damaged)).map(|mut store| store.found()) {
            Ok(found) if last.is(&found) => exact += 1,
            Ok(found) if before.is(&found) => short += 1,
            Ok(found) => panic!("byte {byte}: found {}", found.brief()),
            Err(_) => refused += 1,
        }
    }
    println!("no mark of the last write: {exact} exact, {short} short by it, {refused} refused");
    assert!(short > 0 && refused > 0 && exact > 0, "{exact}, {short}, {refused}");
}
