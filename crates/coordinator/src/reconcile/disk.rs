//! A leader whose disk is almost full hands the leadership to a member that has room. If there is none it stays, and
//! refuses writes; reads, and everything that runs, go on. The leader alone does this.

use kato_core::DatacenterName;
use kato_raft::{Leadership, NodeId};
use tokio_util::sync::CancellationToken;

use super::Wake;
use crate::context::Context;

pub(super) async fn run(context: Context, shutdown: CancellationToken) {
    let mut wake = Wake::new(&context, context.patience().report, shutdown);
    while let Some((_, leadership)) = wake.next().await {
        let alarm = context.mesh.disk_alarm().borrow().clone();
        let (true, Some(alarm)) = (leadership.here, alarm) else { continue };
        let heard = context.heard();
        let has_room = |datacenter: &DatacenterName| {
            heard.get(datacenter).is_some_and(|report| report.disk_alarm.is_none())
        };
        let Some((to, name)) = decide(&leadership, &context.datacenter, has_room) else { continue };
        tracing::warn!(%alarm, "{name} is handed the leadership: the disk here is almost full");
        if let Err(error) = context.mesh.transfer(to).await {
            tracing::warn!(%error, "the leadership was not handed over");
        }
        // Whoever leads next is heard of before this is tried again.
        let mut followed = context.mesh.leadership();
        let gone = followed.wait_for(|leadership| !leadership.here);
        drop(tokio::time::timeout(context.patience().silence, gone).await);
    }
}

/// The first of the other voters that has room.
fn decide<'a>(
    leadership: &'a Leadership,
    own: &DatacenterName,
    has_room: impl Fn(&DatacenterName) -> bool,
) -> Option<(NodeId, &'a DatacenterName)> {
    let others = leadership.voters.iter().filter(|(_, member)| member.datacenter != *own);
    let mut fit = others.filter(|(_, member)| has_room(&member.datacenter));
    fit.next().map(|(id, member)| (*id, &member.datacenter))
}

#[cfg(test)]
mod tests {
    use kato_raft::Member;

    use super::*;

    #[test]
    fn the_leadership_goes_to_a_voter_with_room() {
        let member = |(id, name): (NodeId, &str)| {
            let datacenter = name.parse().unwrap();
            (id, Member { datacenter, address: "nowhere".to_owned() })
        };
        let voters = [(1, "dub"), (2, "ewr"), (3, "fra")].map(member).into();
        let leadership = Leadership { here: true, voters, ..Leadership::default() };
        let dub = "dub".parse().unwrap();
        for (room, expected) in [
            (&["dub", "ewr", "fra"][..], Some(2)),
            (&["fra"], Some(3)),
            (&["dub"], None),
            (&[], None),
        ] {
            let found = decide(&leadership, &dub, |name| room.contains(&name.as_str()));
            assert_eq!(found.map(|(id, _)| id), expected, "{room:?}");
        }
    }
}
