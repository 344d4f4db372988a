//! What is decided is seen in how the state changes.

use std::time::Duration;

use kato_core::{Command, State};
use kato_proto::store::past::{Fate, PastDecision};

use super::fixture::{World, instance, machine, spec};
use crate::history::{Seen, decided};

const NOW: Duration = Duration::from_secs(100);

/// What is told of each instance, in order.
fn told(decisions: &[PastDecision]) -> Vec<String> {
    let fates = decisions.iter().flat_map(|past| past.fates.iter().map(move |fate| (past, fate)));
    let told = |(past, (id, fate)): (&PastDecision, &(kato_core::InstanceId, Fate))| {
        let what = match fate {
            Fate::Placed(cell, _) => format!("in {cell}"),
            Fate::NotPlaced(Some(_)) => "stays".to_owned(),
            Fate::NotPlaced(None) => "has no place".to_owned(),
            Fate::Waits => "waits".to_owned(),
            Fate::Deleted => "deleted".to_owned(),
        };
        format!("{id} {what}{}", if past.decision.is_some() { "" } else { ", for no reason" })
    };
    fates.map(told).collect()
}

#[test]
fn what_is_decided_is_told_once() {
    let mut world = World::new();
    let mut before = world.state.clone();
    let mut news = |state: &State| {
        let news = decided(Some(&before), state, Seen::default());
        before = state.clone();
        news
    };
    world.put(&spec("web", "Count=2\nCPU=1\nDatacenters=dub\n"));
    let made = news(&world.state);
    assert_eq!(told(&made), ["web@1 in cell-1.dub", "web@2 in cell-1.dub"]);
    assert_eq!(made.len(), 1, "one decision about two");
    assert_eq!(
        made[0].at,
        world.state.instances[&instance("web@1")].placement.as_ref().unwrap().placed_at
    );
    assert_eq!(told(&news(&world.state)), [""; 0]);
    // Nothing else takes them when it is lost.
    world.lose("dub");
    assert_eq!(told(&news(&world.state)), [""; 0], "nothing is decided yet");
    for command in super::super::place::decide(&world.planner(), &world.reports(NOW), NOW) {
        world.run(command);
    }
    assert_eq!(told(&news(&world.state)), ["web@1 stays", "web@2 stays"]);
    for number in 1..=2 {
        world.run(Command::Resume { machine: machine("dub", number), incarnation: 1 });
    }
    let back = ["web@1 in cell-1.dub", "web@2 in cell-1.dub"];
    assert_eq!(told(&news(&world.state)), back, "they run where they did");
    world.run(Command::DeleteWorkload { name: "web".parse().unwrap(), expected: None });
    let gone = ["web@1 deleted, for no reason", "web@2 deleted, for no reason"];
    assert_eq!(told(&news(&world.state)), gone);
}

/// A coordinator that starts tells what it has not told before.
#[test]
fn what_was_seen_before_is_not_told_again() {
    let mut world = World::new();
    world.put(&spec("web", "CPU=1\n"));
    assert_eq!(decided(None, &world.state, Seen::default()).len(), 1);
    let seen = Seen { revision: world.state.revision, at: world.state.time };
    assert_eq!(decided(None, &world.state, seen), []);
    world.put(&spec("db", "CPU=1\n"));
    let news = decided(None, &world.state, seen);
    assert_eq!((news.len(), news[0].fates[0].0.to_string().as_str()), (1, "db@1"));
}

#[test]
fn what_its_cell_refuses_waits() {
    let mut world = World::new();
    let spec = spec("web", "CPU=1\n");
    let plan = world.planner().put(&spec);
    world.run(plan.put(std::sync::Arc::clone(&spec), None));
    let before = world.state.clone();
    let epoch = before.instances[&instance("web@1")].epoch().unwrap();
    world.run(Command::Refuse { instance: instance("web@1"), epoch, retry_after_ms: 1_000 });
    let news = decided(Some(&before), &world.state, Seen::default());
    assert_eq!(told(&news), ["web@1 waits, for no reason"]);
}
