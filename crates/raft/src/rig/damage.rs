//! The medium changes what was written: the store opens with exactly what was acknowledged, or refuses.

use fastrand::Rng;
use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::Arc;

use super::disk::{Content, Cut, RigDisk};
use super::history::{Model, Step, Store, entry, run, script, vote};
use crate::machine::Machine;
use crate::store::LogStore;
use crate::{Flush, StoreError};
use kato_core::version::NEWEST;

/// What became of damaged stores.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) exact: usize,
    pub(super) refused: usize,
    /// Of these, where redb had gone back to an older commit, which all of its own checks accept.
    pub(super) gone_back: usize,
    /// Of these, where redb panicked.
    pub(super) panicked: usize,
}

impl Tally {
    /// Opens a damaged store: it must be exactly what it was, or refused with its file, and what to do.
    pub(super) fn open(&mut self, what: &str, content: Content, model: &Model) {
        let opened = catch_unwind(|| Store::open(&RigDisk::of(content)).map(|mut s| s.found()));
        match opened.unwrap_or_else(|_| panic!("{what}: opening it panicked")) {
            Ok(found) if model.is(&found) => self.exact += 1,
            Ok(found) => panic!("{what}: found {}", found.brief()),
            Err(error) => {
                let text = crate::error::chain(&error);
                let file = text.contains("rig/log.") || text.contains("rig/snapshot-");
                assert!(file && text.contains("under a new id"), "{what}: {text}");
                self.refused += 1;
                self.gone_back += usize::from(text.contains("has gone back"));
                self.panicked += usize::from(text.contains("database cannot be read"));
            }
        }
    }
}

