//! Whatever is asked of the state, in whatever order, every promise holds, and what is refused leaves no trace.

#![allow(clippy::unwrap_used, reason = "a test that cannot build its input has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kato_core::{
    Arch, Batch, CellId, CellSpec, Command, Coordinates, DatacenterSpec, Decision, Failover,
    InstanceId, LATENCY_PRICE_DEFAULT, MachineId, MachineSpec, Market, MicroDollars, Offer,
    OrderId, Place, PutWorkload, Quote, Resources, Revision, Source, SpotPolicy, Spread, State,
    Target, Timestamp, WorkloadSpec, invariant,
};
use proptest::prelude::*;

const DATACENTERS: [&str; 3] = ["dub", "ewr", "sin"];
const WORKLOADS: [&str; 2] = ["web", "db"];

fn cell(datacenter: usize) -> CellId {
    format!("cell-1.{}", DATACENTERS[datacenter]).parse().unwrap()
}

fn machine(datacenter: usize, number: u32) -> MachineId {
    format!("core-{number}.{}", cell(datacenter)).parse().unwrap()
}

fn offer() -> Arc<Offer> {
    Arc::new(Offer {
        provider: "ec2".parse().unwrap(),
        region: "eu-west-1".parse().unwrap(),
        kind: "t3.large".to_owned(),
        market: Market::OnDemand,
        arch: Arch::X86_64,
        capacity: Resources::new(2_000, 8_192),
        price_micros_per_hour: MicroDollars(91_200),
        priced_at: Timestamp(0),
        source: "test".to_owned(),
    })
}

fn decision() -> Arc<Decision> {
    Arc::new(Decision {
        at: Timestamp(0),
        latency_price_micros_per_ms_hour: LATENCY_PRICE_DEFAULT,
        candidates: Vec::new(),
    })
}

fn spec(workload: usize, count: u32, cpu_millis: u64) -> Arc<WorkloadSpec> {
    Arc::new(WorkloadSpec {
        name: WORKLOADS[workload].parse().unwrap(),
        template: true,
        unit: "[Service]\nExecStart=/bin/true\n".into(),
        count,
        request: Resources::new(cpu_millis, 128),
        demand: Vec::new(),
        latency_ms_max: None,
        datacenters: BTreeSet::new(),
        price_micros_per_hour_max: None,
        spot: SpotPolicy::Never,
        spread: Spread::None,
        singleton: false,
        failover: Failover::Auto,
        ports: BTreeSet::new(),
        latency_price_micros_per_ms_hour: LATENCY_PRICE_DEFAULT,
    })
}

/// What a test asks for, before it is fitted to the state that it meets.
#[derive(Debug, Clone)]
enum Ask {
    Register { datacenter: usize, machines_max: u32 },
    Join { datacenter: usize, number: u32, incarnation: u64, for_order: bool },
    Suspend { datacenter: usize, number: Option<u32> },
    Resume { datacenter: usize, number: u32 },
    Lost { datacenter: usize },
    Put { workload: usize, count: u32, cpu_millis: u64, datacenter: usize, buy: bool },
    Delete { workload: usize },
    Move { workload: usize, number: u32, datacenter: usize, buy: bool, stale: bool },
    Bind { workload: usize, number: u32, machine: u32 },
    Refuse { workload: usize, number: u32 },
    Attempt { attempt: u32 },
    FailOrder,
    Unplaceable { workload: usize, number: u32 },
}

fn ask() -> impl Strategy<Value = Ask> {
    let (dc, wl) = (0..3_usize, 0..2_usize);
    prop_oneof![
        (dc.clone(), 1..4_u32)
            .prop_map(|(datacenter, machines_max)| Ask::Register { datacenter, machines_max }),
        (dc.clone(), 1..4_u32, 1..3_u64, any::<bool>()).prop_map(
            |(datacenter, number, incarnation, for_order)| Ask::Join {
                datacenter,
                number,
                incarnation,
                for_order
            }
        ),
        (dc.clone(), prop::option::of(1..4_u32))
            .prop_map(|(datacenter, number)| Ask::Suspend { datacenter, number }),
        (dc.clone(), 1..4_u32).prop_map(|(datacenter, number)| Ask::Resume { datacenter, number }),
        dc.clone().prop_map(|datacenter| Ask::Lost { datacenter }),
        (
            wl.clone(),
            1..4_u32,
            prop::sample::select(vec![100_u64, 700, 1_500]),
            dc.clone(),
            any::<bool>()
        )
            .prop_map(|(workload, count, cpu_millis, datacenter, buy)| Ask::Put {
                workload,
                count,
                cpu_millis,
                datacenter,
                buy
            }),
        wl.clone().prop_map(|workload| Ask::Delete { workload }),
        (wl.clone(), 1..4_u32, dc, any::<bool>(), prop::bool::weighted(0.1)).prop_map(
            |(workload, number, datacenter, buy, stale)| Ask::Move {
                workload,
                number,
                datacenter,
                buy,
                stale
            }
        ),
        (wl.clone(), 1..4_u32, 1..4_u32).prop_map(|(workload, number, machine)| Ask::Bind {
            workload,
            number,
            machine
        }),
        (wl.clone(), 1..4_u32).prop_map(|(workload, number)| Ask::Refuse { workload, number }),
        (1..3_u32).prop_map(|attempt| Ask::Attempt { attempt }),
        Just(Ask::FailOrder),
        (wl, 1..4_u32).prop_map(|(workload, number)| Ask::Unplaceable { workload, number }),
    ]
}

