//! One run: a mesh starts, much goes wrong for a while, everything is made good, and the mesh must then be whole again
//! within a stated time.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::broken::Broken;
use crate::chaos::Chaos;
use crate::history;
use crate::mesh::SimMesh;
use crate::scenario::Scenario;
use crate::tally::{Count, Tally};
use crate::trace::Trace;
use crate::witness::Witness;

/// What a member logs that was sent a snapshot.
const SNAPSHOT_INSTALLED: &str = "installed a snapshot from the leader";
/// Before anything goes wrong.
const CALM: Duration = Duration::from_secs(20);
/// Between two looks at whether a mesh is whole, in milliseconds.
const LOOK_MS: u128 = 1_000;
/// How long a mesh must stay whole to be called so.
const STEADY: Duration = Duration::from_secs(10);
/// What a mesh is given beside its own waits to be whole again.
const HEALING: Duration = Duration::from_mins(1);

/// Runs a seed, in which things go wrong for so many minutes. An error is a broken promise, and where it was broken.
pub(crate) fn run(
    seed: u64,
    minutes: u64,
    scenario: Option<Scenario>,
    directory: PathBuf,
    trace: &Trace,
    watch: mpsc::Sender<()>,
) -> Result<Tally> {
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
    let healed = heal(&mut mesh, &mut witness, trace)?;
    // Nothing is simulated any more; what is looked at now may take its time.
    drop(watch);
    let calls = mesh.ledger.all();
    let history::Found { inexplicable, undecided } = history::explain(&calls);
    if !inexplicable.is_empty() {
        bail!(Broken(format!("linearizable: the history of registers {inexplicable:?} is not")));
    }
    let mut tally = witness.tally;
    tally[Count::Crashes] = chaos.crashes;
    tally[Count::Undecided] = undecided.len() as u64;
    tally[Count::Snapshots] = trace.count_of(SNAPSHOT_INSTALLED);
    tally[Count::Calls] = calls.len() as u64;
    tally[Count::SimulatedSeconds] = mesh.world.now().as_secs();
    tally[Count::SecondsToHeal] = healed.as_secs();
    tally[Count::ProcessorMs] = cpu_ms();
    Ok(tally)
}

/// Waits until the mesh is whole, and stays so, and says how long that took.
fn heal(mesh: &mut SimMesh, witness: &mut Witness, trace: &Trace) -> Result<Duration> {
    let began = mesh.world.now();
    let longest = mesh.recovery() + HEALING;
    let (mut missing, mut since) = (String::new(), None);
    while mesh.world.now() < began + longest {
        step(mesh, witness, trace)?;
        let now = mesh.world.now();
        if !now.as_millis().is_multiple_of(LOOK_MS) {
            continue;
        }
        match mesh.missing(witness) {
            None => {
                let since = *since.get_or_insert(now);
                if now >= since + STEADY {
                    return Ok(since.saturating_sub(began));
                }
            }
            Some(what) => {
                if what != missing {
                    trace.note("mesh", format_args!("is not whole: {what}"));
                }
                (missing, since) = (what, None);
            }
        }
    }
    bail!(Broken(format!("progress: {longest:?} after everything was made good: {missing}")))
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
    let seen = witness.look(mesh, trace);
    seen.map_err(|broken| Broken(format!("{broken}, at {now:?}")).into())
}
