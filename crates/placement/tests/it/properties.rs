//! For any problem: every constraint holds, the order of the input does not matter, and no assignment
//! is cheaper.

use std::collections::BTreeMap;
use std::sync::Arc;

use kato_core::{
    Arch, Candidate, Level, Market, MicroDollars, Most, Offer, Preference, Preferred, ProviderName,
    RegionName, Resources, Rules, Source, SpotPolicy, Spread, Terms, Timestamp, Verdict,
    WorkloadSpec,
};
use kato_placement::{
    Answer, Ask, Catalogue, Chosen, Host, Problem, Room, Site, Solution, Standing, place,
};
use proptest::prelude::*;

use crate::brute;
use crate::support::{DUBLIN, NEW_YORK, SYDNEY, demand, offer, room, site, workload};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// The day of the decision.
const NOW: Timestamp = Timestamp(3 * 86_400_000);

fn any_provider() -> impl Strategy<Value = ProviderName> {
    prop::sample::select(vec!["ec2", "packet"]).prop_map(|name| name.parse().unwrap())
}

fn any_offer() -> impl Strategy<Value = Offer> {
    let size = (1u64..=4, 1u64..=4, prop_oneof![4 => Just(0u64), 1 => 1u64..=2], 0u64..=2);
    let what = (0..NAMES.len(), "[mt]", any::<bool>(), prop::bool::weighted(0.8));
    let terms = (
        prop::option::weighted(0.8, prop::sample::select(vec![5u32, 20])),
        prop::option::weighted(0.8, prop::sample::select(vec![60u32, 3_600])),
    )
        .prop_map(|(interruption_percent, billed_s)| Terms { interruption_percent, billed_s });
    let said = (any_provider(), 0u64..=3, terms);
    (what, size, 1i64..=60, said).prop_map(
        |(what, (cpu, gib, gpus, disk), price, (provider, day, terms))| {
            let (region, kind, spot, x86) = what;
            let market = if spot { Market::Spot } else { Market::OnDemand };
            Offer {
                provider,
                terms,
                priced_at: Timestamp(day * 86_400_000),
                arch: if x86 { Arch::X86_64 } else { Arch::Arm64 },
                capacity: Resources {
                    gpus,
                    disk_bytes: disk << 30,
                    ..Resources::new(cpu * 1_000, gib * 1_024)
                },
                gpu: (gpus > 0).then(|| ["L4", "A100"][usize::from(day > 1)].parse().unwrap()),
                ..offer(NAMES[region], &kind, price * 1_000, market)
            }
        },
    )
}

pub(crate) fn any_offers() -> impl Strategy<Value = Vec<Offer>> {
    prop::collection::vec(any_offer(), 0..=10)
}

fn any_room() -> impl Strategy<Value = Room> {
    (any_offer(), 0u64..=4, 0u64..=4, any::<bool>()).prop_map(|(offer, cpu, gib, paid)| {
        let used = Resources::new(cpu * 500, gib * 512);
        let mut room = if paid { room(offer) } else { Room::whole(Arc::new(offer)) };
        room.free = room.free.saturating_sub(used);
        room
    })
}

pub(crate) fn any_sites() -> impl Strategy<Value = Vec<Site>> {
    let where_it_is = (
        prop::sample::select(vec![DUBLIN, NEW_YORK, SYDNEY]),
        prop::option::weighted(0.8, prop::sample::select(vec!["IE", "DE", "US"])),
        prop::option::weighted(0.5, prop::sample::select(vec!["x", "y"])),
        prop::option::weighted(0.5, prop::sample::select(vec!["ssd", "hdd"])),
    );
    let one = (
        where_it_is,
        // Whether it is another cell of the datacenter before it.
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.9),
        prop::collection::vec(any_room(), 0..=2),
        0u32..=2,
        prop::collection::btree_set((any_provider(), any_region()), 0..=2),
    );
    prop::collection::vec(one, 0..=3).prop_map(|all| {
        let mut name = 0;
        let mut sites: Vec<Site> = Vec::new();
        for (index, one) in all.into_iter().enumerate() {
            let ((at, country, zone, disk), same, available, machines, buys, regions) = one;
            name += usize::from(index > 0 && !same);
            sites.push(Site {
                cell: format!("cell-{index}").parse().unwrap(),
                country: country.map(|country| country.parse().unwrap()),
                zone: zone.map(str::to_owned),
                labels: disk.map(|disk| ("disk".to_owned(), disk.to_owned())).into_iter().collect(),
                available,
                machines,
                machines_to_buy_max: buys,
                regions: regions.into_iter().collect(),
                ..site(NAMES[name], at)
            });
        }
        sites
    })
}

