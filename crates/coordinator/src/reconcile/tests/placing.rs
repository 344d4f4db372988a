//! What the leader's placer proposes.

use std::time::Duration;

use kato_core::{Command, Terms};
use kato_placement::Catalogue;

use super::super::place::{STEADY, decide};
use super::fixture::{World, instance, name, spec};

const NOW: Duration = Duration::from_secs(1_000);

fn decided(world: &World) -> Vec<Command> {
    decide(&world.planner(), &world.reports(NOW), NOW)
}

#[test]
fn what_runs_well_is_left_alone() {
    let mut world = World::new();
    world.put(&spec("web", "Count=2\nNear=53,-6\n"));
    assert_eq!(decided(&world), vec![]);
}

#[test]
fn instances_of_a_lost_site_move_with_a_higher_epoch() {
    let mut world = World::new();
    world.put(&spec("web", "Count=2\nNear=40.7,-74\n"));
    assert_eq!(world.site_of("web@1").unwrap(), "ewr");
    let epoch = world.state.instances[&instance("web@1")].epoch();
    world.lose("ewr");
    for command in decided(&world) {
        world.run(command);
    }
    for id in ["web@1", "web@2"] {
        assert_eq!(world.site_of(id).unwrap(), "dub");
    }
    assert!(world.state.instances[&instance("web@1")].epoch() > epoch);
    world.bind();
    assert_eq!(decided(&world), vec![]);
}

#[test]
fn failover_never_waits_for_its_site() {
    let mut world = World::new();
    world.put(&spec("web", "Near=40.7,-74\nFailover=never\n"));
    world.lose("ewr");
    assert_eq!(decided(&world), vec![]);
    assert_eq!(world.site_of("web@1").unwrap(), "ewr");
}

/// never-none: what fits nowhere else keeps its place, and says why, once.
#[test]
fn what_fits_nowhere_keeps_its_place() {
    let mut world = World::new();
    world.put(&spec("web", "Datacenters=ewr\n"));
    world.lose("ewr");
    let commands = decided(&world);
    assert!(matches!(commands.as_slice(), [Command::Unplaceable { .. }]), "{commands:?}");
    for command in commands {
        world.run(command);
    }
    assert_eq!(world.site_of("web@1").unwrap(), "ewr");
    assert_eq!(decided(&world), vec![]);
    let found = world.state.instances[&instance("web@1")].unplaceable.clone().unwrap();
    let why = found.decision.to_string();
    assert!(
        why.contains("ewr: lost, suspended or silent") && why.contains("dub: Datacenters="),
        "{why}"
    );
}

/// A rollout replaces one instance at a time, and the next only when the one before runs.
#[test]
fn a_rollout_goes_one_by_one() {
    let mut world = World::new();
    world.put(&spec("web", "Count=3\nNear=53,-6\n"));
    world.put(&spec("web", "Count=3\nNear=53,-6\nCPU=200m\n"));
    for rolled in 1..=3 {
        let commands = decided(&world);
        let [Command::Place(place)] = commands.as_slice() else { panic!("{commands:?}") };
        assert_eq!(place.targets.len(), 1);
        assert_eq!(place.targets[0].number, rolled);
        let before = world.reports(NOW);
        for command in commands {
            world.run(command);
        }
        world.bind();
        // The reports from before do not speak of the new epoch: nothing more happens.
        assert_eq!(decide(&world.planner(), &before, NOW), vec![]);
    }
    assert_eq!(decided(&world), vec![]);
    assert!(world.state.workloads.values().all(|workload| workload.older.is_empty()));
}

