//! What may be asked of the state: by chance, and fitted to the state that it meets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kato_core::version::NEWEST;
use kato_core::{
    Arch, CellId, CellSpec, Command, Coordinates, Datacenter, DatacenterName, DatacenterSpec,
    Decision, Failover, InstanceId, LATENCY_PRICE_DEFAULT, MachineId, MachineSpec, Market,
    MicroDollars, Offer, OrderId, Place, PutWorkload, Quote, Resources, Revision, Rules, Source,
    SpotPolicy, State, Target, Timestamp, WorkloadSpec,
};
use proptest::prelude::*;

const DATACENTERS: [&str; 3] = ["dub", "ewr", "sin"];
/// The last one is a singleton.
const WORKLOADS: [&str; 3] = ["web", "queue", "db"];

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
        gpu: None,
        terms: kato_core::Terms::default(),
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
        singleton: WORKLOADS[workload] == "db",
        failover: Failover::Auto,
        ports: BTreeSet::new(),
        latency_price_micros_per_ms_hour: LATENCY_PRICE_DEFAULT,
        rules: Rules::default(),
    })
}

/// What a test asks for, before it is fitted to the state that it meets.
#[derive(Debug, Clone)]
pub(super) enum Ask {
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
    Raise { to: u32 },
    Budget { machines: Option<u32> },
    Order { workload: usize, number: u32, datacenter: usize },
    Settled { datacenter: usize, number: u32 },
    Delegate { datacenter: usize, to: usize, stale: bool },
    Unplaceable { workload: usize, number: u32 },
}

/// Mostly of instances, so that they get deep before their machines change under them.
pub(super) fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![1 => of_topology(), 3 => of_instances()]
}

fn of_topology() -> impl Strategy<Value = Ask> {
    let (dc, number) = (0..DATACENTERS.len(), 1..4_u32);
    prop_oneof![
        (dc.clone(), 1..5_u32)
            .prop_map(|(datacenter, machines_max)| Ask::Register { datacenter, machines_max }),
        (dc.clone(), number.clone(), 1..3_u64, any::<bool>()).prop_map(
            |(datacenter, number, incarnation, for_order)| Ask::Join {
                datacenter,
                number,
                incarnation,
                for_order
            }
        ),
        (dc.clone(), prop::option::of(number.clone()))
            .prop_map(|(datacenter, number)| Ask::Suspend { datacenter, number }),
        (dc.clone(), number.clone())
            .prop_map(|(datacenter, number)| Ask::Resume { datacenter, number }),
        dc.clone().prop_map(|datacenter| Ask::Lost { datacenter }),
        (dc.clone(), dc.clone(), prop::bool::weighted(0.2))
            .prop_map(|(datacenter, to, stale)| Ask::Delegate { datacenter, to, stale }),
        (dc, number).prop_map(|(datacenter, number)| Ask::Settled { datacenter, number }),
    ]
}

fn of_instances() -> impl Strategy<Value = Ask> {
    let (dc, wl, number) = (0..DATACENTERS.len(), 0..WORKLOADS.len(), 1..4_u32);
    let cpu = prop::sample::select(vec![100_u64, 700, 1_500]);
    let buy = prop::bool::weighted(0.3);
    let put = (wl.clone(), number.clone(), cpu, dc.clone(), buy).prop_map(
        |(workload, count, cpu_millis, datacenter, buy)| Ask::Put {
            workload,
            count,
            cpu_millis,
            datacenter,
            buy,
        },
    );
    let place = (wl.clone(), number.clone(), dc.clone(), buy, prop::bool::weighted(0.1)).prop_map(
        |(workload, number, datacenter, buy, stale)| Ask::Move {
            workload,
            number,
            datacenter,
            buy,
            stale,
        },
    );
    let bind = (wl.clone(), number.clone(), number.clone())
        .prop_map(|(workload, number, machine)| Ask::Bind { workload, number, machine });
    let order = (wl.clone(), number.clone(), dc)
        .prop_map(|(workload, number, datacenter)| Ask::Order { workload, number, datacenter });
    let one = (wl.clone(), number);
    prop_oneof![
        3 => put,
        4 => place,
        6 => bind,
        1 => order,
        1 => wl.prop_map(|workload| Ask::Delete { workload }),
        1 => one.clone().prop_map(|(workload, number)| Ask::Refuse { workload, number }),
        1 => (1..3_u32).prop_map(|attempt| Ask::Attempt { attempt }),
        1 => Just(Ask::FailOrder),
        1 => (1_u32..6).prop_map(|to| Ask::Raise { to }),
        1 => prop::option::weighted(0.8, 0..4_u32).prop_map(|machines| Ask::Budget { machines }),
        1 => one.prop_map(|(workload, number)| Ask::Unplaceable { workload, number }),
    ]
}

fn quote(buy: bool) -> Quote {
    Quote {
        offer: offer(),
        source: if buy { Source::Buy } else { Source::Running },
        price_micros_per_hour: MicroDollars(22_800),
        adds_micros_per_hour: MicroDollars(22_800),
        preference_micros_per_hour: MicroDollars(0),
        moving_micros_per_hour: MicroDollars(0),
        latency_micros_per_hour: MicroDollars(0),
    }
}

fn target(number: u32, epoch: Option<Revision>, datacenter: usize, buy: bool) -> Target {
    Target { number, epoch, cell: cell(datacenter), quote: quote(buy), with: None }
}