fn any_region() -> impl Strategy<Value = RegionName> {
    prop::sample::select(NAMES.to_vec()).prop_map(|name| name.parse().unwrap())
}

/// Limits on what is together; those of providers are not within those of places, nor the other way round.
fn any_spreads(providers: bool) -> impl Strategy<Value = Vec<Spread>> {
    let mut levels = vec![Level::Datacenter, Level::Zone, Level::Cell];
    levels.extend(providers.then_some([Level::Provider, Level::Pool]).into_iter().flatten());
    let most = prop_oneof![
        (1u32..=3).prop_map(Most::Copies),
        prop::sample::select(vec![Most::Percent(34), Most::Percent(50)]),
    ];
    let excess = prop::option::weighted(0.3, (1i64..=20).prop_map(|m| MicroDollars(m * 1_000)));
    let each = prop::collection::vec((most, excess), levels.len());
    let which = prop::sample::subsequence((0..levels.len()).collect::<Vec<_>>(), 0..=2);
    (each, which).prop_map(move |(each, which)| {
        let spread = |index: usize| Spread {
            most: Some(each[index].0),
            excess_micros_per_hour: each[index].1,
            ..Spread::one_in_each(levels[index])
        };
        which.into_iter().map(spread).collect()
    })
}

fn any_rules(providers: bool) -> impl Strategy<Value = Rules> {
    let arches = prop::sample::subsequence(vec![Arch::X86_64, Arch::Arm64], 0..=2);
    let few = |names: &'static [&'static str]| prop::sample::subsequence(names.to_vec(), 0..=1);
    let worth = (1i64..=30).prop_map(|thousands| MicroDollars(thousands * 1_000));
    let mut what = vec![
        Preferred::Datacenter("a".parse().unwrap()),
        Preferred::Country("IE".parse().unwrap()),
        Preferred::Continent("NA".parse().unwrap()),
        Preferred::Label("disk".to_owned(), "ssd".to_owned()),
    ];
    what.extend(providers.then(|| Preferred::Provider("packet".parse().unwrap())));
    let preference = (prop::sample::select(what), worth)
        .prop_map(|(what, worth_micros_per_hour)| Preference { what, worth_micros_per_hour });
    // The optimum is looked for without it: how many copies it lets be placed has no formula of its own.
    let total =
        prop::option::weighted(0.3, 1i64..=80).prop_map(move |total| total.filter(|_| providers));
    (
        (arches, few(&["ec2", "packet"]), few(&["IE", "US"]), few(&["EU"])),
        (prop::bool::weighted(0.2), prop::option::weighted(0.1, Just("L4"))),
        prop::option::weighted(0.3, prop::sample::select(vec![30u32, 50, 95])),
        (prop::option::weighted(0.3, 0u64..=2), total),
        (any_spreads(providers), any_on_demand(providers)),
        (prop::collection::vec(preference, 0..=2), any_wanted_terms()),
    )
        .prop_map(
            |(sets, (labelled, gpu), latency_percentile, (days, total), spreads, others)| {
                let (spreads, on_demand_min) = spreads;
                let (preferences, (terms, stay_s)) = others;
                Rules {
                    on_demand_min,
                    terms,
                    stay_s,
                    arches: sets.0.into_iter().collect(),
                    providers: sets.1.into_iter().map(|name| name.parse().unwrap()).collect(),
                    countries: sets.2.into_iter().map(|name| name.parse().unwrap()).collect(),
                    continents: sets.3.into_iter().map(|name| name.parse().unwrap()).collect(),
                    labels: labelled
                        .then(|| ("disk".to_owned(), "ssd".to_owned()))
                        .into_iter()
                        .collect(),
                    gpus: gpu.into_iter().map(|gpu| gpu.parse().unwrap()).collect(),
                    latency_percentile,
                    total_micros_per_hour_max: total
                        .map(|thousands| MicroDollars(thousands * 1_000)),
                    price_age_s_max: days.map(|days| days * 86_400),
                    spreads,
                    preferences,
                    ..Rules::default()
                }
            },
        )
}

