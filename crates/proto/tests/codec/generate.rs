//! Random commands and states, each part of them independently: also such as no log would make.

use std::collections::BTreeMap;
use std::sync::Arc;

use kato_core::version::FIRST;
use kato_core::{
    Agreed, Arch, Budget, Candidate, CellId, CellName, CellSpec, Command, Continent, Coordinates,
    Country, Datacenter, DatacenterName, DatacenterSpec, Decision, Delegation, Demand, Event,
    EventKind, Failover, FailureDomain, GpuName, Health, Instance, InstanceId, Level, Machine,
    MachineId, MachineName, MachineSpec, Market, MicroDollars, Most, Neighbour, Offer, Order,
    OrderId, Place, Placement, Preference, Preferred, PutWorkload, Quote, Rebalance, Refusal,
    Resources, Revision, Rules, Settings, Source, SpotPolicy, Spread, State, Suspension, Target,
    Terms, Timestamp, Timing, Unplaceable, Verdict, Workload, WorkloadName, WorkloadSpec,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// A name of any kind.
fn name<T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug>() -> impl Strategy<Value = T>
{
    let names = vec!["a", "dub", "ewr", "sin-2", "cell-1", "web", "0"];
    (select(names), option::of(0..5_u32)).prop_map(|(name, number)| {
        number.map_or(name.to_owned(), |number| format!("{name}-{number}")).parse().unwrap()
    })
}

fn text() -> impl Strategy<Value = String> {
    vec(prop_oneof![any::<char>(), Just('\0'), Just('ß'), Just('\n')], 0..12)
        .prop_map(|chars| chars.into_iter().collect())
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp)
}

fn revision() -> impl Strategy<Value = Revision> {
    any::<u64>().prop_map(Revision)
}

fn money() -> impl Strategy<Value = MicroDollars> {
    any::<i64>().prop_map(MicroDollars)
}

/// Below what sums of a state could overflow with.
fn resources() -> impl Strategy<Value = Resources> {
    (0..1_u64 << 40, 0..1_u64 << 50, 0..1_u64 << 50, 0..1_u64 << 10).prop_map(
        |(cpu_millis, memory_bytes, disk_bytes, gpus)| Resources {
            cpu_millis,
            memory_bytes,
            disk_bytes,
            gpus,
        },
    )
}

fn coordinates() -> impl Strategy<Value = Coordinates> {
    (-90_000_000..=90_000_000_i32, -180_000_000..=180_000_000_i32)
        .prop_map(|(latitude, longitude)| Coordinates::from_micro(latitude, longitude).unwrap())
}

fn cell() -> impl Strategy<Value = CellId> {
    (name::<DatacenterName>(), name::<CellName>())
        .prop_map(|(datacenter, cell)| CellId { datacenter, cell })
}

fn machine_id() -> impl Strategy<Value = MachineId> {
    (cell(), name::<MachineName>()).prop_map(|(cell, machine)| MachineId { cell, machine })
}

fn instance_id() -> impl Strategy<Value = InstanceId> {
    (name::<WorkloadName>(), prop_oneof![1..4_u32, Just(u32::MAX)])
        .prop_map(|(workload, number)| InstanceId::new(workload, number))
}

fn gpu() -> impl Strategy<Value = GpuName> {
    select(vec!["A100", "L4"]).prop_map(|name| name.parse().unwrap())
}

fn terms() -> impl Strategy<Value = Terms> {
    let of = |(interruption_percent, billed_s)| Terms { interruption_percent, billed_s };
    (option::of(any::<u32>()), option::of(any::<u32>())).prop_map(of)
}

fn most() -> impl Strategy<Value = Most> {
    prop_oneof![any::<u32>().prop_map(Most::Copies), any::<u32>().prop_map(Most::Percent)]
}

fn offer() -> impl Strategy<Value = Arc<Offer>> {
    let market = select(vec![Market::OnDemand, Market::Spot]);
    let arch = select(vec![Arch::X86_64, Arch::Arm64]);
    let who = (name(), name(), text(), text(), option::of(gpu()), terms());
    (who, market, arch, resources(), money(), time()).prop_map(
        |(
            (provider, region, kind, source, gpu, terms),
            market,
            arch,
            capacity,
            price,
            priced_at,
        )| {
            let price_micros_per_hour = price;
            Arc::new(Offer {
                provider,
                region,
                kind,
                market,
                arch,
                capacity,
                gpu,
                price_micros_per_hour,
                priced_at,
                source,
                terms,
            })
        },
    )
}

