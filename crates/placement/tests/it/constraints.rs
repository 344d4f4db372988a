//! Each hard constraint by itself, the objective, and what a decision tells about its candidates.

use kato_core::{
    Arch, COUNT_MAX, Market, MicroDollars, Refusal, Resources, Source, SpotPolicy, Spread,
    Timestamp, Verdict, WorkloadSpec,
};
use kato_placement::{Catalogue, Problem, Site, Solution, place};

use crate::support::{DUBLIN, NEW_YORK, SYDNEY, demand, offer, room, site, workload};

fn catalogue() -> Catalogue {
    Catalogue::new([
        offer("dub", "small", 40_000, Market::OnDemand),
        offer("dub", "small", 10_000, Market::Spot),
        offer("nyc", "small", 30_000, Market::OnDemand),
        offer("syd", "small", 50_000, Market::OnDemand),
    ])
}

fn solve(workload: &WorkloadSpec, copies: u32, sites: &[Site]) -> Solution {
    place(&Problem { workload, copies, sites, now: Timestamp(1) }, &catalogue())
}

fn verdict(solution: &Solution, name: &str) -> Verdict {
    let found = solution.decision.candidates.iter().find(|c| c.datacenter.as_str() == name);
    found.unwrap().verdict.clone()
}

/// What changes a workload and a site so that one constraint removes the site.
type Change = fn(&mut WorkloadSpec, &mut Site);

