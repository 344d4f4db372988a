//! A placing of all copies by rounding what the program buys, to tell whether a bound is low or a placing dear: whole machines of
//! it are taken, or the one of which it buys the largest part, and the program is solved again for what is left.

use kato_core::Resources;
use kato_placement::pack::Item;
use kato_placement::{Catalogue, Site};

use super::machines;
use super::program::{Column, Program};
use super::relaxed;

/// Below a whole machine by no more than what floats lose.
const NEARLY: f64 = 1e-6;

/// What it costs, and each machine with what is on it; none where the solver gives up.
pub(crate) fn rounded(
    items: &[Item],
    sites: &[Site],
    catalogue: &Catalogue,
) -> Option<(i64, Vec<String>)> {
    let (mut items, mut sites) = (items.to_vec(), sites.to_vec());
    let (mut sum, mut told) = (0, Vec::new());
    while items.iter().any(|item| item.copies > 0) {
        let machines = machines::worth_a_look(&items, &sites, catalogue);
        let mut program = Program::new(&items, &machines);
        relaxed(&mut program, &[], i64::MAX);
        let mut left = items.clone();
        for column in round(&program)? {
            let Some((cost, column)) = fit(&program, column, &mut left) else { continue };
            sum += cost;
            told.push(program.tell(&column));
            if let Some(running) = machines[column.machine].running {
                let room = &mut sites[machines[column.machine].site].machines[running];
                (room.free, room.slots) = (Resources::NONE, 0);
            }
        }
        if left.iter().zip(&items).all(|(left, before)| left.copies == before.copies) {
            return None;
        }
        items = left;
    }
    Some((sum, told))
}

/// The columns that are used, as many of each as there are whole ones; where there is none, that of which most is used.
fn round(program: &Program) -> Option<Vec<Column>> {
    let used = program.used(&[])?;
    let all = || program.columns.iter().zip(&used);
    let mut rounded = Vec::new();
    for (column, count) in all() {
        // Machines are counted one by one.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = (count + NEARLY).floor() as usize;
        rounded.extend(std::iter::repeat_n(column.clone(), whole));
    }
    if rounded.is_empty() {
        rounded.push(all().max_by(|a, b| a.1.total_cmp(b.1))?.0.clone());
    }
    Some(rounded)
}

/// Takes what a column has of what is left, on the cheapest machine for that, and says what it costs.
fn fit(program: &Program, mut column: Column, left: &mut [Item]) -> Option<(i64, Column)> {
    for (item, copies) in &mut column.load {
        *copies = left[*item].copies.min(*copies);
        left[*item].copies -= *copies;
    }
    column.load.retain(|(_, copies)| *copies > 0);
    if column.load.is_empty() {
        return None;
    }
    let same =
        |index: &usize| *index == column.machine || program.machines[*index].running.is_none();
    let costs = (0..program.machines.len()).filter(same);
    let costs = costs.filter_map(|index| Some((program.cost(index, &column.load)?, index)));
    (column.cost, column.machine) = costs.min()?;
    Some((column.cost, column))
}