fn quote(buy: bool) -> Quote {
    Quote {
        offer: offer(),
        source: if buy { Source::Buy } else { Source::Running },
        price_micros_per_hour: MicroDollars(22_800),
        latency_micros_per_hour: MicroDollars(0),
    }
}

fn instance(workload: usize, number: u32) -> InstanceId {
    InstanceId::new(WORKLOADS[workload].parse().unwrap(), number)
}

fn epoch(state: &State, id: &InstanceId) -> Option<Revision> {
    state.instances.get(id).and_then(kato_core::Instance::epoch)
}

/// Fits an ask to the state, as a reconciler would.
fn command(ask: &Ask, state: &State) -> Command {
    let first_order = || state.orders.keys().next().copied().unwrap_or(OrderId(0));
    match ask {
        Ask::Register { datacenter, machines_max } => {
            let limits = CellSpec { machines_max: *machines_max };
            Command::RegisterDatacenter(DatacenterSpec {
                name: DATACENTERS[*datacenter].parse().unwrap(),
                location: Coordinates::from_degrees(53.0, -6.0).unwrap(),
                address: "127.0.0.1:1".to_owned(),
                regions: BTreeSet::new(),
                cells: BTreeMap::from([("cell-1".parse().unwrap(), limits)]),
            })
        }
        Ask::Join { datacenter, number, incarnation, for_order } => {
            Command::JoinMachine(MachineSpec {
                id: machine(*datacenter, *number),
                resources: Resources::new(2_000, 8_192),
                offer: offer(),
                address: "127.0.0.1".to_owned(),
                incarnation: *incarnation,
                order: for_order.then(first_order),
            })
        }
        Ask::Suspend { datacenter, number } => {
            let all = state.machines.keys().filter(|id| id.cell == cell(*datacenter)).cloned();
            let machines = match number {
                Some(number) => vec![machine(*datacenter, *number)],
                None => all.collect(),
            };
            Command::Suspend { machines, reason: "silent".to_owned() }
        }
        Ask::Resume { datacenter, number } => {
            let id = machine(*datacenter, *number);
            let incarnation = state.machines.get(&id).map_or(1, |m| m.spec.incarnation);
            Command::Resume { machine: id, incarnation }
        }
        Ask::Lost { datacenter } => {
            let all = state.machines.keys().filter(|id| id.cell == cell(*datacenter)).cloned();
            Command::DeclareLost(all.collect())
        }
        _ => about_instances(ask, state),
    }
}

