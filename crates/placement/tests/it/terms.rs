//! On which terms machines are bought: what is taken back, what is paid whole, and how copies are divided among markets and pools.

use std::sync::Arc;

use kato_core::{
    Instead, Level, Market, MicroDollars, Most, Offer, Refusal, Resources, SpotPolicy, Spread,
    Terms, Timestamp, Verdict, WorkloadSpec,
};
use kato_placement::{Answer, Ask, Catalogue, Chosen, Problem, Room, Site, Standing, place};

use crate::support::{DUBLIN, NEW_YORK, offer, room, site, workload};

fn solve(ask: Ask, sites: &[Site], offers: &[Offer]) -> Answer {
    let problem = Problem { asks: &[ask], sites, budget: None, now: Timestamp(1) };
    place(&problem, &Catalogue::new(offers.iter().cloned())).answers.remove(0)
}

/// A spot machine for one copy, of which so many percent are taken back.
fn spot(kind: &str, micros: i64, taken_back: Option<u32>) -> Offer {
    let terms = Terms { interruption_percent: taken_back, billed_s: Some(60) };
    let capacity = Resources::new(500, 512);
    Offer { terms, capacity, ..offer("dub", kind, micros, Market::Spot) }
}

/// A machine for one copy that stays until it is given back.
fn on_demand(micros: i64) -> Offer {
    let terms = Terms { interruption_percent: None, billed_s: Some(60) };
    let capacity = Resources::new(500, 512);
    Offer { terms, capacity, ..offer("dub", "steady", micros, Market::OnDemand) }
}

/// A machine on demand of which so many seconds are billed whole.
fn billed(kind: &str, micros: i64, billed_s: u32) -> Offer {
    let terms = Terms { interruption_percent: None, billed_s: Some(billed_s) };
    Offer { terms, ..offer("dub", kind, micros, Market::OnDemand) }
}

/// Copies that may be on spot, in a cell that buys as many machines.
fn copies(count: u32) -> (WorkloadSpec, Site) {
    let workload = WorkloadSpec { count, spot: SpotPolicy::Allowed, ..workload() };
    (workload, Site { machines_to_buy_max: count, ..site("dub", DUBLIN) })
}

