//! A small mesh in hand-made messages: `dub` leads, `ewr` runs a machine, `fra` is lost. The tests of the
//! rendering and those of the whole binary share it.

use kato_proto::v1::*;

/// 2026-11-22T13:42:28Z, the moment that the ages are counted from.
pub(crate) const NOW: u64 = 1_795_354_948_000;

const MIB: u64 = 1 << 20;

pub(crate) fn resources(cpu_millis: u64, mib: u64) -> Resources {
    Resources { cpu_millis, memory_bytes: mib * MIB, ..Resources::default() }
}

pub(crate) fn offer(kind: &str, region: &str, market: Market, price: i64) -> Offer {
    Offer {
        provider: "ec2".to_owned(),
        region: region.to_owned(),
        kind: kind.to_owned(),
        market: market.into(),
        arch: "x86_64".to_owned(),
        capacity: Some(resources(2000, 2048)),
        price_micros_per_hour: price,
        priced_at_unix_ms: NOW - 3 * 86_400_000,
        source: "catalogue".to_owned(),
        gpu: String::new(),
        interruption_percent: (market == Market::Spot).then_some(10),
        billed_s: Some(60),
    }
}

pub(crate) fn quote(offer: Offer, buy: bool, price: i64, latency: i64) -> Quote {
    let adds = if buy { price } else { 0 };
    Quote {
        offer: Some(offer),
        buy,
        shared: false,
        price_micros_per_hour: price,
        adds_micros_per_hour: adds,
        latency_micros_per_hour: latency,
        preference_micros_per_hour: 0,
        moving_micros_per_hour: 0,
        total_micros_per_hour: adds + latency,
    }
}

pub(crate) fn decision() -> Decision {
    let candidate = |datacenter: &str, latency_us: u32| Candidate {
        datacenter: datacenter.to_owned(),
        latency_us: Some(latency_us),
        ..Candidate::default()
    };
    let dub = offer("t3.small", "eu-west-1", Market::OnDemand, 22_800);
    let lon = offer("t3a.small", "eu-west-2", Market::Spot, 9_100);
    let ewr = offer("t3.micro", "us-east-1", Market::OnDemand, 10_400);
    Decision {
        at_unix_ms: NOW - 180_000,
        latency_price_micros_per_ms_hour: 500,
        candidates: vec![
            Candidate {
                quote: Some(quote(dub, false, 1_140, 2_120)),
                chosen: 2,
                ..candidate("dub", 4_240)
            },
            Candidate { quote: Some(quote(lon, true, 9_100, 5_600)), ..candidate("lhr", 11_200) },
            Candidate {
                quote: Some(quote(ewr, false, 1_040, 42_250)),
                refusal: "84 ms from the farthest users, MaxLatency=60ms".to_owned(),
                ..candidate("ewr", 84_500)
            },
            Candidate { refusal: "lost or suspended".to_owned(), ..candidate("fra", 22_900) },
        ],
    }
}

pub(crate) fn workload(name: &str, count: u32) -> Workload {
    let near = |place: &str, weight| Demand { place: place.to_owned(), weight, at: None };
    Workload {
        spec: Some(WorkloadSpec {
            name: name.to_owned(),
            unit: "[Service]\nExecStart=python3 \\\n    -u server.py\n".to_owned(),
            template: true,
            count,
            request: Some(Resources { disk_bytes: 5 << 30, gpus: 1, ..resources(100, 64) }),
            demand: vec![near("Dublin", 3.0), near("London", 0.0)],
            latency_ms_max: Some(60),
            price_micros_per_hour_max: Some(100_000),
            rules: Some(Rules {
                move_micros: Some(50_000),
                priority: 10,
                survive: "1 datacenter".to_owned(),
                ..Rules::default()
            }),
            ports: vec!["http".to_owned()],
            ..WorkloadSpec::default()
        }),
        generation: 2,
        revision: 41,
        applied_at_unix_ms: NOW - 7_500_000,
        placed: count,
        running: count,
        current: count,
        unplaceable: 0,
        price_micros_per_hour: 1_140 * i64::from(count),
    }
}

pub(crate) fn plan(change: Change) -> ApplyResponse {
    ApplyResponse {
        workload: Some(workload("web", 2)),
        change: change.into(),
        decision: Some(decision()),
        unplaced: 0,
        machines_to_buy: 0,
        adds_micros_per_hour: 0,
        conflict: Vec::new(),
        survives: vec!["dub".to_owned(), "lhr".to_owned()],
        warnings: vec!["MemoryMax= in [Service] is smaller than Memory= in [X-Kato]".to_owned()],
    }
}

