//! Which of a workload's wishes cannot hold together: an irreducible set. As things are, no place satisfies all of them, and
//! some place satisfies all but any one.

use std::collections::BTreeSet;

use kato_core::{Arch, SpotPolicy, State, WorkloadSpec};

use crate::planner::{Need, Planner};
use crate::services::options;
use crate::view;

/// The most instances for which it is looked for: each look plans all of them.
const CONFLICT_INSTANCES_MAX: u32 = 256;

/// A wish: its key in the unit, and what takes it away.
type Wish = (&'static str, fn(&mut WorkloadSpec));

/// In the order in which they are given up: what says where and for how much is kept longest, because that is what people
/// change first.
const WISHES: [Wish; 21] = [
    ("CPU", |spec| spec.request.cpu_millis = 1),
    ("Memory", |spec| spec.request.memory_bytes = 1),
    ("Disk", |spec| spec.request.disk_bytes = 0),
    ("GPU", |spec| {
        spec.request.gpus = 0;
        spec.rules.gpus.clear();
    }),
    ("Arch", |spec| spec.rules.arches = [Arch::X86_64, Arch::Arm64].into()),
    ("Spot", |spec| spec.spot = SpotPolicy::Allowed),
    ("OnDemand", |spec| spec.rules.on_demand_min = None),
    ("MaxInterruption", |spec| spec.rules.terms.interruption_percent = None),
    ("MaxBilling", |spec| spec.rules.terms.billed_s = None),
    ("Providers", |spec| spec.rules.providers.clear()),
    ("Labels", |spec| spec.rules.labels.clear()),
    ("Countries", |spec| spec.rules.countries.clear()),
    ("Continents", |spec| spec.rules.continents.clear()),
    ("Datacenters", |spec| spec.datacenters.clear()),
    ("Spread", |spec| spec.rules.spreads.retain(|spread| spread.excess_micros_per_hour.is_some())),
    ("With", |spec| spec.rules.neighbours.retain(|rule| !rule.together)),
    ("Apart", |spec| spec.rules.neighbours.retain(|rule| rule.together)),
    ("MaxPriceAge", |spec| spec.rules.price_age_s_max = None),
    ("MaxTotalPrice", |spec| spec.rules.total_micros_per_hour_max = None),
    ("MaxPrice", |spec| spec.price_micros_per_hour_max = None),
    ("MaxLatency", |spec| spec.latency_ms_max = None),
];

/// What is not a wish of the unit for one instance, but may be what keeps it from a place.
const COUNT: &str = "Count";
const BUDGET: &str = "kato budget";

/// What is asked for, while wishes are taken away.
#[derive(Clone)]
struct Asked {
    spec: WorkloadSpec,
    numbers: Vec<u32>,
    /// Whether the mesh's budget counts.
    budget: bool,
}

impl Asked {
    fn without(&self, key: &str) -> Self {
        let mut asked = self.clone();
        match WISHES.iter().find(|(wish, _)| *wish == key) {
            Some((_, take_away)) => take_away(&mut asked.spec),
            None if key == COUNT => asked.numbers.truncate(1),
            None => asked.budget = false,
        }
        asked
    }

    fn fits(&self, planner: &Planner, rich: &State) -> bool {
        let need = Need { spec: &self.spec, numbers: self.numbers.clone() };
        let state = if self.budget { planner.state } else { rich };
        planner.over(state).all(&[need])[0].left.is_empty()
    }
}

/// The wishes of a workload that cannot hold together, as its unit writes them. It is asked for all of its instances as if
/// none had a place, since those that have one may be what keeps the others from theirs. Nothing where they have places,
/// where there are too many to look, and where they would have none whatever they wish.
pub(crate) fn conflict(planner: &Planner, spec: &WorkloadSpec) -> Vec<String> {
    let numbers = (1..=spec.count).collect();
    let mut asked = Asked { spec: spec.clone(), numbers, budget: true };
    let rich = State { budget: None, ..planner.state.clone() };
    if spec.count > CONFLICT_INSTANCES_MAX || asked.fits(planner, &rich) {
        return Vec::new();
    }
    // What the unit says, then what holds where it says nothing.
    let mut keys: BTreeSet<(bool, &str)> = BTreeSet::new();
    for key in [COUNT].into_iter().chain(WISHES.map(|(key, _)| key)).chain([BUDGET]) {
        // The deletion filter: what is not needed for the contradiction is given up for good, and what is left is
        // irreducible (Chinneck and Dravnieks, 1991).
        let fewer = asked.without(key);
        if fewer.fits(planner, &rich) {
            keys.insert((key != BUDGET && !says(spec, key), key));
        } else {
            asked = fewer;
        }
    }
    let written = |(is_default, key)| {
        let wish = written(spec, planner.state, key);
        if is_default { wish + " (by default)" } else { wish }
    };
    keys.into_iter().map(written).collect()
}

/// Whether a unit has a line of a key.
fn says(spec: &WorkloadSpec, key: &str) -> bool {
    let mut lines = spec.unit.lines();
    let has = |line: &str| line.split_once('=').is_some_and(|(found, _)| found.trim() == key);
    lines.any(has)
}

/// A wish as its unit writes it.
fn written(spec: &WorkloadSpec, state: &State, key: &str) -> String {
    match (key, state.budget) {
        (COUNT, _) => format!("Count={}", spec.count),
        (BUDGET, Some(budget)) => format!("{BUDGET} {}", budget.max_micros_per_hour),
        _ => {
            let options = options(&view::spec(spec));
            let lines = options.into_iter().filter(|(of, _)| *of == key);
            let lines: Vec<String> = lines.map(|(key, value)| format!("{key}={value}")).collect();
            // The one that has a meaning where it is left out.
            if lines.is_empty() { format!("{key}={}", Arch::X86_64) } else { lines.join(" ") }
        }
    }
}
