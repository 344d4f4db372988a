//! What is said of one instance on `core-1` of `dub`, as its placement, its agent and its datacenter change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kato_core::{
    CellId, Coordinates, Datacenter, DatacenterSpec, Decision, MicroDollars, Order, OrderId,
    Placement, Quote, Resources, Revision, Source, State, Unplaceable,
};

use super::*;
use crate::reports::{MachineReport, Report};
use crate::sample::offer;

const NOW: Duration = Duration::from_secs(500);
/// The same moment as a time of day.
const WALL: u64 = 1_000_000;
const SILENCE: Duration = Duration::from_secs(2);
const EPOCH: Revision = Revision(7);

fn decision() -> Arc<Decision> {
    let latency_price_micros_per_ms_hour = MicroDollars(500);
    Arc::new(Decision { at: Timestamp(0), latency_price_micros_per_ms_hour, candidates: vec![] })
}

/// A world in which all is well.
struct World {
    state: State,
    instance: Instance,
    seen: Seen,
    connected: bool,
    /// How long the agent has been silent, by its coordinator, and that one.
    agent_silent: Duration,
    silent: Option<Duration>,
}

impl World {
    fn new() -> Self {
        let mut state = State::default();
        let spec = DatacenterSpec {
            country: None,
            labels: [].into(),
            name: "dub".parse().unwrap(),
            location: Coordinates::from_degrees(53.4, -6.3).unwrap(),
            address: "127.0.0.1:1".to_owned(),
            regions: BTreeSet::new(),
            cells: BTreeMap::new(),
        };
        state.datacenters.insert(spec.name.clone(), Datacenter::new(spec));
        let mut instance = Instance::new("web@1".parse().unwrap());
        instance.placement = Some(Placement {
            cell: "cell-1.dub".parse::<CellId>().unwrap(),
            machine: Some("core-1.cell-1.dub".parse().unwrap()),
            epoch: EPOCH,
            generation: 1,
            request: Resources::new(100, 64),
            quote: Quote {
                offer: offer("eu-west-1", 91_200),
                source: Source::Buy,
                price_micros_per_hour: MicroDollars(91_200),
                adds_micros_per_hour: MicroDollars(91_200),
                preference_micros_per_hour: MicroDollars(0),
                moving_micros_per_hour: MicroDollars(0),
                latency_micros_per_hour: MicroDollars(0),
            },
            decision: decision(),
            order: None,
            placed_at: Timestamp(WALL - 300_000),
        });
        let seen = Seen {
            epoch: EPOCH,
            generation: 1,
            state: RunState::Running,
            since: Timestamp(WALL - 240_000),
            restarts: 0,
            ports: BTreeMap::new(),
            detail: "pid 17".to_owned(),
        };
        let (connected, agent_silent) = (true, Duration::from_millis(900));
        let silent = Some(Duration::from_millis(100));
        Self { state, instance, seen, connected, agent_silent, silent }
    }

    fn placement(&mut self) -> &mut Placement {
        self.instance.placement.as_mut().unwrap()
    }

    /// The state, for how many milliseconds (none where nobody knows), and what is said about it.
    fn shown(&self) -> (pb::RunState, Option<u64>, String) {
        let id = self.instance.id.clone();
        let machine = MachineReport {
            connected: self.connected,
            silent: self.agent_silent,
            instances: BTreeMap::from([(id, self.seen.clone())]),
            steady: BTreeMap::new(),
        };
        let report = self.silent.map(|silent| Report {
            heard: NOW.checked_sub(silent).unwrap(),
            machines: BTreeMap::from([("core-1.cell-1.dub".parse().unwrap(), machine)]),
            ..Report::default()
        });
        let report = report.map(|report| ("dub".parse().unwrap(), Arc::new(report)));
        let reports = report.into_iter().collect();
        let whole = Whole {
            state: &self.state,
            reports: &reports,
            now: NOW,
            wall: Timestamp(WALL),
            silence: SILENCE,
        };
        let shown = whole.instance(&self.instance);
        let since = Some(shown.state_since_unix_ms).filter(|since| *since > 0);
        (shown.state(), since.map(|since| WALL - since), shown.detail)
    }
}

fn said(state: pb::RunState, for_ms: u64, detail: &str) -> (pb::RunState, Option<u64>, String) {
    (state, Some(for_ms), detail.to_owned())
}

