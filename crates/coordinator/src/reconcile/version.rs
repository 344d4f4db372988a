//! Raises the mesh version once every member knows a newer one. The leader alone does it: it waits for a report of each,
//! because one that is silent may come back with an older binary, which could not go on from there.

use kato_core::{Command, DatacenterName, State};
use kato_raft::Leadership;
use tokio_util::sync::CancellationToken;

use super::Wake;
use crate::context::Context;

pub(super) async fn run(context: Context, shutdown: CancellationToken) {
    let mut wake = Wake::new(&context, context.patience().report, shutdown);
    while let Some((view, leadership)) = wake.next().await {
        if !leadership.here {
            continue;
        }
        let heard = context.heard();
        let known = |datacenter: &DatacenterName| Some(heard.get(datacenter)?.knows);
        let raise = decide(&view.state, &leadership, known);
        let commands = raise.map(|to| Command::RaiseVersion { to });
        context.commit("raising the mesh version", commands.into_iter().collect()).await;
    }
}

/// The version that all members know, if the mesh is behind it.
fn decide(
    state: &State,
    leadership: &Leadership,
    known: impl Fn(&DatacenterName) -> Option<u32>,
) -> Option<u32> {
    // The first command of all says what the mesh is.
    state.settings.as_ref()?;
    let known = leadership.members.values().map(|member| known(&member.datacenter));
    let least = known.collect::<Option<Vec<u32>>>()?.into_iter().min()?;
    (least > state.version).then_some(least)
}

#[cfg(test)]
mod tests {
    use kato_core::{Settings, version::FIRST};
    use kato_raft::Member;

    use super::*;

    #[test]
    fn the_mesh_is_raised_to_what_all_members_know() {
        let settings = Settings { domain: "demo.com".to_owned(), lease_ms: 1 };
        let founded = State { settings: Some(settings), ..State::default() };
        let member = |(id, name): (u64, &str)| {
            let datacenter = name.parse().unwrap();
            (id, Member { datacenter, address: "nowhere".to_owned() })
        };
        let members = [(1, "dub"), (2, "ewr"), (3, "fra")].map(member).into();
        let leadership = Leadership { members, ..Leadership::default() };
        for (dub, ewr, fra, raised) in [
            (Some(FIRST + 1), Some(FIRST + 2), Some(FIRST + 1), Some(FIRST + 1)),
            (Some(FIRST + 1), Some(FIRST), Some(FIRST + 1), None),
            (Some(FIRST + 1), None, Some(FIRST + 1), None),
            (Some(FIRST), Some(FIRST), Some(FIRST), None),
        ] {
            let known = |name: &DatacenterName| match name.as_str() {
                "dub" => dub,
                "ewr" => ewr,
                _ => fra,
            };
            assert_eq!(decide(&founded, &leadership, known), raised, "{dub:?} {ewr:?} {fra:?}");
            assert_eq!(decide(&State::default(), &leadership, known), None, "not founded");
        }
        let nobody = Leadership::default();
        assert_eq!(decide(&founded, &nobody, |_| Some(FIRST + 1)), None, "nobody is known yet");
    }
}
