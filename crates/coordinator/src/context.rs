//! What every part of a coordinator shares.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kato_core::{Applied, Rejection};
use kato_core::{Command, DatacenterName, Revision, Timestamp};
use kato_net::clock::Clock;
use kato_net::{Domain, Timeouts, Transport};
use kato_placement::Catalogue;
use kato_provision::Provider;
use kato_raft::{Error, Mesh, View};
use tokio::sync::watch;
use tonic::transport::Channel;

use crate::agents::{Agents, Knocks};
use crate::brake::Brake;
use crate::distances::Surveyor;
use crate::history::History;
use crate::ip_locations::IpLocations;
use crate::peers::Peers;
use crate::planner::Planner;
use crate::pulse::Pulse;
use crate::reports::{Report, Reports};
use crate::round_trips::RoundTrips;
use crate::timing::Patience;

/// How long a proposal or a linearizable read of a reconciler may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// Handles to everything that a coordinator is made of. Clones share it.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) domain: Domain,
    pub(crate) datacenter: DatacenterName,
    pub(crate) mesh: Mesh,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) ip_locations: Arc<IpLocations>,
    pub(crate) reports: Reports,
    pub(crate) agents: Agents,
    pub(crate) knocks: Knocks,
    pub(crate) peers: Peers,
    pub(crate) provider: Option<Arc<dyn Provider>>,
    pub(crate) round_trips: RoundTrips,
    pub(crate) surveyor: Surveyor,
    pub(crate) pulse: Pulse,
    /// Where decisions are kept, if they are.
    pub(crate) history: Option<Arc<History>>,
    /// The newest mesh version that this coordinator knows.
    pub(crate) knows: u32,
    /// The brake, while this coordinator leads and it holds.
    pub(crate) brake: watch::Sender<Option<Brake>>,
}

impl Context {
    /// A planner over a state.
    pub(crate) fn planner<'a>(&'a self, view: &'a View) -> Planner<'a> {
        let silence = self.patience().silence;
        let silent = self.reports.silent(&view.state, silence, self.clock.boot());
        let distances = self.surveyor.look(&self.reports.all());
        Planner {
            state: &view.state,
            catalogue: &self.catalogue,
            now: self.now(),
            distances,
            silent,
        }
    }

    /// How long everything waits, by the timing that Raft keeps now.
    pub(crate) fn patience(&self) -> Patience {
        Patience::from(self.mesh.timing())
    }

    /// A kept connection to another coordinator.
    pub(crate) fn peer(&self, datacenter: &DatacenterName, address: &str) -> Channel {
        let timing = self.mesh.timing();
        let timeouts = Timeouts { connect: timing.election_min, keepalive: timing.heartbeat * 3 };
        self.peers.channel(datacenter, address, timeouts)
    }

    /// The latest report of each datacenter that was heard lately, the own one's too.
    pub(crate) fn heard(&self) -> BTreeMap<DatacenterName, Arc<Report>> {
        let (silence, now) = (self.patience().silence, self.clock.boot());
        let mut reports = self.reports.all();
        reports.retain(|_, report| now.saturating_sub(report.heard) <= silence);
        reports
    }

    /// The time of day.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// Commits commands for a reconciler. A refusal means that the state has moved on: the next pass sees it.
    pub(crate) async fn commit(&self, what: &str, commands: Vec<Command>) {
        if commands.is_empty() {
            return;
        }
        match self.mesh.propose(commands, DEADLINE).await {
            Ok(outcomes) => {
                for rejection in outcomes.into_iter().filter_map(Result::err) {
                    tracing::info!(%rejection, "{what}: refused");
                }
            }
            // Said once when it began.
            Err(error @ Error::DiskFull(_)) => {
                tracing::debug!(%error, "{what}: not committed");
            }
            Err(error) => tracing::warn!(%error, "{what}: not committed"),
        }
    }

    /// Commits one command, and says what became of it.
    pub(crate) async fn commit_one(
        &self,
        command: Command,
    ) -> Result<Result<Applied, Rejection>, Error> {
        let outcomes = self.mesh.propose(vec![command], DEADLINE).await?;
        Ok(outcomes
            .into_iter()
            .next()
            .unwrap_or_else(|| Ok(Applied { revision: Revision::default(), changed: false })))
    }
}

/// Opens what a coordinator needs of the outside world.
pub struct World {
    /// Connects and listens.
    pub transport: Arc<dyn Transport>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Keeps the log.
    pub disk: Arc<dyn kato_raft::Disk>,
    /// Sells machines, if somebody does.
    pub provider: Option<Arc<dyn Provider>>,
    /// What is on offer.
    pub catalogue: Catalogue,
    /// Keeps what was decided, if anybody is to ask for it.
    pub history: Option<History>,
    /// Brings the log to the disk.
    pub flush: kato_raft::Flush,
    /// Log entries between two snapshots.
    pub snapshot_every: u64,
    /// The newest mesh version that this coordinator knows: the build's own, but in tests.
    pub knows: u32,
    /// Seeds what is random.
    pub seed: u64,
}
