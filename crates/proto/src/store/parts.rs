//! A state in parts of a bounded size, so that who writes or reads a snapshot holds a few items and not all of them.
//! A decision that many instances share is stored once, ahead of the first of them.

use std::iter::Peekable;
use std::sync::Arc;

use kato_core::{
    Agreed, Budget, Decision, Instance, InstanceId, MachineId, MicroDollars, Placement, Revision,
    State, Stopping, Timestamp, version,
};
use prost::Message as _;

use super::check_version;
use super::state::instance_from_stored;
use super::topology::{order_from_stored, order_to_stored};
use crate::{Field, InvalidMessage, store_v1 as pb};

/// The most items in one part.
const PART_ITEMS_MAX: usize = 512;
/// A part is closed once it takes this much, in bytes.
const PART_BYTES: usize = 128 * 1024;

/// What there is one of in a state.
pub fn head(state: &State) -> pb::State {
    pb::State {
        version: state.version,
        revision: state.revision.0,
        time_unix_ms: state.time.0,
        settings: state.settings.as_ref().map(Into::into),
        timing: state.agreed.as_ref().map(|agreed| (&agreed.timing).into()),
        timing_since: state.agreed.map_or(0, |agreed| agreed.since.0),
        budget: state.budget.map(|budget| pb::Budget {
            max_micros_per_hour: budget.max_micros_per_hour.0,
            since: budget.since.0,
        }),
        quarantined: state.quarantined.map(|since| since.0),
        identity_unix_ms: state.identity.map(|at| at.0),
        ..pb::State::default()
    }
}

/// All items of a state, a bounded number at a time, and how many each part has.
pub fn parts(state: &State) -> impl Iterator<Item = (pb::State, usize)> + Send + '_ {
    Parts { items: items(state).peekable() }
}

/// One thing of a state's lists.
enum Item {
    Datacenter(pb::Datacenter),
    Machine(Box<pb::Machine>),
    Workload(Box<pb::Workload>),
    Instance(Box<pb::Instance>, Vec<pb::Decision>),
    Order(pb::Order),
    Stopping(pb::Stopping),
    Event(pb::Event),
}

impl Item {
    /// What it takes in a part, about.
    fn bytes(&self) -> usize {
        match self {
            Self::Datacenter(found) => found.encoded_len(),
            Self::Machine(found) => found.encoded_len(),
            Self::Workload(found) => found.encoded_len(),
            Self::Instance(found, decisions) => {
                found.encoded_len() + decisions.iter().map(pb::Decision::encoded_len).sum::<usize>()
            }
            Self::Order(found) => found.encoded_len(),
            Self::Stopping(found) => found.encoded_len(),
            Self::Event(found) => found.encoded_len(),
        }
    }

    fn put(self, part: &mut pb::State) {
        match self {
            Self::Datacenter(found) => part.datacenters.push(found),
            Self::Machine(found) => part.machines.push(*found),
            Self::Workload(found) => part.workloads.push(*found),
            Self::Instance(found, decisions) => {
                part.decisions.extend(decisions);
                part.instances.push(*found);
            }
            Self::Order(found) => part.orders.push(found),
            Self::Stopping(found) => part.stopping.push(found),
            Self::Event(found) => part.events.push(found),
        }
    }
}

struct Parts<I: Iterator<Item = Item>> {
    items: Peekable<I>,
}

impl<I: Iterator<Item = Item>> Iterator for Parts<I> {
    type Item = (pb::State, usize);

    fn next(&mut self) -> Option<Self::Item> {
        self.items.peek()?;
        let (mut part, mut bytes, mut count) = (pb::State::default(), 0, 0);
        while count < PART_ITEMS_MAX && bytes < PART_BYTES {
            let Some(item) = self.items.next() else { break };
            bytes += item.bytes();
            count += 1;
            item.put(&mut part);
        }
        Some((part, count))
    }
}

fn items(state: &State) -> impl Iterator<Item = Item> + Send + '_ {
    let mut decisions = Decisions::default();
    let instances = state.instances.values().map(move |instance| {
        let stored = decisions.instance(instance);
        Item::Instance(Box::new(stored), std::mem::take(&mut decisions.fresh))
    });
    let datacenters = state.datacenters.values().map(|found| Item::Datacenter(found.into()));
    let machines = state.machines.values().map(|found| Item::Machine(Box::new(found.into())));
    let workloads = state.workloads.values().map(|found| Item::Workload(Box::new(found.into())));
    let orders = state.orders.iter().map(|(id, order)| Item::Order(order_to_stored(*id, order)));
    let stopping = state.stopping.iter().map(|found| Item::Stopping(stopping_to_stored(found)));
    let events = state.events.iter().map(|event| Item::Event(event.into()));
    let things = datacenters.chain(machines).chain(workloads);
    things.chain(instances).chain(orders).chain(stopping).chain(events)
}

fn stopping_to_stored(
    ((instance, machine), stopping): (&(InstanceId, MachineId), &Stopping),
) -> pb::Stopping {
    pb::Stopping {
        instance: instance.to_string(),
        machine: machine.to_string(),
        since: stopping.since.0,
        guarded: stopping.guarded,
    }
}

