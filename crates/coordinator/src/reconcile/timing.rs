//! Keeps Raft's timeouts, and with them the leases, to the round trips that are measured. The leader decides, and the log
//! says it; then every member takes it, one after the other, the leader last.
//!
//! Leases become longer at once, because what is waited for becomes longer with them. They become shorter only after
//! everybody keeps the shorter timing, and what is waited for becomes shorter only after the longer leases have ended.
//!
//! Where round trips have grown so fast that heartbeats come too late, nobody can agree on anything any more. Then each
//! member takes longer timings by itself until they can, and the leader has them agreed on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kato_core::{Command, DatacenterName, Revision, State, Timing as Agreement};
use kato_raft::{Error, Leadership, NodeId, Timing};
use tokio_util::sync::CancellationToken;

use super::Wake;
use crate::context::Context;
use crate::reports::Report;
use crate::timing::{lease_is_over, lease_ms};

/// Between two looks when nothing changes.
const PERIOD: Duration = Duration::from_secs(1);
/// How long round trips must have been too long for the timing: a pause of one coordinator is over by then.
const STRAINED: Duration = Duration::from_secs(5);
/// How long they must have been short enough for a shorter one.
const STEADY: Duration = Duration::from_mins(1);
/// How much of a shorter timing round trips may take up, in percent, or it would soon be left again.
const FILLED_PERCENT: u32 = 80;

type Heard = BTreeMap<DatacenterName, Arc<Report>>;

/// What a leader remembers. Times are of its own boot clock; a new leader starts anew.
#[derive(Debug, Default)]
struct Memory {
    /// Since when it has seen the timing of a revision.
    agreed: Option<(Revision, Duration)>,
    /// Since when round trips have been longer than the timing that holds allows for.
    strained: Option<Duration>,
    /// Since when round trips would fit into a shorter timing.
    calm: Option<Duration>,
}

pub(super) async fn run(context: Context, shutdown: CancellationToken) -> Result<(), Error> {
    let mut wake = Wake::new(&context, PERIOD, shutdown);
    let mut memory = Memory::default();
    // When this member last took a timing by itself.
    let mut alone = Duration::ZERO;
    while let Some((view, leadership)) = wake.next().await {
        let heard = context.heard();
        let missed = context.pulse.age().min(context.clock.boot().saturating_sub(alone));
        let (own, silence) = (context.mesh.timing(), context.patience().silence);
        if let Some(timing) = helps(own, longest(&heard).0, missed, silence) {
            let rtt_ms_max = timing.rtt_ms_max;
            tracing::warn!(
                rtt_ms_max,
                "round trips are too long to agree on anything: waits longer"
            );
            context.mesh.retime(timing).await?;
            alone = context.clock.boot();
            continue;
        }
        take(&context, &view.state, &leadership, &heard).await?;
        if !leadership.here {
            memory = Memory::default();
            continue;
        }
        memory.see(&view.state, &heard, context.clock.boot());
        let own = context.mesh.timing();
        if let Some(timing) = decide(&view.state, &heard, &memory, own, context.clock.boot()) {
            let expected = view.state.agreed.map_or(Revision(0), |agreed| agreed.since);
            let set = Command::SetTiming { expected, timing };
            context.commit("setting the timing", vec![set]).await;
        }
    }
    Ok(())
}

/// The timing that may end a time without agreement, if round trips are what it comes from. Pure.
fn helps(
    own: Timing,
    longest: Option<Duration>,
    missed: Duration,
    silence: Duration,
) -> Option<Timing> {
    let allowed = Duration::from_millis(own.rtt_ms_max);
    let because = missed > silence && longest.is_some_and(|longest| longest > allowed);
    own.longer().filter(|_| because)
}

/// Takes the timing that was agreed on, when it is this member's turn.
async fn take(
    context: &Context,
    state: &State,
    leadership: &Leadership,
    heard: &Heard,
) -> Result<(), Error> {
    let Some(rtt_ms_max) = state.agreed.map(|agreed| agreed.timing.rtt_ms_max) else {
        return Ok(());
    };
    let own = context.mesh.timing().rtt_ms_max;
    let too_short = longest(heard).0.is_some_and(|rtt| rtt > Duration::from_millis(rtt_ms_max));
    if own == rtt_ms_max || own > rtt_ms_max && too_short {
        return Ok(());
    }
    let timing = match Timing::for_rtt_ms(rtt_ms_max) {
        Ok(timing) => timing,
        Err(error) => {
            tracing::error!(%error, "the timing that was agreed on is not taken");
            return Ok(());
        }
    };
    let keeps = |name: &DatacenterName| Some(heard.get(name)?.timing_rtt_ms_max == rtt_ms_max);
    match turn(leadership, &context.datacenter, keeps) {
        Turn::Wait => Ok(()),
        Turn::HandOver(to) => {
            // Whoever leads next is seen at one of the next looks; so is a failure.
            if let Err(error) = context.mesh.transfer(to).await {
                tracing::debug!(%error, "the leadership was not handed over");
            }
            Ok(())
        }
        Turn::Take => {
            context.mesh.retime(timing).await?;
            tracing::info!(rtt_ms_max, "took another timing");
            Ok(())
        }
    }
}

