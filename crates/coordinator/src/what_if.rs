//! What would become of what runs if a datacenter were lost, had fewer machines, or prices were others: the mesh's own planner on
//! a state that is made up. Pure, and nothing is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use kato_core::{
    Candidate, CellId, DatacenterName, Failover, FailureDomain, Health, InstanceId, Machine,
    MachineId, MicroDollars, Offer, OrderId, Placement, ProviderName, RegionName, Revision, Source,
    State, Suspension, Target, WorkloadName,
};
use kato_placement::Catalogue;

use crate::planner::{Need, Plan, Planner};

/// What is taken to be so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hypothesis {
    /// What is lost.
    pub(crate) without: BTreeSet<Loss>,
    /// The most machines that datacenters have; the emptiest are gone.
    pub(crate) capacity: BTreeMap<DatacenterName, u32>,
    /// Prices that are others.
    pub(crate) prices: Vec<PriceChange>,
}

/// What may be lost at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Loss {
    /// All machines of a datacenter.
    Datacenter(DatacenterName),
    /// All machines of a provider, in all of its regions or in one, wherever they are.
    Provider(ProviderName, Option<RegionName>),
}

impl Loss {
    /// What of this kind would take a placement away.
    pub(crate) fn of(domain: FailureDomain, state: &State, placement: &Placement) -> Self {
        let offer = offer_of(state, placement);
        match domain {
            FailureDomain::Datacenter => Self::Datacenter(placement.cell.datacenter.clone()),
            FailureDomain::Provider => Self::Provider(offer.provider.clone(), None),
            FailureDomain::Region => {
                Self::Provider(offer.provider.clone(), Some(offer.region.clone()))
            }
        }
    }

    /// Whether a placement is lost with it.
    fn takes(&self, state: &State, placement: &Placement) -> bool {
        match self {
            Self::Datacenter(name) => placement.cell.datacenter == *name,
            Self::Provider(..) => self.sells(offer_of(state, placement)),
        }
    }

    /// Whether it is the provider, and the region, of what is sold.
    fn sells(&self, offer: &Offer) -> bool {
        self.covers(&offer.provider, &offer.region)
    }

    fn covers(&self, provider: &ProviderName, region: &RegionName) -> bool {
        match self {
            Self::Datacenter(_) => false,
            Self::Provider(of, within) => {
                of == provider && within.as_ref().is_none_or(|within| within == region)
            }
        }
    }
}

impl fmt::Display for Loss {
    /// As `kato plan --without` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Datacenter(name) => name.fmt(f),
            Self::Provider(provider, None) => write!(f, "provider={provider}"),
            Self::Provider(provider, Some(region)) => write!(f, "region={provider}:{region}"),
        }
    }
}

/// What a placement is on, or is meant to be on.
fn offer_of<'a>(state: &'a State, placement: &'a Placement) -> &'a Offer {
    let machine = placement.machine.as_ref().and_then(|machine| state.machines.get(machine));
    machine.map_or(&placement.quote.offer, |machine| &machine.spec.offer)
}

/// Prices of a provider, in all of its regions or in one, that are others by some percent.
#[derive(Debug, Clone)]
pub(crate) struct PriceChange {
    pub(crate) provider: ProviderName,
    pub(crate) region: Option<RegionName>,
    pub(crate) percent: i32,
}

/// What would come of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// What would be elsewhere.
    pub(crate) moves: Vec<Move>,
    /// What would run nowhere.
    pub(crate) stranded: Vec<Stranded>,
    pub(crate) machines_to_buy: u32,
    /// What the moves add to what is paid.
    pub(crate) adds: MicroDollars,
    /// What is not paid any more: bought machines that are gone, or that nothing would be on.
    pub(crate) saves: MicroDollars,
    /// Whatever would be elsewhere, and the cells that something would go to.
    moved: BTreeSet<InstanceId>,
    entered: BTreeSet<CellId>,
}

