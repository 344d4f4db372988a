//! Instances: given a place, bound to a machine, refused, moved. The ledgers of cells and machines change here
//! and nowhere else.

use std::sync::Arc;

use crate::command::{Place, Target};
use crate::state::INSTANCES_PER_MACHINE_MAX;
use crate::{
    Decision, EventKind, Flaw, InstanceId, MachineId, OrderId, Placement, Rejection, Resources,
    Revision, Source, State, Stopping, Timestamp, Unplaceable, WorkloadName, WorkloadSpec,
};

impl State {
    pub(super) fn place(&mut self, place: &Place) -> Result<(), Rejection> {
        let name = &place.workload;
        let Some(workload) = self.workloads.get(name) else {
            return Err(Rejection::not_found(format!("there is no workload {name}")));
        };
        if workload.generation != place.generation {
            let text = format!(
                "{name} is at generation {}, the decision was made for {}",
                workload.generation, place.generation
            );
            return Err(Rejection::conflict(text));
        }
        let spec = Arc::clone(&workload.spec);
        self.check_targets(&spec, &place.targets)?;
        if place.targets.is_empty() {
            return Ok(());
        }
        self.advance();
        for target in &place.targets {
            self.give_place(name, target, &place.decision, &place.cause);
        }
        self.forget_older(name);
        Ok(())
    }

    /// Checks that the instances are as the decision saw them, and that the cells have room for them.
    pub(super) fn check_targets(
        &self,
        spec: &WorkloadSpec,
        targets: &[Target],
    ) -> Result<(), Rejection> {
        let mut taken: Vec<(&crate::CellId, Resources, u32)> = Vec::new();
        for (position, target) in targets.iter().enumerate() {
            let id = InstanceId::new(spec.name.clone(), target.number);
            if !(1..=spec.count).contains(&target.number)
                || targets[..position].iter().any(|earlier| earlier.number == target.number)
            {
                return Err(Rejection::invalid(format!("{id} is not to be placed, or twice")));
            }
            let epoch = self.instances.get(&id).and_then(crate::Instance::epoch);
            if epoch != target.epoch {
                return Err(Rejection::conflict(format!("{id} has been placed meanwhile")));
            }
            let buys = u32::from(target.quote.source == Source::Buy);
            if target.quote.source != Source::Running && self.runs(&id) {
                // never-none: a machine that nobody has sold yet is no place for what runs.
                let text = format!("{id} runs: its next machine must be ordered, and join, first");
                return Err(Rejection::conflict(text));
            }
            self.check_share(&spec.name, &targets[..position], target)?;
            match taken.iter_mut().find(|(cell, ..)| **cell == target.cell) {
                Some((_, request, bought)) => {
                    *request = *request + spec.request;
                    *bought += buys;
                }
                None => taken.push((&target.cell, spec.request, buys)),
            }
        }
        let bought = targets.iter().filter(|target| target.quote.source == Source::Buy);
        self.check_budget(bought.map(|target| target.quote.offer.price_micros_per_hour).sum())?;
        for (cell, request, bought) in taken {
            self.check_room(spec, targets, cell, request, bought)?;
        }
        Ok(())
    }

    /// Checks that a target shares a machine that is on order in its cell, or does not say that it shares one.
    fn check_share(
        &self,
        name: &WorkloadName,
        earlier: &[Target],
        target: &Target,
    ) -> Result<(), Rejection> {
        let shared = target.quote.source == Source::Shared;
        let Some(with) = target.with.as_ref().filter(|_| shared) else {
            let fits = !shared && target.with.is_none();
            let text = || format!("{name}@{}: with whom does it share a machine?", target.number);
            return if fits { Ok(()) } else { Err(Rejection::invalid(text())) };
        };
        let by_target = earlier.iter().any(|other| {
            let waits = other.quote.source != Source::Running && other.cell == target.cell;
            waits && with.workload == *name && with.number == other.number
        });
        if by_target || self.order_of(with, &target.cell).is_some() {
            return Ok(());
        }
        Err(Rejection::conflict(format!("no machine is on order for {with} in {}", target.cell)))
    }

    /// The order for the machine that an instance waits for in a cell.
    fn order_of(&self, id: &InstanceId, cell: &crate::CellId) -> Option<OrderId> {
        let placement = self.instances.get(id)?.placement.as_ref()?;
        let order = placement.order.filter(|order| self.orders.contains_key(order))?;
        (placement.cell == *cell && placement.machine.is_none()).then_some(order)
    }

