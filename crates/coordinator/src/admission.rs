//! Whether a workload may be applied: it must be within the budgets, and what `Survive=` promises must be so, for it and for
//! all that were applied before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kato_core::{
    Batch, Command, Instance, MicroDollars, Placement, Rejection, RejectionKind, State,
    WorkloadName, WorkloadSpec,
};

use crate::planner::{Need, Plan, Planner};
use crate::what_if::{Hypothesis, Loss, Outcome, what_if};

/// The losses that a workload survives once a plan for it is carried out: none if it does not ask. Refused where it would
/// not survive one of them, or where it would take the room that another one needs for that; and where the budgets leave
/// some of it without a place.
pub(crate) fn admit(
    planner: &Planner,
    spec: &Arc<WorkloadSpec>,
    plan: &Plan,
) -> Result<Vec<Loss>, Rejection> {
    check_budgets(planner, spec, plan)?;
    if spec.rules.survives.is_none() && !is_asked(planner.state) {
        return Ok(Vec::new());
    }
    let mut state = planner.state.clone();
    let put = plan.clone().put(Arc::clone(spec), None);
    state.apply(&Batch { at: state.time, commands: vec![put] }).remove(0)?;
    if let Some(domain) = spec.rules.survives
        && !plan.left.is_empty()
        && !asked_before(planner.state, &state, &spec.name)
    {
        let WorkloadSpec { name, count, .. } = &**spec;
        let text = format!(
            "Survive=1 {domain}: {} of the {count} instances of {name} have no place even while nothing is lost: {}",
            plan.unplaced(),
            plan.decision
        );
        return Err(Rejection::new(RejectionKind::Invalid, text));
    }
    roll_out(planner, &mut state, spec);
    check(planner, &planner.over(&state), &spec.name)
}

/// What has no place because of a budget, and had one before or is new, is refused.
fn check_budgets(planner: &Planner, spec: &WorkloadSpec, plan: &Plan) -> Result<(), Rejection> {
    let total_max = spec.rules.total_micros_per_hour_max;
    let state = planner.state;
    let is_homeless = |instance: &&Instance| instance.placement.is_none();
    let before = state.instances_of(&spec.name).filter(is_homeless).count();
    let known = state.workloads.contains_key(&spec.name);
    let is_limited = total_max.is_some() || state.budget.is_some();
    if !is_limited || plan.left.is_empty() || (known && plan.left.len() <= before) {
        return Ok(());
    }
    let mut without = state.clone();
    without.budget = None;
    let mut rich = spec.clone();
    rich.rules.total_micros_per_hour_max = None;
    let all = planner.over(&without).put(&rich);
    if all.placed() <= plan.placed() {
        return Ok(());
    }
    let WorkloadSpec { name, count, .. } = spec;
    let left =
        format!("{} of the {count} instances of {name} would have no place", plan.unplaced());
    let staying = state.instances_of(name).filter_map(|found| found.placement.as_ref());
    let paid: MicroDollars = staying.map(|placed| placed.quote.price_micros_per_hour).sum();
    let total = paid + all.price();
    let text = match (total_max, state.budget_left()) {
        (Some(max), _) if total > max => format!(
            "{left}: all of them cost {total}/h, {}/h over MaxTotalPrice={max}",
            total - max
        ),
        (_, Some(rest)) => format!(
            "{left}: machines for {}/h would have to be bought, {}/h more than the mesh's budget has left. `kato budget` \
             shows and changes it",
            all.to_buy(),
            all.to_buy() - rest
        ),
        _ => return Ok(()),
    };
    Err(Rejection::new(RejectionKind::Invalid, text))
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
        let mut broken = asking.iter().filter(|name| then.left_of(name) > 0).peekable();
        if broken.peek().is_none() {
            survived.extend(asking.contains(changed).then_some(loss));
            continue;
        }
        let now = what_if(before, &hypothesis);
        for name in broken {
            let count = then.left_of(name);
            if asked_before(before.state, after.state, name) && now.left_of(name) >= count {
                // It would not survive it as things are, as while another datacenter is lost: this makes nothing worse.
                continue;
            }
            return Err(refusal(changed, name, &loss, count, &then));
        }
    }
    Ok(survived)
}

fn refusal(
    changed: &WorkloadName,
    name: &WorkloadName,
    loss: &Loss,
    count: u32,
    outcome: &Outcome,
) -> Rejection {
    let why = outcome.stranded_of(name).next().map_or("", |stranded| &stranded.why);
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