/// Instances of one workload that go from one cell to another.
#[derive(Debug, Clone)]
pub(crate) struct Move {
    pub(crate) workload: WorkloadName,
    pub(crate) instances: u32,
    pub(crate) from: CellId,
    pub(crate) to: CellId,
    /// What they cost together, before and then.
    pub(crate) price: (MicroDollars, MicroDollars),
    /// The estimated round-trip time from their users, before and then.
    pub(crate) latency_us: (Option<u32>, Option<u32>),
}

/// Instances of one workload that have no place.
#[derive(Debug, Clone)]
pub(crate) struct Stranded {
    pub(crate) workload: WorkloadName,
    pub(crate) instances: u32,
    pub(crate) from: CellId,
    pub(crate) why: String,
}

/// Asks what would be, of a planner over the state as it is.
pub(crate) fn what_if(planner: &Planner, hypothesis: &Hypothesis) -> Outcome {
    let mut outcome = Outcome::default();
    let mut state = planner.state.clone();
    let gone = take_machines(&mut state, hypothesis);
    take_sellers(&mut state, hypothesis);
    outcome.saves = bought_price(planner.state, &gone);
    let prices = &hypothesis.prices;
    let changed = (!prices.is_empty()).then(|| reprice(&mut state, planner.catalogue, prices));
    let catalogue = changed.as_ref().unwrap_or(planner.catalogue);
    let made_up = Planner { catalogue, ..planner.over(&state) };
    let lost = |placement: &Placement| match &placement.machine {
        Some(machine) => gone.contains(machine),
        None => hypothesis.without.iter().any(|loss| loss.takes(planner.state, placement)),
    };
    let mut needs: Vec<Need> = Vec::new();
    for workload in planner.state.workloads.values() {
        let own = planner.state.instances_of(&workload.spec.name);
        let placed = own.filter_map(|i| Some((&i.id, i.placement.as_ref()?)));
        let mut numbers = Vec::new();
        for (id, placement) in placed {
            match (lost(placement), workload.spec.failover) {
                (true, Failover::Never) => {
                    outcome.strand(&workload.spec.name, placement, "Failover=never: it waits");
                }
                (true, Failover::Auto) => numbers.push(id.number),
                // Where prices are others, everything is looked at anew.
                (false, _) if !prices.is_empty() => numbers.push(id.number),
                (false, _) => {}
            }
        }
        if !numbers.is_empty() {
            needs.push(Need { spec: &workload.spec, numbers });
        }
    }
    for (need, plan) in needs.iter().zip(made_up.all(&needs)) {
        outcome.take(planner.state, need, &plan);
    }
    outcome.saves = outcome.saves + outcome.left_empty(&state, &gone);
    outcome
}

/// Takes away the machines that are gone, and says which.
fn take_machines(state: &mut State, hypothesis: &Hypothesis) -> BTreeSet<MachineId> {
    let mut gone: BTreeSet<MachineId> = BTreeSet::new();
    for loss in &hypothesis.without {
        let lost = state.machines.values().filter(|machine| match loss {
            Loss::Datacenter(name) => machine.spec.id.cell.datacenter == *name,
            Loss::Provider(..) => loss.sells(&machine.spec.offer),
        });
        gone.extend(lost.map(|machine| machine.spec.id.clone()));
    }
    for (name, most) in &hypothesis.capacity {
        let mut machines: Vec<&Machine> = state.machines_of(name).collect();
        // The emptiest go first, as whoever has to give up some would choose.
        machines.sort_by_key(|machine| std::cmp::Reverse(machine.allocated));
        let surplus = machines.iter().skip(*most as usize);
        gone.extend(surplus.map(|machine| machine.spec.id.clone()));
        let kept: Vec<MachineId> =
            machines.iter().take(*most as usize).map(|machine| machine.spec.id.clone()).collect();
        let mut more = most.saturating_sub(u32::try_from(kept.len()).unwrap_or(u32::MAX));
        if let Some(datacenter) = state.datacenters.get_mut(name) {
            for (cell, spec) in &mut datacenter.spec.cells {
                let here = kept.iter().filter(|machine| machine.cell.cell == *cell).count();
                let here = u32::try_from(here).unwrap_or(u32::MAX);
                // What may be had beyond those that there are goes to the first cells that may have it.
                let further = spec.machines_max.saturating_sub(here).min(more);
                spec.machines_max = spec.machines_max.min(here + further);
                more -= further;
            }
        }
    }
    for id in &gone {
        if let Some(machine) = state.machines.get_mut(id) {
            machine.suspended = Some(Suspension { since: Revision::default(), over: true });
        }
    }
    gone
}

