//! A mesh that begins anew from a backup. What was agreed on after the backup is not known any more, but machines, providers
//! and storage may remember it: so the new mesh numbers everything higher than the old one can have done, and grants
//! no lease while one that it does not know of may still hold.

use std::collections::BTreeSet;

use crate::version::WITH_RESTORE;
use crate::{
    DatacenterName, Delegation, EventKind, Health, InstanceId, Machine, MachineId, Revision, State,
    Stopping, Suspension, Timestamp,
};

/// Where a revision's high part begins. No mesh ever makes so many changes.
const INCARNATION_SHIFT: u32 = 40;
/// What incarnations count, in milliseconds, and from when on (the year 2020): each restore has one of its own, also a
/// second one from the same backup. Until 2035 revisions fit into what others store with a sign.
const INCARNATION_MS: u64 = 60_000;
const INCARNATION_FROM_MS: u64 = 1_577_836_800_000;

impl Revision {
    /// The high part: when the mesh was restored, in minutes since 2020; 0 where it never was.
    pub fn incarnation(self) -> u64 {
        self.0 >> INCARNATION_SHIFT
    }

    /// Whether it is the one of a restore itself.
    pub fn is_restore(self) -> bool {
        self.0 > 0 && self.0.is_multiple_of(1 << INCARNATION_SHIFT)
    }
}

impl State {
    /// Makes this state, of a backup, the first one of another mesh, at a time of day.
    ///
    /// Every revision from here on is greater than any that the mesh before can have reached: epochs, orders and terms
    /// are revisions. Every placement gets a new epoch, because what was moved or changed after the backup runs at, and has
    /// shown its storage, a greater one than is known here; so each instance is started anew, once. The machines of
    /// datacenters that are `gone` are lost when the quarantine ends.
    pub fn restore(&mut self, at: Timestamp, gone: &BTreeSet<DatacenterName>) {
        let backed_up = self.revision;
        let incarnation = (backed_up.incarnation() + 1)
            .max(at.0.saturating_sub(INCARNATION_FROM_MS) / INCARNATION_MS);
        self.revision = Revision(incarnation << INCARNATION_SHIFT);
        self.time = self.time.max(at);
        self.version = self.version.max(WITH_RESTORE);
        self.identity.get_or_insert(self.time);
        let since = self.revision;
        self.quarantined = Some(since);
        let domain = self.settings.as_ref().map_or_else(String::new, |s| s.domain.clone());
        let message = format!(
            "incarnation {incarnation}, from a backup of revision {backed_up}; \
             no lease is granted while one from before may hold"
        );
        self.note(EventKind::MeshRestored, domain, message);
        // What agents settled for the mesh before is no answer to this one.
        let anew = |(key, found): (&(InstanceId, MachineId), &Stopping)| {
            (key.clone(), Stopping { since, ..*found })
        };
        self.stopping = self.stopping.iter().map(anew).collect();
        self.give_up(gone, since);
        self.take_home();
        self.renew_epochs();
    }

    /// Suspends all machines of datacenters that are gone, and again those that were suspended.
    fn give_up(&mut self, gone: &BTreeSet<DatacenterName>, since: Revision) {
        let anew = |(id, machine): (&MachineId, &Machine)| {
            let mut machine = machine.clone();
            if machine.suspended.is_some() || gone.contains(&id.cell.datacenter) {
                let over = machine.suspended.is_some_and(|suspended| suspended.over);
                machine.suspended = Some(Suspension { since, over });
            }
            (id.clone(), machine)
        };
        self.machines = self.machines.iter().map(anew).collect();
        for name in gone {
            let is_up = self.datacenters.get(name).is_some_and(|found| found.health == Health::Up);
            if is_up && self.machines_of(name).next().is_some() {
                self.set_health(name, Health::Suspected { since: self.time });
                let message = "it is not a member of the restored mesh".to_owned();
                self.note(EventKind::DatacenterSuspected, name, message);
            }
        }
    }

    /// Gives each datacenter to its own coordinator: agents may have seen a later term than this state knows.
    fn take_home(&mut self) {
        let names: Vec<DatacenterName> = self.datacenters.keys().cloned().collect();
        for name in names {
            let term = self.advance();
            if let Some(datacenter) = self.datacenters.get_mut(&name) {
                datacenter.delegation = Some(Delegation { to: name, term });
            }
        }
    }

    fn renew_epochs(&mut self) {
        let placed = self.instances.iter().filter(|(_, found)| found.placement.is_some());
        for id in placed.map(|(id, _)| id.clone()).collect::<Vec<InstanceId>>() {
            let epoch = self.advance();
            let instance = self.instances.get_mut(&id);
            if let Some(placement) = instance.and_then(|instance| instance.placement.as_mut()) {
                placement.epoch = epoch;
            }
        }
    }
}
