//! Workloads: made, changed, deleted.

use std::sync::Arc;

use imbl::OrdMap;

use crate::command::PutWorkload;
use crate::state::{INSTANCES_MAX, WORKLOADS_MAX};
use crate::{EventKind, Instance, InstanceId, Rejection, Revision, State, Workload, WorkloadName};

impl State {
    pub(super) fn put_workload(&mut self, put: &PutWorkload) -> Result<(), Rejection> {
        let name = &put.spec.name;
        let known = self.workloads.get(name);
        check_expected(name, known, put.expected)?;
        if known.is_some_and(|known| known.spec == put.spec) && put.targets.is_empty() {
            return Ok(());
        }
        self.check_limits(put)?;
        self.check_guards(put)?;
        let generation = match known {
            Some(known) if known.spec == put.spec => known.generation,
            Some(known) => known.generation + 1,
            None => 1,
        };
        self.check_targets(&put.spec, &put.targets)?;
        let revision = self.advance();
        let older = self.workloads.get(name).map_or_else(OrdMap::new, |known| {
            let mut older = known.older.clone();
            older.insert(known.generation, Arc::clone(&known.spec));
            older
        });
        let workload = Workload {
            spec: Arc::clone(&put.spec),
            generation,
            revision,
            applied_at: self.time,
            older,
        };
        self.workloads.insert(name.clone(), workload);
        let message = format!("generation {generation}, {} of it", put.spec.count);
        self.note(EventKind::WorkloadApplied, name, message);
        self.resize(&put.spec.name, put.spec.count);
        for target in &put.targets {
            self.give_place(name, target, &put.decision, "applied");
        }
        self.forget_older(name);
        Ok(())
    }

    fn check_limits(&self, put: &PutWorkload) -> Result<(), Rejection> {
        let new = !self.workloads.contains_key(&put.spec.name);
        if new && self.workloads.len() >= WORKLOADS_MAX {
            let text = format!("the mesh has {WORKLOADS_MAX} workloads, the most it may have");
            return Err(Rejection::limit(text));
        }
        let own = self.instances_of(&put.spec.name).count();
        let total = self.instances.len() - own + put.spec.count as usize;
        if total > INSTANCES_MAX {
            let text = format!("the mesh would have {total} instances, at most {INSTANCES_MAX}");
            return Err(Rejection::limit(text));
        }
        Ok(())
    }

    /// A copy that was started without a guard cannot be fenced: it may outlive its lease beside another one.
    fn check_guards(&self, put: &PutWorkload) -> Result<(), Rejection> {
        let name = &put.spec.name;
        let Some(known) = self.workloads.get(name).filter(|_| put.spec.singleton) else {
            return Ok(());
        };
        let unguarded = self.instances_of(name).find(|instance| {
            let placement = instance.placement.as_ref();
            let spec = placement.and_then(|placement| known.spec_of(placement.generation));
            spec.is_some_and(|spec| !spec.singleton)
        });
        unguarded.map_or(Ok(()), |instance| {
            Err(Rejection::invalid(format!(
                "{} was placed without Singleton=yes: it has no guard, so that a second copy could \
                 run beside it; delete {name} first, then apply it anew",
                instance.id
            )))
        })
    }

    /// Makes the workload have exactly `count` instances; those with the highest numbers go first.
    fn resize(&mut self, name: &WorkloadName, count: u32) {
        let surplus: Vec<InstanceId> = self
            .instances_of(name)
            .filter(|instance| instance.id.number > count)
            .map(|instance| instance.id.clone())
            .collect();
        for id in surplus {
            self.remove_instance(&id);
        }
        for number in 1..=count {
            let id = InstanceId::new(name.clone(), number);
            if !self.instances.contains_key(&id) {
                self.instances.insert(id.clone(), Instance::new(id));
            }
        }
    }

    pub(super) fn remove_instance(&mut self, id: &InstanceId) {
        self.release(id);
        self.instances.remove(id);
    }

    pub(super) fn delete_workload(
        &mut self,
        name: &WorkloadName,
        expected: Option<Revision>,
    ) -> Result<(), Rejection> {
        let known = self.workloads.get(name);
        if known.is_none() {
            return Err(Rejection::not_found(format!("there is no workload {name}")));
        }
        check_expected(name, known, expected)?;
        self.advance();
        let instances: Vec<InstanceId> =
            self.instances_of(name).map(|instance| instance.id.clone()).collect();
        for id in &instances {
            self.remove_instance(id);
        }
        self.workloads.remove(name);
        let message = match instances.len() {
            1 => "with its instance".to_owned(),
            several => format!("with its {several} instances"),
        };
        self.note(EventKind::WorkloadDeleted, name, message);
        Ok(())
    }

    /// Drops old specifications that no placement refers to any more.
    pub(super) fn forget_older(&mut self, name: &WorkloadName) {
        let Some(workload) = self.workloads.get(name) else { return };
        if workload.older.is_empty() {
            return;
        }
        let needed: Vec<u64> = self
            .instances_of(name)
            .filter_map(|instance| instance.placement.as_ref())
            .map(|placement| placement.generation)
            .collect();
        let current = workload.generation;
        let kept = workload
            .older
            .iter()
            .filter(|(generation, _)| needed.contains(generation) && **generation != current);
        let older = kept.map(|(generation, spec)| (*generation, Arc::clone(spec))).collect();
        if let Some(workload) = self.workloads.get_mut(name) {
            workload.older = older;
        }
    }
}

fn check_expected(
    name: &WorkloadName,
    known: Option<&Workload>,
    expected: Option<Revision>,
) -> Result<(), Rejection> {
    let found = known.map_or(Revision(0), |known| known.revision);
    match expected {
        Some(expected) if expected != found => Err(Rejection::conflict(match found {
            Revision(0) => format!("{name} does not exist, revision {expected} was expected"),
            _ => format!("{name} is at revision {found}, {expected} was expected"),
        })),
        _ => Ok(()),
    }
}