/// How many copies are on demand at least: not within other limits either.
fn any_on_demand(crossing: bool) -> impl Strategy<Value = Option<Most>> {
    let most = prop::sample::select(vec![Most::Copies(1), Most::Percent(50)]);
    prop::option::weighted(0.3, most).prop_map(move |most| most.filter(|_| crossing))
}

/// The worst terms that would do, and a stay that may be shorter than what is paid whole. An hour over any of these is a whole
/// number of micro-dollars.
fn any_wanted_terms() -> impl Strategy<Value = (Terms, Option<u64>)> {
    let limit = |most: u32| prop::option::weighted(0.1, Just(most));
    let stay = prop::option::weighted(0.4, prop::sample::select(vec![1_800u64, 2_400, 3_600]));
    (limit(5), limit(60), stay).prop_map(|(interruption_percent, billed_s, stay)| {
        (Terms { interruption_percent, billed_s }, stay)
    })
}

fn any_workload(providers: bool) -> impl Strategy<Value = WorkloadSpec> {
    let few = || prop_oneof![9 => Just(0u64), 1 => Just(1u64)];
    let request = (0u64..=5, 0u64..=5, few(), few());
    let demand_at = (prop::sample::select(vec![DUBLIN, NEW_YORK, SYDNEY]), 1u32..=3);
    let spot = [SpotPolicy::Never, SpotPolicy::Allowed, SpotPolicy::Required];
    (
        request,
        prop::collection::vec(demand_at, 0..=2),
        prop::option::weighted(0.3, 1u32..=300),
        prop::option::weighted(0.3, 1i64..=40),
        prop::sample::select(spot.to_vec()),
        prop::sample::subsequence(NAMES.to_vec(), 0..=NAMES.len()),
        // Half of the workloads have none of them, so that what is simple is met often.
        prop_oneof![Just(Rules::default()), any_rules(providers)],
    )
        .prop_map(
            |((cpu, gib, gpus, disk), at, latency_ms_max, price, spot, datacenters, rules)| {
                WorkloadSpec {
                    request: Resources {
                        gpus,
                        disk_bytes: disk << 30,
                        ..Resources::new(cpu * 500, gib * 512)
                    },
                    demand: at.into_iter().map(|(at, weight)| demand(at, weight * 1_000)).collect(),
                    latency_ms_max,
                    price_micros_per_hour_max: price.map(|price| MicroDollars(price * 1_000)),
                    spot,
                    datacenters: datacenters
                        .into_iter()
                        .map(|name| name.parse().unwrap())
                        .collect(),
                    rules,
                    count: 4,
                    ..workload()
                }
            },
        )
}

fn any_standing() -> impl Strategy<Value = Standing> {
    (any_offer(), 0u32..=1, prop::bool::weighted(0.1)).prop_map(|(offer, copies, refused)| {
        let copies = vec![(Arc::new(offer), copies)];
        Standing { copies, home: false, refused }
    })
}

