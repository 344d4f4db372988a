//! After a restore: leases that the mesh before granted are not known of, and none is granted until the longest of them has
//! ended. The leader alone waits, on its own clock and from when it sees the restored state; a new leader waits anew.

use std::time::Duration;

use kato_core::{Command, Revision};
use tokio_util::sync::CancellationToken;

use super::Wake;
use crate::context::Context;
use crate::timing::{lease_is_over, longest_lease};

/// Between two looks when nothing changes.
const PERIOD: Duration = Duration::from_secs(1);

/// Which quarantine this leader waits for, in which term, and since when.
type Waiting = Option<(u64, Revision, Duration)>;

pub(super) async fn run(context: Context, shutdown: CancellationToken) {
    let mut wake = Wake::new(&context, PERIOD, shutdown);
    let mut waiting = None;
    while let Some((view, leadership)) = wake.next().await {
        let quarantined = view.state.quarantined.filter(|_| leadership.here);
        let now = context.clock.boot();
        let agreed = view.state.lease_ms_max().map_or(Duration::ZERO, Duration::from_millis);
        let lease = agreed.max(longest_lease());
        let command = decide(&mut waiting, quarantined, leadership.term, lease, now);
        context.commit("ending the quarantine", command.into_iter().collect()).await;
    }
}

/// The end of the quarantine, once the longest lease of all has ended.
fn decide(
    waiting: &mut Waiting,
    quarantined: Option<Revision>,
    term: u64,
    lease: Duration,
    now: Duration,
) -> Option<Command> {
    let since = quarantined?;
    let known = waiting.filter(|(in_term, of, _)| (*in_term, *of) == (term, since));
    let (.., began) = *waiting.insert(known.unwrap_or((term, since, now)));
    let over = now.saturating_sub(began) >= lease_is_over(lease);
    over.then_some(Command::EndQuarantine { since })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarantine_lasts_as_long_as_the_longest_lease_and_a_new_leader_waits_anew() {
        let (mut waiting, wait) = (None, lease_is_over(longest_lease()));
        let since = Revision(1 << 40);
        let start = Duration::from_secs(1_000);
        let just_before = wait.saturating_sub(Duration::from_millis(1));
        for (term, at, ends) in [
            (1, start, false),
            (1, start + just_before, false),
            (2, start + just_before, false),
            (2, start + wait, false),
            (2, start + just_before + wait, true),
        ] {
            let found = decide(&mut waiting, Some(since), term, longest_lease(), at);
            assert_eq!(found, ends.then_some(Command::EndQuarantine { since }), "{term} {at:?}");
        }
        assert_eq!(decide(&mut waiting, None, 2, longest_lease(), start + wait * 9), None);
        let another = Some(Revision(2 << 40));
        let decided = decide(&mut waiting, another, 2, longest_lease(), start + wait * 9);
        assert_eq!(decided, None, "another restore");
    }
}