/// Refuses the one site of each case for the reason that the case gives.
fn check(cases: impl IntoIterator<Item = (&'static str, Change, Refusal)>) {
    for (what, change, refusal) in cases {
        let (mut workload, mut dub) = (workload(), site("dub", DUBLIN));
        change(&mut workload, &mut dub);
        let solution = solve(&workload, 1, &[dub]);
        assert_eq!(verdict(&solution, "dub"), Verdict::Refused(refusal), "{what}");
        assert_eq!((solution.placements.len(), solution.unplaced), (0, 1), "{what}");
    }
}

#[test]
fn a_datacenter_is_refused_for_what_and_where_it_is() {
    let cases: [(&str, Change, Refusal); 5] = [
        (
            "Datacenters=",
            |w, _| {
                w.datacenters.insert("nyc".parse().unwrap());
            },
            Refusal::NotAllowed,
        ),
        ("lost", |_, s| s.available = false, Refusal::Unavailable),
        (
            "MaxLatency= counts the farthest place, even without weight",
            |w, _| {
                w.demand = vec![demand(DUBLIN, 1_000), demand(SYDNEY, 0)];
                w.latency_ms_max = Some(100);
            },
            Refusal::TooFar { latency_us: 272_047, latency_ms_max: 100 },
        ),
        (
            "Spread=datacenter",
            |w, s| {
                w.spread = Spread::Datacenter;
                s.copies = 1;
            },
            Refusal::Spread,
        ),
        ("said that it has no room", |_, s| s.refused = true, Refusal::RefusedByCell),
    ];
    check(cases);
}

#[test]
fn a_datacenter_is_refused_for_what_it_has_and_sells() {
    let request = Resources::new(500, 512);
    let cases: [(&str, Change, Refusal); 7] = [
        (
            "too large",
            |w, _| w.request = Resources::new(2_001, 1),
            Refusal::NoOffer { request: Resources::new(2_001, 1), spot: SpotPolicy::Never },
        ),
        (
            "no region",
            |_, s| s.regions.clear(),
            Refusal::NoOffer { request, spot: SpotPolicy::Never },
        ),
        (
            "a running machine of the wrong market, and nothing to buy",
            |w, s| {
                w.spot = SpotPolicy::Required;
                s.regions.clear();
                s.machines = vec![room(offer("dub", "small", 1, Market::OnDemand))];
            },
            Refusal::NoOffer { request, spot: SpotPolicy::Required },
        ),
        (
            "a running machine of another processor",
            |_, s| {
                let mut arm = offer("dub", "small", 1, Market::OnDemand);
                arm.arch = Arch::Arm64;
                s.regions.clear();
                s.machines = vec![room(arm)];
            },
            Refusal::NoOffer { request, spot: SpotPolicy::Never },
        ),
        (
            "MaxPrice=",
            |w, _| w.price_micros_per_hour_max = Some(MicroDollars(39_999)),
            Refusal::TooExpensive {
                price_micros_per_hour: MicroDollars(40_000),
                max_micros_per_hour: MicroDollars(39_999),
            },
        ),
        ("may not buy", |_, s| s.machines_to_buy_max = 0, Refusal::NoRoom),
        (
            "full, and may not buy",
            |_, s| {
                s.machines_to_buy_max = 0;
                s.machines = vec![room(offer("dub", "small", 1, Market::OnDemand))];
                s.machines[0].free = Resources::new(499, 4_096);
            },
            Refusal::NoRoom,
        ),
    ];
    check(cases);
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
    assert_eq!(chosen.datacenter.as_str(), "dub");
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
fn a_running_machine_costs_its_dominant_share_and_a_new_one_the_whole() {
    let mut workload = workload();
    let mut dub = site("dub", DUBLIN);
    dub.machines = vec![room(offer("dub", "small", 40_000, Market::OnDemand))];
    // A quarter of the processors, an eighth of the memory: four fit, then two are bought.
    let solution = solve(&workload, 7, &[dub.clone()]);
    let prices: Vec<_> = solution
        .placements
        .iter()
        .map(|chosen| (chosen.quote.source, chosen.quote.price_micros_per_hour.0))
        .collect();
    let (running, buy) = ((Source::Running, 10_000), (Source::Buy, 40_000));
    assert_eq!(prices, [running, running, running, running, buy, buy]);
    assert_eq!(solution.unplaced, 1);
    assert_eq!(verdict(&solution, "dub"), Verdict::Chosen(6));
    // The ceiling is on each copy: it keeps the share and drops the whole machines.
    workload.price_micros_per_hour_max = Some(MicroDollars(20_000));
    assert_eq!(solve(&workload, 7, &[dub]).placements.len(), 4);
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
    workload.spread = Spread::Datacenter;
    let mut taken = site("syd", SYDNEY);
    taken.copies = 1;
    let sites = [site("dub", DUBLIN), site("nyc", NEW_YORK), taken];
    let solution = solve(&workload, 3, &sites);
    assert_eq!(verdict(&solution, "dub"), Verdict::Chosen(1));
    assert_eq!(verdict(&solution, "nyc"), Verdict::Chosen(1));
    assert_eq!(verdict(&solution, "syd"), Verdict::Refused(Refusal::Spread));
    assert_eq!(solution.unplaced, 1);
}

#[test]
fn equal_totals_go_to_the_name_that_sorts_first_and_to_what_runs() {
    let mut a = site("a", DUBLIN);
    a.machines = vec![room(offer("a", "small", 40_000, Market::OnDemand))];
    a.machines[0].free = Resources::new(500, 512);
    let offers = ["a", "b"].map(|name| offer(name, "small", 10_000, Market::OnDemand));
    let workload = workload();
    let sites = [site("b", DUBLIN), a];
    let problem = Problem { workload: &workload, copies: 2, sites: &sites, now: Timestamp(1) };
    let solution = place(&problem, &Catalogue::new(offers));
    let chosen: Vec<_> =
        solution.placements.iter().map(|c| (c.datacenter.as_str(), c.quote.source)).collect();
    assert_eq!(chosen, [("a", Source::Running), ("a", Source::Buy)]);
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
    let solution = solve(&free, u32::MAX, &[dub]);
    assert_eq!(solution.placements.len(), COUNT_MAX as usize);
    assert_eq!(solution.unplaced, u32::MAX - COUNT_MAX);
}