fn quote() -> impl Strategy<Value = Quote> {
    let source = select(vec![Source::Running, Source::Shared, Source::Buy]);
    let terms = (money(), money(), money(), money(), money());
    (offer(), source, terms).prop_map(|(offer, source, terms)| Quote {
        offer,
        source,
        price_micros_per_hour: terms.0,
        adds_micros_per_hour: terms.1,
        latency_micros_per_hour: terms.2,
        preference_micros_per_hour: terms.3,
        moving_micros_per_hour: terms.4,
    })
}

fn spot() -> impl Strategy<Value = SpotPolicy> {
    select(vec![SpotPolicy::Allowed, SpotPolicy::Required, SpotPolicy::Never])
}

fn arch() -> impl Strategy<Value = Arch> {
    select(vec![Arch::X86_64, Arch::Arm64])
}

fn country() -> impl Strategy<Value = Country> {
    select(vec!["IE", "US", "DE"]).prop_map(|code| code.parse().unwrap())
}

fn continent() -> impl Strategy<Value = Continent> {
    select(vec![Continent::Europe, Continent::Asia])
}

fn level() -> impl Strategy<Value = Level> {
    select(vec![Level::Provider, Level::Datacenter, Level::Zone, Level::Cell, Level::Pool])
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(text(), text(), 0..3)
}

fn spread() -> impl Strategy<Value = Spread> {
    let most =
        prop_oneof![any::<u32>().prop_map(Most::Copies), any::<u32>().prop_map(Most::Percent)];
    let targets = btree_map(text(), any::<u32>(), 0..3);
    (level(), option::of(most), targets, option::of(money())).prop_map(
        |(over, most, targets, excess_micros_per_hour)| Spread {
            over,
            most,
            targets,
            excess_micros_per_hour,
        },
    )
}

fn preference() -> impl Strategy<Value = Preference> {
    let what = prop_oneof![
        name().prop_map(Preferred::Datacenter),
        name().prop_map(Preferred::Provider),
        country().prop_map(Preferred::Country),
        continent().prop_map(Preferred::Continent),
        (text(), text()).prop_map(|(key, value)| Preferred::Label(key, value)),
    ];
    (what, money())
        .prop_map(|(what, worth_micros_per_hour)| Preference { what, worth_micros_per_hour })
}

