//! What reading services share: a state as fresh as asked for, and pages.

use std::collections::BTreeMap;
use std::sync::Arc;

use kato_core::DatacenterName;
use kato_proto::v1 as pb;
use kato_raft::View;
use tonic::Status;

use crate::context::{Context, DEADLINE};
use crate::pulse::Pulse;
use crate::reports::Report;
use crate::status;
use crate::view::Whole;

/// Items on a page that asks for no number, and the most that one may ask for.
const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1_000;

/// Reads for the services.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) context: Context,
    pub(crate) pulse: Pulse,
}

/// One answer's state, and where it is from.
pub(crate) struct Snapshot {
    pub(crate) view: View,
    pub(crate) info: pb::ReadInfo,
    reports: BTreeMap<DatacenterName, Arc<Report>>,
    now: std::time::Duration,
    silence: std::time::Duration,
}

impl Reading {
    /// A state as fresh as asked for.
    pub(crate) async fn at(&self, consistency: pb::Consistency) -> Result<Snapshot, Status> {
        let stale = consistency == pb::Consistency::Stale;
        let (view, age_ms) = if stale {
            (self.context.mesh.stale(), self.pulse.age_ms())
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
            silence: self.context.patience.silence,
        }
    }
}

impl Snapshot {
    /// The state with the reports.
    pub(crate) fn whole(&self) -> Whole<'_> {
        let Self { view, reports, now, silence, .. } = self;
        Whole { state: &view.state, reports, now: *now, silence: *silence }
    }
}

/// Takes one page out of things that are in the order of their names. The token is the last name of the page before;
/// the second result is the token of the next page, empty on the last one.
pub(crate) fn page<T>(
    items: impl Iterator<Item = (String, T)>,
    page: Option<pb::Page>,
) -> Result<(Vec<T>, String), Status> {
    let page = page.unwrap_or_default();
    let size = match page.size as usize {
        0 => PAGE_DEFAULT,
        size @ 1..=PAGE_MAX => size,
        size => {
            return Err(status::bad_field("page.size", format!("{size} is over {PAGE_MAX}")));
        }
    };
    let mut items_taken = Vec::new();
    let mut last = String::new();
    let mut items = items.skip_while(|(name, _)| !page.token.is_empty() && *name <= page.token);
    for (name, item) in items.by_ref().take(size) {
        last = name;
        items_taken.push(item);
    }
    let token = if items.next().is_some() { last } else { String::new() };
    Ok((items_taken, token))
}