/// What a member that keeps another timing does.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Wait,
    HandOver(NodeId),
    Take,
}

/// Whose turn it is: members in the order of their numbers, the leader last, once it leads no more. `keeps` says whether
/// one keeps the timing, if he is heard; whoever is silent is not waited for. Pure.
fn turn(
    leadership: &Leadership,
    own: &DatacenterName,
    keeps: impl Fn(&DatacenterName) -> Option<bool>,
) -> Turn {
    let leader = leadership.leader.as_ref().map(|(_, name)| name);
    let members = leadership.members.values().map(|member| &member.datacenter);
    let mut followers = members.filter(|name| Some(*name) != leader);
    if leader == Some(own) {
        if followers.any(|name| keeps(name) == Some(false)) {
            return Turn::Wait;
        }
        let others = leadership.voters.iter().filter(|(_, voter)| voter.datacenter != *own);
        let mut next = others.filter(|(_, voter)| keeps(&voter.datacenter) == Some(true));
        return match next.next() {
            Some((id, _)) => Turn::HandOver(*id),
            None if leadership.members.len() == 1 => Turn::Take,
            None => Turn::Wait,
        };
    }
    let before = followers.take_while(|name| *name != own);
    let all = before.map(keeps).all(|keeps| keeps != Some(false));
    if all { Turn::Take } else { Turn::Wait }
}

/// The longest round trip among those that are heard, and whether each was measured by both.
fn longest(heard: &Heard) -> (Option<Duration>, bool) {
    let (mut longest, mut complete) = (None, true);
    for (from, report) in heard {
        for to in heard.keys().filter(|to| *to != from) {
            match report.round_trips.get(to) {
                Some(found) => longest = longest.max(Some(found.bound)),
                None => complete = false,
            }
        }
    }
    (longest, complete)
}

impl Memory {
    /// Takes in what is seen now.
    fn see(&mut self, state: &State, heard: &Heard, now: Duration) {
        let since = state.agreed.map(|agreed| agreed.since);
        self.agreed = since.map(|since| match self.agreed {
            Some((known, seen)) if known == since => (known, seen),
            _ => (since, now),
        });
        let agreed = state.agreed.map(|agreed| agreed.timing.rtt_ms_max);
        let shorter = agreed.and_then(|rtt_ms| Timing::for_rtt_ms(rtt_ms).ok()?.shorter());
        let (longest, complete) = longest(heard);
        let calm = complete
            && shorter.is_some_and(|shorter| {
                let room = Duration::from_millis(shorter.rtt_ms_max) * FILLED_PERCENT / 100;
                longest.is_some_and(|longest| longest <= room)
            });
        self.calm = calm.then(|| self.calm.unwrap_or(now));
        let allowed = agreed.map(Duration::from_millis);
        let strained = allowed.is_some_and(|allowed| longest.is_some_and(|rtt| rtt > allowed));
        self.strained = strained.then(|| self.strained.unwrap_or(now));
    }

    /// Whether every lease has ended that was granted before the timing that holds.
    fn is_over(&self, lease_ms_max: u64, now: Duration) -> bool {
        let wait = lease_is_over(Duration::from_millis(lease_ms_max));
        self.agreed.is_some_and(|(_, seen)| now.saturating_sub(seen) >= wait)
    }
}

