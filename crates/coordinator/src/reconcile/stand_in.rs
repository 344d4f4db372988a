//! Stands in for a coordinator that is gone: its agents knock here, nobody hears it, and so the mesh is asked to let this
//! coordinator serve them. And asks for the own machines back when another one serves them.
//!
//! Nothing of safety rests on this: a lease rests on a linearizable read, whoever makes it. What rests on it is that
//! a datacenter whose coordinator alone is gone keeps its singletons.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kato_core::version::WITH_DELEGATION;
use kato_core::{Command, Datacenter, DatacenterName, Health, Revision, State};
use tokio_util::sync::CancellationToken;

use super::Wake;
use crate::context::{Context, DEADLINE};
use crate::reports::Report;

/// Between two looks when nothing changes.
const PERIOD: Duration = Duration::from_millis(100);

pub(super) async fn run(context: Context, shutdown: CancellationToken) {
    let mut wake = Wake::new(&context, PERIOD, shutdown);
    let mut away = Away::default();
    while let Some((view, _)) = wake.next().await {
        if view.state.version < WITH_DELEGATION {
            continue;
        }
        away.see(&view.state, &context.datacenter, context.clock.boot());
        if look(&context, &away).decide(&view.state).is_empty() {
            continue;
        }
        // Who was away for a while may be behind; and much may have been heard since.
        match context.mesh.read(DEADLINE).await {
            Ok(view) => {
                let commands = look(&context, &away).decide(&view.state);
                context.commit("serving machines", commands).await;
            }
            Err(error) => tracing::info!(%error, "who serves machines waits for the mesh"),
        }
    }
}

/// What is known now.
fn look<'a>(context: &'a Context, away: &Away) -> Look<'a> {
    let now = context.clock.boot();
    Look {
        own: &context.datacenter,
        away_since: away.0.map(|(_, since)| since),
        knocking: context.knocks.lately(now),
        reports: context.reports.all(),
        gone_after: context.patience().gone,
        silent_after: context.patience().machine_silence,
        now,
    }
}

/// The term in which another one serves the own machines, if one does, and since when that is known here.
#[derive(Debug, Default)]
struct Away(Option<(Revision, Duration)>);

impl Away {
    fn see(&mut self, state: &State, own: &DatacenterName, now: Duration) {
        let found = state.datacenters.get(own).filter(|found| found.served_by() != own);
        let known = self.0;
        self.0 = found.map(|found| {
            let known = known.filter(|(term, _)| *term == found.term());
            known.unwrap_or((found.term(), now))
        });
    }
}

/// What a decision rests on, beside the state.
struct Look<'a> {
    own: &'a DatacenterName,
    /// Since when it is known here that another one serves the own machines.
    away_since: Option<Duration>,
    /// The datacenters whose agents have lost the coordinator that serves them, as they say.
    knocking: BTreeSet<DatacenterName>,
    reports: BTreeMap<DatacenterName, Arc<Report>>,
    /// A coordinator that nobody has heard for this long is gone.
    gone_after: Duration,
    /// A machine that was not heard for this long is suspended.
    silent_after: Duration,
    now: Duration,
}