#[derive(Debug, Clone)]
struct Input {
    workloads: Vec<(WorkloadSpec, u32, Vec<Standing>)>,
    sites: Vec<Site>,
    offers: Vec<Offer>,
    budget: Option<MicroDollars>,
}

impl Input {
    fn asks(&self) -> Vec<Ask<'_>> {
        let asks = self.workloads.iter();
        asks.map(|(workload, copies, standings)| Ask {
            workload,
            copies: *copies,
            standings: standings.clone(),
            neighbours: Vec::new(),
            paid: MicroDollars::ZERO,
        })
        .collect()
    }

    fn solve(&self) -> Solution {
        let (asks, sites, budget) = (&self.asks(), &self.sites, self.budget);
        let problem = Problem { asks, sites, budget, now: NOW };
        place(&problem, &Catalogue::new(self.offers.iter().cloned()))
    }
}

/// Of so many workloads at most, which may tell providers apart.
fn any_input(workloads: usize, providers: bool) -> impl Strategy<Value = Input> {
    let standings = || prop::collection::vec(any_standing(), NAMES.len());
    let one = move || (any_workload(providers), 0u32..=4, standings());
    let workloads = prop::collection::vec(one(), 1..=workloads);
    let budget = prop::option::weighted(0.3, (0i64..=60).prop_map(|k| MicroDollars(k * 1_000)));
    (workloads, any_sites(), any_offers(), budget).prop_map(
        |(mut workloads, sites, offers, budget)| {
            for ((workload, ..), name) in workloads.iter_mut().zip(["web", "db", "queue"]) {
                workload.name = name.parse().unwrap();
            }
            Input { workloads, sites, offers, budget }
        },
    )
}

/// The input with every list in another order.
fn shuffled(input: &Input, seed: usize) -> Input {
    fn turn<T>(list: &mut [T], seed: usize) {
        if !list.is_empty() {
            let by = seed % list.len();
            list.rotate_left(by);
            if seed.is_multiple_of(2) {
                list.reverse();
            }
        }
    }
    let mut other = input.clone();
    let mut order: Vec<usize> = (0..other.sites.len()).collect();
    turn(&mut order, seed);
    other.sites = order.iter().map(|site| input.sites[*site].clone()).collect();
    for (.., standings) in &mut other.workloads {
        *standings = order.iter().map(|site| standings[*site].clone()).collect();
    }
    turn(&mut other.workloads, seed / 2);
    turn(&mut other.offers, seed / 3);
    for site in &mut other.sites {
        turn(&mut site.machines, seed / 5);
        turn(&mut site.regions, seed / 7);
    }
    other
}

/// The answers by workload, with names for numbers: what must not depend on the order.
fn told(input: &Input, solution: &Solution) -> Vec<String> {
    let answer = |((workload, ..), answer): (&(WorkloadSpec, u32, Vec<Standing>), &Answer)| {
        let place = |chosen: &Chosen| {
            let Site { datacenter, cell, .. } = &input.sites[chosen.site];
            format!("{cell} {datacenter} {:?}", chosen.quote)
        };
        let places: Vec<String> = answer.placements.iter().map(place).collect();
        format!("{} {:?} {places:?} {}", workload.name, answer.decision, answer.unplaced)
    };
    let mut told: Vec<String> = input.workloads.iter().zip(&solution.answers).map(answer).collect();
    told.sort();
    told
}

/// Where a copy is, and on what.
fn of(chosen: &Chosen) -> (usize, Arc<Offer>) {
    (chosen.site, Arc::clone(&chosen.quote.offer))
}

/// What is on each machine: how much, what it is, and what the copies add.
type Loads = BTreeMap<(usize, Host), (Resources, Arc<Offer>, i64, Rules)>;