/// The timing that the leader proposes, if it is another one than that which holds. Pure.
fn decide(
    state: &State,
    heard: &Heard,
    memory: &Memory,
    own: Timing,
    now: Duration,
) -> Option<Agreement> {
    let granted = state.lease_ms()?;
    if state.version < kato_core::version::WITH_TIMING {
        return None;
    }
    let Some(agreed) = state.agreed.map(|agreed| agreed.timing) else {
        // What the configuration says, until it was measured.
        let lease_ms = lease_ms(own).max(granted);
        let rtt_ms_max = own.rtt_ms_max;
        return Some(Agreement { rtt_ms_max, lease_ms, lease_ms_max: lease_ms });
    };
    let holds = Timing::for_rtt_ms(agreed.rtt_ms_max).ok()?;
    let mut kept = heard.values().map(|report| report.timing_rtt_ms_max);
    if kept.any(|kept| kept < agreed.rtt_ms_max) {
        return None;
    }
    let lasted =
        |since: Option<Duration>| since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
    if lasted(memory.strained) >= STRAINED
        && let Some(longer) = holds.longer()
    {
        let lease_ms = lease_ms(longer).max(agreed.lease_ms);
        let (rtt_ms_max, lease_ms_max) = (longer.rtt_ms_max, agreed.lease_ms_max.max(lease_ms));
        return Some(Agreement { rtt_ms_max, lease_ms, lease_ms_max });
    }
    if heard.values().any(|report| report.timing_rtt_ms_max > agreed.rtt_ms_max) {
        return None;
    }
    let lease_ms = lease_ms(holds);
    if agreed.lease_ms != lease_ms {
        let lease_ms_max = agreed.lease_ms_max.max(lease_ms);
        return Some(Agreement { lease_ms, lease_ms_max, ..agreed });
    }
    if agreed.lease_ms_max > lease_ms {
        let over = memory.is_over(agreed.lease_ms_max, now);
        return over.then_some(Agreement { lease_ms_max: lease_ms, ..agreed });
    }
    let calm = lasted(memory.calm) >= STEADY;
    // The leases follow once everybody keeps it.
    let shorter = holds.shorter().filter(|_| calm)?;
    Some(Agreement { rtt_ms_max: shorter.rtt_ms_max, ..agreed })
}

#[cfg(test)]
mod tests {
    use kato_core::version::WITH_TIMING;
    use kato_core::{Batch, Settings, Timestamp};
    use kato_raft::Member;

    use super::*;
    use crate::round_trips::RoundTrip;

    const NAMES: [&str; 3] = ["dub", "ewr", "sin"];

