//! What goes wrong: faults of the network, of processes, machines, disks, clocks and providers, drawn at random, a few
//! at a time, and all of them made good at the end.

mod amnesia;

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kato_raft::rig::Fault as DiskFault;

use self::amnesia::Amnesia;
use crate::mesh::SimMesh;
use crate::trace::Trace;
use crate::world::{Death, HostId, TICK};

/// Faults that last at the same time.
const FAULTS_MAX: usize = 3;
/// The longest pause between the beginnings of two faults, and the longest fault, in seconds.
const PAUSE_S: u64 = 15;
const LASTS_S: f64 = 90.0;
/// The shortest fault, in seconds. Short ones are as likely as long ones: their length is drawn on a logarithmic scale.
const LASTS_S_MIN: f64 = 0.3;
/// How often the leader forgets, on average.
const AMNESIA_EVERY: Duration = Duration::from_mins(2);
/// How long a sync takes where the disk is well, at the most, and where it is not; in microseconds.
const SYNC_US: u64 = 2_000;
const SLOW_SYNC_US: u64 = 600_000;
/// No room left on the device.
const ENOSPC: i32 = 28;

/// One fault. Datacenters and machines go by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    /// All between one datacenter and the others.
    Isolate(usize),
    /// All between two datacenters.
    CutPair(usize, usize),
    /// All from one datacenter to another.
    CutOneWay(usize, usize),
    /// A machine and its coordinator, in both directions, or from the coordinator to the machine alone.
    CutMachine(usize, usize, bool),
    /// Everything between two datacenters takes longer, by milliseconds.
    Slow(usize, usize, u64),
    /// So many of a thousand messages between two datacenters are lost.
    Lossy(usize, usize, u32),
    CrashCoordinator(usize, Death),
    /// It is asked to end, and starts again a moment later.
    StopCoordinator(usize),
    FreezeCoordinator(usize),
    CrashMachine(usize, usize, Death),
    FreezeAgent(usize, usize),
    /// Everything in a datacenter loses its power.
    Blackout(usize),
    SlowDisk(usize),
    FullDisk(usize),
    /// A clock's time of day jumps, by milliseconds.
    StepClock(HostId, i64),
    /// So many of a hundred calls of a provider go wrong.
    Provider(usize, u32),
}

/// What goes wrong now.
pub(crate) struct Chaos {
    chance: fastrand::Rng,
    trace: Trace,
    next: Duration,
    active: Vec<(Duration, Fault)>,
    amnesia: Option<Amnesia>,
    /// How often a process or a machine was ended.
    pub(crate) crashes: u64,
}

impl Chaos {
    pub(crate) fn new(seed: u64, first: Duration, trace: Trace) -> Self {
        let chance = fastrand::Rng::with_seed(seed);
        Self { chance, trace, next: first, active: Vec::new(), amnesia: None, crashes: 0 }
    }

    /// Ends and begins what is due.
    pub(crate) fn step(&mut self, mesh: &mut SimMesh) {
        let now = mesh.world.now();
        let over: Vec<Fault> =
            self.active.extract_if(.., |(end, _)| *end <= now).map(|(_, fault)| fault).collect();
        for fault in &over {
            self.trace.note("chaos", format_args!("ends {fault:?}"));
            undo(fault, mesh);
        }
        let begins = now >= self.next && self.active.len() < FAULTS_MAX;
        if begins {
            let fault = self.draw(mesh);
            self.trace.note("chaos", format_args!("begins {fault:?}"));
            self.crashes += begin(&fault, mesh);
            let lasts = LASTS_S_MIN * (LASTS_S / LASTS_S_MIN).powf(self.chance.f64());
            self.active.push((now + Duration::from_secs_f64(lasts), fault));
            self.next = now + Duration::from_millis(self.chance.u64(..PAUSE_S * 1_000));
        }
        if self.court(mesh) || begins || !over.is_empty() {
            self.links(mesh);
        }
    }

