//! Whole coordinators of one mesh in this process, with nobody to sell them machines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use kato_coordinator::{Config, Coordinator, StartError, Tls, World};
use kato_core::{Coordinates, DatacenterSpec, Offer};
use kato_net::clock::SystemClock;
use kato_placement::Catalogue;
use kato_raft::{Disk, Flush, Mesh, NodeId, StoreError, Timing};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::node::{DATACENTERS, Site};

/// A coordinator that runs.
pub(crate) struct Running {
    pub(crate) mesh: Mesh,
    pub(crate) shutdown: CancellationToken,
    pub(crate) joined: JoinHandle<Result<(), StartError>>,
}

impl Running {
    pub(crate) async fn stop(self) -> Result<()> {
        self.shutdown.cancel();
        drop(self.mesh);
        Ok(self.joined.await??)
    }
}

/// Starts a whole coordinator that knows mesh versions up to `knows`.
pub(crate) async fn start(
    site: &Site,
    id: NodeId,
    knows: u32,
    disk: Arc<dyn Disk>,
) -> Result<Running> {
    let (name, address) = (DATACENTERS[usize::try_from(id)? - 1], site.address(id)?);
    let config = Config {
        domain: "demo.com".parse()?,
        member: id,
        members: site.founders()?,
        datacenter: DatacenterSpec {
            country: None,
            labels: [].into(),
            name: name.parse()?,
            location: Coordinates::from_degrees(53.4, -6.3)?,
            address: address.clone(),
            regions: BTreeSet::new(),
            cells: BTreeMap::new(),
        },
        listen: address,
        data_dir: site.store(id),
        tls: Tls { ca: "unused".into(), certificate: "unused".into(), key: "unused".into() },
        authority: None,
        timing: Timing::for_rtt_ms(1)?,
        rebalance_after: Duration::from_mins(10),
        catalog: None,
        catalog_in_part: false,
        ip_locations: Vec::new(),
        sandbox: None,
    };
    let world = || {
        Ok::<_, anyhow::Error>(World {
            transport: site.transport(name)?,
            clock: Arc::new(SystemClock),
            disk: Arc::clone(&disk),
            provider: None,
            catalogue: Catalogue::new(Vec::<Arc<Offer>>::new()),
            history: None,
            flush: Flush::Thread,
            snapshot_every: 5_000,
            knows,
            seed: id,
        })
    };
    let coordinator = loop {
        match Coordinator::start(config.clone(), world()?).await {
            // The one before, in this process, is still closing it.
            Err(StartError::Store(StoreError::InUse)) => tokio::task::yield_now().await,
            started => break started?,
        }
    };
    let (mesh, shutdown) = (coordinator.mesh().clone(), coordinator.shutdown());
    Ok(Running { mesh, shutdown, joined: tokio::spawn(coordinator.join()) })
}