/// Whether every copy's place satisfies every constraint, and the machines can hold them.
fn check_constraints(input: &Input, solution: &Solution) {
    let mut loads = Loads::new();
    for ((workload, copies, standings), answer) in input.workloads.iter().zip(&solution.answers) {
        assert_eq!(answer.placements.len() + answer.unplaced as usize, *copies as usize);
        assert_eq!(answer.decision.candidates.len(), input.sites.len());
        for chosen in &answer.placements {
            let (site, quote) = (&input.sites[chosen.site], &chosen.quote);
            assert!(brute::allowed(workload, site, &standings[chosen.site]));
            assert!(brute::runs_on(workload, &quote.offer));
            let max = workload.price_micros_per_hour_max;
            assert!(max.is_none_or(|max| quote.price_micros_per_hour <= max));
            assert_eq!(quote.latency_micros_per_hour, brute::latency_price(workload, site));
            let missed = brute::preference(workload, site, &quote.offer.provider);
            assert_eq!(quote.preference_micros_per_hour, missed);
            if matches!(chosen.on, Host::Bought(_)) {
                assert!(brute::is_sold_to(workload, &quote.offer, NOW));
            }
            let load = loads.entry((chosen.site, chosen.on)).or_insert_with(|| {
                (Resources::NONE, Arc::clone(&quote.offer), 0, Rules::default())
            });
            load.3.stay_s = load.3.stay_s.max(Some(workload.rules.stay_s.unwrap_or(86_400)));
            assert_eq!(load.1, quote.offer);
            load.0 = load.0 + workload.request;
            load.2 += quote.adds_micros_per_hour.0;
            let source =
                if matches!(chosen.on, Host::Bought(_)) { Source::Buy } else { Source::Running };
            assert_eq!(quote.source, source);
        }
        let paid: MicroDollars =
            answer.placements.iter().map(|chosen| chosen.quote.price_micros_per_hour).sum();
        assert!(workload.rules.total_micros_per_hour_max.is_none_or(|most| paid <= most));
        let placed = answer.placements.iter().map(of).collect();
        let (sites, offers) = (&input.sites, &[]);
        let case = brute::Case { workload, sites, standings, offers, budget: None, now: NOW };
        assert!(brute::within_limits(&case, &placed), "{placed:?}");
        for (index, site) in input.sites.iter().enumerate() {
            let here = answer.placements.iter().filter(|chosen| chosen.site == index).count();
            let is_it = |c: &&Candidate| {
                c.datacenter == site.datacenter
                    && c.cell.as_ref().is_none_or(|cell| *cell == site.cell)
            };
            let candidate = answer.decision.candidates.iter().find(is_it).unwrap();
            match &candidate.verdict {
                Verdict::Chosen(copies) => assert_eq!(*copies as usize, here),
                Verdict::Costlier | Verdict::Refused(_) => assert_eq!(here, 0),
            }
        }
    }
    for ((site, host), (load, offer, adds, rules)) in &loads {
        let site = &input.sites[*site];
        let (free, price) = match host {
            Host::Machine(machine) => {
                let machine = &site.machines[*machine];
                assert_eq!(machine.offer, *offer);
                (machine.free, machine.adds)
            }
            Host::Bought(_) => {
                assert!(input.offers.contains(offer));
                let region = (offer.provider.clone(), offer.region.clone());
                assert!(site.regions.contains(&region));
                // Paid for as long as the last of its copies stays.
                let longest = WorkloadSpec { rules: rules.clone(), ..workload() };
                (offer.capacity, brute::price_over(&longest, offer))
            }
        };
        assert!(load.fits(free), "{load} on {free}");
        // What the copies add is what the machine costs, rounded up for each of them.
        assert!((price.0..=price.0 + 12).contains(adds), "{adds} of {price}");
    }
    check_purchases(input, &loads);
}

/// No more is bought than may be, in a cell and in all of them.
fn check_purchases(input: &Input, loads: &Loads) {
    let bought = loads.iter().filter(|((_, host), _)| matches!(host, Host::Bought(_)));
    let bought: MicroDollars = bought.map(|(_, (_, offer, ..))| offer.price_micros_per_hour).sum();
    assert!(input.budget.is_none_or(|most| bought <= most), "{bought} of {:?}", input.budget);
    for (index, site) in input.sites.iter().enumerate() {
        let here =
            loads.keys().filter(|(at, host)| *at == index && matches!(host, Host::Bought(_)));
        assert!(here.count() <= site.machines_to_buy_max as usize);
    }
}

