//! What the machines that are bought may cost together. Where what is best costs more, what copies cost beside their
//! machines counts for less and less, down to nothing; and where the cheapest costs more still, the first of them are
//! packed for whom machines can be bought, and the others on what there is.

use std::cmp::Reverse;

use kato_core::MicroDollars;

use super::{Item, Packing, Stalls, improve};
use crate::catalogue::Catalogue;

/// By how much what is beside the machines counts for less from one attempt to the next, and how often.
const LESS: i64 = 4;
const ATTEMPTS: u32 = 4;

/// A packing whose machines cost no more to buy than `max`, and whether that made it another one.
pub(crate) fn within<'a>(
    items: &'a mut [Item],
    stalls: &'a Stalls<'a>,
    catalogue: &'a Catalogue,
    max: MicroDollars,
) -> (Packing<'a>, bool) {
    let all: Vec<u32> = items.iter().map(|item| item.copies).collect();
    let fits =
        |items: &[Item], copies: &[u32]| of_each(items, copies, stalls, catalogue).to_buy() <= max;
    if fits(items, &all) {
        return (of_each(items, &all, stalls, catalogue), false);
    }
    for attempt in 1..=ATTEMPTS {
        let is_last = attempt == ATTEMPTS;
        for cost in items.iter_mut().flat_map(beside) {
            *cost = if is_last { 0 } else { *cost / LESS };
        }
        if fits(items, &all) {
            return (of_each(items, &all, stalls, catalogue), true);
        }
    }
    let order = order(&Packing::new(items, stalls, catalogue));
    let total: u64 = all.iter().map(|copies| u64::from(*copies)).sum();
    // Nothing costs nothing, and all of it costs too much.
    let (mut enough, mut too_many) = (0, total);
    while enough + 1 < too_many {
        let middle = enough.midpoint(too_many);
        if fits(items, &first_of(&order, &all, middle)) {
            enough = middle;
        } else {
            too_many = middle;
        }
    }
    let first = first_of(&order, &all, enough);
    let mut packing = of_each(items, &first, stalls, catalogue);
    packing.close();
    for item in order {
        packing.add(item, all[item] - first[item]);
    }
    packing.reopen();
    (packing, true)
}

/// What copies cost beside their machines.
fn beside(item: &mut Item) -> impl Iterator<Item = &mut i64> {
    let excess = item.levels.iter_mut().filter_map(|level| level.excess.as_mut());
    item.at.iter_mut().flatten().chain(excess)
}

/// The items in the order in which they are placed: who comes first, then what needs most room and so has the fewest places
/// to choose from.
pub(super) fn order(yard: &Packing) -> Vec<usize> {
    let mut order: Vec<usize> = (0..yard.items.len()).collect();
    order.sort_by_key(|item| Reverse((yard.items[*item].rank, yard.weight(*item), *item)));
    order
}

/// Packs so many copies of each item.
pub(super) fn of_each<'a>(
    items: &'a [Item],
    copies: &[u32],
    stalls: &'a Stalls<'a>,
    catalogue: &'a Catalogue,
) -> Packing<'a> {
    let mut yard = Packing::new(items, stalls, catalogue);
    let order = order(&yard);
    for item in &order {
        yard.add(*item, copies[*item]);
    }
    improve::improve(&mut yard, &order);
    yard
}

/// The first copies, in this order of their items.
fn first_of(order: &[usize], copies: &[u32], mut left: u64) -> Vec<u32> {
    let mut first = vec![0; copies.len()];
    for item in order {
        let here = u64::from(copies[*item]).min(left);
        first[*item] = u32::try_from(here).unwrap_or(u32::MAX);
        left -= here;
    }
    first
}
