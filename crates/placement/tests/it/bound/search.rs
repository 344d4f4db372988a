//! Machines are bought whole: branch and bound over how many are bought of all, at a site, of a kind (Vance, "Branch-and-price
//! algorithms for the one-dimensional cutting stock problem", 1998). The branches change the price of a machine and not its best
//! content, so that the columns stay as easy to find.

use kato_placement::pack::Item;
use kato_placement::{Catalogue, Site};

use super::machines::{self, Machine};
use super::program::{Branch, Program};
use super::{knapsack, relaxed};

/// How far a number of machines must be from a whole one to be worth a branch.
const PART_MIN: f64 = 1e-4;

/// What was found.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    /// No placing of all copies costs less, in billionths of a dollar an hour.
    pub(crate) least: i64,
    /// What the program says without branches.
    pub(crate) relaxed: i64,
    /// How many times it was solved.
    pub(crate) nodes: usize,
}

/// A program that may still have a better answer than what is known.
struct Node {
    least: i64,
    branches: Vec<Branch>,
}

/// The bound for placing all copies, as high as can be shown with so many programs. It is looked for no further once it is `enough`:
/// what a placing costs that is known.
pub(crate) fn bound(
    items: &[Item],
    sites: &[Site],
    catalogue: &Catalogue,
    (enough, nodes_max): (i64, usize),
) -> Bound {
    let machines = machines::worth_a_look(items, sites, catalogue);
    let mut program = Program::new(items, &machines);
    let first = relaxed(&mut program, &[], enough);
    let mut open = vec![Node { least: first, branches: Vec::new() }];
    let mut found = Bound { least: first, relaxed: first, nodes: 1 };
    // What no branch makes whole: it stays as it is.
    let mut closed = enough;
    while let Some(next) = (0..open.len()).min_by_key(|node| open[*node].least) {
        let node = open.swap_remove(next);
        found.least = found.least.max(node.least.min(closed));
        if node.least >= closed || found.nodes >= nodes_max {
            break;
        }
        let Some((set, whole)) =
            program.used(&node.branches).and_then(|used| branch(&program, &used))
        else {
            closed = closed.min(node.least);
            continue;
        };
        for (at_least, count) in [(true, whole + 1), (false, whole)] {
            let mut branches = node.branches.clone();
            branches.push(Branch { set: set.clone(), at_least, count });
            let least = relaxed(&mut program, &branches, closed).max(node.least);
            found.nodes += 1;
            open.push(Node { least, branches });
        }
    }
    if open.is_empty() {
        found.least = found.least.max(closed);
    }
    found
}

/// What the program without branches buys, parts of machines too, as people read it.
pub(crate) fn bought(items: &[Item], sites: &[Site], catalogue: &Catalogue) -> Vec<String> {
    let machines = machines::worth_a_look(items, sites, catalogue);
    let mut program = Program::new(items, &machines);
    relaxed(&mut program, &[], i64::MAX);
    let used = program.used(&[]).unwrap_or_default();
    let used = program.columns.iter().zip(used).filter(|(_, count)| *count > PART_MIN);
    used.map(|(column, count)| format!("{count:7.3} × {}", program.tell(column))).collect()
}

/// The set of which the largest part of a machine is bought, in money, and how many whole ones are.
fn branch(program: &Program, used: &[f64]) -> Option<(Vec<bool>, u32)> {
    let mut counts = vec![0.0; program.machines.len()];
    for (column, count) in program.columns.iter().zip(used) {
        counts[column.machine] += count;
    }
    let sold = |machine: &Machine| !machine.runs();
    let mut sets: Vec<Vec<bool>> = vec![program.machines.iter().map(sold).collect()];
    let sites = program.machines.iter().map(|machine| machine.site).max()? + 1;
    let at =
        |site: usize| program.machines.iter().map(move |it| sold(it) && it.site == site).collect();
    sets.extend((0..sites).map(at));
    let used = (0..counts.len())
        .filter(|index| sold(&program.machines[*index]) && counts[*index] > PART_MIN);
    sets.extend(used.map(|index| (0..counts.len()).map(|other| other == index).collect()));
    let rated = sets.into_iter().filter_map(|set| {
        let own = || (0..counts.len()).filter(|index| set[*index]);
        let count: f64 = own().map(|index| counts[index]).sum();
        let price: f64 =
            own().map(|i| counts[i] * knapsack::float(program.machines[i].price)).sum();
        let part = (count - count.floor()).min(count.ceil() - count);
        // Machines are counted one by one.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = count.floor() as u32;
        (part > PART_MIN).then(|| (part * price / count, set, whole))
    });
    let best = rated.max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some((best.1, best.2))
}
