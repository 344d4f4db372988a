//! A whole mesh in a simulated world: coordinators, agents, what they run and who sells them machines.

pub(crate) mod clients;
mod provider;
pub(crate) mod units;
mod wan;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kato_agent::daemon::{self, Daemon};
use kato_coordinator::{Config, Coordinator, Tls};
use kato_core::{CellSpec, DatacenterSpec, MachineId, Market, Offer, OrderId};
use kato_net::{Identity, Role};
use kato_placement::Catalogue;
use kato_provision::Provider;
use kato_raft::rig::{Cut, RigDisk};
use kato_raft::{Flush, Leadership, Member, Mesh, NodeId, Timing, View};
use kato_units::engine::UnitEngine;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::clients::Ledger;
pub(crate) use self::provider::SimProvider;
use self::units::Units;
use self::wan::{Place, Wan};
use crate::trace::Trace;
use crate::world::{Death, HostId, MachineClock, SimTransport, Software, World};

/// The port of every coordinator.
const PORT: u16 = 7440;
/// The domain of every simulated mesh.
pub(crate) const DOMAIN: &str = "demo.com";
/// Log entries between snapshots: few, so that a member that was away needs one.
const SNAPSHOT_EVERY: u64 = 20;
/// Datacenters' names, in the order of their numbers.
const NAMES: [&str; 5] = ["ams", "bom", "cpt", "dub", "ewr"];
/// What a process is given after it ended by itself, before it is started again.
const RESTART: Duration = Duration::from_secs(2);

/// What every datacenter's first machines are.
fn offer(catalogue: &Catalogue, region: &str) -> Option<Arc<Offer>> {
    let suits = |offer: &&Arc<Offer>| offer.market == Market::OnDemand && offer.kind == "m6i.large";
    catalogue.offers(&"ec2".parse().ok()?, &region.parse().ok()?).find(suits).cloned()
}

/// One datacenter.
pub(crate) struct Datacenter {
    pub(crate) name: &'static str,
    pub(crate) host: HostId,
    pub(crate) disk: Arc<Mutex<RigDisk>>,
    /// How long a sync takes at the most, in microseconds.
    pub(crate) sync_us: Arc<AtomicU64>,
    pub(crate) provider: SimProvider,
    /// What the running coordinator believes, if one runs.
    pub(crate) sight: Sight,
    pub(crate) machines: Vec<Machine>,
    /// Where its operator sits.
    pub(crate) operator: HostId,
    offer: Arc<Offer>,
}

impl Datacenter {
    /// Its coordinator's host, its machines' and its operator's.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = HostId> {
        let machines = self.machines.iter().map(|machine| machine.host);
        [self.host, self.operator].into_iter().chain(machines)
    }
}

/// A running coordinator as it is seen from outside. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Sight {
    seen: Arc<Mutex<Option<Seen>>>,
}

struct Seen {
    mesh: Mesh,
    views: watch::Receiver<View>,
    leadership: watch::Receiver<Leadership>,
    shutdown: CancellationToken,
}

impl Sight {
    fn seen(&self) -> MutexGuard<'_, Option<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, coordinator: &Coordinator) {
        let mesh = coordinator.mesh();
        let (views, leadership) = (mesh.watch(), mesh.leadership());
        let (mesh, shutdown) = (mesh.clone(), coordinator.shutdown());
        *self.seen() = Some(Seen { mesh, views, leadership, shutdown });
    }

    /// Asks the coordinator to end.
    pub(crate) fn stop(&self) {
        if let Some(seen) = &*self.seen() {
            seen.shutdown.cancel();
        }
    }

    /// The timing that the coordinator keeps.
    pub(crate) fn timing(&self) -> Option<Timing> {
        self.seen().as_ref().map(|seen| seen.mesh.timing())
    }

    /// The state and who leads, as far as the coordinator knows.
    pub(crate) fn get(&self) -> Option<(View, Leadership)> {
        let seen = self.seen();
        seen.as_ref().map(|seen| (seen.views.borrow().clone(), seen.leadership.borrow().clone()))
    }

    /// The same, if it has changed since this was last asked.
    pub(crate) fn changes(&self) -> Option<(View, Leadership)> {
        let mut place = self.seen();
        let Seen { views, leadership, .. } = place.as_mut()?;
        let gone = views.has_changed().is_err();
        let news = gone
            || views.has_changed().unwrap_or_default()
            || leadership.has_changed().unwrap_or_default();
        let both = |views: &mut watch::Receiver<View>, leads: &mut watch::Receiver<Leadership>| {
            (views.borrow_and_update().clone(), leads.borrow_and_update().clone())
        };
        let last = news.then(|| both(views, leadership));
        if gone {
            // It has ended, and this was the last that it knew.
            *place = None;
        }
        last
    }
}

