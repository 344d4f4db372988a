//! What tests ask of a mesh, and what they wait for.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use kato_core::{Applied, Command, Coordinates, DatacenterName, DatacenterSpec, State};
use kato_proto::store_v1;
use kato_raft::{Error, Mesh, NodeId, View};
use prost::Message as _;

use crate::node::{Node, PATIENCE};

/// A write that counts: every one of another name makes a revision.
pub(crate) fn register(name: &str, address: &str) -> Result<Vec<Command>> {
    Ok(vec![Command::RegisterDatacenter(DatacenterSpec {
        country: None,
        labels: [].into(),
        name: name.parse()?,
        location: Coordinates::from_degrees(53.4, -6.3)?,
        address: address.to_owned(),
        regions: BTreeSet::new(),
        cells: BTreeMap::new(),
    })])
}

/// Writes one datacenter, once.
pub(crate) async fn write(mesh: &Mesh, name: &str, address: &str) -> Result<Applied> {
    let outcomes = mesh.propose(register(name, address)?, PATIENCE).await?;
    ensure!(outcomes.len() == 1, "one command, {} outcomes", outcomes.len());
    Ok(outcomes.into_iter().next().context("an outcome")??)
}

/// The address of a datacenter in a state.
pub(crate) fn address<'a>(state: &'a State, name: &str) -> Option<&'a str> {
    let name: DatacenterName = name.parse().ok()?;
    state.datacenters.get(&name).map(|datacenter| datacenter.spec.address.as_str())
}

/// Waits until a node knows a leader for which `wanted` holds.
pub(crate) async fn leader(node: &Node, wanted: impl Fn(NodeId) -> bool) -> Result<NodeId> {
    let mut leadership = node.mesh.leadership();
    let known = leadership.wait_for(|now| now.leader.as_ref().is_some_and(|(id, _)| wanted(*id)));
    let known = tokio::time::timeout(PATIENCE, known).await.context("nobody leads")??;
    Ok(known.leader.as_ref().context("a leader")?.0)
}

/// Waits until all nodes have applied what the first one has read, and returns their states as bytes.
pub(crate) async fn settled(nodes: &[&Node]) -> Result<Vec<Vec<u8>>> {
    let index = nodes.first().context("a node")?.mesh.read(PATIENCE).await?.index;
    let mut states = Vec::new();
    for node in nodes {
        let mut views = node.mesh.watch();
        let reached = views.wait_for(|view: &View| view.index >= index);
        let view = tokio::time::timeout(PATIENCE, reached).await.context("it stays behind")??;
        states.push(store_v1::State::from(&view.state).encode_to_vec());
    }
    Ok(states)
}

/// Whether a failure says that nothing was decided, or that nobody knows.
pub(crate) fn undecided(
    outcome: &Result<Vec<Result<Applied, kato_core::Rejection>>, Error>,
) -> bool {
    matches!(outcome, Err(Error::Unavailable(_) | Error::Unknown))
}
