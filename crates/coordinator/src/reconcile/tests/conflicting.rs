//! What cannot hold together is named, and nothing that is not part of the contradiction.

use std::sync::Arc;

use kato_core::{Command, MicroDollars, WorkloadSpec};
use proptest::prelude::*;

use super::fixture::{World, spec};
use crate::conflict::conflict;

fn of(world: &World, spec: &Arc<WorkloadSpec>) -> Vec<String> {
    conflict(&world.planner(), spec)
}

fn told(world: &World, options: &str) -> String {
    of(world, &spec("web", options)).join(", ")
}

/// Two machines of 2 processors and 8 GiB in each of dub, ewr and sin, at $0.1070 an hour; more can be bought.
fn world() -> World {
    let mut world = World::new();
    world.sell();
    world
}

#[test]
fn what_contradicts_is_named_and_nothing_else() {
    let mut world = world();
    for (options, conflict) in [
        // It has a place.
        ("CPU=1\nMaxPrice=0.06\nNear=53.4,-6.3\n", ""),
        ("CPU=1\nMaxPrice=0.05\nMaxLatency=200ms\nNear=53.4,-6.3\n", "CPU=1, MaxPrice=$0.0500"),
        // Dublin alone is near enough.
        (
            "CPU=2\nMaxPrice=1\nDatacenters=ewr sin\nMaxLatency=20ms\nNear=53.4,-6.3\n",
            "Datacenters=ewr sin, MaxLatency=20ms",
        ),
        ("CPU=8\nMaxPrice=1\n", "CPU=8"),
        // Less of a processor does not help, because its memory costs more too.
        ("MaxPrice=0.0001\n", "MaxPrice=$0.0001, Memory=128M (by default)"),
        ("Memory=64G\nSpot=allowed\n", "Memory=64G"),
        ("Arch=arm64\nMaxPrice=1\n", "Arch=arm64"),
        ("Spot=required\nLabels=disk=ssd\n", "Labels=disk=ssd"),
        ("GPU=A100:2\n", "GPU=A100:2"),
        ("Count=4\nSpread=datacenter\n", "Count=4, Spread=datacenter"),
        ("With=db\n", "With=db"),
        ("Count=4\nCPU=1\nMaxTotalPrice=0.2\n", "CPU=1, Count=4, MaxTotalPrice=$0.2000"),
        // No two machines are sold at once, and there is room for 24.
        ("Count=25\nCPU=1\n", "CPU=1, Count=25"),
    ] {
        assert_eq!(told(&world, options), conflict, "{options}");
    }
    world.run(Command::SetBudget { max: Some(MicroDollars(50_000)), expected: None });
    assert_eq!(told(&world, "Count=13\nCPU=1\n"), "CPU=1, Count=13, kato budget $0.0500");
    for site in ["dub", "ewr", "sin"] {
        world.lose(site);
    }
    assert_eq!(told(&world, "CPU=1\n"), "", "nothing that it could wish would help");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// As its lines are the wishes, taking lines away is the test: of those that are named no one may stay out, and of the
    /// others all may.
    #[test]
    fn each_of_them_is_needed_and_they_are_enough(
        lines in prop::sample::subsequence(vec![
            "Count=4", "CPU=1500m", "Memory=6G", "Arch=arm64", "Providers=packet", "Labels=disk=ssd",
            "Countries=IE", "Datacenters=dub ewr", "Spread=cell", "With=db", "MaxTotalPrice=0.15",
            "MaxPrice=0.06", "MaxLatency=40ms",
        ], 1..=13)
    ) {
        let world = world();
        let read = |lines: &[&str]| spec("web", &format!("Near=53.4,-6.3\n{}\n", lines.join("\n")));
        let fits = |lines: &[&str]| of(&world, &read(lines)).is_empty();
        let named = of(&world, &read(&lines));
        let key = |line: &str| line.split('=').next().unwrap().to_owned();
        let is_named = |line: &str| named.iter().any(|wish| key(wish) == key(line));
        let core: Vec<&str> = lines.iter().copied().filter(|line| is_named(line)).collect();
        // The request and the count have a value where they are left out, which may be needed too.
        prop_assume!(named.len() == core.len());
        prop_assert_eq!(named.is_empty(), fits(&lines));
        prop_assert_eq!(core.is_empty(), fits(&core), "{:?} of {:?}", core, lines);
        for left_out in &core {
            let fewer: Vec<&str> = core.iter().copied().filter(|line| line != left_out).collect();
            prop_assert!(fits(&fewer), "{:?} is not needed in {:?}", left_out, core);
        }
    }
}
