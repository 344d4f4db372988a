//! A lease that may still hold is never forgotten, whatever the timing becomes.

use kato_core::version::WITH_TIMING;
use kato_core::{
    Batch, Command, Rejection, RejectionKind, Revision, Settings, State, Timestamp, Timing,
};

fn run(state: &mut State, command: Command) -> Result<bool, Rejection> {
    let batch = Batch { at: Timestamp(1), commands: vec![command] };
    state.apply(&batch).remove(0).map(|applied| applied.changed)
}

fn set(state: &mut State, lease_ms: u64, lease_ms_max: u64) -> Result<bool, Rejection> {
    let expected = state.agreed.map_or(Revision(0), |agreed| agreed.since);
    let timing = Timing { rtt_ms_max: 25, lease_ms, lease_ms_max };
    run(state, Command::SetTiming { expected, timing })
}

#[test]
fn leases_grow_at_once_and_shrink_in_two_steps() {
    let mut state = State::default();
    run(&mut state, Command::RaiseVersion { to: WITH_TIMING }).unwrap();
    let refused = set(&mut state, 9, 9).unwrap_err();
    assert_eq!(refused.message, "the mesh is not founded");
    let settings = Settings { domain: "demo.com".to_owned(), lease_ms: 6 };
    run(&mut state, Command::Found(settings)).unwrap();
    assert_eq!((state.lease_ms(), state.lease_ms_max()), (Some(6), Some(6)));
    for (lease_ms, lease_ms_max, changed) in [
        // Shorter than what was granted when the mesh was founded.
        (5, 5, None),
        (5, 6, Some(true)),
        (5, 6, Some(false)),
        (0, 6, None),
        (5, 5, Some(true)),
        (9, 9, Some(true)),
        (9, 8, None),
        (3, 9, Some(true)),
        // What was granted since is 3; that of 9 is the leader's to wait for.
        (4, 3, None),
        (3, 3, Some(true)),
    ] {
        let before = state.clone();
        let outcome = set(&mut state, lease_ms, lease_ms_max);
        let told = outcome.as_ref().ok().copied();
        assert_eq!(told, changed, "{lease_ms} {lease_ms_max}: {outcome:?}");
        if changed == Some(true) {
            assert_eq!(state.lease_ms(), Some(lease_ms));
            assert_eq!(state.lease_ms_max(), Some(lease_ms_max));
            assert_eq!(state.agreed.map(|agreed| agreed.since), Some(state.revision));
        } else {
            assert_eq!(state, before);
        }
    }
    let timing = Timing { rtt_ms_max: 25, lease_ms: 9, lease_ms_max: 9 };
    let late = run(&mut state, Command::SetTiming { expected: Revision(1), timing }).unwrap_err();
    assert_eq!(late.kind, RejectionKind::Conflict);
    assert!(late.message.ends_with(", not 1"), "{}", late.message);
}
