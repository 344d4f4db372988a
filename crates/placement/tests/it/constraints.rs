//! Each hard constraint by itself, the objective, and what a decision tells about its candidates.

use std::sync::Arc;

use kato_core::{
    Arch, COUNT_MAX, Instead, Level, Market, MicroDollars, Most, Neighbour, Offer, Preference,
    Preferred, Refusal, Resources, SpotPolicy, Spread, Terms, Timestamp, Verdict, WorkloadSpec,
};
use kato_placement::{Answer, Ask, Catalogue, Host, Problem, Room, Site, Standing, place};

use crate::support::{DUBLIN, NEW_YORK, SYDNEY, demand, offer, room, site, workload};

pub(crate) fn catalogue() -> Catalogue {
    Catalogue::new([
        offer("dub", "small", 40_000, Market::OnDemand),
        offer("dub", "small", 10_000, Market::Spot),
        offer("nyc", "small", 30_000, Market::OnDemand),
        offer("syd", "small", 50_000, Market::OnDemand),
    ])
}

pub(crate) fn solve(workload: &WorkloadSpec, copies: u32, sites: &[Site]) -> Answer {
    ask(&Ask::new(workload, copies), sites)
}

pub(crate) fn ask(ask: &Ask, sites: &[Site]) -> Answer {
    let asks = std::slice::from_ref(ask);
    place(&Problem { asks, sites, budget: None, now: Timestamp(1) }, &catalogue()).answers.remove(0)
}

pub(crate) fn verdict(solution: &Answer, name: &str) -> Verdict {
    let found = solution.decision.candidates.iter().find(|c| c.datacenter.as_str() == name);
    found.unwrap().verdict.clone()
}

/// So many copies that stay.
fn there(copies: u32) -> Standing {
    on(offer("dub", "small", 40_000, Market::OnDemand), copies)
}

/// So many copies that stay on machines of this kind.
fn on(offer: Offer, copies: u32) -> Standing {
    Standing { copies: vec![(Arc::new(offer), copies)], ..Standing::default() }
}

fn no_offer(request: Resources, spot: SpotPolicy) -> Refusal {
    let (arches, providers, gpus, terms) = Default::default();
    Refusal::NoOffer { request, spot, arches, providers, gpus, terms }
}

/// What changes a workload and a site so that one constraint removes the site.
type Change = fn(&mut WorkloadSpec, &mut Site, &mut Standing);