/// A version that starts and ends again soon after is not rolled out further than its first instance.
#[test]
fn a_rollout_waits_until_an_instance_has_run_for_a_while() {
    let mut world = World::new();
    world.put(&spec("web", "Count=2\nNear=53,-6\n"));
    world.put(&spec("web", "Count=2\nNear=53,-6\nCPU=200m\n"));
    for command in decided(&world) {
        world.run(command);
    }
    world.bind();
    let started = NOW;
    let mut reports = world.reports(NOW);
    for report in reports.values_mut() {
        for machine in std::sync::Arc::make_mut(report).machines.values_mut() {
            machine.steady.values_mut().for_each(|since| *since = started);
        }
    }
    assert_eq!(decide(&world.planner(), &reports, started), vec![]);
    let early = started + STEADY.saturating_sub(Duration::from_millis(1));
    assert_eq!(decide(&world.planner(), &reports, early), vec![]);
    let commands = decide(&world.planner(), &reports, started + STEADY);
    assert!(matches!(commands.as_slice(), [Command::Place(_)]), "{commands:?}");
}

#[test]
fn a_rollout_stays_at_home() {
    let mut world = World::new();
    world.put(&spec("web", "Near=40.7,-74\n"));
    // Nobody is near any more: Dublin, first by name, would be as good.
    world.put(&spec("web", "CPU=200m\n"));
    for command in decided(&world) {
        world.run(command);
    }
    assert_eq!(world.site_of("web@1").unwrap(), "ewr");
}

/// Users who have moved are followed, one instance after the other.
#[test]
fn a_rollout_goes_where_its_users_are() {
    let mut world = World::new();
    world.put(&spec("web", "Near=53,-6\n"));
    assert_eq!(world.site_of("web@1").unwrap(), "dub");
    world.put(&spec("web", "Near=40.7,-74\n"));
    for command in decided(&world) {
        world.run(command);
    }
    assert_eq!(world.site_of("web@1").unwrap(), "ewr");
}

/// A version that fits nowhere replaces nothing, and says why, once.
#[test]
fn a_rollout_that_fits_nowhere_says_so_and_stops_nothing() {
    let mut world = World::new();
    world.put(&spec("web", "Count=2\nDatacenters=dub\n"));
    world.put(&spec("web", "Count=2\nCPU=64\nDatacenters=dub\n"));
    let commands = decided(&world);
    assert!(matches!(commands.as_slice(), [Command::Unplaceable { .. }]), "{commands:?}");
    for command in commands {
        world.run(command);
    }
    assert_eq!(decided(&world), vec![]);
    let first = &world.state.instances[&instance("web@1")];
    assert!(first.placement.as_ref().is_some_and(|placement| placement.machine.is_some()));
    // A version that fits takes its place, and the word is taken back.
    world.put(&spec("web", "Count=2\nCPU=200m\nDatacenters=dub\n"));
    for command in decided(&world) {
        world.run(command);
    }
    assert_eq!(world.state.instances[&instance("web@1")].unplaceable, None);
}

/// never-none: what runs goes on running until the machine that its next version needs has joined.
#[test]
fn a_rollout_that_needs_a_machine_orders_it_first() {
    let mut world = World::new();
    world.sell();
    world.put(&spec("web", "CPU=1\nDatacenters=dub\n"));
    world.put(&spec("full", "Count=2\nCPU=1\nDatacenters=dub\n"));
    world.put(&spec("web", "CPU=2\nDatacenters=dub\n"));
    let bound = |world: &World| {
        world.state.instances[&instance("web@1")].placement.as_ref()?.machine.clone()
    };
    let old = bound(&world).expect("it runs");
    let commands = decided(&world);
    assert!(matches!(commands.as_slice(), [Command::OrderMachine { .. }]), "{commands:?}");
    for command in commands {
        world.run(command);
    }
    assert_eq!(bound(&world), Some(old.clone()));
    assert_eq!(decided(&world), vec![], "one order is enough");
    world.deliver();
    for command in decided(&world) {
        world.run(command);
    }
    world.bind();
    assert_eq!(bound(&world), Some(super::fixture::machine("dub", 3)));
}

