//! A mesh of one: what a member does by itself, without a network.

mod full;
mod memory;
mod proposals;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use kato_core::version::NEWEST;
use kato_core::{Command, Coordinates, DatacenterSpec, Timestamp};
use kato_net::clock::Clock;
use kato_net::task::Tasks;
use kato_net::{BoxFuture, Expect, Identity, Io, Listener, Transport};

use crate::retention::Retention;
use crate::space::Floor;
use crate::{Config, Disk, Flush, Member, Mesh, StoreError, Timing};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Nobody is there.
struct NoNetwork(Identity);

impl Transport for NoNetwork {
    fn identity(&self) -> &Identity {
        &self.0
    }

    fn connect<'a>(&'a self, _: &'a str, _: &'a Expect) -> BoxFuture<'a, io::Result<Box<dyn Io>>> {
        Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
    }

    fn listen<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}

/// A clock that stands.
struct Standing;

impl Clock for Standing {
    fn boot(&self) -> Duration {
        Duration::ZERO
    }

    fn wall(&self) -> Timestamp {
        Timestamp(1)
    }
}

/// Starts the only member of a mesh, and founds it.
pub(crate) async fn start(disk: Arc<dyn Disk>, tasks: &Tasks) -> Result<Mesh, StoreError> {
    start_within((Retention::DEFAULT, Floor::DEFAULT), disk, tasks).await
}

async fn start_within(
    limits: (Retention, Floor),
    disk: Arc<dyn Disk>,
    tasks: &Tasks,
) -> Result<Mesh, StoreError> {
    let member = Member { datacenter: "dub".parse().unwrap(), address: "nowhere".to_owned() };
    let config = Config {
        id: 1,
        founders: BTreeMap::from([(1, member)]),
        timing: Timing::for_rtt_ms(1).unwrap(),
        snapshot_every: 10_000,
        flush: Flush::Thread,
        knows: NEWEST,
        seed: 1,
    };
    let identity = "spiffe://demo.com/coordinator/dub".parse().unwrap();
    let transport = Arc::new(NoNetwork(identity));
    let clock = Arc::new(Standing);
    let mesh = Mesh::start_within(limits, config, disk, transport, clock, tasks).await?;
    // A store that was damaged while it was opened says so in the first proposal.
    drop(mesh.found().await);
    Ok(mesh)
}

/// Opens a store whose last owner is still closing it.
async fn reopened<T>(open: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let free = async {
        loop {
            match open() {
                Err(StoreError::InUse) => tokio::task::yield_now().await,
                opened => return opened,
            }
        }
    };
    tokio::time::timeout(PATIENCE, free).await.expect("the store is closed at last")
}

/// Registers a datacenter of this name.
pub(crate) fn register(name: &str) -> Vec<Command> {
    vec![Command::RegisterDatacenter(DatacenterSpec {
        country: None,
        labels: [].into(),
        name: name.parse().unwrap(),
        location: Coordinates::from_degrees(53.4, -6.3).unwrap(),
        address: "127.0.0.1:1".to_owned(),
        regions: [].into(),
        cells: [].into(),
    })]
}

/// A command that takes about `bytes` in the log, and that the state refuses.
fn large(bytes: usize) -> Vec<Command> {
    vec![Command::Suspend { machines: Vec::new(), reason: "x".repeat(bytes) }]
}
