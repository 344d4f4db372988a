//! Whether an assignment is to be started, given what is known of its instance. Pure: this is where a late or a
//! repeated message would become a second copy. The simulator's engine asks it too.

pub use crate::record::End;

/// The last start of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its epoch.
    pub epoch: u64,
    /// Its generation.
    pub generation: u64,
    /// Why nothing of it runs any more, if nothing does.
    pub end: Option<End>,
}

/// What to do with an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is what runs, or what has run to its end.
    Nothing,
    /// Nothing runs: start it.
    Start,
    /// Something older runs: stop that, then start it.
    Replace,
    /// Something newer was started or stopped, as epoch and generation.
    Stale(u64, u64),
}

/// Decides for an assignment of `epoch` and `generation`. `stopped` is the newest that was ever told to stop.
pub fn verdict(
    known: Option<Known>,
    stopped: Option<(u64, u64)>,
    epoch: u64,
    generation: u64,
) -> Verdict {
    let wanted = (epoch, generation);
    if let Some(stopped) = stopped.filter(|stopped| wanted <= *stopped) {
        return Verdict::Stale(stopped.0, stopped.1);
    }
    let Some(known) = known else { return Verdict::Start };
    let running = (known.epoch, known.generation);
    if wanted < running {
        return Verdict::Stale(running.0, running.1);
    }
    match known.end {
        // A unit says itself when it has ended for good; asking again is not a way around its start limit.
        None | Some(End::Own) if wanted == running => Verdict::Nothing,
        None => Verdict::Replace,
        Some(_) => Verdict::Start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(end: Option<End>) -> Known {
        Known { epoch: 5, generation: 2, end }
    }

    #[test]
    fn only_what_is_newer_replaces_and_only_what_was_not_finished_starts_again() {
        use Verdict::{Nothing, Replace, Stale, Start};
        let (running, own) = (known(None), known(Some(End::Own)));
        let (fenced, lost) = (known(Some(End::Fenced)), known(Some(End::Lost)));
        let stopped = known(Some(End::Stopped));
        for (known, stopped, wanted, expected) in [
            (None, None, (1, 1), Start),
            (Some(running), None, (5, 2), Nothing),
            (Some(running), None, (5, 3), Replace),
            (Some(running), None, (6, 1), Replace),
            (Some(running), None, (5, 1), Stale(5, 2)),
            (Some(running), None, (4, 9), Stale(5, 2)),
            (Some(own), None, (5, 2), Nothing),
            (Some(own), None, (6, 2), Start),
            (Some(fenced), None, (5, 2), Start),
            (Some(lost), None, (5, 2), Start),
            (Some(lost), None, (4, 2), Stale(5, 2)),
            (Some(stopped), Some((5, 2)), (5, 2), Stale(5, 2)),
            (Some(stopped), Some((5, 2)), (5, 3), Start),
            (Some(running), Some((7, 0)), (6, 0), Stale(7, 0)),
        ] {
            assert_eq!(
                verdict(known, stopped, wanted.0, wanted.1),
                expected,
                "{known:?} {wanted:?}"
            );
        }
    }
}