fn kinds(answer: &Answer) -> Vec<&str> {
    let mut kinds: Vec<&str> =
        answer.placements.iter().map(|chosen| chosen.quote.offer.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds
}

#[test]
fn a_share_is_on_demand_and_the_rest_where_it_is_cheapest() {
    let (mut workload, dub) = copies(5);
    let offers = [spot("m", 10_000, Some(5)), on_demand(40_000)];
    for (least, steady) in [(Most::Copies(2), 2), (Most::Percent(30), 2), (Most::Percent(100), 5)] {
        workload.rules.on_demand_min = Some(least);
        let answer = solve(Ask::new(&workload, 5), std::slice::from_ref(&dub), &offers);
        let found = kinds(&answer).iter().filter(|kind| **kind == "steady").count();
        assert_eq!((found, answer.unplaced), (steady, 0), "{least}");
    }
}

/// Copies that stay count, those on spot against what may be there.
#[test]
fn a_share_counts_what_stays() {
    let (mut workload, dub) = copies(4);
    workload.rules.on_demand_min = Some(Most::Percent(50));
    let offers = [spot("m", 10_000, Some(5)), on_demand(40_000)];
    for (staying, expected) in
        [(spot("m", 10_000, None), ["steady", "steady"]), (on_demand(40_000), ["m", "m"])]
    {
        let copies = vec![(Arc::new(staying), 2)];
        let standings = vec![Standing { copies, ..Standing::default() }];
        let ask = Ask { standings, ..Ask::new(&workload, 2) };
        assert_eq!(kinds(&solve(ask, std::slice::from_ref(&dub), &offers)), expected);
    }
}

#[test]
fn who_has_spot_alone_says_so_once_that_is_used_up() {
    let (mut workload, dub) = copies(2);
    workload.rules.on_demand_min = Some(Most::Copies(1));
    let offers = [spot("m", 10_000, Some(5))];
    let answer = solve(Ask::new(&workload, 2), std::slice::from_ref(&dub), &offers);
    assert_eq!((answer.placements.len(), answer.unplaced), (1, 1));
    let copies = vec![(Arc::new(offers[0].clone()), 1)];
    let standings = vec![Standing { copies, ..Standing::default() }];
    let answer = solve(Ask { standings, ..Ask::new(&workload, 1) }, &[dub], &offers);
    let candidate = &answer.decision.candidates[0];
    assert_eq!(candidate.verdict, Verdict::Refused(Refusal::OnDemand { spot_max: 1 }));
    assert!(candidate.quote.is_some(), "what it would cost is still told");
}

/// The cheapest kind is not taken for all: no more than half of the copies are taken back together.
#[test]
fn copies_are_divided_among_pools() {
    let (mut workload, dub) = copies(4);
    workload.spot = SpotPolicy::Required;
    let most = Some(Most::Percent(50));
    workload.rules.spreads = vec![Spread { most, ..Spread::one_in_each(Level::Pool) }];
    let offers =
        [spot("a", 10_000, Some(5)), spot("b", 11_000, Some(5)), spot("c", 12_000, Some(5))];
    let sites = std::slice::from_ref(&dub);
    let answer = solve(Ask::new(&workload, 4), sites, &offers);
    assert_eq!(kinds(&answer), ["a", "a", "b", "b"]);
    // Two cells that buy in one region share its pools.
    let near = Site { cell: "cell-2".parse().unwrap(), ..dub.clone() };
    let both = [dub.clone(), near];
    assert_eq!(kinds(&solve(Ask::new(&workload, 4), &both, &offers)), ["a", "a", "b", "b"]);
    let answer = solve(Ask::new(&workload, 4), sites, &offers[..1]);
    let refusal = Refusal::Spread { over: Level::Pool, most: 2 };
    assert_eq!((answer.placements.len(), answer.unplaced), (2, 2));
    let stays = vec![(Arc::new(offers[0].clone()), 2)];
    let standings = vec![Standing { copies: stays, ..Standing::default() }];
    let answer = solve(Ask { standings, ..Ask::new(&workload, 1) }, sites, &offers[..1]);
    assert_eq!(answer.decision.candidates[0].verdict, Verdict::Refused(refusal));
}

/// With a price on it, it is no limit: two more copies in one pool for what they save.
#[test]
fn a_pool_may_be_exceeded_for_what_that_costs() {
    let (mut workload, dub) = copies(3);
    for (excess, expected) in [(500, ["a", "a", "a"]), (5_000, ["a", "b", "c"])] {
        let excess_micros_per_hour = Some(MicroDollars(excess));
        workload.rules.spreads =
            vec![Spread { excess_micros_per_hour, ..Spread::one_in_each(Level::Pool) }];
        let offers = [spot("a", 10_000, None), spot("b", 11_000, None), spot("c", 12_000, None)];
        let answer = solve(Ask::new(&workload, 3), std::slice::from_ref(&dub), &offers);
        assert_eq!(kinds(&answer), expected, "{excess}");
    }
}

#[test]
fn what_is_taken_back_too_often_is_not_bought() {
    let (mut workload, dub) = copies(1);
    workload.spot = SpotPolicy::Required;
    let offers = [
        spot("unknown", 8_000, None),
        spot("often", 10_000, Some(20)),
        spot("seldom", 14_000, Some(5)),
    ];
    for (worst, expected) in
        [(None, "unknown"), (Some(20), "often"), (Some(10), "seldom"), (Some(5), "seldom")]
    {
        workload.rules.terms.interruption_percent = worst;
        let answer = solve(Ask::new(&workload, 1), std::slice::from_ref(&dub), &offers);
        assert_eq!(kinds(&answer), [expected], "{worst:?}");
    }
    workload.rules.terms.interruption_percent = Some(4);
    let answer = solve(Ask::new(&workload, 1), &[dub], &offers);
    let Verdict::Refused(refusal) = &answer.decision.candidates[0].verdict else { panic!() };
    let text = "no spot offer has 500m CPU, 512 MiB, at most 4% taken back in a month";
    assert_eq!(refusal.to_string(), text);
}

/// A machine that runs is held to the same terms.
#[test]
fn a_running_machine_is_not_used_on_worse_terms() {
    let (mut workload, dub) = copies(1);
    workload.rules.terms.interruption_percent = Some(10);
    let machines = vec![room(spot("often", 10_000, Some(20)))];
    let dub = Site { machines, ..dub };
    let answer = solve(Ask::new(&workload, 1), &[dub], &[spot("seldom", 14_000, Some(5))]);
    assert_eq!(kinds(&answer), ["seldom"]);
}

/// A metal hour is paid whole: for ten minutes of it the dearer machine that is billed by the minute costs less.
#[test]
fn who_stays_for_minutes_does_not_pay_for_hours() {
    let offers = [billed("metal", 50_000, 3_600), billed("virtual", 90_000, 60)];
    let mut workload = workload();
    let sites = [site("dub", DUBLIN)];
    for (stay_s, expected, adds) in [
        (None, "metal", 50_000),
        (Some(7_200), "metal", 50_000),
        (Some(600), "virtual", 90_000),
        // Two hours for one and a half.
        (Some(5_400), "metal", 66_666),
    ] {
        workload.rules.stay_s = stay_s;
        let answer = solve(Ask::new(&workload, 1), &sites, &offers);
        let Chosen { quote, .. } = &answer.placements[0];
        assert_eq!(quote.offer.kind, expected, "{stay_s:?}");
        let price = quote.offer.price_micros_per_hour;
        assert_eq!(quote.price_micros_per_hour, price, "what is paid by the hour is what it is");
        assert!((adds..=adds + 1).contains(&quote.adds_micros_per_hour.0), "{quote:?}");
    }
    workload.rules.stay_s = None;
    workload.rules.terms.billed_s = Some(60);
    let answer = solve(Ask::new(&workload, 1), &sites, &offers);
    assert_eq!(kinds(&answer), ["virtual"]);
    workload.rules.terms.billed_s = Some(1);
    let answer = solve(Ask::new(&workload, 1), &sites, &offers);
    let Verdict::Refused(refusal) = &answer.decision.candidates[0].verdict else { panic!() };
    assert!(refusal.to_string().ends_with(", billed by 1s at most"), "{refusal}");
}

/// What would have had to be otherwise is told by the hour, as prices are.
#[test]
fn a_counterfactual_is_a_price_by_the_hour() {
    let mut workload = workload();
    workload.rules.stay_s = Some(600);
    let sites = [site("dub", DUBLIN), site("nyc", NEW_YORK)];
    let answer_at = |micros: i64| {
        let metal = billed("metal", micros, 3_600);
        let offers = [metal, offer("nyc", "virtual", 90_000, Market::OnDemand)];
        solve(Ask::new(&workload, 1), &sites, &offers)
    };
    let decision = answer_at(50_000).decision;
    let metal = decision.candidates.iter().find(|c| c.datacenter.as_str() == "dub").unwrap();
    // Ten minutes of it cost as much as an hour.
    assert_eq!(decision.instead(metal), Some(Instead::AtPrice(MicroDollars(15_000))));
    assert_eq!(kinds(&answer_at(15_000)), ["metal"]);
    assert_eq!(kinds(&answer_at(15_001)), ["virtual"]);
}

/// The same between datacenters, and a machine that runs already costs nothing more for as long as it is paid for.
#[test]
fn what_is_paid_whole_counts_between_datacenters() {
    let metal = billed("metal", 50_000, 3_600);
    let offers = [metal.clone(), offer("nyc", "virtual", 90_000, Market::OnDemand)];
    let mut workload = workload();
    workload.rules.stay_s = Some(600);
    let mut sites = [site("dub", DUBLIN), site("nyc", NEW_YORK)];
    let answer = solve(Ask::new(&workload, 1), &sites, &offers);
    assert_eq!(kinds(&answer), ["virtual"]);
    sites[0].machines = vec![Room { adds: MicroDollars::ZERO, ..Room::whole(Arc::new(metal)) }];
    assert_eq!(kinds(&solve(Ask::new(&workload, 1), &sites, &offers)), ["metal"]);
}

/// A bound on what an hour costs is kept to by the hour, whatever is paid whole: the one that is dearer over the stay will do.
#[test]
fn a_bound_by_the_hour_takes_what_is_dearer_over_the_stay() {
    let offers = [billed("metal", 50_000, 3_600), billed("virtual", 90_000, 60)];
    let mut workload = workload();
    workload.rules.stay_s = Some(600);
    let sites = [site("dub", DUBLIN)];
    workload.price_micros_per_hour_max = Some(MicroDollars(60_000));
    assert_eq!(kinds(&solve(Ask::new(&workload, 1), &sites, &offers)), ["metal"]);
    workload.price_micros_per_hour_max = None;
    let (asks, budget) = ([Ask::new(&workload, 1)], Some(MicroDollars(60_000)));
    let problem = Problem { asks: &asks, sites: &sites, budget, now: Timestamp(1) };
    let answer = place(&problem, &Catalogue::new(offers)).answers.remove(0);
    assert_eq!(kinds(&answer), ["metal"]);
}

/// Cells that buy in one region tell the same pools apart, those among them that copies are in elsewhere.
#[test]
fn a_pool_is_one_in_every_cell_of_its_region() {
    let (mut workload, dub) = copies(6);
    workload.spot = SpotPolicy::Required;
    workload.rules.spreads = vec![Spread::one_in_each(Level::Pool)];
    let offers: Vec<Offer> = (1..=7).map(|n| spot(&format!("k{n}"), 10_000 + n, Some(5))).collect();
    let near = Site { cell: "cell-2".parse().unwrap(), ..dub.clone() };
    let there = offers[..5].iter().map(|offer| (Arc::new(offer.clone()), 1)).collect();
    let standings = vec![Standing::default(), Standing { copies: there, ..Standing::default() }];
    let ask = Ask { standings, ..Ask::new(&workload, 1) };
    assert_eq!(kinds(&solve(ask, &[dub, near], &offers)), ["k6"]);
}

/// As many pools are told apart as are needed beside those that are full.
#[test]
fn full_pools_do_not_hide_those_that_are_not() {
    let (mut workload, dub) = copies(12);
    workload.spot = SpotPolicy::Required;
    workload.rules.spreads = vec![Spread::one_in_each(Level::Pool)];
    let offers: Vec<Offer> =
        (10..=22).map(|n| spot(&format!("k{n}"), 10_000 + n, Some(5))).collect();
    let there = offers[..4].iter().map(|offer| (Arc::new(offer.clone()), 1)).collect();
    let standings = vec![Standing { copies: there, ..Standing::default() }];
    let answer = solve(Ask { standings, ..Ask::new(&workload, 8) }, &[dub], &offers);
    assert_eq!(answer.unplaced, 0);
    let expected: Vec<String> = (14..=21).map(|n| format!("k{n}")).collect();
    assert_eq!(kinds(&answer), expected);
}

/// Machines of one's own are there whatever is billed: a bound on that is for what is bought.
#[test]
fn what_runs_is_not_asked_for_what_is_billed() {
    let (mut workload, dub) = copies(1);
    workload.rules.terms.billed_s = Some(60);
    let machines = vec![room(offer("dub", "own", 50_000, Market::OnDemand))];
    let answer = solve(Ask::new(&workload, 1), &[Site { machines, ..dub }], &[on_demand(40_000)]);
    assert_eq!(kinds(&answer), ["own"]);
}

/// A machine is paid for as long as the last of what is on it stays, whoever it was bought for.
#[test]
fn who_shares_a_machine_pays_for_the_longest_stay() {
    let (mut short, mut long) = (workload(), workload());
    (short.name, long.name) = ("short".parse().unwrap(), "long".parse().unwrap());
    (short.rules.stay_s, long.rules.stay_s) = (Some(1_800), Some(7_200));
    let offers = [billed("metal", 40_000, 3_600)];
    let sites = [Site { machines_to_buy_max: 1, ..site("dub", DUBLIN) }];
    // Half an hour of it alone costs an hour; beside the other one nothing is wasted.
    for (asks, sum) in [
        (vec![Ask::new(&short, 1)], 80_000),
        (vec![Ask::new(&short, 1), Ask::new(&long, 1)], 40_000),
        (vec![Ask::new(&long, 1), Ask::new(&short, 1)], 40_000),
    ] {
        let problem = Problem { asks: &asks, sites: &sites, budget: None, now: Timestamp(1) };
        let answers = place(&problem, &Catalogue::new(offers.iter().cloned())).answers;
        let placed = answers.iter().flat_map(|answer| &answer.placements);
        let adds: MicroDollars = placed.map(|chosen| chosen.quote.adds_micros_per_hour).sum();
        assert_eq!(adds, MicroDollars(sum));
    }
}
