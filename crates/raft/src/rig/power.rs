//! The power goes at every operation of the history.

use super::disk::{Cut, RigDisk};
use super::history::{Model, Step, Store, entry, run, script, vote};
use fastrand::Rng;

const CUTS: [Cut; 5] = [Cut::Lost, Cut::Prefix, Cut::Torn, Cut::Scattered, Cut::Killed];

/// Opens what a cut left: exactly one of `models`.
fn reopen(disk: &RigDisk, models: &[Model]) -> Result<Model, String> {
    let mut store = Store::open(disk).map_err(|error| format!("refused: {error:?}"))?;
    let found = store.found();
    if !models.iter().any(|model| model.is(&found)) {
        let expected: Vec<String> = models.iter().map(Model::brief).collect();
        return Err(format!("found {}, expected one of {expected:#?}", found.brief()));
    }
    Ok(found)
}

/// Goes on from what was found: the store must be as good as before.
fn go_on(disk: &RigDisk, found: &Model) -> Result<(), String> {
    let mut store = Store::open(disk).map_err(|error| format!("refused: {error:?}"))?;
    let last = found.entries.keys().next_back().copied();
    let next = last.or(found.purged.map(|id| id.index)).map_or(0, |last| last + 1);
    let more = [Step::Vote(vote(99, true)), Step::Append(vec![entry(99, next, 10)])];
    let (done, error) = run(disk, &mut store, &more);
    drop(store);
    let expected = more.iter().fold(found.clone(), |model, step| model.after(step));
    let again = Store::open(disk).map_err(|error| format!("refused later: {error:?}"))?.found();
    if done < more.len() || !expected.is(&again) {
        return Err(format!("went on to {}, error {error:?}", again.brief()));
    }
    Ok(())
}

#[test]
fn whatever_was_acknowledged_is_there_after_a_power_cut_at_any_operation() {
    let steps = script(4);
    let models = Model::all(&steps);
    let disk = RigDisk::default();
    disk.record();
    let mut store = Store::open(&disk).unwrap();
    let (done, error) = run(&disk, &mut store, &steps);
    assert!(done == steps.len() && error.is_none(), "{error:?}");
    disk.begin(steps.len());
    // Closing writes too.
    drop(store);
    let moments = disk.moments();
    let mut images = 0;
    for (number, moment) in moments.iter().enumerate() {
        let upto = models.len().min(moment.step + 2);
        // Three of the five for each moment, in turn: all of them take half a minute more.
        for cut in [Cut::Lost, Cut::Scattered, CUTS[1 + number % 4]] {
            if cut != Cut::Lost && !moment.is_unsynced() {
                continue;
            }
            let mut chance = Rng::with_seed(number as u64 * 7 + cut as u64);
            let disk = RigDisk::of(moment.cut(cut, &mut chance));
            let mut found = reopen(&disk, &models[moment.step..upto]);
            if images % 7 == 0 {
                found = found.and_then(|found| go_on(&disk, &found).map(|()| found));
            }
            if let Err(wrong) = found {
                let step = steps.get(moment.step);
                panic!("operation {number}, {cut:?}, in step {}: {wrong}\n{step:?}", moment.step);
            }
            images += 1;
        }
    }
    println!("{} steps, {} crash points, {images} images", steps.len(), moments.len());
    assert!(moments.len() > 300, "the history is too short: {}", moments.len());
}

/// A cut while the store recovers from a cut.
#[test]
fn a_power_cut_during_recovery_loses_nothing_either() {
    let steps = script(2);
    let models = Model::all(&steps);
    let disk = RigDisk::default();
    disk.record();
    let mut store = Store::open(&disk).unwrap();
    run(&disk, &mut store, &steps);
    let moments = disk.moments();
    let mut images = 0;
    for (number, moment) in moments.iter().enumerate().step_by(31) {
        let mut chance = Rng::with_seed(number as u64);
        let upto = models.len().min(moment.step + 2);
        let disk = RigDisk::of(moment.cut(Cut::Scattered, &mut chance));
        disk.record();
        let first = Store::open(&disk).unwrap().found();
        for again in disk.moments() {
            for cut in [Cut::Lost, Cut::Scattered] {
                let disk = RigDisk::of(again.cut(cut, &mut chance));
                if let Err(wrong) = reopen(&disk, &models[moment.step..upto]) {
                    panic!("operation {number}, first found {}: {wrong}", first.brief());
                }
                images += 1;
            }
        }
    }
    println!("{images} images of recoveries cut short");
}

/// What Raft may do before anything is committed lazily: the vote alone.
#[test]
fn a_vote_never_goes_back() {
    let disk = RigDisk::default();
    disk.record();
    let mut store = Store::open(&disk).unwrap();
    let steps: Vec<Step> = (1..15).map(|term| Step::Vote(vote(term, term % 2 == 0))).collect();
    let models = Model::all(&steps);
    assert_eq!(run(&disk, &mut store, &steps).0, steps.len());
    for (number, moment) in disk.moments().iter().enumerate() {
        for cut in CUTS {
            let disk = RigDisk::of(moment.cut(cut, &mut Rng::with_seed(number as u64)));
            let found = Store::open(&disk).unwrap().found().vote;
            let acknowledged = models[moment.step].vote;
            assert!(found >= acknowledged, "{found:?} after {acknowledged:?}: {number}, {cut:?}");
        }
    }
}
