//! A round: one thing goes wrong for a while, is made good, and the singleton lives again.

use std::time::Duration;

use anyhow::{Result, bail};
use kato_net::clock::{Clock as _, SystemClock};

use crate::faults::{FAULTS, Fault, Scene};
use crate::hosts::{DATACENTERS, Hosts};
use crate::witness::{Copy, Witness, broken};

/// The shortest fault.
const SHORTEST: Duration = Duration::from_millis(300);
/// How long everything may take that has to happen once all is good.
const PATIENCE: Duration = Duration::from_mins(1);
/// A copy lives that has said so this recently, and lives well that has done so for this long.
const FRESH: Duration = Duration::from_millis(500);
const STEADY: Duration = Duration::from_secs(2);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

fn now() -> Duration {
    SystemClock.boot()
}

/// Looks again and again until there is something to see, or says why there is not.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(error) if now() > deadline => {
                return Err(error.context(format!("{PATIENCE:?} are over, and not yet: {what}")));
            }
            Err(_) => std::thread::park_timeout(PAUSE),
        }
    }
}

/// What goes wrong in a round. It follows from the seed; what comes of it does not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    fault: Fault,
    lasts: Duration,
    whose: Whose,
    /// Any datacenter, and how much further another one is.
    any: usize,
    further: usize,
}

#[derive(Debug, Clone, Copy)]
enum Whose {
    Singleton,
    Leader,
    Anyone,
}

/// Half of all faults meet the singleton.
const WHOSE: [Whose; 4] = [Whose::Singleton, Whose::Singleton, Whose::Leader, Whose::Anyone];

/// So many plans. Every fault comes before one comes again.
pub(crate) fn plans(rounds: usize, seed: u64) -> Vec<Plan> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut plans = Vec::with_capacity(rounds);
    while plans.len() < rounds {
        let mut faults = FAULTS;
        chance.shuffle(&mut faults);
        plans.extend(faults.into_iter().take(rounds - plans.len()).map(|fault| Plan {
            fault,
            lasts: SHORTEST + fault.longest().saturating_sub(SHORTEST).mul_f64(chance.f64()),
            whose: WHOSE[chance.usize(..WHOSE.len())],
            any: chance.usize(..DATACENTERS.len()),
            further: chance.usize(1..DATACENTERS.len()),
        }));
    }
    plans
}

/// What came of a round.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) plan: Plan,
    scene: Scene,
    /// From one copy to the next.
    pub(crate) gaps: Vec<Duration>,
    /// Where each lives that was born in the round.
    born: Vec<String>,
    pub(crate) moves: usize,
    /// From when all was good until a copy lived well.
    well: Duration,
}

impl Plan {
    pub(crate) fn fault(self) -> Fault {
        self.fault
    }

    fn scene(self, hosts: &Hosts) -> Result<Scene> {
        let (leader, home) = (hosts.leader()?, hosts.home()?);
        let at = match self.whose {
            Whose::Singleton => home,
            Whose::Leader => leader,
            Whose::Anyone => self.any,
        };
        let other = (at + self.further) % DATACENTERS.len();
        Ok(self.fault.place(Scene { at, other, leader, home }))
    }

    /// Plays the round. An error is a broken promise, or no progress.
    pub(crate) fn play(self, hosts: &mut Hosts, witness: &Witness) -> Result<Told> {
        let scene = until("somebody leads", || self.scene(hosts))?;
        let before = witness.copies()?.len();
        let begun = now();
        self.fault.begin(scene, hosts)?;
        while let Some(left) = (begun + self.lasts).checked_sub(now()) {
            std::thread::park_timeout(left);
        }
        hosts.mend()?;
        let mended = now();
        lives(witness)?;
        let well = now().saturating_sub(mended);
        let copies = witness.copies()?;
        if let Some(broken) = broken(&copies) {
            bail!(broken);
        }
        let pairs = || copies[before.saturating_sub(1)..].windows(2);
        Ok(Told {
            plan: self,
            scene,
            gaps: pairs().map(|pair| pair[1].first.saturating_sub(pair[0].last)).collect(),
            born: copies[before..].iter().map(|copy| copy.datacenter.clone()).collect(),
            moves: pairs().filter(|pair| pair[0].datacenter != pair[1].datacenter).count(),
            well,
        })
    }
}

/// Waits until a copy lives, and has for a while.
pub(crate) fn lives(witness: &Witness) -> Result<()> {
    let mut since = None;
    until("the singleton lives", || {
        let fresh = |copy: Copy| now().saturating_sub(copy.last) < FRESH;
        if !witness.newest()?.is_some_and(fresh) {
            since = None;
            bail!("no copy has lived for {FRESH:?}");
        }
        let since = *since.get_or_insert_with(now);
        if now().saturating_sub(since) < STEADY {
            bail!("a copy lives only since then");
        }
        Ok(())
    })
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Scene { at, leader, home, .. } = self.scene;
        let whose = match (at == leader, at == home) {
            (true, true) => " (leader, singleton)",
            (true, false) => " (leader)",
            (false, true) => " (singleton)",
            (false, false) => "",
        };
        let (name, fault) = (DATACENTERS[at].0, self.plan.fault.name());
        write!(f, "{name}{whose}: {fault}, {:.1} s: ", self.plan.lasts.as_secs_f64())?;
        if self.born.is_empty() {
            return f.write_str("it lived on");
        }
        let what = if self.moves > 0 { "moved" } else { "began anew" };
        let gaps: Vec<String> =
            self.gaps.iter().map(|gap| format!("{:.2} s", gap.as_secs_f64())).collect();
        write!(f, "{what} ({} -> {}), ", DATACENTERS[home].0, self.born.join(" -> "))?;
        write!(f, "gap {}, well {:.1} s after", gaps.join(" and "), self.well.as_secs_f64())
    }
}