/// Two copies that lost their places are not given the same site.
#[test]
fn spread_copies_come_back_to_different_sites() {
    let mut world = World::new();
    world.put(&spec("web", "Count=2\nSpread=datacenter\nDatacenters=ewr sin\n"));
    let sites = |world: &World| ["web@1", "web@2"].map(|id| world.site_of(id));
    let before = sites(&world);
    for id in ["web@1", "web@2"] {
        let placement = world.state.instances[&instance(id)].placement.clone().unwrap();
        world.lose(placement.cell.datacenter.as_str());
    }
    for site in ["ewr", "sin"] {
        for number in 1..=2 {
            let machine = super::fixture::machine(site, number);
            world.run(Command::Resume { machine, incarnation: 1 });
        }
    }
    for _ in 0..3 {
        for command in decided(&world) {
            world.run(command);
        }
        world.bind();
    }
    let after = sites(&world);
    assert_ne!(after[0], after[1], "{before:?}");
}

/// A datacenter without machines is never suspected; what waits there would wait for ever.
#[test]
fn what_waits_for_a_silent_datacenter_goes_elsewhere() {
    let mut world = World::new();
    world.sell();
    let web = spec("web", "Near=40.7,-74\n");
    let plan = world.planner().put(&web);
    world.run(plan.put(web, None));
    assert_eq!(world.site_of("web@1").unwrap(), "ewr");
    assert_eq!(decided(&world), vec![]);
    world.silent.insert(super::fixture::name("ewr"));
    for command in decided(&world) {
        world.run(command);
    }
    assert_eq!(world.site_of("web@1").unwrap(), "dub");
}

/// The machines of a datacenter come back one after the other; what runs on the second one stays there.
#[test]
fn a_machine_whose_agent_is_back_keeps_its_instances() {
    let mut world = World::new();
    world.put(&spec("web", "Count=4\nNear=40.7,-74\n"));
    world.lose("ewr");
    let machine = super::fixture::machine("ewr", 1);
    world.run(Command::Resume { machine, incarnation: 1 });
    assert_eq!(decided(&world), vec![], "the other machine's agent is attached");
    let mut reports = world.reports(NOW);
    let report = std::sync::Arc::make_mut(reports.get_mut(&super::fixture::name("ewr")).unwrap());
    let second = super::fixture::machine("ewr", 2);
    report.machines.get_mut(&second).unwrap().connected = false;
    assert!(!decide(&world.planner(), &reports, NOW).is_empty(), "the other machine is lost");
}

/// Copies that need new machines share them, those of several workloads too, and the mesh orders no more than that.
#[test]
fn what_is_bought_is_shared() {
    let mut world = World::new();
    world.sell();
    // Nothing is left in dub, where two machines may be bought.
    world.put(&spec("full", "Count=2\nCPU=2\nDatacenters=dub\n"));
    world.put(&spec("web", "Count=3\nCPU=500m\nDatacenters=dub\n"));
    let orders = |world: &World| world.state.orders.keys().copied().collect::<Vec<_>>();
    let [order] = orders(&world)[..] else { panic!("{:?}", world.state.orders) };
    // Room on what is on order is used before more is bought.
    world.put(&spec("api", "CPU=500m\nDatacenters=dub\n"));
    assert_eq!(orders(&world), [order]);
    let waits_for = |world: &World, id: &str| {
        world.state.instances[&instance(id)].placement.as_ref().and_then(|p| p.order)
    };
    for id in ["web@1", "web@2", "web@3", "api@1"] {
        assert_eq!(waits_for(&world, id), Some(order), "{id}");
    }
    world.put(&spec("db", "CPU=500m\nDatacenters=dub\n"));
    assert_eq!(orders(&world).len(), 2, "the first one is full");
    // It joins, and takes all who waited for it.
    let mut joined = world.state.machines[&super::fixture::machine("dub", 1)].spec.clone();
    (joined.id, joined.order) = (super::fixture::machine("dub", 3), Some(order));
    world.run(Command::JoinMachine(joined));
    world.bind();
    for id in ["web@1", "web@2", "web@3", "api@1"] {
        let machine = world.state.instances[&instance(id)].placement.clone().unwrap().machine;
        assert_eq!(machine, Some(super::fixture::machine("dub", 3)), "{id}");
    }
}