pub(crate) fn what_if() -> WhatIfResponse {
    WhatIfResponse {
        read: None,
        moves: vec![Move {
            workload: "web".to_owned(),
            instances: 3,
            from: "cell-1.ewr".to_owned(),
            to: "cell-1.dub".to_owned(),
            price_before_micros_per_hour: 3_420,
            price_after_micros_per_hour: 27_300,
            latency_before_us: Some(4_200),
            latency_after_us: Some(84_500),
        }],
        stranded: vec![Stranded {
            workload: "db".to_owned(),
            instances: 1,
            from: "cell-1.ewr".to_owned(),
            why: "dub: Datacenters= does not name it".to_owned(),
        }],
        machines_to_buy: 1,
        adds_micros_per_hour: 27_300,
        saves_micros_per_hour: 91_200,
    }
}

pub(crate) fn instance(id: &str, state: RunState) -> Instance {
    let dub = offer("t3.small", "eu-west-1", Market::OnDemand, 22_800);
    Instance {
        id: id.to_owned(),
        datacenter: "dub".to_owned(),
        cell: "cell-1.dub".to_owned(),
        machine: "core-1.cell-1.dub".to_owned(),
        epoch: 43,
        generation: 2,
        quote: Some(quote(dub, false, 1_140, 2_120)),
        placed_at_unix_ms: NOW - 180_000,
        state: state.into(),
        state_since_unix_ms: NOW - 170_000,
        restarts: 0,
        detail: String::new(),
        endpoints: vec![Endpoint {
            name: "http".to_owned(),
            address: "10.0.0.3".to_owned(),
            port: 20_001,
        }],
        unplaceable: String::new(),
    }
}

pub(crate) fn instances() -> Vec<Instance> {
    let failed = Instance {
        restarts: 7,
        detail: "exit status 203: python3 is not there".to_owned(),
        endpoints: Vec::new(),
        ..instance("web@2", RunState::Restarting)
    };
    let unplaceable = Instance {
        id: "db@1".to_owned(),
        state: RunState::Unplaceable.into(),
        state_since_unix_ms: NOW - 40_000,
        unplaceable: "dub: has a copy already, Spread=datacenter; fra: lost or suspended"
            .to_owned(),
        ..Instance::default()
    };
    vec![unplaceable, instance("web@1", RunState::Running), failed]
}

/// No place is found for its new generation.
pub(crate) fn in_its_old_place() -> Instance {
    Instance {
        state_since_unix_ms: NOW - 40_000,
        detail: "still running on core-1.cell-1.dub".to_owned(),
        unplaceable: "dub: no room for 2 CPU".to_owned(),
        endpoints: Vec::new(),
        ..instance("web@3", RunState::Unplaceable)
    }
}

pub(crate) fn machines() -> Vec<Machine> {
    let machine = |id: &str, suspended, connected| Machine {
        id: id.to_owned(),
        resources: Some(resources(2000, 2048)),
        allocated: Some(resources(500, 256)),
        offer: Some(offer("t3.small", "eu-west-1", Market::OnDemand, 22_800)),
        address: "10.0.0.3".to_owned(),
        incarnation: 1,
        suspended,
        connected,
        instances: 2,
    };
    vec![
        machine("core-1.cell-1.dub", false, true),
        machine("core-1.cell-1.ewr", false, false),
        machine("core-1.cell-1.fra", true, false),
    ]
}

pub(crate) fn datacenters() -> Vec<Datacenter> {
    let datacenter = |name: &str, region: &str, health: Health, silent_ms| Datacenter {
        name: name.to_owned(),
        location: Some(Coordinates { latitude: 53.35, longitude: -6.26 }),
        address: format!("{name}.demo.com:7440"),
        regions: vec![Region { provider: "ec2".to_owned(), region: region.to_owned() }],
        health: health.into(),
        health_since_unix_ms: if health == Health::Up { 0 } else { NOW - 65_000 },
        machines: 1,
        instances: 2,
        silent_ms,
        served_by: name.to_owned(),
        country: "IE".to_owned(),
        labels: [("tier".to_owned(), "gold".to_owned())].into(),
    };
    vec![
        datacenter("dub", "eu-west-1", Health::Up, Some(0)),
        datacenter("ewr", "us-east-1", Health::Up, Some(400)),
        datacenter("fra", "eu-central-1", Health::Lost, Some(71_000)),
    ]
}