/// All but the first share its machine, where one is bought.
fn shared(workload: usize, mut targets: Vec<Target>) -> Vec<Target> {
    if let Some((first, others)) = targets.split_first_mut()
        && first.quote.source == Source::Buy
    {
        for other in others {
            other.quote.source = Source::Shared;
            other.with = Some(instance(workload, first.number));
        }
    }
    targets
}

pub(super) fn instance(workload: usize, number: u32) -> InstanceId {
    InstanceId::new(WORKLOADS[workload].parse().unwrap(), number)
}

pub(super) fn epoch(state: &State, id: &InstanceId) -> Option<Revision> {
    state.instances.get(id).and_then(kato_core::Instance::epoch)
}

/// Fits an ask to the state, as a reconciler would.
pub(super) fn command(ask: &Ask, state: &State) -> Command {
    let first_order = || state.orders.keys().next().copied().unwrap_or(OrderId(0));
    match ask {
        Ask::Register { datacenter, machines_max } => {
            let limits = CellSpec { machines_max: *machines_max, ..CellSpec::default() };
            Command::RegisterDatacenter(DatacenterSpec {
                name: DATACENTERS[*datacenter].parse().unwrap(),
                location: Coordinates::from_degrees(53.0, -6.0).unwrap(),
                address: "127.0.0.1:1".to_owned(),
                regions: BTreeSet::new(),
                cells: BTreeMap::from([("cell-1".parse().unwrap(), limits)]),
                country: None,
                labels: BTreeMap::new(),
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
            let since = |id: MachineId| {
                let suspended = state.machines[&id].suspended;
                (id, suspended.map(|suspended| suspended.since).unwrap_or_default())
            };
            Command::DeclareLost(all.map(since).collect())
        }
        Ask::Settled { datacenter, number } => {
            Command::Settled { machine: machine(*datacenter, *number), revision: state.revision }
        }
        Ask::Delegate { datacenter, to, stale } => {
            let name: DatacenterName = DATACENTERS[*datacenter].parse().unwrap();
            let term = state.datacenters.get(&name).map(Datacenter::term).unwrap_or_default();
            let expected = if *stale { Revision(term.0 + 1) } else { term };
            let to = DATACENTERS[*to].parse().unwrap();
            Command::Delegate { datacenter: name, expected, to }
        }
        _ => about_instances(ask, state),
    }
}

/// Fits an ask about workloads, instances and orders.
fn about_instances(ask: &Ask, state: &State) -> Command {
    match ask {
        Ask::Put { workload, count, cpu_millis, datacenter, buy } => {
            let spec = spec(*workload, *count, *cpu_millis);
            let targets = (1..=*count)
                .filter(|number| epoch(state, &instance(*workload, *number)).is_none())
                .map(|number| target(number, None, *datacenter, *buy))
                .collect::<Vec<_>>();
            let targets = shared(*workload, targets);
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
            let epoch = if *stale { Some(Revision(1_000_000)) } else { epoch(state, &id) };
            let mut moved = target(*number, epoch, *datacenter, *buy);
            // To a machine that is on order for another instance, where there is one and none is bought.
            let mut waiting = state.cells[&moved.cell].unbound.iter();
            let shares = waiting.find(|other| **other != id).filter(|_| !*buy);
            if let Some(with) = shares {
                (moved.quote.source, moved.with) = (Source::Shared, Some(with.clone()));
            }
            Command::Place(Place {
                workload: id.workload.clone(),
                generation: known.map_or(1, |workload| workload.generation),
                targets: vec![moved],
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
            Command::Refuse { instance: id, epoch, retry_after_ms: 9 }
        }
        Ask::Unplaceable { workload, number } => {
            let id = instance(*workload, *number);
            Command::Unplaceable { epoch: epoch(state, &id), instance: id, decision: decision() }
        }
        _ => about_orders(ask, state),
    }
}

/// Fits an ask about orders.
fn about_orders(ask: &Ask, state: &State) -> Command {
    let first_order = || state.orders.keys().next().copied().unwrap_or(OrderId(0));
    match ask {
        Ask::Order { workload, number, datacenter } => {
            let instance = instance(*workload, *number);
            let epoch = epoch(state, &instance).unwrap_or_default();
            Command::OrderMachine { instance, epoch, cell: cell(*datacenter), offer: offer() }
        }
        Ask::Attempt { attempt } => {
            Command::AttemptOrder { order: first_order(), attempt: *attempt }
        }
        Ask::Raise { to } => Command::RaiseVersion { to: *to },
        Ask::Budget { machines } => {
            let price = offer().price_micros_per_hour;
            let max = machines.map(|machines| MicroDollars(price.0 * i64::from(machines)));
            Command::SetBudget { max, expected: None }
        }
        Ask::FailOrder => Command::FailOrder {
            order: first_order(),
            reason: "sold out".to_owned(),
            retry_after_ms: 9,
        },
        _ => unreachable!("{ask:?} is about something else"),
    }
}

/// A mesh that takes every command, three datacenters with two machines each: from nothing, chance hardly ever gets further than that.
pub(super) fn mesh() -> impl Iterator<Item = Ask> {
    let raise = std::iter::once(Ask::Raise { to: NEWEST });
    raise.chain((0..DATACENTERS.len()).flat_map(|datacenter| {
        let join = |number| Ask::Join { datacenter, number, incarnation: 1, for_order: false };
        [Ask::Register { datacenter, machines_max: 4 }, join(1), join(2)]
    }))
}