/// Who must be with another one goes where that one goes, also when both lost their places; and who must be apart from it
/// does not, whichever of the two says so.
#[test]
fn neighbours_go_together_and_apart() {
    let mut world = World::new();
    world.put(&spec("db", "Near=40.7,-74\n"));
    world.put(&spec("web", "Near=1.4,104\nWith=db\n"));
    world.put(&spec("backup", "Near=40.7,-74\nApart=db\n"));
    let sites = |world: &World| ["db@1", "web@1", "backup@1"].map(|id| world.site_of(id).unwrap());
    assert_eq!(sites(&world), ["ewr", "ewr", "dub"]);
    // The rule of the backup holds for the database too: what is nearest to it is taken.
    world.lose("ewr");
    for command in decided(&world) {
        world.run(command);
    }
    assert_eq!(sites(&world), ["sin", "sin", "dub"]);
}

/// What waited for a machine that is not to be had is placed elsewhere, all of it.
#[test]
fn a_failed_order_moves_all_who_share_it() {
    let mut world = World::new();
    world.sell();
    world.put(&spec("full", "Count=2\nCPU=2\nDatacenters=dub\n"));
    world.put(&spec("web", "Count=3\nCPU=500m\nNear=53,-6\n"));
    let order = *world.state.orders.keys().next().unwrap();
    let reason = "sold out".to_owned();
    world.run(Command::FailOrder { order, reason, retry_after_ms: 30_000 });
    for number in 1..=3 {
        let id = instance(&format!("web@{number}"));
        assert_eq!(world.state.instances[&id].placement, None, "{id}");
    }
    for command in decided(&world) {
        world.run(command);
    }
    for number in 1..=3 {
        assert_eq!(world.site_of(&format!("web@{number}")).unwrap(), "ewr");
    }
}

/// A mesh that was not raised yet has no word for a machine that several wait for: the others wait until it has joined.
#[test]
fn an_older_mesh_waits_with_what_would_share() {
    let mut world = World::new();
    world.sell();
    world.put(&spec("full", "Count=2\nCPU=2\nDatacenters=dub\n"));
    world.state.version = kato_core::version::WITH_PLACEMENT - 1;
    world.put(&spec("web", "Count=3\nCPU=500m\nDatacenters=dub\n"));
    assert_eq!(world.state.orders.len(), 1);
    let placed = |id: &str| world.state.instances[&instance(id)].placement.is_some();
    assert_eq!(["web@1", "web@2", "web@3"].map(placed), [true, false, false]);
}

/// A mesh that was not raised yet buys without a word for the terms; and has none for a workload that asks for some.
#[test]
fn an_older_mesh_says_nothing_of_terms() {
    let mut world = World::new();
    let terms = Terms { interruption_percent: None, billed_s: Some(60) };
    let sold = crate::sample::offer("dub", super::fixture::PRICE);
    world.catalogue = Catalogue::new([kato_core::Offer { terms, ..(*sold).clone() }]);
    let three = spec("web", "Count=3\nCPU=1500m\nDatacenters=dub\n");
    world.state.version = kato_core::version::WITH_TERMS - 1;
    world.put(&three);
    assert_eq!(world.state.orders.len(), 1);
    assert!(world.state.orders.values().all(|order| order.offer.terms == Terms::default()));
    let picky = spec("picky", "MaxBilling=1min\nDatacenters=dub\nCPU=1500m\n");
    let command = world.planner().put(&picky).put(std::sync::Arc::clone(&picky), None);
    assert_eq!(command.since(), kato_core::version::WITH_TERMS);
    world.state.version = kato_core::version::WITH_TERMS;
    world.put(&picky);
    assert_eq!(world.state.orders.len(), 2);
    assert!(world.state.orders.values().any(|order| order.offer.terms == terms));
}

