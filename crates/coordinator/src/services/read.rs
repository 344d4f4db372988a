//! What reading services share: a state as fresh as asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use kato_core::{DatacenterName, Timestamp};
use kato_proto::v1 as pb;
use kato_raft::View;
use tonic::Status;

use crate::context::{Context, DEADLINE};
use crate::reports::Report;
use crate::status;
use crate::view::{Whole, millis};

/// Reads for the services.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) context: Context,
}

/// One answer's state, and where it is from.
pub(crate) struct Snapshot {
    pub(crate) view: View,
    pub(crate) info: pb::ReadInfo,
    reports: BTreeMap<DatacenterName, Arc<Report>>,
    now: std::time::Duration,
    wall: Timestamp,
    silence: std::time::Duration,
}

impl Reading {
    /// A state as fresh as asked for.
    pub(crate) async fn at(&self, consistency: pb::Consistency) -> Result<Snapshot, Status> {
        let stale = consistency == pb::Consistency::Stale;
        let (view, age_ms) = if stale {
            let view = self.context.mesh.stale();
            let age = self.context.pulse.age_of(view.state.time);
            (view, millis(age))
        } else {
            let read = self.context.mesh.read(DEADLINE).await;
            (read.map_err(|error| status::from_mesh(&error))?, 0)
        };
        let info = pb::ReadInfo {
            revision: view.state.revision.0,
            stale,
            age_ms,
            answered_by: self.context.datacenter.to_string(),
        };
        Ok(self.snapshot(view, info))
    }

    /// What this coordinator knows, at once.
    pub(crate) fn here(&self) -> Snapshot {
        self.snapshot(self.context.mesh.stale(), pb::ReadInfo::default())
    }

    fn snapshot(&self, view: View, info: pb::ReadInfo) -> Snapshot {
        Snapshot {
            view,
            info,
            reports: self.context.reports.all(),
            now: self.context.clock.boot(),
            wall: self.context.now(),
            silence: self.context.patience().silence,
        }
    }
}

impl Snapshot {
    /// The state with the reports.
    pub(crate) fn whole(&self) -> Whole<'_> {
        let Self { view, reports, now, wall, silence, .. } = self;
        Whole { state: &view.state, reports, now: *now, wall: *wall, silence: *silence }
    }
}
