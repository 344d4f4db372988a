//! What a workload may cost together, and what the mesh may spend.

use std::collections::BTreeSet;

use kato_core::{Market, MicroDollars, Refusal, Resources, Timestamp, Verdict};
use kato_placement::{Answer, Ask, Catalogue, Host, Problem, Room, Site, place};

use crate::constraints::{ask, catalogue, solve, verdict};
use crate::support::{DUBLIN, NEW_YORK, SYDNEY, demand, offer, room, site, workload};

#[test]
fn as_many_are_placed_as_may_be_paid_for_together() {
    let mut workload = workload();
    workload.rules.total_micros_per_hour_max = Some(MicroDollars(45_000));
    let sites = [site("nyc", NEW_YORK), site("dub", DUBLIN)];
    // A machine of 30,000 in New York takes four, and two of them more are too much for the fifth.
    let solution = solve(&workload, 5, &sites);
    assert_eq!((solution.placements.len(), solution.unplaced), (4, 1));
    let refusal = Refusal::OverBudget {
        total_micros_per_hour: MicroDollars(70_000),
        max_micros_per_hour: MicroDollars(45_000),
    };
    assert_eq!(verdict(&solution, "dub"), Verdict::Refused(refusal));
    // What stays is paid for first.
    let paid = MicroDollars(20_000);
    assert_eq!(ask(&Ask { paid, ..Ask::new(&workload, 5) }, &sites).placements.len(), 0);
}

/// So much of several workloads, of which machines may cost so much.
fn within(asks: &[Ask], sites: &[Site], budget: i64) -> Vec<Answer> {
    let budget = Some(MicroDollars(budget));
    place(&Problem { asks, sites, budget, now: Timestamp(1) }, &catalogue()).answers
}

#[test]
fn machines_are_bought_for_as_much_as_the_mesh_may_spend() {
    let mut workload = workload();
    workload.demand = vec![demand(SYDNEY, 1_000)];
    let sites = [site("nyc", NEW_YORK), site("dub", DUBLIN), site("syd", SYDNEY)];
    let asks = [Ask::new(&workload, 1)];
    assert_eq!(verdict(&within(&asks, &sites, 50_000)[0], "syd"), Verdict::Chosen(1));
    // Who cannot have the nearest has the nearest that may be had.
    let answer = within(&asks, &sites, 45_000).remove(0);
    let price = |answer: &Answer| answer.placements[0].quote.price_micros_per_hour;
    assert_eq!((answer.unplaced, price(&answer)), (0, MicroDollars(30_000)));
    let refusal = Refusal::MeshBudget {
        price_micros_per_hour: MicroDollars(50_000),
        left_micros_per_hour: MicroDollars(15_000),
    };
    assert_eq!(verdict(&answer, "syd"), Verdict::Refused(refusal));
    let answer = within(&asks, &sites, 29_999).remove(0);
    assert_eq!((answer.unplaced, answer.placements.len()), (1, 0));
    // What is there already is used all the same.
    let free =
        Room { adds: MicroDollars::ZERO, ..room(offer("dub", "small", 1, Market::OnDemand)) };
    let there = Site { machines: vec![free], ..site("dub", DUBLIN) };
    assert_eq!(within(&asks, &[there], 0)[0].unplaced, 0);
}

#[test]
fn the_highest_priority_is_bought_for_first() {
    let (mut first, mut second) = (workload(), workload());
    (first.name, second.name) = ("a".parse().unwrap(), "b".parse().unwrap());
    second.rules.priority = 1;
    let sites = [Site { machines_to_buy_max: 9, ..site("nyc", NEW_YORK) }];
    // A machine of 30,000 takes four.
    let asks = [Ask::new(&first, 8), Ask::new(&second, 8)];
    for (budget, left) in [(0, [8, 8]), (60_000, [8, 0]), (99_999, [4, 0]), (120_000, [0, 0])] {
        let answers = within(&asks, &sites, budget);
        assert_eq!([answers[0].unplaced, answers[1].unplaced], left, "{budget}");
        let bought: BTreeSet<Host> =
            answers.iter().flat_map(|answer| &answer.placements).map(|chosen| chosen.on).collect();
        assert!(i64::try_from(bought.len()).unwrap() * 30_000 <= budget);
    }
}

/// What is too large for what is left keeps nobody else from a machine, nor from the nearest one.
#[test]
fn one_that_cannot_be_paid_for_leaves_the_money_to_others() {
    let catalogue = Catalogue::new([
        offer("nyc", "small", 30_000, Market::OnDemand),
        offer("dub", "small", 40_000, Market::OnDemand),
        offer("dub", "large", 3_000_000, Market::OnDemand),
    ]);
    let (mut large, mut small, mut near) = (workload(), workload(), workload());
    large.name = "a".parse().unwrap();
    (small.name, near.name) = ("b".parse().unwrap(), "c".parse().unwrap());
    large.rules.priority = 1;
    large.request = Resources::new(30_000, 60_000);
    near.demand = vec![demand(SYDNEY, 1_000)];
    near.request = Resources::new(500, 512);
    // Paid for already, near the users and far from them.
    let free = |name: &str, at: &str| Site {
        machines: vec![room(offer(name, "small", 1, Market::OnDemand))],
        ..site(name, at)
    };
    let sites =
        [site("nyc", NEW_YORK), site("dub", DUBLIN), free("syd", SYDNEY), free("par", "48.9,2.4")];
    let asks = [Ask::new(&large, 1), Ask::new(&small, 8), Ask::new(&near, 1)];
    let budget = Some(MicroDollars(70_000));
    let problem = Problem { asks: &asks, sites: &sites, budget, now: Timestamp(1) };
    let answers = place(&problem, &catalogue).answers;
    let left: Vec<u32> = answers.iter().map(|answer| answer.unplaced).collect();
    assert_eq!(left[0], 1, "it takes $3");
    assert_eq!(left[1..], [0, 0], "{answers:#?}");
    assert_eq!(answers[2].placements[0].site, 2, "near its users, since nothing is bought for it");
}

/// Whatever the mesh's budget makes of the places, no workload costs more than it may.
#[test]
fn both_budgets_hold_together() {
    let mut workload = workload();
    workload.demand = vec![demand(DUBLIN, 1_000)];
    workload.rules.total_micros_per_hour_max = Some(MicroDollars(45_000));
    // A share of a dear machine that is paid for, where none may be bought.
    let dear = Site {
        machines: vec![room(offer("syd", "small", 2_000_000, Market::OnDemand))],
        ..site("syd", SYDNEY)
    };
    let sites = [site("dub", DUBLIN), dear];
    let asks = [Ask::new(&workload, 1)];
    for (budget, placed) in [(40_000, 1), (39_999, 0)] {
        let answer = within(&asks, &sites, budget).remove(0);
        assert_eq!(answer.placements.len(), placed, "{budget}");
    }
}
