//! Who comes first, what stays where it is, and machines with more than processors and memory.

use kato_core::{Market, MicroDollars, Resources, Rules, Timestamp};
use kato_placement::{Ask, Catalogue, Host, Problem, Standing, place};

use crate::support::{DUBLIN, NEW_YORK, offer, site, workload};

#[test]
fn moving_costs_what_the_workload_says() {
    for (cost, stay_s, expected) in [
        (None, None, 417),
        (Some(1_000_000), None, 41_667),
        (None, Some(3_600), 10_000),
        (Some(0), None, 0),
        (Some(i64::MAX), Some(60), i64::MAX),
    ] {
        let rules = Rules { move_micros: cost.map(MicroDollars), stay_s, ..Rules::default() };
        assert_eq!(rules.move_micros_per_hour(), MicroDollars(expected));
    }
}

#[test]
fn disks_and_gpus_are_looked_for_where_they_are() {
    let mut catalogue = Vec::new();
    for (kind, price, disk_gib, gpus, gpu) in [
        ("plain", 10_000, 0, 0, None),
        ("disk", 20_000, 100, 0, None),
        ("one-l4", 30_000, 0, 1, Some("L4")),
        ("two-a100", 90_000, 200, 2, Some("A100")),
    ] {
        let mut offer = offer("dub", kind, price, Market::OnDemand);
        offer.capacity = Resources { disk_bytes: disk_gib << 30, gpus, ..offer.capacity };
        offer.gpu = gpu.map(|name| name.parse().unwrap());
        catalogue.push(offer);
    }
    let catalogue = Catalogue::new(catalogue);
    let dub = site("dub", DUBLIN);
    let bought = |disk_gib: u64, gpus: u64, kinds: &[&str]| {
        let mut workload = workload();
        workload.request = Resources { disk_bytes: disk_gib << 30, gpus, ..workload.request };
        workload.rules.gpus = kinds.iter().map(|kind| kind.parse().unwrap()).collect();
        let asks = [Ask::new(&workload, 1)];
        let problem = Problem {
            asks: &asks,
            sites: std::slice::from_ref(&dub),
            budget: None,
            now: Timestamp(1),
        };
        let answer = place(&problem, &catalogue).answers.remove(0);
        let bought = answer.placements.first().map(|chosen| chosen.quote.offer.kind.clone());
        bought.unwrap_or_else(|| answer.decision.to_string())
    };
    assert_eq!(bought(0, 0, &[]), "plain");
    assert_eq!(bought(10, 0, &[]), "disk");
    assert_eq!(bought(0, 1, &[]), "one-l4");
    assert_eq!(bought(0, 1, &["A100"]), "two-a100");
    assert_eq!(bought(150, 1, &["L4", "A100"]), "two-a100");
    let refused = bought(0, 2, &["L4"]);
    assert!(refused.contains("2 GPUs of L4"), "{refused}");
    // Two copies with a GPU each share the machine that has two.
    let mut workload = workload();
    workload.request.gpus = 1;
    workload.rules.gpus = ["A100".parse().unwrap()].into();
    let asks = [Ask::new(&workload, 2)];
    let problem =
        Problem { asks: &asks, sites: std::slice::from_ref(&dub), budget: None, now: Timestamp(1) };
    let answer = place(&problem, &catalogue).answers.remove(0);
    let hosts: Vec<Host> = answer.placements.iter().map(|chosen| chosen.on).collect();
    assert_eq!(hosts, [Host::Bought(0), Host::Bought(0)]);
}

#[test]
fn the_highest_priority_comes_first() {
    let mut only = site("dub", DUBLIN);
    only.machines_to_buy_max = 1;
    let offers = [offer("dub", "small", 30_000, Market::OnDemand)];
    // Small and large, cheap and dear: whoever has the higher priority is placed.
    for (sizes, priorities) in [
        ((500, 2_000), (1, 0)),
        ((2_000, 500), (1, 0)),
        ((500, 2_000), (0, 1)),
        ((2_000, 500), (0, 1)),
    ] {
        let of = |name: &str, cpu_millis, priority| {
            let mut workload = workload();
            workload.name = name.parse().unwrap();
            workload.request.cpu_millis = cpu_millis;
            workload.rules.priority = priority;
            workload
        };
        let (a, b) = (of("a", sizes.0, priorities.0), of("b", sizes.1, priorities.1));
        let asks = [Ask::new(&a, 4), Ask::new(&b, 4)];
        let problem = Problem {
            asks: &asks,
            sites: std::slice::from_ref(&only),
            budget: None,
            now: Timestamp(1),
        };
        let answers = place(&problem, &Catalogue::new(offers.clone())).answers;
        let higher = usize::from(priorities.1 > priorities.0);
        let alone = [Ask::new(asks[higher].workload, 4)];
        let problem = Problem { asks: &alone, ..problem };
        let alone = place(&problem, &Catalogue::new(offers.clone())).answers.remove(0);
        assert_eq!(answers[higher].unplaced, alone.unplaced, "{sizes:?} {priorities:?}");
        assert!(answers[1 - higher].unplaced > 0, "there is no room for all");
    }
}

#[test]
fn what_has_a_place_stays_unless_elsewhere_is_better_by_more_than_a_move_costs() {
    let workload = workload();
    let sites = [site("dub", DUBLIN), site("nyc", NEW_YORK)];
    let at_home = |home: bool, saving: i64| {
        let offers = [
            offer("dub", "small", 30_000, Market::OnDemand),
            offer("nyc", "small", 30_000 - saving, Market::OnDemand),
        ];
        let standings = vec![Standing { home, ..Standing::default() }];
        let asks = [Ask { standings, ..Ask::new(&workload, 1) }];
        let problem = Problem { asks: &asks, sites: &sites, budget: None, now: Timestamp(1) };
        let answer = place(&problem, &Catalogue::new(offers)).answers.remove(0);
        sites[answer.placements[0].site].datacenter.to_string()
    };
    assert_eq!(at_home(false, 1), "nyc");
    assert_eq!(at_home(true, 417), "dub");
    assert_eq!(at_home(true, 418), "nyc");
}

/// What the first try leaves without a place is tried again, also where all of the rest is placed in the best way.
#[test]
fn what_fits_is_placed_whatever_the_first_try_was() {
    let mut only = site("dub", DUBLIN);
    let machine = {
        let mut offer = offer("dub", "ten", 30_000, Market::OnDemand);
        offer.capacity = Resources::new(10_000, 65_536);
        std::sync::Arc::new(offer)
    };
    for _ in 0..2 {
        only.machines.push(kato_placement::Room::whole(std::sync::Arc::clone(&machine)));
    }
    let of = |name: &str, cpu_millis| {
        let mut workload = workload();
        workload.name = name.parse().unwrap();
        workload.request = Resources::new(cpu_millis, 64);
        workload
    };
    let (large, small) = (of("large", 4_000), of("small", 3_000));
    let asks = [Ask::new(&large, 2), Ask::new(&small, 4)];
    let problem = Problem {
        asks: &asks,
        sites: std::slice::from_ref(&only),
        budget: None,
        now: Timestamp(1),
    };
    let answers = place(&problem, &Catalogue::new(Vec::<kato_core::Offer>::new())).answers;
    assert_eq!([answers[0].unplaced, answers[1].unplaced], [0, 0]);
}