/// What all copies of the first workload add to what is paid, their latency, and what they miss.
fn cost(input: &Input, answer: &Answer) -> MicroDollars {
    let mut hosts: BTreeMap<(usize, Host), MicroDollars> = BTreeMap::new();
    let mut latency = MicroDollars::ZERO;
    for chosen in &answer.placements {
        let adds = match chosen.on {
            Host::Machine(machine) => input.sites[chosen.site].machines[machine].adds,
            Host::Bought(_) => brute::price_over(&input.workloads[0].0, &chosen.quote.offer),
        };
        hosts.insert((chosen.site, chosen.on), adds);
        latency = latency
            + chosen.quote.latency_micros_per_hour
            + chosen.quote.preference_micros_per_hour;
    }
    hosts.into_values().sum::<MicroDollars>() + latency
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_constraint_is_respected(input in any_input(3, true)) {
        check_constraints(&input, &input.solve());
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(input in any_input(3, true), seed in 0usize..1_000) {
        let other = shuffled(&input, seed);
        prop_assert_eq!(told(&input, &input.solve()), told(&other, &other.solve()));
    }

    #[test]
    fn no_assignment_is_cheaper(input in any_input(1, false)) {
        check_optimum(&Input { budget: None, ..input })?;
    }

    #[test]
    fn part_on_demand_and_part_in_each_pool_is_the_cheapest_too(
        input in any_input(1, false),
        (least, most) in (0u32..=4, 1u32..=2),
        pools in any::<bool>(),
    ) {
        let mut input = Input { budget: None, ..input };
        // Parts of a cell share how many machines it may buy: here each may buy all.
        input.sites.iter_mut().for_each(|site| site.machines_to_buy_max = 4);
        let (workload, copies, _) = &mut input.workloads[0];
        workload.rules.spreads.clear();
        if pools {
            let most = Some(Most::Copies(most));
            workload.rules.spreads.push(Spread { most, ..Spread::one_in_each(Level::Pool) });
        } else {
            workload.rules.on_demand_min = Some(Most::Copies(least));
        }
        workload.spot = SpotPolicy::Allowed;
        *copies = (*copies).min(3);
        check_optimum(&input)?;
    }

    #[test]
    fn a_budget_leaves_none_without_a_place_that_may_be_paid_for(input in any_input(1, false)) {
        let (workload, copies, standings) = &input.workloads[0];
        let offers = cheapest_zone(&input.offers);
        let (sites, budget) = (&input.sites, input.budget);
        let case = brute::Case { workload, sites, standings, offers: &offers, budget, now: NOW };
        let placed = copies - input.solve().answers[0].unplaced;
        prop_assert_eq!(placed, brute::best(&case, *copies).0);
    }
}

/// No assignment of the first workload places more, or as many for less.
fn check_optimum(input: &Input) -> Result<(), TestCaseError> {
    let solution = input.solve();
    let (workload, copies, standings) = &input.workloads[0];
    let offers = cheapest_zone(&input.offers);
    let sites = &input.sites;
    let case = brute::Case { workload, sites, standings, offers: &offers, budget: None, now: NOW };
    let answer = &solution.answers[0];
    let placed = copies - answer.unplaced;
    let together = answer.placements.iter().map(of).collect();
    let sum = cost(input, answer) + brute::excess(&case, &together);
    prop_assert_eq!((placed, sum), brute::best(&case, *copies));
    Ok(())
}

/// One offer of each region, kind and market, as a catalogue keeps it.
fn cheapest_zone(offers: &[Offer]) -> Vec<Arc<Offer>> {
    Catalogue::new(offers.iter().cloned()).all_offers().cloned().collect()
}
