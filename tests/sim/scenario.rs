//! Stories with one fault each, and with promises that chaos cannot keep: what may not happen when just this goes wrong.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueEnum;
use kato_raft::Timing;

use crate::broken::Broken;
use crate::mesh::SimMesh;
use crate::mesh::clients::Answer;
use crate::run::step;
use crate::tally::Count;
use crate::trace::Trace;
use crate::witness::Witness;
use crate::world::Death;

/// Between two faults.
const PAUSE: Duration = Duration::from_secs(40);

/// By how much clocks' times of day are set forward.
const CLOCKS_STEP_MS: i64 = 60_000;

/// How far round trips grow at the most, in how long a time, and in how many steps.
const FARTHEST: Duration = Duration::from_millis(900);
const STRETCHING: Duration = Duration::from_mins(2);
const STRETCHES: u32 = 40;
/// How much longer than the distance a measured round trip may be.
const ROUGHLY_MS: u64 = 20;
/// How long the timing may take to follow when they are short again.
const SHRINKING: Duration = Duration::from_mins(15);

/// Which story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// The leader is killed, again and again: no singleton stops.
    LeaderCrash,
    /// A majority is killed, for up to a minute: only singletons past their lease stop, and nothing moves.
    QuorumLoss,
    /// Of five members the leader hears one alone, which hears all (openraft issue 2080): writes go on.
    Bridge,
    /// A datacenter with a singleton is cut off, and the leader is killed while it waits for the leases to end.
    /// All clocks are set forward meanwhile.
    Succession,
    /// All round trips grow threefold in two minutes, and are what they were again: the timing follows both ways,
    /// and no singleton stops.
    Distance,
    /// A coordinator is killed or frozen for minutes, its datacenter is not: a neighbour stands in, no singleton stops, and
    /// it has its machines back when it returns.
    Orphans,
}

impl Scenario {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LeaderCrash => "leader-crash",
            Self::QuorumLoss => "quorum-loss",
            Self::Bridge => "bridge",
            Self::Succession => "succession",
            Self::Distance => "distance",
            Self::Orphans => "orphans",
        }
    }

    /// How many datacenters it needs.
    pub(crate) fn datacenters(self) -> usize {
        if matches!(self, Self::Bridge | Self::Succession) { 5 } else { 3 }
    }

    /// Tells it until `end`, to a mesh that has been calm so far.
    pub(crate) fn tell(
        self,
        mesh: &mut SimMesh,
        witness: &mut Witness,
        trace: &Trace,
        end: Duration,
    ) -> Result<u64> {
        let mut told = 0;
        while mesh.world.now() < end {
            let before = witness.tally;
            match self {
                Self::LeaderCrash => leader_crash(mesh, witness, trace)?,
                Self::QuorumLoss => quorum_loss(mesh, witness, trace)?,
                Self::Bridge => bridge(mesh, witness, trace)?,
                Self::Succession => succession(mesh, witness, trace)?,
                Self::Distance => distance(mesh, witness, trace)?,
                Self::Orphans => orphans(mesh, witness, trace)?,
            }
            pass(mesh, witness, trace, PAUSE)?;
            let now = &witness.tally;
            if matches!(self, Self::LeaderCrash | Self::Distance | Self::Orphans) {
                keep(now[Count::Fences] == before[Count::Fences], "a singleton was fenced")?;
            }
            if !matches!(self, Self::Bridge | Self::Succession) {
                keep(now[Count::Losses] == before[Count::Losses], "a datacenter was given up")?;
            }
            told += 1;
        }
        Ok(told)
    }
}

fn keep(held: bool, otherwise: &str) -> Result<()> {
    if held { Ok(()) } else { bail!(Broken(format!("keep-running: {otherwise}"))) }
}

fn pass(mesh: &mut SimMesh, witness: &mut Witness, trace: &Trace, time: Duration) -> Result<()> {
    let until = mesh.world.now() + time;
    while mesh.world.now() < until {
        step(mesh, witness, trace)?;
    }
    Ok(())
}