    /// Checks that a cell has room for all targets in it, machines to buy and what moves away counted in.
    fn check_room(
        &self,
        spec: &WorkloadSpec,
        targets: &[Target],
        cell: &crate::CellId,
        request: Resources,
        bought: u32,
    ) -> Result<(), Rejection> {
        self.check_machines(cell, bought as usize)?;
        let here = targets.iter().filter(|target| target.cell == *cell);
        let buys = here.clone().filter(|target| target.quote.source == Source::Buy);
        let ordered: Resources = buys.map(|target| target.quote.offer.capacity).sum();
        let leaving = here.filter_map(|target| {
            let id = InstanceId::new(spec.name.clone(), target.number);
            let old = self.instances.get(&id)?.placement.as_ref()?;
            (old.cell == *cell && self.gives_back(old)).then_some(old.request)
        });
        let free = self.cell_free(cell) + ordered + leaving.sum();
        if request.fits(free) {
            Ok(())
        } else {
            Err(Rejection::conflict(format!("{cell} has {free} left, {request} are asked for")))
        }
    }

    /// Whether an instance is bound to a machine that gets leases.
    fn runs(&self, id: &InstanceId) -> bool {
        let placement = self.instances.get(id).and_then(|instance| instance.placement.as_ref());
        placement.is_some_and(|placement| placement.machine.is_some() && self.gives_back(placement))
    }

    /// Whether a placement's end makes room: one on a suspended machine does not.
    fn gives_back(&self, placement: &Placement) -> bool {
        let machine = placement.machine.as_ref().and_then(|machine| self.machines.get(machine));
        machine.is_none_or(|machine| machine.suspended.is_none())
    }

    /// Gives an instance its place at the present revision. The checks were made before.
    pub(super) fn give_place(
        &mut self,
        name: &WorkloadName,
        target: &Target,
        decision: &Arc<Decision>,
        cause: &str,
    ) {
        let id = InstanceId::new(name.clone(), target.number);
        let Some(workload) = self.workloads.get(name) else { return };
        let now = self.time;
        let (generation, request) = (workload.generation, workload.spec.request);
        let before = self.instances.get(&id).and_then(crate::Instance::epoch);
        let from = self.release(&id);
        // Every placement has its own revision, so that no two epochs are equal.
        let fresh = self.advance();
        let epoch = before.filter(|_| Flaw::KeptEpoch.is_made()).unwrap_or(fresh);
        let with = target.with.as_ref();
        let order = match target.quote.source {
            Source::Running => None,
            Source::Shared => with.and_then(|with| self.order_of(with, &target.cell)),
            Source::Buy => {
                let order = OrderId(epoch.0);
                self.place_order(order, &target.cell, &target.quote.offer, &id);
                Some(order)
            }
        };
        if let Some(ledger) = self.cells.get_mut(&target.cell) {
            ledger.unbound.insert(id.clone());
            ledger.waiting = ledger.waiting + request;
        }
        if let Some(instance) = self.instances.get_mut(&id) {
            instance.unplaceable = None;
            // A refusal lasts as long as it says, wherever the instance goes meanwhile: two cells that refuse it
            // would otherwise hand it to and fro.
            instance.refusals.retain(|_, until| *until > now);
            instance.placement = Some(Placement {
                cell: target.cell.clone(),
                machine: None,
                epoch,
                generation,
                request,
                quote: target.quote.clone(),
                decision: Arc::clone(decision),
                order,
                placed_at: self.time,
            });
        }
        let to = &target.cell;
        let price = target.quote.price_micros_per_hour;
        let (kind, message) = match from {
            None => (EventKind::InstancePlaced, format!("in {to} at {price}/h: {cause}")),
            Some(from) => {
                (EventKind::InstanceMoved, format!("from {from} to {to} at {price}/h: {cause}"))
            }
        };
        self.note(kind, &id, format!("{message}, epoch {epoch}"));
    }

    /// Takes an instance's placement off the ledgers, and says where it was. Its machine is remembered until its agent
    /// says that it stopped it.
    pub(super) fn release(&mut self, id: &InstanceId) -> Option<crate::CellId> {
        let placement = self.instances.get_mut(id)?.placement.take()?;
        if let Some(machine) = &placement.machine {
            let workload = self.workloads.get(&id.workload);
            let spec = workload.and_then(|workload| workload.spec_of(placement.generation));
            let guarded = spec.is_some_and(|spec| spec.singleton);
            let suspended = self.machines.get(machine).and_then(|machine| machine.suspended);
            // A guard has ended what it guards by then; until then the lease may hold, suspended or not.
            if !(guarded && suspended.is_some_and(|suspended| suspended.over)) {
                let stopping = Stopping { since: self.revision, guarded };
                self.stopping.insert((id.clone(), machine.clone()), stopping);
            }
        }
        if let Some(cell) = self.cells.get_mut(&placement.cell)
            && cell.unbound.remove(id).is_some()
        {
            cell.waiting = cell.waiting - placement.request;
        }
        if let Some(machine) = placement.machine.as_ref()
            && let Some(machine) = self.machines.get_mut(machine)
        {
            machine.bound.remove(id);
            machine.allocated = machine.allocated - placement.request;
        }
        Some(placement.cell)
    }

