//! The linear program: what each copy is worth, so that no content that is known is worth more than it costs.

use kato_core::Resources;
use kato_placement::pack::Item;
use microlp::{ComparisonOp, OptimizationDirection, Problem, Variable};

use super::knapsack::float;
use super::machines::Machine;

/// How many times dearer than alone on a machine a copy may be at the most.
const WORTH_MAX: f64 = 100.0;

/// The content of one machine, with what it costs, copies and all.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) machine: usize,
    pub(super) load: Vec<(usize, u32)>,
    pub(super) cost: i64,
}

impl Column {
    /// How many copies of an item it has.
    pub(super) fn copies_of(&self, item: usize) -> u32 {
        self.load.iter().find(|(of, _)| *of == item).map_or(0, |(_, copies)| *copies)
    }
}

/// So many machines of a set are bought at the least, or at the most.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    /// Whether each machine is one of the set.
    pub(super) set: Vec<bool>,
    pub(super) at_least: bool,
    pub(super) count: u32,
}

impl Branch {
    /// 1 where more of the set is wanted, -1 where less is.
    fn sign(&self) -> f64 {
        if self.at_least { 1.0 } else { -1.0 }
    }

    fn comparison(&self) -> ComparisonOp {
        if self.at_least { ComparisonOp::Ge } else { ComparisonOp::Le }
    }
}

/// What a copy of each item is worth, that a machine runs, by machine, and that a branch is kept.
#[derive(Debug, Clone)]
pub(super) struct Worths {
    pub(super) copies: Vec<i64>,
    pub(super) running: Vec<i64>,
    pub(super) branches: Vec<i64>,
}

impl Worths {
    /// What the branches add to what a machine of their sets is worth.
    pub(super) fn of_branches(&self, branches: &[Branch], machine: usize) -> i64 {
        let own = branches.iter().zip(&self.branches).filter(|(branch, _)| branch.set[machine]);
        own.map(|(branch, worth)| if branch.at_least { *worth } else { -worth }).sum()
    }

    /// What all copies and branches are worth.
    pub(super) fn sum(&self, items: &[Item], branches: &[Branch]) -> i128 {
        let copies = items.iter().zip(&self.copies);
        let copies = copies.map(|(item, worth)| i128::from(item.copies) * i128::from(*worth));
        let branches = branches.iter().zip(&self.branches).map(|(branch, worth)| {
            let worth = i128::from(branch.count) * i128::from(*worth);
            if branch.at_least { worth } else { -worth }
        });
        copies.chain(branches).sum()
    }
}

/// The columns that are known. Costs are told to the solver in parts of a mean copy's, worths of copies in parts of what each
/// costs alone, so that it sees numbers of one size.
pub(super) struct Program<'a> {
    pub(super) items: &'a [Item],
    pub(super) machines: &'a [Machine],
    pub(super) columns: Vec<Column>,
    /// What one copy of each item costs alone, or much.
    alone: Vec<f64>,
    /// What a mean copy costs alone.
    pub(super) unit: f64,
}

impl<'a> Program<'a> {
    /// With as much as fits of each item on each machine, alone: so much is known.
    pub(super) fn new(items: &'a [Item], machines: &'a [Machine]) -> Self {
        let mut columns = Vec::new();
        let mut alone = vec![f64::INFINITY; items.len()];
        for (index, machine) in machines.iter().enumerate() {
            for item in machine.takes.iter().copied() {
                let wanted = &items[item];
                let cost = |copies: u32| {
                    machine.price + wanted.at[machine.site].unwrap_or(0) * i64::from(copies)
                };
                if !machine.runs() {
                    alone[item] = alone[item].min(float(cost(1)));
                }
                let most = machine.room.holds(wanted.request).min(wanted.copies).min(machine.slots);
                columns.push(Column { machine: index, load: vec![(item, most)], cost: cost(most) });
            }
        }
        let dearest = alone.iter().copied().filter(|cost| cost.is_finite()).fold(1e9, f64::max);
        for cost in &mut alone {
            *cost = if cost.is_finite() { cost.max(1.0) } else { dearest * WORTH_MAX };
        }
        let copies = items.iter().map(|item| f64::from(item.copies));
        let all: f64 = copies.clone().zip(&alone).map(|(copies, alone)| copies * alone).sum();
        let unit = all / copies.sum::<f64>().max(1.0);
        Self { items, machines, columns, alone, unit }
    }

    /// A column as people read it.
    pub(super) fn tell(&self, column: &Column) -> String {
        let Machine { offer, price, .. } = &self.machines[column.machine];
        let how = if self.machines[column.machine].runs() { "that runs" } else { "bought" };
        let load = column.load.iter().map(|(item, copies)| format!("{copies} of item {item}"));
        let load: Vec<String> = load.collect();
        let (region, kind, market) = (&offer.region, &offer.kind, offer.market);
        format!("{region} {kind} {market} {how}, ${:.4}: {}", float(*price) / 1e9, load.join(", "))
    }

