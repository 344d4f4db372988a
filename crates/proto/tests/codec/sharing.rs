//! Equal states are stored as equal bytes, whichever of their decisions share memory: what was restored shares otherwise
//! than what applied the log.

use std::sync::Arc;

use kato_core::{
    Arch, Decision, Instance, InstanceId, Market, MicroDollars, Offer, Placement, Quote, Resources,
    Revision, Source, State, Timestamp, Unplaceable,
};

use crate::{decode, encode};

/// An instance's decisions by number: why it is where it is, and why it finds no better place.
type Decided = (Option<u64>, Option<u64>);

/// Decisions over the instances of one workload in their order, and how many of them are stored.
const CASES: [(&str, &[Decided], usize); 7] = [
    ("none", &[(None, None), (None, None)], 0),
    ("one for all", &[(Some(1), None), (Some(1), None), (Some(1), None)], 1),
    ("another one, and the first again", &[(Some(1), None), (Some(2), None), (Some(1), None)], 3),
    ("the first again, after none", &[(Some(1), None), (None, None), (Some(1), None)], 1),
    ("no better place, by the same", &[(Some(1), Some(1)), (Some(1), Some(1))], 1),
    ("no better place, by another, each", &[(Some(1), Some(2)), (Some(1), Some(2))], 4),
    ("no place, by the first of two", &[(Some(1), None), (Some(2), None), (None, Some(1))], 3),
];

/// Equal numbers are equal decisions, and never the same memory.
fn decision(number: u64) -> Arc<Decision> {
    Arc::new(Decision {
        at: Timestamp(number),
        latency_price_micros_per_ms_hour: MicroDollars(500),
        candidates: Vec::new(),
    })
}

fn placement(decision: Arc<Decision>) -> Placement {
    let capacity = Resources { cpu_millis: 2_000, memory_bytes: 8 << 30, ..Resources::NONE };
    let offer = Offer {
        provider: "ec2".parse().unwrap(),
        region: "eu-west-1".parse().unwrap(),
        kind: "t3.large".to_owned(),
        market: Market::OnDemand,
        arch: Arch::X86_64,
        capacity,
        gpu: None,
        terms: kato_core::Terms::default(),
        price_micros_per_hour: MicroDollars(91_200),
        priced_at: Timestamp(1),
        source: "test".to_owned(),
    };
    Placement {
        cell: "cell-1.dub".parse().unwrap(),
        machine: None,
        epoch: Revision(7),
        generation: 1,
        request: Resources { cpu_millis: 100, memory_bytes: 1 << 20, ..Resources::NONE },
        quote: Quote {
            offer: Arc::new(offer),
            source: Source::Running,
            price_micros_per_hour: MicroDollars(4_560),
            adds_micros_per_hour: MicroDollars(4_560),
            preference_micros_per_hour: MicroDollars(0),
            moving_micros_per_hour: MicroDollars(0),
            latency_micros_per_hour: MicroDollars(0),
        },
        decision,
        order: None,
        placed_at: Timestamp(9),
    }
}

fn id(number: usize) -> InstanceId {
    format!("web@{number}").parse().unwrap()
}

/// A state with these decisions, each taken from `of`.
fn state(decided: &[Decided], of: impl Fn(u64) -> Arc<Decision>) -> State {
    let mut state = State::default();
    for (number, (placed, unplaceable)) in (1..).zip(decided) {
        let mut instance = Instance::new(id(number));
        instance.placement = placed.map(|number| placement(of(number)));
        instance.unplaceable =
            unplaceable.map(|number| Unplaceable { since: Timestamp(3), decision: of(number) });
        state.instances.insert(instance.id.clone(), instance);
    }
    state
}

#[test]
fn equal_states_are_equal_bytes_whatever_they_share() {
    for (case, decided, stored) in CASES {
        let known = [decision(0), decision(1), decision(2)];
        let shared = state(decided, |number| Arc::clone(&known[usize::try_from(number).unwrap()]));
        let apart = state(decided, decision);
        // Only the first one is shared, wherever it comes back.
        let mixed = state(decided, |number| match number {
            1 => Arc::clone(&known[1]),
            number => decision(number),
        });
        let bytes = encode(&shared);
        let restored = decode(bytes.clone()).unwrap();
        for (how, other) in [("apart", apart), ("mixed", mixed), ("restored", restored)] {
            assert!(encode(&other) == bytes, "{case}: {how}");
        }
        assert_eq!(kato_proto::store_v1::State::from(&shared).decisions.len(), stored, "{case}");
    }
}

#[test]
fn a_decision_that_changes_and_changes_back_leaves_no_trace() {
    let neighbours = [(Some(1), None); 3];
    let first = decision(1);
    let mut applied = state(&neighbours, |_| Arc::clone(&first));
    // It is restored from a snapshot between any two changes.
    let mut restored = applied.clone();
    let before = encode(&applied);
    for (step, number) in [2, 1, 2, 1].into_iter().enumerate() {
        restored = decode(encode(&restored)).unwrap();
        let back = if number == 1 { Arc::clone(&first) } else { decision(number) };
        for (state, decision) in [(&mut applied, back), (&mut restored, decision(number))] {
            let changed = state.instances.get_mut(&id(2)).unwrap();
            changed.placement.as_mut().unwrap().decision = decision;
        }
        assert!(encode(&applied) == encode(&restored), "step {step}");
        assert_eq!(encode(&applied) == before, number == 1, "step {step}");
    }
}