impl Look<'_> {
    /// What to propose. Pure.
    fn decide(&self, state: &State) -> Vec<Command> {
        let delegate = |datacenter: &DatacenterName| {
            let expected = state.datacenters.get(datacenter)?.term();
            let (datacenter, to) = (datacenter.clone(), self.own.clone());
            Some(Command::Delegate { datacenter, expected, to })
        };
        let mut wanted = Vec::new();
        // Not at once: the others must have heard of it, and what changes hands rests for a while.
        let is_back =
            self.away_since.is_some_and(|since| self.now.saturating_sub(since) >= self.gone_after);
        if is_back && state.served_by(self.own) != self.own {
            wanted.extend(delegate(self.own));
        }
        // Who hears nobody has no business to say who is gone: it has just woken, or is cut off itself.
        let lost = |found: &Datacenter| matches!(found.health, Health::Lost { .. });
        let there =
            state.datacenters.iter().filter(|(_, found)| !lost(found)).map(|(name, _)| name);
        let there: Vec<&DatacenterName> = there.collect();
        let hears = |name: &&&DatacenterName| **name == self.own || self.is_heard_here(name);
        if there.iter().filter(hears).count() * 2 <= there.len() {
            return wanted;
        }
        let is_orphaned = |name: &&DatacenterName| {
            let by = state.served_by(name);
            let served = self.is_heard(by) && !self.serves_nobody(by, name);
            *name != self.own && by != self.own && !self.is_heard(name) && !served
        };
        wanted.extend(self.knocking.iter().filter(is_orphaned).filter_map(delegate));
        wanted
    }

    /// Whether a neighbour that stands in is not reached by any of the machines.
    fn serves_nobody(&self, by: &DatacenterName, name: &DatacenterName) -> bool {
        let Some(report) = self.reports.get(by) else { return false };
        let mut machines =
            report.machines.iter().filter(|(id, _)| id.cell.datacenter == *name).peekable();
        by != name
            && machines.peek().is_some()
            && machines.all(|(_, found)| !found.connected && found.silent > self.silent_after)
    }

    fn is_heard_here(&self, name: &DatacenterName) -> bool {
        let report = self.reports.get(name);
        report.is_some_and(|report| self.now.saturating_sub(report.heard) <= self.gone_after)
    }

    /// Whether anybody hears a coordinator, as far as it is known here.
    fn is_heard(&self, name: &DatacenterName) -> bool {
        let others = self.reports.iter().filter(|(other, _)| *other != name);
        let told = others.filter_map(|(_, report)| {
            Some(*report.silences.get(name)? + self.now.saturating_sub(report.heard))
        });
        self.is_heard_here(name) || told.min().is_some_and(|silent| silent <= self.gone_after)
    }
}

#[cfg(test)]
mod tests {
    use kato_core::{Coordinates, DatacenterSpec, Delegation};

    use super::*;
    use crate::reports::MachineReport;

    const GONE: Duration = Duration::from_secs(1);
    const NOW: Duration = Duration::from_secs(100);

    fn name(name: &str) -> DatacenterName {
        name.parse().unwrap()
    }

    /// Four datacenters; some are served by others, in terms of their own.
    fn state(served: &[(&str, &str, u64)]) -> State {
        let mut state = State::default();
        for dc in ["dub", "ewr", "fra", "sin"] {
            let spec = DatacenterSpec {
                country: None,
                labels: [].into(),
                name: name(dc),
                location: Coordinates::from_degrees(0.0, 0.0).unwrap(),
                address: "nowhere".to_owned(),
                regions: BTreeSet::new(),
                cells: BTreeMap::new(),
            };
            let mut datacenter = Datacenter::new(spec);
            let found = served.iter().find(|(of, ..)| *of == dc);
            datacenter.delegation =
                found.map(|(_, to, term)| Delegation { to: name(to), term: Revision(*term) });
            state.datacenters.insert(name(dc), datacenter);
        }
        state
    }

    /// What dub decides: who knocks, and how long each other one has been silent, here and as the others say.
    fn decided(
        state: &State,
        knocking: &[&str],
        silent_ms: &[(&str, u64)],
        told_ms: &[(&str, &str, u64)],
    ) -> Vec<String> {
        let report = |(of, silent_ms): &(&str, u64)| {
            let silences = told_ms.iter().filter(|(by, ..)| by == of);
            let report = Report {
                heard: NOW.saturating_sub(Duration::from_millis(*silent_ms)),
                silences: silences
                    .map(|(_, of, ms)| (name(of), Duration::from_millis(*ms)))
                    .collect(),
                ..Report::default()
            };
            (name(of), Arc::new(report))
        };
        let look = Look {
            own: &name("dub"),
            away_since: Some(NOW.saturating_sub(GONE)),
            knocking: knocking.iter().map(|dc| name(dc)).collect(),
            reports: silent_ms.iter().map(report).collect(),
            gone_after: GONE,
            silent_after: GONE * 4,
            now: NOW,
        };
        let shown = |command: Command| match command {
            Command::Delegate { datacenter, expected, to } => {
                format!("{datacenter}:{expected}:{to}")
            }
            other => panic!("{other:?}"),
        };
        look.decide(state).into_iter().map(shown).collect()
    }