    pub(super) fn mark_unplaceable(
        &mut self,
        id: &InstanceId,
        epoch: Option<Revision>,
        decision: &Arc<Decision>,
    ) -> Result<(), Rejection> {
        let since = self.time;
        let instance = self.instance_at(id, epoch)?;
        let known = instance.unplaceable.as_ref();
        if known.is_some_and(|known| known.decision.candidates == decision.candidates) {
            return Ok(());
        }
        let since = known.map_or(since, |known| known.since);
        instance.unplaceable = Some(Unplaceable { since, decision: Arc::clone(decision) });
        self.advance();
        self.note(EventKind::InstanceUnplaceable, id, decision.to_string());
        Ok(())
    }

    pub(super) fn bind(
        &mut self,
        id: &InstanceId,
        epoch: Revision,
        machine: &MachineId,
    ) -> Result<(), Rejection> {
        let placement = self.placement_at(id, epoch)?;
        match &placement.machine {
            Some(bound) if bound == machine => return Ok(()),
            Some(bound) => {
                return Err(Rejection::conflict(format!("{id} is bound to {bound} already")));
            }
            None => {}
        }
        let (cell, request) = (placement.cell.clone(), placement.request);
        let Some(found) = self.machines.get(machine).filter(|_| machine.cell == cell) else {
            return Err(Rejection::not_found(format!("{cell} has no machine {machine}")));
        };
        if found.suspended.is_some() {
            return Err(Rejection::conflict(format!("{machine} is suspended")));
        }
        if !request.fits(found.free()) {
            let text = format!("{machine} has {} left, {id} asks for {request}", found.free());
            return Err(Rejection::conflict(text));
        }
        if found.bound.len() >= INSTANCES_PER_MACHINE_MAX {
            let text = format!("{machine} has {INSTANCES_PER_MACHINE_MAX} instances, its most");
            return Err(Rejection::limit(text));
        }
        if let Some(from) = self.kept_from(id, machine) {
            return Err(Rejection::conflict(format!("{id} may still run on {from}")));
        }
        self.advance();
        if let Some(found) = self.machines.get_mut(machine) {
            found.bound.insert(id.clone());
            found.allocated = found.allocated + request;
        }
        if let Some(ledger) = self.cells.get_mut(&cell) {
            ledger.unbound.remove(id);
            ledger.waiting = ledger.waiting - request;
        }
        if let Some(placement) =
            self.instances.get_mut(id).and_then(|instance| instance.placement.as_mut())
        {
            placement.machine = Some(machine.clone());
        }
        if let Some(instance) = self.instances.get_mut(id) {
            instance.unplaceable = None;
        }
        self.note(EventKind::InstanceBound, id, format!("to {machine}"));
        Ok(())
    }

    pub(super) fn refuse(
        &mut self,
        id: &InstanceId,
        epoch: Revision,
        retry_after_ms: u64,
    ) -> Result<(), Rejection> {
        let placement = self.placement_at(id, epoch)?;
        if let Some(machine) = &placement.machine {
            return Err(Rejection::conflict(format!("{id} is bound to {machine}")));
        }
        self.advance();
        if let Some(cell) = self.release(id) {
            self.note(EventKind::InstanceRefused, id, format!("{cell} found no machine for it"));
            self.remember_refusal(id, cell, retry_after_ms);
        }
        Ok(())
    }

    /// The cell is not asked again for a while, by the time of the log.
    pub(super) fn remember_refusal(
        &mut self,
        id: &InstanceId,
        cell: crate::CellId,
        retry_after_ms: u64,
    ) {
        let until = Timestamp(self.time.0.saturating_add(retry_after_ms));
        if let Some(instance) = self.instances.get_mut(id) {
            instance.refusals.insert(cell, until);
        }
    }

    fn instance_at(
        &mut self,
        id: &InstanceId,
        epoch: Option<Revision>,
    ) -> Result<&mut crate::Instance, Rejection> {
        match self.instances.get_mut(id) {
            None => Err(Rejection::not_found(format!("there is no instance {id}"))),
            Some(found) if found.epoch() == epoch => Ok(found),
            Some(_) => Err(Rejection::conflict(format!("{id} has been placed meanwhile"))),
        }
    }

    pub(super) fn placement_at(
        &self,
        id: &InstanceId,
        epoch: Revision,
    ) -> Result<&Placement, Rejection> {
        let Some(instance) = self.instances.get(id) else {
            return Err(Rejection::not_found(format!("there is no instance {id}")));
        };
        match &instance.placement {
            Some(placement) if placement.epoch == epoch => Ok(placement),
            _ => Err(Rejection::conflict(format!("{id} is not at epoch {epoch} any more"))),
        }
    }
}
