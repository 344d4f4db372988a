//! The disk fails, or is full, at every operation of the history: the step fails with the system's reason, and
//! nothing that was acknowledged is lost.

use super::disk::{Cut, Fault, RigDisk};
use super::history::{Model, Store, run, script};
use fastrand::Rng;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

#[test]
fn a_failing_disk_fails_the_step_and_loses_nothing() {
    let steps = script(2);
    let models = Model::all(&steps);
    let all = {
        let disk = RigDisk::default();
        let mut store = Store::open(&disk).unwrap();
        assert_eq!(run(&disk, &mut store, &steps).0, steps.len());
        disk.operations()
    };
    let (mut failed, mut unopened) = (0, 0);
    for at in 0..all {
        for (error, lasting) in [(EIO, false), (ENOSPC, true)] {
            let disk = RigDisk::default();
            disk.fail(Some(Fault { at, error, lasting }));
            let acknowledged = match Store::open(&disk) {
                Err(refused) => {
                    let text = crate::error::chain(&refused);
                    assert!(text.contains(&format!("os error {error}")), "{at}: {text}");
                    unopened += 1;
                    0
                }
                Ok(mut store) => {
                    let (acknowledged, stopped) = run(&disk, &mut store, &steps);
                    let text = stopped.expect("the fault is met").to_string();
                    assert!(text.contains(&format!("os error {error}")), "{at}: {text}");
                    assert!(text.contains("cannot"), "{at}: {text}");
                    failed += 1;
                    acknowledged
                }
            };
            disk.fail(None);
            let upto = models.len().min(acknowledged + 2);
            let moment = disk.moments().pop().unwrap();
            let cuts = [Cut::Killed, Cut::Lost];
            for cut in cuts.into_iter().skip(usize::from(lasting)) {
                let left = RigDisk::of(moment.cut(cut, &mut Rng::with_seed(at)));
                let found = Store::open(&left).map(|mut store| store.found());
                let found = found.unwrap_or_else(|error| panic!("{at}, {cut:?}: {error:?}"));
                let expected = &models[acknowledged..upto];
                let exact = expected.iter().any(|model| model.is(&found));
                assert!(exact, "operation {at}, {cut:?}, step {acknowledged}: {}", found.brief());
            }
        }
    }
    println!("{all} operations: {failed} failed steps, {unopened} stores that did not open");
}
