//! What the machines that are bought may cost together. Where what is best costs more, what copies cost beside their
//! machines counts for less and less, down to nothing, for those that machines are bought for. Where the cheapest costs more
//! still, machines are bought for one item after the other as far as the money goes, and the others are packed on what
//! there is.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use kato_core::MicroDollars;

use super::{Item, Packing, Stalls, improve};
use crate::catalogue::Catalogue;

/// By how much what is beside the machines counts for less from one attempt to the next, and how often.
const LESS: i64 = 4;
const ATTEMPTS: u32 = 4;

/// What everything is packed on.
#[derive(Clone, Copy)]
pub(crate) struct Yards<'a> {
    pub(crate) stalls: &'a Stalls<'a>,
    pub(crate) catalogue: &'a Catalogue,
}

/// A packing whose machines cost no more to buy than `max`, and whether that made it another one.
pub(crate) fn within<'a>(
    items: &'a mut [Item],
    yards: Yards<'a>,
    max: MicroDollars,
) -> (Packing<'a>, bool) {
    let all: Vec<u32> = items.iter().map(|item| item.copies).collect();
    let asked: Vec<Item> = items.to_vec();
    for attempt in 0..=ATTEMPTS {
        let packing = of_each(items, &all, yards);
        let (price, buyers, layout) = (packing.to_buy(), buyers(&packing), packing.into_layout());
        if price <= max {
            let packing = Packing::new(items, yards.stalls, yards.catalogue);
            return (packing.with_layout(layout), attempt > 0);
        }
        for item in buyers {
            let last = attempt + 1 >= ATTEMPTS;
            for cost in beside(&mut items[item]) {
                *cost = if last { 0 } else { *cost / LESS };
            }
            if last {
                // What is paid whole and not used does not count either: a budget is by the hour.
                items[item].wanted.stay_s = 0;
            }
        }
    }
    let order = order(&Packing::new(items, yards.stalls, yards.catalogue));
    let first = affordable(items, &order, &all, yards, max);
    for item in order.iter().copied().filter(|item| first[*item] == 0) {
        // Nothing is bought for it, so that nothing is saved by where it goes.
        items[item] = asked[item].clone();
    }
    let mut packing = of_each(items, &first, yards);
    packing.close();
    for item in order {
        packing.add(item, all[item] - first[item]);
    }
    packing.reopen();
    (packing, true)
}

/// How many copies of each item machines are bought for: of one after the other as many as the others before leave money for.
fn affordable(
    items: &[Item],
    order: &[usize],
    all: &[u32],
    yards: Yards,
    max: MicroDollars,
) -> Vec<u32> {
    let mut first = vec![0; all.len()];
    let to_buy = |copies: &[u32]| of_each(items, copies, yards).to_buy();
    let mut spent = MicroDollars::ZERO;
    for item in order.iter().copied() {
        let with = |first: &[u32], copies: u32| {
            let mut some = first.to_vec();
            some[item] = copies;
            some
        };
        // Nothing that it could be on may be bought any more, and what there is it gets later.
        let least = Packing::new(items, yards.stalls, yards.catalogue).least_price(item);
        if least.is_none_or(|least| spent + least > max) {
            continue;
        }
        // None of it costs what it did before.
        let (mut enough, mut too_many) = (0, all[item] + 1);
        let mut next = all[item];
        while enough + 1 < too_many {
            let cost = to_buy(&with(&first, next));
            if cost <= max {
                (enough, spent) = (next, cost);
            } else {
                too_many = next;
            }
            next = enough.midpoint(too_many);
        }
        first[item] = enough;
    }
    first
}

/// The items that machines are bought for.
fn buyers(packing: &Packing) -> BTreeSet<usize> {
    let uses = packing.uses();
    let buys = |item: &usize| uses[*item].iter().any(|used| used.machine.is_none());
    (0..uses.len()).filter(buys).collect()
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
pub(super) fn of_each<'a>(items: &'a [Item], copies: &[u32], yards: Yards<'a>) -> Packing<'a> {
    let mut yard = Packing::new(items, yards.stalls, yards.catalogue);
    let order = order(&yard);
    for item in &order {
        yard.add(*item, copies[*item]);
    }
    improve::improve(&mut yard, &order);
    yard
}