/// A store after its history: closed in order, or as its process left it when it was killed.
pub(crate) fn stores() -> [(&'static str, Content, Model); 2] {
    stores_after(&script(2))
}

pub(super) fn stores_after(steps: &[Step]) -> [(&'static str, Content, Model); 2] {
    let model = Model::all(steps).pop().unwrap();
    let disk = RigDisk::default();
    disk.record();
    let mut store = Store::open(&disk).unwrap();
    assert_eq!(run(&disk, &mut store, steps).0, steps.len());
    let killed = disk.moments().pop().unwrap().cut(Cut::Killed, &mut Rng::with_seed(0));
    drop(store);
    [("killed", killed, model.clone()), ("closed", disk.content(), model)]
}

/// Places to damage in a file of this content: half of its header, and some of every page that is used.
fn places(log: &[u8], chance: &mut Rng) -> Vec<usize> {
    let mut places: Vec<usize> = (0..320).step_by(2).collect();
    for (page, bytes) in log.chunks(4096).enumerate().skip(1) {
        if bytes.iter().any(|byte| *byte != 0) {
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
            places.extend((0..4).map(|_| page * 4096 + chance.usize(..used)));
            places.extend((0..4).map(|at| page * 4096 + at));
        }
    }
    places
}

#[test]
fn a_damaged_log_opens_exactly_or_not_at_all() {
    for (what, content, model) in stores() {
        let (mut tally, mut chance) = (Tally::default(), Rng::with_seed(1));
        // The one byte that says which commit is the last: every bit of it.
        for bit in 0..8 {
            let mut damaged = content.clone();
            damaged.log[9] ^= 1 << bit;
            tally.open(&format!("{what}, god byte's bit {bit}"), damaged, &model);
        }
        for place in places(&content.log, &mut chance) {
            let mut damaged = content.clone();
            damaged.log[place] ^= 1 << chance.usize(..8);
            tally.open(&format!("{what}, byte {place}"), damaged, &model);
        }
        println!("log of {} bytes, {what}: {tally:?}", content.log.len());
    }
}

/// What redb cannot tell from a write that the power cut short, and goes back from without a word.
#[test]
fn damage_of_the_last_commit_does_not_undo_it() {
    let mut steps = script(1);
    let next = Model::all(&steps).pop().unwrap().entries.len() as u64;
    let lasts = [Step::Append(vec![entry(1, next, 40)]), Step::Vote(vote(2, false))];
    let mut tally = Tally::default();
    for last in lasts {
        let [(_, before, _), _] = stores_after(&steps);
        steps.push(last);
        let [(_, content, model), _] = stores_after(&steps);
        let old = |at: usize| before.log.get(at).copied().unwrap_or_default();
        let changed = (0..content.log.len()).filter(|at| content.log[*at] != old(*at));
        for place in changed.step_by(67) {
            let mut damaged = content.clone();
            damaged.log[place] ^= 1 << (place % 8);
            tally.open(&format!("byte {place}"), damaged, &model);
        }
    }
    println!("bytes of the last commit: {tally:?}");
    assert!(tally.gone_back > 10, "redb does not go back any more: {tally:?}");
}

#[test]
fn a_log_of_another_length_opens_exactly_or_not_at_all() {
    for (what, content, model) in stores() {
        let mut tally = Tally::default();
        let len = content.log.len();
        let pages = (0..len).step_by((len / 8 / 4096).max(1) * 4096);
        let near = pages.flat_map(|at| [at.saturating_sub(1), at, at + 1]);
        for cut in
            near.chain([2, 9, 63, 64, 191, 192, 319, 320, 511, 512, len - 1, len + 1, len + 4096])
        {
            let mut damaged = content.clone();
            damaged.log.resize(cut, 0);
            tally.open(&format!("{what}, {cut} bytes of {len}"), damaged, &model);
        }
        println!("lengths, {what}: {tally:?}");
        let mut zeroed = content.clone();
        zeroed.log[len / 2..].fill(0);
        tally.open("zeroed tail", zeroed, &model);
    }
}

#[test]
fn a_mark_of_another_length_opens_exactly_or_not_at_all() {
    let mark = "log.mark";
    for (what, content, model) in stores() {
        let mut tally = Tally::default();
        let len = content.files[mark].len();
        for cut in [0, 1, 35, 37, 38, 39, 511, 512, 513, len - 1] {
            let mut damaged = content.clone();
            damaged.files.get_mut(mark).unwrap().truncate(cut);
            tally.open(&format!("{what}, {cut} bytes of the mark"), damaged, &model);
        }
        println!("mark of {len} bytes, {what}: {tally:?}");
        let mut gone = content.clone();
        gone.files.remove(mark);
        tally.refused = 0;
        tally.open(&format!("{what}, no mark"), gone, &model);
        assert_eq!(tally.refused, 1, "a store without its mark was taken");
    }
}

/// Every earlier state of the whole database file, beside the mark of the last one: what a fallback looks like,
/// however it came about.
#[test]
fn a_log_that_went_back_is_refused() {
    let steps = script(2);
    let disk = RigDisk::default();
    let mut store = Store::open(&disk).unwrap();
    let mut images = BTreeMap::new();
    for (number, step) in steps.iter().enumerate() {
        images.insert(number, disk.content().log);
        store.step(step).unwrap();
    }
    let last = disk.content();
    for (number, log) in images {
        let files = last.files.clone();
        let error = Store::open(&RigDisk::of(Content { log, files })).map(|_| ()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("has gone back to write"), "step {number}: {text}");
    }
}

#[test]
fn a_snapshot_that_was_cut_short_is_never_half_read() {
    let [(_, content, model), _] = stores();
    let newest = content.files.keys().rfind(|name| name.starts_with("snapshot-")).unwrap().clone();
    let log = LogStore::open(Arc::new(RigDisk::of(content.clone())), 7, Flush::Inline).unwrap();
    let (mut refused, extent) = (0, log.extent());
    let mut check = |what: String, file: Vec<u8>| {
        let mut damaged = content.clone();
        damaged.files.insert(newest.clone(), file);
        let error = Machine::open(Arc::new(RigDisk::of(damaged)), extent, NEWEST).map(|_| ());
        let error = error.expect_err(&what);
        let StoreError::Damaged { what: named, .. } = &error else { panic!("{what}: {error}") };
        assert!(named.contains(&newest), "{what}: {error}");
        refused += 1;
    };
    let whole = &content.files[&newest];
    for cut in [0, 1, 3, 4, 5, 100, whole.len() / 2, whole.len() - 1] {
        check(format!("{cut} bytes"), whole[..cut].to_vec());
    }
    println!("snapshot of {} bytes: {refused} damages, all refused", whole.len());
    assert!(model.snapshot.is_some() && model.purged.is_some());
}