pub(crate) fn cells() -> Vec<Cell> {
    let cell = |id: &str, orders| Cell {
        id: id.to_owned(),
        machines: 1,
        machines_max: 4,
        orders,
        free: Some(resources(1500, 1792)),
        zone: if orders > 0 { "a".to_owned() } else { String::new() },
        labels: [].into(),
    };
    vec![cell("cell-1.dub", 0), cell("cell-1.ewr", 1)]
}

pub(crate) fn offers() -> Vec<DatacenterOffer> {
    let at = |datacenter: &str, offer| DatacenterOffer {
        datacenter: datacenter.to_owned(),
        offer: Some(offer),
    };
    let arm = offer("t4g.small", "eu-west-1", Market::Spot, 7_300);
    vec![
        at("dub", Offer { arch: "arm64".to_owned(), ..arm }),
        at("dub", offer("t3a.small", "eu-west-1", Market::Spot, 9_100)),
        at("ewr", offer("t3.micro", "us-east-1", Market::OnDemand, 10_400)),
        at("dub", offer("t3.small", "eu-west-1", Market::OnDemand, 22_800)),
    ]
}

pub(crate) fn events() -> Vec<Event> {
    let event = |revision: u64, kind: &str, subject: &str, message: &str| Event {
        revision,
        at_unix_ms: NOW - 200_000 + revision * 1000,
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        message: message.to_owned(),
        place: 4_096,
    };
    vec![
        event(41, "WorkloadApplied", "web", "generation 2"),
        event(43, "InstancePlaced", "web@1", "in cell-1.dub"),
        event(60, "DatacenterLost", "fra", "every lease in it has ended"),
    ]
}

pub(crate) fn status() -> GetStatusResponse {
    let member = |id, datacenter: &str, leader, silent_ms| Member {
        id,
        datacenter: datacenter.to_owned(),
        address: format!("{datacenter}.demo.com:7440"),
        leader,
        silent_ms,
        heard: silent_ms.is_some_and(|ms| ms < 2_000),
        knows: 3,
        disk_alarm: None,
        rtt_us: (id == 2).then_some(71_400),
    };
    GetStatusResponse {
        read: Some(ReadInfo { revision: 61, answered_by: "dub".to_owned(), ..ReadInfo::default() }),
        domain: "demo.com".to_owned(),
        version: "0.1.0".to_owned(),
        term: 7,
        members: vec![
            member(1, "dub", true, Some(0)),
            member(2, "ewr", false, Some(400)),
            member(3, "fra", false, Some(71_000)),
        ],
        leader: "dub".to_owned(),
        may_lose: 0,
        lease_ms: 12_000,
        quarantined: false,
        budget: Some(kato_proto::v1::Budget {
            max_micros_per_hour: 250_000,
            spent_micros_per_hour: 91_200,
            revision: 40,
        }),
        datacenters: 3,
        machines: 3,
        machines_suspended: 1,
        workloads: 2,
        instances: 3,
        running: 1,
        unplaceable: 1,
        price_micros_per_hour: 68_400,
        machines_bought: 2,
        machines_bought_micros_per_hour: 182_400,
        machines_ordered: 1,
        machines_ordered_micros_per_hour: 91_200,
        losses: vec![
            Loss { datacenter: "dub".to_owned(), stranded: 2, ..Loss::default() },
            Loss {
                datacenter: "ewr".to_owned(),
                moved: 1,
                stranded: 0,
                machines_to_buy: 1,
                adds_micros_per_hour: 91_200,
            },
        ],
        brake: None,
        mesh_version: 3,
        timing: Some(Timing {
            rtt_ms_max: 100,
            failover_ms: 3_640,
            longest: Some(RoundTrip {
                from: "dub".to_owned(),
                to: "ewr".to_owned(),
                bound_us: 78_200,
            }),
            behind: Vec::new(),
        }),
    }
}

pub(crate) fn explanation() -> ExplainResponse {
    ExplainResponse {
        past: None,
        conflict: Vec::new(),
        read: None,
        instance: Some(instance("web@1", RunState::Running)),
        decision: Some(decision()),
    }
}
