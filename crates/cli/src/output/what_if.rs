//! What would become of what runs if something were otherwise: what goes where, what that costs, and what has no place.

use kato_proto::v1::{Move, Stranded, WhatIfResponse};

use super::plain;
use super::style::{BAD, GOOD, paint};
use super::table::{Cell, Table};
use super::units::{count, latency, money};

/// The whole answer.
pub(crate) fn outcome(answer: &WhatIfResponse) -> String {
    let moved: u32 = answer.moves.iter().map(|found| found.instances).sum();
    let left: u32 = answer.stranded.iter().map(|found| found.instances).sum();
    let mut text = match (moved, left) {
        (0, 0) => return format!("{}\n", paint(GOOD, "nothing would move")),
        (0, _) => String::new(),
        (moved, _) => format!("{} would move:\n\n{}", count(moved, "instance"), moves(answer)),
    };
    if moved > 0 {
        text += &format!("\n{}\n", bill(answer));
    }
    if left > 0 {
        let gap = if moved > 0 { "\n" } else { "" };
        let nowhere = format!("{} would run nowhere:", count(left, "instance"));
        text += &format!("{gap}{}\n\n{}", paint(BAD, &nowhere), stranded(&answer.stranded));
    }
    text
}

fn moves(answer: &WhatIfResponse) -> String {
    let all = &answer.moves;
    let time = |us: Option<u32>| us.map_or_else(|| "-".to_owned(), latency).into();
    Table::new(all.len())
        .left("WORKLOAD", all.iter().map(|m| plain(&m.workload).into()))
        .right("INSTANCES", all.iter().map(|m| m.instances.to_string().into()))
        .left("FROM", all.iter().map(|m| plain(&m.from).into()))
        .left("TO", all.iter().map(|m| plain(&m.to).into()))
        .money("$/H NOW", all.iter().map(|m| Some(m.price_before_micros_per_hour)))
        .money("$/H THEN", all.iter().map(|m| Some(m.price_after_micros_per_hour)))
        .right("LATENCY NOW", all.iter().map(|m: &Move| time(m.latency_before_us)))
        .right("LATENCY THEN", all.iter().map(|m: &Move| time(m.latency_after_us)))
        .render()
}

/// What changes of what is paid.
fn bill(answer: &WhatIfResponse) -> String {
    let adds = match (answer.machines_to_buy, answer.adds_micros_per_hour) {
        (0, 0) => "Nothing is bought: there is room on machines that are paid for".to_owned(),
        (0, adds) => format!("This adds {}/h to what is paid", money(adds)),
        (bought, adds) => {
            format!("{} would be bought, for {}/h", count(bought, "machine"), money(adds))
        }
    };
    match answer.saves_micros_per_hour {
        0 => adds,
        saves => format!("{adds}; {}/h would not be paid any more", money(saves)),
    }
}

fn stranded(all: &[Stranded]) -> String {
    Table::new(all.len())
        .left("WORKLOAD", all.iter().map(|s| plain(&s.workload).into()))
        .right("INSTANCES", all.iter().map(|s| s.instances.to_string().into()))
        .left("FROM", all.iter().map(|s| plain(&s.from).into()))
        .left("WHY", all.iter().map(|s| Cell::from(plain(&s.why))))
        .render()
}
