//! One run: a mesh starts, much goes wrong for a while, everything is made good, and the mesh must then be whole again
//! within a stated time.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::chaos::Chaos;
use crate::history;
use crate::mesh::SimMesh;
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::witness::Witness;

/// What a member logs that was sent a snapshot.
const SNAPSHOT_INSTALLED: &str = "installed a snapshot from the leader";
/// Before anything goes wrong.
const CALM: Duration = Duration::from_secs(20);
/// How long a mesh must stay whole to be called so.
const STEADY: Duration = Duration::from_secs(10);
/// What a mesh is given beside its own waits to be whole again.
const HEALING: Duration = Duration::from_mins(1);

/// What came of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) leader_changes: u64,
    pub(crate) suspends: u64,
    pub(crate) losses: u64,
    pub(crate) moves: u64,
    pub(crate) handovers: u64,
    pub(crate) fences: u64,
    pub(crate) bought: u64,
    pub(crate) crashes: u64,
    pub(crate) snapshots: u64,
    pub(crate) calls: u64,
    pub(crate) simulated_s: u64,
    /// How long it took until the mesh was whole again.
    pub(crate) healed_s: u64,
    pub(crate) cpu_ms: u64,
}

impl Outcome {
    /// Nothing happened.
    pub(crate) const NONE: Self = Self {
        leader_changes: 0,
        suspends: 0,
        losses: 0,
        moves: 0,
        handovers: 0,
        fences: 0,
        bought: 0,
        crashes: 0,
        snapshots: 0,
        calls: 0,
        simulated_s: 0,
        healed_s: 0,
        cpu_ms: 0,
    };

    /// All numbers, each with its name.
    pub(crate) fn rows(&self) -> [(&'static str, u64); 13] {
        [
            ("leader changes", self.leader_changes),
            ("machines suspended", self.suspends),
            ("datacenters lost", self.losses),
            ("instances moved", self.moves),
            ("singletons handed over", self.handovers),
            ("copies fenced", self.fences),
            ("machines bought", self.bought),
            ("crashes", self.crashes),
            ("snapshots installed", self.snapshots),
            ("operators' calls", self.calls),
            ("simulated seconds", self.simulated_s),
            ("seconds to heal", self.healed_s),
            ("processor ms", self.cpu_ms),
        ]
    }

    /// Both together.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            leader_changes: self.leader_changes + other.leader_changes,
            suspends: self.suspends + other.suspends,
            losses: self.losses + other.losses,
            moves: self.moves + other.moves,
            handovers: self.handovers + other.handovers,
            fences: self.fences + other.fences,
            bought: self.bought + other.bought,
            crashes: self.crashes + other.crashes,
            snapshots: self.snapshots + other.snapshots,
            calls: self.calls + other.calls,
            simulated_s: self.simulated_s + other.simulated_s,
            healed_s: self.healed_s + other.healed_s,
            cpu_ms: self.cpu_ms + other.cpu_ms,
        }
    }
}

/// Runs a seed, in which things go wrong for so many minutes. An error is a broken promise, and where it was broken.
pub(crate) fn run(
    seed: u64,
    minutes: u64,
    scenario: Option<Scenario>,
    directory: PathBuf,
    trace: &Trace,
) -> Result<Outcome> {
    let datacenters = scenario.map_or(3, Scenario::datacenters);
    let mut mesh = SimMesh::new(seed, datacenters, directory, trace.clone())?;
    let mut chaos = Chaos::new(mesh.chance.u64(..), CALM, trace.clone());
    let mut witness = Witness::default();
    chaos.links(&mesh);
    mesh.start_all();
    let end = CALM + Duration::from_mins(minutes);
    if let Some(scenario) = scenario {
        while mesh.world.now() < CALM {
            step(&mut mesh, &mut witness, trace)?;
        }
        chaos.crashes = scenario.tell(&mut mesh, &mut witness, trace, end)?;
    }
    while mesh.world.now() < end {
        chaos.step(&mut mesh);
        step(&mut mesh, &mut witness, trace)?;
    }
    chaos.end(&mut mesh);
    mesh.ledger.rest();
    let healing = mesh.world.now();
    let longest = mesh.recovery() + HEALING;
    let mut missing = String::new();
    let mut healed = None;
    while mesh.world.now() < healing + longest {
        step(&mut mesh, &mut witness, trace)?;
        if mesh.world.now().as_millis().is_multiple_of(1_000) {
            match mesh.missing(&witness) {
                None => {
                    let since = *healed.get_or_insert(mesh.world.now());
                    if mesh.world.now() >= since + STEADY {
                        break;
                    }
                }
                Some(what) => {
                    if what != missing {
                        trace.note("mesh", format_args!("is not whole: {what}"));
                    }
                    (missing, healed) = (what, None);
                }
            }
        }
    }
    let Some(healed) = healed else {
        anyhow::bail!("progress: {longest:?} after everything was made good: {missing}");
    };
    trace.end();
    let calls = mesh.ledger.all();
    let wrong = history::inexplicable(&calls);
    ensure!(wrong.is_empty(), "linearizable: the history of registers {wrong:?} is not");
    Ok(Outcome {
        crashes: chaos.crashes,
        snapshots: trace.count_of(SNAPSHOT_INSTALLED),
        calls: calls.len() as u64,
        simulated_s: mesh.world.now().as_secs(),
        healed_s: healed.saturating_sub(healing).as_secs(),
        cpu_ms: cpu_ms(),
        ..witness.counts
    })
}

/// The processor's time that this process has taken.
fn cpu_ms() -> u64 {
    let taken = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let ms = taken.tv_sec * 1_000 + taken.tv_nsec / 1_000_000;
    u64::try_from(ms).unwrap_or_default()
}

/// One tick, and a look at what came of it.
pub(crate) fn step(mesh: &mut SimMesh, witness: &mut Witness, trace: &Trace) -> Result<()> {
    mesh.step()?;
    let now = mesh.world.now();
    witness.look(mesh, trace).map_err(|broken| anyhow::anyhow!("{broken}, at {now:?}"))
}