/// Takes away datacenters that are lost, and what lost providers sell and have on order.
fn take_sellers(state: &mut State, hypothesis: &Hypothesis) {
    let since = state.time;
    for loss in &hypothesis.without {
        let names: Vec<DatacenterName> = state.datacenters.keys().cloned().collect();
        for name in names {
            let Some(datacenter) = state.datacenters.get_mut(&name) else { continue };
            match loss {
                Loss::Datacenter(lost) if *lost == name => {
                    datacenter.health = Health::Lost { since };
                }
                Loss::Datacenter(_) => {}
                Loss::Provider(..) => {
                    datacenter.spec.regions.retain(|(p, region)| !loss.covers(p, region));
                }
            }
        }
        let lost = state.orders.iter().filter(|(_, order)| loss.sells(&order.offer));
        let lost: Vec<OrderId> = lost.map(|(id, _)| *id).collect();
        for id in lost {
            if let Some(order) = state.orders.remove(&id)
                && let Some(ledger) = state.cells.get_mut(&order.cell)
            {
                ledger.orders.remove(&id);
            }
        }
    }
}

/// What is paid for those of the machines that were bought.
fn bought_price(state: &State, gone: &BTreeSet<MachineId>) -> MicroDollars {
    let bought = gone.iter().filter_map(|id| state.machines.get(id));
    let bought = bought.filter(|machine| machine.spec.order.is_some());
    bought.map(|machine| machine.spec.offer.price_micros_per_hour).sum()
}

/// The catalogue with other prices; machines that run are paid by them too.
fn reprice(state: &mut State, catalogue: &Catalogue, prices: &[PriceChange]) -> Catalogue {
    let ids: Vec<MachineId> = state.machines.keys().cloned().collect();
    for id in ids {
        if let Some(machine) = state.machines.get_mut(&id) {
            machine.spec.offer = repriced(&machine.spec.offer, prices);
        }
    }
    Catalogue::new(catalogue.all_offers().map(|offer| repriced(offer, prices)))
}

fn repriced(offer: &Arc<Offer>, prices: &[PriceChange]) -> Arc<Offer> {
    let of_it = |change: &&PriceChange| {
        change.provider == offer.provider
            && change.region.as_ref().is_none_or(|region| *region == offer.region)
    };
    let mut price = offer.price_micros_per_hour;
    for change in prices.iter().filter(of_it) {
        let factor = 100 + i64::from(change.percent);
        price = MicroDollars((price.0.saturating_mul(factor) / 100).max(1));
    }
    if price == offer.price_micros_per_hour {
        return Arc::clone(offer);
    }
    Arc::new(Offer { price_micros_per_hour: price, ..(**offer).clone() })
}

impl Outcome {
    /// How many instances go elsewhere.
    pub(crate) fn moving(&self) -> u32 {
        self.moves.iter().map(|found| found.instances).sum()
    }

    /// How many instances have no place.
    pub(crate) fn left(&self) -> u32 {
        self.stranded.iter().map(|found| found.instances).sum()
    }

