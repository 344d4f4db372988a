//! A small mesh to decide about: three datacenters with two machines each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kato_core::{
    Batch, CellSpec, Command, DatacenterName, DatacenterSpec, InstanceId, MachineId, MachineSpec,
    Offer, Resources, Settings, State, Timestamp, WorkloadSpec, version,
};
use kato_placement::Catalogue;
use kato_raft::Timing;
use kato_units::parse_workload;

use crate::agents::{RunState, Seen};
use crate::distances::Distances;
use crate::planner::Planner;
use crate::reports::{MachineReport, Report};
use crate::sample::offer;
use crate::timing::Patience;

pub(super) const SITES: [(&str, &str); 3] =
    [("dub", "53.4,-6.3"), ("ewr", "40.7,-74.2"), ("sin", "1.4,104.0")];

/// Of a machine, in micro-dollars an hour.
pub(super) const PRICE: i64 = 107_000;

pub(super) type Reports = BTreeMap<DatacenterName, Arc<Report>>;

/// A state under test.
pub(super) struct World {
    pub(super) state: State,
    pub(super) catalogue: Catalogue,
    pub(super) patience: Patience,
    /// What was measured between datacenters.
    pub(super) distances: Distances,
    /// Datacenters whose coordinators are not heard.
    pub(super) silent: BTreeSet<DatacenterName>,
}

pub(super) fn name(text: &str) -> DatacenterName {
    text.parse().unwrap()
}

pub(super) fn instance(text: &str) -> InstanceId {
    text.parse().unwrap()
}

pub(super) fn machine(site: &str, number: u32) -> MachineId {
    format!("core-{number}.cell-1.{site}").parse().unwrap()
}