fn leader_crash(mesh: &mut SimMesh, witness: &mut Witness, trace: &Trace) -> Result<()> {
    let Some(leader) = mesh.leader() else { return Ok(()) };
    trace.note("scenario", format_args!("kills the leader {}", mesh.datacenters[leader].name));
    mesh.end_coordinator(leader, Death::Killed);
    let away = mesh.world.now() + mesh.timing().failover().mul_f64(mesh.chance.f64());
    replaced(mesh, witness, trace)?;
    pass(mesh, witness, trace, away.saturating_sub(mesh.world.now()))?;
    mesh.world.start(mesh.datacenters[leader].host);
    Ok(())
}

/// Waits until another leader has committed something, which takes no longer than is published.
fn replaced(mesh: &mut SimMesh, witness: &mut Witness, trace: &Trace) -> Result<()> {
    let (began, within) = (mesh.world.now(), mesh.timing().failover());
    let before = witness.newest().index;
    while mesh.leader().is_none() || witness.newest().index == before {
        if mesh.world.now() > began + within {
            bail!(Broken(format!("progress: no leader {within:?} after {began:?}")));
        }
        step(mesh, witness, trace)?;
    }
    let took = mesh.world.now().saturating_sub(began);
    trace.note("scenario", format_args!("there is another leader after {took:?} of {within:?}"));
    Ok(())
}

fn quorum_loss(mesh: &mut SimMesh, witness: &mut Witness, trace: &Trace) -> Result<()> {
    let count = mesh.datacenters.len();
    let first = mesh.chance.usize(..count);
    let gone: Vec<usize> = (0..count.div_ceil(2)).map(|more| (first + more) % count).collect();
    trace.note("scenario", format_args!("kills the majority {gone:?}"));
    let death = if mesh.chance.bool() { Death::Killed } else { Death::PowerCut };
    gone.iter().for_each(|number| mesh.end_coordinator(*number, death));
    let away = Duration::from_millis(mesh.chance.u64(..60_000));
    pass(mesh, witness, trace, away)?;
    for number in gone {
        mesh.world.start(mesh.datacenters[number].host);
    }
    Ok(())
}

fn bridge(mesh: &mut SimMesh, witness: &mut Witness, trace: &Trace) -> Result<()> {
    let Some(leader) = mesh.leader() else { return Ok(()) };
    let mut others: Vec<usize> = (0..mesh.datacenters.len()).filter(|n| *n != leader).collect();
    mesh.chance.shuffle(&mut others);
    let (bridge, deaf) = (others[0], &others[1..]);
    trace.note("scenario", format_args!("the leader {leader} hears {bridge} alone"));
    cut(mesh, leader, deaf, true);
    let began = mesh.world.now();
    // The old leader gives up its heartbeats, another is elected, and the first write is taken.
    let within = mesh.timing().failover() * 6;
    pass(mesh, witness, trace, within)?;
    let settled = mesh.world.now();
    pass(mesh, witness, trace, PAUSE)?;
    let done = |answered: Option<(Duration, Answer)>| {
        answered.is_some_and(|(_, answer)| answer == Answer::Done)
    };
    let calls = mesh.ledger.all();
    let written = calls.iter().any(|call| call.at >= settled && done(call.answered));
    if !written {
        let text = format!("progress: no write was taken {within:?} after the cut at {began:?}");
        bail!(Broken(text));
    }
    cut(mesh, leader, deaf, false);
    Ok(())
}

fn succession(mesh: &mut SimMesh, witness: &mut Witness, trace: &Trace) -> Result<()> {
    let Some(leader) = mesh.leader() else { return Ok(()) };
    let holds_one = |number: &usize| {
        let machines = mesh.datacenters[*number].machines.iter();
        machines.flat_map(|machine| machine.units.running()).any(|(_, copy)| copy.singleton)
    };
    let others = (0..mesh.datacenters.len()).filter(|number| *number != leader);
    let holders: Vec<usize> = others.filter(holds_one).collect();
    if holders.is_empty() {
        return Ok(());
    }
    let lost = holders[mesh.chance.usize(..holders.len())];
    let rest: Vec<usize> = (0..mesh.datacenters.len()).filter(|number| *number != lost).collect();
    trace.note("scenario", format_args!("{lost} is cut off"));
    cut(mesh, lost, &rest, true);
    let before = witness.tally[Count::Suspensions];
    let until = mesh.world.now() + mesh.timing().failover() * 3;
    while witness.tally[Count::Suspensions] == before && mesh.world.now() < until {
        step(mesh, witness, trace)?;
    }
    // Whoever leads next has a clock that was set forward, and knows nothing of the time that has passed.
    for number in &rest {
        mesh.world.clock(mesh.datacenters[*number].host).step(CLOCKS_STEP_MS);
    }
    leader_crash(mesh, witness, trace)?;
    let waits = mesh.timing().failover() * 6;
    pass(mesh, witness, trace, waits)?;
    cut(mesh, lost, &rest, false);
    Ok(())
}

