//! For any problem: every constraint holds, the order of the input does not matter, and no assignment
//! is cheaper.

use std::collections::BTreeMap;
use std::sync::Arc;

use kato_core::{
    Arch, Market, MicroDollars, Offer, Resources, Source, SpotPolicy, Spread, Timestamp, Verdict,
    WorkloadSpec,
};
use kato_placement::{Catalogue, Problem, Room, Site, Solution, place};
use proptest::prelude::*;

use crate::brute;
use crate::support::{DUBLIN, NEW_YORK, SYDNEY, demand, offer, room, site, workload};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn any_offer() -> impl Strategy<Value = Offer> {
    let size = (1u64..=4, 1u64..=4);
    let what = (0..NAMES.len(), "[mt]", any::<bool>(), prop::bool::weighted(0.8));
    (what, size, 1i64..=60).prop_map(|((region, kind, spot, x86), (cpu, gib), price)| {
        let market = if spot { Market::Spot } else { Market::OnDemand };
        Offer {
            arch: if x86 { Arch::X86_64 } else { Arch::Arm64 },
            capacity: Resources::new(cpu * 1_000, gib * 1_024),
            ..offer(NAMES[region], &kind, price * 1_000, market)
        }
    })
}

pub(crate) fn any_offers() -> impl Strategy<Value = Vec<Offer>> {
    prop::collection::vec(any_offer(), 0..=10)
}

fn any_room() -> impl Strategy<Value = Room> {
    (any_offer(), 0u64..=4, 0u64..=4, any::<bool>()).prop_map(|(offer, cpu, gib, in_use)| {
        let used = Resources::new(cpu * 500, gib * 512);
        let mut room = Room { in_use, ..room(offer) };
        room.free = room.free.saturating_sub(used);
        room
    })
}

pub(crate) fn any_sites() -> impl Strategy<Value = Vec<Site>> {
    let one = (
        prop::sample::select(vec![DUBLIN, NEW_YORK, SYDNEY]),
        (prop::bool::weighted(0.9), prop::bool::weighted(0.1)),
        prop::collection::vec(any_room(), 0..=2),
        (0u32..=2, 0u32..=1),
        prop::sample::subsequence(NAMES.to_vec(), 0..=2),
    );
    prop::collection::vec(one, 0..=3).prop_map(|all| {
        let make = |(name, (at, (available, refused), machines, (buy, copies), regions))| Site {
            available,
            refused,
            machines,
            machines_to_buy_max: buy,
            copies,
            regions: Vec::from_iter(regions).into_iter().map(ec2).collect(),
            ..site(name, at)
        };
        NAMES.into_iter().zip(all).map(make).collect()
    })
}

fn ec2(region: &str) -> (kato_core::ProviderName, kato_core::RegionName) {
    ("ec2".parse().unwrap(), region.parse().unwrap())
}

fn any_workload() -> impl Strategy<Value = WorkloadSpec> {
    let request = (0u64..=5, 0u64..=5);
    let demand_at = (prop::sample::select(vec![DUBLIN, NEW_YORK, SYDNEY]), 1u32..=3);
    let spot = [SpotPolicy::Never, SpotPolicy::Allowed, SpotPolicy::Required];
    (
        request,
        prop::collection::vec(demand_at, 0..=2),
        prop::option::weighted(0.3, 1u32..=300),
        prop::option::weighted(0.3, 1i64..=40),
        (prop::sample::select(spot.to_vec()), any::<bool>()),
        prop::sample::subsequence(NAMES.to_vec(), 0..=NAMES.len()),
    )
        .prop_map(|((cpu, gib), at, latency_ms_max, price, (spot, spread), datacenters)| {
            WorkloadSpec {
                request: Resources::new(cpu * 500, gib * 512),
                demand: at.into_iter().map(|(at, weight)| demand(at, weight * 1_000)).collect(),
                latency_ms_max,
                price_micros_per_hour_max: price.map(|price| MicroDollars(price * 1_000)),
                spot,
                spread: if spread { Spread::Datacenter } else { Spread::None },
                datacenters: datacenters.into_iter().map(|name| name.parse().unwrap()).collect(),
                ..workload()
            }
        })
}