#[test]
fn time_and_detail_belong_to_the_state_that_is_shown() {
    let mut world = World::new();
    assert_eq!(world.shown(), said(pb::RunState::Running, 240_000, "pid 17"));
    // It runs on where it is, but what is shown began with the last look for a place.
    let since = Timestamp(WALL - 3_000);
    world.instance.unplaceable = Some(Unplaceable { since, decision: decision() });
    assert_eq!(
        world.shown(),
        said(pb::RunState::Unplaceable, 3_000, "still running on core-1.cell-1.dub")
    );
    world.instance.placement = None;
    assert_eq!(world.shown(), said(pb::RunState::Unplaceable, 3_000, ""));
}

#[test]
fn what_has_no_place_still_runs_only_if_its_agent_has_lately_said_so() {
    let note = |change: &dyn Fn(&mut World)| {
        let mut world = World::new();
        let since = Timestamp(WALL - 3_000);
        world.instance.unplaceable = Some(Unplaceable { since, decision: decision() });
        change(&mut world);
        let (state, _, note) = world.shown();
        assert_eq!(state, pb::RunState::Unplaceable);
        note
    };
    assert_eq!(note(&|_| {}), "still running on core-1.cell-1.dub");
    let late = SILENCE + Duration::from_millis(1);
    let changes: [&dyn Fn(&mut World); 6] = [
        &|world| world.silent = None,
        &|world| world.silent = Some(late),
        &|world| world.agent_silent = late,
        &|world| world.seen.state = RunState::Restarting,
        &|world| world.seen.epoch = Revision(6),
        &|world| world.placement().machine = None,
    ];
    for (case, change) in changes.iter().enumerate() {
        assert_eq!(note(change), "", "case {case}");
    }
}

#[test]
fn what_is_not_heard_is_unknown_since_it_was_last_heard() {
    let mut world = World::new();
    world.silent = Some(SILENCE);
    assert_eq!(world.shown().0, pb::RunState::Running);
    world.silent = Some(SILENCE + Duration::from_secs(1));
    assert_eq!(world.shown(), said(pb::RunState::Unknown, 3_000, ""));
    let suspected = Health::Suspected { since: Timestamp(WALL - 1_000) };
    let dub: kato_core::DatacenterName = "dub".parse().unwrap();
    world.state.datacenters.get_mut(&dub).unwrap().health = suspected;
    assert_eq!(world.shown(), said(pb::RunState::Unknown, 3_000, ""));
    // A coordinator that has just started has heard nobody.
    world.silent = None;
    assert_eq!(world.shown(), said(pb::RunState::Unknown, 1_000, ""));
    world.silent = Some(Duration::ZERO);
    assert_eq!(world.shown(), said(pb::RunState::Unknown, 1_000, ""));
}

#[test]
fn a_new_place_is_pending_since_it_was_given() {
    let mut world = World::new();
    world.placement().epoch = Revision(8);
    let (state, for_ms, _) = world.shown();
    assert_eq!((state, for_ms), (pb::RunState::Pending, Some(300_000)));
    world.instance.placement = None;
    let (state, for_ms, _) = world.shown();
    assert_eq!((state, for_ms), (pb::RunState::Pending, None));
}

#[test]
fn what_is_pending_says_what_it_waits_for() {
    let mut world = World::new();
    let note = |world: &World| {
        let (state, _, note) = world.shown();
        assert_eq!(state, pb::RunState::Pending);
        note
    };
    // The agent speaks of an older epoch.
    world.placement().epoch = Revision(8);
    assert_eq!(note(&world), "waits for core-1's agent");
    world.connected = false;
    assert_eq!(note(&world), "waits for core-1's agent, which is not attached");
    world.placement().machine = None;
    assert_eq!(note(&world), "waits for a machine of cell-1.dub");
    let mut order = Order {
        cell: "cell-1.dub".parse().unwrap(),
        offer: offer("eu-west-1", 91_200),
        instance: world.instance.id.clone(),
        attempts: 0,
        placed_at: Timestamp(0),
    };
    world.placement().order = Some(OrderId(5));
    // The order has ended: its machine joined, or it was given up.
    assert_eq!(note(&world), "waits for a machine of cell-1.dub");
    world.state.orders.insert(OrderId(5), order.clone());
    assert_eq!(note(&world), "waits for order-5 (t3.large)");
    order.attempts = 1;
    world.state.orders.insert(OrderId(5), order);
    assert_eq!(note(&world), "waits for order-5 (t3.large, attempt 1)");
    // Nobody needs to be heard for that.
    world.silent = None;
    assert_eq!(note(&world), "waits for order-5 (t3.large, attempt 1)");
    world.instance.placement = None;
    assert_eq!(note(&world), "waits for a place");
}