/// One machine that runs units.
pub(crate) struct Machine {
    pub(crate) id: MachineId,
    pub(crate) host: HostId,
    pub(crate) units: Units,
}

/// The mesh and the world that it is in.
pub(crate) struct SimMesh {
    pub(crate) world: World,
    pub(crate) datacenters: Vec<Datacenter>,
    /// What every coordinator is configured with.
    timing: Timing,
    pub(crate) chance: fastrand::Rng,
    /// What operators have asked.
    pub(crate) ledger: Ledger,
    trace: Trace,
    founders: BTreeMap<NodeId, Member>,
    catalogue: Catalogue,
    directory: PathBuf,
    /// Round trips between datacenters, by their numbers in `datacenters`.
    pub(crate) round_trips: BTreeMap<(usize, usize), Duration>,
    /// Processes that ended by themselves, and when they are started again.
    restarts: BTreeMap<HostId, Duration>,
    /// Which clocks drift, and how far at the most.
    drift_ppm: i64,
}

impl SimMesh {
    /// A mesh of `count` datacenters with two machines each; everything is off. Agents keep files in `directory`.
    pub(crate) fn new(
        seed: u64,
        count: usize,
        directory: PathBuf,
        trace: Trace,
    ) -> anyhow::Result<Self> {
        let mut chance = fastrand::Rng::with_seed(seed);
        let world = World::new(chance.u64(..), trace.clone());
        let wan = Wan::load();
        let catalogue = Catalogue::builtin();
        let sold_in = |region: &str| offer(&catalogue, region).is_some();
        let places = wan.places(&mut chance, count, sold_in);
        let mut round_trips = BTreeMap::new();
        for (a, from) in places.iter().enumerate() {
            for (b, to) in places.iter().enumerate().filter(|(b, _)| *b != a) {
                round_trips.insert((a, b), wan.round_trip(from, to));
            }
        }
        let longest = round_trips.values().max().copied().unwrap_or_default();
        let rtt_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX) + 10;
        let mut mesh = Self {
            world,
            datacenters: Vec::new(),
            timing: Timing::for_rtt_ms(rtt_ms)?,
            chance,
            ledger: Ledger::new(trace.clone()),
            trace,
            founders: BTreeMap::new(),
            catalogue,
            directory,
            round_trips,
            restarts: BTreeMap::new(),
            drift_ppm: 10_000,
        };
        for (number, place) in places.iter().enumerate() {
            let member = Member {
                datacenter: NAMES[number].parse()?,
                address: format!("{}:{PORT}", NAMES[number]),
            };
            mesh.founders.insert(number as NodeId + 1, member);
            mesh.add_datacenter(number, place)?;
        }
        for number in 0..count {
            mesh.install_coordinator(number, &places[number])?;
            mesh.install_operator(number)?;
            for machine in ["core-1", "core-2"] {
                let id = format!("{machine}.cell-1.{}", NAMES[number]).parse()?;
                mesh.add_machine(number, id, None)?;
            }
        }
        mesh.trace.note("mesh", format_args!("round trips of up to {rtt_ms} ms"));
        Ok(mesh)
    }

    /// A machine whose clock is as wrong as the promise allows.
    fn add_host(&mut self, name: &str) -> (HostId, MachineClock) {
        let rate_ppm = self.chance.i64(-self.drift_ppm..=self.drift_ppm);
        let ahead_ms = self.chance.i64(-30_000..30_000);
        self.world.add(name, rate_ppm, ahead_ms)
    }

    fn add_datacenter(&mut self, number: usize, place: &Place) -> anyhow::Result<()> {
        let name = NAMES[number];
        let (host, clock) = self.add_host(name);
        let (operator, _) = self.add_host(&format!("operator.{name}"));
        let offer = offer(&self.catalogue, &place.region);
        let offer = offer.ok_or_else(|| anyhow::anyhow!("nothing is sold in {}", place.region))?;
        let provider = SimProvider::new(name, clock, self.chance.u64(..), self.trace.clone());
        self.datacenters.push(Datacenter {
            name,
            host,
            disk: Arc::default(),
            sync_us: Arc::new(AtomicU64::new(2_000)),
            provider,
            sight: Sight::default(),
            machines: Vec::new(),
            operator,
            offer,
        });
        Ok(())
    }

    fn config(&self, number: usize, place: &Place) -> anyhow::Result<Config> {
        let name = NAMES[number];
        let nowhere = PathBuf::from("/nonexistent");
        Ok(Config {
            domain: DOMAIN.parse()?,
            member: number as NodeId + 1,
            members: self.founders.clone(),
            datacenter: DatacenterSpec {
                name: name.parse()?,
                location: place.at,
                address: format!("{name}:{PORT}"),
                regions: BTreeSet::from([("ec2".parse()?, place.region.parse()?)]),
                cells: BTreeMap::from([(
                    "cell-1".parse()?,
                    CellSpec { machines_max: 4, ..CellSpec::default() },
                )]),
                country: None,
                labels: BTreeMap::new(),
            },
            listen: format!("{name}:{PORT}"),
            data_dir: nowhere.clone(),
            tls: Tls { ca: nowhere.clone(), certificate: nowhere.clone(), key: nowhere },
            authority: None,
            timing: self.timing,
            // Short, so that it happens while everything else goes wrong.
            rebalance_after: Duration::from_secs(20),
            catalog: None,
            catalog_in_part: false,
            ip_locations: Vec::new(),
            sandbox: None,
        })
    }

    fn install_coordinator(&mut self, number: usize, place: &Place) -> anyhow::Result<()> {
        let config = self.config(number, place)?;
        let found = &self.datacenters[number];
        let (host, disk, sight) = (found.host, Arc::clone(&found.disk), found.sight.clone());
        let provider: Arc<dyn Provider> = Arc::new(found.provider.clone());
        let sync_us = Arc::clone(&found.sync_us);
        let clock = self.world.clock(host);
        let identity =
            Identity { domain: DOMAIN.parse()?, role: Role::Coordinator(NAMES[number].parse()?) };
        let network = self.world.network().clone();
        let catalogue = self.catalogue.clone();
        let seeds = Arc::new(Mutex::new(self.chance.fork()));
        let software: Software = Box::new(move || {
            let (config, sight) = (config.clone(), sight.clone());
            let mut seeds = seeds.lock().unwrap_or_else(PoisonError::into_inner);
            let (seed, delays) = (seeds.u64(..), Mutex::new(seeds.fork()));
            let sync_us = Arc::clone(&sync_us);
            let delay = move || {
                let longest = sync_us.load(Ordering::Relaxed).max(1);
                let mut delays = delays.lock().unwrap_or_else(PoisonError::into_inner);
                Duration::from_micros(delays.u64(..longest))
            };
            let transport =
                SimTransport { network: network.clone(), host, identity: identity.clone() };
            let world = kato_coordinator::World {
                transport: Arc::new(transport),
                clock: Arc::new(clock.clone()),
                disk: Arc::new(disk.lock().unwrap_or_else(PoisonError::into_inner).clone()),
                provider: Some(Arc::clone(&provider)),
                catalogue: catalogue.clone(),
                history: None,
                flush: Flush::Task(Arc::new(delay)),
                snapshot_every: SNAPSHOT_EVERY,
                knows: kato_core::version::NEWEST,
                seed,
            };
            Box::pin(async move {
                let text = |error: kato_coordinator::StartError| {
                    format!("{:#}", anyhow::Error::from(error))
                };
                let coordinator = Coordinator::start(config, world).await.map_err(text)?;
                sight.open(&coordinator);
                coordinator.join().await.map_err(text)
            })
        });
        self.world.install(host, software);
        Ok(())
    }

    fn install_operator(&mut self, number: usize) -> anyhow::Result<()> {
        let (name, host) = (NAMES[number], self.datacenters[number].operator);
        let identity = Identity { domain: DOMAIN.parse()?, role: Role::Operator(name.parse()?) };
        let network = self.world.network().clone();
        let (ledger, chance) = (self.ledger.clone(), Mutex::new(self.chance.fork()));
        let mut coordinators: Vec<String> =
            self.founders.values().map(|member| member.address.clone()).collect();
        coordinators.swap(0, number);
        self.world.install(
            host,
            Box::new(move || {
                let transport =
                    SimTransport { network: network.clone(), host, identity: identity.clone() };
                let chance = chance.lock().unwrap_or_else(PoisonError::into_inner).fork();
                let (transport, who) = (Arc::new(transport), format!("operator.{name}"));
                Box::pin(clients::operate(
                    who,
                    transport,
                    coordinators.clone(),
                    ledger.clone(),
                    chance,
                ))
            }),
        );
        Ok(())
    }

    /// Adds a machine to a datacenter, as an agent's configuration describes it.
    fn add_machine(
        &mut self,
        number: usize,
        id: MachineId,
        bought: Option<(OrderId, Arc<Offer>)>,
    ) -> anyhow::Result<HostId> {
        let name = id.to_string();
        let (host, clock) = self.add_host(&name);
        let units = Units::new(&name, clock.clone(), self.chance.u64(..), self.trace.clone());
        let datacenter = &self.datacenters[number];
        let offer = bought.as_ref().map_or(&datacenter.offer, |(_, offer)| offer);
        let nowhere = PathBuf::from("/nonexistent");
        let config = daemon::Config {
            id: id.clone(),
            coordinator: format!("{}:{PORT}", datacenter.name),
            data_dir: self.directory.join(&name),
            address: name.clone(),
            ports: 20_000..=20_099,
            ca: nowhere.clone(),
            certificate: nowhere.clone(),
            key: nowhere,
            offer: Arc::clone(offer),
            resources: offer.capacity,
            order: bought.map(|(order, _)| order),
        };
        let identity = Identity { domain: DOMAIN.parse()?, role: Role::Agent(id.clone()) };
        let network = self.world.network().clone();
        let engine: Arc<dyn UnitEngine> = Arc::new(units.clone());
        let software: Software = Box::new(move || {
            let (config, engine, clock) = (config.clone(), Arc::clone(&engine), clock.clone());
            let transport =
                SimTransport { network: network.clone(), host, identity: identity.clone() };
            Box::pin(async move {
                let text = |error: daemon::Error| format!("{:#}", anyhow::Error::from(error));
                let daemon = Daemon::open(config).map_err(text)?;
                let never = CancellationToken::new();
                let running = daemon.run(engine, Arc::new(transport), Arc::new(clock), never);
                running.await.map_err(text)
            })
        });
        self.world.install(host, software);
        self.datacenters[number].machines.push(Machine { id, host, units });
        Ok(host)
    }

    /// Starts everything that is off.
    pub(crate) fn start_all(&mut self) {
        for host in self.hosts() {
            self.world.start(host);
        }
    }

    pub(crate) fn hosts(&self) -> Vec<HostId> {
        self.datacenters.iter().flat_map(Datacenter::hosts).collect()
    }

    /// Ends a coordinator as `death` does, leaving on its disk what that may leave.
    pub(crate) fn end_coordinator(&mut self, number: usize, death: Death) {
        let datacenter = &self.datacenters[number];
        let cut = match death {
            Death::Killed => Cut::Killed,
            Death::PowerCut => {
                [Cut::Lost, Cut::Prefix, Cut::Torn, Cut::Scattered][self.chance.usize(..4)]
            }
        };
        let mut disk = datacenter.disk.lock().unwrap_or_else(PoisonError::into_inner);
        *disk = disk.crash(cut, &mut self.chance);
        drop(disk);
        self.world.end(datacenter.host, death);
    }

    /// Ends an agent; what its machine runs goes with the power alone.
    pub(crate) fn end_agent(&mut self, number: usize, machine: usize, death: Death) {
        let machine = &self.datacenters[number].machines[machine];
        if death == Death::PowerCut {
            machine.units.cut_power();
        }
        self.world.end(machine.host, death);
    }

    /// One tick: time, what was bought, what has to be started again.
    pub(crate) fn step(&mut self) -> anyhow::Result<()> {
        for (host, outcome) in self.world.step() {
            if let Err(error) = outcome {
                tracing::warn!(host = self.world.name(host), error, "a process ended");
            }
            self.restarts.insert(host, self.world.now() + RESTART);
        }
        let due: Vec<HostId> = {
            let now = self.world.now();
            self.restarts.iter().filter(|(_, at)| **at <= now).map(|(host, _)| *host).collect()
        };
        for host in due {
            self.restarts.remove(&host);
            self.world.start(host);
        }
        for number in 0..self.datacenters.len() {
            for wanted in self.datacenters[number].provider.step() {
                let bought = Some((wanted.token.order, wanted.offer));
                let host = self.add_machine(number, wanted.machine, bought)?;
                self.world.start(host);
            }
        }
        for machine in self.datacenters.iter().flat_map(|datacenter| &datacenter.machines) {
            machine.units.step();
        }
        Ok(())
    }
}
