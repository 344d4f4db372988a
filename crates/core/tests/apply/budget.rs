//! What the mesh may spend is never exceeded by what it orders.

use kato_core::version::{NEWEST, WITH_SURVIVAL};
use kato_core::{
    Batch, Command, MicroDollars, Rejection, RejectionKind, Revision, State, Timestamp,
};

use super::asks::{Ask, command, mesh};

fn run(state: &mut State, command: Command) -> Result<bool, Rejection> {
    let batch = Batch { at: state.time, commands: vec![command] };
    state.apply(&batch).remove(0).map(|applied| applied.changed)
}

fn ask(state: &mut State, ask: &Ask) -> Result<bool, Rejection> {
    let command = command(ask, state);
    run(state, command)
}

fn buy(workload: usize, count: u32) -> Ask {
    Ask::Put { workload, count, cpu_millis: 700, datacenter: 0, buy: true }
}

fn founded() -> State {
    let mut state = State::default();
    for one in mesh() {
        ask(&mut state, &one).unwrap();
    }
    state
}

#[test]
fn no_machine_is_ordered_beyond_it() {
    let mut state = founded();
    ask(&mut state, &Ask::Budget { machines: Some(1) }).unwrap();
    assert_eq!(state.budget_left(), Some(MicroDollars(91_200)));
    ask(&mut state, &buy(0, 1)).unwrap();
    assert_eq!(
        (state.spending(), state.budget_left()),
        (MicroDollars(91_200), Some(MicroDollars(0)))
    );
    let before = state.clone();
    let refused = ask(&mut state, &buy(1, 1)).unwrap_err();
    assert_eq!(refused.kind, RejectionKind::Conflict);
    let told = "machines for $0.0912/h would be ordered, the mesh's budget has $0.0000/h left";
    assert_eq!(refused.message, told);
    let order = Ask::Order { workload: 0, number: 1, datacenter: 1 };
    ask(&mut state, &order).unwrap_err();
    assert_eq!(state, before);
    // What the machine that joins costs was spent when it was ordered.
    ask(&mut state, &Ask::Join { datacenter: 0, number: 3, incarnation: 1, for_order: true })
        .unwrap();
    assert_eq!(state.spending(), MicroDollars(91_200));
    // One that is lost makes room for what replaces it.
    ask(&mut state, &Ask::Suspend { datacenter: 0, number: None }).unwrap();
    assert_eq!(state.budget_left(), Some(MicroDollars(0)));
    ask(&mut state, &Ask::Lost { datacenter: 0 }).unwrap();
    assert_eq!(state.budget_left(), Some(MicroDollars(91_200)));
}

#[test]
fn one_that_is_less_than_is_spent_ends_nothing_and_buys_nothing() {
    let mut state = founded();
    ask(&mut state, &buy(0, 1)).unwrap();
    ask(&mut state, &Ask::Budget { machines: Some(0) }).unwrap();
    assert_eq!((state.orders.len(), state.budget_left()), (1, Some(MicroDollars(0))));
    ask(&mut state, &buy(1, 1)).unwrap_err();
    // What buys nothing is taken.
    let free = Ask::Put { workload: 1, count: 1, cpu_millis: 700, datacenter: 1, buy: false };
    ask(&mut state, &free).unwrap();
    assert!(ask(&mut state, &Ask::Budget { machines: Some(0) }).unwrap(), "by somebody else");
    ask(&mut state, &Ask::Budget { machines: None }).unwrap();
    assert_eq!(state.budget, None);
    assert!(!ask(&mut state, &Ask::Budget { machines: None }).unwrap(), "there is none already");
}

#[test]
fn it_is_replaced_by_who_knows_it() {
    let mut state = founded();
    let set = |max: i64, expected: u64| Command::SetBudget {
        max: Some(MicroDollars(max)),
        expected: Some(Revision(expected)),
    };
    assert_eq!(run(&mut state, set(5, 7)).unwrap_err().kind, RejectionKind::Conflict);
    run(&mut state, set(5, 0)).unwrap();
    let since = state.budget.unwrap().since;
    assert_eq!(run(&mut state, set(6, 0)).unwrap_err().kind, RejectionKind::Conflict);
    run(&mut state, set(6, since.0)).unwrap();
    let since = state.budget.unwrap().since;
    let negative = run(&mut state, set(-1, since.0)).unwrap_err();
    assert_eq!(negative.kind, RejectionKind::Invalid);
    let mut older = State { version: WITH_SURVIVAL, ..State::default() };
    let refused = run(&mut older, set(5, 0)).unwrap_err();
    assert!(refused.message.contains("the mesh is at version 8"), "{refused}");
    assert_eq!(NEWEST, state.version);
}

#[test]
fn a_backup_has_it() {
    let mut state = founded();
    ask(&mut state, &Ask::Budget { machines: Some(3) }).unwrap();
    let budget = state.budget;
    state.restore(Timestamp(1_700_000_000_000), &[].into());
    assert_eq!(state.budget, budget);
}
