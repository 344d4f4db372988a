//! Which machine of a cell takes an instance.

use std::sync::Arc;
use std::time::Duration;

use kato_core::{Command, Market, Offer};

use super::super::bind::decide;
use super::fixture::{World, instance, machine, name, spec};

const NOW: Duration = Duration::from_secs(1_000);

#[test]
fn machines_fill_evenly_and_never_over() {
    let mut world = World::new();
    world.put(&spec("web", "Count=4\nCPU=1\nMemory=1G\nDatacenters=dub\n"));
    let per_machine = |number| {
        let machine = super::fixture::machine("dub", number);
        let placed = world.state.instances.values().filter_map(|i| i.placement.as_ref());
        placed.filter(|p| p.machine.as_ref() == Some(&machine)).count()
    };
    assert_eq!((per_machine(1), per_machine(2)), (2, 2));
}

/// The sum fits the cell and no machine fits the instance: the cell refuses, and the instance is placed anew.
#[test]
fn a_cell_without_a_fitting_machine_refuses() {
    let mut world = World::new();
    world.put(&spec("small", "Count=2\nCPU=1500m\nDatacenters=dub\n"));
    let large = spec("large", "CPU=1\nDatacenters=dub\n");
    let plan = world.planner().put(&spec("large", "CPU=100m\nDatacenters=dub\n"));
    assert_eq!(plan.left, []);
    world.run(plan.put(large, None));
    let commands = decide(&world.state, &name("dub"));
    let [Command::Refuse { instance: refused, retry_after_ms, .. }] = commands.as_slice() else {
        panic!("{commands:?}");
    };
    assert_eq!((refused, *retry_after_ms), (&instance("large@1"), super::super::bind::REFUSAL_MS));
}

#[test]
fn another_site_binds_nothing_of_ours() {
    let mut world = World::new();
    let web = spec("web", "Datacenters=dub\n");
    let plan = world.planner().put(&web);
    world.run(plan.put(web, None));
    assert_eq!(decide(&world.state, &name("ewr")), vec![]);
    assert_eq!(decide(&world.state, &name("dub")).len(), 1);
}

/// one-singleton: its next machine waits until the old one has stopped it.
#[test]
fn a_singleton_changes_machines_only_after_it_has_stopped() {
    let mut world = World::new();
    world.put(&spec("db", "Singleton=yes\nCPU=500m\nDatacenters=dub\n"));
    let id = instance("db@1");
    let on = |world: &World| {
        let placement = world.state.instances[&id].placement.clone();
        placement.and_then(|placement| placement.machine)
    };
    let old = on(&world).expect("it is bound");
    // Its machine has no room left for the next version.
    let other = spec("other", "CPU=1200m\nDatacenters=dub\n");
    let plan = world.planner().put(&other);
    world.run(plan.put(other, None));
    let epoch = world.state.instances[&instance("other@1")].epoch().unwrap();
    world.run(Command::Bind { instance: instance("other@1"), epoch, machine: old.clone() });
    world.put(&spec("db", "Singleton=yes\nCPU=1\nDatacenters=dub\n"));
    for command in super::super::place::decide(&world.planner(), &world.reports(NOW), NOW) {
        world.run(command);
    }
    let released = world.state.revision;
    world.bind();
    assert_eq!(on(&world), None, "{old} may still run it");
    world.run(Command::Settled { machine: old.clone(), revision: released });
    world.bind();
    let new = on(&world).expect("it is bound again");
    assert_ne!(new, old);
}

/// A machine that could be taken away does not do for what may not run on one.
#[test]
fn what_may_not_run_on_spot_is_bound_to_no_such_machine() {
    let mut world = World::new();
    for number in 1..=2 {
        let mut spec = world.state.machines[&machine("dub", number)].spec.clone();
        let market = kato_core::Market::Spot;
        spec.offer = std::sync::Arc::new(kato_core::Offer { market, ..(*spec.offer).clone() });
        spec.incarnation += 1;
        world.run(Command::JoinMachine(spec));
    }
    world.put(&spec("any", "Spot=allowed\nDatacenters=dub\n"));
    assert!(
        world.state.instances[&instance("any@1")].placement.as_ref().unwrap().machine.is_some()
    );
    let strict = spec("strict", "Spot=never\nDatacenters=dub\n");
    let plan = world.planner().put(&spec("strict", "Spot=allowed\nDatacenters=dub\n"));
    world.run(plan.put(strict, None));
    let commands = decide(&world.state, &name("dub"));
    assert!(matches!(commands.as_slice(), [Command::Refuse { .. }]), "{commands:?}");
}

/// A new version goes where it was priced, not back to where it was.
#[test]
fn a_changed_instance_goes_to_the_kind_of_machine_that_was_quoted() {
    let mut world = World::new();
    world.put(&spec("web", "Datacenters=dub\n"));
    let mut cheap = world.state.machines[&machine("dub", 1)].spec.clone();
    cheap.id = machine("dub", 3);
    let price_micros_per_hour = kato_core::MicroDollars(5_700);
    let kind = "t3.nano".to_owned();
    cheap.offer = std::sync::Arc::new(kato_core::Offer {
        kind,
        price_micros_per_hour,
        ..(*cheap.offer).clone()
    });
    world.run(Command::JoinMachine(cheap));
    world.put(&spec("web", "CPU=200m\nDatacenters=dub\n"));
    for command in super::super::place::decide(&world.planner(), &world.reports(NOW), NOW) {
        world.run(command);
    }
    world.bind();
    let placement = world.state.instances[&instance("web@1")].placement.clone().unwrap();
    assert_eq!(placement.quote.offer.kind, "t3.nano");
    assert_eq!(placement.machine, Some(machine("dub", 3)));
}

/// What was planned to be on demand, or in a pool, is bound to no machine that would break that limit.
#[test]
fn a_share_on_demand_and_a_pool_hold_when_a_machine_is_picked() {
    for (options, quoted, found, binds) in [
        ("OnDemand=1", Market::OnDemand, Market::Spot, false),
        ("OnDemand=1", Market::OnDemand, Market::OnDemand, true),
        // More on demand than was planned hurts nobody.
        ("OnDemand=1", Market::Spot, Market::OnDemand, true),
        ("Spread=pool", Market::OnDemand, Market::Spot, false),
        ("Spread=pool", Market::Spot, Market::Spot, false),
        ("Spread=pool", Market::Spot, Market::OnDemand, true),
        ("Spread=pool excess=0.01", Market::Spot, Market::Spot, true),
    ] {
        let mut world = World::new();
        let text = format!("Spot=allowed\nDatacenters=dub\n{options}\n");
        let web = spec("web", &text);
        let mut plan = world.planner().put(&web);
        let offer = &mut plan.targets[0].quote.offer;
        let kind = "t3.quoted".to_owned();
        *offer = Arc::new(Offer { market: quoted, kind, ..(**offer).clone() });
        world.run(plan.put(web, None));
        for number in 1..=2 {
            let mut spec = world.state.machines[&machine("dub", number)].spec.clone();
            spec.offer = Arc::new(Offer { market: found, ..(*spec.offer).clone() });
            spec.incarnation += 1;
            world.run(Command::JoinMachine(spec));
        }
        let commands = decide(&world.state, &name("dub"));
        let bound = matches!(commands.as_slice(), [Command::Bind { .. }]);
        assert_eq!(bound, binds, "{options}, {quoted} planned, {found} there: {commands:?}");
    }
}
