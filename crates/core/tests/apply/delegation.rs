//! One coordinator serves a datacenter's machines, and who takes over names whom it replaces.

use kato_core::version::{NEWEST, WITH_DELEGATION};
use kato_core::{Batch, Command, DatacenterName, RejectionKind, Revision, State, Timestamp};

use crate::asks::{command, mesh};

fn name(name: &str) -> DatacenterName {
    name.parse().unwrap()
}

fn founded() -> State {
    let mut state = State::default();
    for ask in mesh() {
        let commands = vec![command(&ask, &state)];
        state.apply(&Batch { at: Timestamp(1), commands }).remove(0).unwrap();
    }
    assert_eq!(state.version, NEWEST);
    state
}

#[test]
fn who_takes_over_names_whom_it_replaces() {
    let mut state = founded();
    let delegate = |state: &mut State, of: &str, expected, to: &str| {
        let (datacenter, to) = (name(of), name(to));
        let commands = vec![Command::Delegate { datacenter, expected: Revision(expected), to }];
        state.apply(&Batch { at: Timestamp(2), commands }).remove(0)
    };
    assert_eq!(state.served_by(&name("ewr")), &name("ewr"));

    let first = delegate(&mut state, "ewr", 0, "dub").unwrap();
    assert!(first.changed);
    assert_eq!(state.served_by(&name("ewr")), &name("dub"));
    assert_eq!(state.datacenters[&name("ewr")].term(), first.revision);
    let (dub, ewr) = (name("dub"), name("ewr"));
    assert_eq!(state.serving(&dub).collect::<Vec<_>>(), [&dub, &ewr]);
    assert_eq!(state.serving(&ewr).count(), 0);

    // Another one that saw the same silence is too late, and so is whoever asks for the same twice.
    for to in ["sin", "dub"] {
        let refused = delegate(&mut state, "ewr", 0, to).unwrap_err();
        assert_eq!(refused.kind, RejectionKind::Conflict);
        let since = first.revision;
        let text = format!("dub serves ewr since revision {since}, not 0");
        assert_eq!(refused.message, text);
    }
    let same = delegate(&mut state, "ewr", first.revision.0, "dub").unwrap();
    assert!(!same.changed, "the term stays");

    let back = delegate(&mut state, "ewr", first.revision.0, "ewr").unwrap();
    assert_eq!(state.served_by(&ewr), &ewr);
    assert!(state.datacenters[&ewr].term() == back.revision && back.revision > first.revision);
    let last = state.events.last().unwrap();
    assert_eq!(last.message, "its own coordinator serves its machines again");

    for (of, to) in [("fra", "dub"), ("dub", "fra")] {
        let refused = delegate(&mut state, of, 0, to).unwrap_err();
        assert_eq!(refused.message, "there is no datacenter fra");
    }
}

/// A coordinator that is described anew, as at each of its starts, does not take its machines back by that.
#[test]
fn a_new_description_leaves_the_delegation() {
    let mut state = founded();
    let (datacenter, to) = (name("ewr"), name("dub"));
    let delegate = Command::Delegate { datacenter, expected: Revision(0), to };
    let mut spec = state.datacenters[&name("ewr")].spec.clone();
    spec.address = "127.0.0.1:2".to_owned();
    let commands = vec![delegate, Command::RegisterDatacenter(spec)];
    let outcomes = state.apply(&Batch { at: Timestamp(2), commands });
    assert!(outcomes.iter().flatten().all(|applied| applied.changed), "{outcomes:?}");
    assert_eq!(state.served_by(&name("ewr")), &name("dub"));
    let command =
        Command::Delegate { datacenter: name("ewr"), expected: Revision(0), to: name("dub") };
    assert_eq!((command.since(), command.needs()), (WITH_DELEGATION, WITH_DELEGATION));
}
