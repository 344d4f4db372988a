//! No placing of all copies costs less than this: a linear program over the contents of machines (Gilmore and Gomory, "A Linear
//! Programming Approach to the Cutting-Stock Problem", 1961), its columns found one after the other.
//!
//! The program is solved from its other side: the worth of each copy is a variable, and each content that is worth more than it
//! costs is cut off. Whatever worths the solver gives, they are rounded to integers, each machine's best content is looked for,
//! and the worths are lessened until no machine pays (Farley, "A note on bounding a class of linear programming problems",
//! 1990): the bound holds whatever the solver did. It knows nothing of how the engine searches. Limits on what is together, on
//! prices and on how much is bought are left out, which can only make it less.
//!
//! A part of a machine cannot be bought. Where the program buys one, it is solved twice: with one machine more of some, and with
//! one less; the bound is the lesser of both ([`search`]).

mod knapsack;
mod machines;
mod program;
mod search;
mod whole;

use kato_placement::pack::Item;

use knapsack::{Content, Piece};
use machines::Machine;
use program::{Branch, Column, Program, Worths};
pub(crate) use search::{bought, bound};
pub(crate) use whole::rounded;

/// Rounds after which the search for columns ends.
const ROUNDS_MAX: usize = 100;
/// Part of the program's value that further columns may add at the most when the search for them ends.
const TOLERANCE: f64 = 1e-5;
/// Columns that are added in a round.
const COLUMNS_MAX: usize = 20;

/// What the program proves where the branches are kept, as far as it is looked for: no more than `enough`.
fn relaxed(program: &mut Program, branches: &[Branch], enough: i64) -> i64 {
    let mut known = 0;
    for _ in 0..ROUNDS_MAX {
        let Some((value, worths)) = program.worths(branches) else { break };
        let (least, columns) = price(program.items, program.machines, branches, &worths);
        known = known.max(least);
        let near = knapsack::float(known) >= value * (1.0 - TOLERANCE);
        if near || known >= enough || columns.is_empty() {
            break;
        }
        program.columns.extend(columns);
    }
    known
}

/// What these worths prove, and the contents that are worth more than they cost.
fn price(
    items: &[Item],
    machines: &[Machine],
    branches: &[Branch],
    worths: &Worths,
) -> (i64, Vec<Column>) {
    let mut columns = Vec::new();
    // By how much the worths are to be lessened, as a fraction: what costs `price` is worth `price + beyond` at the most.
    let mut lessened = (1i128, 1i128);
    let mut running = 0i128;
    for (index, machine) in machines.iter().enumerate() {
        let price = machine.price - worths.of_branches(branches, index);
        let content = content(items, machine, worths, price);
        let beyond = content.gain_max - price;
        if beyond <= 0 {
            continue;
        }
        if machine.runs() {
            running += i128::from(beyond);
        } else {
            let (price, whole) = (i128::from(machine.price), i128::from(machine.price + beyond));
            if price * lessened.1 < lessened.0 * whole {
                lessened = (price, whole);
            }
        }
        let too_much = content.gain - price - worths.running[index];
        if knapsack::float(too_much) > knapsack::float(machine.price) * TOLERANCE {
            let beside = |(item, copies): &(usize, u32)| {
                items[*item].at[machine.site].unwrap_or(0) * i64::from(*copies)
            };
            let cost = machine.price + content.load.iter().map(beside).sum::<i64>();
            let column = Column { machine: index, load: content.load, cost };
            columns.push((knapsack::float(too_much) / knapsack::float(cost.max(1)), column));
        }
    }
    // The worst first, and no more than the solver likes.
    columns.sort_by(|a, b| b.0.total_cmp(&a.0));
    columns.truncate(COLUMNS_MAX);
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    let sum = worths.sum(items, branches).max(0) * lessened.0 / lessened.1 - running;
    (i64::try_from(sum.max(0)).unwrap_or(0), columns)
}

/// The best content of a machine that costs so much.
fn content(items: &[Item], machine: &Machine, worths: &Worths, price: i64) -> Content {
    let piece = |item: &usize| Piece {
        item: *item,
        gain: worths.copies[*item] - items[*item].at[machine.site].unwrap_or(0),
        request: items[*item].request,
        most: items[*item].copies,
    };
    let pieces: Vec<Piece> = machine.takes.iter().map(piece).collect();
    knapsack::best(&pieces, machine.room, machine.slots, price)
}