/// Fits an ask about workloads, instances and orders.
fn about_instances(ask: &Ask, state: &State) -> Command {
    let first_order = || state.orders.keys().next().copied().unwrap_or(OrderId(0));
    match ask {
        Ask::Put { workload, count, cpu_millis, datacenter, buy } => {
            let spec = spec(*workload, *count, *cpu_millis);
            let targets = (1..=*count)
                .filter(|number| epoch(state, &instance(*workload, *number)).is_none())
                .map(|number| Target {
                    number,
                    epoch: None,
                    cell: cell(*datacenter),
                    quote: quote(*buy),
                })
                .collect();
            Command::PutWorkload(PutWorkload {
                spec,
                expected: None,
                targets,
                decision: decision(),
            })
        }
        Ask::Delete { workload } => {
            Command::DeleteWorkload { name: WORKLOADS[*workload].parse().unwrap(), expected: None }
        }
        Ask::Move { workload, number, datacenter, buy, stale } => {
            let id = instance(*workload, *number);
            let known = state.workloads.get(&id.workload);
            let stale_epoch = Some(Revision(1_000_000));
            Command::Place(Place {
                workload: id.workload.clone(),
                generation: known.map_or(1, |workload| workload.generation),
                targets: vec![Target {
                    number: *number,
                    epoch: if *stale { stale_epoch } else { epoch(state, &id) },
                    cell: cell(*datacenter),
                    quote: quote(*buy),
                }],
                decision: decision(),
                cause: "test".to_owned(),
            })
        }
        Ask::Bind { workload, number, machine: picked } => {
            let id = instance(*workload, *number);
            let placed = state.instances.get(&id).and_then(|i| i.placement.as_ref());
            let cell = placed.map_or_else(|| cell(0), |placement| placement.cell.clone());
            Command::Bind {
                epoch: epoch(state, &id).unwrap_or_default(),
                instance: id,
                machine: format!("core-{picked}.{cell}").parse().unwrap(),
            }
        }
        Ask::Refuse { workload, number } => {
            let id = instance(*workload, *number);
            let epoch = epoch(state, &id).unwrap_or_default();
            Command::Refuse { instance: id, epoch, until: Timestamp(9) }
        }
        Ask::Attempt { attempt } => {
            Command::AttemptOrder { order: first_order(), attempt: *attempt }
        }
        Ask::FailOrder => Command::FailOrder {
            order: first_order(),
            reason: "sold out".to_owned(),
            until: Timestamp(9),
        },
        Ask::Unplaceable { workload, number } => {
            let id = instance(*workload, *number);
            Command::Unplaceable { epoch: epoch(state, &id), instance: id, decision: decision() }
        }
        _ => unreachable!("{ask:?} is about the topology"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_promise_holds_after_every_command(asks in prop::collection::vec(ask(), 1..120)) {
        let mut state = State::default();
        let mut log = Vec::new();
        for (step, ask) in asks.iter().enumerate() {
            let before = state.clone();
            let batch = Batch { at: Timestamp(step as u64), commands: vec![command(ask, &state)] };
            let outcome = state.apply(&batch).remove(0);
            prop_assert_eq!(invariant::violations(&state), vec![], "after {:?}", ask);
            match outcome {
                Err(_) => prop_assert_eq!(&State { time: state.time, ..before }, &state),
                Ok(applied) => {
                    prop_assert_eq!(applied.changed, state.revision > before.revision);
                    prop_assert_eq!(applied.changed, State { time: state.time, ..before } != state);
                }
            }
            log.push(batch);
        }
        prop_assert_eq!(state.clone().with_ledgers(), state.clone());
        // same-log-same-state
        let mut replayed = State::default();
        for batch in &log {
            replayed.apply(batch);
        }
        prop_assert_eq!(replayed, state);
    }
}

/// The random asks do reach the deep states; a generator that only makes refusals would prove nothing.
#[test]
fn a_datacenter_is_lost_and_returns() {
    let mut state = State::default();
    let mut at = 0;
    let mut run = |state: &mut State, ask: Ask| {
        at += 1;
        let batch = Batch { at: Timestamp(at), commands: vec![command(&ask, state)] };
        let outcome = state.apply(&batch).remove(0);
        assert!(outcome.as_ref().is_ok_and(|applied| applied.changed), "{ask:?}: {outcome:?}");
    };
    for datacenter in 0..2 {
        run(&mut state, Ask::Register { datacenter, machines_max: 3 });
        let join = Ask::Join { datacenter, number: 1, incarnation: 1, for_order: false };
        run(&mut state, join);
    }
    run(&mut state, Ask::Put { workload: 0, count: 1, cpu_millis: 700, datacenter: 0, buy: false });
    run(&mut state, Ask::Bind { workload: 0, number: 1, machine: 1 });
    run(&mut state, Ask::Suspend { datacenter: 0, number: None });
    run(&mut state, Ask::Lost { datacenter: 0 });
    let first = epoch(&state, &instance(0, 1));
    run(&mut state, Ask::Move { workload: 0, number: 1, datacenter: 1, buy: true, stale: false });
    assert!(epoch(&state, &instance(0, 1)) > first);
    assert_eq!(state.orders.len(), 1);
    run(&mut state, Ask::Attempt { attempt: 1 });
    run(&mut state, Ask::Join { datacenter: 1, number: 2, incarnation: 1, for_order: true });
    assert!(state.orders.is_empty());
    run(&mut state, Ask::Bind { workload: 0, number: 1, machine: 2 });
    run(&mut state, Ask::Resume { datacenter: 0, number: 1 });
    let kinds: Vec<String> = state.events.iter().map(|event| event.kind.to_string()).collect();
    for kind in ["DatacenterSuspected", "DatacenterLost", "InstanceMoved", "DatacenterReturned"] {
        assert!(kinds.iter().any(|found| found == kind), "{kind} is not in {kinds:?}");
    }
}
