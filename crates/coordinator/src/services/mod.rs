//! The services for clients. Reads are answered here from the local state; wishes go to the leader.

mod cluster;
mod events;
mod logs;
mod page;
mod placement;
mod queue;
mod read;
mod spec;
mod topology;
mod watch;
mod workloads;

pub(crate) use cluster::ClusterService;
pub(crate) use events::EventService;
pub(crate) use logs::LogService;
pub(crate) use placement::PlacementService;
pub(crate) use read::Reading;
pub(crate) use spec::options;
pub(crate) use topology::TopologyService;
pub(crate) use workloads::WorkloadService;