/// The decisions that were stored so far.
#[derive(Default)]
struct Decisions<'a> {
    count: u32,
    last: Option<&'a Arc<Decision>>,
    /// Those that nothing referred to before.
    fresh: Vec<pb::Decision>,
}

impl<'a> Decisions<'a> {
    /// The decision's place in the list. Instances of one workload are neighbours and share the latest one.
    fn place(&mut self, decision: &'a Arc<Decision>) -> u32 {
        // Equal ones are one, shared or not: which instances share memory is this node's own affair.
        if !self.last.is_some_and(|last| Arc::ptr_eq(last, decision) || **last == **decision) {
            self.last = Some(decision);
            self.count += 1;
            self.fresh.push((&**decision).into());
        }
        self.count - 1
    }

    fn instance(&mut self, instance: &'a Instance) -> pb::Instance {
        let refusals = instance.refusals.iter();
        pb::Instance {
            id: instance.id.to_string(),
            placement: instance.placement.as_ref().map(|placement| self.placement(placement)),
            unplaceable: instance.unplaceable.as_ref().map(|unplaceable| pb::Unplaceable {
                since_unix_ms: unplaceable.since.0,
                decision: self.place(&unplaceable.decision),
            }),
            refusals_until_unix_ms: refusals.map(|(cell, at)| (cell.to_string(), at.0)).collect(),
        }
    }

    fn placement(&mut self, placement: &'a Placement) -> pb::Placement {
        pb::Placement {
            cell: placement.cell.to_string(),
            machine: placement.machine.as_ref().map(ToString::to_string),
            epoch: placement.epoch.0,
            generation: placement.generation,
            request: Some(placement.request.into()),
            quote: Some((&placement.quote).into()),
            decision: self.place(&placement.decision),
            order: placement.order.map(|order| order.0),
            placed_at_unix_ms: placement.placed_at.0,
        }
    }
}

/// Puts a state together again from its head and its parts, in their order.
pub struct StateReader {
    state: State,
    decisions: Vec<Arc<Decision>>,
}

impl StateReader {
    /// Begins with what there is one of, for whoever knows mesh versions up to `known`.
    pub fn new(head: &pb::State, known: u32) -> Result<Self, InvalidMessage> {
        check_version("a state", head.version, known)?;
        let state = State {
            version: head.version,
            revision: Revision(head.revision),
            time: Timestamp(head.time_unix_ms),
            settings: head.settings.clone().map(Into::into),
            agreed: head
                .timing
                .map(|timing| Agreed { timing: timing.into(), since: Revision(head.timing_since) }),
            budget: head.budget.map(|budget| Budget {
                max_micros_per_hour: MicroDollars(budget.max_micros_per_hour),
                since: Revision(budget.since),
            }),
            quarantined: head.quarantined.map(Revision),
            identity: head.identity_unix_ms.map(Timestamp),
            ..State::default()
        };
        Ok(Self { state, decisions: Vec::new() })
    }

    /// Adds a part, and says how many items it had.
    pub fn add(&mut self, part: pb::State) -> Result<usize, InvalidMessage> {
        let lengths = [
            part.datacenters.len(),
            part.machines.len(),
            part.workloads.len(),
            part.instances.len(),
            part.orders.len(),
            part.stopping.len(),
            part.events.len(),
        ];
        let state = &mut self.state;
        for datacenter in part.datacenters {
            let datacenter: kato_core::Datacenter = datacenter.try_into()?;
            state.datacenters.insert(datacenter.spec.name.clone(), datacenter);
        }
        for machine in part.machines {
            let machine: kato_core::Machine = machine.try_into()?;
            state.machines.insert(machine.spec.id.clone(), machine);
        }
        for workload in part.workloads {
            let workload: kato_core::Workload = workload.try_into()?;
            state.workloads.insert(workload.spec.name.clone(), workload);
        }
        for decision in part.decisions {
            self.decisions.push(Arc::new(decision.try_into()?));
        }
        for instance in part.instances {
            let instance = instance_from_stored(instance, &self.decisions)?;
            state.instances.insert(instance.id.clone(), instance);
        }
        for order in part.orders {
            let (id, order) = order_from_stored(order)?;
            state.orders.insert(id, order);
        }
        for stopping in part.stopping {
            let machine = stopping.machine.parse().field("stopping.machine")?;
            let key = (stopping.instance.parse().field("stopping.instance")?, machine);
            let since = Revision(stopping.since);
            state.stopping.insert(key, Stopping { since, guarded: stopping.guarded });
        }
        for event in part.events {
            state.events.push_back(event.try_into()?);
        }
        Ok(lengths.into_iter().sum())
    }

    /// The state, once every part was added.
    pub fn finish(self) -> State {
        self.state.with_ledgers()
    }
}

impl From<&State> for pb::State {
    fn from(state: &State) -> Self {
        let mut whole = head(state);
        items(state).for_each(|item| item.put(&mut whole));
        whole
    }
}

impl TryFrom<pb::State> for State {
    type Error = InvalidMessage;

    fn try_from(stored: pb::State) -> Result<Self, InvalidMessage> {
        let mut reader = StateReader::new(&stored, version::NEWEST)?;
        reader.add(stored)?;
        Ok(reader.finish())
    }
}