    #[test]
    fn a_coordinator_is_stood_in_for_when_nobody_hears_it_and_its_agents_knock() {
        let none = state(&[]);
        let heard = [("ewr", 1_500), ("fra", 100), ("sin", 200)];
        for (knocking, silent, told, expected) in [
            (&["ewr"][..], heard, &[][..], &["ewr:0:dub"][..]),
            (&[], heard, &[], &[]),
            (&["ewr"], [("ewr", 900), ("fra", 100), ("sin", 200)], &[], &[]),
            // Somebody hears it: what was told grows old with the report.
            (&["ewr"], heard, &[("fra", "ewr", 850)], &[]),
            (&["ewr"], heard, &[("fra", "ewr", 950)], &["ewr:0:dub"]),
            // What it says of itself proves nothing.
            (&["ewr"], heard, &[("ewr", "ewr", 0)], &["ewr:0:dub"]),
            (&["dub"], heard, &[], &[]),
            (&["ewr"], [("ewr", 5_000), ("fra", 5_000), ("sin", 200)], &[], &[]),
            (&["nowhere"], heard, &[], &[]),
        ] {
            let found = decided(&none, knocking, &silent, told);
            assert_eq!(found, expected, "{knocking:?} {silent:?} {told:?}");
        }
        let heard = &heard[1..];
        assert_eq!(decided(&none, &["ewr"], heard, &[]), ["ewr:0:dub"], "it was never heard");
    }

    #[test]
    fn who_stands_in_is_stood_in_for_and_who_returns_takes_its_machines_back() {
        let delegated = state(&[("ewr", "fra", 7)]);
        let silent = |ewr, fra| [("ewr", ewr), ("fra", fra), ("sin", 200)];
        let none: [&str; 0] = [];
        assert_eq!(decided(&delegated, &["ewr"], &silent(9_000, 100), &[]), none, "fra serves");
        let told = [("sin", "fra", 9_000)];
        assert_eq!(decided(&delegated, &["ewr"], &silent(100, 9_000), &told), none, "it is back");
        // Of four, two are heard here: not more than half.
        assert_eq!(decided(&delegated, &["ewr"], &silent(9_000, 9_000), &told), none);
        let own = state(&[("ewr", "dub", 7)]);
        assert_eq!(decided(&own, &["ewr"], &silent(9_000, 100), &[]), none, "it stands in already");

        let own = state(&[("dub", "fra", 7)]);
        assert_eq!(decided(&own, &[], &silent(100, 100), &[]), ["dub:7:dub"]);
        assert_eq!(decided(&own, &[], &silent(9_000, 9_000), &[]), ["dub:7:dub"]);
    }

    #[test]
    fn who_returns_is_heard_by_the_others_before_it_takes_its_machines_back() {
        let dub = name("dub");
        let wanted = |state: &State, away: &Away, now| {
            let (knocking, reports) = (BTreeSet::new(), BTreeMap::new());
            let away_since = away.0.map(|(_, since)| since);
            let (gone_after, silent_after) = (GONE, GONE * 4);
            let own = &dub;
            let look = Look { own, away_since, knocking, reports, gone_after, silent_after, now };
            look.decide(state).len()
        };
        let mut away = Away::default();
        let served = state(&[("dub", "fra", 7)]);
        away.see(&served, &dub, NOW);
        assert_eq!(wanted(&served, &away, NOW), 0);
        assert_eq!(wanted(&served, &away, NOW + GONE), 1);
        let anew = state(&[("dub", "sin", 9)]);
        away.see(&anew, &dub, NOW + GONE);
        assert_eq!(wanted(&anew, &away, NOW + GONE), 0, "another term");
        let own = state(&[("dub", "dub", 10)]);
        away.see(&own, &dub, NOW + GONE * 2);
        assert_eq!(wanted(&own, &away, NOW + GONE * 9), 0);
    }

    #[test]
    fn a_neighbour_that_no_machine_reaches_is_stood_in_for() {
        let delegated = state(&[("ewr", "fra", 7)]);
        for (connected, silent_ms, expected) in
            [(true, 9_000, 0), (false, 3_900, 0), (false, 4_100, 1)]
        {
            let machine = MachineReport {
                connected,
                silent: Duration::from_millis(silent_ms),
                instances: BTreeMap::new(),
                steady: BTreeMap::new(),
            };
            let fra = Report {
                heard: NOW,
                machines: [("core-1.cell-1.ewr".parse().unwrap(), machine)].into(),
                ..Report::default()
            };
            let sin = Report { heard: NOW, ..Report::default() };
            let look = Look {
                own: &name("dub"),
                away_since: None,
                knocking: [name("ewr")].into(),
                reports: [(name("fra"), Arc::new(fra)), (name("sin"), Arc::new(sin))].into(),
                gone_after: GONE,
                silent_after: GONE * 4,
                now: NOW,
            };
            assert_eq!(look.decide(&delegated).len(), expected, "{connected} {silent_ms}");
        }
    }
}
