//! What a watcher is told.

use std::sync::Arc;

use kato_core::{Batch, Command, Decision, PutWorkload, Timestamp};
use kato_units::parse_workload;

use super::*;

fn run(state: &mut State, command: Command) {
    let at = Timestamp(state.time.0 + 1);
    let outcome = state.apply(&Batch { at, commands: vec![command] }).remove(0);
    assert!(outcome.is_ok(), "{outcome:?}");
}

fn put(state: &mut State, name: &str, program: &str) {
    let text = format!("[Service]\nExecStart=/bin/{program}\n");
    let nowhere = |_: &str| Err("nowhere".to_owned());
    let parsed = parse_workload(&format!("{name}.service"), &text, &nowhere).unwrap();
    let spec = Arc::new(parsed.spec);
    let latency_price_micros_per_ms_hour = spec.latency_price_micros_per_ms_hour;
    let (at, candidates) = (state.time, Vec::new());
    let decision = Arc::new(Decision { at, latency_price_micros_per_ms_hour, candidates });
    let put = PutWorkload { spec, expected: None, targets: Vec::new(), decision };
    run(state, Command::PutWorkload(put));
}

fn delete(state: &mut State, name: &str) {
    run(state, Command::DeleteWorkload { name: name.parse().unwrap(), expected: None });
}

/// What is told, in short: `has ant zoo@0`, `+zoo@1`, `-ant@3`.
fn told(known: Option<&State>, state: &State, since: u64) -> Vec<String> {
    let shown = |News { revision, what }: &News<'_>| match what {
        What::Existing { names, more } => {
            assert!(!more, "one message is enough here");
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            format!("has {}@{revision}", names.join(" "))
        }
        What::Changed(workload) => {
            assert_eq!(workload.revision, *revision);
            format!("+{}@{revision}", workload.spec.name)
        }
        What::Deleted(name) => format!("-{name}@{revision}"),
    };
    news(known, state, Revision(since)).iter().map(shown).collect()
}

#[test]
fn what_is_told_follows_from_what_is_known() {
    let empty = State::default();
    let mut two = empty.clone();
    put(&mut two, "zoo", "one");
    put(&mut two, "ant", "one");
    let mut later = two.clone();
    put(&mut later, "elk", "one");
    delete(&mut later, "zoo");
    put(&mut later, "ant", "two");
    let mut reborn = two.clone();
    delete(&mut reborn, "zoo");
    put(&mut reborn, "zoo", "one");
    let cases: [(Option<&State>, &State, u64, &[&str]); 10] = [
        (None, &empty, 0, &["has @0"]),
        (None, &two, 0, &["has ant zoo@0", "+zoo@1", "+ant@2"]),
        (None, &two, 1, &["has ant zoo@1", "+ant@2"]),
        (None, &two, 2, &["has ant zoo@2"]),
        (None, &later, 2, &["has ant elk@2", "+elk@3", "+ant@5"]),
        // `since` counts for the beginning alone.
        (Some(&empty), &two, 9, &["+zoo@1", "+ant@2"]),
        (Some(&two), &two, 0, &[]),
        (Some(&two), &later, 0, &["+elk@3", "+ant@5", "-zoo@5"]),
        (Some(&later), &empty, 0, &["-ant@0", "-elk@0"]),
        (Some(&two), &reborn, 0, &["+zoo@4"]),
    ];
    for (case, (known, state, since, expected)) in cases.into_iter().enumerate() {
        assert_eq!(told(known, state, since), expected, "case {case}");
    }
}

/// Whoever breaks off behind any message, and goes on from its revision, hears the rest.
#[test]
fn every_message_is_one_to_go_on_from() {
    let mut state = State::default();
    for name in ["zoo", "ant", "elk", "bee"] {
        put(&mut state, name, "one");
    }
    put(&mut state, "ant", "two");
    let whole = news(None, &state, Revision(0));
    for (place, message) in whole.iter().enumerate() {
        let rest = news(None, &state, message.revision);
        let changes = |news: &[News<'_>]| -> Vec<Revision> {
            let changes = news.iter().filter(|news| matches!(news.what, What::Changed(_)));
            changes.map(|news| news.revision).collect()
        };
        assert_eq!(changes(&rest), changes(&whole[place + 1..]), "behind message {place}");
    }
}