type Input = (WorkloadSpec, u32, Vec<Site>, Vec<Offer>);

fn any_input() -> impl Strategy<Value = Input> {
    (any_workload(), 0u32..=4, any_sites(), any_offers())
}

fn solve((workload, copies, sites, offers): &Input) -> Solution {
    let problem = Problem { workload, copies: *copies, sites, now: Timestamp(1) };
    place(&problem, &Catalogue::new(offers.iter().cloned()))
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
    turn(&mut other.2, seed);
    turn(&mut other.3, seed / 3);
    for site in &mut other.2 {
        turn(&mut site.machines, seed / 5);
        turn(&mut site.regions, seed / 7);
    }
    other
}

/// Whether every copy's place satisfies every constraint, and the machines can hold them.
fn check_constraints(input: &Input, solution: &Solution) {
    let (workload, copies, sites, offers) = input;
    let problem = Problem { workload, copies: *copies, sites, now: Timestamp(1) };
    let mut here: BTreeMap<&str, Vec<&kato_core::Quote>> = BTreeMap::new();
    for chosen in &solution.placements {
        here.entry(chosen.datacenter.as_str()).or_default().push(&chosen.quote);
    }
    for (name, quotes) in &here {
        let site = sites.iter().find(|site| site.name.as_str() == *name).unwrap();
        assert!(brute::allowed(&problem, site, site.copies));
        assert!(workload.spread == Spread::None || quotes.len() == 1);
        let bought = quotes.iter().filter(|quote| quote.source == Source::Buy).count();
        assert!(bought <= site.machines_to_buy_max as usize);
        for quote in quotes {
            assert!(brute::runs_on(&problem, &quote.offer));
            assert!(brute::affordable(&problem, quote.price_micros_per_hour));
            if quote.source == Source::Buy {
                assert!(
                    offers.contains(&*quote.offer) && workload.request.fits(quote.offer.capacity)
                );
                let region = (quote.offer.provider.clone(), quote.offer.region.clone());
                assert!(site.regions.contains(&region));
            } else {
                let same =
                    quotes.iter().filter(|q| q.source == Source::Running && q.offer == quote.offer);
                let machines = site.machines.iter().filter(|m| m.offer == quote.offer);
                let free: Resources = machines.map(|machine| machine.free).sum();
                let need: Resources = same.map(|_| workload.request).sum();
                assert!(need.fits(free));
            }
        }
    }
    for candidate in &solution.decision.candidates {
        let chosen = here.get(candidate.datacenter.as_str()).map_or(0, Vec::len);
        match &candidate.verdict {
            Verdict::Chosen(copies) => assert_eq!(*copies as usize, chosen),
            Verdict::Costlier | Verdict::Refused(_) => assert_eq!(chosen, 0),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_constraint_is_respected(input in any_input()) {
        let solution = solve(&input);
        check_constraints(&input, &solution);
        prop_assert_eq!(solution.placements.len() + solution.unplaced as usize, input.1 as usize);
        prop_assert_eq!(solution.decision.candidates.len(), input.2.len());
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(input in any_input(), seed in 0usize..1_000) {
        prop_assert_eq!(solve(&input), solve(&shuffled(&input, seed)));
    }

    #[test]
    fn no_assignment_is_cheaper(input in any_input()) {
        let solution = solve(&input);
        let (workload, copies, sites, offers) = &input;
        let problem = Problem { workload, copies: *copies, sites, now: Timestamp(1) };
        let total = solution.placements.iter().map(|c| c.quote.total_micros_per_hour()).sum();
        let placed = copies - solution.unplaced;
        prop_assert_eq!((placed, total), brute::best(&problem, &cheapest_zone(offers)));
    }
}

/// One offer of each region, kind and market, as a catalogue keeps it.
fn cheapest_zone(offers: &[Offer]) -> Vec<Arc<Offer>> {
    Catalogue::new(offers.iter().cloned()).all_offers().cloned().collect()
}