    /// Begins and goes on with an amnesia; tells whether links change with that.
    fn court(&mut self, mesh: &mut SimMesh) -> bool {
        if let Some(amnesia) = &mut self.amnesia {
            let changes = amnesia.step(mesh);
            if amnesia.is_over() {
                self.amnesia = None;
            }
            return changes;
        }
        let ticks = AMNESIA_EVERY.as_millis() / TICK.as_millis();
        if self.chance.u32(..u32::try_from(ticks).unwrap_or(u32::MAX)) > 0 {
            return false;
        }
        self.amnesia = Amnesia::begin(mesh);
        if let Some(amnesia) = &self.amnesia {
            self.crashes += 1;
            self.trace.note("chaos", format_args!("begins {amnesia:?}"));
        }
        self.amnesia.is_some()
    }

    /// Makes everything good.
    pub(crate) fn end(&mut self, mesh: &mut SimMesh) {
        for (_, fault) in self.active.drain(..) {
            self.trace.note("chaos", format_args!("ends {fault:?}"));
            undo(&fault, mesh);
        }
        self.amnesia = None;
        self.links(mesh);
        mesh.start_all();
    }

    fn draw(&mut self, mesh: &SimMesh) -> Fault {
        let chance = &mut self.chance;
        let count = mesh.datacenters.len();
        // The leader's datacenter is the most interesting one.
        let leader = mesh.leader().filter(|_| chance.bool());
        let a = leader.unwrap_or_else(|| chance.usize(..count));
        let b = (a + chance.usize(1..count)) % count;
        let machine = chance.usize(..mesh.datacenters[a].machines.len());
        let death = if chance.bool() { Death::Killed } else { Death::PowerCut };
        match chance.u32(..100) {
            0..10 => Fault::Isolate(a),
            10..16 => Fault::CutPair(a, b),
            16..24 => Fault::CutOneWay(a, b),
            24..32 => Fault::CutMachine(a, machine, chance.bool()),
            32..37 => Fault::Slow(a, b, chance.u64(30..200)),
            37..42 => Fault::Lossy(a, b, chance.u32(10..200)),
            42..52 => Fault::CrashCoordinator(a, death),
            52..54 => Fault::StopCoordinator(a),
            54..62 => Fault::FreezeCoordinator(a),
            62..70 => Fault::CrashMachine(a, machine, death),
            70..78 => Fault::FreezeAgent(a, machine),
            78..84 => Fault::Blackout(a),
            84..88 => Fault::SlowDisk(a),
            88..90 => Fault::FullDisk(a),
            90..94 => {
                let hosts = mesh.hosts();
                Fault::StepClock(hosts[chance.usize(..hosts.len())], chance.i64(-60_000..60_000))
            }
            _ => Fault::Provider(a, chance.u32(20..100)),
        }
    }

    /// Makes every link what the distance and the present faults make it.
    pub(crate) fn links(&self, mesh: &SimMesh) {
        let place =
            |number: usize| mesh.datacenters[number].hosts().map(move |host| (number, host));
        let hosts: Vec<_> = (0..mesh.datacenters.len()).flat_map(place).collect();
        for (a, from) in &hosts {
            for (b, to) in hosts.iter().filter(|(_, to)| to != from) {
                let between = mesh.round_trips.get(&(*a, *b)).copied().unwrap_or_default() / 2;
                mesh.world.network().link(*from, *to, |link| {
                    (link.delay, link.loss_permille) = (between, 0);
                    let faults = self.active.iter().map(|(_, fault)| fault);
                    link.cut = faults.clone().any(|f| f.cuts(mesh, (*a, *from), (*b, *to)))
                        || self.amnesia.as_ref().is_some_and(|amnesia| amnesia.cuts(*a, *b));
                    for fault in faults {
                        match fault {
                            Fault::Slow(x, y, ms) if is_pair(*a, *b, *x, *y) => {
                                link.delay += Duration::from_millis(*ms);
                            }
                            Fault::Lossy(x, y, permille) if is_pair(*a, *b, *x, *y) => {
                                link.loss_permille = *permille;
                            }
                            _ => {}
                        }
                    }
                });
            }
        }
    }
}

