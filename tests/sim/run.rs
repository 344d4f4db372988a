//! One run: a mesh starts, much goes wrong for a while, everything is made good, and the mesh must then be whole again
//! within a stated time.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::chaos::Chaos;
use crate::history;
use crate::mesh::SimMesh;
use crate::trace::Trace;
use crate::witness::{Counts, Witness};

/// Before anything goes wrong.
const CALM: Duration = Duration::from_secs(20);
/// While things go wrong.
const CHAOS: Duration = Duration::from_mins(9);
/// What a mesh is given beside its own waits to be whole again.
const HEALING: Duration = Duration::from_secs(60);

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) counts: Counts,
    pub(crate) crashes: u32,
    pub(crate) calls: usize,
    pub(crate) simulated: Duration,
    /// How long it took until the mesh was whole again.
    pub(crate) healed: Duration,
}

/// Runs a seed. An error is a broken promise, and where it was broken.
pub(crate) fn run(seed: u64, directory: PathBuf, trace: &Trace) -> Result<Outcome> {
    let mut mesh = SimMesh::new(seed, 3, directory, trace.clone())?;
    let mut chaos = Chaos::new(mesh.chance.u64(..), CALM, trace.clone());
    let mut witness = Witness::default();
    let began = trace.now();
    chaos.links(&mesh);
    mesh.start_all();
    while mesh.world.now() < CALM + CHAOS {
        chaos.step(&mut mesh);
        step(&mut mesh, &mut witness)?;
    }
    chaos.end(&mut mesh);
    mesh.ledger.rest();
    let healing = mesh.world.now();
    let longest = mesh.recovery() + HEALING;
    let mut missing = String::new();
    let mut healed = None;
    while mesh.world.now() < healing + longest {
        step(&mut mesh, &mut witness)?;
        if mesh.world.now().as_millis().is_multiple_of(1_000) {
            match mesh.missing(&witness) {
                None => healed = healed.or(Some(mesh.world.now() - healing)),
                Some(what) => (missing, healed) = (what, None),
            }
        }
    }
    let Some(healed) = healed else {
        anyhow::bail!("progress: {longest:?} after everything was made good: {missing}");
    };
    let calls = mesh.ledger.all();
    let wrong = history::inexplicable(&calls);
    ensure!(wrong.is_empty(), "linearizable: the history of registers {wrong:?} is not");
    Ok(Outcome {
        counts: witness.counts,
        crashes: chaos.crashes,
        calls: calls.len(),
        simulated: mesh.world.now() - began,
        healed,
    })
}

fn step(mesh: &mut SimMesh, witness: &mut Witness) -> Result<()> {
    mesh.step()?;
    let now = mesh.world.now();
    witness.look(mesh).map_err(|broken| anyhow::anyhow!("{broken}, at {now:?}"))
}