fn orphans(mesh: &mut SimMesh, witness: &mut Witness, trace: &Trace) -> Result<()> {
    let gone = mesh.chance.usize(..mesh.datacenters.len());
    let (name, host) = (mesh.datacenters[gone].name, mesh.datacenters[gone].host);
    let frozen = mesh.chance.bool();
    trace.note("scenario", format_args!("{name}'s coordinator is gone, frozen: {frozen}"));
    if frozen {
        mesh.world.freeze(host, true);
    } else {
        mesh.end_coordinator(gone, Death::Killed);
    }
    let datacenter = name.parse()?;
    let own = |witness: &Witness| *witness.newest().state.served_by(&datacenter) == datacenter;
    let away = Duration::from_millis(mesh.chance.u64(20_000..180_000));
    pass(mesh, witness, trace, mesh.timing().failover() * 3)?;
    if own(witness) {
        bail!(Broken(format!("progress: nobody stands in for {name}'s coordinator")));
    }
    pass(mesh, witness, trace, away)?;
    if frozen {
        mesh.world.freeze(host, false);
    } else {
        mesh.world.start(host);
    }
    pass(mesh, witness, trace, PAUSE)?;
    if !own(witness) {
        bail!(Broken(format!("progress: {name}'s coordinator has not its machines back")));
    }
    Ok(())
}

fn distance(mesh: &mut SimMesh, witness: &mut Witness, trace: &Trace) -> Result<()> {
    let longest = mesh.round_trips.values().max().copied().unwrap_or_default();
    let far = (longest * 3).min(FARTHEST).max(longest);
    // A shorter timing is taken where a fifth of it is to spare.
    let longest_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    let enough = Timing::for_rtt_ms(longest_ms * 5 / 4 + ROUGHLY_MS)?.rtt_ms_max;
    let enough = Duration::from_millis(enough);
    trace.note("scenario", format_args!("round trips of {longest:?} grow to {far:?}"));
    for step in 1..=STRETCHES {
        let part = f64::from(step) / f64::from(STRETCHES);
        stretch(mesh, 1.0 + part * (far.as_secs_f64() / longest.as_secs_f64() - 1.0));
        pass(mesh, witness, trace, STRETCHING / STRETCHES)?;
    }
    pass(mesh, witness, trace, PAUSE)?;
    if allowed(witness) < far {
        let found = allowed(witness);
        bail!(Broken(format!("progress: a timing for {found:?}, round trips are {far:?}")));
    }
    stretch(mesh, 1.0);
    let until = mesh.world.now() + SHRINKING;
    while allowed(witness) > enough {
        if mesh.world.now() >= until {
            let found = allowed(witness);
            bail!(Broken(format!("progress: a timing for {found:?} still, {enough:?} will do")));
        }
        step(mesh, witness, trace)?;
    }
    Ok(())
}

/// The longest round trip that the agreed timing allows for.
fn allowed(witness: &Witness) -> Duration {
    let agreed = witness.newest().state.agreed;
    agreed.map_or(Duration::ZERO, |agreed| Duration::from_millis(agreed.timing.rtt_ms_max))
}

/// Makes every round trip between datacenters `factor` times as long as it was at first.
fn stretch(mesh: &SimMesh, factor: f64) {
    for (&(a, b), round_trip) in &mesh.round_trips {
        let delay = (*round_trip / 2).mul_f64(factor);
        for from in mesh.datacenters[a].hosts() {
            for to in mesh.datacenters[b].hosts() {
                mesh.world.network().link(from, to, |link| link.delay = delay);
            }
        }
    }
}

/// Cuts one datacenter from others, or joins them again.
fn cut(mesh: &SimMesh, one: usize, others: &[usize], cut: bool) {
    for from in mesh.datacenters[one].hosts() {
        for to in others.iter().flat_map(|other| mesh.datacenters[*other].hosts()) {
            mesh.world.network().link(from, to, |link| link.cut = cut);
            mesh.world.network().link(to, from, |link| link.cut = cut);
        }
    }
}