fn is_pair(a: usize, b: usize, x: usize, y: usize) -> bool {
    (a, b) == (x, y) || (a, b) == (y, x)
}

impl Fault {
    /// Whether nothing gets from one host to another, each with its datacenter.
    fn cuts(&self, mesh: &SimMesh, from: (usize, HostId), to: (usize, HostId)) -> bool {
        let (a, b) = (from.0, to.0);
        match self {
            Self::Isolate(x) => a != b && (a == *x || b == *x),
            Self::CutPair(x, y) => is_pair(a, b, *x, *y),
            Self::CutOneWay(x, y) => (a, b) == (*x, *y),
            Self::CutMachine(x, machine, both) => {
                let datacenter = &mesh.datacenters[*x];
                let (host, machine) = (datacenter.host, datacenter.machines[*machine].host);
                (from.1, to.1) == (host, machine) || *both && (to.1, from.1) == (host, machine)
            }
            _ => false,
        }
    }
}

/// Begins a fault, and says how many processes or machines that ended.
fn begin(fault: &Fault, mesh: &mut SimMesh) -> u64 {
    match *fault {
        Fault::CrashCoordinator(a, death) => mesh.end_coordinator(a, death),
        Fault::CrashMachine(a, machine, death) => mesh.end_agent(a, machine, death),
        Fault::Blackout(a) => {
            mesh.end_coordinator(a, Death::PowerCut);
            for machine in 0..mesh.datacenters[a].machines.len() {
                mesh.end_agent(a, machine, Death::PowerCut);
            }
        }
        Fault::StopCoordinator(a) => mesh.datacenters[a].sight.stop(),
        Fault::FreezeCoordinator(a) => mesh.world.freeze(mesh.datacenters[a].host, true),
        Fault::FreezeAgent(a, machine) => {
            mesh.world.freeze(mesh.datacenters[a].machines[machine].host, true);
        }
        Fault::SlowDisk(a) => {
            mesh.datacenters[a].sync_us.store(SLOW_SYNC_US, Ordering::Relaxed);
        }
        Fault::FullDisk(a) => fill(mesh, a, true),
        Fault::StepClock(host, ms) => mesh.world.clock(host).step(ms),
        Fault::Provider(a, percent) => mesh.datacenters[a].provider.fail(percent),
        Fault::Isolate(_)
        | Fault::CutPair(..)
        | Fault::CutOneWay(..)
        | Fault::CutMachine(..)
        | Fault::Slow(..)
        | Fault::Lossy(..) => {}
    }
    let crash =
        matches!(fault, Fault::CrashCoordinator(..) | Fault::CrashMachine(..) | Fault::Blackout(_));
    u64::from(crash)
}

fn undo(fault: &Fault, mesh: &mut SimMesh) {
    match *fault {
        Fault::CrashCoordinator(a, _) => mesh.world.start(mesh.datacenters[a].host),
        Fault::CrashMachine(a, machine, _) => {
            mesh.world.start(mesh.datacenters[a].machines[machine].host);
        }
        Fault::Blackout(a) => {
            let hosts: Vec<HostId> = mesh.datacenters[a].hosts().collect();
            hosts.into_iter().for_each(|host| mesh.world.start(host));
        }
        Fault::FreezeCoordinator(a) => mesh.world.freeze(mesh.datacenters[a].host, false),
        Fault::FreezeAgent(a, machine) => {
            mesh.world.freeze(mesh.datacenters[a].machines[machine].host, false);
        }
        Fault::SlowDisk(a) => mesh.datacenters[a].sync_us.store(SYNC_US, Ordering::Relaxed),
        Fault::FullDisk(a) => fill(mesh, a, false),
        Fault::Provider(a, _) => mesh.datacenters[a].provider.fail(0),
        _ => {}
    }
}

fn fill(mesh: &SimMesh, number: usize, full: bool) {
    let disk = mesh.datacenters[number].disk.lock().unwrap_or_else(PoisonError::into_inner);
    let fault = DiskFault { at: disk.operations(), error: ENOSPC, lasting: true };
    disk.fail(full.then_some(fault));
}
