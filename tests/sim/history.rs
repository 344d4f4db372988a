//! Whether what operators were told can be explained by one register that does one thing at a time
//! (linearizability: Herlihy and Wing, TOPLAS 1990), checked by the algorithm of Wing, Gong and Lowe.

use std::sync::mpsc;
use std::time::Duration;

use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

use crate::mesh::clients::{Answer, Asked, Call, REGISTERS};

struct Register;

impl Specification for Register {
    type State = Option<u64>;
    type Operation = (Asked, Answer);

    fn init() -> Self::State {
        None
    }

    fn apply((asked, answer): &Self::Operation, state: &Self::State) -> (bool, Self::State) {
        match (asked, answer) {
            (Asked::Read, Answer::Value(value)) => (value == state, *state),
            (Asked::Write(value), Answer::Done | Answer::Unknown) => (true, Some(*value)),
            (Asked::Create(value), Answer::Done) => (state.is_none(), Some(*value)),
            (Asked::Create(value), Answer::Unknown) => (true, state.or(Some(*value))),
            (Asked::Create(_), Answer::Refused) => (state.is_some(), *state),
            (Asked::Delete, Answer::Done) => (state.is_some(), None),
            (Asked::Delete, Answer::Unknown) => (true, None),
            (Asked::Delete, Answer::Refused) => (state.is_none(), *state),
            _ => (false, *state),
        }
    }
}

/// How long the search for an explanation may take: it grows exponentially with the calls whose outcome nobody knows.
const SEARCH_MAX: Duration = Duration::from_secs(20);

/// What came of looking for explanations.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The registers whose history nothing explains.
    pub(crate) inexplicable: Vec<usize>,
    /// Those for which that is not known after [`SEARCH_MAX`].
    pub(crate) undecided: Vec<usize>,
}

/// Looks for an explanation of each register's history.
pub(crate) fn explain(calls: &[Call]) -> Found {
    let mut found = Found::default();
    for register in 0..REGISTERS {
        let (answer, answered) = mpsc::channel();
        let own: Vec<Call> =
            calls.iter().filter(|call| call.register == register).copied().collect();
        // A search that is given up ends with the process.
        std::thread::spawn(move || answer.send(is_linearizable(&own, register)));
        match answered.recv_timeout(SEARCH_MAX) {
            Ok(true) => {}
            Ok(false) => found.inexplicable.push(register),
            Err(_) => found.undecided.push(register),
        }
    }
    found
}

fn is_linearizable(calls: &[Call], register: usize) -> bool {
    let told = calls.iter().filter(|call| call.register == register).filter_map(|call| {
        let (at, answer) = call.answered.unwrap_or((Duration::MAX, Answer::Unknown));
        match (call.asked, answer) {
            // What changed nothing and told nothing explains itself.
            (_, Answer::Nothing) | (Asked::Read, Answer::Unknown) => None,
            // Its effect may come at any later time.
            (_, Answer::Unknown) => Some((call.at, Duration::MAX, (call.asked, answer))),
            _ => Some((call.at, at, (call.asked, answer))),
        }
    });
    // Within one tick nobody knows what was first: calls come before answers.
    let events = told.enumerate().flat_map(|(number, (called, answered, operation))| {
        [
            (called, 0, number, Action::Call(operation)),
            (answered, 1, number, Action::Response(operation)),
        ]
    });
    let mut events: Vec<_> = events.collect();
    events.sort_by_key(|(at, order, number, _)| (*at, *order, *number));
    if events.is_empty() {
        return true;
    }
    let actions = events.into_iter().map(|(_, _, number, action)| (number, action));
    WGLChecker::<Register>::is_linearizable(History::from_actions(actions.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(asked: Asked, at: u64, answered: Option<(u64, Answer)>) -> Call {
        let seconds = Duration::from_secs;
        let answered = answered.map(|(at, answer)| (seconds(at), answer));
        Call { register: 0, asked, at: seconds(at), answered }
    }

    fn inexplicable(calls: &[Call]) -> Vec<usize> {
        let found = explain(calls);
        assert_eq!(found.undecided, Vec::<usize>::new());
        found.inexplicable
    }

    #[test]
    fn a_read_of_what_was_overwritten_is_inexplicable_and_a_lost_answer_is_not() {
        let wrote = |value, at| call(Asked::Write(value), at, Some((at + 1, Answer::Done)));
        let read = |value, at| call(Asked::Read, at, Some((at + 1, Answer::Value(value))));
        assert!(inexplicable(&[wrote(1, 0), wrote(2, 2), read(Some(2), 4)]).is_empty());
        assert_eq!(inexplicable(&[wrote(1, 0), wrote(2, 2), read(Some(1), 4)]), [0]);
        let lost = call(Asked::Write(2), 2, None);
        assert!(inexplicable(&[wrote(1, 0), lost, read(Some(1), 4)]).is_empty());
        assert!(inexplicable(&[wrote(1, 0), lost, read(Some(1), 4), read(Some(2), 6)]).is_empty());
        assert_eq!(inexplicable(&[lost, read(Some(2), 6), read(None, 8)]), [0]);
    }
}