fn neighbour() -> impl Strategy<Value = Neighbour> {
    (name(), level(), any::<bool>()).prop_map(|(workload, over, together)| Neighbour {
        workload,
        over,
        together,
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    let sets = (
        btree_set(arch(), 0..3),
        btree_set(name(), 0..3),
        btree_set(country(), 0..3),
        btree_set(continent(), 0..3),
        labels(),
        btree_set(gpu(), 0..3),
    );
    let limits = (option::of(any::<u32>()), option::of(any::<u64>()), option::of(money()));
    let domains = vec![FailureDomain::Provider, FailureDomain::Region, FailureDomain::Datacenter];
    let moving = (
        select(vec![Rebalance::Auto, Rebalance::Never]),
        option::of(money()),
        option::of(any::<u64>()),
        any::<u32>(),
        option::of(select(domains)),
        option::of(most()),
        terms(),
    );
    let one = Just(vec![Spread::one_in_each(Level::Datacenter)]);
    let spreads = prop_oneof![one, vec(spread(), 0..3)];
    let others = (vec(preference(), 0..3), vec(neighbour(), 0..3), moving);
    (sets, limits, spreads, others).prop_map(
        |(sets, limits, spreads, (preferences, neighbours, moving))| Rules {
            neighbours,
            rebalance: moving.0,
            move_micros: moving.1,
            stay_s: moving.2,
            priority: moving.3,
            survives: moving.4,
            on_demand_min: moving.5,
            terms: moving.6,
            arches: sets.0,
            providers: sets.1,
            countries: sets.2,
            continents: sets.3,
            labels: sets.4,
            gpus: sets.5,
            latency_percentile: limits.0,
            price_age_s_max: limits.1,
            total_micros_per_hour_max: limits.2,
            spreads,
            preferences,
        },
    )
}

fn no_offer() -> impl Strategy<Value = Refusal> {
    let sets = (btree_set(arch(), 0..3), btree_set(name(), 0..3), btree_set(gpu(), 0..3));
    (resources(), spot(), sets, terms()).prop_map(|(request, spot, sets, terms)| {
        let (arches, providers, gpus) = sets;
        Refusal::NoOffer { request, spot, arches, providers, gpus, terms }
    })
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        Just(Refusal::NotAllowed),
        Just(Refusal::Unavailable),
        option::of(country()).prop_map(Refusal::Country),
        (text(), text(), option::of(text())).prop_map(|(key, wants, has)| Refusal::Label {
            key,
            wants,
            has
        }),
        (any::<u32>(), any::<u32>(), option::of(any::<u32>())).prop_map(
            |(latency_us, latency_ms_max, percentile)| Refusal::TooFar {
                latency_us,
                latency_ms_max,
                percentile
            }
        ),
        (level(), 1..u32::MAX).prop_map(|(over, most)| Refusal::Spread { over, most }),
        no_offer(),
        any::<u32>().prop_map(|spot_max| Refusal::OnDemand { spot_max }),
        (money(), money()).prop_map(|(total_micros_per_hour, max_micros_per_hour)| {
            Refusal::OverBudget { total_micros_per_hour, max_micros_per_hour }
        }),
        (money(), money()).prop_map(|(price_micros_per_hour, left_micros_per_hour)| {
            Refusal::MeshBudget { price_micros_per_hour, left_micros_per_hour }
        }),
        neighbour().prop_map(|Neighbour { workload, over, together }| Refusal::Neighbour {
            workload,
            over,
            together
        }),
        (any::<u64>(), any::<u64>())
            .prop_map(|(age_s, age_s_max)| Refusal::Stale { age_s, age_s_max }),
        (money(), money()).prop_map(|(price_micros_per_hour, max_micros_per_hour)| {
            Refusal::TooExpensive { price_micros_per_hour, max_micros_per_hour }
        }),
        option::of(resources()).prop_map(|lacks| Refusal::NoRoom { lacks }),
        Just(Refusal::RefusedByCell),
    ]
}

fn decision() -> impl Strategy<Value = Arc<Decision>> {
    let verdict = prop_oneof![
        any::<u32>().prop_map(Verdict::Chosen),
        Just(Verdict::Costlier),
        refusal().prop_map(Verdict::Refused),
    ];
    let place = (name(), option::of(name()));
    let candidate = (place, option::of(any::<u32>()), option::of(quote()), verdict).prop_map(
        |((datacenter, cell), latency_us, quote, verdict)| Candidate {
            datacenter,
            cell,
            latency_us,
            quote,
            verdict,
        },
    );
    (time(), money(), vec(candidate, 0..3)).prop_map(
        |(at, latency_price_micros_per_ms_hour, candidates)| {
            Arc::new(Decision { at, latency_price_micros_per_ms_hour, candidates })
        },
    )
}

fn datacenter() -> impl Strategy<Value = DatacenterSpec> {
    let limits = (any::<u32>(), option::of(text()), labels())
        .prop_map(|(machines_max, zone, labels)| CellSpec { machines_max, zone, labels });
    let regions = btree_set((name(), name()), 0..3);
    let said = (option::of(country()), labels());
    (name(), coordinates(), text(), regions, btree_map(name(), limits, 0..3), said).prop_map(
        |(name, location, address, regions, cells, (country, labels))| DatacenterSpec {
            country,
            labels,
            name,
            location,
            address,
            regions,
            cells,
        },
    )
}

fn machine() -> impl Strategy<Value = MachineSpec> {
    let order = option::of(any::<u64>().prop_map(OrderId));
    (machine_id(), resources(), offer(), text(), any::<u64>(), order).prop_map(
        |(id, resources, offer, address, incarnation, order)| MachineSpec {
            id,
            resources,
            offer,
            address,
            incarnation,
            order,
        },
    )
}

fn workload() -> impl Strategy<Value = Arc<WorkloadSpec>> {
    let demand = (text(), coordinates(), any::<u32>())
        .prop_map(|(place, at, weight_milli)| Demand { place, at, weight_milli });
    let limits = (option::of(any::<u32>()), option::of(money()), money());
    let sets = (vec(demand, 0..3), btree_set(name(), 0..3), btree_set(name(), 0..3));
    let failover = select(vec![Failover::Auto, Failover::Never]);
    let flags = (any::<bool>(), any::<bool>(), spot(), rules(), failover);
    (name(), text(), any::<u32>(), resources(), limits, sets, flags).prop_map(
        |(name, unit, count, request, limits, (demand, datacenters, ports), flags)| {
            let (latency_ms_max, price_micros_per_hour_max, latency_price) = limits;
            let (template, singleton, spot, rules, failover) = flags;
            Arc::new(WorkloadSpec {
                name,
                template,
                unit: unit.into(),
                count,
                request,
                demand,
                latency_ms_max,
                datacenters,
                price_micros_per_hour_max,
                spot,
                singleton,
                failover,
                ports,
                latency_price_micros_per_ms_hour: latency_price,
                rules,
            })
        },
    )
}

fn target() -> impl Strategy<Value = Target> {
    (any::<u32>(), option::of(revision()), cell(), quote(), option::of(instance_id()))
        .prop_map(|(number, epoch, cell, quote, with)| Target { number, epoch, cell, quote, with })
}

fn settings() -> impl Strategy<Value = Settings> {
    (text(), any::<u64>()).prop_map(|(domain, lease_ms)| Settings { domain, lease_ms })
}

fn timing() -> impl Strategy<Value = Timing> {
    (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(rtt_ms_max, lease_ms, lease_ms_max)| {
        Timing { rtt_ms_max, lease_ms, lease_ms_max }
    })
}

/// Any command.
pub(super) fn command() -> impl Strategy<Value = Command> {
    let machines = || vec(machine_id(), 0..4);
    let put = (workload(), option::of(revision()), vec(target(), 0..3), decision()).prop_map(
        |(spec, expected, targets, decision)| PutWorkload { spec, expected, targets, decision },
    );
    let place = (name(), any::<u64>(), vec(target(), 0..3), decision(), text()).prop_map(
        |(workload, generation, targets, decision, cause)| Place {
            workload,
            generation,
            targets,
            decision,
            cause,
        },
    );
    let order = || any::<u64>().prop_map(OrderId);
    prop_oneof![
        settings().prop_map(Command::Found),
        datacenter().prop_map(Command::RegisterDatacenter),
        machine().prop_map(Command::JoinMachine),
        (machines(), text()).prop_map(|(machines, reason)| Command::Suspend { machines, reason }),
        (machine_id(), any::<u64>())
            .prop_map(|(machine, incarnation)| Command::Resume { machine, incarnation }),
        btree_map(machine_id(), revision(), 0..4)
            .prop_map(|lost| Command::DeclareLost(lost.into_iter().collect())),
        put.prop_map(Command::PutWorkload),
        (name(), option::of(revision()))
            .prop_map(|(name, expected)| Command::DeleteWorkload { name, expected }),
        place.prop_map(Command::Place),
        (instance_id(), option::of(revision()), decision()).prop_map(
            |(instance, epoch, decision)| Command::Unplaceable { instance, epoch, decision }
        ),
        (instance_id(), revision(), machine_id())
            .prop_map(|(instance, epoch, machine)| Command::Bind { instance, epoch, machine }),
        (instance_id(), revision(), any::<u64>()).prop_map(|(instance, epoch, retry_after_ms)| {
            Command::Refuse { instance, epoch, retry_after_ms }
        }),
        (machine_id(), revision())
            .prop_map(|(machine, revision)| Command::Settled { machine, revision }),
        (instance_id(), revision(), cell(), offer()).prop_map(|(instance, epoch, cell, offer)| {
            Command::OrderMachine { instance, epoch, cell, offer }
        }),
        (order(), any::<u32>())
            .prop_map(|(order, attempt)| Command::AttemptOrder { order, attempt }),
        (order(), text(), any::<u64>()).prop_map(|(order, reason, retry_after_ms)| {
            Command::FailOrder { order, reason, retry_after_ms }
        }),
        any::<u32>().prop_map(|to| Command::RaiseVersion { to }),
        revision().prop_map(|since| Command::EndQuarantine { since }),
        (revision(), timing())
            .prop_map(|(expected, timing)| Command::SetTiming { expected, timing }),
        (option::of(money()), option::of(revision()))
            .prop_map(|(max, expected)| Command::SetBudget { max, expected }),
        (name(), revision(), name()).prop_map(|(datacenter, expected, to)| {
            Command::Delegate { datacenter, expected, to }
        }),
    ]
}

fn placement() -> impl Strategy<Value = Placement> {
    let when = (revision(), any::<u64>(), time());
    let what = (quote(), decision(), option::of(any::<u64>().prop_map(OrderId)));
    (cell(), option::of(machine_id()), when, resources(), what).prop_map(
        |(cell, machine, (epoch, generation, placed_at), request, (quote, decision, order))| {
            Placement {
                cell,
                machine,
                epoch,
                generation,
                request,
                quote,
                decision,
                order,
                placed_at,
            }
        },
    )
}

fn instance() -> impl Strategy<Value = Instance> {
    let unplaceable =
        (time(), decision()).prop_map(|(since, decision)| Unplaceable { since, decision });
    let refusals = btree_map(cell(), time(), 0..3);
    (instance_id(), option::of(placement()), option::of(unplaceable), refusals).prop_map(
        |(id, placement, unplaceable, refusals)| Instance { id, placement, unplaceable, refusals },
    )
}

fn stored_workload() -> impl Strategy<Value = Workload> {
    let older = btree_map(any::<u64>(), workload(), 0..3);
    (workload(), any::<u64>(), revision(), time(), older).prop_map(
        |(spec, generation, revision, applied_at, older)| Workload {
            spec,
            generation,
            revision,
            applied_at,
            older: older.into_iter().collect(),
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    (revision(), time(), select(EventKind::ALL.to_vec()), text(), text()).prop_map(
        |(revision, at, kind, subject, message)| Event { revision, at, kind, subject, message },
    )
}

/// Any state whose ledgers fit the rest of it.
pub(super) fn state() -> impl Strategy<Value = State> {
    let health = prop_oneof![
        Just(Health::Up),
        time().prop_map(|since| Health::Suspected { since }),
        time().prop_map(|since| Health::Lost { since }),
    ];
    let delegation = (name(), revision()).prop_map(|(to, term)| Delegation { to, term });
    let datacenter = (datacenter(), health, option::of(delegation))
        .prop_map(|(spec, health, delegation)| Datacenter { spec, health, delegation });
    let datacenters = vec(datacenter, 0..3);
    let suspension =
        (revision(), any::<bool>()).prop_map(|(since, over)| Suspension { since, over });
    let machines = vec((machine(), option::of(suspension)), 0..4);
    let order = (cell(), offer(), instance_id(), any::<u32>(), time()).prop_map(
        |(cell, offer, instance, attempts, placed_at)| Order {
            cell,
            offer,
            instance,
            attempts,
            placed_at,
        },
    );
    let orders = btree_map(any::<u64>().prop_map(OrderId), order, 0..3);
    let agreed = (timing(), revision()).prop_map(|(timing, since)| Agreed { timing, since });
    let heads = (revision(), time(), option::of(settings()), option::of(agreed));
    let stopping = (revision(), any::<bool>())
        .prop_map(|(since, guarded)| kato_core::Stopping { since, guarded });
    let stopping = btree_map((instance_id(), machine_id()), stopping, 0..3);
    let work = (vec(stored_workload(), 0..3), vec(instance(), 0..5), orders, vec(event(), 0..4));
    (heads, datacenters, (machines, stopping), work).prop_map(
        |((revision, time, settings, agreed), datacenters, (machines, stopping), work)| {
            let (workloads, instances, orders, events) = work;
            let datacenter = |found: Datacenter| (found.spec.name.clone(), found);
            let machine = |(spec, suspended): (MachineSpec, Option<Suspension>)| {
                (spec.id.clone(), Machine::new(spec, suspended))
            };
            let state = State {
                version: FIRST + u32::from(revision.0 % 2 == 1),
                revision,
                time,
                settings,
                agreed,
                identity: (time.0 % 2 == 1).then_some(time),
                budget: (revision.0 % 5 == 1).then_some(Budget {
                    max_micros_per_hour: MicroDollars(1_250_000),
                    since: revision,
                }),
                quarantined: (revision.0 % 3 == 1).then_some(revision),
                datacenters: datacenters.into_iter().map(datacenter).collect(),
                machines: machines.into_iter().map(machine).collect(),
                workloads: workloads.into_iter().map(|w| (w.spec.name.clone(), w)).collect(),
                instances: instances.into_iter().map(|i| (i.id.clone(), i)).collect(),
                stopping: stopping.into_iter().collect(),
                orders: orders.into_iter().collect(),
                events: events.into_iter().collect(),
                ..State::default()
            };
            state.with_ledgers()
        },
    )
}