    /// What of a workload has no place.
    pub(crate) fn stranded_of(&self, name: &WorkloadName) -> impl Iterator<Item = &Stranded> {
        self.stranded.iter().filter(move |stranded| stranded.workload == *name)
    }

    /// How many instances of a workload have no place.
    pub(crate) fn left_of(&self, name: &WorkloadName) -> u32 {
        self.stranded_of(name).map(|stranded| stranded.instances).sum()
    }

    /// Counts what a plan does with instances that have a place now.
    fn take(&mut self, state: &State, need: &Need, plan: &Plan) {
        let name = &need.spec.name;
        let placed: BTreeMap<u32, &Target> =
            plan.targets.iter().map(|target| (target.number, target)).collect();
        let mut why = None;
        for number in &need.numbers {
            let id = InstanceId::new(name.clone(), *number);
            let before = state.instances.get(&id).and_then(|found| found.placement.as_ref());
            let Some(before) = before else { continue };
            let Some(target) = placed.get(number) else {
                let why = why.get_or_insert_with(|| plan.decision.to_string()).clone();
                self.strand(name, before, &why);
                continue;
            };
            self.pay(target);
            if target.cell != before.cell {
                self.moved.insert(id);
                self.entered.insert(target.cell.clone());
                self.add_move(name, before, target, plan);
            }
        }
    }

    /// Counts what a place adds to what is paid: that it is on a machine which must be bought.
    fn pay(&mut self, target: &Target) {
        if target.quote.source != Source::Running {
            self.machines_to_buy += u32::from(target.quote.source == Source::Buy);
            self.adds = self.adds + target.quote.adds_by_the_hour();
        }
    }

    /// What is paid for bought machines all of whose instances would be elsewhere, where nothing goes to their cells.
    fn left_empty(&self, state: &State, gone: &BTreeSet<MachineId>) -> MicroDollars {
        let empty = state.machines.values().filter(|machine| {
            machine.spec.order.is_some()
                && !machine.bound.is_empty()
                && !gone.contains(&machine.spec.id)
                && !self.entered.contains(&machine.spec.id.cell)
                && machine.bound.iter().all(|id| self.moved.contains(id))
        });
        empty.map(|machine| machine.spec.offer.price_micros_per_hour).sum()
    }

    fn add_move(&mut self, name: &WorkloadName, before: &Placement, target: &Target, plan: &Plan) {
        let known = self.moves.iter().position(|found| {
            (&found.workload, &found.from, &found.to) == (name, &before.cell, &target.cell)
        });
        let index = known.unwrap_or_else(|| {
            let latency_us = (latency(plan, &before.cell), latency(plan, &target.cell));
            self.moves.push(Move {
                workload: name.clone(),
                instances: 0,
                from: before.cell.clone(),
                to: target.cell.clone(),
                price: (MicroDollars::ZERO, MicroDollars::ZERO),
                latency_us,
            });
            self.moves.len() - 1
        });
        let found = &mut self.moves[index];
        found.instances += 1;
        found.price.0 = found.price.0 + before.quote.price_micros_per_hour;
        found.price.1 = found.price.1 + target.quote.price_micros_per_hour;
    }

    fn strand(&mut self, name: &WorkloadName, before: &Placement, why: &str) {
        let same = |found: &&mut Stranded| found.workload == *name && found.from == before.cell;
        match self.stranded.iter_mut().find(same) {
            Some(found) => found.instances += 1,
            None => self.stranded.push(Stranded {
                workload: name.clone(),
                instances: 1,
                from: before.cell.clone(),
                why: why.to_owned(),
            }),
        }
    }
}

/// The round-trip time that a plan estimates for a cell.
fn latency(plan: &Plan, cell: &CellId) -> Option<u32> {
    let of = |candidate: &&Candidate| {
        candidate.datacenter == cell.datacenter
            && candidate.cell.as_ref().is_none_or(|name| *name == cell.cell)
    };
    plan.decision.candidates.iter().find(of)?.latency_us
}