/// What fits nowhere keeps nobody waiting, however much of it there is; and its turn comes.
#[test]
fn what_fits_nowhere_keeps_nobody_waiting() {
    let mut world = World::new();
    world.put(&spec("aaa", "Count=400\nCPU=2\nDatacenters=ewr\n"));
    for _ in 0..4 {
        for command in decided(&world) {
            world.run(command);
        }
    }
    let known = world.state.instances.values().filter(|found| found.unplaceable.is_some()).count();
    assert_eq!(known, 398, "two machines take one each");
    let late = spec("zzz", "Datacenters=dub\n");
    let mut plan = world.planner().put(&late);
    plan.targets.clear();
    world.run(plan.put(std::sync::Arc::clone(&late), None));
    let commands = decided(&world);
    assert!(
        matches!(commands.as_slice(), [Command::Place(place)] if place.workload.as_str() == "zzz"),
        "{commands:?}"
    );
    // Room for the last of all: it is found within as many turns as there are groups of those that wait.
    world.run(Command::DeleteWorkload { name: "zzz".parse().unwrap(), expected: None });
    let mut third = world.state.machines[&super::fixture::machine("ewr", 1)].spec.clone();
    third.id = super::fixture::machine("ewr", 3);
    world.run(Command::JoinMachine(third));
    let placed = (0..400).any(|_| {
        world.state.time.0 += 1_000;
        decided(&world).iter().any(|command| matches!(command, Command::Place(_)))
    });
    assert!(placed);
}

/// It is said again only when it is for another reason: not because a machine has a little more or less room.
#[test]
fn the_same_reason_is_said_once() {
    let mut world = World::new();
    world.put(&spec("full", "Count=2\nCPU=1\nDatacenters=dub\n"));
    world.put(&spec("web", "CPU=2\nDatacenters=dub\n"));
    for command in decided(&world) {
        world.run(command);
    }
    assert!(world.state.instances[&instance("web@1")].unplaceable.is_some());
    world.put(&spec("more", "CPU=500m\nDatacenters=dub\n"));
    assert_eq!(decided(&world), vec![]);
}

/// Two that must be apart do not roll to one place in one pass, each seeing the other where it was.
#[test]
fn what_must_be_apart_does_not_roll_in_one_pass() {
    let mut world = World::new();
    world.put(&spec("a", "Datacenters=ewr\nApart=b\n"));
    world.put(&spec("b", "Datacenters=sin\n"));
    world.put(&spec("a", "Near=53,-6\nApart=b\n"));
    world.put(&spec("b", "Near=53,-6\n"));
    for _ in 0..3 {
        for command in decided(&world) {
            world.run(command);
        }
        world.bind();
    }
    assert_ne!(world.site_of("a@1"), world.site_of("b@1"));
}

/// A cell that refused one copy may take the others, which are asked for first.
#[test]
fn a_refusal_of_one_keeps_the_others_from_nowhere() {
    let mut world = World::new();
    let web = spec("web", "Count=2\nNear=53,-6\n");
    let mut plan = world.planner().put(&web);
    plan.targets.truncate(1);
    world.run(plan.put(std::sync::Arc::clone(&web), None));
    let epoch = world.state.instances[&instance("web@1")].epoch().unwrap();
    let refuse = Command::Refuse { instance: instance("web@1"), epoch, retry_after_ms: 30_000 };
    world.run(refuse);
    for command in decided(&world) {
        world.run(command);
    }
    assert_eq!(world.site_of("web@2").unwrap(), "dub");
    for command in decided(&world) {
        world.run(command);
    }
    assert_eq!(world.site_of("web@1").unwrap(), "ewr");
}

#[test]
fn a_measured_round_trip_counts_for_more_than_the_map() {
    let mut world = World::new();
    let near_dublin = "Datacenters=ewr sin\nNear=53.4,-6.3\n";
    world.put(&spec("before", near_dublin));
    assert_eq!(world.site_of("before@1").as_deref(), Some("ewr"));
    world.distances.note(&name("dub"), &name("ewr"), 400_000);
    world.put(&spec("after", near_dublin));
    assert_eq!(world.site_of("after@1").as_deref(), Some("sin"));
    // On the same host, whatever the map says.
    world.distances.note(&name("dub"), &name("sin"), 90);
    world.distances.note(&name("dub"), &name("ewr"), 90);
    world.put(&spec("here", near_dublin));
    assert_eq!(world.site_of("here@1").as_deref(), Some("ewr"));
}
