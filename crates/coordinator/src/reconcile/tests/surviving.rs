//! What `Survive=` promises is so when a workload is applied, and stays so.

use std::time::Duration;

use kato_core::{Command, MicroDollars, Rejection};

use super::super::rebalance::Memory;
use super::fixture::{World, name, spec};
use crate::admission::admit;
use crate::what_if::{Hypothesis, Loss, what_if};

/// What a workload would survive, by name.
fn apply(world: &mut World, of: &str, options: &str) -> Result<Vec<String>, Rejection> {
    let spec = spec(of, options);
    let planner = world.planner();
    let plan = planner.put(&spec);
    let survives = admit(&planner, &spec, &plan)?;
    world.put(&spec);
    Ok(survives.iter().map(ToString::to_string).collect())
}

/// Two machines of 2 processors in each of three datacenters.
#[test]
fn what_would_not_survive_is_refused_with_the_shortfall() {
    let mut world = World::new();
    let all = "CPU=1\nSurvive=1 datacenter\n";
    // Eight of them have room without any one datacenter, and a ninth has not.
    let refused = apply(&mut world, "web", &format!("Count=9\n{all}")).unwrap_err().to_string();
    assert!(refused.contains("web would not survive the loss of dub"), "{refused}");
    assert!(refused.contains("1 instance of web would have no place"), "{refused}");
    let survives = apply(&mut world, "web", &format!("Count=8\n{all}")).unwrap();
    assert!(survives.contains(&"dub".to_owned()), "{survives:?}");
    for loss in survives {
        let without = [Loss::Datacenter(name(&loss))].into();
        let hypothesis = Hypothesis { without, ..Hypothesis::default() };
        assert_eq!(what_if(&world.planner(), &hypothesis).left(), 0, "{loss}");
    }
}

#[test]
fn the_room_that_it_rests_on_is_reserved() {
    let mut world = World::new();
    apply(&mut world, "web", "Count=4\nCPU=1\nDatacenters=dub ewr\nSurvive=1 datacenter\n")
        .unwrap();
    // Four more have room in dub and ewr, and that is what web would need.
    let refused =
        apply(&mut world, "greedy", "CPU=1\nDatacenters=dub ewr\n").unwrap_err().to_string();
    assert!(
        refused.contains("greedy would take what web needs to survive the loss of"),
        "{refused}"
    );
    apply(&mut world, "modest", "Count=4\nCPU=1\nDatacenters=sin\n").unwrap();
}

/// While one datacenter is lost already, what would not survive another loss can be mended all the same.
#[test]
fn what_is_broken_already_keeps_nobody_out() {
    let mut world = World::new();
    let web = "Count=3\nCPU=1\nDatacenters=dub ewr\nSurvive=1 datacenter\n";
    apply(&mut world, "web", web).unwrap();
    world.lose("ewr");
    let survives = apply(&mut world, "web", &format!("{web}Priority=1\n")).unwrap();
    assert_eq!(survives, Vec::<String>::new(), "what it does not survive is not said");
    apply(&mut world, "other", "CPU=1\nDatacenters=sin\n").unwrap();
    // What is new must survive.
    apply(&mut world, "new", "Datacenters=dub ewr\nSurvive=1 datacenter\n").unwrap_err();
}

/// Six machines of 2 processors; what is over must be bought, at $0.1070 an hour each.
#[test]
fn what_the_budgets_do_not_allow_is_refused_with_the_shortfall() {
    let mut world = World::new();
    world.sell();
    let set = |max: i64| Command::SetBudget { max: Some(MicroDollars(max)), expected: None };
    world.run(set(200_000));
    let refused = apply(&mut world, "web", "Count=16\nCPU=1\n").unwrap_err().to_string();
    let told = "2 of the 16 instances of web would have no place: machines for $0.2140/h would have to be bought, \
                $0.0140/h more than the mesh's budget has left. `kato budget` shows and changes it";
    assert_eq!(refused, told);
    apply(&mut world, "web", "Count=14\nCPU=1\n").unwrap();
    assert_eq!(world.state.spending(), MicroDollars(107_000));
    let refused = apply(&mut world, "more", "Count=2\nCPU=1\n").unwrap_err().to_string();
    assert!(refused.contains("$0.0140/h more than the mesh's budget has left"), "{refused}");
    world.run(set(214_000));
    apply(&mut world, "more", "Count=2\nCPU=1\n").unwrap();
    // What was there when the budget became less may be changed, if not to need more.
    world.run(set(0));
    apply(&mut world, "more", "Count=2\nCPU=1\nPriority=1\n").unwrap();
    apply(&mut world, "more", "Count=3\nCPU=1\n").unwrap_err();
}

#[test]
fn more_than_a_workload_may_cost_is_refused_with_the_shortfall() {
    let mut world = World::new();
    // Half of a machine each.
    let options = |count: u32| format!("Count={count}\nCPU=1\nMaxTotalPrice=0.11\n");
    let refused = apply(&mut world, "web", &options(3)).unwrap_err().to_string();
    let told = "1 of the 3 instances of web would have no place: all of them cost $0.1605/h, $0.0505/h over \
                MaxTotalPrice=$0.1100";
    assert_eq!(refused, told);
    apply(&mut world, "web", &options(2)).unwrap();
    apply(&mut world, "web", &options(3)).unwrap_err();
}