/// A specification from the text of an `[X-Kato]` section.
pub(super) fn spec(name: &str, options: &str) -> Arc<WorkloadSpec> {
    let text = format!("[Service]\nExecStart=/bin/true\n[X-Kato]\n{options}");
    let resolve = |_: &str| Err("nowhere".to_owned());
    let parsed = parse_workload(&format!("{name}@.service"), &text, &resolve).unwrap();
    Arc::new(parsed.spec)
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self {
            state: State::default(),
            // Nothing can be bought, unless a test says so.
            catalogue: Catalogue::new(Vec::<Arc<Offer>>::new()),
            silent: BTreeSet::new(),
            patience: Patience::from(Timing::for_rtt_ms(5).unwrap()),
            distances: Distances::default(),
        };
        world.run(Command::RaiseVersion { to: version::NEWEST });
        let lease_ms = u64::try_from(world.patience.lease.as_millis()).unwrap();
        world.run(Command::Found(Settings { domain: "demo.com".to_owned(), lease_ms }));
        for (site, location) in SITES {
            world.run(Command::RegisterDatacenter(DatacenterSpec {
                name: name(site),
                location: location.parse().unwrap(),
                address: "127.0.0.1:1".to_owned(),
                regions: [("ec2".parse().unwrap(), site.parse().unwrap())].into(),
                cells: [(
                    "cell-1".parse().unwrap(),
                    CellSpec { machines_max: 4, ..CellSpec::default() },
                )]
                .into(),
                country: None,
                labels: BTreeMap::new(),
            }));
            for number in 1..=2 {
                world.run(Command::JoinMachine(MachineSpec {
                    id: machine(site, number),
                    resources: Resources::new(2_000, 8_192),
                    offer: offer(site, PRICE),
                    address: "127.0.0.1".to_owned(),
                    incarnation: 1,
                    order: None,
                }));
            }
        }
        world
    }

    /// Lets every site buy machines.
    pub(super) fn sell(&mut self) {
        self.sell_in(&SITES.map(|(site, _)| site));
    }

    /// Lets these sites alone buy machines.
    pub(super) fn sell_in(&mut self, sites: &[&str]) {
        self.catalogue = Catalogue::new(sites.iter().map(|site| offer(site, PRICE)));
    }

    /// Applies a command that must be taken.
    pub(super) fn run(&mut self, command: Command) {
        let at = Timestamp(self.state.time.0 + 1);
        let shown = format!("{command:?}");
        let outcome = self.state.apply(&Batch { at, commands: vec![command] }).remove(0);
        assert!(outcome.is_ok(), "{shown}: {outcome:?}");
    }

    pub(super) fn planner(&self) -> Planner<'_> {
        let silent = self.silent.clone();
        let distances = Arc::new(self.distances.clone());
        Planner {
            state: &self.state,
            catalogue: &self.catalogue,
            now: self.state.time,
            distances,
            silent,
        }
    }

    /// Applies a workload and binds what was placed.
    pub(super) fn put(&mut self, spec: &Arc<WorkloadSpec>) {
        let plan = self.planner().put(spec);
        self.run(plan.put(Arc::clone(spec), None));
        self.bind();
    }

    /// Lets every datacenter bind what waits in it.
    pub(super) fn bind(&mut self) {
        for (site, _) in SITES {
            for command in super::super::bind::decide(&self.state, &name(site)) {
                self.run(command);
            }
        }
    }

    /// Where an instance is placed.
    pub(super) fn site_of(&self, id: &str) -> Option<String> {
        let placement = self.state.instances[&instance(id)].placement.as_ref()?;
        Some(placement.cell.datacenter.to_string())
    }

    /// Reports in which every bound instance runs, heard at `heard`.
    pub(super) fn reports(&self, heard: Duration) -> Reports {
        let report = |(site, _)| {
            let site = name(site);
            let ids: Vec<MachineId> =
                self.state.machines_of(&site).map(|machine| machine.spec.id.clone()).collect();
            let machines = ids.into_iter().map(|id| (id.clone(), self.machine_report(&id)));
            (site, Arc::new(Report { heard, machines: machines.collect(), ..Report::default() }))
        };
        SITES.into_iter().map(report).collect()
    }

    fn machine_report(&self, id: &MachineId) -> MachineReport {
        let bound = self.state.instances.values().filter_map(|instance| {
            let placement = instance.placement.as_ref()?;
            let seen = Seen {
                epoch: placement.epoch,
                generation: placement.generation,
                state: RunState::Running,
                since: Timestamp(0),
                restarts: 0,
                ports: BTreeMap::new(),
                detail: String::new(),
            };
            (placement.machine.as_ref() == Some(id)).then(|| (instance.id.clone(), seen))
        });
        let instances: BTreeMap<_, _> = bound.collect();
        let steady = instances.keys().map(|id| (id.clone(), Duration::ZERO)).collect();
        MachineReport { connected: true, silent: Duration::ZERO, instances, steady }
    }

    /// Suspends a whole site and ends its leases.
    pub(super) fn lose(&mut self, site: &str) {
        let machines = vec![machine(site, 1), machine(site, 2)];
        self.run(Command::Suspend { machines: machines.clone(), reason: "silent".to_owned() });
        let since = |id: MachineId| {
            let since = self.state.machines[&id].suspended.expect("it is suspended").since;
            (id, since)
        };
        self.run(Command::DeclareLost(machines.into_iter().map(since).collect()));
    }

    /// Gives a lost site its leases back.
    pub(super) fn resume(&mut self, site: &str) {
        for number in 1..=2 {
            let (machine, revision) = (machine(site, number), self.state.revision);
            self.run(Command::Settled { machine: machine.clone(), revision });
            self.run(Command::Resume { machine, incarnation: 1 });
        }
    }

    /// Lets the machine join that is on order, as the third one of its site, and take who waits for it.
    pub(super) fn deliver(&mut self) {
        let (order, found) = self.state.orders.iter().next().expect("a machine is on order");
        let site = found.cell.datacenter.to_string();
        let mut spec = self.state.machines[&machine(&site, 1)].spec.clone();
        (spec.id, spec.order) = (machine(&site, 3), Some(*order));
        self.run(Command::JoinMachine(spec));
        self.bind();
    }
}
