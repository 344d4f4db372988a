//! Describes the own datacenter to the mesh, and founds the mesh's settings if nobody has.

use std::time::Duration;

use kato_core::version::WITH_PLACEMENT;
use kato_core::{Command, Settings, State};
use tokio_util::sync::CancellationToken;

use super::Wake;
use crate::Config;
use crate::context::Context;

/// Between two looks when nothing changes.
const PERIOD: Duration = Duration::from_secs(10);

pub(super) async fn run(context: Context, config: Config, shutdown: CancellationToken) {
    let mut wake = Wake::new(&context, PERIOD, shutdown);
    while let Some((view, leadership)) = wake.next().await {
        let mut commands = Vec::new();
        if leadership.here && view.state.settings.is_none() {
            commands.push(Command::Found(Settings {
                domain: config.domain.to_string(),
                lease_ms: u64::try_from(context.patience().lease.as_millis()).unwrap_or(u64::MAX),
            }));
        }
        commands.extend(describe(&view.state, &config));
        context.commit("describing the datacenter", commands).await;
    }
}

/// The command that makes the mesh's description of the datacenter the configuration's, if it is not.
fn describe(state: &State, config: &Config) -> Option<Command> {
    let mut own = config.datacenter.clone();
    if state.version < WITH_PLACEMENT {
        // Said in full once the mesh is raised: until then it has no word for the rest.
        own = own.plain();
    }
    let same = state.datacenters.get(&own.name).is_some_and(|known| known.spec == own);
    let founded = state.settings.is_some();
    (founded && !same).then_some(Command::RegisterDatacenter(own))
}