/// Refuses the one site of each case for the reason that the case gives.
fn check(cases: impl IntoIterator<Item = (&'static str, Change, Refusal)>) {
    for (what, change, refusal) in cases {
        let (mut workload, mut dub) = (workload(), site("dub", DUBLIN));
        let mut standing = Standing::default();
        change(&mut workload, &mut dub, &mut standing);
        let standings = vec![standing];
        let solution = ask(&Ask { standings, ..Ask::new(&workload, 1) }, &[dub]);
        assert_eq!(verdict(&solution, "dub"), Verdict::Refused(refusal), "{what}");
        assert_eq!((solution.placements.len(), solution.unplaced), (0, 1), "{what}");
    }
}

#[test]
fn a_datacenter_is_refused_for_what_and_where_it_is() {
    let cases: [(&str, Change, Refusal); 5] = [
        (
            "Datacenters=",
            |w, _, _| {
                w.datacenters.insert("nyc".parse().unwrap());
            },
            Refusal::NotAllowed,
        ),
        ("lost", |_, s, _| s.available = false, Refusal::Unavailable),
        (
            "MaxLatency= counts the farthest place, even without weight",
            |w, _, _| {
                w.demand = vec![demand(DUBLIN, 1_000), demand(SYDNEY, 0)];
                w.latency_ms_max = Some(100);
            },
            Refusal::TooFar { latency_us: 272_047, latency_ms_max: 100, percentile: None },
        ),
        (
            "Spread=datacenter",
            |w, _, t| {
                w.rules.spreads = vec![Spread::one_in_each(Level::Datacenter)];
                *t = there(1);
            },
            Refusal::Spread { over: Level::Datacenter, most: 1 },
        ),
        ("said that it has no room", |_, _, t| t.refused = true, Refusal::RefusedByCell),
    ];
    check(cases);
}

#[test]
fn a_datacenter_is_refused_for_what_it_has_and_sells() {
    let request = Resources::new(500, 512);
    let cases: [(&str, Change, Refusal); 7] = [
        (
            "too large",
            |w, _, _| w.request = Resources::new(2_001, 1),
            no_offer(Resources::new(2_001, 1), SpotPolicy::Never),
        ),
        ("no region", |_, s, _| s.regions.clear(), no_offer(request, SpotPolicy::Never)),
        (
            "a running machine of the wrong market, and nothing to buy",
            |w, s, _| {
                w.spot = SpotPolicy::Required;
                s.regions.clear();
                s.machines = vec![room(offer("dub", "small", 1, Market::OnDemand))];
            },
            no_offer(request, SpotPolicy::Required),
        ),
        (
            "a running machine of another processor",
            |_, s, _| {
                let mut arm = offer("dub", "small", 1, Market::OnDemand);
                arm.arch = Arch::Arm64;
                s.regions.clear();
                s.machines = vec![room(arm)];
            },
            no_offer(request, SpotPolicy::Never),
        ),
        (
            "MaxPrice=",
            |w, _, _| w.price_micros_per_hour_max = Some(MicroDollars(39_999)),
            Refusal::TooExpensive {
                price_micros_per_hour: MicroDollars(40_000),
                max_micros_per_hour: MicroDollars(39_999),
            },
        ),
        ("may not buy", |_, s, _| s.machines_to_buy_max = 0, Refusal::NoRoom { lacks: None }),
        (
            "full, and may not buy",
            |_, s, _| {
                s.machines_to_buy_max = 0;
                s.machines = vec![room(offer("dub", "small", 1, Market::OnDemand))];
                s.machines[0].free = Resources::new(499, 4_096);
            },
            Refusal::NoRoom { lacks: Some(Resources::new(1, 0)) },
        ),
    ];
    check(cases);
}

#[test]
fn a_datacenter_is_refused_for_what_the_rules_say_of_places() {
    let cases: [(&str, Change, Refusal); 4] = [
        (
            "Countries=",
            |w, s, _| {
                w.rules.countries.insert("DE".parse().unwrap());
                s.country = Some("IE".parse().unwrap());
            },
            Refusal::Country(Some("IE".parse().unwrap())),
        ),
        (
            "Continents=, of a country that is not known",
            |w, _, _| {
                w.rules.continents.insert("EU".parse().unwrap());
            },
            Refusal::Country(None),
        ),
        (
            "Labels=",
            |w, s, _| {
                w.rules.labels.insert("disk".to_owned(), "ssd".to_owned());
                s.labels.insert("disk".to_owned(), "hdd".to_owned());
            },
            Refusal::Label {
                key: "disk".to_owned(),
                wants: "ssd".to_owned(),
                has: Some("hdd".to_owned()),
            },
        ),
        (
            "MaxLatency= of a percentile",
            |w, _, _| {
                w.demand = vec![demand(DUBLIN, 1_000), demand(SYDNEY, 1_000)];
                (w.latency_ms_max, w.rules.latency_percentile) = (Some(100), Some(51));
            },
            Refusal::TooFar { latency_us: 272_047, latency_ms_max: 100, percentile: Some(51) },
        ),
    ];
    check(cases);
}

#[test]
fn a_datacenter_is_refused_for_what_the_rules_say_of_machines_and_of_what_is_together() {
    let cases: [(&str, Change, Refusal); 4] = [
        (
            "Providers=",
            |w, _, _| {
                w.rules.providers.insert("packet".parse().unwrap());
            },
            Refusal::NoOffer {
                request: Resources::new(500, 512),
                spot: SpotPolicy::Never,
                arches: [].into(),
                providers: ["packet".parse().unwrap()].into(),
                gpus: [].into(),
                terms: Terms::default(),
            },
        ),
        (
            "Arch=",
            |w, _, _| {
                w.rules.arches.insert(Arch::Arm64);
            },
            Refusal::NoOffer {
                request: Resources::new(500, 512),
                spot: SpotPolicy::Never,
                arches: [Arch::Arm64].into(),
                providers: [].into(),
                gpus: [].into(),
                terms: Terms::default(),
            },
        ),
        (
            "MaxPriceAge=, of a price of 1970 at one millisecond past it",
            |w, _, _| w.rules.price_age_s_max = Some(0),
            Refusal::Stale { age_s: 0, age_s_max: 0 },
        ),
        (
            "Spread=zone max=2",
            |w, _, t| {
                w.rules.spreads = vec![Spread {
                    most: Some(Most::Copies(2)),
                    ..Spread::one_in_each(Level::Zone)
                }];
                *t = there(2);
            },
            Refusal::Spread { over: Level::Zone, most: 2 },
        ),
    ];
    check(cases);
}

#[test]
fn a_machine_has_no_more_instances_than_it_may_however_small_they_are() {
    let mut workload = workload();
    workload.request = Resources::new(1, 1);
    let most = u32::try_from(kato_core::INSTANCES_PER_MACHINE_MAX).unwrap();
    let solution = solve(&workload, most + 100, &[site("dub", DUBLIN)]);
    assert_eq!(solution.unplaced, 0);
    for host in [Host::Bought(0), Host::Bought(1)] {
        let here = solution.placements.iter().filter(|chosen| chosen.on == host).count();
        assert!((1..=most as usize).contains(&here), "{host:?} {here}");
    }
    let mut full = room(offer("dub", "small", 1, Market::OnDemand));
    full.slots = 1;
    let dub = Site { machines: vec![full], machines_to_buy_max: 0, ..site("dub", DUBLIN) };
    assert_eq!(solve(&workload, 3, &[dub]).placements.len(), 1);
}

/// Half of the users are near: that is within the bound when half of them count.
#[test]
fn a_percentile_leaves_out_who_is_farther() {
    let mut workload = workload();
    workload.demand = vec![demand(DUBLIN, 1_000), demand(SYDNEY, 1_000)];
    (workload.latency_ms_max, workload.rules.latency_percentile) = (Some(100), Some(50));
    let solution = solve(&workload, 1, &[site("dub", DUBLIN)]);
    assert_eq!(verdict(&solution, "dub"), Verdict::Chosen(1));
}

#[test]
fn a_preference_outweighs_what_it_is_worth_and_no_more() {
    let mut workload = workload();
    let mut dub = site("dub", DUBLIN);
    dub.country = Some("IE".parse().unwrap());
    let sites = [dub, site("nyc", NEW_YORK)];
    // 10,000 micro-dollars an hour cheaper in New York.
    for (worth, chosen) in [(10_001, "dub"), (9_999, "nyc")] {
        let what = Preferred::Country("IE".parse().unwrap());
        let worth_micros_per_hour = MicroDollars(worth);
        workload.rules.preferences = vec![Preference { what, worth_micros_per_hour }];
        let solution = solve(&workload, 1, &sites);
        assert_eq!(verdict(&solution, chosen), Verdict::Chosen(1), "worth {worth}");
        let other = &solution.decision.candidates[usize::from(chosen == "dub")];
        let missed = other.quote.as_ref().unwrap().preference_micros_per_hour;
        assert_eq!(missed.0, worth, "New York misses it");
    }
}

/// What would have had to be otherwise, said of those that were not chosen; and it is true.
#[test]
fn a_counterfactual_is_the_price_at_which_it_would_be_chosen() {
    let workload = workload();
    let sites = [site("dub", DUBLIN), site("nyc", NEW_YORK)];
    let solution = solve(&workload, 1, &sites);
    let decision = &solution.decision;
    let dub = decision.candidates.iter().find(|c| c.datacenter.as_str() == "dub").unwrap();
    assert_eq!(decision.instead(dub), Some(Instead::AtPrice(MicroDollars(30_000))));
    let chosen_at = |micros: i64| {
        let offers = [
            offer("dub", "small", micros, Market::OnDemand),
            offer("nyc", "small", 30_000, Market::OnDemand),
        ];
        let asks = [Ask::new(&workload, 1)];
        let problem = Problem { asks: &asks, sites: &sites, budget: None, now: Timestamp(1) };
        let answer = place(&problem, &Catalogue::new(offers)).answers.remove(0);
        sites[answer.placements[0].site].datacenter.to_string()
    };
    assert_eq!((chosen_at(30_000).as_str(), chosen_at(30_001).as_str()), ("dub", "nyc"));
}

#[test]
fn a_workload_goes_where_its_neighbours_are_and_not_where_they_must_not_be() {
    let workload = workload();
    let zoned = |cell: &str, zone: &str| Site {
        cell: cell.parse().unwrap(),
        zone: Some(zone.to_owned()),
        ..site("dub", DUBLIN)
    };
    let sites =
        [zoned("cell-1", "a"), zoned("cell-2", "a"), zoned("cell-3", "b"), site("nyc", NEW_YORK)];
    for (over, together, open) in [
        (Level::Datacenter, true, vec![0, 1, 2]),
        (Level::Zone, true, vec![0, 1]),
        (Level::Cell, true, vec![0]),
        (Level::Datacenter, false, vec![3]),
        (Level::Zone, false, vec![2, 3]),
        (Level::Cell, false, vec![1, 2, 3]),
    ] {
        let rule = Neighbour { workload: "db".parse().unwrap(), over, together };
        let neighbours = vec![(rule, [0].into())];
        let solution = ask(&Ask { neighbours, ..Ask::new(&workload, 1) }, &sites);
        let closed = |c: &&kato_core::Candidate| matches!(c.verdict, Verdict::Refused(_));
        let refused = solution.decision.candidates.iter().filter(closed).count();
        assert!(open.contains(&solution.placements[0].site), "{over} {together}");
        assert_eq!(refused, sites.len() - open.len(), "{over} {together}");
    }
    // With somebody who is nowhere there is no place.
    let rule =
        Neighbour { workload: "db".parse().unwrap(), over: Level::Datacenter, together: true };
    let neighbours = vec![(rule, [].into())];
    assert_eq!(ask(&Ask { neighbours, ..Ask::new(&workload, 1) }, &sites).unplaced, 1);
}

#[test]
fn the_cells_of_a_datacenter_count_together() {
    let mut workload = workload();
    let zoned = |cell: &str, zone: &str| Site {
        cell: cell.parse().unwrap(),
        zone: Some(zone.to_owned()),
        ..site("dub", DUBLIN)
    };
    let sites = [zoned("cell-1", "a"), zoned("cell-2", "a"), zoned("cell-3", "b")];
    for (over, most, placed) in [
        (Level::Datacenter, Most::Copies(2), 2),
        (Level::Zone, Most::Copies(2), 4),
        (Level::Cell, Most::Copies(2), 6),
        (Level::Zone, Most::Percent(25), 4),
    ] {
        workload.count = 8;
        workload.rules.spreads = vec![Spread { most: Some(most), ..Spread::one_in_each(over) }];
        let solution = solve(&workload, 8, &sites);
        assert_eq!(solution.placements.len(), placed, "{over} {most:?}");
    }
    // A zone's name may have dots; with or without the datacenter behind it.
    let sites = sites.map(|site| match site.zone.as_deref() {
        Some("b") => Site { zone: Some("rack.b".to_owned()), ..site },
        _ => site,
    });
    let targets = [("a.dub".to_owned(), 25), ("rack.b".to_owned(), 75)].into();
    let rule = Spread { most: None, targets, ..Spread::one_in_each(Level::Zone) };
    workload.rules.spreads = vec![rule];
    let solution = solve(&workload, 8, &sites);
    let in_b = solution.placements.iter().filter(|chosen| chosen.site == 2).count();
    assert_eq!((solution.placements.len(), in_b), (8, 6));
}

#[test]
fn a_refused_datacenter_keeps_the_quote_that_is_known() {
    let mut workload = workload();
    workload.price_micros_per_hour_max = Some(MicroDollars(35_000));
    let mut lost = site("syd", SYDNEY);
    lost.available = false;
    let solution = solve(&workload, 1, &[site("dub", DUBLIN), site("nyc", NEW_YORK), lost]);
    let quotes: Vec<_> = solution
        .decision
        .candidates
        .iter()
        .map(|c| (c.datacenter.as_str(), c.quote.as_ref().map(|q| q.price_micros_per_hour.0)))
        .collect();
    assert_eq!(quotes, [("nyc", Some(30_000)), ("dub", Some(40_000)), ("syd", None)]);
}

#[test]
fn the_least_sum_of_price_and_latency_wins() {
    let mut workload = workload();
    let sites = [site("dub", DUBLIN), site("nyc", NEW_YORK), site("syd", SYDNEY)];
    // Without demand only the price counts.
    let solution = solve(&workload, 1, &sites);
    assert_eq!(verdict(&solution, "nyc"), Verdict::Chosen(1));
    assert_eq!(verdict(&solution, "dub"), Verdict::Costlier);
    assert_eq!(solution.decision.candidates[0].latency_us, None);
    // With users in Dublin the 80 ms to New York cost more than the cent that it saves.
    workload.demand = vec![demand(DUBLIN, 1_000)];
    let solution = solve(&workload, 1, &sites);
    let order: Vec<_> =
        solution.decision.candidates.iter().map(|c| c.datacenter.as_str()).collect();
    assert_eq!(order, ["dub", "nyc", "syd"]);
    let chosen = &solution.placements[0];
    assert_eq!(sites[chosen.site].datacenter.as_str(), "dub");
    // 3.5 ms at 500 micro-dollars for a millisecond.
    assert_eq!(chosen.quote.latency_micros_per_hour, MicroDollars(1_750));
    assert_eq!(chosen.quote.total_micros_per_hour(), MicroDollars(41_750));
    // A workload that does not care goes where it is cheap again.
    workload.latency_price_micros_per_ms_hour = MicroDollars(10);
    assert_eq!(verdict(&solve(&workload, 1, &sites), "nyc"), Verdict::Chosen(1));
}

#[test]
fn the_mean_latency_is_weighted() {
    let mut workload = workload();
    workload.demand = vec![demand(DUBLIN, 3_000), demand(NEW_YORK, 1_000)];
    let solution = solve(&workload, 1, &[site("dub", DUBLIN)]);
    let [near, far] = [DUBLIN, NEW_YORK].map(|at| {
        let km = at.parse::<kato_core::Coordinates>().unwrap().distance_km(DUBLIN.parse().unwrap());
        kato_placement::latency::estimate_us(km)
    });
    let mean = (3 * near + far + 2) / 4;
    assert_eq!(solution.decision.candidates[0].latency_us, Some(mean));
}

#[test]
fn what_is_paid_for_adds_nothing_and_what_is_bought_is_shared() {
    let mut workload = workload();
    let mut dub = site("dub", DUBLIN);
    dub.machines = vec![room(offer("dub", "small", 40_000, Market::OnDemand))];
    // A quarter of the processors, an eighth of the memory: four fit, and four on each of two that are bought.
    let solution = solve(&workload, 13, &[dub.clone()]);
    let quotes: Vec<_> = solution
        .placements
        .iter()
        .map(|chosen| (chosen.quote.price_micros_per_hour.0, chosen.quote.adds_micros_per_hour.0))
        .collect();
    assert_eq!(quotes[..4], [(10_000, 0); 4]);
    assert_eq!(quotes[4..], [(10_000, 10_000); 8]);
    let mut bought: Vec<Host> = solution.placements[4..].iter().map(|chosen| chosen.on).collect();
    bought.dedup();
    assert_eq!(bought, [Host::Bought(0), Host::Bought(1)]);
    assert_eq!(solution.unplaced, 1);
    assert_eq!(verdict(&solution, "dub"), Verdict::Chosen(12));
    // The ceiling is on each copy: two may share a machine that is bought, one alone may not have it.
    workload.price_micros_per_hour_max = Some(MicroDollars(20_000));
    assert_eq!(solve(&workload, 6, &[dub.clone()]).unplaced, 0);
    assert_eq!(solve(&workload, 1, &[site("dub", DUBLIN)]).unplaced, 1);
    // One of four that have room for nothing joins the fifth, for which there would be no place otherwise.
    assert_eq!(solve(&workload, 5, &[dub.clone()]).unplaced, 0);
    workload.price_micros_per_hour_max = Some(MicroDollars(9_999));
    let refused = solve(&workload, 6, &[dub]);
    let (price, max) = (MicroDollars(10_000), MicroDollars(9_999));
    let refusal = Refusal::TooExpensive { price_micros_per_hour: price, max_micros_per_hour: max };
    assert_eq!(verdict(&refused, "dub"), Verdict::Refused(refusal));
}

#[test]
fn a_machine_that_is_given_back_when_it_is_idle_costs_its_price_once() {
    let workload = workload();
    let (mut dub, mut nyc) = (site("dub", DUBLIN), site("nyc", NEW_YORK));
    let idle = offer("dub", "idle", 25_000, Market::OnDemand);
    dub.machines = vec![Room::whole(std::sync::Arc::new(idle))];
    let solution = solve(&workload, 2, &[dub.clone(), nyc.clone()]);
    let adds: Vec<_> = solution.placements.iter().map(|c| c.quote.adds_micros_per_hour.0).collect();
    assert_eq!(adds, [12_500; 2]);
    // What is paid for anyway comes before it, however much it cost.
    nyc.machines = vec![room(offer("nyc", "large", 900_000, Market::OnDemand))];
    let solution = solve(&workload, 2, &[dub, nyc]);
    assert_eq!(verdict(&solution, "nyc"), Verdict::Chosen(2));
    assert_eq!(verdict(&solution, "dub"), Verdict::Costlier);
}

#[test]
fn spot_decides_which_markets_are_seen() {
    for (spot, price) in
        [(SpotPolicy::Never, 40_000), (SpotPolicy::Allowed, 10_000), (SpotPolicy::Required, 10_000)]
    {
        let mut workload = workload();
        workload.spot = spot;
        let solution = solve(&workload, 1, &[site("dub", DUBLIN)]);
        let quote = &solution.placements[0].quote;
        assert_eq!(quote.price_micros_per_hour, MicroDollars(price), "{spot:?}");
    }
}

#[test]
fn spread_takes_one_copy_in_each_datacenter() {
    let mut workload = workload();
    workload.rules.spreads = vec![Spread::one_in_each(Level::Datacenter)];
    let sites = [site("dub", DUBLIN), site("nyc", NEW_YORK), site("syd", SYDNEY)];
    let standings = vec![there(0), there(0), there(1)];
    let solution = ask(&Ask { standings, ..Ask::new(&workload, 3) }, &sites);
    assert_eq!(verdict(&solution, "dub"), Verdict::Chosen(1));
    assert_eq!(verdict(&solution, "nyc"), Verdict::Chosen(1));
    assert_eq!(
        verdict(&solution, "syd"),
        Verdict::Refused(Refusal::Spread { over: Level::Datacenter, most: 1 })
    );
    assert_eq!(solution.unplaced, 1);
}

#[test]
fn equal_totals_go_to_the_cheaper_share_then_to_the_name_that_sorts_first() {
    let workload = workload();
    let sites = |prices: [(&str, i64); 3]| {
        prices.map(|(name, price)| Site {
            machines: vec![room(offer(name, "small", price, Market::OnDemand))],
            ..site(name, DUBLIN)
        })
    };
    let chosen = |sites: &[Site]| {
        let solution = solve(&workload, 1, sites);
        sites[solution.placements[0].site].datacenter.to_string()
    };
    assert_eq!(chosen(&sites([("c", 20_000), ("a", 30_000), ("b", 10_000)])), "b");
    assert_eq!(chosen(&sites([("c", 1), ("b", 1), ("a", 1)])), "a");
}

#[test]
fn each_cell_of_a_datacenter_is_a_candidate() {
    let two = Site { cell: "cell-2".parse().unwrap(), ..site("dub", DUBLIN) };
    let sites = [two, site("nyc", NEW_YORK), site("dub", DUBLIN)];
    let solution = solve(&workload(), 3, &sites);
    let told: Vec<_> = solution
        .decision
        .candidates
        .iter()
        .map(|c| (c.place().to_string(), c.verdict.clone()))
        .collect();
    let cell = |name: &str| (format!("{name}.dub"), Verdict::Costlier);
    assert_eq!(told, [("nyc".to_owned(), Verdict::Chosen(3)), cell("cell-1"), cell("cell-2")]);
}

#[test]
fn nothing_to_place_is_still_a_decision() {
    let solution = solve(&workload(), 0, &[site("dub", DUBLIN)]);
    assert_eq!((solution.placements.len(), solution.unplaced), (0, 0));
    assert_eq!(verdict(&solution, "dub"), Verdict::Costlier);
    assert_eq!(solve(&workload(), 2, &[]).unplaced, 2);
}

#[test]
fn no_more_copies_are_placed_than_a_workload_may_have() {
    let mut free = workload();
    free.request = Resources::NONE;
    let mut dub = site("dub", DUBLIN);
    dub.machines = vec![room(offer("dub", "small", 1, Market::OnDemand))];
    dub.machines[0].slots = u32::MAX;
    let solution = solve(&free, u32::MAX, &[dub]);
    assert_eq!(solution.placements.len(), COUNT_MAX as usize);
    assert_eq!(solution.unplaced, u32::MAX - COUNT_MAX);
}