    /// What a machine costs with this on it, copies and all; none where it may not be there.
    pub(super) fn cost(&self, machine: usize, load: &[(usize, u32)]) -> Option<i64> {
        let found = &self.machines[machine];
        let (mut cost, mut request, mut count) = (found.price, Resources::NONE, 0);
        for (item, copies) in load {
            let wanted = &self.items[*item];
            found.takes.contains(item).then_some(())?;
            cost += wanted.at[found.site]? * i64::from(*copies);
            request = request + wanted.request.times(*copies);
            count += copies;
        }
        (request.fits(found.room) && count <= found.slots).then_some(cost)
    }

    /// The worths that add up to most where no column is worth more than it costs, and to what; none where the solver gives
    /// up.
    pub(super) fn worths(&self, branches: &[Branch]) -> Option<(f64, Worths)> {
        let mut problem = Problem::new(OptimizationDirection::Maximize);
        let mut add = |worth: f64, most: f64| problem.add_var(worth, (0.0, most));
        let worth = |(item, alone): (&Item, &f64)| f64::from(item.copies) * alone / self.unit;
        let copies: Vec<Variable> =
            self.items.iter().zip(&self.alone).map(|one| add(worth(one), WORTH_MAX)).collect();
        let kept: Vec<Variable> = branches
            .iter()
            .map(|branch| add(branch.sign() * f64::from(branch.count), WORTH_MAX * WORTH_MAX))
            .collect();
        let running: Vec<Option<Variable>> = self
            .machines
            .iter()
            .map(|machine| machine.runs().then(|| add(-1.0, f64::INFINITY)))
            .collect();
        for column in &self.columns {
            let size = float(column.cost).max(self.unit);
            let worth = |(item, count): &(usize, u32)| {
                (copies[*item], f64::from(*count) * self.alone[*item] / size)
            };
            let mut row: Vec<(Variable, f64)> = column.load.iter().map(worth).collect();
            let part = self.unit / size;
            row.extend(running[column.machine].map(|variable| (variable, -part)));
            let own = branches.iter().zip(&kept).filter(|(branch, _)| branch.set[column.machine]);
            row.extend(own.map(|(branch, variable)| (*variable, branch.sign() * part)));
            problem.add_constraint(row, ComparisonOp::Le, float(column.cost) / size);
        }
        let solution = problem.solve().ok()?.into_solution().ok()?;
        let whole = |variable: Variable, unit: f64| {
            // Far below what the type holds, and any integer will do.
            #[allow(clippy::cast_possible_truncation)]
            let whole = (solution.var_value(variable).max(0.0) * unit).floor() as i64;
            whole
        };
        let of_copies = copies.iter().zip(&self.alone).map(|(it, alone)| whole(*it, *alone));
        let of_running = running.iter().map(|it| it.map_or(0, |it| whole(it, self.unit)));
        let worths = Worths {
            copies: of_copies.collect(),
            running: of_running.collect(),
            branches: kept.iter().map(|it| whole(*it, self.unit)).collect(),
        };
        Some((solution.objective() * self.unit, worths))
    }

    /// How many of each column are used at the least cost, parts of them too; none where the solver gives up.
    pub(super) fn used(&self, branches: &[Branch]) -> Option<Vec<f64>> {
        let mut problem = Problem::new(OptimizationDirection::Minimize);
        let cost = |column: &Column| float(column.cost) / self.unit;
        let used: Vec<Variable> = self
            .columns
            .iter()
            .map(|column| problem.add_var(cost(column), (0.0, f64::INFINITY)))
            .collect();
        let all = || self.columns.iter().zip(&used);
        for (index, item) in self.items.iter().enumerate() {
            let has = all().filter(|(column, _)| column.copies_of(index) > 0);
            let mut row: Vec<(Variable, f64)> =
                has.map(|(column, it)| (*it, f64::from(column.copies_of(index)))).collect();
            // A copy without a place is dear, but there is always a way.
            let missing = self.alone[index] * WORTH_MAX / self.unit;
            row.push((problem.add_var(missing, (0.0, f64::INFINITY)), 1.0));
            problem.add_constraint(row, ComparisonOp::Ge, f64::from(item.copies));
        }
        for (index, _) in self.machines.iter().enumerate().filter(|(_, machine)| machine.runs()) {
            let own = all().filter(|(column, _)| column.machine == index);
            let row: Vec<(Variable, f64)> = own.map(|(_, it)| (*it, 1.0)).collect();
            problem.add_constraint(row, ComparisonOp::Le, 1.0);
        }
        for branch in branches {
            let own = all().filter(|(column, _)| branch.set[column.machine]);
            let row: Vec<(Variable, f64)> = own.map(|(_, it)| (*it, 1.0)).collect();
            problem.add_constraint(row, branch.comparison(), f64::from(branch.count));
        }
        let solution = problem.solve().ok()?.into_solution().ok()?;
        Some(used.iter().map(|it| solution.var_value(*it)).collect())
    }
}
