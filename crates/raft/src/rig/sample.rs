//! A state of any size, as a mesh would have it: for what must hold, or be fast, with many placements.

use std::sync::Arc;

use kato_core::{
    Arch, Candidate, CellSpec, Coordinates, Datacenter, DatacenterSpec, Decision, Event, EventKind,
    Failover, Instance, InstanceId, Machine, MachineId, MachineSpec, Market, MicroDollars, Offer,
    Placement, Quote, Resources, Revision, Rules, Settings, Source, SpotPolicy, State, Timestamp,
    Verdict, Workload, WorkloadName, WorkloadSpec,
};

/// Copies of each workload, and instances on each machine.
const EACH: u32 = 100;
const DATACENTERS: [&str; 3] = ["dub", "ewr", "fra"];
const REQUEST: Resources = Resources::new(100, 64);
const UNIT: &str = "[Unit]\nDescription=A service that answers requests\n\n[Service]\n\
    ExecStart=/usr/bin/serve --port ${KATO_PORT_HTTP} --data /var/lib/%i\nRestart=on-failure\n\n\
    [X-Kato]\nCPU=100m\nMemory=64M\nNear=DUB weight=3\nNear=Paris\nMaxLatency=200ms\n";

/// A state with this many instances, all of them placed and bound.
///
/// # Panics
/// Never: its names are names.
pub fn state(instances: u32) -> State {
    let mut state = State {
        revision: Revision(u64::from(instances)),
        time: Timestamp(1_700_000_000_000),
        settings: Some(Settings { domain: "demo.com".to_owned(), lease_ms: 6_000 }),
        ..State::default()
    };
    let offers = DATACENTERS.map(|name| Arc::new(offer(name)));
    for name in DATACENTERS {
        let found = datacenter(name);
        state.datacenters.insert(found.spec.name.clone(), found);
    }
    for group in 0..instances.div_ceil(EACH) {
        let place = group as usize % DATACENTERS.len();
        let id = machine_id(group, place);
        state.machines.insert(id.clone(), machine(id.clone(), &offers[place]));
        let workload = workload(group, instances.min((group + 1) * EACH) - group * EACH);
        let quote = quote(&offers[place]);
        let decision = Arc::new(decision(&offers));
        for number in 1..=workload.spec.count {
            let mut instance = Instance::new(InstanceId::new(workload.spec.name.clone(), number));
            instance.placement = Some(Placement {
                cell: id.cell.clone(),
                machine: Some(id.clone()),
                epoch: Revision(u64::from(group * EACH + number)),
                generation: 1,
                request: REQUEST,
                quote: quote.clone(),
                decision: Arc::clone(&decision),
                order: None,
                placed_at: state.time,
            });
            state.instances.insert(instance.id.clone(), instance);
        }
        let (revision, at, subject) =
            (workload.revision, state.time, workload.spec.name.to_string());
        state.workloads.insert(workload.spec.name.clone(), workload);
        let message = "generation 1".to_owned();
        let kind = EventKind::ALL[group as usize % EventKind::ALL.len()];
        state.events.push_back(Event { revision, at, kind, subject, message });
    }
    state.with_ledgers()
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a name of this file is a name")
}

fn machine_id(group: u32, place: usize) -> MachineId {
    name(&format!("core-{group}.cell-1.{}", DATACENTERS[place]))
}

fn datacenter(label: &str) -> Datacenter {
    let spec = DatacenterSpec {
        name: name(label),
        location: Coordinates::from_micro(53_400_000, -6_300_000).expect("it is on the Earth"),
        address: format!("{label}.demo.com:7300"),
        regions: [(name("ec2"), name("eu-west-1"))].into(),
        cells: [(name("cell-1"), CellSpec { machines_max: 100_000, ..CellSpec::default() })].into(),
        country: None,
        labels: [].into(),
    };
    Datacenter::new(spec)
}

fn offer(label: &str) -> Offer {
    Offer {
        provider: name("ec2"),
        region: name("eu-west-1"),
        kind: format!("m7a.4xlarge-{label}"),
        market: Market::OnDemand,
        arch: Arch::X86_64,
        capacity: Resources::new(16_000, 64 << 10),
        gpu: None,
        terms: kato_core::Terms::default(),
        price_micros_per_hour: MicroDollars(927_400),
        priced_at: Timestamp(1_700_000_000_000),
        source: "catalogue".to_owned(),
    }
}

fn quote(offer: &Arc<Offer>) -> Quote {
    Quote {
        offer: Arc::clone(offer),
        source: Source::Running,
        price_micros_per_hour: MicroDollars(5_796),
        adds_micros_per_hour: MicroDollars(5_796),
        preference_micros_per_hour: MicroDollars(0),
        moving_micros_per_hour: MicroDollars(0),
        latency_micros_per_hour: MicroDollars(1_250),
    }
}

fn machine(id: MachineId, offer: &Arc<Offer>) -> Machine {
    let spec = MachineSpec {
        id,
        resources: offer.capacity,
        offer: Arc::clone(offer),
        address: "10.0.0.1".to_owned(),
        incarnation: 1,
        order: None,
    };
    Machine::new(spec, None)
}

fn workload(group: u32, count: u32) -> Workload {
    let label: WorkloadName = name(&format!("service-{group}"));
    let spec = WorkloadSpec {
        name: label,
        template: true,
        unit: UNIT.into(),
        count,
        request: REQUEST,
        demand: Vec::new(),
        latency_ms_max: Some(200),
        datacenters: [].into(),
        price_micros_per_hour_max: None,
        spot: SpotPolicy::Never,
        singleton: false,
        failover: Failover::Auto,
        ports: [name("http")].into(),
        latency_price_micros_per_ms_hour: MicroDollars(500),
        rules: Rules::default(),
    };
    let revision = Revision(u64::from(group * EACH));
    let applied_at = Timestamp(1_700_000_000_000);
    let older = std::iter::empty::<(u64, Arc<WorkloadSpec>)>().collect();
    Workload { spec: Arc::new(spec), generation: 1, revision, applied_at, older }
}

fn decision(offers: &[Arc<Offer>]) -> Decision {
    let candidate = |(label, offer): (&&str, &Arc<Offer>)| Candidate {
        datacenter: name(label),
        cell: None,
        latency_us: Some(12_000),
        quote: Some(quote(offer)),
        verdict: Verdict::Costlier,
    };
    Decision {
        at: Timestamp(1_700_000_000_000),
        latency_price_micros_per_ms_hour: MicroDollars(500),
        candidates: DATACENTERS.iter().zip(offers).map(candidate).collect(),
    }
}
