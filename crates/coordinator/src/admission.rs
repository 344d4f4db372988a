//! Whether a workload may be applied: what `Survive=` promises must be so, for it and for all that were applied before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kato_core::{
    Batch, Command, Placement, Rejection, RejectionKind, State, WorkloadName, WorkloadSpec,
};

use crate::planner::{Need, Plan, Planner};
use crate::what_if::{Hypothesis, Loss, Outcome, what_if};

/// The losses that a workload survives once a plan for it is carried out: none if it does not ask. Refused where it would
/// not survive one of them, or where it would take the room that another one needs for that.
pub(crate) fn admit(
    planner: &Planner,
    spec: &Arc<WorkloadSpec>,
    plan: &Plan,
) -> Result<Vec<Loss>, Rejection> {
    let asks = spec.rules.survives.is_some();
    if !asks && !is_asked(planner.state) {
        return Ok(Vec::new());
    }
    let known = planner.state.workloads.get(&spec.name);
    let asked = known.is_some_and(|known| known.spec.rules.survives == spec.rules.survives);
    if asks && !plan.left.is_empty() && !asked {
        let text = format!(
            "Survive={}: {} of the {} instances of {} have no place even while nothing is lost: {}",
            spec.rules.survives.map(|domain| format!("1 {domain}")).unwrap_or_default(),
            plan.unplaced(),
            spec.count,
            spec.name,
            plan.decision
        );
        return Err(Rejection::new(RejectionKind::Invalid, text));
    }
    let mut state = planner.state.clone();
    let put = plan.clone().put(Arc::clone(spec), None);
    state.apply(&Batch { at: state.time, commands: vec![put] }).remove(0)?;
    roll_out(planner, &mut state, spec);
    let survived = check(planner, &planner.over(&state), &spec.name)?;
    Ok(survived)
}

/// Whether moves, all of them together, leave what survives a loss as it is.
pub(crate) fn are_harmless(planner: &Planner, commands: &[Command]) -> bool {
    if !is_asked(planner.state) {
        return true;
    }
    let mut state = planner.state.clone();
    let outcomes = state.apply(&Batch { at: state.time, commands: commands.to_vec() });
    let moved = commands.iter().find_map(|command| match command {
        Command::Place(place) => Some(&place.workload),
        _ => None,
    });
    outcomes.iter().all(Result::is_ok)
        && moved.is_none_or(|name| check(planner, &planner.over(&state), name).is_ok())
}

fn is_asked(state: &State) -> bool {
    state.workloads.values().any(|workload| workload.spec.rules.survives.is_some())
}

/// Whether a workload asked for the same before.
fn asked_before(before: &State, after: &State, name: &WorkloadName) -> bool {
    let asks = |state: &State| state.workloads.get(name)?.spec.rules.survives;
    asks(before).is_some() && asks(before) == asks(after)
}

/// Every loss that something asks to survive, and who.
fn losses(state: &State) -> BTreeMap<Loss, BTreeSet<WorkloadName>> {
    let mut losses: BTreeMap<Loss, BTreeSet<WorkloadName>> = BTreeMap::new();
    for workload in state.workloads.values() {
        let Some(domain) = workload.spec.rules.survives else { continue };
        let name = &workload.spec.name;
        let placed = state.instances_of(name).filter_map(|found| found.placement.as_ref());
        let of = |placement: &Placement| Loss::of(domain, state, placement);
        for loss in placed.map(of) {
            losses.entry(loss).or_default().insert(name.clone());
        }
    }
    losses
}

/// Places what a rollout will place: it is in the old places, with the old requests, until then.
fn roll_out(planner: &Planner, state: &mut State, spec: &WorkloadSpec) {
    let Some(workload) = state.workloads.get(&spec.name) else { return };
    let generation = workload.generation;
    let older = state.instances_of(&spec.name).filter(|instance| {
        instance.placement.as_ref().is_some_and(|placement| placement.generation != generation)
    });
    let numbers: Vec<u32> = older.map(|instance| instance.id.number).collect();
    if numbers.is_empty() {
        return;
    }
    let plan = planner.over(state).all(&[Need { spec, numbers }]).remove(0);
    for target in plan.targets.clone() {
        // One that needs a machine to be bought first stays where it is for now.
        let plan = Plan { targets: vec![target], ..plan.clone() };
        let place = plan.place(spec.name.clone(), generation, String::new());
        state.apply(&Batch { at: state.time, commands: vec![place] });
    }
}

/// What is asked to survive does so afterwards, or did not before. The losses that the changed workload survives.
fn check(
    before: &Planner,
    after: &Planner,
    changed: &WorkloadName,
) -> Result<Vec<Loss>, Rejection> {
    let mut survived = Vec::new();
    for (loss, asking) in losses(after.state) {
        let hypothesis = Hypothesis { without: [loss.clone()].into(), ..Hypothesis::default() };
        let then = what_if(after, &hypothesis);
        let mut broken = asking.iter().filter(|name| left(&then, name) > 0).peekable();
        if broken.peek().is_none() {
            survived.extend(asking.contains(changed).then_some(loss));
            continue;
        }
        let now = what_if(before, &hypothesis);
        for name in broken {
            let count = left(&then, name);
            if asked_before(before.state, after.state, name) && left(&now, name) >= count {
                // It would not survive it as things are, as while another datacenter is lost: this makes nothing worse.
                continue;
            }
            return Err(refusal(changed, name, &loss, count, &then));
        }
    }
    Ok(survived)
}

/// How many instances of a workload would be left without a place.
fn left(outcome: &Outcome, name: &WorkloadName) -> u32 {
    let own = outcome.stranded.iter().filter(|stranded| stranded.workload == *name);
    own.map(|stranded| stranded.instances).sum()
}

fn refusal(
    changed: &WorkloadName,
    name: &WorkloadName,
    loss: &Loss,
    count: u32,
    outcome: &Outcome,
) -> Rejection {
    let why = outcome.stranded.iter().find(|stranded| stranded.workload == *name);
    let why = why.map(|stranded| stranded.why.clone()).unwrap_or_default();
    let instances = if count == 1 { "1 instance".to_owned() } else { format!("{count} instances") };
    let would = if name == changed {
        format!("{name} would not survive the loss of {loss}, which its Survive= asks for")
    } else {
        format!("{changed} would take what {name} needs to survive the loss of {loss}")
    };
    let text = format!(
        "{would}: {instances} of {name} would have no place: {why}. More machines, or a higher machines_max where they \
         can be bought, would make room; or fewer instances"
    );
    Rejection::new(RejectionKind::Invalid, text)
}
