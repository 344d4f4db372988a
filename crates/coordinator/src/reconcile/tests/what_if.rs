//! What would become of what runs: the answer is what then happens, and the question changes nothing.

use crate::what_if::{Hypothesis, Loss, Outcome, PriceChange, what_if};

use super::fixture::{World, name, spec};

fn ask(world: &World, hypothesis: &Hypothesis) -> Outcome {
    let before = world.state.clone();
    let outcome = what_if(&world.planner(), hypothesis);
    assert_eq!(world.state, before);
    outcome
}

fn without(site: &str) -> Hypothesis {
    Hypothesis { without: [Loss::Datacenter(name(site))].into(), ..Hypothesis::default() }
}

fn moves(outcome: &Outcome) -> Vec<(String, u32, String, String)> {
    let told = outcome.moves.iter().map(|found| {
        let (from, to) = (&found.from.datacenter, &found.to.datacenter);
        (found.workload.to_string(), found.instances, from.to_string(), to.to_string())
    });
    told.collect()
}

#[test]
fn what_would_move_is_what_moves() {
    let mut world = World::new();
    world.sell();
    world.put(&spec("web", "Count=3\nCPU=500m\nNear=40.7,-74\n"));
    world.put(&spec("db", "CPU=1\nDatacenters=ewr\n"));
    world.put(&spec("waits", "CPU=100m\nDatacenters=ewr\nFailover=never\n"));
    let outcome = ask(&world, &without("ewr"));
    let moved = ("web".to_owned(), 3, "ewr".to_owned(), "dub".to_owned());
    assert_eq!(moves(&outcome), std::slice::from_ref(&moved));
    let stranded: Vec<_> =
        outcome.stranded.iter().map(|s| (s.workload.to_string(), s.instances)).collect();
    assert_eq!(stranded, [("waits".to_owned(), 1), ("db".to_owned(), 1)]);
    assert!(outcome.stranded[1].why.contains("dub: Datacenters="), "{outcome:?}");
    // Farther from the users, on machines that are paid for.
    assert!(outcome.moves[0].latency_us.0 < outcome.moves[0].latency_us.1);
    assert_eq!((outcome.machines_to_buy, outcome.adds.0), (0, 0));
    world.lose("ewr");
    for command in super::super::place::decide(
        &world.planner(),
        &world.reports(std::time::Duration::from_secs(1_000)),
        std::time::Duration::from_secs(1_000),
    ) {
        world.run(command);
    }
    for number in 1..=3 {
        assert_eq!(world.site_of(&format!("web@{number}")).unwrap(), "dub");
    }
    assert_eq!(world.site_of("db@1").unwrap(), "ewr", "never-none");
}

#[test]
fn fewer_machines_push_out_what_does_not_fit() {
    let mut world = World::new();
    world.put(&spec("web", "Count=3\nCPU=1\nNear=53,-6\n"));
    // Three of two processors each: two on one machine, one on the other, which goes.
    let outcome =
        ask(&world, &Hypothesis { capacity: [(name("dub"), 1)].into(), ..Hypothesis::default() });
    assert_eq!(moves(&outcome), [("web".to_owned(), 1, "dub".to_owned(), "ewr".to_owned())]);
    let outcome =
        ask(&world, &Hypothesis { capacity: [(name("dub"), 0)].into(), ..Hypothesis::default() });
    assert_eq!(moves(&outcome), [("web".to_owned(), 3, "dub".to_owned(), "ewr".to_owned())]);
    let outcome =
        ask(&world, &Hypothesis { capacity: [(name("dub"), 2)].into(), ..Hypothesis::default() });
    assert!(outcome.moves.is_empty() && outcome.stranded.is_empty(), "{outcome:?}");
}

/// A machine that was bought is given back when nothing is on it: when it becomes dear, what is on it may be better off
/// elsewhere; a machine of one's own costs what it costs.
#[test]
fn dearer_machines_are_left_where_that_pays() {
    let mut world = World::new();
    world.sell();
    world.put(&spec("full", "Count=2\nCPU=2\nDatacenters=dub\n"));
    world.put(&spec("web", "CPU=500m\nNear=53,-6\nLatencyPrice=0.002\n"));
    let order = *world.state.orders.keys().next().unwrap();
    let mut joined = world.state.machines[&super::fixture::machine("dub", 1)].spec.clone();
    (joined.id, joined.order) = (super::fixture::machine("dub", 3), Some(order));
    world.run(kato_core::Command::JoinMachine(joined));
    world.bind();
    assert_eq!(world.site_of("web@1").unwrap(), "dub");
    let dearer = |percent| Hypothesis {
        prices: vec![PriceChange { provider: "ec2".parse().unwrap(), region: None, percent }],
        ..Hypothesis::default()
    };
    assert_eq!(moves(&ask(&world, &dearer(1))), []);
    let moved = ("web".to_owned(), 1, "dub".to_owned(), "ewr".to_owned());
    let outcome = ask(&world, &dearer(100));
    assert_eq!(moves(&outcome), [moved]);
    // The machine that is left costs twice what it did.
    assert_eq!((outcome.adds.0, outcome.saves.0), (0, 214_000));
}

/// Copies are alike: that two might change places is no move.
#[test]
fn copies_that_might_change_places_stay() {
    let mut world = World::new();
    world.put(&spec("web", "Count=2\nSpread=datacenter\nDatacenters=ewr dub\nNear=40.7,-74\n"));
    let dearer = Hypothesis {
        prices: vec![PriceChange { provider: "ec2".parse().unwrap(), region: None, percent: 5 }],
        ..Hypothesis::default()
    };
    assert_eq!(moves(&ask(&world, &dearer)), []);
    // The other way round.
    world.put(&spec("db", "Count=2\nSpread=datacenter\nDatacenters=ewr dub\nNear=53,-6\n"));
    assert_eq!(moves(&ask(&world, &dearer)), []);
}