/// What must be bought to survive a loss must be within the budget, and stay so.
#[test]
fn what_a_loss_would_cost_is_within_the_budget() {
    let mut world = World::new();
    world.sell();
    let set = |max: i64| Command::SetBudget { max: Some(MicroDollars(max)), expected: None };
    let web = "Count=12\nCPU=1\nSurvive=1 datacenter\n";
    // Two machines are lost with each datacenter.
    world.run(set(213_999));
    let refused = apply(&mut world, "web", web).unwrap_err().to_string();
    assert!(refused.contains("web would not survive the loss of dub"), "{refused}");
    assert!(refused.contains("the mesh's budget has"), "{refused}");
    world.run(set(214_000));
    apply(&mut world, "web", web).unwrap();
    let refused = apply(&mut world, "other", "CPU=1\n").unwrap_err().to_string();
    assert!(refused.contains("other would take what web needs to survive"), "{refused}");
}

#[test]
fn a_lost_provider_or_region_takes_its_machines_everywhere() {
    let mut world = World::new();
    // All machines are of one provider, each datacenter of one of its regions.
    let refused = apply(&mut world, "web", "Survive=1 provider\n").unwrap_err().to_string();
    assert!(refused.contains("the loss of provider=ec2"), "{refused}");
    let survives = apply(&mut world, "web", "Survive=1 region\n").unwrap();
    assert_eq!(survives, ["region=ec2:dub"]);
    // What is bought may not be bought of whom is lost.
    world.sell();
    world.put(&spec("full", "Count=4\nCPU=2\nDatacenters=ewr sin\n"));
    let of_region =
        |region: &str| Loss::Provider("ec2".parse().unwrap(), Some(region.parse().unwrap()));
    let lose = |world: &World, regions: &[&str]| {
        let without = regions.iter().map(|region| of_region(region)).collect();
        what_if(&world.planner(), &Hypothesis { without, ..Hypothesis::default() })
    };
    let one = lose(&world, &["dub"]);
    assert_eq!((one.moving(), one.left(), one.machines_to_buy), (1, 0, 1));
    assert_eq!(lose(&world, &["dub", "ewr", "sin"]).left(), 5);
}

/// What has no place even now survives nothing.
#[test]
fn what_fits_nowhere_is_refused() {
    let mut world = World::new();
    let refused = apply(&mut world, "web", "Count=13\nCPU=1\nSurvive=1 datacenter\n");
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("1 of the 13 instances of web have no place"), "{refused}");
}

/// Moving to save does not take the room either.
#[test]
fn nothing_moves_into_reserved_room() {
    let mut world = World::new();
    world.lose("ewr");
    world.put(&spec("saver", "Count=2\nCPU=2\nNear=40.7,-74\n"));
    world.resume("ewr");
    let mut memory = Memory::default();
    let moves = |world: &World, memory: &mut Memory, seconds| {
        let now = Duration::from_secs(seconds);
        memory.decide(&world.planner(), &world.reports(now), Duration::from_mins(10), now).len()
    };
    moves(&world, &mut memory, 10);
    assert_eq!(moves(&world, &mut memory, 700), 1);
    // When sin is lost, this needs all that is free in ewr.
    let web = "Count=2\nCPU=2\nNear=1.4,104\nDatacenters=ewr sin\nSurvive=1 datacenter\n";
    apply(&mut world, "web", web).unwrap();
    assert_eq!(moves(&world, &mut memory, 702), 0);
}

/// What was promised before is no excuse for a wider promise, nor for a change that takes more.
#[test]
fn a_change_is_checked_like_something_new() {
    let mut world = World::new();
    apply(&mut world, "web", "Count=4\nCPU=1\nDatacenters=dub ewr\nSurvive=1 datacenter\n")
        .unwrap();
    let wider = apply(&mut world, "web", "Count=4\nCPU=1\nSurvive=1 provider\n").unwrap_err();
    assert!(wider.to_string().contains("the loss of provider=ec2"), "{wider}");
    // Its copies are where they are until the rollout reaches them: they would take twice as much.
    let larger = "Count=4\nCPU=2\nDatacenters=dub ewr\nSurvive=1 datacenter\n";
    apply(&mut world, "web", larger).unwrap_err();
    // Who is elsewhere now would roll into the room.
    apply(&mut world, "greedy", "CPU=1\nDatacenters=sin\n").unwrap();
    let rolls = apply(&mut world, "greedy", "CPU=1\nDatacenters=dub ewr\n").unwrap_err();
    assert!(rolls.to_string().contains("would take what web needs"), "{rolls}");
}

/// Moves that are harmless one by one may not be so together.
#[test]
fn moves_do_not_take_the_room_together() {
    let mut world = World::new();
    world.lose("ewr");
    for name in ["x", "y"] {
        world.put(&spec(name, "CPU=1\nNear=40.7,-74\n"));
    }
    world.resume("ewr");
    // Of the four processors of ewr this needs three when sin is lost.
    let web = "Count=3\nCPU=1\nNear=1.4,104\nDatacenters=ewr sin\nSurvive=1 datacenter\n";
    apply(&mut world, "web", web).unwrap();
    let mut memory = Memory::default();
    for (seconds, moves) in [(10, 0), (700, 1), (702, 0)] {
        let now = Duration::from_secs(seconds);
        let commands =
            memory.decide(&world.planner(), &world.reports(now), Duration::from_mins(10), now);
        assert_eq!(commands.len(), moves, "{commands:?}");
        commands.into_iter().for_each(|command| world.run(command));
        world.bind();
    }
}