    fn name(text: &str) -> DatacenterName {
        text.parse().unwrap()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A mesh under a leader that looks once a second.
    struct World {
        state: State,
        memory: Memory,
        /// The round trips between all.
        rtt_ms: u64,
        /// What everybody keeps.
        kept: u64,
        now: u64,
    }

    impl World {
        fn new(rtt_ms_max: u64) -> Self {
            let mut state = State { version: WITH_TIMING, ..State::default() };
            let lease_ms = lease_ms(Timing::for_rtt_ms(rtt_ms_max).unwrap());
            let settings = Settings { domain: "demo.com".to_owned(), lease_ms };
            let founding = Batch { at: Timestamp(0), commands: vec![Command::Found(settings)] };
            assert!(state.apply(&founding).iter().all(Result::is_ok));
            Self { state, memory: Memory::default(), rtt_ms: 1, kept: rtt_ms_max, now: 0 }
        }

        fn heard(&self) -> Heard {
            let bound = Duration::from_millis(self.rtt_ms);
            let measured = |to: &&str| (name(to), RoundTrip { median: bound, bound });
            let report = |from: &str| Report {
                round_trips: NAMES.iter().filter(|to| **to != from).map(measured).collect(),
                timing_rtt_ms_max: self.kept,
                ..Report::default()
            };
            NAMES.iter().map(|from| (name(from), Arc::new(report(from)))).collect()
        }

        /// One look: what it decides is applied.
        fn look(&mut self) -> Option<(u64, u64, u64)> {
            self.now += 1;
            let now = seconds(self.now);
            let (heard, own) = (self.heard(), Timing::for_rtt_ms(self.kept).unwrap());
            self.memory.see(&self.state, &heard, now);
            let timing = decide(&self.state, &heard, &self.memory, own, now)?;
            let expected = self.state.agreed.map_or(Revision(0), |agreed| agreed.since);
            let set = Command::SetTiming { expected, timing };
            let batch = Batch { at: Timestamp(self.now), commands: vec![set] };
            let outcome = self.state.apply(&batch).remove(0);
            assert!(outcome.as_ref().is_ok_and(|applied| applied.changed), "{outcome:?}");
            Some((timing.rtt_ms_max, timing.lease_ms, timing.lease_ms_max))
        }

        /// Looks until something is decided; returns that, and after how many seconds.
        fn next(&mut self) -> ((u64, u64, u64), u64) {
            let before = self.now;
            for _ in 0..1_000 {
                if let Some(decided) = self.look() {
                    return (decided, self.now - before);
                }
            }
            panic!("nothing is decided");
        }
    }

    #[test]
    fn a_timing_follows_the_round_trips_and_leases_are_never_forgotten() {
        let mut world = World::new(5);
        assert_eq!(world.look(), Some((25, 5_400, 5_400)), "what was configured, first");
        assert_eq!(world.look(), None, "nobody keeps it yet");
        world.kept = 25;
        assert!((0..500).all(|_| world.look().is_none()), "round trips of 1 ms are right for it");
        // Farther: one step at a time, each when everybody keeps the last. Leases grow with it.
        world.rtt_ms = 80;
        assert_eq!(world.next(), ((50, 6_156, 6_156), 6));
        assert!((0..10).all(|_| world.look().is_none()), "not before everybody keeps it");
        world.kept = 50;
        assert_eq!(world.look().map(|(rtt_ms, ..)| rtt_ms), Some(75));
        world.kept = 75;
        assert_eq!(world.look(), Some((100, 10_920, 10_920)));
        world.kept = 100;
        assert_eq!(world.look(), None);
        // Nearer, but too little so.
        world.rtt_ms = 61;
        assert!((0..500).all(|_| world.look().is_none()));
        // Nearer for a minute: the timing, then what is granted, and what is waited for last.
        world.rtt_ms = 60;
        let (decided, after) = world.next();
        assert_eq!((decided, after), ((75, 10_920, 10_920), 61));
        assert!((0..10).all(|_| world.look().is_none()), "not before everybody keeps it");
        world.kept = 75;
        assert_eq!(world.look(), Some((75, 8_364, 10_920)));
        let (decided, after) = world.next();
        assert_eq!(decided, (75, 8_364, 8_364));
        assert!(seconds(after) >= lease_is_over(Duration::from_millis(10_920)), "{after} s");
    }

    #[test]
    fn round_trips_beyond_every_timing_change_nothing() {
        let mut world = World::new(1_000);
        world.look();
        world.rtt_ms = 1_400;
        assert!((0..500).all(|_| world.look().is_none()));
    }

    #[test]
    fn who_cannot_agree_because_of_round_trips_waits_longer_by_itself() {
        let own = Timing::for_rtt_ms(100).unwrap();
        let ms = Duration::from_millis;
        for (longest, missed, helped) in [
            (Some(ms(101)), seconds(5), Some(150)),
            (Some(ms(100)), seconds(5), None),
            (Some(ms(400)), seconds(4), None),
            (None, seconds(5), None),
        ] {
            let timing = helps(own, longest, missed, seconds(4));
            assert_eq!(timing.map(|timing| timing.rtt_ms_max), helped, "{longest:?} {missed:?}");
        }
        // And the leader has it agreed on, step by step.
        let mut world = World::new(25);
        world.look();
        (world.kept, world.rtt_ms) = (100, 90);
        for step in [50, 75, 100] {
            assert_eq!(world.next().0.0, step);
        }
        assert_eq!(world.look(), None);
    }

    #[test]
    fn an_older_mesh_keeps_what_was_configured() {
        let mut world = World::new(5);
        world.state.version = WITH_TIMING - 1;
        assert_eq!(world.look(), None);
    }

    #[test]
    fn a_new_leader_waits_for_the_leases_anew() {
        let mut world = World::new(50);
        world.look();
        world.kept = 25;
        let expected = world.state.agreed.unwrap().since;
        let timing = Agreement { rtt_ms_max: 25, lease_ms: 5_400, lease_ms_max: 6_156 };
        let set = Command::SetTiming { expected, timing };
        world.state.apply(&Batch { at: Timestamp(1), commands: vec![set] });
        assert!((0..6).all(|_| world.look().is_none()));
        world.memory = Memory::default();
        let (decided, after) = world.next();
        assert_eq!((decided, after), ((25, 5_400, 5_400), 8));
    }

    #[test]
    fn members_take_turns_and_the_leader_is_the_last() {
        let member = |(id, text): (NodeId, &str)| {
            (id, Member { datacenter: name(text), address: "nowhere".to_owned() })
        };
        let members: BTreeMap<NodeId, Member> = (1..).zip(NAMES).map(member).collect();
        let leadership = Leadership {
            leader: Some((1, name("dub"))),
            voters: members.clone(),
            members,
            ..Leadership::default()
        };
        for (keep, hand_over, dub, ewr, sin) in [
            (["-", "-", "-"], None, Turn::Wait, Turn::Take, Turn::Wait),
            (["-", "+", "-"], None, Turn::Wait, Turn::Take, Turn::Take),
            (["-", "+", "+"], Some(2), Turn::Wait, Turn::Take, Turn::Take),
            (["-", "?", "-"], None, Turn::Wait, Turn::Take, Turn::Take),
            (["-", "?", "+"], Some(3), Turn::Wait, Turn::Take, Turn::Take),
            // Alone, it would take the majority with it.
            (["-", "?", "?"], None, Turn::Wait, Turn::Take, Turn::Take),
        ] {
            let keeps = |wanted: &DatacenterName| {
                let place = NAMES.iter().position(|name| wanted.as_str() == *name)?;
                (keep[place] != "?").then(|| keep[place] == "+")
            };
            let dub = hand_over.map_or(dub, Turn::HandOver);
            for (own, expected) in NAMES.into_iter().zip([dub, ewr, sin]) {
                assert_eq!(turn(&leadership, &name(own), keeps), expected, "{own} of {keep:?}");
            }
        }
    }
}
