//! Which machine of a cell takes an instance.

use kato_core::{Command, Timestamp};

use super::super::bind::decide;
use super::fixture::{World, instance, name, spec};

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
    let mut plan = world.planner().put(&spec("large", "CPU=100m\nDatacenters=dub\n"));
    assert_eq!(plan.unplaced, 0);
    plan.decision = plan.decision.clone();
    world.run(plan.put(large, None));
    let commands = decide(&world.state, &name("dub"), Timestamp(7));
    let [Command::Refuse { instance: refused, until, .. }] = commands.as_slice() else {
        panic!("{commands:?}");
    };
    assert_eq!(
        (refused, until),
        (&instance("large@1"), &Timestamp(7 + super::super::bind::REFUSAL_MS))
    );
}

#[test]
fn another_site_binds_nothing_of_ours() {
    let mut world = World::new();
    let web = spec("web", "Datacenters=dub\n");
    let plan = world.planner().put(&web);
    world.run(plan.put(web, None));
    assert_eq!(decide(&world.state, &name("ewr"), Timestamp(7)), vec![]);
    assert_eq!(decide(&world.state, &name("dub"), Timestamp(7)).len(), 1);
}
